# SPDX-License-Identifier: Apache-2.0
"""Settings: layers override each other in order, and all mistakes are reported at once."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.chart.chart import Meter
from sideman.core.errors import ConfigError
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, resolve_settings
from sideman.core.settings.schema import GROUPS, KEYS, LIST_KEYS, SettingKey, Settings, closest_key, value_of
from sideman.core.settings.types import MAX_QUOTE_LENGTH, PitchRange
from sideman.core.settings.written import setting_from_json, setting_to_json
from support.strategies import written_values


def layer(values: Mapping[str, object], where: str = "my.yaml:7") -> SettingsLayer:
    """Return the layer of a file that has `values` on one line."""
    return {key: WrittenValue(value, where) for key, value in values.items()}


def problems(values: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a file that has `values`."""
    with pytest.raises(ConfigError) as caught:
        resolve_settings([layer(values)])
    return str(caught.value).splitlines()


def test_without_layers_all_settings_are_defaults() -> None:
    """Guards against: a user who cannot play without a configuration."""
    assert resolve_settings([]) == Settings()


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_key_is_documented_and_names_a_field(key: SettingKey) -> None:
    """Guards against: a key in the default file without a description."""
    assert key.doc.endswith(".")
    assert key.value_type.allowed
    group, _, name = key.name.partition(".")
    assert getattr(getattr(Settings(), group), name) == key.default


@pytest.mark.parametrize(
    ("key", "written", "read"),
    [
        ("midi.listen", "all", None),
        ("midi.listen", 16, 16),
        ("midi.wait", "yes", True),
        ("midi.wait", False, False),
        ("play.mode", "off", "off"),
        ("play.seed", None, None),
        ("play.seed", 0, 0),
        ("play.range", "C3-C6", PitchRange(48, 84)),
        ("play.range", " 48 .. 84 ", PitchRange(48, 84)),
        ("play.range", "C-1-G9", PitchRange(0, 127)),
        ("play.range", "Eb3–F#5", PitchRange(51, 78)),
        ("play.swing", "auto", None),
        ("play.swing", 0.5, 0.5),
        ("play.top_p", 1, 1.0),
        ("tempo.bpm", 20, 20.0),
        ("tempo.meter", "6/8", Meter(6, 8)),
        ("chart.choruses", 3, 3),
    ],
)
def test_a_value_means_what_a_musician_would_expect(key: str, written: object, read: object) -> None:
    """Guards against: a setting that silently means something else than the default file says."""
    group, _, name = key.partition(".")
    value = getattr(getattr(resolve_settings([layer({key: written})]), group), name)
    assert (value, type(value)) == (read, type(read))


@pytest.mark.parametrize(
    ("key", "written", "words"),
    [
        ("tempo.bpm", 0, "from 20 to 400"),
        ("tempo.bpm", float("nan"), "from 20 to 400"),
        ("tempo.bpm", float("inf"), "from 20 to 400"),
        ("tempo.bpm", True, "from 20 to 400"),
        ("tempo.bpm", "fast", "'fast'"),
        pytest.param("tempo.bpm", 10**5000, "very many digits", id="huge"),
        ("tempo.meter", "0/4", "such as 4/4"),
        ("tempo.meter", "4/5", "such as 4/4"),
        ("tempo.meter", 0.75, "such as 4/4"),
        ("play.range", "C6-C3", "lowest pitch is above its highest"),
        ("play.range", "C3-C12", "C-1 (0) to G9 (127)"),
        ("play.range", "0-128", "C-1 (0) to G9 (127)"),
        ("play.range", "low", "such as C3-C6"),
        ("play.range", [48, 84], "such as C3-C6"),
        ("play.top_p", 0, "above 0"),
        ("play.top_k", 2.0, "a whole number"),
        ("play.seed", -1, "a whole number"),
        ("play.rate", "quarter", "beat, eighth, triplet, sixteenth or phrase"),
        ("play.swing", 0.9, "auto or a number from 0.5 to 0.75"),
        ("midi.channel", 0, "from 1 to 16"),
        ("midi.listen", 17, "all or a whole number from 1 to 16"),
        ("midi.wait", "maybe", "true or false"),
        ("midi.output", 128, "put quotes around it"),
        ("midi.output", [], "a list of up to 16 such names"),
        ("midi.output", ["Keys", ["Pads"]], "a list of up to 16 such names"),
        ("midi.output", [f"Synth {number}" for number in range(17)], "a list of up to 16 such names"),
        ("midi.input", ["Keys", " Keys"], "'Keys' is there twice"),
        ("midi.input", ["Keys", "none"], "none cannot be together with others"),
        ("midi.comp_output", [None], "null (midi.output) or auto, none"),
        ("tempo.port", ["Box"], "null (midi.input) or auto, none"),
        ("midi.client", "a:b", "without colons"),
        ("midi.client", "", "without colons"),
        ("midi.client", "two\nlines", "without colons"),
        ("model.engine", "torch", "numpy or tensorflow"),
        ("chart.changes", "| C7 | Hm |", "bar 2"),
        ("chart.changes", "", "between bar lines"),
    ],
)
def test_an_invalid_value_is_reported_with_place_key_and_what_is_allowed(key: str, written: object, words: str) -> None:
    """Guards against: a user who does not know which line is wrong, or what to write instead."""
    (problem,) = problems({key: written})
    assert problem.startswith(f"my.yaml:7: {key}")
    assert words in problem


