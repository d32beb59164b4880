# SPDX-License-Identifier: Apache-2.0
"""What an error means to whoever started the program: an exit status and a few words."""

from __future__ import annotations

import errno
import os

from sideman.core.errors import SidemanError, Unavailable
from sideman_models.errors import ModelsError, NoSuchBundle

UNREADABLE, NO_SUCH, DEFECT, CANNOT_CREATE, DISK, NOT_PERMITTED = 65, 66, 70, 73, 74, 77
FULL_OR_BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def verdict(error: Exception) -> tuple[int, str]:
    """The exit status that `error` ends the program with (those of sysexits.h), and what to say, a line a problem."""
    match error:
        case SidemanError():
            return error.status, str(error)
        case NoSuchBundle():
            return NO_SUCH, str(error)
        case ModelsError():
            return UNREADABLE, str(error)
        case ModuleNotFoundError() if error.name and not error.name.startswith("sideman"):
            return Unavailable.status, f"{error.name} is not installed; what training needs comes with sideman[train]"
        case OSError() | MemoryError():
            return _machine_verdict(error)
    return DEFECT, f"a defect of sideman: {type(error).__name__}: {error} (--debug tells where)"


def _machine_verdict(error: OSError | MemoryError) -> tuple[int, str]:
    if isinstance(error, MemoryError):
        return Unavailable.status, "there is not memory enough for this; give it less at once, or more memory"
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    text = f"{where}{error.strerror or error}"
    if error.errno == errno.ENAMETOOLONG:
        return NO_SUCH, text
    match error:
        case FileNotFoundError() | IsADirectoryError() | NotADirectoryError():
            return NO_SUCH, text
        case PermissionError():
            return NOT_PERMITTED, text
        case FileExistsError():
            return CANNOT_CREATE, text
    return (DISK if error.errno in FULL_OR_BROKEN else DEFECT), text
