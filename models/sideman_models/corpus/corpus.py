# SPDX-License-Identifier: Apache-2.0
"""The music to train on: MIDI files and folders of them, the Weimar Jazz Database, and value files.

**A value file** is a text file with one piece a line, the values separated by spaces. Empty lines are skipped. It has
no chords, so its pieces have no context.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from sideman_models.corpus.midi.folder import MIDI_SUFFIXES, find_midi_files, read_midi_files
from sideman_models.corpus.midi.reader import FileReport, MidiMusic, ReadingOptions
from sideman_models.corpus.weimar import DATABASE_SUFFIXES, WEIMAR_CITATION, read_solos
from sideman_models.errors import CorpusError, ValueTextError
from sideman_models.files import numbered_lines
from sideman_models.music.solos import Piece, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER, parse_value
from sideman_models.text import count_noun, printable, sha256_of_lines

_DEFAULT_OPTIONS = ReadingOptions()
_MAX_NAMES = 5


class Corpus(Struct):
    """Pieces, and where they come from.

    `left_out` counts by reason the solos and MIDI files that are not used; `files` has the sha256 of each file by its
    name; `sources` describes origin and licence as far as they are known; `reports` has one report for each MIDI file.
    """

    pieces: list[Piece] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    reports: list[FileReport] = field(default_factory=list)


def read_corpus(paths: Iterable[Path], reading: ReadingOptions = _DEFAULT_OPTIONS) -> Corpus:
    """Read the pieces of all files in order.

    A path may be a value file, a database, a MIDI file, or a folder of MIDI files. Raises `CorpusError`, which names
    the file and line of an error, also if there is no piece. A MIDI file without a solo is no error: `Corpus.reports`
    says why it is left out.
    """
    paths = list(paths)
    midi_at: dict[Path, Mapping[Path, str]] = {}  # each file with the reason why it must not be read, or an empty text
    for path in paths:
        if path.is_dir():
            midi_at[path] = find_midi_files(path)
            if not midi_at[path]:
                raise CorpusError(f"{printable(path)}: no MIDI files in the folder ({', '.join(MIDI_SUFFIXES)})")
        elif path.suffix.lower() in MIDI_SUFFIXES:
            midi_at[path] = {path: ""}
    wanted = {file: reason for files in midi_at.values() for file, reason in files.items()}
    music, hashes = read_midi_files(wanted, reading)
    corpus = Corpus()
    for path in paths:
        if path in midi_at:
            _add_midi(corpus, path, {file: music.pop(file) for file in midi_at[path] if file in music}, hashes)
        else:
            _add_text_file(corpus, path, reading)
    if used := sum(not report.left_out for report in corpus.reports):
        places = [printable(path.resolve().name) for path in midi_at]
        where = places[0] if len(places) == 1 else f"{len(places)} places"
        corpus.sources.append(f"{where}: {count_noun(used, 'MIDI file')}, origin and licence not known to the program")
    if corpus.pieces:
        return corpus
    if len(corpus.reports) == 1 == corpus.left_out.total():
        raise CorpusError(f"{corpus.reports[0].file}: {corpus.reports[0].left_out}")
    reasons = ", ".join(f"{count} {reason}" for reason, count in corpus.left_out.items())
    names = ", ".join(printable(path) for path in paths[:_MAX_NAMES]) + ", …" * (len(paths) > _MAX_NAMES)
    raise CorpusError(f"{names}: no piece to train on" + (f" (left out: {reasons})" if reasons else ""))


def _add_text_file(corpus: Corpus, path: Path, reading: ReadingOptions) -> None:
    """Add a database or a value file."""
    if path.name.endswith(DATABASE_SUFFIXES):
        corpus.pieces += map(solo_to_piece, read_solos(path, corpus.left_out, reading.feels))
        source = WEIMAR_CITATION
    else:
        corpus.pieces += read_value_file(path)
        source = f"{printable(path.name)}: a value file, its origin and licence not known to the program"
    corpus.files[_unique_key(corpus, path.name)] = _sha256_of_file(path)
    corpus.sources += [] if source in corpus.sources else [source]


def _sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unique_key(corpus: Corpus, name: str) -> str:
    """Return the printable name, with a number if another file or folder has the same name."""
    keys = (f"{printable(name)} ({number})" if number > 1 else printable(name) for number in count(1))
    return next(key for key in keys if key not in corpus.files)


def _add_midi(corpus: Corpus, path: Path, music_by_file: Mapping[Path, MidiMusic], hashes: Mapping[Path, str]) -> None:
    """Add a MIDI file or a folder. The sha256 of a folder is that of the hashes of its files in order."""
    for music in music_by_file.values():
        pieces = [solo_to_piece(solo) for solo in music.solos]
        corpus.pieces += pieces
        dropped = sum(piece.dropped_notes for piece in pieces)
        corpus.reports.append(replace(music.report, dropped=dropped, solos=len(pieces)))
        corpus.left_out.update([music.report.left_out] if music.report.left_out else [])
    used = [hashes[file] for file, music in music_by_file.items() if music.solos]
    if used:
        is_folder = path.is_dir()
        key = _unique_key(corpus, f"{path.resolve().name}/" if is_folder else path.name)
        corpus.files[key] = sha256_of_lines(used) if is_folder else used[0]


def midi_summary(corpus: Corpus) -> str:
    """Return one line on what was used of the MIDI files; empty if there are none."""
    reports = corpus.reports
    if not reports:
        return ""
    used = sum(not report.left_out for report in reports)
    reasons = Counter(report.left_out for report in reports if report.left_out)
    parts = [f"{used} of {count_noun(len(reports), 'MIDI file')} used"]
    parts += [f"{count} {reason}" for reason, count in reasons.items()]
    inferred = sum(report.chords.startswith("found") for report in reports)
    parts += [f"chords found from notes in {inferred}"] if inferred else []
    cached = sum(report.cached for report in reports)
    parts += [f"{cached} {'was' if cached == 1 else 'were'} read before"] if cached else []
    return "; ".join(parts)


def corpus_facts(corpus: Corpus) -> dict[str, Any]:
    """Return the facts of the corpus as plain JSON: numbers, shares and hashes."""
    values = [value for piece in corpus.pieces for value in piece.values]
    texts = [value.text for value in values]
    notes = sum(piece.source_notes for piece in corpus.pieces)
    dropped = sum(piece.dropped_notes for piece in corpus.pieces)
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
        "values_sha256": sha256_of_lines(texts),
        "different_values_sha256": sha256_of_lines(sorted(set(texts))),
    }


def read_value_file(path: Path) -> list[Piece]:
    """Read the pieces of a value file. Raises `CorpusError`, which names the file and the line."""
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
