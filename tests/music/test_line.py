# SPDX-License-Identifier: Apache-2.0
"""The line: what is written for what was played."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sideman_models.music.context import EvenBars
from sideman_models.music.harmony import TONE_KINDS, parse_chord
from sideman_models.music.line import LineNote, LineValue, MelodicLine, notes_to_values
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import DURATION_GRID, clip_interval
from support.strategies import beat_changes, lines

BAR = 48
EVEN = EvenBars(BAR)


def changes(*symbols: str) -> ChordGrid:
    """A chord a beat."""
    return ChordGrid(tuple(map(parse_chord, symbols)))


def texts(written: list[LineValue]) -> str:
    """The values as a person reads them."""
    return " ".join(one.value.text for one in written)


def test_a_phrase_is_written_as_one_would_write_it() -> None:
    """Corpus and player would be told to the network in other words than these."""
    notes = [
        LineNote(0, 6, 60, starts_phrase=True),
        LineNote(6, 12, 64),
        LineNote(12, 16, 62),
        LineNote(16, 20, 61),
        LineNote(20, 24, 62),
        LineNote(36, 42, 67),
    ]
    written, dropped = notes_to_values(notes, changes("C"), EVEN)
    assert texts(written) == "C,0.500 C,0.500,+4 S,0.333,-2 A,0.333,-1 S,0.333,+1 R,1.000 C,0.500,+5"
    assert dropped == 0


def test_rests_are_parted_at_bar_lines_and_two_beats_of_them_end_a_phrase() -> None:
    """Phrases would run on through silence, or rests would hide where the bar begins."""
    written, _ = notes_to_values([LineNote(36, 42, 60), LineNote(66, 72, 62)], changes("C"), EVEN)
    assert texts(written) == "C,0.500 R,0.500 R,1.500 S,0.500"
    written, _ = notes_to_values([LineNote(36, 42, 60), LineNote(60, 66, 62)], changes("C"), EVEN)
    assert texts(written) == "C,0.500 R,0.500 R,1.000 S,0.500,+2"


def test_a_mark_of_the_corpus_settles_where_a_phrase_begins() -> None:
    """Transcribed phrasing would be lost."""
    notes = [LineNote(0, 6, 60), LineNote(6, 12, 62, starts_phrase=True), LineNote(40, 46, 64, starts_phrase=False)]
    written, _ = notes_to_values(notes, changes("C"), EVEN)
    assert texts(written) == "C,0.500 S,0.500 R,2.333 C,0.500,+2"


def test_a_short_silence_belongs_to_the_note() -> None:
    """Every staccato note would become a note and a rest."""
    written, _ = notes_to_values([LineNote(0, 9.5, 60), LineNote(12, 24, 62)], changes("C"), EVEN)
    assert texts(written) == "C,1.000 S,1.000,+2"


def test_a_note_clipped_short_before_a_rest_is_kept() -> None:
    """Very short notes would vanish from the corpus although there is all the room in the world."""
    written, dropped = notes_to_values([LineNote(0, 0.5, 60), LineNote(12, 18, 62)], changes("C"), EVEN)
    assert texts(written) == "C,0.167 R,0.833 S,0.500,+2"
    assert dropped == 0


@given(beat_changes(), lines(), st.sampled_from([36, 48, 60]))
def test_the_values_tell_the_line(chords: ChordGrid, notes: list[LineNote], bar: int) -> None:
    """Kinds, intervals, places and counts in the corpus would not be those of the music."""
    written, dropped = notes_to_values(notes, chords, EvenBars(bar))
    played = [one for one in written if one.pitch is not None]
    assert len(played) + dropped == len(notes)
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
    """The network would not hear where the bar begins."""
    written, _ = notes_to_values(notes, chords, EVEN)
    rests = [one for one in written if one.pitch is None]
    assert all(
        one.place.tick_in_bar + one.value.ticks <= BAR + 1 for one in rests
    )  # from an odd place the grid may round
    for rest, after in pairwise(written):
        if rest.pitch is None and after.pitch is None:
            assert after.place.tick_in_bar == 0


@given(beat_changes(), lines())
def test_nothing_drifts(chords: ChordGrid, notes: list[LineNote]) -> None:
    """After some choruses the network would be told the wrong beat, and so the wrong chord."""
    line = MelodicLine(chords, EVEN)
    for note in notes:
        line.add_note(note.onset, note.pitch, starts_phrase=note.starts_phrase)
        assert abs(line.position - note.onset) < 3
        line.release(note.end)


@given(beat_changes(), lines())
def test_a_note_heard_never_falls_out(chords: ChordGrid, notes: list[LineNote]) -> None:
    """A fast player's notes would go unheard."""
    line = MelodicLine(chords, EVEN)
    for note in notes:
        line.add_note(note.onset, note.pitch, heard=True)
        assert line.last_pitch is not None
        line.release(note.end)
    line.finish(notes[-1].end)
    assert line.dropped_notes == 0


@given(st.lists(st.integers(0, 500), min_size=1, max_size=20, unique=True).map(sorted))
def test_a_note_heard_begins_on_its_tick(ticks: list[int]) -> None:
    """A note on the bar line would be heard in the bar before when the rhythm before it fits the grid badly."""
    line, written = MelodicLine(changes("C"), EVEN), []
    for tick in ticks:
        written += line.add_note(tick, 60 + tick % 5, heard=True)
    written += line.finish(ticks[-1] + 12)
    apart = [tick for before, tick in zip([-9, *ticks], ticks, strict=False) if tick - before > 1]
    assert {tick % BAR for tick in apart} <= {one.place.tick_in_bar for one in written if one.pitch is not None}


@given(beat_changes(), lines(), st.integers(0, 23))
def test_a_copy_goes_on_by_itself(chords: ChordGrid, notes: list[LineNote], cut: int) -> None:
    """Trying out what comes next would change what has been."""
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


def test_a_note_cut_short_is_written_as_short() -> None:
    """The network would believe that its note went on after a change of mode had ended it."""
    line = MelodicLine(changes("C"), EVEN)
    line.add_own_note(0, 60)
    line.release(46)
    line.cut_note(12)
    assert texts(line.finish(24)) == "C,1.000 R,1.000"
    line.add_own_note(24, 62)
    line.release(30)
    line.cut_note(36)
    assert texts(line.finish(36)) == "S,0.500,+2 R,0.500"
