# SPDX-License-Identifier: Apache-2.0
"""What an error means to whoever started the program: an exit status and a few words."""

from __future__ import annotations

import errno
import os

from sideman.core.errors import SidemanError, Unavailable
from sideman_models.errors import ModelsError, NoSuchBundle

UNREADABLE_INPUT, NO_SUCH_INPUT, INTERNAL_ERROR, CANNOT_CREATE, DISK_ERROR, NOT_PERMITTED = 65, 66, 70, 73, 74, 77
DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def exit_status_and_message(error: Exception) -> tuple[int, str]:
    """The exit status that `error` ends the program with (those of sysexits.h), and what to say, a line a problem."""
    match error:
        case SidemanError():
            return error.exit_status, str(error)
        case NoSuchBundle():
            return NO_SUCH_INPUT, str(error)
        case ModelsError():
            return UNREADABLE_INPUT, str(error)
        case ModuleNotFoundError() if error.name and not error.name.startswith("sideman"):
            return (
                Unavailable.exit_status,
                f"{error.name} is not installed; what training needs comes with sideman[train]",
            )
        case OSError() | MemoryError():
            return _os_error_status(error)
    return INTERNAL_ERROR, f"a defect of sideman: {type(error).__name__}: {error} (--debug tells where)"


def _os_error_status(error: OSError | MemoryError) -> tuple[int, str]:
    if isinstance(error, MemoryError):
        return Unavailable.exit_status, "there is not memory enough for this; give it less at once, or more memory"
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    text = f"{where}{error.strerror or error}"
    if error.errno == errno.ENAMETOOLONG:
        return NO_SUCH_INPUT, text
    match error:
        case FileNotFoundError() | IsADirectoryError() | NotADirectoryError():
            return NO_SUCH_INPUT, text
        case PermissionError():
            return NOT_PERMITTED, text
        case FileExistsError():
            return CANNOT_CREATE, text
    return (DISK_ERROR if error.errno in DISK_ERRNOS else INTERNAL_ERROR), text
