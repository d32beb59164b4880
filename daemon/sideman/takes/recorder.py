# SPDX-License-Identifier: Apache-2.0
"""Takes as they happen: a performance written down bar by bar, or its last minutes remembered.

A recorder has no thread: whoever heeds the player's reports hands them on, and at each bar line, in about a
millisecond, the files are brought up to date. The disk is not waited for, so a process that is killed loses nothing up
to there, while a power cut may cost the last seconds. A disk that refuses is told once; it is tried again each minute,
and meanwhile what is told is remembered, as far as there is room.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from sideman.core.errors import DiskError, Unavailable
from sideman.core.events import (
    Advanced,
    BarPlayed,
    BarStarted,
    InputReceived,
    ModeChanged,
    PlayerEnded,
    Report,
    SetChart,
    SettingsChanged,
)
from sideman.core.settings.schema import TakesSettings, with_values
from sideman.files import explain_write_errors
from sideman.takes.folder import OpenTake, TakeFolder
from sideman.takes.journal import TakeHeader, TakeTotals
from sideman.takes.lines import RecordedReport, decode_report, encode_report
from sideman.takes.midi_file import TakeMidiFile

RETRY_S = 60.0
MAX_WRITE_INTERVAL_S = 10.0
"""Between two times that the files are brought up to date, be there a bar line or not."""
MAX_WAITING_BYTES = 8_000_000
MAX_RECENT_BYTES = 16_000_000
"""Bytes of lines: what waits for a disk that refuses; the last minutes."""
_MEGABYTE = 1_000_000
_MAX_NAME_TRIES = 20

_log = logging.getLogger(__name__)


class TakeRecorder:
    """Records, or remembers, what is told from `start` on, as `takes` and `minutes` say; `names` are for takes."""

    def __init__(self, folder: TakeFolder, takes: TakesSettings, minutes: int, names: Iterator[str]) -> None:
        self._store = _TakeStore(folder, takes.limit_mb * _MEGABYTE, names)
        self._record = takes.record
        self._minutes = minutes
        self._header: TakeHeader | None = None  # of a take that would begin now
        self._writer: _TakeWriter | None = None
        self._recent: _RecentBars | None = None

    def start(self, header: TakeHeader) -> None:
        """The music is about to begin; the name of `header` is put in when it is written."""
        self._header = header
        self._writer = _TakeWriter(self._store, header) if self._record else None
        self._recent = None if self._record else _RecentBars(header)

    def record(self, report: Report) -> None:
        """Take in what is told next. Never raises for what a disk does."""
        if self._header is None:
            return
        if isinstance(report, RecordedReport):
            if self._writer is not None:
                self._writer.add(report, self._header)
            if self._recent is not None:
                self._recent.add(report, 60.0 * self._minutes, self._header)
        self._update_header(report, self._header)

    def _update_header(self, report: Report, header: TakeHeader) -> None:
        """What a take that begins later begins with."""
        match report:
            case SettingsChanged(values):
                settings = with_values(header.settings, values)
                seed = dict(values).get("play.seed")
                self._header = replace(header, settings=settings, seed=seed if isinstance(seed, int) else header.seed)
                self._minutes = settings.play.capture_minutes
            case ModeChanged(mode):
                self._header = replace(header, settings=with_values(header.settings, [("play.mode", mode)]))
            case InputReceived(_, _, SetChart(chart)):
                self._header = replace(header, chart=chart)
            case _:
                pass

    def keep(self) -> str:
        """Save the last minutes; the path of the MIDI file. While all is recorded, that of the take being written.

        Raises Unavailable where nothing is remembered, CannotCreate or DiskError.
        """
        if self._writer is not None:
            return self._writer.keep()
        if self._recent is None or not self._minutes:
            raise Unavailable("nothing is remembered: play.capture_minutes is 0")
        return self._recent.keep(self._store)

    def close(self) -> None:
        """The music has ended."""
        if self._writer is not None:
            self._writer.close()


def timestamp() -> str:
    """The date and time, here, as a take's header has it."""
    return datetime.now(tz=UTC).astimezone().isoformat(timespec="seconds")


