# SPDX-License-Identifier: Apache-2.0
"""The log: short lines on stderr, in a form for the terminal or for systemd's journal."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
import textwrap
from typing import Any, TextIO

from sideman_models.text import printable

WRITE_TIMEOUT_S = 0.1
"""How long to wait if stderr does not accept a line. After that, lines are dropped until it accepts one again."""
TERMINAL_COLUMNS = 80
"""A longer line is folded between words on a terminal; a file, a pipe and the journal get it whole."""
# The priorities of syslog(3). systemd's journal reads them at the start of a line.
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


def configure_logging(level: str) -> None:
    """Log messages of `level` (debug, info, warning, error) and above to stderr.

    Lines for systemd's journal have their priority instead of the time, which the journal records itself.
    """
    handler: logging.Handler = logging.NullHandler()
    if sys.stderr is not None:  # it is None if it was closed before the start
        handler = _StderrHandler(sys.stderr)
        milliseconds = ".%(msecs)03d" if level == "debug" else ""
        handler.setFormatter(_TerminalFormatter(f"%(asctime)s{milliseconds} %(message)s", "%H:%M:%S"))
        with contextlib.suppress(OSError, ValueError, AttributeError):  # stderr may be closed, or no file
            status = os.fstat(sys.stderr.fileno())
            if os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}":  # systemd names its socket there
                handler.setFormatter(_JournalFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Never blocks or fails when stderr is closed or not read: a solo must not stop because a terminal does."""

    _timeout_s = WRITE_TIMEOUT_S

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or drop it if stderr does not accept it in time: the main thread must not block."""
        try:
            is_writable = bool(select.select([], [self.stream], [], self._timeout_s)[1])
        except (OSError, ValueError):
            is_writable = True  # not a file, or closed
        self._timeout_s = WRITE_TIMEOUT_S if is_writable else 0.0
        if is_writable:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignore the error: there is no other place to report it."""


class _PrintableFormatter(logging.Formatter):
    """Makes one line of a message, whatever names are in it, and indents a traceback: no text can forge a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - logging's own
        return "\n".join(f"    {printable(line)}" for line in super().formatException(ei).splitlines())


class _TerminalFormatter(_PrintableFormatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if record.levelno >= logging.WARNING:
            line = line.replace(" ", f" {record.levelname.lower()}: ", 1)
        if record.exc_info or len(line) <= TERMINAL_COLUMNS or not _is_terminal():
            return line
        indent = " " * (line.index(" ") + 1)
        return "\n".join(textwrap.wrap(line, TERMINAL_COLUMNS, subsequent_indent=indent, break_on_hyphens=False))


class _JournalFormatter(_PrintableFormatter):
    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        # Each line needs its priority: the journal would give the rest of a traceback the default one.
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines() or [""])
