# SPDX-License-Identifier: Apache-2.0
"""The errors that the program reports, each with its exit status.

The numbers are those of sysexits.h and stand only here. `sideman.exit_status` makes the table of exit statuses from
these classes: a new one needs a direct subclass with its number, a docstring and, where it is False, `restart_helps`.
"""

from __future__ import annotations

from typing import ClassVar


class SidemanError(Exception):
    """An internal error: the program is at fault."""

    exit_status: ClassVar[int] = 70
    restart_helps: ClassVar[bool] = True
    """Whether a service manager should start the program again after this error."""

    def __init_subclass__(cls, status: int | None = None, *, restart_helps: bool = True) -> None:
        if status is not None:
            cls.exit_status, cls.restart_helps = status, restart_helps


class UsageError(SidemanError, status=2, restart_helps=False):
    """The command line asks for something that does not exist."""


class UnreadableInput(SidemanError, status=65, restart_helps=False):
    """A file exists but cannot be understood: a MIDI file, a bundle, a chart, a take."""


class NoSuchInput(SidemanError, status=66, restart_helps=False):
    """A file or folder does not exist."""


class Unavailable(SidemanError, status=69):
    """Something the program needs is not available: a port, a running daemon, TensorFlow, memory."""


class CannotCreate(SidemanError, status=73, restart_helps=False):
    """A file cannot be created at the requested place."""


class DiskError(SidemanError, status=74):
    """The disk is full or broken."""


class NotPermitted(SidemanError, status=77, restart_helps=False):
    """The operating system does not permit it."""


class ConfigError(SidemanError, status=78, restart_helps=False):
    """The configuration is wrong, or the chart in it."""
