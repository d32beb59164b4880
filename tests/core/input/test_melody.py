# SPDX-License-Identifier: Apache-2.0
"""What the player plays becomes the melody that they mean, and the network follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.core.engine import Engine, play_through
from sideman.core.events import (
    BarPlayed,
    ChangeSettings,
    ControlChange,
    MidiEvent,
    NoteHeard,
    NoteOff,
    NoteOn,
    NotePlayed,
    PitchBend,
    Report,
)
from sideman.core.input.melody import MelodyTracker
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.schema import Settings
from sideman.core.timing.tempo import Tempo
from sideman_models.music.context import EvenBars
from sideman_models.music.line import LineNote, LineValue
from sideman_models.music.values import TICKS_PER_QUARTER
from support.fakes import modern_bundle, performance
from support.offline_network import offline_distribution, softmax

BAR = 48
PEDAL = 64
TEMPO = Tempo(60.0, 0.0, 0.0)  # a second is a beat
Events = Sequence[tuple[float, MidiEvent]]


@dataclass
class Notes:
    """A melody sink that records the ticks and pitches of note-ons and note-offs."""

    started: list[tuple[float, int]] = field(default_factory=list)
    ended: list[tuple[float, int]] = field(default_factory=list)

    def player_note_on(self, tick: float, pitch: int) -> None:
        """See `MelodySink`."""
        self.started.append((tick, pitch))

    def player_note_off(self, tick: float, pitch: int) -> None:
        """See `MelodySink`."""
        self.ended.append((tick, pitch))


def heard(events: Events, tracker: MelodyTracker | None = None, **midi: Any) -> Notes:
    """The melody of some events, whose seconds are beats, in bars of 4/4."""
    tracker, notes = tracker or MelodyTracker(LiveSettings(Settings(midi=MidiSettings(**midi))), EvenBars(BAR)), Notes()
    for second, event in events:
        for played in tracker.player_events(event, second):
            tracker.track(played, second, TEMPO, 0.5, notes)
    return notes


def on(pitch: int, channel: int = 1) -> MidiEvent:
    """A note-on."""
    return NoteOn(pitch, 80, channel)


def off(pitch: int, channel: int = 1) -> MidiEvent:
    """A note-off."""
    return NoteOff(pitch, channel)


# The rules


@given(st.permutations([48, 55, 64, 71]), st.floats(0, 0.011))
def test_the_highest_note_of_a_chord_is_the_melody(chord: list[int], apart: float) -> None:
    """Guards against: a chord of the player that is heard as an arpeggio, or as its bass note."""
    notes = heard([(1 + apart * number, on(pitch)) for number, pitch in enumerate(chord)])
    pitches = [pitch for _, pitch in notes.started]
    assert pitches == sorted(pitches)
    assert pitches[-1] == 71
    assert all(tick == 12 for tick, _ in notes.started)


def test_the_end_of_a_lower_note_does_not_end_the_melody_note() -> None:
    """Guards against: a melody held over moving chords that is heard as short notes."""
    played = performance(play__mode="off").make_engine(0.0)
    for second, event in [(1.0, on(72)), (1.01, on(60)), (1.2, off(60)), (1.5, off(72))]:
        played.receive(event, second)
    assert texts(played, 60)[0][2:7] == "1.000"


def texts(played: Engine, tick: int) -> list[str]:
    """The values that have not entered the network yet at `tick`."""
    return [written.value.text for written in played.improviser._line.copy().finish_at(tick)]


@pytest.mark.parametrize(("pedal_up", "length"), [(None, "4.000"), (2.0, "2.000"), (0.5, "1.000")])
def test_the_pedal_sustains_a_note_for_one_bar_at_most(pedal_up: float | None, length: str) -> None:
    """Guards against: a pianist whose notes are all heard short, or whose last note is heard for ever."""
    played = performance(play__mode="off", tempo__bpm=60).make_engine(0.0)
    events: list[tuple[float, MidiEvent]] = [(0.1, ControlChange(PEDAL, 127, 1)), (1.0, on(60)), (2.0, off(60))]
    if pedal_up is not None:
        events += [(1 + pedal_up, ControlChange(PEDAL, 0, 1))]
    for second, event in sorted(events, key=lambda event: event[0]):
        played.receive(event, second)
    assert not played.listening.melody.keys_held
    first, *rests = texts(played, 120)
    assert first[2:7] == length
    assert rests
    assert all(rest.startswith("R") for rest in rests)


def test_the_next_onset_ends_a_sustained_note() -> None:
    """Guards against: a pedal that turns the melody into long notes."""
    played = performance(play__mode="off", tempo__bpm=60).make_engine(0.0)
    events: Events = [(0.1, ControlChange(PEDAL, 64, 1)), (1.0, on(60)), (1.2, off(60)), (2.5, on(62))]
    for second, event in events:
        played.receive(event, second)
    played.receive(ControlChange(PEDAL, 63, 1), 2.6)  # the key is still down
    assert [text[2:7] for text in texts(played, 48)] == ["1.500"]


def test_a_key_struck_again_ends_its_first_note() -> None:
    """Guards against: repeated notes without note-offs that are heard as one long note."""
    notes = heard([(1, on(60)), (1.5, on(60)), (2, off(60)), (2.1, off(60))])
    assert notes.started == [(12, 60), (18, 60)]
    assert [pitch for _, pitch in notes.ended] == [60]


@given(st.integers(-8192, 8191), st.integers(-8192, 8191))
def test_a_bent_note_is_heard_at_the_pitch_of_its_onset(bend: int, later: int) -> None:
    """Guards against: a scooped or bent note that is heard a tone off."""
    events: Events = [(1.0, PitchBend(bend, 1)), (1.1, on(60)), (1.2, PitchBend(later, 1)), (1.9, off(60))]
    notes = heard(events)
    assert abs(notes.started[0][1] - (60 + bend / 4096)) <= 0.5
    assert notes.ended[0][1] == notes.started[0][1]
    assert heard([(1, PitchBend(bend, 2)), (2, on(60))]).started == [(24, 60)]


def data(parameter: int, value: int, channel: int, fine: int | None = None) -> list[tuple[float, MidiEvent]]:
    """The messages that set a registered parameter."""
    numbers = [(101, 0), (100, parameter), (6, value), *([] if fine is None else [(38, fine)]), (101, 127), (100, 127)]
    return [(0.1, ControlChange(*each, channel)) for each in numbers]


@given(st.integers(0, 96), st.integers(0, 99), st.integers(-8192, 8191))
def test_the_range_of_the_pitch_wheel_is_the_one_that_its_channel_sends(semitones: int, cents: int, bend: int) -> None:
    """Guards against: a guitar controller with a wheel of twelve semitones that is heard in another key."""
    bent: Events = [(1.0, PitchBend(bend, 1)), (1.1, on(60))]
    ((_, pitch),) = heard([*data(0, semitones, 1, cents), *bent]).started
    meant = 60 + (semitones + cents / 100) * bend / 8192
    while not -0.5 <= meant < 127.5:
        meant += 12 if meant < 0 else -12
    assert abs(pitch - meant) <= 0.5 + 1e-9
    assert heard([*data(0, 12, 2), (1.0, PitchBend(4096, 1)), (1.1, on(60))]).started[0][1] == 61  # another channel


def test_data_entry_after_the_parameter_was_given_up_changes_nothing() -> None:
    """Guards against: a knob of a synthesizer that changes the range of the pitch wheel."""
    bent: Events = [(0.5, ControlChange(6, 24, 1)), (1.0, PitchBend(8191, 1)), (1.1, on(60))]
    assert heard([*data(0, 12, 1), *bent]).started[0][1] == 72
    nrpn: Events = [(0.4, ControlChange(99, 0, 1)), (0.4, ControlChange(98, 0, 1))]
    assert heard([*data(0, 12, 1), *nrpn, *bent]).started[0][1] == 72


def test_a_bend_of_less_than_half_a_semitone_moves_no_note() -> None:
    """Guards against: a vibrato that is heard as a trill."""
    for bend in (2047, -2047):
        assert heard([(1.0, PitchBend(bend, 1)), (1.1, on(60))]).started[0][1] == 60


@given(st.integers(2, 15), st.integers(2, 15), st.integers(-48, 48))
def test_the_members_of_an_mpe_zone_are_one_player(one: int, other: int, semitones: int) -> None:
    """Guards against: an MPE keyboard of which one note in fifteen is heard, or one channel counts as drums."""
    zone = data(6, 14, 1)
    bend = round(semitones / 48 * 8191)
    events: Events = [
        (1.0, PitchBend(bend, one)),
        (1.1, on(60, one)),
        (1.5, off(60, one)),
        (2.0, on(62, other)),
        (2.5, off(62, other)),
    ]
    heard_as: list[dict[str, Any]] = [{}, {"listen": 1}, {"listen": 1, "chords": 16}]
    for midi in heard_as:
        notes = heard([*zone, *events], **midi)
        assert [pitch for _, pitch in notes.started] == [60 + semitones, 62 + (semitones if one == other else 0)]
        assert len(notes.ended) == 2
    assert heard([*zone, *events], listen=16).started == []


def test_the_master_channel_of_an_mpe_zone_speaks_for_its_members() -> None:
    """Guards against: a sustain pedal, a wheel or an all-notes-off of an MPE instrument without effect."""
    zone = [*data(6, 15, 1), *data(6, 5, 16)]  # the upper zone takes channel 16 from the lower one
    tracker = MelodyTracker(LiveSettings(Settings(midi=MidiSettings())), EvenBars(BAR))
    notes = heard([*zone, (1, PitchBend(8191, 16)), (1.1, on(60, 12)), (2, ControlChange(123, 0, 16))], tracker)
    assert [pitch for _, pitch in notes.started] == [62]
    assert len(notes.ended) == 1
    assert not tracker.keys_held
    pedal: Events = [
        (1, ControlChange(PEDAL, 127, 16)),
        (1.1, on(60, 12)),
        (1.5, off(60, 12)),
        (3, ControlChange(PEDAL, 0, 16)),
    ]
    assert heard([*zone, *pedal]).ended[-1][0] == pytest.approx(36, abs=0.2)  # where the pedal comes up


def test_ghost_notes_are_not_heard_and_leave_nothing_behind() -> None:
    """Guards against: a brushed key that is answered, or that stays held for ever."""
    tracker = MelodyTracker(LiveSettings(Settings(midi=MidiSettings(ghost=30, chords=4))), EvenBars(BAR))
    ghost: Events = [(1.0, NoteOn(60, 29, 1)), (1.2, off(60)), (1.3, NoteOn(48, 10, 4)), (2.0, NoteOn(62, 30, 1))]
    notes = heard(ghost, tracker)
    assert [pitch for _, pitch in notes.started] == [62]
    assert notes.ended == []
    assert tracker.chord_detector.settle_at < 9  # a soft chord is still a chord
    heard([(2.5, NoteOn(62, 5, 1)), (3.0, off(62))], tracker, ghost=30)
    assert not tracker.keys_held


def test_drums_and_held_chords_are_not_melody() -> None:
    """Guards against: a drum machine, or the hand that holds the chords, that is heard as a melody."""
    events: list[tuple[float, MidiEvent]] = [
        (1.0, on(40, 10)),
        (2.0, on(41, 4)),
        (3.0, on(42, 2)),
        (3.5, off(41, 4)),
        (3.6, off(40, 10)),
    ]
    assert heard(events).started == [(24, 41), (36, 42)]
    assert heard(events, chords=4).started == [(36, 42)]
    assert heard(events, listen=10).started == [(12, 40)]
    assert heard(events, drums=2, chords=4).started == [(12, 40)]
    assert heard(events, listen=4, chords=4).started == []


def test_all_notes_off_releases_all_keys() -> None:
    """Guards against: a DAW that stops in the middle of a note and leaves it held for ever."""
    tracker = MelodyTracker(LiveSettings(Settings(midi=MidiSettings())), EvenBars(BAR))
    notes = heard([(1, on(60)), (1.01, on(64)), (2, ControlChange(123, 0, 2)), (3, ControlChange(123, 0, 1))], tracker)
    assert [tick for tick, _ in notes.ended] == pytest.approx([36, 36], abs=0.2)
    assert not tracker.keys_held


def test_it_knows_whether_the_player_plays() -> None:
    """Guards against: an answer that begins in the middle of the player's phrase."""
    tracker = MelodyTracker(LiveSettings(Settings(midi=MidiSettings(chords=4))), EvenBars(BAR))
    keys_held = [tracker.keys_held]
    for events in (
        [(0.5, on(36, 4)), (0.9, ControlChange(PEDAL, 127, 1)), (1.0, on(60)), (1.5, on(64))],
        [(1.75, off(60))],
        [(2.0, off(64))],
    ):
        heard(events, tracker)
        keys_held.append(tracker.keys_held)
    assert keys_held == [False, True, True, False]


