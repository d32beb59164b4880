# SPDX-License-Identifier: Apache-2.0
"""The folder of takes. Each take has two files: NAME.jsonl, its journal, and NAME.mid, which is made from the journal.

Each take has a number, which says in which order they were recorded; the date in the name may come from a clock that is
wrong. The journal that is being written is locked as long as its process lives, so that it is neither deleted nor taken
for one that was cut off. Those who read a journal share a lock, so that it is not deleted meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from sideman.config import resources
from sideman.core.errors import NoSuchInput, UsageError
from sideman.files import state_folder
from sideman.takes.journal import TakeHeader, number_and_kept
from sideman_models.network.bundle import bundle_folders
from sideman_models.text import closest, printable
from sideman_models.writing import create_file, delete, make_folder, write_whole

JOURNAL, MIDI = ".jsonl", ".mid"
_NAME = re.compile(r"\w[\w .’'-]*")
_MAX_NUMBER = 10**18 - 1  # with more digits, `number_and_kept` would not read it
_SMALL_BYTES = 1_000_000
"""A MIDI file up to this size is rewritten at each bar line, one of twice the size at every second one, and so on."""

_log = logging.getLogger(__name__)


class TakeFolder(Struct, frozen=True):
    """The takes in the folder at `path`, which need not exist."""

    path: Path

    def journal(self, name: str) -> Path:
        """The journal of a take."""
        return self.path / f"{name}{JOURNAL}"

    def midi(self, name: str) -> Path:
        """The MIDI file of a take."""
        return self.path / f"{name}{MIDI}"

    def names(self) -> list[str]:
        """The names of all takes in the order in which they were recorded; first those that have no number, by name."""
        with contextlib.suppress(OSError):
            found = sorted(path.stem for path in self.path.glob(f"*{JOURNAL}") if _NAME.fullmatch(path.stem))
            return sorted(found, key=lambda name: number_and_kept(self.journal(name))[0])
        return []

    def next_number(self) -> int:
        """The number of a new take."""
        highest = max((number_and_kept(self.journal(name))[0] for name in self.names()), default=0)
        return min(highest + 1, _MAX_NUMBER)

    def find(self, name: str) -> Path:
        """The journal of the take called `name`. Raises NoSuchInput, with a name that is similar."""
        name = name.removesuffix(JOURNAL).removesuffix(MIDI)
        if _NAME.fullmatch(name) and os.path.lexists(self.journal(name)):
            return self.journal(name)
        names = self.names()
        near = closest(name, names) or next((each for each in reversed(names) if name and name in each), None)
        hint = f"did you mean {printable(near)}?" if near else f"there are {len(names)} in {printable(self.path)}"
        raise NoSuchInput(f"{printable(name)}: no such take; {hint}")

    def learned(self, name: str, fingerprint: str) -> Path:
        """The file of learned weights that played in a take."""
        return self.path / f"{name}.learned-{fingerprint[:16]}.npz"

    def all_learned(self, name: str) -> list[Path]:
        """The files of all learned weights that played in a take."""
        return sorted(self.path.glob(f"{name}.learned-*.npz"))

    def size(self, name: str) -> int:
        """The size of all files of a take; what is not our own file, such as a link, has none."""
        status = map(_own_status, (self.journal(name), self.midi(name), *self.all_learned(name)))
        return sum(each.st_size for each in status if each is not None)

    def delete(self, name: str) -> None:
        """Delete a take. Raises UsageError if it is being recorded or read or is a folder, and OSError."""
        if is_folder(self.journal(name)):
            raise UsageError(f"{printable(self.journal(name))}: a folder, not a take")
        if is_recording(self.journal(name)):
            raise UsageError(f"{printable(name)}: it is being recorded; stop the recording first")
        midi = self.midi(name)
        # of a process that was killed while it wrote the MIDI file, or what was learned
        unfinished = (*self.path.glob(f".{midi.name}-*"), *self.path.glob(f".{name}.learned-*"))
        with _locked(self.journal(name), fcntl.LOCK_EX) as is_free:
            if not is_free:
                raise UsageError(
                    f"{printable(name)}: it is being read, by `sideman takes`; delete it when that is over"
                )
            for path in (*unfinished, midi, *self.all_learned(name)):
                delete(path)
            delete(self.journal(name))  # the last: takes are found by it

    def prune(self, limit: int, kept: str | None = None) -> None:
        """Delete the oldest recorded takes until they fill at most `limit` bytes, and log the names of the deleted.

        With `kept`, the name of a take that was just kept on request, delete the oldest kept takes instead, but not
        that one: neither kind gives way to the other. A take that is being read stays until the next time; no newer one
        is deleted in its place. The takes of others are left alone.
        """
        names = [name for name in self.names() if _own_status(self.journal(name)) is not None]
        names = [name for name in names if number_and_kept(self.journal(name))[1] == (kept is not None)]
        total = sum(map(self.size, names))
        sizes = {name: self.size(name) for name in names if name != kept}
        for name, size in sizes.items():
            if total <= limit:
                break
            with contextlib.suppress(OSError):
                total -= size
                try:
                    self.delete(name)
                except UsageError:
                    continue
                _log.info("take %s deleted: the takes were larger than takes.limit_mb", name)


def take_folder(named: str | None) -> TakeFolder:
    """The folder named by takes.folder, or for None the default one, beside the user's own bundles."""
    if named is not None:
        return TakeFolder(resources.expand_user(named))
    own = bundle_folders()[0].parent if len(bundle_folders()) > 1 else state_folder()
    return TakeFolder(own / "takes")


