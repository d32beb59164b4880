# SPDX-License-Identifier: Apache-2.0
"""The solos of the Weimar Jazz Database.

It comes as one JSON object a line (`.jsonl`, `.jsonl.gz`), whose `note_fields` and `beat_fields` name the columns of
its `notes` and `beats`. What is taken from it, and why:

- The solos in 4/4 with a swing feel; of these not the ones that name no chord at all. If asked for, those in 4/4 of
  other feels too (two-beat, latin, funk, ballad …), marked as foreign.
- An onset is where the transcribers wrote it (bar, beat, tatum of division), not when it sounded: swung eighths are
  eighths there, and every ninth note sounds before its own beat.
- A note ends before the next onset by the silence between the two, in seconds over those of its beat. (Its own length
  would not do: the second of two swung eighths is short, but no rest follows it.)
- A note's chord is that of its bar and beat. The chord beside the note itself is one beat old where the note sounded
  early.
- Bars are laid four beats apart whatever they hold: a bar of three beats leaves a gap, the notes of a fifth beat fall
  out, and all other bars stay in step with the metre. Where every beat was counted as a bar of its own, four of them
  make a bar, the first beat of bar 1 being a downbeat.
- Beats marked NC keep no chord, as they would live. So does a symbol that cannot be read; the facts tell which.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

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
"""How such a file's name ends."""

T = TypeVar("T")


def read_solos(path: Path, left_out: Counter[str] | None = None, *, all_feels: bool = False) -> Iterator[Solo]:
    """The 4/4 swing solos of a database file, or the 4/4 solos of `all_feels`, in order.

    `left_out` counts the others by reason.

    Raises `CorpusError` naming the file and the line.
    """
    reasons: Counter[str] = Counter() if left_out is None else left_out
    for _, solo in _records(path, all_feels=all_feels):
        if isinstance(solo, str):
            reasons[solo] += 1
        else:
            yield solo


def read_bass_lines(path: Path) -> Iterator[tuple[Solo, list[tuple[int, int]]]]:
    """The solos that `read_solos` gives, each with what the bass plays under it: (beat from the top, MIDI pitch).

    Raises `CorpusError` as `read_solos` does, and where the database does not tell the bass.
    """
    for record, solo in _records(path):
        if not isinstance(solo, str):
            yield solo, record.bass_line()


def _records(path: Path, *, all_feels: bool = False) -> Iterator[tuple[_Record, Solo | str]]:
    """Every line, with its solo or why it is left out."""
    for number, line in numbered_lines(path):
        if line.strip():
            where = f"{printable(path)}:{number}"
            record = _Record(where, _parse_object(where, line))
            yield record, record.reason_left_out(all_feels=all_feels) or record.solo()


def _parse_object(where: str, line: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where}: not a JSON object: {error}") from error
    if not isinstance(record, dict):
        raise CorpusError(f"{where}: not a JSON object but a {type(record).__name__}")
    return record


@dataclass(frozen=True, slots=True)
class _BeatRow:
    """A row of `beats`: how many beats its bar was counted in, and its chord symbol."""

    bar: int
    beat: int
    period: int
    chord: str


@dataclass(frozen=True, slots=True)
class _BassBeatRow(_BeatRow):
    """The same, with what the bass plays, where that could be heard."""

    bass_midi: int | None


@dataclass(frozen=True, slots=True)
class _NoteRow:
    """A row of `notes`; tatum 1 of `division` falls on the beat."""

    bar: int
    beat: int
    tatum: int
    division: int
    onset_s: float
    duration_s: float
    beat_duration_s: float
    midi_pitch: int
    phrase_begin: int


class _OptionalPitch:
    """The type of a column of whole numbers that may lack some."""


_BEAT_TYPES: dict[str, type] = {"bar": int, "beat": int, "period": int, "chord": str}
_NOTE_TYPES: dict[str, type] = {
    "bar": int,
    "beat": int,
    "tatum": int,
    "division": int,
    "onset_s": float,
    "duration_s": float,
    "beat_duration_s": float,
    "midi_pitch": int,
    "phrase_begin": int,
}
_MAX_BAR = 100_000


