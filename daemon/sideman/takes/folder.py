# SPDX-License-Identifier: Apache-2.0
"""The folder of takes, and the two files of each: NAME.jsonl, its journal, and NAME.mid, made from it.

Names begin with the date, so that their order is that in which the takes came. The one that is being written is locked
for as long as its process lives: nobody deletes it, or takes it for one that was cut off.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sideman.config import resources
from sideman.core.errors import NoSuchInput, UsageError
from sideman.playing.state import state_folder
from sideman.takes.journal import TakeHeader
from sideman_models.network.bundle import bundle_folders
from sideman_models.text import printable

JOURNAL, MIDI = ".jsonl", ".mid"
_NAME = re.compile(r"\w[\w .’'-]*")
_SMALL_BYTES = 1_000_000
"""A MIDI file of up to so many bytes is made anew at every bar line, a larger one at every second, third, and so on."""


@dataclass(frozen=True, slots=True)
class TakeFolder:
    """The takes in the folder at `path`, which need not exist."""

    path: Path

    def journal(self, name: str) -> Path:
        """The journal of a take."""
        return self.path / f"{name}{JOURNAL}"

    def midi(self, name: str) -> Path:
        """The MIDI file of a take."""
        return self.path / f"{name}{MIDI}"

    def names(self) -> list[str]:
        """The takes there are, in the order in which they came."""
        with contextlib.suppress(OSError):
            found = [
                entry.name.removesuffix(JOURNAL) for entry in os.scandir(self.path) if entry.name.endswith(JOURNAL)
            ]
            return sorted(name for name in found if _NAME.fullmatch(name))
        return []

    def find(self, name: str) -> Path:
        """The journal of the take called `name`. Raises NoSuchInput, with names like it."""
        name = name.removesuffix(JOURNAL).removesuffix(MIDI)
        if _NAME.fullmatch(name) and os.path.lexists(self.journal(name)):
            return self.journal(name)
        import difflib  # only a mistake needs it

        names = self.names()
        near = difflib.get_close_matches(name, names, 1) or [each for each in names if name and name in each][-1:]
        hint = f"did you mean {printable(near[0])}?" if near else f"there are {len(names)} in {printable(self.path)}"
        raise NoSuchInput(f"{printable(name)}: no such take; {hint}")

    def size(self, name: str) -> int:
        """The bytes that a take fills."""
        size = 0
        for path in (self.journal(name), self.midi(name)):
            with contextlib.suppress(OSError):
                size += path.stat().st_size
        return size

    def delete(self, name: str) -> None:
        """Delete a take. Raises UsageError for one that is being written, or is a folder, and OSError."""
        if is_folder(self.journal(name)):
            raise UsageError(f"{printable(self.journal(name))}: a folder, and no take")
        if is_recording(self.journal(name)):
            raise UsageError(f"{printable(name)}: it is being recorded; end that first")
        for path in (
            _temporary_path(self.midi(name)),
            self.midi(name),
            self.journal(name),
        ):  # last what the others are found by
            path.unlink(missing_ok=True)

    def prune(self, limit: int) -> list[str]:
        """Delete the oldest takes until all together fill no more than `limit` bytes; the names of these."""
        names, gone = self.names(), []
        sizes = {name: self.size(name) for name in names}
        left = sum(sizes.values())
        for name in names:
            if left <= limit:
                break
            with contextlib.suppress(UsageError, OSError):
                self.delete(name)
                gone.append(name)
                left -= sizes[name]
        return gone


def take_folder(named: str | None) -> TakeFolder:
    """The folder that takes.folder names; None is the usual one, beside the user's own bundles."""
    if named is not None:
        return TakeFolder(resources.expand_user(named))
    own = bundle_folders()[0].parent if len(bundle_folders()) > 1 else state_folder()
    return TakeFolder(own / "takes")


def is_folder(journal: Path) -> bool:
    """Whether somebody has put a folder there, which is never deleted."""
    return journal.is_dir() and not journal.is_symlink()


def is_recording(journal: Path) -> bool:
    """Whether somebody is writing it now."""
    try:
        if not journal.is_file():
            return False
        with journal.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def write_midi_atomically(path: Path, contents: bytes, *, sync: bool) -> None:
    """Make `contents` the MIDI file at `path`, whole or not at all. Raises OSError.

    As `write_whole`, without waiting for the disk, and by way of one name only: who is killed leaves nothing unknown.
    """
    fresh = _temporary_path(path)
    try:
        with fresh.open("wb") as file:
            file.write(contents)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def _temporary_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


class OpenTake:
    """The files of a take that is being written. Everything raises OSError, and then nothing is left half written."""

    def __init__(self, folder: TakeFolder, header: TakeHeader) -> None:
        self.name = header.name
        self._midi = folder.midi(header.name)
        folder.path.mkdir(parents=True, exist_ok=True)
        self.path = folder.journal(header.name)
        self.size = self.midi_size = 0
        self._bars = 0
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            with contextlib.suppress(OSError):  # file systems without locks
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.append(header.encode())
        except BaseException:
            os.close(self._file)
            self.path.unlink(missing_ok=True)
            raise

    @property
    def is_deleted(self) -> bool:
        """Whether somebody has deleted it."""
        return os.fstat(self._file).st_nlink == 0

    def append(self, lines: bytes) -> None:
        """Write whole lines at the end of the journal."""
        if self.is_deleted:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(lines)

    def is_midi_due(self) -> bool:
        """Whether the MIDI file should be made anew at the bar line that is reached; to be asked at each."""
        self._bars += 1
        return self._bars % (self.midi_size // _SMALL_BYTES + 1) == 0

    def write_midi(self, contents: bytes, *, sync: bool = False) -> None:
        """Make this the MIDI file, whole or not at all; the disk is waited for only if it is to be `sync`."""
        write_midi_atomically(self._midi, contents, sync=sync)
        self.midi_size = len(contents)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)
