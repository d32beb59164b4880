# SPDX-License-Identifier: Apache-2.0
"""MIDI files by the thousand: found in folders, read on all cores, and never read twice.

Readings are kept under `$XDG_CACHE_HOME/sideman/corpus` (`~/.cache` without the variable), by the hash of the file's
bytes, the reader's version and how it was told to read. A kept reading that is broken is read anew; one that cannot be
written is not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sideman_models.corpus.midi.parser import MAX_FILE_BYTES
from sideman_models.corpus.midi.reader import READER_VERSION, FileReport, MidiMusic, ReadingOptions, read_midi
from sideman_models.errors import CorpusError
from sideman_models.files import read_plain_file, write_whole
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import ChordGrid, Solo
from sideman_models.text import printable

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
"""How a MIDI file's name ends, in small letters or capitals."""
_MAX_FILES_IN_PROCESS = 32
"""So many files are read sooner than other processes start."""
_COPY_SUFFIX, _NUMBER_PREFIX = re.compile(r"\s*\(\d+\)$"), re.compile(r"(0\d+[\s._-]*|\d{1,3}\s?[._-]+\s?)(?=[^\W\d])")
"""What of a file's name is no title: that it is a copy, and its number in a collection."""


def find_midi_files(folder: Path) -> dict[Path, str]:
    """All that is called a MIDI file in a folder and those below it, in order, with why it is not to be read, if so.

    A folder below that cannot be looked into is among them.
    """
    found: dict[Path, str] = {}

    def pass_over(error: OSError) -> None:
        found[Path(error.filename)] = f"cannot be read: {error.strerror}"

    for root, folders, names in os.walk(folder, onerror=pass_over):
        paths = [Path(root, name) for name in (*folders, *names)]
        found |= {path: _reason_left_out(path) for path in paths if path.suffix.lower() in MIDI_SUFFIXES}
    return dict(sorted(found.items()))


def _reason_left_out(path: Path) -> str:
    """Why a path is not to be read, empty if it may be."""
    try:
        if path.is_file():
            return ""
        if path.is_dir():
            return "cannot be read: a folder"
        return f"cannot be read: {'not a plain file' if path.exists() else 'a link to nothing'}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def read_midi_files(
    paths: Mapping[Path, str], options: ReadingOptions
) -> tuple[dict[Path, MidiMusic], dict[Path, str]]:
    """What each file holds, in order, and the sha256 of each that could be read. A bad file is told in its report.

    `paths` are as `find_midi_files` gives them: each with why it is not to be read, or an empty text.

    Of files with the same bytes the first alone is used. Raises `CorpusError` where a process that reads was ended.
    """
    hashes: dict[Path, str] = {}
    done = {path: MidiMusic(FileReport(left_out=reason)) for path, reason in paths.items() if reason}
    first: dict[str, Path] = {}
    for path in (path for path in paths if path not in done):
        try:
            hashes[path] = hashlib.sha256(read_plain_file(path, MAX_FILE_BYTES)).hexdigest()
        except OSError as error:
            done[path] = MidiMusic(FileReport(left_out=f"cannot be read: {error.strerror}"))
            continue
        if (same := first.setdefault(hashes[path], path)) != path:
            done[path] = MidiMusic(
                FileReport(remarks=(f"the same as {printable(same)}",), left_out="the same as another")
            )
    wanted = [path for path in first.values() if path not in done]
    cache = _ReadingCache(options) if options.use_cache else None
    done |= {path: kept for path in wanted if cache and (kept := cache.get(hashes[path]))}
    fresh = [path for path in wanted if path not in done]
    for path, packed in zip(fresh, _read_all(fresh, options), strict=True):
        done[path] = _from_json(packed)
        if cache:
            cache.put(hashes[path], packed)
    return {path: _with_title(done[path], path) for path in paths}, hashes


def _with_title(music: MidiMusic, path: Path) -> MidiMusic:
    """The music with its file's name, and this as its title if it has none."""
    title = music.report.title or _title_from_name(path)
    report = replace(music.report, file=printable(path), title=title)
    return MidiMusic(report, tuple(replace(solo, title=title) for solo in music.solos))


def _title_from_name(path: Path) -> str:
    name = _COPY_SUFFIX.sub("", path.stem)
    if numbered := _NUMBER_PREFIX.match(name):
        name = name[numbered.end() :]
    return printable(name.replace("_", " ").strip() or path.name)


