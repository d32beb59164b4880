# SPDX-License-Identifier: Apache-2.0
"""Who plays when: the modes, as arithmetic on written ticks (12 a quarter note), known ahead of time.

Because it is known ahead, the first note of a turn is chosen ahead too, while the player still plays, and falls on its
very pulse. What the player does is told to an `PlayerActivity`, whatever the mode; the turns only ask it.

A pause, in mode `answer`, comes when nothing has been struck for `play.patience` times the player's own pace, and
nothing is held. A bar line less than a sixth of a beat before that is near enough: who plays sixteenths up to the last
one of a bar is answered on the bar line, and who plays eighths is not cut short.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import Protocol

from sideman.core.chart.timeline import ChartTimeline
from sideman.core.settings.schema import ModeName, PlaySettings
from sideman_models.music.context import Bars
from sideman_models.music.values import DURATION_GRID, TICKS_PER_QUARTER, quantize_duration

_CHORD_TICKS = TICKS_PER_QUARTER / 8
"""Notes struck nearer to each other than this are one onset: a chord."""
_PACE_ONSETS, _ENOUGH_ONSETS = 6, 4
"""Of so many times from onset to onset the second longest is the pace; of fewer than so many, the longest."""
_MIN_PACE_TICKS = TICKS_PER_QUARTER // 4
_ACTIVITY_TICKS = 4 * TICKS_PER_QUARTER
"""How busy the player is, is counted over so long."""
_LOST_NOTE_OFF_TICKS = 32 * TICKS_PER_QUARTER
"""A key held for so long without anything else is one whose end was lost on its way."""


class PlayerActivity:
    """What the player does, so far as turns depend on it, by a player whose pause takes `patience` times the pace."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._onsets: deque[float] = deque(maxlen=_PACE_ONSETS + 1)  # of the phrase
        self._recent_onsets: deque[float] = deque(maxlen=256)
        self._keys_held = False
        self._last_release = -math.inf

    def note_on(self, tick: float) -> None:
        """The player strikes a key."""
        if tick >= self.pause_tick():
            self._onsets.clear()
        self._keys_held = True
        if not self._recent_onsets or tick - self._recent_onsets[-1] >= _CHORD_TICKS:
            self._onsets.append(tick)
            self._recent_onsets.append(tick)

    def note_off(self, tick: float, *, keys_held: bool) -> None:
        """The player lets go of a key; `keys_held`: others are still down."""
        self._keys_held = keys_held
        self._last_release = max(self._last_release, tick)

    def clear(self) -> None:
        """Another piece begins."""
        self._onsets.clear()
        self._recent_onsets.clear()
        self._keys_held = False

    def pause_tick(self) -> float:
        """The tick from which on the player pauses, unless something comes before; infinite before the first note."""
        if not self._onsets:
            return math.inf
        last = self._onsets[-1]
        return (
            last + _LOST_NOTE_OFF_TICKS
            if self._keys_held
            else max(last + self.patience * self._pace_ticks, self._last_release)
        )

    @property
    def _pace_ticks(self) -> int:
        """The time from onset to onset, in ticks as it would be written; a beat for a note on its own."""
        gaps = sorted(quantize_duration(after - before) for before, after in pairwise(self._onsets))
        return max(_MIN_PACE_TICKS, gaps[-1] if len(gaps) < _ENOUGH_ONSETS else gaps[-2]) if gaps else TICKS_PER_QUARTER

    def is_idle_after(self, tick: float) -> bool:
        """Whether nothing the player did is later than `tick`."""
        return self._last_release <= tick and (not self._onsets or self._onsets[-1] < tick)

    def onsets_per_beat(self, tick: float) -> float:
        """How many onsets a beat the player has lately come to, at `tick`."""
        return (
            sum(tick - _ACTIVITY_TICKS < onset <= tick for onset in self._recent_onsets)
            * TICKS_PER_QUARTER
            / _ACTIVITY_TICKS
        )


class PlayMode(Protocol):
    """When we play."""

    gives_way: bool
    """Whether we give way at once when the player comes in."""

    def next_open_tick(self, tick: int) -> int | None:
        """The first tick at or after `tick` at which we may strike; None: not before the player does something."""
        ...

    def turn_end(self, tick: int) -> float:
        """The tick at which the turn ends that holds `tick`, one of ours."""
        ...

    def player_onsets_per_beat(self, tick: int) -> float:
        """To how many onsets a beat of the player we leave room."""
        ...


class SoloMode:
    """We play through."""

    gives_way = False

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        return tick

    def turn_end(self, tick: int) -> float:  # noqa: ARG002
        """See `PlayMode`."""
        return math.inf

    def player_onsets_per_beat(self, tick: int) -> float:  # noqa: ARG002
        """See `PlayMode`."""
        return 0.0


