# SPDX-License-Identifier: Apache-2.0
"""The log: short lines on stderr, in the form that whoever reads them there likes best."""

from __future__ import annotations

import logging
import os
import select
import sys
from typing import TextIO

WRITE_TIMEOUT_S = 0.1
"""How long whoever reads the log may be busy; after that lines are left out until it goes on."""
# The priorities of syslog(3), as systemd's journal reads them at the start of a line.
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Log `debug`, `info`, `warning` or `error` and worse to `stream`, stderr unless given. Replaces an earlier set-up.

    Into systemd's journal a line goes with its priority and without the time, which the journal keeps itself.
    """
    stream = sys.stderr if stream is None else stream
    handler: logging.Handler = logging.NullHandler()
    if stream is not None:  # Python's own stderr is None when it was closed before the start
        handler = _StderrHandler(stream)
        handler.setFormatter(_JournalFormatter() if _is_journal(stream) else _TerminalFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Goes on in silence once stderr is closed or stands still: a musician's solo does not stop with their terminal."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._timeout_s = WRITE_TIMEOUT_S

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless whoever reads them takes no more: it would be waited for, and no signal heeded."""
        try:
            takes_more = bool(select.select([], [self.stream], [], self._timeout_s)[1])
        except (OSError, ValueError):
            takes_more = True  # no file, or a closed one
        self._timeout_s = WRITE_TIMEOUT_S if takes_more else 0.0
        if takes_more:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing can be said where saying failed."""


class _TerminalFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if record.levelno < logging.WARNING:
            return line
        return line.replace(" ", f" {record.levelname.lower()}: ", 1)


class _JournalFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        # Each line of its own: the journal would give the rest of a traceback the usual priority.
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines() or [""])


def _is_journal(stream: TextIO) -> bool:
    """Whether `stream` is the very socket that systemd says leads to the journal."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return named == f"{there.st_dev}:{there.st_ino}"
