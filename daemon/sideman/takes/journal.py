# SPDX-License-Identifier: Apache-2.0
"""The journal of a take: a file of JSON lines that has all there is to know, and from which all else is made.

The first line is a mapping that says what is needed to begin in the same way; each line after it is a report, as
`jsonform` writes it, in the order in which they were told. The last one, where the take was ended in good order, sums
it up. Lines are appended a bar at a time and never changed, so whatever happens a journal is right up to its last
whole line; what comes after that is left unread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from sideman.core.chart.chart import Chart
from sideman.core.errors import ConfigError, UnreadableInput
from sideman.core.events import NoteOn
from sideman.core.reports import (
    Advanced,
    BarPlayed,
    BarStarted,
    EventSent,
    InputReceived,
    NoteHeard,
    PlayerEnded,
    Report,
)
from sideman.core.settings.schema import Settings
from sideman.core.settings.types import quoted
from sideman.files import open_file
from sideman.takes import jsonform
from sideman.takes.jsonform import MAX_TIME
from sideman_models.text import printable

JOURNAL_FORMAT, JOURNAL_VERSION = "sideman take", 1
MAX_JOURNAL_LINE_BYTES = 16_000_000
"""Bytes; no chart is larger."""
_MAX_BEATS_PER_S, _JUMP_BEATS = (
    1000 / 60,
    0.1,
)  # beats a second, and beats besides: what goes on faster has moved elsewhere

RecordedReport = BarStarted | BarPlayed | EventSent | InputReceived | NoteHeard | Advanced | PlayerEnded
RECORDED_TYPES = jsonform.classes_by_name(RecordedReport)


@dataclass(frozen=True, slots=True)
class TakeHeader:
    """How a take began: by whom it was played, with which settings, changes and dice, and from where.

    Beat `first_beat` fell on `second`; `memory` is the network's state at beat `start`. `whole` says that all which
    came since the player began is in it, so that it can be played again. `weights` is the fingerprint of the bundle at
    `path`.
    """

    name: str
    date: str
    whole: bool
    seed: int
    bundle: str
    path: str
    weights: str
    start: float
    second: float
    memory: Mapping[str, Any]
    settings: Settings
    chart: Chart
    sideman: str
    python: str

    @property
    def count_in_bars(self) -> int:
        """How many bars are counted in."""
        settings = self.settings
        return settings.play.count_in if self.whole and settings.tempo.source == "internal" else 0

    @property
    def first_beat(self) -> float:
        """The beat that falls on `second`: before `start`, so many bars as are counted in."""
        return self.start - self.count_in_bars * float(self.chart.meter_at(self.start).quarters)

    def encode(self) -> bytes:
        """As it stands in the file."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        told["settings"] = jsonform.settings_to_json(self.settings)
        told["chart"] = jsonform.chart_to_json(self.chart)
        return _encode_line({"format": JOURNAL_FORMAT, "version": JOURNAL_VERSION, **told, "memory": dict(self.memory)})


@dataclass(slots=True)
class TakeTotals:
    """What a take amounts to so far: `seconds` of music from beat `start` to `beat`, where it was `second`.

    `bars` are those that were begun, with what was counted in; `skipped` the beats that went by in no time, where the
    music moved to another place.
    """

    start: float
    bars: int
    beat: float
    second: float | None = None
    seconds: float = 0.0
    played: int = 0
    heard: int = 0
    skipped: float = 0.0

    @classmethod
    def for_header(cls, header: TakeHeader) -> TakeTotals:
        """Of a take that begins so, and has nothing in it yet."""
        return cls(header.first_beat, header.count_in_bars, header.first_beat)

    def add_report(self, report: Report) -> None:
        """Count another report."""
        match report:
            case Advanced(second, beat) | PlayerEnded(second, beat) | InputReceived(second, beat):
                self._advance(second, beat)
            case BarStarted():
                self.bars += 1
            case EventSent(_, _, NoteOn()):
                self.played += 1
            case NoteHeard(_, NoteOn()):
                self.heard += 1
            case _:
                pass

    def _advance(self, second: float, beat: float) -> None:
        if beat < self.start:
            return
        if beat != self.beat and self.second is not None:  # else the music is halted
            seconds, beats = second - self.second, beat - self.beat
            self.seconds += seconds
            self.skipped += beats if beats > _JUMP_BEATS + max(0.0, seconds) * _MAX_BEATS_PER_S else 0.0
        self.second, self.beat = second, beat

    @property
    def beats(self) -> float:
        """How many beats it lasts."""
        return self.beat - self.start - self.skipped

    @property
    def bpm(self) -> float:
        """The tempo on the whole, or 0 where there was none."""
        return 60 * self.beats / self.seconds if self.seconds > 1e-6 else 0.0

    def encode(self) -> bytes:
        """The last line of a file: the end in good order."""
        return _encode_line({"total": asdict(self)})


def encode_report(report: Report) -> bytes:
    """The line of a report that is one of `RecordedReport`."""
    return _encode_line(jsonform.to_json(report))