_printable = st.characters(codec="ascii", categories=("L", "N", "P"))
_names = st.text(_printable, min_size=1).filter(lambda name: name != "none")


@given(st.lists(_names, min_size=1, max_size=16, unique=True), st.sampled_from(sorted(LIST_KEYS - {"play.comp"})))
def test_ports_are_one_name_or_a_list(names: list[str], key: str) -> None:
    """Guards against: a file with one port that is not read any more; a take or a state that loses the ports."""
    value = value_of(resolve_settings([layer({key: names})]), key)
    assert value == tuple(names)
    written = setting_to_json(key, value)
    assert written == (names[0] if len(names) == 1 else names)
    assert setting_from_json(key, written) == (key, value)
    assert value_of(resolve_settings([layer({key: names[0]})]), key) == (names[0],)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"midi.drums_output": "Drums", "midi.drums": 1}, "midi.drums is the channel of the solo, too"),
        ({"midi.drums_output": "Drums", "midi.comp": 10}, "midi.drums is the channel of the accompaniment, too"),
        ({"tempo.source": "midi-clock", "tempo.port": "none"}, "tempo.port: none: the clock of tempo.source"),
    ],
)
def test_ports_that_do_not_fit_the_other_settings_are_reported(chosen: dict[str, object], words: str) -> None:
    """Guards against: clicks that are not heard at their own port; silence, waiting for a clock that cannot come."""
    (problem,) = problems(chosen)
    assert words in problem


def test_a_clock_with_a_port_of_its_own_needs_no_input() -> None:
    """Guards against: a box without a keyboard that cannot follow a clock."""
    chosen = layer({"tempo.source": "midi-clock", "tempo.port": "Box", "midi.input": "none"})
    assert resolve_settings([chosen]).tempo.port == "Box"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("play.temprature", "play.temperature"),
        ("temperature", "play.temperature"),
        ("tempo", None),
        ("midi.chanel", "midi.channel"),
        ("bpm", "tempo.bpm"),
        ("Tempo.BPM", "tempo.bpm"),
        ("play.range.low", "play.range"),
        ("zzz", None),
    ],
)
def test_a_misspelt_key_is_recognised(written: str, meant: str | None) -> None:
    """Guards against: a search through the documentation because of a typing mistake."""
    if written not in GROUPS:
        assert closest_key(written) == meant
    (problem,) = problems({written: 1})
    assert f"did you mean {meant} (" in problem if meant else "did you mean" not in problem


def test_all_problems_of_all_layers_are_reported_at_once_in_order() -> None:
    """Guards against: three attempts for a file with three mistakes."""
    preset, file = layer({"play.rate": "x"}, "preset:1"), layer({"tempo.bpm": 1, "nope": 2}, "file:2")
    with pytest.raises(ConfigError) as caught:
        resolve_settings([preset, file, layer({"log.level": 0}, "--set")], ["file:1: a tab"])
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [
        "file:1", "preset:1", "file:2", "file:2", "--set",
    ]  # fmt: skip


def test_a_wrong_value_is_reported_although_a_later_layer_overrides_it() -> None:
    """Guards against: a mistake in a file that appears only when `--set` is left out."""
    with pytest.raises(ConfigError, match=r"file:1: tempo\.bpm: 1: allowed"):
        resolve_settings([layer({"tempo.bpm": 1}, "file:1"), layer({"tempo.bpm": 100}, "--set")])


