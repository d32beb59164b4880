# SPDX-License-Identifier: Apache-2.0
"""Settings that change while sideman plays: each holds from the next choice on, as if it had held from the start."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.engine import Engine, play_through
from sideman.core.errors import ConfigError
from sideman.core.events import BarPlayed, ChangeSettings, MidiEvent, NoteOff, NoteOn, NotePlayed
from sideman.core.input.midi_mapping import value_at_position
from sideman.core.parts.improviser import PULSE_TICKS, Improviser
from sideman.core.settings.presets import preset_difference, with_layer
from sideman.core.settings.resolve import SettingsLayer, WrittenValue, resolve_settings
from sideman.core.settings.schema import KEYS, Settings, value_of, with_values
from sideman.core.settings.types import PitchRange
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle
from support.fakes import classic_bundle, hanging_notes, modern_bundle, note_ons, performance, play_on_fake_clock

PLAY = [key for key in KEYS if key.startswith("play.")]
PLACED = {"play.mode", "play.trade_bars", "play.trade_first", "play.silence", "play.longest", "play.comp"}
PLACED |= {"play.target"}
"""Settings that decide when to play, so that a choice depends on more than its tick."""
MADE_OF_SETTINGS = {"settings", "random_source", "rules", "_value_masks", "_steps"}
TARGETS = {"play.target": ["off", "2: 3", "1.2: Bb4 or E, 2.4+: root"], "play.ending": ["any", "root or 3"]}
PHRASE: list[tuple[float, MidiEvent]] = [(1.1, NoteOn(61, 70, 1)), (1.3, NoteOff(61, 1)), (1.35, NoteOn(68, 70, 1))]


@st.composite
def play_values(draw: st.DrawFn, keys: list[str] = PLAY) -> tuple[str, Any]:
    """Draw a key of `play` and a value that it allows."""
    key = draw(st.sampled_from(keys))
    value_type = KEYS[key].value_type
    if key == "play.range":
        low = draw(st.integers(0, 100))
        return key, PitchRange(low, draw(st.integers(low, 127)))
    if key in TARGETS:
        return key, value_type.read(draw(st.sampled_from(TARGETS[key])))
    if value_type.controller_range is None:
        raise AssertionError(key)
    value = value_at_position(value_type.controller_range, draw(st.integers(0, 127)))
    odd = [each for each in (None, "auto") if _allows(key, each)]
    return key, draw(st.sampled_from([value, value, *(value_type.read(each) for each in odd)]))


def _allows(key: str, value: object) -> bool:
    try:
        KEYS[key].value_type.read(value)
    except ValueError:
        return False
    return True


def fresh_improviser(engine: Engine) -> Improviser:
    """Return a new improviser with the current settings and the state of the improviser of `engine`."""
    old = engine.improviser
    network = performance(classic_bundle() if old.bundle.classic else modern_bundle()).network
    new = Improviser(old.bundle, network, engine.chart, engine.chart, engine.live, old.random_source.seed)
    for name, each in vars(old).items():
        if name not in MADE_OF_SETTINGS:
            setattr(new, name, each.copy() if hasattr(each, "copy") else each)
    return new


@settings(max_examples=60)
@given(play_values(), st.sampled_from(["beat", "eighth", "phrase"]), st.floats(1.4, 5.0), st.booleans())
def test_the_next_choice_is_that_of_an_improviser_with_these_settings(
    change: tuple[str, Any], rate: str, second: float, classic: bool
) -> None:
    """Guards against: a changed setting that has no effect, or an effect that no setting has."""
    key, value = change
    bundle = classic_bundle() if classic else modern_bundle()
    engine = performance(bundle, play__rate=rate, play__silence=0).make_engine(0.0)
    for at, event in PHRASE:
        list(engine.advance(at))
        engine.receive(event, at)
    list(engine.advance(second))
    seed = engine.improviser.random_source.seed if key != "play.seed" or value is None else value
    assert engine.receive(ChangeSettings(((key, value),)), second) == []
    if key != "play.mode":
        assert value_of(engine.snapshot(second).settings, key) == value
    assert engine.improviser.settings == engine.settings.play
    assert engine.improviser.random_source.seed == seed
    engine.prepare(second)
    status = engine.snapshot(second)
    onset = engine.tempo.second_at(status.next_choice_beat) + engine.settings.play.offset_ms / 1000
    if status.next_choice is not None and onset > second + 0.01 and key not in PLACED:
        assert status.next_choice == fresh_improviser(engine).choose(status.next_choice.tick)
    assert engine.improviser.choose(96) == fresh_improviser(engine).choose(96)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.floats(0.5, 4.0), play_values()), max_size=6), st.sampled_from(["eighth", "phrase"]))
def test_after_any_change_notes_stay_in_order_and_none_hangs(
    changes: list[tuple[float, tuple[str, Any]]], rate: str
) -> None:
    """Guards against: a note that sounds twice, overtakes another or does not end when a controller is turned."""
    engine = performance(play__rate=rate).make_engine(0.0)
    arrivals = [(second, ChangeSettings((change,))) for second, change in sorted(changes, key=lambda each: each[0])]
    recorder, bars = play_on_fake_clock(engine, 5.0, arrivals)
    assert not hanging_notes(message for _, message in recorder.sent)
    ticks = [choice.tick for bar in bars for choice in bar.choices]
    assert all(after > before for before, after in pairwise(ticks))
    sounding: set[int] = set()
    for status, pitch, velocity in (message for _, message in recorder.sent if message[0] & 0x0F == 0):
        if status & 0xF0 == 0x90 and velocity:
            assert pitch not in sounding
            sounding.add(pitch)
        else:
            sounding.discard(pitch)


@settings(max_examples=10)
@given(st.lists(st.tuples(st.floats(0.5, 4.0), st.integers(-200, 200)), min_size=1, max_size=5))
def test_a_changed_offset_neither_doubles_nor_reorders_notes(moves: list[tuple[float, int]]) -> None:
    """Guards against: stutter while the user adjusts the offset by ear."""
    keys: dict[str, Any] = {"play__rate": "eighth", "play__density": 4, "play__rests": 0}
    engine = performance(**keys).make_engine(0.0)
    arrivals = [(second, ChangeSettings((("play.offset_ms", offset),))) for second, offset in sorted(moves)]
    recorder, _ = play_on_fake_clock(engine, 5.0, arrivals)
    seconds = [second for second, _ in note_ons(recorder)]
    assert seconds == sorted(seconds)
    beats = [report.beat for report in recorder.reports if isinstance(report, NotePlayed)]
    assert all(after > before for before, after in pairwise(beats))
    assert not hanging_notes(message for _, message in recorder.sent)


@settings(max_examples=40)
@given(
    st.sampled_from([*PULSE_TICKS, "phrase"]),
    st.sampled_from(list(PULSE_TICKS)),
    st.integers(1, 40),
    st.sampled_from([0.001, 0.1]),
)
def test_a_new_rate_falls_on_its_own_pulses(before: str, after: str, place: int, ahead: float) -> None:
    """Guards against: beats that stay off the beat after a change from sixteenths."""
    engine = performance(play__rate=before, play__swing=0.5).make_engine(0.0, beats=24.0)
    second = engine.tempo.second_at(place / 4) - ahead
    bars = [due.item for due in engine.advance(second)]
    engine.receive(ChangeSettings((("play.rate", after),)), second)
    bars += [due.item for due in play_through(engine)]
    ticks = [choice.tick for bar in bars if isinstance(bar, BarPlayed) for choice in bar.choices]
    changed_at = (place / 4 - ahead * 2) * TICKS_PER_QUARTER
    # The choice that stood may go on; then one leads to the next pulse.
    new = [tick for tick in ticks if tick >= changed_at][2:]
    assert all(tick % PULSE_TICKS[after] == 0 for tick in new)
    assert all(later - tick == PULSE_TICKS[after] for tick, later in pairwise(new))


@pytest.mark.parametrize("bundle", [modern_bundle(), classic_bundle()], ids=["modern", "classic"])
def test_a_change_too_near_the_next_note_leaves_that_note(bundle: Bundle) -> None:
    """Guards against: a late note when a setting changes at the last moment."""
    turned, left = (performance(bundle).make_engine(0.0) for _ in range(2))
    for engine in (turned, left):
        list(engine.advance(0.9))
    turned.receive(ChangeSettings((("play.range", PitchRange(90, 100)), ("play.velocity", 1))), 0.999)
    sent = [[due.item for due in engine.advance(1.0)] for engine in (turned, left)]
    assert sent[0] == sent[1]


# -- presets and files, while it plays


def layer(**keys: Any) -> SettingsLayer:
    """Return the layer of a preset; two underscores stand for a dot."""
    return {name.replace("__", "."): WrittenValue(value, "preset") for name, value in keys.items()}


def test_a_preset_changes_what_can_change_and_names_the_rest() -> None:
    """Guards against: a preset on stage that silently changes only half of its settings."""
    preset = layer(tempo__bpm=66, play__range="A2-A5", midi__channel=3, model__bundle="default")
    change = preset_difference(Settings(), preset, {}, Settings())
    assert change.values == (("play.range", PitchRange(45, 81)), ("tempo.bpm", 66.0))
    assert change.restart_keys == ("midi.channel",)


def test_a_wrong_preset_is_reported_and_changes_nothing() -> None:
    """Guards against: a typing mistake in a preset that stops the music."""
    with pytest.raises(ConfigError, match=r"preset: play\.gate: 7: allowed"):
        preset_difference(Settings(), layer(play__gate=7, tempo__bpm=66), {}, Settings())


presets = st.fixed_dictionaries(
    {},
    optional={
        "play__gate": st.sampled_from([0.3, 0.6]),
        "play__rests": st.integers(0, 3),
        "tempo__bpm": st.sampled_from([66.0, 200.0]),
        "midi__cc.1": st.sampled_from(["tap", "mode", None]),
        "midi__cc.2": st.just("play.gate"),
    },
).map(lambda keys: layer(**keys))


@given(presets, presets)
def test_a_preset_does_not_depend_on_the_one_before(first: SettingsLayer, second: SettingsLayer) -> None:
    """Guards against: a ballad that sounds different after bebop."""
    base = resolve_settings([layer(play__gate=0.8, **{"midi__cc.1": "keep", "midi__cc.3": "stop"})])
    after_first = with_values(base, preset_difference(base, first, {}, base).values)
    after_both = with_values(after_first, preset_difference(after_first, second, first, base).values)
    assert after_both == with_values(base, preset_difference(base, second, {}, base).values)
    assert with_layer(base, second) == after_both


def test_settings_changed_by_hand_stay_when_the_preset_changes() -> None:
    """Guards against: a preset that undoes what the user has just set, although it does not mention it."""
    base, bebop = Settings(), layer(play__rate="eighth", play__gate=0.8)
    playing = with_values(with_layer(base, bebop), [("play.gate", 0.3), ("play.mode", "trade")])
    after = with_values(playing, preset_difference(playing, layer(play__velocity=60), bebop, base).values)
    assert (after.play.gate, after.play.mode, after.play.velocity, after.play.rate) == (0.3, "trade", 60, "beat")


def test_chords_in_a_preset_override_a_chart_file() -> None:
    """Guards against: a preset with chords that plays the chords of the file instead."""
    base = resolve_settings([layer(chart__file="blues")])
    change = preset_difference(base, layer(chart__changes="| C7 |"), {}, base)
    assert change.values == (("chart.changes", "| C7 |"), ("chart.file", None))
    after = with_values(base, change.values)
    assert with_values(after, preset_difference(after, {}, layer(chart__changes="| C7 |"), base).values) == base
