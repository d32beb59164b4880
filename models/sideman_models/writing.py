# SPDX-License-Identifier: Apache-2.0
"""The one place that makes, replaces, renames and deletes files and folders.

The folder is opened part by part, and everything happens in the folder that was opened, so that no part of the path can
be exchanged meanwhile. A link in a path is followed if it belongs to us or to the system; a link, a pipe or a device in
the place of the file never is. What others may do in a folder is logged once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import logging
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from sideman_models.text import printable

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEVICES = Path("/dev"), Path("/dev/fd")
_MAX_LINKS = 40

_log = logging.getLogger(__name__)
_reported: set[str] = set()  # folders that others may write


@contextlib.contextmanager
def open_folder(path: Path, *, make: bool = False, mode: int = 0o777) -> Iterator[int]:
    """Open the folder `path`, and log once if others may write there.

    `make` makes the folders that are missing, the last one with `mode`. Yields a descriptor for the `dir_fd` of the
    functions of `os`. Raises `OSError`, also for a link of another user.
    """
    names, links = list(reversed(path.absolute().parts[1:])), 0
    folder = os.open("/", _FOLDER)
    trusted = {0, os.geteuid(), os.fstat(folder).st_uid}  # the last: where root has another number, as in a container
    try:
        while names:
            name = names.pop()
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, mode if not names else 0o777, dir_fd=folder)
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if status.st_uid not in trusted or links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, f"{printable(name)} in its path is a link of another user")
                target = Path(os.readlink(name, dir_fd=folder))
                names += reversed(target.parts[target.is_absolute() :])
                if not target.is_absolute():
                    continue
                name = "/"
            inner = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
            _report_others(path, os.fstat(folder), trusted, is_last=not names)
        yield folder
    finally:
        os.close(folder)


def _report_others(path: Path, status: os.stat_result, trusted: set[int], *, is_last: bool) -> None:
    """Log once that others may write into the folder `path`, if they may into a folder on the way with this `status`.

    In a sticky folder, such as /tmp, others cannot exchange the our own folders.
    """
    if status.st_uid in trusted and not (_is_shared(status) and (is_last or not status.st_mode & stat.S_ISVTX)):
        return
    if (name := printable(path)) not in _reported:
        _reported.add(name)
        _log.warning("%s: others may write here; a folder of your own is safer", name)


def _is_shared(status: os.stat_result) -> bool:
    """Whether others than the owner may write into a folder. Many systems give each user a group of the same name."""
    if not status.st_mode & stat.S_IWGRP or status.st_mode & stat.S_IWOTH:
        return bool(status.st_mode & stat.S_IWOTH)
    try:
        group, user = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid)
    except KeyError:
        return True
    return group.gr_name != user.pw_name or bool(set(group.gr_mem) - {user.pw_name})


def is_ours_alone(folder: Path) -> bool:
    """Whether only we, and the system, may write into a folder. Raises `OSError`."""
    status = folder.stat()
    return status.st_uid in (0, os.geteuid()) and not _is_shared(status)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder, and the folders above it, where they are missing. Raises `OSError`."""
    with open_folder(path, make=True, mode=mode):
        pass


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Make `content` the content of the file `path`, or leave the file as it was.

    The content goes into a new file in the same folder, whose name cannot be guessed, and that file then replaces
    `path`. So neither a full disk nor a crash leaves half a file, and with `sync` neither does a power cut. The
    permissions of an older file are kept. A device in /dev is written to directly. Raises `OSError` if something else
    than our own file is there: a link, a folder, a pipe, a file of another user.
    """
    if path.absolute().parent in _DEVICES:
        with open(os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC), "wb") as device:  # noqa: PTH123 - a descriptor
            device.write(content)
        return
    with open_folder(path.parent) as folder:
        old = _status(path.name, folder)
        temporary = f".{path.name}-{os.urandom(5).hex()}"
        with open(os.open(temporary, os.O_WRONLY | _NEW, 0o666, dir_fd=folder), "wb") as file:  # noqa: PTH123
            try:
                if old is not None:
                    new = os.fstat(file.fileno())
                    _check_owner(old, new)
                    if (old.st_mode ^ new.st_mode) & 0o777:
                        os.fchmod(file.fileno(), old.st_mode & 0o777)
                file.write(content)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
                os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
        if sync:
            _sync_folder(folder)


def own_file(path: Path) -> Path:
    """Return the file that `path` leads to by links of our own in folders of our own; for a file that a user may link.

    Any other path is returned as it is. Raises `OSError` for a link of another user, or in a folder that others may
    write.
    """
    for _ in range(_MAX_LINKS):
        if not path.is_symlink():
            return path
        if path.lstat().st_uid not in (0, os.geteuid()) or not is_ours_alone(path.parent):
            raise OSError(errno.ELOOP, "a link where others may write; name the file that it leads to")
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _status(name: str, folder: int) -> os.stat_result | None:
    """The status of the file that may be replaced, None if there is nothing. Raises `OSError` for anything else."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "a link; name the file that it leads to")
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise FileExistsError(errno.EEXIST, "something else than a file is there")
    return status


