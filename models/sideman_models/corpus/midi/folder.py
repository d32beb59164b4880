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
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sideman_models.corpus.midi.parser import MOST_BYTES
from sideman_models.corpus.midi.reader import VERSION, FileReport, MidiMusic, Reading, read_midi
from sideman_models.errors import CorpusError
from sideman_models.files import check_plain
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.line import LineNote
from sideman_models.music.solos import BeatChanges, Solo
from sideman_models.text import printable

MIDI = (".mid", ".midi", ".kar", ".rmi")
"""How a MIDI file's name ends, in small letters or capitals."""
_FEW = 32
"""So many files are read sooner than other processes start."""
_COPY, _NUMBER = re.compile(r"\s*\(\d+\)$"), re.compile(r"(0\d+[\s._-]*|\d{1,3}\s?[._-]+\s?)(?=[^\W\d])")
"""What of a file's name is no title: that it is a copy, and its number in a collection."""


def midi_files(folder: Path) -> dict[Path, str]:
    """All that is called a MIDI file in a folder and those below it, in order, with why it is not to be read, if so.

    A folder below that cannot be looked into is among them.
    """
    found: dict[Path, str] = {}

    def pass_over(error: OSError) -> None:
        found[Path(error.filename)] = f"cannot be read: {error.strerror}"

    for root, folders, names in os.walk(folder, onerror=pass_over):
        paths = [Path(root, name) for name in (*folders, *names)]
        found |= {path: _against(path) for path in paths if path.suffix.lower() in MIDI}
    return dict(sorted(found.items()))


def _against(path: Path) -> str:
    """Why a path is not to be read, empty if it may be."""
    try:
        if path.is_file():
            return ""
        if path.is_dir():
            return "cannot be read: a folder"
        return f"cannot be read: {'not a plain file' if path.exists() else 'a link to nothing'}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def read_midi_files(paths: Mapping[Path, str], reading: Reading) -> tuple[dict[Path, MidiMusic], dict[Path, str]]:
    """What each file holds, in order, and the sha256 of each that could be read. A bad file is told in its report.

    `paths` are as `midi_files` gives them: each with why it is not to be read, or an empty text.

    Of files with the same bytes the first alone is used. Raises `CorpusError` where a process that reads was ended.
    """
    hashes: dict[Path, str] = {}
    done = {path: MidiMusic(FileReport(left_out=reason)) for path, reason in paths.items() if reason}
    first: dict[str, Path] = {}
    for path in (path for path in paths if path not in done):
        try:
            hashes[path] = hashlib.sha256(_content(path)).hexdigest()
        except OSError as error:
            done[path] = MidiMusic(FileReport(left_out=f"cannot be read: {error.strerror}"))
            continue
        if (same := first.setdefault(hashes[path], path)) != path:
            done[path] = MidiMusic(
                FileReport(remarks=(f"the same as {printable(same)}",), left_out="the same as another")
            )
    wanted = [path for path in first.values() if path not in done]
    cache = _Cache(reading) if reading.cache else None
    done |= {path: kept for path in wanted if cache and (kept := cache.find(hashes[path]))}
    fresh = [path for path in wanted if path not in done]
    for path, packed in zip(fresh, _packed(fresh, reading), strict=True):
        done[path] = _unpack(packed)
        if cache:
            cache.keep(hashes[path], packed)
    return {path: _named(done[path], path) for path in paths}, hashes


def _named(music: MidiMusic, path: Path) -> MidiMusic:
    """The music with its file's name, and this as its title if it has none."""
    title = music.report.title or _title(path)
    report = replace(music.report, file=printable(path), title=title)
    return MidiMusic(report, tuple(replace(solo, title=title) for solo in music.solos))


def _title(path: Path) -> str:
    name = _COPY.sub("", path.stem)
    if numbered := _NUMBER.match(name):
        name = name[numbered.end() :]
    return printable(name.replace("_", " ").strip() or path.name)