@dataclass(frozen=True, slots=True)
class _Record:
    """One line of the database, and where it stands."""

    location: str
    raw: Mapping[str, Any]

    def reason_left_out(self, *, all_feels: bool) -> str | None:
        """Why this solo is not for us, if so."""
        if self._text_field("signature") != "4/4":
            return "not in 4/4"
        return None if all_feels or self._is_swing else "not swing"

    @property
    def _is_swing(self) -> bool:
        return self._text_field("rhythmfeel") == "SWING"

    def solo(self) -> Solo | str:
        """The solo, or why it is left out."""
        beats = self._read_table("beats", "beat_fields", _BEAT_TYPES, _BeatRow)
        notes = self._read_table("notes", "note_fields", _NOTE_TYPES, _NoteRow)
        if not beats or not notes:
            return "empty"
        if all(beat.chord in ("NC", "") for beat in beats):
            return "without chords"
        metre = _BeatGrid.of(beats)
        chords, unread = _chord_grid(metre, beats)
        placed = [(self._onset(row, note, metre), note) for row, note in enumerate(notes)]
        kept = sorted(((onset, note) for onset, note in placed if onset is not None), key=lambda one: one[0])
        lines = tuple(_notes_with_ends(kept))
        fallen = len(notes) - len(lines)
        return Solo(
            self._text_field("title"),
            self._text_field("performer"),
            lines,
            chords,
            BAR_TICKS,
            fallen,
            unread,
            not self._is_swing,
        )

    def bass_line(self) -> list[tuple[int, int]]:
        """(beat from the top, pitch) where the bass is known."""
        beats = self._read_table("beats", "beat_fields", {**_BEAT_TYPES, "bass_midi": _OptionalPitch}, _BassBeatRow)
        metre = _BeatGrid.of(beats)
        known = [(beat, beat.bass_midi) for beat in beats if metre.has_beat(beat.beat)]
        return [(metre.beat_number(beat.bar, beat.beat), pitch) for beat, pitch in known if pitch is not None]

    def _onset(self, row: int, note: _NoteRow, metre: _BeatGrid) -> float | None:
        """Ticks from the top, or None for a beat that the metre does not have."""
        if note.division < 1 or not 1 <= note.tatum <= note.division:
            raise CorpusError(f"{self.location}: notes[{row}]: there is no tatum {note.tatum} of {note.division}")
        if not 0 <= note.midi_pitch <= 127:
            raise CorpusError(f"{self.location}: notes[{row}]: midi_pitch: {note.midi_pitch} is not a pitch (0 to 127)")
        if note.beat_duration_s <= 0 or note.duration_s < 0:
            raise CorpusError(f"{self.location}: notes[{row}]: a length of time is not positive")
        if not metre.has_beat(note.beat):
            return None
        return TICKS_PER_QUARTER * (metre.beat_number(note.bar, note.beat) + (note.tatum - 1) / note.division)

    def _text_field(self, key: str) -> str:
        value = self.raw.get(key)
        if not isinstance(value, str):
            raise CorpusError(f"{self.location}: {key}: {'missing' if value is None else 'not a text'}")
        return printable(value)

    def _read_table(self, key: str, fields_key: str, types: Mapping[str, type], row_type: Callable[..., T]) -> list[T]:
        columns = self._column_indices(fields_key, types)
        rows = self.raw.get(key)
        if not isinstance(rows, list):
            raise CorpusError(f"{self.location}: {key}: {'missing' if rows is None else 'not a list'}")
        return [row_type(**self._read_row(f"{key}[{number}]", row, columns, types)) for number, row in enumerate(rows)]

    def _column_indices(self, fields_key: str, types: Mapping[str, type]) -> dict[str, int]:
        fields = self.raw.get(fields_key)
        if not isinstance(fields, list):
            raise CorpusError(f"{self.location}: {fields_key}: {'missing' if fields is None else 'not a list'}")
        missing = [name for name in types if name not in fields]
        if missing:
            raise CorpusError(f"{self.location}: {fields_key}: no column {missing[0]!r}")
        return {name: fields.index(name) for name in types}

    def _read_row(
        self, what: str, row: object, columns: Mapping[str, int], types: Mapping[str, type]
    ) -> dict[str, Any]:
        if not isinstance(row, list) or len(row) <= max(columns.values()):
            raise CorpusError(f"{self.location}: {what}: not a list of all its columns")
        cells = {name: row[column] for name, column in columns.items()}
        for name, cell in cells.items():
            if not _is_of_type(cell, types[name]):
                raise CorpusError(f"{self.location}: {what}: {name}: {cell!r} is not {_TYPE_NAMES[types[name]]}")
        if abs(cells["bar"]) > _MAX_BAR:
            raise CorpusError(f"{self.location}: {what}: bar: {cells['bar']} is too far away")
        return cells


