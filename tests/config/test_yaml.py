# SPDX-License-Identifier: Apache-2.0
"""Configuration files: what they may contain, and one clear line with its number for each mistake."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sideman.config import resources
from sideman.config import yaml_events as yamlparser
from sideman.config.yaml import edit_yaml, parse_scalar, parse_setting, parse_yaml, read_yaml
from sideman.core.errors import ConfigError, NoSuchInput, NotPermitted
from sideman.core.settings.resolve import resolve_settings
from sideman.core.settings.schema import KEYS, Settings

BOMB = b"a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n<<: *c\n"


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def _either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test with both parsers of PyYAML: not every installation has the fast one."""
    monkeypatch.setattr(yamlparser, "_LOADER", getattr(yaml, request.param))


def values(text: str) -> dict[str, object]:
    """Return the values of a file without problems."""
    read = parse_yaml(text.encode(), "my.yaml")
    assert not read.problems
    return {key: given.value for key, given in read.values.items()}


def test_the_default_file_is_the_defaults() -> None:
    """Guards against: a default file with values that are not the defaults, or without some keys."""
    read = read_yaml(resources.bundled_path("config", "default.yaml"))
    assert list(read.values) == list(KEYS)
    assert resolve_settings([read.values], read.problems) == Settings()


@pytest.mark.parametrize("name", resources.resource_names("presets", ".yaml"))
def test_every_bundled_preset_is_valid(name: str) -> None:
    """Guards against: a preset that comes with sideman and ends in an error."""
    path = resources.find_resource("presets", name, ".yaml")
    assert path
    read = read_yaml(path)
    assert resolve_settings([read.values], read.problems) != Settings()


@pytest.mark.usefixtures("_either_parser")
def test_keys_are_flat_and_have_line_numbers() -> None:
    """Guards against: an error message with the wrong line number."""
    read = parse_yaml(b"# mine\ntempo:\n  bpm: 99\n\nplay: {rate: beat,\n  seed: 4}\nlog.level: info\n", "my.yaml")
    assert {key: given.source for key, given in read.values.items()} == {
        "tempo.bpm": "my.yaml:3",
        "play.rate": "my.yaml:5",
        "play.seed": "my.yaml:6",
        "log.level": "my.yaml:7",
    }


@pytest.mark.usefixtures("_either_parser")
def test_scalars_follow_yaml_1_2() -> None:
    """Guards against: `mode: off` read as false, or `meter: 4/4` as something else than text."""
    text = "a: off\nb: 010\nc: 4/4\nd: 1e2\ne: ~\nf: 'null'\ng: \"12\"\nh: True\ni: 12:30\nj:\nk: -.5\nl: 0x10\n"
    assert values(text) == {
        "a": "off", "b": 10, "c": "4/4", "d": 100.0, "e": None, "f": "null", "g": "12", "h": True, "i": "12:30",
        "j": None,
        "k": -0.5, "l": "0x10",
    }  # fmt: skip


@pytest.mark.usefixtures("_either_parser")
def test_a_key_may_have_a_list_of_values() -> None:
    """Guards against: two keyboards that cannot be named in a file or on the command line."""
    text = "midi:\n  input: [Keys, 'A, B', 5, off]\n  output:\n    - Synth\n    - \"null\"\n  cc: {}\n"
    assert values(text) == {"midi.input": ["Keys", "A, B", 5, "off"], "midi.output": ["Synth", "null"], "midi.cc": {}}
    typed = parse_setting("midi.input", "[Keys, Pads]", "--set")["midi.input"]
    assert (typed.value, typed.source) == (["Keys", "Pads"], "--set")
    assert parse_setting("chart.changes", "[C]", "--set")["chart.changes"].value == "[C]"
    with pytest.raises(ConfigError, match=r"^--set: midi\.input: .*no lists or groups in it"):
        parse_setting("midi.input", "[Keys, {a: b}]", "--set")


