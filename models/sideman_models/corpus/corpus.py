# SPDX-License-Identifier: Apache-2.0
"""Music to learn from: MIDI files and folders of them, the Weimar Jazz Database, and plain value files.

**A value file** is text: a piece a line, its values parted by spaces. It knows no chords, so no context either.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from sideman_models.corpus.midi.folder import MIDI_SUFFIXES, find_midi_files, read_midi_files
from sideman_models.corpus.midi.reader import FileReport, MidiMusic, ReadingOptions
from sideman_models.corpus.weimar import DATABASE_SUFFIXES, WEIMAR_CITATION, read_solos
from sideman_models.errors import CorpusError, ValueTextError
from sideman_models.files import numbered_lines
from sideman_models.music.solos import BAR_TICKS, BEATS_PER_BAR, ChordGrid, Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER, parse_value
from sideman_models.text import count_noun, printable

__all__ = [
    "BAR_TICKS",
    "BEATS_PER_BAR",
    "WEIMAR_CITATION",
    "ChordGrid",
    "Corpus",
    "FileReport",
    "Piece",
    "ReadingOptions",
    "Solo",
    "corpus_facts",
    "is_held_out",
    "midi_summary",
    "read_corpus",
    "read_solos",
    "read_value_file",
    "solo_to_piece",
    "title_hash_number",
    "title_sha256",
]  # fmt: skip

_HELD_OUT_DIVISOR = 10
_DEFAULT_OPTIONS = ReadingOptions()


@dataclass(slots=True)
class Corpus:
    """Pieces, and where they come from.

    `left_out` counts solos and MIDI files that were not taken, by reason; `files` holds the sha256 of each file by its
    name; `sources` what is known of their origin and licence; `reports` what was used of each MIDI file.
    """

    pieces: list[Piece] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    reports: list[FileReport] = field(default_factory=list)


def read_corpus(paths: Iterable[Path], reading: ReadingOptions = _DEFAULT_OPTIONS) -> Corpus:
    """All pieces of the files, and of all MIDI files in folders and below them, in order.

    Raises `CorpusError` naming the file and the line of what is broken, and if there is no piece. A MIDI file that is
    of no use is only left out, and `Corpus.reports` tells why.
    """
    named = list(paths)
    below = {path: _midi_files_at(path) for path in named if path.is_dir() or path.suffix.lower() in MIDI_SUFFIXES}
    wanted = {file: reason for files in below.values() for file, reason in files.items()}
    music, hashes = read_midi_files(wanted, reading)
    corpus = Corpus()
    for path in named:
        if path in below:
            _add_midi(corpus, path, {file: music.pop(file) for file in below[path] if file in music}, hashes)
        else:
            _add_text_file(corpus, path, reading)
    corpus.sources += _midi_source(list(below), corpus)
    if not corpus.pieces:
        raise CorpusError(_no_pieces_message(corpus))
    return corpus


def _midi_files_at(path: Path) -> Mapping[Path, str]:
    """Each with why it is not to be read, or an empty text."""
    if not path.is_dir():
        return {path: ""}
    files = find_midi_files(path)
    if not files:
        raise CorpusError(f"{printable(path)}: no MIDI files in the folder ({', '.join(MIDI_SUFFIXES)})")
    return files


def _add_text_file(corpus: Corpus, path: Path, reading: ReadingOptions) -> None:
    """Add a database or a value file."""
    if path.name.endswith(DATABASE_SUFFIXES):
        corpus.pieces += [
            solo_to_piece(solo) for solo in read_solos(path, corpus.left_out, all_feels=reading.all_feels)
        ]
        source = WEIMAR_CITATION
    else:
        corpus.pieces += read_value_file(path)
        source = f"{printable(path.name)}: a value file, its origin and licence not known to the program"
    corpus.files[_unique_key(corpus, path.name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    corpus.sources += [] if source in corpus.sources else [source]


def _unique_key(corpus: Corpus, name: str) -> str:
    """The name as it can be written, numbered where another file or folder has it."""
    key = printable(name)
    keys = chain([key], (f"{key} ({number})" for number in count(2)))
    return next(key for key in keys if key not in corpus.files)


def _add_midi(corpus: Corpus, path: Path, music_by_file: Mapping[Path, MidiMusic], hashes: Mapping[Path, str]) -> None:
    """Add a MIDI file, or a folder of them as one; its sha256 is that of its files' in order."""
    for one in music_by_file.values():
        pieces = [solo_to_piece(solo) for solo in one.solos]
        corpus.pieces += pieces
        corpus.reports.append(replace(one.report, dropped=sum(piece.dropped_notes for piece in pieces)))
        corpus.left_out.update([one.report.left_out] if one.report.left_out else [])
    used = [hashes[file] for file, one in music_by_file.items() if one.solos]
    if used:
        folder = path.is_dir()
        key = _unique_key(corpus, f"{path.resolve().name}/" if folder else path.name)
        corpus.files[key] = _sha256_of_lines(used) if folder else used[0]


