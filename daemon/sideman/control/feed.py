# SPDX-License-Identifier: Apache-2.0
"""What those who watch are told, made in the main thread from the player's reports and its latest snapshot.

Notes come from reports, as they happen. Beats are counted here, along the line that the snapshot gives, so that the
player has nothing to do for them.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator

from sideman.control.api import Desk, coming, place_of
from sideman.core.chart.chart import Chart
from sideman.core.events import NoteOn
from sideman.core.parts.improviser import Choice
from sideman.core.reports import BarPlayed, Changed, Does, Heard, ModeSet, Report, Struck
from sideman.core.settings.written import written
from sideman.core.snapshot import Status
from sideman.core.text import shown_chord

Event = dict[str, object]

LOOK_S = 0.05
"""A choice just made is told within this time."""
STATUS_S = 0.5
_LOG_LINES = 100
_SOON = 1e-6  # beats; what arithmetic may leave between a beat and the second it was expected on


class News:
    """Makes events. `status` gives the player's latest snapshot, `desk` what settings hold."""

    def __init__(self, desk: Desk, status: Callable[[], Status]) -> None:
        self._desk = desk
        self._status = status
        self._log = _Log()
        self._beat: int | None = None
        self._chart, self._transpose = status().place()[0], 0
        self._coming: Choice | None = None
        self._ports: object = None
        self._tells_at = -math.inf  # when to tell how it stands

    def welcome(self) -> Iterator[Event]:
        """What somebody who comes needs to know first."""
        status = self._desk.status()
        yield _chart(self._status().place()[0], self._desk.settings.midi.transpose)
        self._ports = status.get("ports")
        yield _ports(status)
        yield {"event": "status", **status}

    def told(self, report: Report) -> Iterator[Event]:
        """What `report` means for those who watch."""
        top = self._status().top
        match report:
            case Struck(beat, beats, note, voice, value):
                text = None if value is None else value.text
                played = {"pitch": note.pitch, "beats": round(beats, 4), "velocity": note.velocity}
                yield {"event": "value", "beat": round(beat - top, 4), "value": text, **played, "voice": voice}
            case Heard(beat, note):
                on = isinstance(note, NoteOn)
                velocity = note.velocity if isinstance(note, NoteOn) else 0
                event = {"beat": round(beat - top, 4), "on": on, "pitch": note.pitch, "velocity": velocity}
                yield {"event": "heard", **event}
            case BarPlayed(number, chords, choices):
                values = [{"value": choice.value.text, "pitch": choice.pitch} for choice in choices]
                shown = [shown_chord(each, self._desk.settings.midi.transpose) for each in chords]
                yield {"event": "bar", "number": number, "chords": shown, "values": values}
            case Changed(values):
                yield {"event": "changed", "values": {name: written(name, value) for name, value in values}}
            case ModeSet(mode, beat):
                yield {"event": "mode", "mode": mode, "beat": round(beat - top, 4)}
            case Does(doing):
                yield {"event": "doing", "doing": doing}
        if isinstance(report, Changed | ModeSet | Does):
            self._tells_at = -math.inf

    def due(self, now: float) -> Iterator[Event]:
        """What there is to tell at the second `now` whether or not anything has happened."""
        status = self._status()
        chart, _ = status.place(status.beats_since(now))
        transpose = self._desk.settings.midi.transpose
        if chart is not self._chart or transpose != self._transpose:
            self._chart, self._transpose = chart, transpose
            yield _chart(chart, transpose)
        yield from self._beats(status, now)
        if status.coming is not self._coming:
            self._coming = status.coming
            yield {"event": "coming", **(coming(status) or {"beat": None, "pitch": None, "value": None})}
        for level, text in self._log.taken():
            yield {"event": "log", "level": level, "text": text}
        if now >= self._tells_at:
            self._tells_at = now + STATUS_S
            yield from self._standing()

    def wakes_at(self, now: float) -> float:
        """The second when something may be due next."""
        status = self._status()
        beat = status.beat + status.beats_since(now)
        left = (math.floor(beat + _SOON) + 1 - beat) * 60 / status.bpm if status.rolling else math.inf
        return now + min(left, LOOK_S)

    def watch(self, *, watched: bool) -> None:
        """Listen to the log while somebody watches, and only then."""
        root = logging.getLogger()
        if watched == (self._log in root.handlers):
            return
        if watched:
            root.addHandler(self._log)
            self._beat = None
        else:
            root.removeHandler(self._log)

    def _beats(self, status: Status, now: float) -> Iterator[Event]:
        beat = status.beat + status.beats_since(now)
        number = math.floor(beat + _SOON)
        if not status.rolling or number == self._beat:
            return
        self._beat = number
        gone = number - status.beat
        yield {"event": "beat", "beat": number, "bar": status.bar_after(gone), **place_of(status, gone)}

    def _standing(self) -> Iterator[Event]:
        status = self._desk.status()
        if status.get("ports") != self._ports:
            self._ports = status.get("ports")
            yield _ports(status)
        yield {"event": "timing", **{name: status[name] for name in ("late", "heard", "echoes", "played")}}
        yield {"event": "status", **status}


def _chart(chart: Chart, transpose: int) -> Event:
    """As the player reads it, which `transpose` is from what sounds."""
    chart = chart.transposed(-transpose)
    about = chart.about
    return {
        "event": "chart",
        "title": about.title,
        "composer": about.composer,
        "key": about.key,
        "meter": str(chart.meter),
        "meters": [[chart.bar_at(beat)[0], str(meter)] for beat, meter in chart.meters],
        "bars": [[chord.text for _, chord in bar.chords] for bar in chart.bars],
        "sections": [[bar, name] for bar, name in about.sections],
    }


def _ports(status: dict[str, object]) -> Event:
    return {"event": "ports", "text": status.get("ports", "")}


class _Log(logging.Handler):
    """Keeps the last lines of the log until they are taken; what is told as an event is left out."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[tuple[str, str]] = deque(maxlen=_LOG_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "told", False):
            self._lines.append((record.levelname.lower(), record.getMessage()))

    def taken(self) -> Iterator[tuple[str, str]]:
        while self._lines:
            yield self._lines.popleft()