def _read_all(paths: Sequence[Path], options: ReadingOptions) -> Iterator[str]:
    """The readings of files, packed, in order."""
    read = partial(_read_one, options=options)
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 64)
    if len(paths) <= _MAX_FILES_IN_PROCESS or workers == 1:
        yield from map(read, paths)
        return
    # Not forked: whoever reads to train may have threads that would be missing.
    try:
        with ProcessPoolExecutor(workers, get_context("spawn"), _ignore_interrupts) as pool:
            yield from pool.map(read, paths, chunksize=8)
    except BrokenProcessPool as error:
        raise CorpusError("a process that read MIDI files was ended by the system (too little memory?)") from error


def _ignore_interrupts() -> None:
    """Ctrl-C is for the process that asked for the reading."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read_one(path: Path, options: ReadingOptions) -> str:
    try:
        return _to_json(read_midi(read_plain_file(path, MAX_FILE_BYTES), options))
    except OSError as error:
        return _to_json(MidiMusic(FileReport(left_out=f"cannot be read: {error.strerror}")))


class _ReadingCache:
    """Readings on disk, one file each: the sha256 of the reading, and the reading."""

    def __init__(self, options: ReadingOptions) -> None:
        self._folder = _cache_folder()
        self._options_key = f"{READER_VERSION} {options.chords} {options.melody!r}"

    def get(self, content: str) -> MidiMusic | None:
        """The reading of a file of this sha256, if it was kept and is whole."""
        if (path := self._file_of(content)) is None:
            return None
        try:
            digest, _, packed = path.read_text("utf-8").partition("\n")
        except (OSError, ValueError):
            return None
        if hashlib.sha256(packed.encode()).hexdigest() != digest:
            return None
        music = _from_json(packed)
        return replace(music, report=replace(music.report, cached=True))

    def put(self, content: str, packed: str) -> None:
        """Keep a reading, whole or not at all."""
        if (path := self._file_of(content)) is None:
            return
        kept = f"{hashlib.sha256(packed.encode()).hexdigest()}\n{packed}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, kept.encode(), sync=False)
        except OSError:
            return  # the reading itself is there; only the next one takes as long

    def _file_of(self, content: str) -> Path | None:
        if self._folder is None:
            return None
        key = hashlib.sha256(f"{self._options_key} {content}".encode(errors="backslashreplace")).hexdigest()
        return self._folder / key[:2] / f"{key}.json"


def _cache_folder() -> Path | None:
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # noqa: PTH117 - the rule of the XDG specification: others are ignored
        return Path(given) / "sideman" / "corpus"
    try:
        return Path.home() / ".cache" / "sideman" / "corpus"
    except RuntimeError:
        return None


def _to_json(music: MidiMusic) -> str:
    """Music as JSON."""
    solos = [
        {
            "notes": [[note.onset, note.end, note.pitch] for note in solo.notes],
            "chords": [[count, chord.text] for count, chord in _chord_runs(solo.changes.chords)],
            "per_beat": solo.changes.slots_per_beat,
            "bar_ticks": solo.bar_ticks,
            "unread": solo.unread_chords,
        }
        for solo in music.solos
    ]
    return json.dumps({"report": asdict(music.report), "solos": solos})


def _from_json(packed: str) -> MidiMusic:
    plain = json.loads(packed)
    report: dict[str, Any] = {
        name: tuple(told) if isinstance(told, list) else told for name, told in plain["report"].items()
    }
    return MidiMusic(FileReport(**report), tuple(_solo_from_json(solo) for solo in plain["solos"]))


def _solo_from_json(plain: Mapping[str, Any]) -> Solo:
    notes = tuple(LineNote(onset, end, pitch) for onset, end, pitch in plain["notes"])
    chords = tuple(chord for count, text in plain["chords"] for chord in [parse_chord(text)] * count)
    changes = ChordGrid(chords, plain["per_beat"])
    return Solo("", "", notes, changes, plain["bar_ticks"], unread_chords=tuple(plain["unread"]))


def _chord_runs(chords: Iterable[Chord]) -> list[tuple[int, Chord]]:
    """Chords that are written alike and follow each other, as (how many, chord)."""
    runs: list[tuple[int, Chord]] = []
    for chord in chords:
        if runs and runs[-1][1].text == chord.text:
            runs[-1] = (runs[-1][0] + 1, chord)
        else:
            runs.append((1, chord))
    return runs
