# SPDX-License-Identifier: Apache-2.0
"""Reads the solos of the Weimar Jazz Database.

The database is a file with one JSON object a line (`.jsonl`, `.jsonl.gz`). The keys `note_fields` and `beat_fields`
name the columns of its `notes` and `beats`. These rules say what is read, and why:

- The solos in 4/4 with a swing feel, except those without any chord. On request also the solos in 4/4 with other feels
  (two-beat, latin, funk, ballad …), which are marked as such.
- An onset is where the transcribers wrote it (bar, beat, tatum of the division), not when it sounded: there swung
  eighths are eighths, and one note in nine sounds before its own beat.
- A note ends before the next onset by the silence between the two, converted from seconds with the duration of its
  beat. (The length of the note itself would be wrong: the second of two swung eighths is short, but no rest follows
  it.)
- The chord of a note is that of its bar and beat. The chord in the row of the note is one beat late if the note sounded
  early.
- Bars are four beats apart, whatever they contain: a bar of three beats leaves a gap, the notes of a fifth beat are
  dropped, and all other bars stay aligned. If each beat was counted as a bar of its own, four of them make a bar, and
  the first beat of bar 1 is a downbeat.
- The loudness of a note is its `loud_median`. Its delay is the time from its written place to its onset in beats: the
  written place lies between the onset of its beat and that of the next, as transcribed, in a straight beat. A note a
  quarter of a beat or more from there was not meant for this place, so its delay is not known. Both are for touch and
  placement; where the database has no such columns, they are not known.
- Beats marked NC have no chord, as in live playing. The same holds for a symbol that cannot be read; the facts of the
  corpus list these symbols.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from sideman_models.errors import ChordError, CorpusError
from sideman_models.files import numbered_lines
from sideman_models.music.harmony import NO_CHORD, Chord, parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import BAR_TICKS, BEATS_PER_BAR, ChordGrid, Solo
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.text import printable

WEIMAR_CITATION = (
    "Weimar Jazz Database (Pfleiderer, Frieler, Abeßer, Zaddach, Burkhart et al., 2017), "
    "https://jazzomat.hfm-weimar.de: database under ODbL 1.0, its contents under DbCL 1.0; "
    "its authors have also released the event data under MIT"
)

DATABASE_SUFFIXES = (".jsonl", ".jsonl.gz")
"""The suffixes of database files."""

Feels = Literal["swing", "all", "latin", "ballad"]
"""Which solos are read: see `read_solos`."""

BALLAD_BPM = 100.0
"""A solo that is slower than this is read as a ballad, whatever the database calls it."""

_MAX_DELAY_BEATS = 0.25
T = TypeVar("T")
# A grid has a chord for each beat from its first bar to its last one, so a row far away would make it large.
_Bar = Annotated[int, Meta(ge=-10_000, le=10_000)]
_Beat = Annotated[int, Meta(ge=-100, le=100)]
_Pitch = Annotated[int, Meta(ge=0, le=127)]


def read_solos(path: Path, left_out: Counter[str] | None = None, feels: Feels = "swing") -> Iterator[Solo]:
    """Yield the 4/4 solos of a database file with these `feels`, in order.

    With `all`, those that do not swing are marked as of another feel. `latin` are those that are latin at least in
    part, `ballad` the ballads and what else is slower than `BALLAD_BPM`; neither is marked. `left_out` counts the other
    solos by reason. Raises `CorpusError`, which names the file and the line.
    """
    for _, solo in _records(path, feels):
        if not isinstance(solo, str):
            yield solo
        elif left_out is not None:
            left_out[solo] += 1


def read_bass_lines(path: Path) -> Iterator[tuple[Solo, list[tuple[int, int]]]]:
    """Yield the solos that `read_solos` yields, each with its bass line as (beat from the top, MIDI pitch).

    Raises `CorpusError` as `read_solos` does, and if the database has no column for the bass.
    """
    for record, solo in _records(path):
        if not isinstance(solo, str):
            yield solo, record.bass_line()


def _records(path: Path, feels: Feels = "swing") -> Iterator[tuple[_Record, Solo | str]]:
    """Yield each line, with its solo or the reason why it is left out."""
    for number, line in numbered_lines(path):
        if line.strip():
            where = f"{printable(path)}:{number}"
            try:
                raw = json.loads(line, parse_constant=_refuse_constant)
                record = msgspec.convert({**raw, "location": where} if isinstance(raw, dict) else raw, _Record)
            except (ValueError, RecursionError) as error:
                raise CorpusError(f"{where}: not a JSON object: {error}") from error
            except msgspec.ValidationError as error:
                raise CorpusError(f"{where}: {error}") from error
            yield record, record.solo(feels)


def _refuse_constant(name: str) -> None:
    """Refuse what Python reads as JSON although it is none: NaN and the infinities."""
    raise ValueError(f"{name} is not a number")


class _BeatRow(msgspec.Struct, frozen=True):
    """A row of `beats`: `period` is the number of beats of its bar."""

    bar: _Bar
    beat: _Beat
    period: int
    chord: str
    onset_s: Annotated[float, Meta(gt=-1e6, lt=1e6)] | None = None


class _BassBeatRow(_BeatRow, frozen=True, kw_only=True):
    """The same row with the pitch of the bass, if it could be heard."""

    bass_midi: _Pitch | None


class _NoteRow(msgspec.Struct, frozen=True):
    """A row of `notes`. Tatum 1 of `division` is on the beat."""

    bar: _Bar
    beat: _Beat
    tatum: Annotated[int, Meta(ge=1)]
    division: Annotated[int, Meta(ge=1)]
    onset_s: Annotated[float, Meta(gt=-1e6, lt=1e6)]
    duration_s: Annotated[float, Meta(ge=0, lt=1e6)]
    beat_duration_s: Annotated[float, Meta(gt=0, lt=1e6)]
    midi_pitch: _Pitch
    phrase_begin: int
    loud_median: Annotated[float, Meta(gt=-1e3, lt=1e3)] | None = None


class _Record(msgspec.Struct, frozen=True):
    """One line of the database, and its location for errors."""

    location: str
    title: str
    performer: str
    signature: str
    rhythmfeel: str
    note_fields: list[str]
    notes: list[list[Any]]
    beat_fields: list[str]
    beats: list[list[Any]]

    def solo(self, feels: Feels) -> Solo | str:
        """Return the solo, or the reason why it is left out."""
        if reason := self._reason_to_leave_out(feels):
            return reason
        beats = self._read_table("beats", self.beat_fields, self.beats, list[_BeatRow])
        notes = self._read_table("notes", self.note_fields, self.notes, list[_NoteRow])
        if not beats or not notes:
            return "empty"
        bpm = 60.0 / median(note.beat_duration_s for note in notes)
        if feels == "ballad" and self.rhythmfeel != "BALLAD" and bpm >= BALLAD_BPM:
            return "not a ballad"
        if all(beat.chord in ("NC", "") for beat in beats):
            return "without chords"
        grid = _BeatGrid(beats)
        symbols = {at: beat.chord for beat in beats if (at := grid.beat_number(beat)) is not None}
        if not symbols:
            raise CorpusError(f"{self.location}: beats: none of them lies in a bar")
        chords, unread = _chord_grid(symbols)
        on_grid: list[tuple[float, _NoteRow]] = []
        for row, note in enumerate(notes):
            if note.tatum > note.division:
                raise CorpusError(f"{self.location}: notes[{row}]: there is no tatum {note.tatum} of {note.division}")
            if (beat := grid.beat_number(note)) is not None:
                on_grid.append((TICKS_PER_QUARTER * (beat + (note.tatum - 1) / note.division), note))
        if not on_grid:
            return "without notes on their beats"
        on_grid.sort(key=lambda one: one[0])
        starts = {(beat.bar, beat.beat): beat.onset_s for beat in beats if beat.onset_s is not None}
        placed = tuple(_notes_with_ends(on_grid, starts))
        title, performer = printable(self.title), printable(self.performer)
        unplaced = len(notes) - len(placed)
        other_feel = feels == "all" and self.rhythmfeel != "SWING"
        return Solo(title, performer, placed, chords, BAR_TICKS, unplaced, unread, other_feel, bpm)

    def _reason_to_leave_out(self, feels: Feels) -> str:
        """Return why its meter or its feel does not fit, empty if both do."""
        if self.signature != "4/4":
            return "not in 4/4"
        if feels == "swing" and self.rhythmfeel != "SWING":
            return "not swing"
        return "not latin" if feels == "latin" and "LATIN" not in self.rhythmfeel else ""

    def bass_line(self) -> list[tuple[int, int]]:
        """Return (beat from the top, pitch) for each beat whose bass is known."""
        beats = self._read_table("beats", self.beat_fields, self.beats, list[_BassBeatRow])
        grid = _BeatGrid(beats)
        known = [(grid.beat_number(beat), beat.bass_midi) for beat in beats]
        return [(beat, pitch) for beat, pitch in known if beat is not None and pitch is not None]

    def _read_table(self, key: str, fields: list[str], rows: list[list[Any]], row_types: type[list[T]]) -> list[T]:
        try:
            return msgspec.convert([dict(zip(fields, row, strict=False)) for row in rows], row_types)
        except msgspec.ValidationError as error:
            raise CorpusError(f"{self.location}: {key}: {error}") from error


class _BeatGrid:
    """The positions of bars and beats. Beats are counted from the downbeat of the first bar that is used."""

    def __init__(self, beats: Sequence[_BeatRow]) -> None:
        self._bar_beats = 1 if all(beat.period == 1 for beat in beats) else BEATS_PER_BAR
        earliest = min((beat.bar - 1) * self._bar_beats + beat.beat - 1 for beat in beats)
        self._first_beat = BEATS_PER_BAR * (earliest // BEATS_PER_BAR)

    def beat_number(self, row: _BeatRow | _NoteRow) -> int | None:
        """Return the number of beats from the top to the beat of a row, or None if no bar of this grid has it."""
        if not 1 <= row.beat <= self._bar_beats:
            return None
        return (row.bar - 1) * self._bar_beats + row.beat - 1 - self._first_beat


def _notes_with_ends(
    placed: Sequence[tuple[float, _NoteRow]], beat_starts: Mapping[tuple[int, int], float]
) -> Iterator[LineNote]:
    """Yield the notes with their ends, from rows with their onsets in order; `beat_starts` in seconds by bar, beat."""
    for (onset, note), after in zip(placed, [*placed[1:], None], strict=True):
        if after is None:
            end = onset + TICKS_PER_QUARTER * note.duration_s / note.beat_duration_s
        else:
            silence = after[1].onset_s - note.onset_s - note.duration_s
            end = after[0] - TICKS_PER_QUARTER * max(0.0, silence) / note.beat_duration_s
        delay = None
        if (start := beat_starts.get((note.bar, note.beat))) is not None:
            beats = (note.onset_s - start) / note.beat_duration_s - (note.tatum - 1) / note.division
            delay = beats if abs(beats) < _MAX_DELAY_BEATS else None
        phrase_begin = bool(note.phrase_begin)
        yield LineNote(onset, max(onset, end), note.midi_pitch, phrase_begin, note.loud_median, delay)


def _chord_grid(symbols: Mapping[int, str]) -> tuple[ChordGrid, tuple[str, ...]]:
    """Return the chords beat by beat, from the symbols by their beats, and the symbols that could not be read."""
    unread: set[str] = set()
    chords: list[Chord] = []
    latest = symbols[min(symbols)]
    for beat in range(max(symbols) + 1):
        latest = symbols.get(beat, latest)
        try:
            chords.append(NO_CHORD if latest in ("", "NC") else parse_chord(latest))
        except ChordError:
            unread.add(latest)
            chords.append(NO_CHORD)
    return ChordGrid(tuple(chords)), tuple(sorted(unread))
