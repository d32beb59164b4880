# SPDX-License-Identifier: Apache-2.0
"""The journal of a take: a file of JSON lines from which everything else about the take is made.

1. The first line is a mapping, the header: all that is needed to start the same performance again.
2. Each line after it is a report, in the order in which the player made them; `lines` says how they are written.
3. The last line holds the totals. It is missing where the program was killed.

Lines are appended a bar at a time and never changed, so a journal is good up to its last whole line. What follows that
line is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec

from sideman.core import events
from sideman.core.chart.chart import Chart
from sideman.core.chart.written import WrittenChart
from sideman.core.errors import ConfigError, SidemanError, UnreadableInput
from sideman.core.events import MAX_TIME, Beat, Report, Second
from sideman.core.settings.schema import Settings
from sideman.core.settings.types import quoted
from sideman.files import open_file
from sideman.takes.lines import decode_report, encode_line, explain, settings_from_json, settings_to_json
from sideman_models.limits import JOURNAL_LINE
from sideman_models.text import printable

JOURNAL_FORMAT, JOURNAL_VERSION = "sideman take", 1
MAX_JOURNAL_LINE_BYTES = JOURNAL_LINE.bytes
"""No chart fills more."""
_TOTALS_START = b'{"total":'
_OF_EARLIER_VERSIONS = {
    "play.style": "plain",
    "play.ending": "any",
    "play.response": 0.0,
    "play.variety": 0,
    "play.repeats": 1.0,
}
"""Settings that a take has which was recorded before they existed: how sideman played at that time."""
_MAX_BEATS_PER_S, _JUMP_BEATS = 1000 / 60, 0.1
"""Music that advances by more than this many beats a second, and some beats besides, has jumped to another place."""

_HEADER_START = re.compile(rb'\{"format":"[^"]*","version":[0-9]+,"number":([0-9]{1,18}),(?:"kept":(true|false),)?')
Count = Annotated[int, msgspec.Meta(ge=0)]


class TakeHeader(msgspec.Struct, frozen=True, kw_only=True):
    """How a take began: the network, the settings, the chart, the seed and the place in the music.

    Beat `first_beat` fell on `second`, and `memory` is the network's state at beat `start`. A take is `whole` if it
    holds everything since the player began: only then can it be played again. `weights` is the fingerprint of the
    bundle at `path`; `sideman` and `python` are versions. The takes of a folder are numbered from 1 in the order in
    which they were recorded, because a clock may be wrong; a take that is older than the numbers has 0. One that was
    saved from memory because somebody asked is `kept`.
    """

    name: str
    date: str
    whole: bool
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    bundle: str
    path: str
    weights: str
    start: Annotated[float, msgspec.Meta(ge=0, le=MAX_TIME)]
    second: Second
    memory: Mapping[str, Any]
    settings: Settings
    chart: Chart
    sideman: str
    python: str
    number: Count = 0
    kept: bool = False

    @property
    def count_in_bars(self) -> int:
        """How many bars are counted in."""
        settings = self.settings
        return settings.play.count_in if self.whole and settings.tempo.source == "internal" else 0

    @property
    def first_beat(self) -> float:
        """The beat that falls on `second`: `start`, or where the count-in begins."""
        return self.start - self.count_in_bars * float(self.chart.meter_at(self.start).quarters)

    def encode(self) -> bytes:
        """The first line of the file."""
        line = {
            "format": JOURNAL_FORMAT,
            "version": JOURNAL_VERSION,
            "number": self.number,
            "kept": self.kept,
            **msgspec.structs.asdict(self),
            "settings": settings_to_json(self.settings),
            "chart": msgspec.to_builtins(WrittenChart.of(self.chart)),
        }
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def number_and_kept(path: Path) -> tuple[int, bool]:
    """The number of a take, and whether it was kept on request, by the start of its journal; 0 and no without them."""
    try:
        with open_file(path) as file:
            found = _HEADER_START.match(file.read(100))
    except (SidemanError, OSError):
        return 0, False
    return (int(found[1]), found[2] == b"true") if found else (0, False)


class _HeaderLine(TakeHeader, frozen=True, kw_only=True):
    """A header as it stands in the file."""

    settings: dict[str, Any]  # type: ignore[assignment]
    chart: WrittenChart  # type: ignore[assignment]


class TakeTotals(msgspec.Struct, kw_only=True):
    """The totals of a take so far: `seconds` of music from beat `start` to `beat`, which fell on `second`.

    `bars` counts the bars that began, with those of the count-in. `skipped` are the beats that passed in no time,
    because the music jumped to another place.
    """

    start: Beat
    bars: Count
    beat: Beat
    second: Second | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_TIME)]
    played: Count
    heard: Count
    skipped: Annotated[float, msgspec.Meta(ge=0, le=MAX_TIME)] = 0.0

    @classmethod
    def for_header(cls, header: TakeHeader, reports: Iterable[Report] = ()) -> TakeTotals:
        """The totals of a take with this header and these first reports."""
        start = header.first_beat
        totals = cls(start=start, bars=header.count_in_bars, beat=start, seconds=0.0, played=0, heard=0)
        for report in reports:
            totals.add_report(report)
        return totals

    def add_report(self, report: Report) -> None:
        """Count the next report."""
        match report:
            case events.Advanced(second, beat) | events.PlayerEnded(second, beat) | events.InputReceived(second, beat):
                if beat < self.start:
                    return
                if beat != self.beat and self.second is not None:  # otherwise the music stands still
                    seconds, beats = second - self.second, beat - self.beat
                    self.seconds += seconds
                    self.skipped += beats if beats > _JUMP_BEATS + max(0.0, seconds) * _MAX_BEATS_PER_S else 0.0
                self.second, self.beat = second, beat
            case events.BarStarted():
                self.bars += 1
            case events.EventSent(_, _, events.NoteOn()):
                self.played += 1
            case events.NoteHeard(_, events.NoteOn()):
                self.heard += 1

    @property
    def bpm(self) -> float:
        """The mean tempo, or 0 for a take of no length."""
        beats = self.beat - self.start - self.skipped
        return 60 * beats / self.seconds if self.seconds > 1e-6 else 0.0

    def encode(self) -> bytes:
        """The last line of the file."""
        return encode_line({"total": self})


class Journal:
    """The journal on disk at `path`; its header is read at once, its reports on request.

    Raises NoSuchInput, NotPermitted, or UnreadableInput with the file and the line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_file(self.path) as file:
            first = file.readline(MAX_JOURNAL_LINE_BYTES)
            self._reports_start = len(first)
            self.header = self._read_header(first)
            self.written_totals = self._read_totals(file)
            """The last line, with the totals; None if it is missing."""

    @property
    def name(self) -> str:
        """The take's name, which is that of its files."""
        return self.path.stem

    def reports(self) -> Iterator[Report]:
        """All reports, in order, up to the last whole line."""
        with open_file(self.path) as file:
            file.seek(self._reports_start)
            for number, line in enumerate(iter(lambda: file.readline(MAX_JOURNAL_LINE_BYTES), b""), 2):
                if not line.endswith(b"\n"):
                    return  # the program was killed while it wrote this line
                if line.startswith(_TOTALS_START):
                    if file.read(1):
                        raise self._error_at(number, "these are the totals, and yet the take goes on after them")
                    return
                try:
                    report = decode_report(line)
                except ValueError as error:
                    raise self._error_at(number, str(error)) from None
                yield report

    def totals(self) -> TakeTotals:
        """The totals of the take; they are counted if the file does not hold them."""
        return self.written_totals or TakeTotals.for_header(self.header, self.reports())

    def _error_at(self, number: int, reason: str) -> UnreadableInput:
        return UnreadableInput(f"{printable(self.path)}:{number}: {printable(reason)}")

    def _read_header(self, line: bytes) -> TakeHeader:
        # Not read by msgspec: a path that is not UTF-8 is written with lone surrogates, which msgspec refuses.
        try:
            written = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            written = None
        if not isinstance(written, dict) or written.get("format") != JOURNAL_FORMAT:
            raise self._error_at(1, "not the journal of a take")
        version = written.get("version")
        if version != JOURNAL_VERSION:
            raise self._error_at(1, f"version {quoted(version)}, where this program reads {JOURNAL_VERSION}")
        try:
            form = msgspec.convert(written, _HeaderLine)
            chart = form.chart.chart()
            settings = settings_from_json(_OF_EARLIER_VERSIONS | form.settings, f"{printable(self.path)}:1")
        except msgspec.ValidationError as error:
            raise self._error_at(1, explain(error)) from None
        except ValueError as error:
            raise self._error_at(1, str(error)) from None
        except ConfigError as error:
            raise UnreadableInput(str(error)) from None
        return TakeHeader(**{**msgspec.structs.asdict(form), "settings": settings, "chart": chart})

    def _read_totals(self, file: BinaryIO) -> TakeTotals | None:
        """The totals of the last line, if there are any and they can be true."""
        file.seek(max(self._reports_start, file.seek(0, 2) - 1000))
        *_, last = file.read().splitlines(keepends=True) or [b""]
        if not (last.startswith(_TOTALS_START) and last.endswith(b"}}\n")):
            return None
        try:
            totals = msgspec.json.decode(last, type=dict[str, TakeTotals])["total"]
        except (ValueError, RecursionError):
            return None
        as_begun = totals.start == self.header.first_beat
        return totals if as_begun and totals.skipped <= totals.beat - totals.start else None
