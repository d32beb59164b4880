# SPDX-License-Identifier: Apache-2.0
"""The journal of a take: a file of JSON lines that has all there is to know, and from which all else is made.

The first line is a mapping that says what is needed to begin in the same way; each line after it is a report, as
`jsonform` writes it, in the order in which they were told. The last one, where the take was ended in good order, sums
it up. Lines are appended a bar at a time and never changed, so whatever happens a journal is right up to its last
whole line; what comes after that is left unread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from sideman.core.chart.chart import Chart
from sideman.core.errors import ConfigError, NoSuchInput, NotPermitted, UnreadableInput
from sideman.core.events import NoteOn
from sideman.core.reports import Arrived, BarBegun, BarPlayed, Ended, Heard, Report, Sent, Woke
from sideman.core.settings.schema import Settings
from sideman.core.settings.types import shown
from sideman.takes import jsonform
from sideman.takes.jsonform import LATEST
from sideman_models.text import printable

FORMAT, VERSION = "sideman take", 1
LONGEST_LINE = 16_000_000
"""Bytes; no chart is larger."""
_FASTEST, _JUMP = 1000 / 60, 0.1  # beats a second, and beats besides: what goes on faster has moved elsewhere

Recorded = BarBegun | BarPlayed | Sent | Arrived | Heard | Woke | Ended
KINDS = jsonform.members(Recorded)


@dataclass(frozen=True, slots=True)
class Header:
    """How a take began: by whom it was played, with which settings, changes and dice, and from where.

    Beat `opens` fell on `second`; `memory` is the network's state at beat `start`. `whole` says that all which came
    since the player began is in it, so that it can be played again. `weights` is the fingerprint of the bundle at
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
    def counted(self) -> int:
        """How many bars are counted in."""
        settings = self.settings
        return settings.play.count_in if self.whole and settings.tempo.source == "internal" else 0

    @property
    def opens(self) -> float:
        """The beat that falls on `second`: before `start`, so many bars as are counted in."""
        return self.start - self.counted * float(self.chart.meter_at(self.start).quarters)

    def line(self) -> bytes:
        """As it stands in the file."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        told["settings"] = jsonform.settings_form(self.settings)
        told["chart"] = jsonform.chart_form(self.chart)
        return _line({"format": FORMAT, "version": VERSION, **told, "memory": dict(self.memory)})


@dataclass(slots=True)
class Totals:
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
    def of(cls, header: Header) -> Totals:
        """Of a take that begins so, and has nothing in it yet."""
        return cls(header.opens, header.counted, header.opens)

    def add(self, report: Report) -> None:
        """Count another report."""
        match report:
            case Woke(second, beat) | Ended(second, beat) | Arrived(second, beat):
                self._pass(second, beat)
            case BarBegun():
                self.bars += 1
            case Sent(_, _, NoteOn()):
                self.played += 1
            case Heard(_, NoteOn()):
                self.heard += 1
            case _:
                pass

    def _pass(self, second: float, beat: float) -> None:
        if beat < self.start:
            return
        if beat != self.beat and self.second is not None:  # else the music is halted
            seconds, beats = second - self.second, beat - self.beat
            self.seconds += seconds
            self.skipped += beats if beats > _JUMP + max(0.0, seconds) * _FASTEST else 0.0
        self.second, self.beat = second, beat

    @property
    def beats(self) -> float:
        """How many beats it lasts."""
        return self.beat - self.start - self.skipped

    @property
    def bpm(self) -> float:
        """The tempo on the whole, or 0 where there was none."""
        return 60 * self.beats / self.seconds if self.seconds > 1e-6 else 0.0

    def line(self) -> bytes:
        """The last line of a file: the end in good order."""
        return _line({"total": asdict(self)})


def line_of(report: Report) -> bytes:
    """The line of a report that is one of `Recorded`."""
    return _line(jsonform.plain(report))


def _line(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"


class Journal:
    """A journal on disk at `path`, read as far as it goes.

    Raises NoSuchInput, NotPermitted, or UnreadableInput naming the file and its line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = self.read_to = 0
        """How large it is, and up to where it has been read: the end of a whole line."""
        with self._open() as file:
            first = file.readline(LONGEST_LINE)
            self._begins = self.read_to = len(first)
            self.header = self._header(first)
            self.bytes = file.seek(0, 2)
            self.total = self._total(file)

    @property
    def name(self) -> str:
        """The take's name, which is that of its files."""
        return self.path.stem

    @property
    def complete(self) -> bool:
        """Whether it was ended in good order."""
        return self.total is not None

    def reports(self) -> Iterator[Report]:
        """All that was told, in order, up to the last whole line."""
        with self._open() as file:
            file.seek(self._begins)
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 2):
                if not line.endswith(b"\n"):
                    return  # cut off when it was killed
                told = self._parsed(line, number)
                if isinstance(told, dict) and "total" in told:
                    if file.read(1):
                        raise self._wrong(number, "the take is summed up here, and yet it goes on")
                    return
                try:
                    report = jsonform.read(told, KINDS)
                except ValueError as error:
                    raise self._wrong(number, str(error)) from None
                self.read_to = file.tell()
                yield report

    def totals(self) -> Totals:
        """What it amounts to; it is read through where it does not say so itself."""
        if self.total is not None:
            return self.total
        totals = Totals.of(self.header)
        for report in self.reports():
            totals.add(report)
        return totals

    def _open(self) -> BinaryIO:
        try:
            if not self.path.is_file() and os.path.lexists(self.path):  # to open a pipe would be to wait for ever
                raise UnreadableInput(f"{printable(self.path)}: not a plain file, or a link to none")
            return self.path.open("rb")
        except FileNotFoundError:
            raise NoSuchInput(f"{printable(self.path)}: no such file") from None
        except PermissionError:
            raise NotPermitted(f"{printable(self.path)}: may not be read by this user") from None
        except OSError as error:
            raise UnreadableInput(f"{printable(self.path)}: cannot be read: {error.strerror}") from None

    def _wrong(self, number: int, reason: str) -> UnreadableInput:
        return UnreadableInput(f"{printable(self.path)}:{number}: {printable(reason)}")

    def _parsed(self, line: bytes, number: int) -> object:
        try:
            parsed: object = json.loads(line)
        except (ValueError, RecursionError):
            raise self._wrong(
                number, f"not a line of a journal: {shown(line[:40].decode('utf-8', 'replace'))}"
            ) from None
        return parsed

    def _header(self, line: bytes) -> Header:
        told = self._parsed(line, 1) if line.endswith(b"\n") else None
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise self._wrong(1, "not the journal of a take")
        if told.get("version") != VERSION:
            raise self._wrong(1, f"version {shown(told.get('version'))}, where this program reads {VERSION}")
        try:
            return _header(told, f"{printable(self.path)}:1")
        except KeyError as error:
            raise self._wrong(1, f"{error.args[0]} is not told") from None
        except ValueError as error:
            raise self._wrong(1, str(error)) from None
        except ConfigError as error:
            raise UnreadableInput(str(error)) from None

    def _total(self, file: BinaryIO) -> Totals | None:
        """The last line, if it sums up."""
        file.seek(max(self._begins, self.bytes - 1000))
        last = file.read().splitlines(keepends=True)[-1:]
        if not last or not last[0].startswith(b'{"total":') or not last[0].endswith(b"}}\n"):
            return None
        try:
            total = {name: _finite(value) for name, value in json.loads(last[0])["total"].items()}
            return Totals(**total) if _fits(total, self.header) else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


