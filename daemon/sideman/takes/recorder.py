# SPDX-License-Identifier: Apache-2.0
"""Takes as they happen: a performance written down bar by bar, or its last minutes remembered.

A recorder has no thread: whoever heeds the player's reports hands them on, and at each bar line, in about a
millisecond, the files are brought up to date. The disk is not waited for, so a process that is killed loses nothing up
to there, while a power cut may cost the last seconds. A disk that refuses is told once; it is tried again each minute,
and meanwhile what is told is remembered, as far as there is room.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from sideman.core.errors import DiskError, Unavailable
from sideman.core.events import SetChart
from sideman.core.reports import Arrived, BarBegun, BarPlayed, Changed, Ended, ModeSet, Report, Woke
from sideman.core.settings.schema import TakesSettings, changed
from sideman.files import creating
from sideman.takes import jsonform
from sideman.takes.folder import Sheet, TakeFolder
from sideman.takes.journal import KINDS, Header, Recorded, Totals, line_of
from sideman.takes.midi_file import TakeMidi

AGAIN_S = 60.0
LONGEST_S = 10.0
"""Between two times that the files are brought up to date, be there a bar line or not."""
MOST_WAITING = 8_000_000
MOST_REMEMBERED = 16_000_000
"""Bytes of lines: what waits for a disk that refuses; the last minutes."""
_MEGABYTE = 1_000_000
_NAMES_TRIED = 20

_log = logging.getLogger(__name__)


class Recorder:
    """Records, or remembers, what is told from `begin` on, as `takes` and `minutes` say; `names` are for takes."""

    def __init__(self, folder: TakeFolder, takes: TakesSettings, minutes: int, names: Iterator[str]) -> None:
        self._shelf = _Shelf(folder, takes.limit_mb * _MEGABYTE, names)
        self._record = takes.record
        self._minutes = minutes
        self._header: Header | None = None  # of a take that would begin now
        self._writer: _Writer | None = None
        self._remembered: _Remembered | None = None

    def begin(self, header: Header) -> None:
        """The music is about to begin; the name of `header` is put in when it is written."""
        self._header = header
        self._writer = _Writer(self._shelf, header) if self._record else None
        self._remembered = None if self._record else _Remembered(header)

    def heed(self, report: Report) -> None:
        """Take in what is told next. Never raises for what a disk does."""
        if self._header is None:
            return
        if isinstance(report, Recorded):
            if self._writer is not None:
                self._writer.heed(report, self._header)
            if self._remembered is not None:
                self._remembered.heed(report, 60.0 * self._minutes, self._header)
        self._follow(report, self._header)

    def _follow(self, report: Report, header: Header) -> None:
        """What a take that begins later begins with."""
        match report:
            case Changed(values):
                settings = changed(header.settings, values)
                seed = dict(values).get("play.seed")
                self._header = replace(header, settings=settings, seed=seed if isinstance(seed, int) else header.seed)
                self._minutes = settings.play.capture_minutes
            case ModeSet(mode):
                self._header = replace(header, settings=changed(header.settings, [("play.mode", mode)]))
            case Arrived(_, _, SetChart(chart)):
                self._header = replace(header, chart=chart)
            case _:
                pass

    def keep(self) -> str:
        """Save the last minutes; the path of the MIDI file. While all is recorded, that of the take being written.

        Raises Unavailable where nothing is remembered, CannotCreate or DiskError.
        """
        if self._writer is not None:
            return self._writer.keep()
        if self._remembered is None or not self._minutes:
            raise Unavailable("nothing is remembered: play.capture_minutes is 0")
        return self._remembered.keep(self._shelf)

    def close(self) -> None:
        """The music has ended."""
        if self._writer is not None:
            self._writer.close()


def now() -> str:
    """The date and time, here, as a take's header has it."""
    return datetime.now(tz=UTC).astimezone().isoformat(timespec="seconds")


class _Shelf:
    """Where new takes go, each with a name of its own."""

    def __init__(self, folder: TakeFolder, limit: int, names: Iterator[str]) -> None:
        self.folder = folder
        self.limit = limit
        self._names = names

    def begin(self, header: Header) -> tuple[Sheet, Header]:
        """A new take, and its header, named. Raises OSError."""
        date = datetime.fromisoformat(header.date)
        for name in islice(self._names, _NAMES_TRIED):
            named = replace(header, name=f"{date:%Y-%m-%d-%H%M%S}-{name}")
            try:
                return Sheet(self.folder, named), named
            except FileExistsError:
                if not self.folder.path.is_dir():
                    raise
        raise FileExistsError(f"{self.folder.path}: the names for takes are used up")

    def prune(self) -> None:
        """See that there is not too much."""
        for name in self.folder.prune(self.limit):
            _log.info("take %s deleted: all together were larger than takes.limit_mb", name)


def from_middle(header: Header, beat: float) -> Header:
    """The header of a take that begins in the middle of the music, on `beat`: it cannot be played again."""
    return replace(header, whole=False, date=now(), start=beat, memory={})


