# SPDX-License-Identifier: Apache-2.0
"""Music to learn from: the solos of the Weimar Jazz Database, and plain value files.

**The database** comes as one JSON object a line (`.jsonl`, `.jsonl.gz`), whose `note_fields` and `beat_fields` name the
columns of its `notes` and `beats`. What is taken from it, and why:

- The solos in 4/4 with a swing feel; of these not the ones that name no chord at all.
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

**A value file** is text: a piece a line, its values parted by spaces. It knows no chords, so no context either.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sideman_models.context import Place
from sideman_models.errors import ChordError, CorpusError, ValueTextError
from sideman_models.harmony import NO_CHORD, Chord, parse_chord
from sideman_models.line import LineNote, write_line
from sideman_models.values import TICKS, Value, parse_value

BEATS = 4
BAR_TICKS = BEATS * TICKS
DATABASE = (".jsonl", ".jsonl.gz")
_UNSEEN_SHARE = 10
_LONGEST_LINE = 1 << 26

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BeatChanges:
    """Chords told beat by beat; the first also holds before, the last also after. See `context.Changes`."""

    chords: tuple[Chord, ...]
    _change: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note for every beat where the next different chord begins (the number of beats: nowhere)."""
        change = [len(self.chords)] * len(self.chords)
        for beat in range(len(self.chords) - 2, -1, -1):
            same = self.chords[beat] == self.chords[beat + 1]
            change[beat] = change[beat + 1] if same else beat + 1
        object.__setattr__(self, "_change", tuple(change))

    def chord_at(self, beat: float) -> Chord:
        """The chord that sounds at `beat`."""
        return self.chords[self._clamp(beat)]

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """The next different chord, and the beats until it (infinite: the last one stays)."""
        at = self._change[self._clamp(beat)]
        if at == len(self.chords):
            return self.chords[-1], float("inf")
        return self.chords[at], at - beat

    def _clamp(self, beat: float) -> int:
        return max(0, min(len(self.chords) - 1, int(beat)))