_TYPE_NAMES = {int: "a whole number", _OptionalPitch: "a whole number or null", float: "a number", str: "a text"}


def _is_of_type(cell: object, kind: type) -> bool:
    if isinstance(cell, bool):
        return False
    if kind is _OptionalPitch:
        return cell is None or (isinstance(cell, int) and 0 <= cell <= 127)
    if kind is float:
        return isinstance(cell, int | float) and abs(cell) < 1e6
    return isinstance(cell, kind)


@dataclass(frozen=True, slots=True)
class _BeatGrid:
    """Where bars and beats fall: beats are counted from the downbeat of the first bar used."""

    each_beat_is_a_bar: bool
    first_beat: int

    @classmethod
    def of(cls, beats: Sequence[_BeatRow]) -> _BeatGrid:
        counted = cls(all(beat.period == 1 for beat in beats), 0)
        earliest = min(counted.beat_number(beat.bar, beat.beat) for beat in beats)
        return cls(counted.each_beat_is_a_bar, BEATS_PER_BAR * (earliest // BEATS_PER_BAR))

    def has_beat(self, beat: int) -> bool:
        """Whether a bar of ours has such a beat."""
        return 1 <= beat <= (1 if self.each_beat_is_a_bar else BEATS_PER_BAR)

    def beat_number(self, bar: int, beat: int) -> int:
        """Beats from the top to a beat of a bar."""
        return (bar - 1) * (1 if self.each_beat_is_a_bar else BEATS_PER_BAR) + beat - 1 - self.first_beat


def _notes_with_ends(placed: Sequence[tuple[float, _NoteRow]]) -> Iterator[LineNote]:
    """Notes with their ends, from notes with their onsets."""
    for (onset, note), after in zip(placed, [*placed[1:], None], strict=True):
        if after is None:
            end = onset + TICKS_PER_QUARTER * note.duration_s / note.beat_duration_s
        else:
            silence = after[1].onset_s - note.onset_s - note.duration_s
            end = after[0] - TICKS_PER_QUARTER * max(0.0, silence) / note.beat_duration_s
        yield LineNote(onset, max(onset, end), note.midi_pitch, bool(note.phrase_begin))


def _chord_grid(metre: _BeatGrid, beats: Sequence[_BeatRow]) -> tuple[ChordGrid, tuple[str, ...]]:
    """The chords beat by beat, and the symbols that could not be read."""
    told = {metre.beat_number(beat.bar, beat.beat): beat.chord for beat in beats if metre.has_beat(beat.beat)}
    unread: set[str] = set()
    chords: list[Chord] = []
    latest = told[min(told)]
    for beat in range(max(told) + 1):
        latest = told.get(beat, latest)
        chords.append(_read_chord(latest, unread))
    return ChordGrid(tuple(chords)), tuple(sorted(unread))


def _read_chord(text: str, unread: set[str]) -> Chord:
    if text in ("", "NC"):
        return NO_CHORD
    try:
        return parse_chord(text)
    except ChordError:
        unread.add(text)
        return NO_CHORD
