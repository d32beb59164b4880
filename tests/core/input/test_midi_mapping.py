# SPDX-License-Identifier: Apache-2.0
"""Controllers, pedals, pads and program changes do what they are bound to; no value jumps, and no note is delayed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sideman.core.actions import Panic, PlayVariation, Start, Stop, TapTempo
from sideman.core.events import (
    ActionRequested,
    ChangeSettings,
    Command,
    ControlChange,
    LearnBinding,
    MidiEvent,
    ModeChanged,
    NoteOff,
    NoteOn,
    ProgramChange,
    SetMode,
    SettingsChanged,
)
from sideman.core.input.midi_mapping import (
    MIN_TURN_INTERVAL_S,
    MappedCommand,
    MidiMapping,
    position_of_value,
    value_at_position,
)
from sideman.core.settings.bindings import controller_range_of
from sideman.core.settings.groups.midi import NO_BINDINGS
from sideman.core.settings.schema import KEYS, Settings, value_of, with_values
from sideman.core.settings.types import NumberRange
from sideman.core.targets import ActionTarget, SettingTarget, Target
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from support.fakes import hanging_notes, note_ons, performance, play_on_fake_clock
from support.fakes import settings as make_settings

CONTROLLABLE = [key for key in KEYS if key.startswith("play.") and KEYS[key].value_type.controller_range is not None]
positions = st.integers(0, 127)


class MappingScene:
    """A MidiMapping, and settings that follow its commands as in the engine. Events come one second apart."""

    def __init__(self, **keys: Any) -> None:
        self.settings = make_settings(**{name.replace("_", "__", 1): value for name, value in keys.items()})
        self.mapping = MidiMapping()
        self.second = 0.0

    def __call__(self, item: MidiEvent | Command, after: float = 1.0) -> tuple[MappedCommand, ...] | None:
        """Handle `item` and return its commands."""
        self.second += after
        return self.apply(self.mapping.handle(item, self.second, self.settings))

    def apply(self, commands: tuple[MappedCommand, ...] | None) -> tuple[MappedCommand, ...] | None:
        """Apply the changed settings among `commands`."""
        for command in commands or ():
            if isinstance(command, ChangeSettings):
                self.change(command)
        return commands

    def change(self, change: ChangeSettings) -> None:
        """Change settings from another source."""
        self.mapping.handle(change, self.second, self.settings)
        self.settings = with_values(self.settings, change.values)


def bound(key: str, entries: dict[int | str, str], **keys: Any) -> MappingScene:
    """Return a scene with `entries` in `midi.cc`, `midi.notes` or `midi.programs`."""
    return MappingScene(**{f"midi_{key}.{number}": target for number, target in entries.items()}, **keys)


def turn(scene: MappingScene, number: int, *values: int) -> list[object]:
    """Move a controller to each of `values` and return the values that it sets."""
    commands = [command for value in values for command in scene(ControlChange(number, value, 3)) or ()]
    return [value for command in commands if isinstance(command, ChangeSettings) for _, value in command.values]


# -- the values of a controller


@pytest.mark.parametrize("key", CONTROLLABLE)
@given(positions, positions)
def test_a_controller_sets_only_values_that_its_setting_allows(key: str, one: int, other: int) -> None:
    """Guards against: a controller at its end whose value stops the music."""
    controller_range, value_type = controller_range_of(SettingTarget(key)), KEYS[key].value_type
    values: list[Any] = [value_at_position(controller_range, position) for position in sorted((one, other))]
    for value in values:
        assert value_type.read(value) == value
    if isinstance(controller_range, NumberRange):
        assert values[0] <= values[1]
        assert (value_at_position(controller_range, 0) == controller_range.low) != controller_range.excludes_low
        assert value_at_position(controller_range, 127) == controller_range.high


@given(st.floats(0, 4), st.floats(0, 4), positions)
def test_a_range_narrows_the_values_of_a_controller(one: float, other: float, position: int) -> None:
    """Guards against: a fader that cannot be limited to the values that make musical sense."""
    low, high = sorted((one, other))
    if high - low < 1e-6:
        return
    controller_range = controller_range_of(SettingTarget("play.density", low, high))
    value: Any = value_at_position(controller_range, position)
    assert low <= value <= high
    assert position_of_value(controller_range, value) == pytest.approx(position, abs=0.6)


def test_choices_divide_the_way_of_a_controller_equally() -> None:
    """Guards against: one of the five rates that cannot be reached with a fader."""
    rates = [value_at_position(controller_range_of(SettingTarget("play.rate")), position) for position in range(128)]
    counts = [rates.count(rate) for rate in ("beat", "eighth", "triplet", "sixteenth", "phrase")]
    assert sorted(rates, key=rates.index) == rates
    assert max(counts) - min(counts) <= 1
    assert [
        value_at_position(controller_range_of(SettingTarget("play.resume")), position) for position in (0, 63, 64, 127)
    ] == [False, False, True, True]


# -- soft take-over


@given(st.lists(positions, min_size=1, max_size=30), st.floats(0, 4))
@example([0, 127, 3], 1.0)
def test_nothing_changes_until_the_controller_reaches_the_value(way: list[int], density: float) -> None:
    """Guards against: a value that jumps at the first touch of a controller."""
    scene = bound("cc", {20: "play.density"}, play_density=density)
    goal = density / 4 * 127
    met = [min(way[:n]) - 1 <= goal <= max(way[:n]) + 1 for n in range(1, len(way) + 1)]
    for position, holds in zip(way, met, strict=True):
        before = scene.settings.play.density
        scene(ControlChange(20, position, 1))
        after = scene.settings.play.density
        assert after == before if not holds else after == pytest.approx(position / 127 * 4, abs=1e-3)


def test_a_value_changed_elsewhere_has_to_be_reached_again() -> None:
    """Guards against: a value that jumps at the first touch of a controller after a preset."""
    scene = bound("cc", {20: "play.velocity", 21: "play.velocity"}, play_velocity=64)
    assert turn(scene, 20, 63, 71, 81) == [71, 81]
    scene.change(ChangeSettings((("play.velocity", 30), ("play.gate", 0.5))))
    assert turn(scene, 20, 90, 100, 40) == []
    assert turn(scene, 20, 20) == [21]
    assert turn(scene, 21, 100, 20, 29) == [30]
    assert turn(scene, 20, 25) == []
    assert turn(scene, 20, 40) == [41]


def test_the_later_of_a_controller_and_another_source_wins() -> None:
    """Guards against: a preset that loses a value to a controller which moved just before it."""
    scene = bound("cc", {20: "play.velocity"}, play_velocity=1)
    scene(ControlChange(20, 0, 1))
    assert scene(ControlChange(20, 50, 1))
    assert scene(ControlChange(20, 60, 1), after=0.001) == ()
    scene.change(ChangeSettings((("play.velocity", 30),)))
    assert scene.mapping.next_due == math.inf
    assert scene.mapping.flush(scene.second + MIN_TURN_INTERVAL_S, scene.settings) == ()


def test_the_same_value_from_elsewhere_releases_no_controller() -> None:
    """Guards against: a DAW that repeats a value and so makes the controller useless."""
    scene = bound("cc", {20: "play.velocity"}, play_velocity=1)
    assert turn(scene, 20, 0, 50) == [51]
    scene.change(ChangeSettings((("play.velocity", 51),)))
    assert turn(scene, 20, 127) == [127]


def test_no_controller_changes_the_tempo_of_a_midi_clock() -> None:
    """Guards against: a displayed tempo that is not the tempo of the music."""
    assert turn(bound("cc", {20: "tempo.bpm"}, tempo_source="midi-clock"), 20, 0, 127) == []
    assert len(turn(bound("cc", {20: "tempo.bpm"}), 20, 0, 127)) == 1


def test_values_that_no_position_gives_are_taken_over_at_once() -> None:
    """Guards against: a controller for play.swing without effect as long as that is auto."""
    assert turn(bound("cc", {20: "play.swing 0.5-0.75"}), 20, 127) == [0.75]
    assert turn(bound("cc", {20: "play.settle"}), 20, 127, 0) == [True, False]
    assert turn(bound("cc", {20: "play.resume"}), 20, 127, 127, 0) == [True, False]


# -- actions


@given(st.lists(st.tuples(positions, st.floats(0.001, 0.2)), max_size=40))
@example([(127, 1.0), (30, 0.004), (127, 0.004), (0, 0.2), (127, 0.019)])
def test_a_pedal_acts_once_a_press(way: list[tuple[int, float]]) -> None:
    """Guards against: a half-pressed pedal that goes through all the modes, or a bouncing one that taps 400 bpm."""
    scene = bound("cc", {66: "tap"})
    now, down, pressed_at, changed_at, expected, presses = 0.0, False, -1.0, -1.0, list[float](), list[float]()
    for position, after in way:
        now += after
        if down != (position >= 64 if not down else position > 40):
            down = not down
            if down and now - max(pressed_at, changed_at) >= 0.02:
                pressed_at = now
                expected.append(now)
            changed_at = now
        if scene(ControlChange(66, position, 16), after):
            presses.append(now)
    assert presses == expected
    assert all(later - earlier >= 0.02 for earlier, later in pairwise(presses))


def test_a_bouncing_contact_is_one_press_and_a_half_damper_none() -> None:
    """Guards against: a mode that is skipped because a pedal trembles, or a pad that triggers twice."""
    scene = bound("cc", {66: "tap"})
    bounces = [scene(ControlChange(66, value, 1), 0.003) for value in (127, 0, 127, 0, 127)]
    assert bounces == [(TapTempo(),), (), (), (), ()]
    assert [scene(ControlChange(66, value, 1)) for value in (63, 64, 41, 90, 41)] == [()] * 5
    assert [scene(ControlChange(66, value, 1)) for value in (40, 63, 64)] == [(), (), (TapTempo(),)]
    pads = bound("notes", {36: "tap"})
    assert [pads(NoteOn(36, 99, 10), after) for after in (1.0, 0.005, 0.1)] == [(TapTempo(),), (), (TapTempo(),)]


def test_a_button_that_is_released_at_once_can_be_pressed_again() -> None:
    """Guards against: a button that sends press and release together, and works once."""
    scene = bound("cc", {66: "tap"})
    for _ in range(3):
        assert scene(ControlChange(66, 127, 1), 0.15) == (TapTempo(),)
        assert scene(ControlChange(66, 0, 1), 0.001) == ()


@pytest.mark.parametrize(
    ("action", "command"),
    [
        ("start", Start()),
        ("stop", Stop()),
        ("mode", SetMode("trade")),
        ("mode:off", SetMode("off")),
        ("again", PlayVariation()),
        ("panic", Panic()),
        ("tap", TapTempo()),
        ("keep", ActionRequested("keep")),
        ("preset:ballad", ActionRequested("preset", "ballad")),
    ],
)
def test_each_action_gives_its_command(action: str, command: MappedCommand) -> None:
    """Guards against: a pedal that does something else than it is bound to."""
    assert bound("cc", {67: action})(ControlChange(67, 127, 1)) == (command,)
    assert bound("notes", {"C1": action})(NoteOn(24, 1, 10)) == (command,)


def test_mode_goes_on_from_the_requested_mode() -> None:
    """Guards against: two presses within a bar that count as one, since a mode waits for the bar line."""
    scene = bound("cc", {64: "mode", 65: "mode:duet"})
    results = [scene(ControlChange(64, position, 1)) for position in (127, 0, 127, 0)]
    assert results == [(SetMode("trade"),), (), (SetMode("trade"),), ()]
    scene = bound("cc", {64: "mode", 65: "mode:duet"})
    for position, mode in ((127, "trade"), (0, ""), (127, "answer"), (0, ""), (127, "duet"), (0, ""), (127, "off")):
        commands = scene(ControlChange(64, position, 1))
        assert commands == ((SetMode(mode),) if mode else ())  # type: ignore[arg-type]
        for command in commands or ():
            assert isinstance(command, SetMode)
            assert scene(command) is None


def test_a_controller_goes_on_from_the_requested_mode() -> None:
    """Guards against: a controller that is turned back before the bar line and leaves the wrong mode."""
    waiting, mapping = make_settings(**{"midi__cc.20": "play.mode"}), MidiMapping()
    commands: list[MappedCommand] = []
    for second, position in enumerate((0, 30, 0, 30)):
        commands += mapping.handle(ControlChange(20, position, 1), second, waiting) or ()
        for change in commands[-1:]:
            assert isinstance(change, ChangeSettings)
            mapping.handle(change, second, waiting)
    assert commands == [ChangeSettings((("play.mode", mode),)) for mode in ("trade", "solo", "trade")]


def test_a_bound_note_is_not_music_and_neither_is_its_release() -> None:
    """Guards against: an answer to a key that is bound to an action, or a lost release of another note."""
    scene = bound("notes", {24: "tap"})
    assert scene(NoteOn(24, 80, 1)) == (TapTempo(),)
    assert scene(NoteOff(24, 2)) is None
    assert scene(NoteOff(24, 1)) == ()
    assert scene(NoteOff(24, 1)) is None
    assert scene(NoteOn(25, 80, 1)) is None
    scene(NoteOn(24, 80, 1))
    scene.change(ChangeSettings((("midi.notes", scene.settings.midi.notes.with_binding(24, None)),)))
    assert scene(NoteOff(24, 1)) == ()


def test_program_changes_are_counted_from_one() -> None:
    """Guards against: program 1 of the keyboard that selects the preset of program 2."""
    scene = bound("programs", {1: "ballad", 128: "bebop"})
    assert scene(ProgramChange(0, 5)) == (ActionRequested("preset", "ballad"),)
    assert scene(ProgramChange(127, 5)) == (ActionRequested("preset", "bebop"),)
    assert scene(ProgramChange(1, 5)) is None


def test_what_is_not_bound_passes() -> None:
    """Guards against: a sustain pedal without a binding that no longer sustains."""
    scene = bound("cc", {1: "play.gate"})
    assert scene(ControlChange(64, 127, 1)) is None
    assert scene(ControlChange(1, 127, 1)) == ()


# -- learning


def test_the_next_controller_is_learned_and_replaces_earlier_bindings() -> None:
    """Guards against: `ctl learn` that binds the wrong controller, or leaves the old one bound."""
    scene = bound("cc", {20: "play.gate", 21: "play.temperature 0-2", 22: "tap"}, midi_notes__c1="keep")
    scene(LearnBinding(SettingTarget("play.temperature", 0.2, 2.0)))
    assert scene(ControlChange(0, 5, 1)) is None
    assert scene(ControlChange(123, 0, 1)) is None
    assert scene(NoteOn(24, 80, 1)) == (ActionRequested("keep"),)
    assert scene(ControlChange(20, 45, 1)) == ()
    commands = scene(ControlChange(20, 50, 1))
    assert commands is not None
    assert commands[1:] == (ActionRequested("learned", "midi.cc.20=play.temperature 0.2-2"),)
    assert dict(scene.settings.midi.cc) == {20: SettingTarget("play.temperature", 0.2, 2.0), 22: ActionTarget("tap")}
    assert turn(scene, 20, 51) == []
    assert turn(scene, 20, 57, 127) == [
        value_at_position(controller_range_of(SettingTarget("play.temperature", 0.2, 2.0)), 57),
        2.0,
    ]


def test_what_is_learned_leaves_no_second_half_bound() -> None:
    """Guards against: a fader that is bound and dead, in a configuration that the next start refuses."""
    scene = bound("cc", {1: "play.gate 14-bit", 34: "tap"})
    scene(LearnBinding(ActionTarget("mode")))
    assert scene(ControlChange(33, 127, 1)) is not None
    assert dict(scene.settings.midi.cc) == {33: ActionTarget("mode"), 34: ActionTarget("tap")}
    scene(LearnBinding(SettingTarget("play.temperature", form="14-bit")))
    for position in (20, 40, 60):
        scene(ControlChange(2, position, 1))
    assert dict(scene.settings.midi.cc) == {
        2: SettingTarget("play.temperature", form="14-bit"),
        33: ActionTarget("mode"),
    }


@pytest.mark.parametrize("item", [ControlChange(70, 127, 2), NoteOn(30, 80, 2)])
def test_an_action_is_learned_from_a_pedal_or_a_note_and_performed_at_the_next_press(item: MidiEvent) -> None:
    """Guards against: music that stops because `stop` is being learned."""
    scene = bound("cc", {22: "stop"})
    scene(LearnBinding(ActionTarget("stop")))
    commands = scene(item)
    name = "midi.cc.70" if isinstance(item, ControlChange) else "midi.notes.30"
    assert commands is not None
    assert commands[1:] == (ActionRequested("learned", f"{name}=stop"),)
    assert scene(ControlChange(70, 0, 2) if isinstance(item, ControlChange) else NoteOff(30, 2)) == ()
    assert scene(item) == (Stop(),)
    assert scene(ControlChange(22, 127, 1)) is None


targets = st.sampled_from(
    [SettingTarget("play.gate"), SettingTarget("play.rate"), ActionTarget("tap"), ActionTarget("mode")]
)
moves = st.one_of(
    st.builds(ControlChange, st.integers(0, 127), positions, st.just(1)),
    st.builds(NoteOn, st.integers(20, 30), st.just(80), st.just(1)),
    st.builds(NoteOff, st.integers(20, 30), st.just(1)),
    st.builds(LearnBinding, targets),
)


@given(st.lists(moves, max_size=40))
def test_after_any_events_each_target_is_bound_once(items: list[MidiEvent | Command]) -> None:
    """Guards against: two pedals with one action, or a binding to a controller that is not moved by hand."""
    scene = MappingScene()
    for item in items:
        scene(item)
    learned: list[Target] = [target for _, target in (*scene.settings.midi.cc, *scene.settings.midi.notes)]
    assert len(learned) == len(set(learned))
    assert not {number for number, _ in scene.settings.midi.cc} & {0, 32, *range(120, 128)}
    assert not any(isinstance(target, SettingTarget) for _, target in scene.settings.midi.notes)


# -- endless knobs, 14 bits, NRPN


@given(
    st.sampled_from(CONTROLLABLE),
    st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    st.sampled_from([0, 64]),
)
def test_an_endless_knob_never_jumps_and_stays_in_its_range(key: str, turns: list[int], code: int) -> None:
    """Guards against: an endless knob that sets a value which stops the music, or leaps to another one."""
    encoding = "relative" if code == 0 else "relative binary-offset"
    scene, controller_range = bound("cc", {20: f"{key} {encoding}"}), controller_range_of(SettingTarget(key))
    before = value_of(scene.settings, key)
    for steps in turns:
        values = turn(scene, 20, (code + steps) % 128)
        for value in values:
            assert KEYS[key].value_type.read(value) == value
        after = values[-1] if values else before
        if isinstance(controller_range, NumberRange) and isinstance(before, int | float):
            step = max((controller_range.high - controller_range.low) / 127, float(controller_range.integers_only))
            assert isinstance(after, int | float)
            assert abs(after - before) <= abs(steps) * step + 0.51 * controller_range.integers_only + 0.1 * step
            assert (after - before) * steps >= 0
        before = after


def test_the_steps_of_an_endless_knob_fit_its_setting() -> None:
    """Guards against: a rate that takes twenty clicks to change, or a density that one click turns from end to end."""
    assert turn(bound("cc", {20: "play.rate relative"}), 20, 1, 1, 127) == ["eighth", "triplet", "eighth"]
    assert turn(bound("cc", {20: "play.repetition relative"}), 20, 1, 1, 127) == [3, 4, 3]
    assert turn(bound("cc", {20: "play.resume relative sign-magnitude"}), 20, 1, 1, 65) == [True, False]
    assert turn(bound("cc", {20: "play.density 0.5-1.5 relative"}), 20, *[1] * 130)[-1] == 1.5
    assert turn(bound("cc", {20: "play.swing relative"}), 20, 127)[0] == pytest.approx(0.623, abs=1e-3)
    scene = bound("cc", {20: "play.density 0.5-1.5 relative"}, play_density=3)
    assert turn(scene, 20, 1) == []  # beyond its range: no further away
    assert turn(scene, 20, 127)[0] == pytest.approx(3 - 1 / 127, abs=1e-3)


def test_an_endless_knob_needs_no_pick_up_and_goes_on_from_any_change() -> None:
    """Guards against: an endless knob that goes back to its own value after a preset."""
    scene = bound("cc", {20: "play.velocity relative"}, play_velocity=100)
    assert turn(scene, 20, 1) == [101]
    scene.change(ChangeSettings((("play.velocity", 30),)))
    assert turn(scene, 20, 126) == [28]


@given(st.lists(st.integers(0, 16383), min_size=1, max_size=20), st.booleans())
def test_a_fader_with_14_bits_sets_the_exact_value(positions: list[int], nrpn: bool) -> None:
    """Guards against: 14 bits that are cut to 7, or a value made of the halves of two positions."""
    if nrpn:
        scene, numbers = bound("nrpn", {1034: "play.temperature"}, play_temperature=0), (6, 38)
        scene(ControlChange(99, 1034 >> 7, 1))
        scene(ControlChange(98, 1034 & 127, 1))
    else:
        scene, numbers = bound("cc", {7: "play.temperature 14-bit"}, play_temperature=0), (7, 39)
    controller_range = controller_range_of(SettingTarget("play.temperature"))
    for position in (0, *positions):
        scene(ControlChange(numbers[0], position >> 7, 1))
        scene(ControlChange(numbers[1], position & 127, 1), after=0.001)
        scene.apply(scene.mapping.flush(scene.second + 0.02, scene.settings))
        scene.second += 0.02
    assert scene.settings.play.temperature == value_at_position(controller_range, positions[-1], 16383)
    assert scene.settings.play.temperature == pytest.approx(positions[-1] / 16383 * 5, abs=2e-4)


def test_data_entry_for_the_pitch_wheel_is_no_knob() -> None:
    """Guards against: a keyboard that sends the range of its pitch wheel and so turns the density."""
    scene = bound("cc", {6: "play.density"}, midi_nrpn__5="play.gate")
    for number, value in ((101, 0), (100, 0), (6, 32), (38, 0)):
        assert scene(ControlChange(number, value, 1)) is None
    for number in (101, 100):
        scene(ControlChange(number, 127, 1))
    assert turn(scene, 6, 32) != []


# -- feedback


def feedback(scene: MappingScene, after: float = 1.0) -> dict[int, int]:
    """Return what is sent to the controllers, by number."""
    scene.second += after
    events = scene.mapping.feedback(scene.second, scene.settings)
    assert all(isinstance(event, ControlChange) and event.channel == 1 for event in events)
    return {event.number: event.value for event in events if isinstance(event, ControlChange)}


def test_controllers_are_sent_what_changes_elsewhere_and_nothing_twice() -> None:
    """Guards against: LED rings that show the preset before, or a loop of a motor fader with itself."""
    scene = bound("cc", {20: "play.velocity", 21: "play.gate 14-bit", 66: "tap"}, midi_feedback=True, play_velocity=64)
    assert feedback(scene).keys() == {20, 21, 53}
    assert feedback(scene) == {}
    scene.change(ChangeSettings((("play.velocity", 127),)))
    assert feedback(scene) == {20: 127}
    assert turn(scene, 20, 120) == [120]  # it has followed: no pick-up
    assert feedback(scene) == {}
    assert feedback(bound("cc", {20: "play.velocity"})) == {}


def test_no_motor_works_against_the_hand() -> None:
    """Guards against: a fader that is pulled out of the hand by a preset, or that stays at a wrong value."""
    scene = bound("cc", {20: "play.velocity"}, midi_feedback=True, play_velocity=64)
    feedback(scene)
    assert turn(scene, 20, 70) == [70]
    scene.change(ChangeSettings((("play.velocity", 1),)))
    assert feedback(scene, 0.1) == {}
    assert scene.mapping.next_due == pytest.approx(scene.second + 0.4)
    assert feedback(scene, 0.4) == {20: 0}
    assert scene.mapping.next_due == math.inf


def test_a_knob_that_sends_nrpn_is_sent_nrpn() -> None:
    """Guards against: feedback that changes another parameter of the controller."""
    scene = bound("nrpn", {1034: "play.velocity"}, midi_feedback=True, play_velocity=127)
    sent = scene.mapping.feedback(0.0, scene.settings)
    assert sent == [ControlChange(*each, 1) for each in ((99, 8), (98, 10), (6, 127), (38, 127))]


def test_feedback_is_sent_at_the_start_by_the_engine_and_its_echo_is_dropped() -> None:
    """Guards against: a loop between the output and the input that learns or turns what was just sent."""
    engine = performance(play__mode="off", midi__feedback=True, **bind("cc.20", "play.velocity")).make_engine(0.0)
    recorder, _ = play_on_fake_clock(
        engine,
        2.0,
        [
            (0.5, LearnBinding(SettingTarget("play.gate"))),
            (1.0, ChangeSettings((("play.velocity", 10),))),
            (1.01, ControlChange(20, 9, 1)),
            (1.1, ChangeSettings((("play.velocity", 20),))),
            (1.11, ControlChange(20, 19, 1)),
        ],
    )
    sent = [(second, message[2]) for second, message in recorder.sent if message[:2] == (0xB0, 20)]
    assert sent == [(0.0, 84), (1.0, 9), (1.1, 19)]
    assert dict(engine.settings.midi.cc) == {20: SettingTarget("play.velocity")}


# -- in the engine


def bind(name: str, target: str) -> dict[str, Any]:
    """Return a binding as `performance` takes it."""
    return {f"midi__{name}": target}


def storm(number: int, second: float, until: float, last: int) -> Iterable[tuple[float, ControlChange]]:
    """Yield a thousand movements of a controller per second; `last` is its last position."""
    count = round((until - second) * 1000)
    for step in range(count):
        yield second + step / 1000, ControlChange(number, (step * 37) % 128 if step < count - 1 else last, 1)


@settings(max_examples=4)
@given(st.sampled_from(["beat", "sixteenth", "phrase"]), positions)
def test_a_thousand_movements_per_second_move_no_note_and_the_last_one_wins(rate: str, last: int) -> None:
    """Guards against: a solo that gets out of time while a controller is turned."""
    keys: dict[str, Any] = {"play__rate": rate, "play__velocity": 60}
    quiet, _ = play_on_fake_clock(performance(**keys).make_engine(0.0), 8.0)
    engine = performance(**bind("cc.20", "play.velocity"), **keys).make_engine(0.0)
    stormy, _ = play_on_fake_clock(engine, 8.0, storm(20, 1.0, 7.0, last))
    assert note_ons(stormy) == note_ons(quiet)
    changes = [report for report in stormy.reports if isinstance(report, SettingsChanged)]
    assert 100 <= len(changes) <= 601  # a hundred a second
    assert engine.settings.play.velocity == value_at_position(controller_range_of(SettingTarget("play.velocity")), last)
    assert not hanging_notes(message for _, message in stormy.sent)


@settings(max_examples=6)
@given(
    st.sampled_from(
        [key for key in CONTROLLABLE if key not in ("play.mode", "play.offset_ms", "play.comp", "play.click")]
    )
)
def test_fast_movements_of_any_controller_leave_the_notes_on_their_beats(key: str) -> None:
    """Guards against: hanging or doubled notes while the rate or the swing is turned."""
    engine = performance(play__rate="eighth", **bind("cc.20", key)).make_engine(0.0)
    stormy, _ = play_on_fake_clock(engine, 6.0, storm(20, 1.0, 3.0, 64))
    onsets = [second for second, _ in note_ons(stormy)]
    assert all(after - before > 0.03 for before, after in pairwise(onsets))
    assert engine.late_notes == 0
    assert value_of(engine.snapshot(6.0).settings, key) == value_of(engine.settings, key)
    assert not hanging_notes(message for _, message in stormy.sent)


def test_the_last_value_counts_without_a_further_event() -> None:
    """Guards against: a controller turned in a silence that counts only when the next note comes."""
    engine = performance(play__mode="off", **bind("cc.20", "play.velocity")).make_engine(0.0)
    velocities = [
        value_at_position(controller_range_of(SettingTarget("play.velocity")), position) for position in (84, 90, 100)
    ]
    for second, position in ((0.1, 84), (0.102, 90), (0.104, 100)):
        assert list(engine.advance(second)) == []
        engine.receive(ControlChange(20, position, 1), second)
    assert engine.settings.play.velocity == velocities[1]
    deadline = engine.deadline()
    assert deadline == pytest.approx(0.102 + MIN_TURN_INTERVAL_S)
    assert list(engine.advance(deadline or 0)) == []
    assert engine.settings.play.velocity == velocities[2]


def test_controllers_count_while_the_music_is_stopped() -> None:
    """Guards against: settings made between two songs that change only in the middle of the next one."""
    made = performance(tempo__source="midi-clock", **bind("cc.20", "play.velocity"))
    engine = made.make_engine(
        0.0, clocks=ClockConfig(MidiClockFollower(120.0, wait_start=True, on_change=lambda: None))
    )
    for step in range(100):
        engine.receive(ControlChange(20, step, 1), step / 1000)
        assert list(engine.advance(engine.deadline() or 0)) == []
    assert engine.settings.play.velocity == value_at_position(controller_range_of(SettingTarget("play.velocity")), 99)


def test_a_bound_note_is_never_heard_and_an_echo_performs_no_action() -> None:
    """Guards against: a pad that is answered like a note, or an echo of a low note that stops the music."""
    busy: dict[str, Any] = {f"midi__notes.{pitch}": "panic" for pitch in range(24, 49)}
    engine = performance(play__range="C1-C3", play__density=4, play__rests=0, **busy).make_engine(0.0)
    sent = [due.item for due in engine.advance(0.0) if isinstance(due.item, NoteOn)]
    before = engine.improviser.export_state(12)
    assert engine.receive(sent[0], 0.01) == []
    assert engine.listening.melody.echo_filter.echoes == 1
    assert engine.receive(NoteOn(24, 99, 7), 0.02) != []
    engine.receive(NoteOff(24, 7), 0.03)
    assert engine.improviser.export_state(12) == before
    assert engine.listening.heard_notes == 0


@pytest.mark.parametrize("learned", [False, True])
def test_a_pedal_that_is_bound_while_it_is_down_comes_up_as_music(*, learned: bool) -> None:
    """Guards against: every later note that rings for a bar, until the next start."""
    engine = performance(play__mode="off", tempo__bpm=60).make_engine(0.0)
    target = SettingTarget("play.density")
    binding = LearnBinding(target) if learned else ChangeSettings((("midi.cc", NO_BINDINGS.with_binding(64, target)),))
    for second, item in [(0.1, ControlChange(64, 127, 1)), (0.2, binding), (1.0, NoteOn(60, 80, 1)),
                         (2.0, NoteOff(60, 1)),
                         (3.0, ControlChange(64, 0, 1)), (4.0, NoteOn(62, 80, 1)), (5.0, NoteOff(62, 1))]:  # fmt: skip
        engine.receive(item, second)
    line = [one.value.text[:7] for one in engine.improviser._line.copy().finish_at(96)]
    assert line == ["C,1.000", "R,3.000"]
    engine.receive(ControlChange(64, 127, 1), 6.0)
    engine.receive(ControlChange(64, 0, 1), 6.5)
    assert dict(engine.settings.midi.cc) == {64: target}
    assert not engine.listening.melody._sustained_channels


def test_two_presses_within_a_bar_move_two_modes_on() -> None:
    """Guards against: two bars, with the mode between them, to get from solo to answer by foot."""
    engine = performance(play__patience=4, **bind("cc.64", "mode"), **bind("notes.24", "mode:solo")).make_engine(0.0)
    presses = [(second, ControlChange(64, value, 1)) for second in (2.2, 2.6) for value in (127, 0)]
    recorder, _ = play_on_fake_clock(engine, 3.9, presses)
    assert engine.settings.play.mode == "solo"
    recorder, _ = play_on_fake_clock(engine, 4.1)
    assert [report.mode for report in recorder.reports if isinstance(report, ModeChanged)] == ["answer"]
    engine.receive(NoteOn(24, 80, 1), 4.2)
    list(engine.advance(6.0))
    assert engine.snapshot(6.0).settings.play.mode == "solo"


def test_a_pedal_stops_and_starts_the_music() -> None:
    """Guards against: a musician on stage who has to go to the computer to start."""
    bindings = {**bind("cc.64", "stop"), **bind("cc.65", "start"), "play__density": 4, "play__rests": 0}
    engine = performance(**bindings).make_engine(0.0)
    recorder, _ = play_on_fake_clock(engine, 8.0, [(2.2, ControlChange(64, 127, 1)), (5.0, ControlChange(65, 127, 1))])
    onsets = [second for second, _ in note_ons(recorder)]
    assert not [second for second in onsets if 2.2 < second < 5.0]
    assert len([second for second in onsets if second > 5.0]) >= 4
    assert not hanging_notes(message for _, message in recorder.sent)


def test_learning_changes_the_settings_and_is_reported() -> None:
    """Guards against: a learned binding that is not shown, and so is forgotten."""
    engine = performance().make_engine(0.0)
    arrivals: list[tuple[float, MidiEvent | Command]] = [
        (0.2, LearnBinding(SettingTarget("play.gate"))),
        (0.3, ControlChange(30, 5, 1)),
        (0.32, ControlChange(30, 15, 1)),
    ]
    recorder, _ = play_on_fake_clock(engine, 1.0, arrivals)
    assert ActionRequested("learned", "midi.cc.30=play.gate") in recorder.reports
    assert dict(engine.settings.midi.cc) == {30: SettingTarget("play.gate")}
    assert isinstance(engine.snapshot(1.0).settings, Settings)