class _TakeStore:
    """Where new takes go, each with a name of its own."""

    def __init__(self, folder: TakeFolder, limit: int, names: Iterator[str]) -> None:
        self.folder = folder
        self.limit = limit
        self._names = names

    def open_take(self, header: TakeHeader) -> tuple[OpenTake, TakeHeader]:
        """A new take, and its header, named. Raises OSError."""
        date = datetime.fromisoformat(header.date)
        for name in islice(self._names, _MAX_NAME_TRIES):
            named = replace(header, name=f"{date:%Y-%m-%d-%H%M%S}-{name}")
            try:
                return OpenTake(self.folder, named), named
            except FileExistsError:
                if not self.folder.path.is_dir():
                    raise
        raise FileExistsError(f"{self.folder.path}: the names for takes are used up")

    def prune(self) -> None:
        """See that there is not too much."""
        for name in self.folder.prune(self.limit):
            _log.info("take %s deleted: all together were larger than takes.limit_mb", name)


def partial_header(header: TakeHeader, beat: float) -> TakeHeader:
    """The header of a take that begins in the middle of the music, on `beat`: it cannot be played again."""
    return replace(header, whole=False, date=timestamp(), start=beat, memory={})


class _TakeWriter:
    """Writes one take after another: all is one, unless it grows too large or its files are taken away."""

    def __init__(self, shelf: _TakeStore, header: TakeHeader) -> None:
        self._store = shelf
        self._open_take: OpenTake | None = None
        self._pruned_at = 0
        self._retry_at: float | None = None  # the disk has refused; the second when it is tried again
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._bar_over = False
        self._second = self._updated_at = header.second
        self._is_discarded = False  # what came is lost: at the next bar line another take begins
        self._start(header)

    def _start(self, header: TakeHeader) -> None:
        self._header, self._midi = header, TakeMidiFile(header)
        self._totals = TakeTotals.for_header(header)
        self._lines, self._waiting_bytes, self._is_discarded = [], 0, False

    def add(self, report: RecordedReport, next_header: TakeHeader) -> None:
        """Take in a report; a take that begins now would begin as `later` says."""
        if isinstance(report, BarStarted):
            self._start_bar(report, next_header)
        if isinstance(report, Advanced | InputReceived | PlayerEnded):
            self._second = report.second
        if self._is_discarded:
            return
        line = encode_report(report)
        self._lines.append(line)
        self._waiting_bytes += len(line)
        self._midi.add_report(report)
        self._totals.add_report(report)
        at_bar = self._bar_over and isinstance(report, BarPlayed | Advanced)
        if at_bar or isinstance(report, PlayerEnded) or self._second - self._updated_at > MAX_WRITE_INTERVAL_S:
            self._update_files()

    def _start_bar(self, bar: BarStarted, next_header: TakeHeader) -> None:
        self._bar_over = True
        grown = (
            self._open_take is not None and self._open_take.size + self._open_take.midi_size > self._store.limit // 4
        )
        if not (grown or self._is_discarded):
            return
        if grown:
            self.close()
        self._start(partial_header(next_header, bar.beat))

    def _update_files(self, *, last: bool = False) -> None:
        self._bar_over, self._updated_at = False, self._second
        if self._retry_at is not None and self._second < self._retry_at and not last:
            self._discard_if_too_much()
            return
        try:
            self._write(last=last)
        except OSError as error:
            self._write_failed(error)
            return
        if self._retry_at is not None:
            self._retry_at = None
            _log.info("take %s is written down again", self._header.name)

    def _write(self, *, last: bool) -> None:
        if self._open_take is None:
            self._store.prune()
            self._open_take, self._header = self._store.open_take(self._header)
            self._midi.set_header(self._header)
            self._pruned_at = 0
        sheet = self._open_take
        sheet.append(b"".join(self._lines))
        self._lines, self._waiting_bytes = [], 0
        if sheet.is_midi_due() or last:
            sheet.write_midi(self._midi.contents(), sync=last)
        if sheet.size + sheet.midi_size > self._pruned_at + self._store.limit // 16:
            self._pruned_at = sheet.size + sheet.midi_size
            self._store.prune()

    def _write_failed(self, error: OSError) -> None:
        if self._retry_at is None:
            where, why = self._store.folder.path, error.strerror or error
            _log.warning("%s: the take cannot be written down: %s; it is tried again each minute", where, why)
        self._retry_at = self._second + RETRY_S
        if self._open_take is not None and self._open_take.is_deleted:
            self._discard()
        self._discard_if_too_much()

    def _discard_if_too_much(self) -> None:
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._discard()

    def _discard(self) -> None:
        """What waits is forgotten, and the take ends with what is written of it."""
        if self._open_take is not None:
            self._open_take.close()
        self._open_take, self._lines, self._waiting_bytes, self._is_discarded = None, [], 0, True

    def keep(self) -> str:
        """The path of the MIDI file, up to date. Raises CannotCreate or DiskError."""
        folder = self._store.folder
        if self._is_discarded:
            raise DiskError(f"{folder.path}: the take cannot be written down")
        with explain_write_errors(folder.path):
            self._write(last=True)
        return str(folder.midi(self._header.name))

    def close(self) -> None:
        """End the take in good order."""
        if self._is_discarded:
            return
        self._lines.append(self._totals.encode())
        self._update_files(last=True)
        if self._open_take is not None:
            self._open_take.close()
            self._open_take = None