@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.5),
            st.builds(NoteOn, st.integers(0, 127), st.integers(1, 127), st.integers(1, 4))
            | st.builds(NoteOff, st.integers(0, 127), st.integers(1, 4))
            | st.builds(PitchBend, st.integers(-8192, 8191), st.integers(1, 4))
            | st.builds(
                ControlChange,
                st.sampled_from([1, 6, 38, 64, 100, 101, 120, 123]),
                st.integers(0, 127),
                st.integers(1, 4),
            ),
        ),
        max_size=40,
    ),
    st.integers(-24, 24),
    st.none() | st.integers(1, 4),
)
def test_any_input_gives_one_melody_in_order(
    gaps: list[tuple[float, MidiEvent]], transpose: int, chords: int | None
) -> None:
    """Guards against: wild playing that crashes it, or is heard in another order than it was played."""
    second, events = 0.0, []
    for gap, event in gaps:
        second += gap
        events.append((second, event))
    notes = heard(events, transpose=transpose, chords=chords)
    ticks = [tick for tick, _ in notes.started]
    assert ticks == sorted(ticks)
    assert all(0 <= pitch <= 127 for _, pitch in [*notes.started, *notes.ended])
    assert all(tick == int(tick) for tick in ticks)


def test_a_player_who_swings_harder_is_soon_heard_in_eighths() -> None:
    """Guards against: hard swing over a straight song that is heard, and answered, in triplets."""
    onsets = [beat + place for beat in range(1, 20) for place in (0.0, 0.66)]
    notes = heard([(onset, on(60 + number % 7)) for number, onset in enumerate(onsets)])
    places = [tick % 12 for tick, _ in notes.started]
    assert places[:2] == [0, 8]
    assert places[-20:] == [0, 6] * 10