def _own_status(path: Path) -> os.stat_result | None:
    """The status of our own file; None for anything else, such as a link or a file of another user.

    On some file systems, such as that of a USB stick, everything belongs to one user, as the folder does.
    """
    with contextlib.suppress(OSError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_uid in (os.geteuid(), path.parent.stat().st_uid):
            return status
    return None


def is_folder(journal: Path) -> bool:
    """Whether a folder stands where the journal should be; it is never deleted."""
    return journal.is_dir() and not journal.is_symlink()


def is_recording(journal: Path) -> bool:
    """Whether a process is writing the journal now."""
    with _locked(journal, fcntl.LOCK_SH) as is_free:
        return not is_free


@contextlib.contextmanager
def reading(journal: Path) -> Iterator[None]:
    """Meanwhile the take is not deleted. One that is being recorded is not deleted anyway."""
    with _locked(journal, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def _locked(journal: Path, kind: int) -> Iterator[bool]:
    """Lock a journal if it can be locked; whether no other process has locked it in a way that excludes this."""
    with contextlib.ExitStack() as stack:
        is_free = True
        try:
            if stat.S_ISREG(journal.lstat().st_mode):
                file = os.open(journal, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                stack.callback(os.close, file)
                fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError as error:  # some file systems have no locks
            is_free = not isinstance(error, BlockingIOError)
        yield is_free


class OpenTake:
    """The files of a take that is being written. Every method may raise OSError, and then leaves no half line."""

    def __init__(self, folder: TakeFolder, header: TakeHeader) -> None:
        self.header = header
        self.path, self.midi_path = folder.journal(header.name), folder.midi(header.name)
        make_folder(folder.path)
        if os.path.lexists(self.midi_path):  # of another program: it would be replaced
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.midi_path))
        self.size = self.midi_size = self.learned_size = 0
        self._folder = folder
        self._bars = 0
        self._file = create_file(self.path)  # that only we may lock
        try:
            with contextlib.suppress(OSError):  # some file systems have no locks
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.append(header.encode())
        except BaseException:
            os.close(self._file)
            delete(self.path)
            raise

    @property
    def total_size(self) -> int:
        """The size of all files."""
        return self.size + self.midi_size + self.learned_size

    @property
    def is_deleted(self) -> bool:
        """Whether the journal was deleted."""
        return os.fstat(self._file).st_nlink == 0

    def append(self, lines: bytes, *, sync: bool = False) -> None:
        """Append whole lines to the journal; `sync` waits for the disk."""
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
        if sync:
            os.fsync(self._file)

    def is_midi_due(self) -> bool:
        """Whether to rewrite the MIDI file at this bar line. Call it once at each bar line."""
        self._bars += 1
        return self._bars % (self.midi_size // _SMALL_BYTES + 1) == 0

    def write_midi(self, contents: bytes, *, sync: bool = False) -> None:
        """Replace the MIDI file; `sync` waits for the disk."""
        write_whole(self.midi_path, contents, sync=sync)
        self.midi_size = len(contents)

    def write_learned(self, fingerprint: str, content: bytes) -> None:
        """Write learned weights beside the journal, before a line that needs them."""
        write_whole(self._folder.learned(self.header.name, fingerprint), content, sync=False)
        self.learned_size += len(content)

    def close(self) -> None:
        """Close the journal and release its lock."""
        os.close(self._file)