def test_a_midi_clock_without_a_midi_input_is_reported() -> None:
    """Guards against: sideman waiting in silence for ever."""
    layer = {"tempo.source": WrittenValue("midi-clock", "file:1"), "midi.input": WrittenValue("none", "file:2")}
    with pytest.raises(ConfigError, match=r"file:2: midi\.input: none: the clock of tempo\.source"):
        resolve_settings([layer])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"midi.comp": 1, "play.comp": "shells"}, r"midi\.comp: 1: the channel of midi\.channel"),
        ({"midi.channel": 2, "play.comp": "bass"}, r"midi\.channel: 2: the channel of midi\.comp"),
        ({"midi.channel": 3, "play.comp": ["bass", "shells"]}, r"midi\.channel: 3: the channel of midi\.bass"),
        ({"midi.drums": 2, "play.comp": ["shells", "drums"]}, r"midi\.drums: 2: the channel of midi\.comp"),
        ({"midi.chords": 10}, r"midi\.chords: 10: the channel of midi\.drums"),
        ({"midi.chords": 4, "midi.drums": 4}, r"midi\.drums: 4: the channel of midi\.chords"),
        ({"midi.chords": 3, "midi.listen": 3}, r"midi\.listen: 3: the channel of midi\.chords"),
    ],
)
def test_two_parts_on_one_channel_are_reported(values: dict[str, object], message: str) -> None:
    """Guards against: notes that are cut off, or a player who is not heard, without any message."""
    (problem,) = problems(values)
    assert re.fullmatch(rf"my\.yaml:7: {message}, too: .*; choose another", problem)


@pytest.mark.parametrize(
    "values", [{"midi.comp": 1}, {"midi.channel": 2}, {"midi.chords": 1}, {"midi.chords": 3}, {"midi.listen": 10}]
)
def test_parts_that_do_not_disturb_each_other_may_share_a_channel(values: dict[str, object]) -> None:
    """Guards against: an error for settings that work."""
    resolve_settings([layer(values)])


def test_a_flood_of_problems_is_cut_short() -> None:
    """Guards against: a terminal full of problems when the wrong file is given."""
    found = problems({f"key{number}": 0 for number in range(1000)})
    assert len(found) == 51
    assert found[-1] == "… and more problems"


@given(st.lists(st.dictionaries(st.sampled_from(["tempo.bpm", "play.velocity"]), st.integers(20, 120)), max_size=4))
def test_the_last_layer_that_names_a_key_wins(layers: list[dict[str, int]]) -> None:
    """Guards against: a setting on the command line that does not override the file."""
    settings = resolve_settings([layer(each) for each in layers])
    merged = {key: value for each in layers for key, value in each.items()}
    assert settings.tempo.bpm == merged.get("tempo.bpm", 120)
    assert settings.play.velocity == merged.get("play.velocity", 84)


def test_later_chords_override_an_earlier_chart_file() -> None:
    """Guards against: `--set chart.changes=…` that silently plays the chart file of the configuration."""
    file = layer({"chart.file": "blues"}, "file:1")
    changed = resolve_settings([file, layer({"chart.changes": "| C7 |"}, "--set")])
    assert (changed.chart.file, changed.chart.changes) == (None, "| C7 |")
    assert resolve_settings([layer({"chart.changes": "| C7 |"}), file]).chart.file == "blues"


def test_an_empty_group_changes_nothing() -> None:
    """Guards against: an error when the last key of a group is commented out."""
    assert resolve_settings([layer(dict.fromkeys(GROUPS))]) == Settings()


@given(st.dictionaries(st.sampled_from([*KEYS, *GROUPS]) | st.text(max_size=120), written_values(), max_size=6))
def test_any_values_give_settings_or_one_line_per_problem(values: dict[str, object]) -> None:
    """Guards against: a traceback for nonsense in a file."""
    try:
        settings = resolve_settings([layer(values)])
    except ConfigError as error:
        lines = str(error).split("\n")
        assert all(line.startswith("my.yaml:7") for line in lines)
        assert max(map(len, lines)) < 10 * MAX_QUOTE_LENGTH
        assert all(line.isprintable() for line in lines)
    else:
        assert {key for key, value in values.items() if value not in (None, {})} <= KEYS.keys()
        assert 20 <= settings.tempo.bpm <= 400
        assert 0 <= settings.play.range.low <= settings.play.range.high <= 127


@pytest.mark.parametrize(("voice", "other"), [("", "comp_"), ("comp_", "")])
def test_a_bank_without_a_program_is_reported(voice: str, other: str) -> None:
    """Guards against: a bank that is never selected, and nothing says why."""
    (problem,) = problems({f"midi.{voice}bank": 5, f"midi.{other}program": 1})
    reason = f"a bank takes effect with a program; set midi.{voice}program, too"
    assert problem == f"my.yaml:7: midi.{voice}bank: 5: {reason}"
