# SPDX-License-Identifier: Apache-2.0
"""Reads many MIDI files: finds them in folders, reads them on all cores, and keeps the readings on disk.

Readings are kept under `$XDG_CACHE_HOME/sideman/corpus` (`~/.cache` without the variable). The key is the hash of the
content of the file, the version of the reader, and the options. A cached reading that is broken is read again; a
reading that cannot be written is not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import msgspec
from msgspec.structs import asdict, replace

from sideman_models.corpus.midi.parser import MAX_FILE_BYTES, MAX_QUARTERS
from sideman_models.corpus.midi.reader import READER_VERSION, FileReport, MidiMusic, ReadingOptions, read_midi
from sideman_models.errors import CorpusError
from sideman_models.files import read_plain_file
from sideman_models.limits import CORPUS_CACHE
from sideman_models.music.harmony import parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import ChordGrid, Solo
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.text import printable
from sideman_models.writing import make_folder, write_whole

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
"""The suffixes of MIDI files, in lower or upper case."""
_MAX_FILES_IN_PROCESS = 32
"""Up to this number of files, reading them here is faster than starting other processes."""
_COPY_SUFFIX, _NUMBER_PREFIX = re.compile(r"\s*\(\d+\)$"), re.compile(r"^(0\d+[\s._-]*|\d{1,3}\s?[._-]+\s?)(?=[^\W\d])")
"""The parts of a file name that are not its title: the mark of a copy, and a number in a collection."""


def find_midi_files(folder: Path) -> dict[Path, str]:
    """Return all paths with a MIDI suffix in a folder and below it, in order.

    The value says why a path must not be read, and is empty otherwise. Folders below that cannot be opened are
    included.
    """
    reasons: dict[Path, str] = {}

    def note_unreadable_folder(error: OSError) -> None:
        reasons[Path(error.filename)] = f"cannot be read: {error.strerror}"

    for root, folders, names in os.walk(folder, onerror=note_unreadable_folder):
        for found, reason in ((folders, "cannot be read: a folder"), (names, "")):
            paths = (Path(root, name) for name in found)
            reasons |= {path: reason for path in paths if path.suffix.lower() in MIDI_SUFFIXES}
    return dict(sorted(reasons.items()))


def _unreadable(path: Path, error: OSError) -> MidiMusic:
    """Return a report that says why a file cannot be read."""
    is_lost = isinstance(error, FileNotFoundError) and path.is_symlink()
    return MidiMusic(FileReport(left_out=f"cannot be read: {'a link to nothing' if is_lost else error.strerror}"))


def read_midi_files(
    paths: Mapping[Path, str], options: ReadingOptions
) -> tuple[dict[Path, MidiMusic], dict[Path, str]]:
    """Return in order what each file holds, and the sha256 of each file that was read.

    `paths` are as `find_midi_files` returns them. Of files with the same content only the first is used. The report of
    a file says why it has no solo. Raises `CorpusError` if a process that reads was killed.
    """
    hashes: dict[Path, str] = {}
    music = {path: MidiMusic(FileReport(left_out=reason)) for path, reason in paths.items() if reason}
    first: dict[str, Path] = {}
    for path in (path for path in paths if path not in music):
        try:
            hashes[path] = hashlib.sha256(read_plain_file(path, MAX_FILE_BYTES)).hexdigest()
        except OSError as error:
            music[path] = _unreadable(path, error)
            continue
        if (same := first.setdefault(hashes[path], path)) != path:
            report = FileReport(remarks=(f"the same as {printable(same)}",), left_out="the same as another")
            music[path] = MidiMusic(report)
    caches = {path: _cache_file(hashes[path], options) for path in first.values()}
    music |= {path: kept for path, cache in caches.items() if cache and (kept := _read_cache(cache))}
    unread = [path for path in first.values() if path not in music]
    for path, packed in zip(unread, _read_all(unread, options), strict=True):
        music[path] = _from_json(packed)
        if cache := caches[path]:
            # The reading itself is complete: without the cache only the next one takes longer.
            with contextlib.suppress(OSError):
                make_folder(cache.parent)
                content = f"{hashlib.sha256(packed.encode()).hexdigest()}\n{packed}"
                write_whole(cache, content.encode(), sync=False)
    return {path: _with_title(music[path], path) for path in paths}, hashes


def _with_title(music: MidiMusic, path: Path) -> MidiMusic:
    """Return the music with the path of its file, and with a title from the name of the file if it has none."""
    name = _NUMBER_PREFIX.sub("", _COPY_SUFFIX.sub("", path.stem))
    title = music.report.title or printable(name.replace("_", " ").strip() or path.name)
    report = replace(music.report, file=printable(path), title=title)
    return MidiMusic(report, tuple(replace(solo, title=title) for solo in music.solos))


def _read_all(paths: Sequence[Path], options: ReadingOptions) -> Iterator[str]:
    """Yield the reading of each file as JSON, in order."""
    read = partial(_read_one, options=options)
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 64)
    if len(paths) <= _MAX_FILES_IN_PROCESS or workers == 1:
        yield from map(read, paths)
        return
    # Spawned, not forked: a process that trains has threads, which a fork would lose.
    try:
        ignore_interrupts = signal.signal, (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
        with ProcessPoolExecutor(workers, get_context("spawn"), *ignore_interrupts) as pool:
            yield from pool.map(read, paths, chunksize=8)
    except BrokenProcessPool as error:
        raise CorpusError("a process that read MIDI files was ended by the system (too little memory?)") from error


def _read_one(path: Path, options: ReadingOptions) -> str:
    try:
        return _to_json(read_midi(read_plain_file(path, MAX_FILE_BYTES), options))
    except OSError as error:
        return _to_json(_unreadable(path, error))


def _cache_file(content: str, options: ReadingOptions) -> Path | None:
    """Return where the reading of a file with the sha256 `content` is kept, or None if readings are not kept."""
    if not options.use_cache:
        return None
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The XDG specification says that a path that is not absolute is ignored.
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"  # noqa: PTH117
    except RuntimeError:
        return None
    facts = f"{READER_VERSION} {options.chords} {options.melody!r} {content}"
    key = hashlib.sha256(facts.encode(errors="backslashreplace")).hexdigest()
    return base / "sideman" / "corpus" / key[:2] / f"{key}.json"


def _read_cache(cache: Path) -> MidiMusic | None:
    """Return the reading that the file holds after its sha256, or None if there is no complete one."""
    try:
        digest, _, packed = read_plain_file(cache, CORPUS_CACHE.bytes).decode().partition("\n")
        if hashlib.sha256(packed.encode()).hexdigest() != digest:
            return None
        music = _from_json(packed)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the file is read again
        return None
    return replace(music, report=replace(music.report, cached=True))


def _to_json(music: MidiMusic) -> str:
    solos = [
        {
            "notes": [[note.onset, note.end, note.pitch] for note in solo.notes],
            "chords": [[len(list(run)), text] for text, run in groupby(chord.text for chord in solo.changes.chords)],
            "per_beat": solo.changes.slots_per_beat,
            "bar_ticks": solo.bar_ticks,
            "unread": solo.unread_chords,
        }
        for solo in music.solos
    ]
    return json.dumps({"report": asdict(music.report), "solos": solos})


def _from_json(packed: str) -> MidiMusic:
    plain = json.loads(packed)
    report = msgspec.convert(plain["report"], FileReport)
    solos = []
    for solo in plain["solos"]:
        notes = tuple(LineNote(onset, end, pitch) for onset, end, pitch in solo["notes"])
        if sum(count for count, _ in solo["chords"]) > MAX_QUARTERS * TICKS_PER_QUARTER:
            raise ValueError("more chords than a file can have")
        chords = tuple(chord for count, text in solo["chords"] for chord in [parse_chord(text)] * count)
        changes = ChordGrid(chords, solo["per_beat"])
        solos.append(Solo("", "", notes, changes, solo["bar_ticks"], unread_chords=tuple(solo["unread"])))
    return MidiMusic(report, tuple(solos))