def _encode_line(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"


class Journal:
    """A journal on disk at `path`, read as far as it goes.

    Raises NoSuchInput, NotPermitted, or UnreadableInput naming the file and its line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = self.read_to = 0
        """How large it is, and up to where it has been read: the end of a whole line."""
        with open_file(self.path) as file:
            first = file.readline(MAX_JOURNAL_LINE_BYTES)
            self._reports_start = self.read_to = len(first)
            self.header = self._read_header(first)
            self.size_bytes = file.seek(0, 2)
            self.written_totals = self._read_totals(file)

    @property
    def name(self) -> str:
        """The take's name, which is that of its files."""
        return self.path.stem

    @property
    def is_complete(self) -> bool:
        """Whether it was ended in good order."""
        return self.written_totals is not None

    def reports(self) -> Iterator[Report]:
        """All that was told, in order, up to the last whole line."""
        with open_file(self.path) as file:
            file.seek(self._reports_start)
            for number, line in enumerate(iter(lambda: file.readline(MAX_JOURNAL_LINE_BYTES), b""), 2):
                if not line.endswith(b"\n"):
                    return  # cut off when it was killed
                told = self._parse_line(line, number)
                if isinstance(told, dict) and "total" in told:
                    if file.read(1):
                        raise self._error_at(number, "the take is summed up here, and yet it goes on")
                    return
                try:
                    report = jsonform.from_json(told, RECORDED_TYPES)
                except ValueError as error:
                    raise self._error_at(number, str(error)) from None
                self.read_to = file.tell()
                yield report

    def totals(self) -> TakeTotals:
        """What it amounts to; it is read through where it does not say so itself."""
        if self.written_totals is not None:
            return self.written_totals
        totals = TakeTotals.for_header(self.header)
        for report in self.reports():
            totals.add_report(report)
        return totals

    def _error_at(self, number: int, reason: str) -> UnreadableInput:
        return UnreadableInput(f"{printable(self.path)}:{number}: {printable(reason)}")

    def _parse_line(self, line: bytes, number: int) -> object:
        try:
            parsed: object = json.loads(line)
        except (ValueError, RecursionError):
            raise self._error_at(
                number, f"not a line of a journal: {quoted(line[:40].decode('utf-8', 'replace'))}"
            ) from None
        return parsed

    def _read_header(self, line: bytes) -> TakeHeader:
        told = self._parse_line(line, 1) if line.endswith(b"\n") else None
        if not isinstance(told, dict) or told.get("format") != JOURNAL_FORMAT:
            raise self._error_at(1, "not the journal of a take")
        if told.get("version") != JOURNAL_VERSION:
            raise self._error_at(
                1, f"version {quoted(told.get('version'))}, where this program reads {JOURNAL_VERSION}"
            )
        try:
            return _parse_header(told, f"{printable(self.path)}:1")
        except KeyError as error:
            raise self._error_at(1, f"{error.args[0]} is not told") from None
        except ValueError as error:
            raise self._error_at(1, str(error)) from None
        except ConfigError as error:
            raise UnreadableInput(str(error)) from None

    def _read_totals(self, file: BinaryIO) -> TakeTotals | None:
        """The last line, if it sums up."""
        file.seek(max(self._reports_start, self.size_bytes - 1000))
        last = file.read().splitlines(keepends=True)[-1:]
        if not last or not last[0].startswith(b'{"total":') or not last[0].endswith(b"}}\n"):
            return None
        try:
            total = {name: _checked_number(value) for name, value in json.loads(last[0])["total"].items()}
            return TakeTotals(**total) if _is_plausible(total, self.header) else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


_HEADER_TYPES = {"name": str, "date": str, "whole": bool, "seed": int, "bundle": str, "path": str, "weights": str,
                 "start": float, "second": float, "memory": dict, "sideman": str, "python": str,
                 "settings": dict}  # fmt: skip
_HEADER_BOUNDS = {"seed": (0, 2**63 - 1), "start": (0, MAX_TIME), "second": (-MAX_TIME, MAX_TIME)}


def _parse_header(told: Mapping[str, Any], where: str) -> TakeHeader:
    plain = {name: told[name] for name in _HEADER_TYPES}
    for name, kind in _HEADER_TYPES.items():
        if type(plain[name]) is not kind:
            raise ValueError(f"{name}: {quoted(plain[name])} is not of type {kind.__name__}")
    for name, (low, high) in _HEADER_BOUNDS.items():
        if not low <= plain[name] <= high:
            raise ValueError(f"{name}: {quoted(plain[name])}: from {low} to {high}")
    chart = jsonform.chart_from_json(told["chart"])
    return TakeHeader(**{**plain, "settings": jsonform.settings_from_json(told["settings"], where), "chart": chart})


def _is_plausible(total: Mapping[str, Any], header: TakeHeader) -> bool:
    """Whether that can be what a take amounts to that begins so. Raises TypeError, KeyError."""
    counts = total["bars"], total["played"], total["heard"]
    return (
        total["start"] == header.first_beat
        and total["beat"] >= total["start"]
        and total["seconds"] >= 0
        and 0 <= total.get("skipped", 0.0) <= total["beat"] - total["start"]
        and all(type(count) is int and count >= 0 for count in counts)
    )


def _checked_number(value: object) -> Any:  # noqa: ANN401 - a number
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_TIME:
        raise TypeError
    return value
