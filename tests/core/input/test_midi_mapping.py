# SPDX-License-Identifier: Apache-2.0
"""Knobs, pedals, pads and programs: each does what its table says, nothing jumps, and no note waits for a knob."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sideman.core.events import (
    ChangeSettings,
    Command,
    ControlChange,
    LearnBinding,
    MidiEvent,
    NoteOff,
    NoteOn,
    Panic,
    PlayVariation,
    ProgramChange,
    SetMode,
    Start,
    Stop,
    TapTempo,
)
from sideman.core.input.midi_mapping import (
    MIN_TURN_INTERVAL_S,
    MappedCommand,
    MidiMapping,
    position_of_value,
    value_at_position,
)
from sideman.core.reports import ActionRequested, ModeChanged, SettingsChanged
from sideman.core.settings.bindings import ActionTarget, SettingTarget, Target
from sideman.core.settings.read_bindings import controller_range_of
from sideman.core.settings.schema import KEYS, NO_BINDINGS, Settings, value_of, with_values
from sideman.core.settings.types import NumberRange
from sideman.core.timing.clock_source import ClockConfig
from sideman.core.timing.midi_clock import MidiClockFollower
from support.fakes import hanging_notes, note_ons, performance, play_on_fake_clock
from support.fakes import settings as told

TURNED = [key for key in KEYS if key.startswith("play.") and KEYS[key].value_type.controller_range is not None]
places = st.integers(0, 127)


class Hands:
    """Controls, and settings that follow what they give, as the engine lets them; each move a second after the last."""

    def __init__(self, **keys: Any) -> None:
        self.settings = told(**{name.replace("_", "__", 1): value for name, value in keys.items()})
        self.controls = MidiMapping()
        self.second = 0.0

    def __call__(self, item: MidiEvent | Command, after: float = 1.0) -> tuple[MappedCommand, ...] | None:
        """What comes of `item`."""
        self.second += after
        return self.heed(self.controls.handle(item, self.second, self.settings))

    def heed(self, orders: tuple[MappedCommand, ...] | None) -> tuple[MappedCommand, ...] | None:
        """Let the changes among `orders` hold."""
        for order in orders or ():
            if isinstance(order, ChangeSettings):
                self.change(order)
        return orders

    def change(self, change: ChangeSettings) -> None:
        """Somebody changes settings."""
        self.controls.handle(change, self.second, self.settings)
        self.settings = with_values(self.settings, change.values)


def bound(table: str, entries: dict[int | str, str], **keys: Any) -> Hands:
    """Hands with `entries` in a table of `midi`."""
    return Hands(**{f"midi_{table}.{number}": target for number, target in entries.items()}, **keys)


def turn(hands: Hands, number: int, *values: int) -> list[object]:
    """The values that come of a controller's way."""
    orders = [order for value in values for order in hands(ControlChange(number, value, 3)) or ()]
    return [value for order in orders if isinstance(order, ChangeSettings) for _, value in order.values]


# -- what a knob gives


@pytest.mark.parametrize("key", TURNED)
@given(places, places)
def test_a_knob_gives_only_values_that_its_key_allows(key: str, one: int, other: int) -> None:
    """A knob at its end would give a value that stops the music."""
    span, rule = controller_range_of(SettingTarget(key)), KEYS[key].value_type
    values: list[Any] = [value_at_position(span, place) for place in sorted((one, other))]
    for value in values:
        assert rule.read(value) == value
    if isinstance(span, NumberRange):
        assert values[0] <= values[1]
        assert (value_at_position(span, 0) == span.low) != span.excludes_low
        assert value_at_position(span, 127) == span.high


@given(st.floats(0, 4), st.floats(0, 4), places)
def test_a_range_narrows_the_way_of_a_knob(one: float, other: float, place: int) -> None:
    """A fader could not be kept to the few values that make musical sense."""
    low, high = sorted((one, other))
    if high - low < 1e-6:
        return
    span = controller_range_of(SettingTarget("play.density", low, high))
    value: Any = value_at_position(span, place)
    assert low <= value <= high
    assert position_of_value(span, value) == pytest.approx(place, abs=0.6)


def test_words_part_the_way_of_a_knob_equally_and_a_switch_at_its_half() -> None:
    """A fader of five rates would have one that cannot be hit."""
    rates = [value_at_position(controller_range_of(SettingTarget("play.rate")), place) for place in range(128)]
    counts = [rates.count(rate) for rate in ("beat", "eighth", "triplet", "sixteenth", "phrase")]
    assert sorted(rates, key=rates.index) == rates
    assert max(counts) - min(counts) <= 1
    assert [
        value_at_position(controller_range_of(SettingTarget("play.resume")), place) for place in (0, 63, 64, 127)
    ] == [False, False, True, True]


