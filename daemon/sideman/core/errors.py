# SPDX-License-Identifier: Apache-2.0
"""The errors that the program reports, each with its exit status.

The numbers are those of sysexits.h and stand only here. `sideman.exit_status` makes the table of exit statuses from
these classes: a direct subclass with a number, a docstring and `restart_helps` is all that a new one needs.
"""

from __future__ import annotations

from typing import ClassVar


class SidemanError(Exception):
    """An internal error: the program is at fault."""

    exit_status: ClassVar[int] = 70
    restart_helps: ClassVar[bool] = True
    """Whether a service manager should start the program again after this error."""


class UsageError(SidemanError):
    """The command line asks for something that does not exist."""

    exit_status = 2
    restart_helps = False


class UnreadableInput(SidemanError):
    """A file exists but cannot be understood: a MIDI file, a bundle, a chart, a take."""

    exit_status = 65
    restart_helps = False


class NoSuchInput(SidemanError):
    """A file or folder does not exist."""

    exit_status = 66
    restart_helps = False


class Unavailable(SidemanError):
    """Something the program needs is not available: a port, a running daemon, TensorFlow, memory."""

    exit_status = 69


class CannotCreate(SidemanError):
    """A file cannot be created at the requested place."""

    exit_status = 73
    restart_helps = False


class DiskError(SidemanError):
    """The disk is full or broken."""

    exit_status = 74


class NotPermitted(SidemanError):
    """The operating system does not permit it."""

    exit_status = 77
    restart_helps = False


class ConfigError(SidemanError):
    """The configuration is wrong, or the chart in it."""

    exit_status = 78
    restart_helps = False