# Transposition


def test_a_transposing_instrument_is_heard_as_it_sounds() -> None:
    """Guards against: a trumpeter's solo that is answered a tone off."""
    reports: list[Report] = []
    played = performance(midi__transpose=-2, play__mode="off").make_engine(0.0)
    played.report = reports.append
    played.receive(on(62), 1.0)
    played.receive(ChangeSettings((("midi.transpose", -9),)), 1.2)
    played.receive(off(62), 1.4)
    played.receive(on(62), 1.5)
    pitches = [report.note.pitch for report in reports if isinstance(report, NoteHeard)]
    assert pitches == [60, 60, 53]


def test_a_bar_is_written_in_the_players_key() -> None:
    """Guards against: a trumpeter who has to transpose what the log says."""
    dues = play_through(performance(play__density=4).make_engine(0.0, beats=4))
    [bar] = [due.item for due in dues if isinstance(due.item, BarPlayed)]
    transposed = replace(bar, chords=tuple(chord.transposed(2) for chord in bar.chords))
    raised = [replace(choice, pitch=choice.pitch and choice.pitch + 2) for choice in bar.choices]
    assert bar.text(-2) == replace(transposed, choices=tuple(raised)).text()
    assert "| Em7 |" in bar.text(-2)
    assert bar.text(0) == bar.text()