class _RecordedBar(NamedTuple):
    """The lines of a bar: its last second, and how a take would begin that began with it."""

    second: float
    header: TakeHeader
    lines: bytes


class _RecentBars:
    """The last minutes of what begins as a header says, as lines, a bar in one piece."""

    def __init__(self, header: TakeHeader) -> None:
        self._bars: deque[_RecordedBar] = deque()
        self._header = header  # of a take that would begin with the lines that are in no bar yet
        self._lines: list[bytes] = []
        self._bytes = 0
        self._second = 0.0
        self._is_whole = True

    def add(self, report: RecordedReport, seconds: float, next_header: TakeHeader) -> None:
        """Take in a report; what is older than so many `seconds` is forgotten, if they are 0 all of it.

        A take that begins now would begin as `later` says.
        """
        if not seconds:
            self._bars.clear()
            self._lines, self._bytes, self._is_whole = [], 0, False
            return
        if isinstance(report, BarStarted) or len(self._lines) > 10_000:
            self._close_bar(seconds, next_header)
        elif not (self._is_whole or self._bars or self._lines):
            return  # a take from the middle begins with a bar
        if isinstance(report, Advanced | InputReceived | PlayerEnded):
            self._second = report.second
        self._lines.append(encode_report(report))

    def _close_bar(self, seconds: float, next_header: TakeHeader) -> None:
        if self._lines:
            self._bars.append(_RecordedBar(self._second, self._header, b"".join(self._lines)))
            self._bytes += len(self._bars[-1].lines)
        self._lines, self._header = [], next_header
        while self._bars and (self._bars[0].second < self._second - seconds or self._bytes > MAX_RECENT_BYTES):
            self._bytes -= len(self._bars.popleft().lines)
            self._is_whole = False

    def keep(self, shelf: _TakeStore) -> str:
        """Write it as a take; the path of its MIDI file."""
        lines = b"".join([*(bar.lines for bar in self._bars), *self._lines])
        reports = [decode_report(line) for line in lines.splitlines()]
        header = self._bars[0].header if self._bars else self._header
        if not self._is_whole:
            bars = (report.beat for report in reports if isinstance(report, BarStarted))
            header = partial_header(header, next(bars, header.start))
        with explain_write_errors(shelf.folder.path):
            sheet, header = shelf.open_take(header)
            try:
                totals, midi = TakeTotals.for_header(header), TakeMidiFile(header)
                for report in reports:
                    totals.add_report(report)
                    midi.add_report(report)
                sheet.append(lines + totals.encode())
                sheet.write_midi(midi.contents(), sync=True)
            finally:
                sheet.close()
            shelf.prune()
        return str(shelf.folder.midi(header.name))