_HEADER_TYPES = {"name": str, "date": str, "whole": bool, "seed": int, "bundle": str, "path": str, "weights": str,
                 "start": float, "second": float, "memory": dict, "sideman": str, "python": str,
                 "settings": dict}  # fmt: skip
_HEADER_BOUNDS = {"seed": (0, 2**63 - 1), "start": (0, LATEST), "second": (-LATEST, LATEST)}


def _header(told: Mapping[str, Any], where: str) -> Header:
    plain = {name: told[name] for name in _HEADER_TYPES}
    for name, kind in _HEADER_TYPES.items():
        if type(plain[name]) is not kind:
            raise ValueError(f"{name}: {shown(plain[name])} is not of type {kind.__name__}")
    for name, (low, high) in _HEADER_BOUNDS.items():
        if not low <= plain[name] <= high:
            raise ValueError(f"{name}: {shown(plain[name])}: from {low} to {high}")
    chart = jsonform.read_chart_form(told["chart"])
    return Header(**{**plain, "settings": jsonform.read_settings_form(told["settings"], where), "chart": chart})


def _fits(total: Mapping[str, Any], header: Header) -> bool:
    """Whether that can be what a take amounts to that begins so. Raises TypeError, KeyError."""
    counts = total["bars"], total["played"], total["heard"]
    return (
        total["start"] == header.opens
        and total["beat"] >= total["start"]
        and total["seconds"] >= 0
        and 0 <= total.get("skipped", 0.0) <= total["beat"] - total["start"]
        and all(type(count) is int and count >= 0 for count in counts)
    )


def _finite(value: object) -> Any:  # noqa: ANN401 - a number
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LATEST:
        raise TypeError
    return value