class OffMode(SoloMode):
    """We never play."""

    def next_open_tick(self, tick: int) -> int | None:  # noqa: ARG002
        """See `PlayMode`."""
        return None


class TradeMode(SoloMode):
    """Turns of so many `bars` of `timeline`, the first from the bar line at `start`; `we_start`: the first is ours."""

    def __init__(self, timeline: ChartTimeline, start: int, bars: int, *, we_start: bool) -> None:
        self._timeline = timeline
        self._start = start
        self._first_bar = timeline.bar_number_at(start)
        self._bars = bars
        self._we_start = we_start

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        turn = max(0, self._turn_number(tick))
        if (turn % 2 == 0) == self._we_start:
            return max(tick, self._start)
        return self._turn_start(turn + 1)

    def turn_end(self, tick: int) -> float:
        """See `PlayMode`."""
        return self._turn_start(self._turn_number(tick) + 1)

    def _turn_number(self, tick: int) -> int:
        return (self._timeline.bar_number_at(tick) - self._first_bar) // self._bars

    def _turn_start(self, turn: int) -> int:
        return self._timeline.bar_line_tick(self._first_bar + turn * self._bars)


class AnswerMode(SoloMode):
    """We play while the player pauses."""

    gives_way = True

    def __init__(self, activity: PlayerActivity, bars: Bars) -> None:
        self._activity = activity
        self._bars = bars

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        pause = self._activity.pause_tick()
        if pause == math.inf:
            return None
        line, _ = self._bars.bar_at(pause)
        near = pause - line < DURATION_GRID[0] and self._activity.is_idle_after(line)
        return max(tick, line if near else math.ceil(pause))


class DuetMode(SoloMode):
    """We play all the time, and leave the player room."""

    def __init__(self, activity: PlayerActivity) -> None:
        self._activity = activity

    def player_onsets_per_beat(self, tick: int) -> float:
        """See `PlayMode`."""
        return self._activity.onsets_per_beat(tick)


class TurnPlan:
    """The turns that hold, and those that are to hold from a tick to come on; in the bars of `timeline`."""

    def __init__(self, play: PlaySettings, timeline: ChartTimeline) -> None:
        self.activity = PlayerActivity(play.patience)
        self._timeline = timeline
        self._current = self._make_mode(play, play.mode, 0)
        self._scheduled: tuple[int, ModeName, PlayMode] | None = None

    def _make_mode(self, play: PlaySettings, mode: ModeName, tick: int) -> PlayMode:
        match mode:
            case "solo":
                return SoloMode()
            case "trade":
                return TradeMode(self._timeline, tick, play.trade_bars, we_start=play.trade_first == "sideman")
            case "answer":
                return AnswerMode(self.activity, self._timeline)
            case "duet":
                return DuetMode(self.activity)
            case "off":
                return OffMode()

    def start(self, play: PlaySettings, tick: int) -> None:
        """Let the turns that `play` says hold from the bar line at `tick` on, and forget what was to come."""
        self._current, self._scheduled = self._make_mode(play, play.mode, tick), None

    def schedule_mode(self, play: PlaySettings, mode: ModeName, tick: int) -> None:
        """Let `mode` hold from the bar line at `tick` on, as `play` says; only the last plan counts."""
        self._scheduled = tick, mode, self._make_mode(play, mode, tick)

    def cancel_scheduled(self) -> None:
        """Let everything go on as it is."""
        self._scheduled = None

    @property
    def scheduled(self) -> tuple[int, ModeName] | None:
        """The tick from which on another mode is to hold, and which."""
        return self._scheduled and self._scheduled[:2]

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        if self._scheduled is None:
            return self._current.next_open_tick(tick)
        changes, _, turns = self._scheduled
        opens = self._current.next_open_tick(tick) if tick < changes else None
        return turns.next_open_tick(max(tick, changes)) if opens is None or opens >= changes else opens

    def turn_end(self, tick: int) -> float:
        """See `PlayMode`."""
        closes = self._mode_at(tick).turn_end(tick)
        return min(closes, self._scheduled[0]) if self._scheduled and tick < self._scheduled[0] else closes

    def player_onsets_per_beat(self, tick: int) -> float:
        """See `PlayMode`."""
        return self._mode_at(tick).player_onsets_per_beat(tick)

    def gives_way(self, tick: int) -> bool:
        """See `PlayMode`."""
        return self._mode_at(tick).gives_way

    def _mode_at(self, tick: int) -> PlayMode:
        return self._scheduled[2] if self._scheduled and tick >= self._scheduled[0] else self._current
