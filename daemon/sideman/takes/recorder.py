# SPDX-License-Identifier: Apache-2.0
"""Records a performance while it is played: writes it to files bar by bar, or keeps its last minutes in memory.

A recorder has no thread of its own. It is given the player's reports, and at each bar line it updates the files, which
takes about a millisecond. It does not wait for the disk: a process that is killed loses nothing before the last bar
line, but a power cut may cost the last seconds. If the disk fails, that is logged once, the recorder tries again each
minute, and meanwhile it keeps the lines in memory, up to a limit.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from sideman.core import events
from sideman.core.chart.chart import Chart
from sideman.core.errors import DiskError, Unavailable
from sideman.core.events import Advanced, BarStarted, InputReceived, PlayerEnded, Report
from sideman.core.settings.groups.takes import TakesSettings
from sideman.core.settings.schema import with_values
from sideman.files import explain_write_errors
from sideman.takes.folder import OpenTake, TakeFolder
from sideman.takes.journal import TakeHeader, TakeTotals
from sideman.takes.lines import RecordedReport, decode_report, encode_report
from sideman.takes.midi_file import TakeMidiFile
from sideman_models.text import printable

RETRY_S = 60.0
MAX_WRITE_INTERVAL_S = 10.0
"""The files are updated at least this often, even without a bar line."""
MAX_WAITING_BYTES = 8_000_000
"""Lines kept in memory while the disk fails."""
MAX_RECENT_BYTES = 16_000_000
"""Lines kept in memory as the last minutes."""
KEEP_INTERVAL_S = 5.0
"""At least so much music between two takes that are kept from memory."""
_KEPT_SHARE = 4
_MEGABYTE = 1_000_000
_MAX_NAME_TRIES = 20

_log = logging.getLogger(__name__)


class TakeRecorder:
    """Writes takes if `takes.record` is set, otherwise keeps the last minutes. `names` are for new takes.

    `header` is that of the first take, which gets its name when it is written.
    """

    def __init__(self, folder: TakeFolder, takes: TakesSettings, names: Iterator[str], header: TakeHeader) -> None:
        store = _TakeStore(folder, takes.limit_mb * _MEGABYTE, names)
        self._header = header  # of a take that would start now
        self._songs: dict[object, Chart] = {}  # the song of the set that follows, by its number
        self._sink = _TakeWriter(store, header) if takes.record else _RecentBars(store, header)

    def record(self, report: Report) -> None:
        """Record the next report. Problems of the disk are logged, never raised."""
        header = self._header
        if isinstance(report, RecordedReport):
            self._sink.add(report, header)
        match report:
            case events.SettingsChanged(values):
                settings = with_values(header.settings, values)
                changed = dict(values)
                seed, song = changed.get("play.seed"), self._songs.get(changed.get("chart.song"))
                seed = seed if isinstance(seed, int) else header.seed
                self._header = replace(header, settings=settings, seed=seed, chart=song or header.chart)
            case events.ModeChanged(mode):
                self._header = replace(header, settings=with_values(header.settings, [("play.mode", mode)]))
            case InputReceived(_, _, events.QueueSong(number, chart)):
                self._songs = {} if chart is None else {number: chart}
            case InputReceived(_, _, events.SetChart(chart)):
                self._header = replace(header, chart=chart)

    def keep(self) -> str:
        """Save the last minutes as a take and return the path of its MIDI file.

        While a take is being written, update its files instead. If nothing was played since, it is the last kept take
        again. Raises Unavailable if nothing is kept in memory or the last request came a moment ago, CannotCreate or
        DiskError.
        """
        if isinstance(self._sink, _RecentBars) and not self._header.settings.play.capture_minutes:
            raise Unavailable("no minutes are kept in memory: play.capture_minutes is 0")
        return self._sink.keep()

    def close(self) -> None:
        """End the take: the music is over."""
        self._sink.close()


def timestamp() -> str:
    """The local date and time, as a header has it."""
    return datetime.now(tz=UTC).astimezone().isoformat(timespec="seconds")


class _TakeStore(Struct, frozen=True):
    """The folder for new takes, and their names.

    The takes before the one being recorded fill at most `limit` bytes; those that were kept on request, a quarter of it
    besides, so that no request costs a recorded take.
    """

    folder: TakeFolder
    limit: int
    names: Iterator[str]

    def open_take(self, header: TakeHeader) -> OpenTake:
        """Create the files of a new take, whose header gets its name here. Raises OSError."""
        date, number = datetime.fromisoformat(header.date), self.folder.next_number()
        for name in islice(self.names, _MAX_NAME_TRIES):
            try:
                return OpenTake(self.folder, replace(header, name=f"{date:%Y-%m-%d-%H%M%S}-{name}", number=number))
            except FileExistsError:
                if not self.folder.path.is_dir():
                    raise
        raise FileExistsError(f"{self.folder.path}: all names that were tried are taken")

    def prune(self) -> None:
        """Delete the oldest recorded takes beyond the limit. Call it only while every newer take is on the disk."""
        self.folder.prune(self.limit)

    def prune_kept(self, newest: str) -> None:
        """Delete the oldest kept takes beyond their share, but never the `newest`, which is on the disk."""
        self.folder.prune(self.limit // _KEPT_SHARE, kept=newest)


def partial_header(header: TakeHeader, beat: float) -> TakeHeader:
    """The header of a take that starts in the middle of the music, on `beat`, and so cannot be played again."""
    return replace(header, whole=False, date=timestamp(), start=beat, memory={})


class _TakeWriter:
    """Writes a take. If it grows too large, or its files are deleted, another take follows it."""

    def __init__(self, store: _TakeStore, header: TakeHeader) -> None:
        self._store = store
        self._open_take: OpenTake | None = None
        self._retry_at: float | None = None  # the disk fails; the second of the next try
        self._bar_over = False
        self._second = self._updated_at = header.second
        self._start(header)

    def _start(self, header: TakeHeader) -> None:
        self._header, self._midi = header, TakeMidiFile(header)
        self._totals = TakeTotals.for_header(header)
        self._waiting = bytearray()  # lines
        self._kept_at: float | None = None  # the second of the last `keep`
        self._is_over = False  # it was closed, or lines were lost: another take starts at the next bar line

    def add(self, report: RecordedReport, next_header: TakeHeader) -> None:
        """Add a report. `next_header` is that of a take that would start now."""
        if isinstance(report, BarStarted):
            self._bar_over = True
            if self._open_take is not None and self._open_take.total_size > self._store.limit // 4:
                self.close()
            if self._is_over:
                self._start(partial_header(next_header, report.beat))
        if isinstance(report, Advanced | InputReceived | PlayerEnded):
            self._second = report.second
        if self._is_over:
            return
        self._waiting += encode_report(report)
        self._midi.add_report(report)
        self._totals.add_report(report)
        at_bar = self._bar_over and isinstance(report, events.BarPlayed | Advanced)
        if at_bar or isinstance(report, PlayerEnded) or self._second - self._updated_at > MAX_WRITE_INTERVAL_S:
            self._update_files()

    def _update_files(self, *, last: bool = False) -> None:
        self._bar_over, self._updated_at = False, self._second
        was_deleted = was_written = False
        if self._retry_at is None or self._second >= self._retry_at or last:
            try:
                take = self._write(last=last)
            except OSError as error:
                if self._retry_at is None:
                    where, why = self._store.folder.path, error.strerror or error
                    _log.warning("%s: the take cannot be written: %s; sideman tries again each minute", where, why)
                self._retry_at = self._second + RETRY_S
                was_deleted = self._open_take is not None and self._open_take.is_deleted
            else:
                if self._retry_at is not None:
                    _log.info("take %s can be written again", take.header.name)
                self._retry_at, was_written = None, True
        if last or was_deleted or len(self._waiting) > MAX_WAITING_BYTES:
            # Forget waiting lines; the take ends with what the disk has of it.
            if self._open_take is not None:
                self._open_take.close()
            self._open_take, self._waiting, self._is_over = None, bytearray(), True
        if last and was_written:  # only now: after a crash before this, the older takes are still there
            self._store.prune()

    def _write(self, *, last: bool) -> OpenTake:
        if self._open_take is None:
            self._store.prune()  # after takes whose process was killed
            self._open_take = self._store.open_take(self._header)
            self._midi.set_header(self._open_take.header)
        take = self._open_take
        take.append(bytes(self._waiting), sync=last)
        self._waiting.clear()
        if take.is_midi_due() or last:
            take.write_midi(self._midi.contents(), sync=last)
        return take

    def keep(self) -> str:
        """Update the files and return the path of the MIDI file. Raises CannotCreate or DiskError."""
        folder = self._store.folder
        if self._is_over:
            raise DiskError(f"{folder.path}: the take cannot be written")
        take = self._open_take
        if take is not None and self._kept_at is not None and self._second - self._kept_at < KEEP_INTERVAL_S:
            return str(take.midi_path)  # the next bar line writes what was played since
        with explain_write_errors(folder.path):
            take = self._write(last=True)
        self._kept_at = self._second
        return str(take.midi_path)

    def close(self) -> None:
        """Write the totals and close the files."""
        if not self._is_over:
            self._waiting += self._totals.encode()
            self._update_files(last=True)


class _RecordedBar(NamedTuple):
    """The lines of a bar, its last second, and the header of a take that starts with it."""

    second: float
    header: TakeHeader
    lines: bytes


class _RecentBars:
    """The last minutes of a performance as lines, a bar in one piece."""

    def __init__(self, store: _TakeStore, header: TakeHeader) -> None:
        self._store = store
        self._bars: deque[_RecordedBar] = deque()
        self._header = header  # of a take that would start with `_lines`
        self._lines: list[bytes] = []  # of the bar being played
        self._bytes = 0
        self._second = 0.0
        self._is_whole = True
        self._kept: str | None = None  # the path of the take that was kept last, and the second of it
        self._kept_at = 0.0
        self._has_new = False  # whether a note was played or heard since

    def add(self, report: RecordedReport, next_header: TakeHeader) -> None:
        """Add a report, and forget bars older than `play.capture_minutes`; 0 keeps nothing.

        `next_header` is that of a take that would start now.
        """
        seconds = 60.0 * next_header.settings.play.capture_minutes
        if not seconds:
            self._bars.clear()
            self._lines, self._bytes, self._is_whole = [], 0, False
            return
        if isinstance(report, BarStarted) or len(self._lines) > 10_000:
            if self._lines:
                self._bars.append(_RecordedBar(self._second, self._header, b"".join(self._lines)))
                self._bytes += len(self._bars[-1].lines)
            self._lines, self._header = [], next_header
            while self._bars and (self._bars[0].second < self._second - seconds or self._bytes > MAX_RECENT_BYTES):
                self._bytes -= len(self._bars.popleft().lines)
                self._is_whole = False
        elif not (self._is_whole or self._bars or self._lines):
            return  # a take from the middle starts with a bar line
        if isinstance(report, Advanced | InputReceived | PlayerEnded):
            self._second = report.second
        if isinstance(report, events.NoteHeard | events.EventSent):
            note = report.note if isinstance(report, events.NoteHeard) else report.event
            self._has_new = self._has_new or isinstance(note, events.NoteOn)
        self._lines.append(encode_report(report))

    def close(self) -> None:
        """There is nothing to close: the bars are in memory."""

    def keep(self) -> str:
        """Write the bars as a take and return the path of its MIDI file."""
        if self._kept is not None and os.path.lexists(self._kept):
            if not self._has_new:
                return self._kept
            if (ago := self._second - self._kept_at) < KEEP_INTERVAL_S:
                wait = f"the next in {KEEP_INTERVAL_S - ago:.0f} s"
                raise Unavailable(f"the last minutes were kept a moment ago, as {printable(self._kept)}; {wait}")
        lines = b"".join([*(bar.lines for bar in self._bars), *self._lines])
        reports = [decode_report(line) for line in lines.splitlines()]
        header = self._bars[0].header if self._bars else self._header
        if not self._is_whole:
            bars = (report.beat for report in reports if isinstance(report, BarStarted))
            header = partial_header(header, next(bars, header.start))
        with explain_write_errors(self._store.folder.path):
            with contextlib.closing(self._store.open_take(replace(header, kept=True))) as take:
                take.append(lines + TakeTotals.for_header(header, reports).encode(), sync=True)
                take.write_midi(TakeMidiFile(take.header, reports).contents(), sync=True)
            self._store.prune_kept(take.header.name)
        self._kept, self._kept_at, self._has_new = str(take.midi_path), self._second, False
        return self._kept
