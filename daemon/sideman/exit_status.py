# SPDX-License-Identifier: Apache-2.0
"""The table of exit statuses, and the exit status and message for any error.

`sideman.core.errors` gives each of our errors its number, its meaning and whether a restart helps. This module adds the
errors that come from elsewhere, and the two statuses that are no errors. systemd's unit is generated from the table.
"""

from __future__ import annotations

import errno
import os

from msgspec import Struct

from sideman.core import errors
from sideman.core.errors import SidemanError, Unavailable
from sideman_models.errors import ModelsError, NoSuchBundle

DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
_SAME_AS: dict[type[BaseException], type[SidemanError]] = {
    ModelsError: errors.UnreadableInput,
    NoSuchBundle: errors.NoSuchInput,
    FileNotFoundError: errors.NoSuchInput,
    IsADirectoryError: errors.NoSuchInput,
    NotADirectoryError: errors.NoSuchInput,
    PermissionError: errors.NotPermitted,
    FileExistsError: errors.CannotCreate,
    MemoryError: Unavailable,
}
_OF_ERRNO = dict.fromkeys(DISK_ERRNOS, errors.DiskError) | {errno.ENAMETOOLONG: errors.NoSuchInput}
"""Which of our errors an error from elsewhere amounts to. Any other error from elsewhere is an internal error."""


class ExitStatus(Struct, frozen=True):
    """One row of the table. `restart_helps` is None for a status with which the daemon never fails."""

    number: int
    meaning: str
    restart_helps: bool | None = None


REPLAY_DIFFERS = ExitStatus(1, "A take that was played again is not the same.")
INTERRUPTED = ExitStatus(130, "Ctrl-C, or a second Ctrl-C while the daemon stops.")


def exit_statuses() -> list[ExitStatus]:
    """The whole table, by number. Status 0, success, is not in it."""
    classes: list[type[SidemanError]] = [SidemanError, *SidemanError.__subclasses__()]
    rows = [ExitStatus(kind.exit_status, kind.__doc__ or "", kind.restart_helps) for kind in classes]
    return sorted([*rows, REPLAY_DIFFERS, INTERRUPTED], key=lambda row: row.number)


def exit_status_and_message(error: Exception) -> tuple[int, str]:
    """The exit status with which `error` ends the program, and the message for it, one line per problem."""
    kind = next((_SAME_AS[base] for base in type(error).__mro__ if base in _SAME_AS), SidemanError)
    match error:
        case SidemanError():
            kind, text = type(error), str(error)
        case ModelsError():
            text = str(error)
        case ModuleNotFoundError(name=str(name)) if name and not name.startswith("sideman"):
            extra = "picture" if name.startswith("matplotlib") else "train"
            need = {"picture": "drawing", "train": "training"}[extra]
            kind, text = Unavailable, f"{name} is not installed; {need} needs it: install sideman[{extra}]"
        case MemoryError():
            text = "not enough memory; give the program less to do at once, or more memory"
        case OSError():
            kind = _OF_ERRNO.get(error.errno or 0, kind)
            where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
            text = f"{where}{error.strerror or error}"
        case _:
            text = f"an internal error of sideman: {type(error).__name__}: {error} (--debug shows where)"
    return kind.exit_status, text