def _content(path: Path) -> bytes:
    """A file's bytes; of one that is too large, enough of them to show it. Raises `OSError`."""
    check_plain(path)
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _packed(paths: Sequence[Path], reading: Reading) -> Iterator[str]:
    """The readings of files, packed, in order."""
    read = partial(_read_packed, reading=reading)
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 64)
    if len(paths) <= _FEW or workers == 1:
        yield from map(read, paths)
        return
    # Not forked: whoever reads to train may have threads that would be missing.
    try:
        with ProcessPoolExecutor(workers, get_context("spawn"), _leave_interrupts) as pool:
            yield from pool.map(read, paths, chunksize=8)
    except BrokenProcessPool as error:
        raise CorpusError("a process that read MIDI files was ended by the system (too little memory?)") from error


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that asked for the reading."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read_packed(path: Path, reading: Reading) -> str:
    try:
        return _pack(read_midi(_content(path), reading))
    except OSError as error:
        return _pack(MidiMusic(FileReport(left_out=f"cannot be read: {error.strerror}")))


class _Cache:
    """Readings on disk, one file each: the sha256 of the reading, and the reading."""

    def __init__(self, reading: Reading) -> None:
        self._folder = _cache_folder()
        self._how = f"{VERSION} {reading.chords} {reading.melody!r}"

    def find(self, content: str) -> MidiMusic | None:
        """The reading of a file of this sha256, if it was kept and is whole."""
        if (path := self._path(content)) is None:
            return None
        try:
            digest, _, packed = path.read_text("utf-8").partition("\n")
        except (OSError, ValueError):
            return None
        if hashlib.sha256(packed.encode()).hexdigest() != digest:
            return None
        music = _unpack(packed)
        return replace(music, report=replace(music.report, cached=True))

    def keep(self, content: str, packed: str) -> None:
        """Keep a reading, whole or not at all."""
        if (path := self._path(content)) is None:
            return
        kept = f"{hashlib.sha256(packed.encode()).hexdigest()}\n{packed}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
                try:
                    file.write(kept)
                    file.close()
                    Path(file.name).replace(path)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError:
            return  # the reading itself is there; only the next one takes as long

    def _path(self, content: str) -> Path | None:
        if self._folder is None:
            return None
        key = hashlib.sha256(f"{self._how} {content}".encode(errors="backslashreplace")).hexdigest()
        return self._folder / key[:2] / f"{key}.json"


def _cache_folder() -> Path | None:
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # noqa: PTH117 - the rule of the XDG specification: others are ignored
        return Path(given) / "sideman" / "corpus"
    try:
        return Path.home() / ".cache" / "sideman" / "corpus"
    except RuntimeError:
        return None


def _pack(music: MidiMusic) -> str:
    """Music as JSON."""
    solos = [
        {
            "notes": [[note.onset, note.end, note.pitch] for note in solo.notes],
            "chords": [[count, chord.text] for count, chord in _runs(solo.changes.chords)],
            "per_beat": solo.changes.per_beat,
            "bar_ticks": solo.bar_ticks,
            "unread": solo.unread,
        }
        for solo in music.solos
    ]
    return json.dumps({"report": asdict(music.report), "solos": solos})


def _unpack(packed: str) -> MidiMusic:
    plain = json.loads(packed)
    report: dict[str, Any] = {
        name: tuple(told) if isinstance(told, list) else told for name, told in plain["report"].items()
    }
    return MidiMusic(FileReport(**report), tuple(_solo(solo) for solo in plain["solos"]))


def _solo(plain: Mapping[str, Any]) -> Solo:
    notes = tuple(LineNote(onset, end, pitch) for onset, end, pitch in plain["notes"])
    chords = tuple(chord for count, text in plain["chords"] for chord in [parse_chord(text)] * count)
    changes = BeatChanges(chords, plain["per_beat"])
    return Solo("", "", notes, changes, plain["bar_ticks"], unread=tuple(plain["unread"]))


def _runs(chords: Iterable[Chord]) -> list[tuple[int, Chord]]:
    """Chords that are written alike and follow each other, as (how many, chord)."""
    runs: list[tuple[int, Chord]] = []
    for chord in chords:
        if runs and runs[-1][1].text == chord.text:
            runs[-1] = (runs[-1][0] + 1, chord)
        else:
            runs.append((1, chord))
    return runs