@pytest.mark.usefixtures("_either_parser")
def test_chords_may_be_a_block_of_lines() -> None:
    """Guards against: a chart of twelve bars that has to be on one line."""
    assert values("chart:\n  changes: |\n    | C7 | F7 |\n    | C7 | %  |\n") == {
        "chart.changes": "| C7 | F7 |\n| C7 | %  |\n"
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n# nothing\n...\n", "\ufeff", "\r\n\r\n"])
@pytest.mark.usefixtures("_either_parser")
def test_an_empty_file_has_no_values(text: str) -> None:
    """Guards against: an error at the start for a user who has just created the file."""
    assert values(text) == {}


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff", 1, "not text"),
        (b"MThd\x00\x00\x00\x06", 1, "not a text file"),
        (b"tempo:\n  bpm: 99\n# Caf\xe9\n", 3, "not text"),
        (b"- tempo\n- 99\n", 1, "a list"),
        (b"\n\n[1, 2]\n", 3, "a list"),
        (b"swing\n", 1, "a single value"),
        (b"tempo:\n\tbpm: 99\n", 2, "a tab"),
        (b"tempo:\n  bpm: 99\n  bpm: 100\n", 3, "tempo.bpm: given twice; line 2 has it"),
        (b"tempo:\n  bpm: 99\nlog: {}\ntempo:\n  meter: 3/4\n", 4, "tempo: given twice; line 1 has it"),
        (b"tempo.bpm: 99\ntempo:\n  bpm: 99\n", 3, "tempo.bpm: given twice; line 1 has it"),
        (b"log:\n  level: info\n5: x\n", 3, "5 as a key"),
        (b"null: x\n", 1, "null as a key"),
        (b"true: x\n", 1, "true as a key"),
        (b"? [a, b]\n: x\n", 1, "not a list"),
        (b"? {a: b}\n: x\n", 1, "not a list"),
        (b"tempo: {bpm: 99}\n<<: 5\n", 2, "merge keys"),
        (b"tempo: &slow\n  bpm: 60\n", 1, "anchors"),
        (b"tempo:\n  bpm: !!int 99\n", 2, "tags"),
        (b"tempo: !!python/object/apply:os.system ['true']\n", 1, "tags"),
        (b"tempo: {bpm: 99}\n---\nlog: {level: info}\n", 2, "second document"),
        (b"tempo: {bpm: 99\n", 2, "not YAML"),
        (b"a: b: c\n", 1, "not YAML"),
        (b"'", 1, "not YAML"),
        (b"a: @b\n", 1, "not YAML"),
        (b"a: {" * 20, 1, "levels deep"),
        (b"[" * 20 + b"]: x\n", 1, "a list"),
        (b"a: " + b"[" * 5000, 1, "levels deep"),
        (b"? " * 5000, 1, "a key has to be a name"),
    ],
)
@pytest.mark.usefixtures("_either_parser")
def test_each_mistake_is_reported_on_one_line_with_its_number(data: bytes, line: int, words: str) -> None:
    """Guards against: a traceback, or settings that differ from what the file seems to say."""
    problem = parse_yaml(data, "my.yaml").problems[0]
    place, _, text = problem.partition(": ")
    file, _, number = place.partition(":")
    assert (file, "\n" in problem) == ("my.yaml", False)
    assert abs(int(number) - line) <= ("not YAML" in text)  # the two parsers differ by a line at the end of a file
    assert words in text


@pytest.mark.usefixtures("_either_parser")
def test_a_merge_bomb_costs_nothing() -> None:
    """Guards against: a short file that fills the memory of the machine."""
    read = parse_yaml(BOMB, "my.yaml")
    assert not read.values
    assert [problem.split(":")[1] for problem in read.problems] == ["1", "2", "3", "4"]


