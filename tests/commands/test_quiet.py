# SPDX-License-Identifier: Apache-2.0
"""Suppresses what libraries write to stderr, and nothing else."""

from __future__ import annotations

import os
import sys

import pytest

from sideman.commands.common import silence_stderr


def test_messages_of_libraries_are_suppressed_and_ours_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: an answer among messages of a library, or the loss of our own error message."""
    sys.stderr.write("before\n")
    with silence_stderr():
        os.write(2, b"chatter")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before\nafter"


def test_an_exception_is_not_suppressed(capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: an exception, and all later messages, are suppressed."""
    with pytest.raises(ZeroDivisionError), silence_stderr():
        raise ZeroDivisionError
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_a_closed_stderr_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: an error if stderr is closed."""

    def closed(_descriptor: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    monkeypatch.setattr(sys, "stderr", None)
    ran = []
    with silence_stderr():
        ran.append(True)
    assert ran
