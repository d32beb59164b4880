# SPDX-License-Identifier: Apache-2.0
"""Silence for libraries that chat on stderr, and for them alone."""

from __future__ import annotations

import os
import sys

import pytest

from sideman.commands.quiet import silence_stderr


def test_what_libraries_say_meanwhile_is_not_heard_and_what_we_say_after_is(capfd: pytest.CaptureFixture[str]) -> None:
    """A command's answer would drown in a library's remarks about the processor, or our own errors be lost."""
    sys.stderr.write("before\n")
    with silence_stderr():
        os.write(2, b"chatter")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before\nafter"


def test_an_exception_goes_its_way(capfd: pytest.CaptureFixture[str]) -> None:
    """What went wrong would be hushed up, and with it all that is said later."""
    with pytest.raises(ZeroDivisionError), silence_stderr():
        raise ZeroDivisionError
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_a_process_without_stderr_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service started with its stderr closed could not train or export."""

    def closed(_descriptor: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    monkeypatch.setattr(sys, "stderr", None)
    ran = []
    with silence_stderr():
        ran.append(True)
    assert ran