@pytest.mark.usefixtures("_either_parser")
def test_all_problems_of_a_file_are_reported_at_once() -> None:
    """Guards against: three attempts for a file with three mistakes."""
    read = parse_yaml(b"5: x\nlog:\n  level: &a info\n  level: debug\ntempo: !!str 9\n", "my.yaml")
    assert [problem.split(":")[1] for problem in read.problems] == ["1", "3", "4", "5"]


@given(st.binary(max_size=200) | st.text("{}[]:,-?|>&*!%@#'\"\n ab1<", max_size=60).map(str.encode))
@example(BOMB)
@example(b"%YAML 9.9\n--- a\n")
def test_any_bytes_give_values_or_problems(data: bytes) -> None:
    """Guards against: a traceback for a damaged file."""
    read = parse_yaml(data, "my.yaml")
    assert all(problem.startswith("my.yaml:") and "\n" not in problem for problem in read.problems)
    assert all(isinstance(key, str) for key in read.values)


@given(st.text(max_size=40))
def test_any_word_on_the_command_line_is_a_value(text: str) -> None:
    """Guards against: a traceback for an odd word after `--set`."""
    value = parse_scalar(text)
    assert value is None or isinstance(value, str | bool | int | float)


@given(st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_as_itself(number: float) -> None:
    """Guards against: a seed that is another number after it was copied from the log."""
    assert parse_scalar(repr(number)) == number


def test_a_missing_file_is_reported_by_name(tmp_path: Path) -> None:
    """Guards against: a mistyped path that counts as an empty configuration."""
    with pytest.raises(NoSuchInput, match=r"none\.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(NoSuchInput, match="a folder"):
        read_yaml(tmp_path)
    with pytest.raises(NoSuchInput, match="no such file"):
        read_yaml(tmp_path / "a\0b")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are those of POSIX")
def test_missing_permissions_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a user who looks for a mistake in the file, not at its permissions."""
    path = tmp_path / "secret.yaml"
    path.write_text("tempo: {bpm: 99}\n")
    path.chmod(0)
    if os.geteuid() == 0:  # root may read everything: say in its place what the system says to others

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(NotPermitted, match=r"secret\.yaml: not permitted"):
        read_yaml(path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """Guards against: minutes of reading when a recording is given by mistake."""
    path = tmp_path / "take.wav"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match=r"larger than 0\.25 MiB"):
        read_yaml(path)


def test_a_group_can_be_typed_as_in_a_file() -> None:
    """Guards against: `--set 'midi.cc={1: play.temperature}'`, as the README writes it, that is refused."""
    typed = parse_setting("midi.cc", "{1: play.temperature, 20: play.density 0.2-2, 66: 'mode:trade'}", "--set")
    assert {name: given.value for name, given in typed.items()} == {
        "midi.cc.1": "play.temperature",
        "midi.cc.20": "play.density 0.2-2",
        "midi.cc.66": "mode:trade",
    }
    assert {given.source for given in typed.values()} == {"--set"}
    assert parse_setting("play", "{gate: 0.5}", "--set")["play.gate"].value == 0.5
    assert parse_setting("midi.cc", "{}", "--set")["midi.cc"].value == {}
    assert parse_setting("chart.changes", "{C}", "--set")["chart.changes"].value == "{C}"


@pytest.mark.parametrize(
    "text", ["{1: tap", "{1: tap, 1: mode}", "{1: &a tap}", "{1: tap}\nplay.seed: 3", "{\udcff: 1}"]
)
def test_a_typed_group_with_a_mistake_is_reported(text: str) -> None:
    """Guards against: bindings typed on the command line that are silently left out."""
    with pytest.raises(ConfigError, match=r"^--set"):
        parse_setting("midi.cc", text, "--set")


BINDINGS_WRITTEN = {
    "": "midi.cc.74: play.density 0.2-2\n",
    "play.gate: 1\n": "play.gate: 1\nmidi.cc.74: play.density 0.2-2\n",
    "midi:\n  cc:\n    1: tap  # foot\n": "midi:\n  cc:\n    74: play.density 0.2-2\n    1: tap  # foot\n",
    "midi:\n  cc:\n    # none yet\n": "midi:\n  cc:\n    74: play.density 0.2-2\n    # none yet\n",
    "midi:\n    channel: 2\n": "midi:\n    cc.74: play.density 0.2-2\n    channel: 2\n",
    "midi:\n  cc: {1: tap}  # mine\n": "midi:\n  cc: {74: play.density 0.2-2, 1: tap}  # mine\n",
    "midi: {cc: {}}\n": "midi: {cc: {74: play.density 0.2-2}}\n",
    "midi.cc: {20: play.density, 1: tap}\n": "midi.cc: {74: play.density 0.2-2, 1: tap}\n",
    "midi:\n  cc: {1: tap, 20: play.density}\n": "midi:\n  cc: {74: play.density 0.2-2, 1: tap}\n",
    "midi: {cc: {20: play.density}}\n": "midi: {cc: {74: play.density 0.2-2}}\n",
    "midi.cc: {1: tap, # foot\n  20: play.density }\n": "midi.cc: {74: play.density 0.2-2, 1: tap, # foot\n  }\n",
    "midi:\n  cc:\n    20: play.density\n    1: tap\n": "midi:\n  cc:\n    74: play.density 0.2-2\n    1: tap\n",
    "midi.cc: {20: play.density # k\n  , 1: tap}\n": "midi.cc: {74: play.density 0.2-2, 20: null # k\n  , 1: tap}\n",
    "midi.cc: {1: tap, # t,\n 20: mode # k\n }": "midi.cc: {74: play.density 0.2-2, 1: tap, # t,\n 20: null # k\n }",
    "midi.cc.74: mode # was\r\nplay.gate: 1\r\n": "midi.cc.74: play.density 0.2-2 # was\r\nplay.gate: 1\r\n",
    "\ufeffmidi.cc: {74: 'mode:trade'}": "\ufeffmidi.cc: {74: play.density 0.2-2}",
}


@pytest.mark.usefixtures("_either_parser")
@pytest.mark.parametrize("before", BINDINGS_WRITTEN)
def test_a_binding_is_written_into_any_layout(before: str) -> None:
    """Guards against: `ctl learn --write` that spoils a configuration, or binds one setting to two knobs."""
    removed = dict.fromkeys(["midi.cc.20"] if "20:" in before else [])
    after = edit_yaml(before.encode(), {**removed, "midi.cc.74": "play.density 0.2-2"}, "my.yaml")
    assert after.decode() == BINDINGS_WRITTEN[before]


@given(
    st.lists(
        st.sampled_from(["midi:", "  cc:", "    1: tap", "    20: play.gate # x", "  cc: {20: play.gate}", "midi.cc:",
                         "  20: play.gate", "midi: {cc: {", "}}", "# midi:", "", "play: {gate: 1}", "midi.cc.20: tap",
                         "  channel: 3", "...", "{"]),
        max_size=7,
    ),
    st.sampled_from(["play.gate 0.1-1 relative", "mode:trade", "preset:my 'own'", None]),
)  # fmt: skip
def test_any_file_gets_the_binding_or_is_left_alone(lines: list[str], target: str | None) -> None:
    """Guards against: a configuration file with an unusual layout that loses what it had."""
    before = "\n".join(lines).encode()
    try:
        after = parse_yaml(edit_yaml(before, {"midi.cc.20": target}, "my.yaml"), "my.yaml")
    except ConfigError:
        return
    then = parse_yaml(before, "my.yaml")
    assert not after.problems
    assert (after.values["midi.cc.20"].value if "midi.cc.20" in after.values else None) == target
    groups = ("midi.cc.20", "midi.cc", "midi", "play")
    assert {name: given.value for name, given in after.values.items() if name not in groups} == {
        name: given.value for name, given in then.values.items() if name not in groups
    }
