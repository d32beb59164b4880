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

from sideman.control.api import ControlApi, next_note_fields, position_fields
from sideman.core.chart.chart import Chart
from sideman.core.events import (
    BarPlayed,
    Choice,
    ModeChanged,
    NoteHeard,
    NoteOn,
    NotePlayed,
    Report,
    SettingsChanged,
    StateChanged,
)
from sideman.core.settings.schema import write_value
from sideman.core.snapshot import Snapshot
from sideman.core.text import format_chord

FeedEvent = dict[str, object]

MAX_DELAY_S = 0.05
"""A choice just made is told within this time."""
STATUS_INTERVAL_S = 0.5
_MAX_LOG_LINES = 100
_EPSILON_BEATS = 1e-6  # beats; what arithmetic may leave between a beat and the second it was expected on


class EventFeed:
    """Makes events. `status` gives the player's latest snapshot, `api` what settings hold."""

    def __init__(self, api: ControlApi, status: Callable[[], Snapshot]) -> None:
        self._api = api
        self._status = status
        self._log = _LogBuffer()
        self._beat: int | None = None
        self._chart, self._transpose = status().chart_position()[0], 0
        self._next_choice: Choice | None = None
        self._ports: object = None
        self._next_status_s = -math.inf  # when to tell how it stands

    def initial_events(self) -> Iterator[FeedEvent]:
        """What somebody who comes needs to know first."""
        status = self._api.status()
        yield _chart_event(self._status().chart_position()[0], self._api.settings.midi.transpose)
        self._ports = status.get("ports")
        yield _ports_event(status)
        yield {"event": "status", **status}

    def report_events(self, report: Report) -> Iterator[FeedEvent]:
        """What `report` means for those who watch."""
        top = self._status().top
        match report:
            case NotePlayed(beat, beats, note, voice, value):
                text = None if value is None else value.text
                played = {"pitch": note.pitch, "beats": round(beats, 4), "velocity": note.velocity}
                yield {"event": "value", "beat": round(beat - top, 4), "value": text, **played, "voice": voice}
            case NoteHeard(beat, note):
                on = isinstance(note, NoteOn)
                velocity = note.velocity if isinstance(note, NoteOn) else 0
                event = {"beat": round(beat - top, 4), "on": on, "pitch": note.pitch, "velocity": velocity}
                yield {"event": "heard", **event}
            case BarPlayed(number, chords, choices):
                values = [{"value": choice.value.text, "pitch": choice.pitch} for choice in choices]
                shown = [format_chord(each, self._api.settings.midi.transpose) for each in chords]
                yield {"event": "bar", "number": number, "chords": shown, "values": values}
            case SettingsChanged(values):
                yield {"event": "changed", "values": {name: write_value(name, value) for name, value in values}}
            case ModeChanged(mode, beat):
                yield {"event": "mode", "mode": mode, "beat": round(beat - top, 4)}
            case StateChanged(doing):
                yield {"event": "doing", "doing": doing}
        if isinstance(report, SettingsChanged | ModeChanged | StateChanged):
            self._next_status_s = -math.inf

    def timed_events(self, now: float) -> Iterator[FeedEvent]:
        """What there is to tell at the second `now` whether or not anything has happened."""
        status = self._status()
        chart, _ = status.chart_position(status.beats_since(now))
        transpose = self._api.settings.midi.transpose
        if chart is not self._chart or transpose != self._transpose:
            self._chart, self._transpose = chart, transpose
            yield _chart_event(chart, transpose)
        yield from self._beat_events(status, now)
        if status.next_choice is not self._next_choice:
            self._next_choice = status.next_choice
            yield {"event": "coming", **(next_note_fields(status) or {"beat": None, "pitch": None, "value": None})}
        for level, text in self._log.take_lines():
            yield {"event": "log", "level": level, "text": text}
        if now >= self._next_status_s:
            self._next_status_s = now + STATUS_INTERVAL_S
            yield from self._status_events()

    def wakes_at(self, now: float) -> float:
        """The second when something may be due next."""
        status = self._status()
        beat = status.beat + status.beats_since(now)
        left = (math.floor(beat + _EPSILON_BEATS) + 1 - beat) * 60 / status.bpm if status.rolling else math.inf
        return now + min(left, MAX_DELAY_S)

    def set_watched(self, *, watched: bool) -> None:
        """Listen to the log while somebody watches, and only then."""
        root = logging.getLogger()
        if watched == (self._log in root.handlers):
            return
        if watched:
            root.addHandler(self._log)
            self._beat = None
        else:
            root.removeHandler(self._log)

    def _beat_events(self, status: Snapshot, now: float) -> Iterator[FeedEvent]:
        beat = status.beat + status.beats_since(now)
        number = math.floor(beat + _EPSILON_BEATS)
        if not status.rolling or number == self._beat:
            return
        self._beat = number
        gone = number - status.beat
        yield {"event": "beat", "beat": number, "bar": status.bar_number(gone), **position_fields(status, gone)}

    def _status_events(self) -> Iterator[FeedEvent]:
        status = self._api.status()
        if status.get("ports") != self._ports:
            self._ports = status.get("ports")
            yield _ports_event(status)
        yield {"event": "timing", **{name: status[name] for name in ("late", "heard", "echoes", "played")}}
        yield {"event": "status", **status}


def _chart_event(chart: Chart, transpose: int) -> FeedEvent:
    """As the player reads it, which `transpose` is from what sounds."""
    chart = chart.transposed(-transpose)
    about = chart.info
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


def _ports_event(status: dict[str, object]) -> FeedEvent:
    return {"event": "ports", "text": status.get("ports", "")}


class _LogBuffer(logging.Handler):
    """Keeps the last lines of the log until they are taken; what is told as an event is left out."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[tuple[str, str]] = deque(maxlen=_MAX_LOG_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "told", False):
            self._lines.append((record.levelname.lower(), record.getMessage()))

    def take_lines(self) -> Iterator[tuple[str, str]]:
        while self._lines:
            yield self._lines.popleft()