# The network


@dataclass
class Score:
    """Written notes, and the events with which a player plays them."""

    notes: list[LineNote]
    events: list[tuple[float, MidiEvent]]
    swing: float


@st.composite
def phrases(draw: st.DrawFn) -> Score:
    """A phrase of quarters and eighths, swung, a little early or late, some notes short and some legato.

    The swing is 0.6 at most and the error a fortieth of a beat at most, so that no eighth can mean a triplet.
    """
    swing, bpm = draw(st.floats(0.5, 0.6)), 120.0
    gaps = draw(st.lists(st.sampled_from([6, 6, 6, 12, 18]), min_size=2, max_size=16))
    tick = draw(st.sampled_from([0, 6, 12, 48, 90]))
    notes: list[LineNote] = []
    events: list[tuple[float, MidiEvent]] = []
    for number, gap in enumerate(gaps):
        pitch = draw(st.integers(45, 85))
        short = number == len(gaps) - 1 or (gap > 6 and draw(st.booleans()))
        end = tick + 6 if short else tick + gap - 1
        notes.append(LineNote(tick, end, pitch))
        early = draw(st.floats(-0.0125, 0.0125))
        events += [(seconds(tick, swing, bpm) + early, on(pitch)), (seconds(end, swing, bpm) + early / 2, off(pitch))]
        tick += gap
    return Score(notes, events, swing)


