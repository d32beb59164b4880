# SPDX-License-Identifier: Apache-2.0
"""The event feed: makes the events that watching clients get, in the main thread.

There are two sources. Notes, bars and changes come as reports of the player, when they happen. Beats, the next note and
the status are derived from the player's latest snapshot, so that the player has nothing to do for them.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator

from msgspec.structs import astuple

from sideman.control.api import ControlApi, beat_event, next_note
from sideman.control.events import (
    BarEvent,
    BarValue,
    ChangedEvent,
    ChartEvent,
    ComingEvent,
    DoingEvent,
    Event,
    HeardEvent,
    LogEvent,
    ModeEvent,
    PortsEvent,
    StatusEvent,
    TimingEvent,
    ValueEvent,
)
from sideman.core import events
from sideman.core.chart.chart import Chart
from sideman.core.positions import reached_beat
from sideman.core.settings.schema import write_value
from sideman.core.snapshot import Snapshot
from sideman_models.text import printable

MAX_DELAY_S = 0.05  # within this time the next note, a new chart and log lines are sent
STATUS_INTERVAL_S = 0.5
_MAX_LOG_LINES = 100


class EventFeed:
    """Makes events. `snapshot` returns the player's latest snapshot; `api` has the settings and the status."""

    def __init__(self, api: ControlApi, snapshot: Callable[[], Snapshot]) -> None:
        self._api = api
        self._snapshot = snapshot
        self._log = _LogBuffer()
        self._next_status_s = -math.inf
        # What was sent last:
        self._beat: int | None = None
        self._chart, self._transpose = snapshot().chart_span()[0].chart, 0
        self._next_choice: events.Choice | None = None
        self._ports = ""
        self._learned = api.learned

    def initial_events(self) -> Iterator[Event]:
        """Return what a new client has to know first."""
        status = self._api.status()
        yield _chart_event(self._snapshot().chart_span()[0].chart, self._api.settings.midi.transpose)
        self._ports = self._ports or status.ports  # a change is still to be sent to the other clients
        yield PortsEvent(status.ports)
        yield StatusEvent(*astuple(status))

    def report_events(self, report: events.Report) -> Iterator[Event]:
        """Return the events that follow from `report`."""
        top = self._snapshot().top
        match report:
            case events.NotePlayed(beat, beats, note, voice, value, motif):
                text, at, beats = None if value is None else value.text, round(beat - top, 4), round(beats, 4)
                yield ValueEvent(at, text, note.pitch, beats, note.velocity, voice, motif)
            case events.NoteHeard(beat, note):
                velocity = note.velocity if isinstance(note, events.NoteOn) else 0
                yield HeardEvent(round(beat - top, 4), isinstance(note, events.NoteOn), note.pitch, velocity)
            case events.BarPlayed(number, chords, choices):
                shown = [chord.shown(self._api.settings.midi.transpose).text for chord in chords]
                values = [BarValue(choice.value.text, choice.pitch) for choice in choices]
                yield BarEvent(number, shown, values)
            case events.SettingsChanged(changed):
                yield ChangedEvent({name: write_value(name, value) for name, value in changed})
            case events.ModeChanged(mode, beat):
                yield ModeEvent(mode, round(beat - top, 4))
            case events.StateChanged(state, until):
                yield DoingEvent(state, None if until is None else round(until - top, 4))
        if isinstance(report, events.SettingsChanged | events.ModeChanged | events.StateChanged):
            self._next_status_s = -math.inf

    def timed_events(self, now: float) -> Iterator[Event]:
        """Return the events that depend on time alone, at the second `now`."""
        snapshot = self._snapshot()
        chart = snapshot.chart_span(snapshot.beats_since(now))[0].chart
        transpose = self._api.settings.midi.transpose
        if chart is not self._chart or transpose != self._transpose:
            self._chart, self._transpose = chart, transpose
            yield _chart_event(chart, transpose)
        number = math.floor(reached_beat(snapshot.beat + snapshot.beats_since(now)))
        if snapshot.rolling and number != self._beat:
            self._beat = number
            yield beat_event(snapshot, number - snapshot.beat)
        if snapshot.next_choice is not self._next_choice:
            self._next_choice = snapshot.next_choice
            coming = next_note(snapshot)
            yield ComingEvent(None, None, None) if coming is None else ComingEvent(*astuple(coming))
        if self._api.learned is not self._learned and (learned := self._api.learned) is not None:
            self._learned = learned
            yield learned
        while self._log.lines:
            yield LogEvent(*self._log.lines.popleft())
        if now >= self._next_status_s:
            self._next_status_s = now + STATUS_INTERVAL_S
            status = self._api.status()
            if status.ports != self._ports:
                self._ports = status.ports
                yield PortsEvent(status.ports)
            yield TimingEvent(status.late, status.heard, status.echoes, status.played)
            yield StatusEvent(*astuple(status))

    def wakes_at(self, now: float) -> float:
        """Return the second when `timed_events` may have something next."""
        snapshot = self._snapshot()
        beat = snapshot.beat + snapshot.beats_since(now)
        seconds = (math.floor(reached_beat(beat)) + 1 - beat) * 60 / snapshot.bpm if snapshot.rolling else math.inf
        return now + min(seconds, MAX_DELAY_S)

    def set_watched(self, *, watched: bool) -> None:
        """Collect log lines while a client watches, and only then."""
        root = logging.getLogger()
        if not watched:
            root.removeHandler(self._log)
            self._ports, self._learned = "", self._api.learned
        elif self._log not in root.handlers:
            root.addHandler(self._log)
            self._beat = None


def _chart_event(chart: Chart, transpose: int) -> ChartEvent:
    """Return the chart as the player reads it; `transpose` leads from what is read to what sounds."""
    chart = chart.shown(transpose)
    return ChartEvent(
        title=chart.info.title,
        composer=chart.info.composer,
        key=chart.info.key,
        meter=str(chart.meter),
        meters=[(chart.bar_at(beat)[0], str(meter)) for beat, meter in chart.meters],
        bars=[[chord.text for _, chord in bar.chords] for bar in chart.bars],
        sections=list(chart.info.sections),
    )


class _LogBuffer(logging.Handler):
    """Keeps the last `lines` of the log, level and text, without those that are also sent as events."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[tuple[str, str]] = deque(maxlen=_MAX_LOG_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "published", False):
            self.lines.append((record.levelname.lower(), printable(record.getMessage())))