class _Writer:
    """Writes one take after another: all is one, unless it grows too large or its files are taken away."""

    def __init__(self, shelf: _Shelf, header: Header) -> None:
        self._shelf = shelf
        self._sheet: Sheet | None = None
        self._pruned_at = 0
        self._again: float | None = None  # the disk has refused; the second when it is tried again
        self._lines: list[bytes] = []
        self._waiting = 0
        self._bar_over = False
        self._second = self._since = header.second
        self._lost = False  # what came is lost: at the next bar line another take begins
        self._begin(header)

    def _begin(self, header: Header) -> None:
        self._header, self._midi = header, TakeMidi(header)
        self._totals = Totals.of(header)
        self._lines, self._waiting, self._lost = [], 0, False

    def heed(self, report: Recorded, later: Header) -> None:
        """Take in a report; a take that begins now would begin as `later` says."""
        if isinstance(report, BarBegun):
            self._bar_begins(report, later)
        if isinstance(report, Woke | Arrived | Ended):
            self._second = report.second
        if self._lost:
            return
        line = line_of(report)
        self._lines.append(line)
        self._waiting += len(line)
        self._midi.add(report)
        self._totals.add(report)
        at_bar = self._bar_over and isinstance(report, BarPlayed | Woke)
        if at_bar or isinstance(report, Ended) or self._second - self._since > LONGEST_S:
            self._bring_up_to_date()

    def _bar_begins(self, bar: BarBegun, later: Header) -> None:
        self._bar_over = True
        grown = self._sheet is not None and self._sheet.size + self._sheet.midi_size > self._shelf.limit // 4
        if not (grown or self._lost):
            return
        if grown:
            self.close()
        self._begin(from_middle(later, bar.beat))

    def _bring_up_to_date(self, *, last: bool = False) -> None:
        self._bar_over, self._since = False, self._second
        if self._again is not None and self._second < self._again and not last:
            self._forget_if_too_much()
            return
        try:
            self._write(last=last)
        except OSError as error:
            self._refused(error)
            return
        if self._again is not None:
            self._again = None
            _log.info("take %s is written down again", self._header.name)

    def _write(self, *, last: bool) -> None:
        if self._sheet is None:
            self._shelf.prune()
            self._sheet, self._header = self._shelf.begin(self._header)
            self._midi.named(self._header)
            self._pruned_at = 0
        sheet = self._sheet
        sheet.append(b"".join(self._lines))
        self._lines, self._waiting = [], 0
        if sheet.wants_midi() or last:
            sheet.write_midi(self._midi.contents(), lasting=last)
        if sheet.size + sheet.midi_size > self._pruned_at + self._shelf.limit // 16:
            self._pruned_at = sheet.size + sheet.midi_size
            self._shelf.prune()

    def _refused(self, error: OSError) -> None:
        if self._again is None:
            where, why = self._shelf.folder.path, error.strerror or error
            _log.warning("%s: the take cannot be written down: %s; it is tried again each minute", where, why)
        self._again = self._second + AGAIN_S
        if self._sheet is not None and self._sheet.gone:
            self._lose()
        self._forget_if_too_much()

    def _forget_if_too_much(self) -> None:
        if self._waiting > MOST_WAITING:
            self._lose()

    def _lose(self) -> None:
        """What waits is forgotten, and the take ends with what is written of it."""
        if self._sheet is not None:
            self._sheet.close()
        self._sheet, self._lines, self._waiting, self._lost = None, [], 0, True

    def keep(self) -> str:
        """The path of the MIDI file, up to date. Raises CannotCreate or DiskError."""
        folder = self._shelf.folder
        if self._lost:
            raise DiskError(f"{folder.path}: the take cannot be written down")
        with creating(folder.path):
            self._write(last=True)
        return str(folder.midi(self._header.name))

    def close(self) -> None:
        """End the take in good order."""
        if self._lost:
            return
        self._lines.append(self._totals.line())
        self._bring_up_to_date(last=True)
        if self._sheet is not None:
            self._sheet.close()
            self._sheet = None


class _Bar(NamedTuple):
    """The lines of a bar: its last second, and how a take would begin that began with it."""

    second: float
    header: Header
    lines: bytes


class _Remembered:
    """The last minutes of what begins as a header says, as lines, a bar in one piece."""

    def __init__(self, header: Header) -> None:
        self._bars: deque[_Bar] = deque()
        self._header = header  # of a take that would begin with the lines that are in no bar yet
        self._lines: list[bytes] = []
        self._bytes = 0
        self._second = 0.0
        self._whole = True

    def heed(self, report: Recorded, seconds: float, later: Header) -> None:
        """Take in a report; what is older than so many `seconds` is forgotten, if they are 0 all of it.

        A take that begins now would begin as `later` says.
        """
        if not seconds:
            self._bars.clear()
            self._lines, self._bytes, self._whole = [], 0, False
            return
        if isinstance(report, BarBegun) or len(self._lines) > 10_000:
            self._cut(seconds, later)
        elif not (self._whole or self._bars or self._lines):
            return  # a take from the middle begins with a bar
        if isinstance(report, Woke | Arrived | Ended):
            self._second = report.second
        self._lines.append(line_of(report))

    def _cut(self, seconds: float, later: Header) -> None:
        if self._lines:
            self._bars.append(_Bar(self._second, self._header, b"".join(self._lines)))
            self._bytes += len(self._bars[-1].lines)
        self._lines, self._header = [], later
        while self._bars and (self._bars[0].second < self._second - seconds or self._bytes > MOST_REMEMBERED):
            self._bytes -= len(self._bars.popleft().lines)
            self._whole = False

    def keep(self, shelf: _Shelf) -> str:
        """Write it as a take; the path of its MIDI file."""
        lines = b"".join([*(bar.lines for bar in self._bars), *self._lines])
        reports = [jsonform.read(json.loads(line), KINDS) for line in lines.splitlines()]
        header = self._bars[0].header if self._bars else self._header
        if not self._whole:
            bars = (report.beat for report in reports if isinstance(report, BarBegun))
            header = from_middle(header, next(bars, header.start))
        with creating(shelf.folder.path):
            sheet, header = shelf.begin(header)
            try:
                totals, midi = Totals.of(header), TakeMidi(header)
                for report in reports:
                    totals.add(report)
                    midi.add(report)
                sheet.append(lines + totals.line())
                sheet.write_midi(midi.contents(), lasting=True)
            finally:
                sheet.close()
            shelf.prune()
        return str(shelf.folder.midi(header.name))
