# SPDX-License-Identifier: Apache-2.0
"""Bindings of controllers, notes and programs: read as written, and every mistake is reported with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.config.yaml import parse_yaml
from sideman.core.actions import ACTIONS, action_list
from sideman.core.errors import ConfigError
from sideman.core.settings.bindings import CONTROLLER_TARGET, bindings_key_of, read_learn_target
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.resolve import resolve_settings
from sideman.core.settings.schema import KEYS, write_value
from sideman.core.settings.types import plain_text
from sideman.core.targets import ActionTarget, Bindings, SettingTarget
from sideman.core.turns import MODE_NAMES

WRITTEN = b"""\
midi:
  cc: {1: play.temperature, 020: play.density 0.2-2, 64: mode, 65: tap, 80: "mode:trade", 3: play.offset_ms -50--10,
    7: play.velocity 14-bit, 21: play.gate relative, 22: play.gate 0.2-0.8  relative   sign-magnitude}
  nrpn: {1034: play.density, 5: tap}
  notes: {24: start, D1: stop, C#1: again}
  programs: {1: ballad, 2: preset:bebop}
"""


def midi(*texts: bytes) -> MidiSettings:
    """Return the `midi` settings of some files; later files override earlier ones."""
    reads = [parse_yaml(text, "my.yaml") for text in texts]
    return resolve_settings([read.values for read in reads], [line for read in reads for line in read.problems]).midi


def problem(entry: str) -> str:
    """Return what is wrong with one line of a file, such as `midi.cc.1: tap`."""
    with pytest.raises(ConfigError) as caught:
        midi(f"# mine\n{entry}\n".encode())
    return str(caught.value)


def test_bindings_are_read_as_a_musician_writes_them() -> None:
    """Guards against: controllers, pads and programs that cannot be used."""
    read = midi(WRITTEN)
    assert dict(read.cc) == {
        1: SettingTarget("play.temperature"),
        3: SettingTarget("play.offset_ms", -50, -10),
        20: SettingTarget("play.density", 0.2, 2),
        64: ActionTarget("mode"),
        65: ActionTarget("tap"),
        80: ActionTarget("mode", "trade"),
        7: SettingTarget("play.velocity", form="14-bit"),
        21: SettingTarget("play.gate", form="relative"),
        22: SettingTarget("play.gate", 0.2, 0.8, "relative sign-magnitude"),
    }
    assert dict(read.nrpn) == {1034: SettingTarget("play.density"), 5: ActionTarget("tap")}
    assert dict(read.notes) == {24: ActionTarget("start"), 25: ActionTarget("again"), 26: ActionTarget("stop")}
    assert dict(read.programs) == {1: ActionTarget("preset", "ballad"), 2: ActionTarget("preset", "bebop")}


def test_one_binding_can_be_added_or_removed_alone() -> None:
    """Guards against: `--set midi.cc.20=…` that removes the bindings of the file, or cannot remove one of them."""
    assert dict(midi(b"midi: {cc: {1: tap, 2: mode}}", b"midi.cc.1: null\nmidi.cc.20: play.velocity").cc) == {
        2: ActionTarget("mode"),
        20: SettingTarget("play.velocity"),
    }


@pytest.mark.parametrize("empty", [b"midi: {cc: {}}", b"midi:\n  cc:\n  #  1: tap\n"])
def test_empty_bindings_remove_nothing(empty: bytes) -> None:
    """Guards against: a copy of the default file that removes the bindings of a preset."""
    assert midi(empty) == MidiSettings()
    assert dict(midi(b"midi.cc.1: tap", empty).cc) == {1: ActionTarget("tap")}


@pytest.mark.parametrize("key", ["cc", "nrpn", "notes", "programs"])
def test_written_bindings_are_read_as_the_same(key: str) -> None:
    """Guards against: bindings that change their meaning when they are copied into a file."""
    before = getattr(midi(WRITTEN), key)
    written = plain_text(write_value(f"midi.{key}", before))
    assert getattr(midi(f"midi: {{{key}: {written}}}".encode()), key) == before


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("midi: {cc: {128: tap}}", "midi.cc.128: 'tap': allowed below midi.cc is the number of a controller from 0"),
        ("midi: {cc: {-1: tap}}", "midi.cc.-1: "),
        ("midi: {cc: {1.5: tap}}", "1.5 as a key"),
        ("midi: {cc: {yes: tap}}", "midi.cc.yes: "),
        ("midi: {cc: {true: tap}}", "true as a key"),
        ("midi: {1: tap}", "1 as a key"),
        ("midi: {cc: {1: {2: tap}}}", "2 as a key"),
        ("midi: {cc: {1: {a: tap}}}", "midi.cc.1.a: "),
        ("midi: {cc: {1: [tap]}}", "midi.cc.1: ['tap']: allowed is a setting"),
        ("midi: {cc: 5}", "midi.cc: 5: allowed is controllers from 0 to 127"),
        ("midi: {cc: {1: play.temprature}}", "did you mean play.temperature?"),
        ("midi: {cc: {1: zzz.zzz}}", "no such key"),
        ("midi: {cc: {1: midi.channel}}", "midi.channel cannot be turned by a controller"),
        ("midi: {cc: {1: chart.changes}}", "chart.changes cannot be turned by a controller"),
        ("midi: {cc: {1: play.range}}", "play.range cannot be turned: it is two pitches"),
        ("midi: {cc: {1: play.density 0-9}}", "play.density goes from 0 to 4"),
        ("midi: {cc: {1: play.density 2-1}}", "the lower end"),
        ("midi: {cc: {1: play.density 1}}", "such as play.temperature or play.density 0.2-2"),
        ("midi: {cc: {1: play.rests 0.5-2}}", "in whole numbers"),
        ("midi: {cc: {1: play.rate 1-2}}", "not a number, so it has no range"),
        ("midi: {cc: {1: play.gate relatve}}", "may come 14-bit, relative, relative binary-offset, relative sign-mag"),
        ("midi: {cc: {1: play.gate relative 0-1}}", "after the setting and its range may come 14-bit"),
        ("midi: {cc: {1: tap relative}}", "or one of start"),
        ("midi: {cc: {40: play.gate 14-bit}}", "one from 0 to 31, and its second half is the one 32 higher"),
        ("midi: {cc: {7: play.gate 14-bit, 039: tap}}", "midi.cc.39: tap: it is the second half of midi.cc.7"),
        ("midi: {nrpn: {16383: tap}}", "the number of a parameter from 0 to 16382"),
        ("midi: {nrpn: {5: play.gate relative}}", "an NRPN always has 14 bits"),
        ("midi: {cc: {1: jump}}", f"or one of {action_list()}"),
        ("midi: {cc: {1: 'mode:fast'}}", f"the modes are {', '.join(MODE_NAMES)}"),
        ("midi: {cc: {1: 'tap:2'}}", "or one of start"),
        ("midi: {cc: {1: preset}}", "preset:NAME"),
        ("midi: {notes: {H1: tap}}", "a pitch from 0 to 127 or from C-1 to G9"),
        ("midi: {notes: {C1: play.density}}", "a note cannot turn a setting"),
        ("midi: {notes: {C1: tap, 24: mode}}", "midi.notes.24: the same as midi.notes.C1"),
        ("midi: {programs: {0: ballad}}", "from 1 to 128"),
        ("midi: {programs: {1: 5}}", "the name of a preset"),
    ],
)
def test_a_mistake_in_a_binding_is_reported_with_its_line_and_what_is_allowed(entry: str, words: str) -> None:
    """Guards against: a pedal on stage that does nothing."""
    message = problem(entry)
    assert message.startswith("my.yaml:2: ")
    assert "\n" not in message
    assert words in message


@given(
    st.text(max_size=70)
    | st.sampled_from(
        [
            *KEYS,
            *ACTIONS,
            "mode:solo",
            "preset:x",
            "play.gate 0.1-0.00001",
            "play.seed 7-4294967295",
            "play.gate 0.05001-1",
            "play.gate 0.1-0.2  relative  binary-offset",
            "play.rate 14-bit",
            "a.b 1-2",
        ]
    )
)
def test_any_text_is_a_target_or_refused(text: str) -> None:
    """Guards against: `ctl learn` with an odd word that stops the music, or binds something else."""
    try:
        target = CONTROLLER_TARGET.read(text)
    except ValueError:
        return
    assert CONTROLLER_TARGET.read(target.text) == target


@given(
    st.lists(st.tuples(st.integers(0, 127), st.sampled_from([*map(ActionTarget, ACTIONS), SettingTarget("play.gate")])))
)
def test_each_number_has_one_binding_in_order(entries: list[tuple[int, ActionTarget | SettingTarget]]) -> None:
    """Guards against: a controller that was learned twice and does two things."""
    bindings = Bindings()
    for number, target in entries:
        bindings = bindings.with_binding(number, target)
    assert list(bindings) == sorted(dict(entries).items())
    assert all(target != ActionTarget("tap") for _, target in bindings.without_target(ActionTarget("tap")))
    assert list(bindings.without_target(SettingTarget("play.gate", 0.1, 0.2))) == [
        each for each in bindings if isinstance(each[1], ActionTarget)
    ]


def test_a_target_that_cannot_be_learned_is_reported() -> None:
    """Guards against: `ctl learn` that waits for a controller which can do nothing."""
    assert read_learn_target("play.density 0.2-2") == SettingTarget("play.density", 0.2, 2)
    with pytest.raises(ValueError, match=r"play\.range cannot be turned.*; allowed is a setting that changes"):
        read_learn_target("play.range")
    with pytest.raises(ValueError, match=r"^allowed is a setting that changes"):
        read_learn_target(None)


def test_only_keys_below_bindings_are_bindings() -> None:
    """Guards against: a misspelt key that counts as a binding."""
    assert bindings_key_of("midi.cc.1") == "midi.cc"
    assert bindings_key_of("midi.cc") is bindings_key_of("midi.ccx.1") is bindings_key_of("play.cc.1") is None