def seconds(tick: float, swing: float, bpm: float) -> float:
    """The second at which a player plays a note that is written at `tick`."""
    beat, tick_in_beat = divmod(tick, TICKS_PER_QUARTER)
    share = tick_in_beat / 6 * swing if tick_in_beat < 6 else swing + (tick_in_beat - 6) / 6 * (1 - swing)
    return 1 + (beat + share) * 60 / bpm


@settings(max_examples=40)
@given(phrases(), st.floats(-0.02, 0.02))
def test_the_network_follows_a_phrase_that_is_played_as_if_it_read_it(score: Score, off_by: float) -> None:
    """Guards against: an answer to another phrase than the one that was played, in time and in swing."""
    swing = min(0.75, max(0.5, score.swing + off_by))
    played = performance(play__mode="off", play__swing=swing).make_engine(1.0)
    for second, event in sorted(score.events, key=lambda event: event[0]):
        played.receive(event, second)
    tick = BAR * (int(score.notes[-1].end) // BAR + 1)
    _, logits = played.improviser.predict(tick)
    assert softmax(logits) == pytest.approx(offline_distribution(modern_bundle(), score.notes, tick), abs=1e-6)


@pytest.mark.parametrize("early", [0.0, 0.03, 0.045, 0.06])
@pytest.mark.parametrize("before", [[], [(0.3, on(60)), (0.9, off(60))]])
def test_the_first_note_of_a_phrase_belongs_to_the_bar_it_means(early: float, before: Events) -> None:
    """Guards against: a phrase that begins a little early and is heard in the bar before, over its chord."""
    played = performance(play__mode="off", tempo__bpm=110).make_engine(0.0)
    second = 8 * 60 / 110 - early
    for when, event in [*before, (second, on(59)), (second + 0.4, off(59))]:
        played.receive(event, when)
    note = played.improviser._line.copy().finish_at(120)[0]
    assert (note.place.tick_in_bar, note.place.chord.text, note.value.kind) == (0, "Cmaj7", "C")


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0.26, 1.3), st.integers(40, 90)), max_size=14),
    st.sampled_from(["eighth", "phrase", "beat"]),
    st.integers(0, 99),
)
def test_both_lines_enter_the_network_in_the_order_in_which_they_sounded(
    gaps: list[tuple[float, int]], rate: str, seed: int
) -> None:
    """Guards against: a network that follows another conversation than the one that took place."""
    reports: list[Report] = []
    entered: list[int] = []
    played = performance(play__rate=rate, play__seed=seed).make_engine(0.0)
    played.report = reports.append
    feed = played.improviser._update_state

    def record_and_feed(written: list[LineValue]) -> None:
        entered.extend(value.pitch for value in written if value.pitch is not None)
        feed(written)

    played.improviser._update_state = record_and_feed  # type: ignore[method-assign, assignment]
    second = 0.0
    for gap, pitch in gaps:
        second += gap
        list(played.advance(second))
        played.receive(on(pitch), second)
        list(played.advance(second + 0.2))
        played.receive(off(pitch), second + 0.2)
    list(played.advance(second + 2))
    sounded = [
        report.note.pitch
        for report in reports
        if isinstance(report, NotePlayed) or (isinstance(report, NoteHeard) and isinstance(report.note, NoteOn))
    ]
    assert entered == sounded[: len(entered)]
    assert len(sounded) - len(entered) <= 1