def check_replaceable(path: Path) -> None:
    """Raises `OSError` if something else than a file is at `path`, such as a link."""
    with open_folder(path.parent) as folder:
        _status(path.name, folder)


def _check_owner(old: os.stat_result, new: os.stat_result) -> None:
    """Compare with the owner of a new file, which on some file systems is not the user who made it."""
    if old.st_uid != new.st_uid:
        raise PermissionError(errno.EPERM, "the file there belongs to another user")


def replace_file(path: Path, new: Path) -> None:
    """Let the file `new`, which is ours and in the same file system, take the place of `path`, as `write_whole` does.

    Raises `OSError`.
    """
    with open_folder(path.parent) as folder, open_folder(new.parent) as source:
        if (old := _status(path.name, folder)) is not None:
            _check_owner(old, os.stat(new.name, dir_fd=source, follow_symlinks=False))
        os.replace(new.name, path.name, src_dir_fd=source, dst_dir_fd=folder)


def _sync_folder(folder: int) -> None:
    """Let a new name in the folder outlive a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(readable)
        finally:
            os.close(readable)


def create_file(path: Path) -> int:
    """Create a file to append to that only we may open, and with that only we may lock. Returns its descriptor.

    Raises `OSError`, also if anything is there already.
    """
    with open_folder(path.parent) as folder:
        return os.open(path.name, os.O_WRONLY | os.O_APPEND | _NEW, 0o600, dir_fd=folder)


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[bool]:
    """Lock the file `path`, which only we may open; it is made if it is missing. Yields whether the lock was free.

    Raises `OSError` if something else than our own file is there.
    """
    with open_folder(path.parent) as folder:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        lock = os.open(path.name, flags, 0o600, dir_fd=folder)
    try:
        status = os.fstat(lock)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise FileExistsError(errno.EEXIST, f"{printable(path.name)} is not our own lock")
        if stat.S_IMODE(status.st_mode) != 0o600:
            os.fchmod(lock, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        except BlockingIOError:
            is_free = False
        yield is_free
    finally:
        os.close(lock)


def rename(path: Path, new: Path) -> None:
    """Give a file or a folder another name; what has that name is replaced, a link not followed. Raises `OSError`."""
    with open_folder(path.parent) as source, open_folder(new.parent) as target:
        os.replace(path.name, new.name, src_dir_fd=source, dst_dir_fd=target)


def delete(path: Path) -> None:
    """Delete a file, or a link itself, if it is there. Raises `OSError`."""
    with contextlib.suppress(FileNotFoundError), open_folder(path.parent) as folder:
        os.unlink(path.name, dir_fd=folder)


def delete_folder(path: Path) -> None:
    """Delete a folder and what is in it, as far as possible. Links in it are deleted, not followed."""
    with contextlib.suppress(OSError), open_folder(path.parent) as folder:
        shutil.rmtree(path.name, ignore_errors=True, dir_fd=folder)


@contextlib.contextmanager
def scratch_folder(beside: Path, mark: str = "-") -> Iterator[Path]:
    """Make a hidden folder beside `beside` that only we may open, and delete it at the end. Raises `OSError`."""
    path = beside.with_name(f".{beside.name}{mark}{os.urandom(5).hex()}")
    with open_folder(path.parent) as folder:
        os.mkdir(path.name, 0o700, dir_fd=folder)
    try:
        yield path
    finally:
        delete_folder(path)
