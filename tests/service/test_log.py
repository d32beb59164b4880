# SPDX-License-Identifier: Apache-2.0
"""The log on a terminal, in systemd's journal, and without a reader."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from sideman.service import log
from support.processes import TIMEOUT_S


def logged(stream: TextIO, level: str = "info") -> None:
    """Log one message of each level."""
    with contextlib.redirect_stderr(stream):
        log.configure_logging(level)
    logger = logging.getLogger("test")
    for each in ("debug", "info", "warning", "error"):
        getattr(logger, each)("%s said", each)


@pytest.fixture(autouse=True)
def _log_put_back() -> Iterator[None]:
    """Restore the logging of the test run."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


def test_the_terminal_gets_short_lines_with_the_time() -> None:
    """Guards against: log lines without a time, or warnings that are not marked."""
    stream = io.StringIO()
    logged(stream)
    lines = [line.partition(" ") for line in stream.getvalue().splitlines()]
    assert [text for _, _, text in lines] == ["info said", "warning: warning said", "error: error said"]
    assert all(len(time) == len("12:00:00") for time, _, _ in lines)


HOSTILE = "a\n12:00:00.000 forged\r\x1b[2J\x9b31m\x7f\u202e\u2028<0>b"


@pytest.mark.parametrize("in_journal", [False, True])
def test_no_name_forges_a_line(in_journal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a port whose name writes lines of the log, or gives orders to the terminal that shows it."""
    path = tmp_path / "log"
    with path.open("w") as stream:
        there = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}" if in_journal else "")
        with contextlib.redirect_stderr(stream):
            log.configure_logging("info")
        logging.getLogger("test").warning("midi.output: %s is gone", HOSTILE)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("test").exception("%s failed", HOSTILE)
    text = path.read_text()
    assert text.replace("\n", "").isprintable()
    first, second, *traceback = text.splitlines()
    assert r"a\n12:00:00.000 forged\r\x1b[2J\x9b31m\x7f\u202e\u2028<0>b is gone" in first
    assert second.endswith("failed")
    assert traceback
    assert all(line.removeprefix("<3>").startswith("    ") for line in traceback)


def test_the_journal_gets_priorities_and_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: `journalctl -p warning` shows nothing; lines with two times."""
    path = tmp_path / "journal"
    with path.open("w") as stream:
        there = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        logged(stream, "debug")
        logging.getLogger("test").error("two\nlines")
    assert path.read_text().splitlines() == [
        "<7>debug said", "<6>info said", "<4>warning said", "<3>error said", "<3>two\\nlines",
    ]  # fmt: skip


@pytest.mark.parametrize("level", ["debug", "warning"])
def test_a_closed_terminal_does_not_stop_the_music(level: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: the solo ends when its terminal is closed."""
    stream = io.StringIO()
    stream.close()
    logged(stream, level)
    assert capfd.readouterr().err == ""


def test_a_blocked_terminal_does_not_stop_the_music() -> None:
    """Guards against: after Ctrl-S, or in a pager, the daemon no longer reacts to signals and requests."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as end, os.fdopen(writing, "w") as stream:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(4096))
        os.set_blocking(writing, True)
        talks = threading.Thread(target=logged, args=(stream,), daemon=True)
        talks.start()
        talks.join(TIMEOUT_S / 10)
        stuck = talks.is_alive()
        while select.select([end], [], [], 0)[0]:
            end.read(1 << 20)
        assert not stuck
        logging.getLogger("test").info("goes on")
        assert end.read(1 << 20).endswith(b" goes on\n")


def test_a_long_line_is_folded_on_a_terminal_alone() -> None:
    """Guards against: lines that the terminal breaks within a word, or a file in which one message is two lines."""
    for is_terminal in (True, False):
        stream = io.StringIO()
        stream.isatty = lambda is_terminal=is_terminal: is_terminal  # type: ignore[method-assign, misc]
        with contextlib.redirect_stderr(stream):
            log.configure_logging("info")
            logging.getLogger("test").info("ready: %s", " ".join(["output sideman:out (ALSA),"] * 6))
        lines = stream.getvalue().splitlines()
        assert (len(lines) > 1) == is_terminal
        assert not is_terminal or max(map(len, lines)) <= 80
        assert all(line.startswith(" " * 9) for line in lines[1:])
