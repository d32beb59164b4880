# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, each kind with the exit status it ends the program with (those of sysexits.h)."""

from __future__ import annotations

from typing import ClassVar


class SidemanError(Exception):
    """Anything the program gives up on, told in one clear line (or one line a problem)."""

    status: ClassVar[int] = 70


class UsageError(SidemanError):
    """The command line asks for something that does not exist."""

    status = 2


class UnreadableInput(SidemanError):
    """A file that is there but cannot be understood: MIDI file, bundle, chart."""

    status = 65


class NoSuchInput(SidemanError):
    """A file or folder that is not there."""

    status = 66


class Unavailable(SidemanError):
    """Something the program needs is not there: a port, another daemon, TensorFlow."""

    status = 69


class CannotCreate(SidemanError):
    """A file that cannot be made where it was asked for."""

    status = 73


class DiskError(SidemanError):
    """The disk is full or broken."""

    status = 74


class NotPermitted(SidemanError):
    """The system does not let us."""

    status = 77


class ConfigError(SidemanError):
    """The configuration is wrong (its chart included)."""

    status = 78