# -- soft take-over


@given(st.lists(places, min_size=1, max_size=30), st.floats(0, 4))
@example([0, 127, 3], 1.0)
def test_nothing_jumps_until_the_knob_has_come_to_the_value(way: list[int], density: float) -> None:
    """The first touch of a knob would throw the music about."""
    hands = bound("cc", {20: "play.density"}, play_density=density)
    goal = density / 4 * 127
    met = [min(way[:n]) - 1 <= goal <= max(way[:n]) + 1 for n in range(1, len(way) + 1)]
    for place, holds in zip(way, met, strict=True):
        before = hands.settings.play.density
        hands(ControlChange(20, place, 1))
        after = hands.settings.play.density
        assert after == before if not holds else after == pytest.approx(place / 127 * 4, abs=1e-3)


def test_a_value_changed_elsewhere_has_to_be_reached_anew() -> None:
    """After a preset the next touch of a knob would throw its values away."""
    hands = bound("cc", {20: "play.velocity", 21: "play.velocity"}, play_velocity=64)
    assert turn(hands, 20, 63, 71, 81) == [71, 81]
    hands.change(ChangeSettings((("play.velocity", 30), ("play.gate", 0.5))))
    assert turn(hands, 20, 90, 100, 40) == []
    assert turn(hands, 20, 20) == [21]
    assert turn(hands, 21, 100, 20, 29) == [30]
    assert turn(hands, 20, 25) == []
    assert turn(hands, 20, 40) == [41]


def test_the_later_of_a_knob_and_another_hand_wins() -> None:
    """A preset called while a knob moves would lose one value to it, a hundredth of a second later."""
    hands = bound("cc", {20: "play.velocity"}, play_velocity=1)
    hands(ControlChange(20, 0, 1))
    assert hands(ControlChange(20, 50, 1))
    assert hands(ControlChange(20, 60, 1), after=0.001) == ()
    hands.change(ChangeSettings((("play.velocity", 30),)))
    assert hands.controls.next_due == math.inf
    assert hands.controls.flush(hands.second + MIN_TURN_INTERVAL_S) == ()


def test_a_value_given_again_from_elsewhere_changes_no_hold() -> None:
    """A DAW that repeats what it was told would shake the hand off the knob."""
    hands = bound("cc", {20: "play.velocity"}, play_velocity=1)
    assert turn(hands, 20, 0, 50) == [51]
    hands.change(ChangeSettings((("play.velocity", 51),)))
    assert turn(hands, 20, 127) == [127]


def test_a_tempo_that_comes_from_elsewhere_is_turned_by_no_knob() -> None:
    """The tempo shown would be one that nobody plays."""
    assert turn(bound("cc", {20: "tempo.bpm"}, tempo_source="midi-clock"), 20, 0, 127) == []
    assert len(turn(bound("cc", {20: "tempo.bpm"}), 20, 0, 127)) == 1


def test_what_no_knob_can_come_to_is_taken_at_once() -> None:
    """A knob for play.swing would be dead as long as that is auto."""
    assert turn(bound("cc", {20: "play.swing 0.5-0.75"}), 20, 127) == [0.75]
    assert turn(bound("cc", {20: "play.settle"}), 20, 127, 0) == [True, False]
    assert turn(bound("cc", {20: "play.resume"}), 20, 127, 127, 0) == [True, False]


# -- switches


@given(st.lists(places, max_size=40))
def test_a_pedal_acts_once_a_press(way: list[int]) -> None:
    """A half-pressed pedal would go through all the modes, or the release be a second press."""
    hands = bound("cc", {66: "tap"})
    presses = sum(place >= 64 and (n == 0 or way[n - 1] < 64) for n, place in enumerate(way))
    assert [order for place in way for order in hands(ControlChange(66, place, 16)) or ()] == [TapTempo()] * presses


