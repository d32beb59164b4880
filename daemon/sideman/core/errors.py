# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, each kind with the exit status it ends the program with (those of sysexits.h)."""

from __future__ import annotations

from typing import ClassVar


class SidemanError(Exception):
    """Anything the program gives up on, told in one clear line (or one line a problem)."""

    exit_status: ClassVar[int] = 70


class UsageError(SidemanError):
    """The command line asks for something that does not exist."""

    exit_status = 2


class UnreadableInput(SidemanError):
    """A file that is there but cannot be understood: MIDI file, bundle, chart."""

    exit_status = 65


class NoSuchInput(SidemanError):
    """A file or folder that is not there."""

    exit_status = 66


class Unavailable(SidemanError):
    """Something the program needs is not there: a port, another daemon, TensorFlow."""

    exit_status = 69


class CannotCreate(SidemanError):
    """A file that cannot be made where it was asked for."""

    exit_status = 73


class DiskError(SidemanError):
    """The disk is full or broken."""

    exit_status = 74


class NotPermitted(SidemanError):
    """The system does not let us."""

    exit_status = 77


class ConfigError(SidemanError):
    """The configuration is wrong (its chart included)."""

    exit_status = 78
