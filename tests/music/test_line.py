# SPDX-License-Identifier: Apache-2.0
"""Melodic lines: the values that are written for the notes that were played."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sideman_models.music.context import EvenBars
from sideman_models.music.harmony import parse_chord
from sideman_models.music.line import LineNote, LineValue, MelodicLine, notes_to_values
from sideman_models.music.qualities import TONE_KINDS
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import DURATION_GRID, clip_interval
from support.strategies import beat_changes, lines

BAR = 48
EVEN = EvenBars(BAR)


def changes(*symbols: str) -> ChordGrid:
    """Return a grid of one chord a beat."""
    return ChordGrid(tuple(map(parse_chord, symbols)))


def texts(written: list[LineValue]) -> str:
    """Return the written form of the values."""
    return " ".join(one.value.text for one in written)


def test_a_phrase_has_the_values_that_a_musician_would_write() -> None:
    """Guards against: corpus and player described to the network in different ways."""
    notes = [
        LineNote(0, 6, 60, starts_phrase=True),
        LineNote(6, 12, 64),
        LineNote(12, 16, 62),
        LineNote(16, 20, 61),
        LineNote(20, 24, 62),
        LineNote(36, 42, 67),
    ]
    written, kept = notes_to_values(notes, changes("C"), EVEN)
    assert texts(written) == "C,0.500 C,0.500,+4 S,0.333,-2 A,0.333,-1 S,0.333,+1 R,1.000 C,0.500,+5"
    assert kept == notes


def test_rests_are_split_at_bar_lines_and_two_beats_of_rest_end_a_phrase() -> None:
    """Guards against: phrases that continue through silence, or rests that hide the bar line."""
    written, _ = notes_to_values([LineNote(36, 42, 60), LineNote(66, 72, 62)], changes("C"), EVEN)
    assert texts(written) == "C,0.500 R,0.500 R,1.500 S,0.500"
    written, _ = notes_to_values([LineNote(36, 42, 60), LineNote(60, 66, 62)], changes("C"), EVEN)
    assert texts(written) == "C,0.500 R,0.500 R,1.000 S,0.500,+2"


def test_a_phrase_begins_where_the_corpus_marks_it() -> None:
    """Guards against: a loss of the transcribed phrasing."""
    notes = [LineNote(0, 6, 60), LineNote(6, 12, 62, starts_phrase=True), LineNote(40, 46, 64, starts_phrase=False)]
    written, _ = notes_to_values(notes, changes("C"), EVEN)
    assert texts(written) == "C,0.500 S,0.500 R,2.333 C,0.500,+2"


def test_a_short_silence_belongs_to_the_note() -> None:
    """Guards against: staccato notes that become a note and a rest each."""
    written, _ = notes_to_values([LineNote(0, 9.5, 60), LineNote(12, 24, 62)], changes("C"), EVEN)
    assert texts(written) == "C,1.000 S,1.000,+2"


def test_a_very_short_note_before_a_rest_is_kept() -> None:
    """Guards against: very short notes that disappear from the corpus although there is room for them."""
    written, kept = notes_to_values([LineNote(0, 0.5, 60), LineNote(12, 18, 62)], changes("C"), EVEN)
    assert texts(written) == "C,0.167 R,0.833 S,0.500,+2"
    assert len(kept) == 2


@given(beat_changes(), lines(), st.sampled_from([36, 48, 60]))
def test_the_values_describe_the_line(chords: ChordGrid, notes: list[LineNote], bar: int) -> None:
    """Guards against: values whose kinds, intervals, places or number are not those of the music."""
    written, kept = notes_to_values(notes, chords, EvenBars(bar))
    played = [one for one in written if one.pitch is not None]
    assert [one.pitch for one in played] == [note.pitch for note in kept]
    following = iter(notes)
    assert all(any(note is other for other in following) for note in kept)  # in order, none of them twice
    previous = None
    for one in written:
        assert one.value.ticks in DURATION_GRID
        assert one.place.previous_pitch == previous
        assert 0 <= one.place.tick_in_bar < bar
        if one.pitch is None:
            assert one.value.kind == "R"
            continue
        assert one.value.kind == TONE_KINDS[one.place.chord.kind_of(one.pitch)]
        if one.value.interval is not None:
            assert previous is not None
            assert one.value.interval == clip_interval(one.pitch - previous)
        previous = one.pitch


@given(beat_changes(), lines())
def test_rests_do_not_cross_bar_lines(chords: ChordGrid, notes: list[LineNote]) -> None:
    """Guards against: rests that hide from the network where the bar begins."""
    written, _ = notes_to_values(notes, chords, EVEN)
    rests = [one for one in written if one.pitch is None]
    # One tick more is possible, because the grid may round a rest that begins off the grid.
    assert all(one.place.tick_in_bar + one.value.ticks <= BAR + 1 for one in rests)
    for rest, after in pairwise(written):
        if rest.pitch is None and after.pitch is None:
            assert after.place.tick_in_bar == 0


@given(beat_changes(), lines())
def test_positions_do_not_drift(chords: ChordGrid, notes: list[LineNote]) -> None:
    """Guards against: a line that after some choruses has moved to the wrong beat, and so to the wrong chord."""
    line = MelodicLine(chords, EVEN)
    for note in notes:
        line.add_note(note.onset, note.pitch, starts_phrase=note.starts_phrase)
        assert abs(line.position - note.onset) < 3
        line.release(note.end)


@given(beat_changes(), lines())
def test_a_heard_note_is_never_dropped(chords: ChordGrid, notes: list[LineNote]) -> None:
    """Guards against: fast notes of the player that are ignored."""
    line = MelodicLine(chords, EVEN)
    for note in notes:
        line.add_note(note.onset, note.pitch, heard=True)
        assert line.last_pitch is not None
        line.release(note.end)
    line.finish(notes[-1].end)
    assert line.dropped_notes == 0


@given(st.lists(st.integers(0, 500), min_size=1, max_size=20, unique=True).map(sorted))
def test_a_heard_note_begins_on_its_tick(ticks: list[int]) -> None:
    """Guards against: a note on the bar line placed in the previous bar if the rhythm before it fits the grid badly."""
    line, written = MelodicLine(changes("C"), EVEN), []
    for tick in ticks:
        written += line.add_note(tick, 60 + tick % 5, heard=True)
    written += line.finish(ticks[-1] + 12)
    apart = [tick for before, tick in zip([-9, *ticks], ticks, strict=False) if tick - before > 1]
    assert {tick % BAR for tick in apart} <= {one.place.tick_in_bar for one in written if one.pitch is not None}


@given(beat_changes(), lines(), st.integers(0, 23))
def test_a_copy_is_independent(chords: ChordGrid, notes: list[LineNote], cut: int) -> None:
    """Guards against: trying out the next value changes the line itself."""
    line = MelodicLine(chords, EVEN)
    copied: MelodicLine | None = None
    after: list[LineValue] = []
    for number, note in enumerate(notes):
        if number == cut:
            copied = line.copy()
            line.copy().add_note(note.onset + 100, 0)
        after += line.add_note(note.onset, note.pitch, starts_phrase=note.starts_phrase) if copied else []
        if not copied:
            line.add_note(note.onset, note.pitch, starts_phrase=note.starts_phrase)
        line.release(note.end)
    if copied is None:
        return
    again: list[LineValue] = []
    for note in notes[cut:]:
        again += copied.add_note(note.onset, note.pitch, starts_phrase=note.starts_phrase)
        copied.release(note.end)
    assert again == after


def test_a_note_that_is_cut_short_is_written_as_short() -> None:
    """Guards against: the network believes that its note continued after a change of mode had ended it."""
    line = MelodicLine(changes("C"), EVEN)
    line.add_own_note(0, 60)
    line.release(46)
    line.release(12)
    assert texts(line.finish(24)) == "C,1.000 R,1.000"
    line.add_own_note(24, 62)
    line.release(30)
    line.release(36)
    assert texts(line.finish(36)) == "S,0.500,+2 R,0.500"