@pytest.mark.parametrize(
    ("action", "order"),
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
def test_each_action_does_its_own(action: str, order: MappedCommand) -> None:
    """A pedal would do something else than its table says."""
    assert bound("cc", {67: action})(ControlChange(67, 127, 1)) == (order,)
    assert bound("notes", {"C1": action})(NoteOn(24, 1, 10)) == (order,)


def test_mode_goes_on_from_the_mode_that_is_to_come() -> None:
    """Two presses within a bar would be one, since a mode waits for the bar line."""
    hands = bound("cc", {64: "mode", 65: "mode:duet"})
    asked = [hands(ControlChange(64, place, 1)) for place in (127, 0, 127, 0)]
    assert asked == [(SetMode("trade"),), (), (SetMode("trade"),), ()]
    hands = bound("cc", {64: "mode", 65: "mode:duet"})
    for place, mode in ((127, "trade"), (0, ""), (127, "answer"), (0, ""), (127, "duet"), (0, ""), (127, "off")):
        orders = hands(ControlChange(64, place, 1))
        assert orders == ((SetMode(mode),) if mode else ())  # type: ignore[arg-type]
        for order in orders or ():
            assert isinstance(order, SetMode)
            assert hands(order) is None


def test_a_knob_goes_on_from_the_mode_that_is_to_come() -> None:
    """A knob turned back before the bar line would leave the mode that it was turned away from."""
    waiting, controls = told(**{"midi__cc.20": "play.mode"}), MidiMapping()
    asked: list[MappedCommand] = []
    for second, place in enumerate((0, 30, 0, 30)):
        asked += controls.handle(ControlChange(20, place, 1), second, waiting) or ()
        for change in asked[-1:]:
            assert isinstance(change, ChangeSettings)
            controls.handle(change, second, waiting)
    assert asked == [ChangeSettings((("play.mode", mode),)) for mode in ("trade", "solo", "trade")]


def test_a_note_that_is_a_switch_is_no_music_nor_is_its_release() -> None:
    """The lowest key, set aside as a switch, would be answered; or the release of another note be lost."""
    hands = bound("notes", {24: "tap"})
    assert hands(NoteOn(24, 80, 1)) == (TapTempo(),)
    assert hands(NoteOff(24, 2)) is None
    assert hands(NoteOff(24, 1)) == ()
    assert hands(NoteOff(24, 1)) is None
    assert hands(NoteOn(25, 80, 1)) is None
    hands(NoteOn(24, 80, 1))
    hands.change(ChangeSettings((("midi.notes", hands.settings.midi.notes.with_binding(24, None)),)))
    assert hands(NoteOff(24, 1)) == ()


def test_a_program_change_calls_the_preset_of_its_number_as_people_count() -> None:
    """Program 1 of the keyboard would be the preset of program 2."""
    hands = bound("programs", {1: "ballad", 128: "bebop"})
    assert hands(ProgramChange(0, 5)) == (ActionRequested("preset", "ballad"),)
    assert hands(ProgramChange(127, 5)) == (ActionRequested("preset", "bebop"),)
    assert hands(ProgramChange(1, 5)) is None


def test_what_is_bound_to_nothing_passes() -> None:
    """A sustain pedal that nobody bound would no longer sustain."""
    hands = bound("cc", {1: "play.gate"})
    assert hands(ControlChange(64, 127, 1)) is None
    assert hands(ControlChange(1, 127, 1)) == ()


# -- learning


def test_the_next_knob_moved_is_learned_and_replaces_what_there_was() -> None:
    """`ctl learn` would bind the wrong knob, or leave the old one at work."""
    hands = bound("cc", {20: "play.gate", 21: "play.temperature 0-2", 22: "tap"}, midi_notes__c1="keep")
    hands(LearnBinding(SettingTarget("play.temperature", 0.2, 2.0)))
    assert hands(ControlChange(0, 5, 1)) is None
    assert hands(ControlChange(123, 0, 1)) is None
    assert hands(NoteOn(24, 80, 1)) == (ActionRequested("keep"),)
    orders = hands(ControlChange(20, 50, 1))
    assert orders is not None
    assert orders[1:] == (ActionRequested("learned", "midi.cc.20=play.temperature 0.2-2"),)
    assert dict(hands.settings.midi.cc) == {20: SettingTarget("play.temperature", 0.2, 2.0), 22: ActionTarget("tap")}
    assert turn(hands, 20, 51) == []
    assert turn(hands, 20, 57, 127) == [
        value_at_position(controller_range_of(SettingTarget("play.temperature", 0.2, 2.0)), 57),
        2.0,
    ]


@pytest.mark.parametrize("item", [ControlChange(70, 127, 2), NoteOn(30, 80, 2)])
def test_an_action_is_learned_from_a_pedal_or_a_note_and_done_at_the_next_press(item: MidiEvent) -> None:
    """Learning `stop` would stop the music."""
    hands = bound("cc", {22: "stop"})
    hands(LearnBinding(ActionTarget("stop")))
    orders = hands(item)
    place = "midi.cc.70" if isinstance(item, ControlChange) else "midi.notes.30"
    assert orders is not None
    assert orders[1:] == (ActionRequested("learned", f"{place}=stop"),)
    assert hands(ControlChange(70, 0, 2) if isinstance(item, ControlChange) else NoteOff(30, 2)) == ()
    assert hands(item) == (Stop(),)
    assert hands(ControlChange(22, 127, 1)) is None


targets = st.sampled_from(
    [SettingTarget("play.gate"), SettingTarget("play.rate"), ActionTarget("tap"), ActionTarget("mode")]
)
moves = st.one_of(
    st.builds(ControlChange, st.integers(0, 127), places, st.just(1)),
    st.builds(NoteOn, st.integers(20, 30), st.just(80), st.just(1)),
    st.builds(NoteOff, st.integers(20, 30), st.just(1)),
    st.builds(LearnBinding, targets),
)


@given(st.lists(moves, max_size=40))
def test_whatever_hands_do_a_target_is_bound_once(items: list[MidiEvent | Command]) -> None:
    """A wild hand while learning would leave two pedals on one action, or bind a controller that no hand moves."""
    hands = Hands()
    for item in items:
        hands(item)
    learned: list[Target] = [target for _, target in (*hands.settings.midi.cc, *hands.settings.midi.notes)]
    assert len(learned) == len(set(learned))
    assert not {number for number, _ in hands.settings.midi.cc} & {0, 32, *range(120, 128)}
    assert not any(isinstance(target, SettingTarget) for _, target in hands.settings.midi.notes)


# -- in the engine


def bind(place: str, target: str) -> dict[str, Any]:
    """A binding, as `performance` takes it."""
    return {f"midi__{place}": target}


def storm(number: int, second: float, until: float, last: int) -> Iterable[tuple[float, ControlChange]]:
    """A knob that moves a thousand times a second; `last` is where it comes to rest."""
    count = round((until - second) * 1000)
    for step in range(count):
        yield second + step / 1000, ControlChange(number, (step * 37) % 128 if step < count - 1 else last, 1)


@settings(max_examples=4)
@given(st.sampled_from(["beat", "sixteenth", "phrase"]), places)
def test_a_storm_of_a_thousand_a_second_moves_no_note_and_its_last_value_wins(rate: str, last: int) -> None:
    """One turn of a knob would bring the solo out of time."""
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
@given(st.sampled_from([key for key in TURNED if key not in ("play.mode", "play.offset_ms", "play.comp")]))
def test_a_storm_on_any_knob_leaves_the_notes_on_their_beats(key: str) -> None:
    """Turning the rate or the swing would leave notes hanging, or strike two at once."""
    engine = performance(play__rate="eighth", **bind("cc.20", key)).make_engine(0.0)
    stormy, _ = play_on_fake_clock(engine, 6.0, storm(20, 1.0, 3.0, 64))
    onsets = [second for second, _ in note_ons(stormy)]
    assert all(after - before > 0.03 for before, after in pairwise(onsets))
    assert engine.late_notes == 0
    assert value_of(engine.snapshot(6.0).settings, key) == value_of(engine.settings, key)
    assert not hanging_notes(message for _, message in stormy.sent)


def test_the_last_value_waits_for_nothing_but_its_time() -> None:
    """A knob turned in a silence would count only when the next note comes."""
    engine = performance(play__mode="off", **bind("cc.20", "play.velocity")).make_engine(0.0)
    velocities = [
        value_at_position(controller_range_of(SettingTarget("play.velocity")), place) for place in (84, 90, 100)
    ]
    for second, place in ((0.1, 84), (0.102, 90), (0.104, 100)):
        assert list(engine.advance(second)) == []
        engine.receive(ControlChange(20, place, 1), second)
    assert engine.settings.play.velocity == velocities[1]
    deadline = engine.deadline()
    assert deadline == pytest.approx(0.102 + MIN_TURN_INTERVAL_S)
    assert list(engine.advance(deadline or 0)) == []
    assert engine.settings.play.velocity == velocities[2]


def test_knobs_count_while_the_music_stands_still() -> None:
    """What is set up between two songs would come only in the middle of the next."""
    made = performance(tempo__source="midi-clock", **bind("cc.20", "play.velocity"))
    engine = made.make_engine(
        0.0, clocks=ClockConfig(MidiClockFollower(120.0, wait_start=True, on_change=lambda: None))
    )
    for step in range(100):
        engine.receive(ControlChange(20, step, 1), step / 1000)
        assert list(engine.advance(engine.deadline() or 0)) == []
    assert engine.settings.play.velocity == value_at_position(controller_range_of(SettingTarget("play.velocity")), 99)


def test_a_switch_is_never_heard_and_an_echo_is_no_switch() -> None:
    """A pad would be answered like a note; or, with a looped cable, our own low note would stop the music."""
    busy: dict[str, Any] = {f"midi__notes.{pitch}": "panic" for pitch in range(24, 49)}
    engine = performance(play__range="C1-C3", play__density=4, play__rests=0, **busy).make_engine(0.0)
    sent = [due.item for due in engine.advance(0.0) if isinstance(due.item, NoteOn)]
    before = engine.improviser.export_state(12)
    assert engine.receive(sent[0], 0.01) == []
    assert engine.melody.echo_filter.echoes == 1
    assert engine.receive(NoteOn(24, 99, 7), 0.02) != []
    engine.receive(NoteOff(24, 7), 0.03)
    assert engine.improviser.export_state(12) == before
    assert engine.heard_notes == 0


@pytest.mark.parametrize("learned", [False, True])
def test_a_pedal_that_becomes_a_switch_while_it_is_down_comes_up_as_music(*, learned: bool) -> None:
    """Every note from then on would be heard ringing for a bar, until a new start."""
    engine = performance(play__mode="off", tempo__bpm=60).make_engine(0.0)
    knob = SettingTarget("play.density")
    binding = LearnBinding(knob) if learned else ChangeSettings((("midi.cc", NO_BINDINGS.with_binding(64, knob)),))
    for second, item in [(0.1, ControlChange(64, 127, 1)), (0.2, binding), (1.0, NoteOn(60, 80, 1)),
                         (2.0, NoteOff(60, 1)),
                         (3.0, ControlChange(64, 0, 1)), (4.0, NoteOn(62, 80, 1)), (5.0, NoteOff(62, 1))]:  # fmt: skip
        engine.receive(item, second)
    line = [one.value.text[:7] for one in engine.improviser._line.copy().finish_at(96)]
    assert line == ["C,1.000", "R,3.000"]
    engine.receive(ControlChange(64, 127, 1), 6.0)
    engine.receive(ControlChange(64, 0, 1), 6.5)
    assert dict(engine.settings.midi.cc) == {64: knob}
    assert not engine.melody._sustained_channels


def test_two_presses_within_a_bar_are_two_modes_on() -> None:
    """Going from solo to answer by foot would take two bars, and play the mode between."""
    engine = performance(play__patience=4, **bind("cc.64", "mode"), **bind("notes.24", "mode:solo")).make_engine(0.0)
    presses = [(second, ControlChange(64, value, 1)) for second in (2.2, 2.6) for value in (127, 0)]
    recorder, _ = play_on_fake_clock(engine, 3.9, presses)
    assert engine.settings.play.mode == "solo"
    recorder, _ = play_on_fake_clock(engine, 4.1)
    assert [report.mode for report in recorder.reports if isinstance(report, ModeChanged)] == ["answer"]
    engine.receive(NoteOn(24, 80, 1), 4.2)
    list(engine.advance(6.0))
    assert engine.snapshot(6.0).settings.play.mode == "solo"


def test_a_foot_stops_and_starts_the_music() -> None:
    """On stage somebody would have to go to the machine to begin."""
    tables = {**bind("cc.64", "stop"), **bind("cc.65", "start"), "play__density": 4, "play__rests": 0}
    engine = performance(**tables).make_engine(0.0)
    recorder, _ = play_on_fake_clock(engine, 8.0, [(2.2, ControlChange(64, 127, 1)), (5.0, ControlChange(65, 127, 1))])
    onsets = [second for second, _ in note_ons(recorder)]
    assert not [second for second in onsets if 2.2 < second < 5.0]
    assert len([second for second in onsets if second > 5.0]) >= 4
    assert not hanging_notes(message for _, message in recorder.sent)


def test_learning_reaches_the_settings_and_is_told() -> None:
    """A knob learned on stage would not show, and be forgotten."""
    engine = performance().make_engine(0.0)
    arrivals: list[tuple[float, MidiEvent | Command]] = [
        (0.2, LearnBinding(SettingTarget("play.gate"))),
        (0.3, ControlChange(30, 5, 1)),
    ]
    recorder, _ = play_on_fake_clock(engine, 1.0, arrivals)
    assert ActionRequested("learned", "midi.cc.30=play.gate") in recorder.reports
    assert dict(engine.settings.midi.cc) == {30: SettingTarget("play.gate")}
    assert isinstance(engine.snapshot(1.0).settings, Settings)