def _midi_source(paths: Sequence[Path], corpus: Corpus) -> list[str]:
    """What is known of the origin of the MIDI files that were used."""
    used = sum(not report.left_out for report in corpus.reports)
    if not used:
        return []
    where = printable(paths[0].resolve().name) if len(paths) == 1 else f"{len(paths)} places"
    return [f"{where}: {count_noun(used, 'MIDI file')}, origin and licence not known to the program"]


def _no_pieces_message(corpus: Corpus) -> str:
    """Why there is no piece."""
    if len(corpus.reports) == 1 == corpus.left_out.total():
        return f"{corpus.reports[0].file}: {corpus.reports[0].left_out}"
    reasons = ", ".join(f"{count} {reason}" for reason, count in corpus.left_out.items())
    return "no piece to learn from" + (f" (left out: {reasons})" if reasons else "")


def midi_summary(corpus: Corpus) -> str:
    """What became of the MIDI files, in a line; empty where there were none."""
    reports = corpus.reports
    if not reports:
        return ""
    used = sum(not report.left_out for report in reports)
    reasons = Counter(report.left_out for report in reports if report.left_out)
    told = [f"{used} of {count_noun(len(reports), 'MIDI file')} used"]
    told += [f"{report} {what}" for what, report in reasons.items()]
    found = sum(report.chords.startswith("found") for report in reports)
    told += [f"chords found from notes in {found}"] if found else []
    again = sum(report.cached for report in reports)
    told += [f"{again} {'was' if again == 1 else 'were'} read before"] if again else []
    return "; ".join(told)


def is_held_out(title: str) -> bool:
    """Whether pieces of this title are kept from training, to measure on: a tenth of all titles, the same for ever.

    The split is by title, so that no tune is on both sides, whoever plays it.
    """
    return title_hash_number(title) % _HELD_OUT_DIVISOR == 0


def title_hash_number(title: str) -> int:
    """A number from 0 up to 2^32 that depends on the title alone, but for case and white space."""
    return int.from_bytes(title_sha256(title)[:4])


def title_sha256(title: str) -> bytes:
    """The sha256 of the title, in lower case and with single spaces."""
    return hashlib.sha256(" ".join(title.lower().split()).encode()).digest()


def corpus_facts(corpus: Corpus) -> dict[str, Any]:
    """What the corpus holds, as plain JSON."""
    values = [value for piece in corpus.pieces for value in piece.values]
    texts = [value.text for value in values]
    notes, dropped = (
        sum(getattr(piece, name) for piece in corpus.pieces) for name in ("source_notes", "dropped_notes")
    )
    kinds, durations = Counter(value.kind for value in values), Counter(value.ticks for value in values)
    return {
        "pieces": len(corpus.pieces),
        "titles": len({piece.title for piece in corpus.pieces}),
        "left_out": dict(corpus.left_out),
        "unread_chords": sorted({text for piece in corpus.pieces if piece.solo for text in piece.solo.unread_chords}),
        "notes": notes,
        "dropped": dropped,
        "dropped_share": round(dropped / notes, 4) if notes else 0.0,
        "values": len(values),
        "different_values": len(set(values)),
        "kinds": {kind: kinds[kind] for kind in "CSAXR" if kinds[kind]},
        "durations": {f"{ticks / TICKS_PER_QUARTER:.3f}": count for ticks, count in sorted(durations.items())},
        "values_sha256": _sha256_of_lines(texts),
        "different_values_sha256": _sha256_of_lines(sorted(set(texts))),
    }


def _sha256_of_lines(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def read_value_file(path: Path) -> list[Piece]:
    """The pieces of a value file: a piece a line, values parted by spaces; empty lines are skipped.

    Raises `CorpusError` naming the file and the line.
    """
    name, pieces = printable(path), []
    for number, line in numbered_lines(path):
        if not (texts := line.split()):
            continue
        try:
            values = tuple(parse_value(text) for text in texts)
        except ValueTextError as error:
            raise CorpusError(f"{name}:{number}: {error}") from error
        notes = sum(value.kind != "R" for value in values)
        pieces.append(Piece(f"{printable(path.name)}:{number}", "", values, source_notes=notes))
    return pieces