@dataclass(frozen=True, slots=True)
class Solo:
    """A transcribed solo: its notes in order of onset, over the changes of the tune, in bars of `bar_ticks`.

    `fallen` counts notes that have no place in the metre; `unread` holds the chord symbols that could not be read.
    """

    title: str
    performer: str
    notes: tuple[LineNote, ...]
    changes: BeatChanges
    bar_ticks: int = BAR_TICKS
    fallen: int = 0
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A line of values. Where it comes from a solo: the place and the pitch (None: a rest) of each, and the solo.

    `notes` were in the source, of which `dropped` fell out.
    """

    title: str
    performer: str
    values: tuple[Value, ...]
    places: tuple[Place, ...] | None = None
    pitches: tuple[int | None, ...] | None = None
    notes: int = 0
    dropped: int = 0
    solo: Solo | None = None


WEIMAR = (
    "Weimar Jazz Database (Pfleiderer, Frieler, Abeßer, Zaddach, Burkhart et al., 2017), "
    "https://jazzomat.hfm-weimar.de: database under ODbL 1.0, its contents under DbCL 1.0; "
    "its authors have also released the event data under MIT"
)


@dataclass(slots=True)
class Corpus:
    """Pieces, and where they come from.

    `left_out` counts solos that were not taken, by reason; `files` holds the sha256 of each file by its name; `sources`
    what is known of their origin and licence.
    """

    pieces: list[Piece] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)

    def split(self) -> tuple[list[Piece], list[Piece]]:
        """The pieces to learn from, and those of `unseen` titles."""
        kept = [piece for piece in self.pieces if piece.values]
        return [one for one in kept if not unseen(one.title)], [one for one in kept if unseen(one.title)]


def read(paths: Iterable[Path]) -> Corpus:
    """All pieces of the files, in order. Raises `CorpusError` naming the file and the line, and if there are none."""
    corpus = Corpus()
    for path in paths:
        if path.name.endswith(DATABASE):
            solos = read_solos(path, corpus.left_out)
            corpus.pieces += [write(solo) for solo in solos]
            source = WEIMAR
        else:
            corpus.pieces += read_values(path)
            source = f"{path.name}: a value file, its origin and licence not known to the program"
        corpus.files[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        corpus.sources += [] if source in corpus.sources else [source]
    if not corpus.pieces:
        reasons = ", ".join(f"{count} {reason}" for reason, count in corpus.left_out.items())
        raise CorpusError("no piece to learn from" + (f" (left out: {reasons})" if reasons else ""))
    return corpus


def write(solo: Solo) -> Piece:
    """The solo as values."""
    written, dropped = write_line(solo.notes, solo.changes, solo.bar_ticks)
    return Piece(
        solo.title,
        solo.performer,
        tuple(one.value for one in written),
        tuple(one.place for one in written),
        tuple(one.pitch for one in written),
        len(solo.notes) + solo.fallen,
        dropped + solo.fallen,
        solo,
    )


def unseen(title: str) -> bool:
    """Whether pieces of this title are kept from training, to measure on: a tenth of all titles, the same for ever.

    The split is by title, so that no tune is on both sides, whoever plays it.
    """
    words = " ".join(title.lower().split())
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4]) % _UNSEEN_SHARE == 0


def facts(corpus: Corpus) -> dict[str, Any]:
    """What the corpus holds, as plain JSON."""
    values = [value for piece in corpus.pieces for value in piece.values]
    texts = [value.text for value in values]
    notes, dropped = (sum(getattr(piece, name) for piece in corpus.pieces) for name in ("notes", "dropped"))
    kinds, durations = Counter(value.kind for value in values), Counter(value.ticks for value in values)
    return {
        "pieces": len(corpus.pieces),
        "titles": len({piece.title for piece in corpus.pieces}),
        "left_out": dict(corpus.left_out),
        "unread_chords": sorted({text for piece in corpus.pieces if piece.solo for text in piece.solo.unread}),
        "notes": notes,
        "dropped": dropped,
        "dropped_share": round(dropped / notes, 4) if notes else 0.0,
        "values": len(values),
        "different_values": len(set(values)),
        "kinds": {kind: kinds[kind] for kind in "CSAXR" if kinds[kind]},
        "durations": {f"{ticks / TICKS:.3f}": count for ticks, count in sorted(durations.items())},
        "values_sha256": _sha256(texts),
        "different_values_sha256": _sha256(sorted(set(texts))),
    }


def _sha256(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def read_values(path: Path) -> list[Piece]:
    """The pieces of a value file: a piece a line, values parted by spaces; empty lines are skipped.

    Raises `CorpusError` naming the file and the line.
    """
    pieces = []
    for number, line in _lines(path):
        if not (texts := line.split()):
            continue
        try:
            values = tuple(parse_value(text) for text in texts)
        except ValueTextError as error:
            raise CorpusError(f"{path}:{number}: {error}") from error
        notes = sum(value.kind != "R" for value in values)
        pieces.append(Piece(f"{path.name}:{number}", "", values, notes=notes))
    return pieces


def read_solos(path: Path, left_out: Counter[str] | None = None) -> Iterator[Solo]:
    """The 4/4 swing solos of a database file, in order; `left_out` counts the others by reason.

    Raises `CorpusError` naming the file and the line.
    """
    reasons: Counter[str] = Counter() if left_out is None else left_out
    for number, line in _lines(path):
        if not line.strip():
            continue
        record = _Record(f"{path}:{number}", _object(f"{path}:{number}", line))
        solo = record.reason_against() or record.solo()
        if isinstance(solo, str):
            reasons[solo] += 1
        else:
            yield solo


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a text file, which may be gzipped."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise CorpusError(f"{path}:{number}: longer than {_LONGEST_LINE >> 20} MiB")
                yield number, line.decode()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}:{number}: not text in UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{path}:{number + 1}: the compressed file is broken here: {error}") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error


def _object(where: str, line: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where}: not a JSON object: {error}") from error
    if not isinstance(record, dict):
        raise CorpusError(f"{where}: not a JSON object but a {type(record).__name__}")
    return record


@dataclass(frozen=True, slots=True)
class _Beat:
    """A row of `beats`: how many beats its bar was counted in, and its chord symbol."""

    bar: int
    beat: int
    period: int
    chord: str


@dataclass(frozen=True, slots=True)
class _Note:
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
_FARTHEST_BAR = 100_000


@dataclass(frozen=True, slots=True)
class _Record:
    """One line of the database, and where it stands."""

    where: str
    raw: Mapping[str, Any]

    def reason_against(self) -> str | None:
        """Why this solo is not for us, if so."""
        if self._text("signature") != "4/4":
            return "not in 4/4"
        return None if self._text("rhythmfeel") == "SWING" else "not swing"

    def solo(self) -> Solo | str:
        """The solo, or why it is left out."""
        beats = self._table("beats", "beat_fields", _BEAT_TYPES, _Beat)
        notes = self._table("notes", "note_fields", _NOTE_TYPES, _Note)
        if not beats or not notes:
            return "empty"
        if all(beat.chord in ("NC", "") for beat in beats):
            return "without chords"
        metre = _Metre.of(beats)
        chords, unread = _chords(metre, beats)
        placed = [(self._onset(row, note, metre), note) for row, note in enumerate(notes)]
        kept = sorted(((onset, note) for onset, note in placed if onset is not None), key=lambda one: one[0])
        lines = tuple(_line_notes(kept))
        fallen = len(notes) - len(lines)
        return Solo(self._text("title"), self._text("performer"), lines, chords, fallen=fallen, unread=unread)

    def _onset(self, row: int, note: _Note, metre: _Metre) -> float | None:
        """Ticks from the top, or None for a beat that the metre does not have."""
        if note.division < 1 or not 1 <= note.tatum <= note.division:
            raise CorpusError(f"{self.where}: notes[{row}]: there is no tatum {note.tatum} of {note.division}")
        if not 0 <= note.midi_pitch <= 127:
            raise CorpusError(f"{self.where}: notes[{row}]: midi_pitch: {note.midi_pitch} is not a pitch (0 to 127)")
        if note.beat_duration_s <= 0 or note.duration_s < 0:
            raise CorpusError(f"{self.where}: notes[{row}]: a length of time is not positive")
        if not metre.holds(note.beat):
            return None
        return TICKS * (metre.beats_to(note.bar, note.beat) + (note.tatum - 1) / note.division)

    def _text(self, key: str) -> str:
        value = self.raw.get(key)
        if not isinstance(value, str):
            raise CorpusError(f"{self.where}: {key}: {'missing' if value is None else 'not a text'}")
        return value

    def _table(self, key: str, fields_key: str, types: Mapping[str, type], row_type: Callable[..., T]) -> list[T]:
        columns = self._columns(fields_key, types)
        rows = self.raw.get(key)
        if not isinstance(rows, list):
            raise CorpusError(f"{self.where}: {key}: {'missing' if rows is None else 'not a list'}")
        return [row_type(**self._row(f"{key}[{number}]", row, columns, types)) for number, row in enumerate(rows)]

    def _columns(self, fields_key: str, types: Mapping[str, type]) -> dict[str, int]:
        fields = self.raw.get(fields_key)
        if not isinstance(fields, list):
            raise CorpusError(f"{self.where}: {fields_key}: {'missing' if fields is None else 'not a list'}")
        missing = [name for name in types if name not in fields]
        if missing:
            raise CorpusError(f"{self.where}: {fields_key}: no column {missing[0]!r}")
        return {name: fields.index(name) for name in types}

    def _row(self, what: str, row: object, columns: Mapping[str, int], types: Mapping[str, type]) -> dict[str, Any]:
        if not isinstance(row, list) or len(row) <= max(columns.values()):
            raise CorpusError(f"{self.where}: {what}: not a list of all its columns")
        cells = {name: row[column] for name, column in columns.items()}
        for name, cell in cells.items():
            if not _is(cell, types[name]):
                raise CorpusError(f"{self.where}: {what}: {name}: {cell!r} is not {_KINDS[types[name]]}")
        if abs(cells["bar"]) > _FARTHEST_BAR:
            raise CorpusError(f"{self.where}: {what}: bar: {cells['bar']} is too far away")
        return cells


_KINDS = {int: "a whole number", float: "a number", str: "a text"}


def _is(cell: object, kind: type) -> bool:
    if isinstance(cell, bool):
        return False
    if kind is float:
        return isinstance(cell, int | float) and abs(cell) < 1e6
    return isinstance(cell, kind)


@dataclass(frozen=True, slots=True)
class _Metre:
    """Where bars and beats fall: beats are counted from the downbeat of the first bar used."""

    every_beat_a_bar: bool
    first: int

    @classmethod
    def of(cls, beats: Sequence[_Beat]) -> _Metre:
        counted = cls(all(beat.period == 1 for beat in beats), 0)
        earliest = min(counted.beats_to(beat.bar, beat.beat) for beat in beats)
        return cls(counted.every_beat_a_bar, BEATS * (earliest // BEATS))

    def holds(self, beat: int) -> bool:
        """Whether a bar of ours has such a beat."""
        return 1 <= beat <= (1 if self.every_beat_a_bar else BEATS)

    def beats_to(self, bar: int, beat: int) -> int:
        """Beats from the top to a beat of a bar."""
        return (bar - 1) * (1 if self.every_beat_a_bar else BEATS) + beat - 1 - self.first


def _line_notes(placed: Sequence[tuple[float, _Note]]) -> Iterator[LineNote]:
    """Notes with their ends, from notes with their onsets."""
    for (onset, note), after in zip(placed, [*placed[1:], None], strict=True):
        if after is None:
            end = onset + TICKS * note.duration_s / note.beat_duration_s
        else:
            silence = after[1].onset_s - note.onset_s - note.duration_s
            end = after[0] - TICKS * max(0.0, silence) / note.beat_duration_s
        yield LineNote(onset, max(onset, end), note.midi_pitch, bool(note.phrase_begin))


def _chords(metre: _Metre, beats: Sequence[_Beat]) -> tuple[BeatChanges, tuple[str, ...]]:
    """The chords beat by beat, and the symbols that could not be read."""
    told = {metre.beats_to(beat.bar, beat.beat): beat.chord for beat in beats if metre.holds(beat.beat)}
    unread: set[str] = set()
    chords: list[Chord] = []
    latest = told[min(told)]
    for beat in range(max(told) + 1):
        latest = told.get(beat, latest)
        chords.append(_chord(latest, unread))
    return BeatChanges(tuple(chords)), tuple(sorted(unread))


def _chord(text: str, unread: set[str]) -> Chord:
    if text in ("", "NC"):
        return NO_CHORD
    try:
        return parse_chord(text)
    except ChordError:
        unread.add(text)
        return NO_CHORD
