# SPDX-License-Identifier: Apache-2.0
"""Who plays when: THE table of play modes, as arithmetic on written ticks (12 a quarter note), known ahead of time.

Because turns are known ahead, the first note of a turn is chosen while the player still plays, and falls on its pulse.
To add a mode, name it in `ModeName`, write its class (see `PlayMode`) and give it a row in `MODES`; nothing else lists
the modes.

A pause, in mode `answer`, comes when no note has started for `play.patience` times the player's own pace, and no key
is held. If the last bar line lies less than a sixth of a beat before that moment, the pause begins on the bar line:
sixteenths up to the end of a bar are answered on the bar line, and a player of eighths is not cut short.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Literal, Protocol, get_args

from msgspec import Struct

from sideman.core.chart.timeline import ChartTimeline
from sideman_models.music.context import Bars
from sideman_models.music.values import DURATION_GRID, TICKS_PER_QUARTER, quantize_duration

ModeName = Literal["solo", "trade", "answer", "duet", "off"]
"""The name of a mode, as in `play.mode`."""
MODE_NAMES: tuple[ModeName, ...] = get_args(ModeName)
"""All modes, in the order in which a pedal goes through them."""

_CHORD_TICKS = TICKS_PER_QUARTER / 8
"""Notes that start closer together than this are one onset: a chord."""
_PACE_ONSETS, _ENOUGH_ONSETS = 6, 4
"""Of the last six gaps between onsets the second longest is the pace; of fewer than four, the longest."""
_MIN_PACE_TICKS = TICKS_PER_QUARTER // 4
_ACTIVITY_TICKS = 4 * TICKS_PER_QUARTER
"""The time over which the player's onsets are counted."""
_LOST_NOTE_OFF_TICKS = 32 * TICKS_PER_QUARTER
"""If a key is held for this long and nothing else comes, its note-off counts as lost."""


class TurnSettings(Protocol):
    """The settings of `play` that turns depend on."""

    @property
    def mode(self) -> ModeName:
        """The mode in force."""

    @property
    def trade_bars(self) -> int:
        """The bars of a turn in mode `trade`."""

    @property
    def trade_first(self) -> str:
        """Who has the first turn in mode `trade`: `you` or `sideman`."""

    @property
    def patience(self) -> float:
        """How many times the pace a pause lasts in mode `answer`."""


class LiveTurnSettings(Protocol):
    """The cell from which turns read the settings in force."""

    @property
    def play(self) -> TurnSettings:
        """The settings of `play`."""


class PlayerActivity:
    """What the player has done, as far as turns depend on it. Ticks are written ticks."""

    def __init__(self, live: LiveTurnSettings) -> None:
        self._live = live
        self._onsets: deque[float] = deque(maxlen=_PACE_ONSETS + 1)  # of the current phrase
        self._recent_onsets: deque[float] = deque(maxlen=256)
        self._keys_held = False
        self._last_release = -math.inf

    def note_on(self, tick: float) -> None:
        """The player starts a note."""
        if tick >= self.pause_tick():
            self._onsets.clear()
        self._keys_held = True
        if not self._recent_onsets or tick - self._recent_onsets[-1] >= _CHORD_TICKS:
            self._onsets.append(tick)
            self._recent_onsets.append(tick)

    def note_off(self, tick: float, *, keys_held: bool) -> None:
        """The player releases a key; `keys_held`: other keys are still down."""
        self._keys_held = keys_held
        self._last_release = max(self._last_release, tick)

    def clear(self) -> None:
        """Forget everything: the music continues elsewhere."""
        self._onsets.clear()
        self._recent_onsets.clear()
        self._keys_held = False

    def pause_tick(self) -> float:
        """Return the tick at which the player pauses unless another note comes; infinite before the first note."""
        if not self._onsets:
            return math.inf
        last = self._onsets[-1]
        if self._keys_held:
            return last + _LOST_NOTE_OFF_TICKS
        gaps = sorted(quantize_duration(after - before) for before, after in pairwise(self._onsets))
        longest = (gaps[-1] if len(gaps) < _ENOUGH_ONSETS else gaps[-2]) if gaps else TICKS_PER_QUARTER
        return max(last + self._live.play.patience * max(_MIN_PACE_TICKS, longest), self._last_release)

    def is_idle_after(self, tick: float) -> bool:
        """Whether the player did nothing after `tick`."""
        return self._last_release <= tick and (not self._onsets or self._onsets[-1] < tick)

    def onsets_per_beat(self, tick: float) -> float:
        """Return the player's onsets per beat over the four beats up to `tick`."""
        onsets = sum(tick - _ACTIVITY_TICKS < onset <= tick for onset in self._recent_onsets)
        return onsets * TICKS_PER_QUARTER / _ACTIVITY_TICKS


# -- the modes


class PlayMode(Protocol):
    """A play mode: when it is our turn. What a mode does not define holds as it stands here."""

    gives_way: bool = False
    """Whether we stop at the next beat when the player comes in."""

    def next_open_tick(self, tick: int) -> int | None:
        """Return the first tick at or after `tick` at which we may start a note; None if that depends on the player."""

    def turn_end(self, tick: int) -> float:  # noqa: ARG002 - see the modes with turns
        """Return the tick at which our turn that holds `tick` ends; infinite if it does not end."""
        return math.inf

    def player_onsets_per_beat(self, tick: int) -> float:  # noqa: ARG002 - see `DuetMode`
        """Return how busy the player is whom we leave room, in onsets per beat; 0 if we leave none."""
        return 0.0


class SoloMode(PlayMode):
    """We play through."""

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        return tick


class OffMode(PlayMode):
    """We never play."""

    def next_open_tick(self, tick: int) -> int | None:  # noqa: ARG002
        """See `PlayMode`."""
        return None


class TradeMode(PlayMode):
    """Turns of `bars` bars each, counted from the bar line at `start`; `we_start`: the first turn is ours."""

    def __init__(self, timeline: ChartTimeline, start: int, bars: int, *, we_start: bool) -> None:
        self._timeline = timeline
        self._start = start
        self._first_bar = timeline.bar_number_at(start)
        self._bars = bars
        self._we_start = we_start

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        turn = max(0, self._turn_at(tick))
        return max(tick, self._start) if (turn % 2 == 0) == self._we_start else self._turn_start(turn + 1)

    def turn_end(self, tick: int) -> float:
        """See `PlayMode`."""
        return self._turn_start(self._turn_at(tick) + 1)

    def _turn_at(self, tick: int) -> int:
        return (self._timeline.bar_number_at(tick) - self._first_bar) // self._bars

    def _turn_start(self, turn: int) -> int:
        return self._timeline.bar_line_tick(self._first_bar + turn * self._bars)


class AnswerMode(PlayMode):
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
        on_bar_line = pause - line < DURATION_GRID[0] and self._activity.is_idle_after(line)
        return max(tick, line if on_bar_line else math.ceil(pause))


class DuetMode(PlayMode):
    """We play all the time, and leave the player room."""

    def __init__(self, activity: PlayerActivity) -> None:
        self._activity = activity

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        return tick

    def player_onsets_per_beat(self, tick: int) -> float:
        """See `PlayMode`."""
        return self._activity.onsets_per_beat(tick)


class TurnContext(Struct, frozen=True):
    """What a mode is made from when it begins at the bar line at `start`."""

    settings: TurnSettings
    timeline: ChartTimeline
    activity: PlayerActivity
    start: int


def _trade(context: TurnContext) -> PlayMode:
    settings = context.settings
    return TradeMode(context.timeline, context.start, settings.trade_bars, we_start=settings.trade_first == "sideman")


class ModeRow(Struct, frozen=True):
    """A row of the table: what the mode does, in a musician's words, and how it is made.

    `counted_by` are the settings by which its turns count bars; a change of one begins the mode again.
    """

    text: str
    make: Callable[[TurnContext], PlayMode]
    counted_by: frozenset[str] = frozenset()


MODES: Mapping[ModeName, ModeRow] = {
    "solo": ModeRow("plays all the time", lambda _context: SoloMode()),
    "trade": ModeRow(
        "takes turns with you, play.trade_bars bars each", _trade, frozenset({"play.trade_bars", "play.trade_first"})
    ),
    "answer": ModeRow("plays when you pause", lambda context: AnswerMode(context.activity, context.timeline)),
    "duet": ModeRow("plays along with you and leaves you room", lambda context: DuetMode(context.activity)),
    "off": ModeRow("only listens", lambda _context: OffMode()),
}
"""Every mode by its name."""


class TurnPlan:
    """The mode in force, and the mode that takes over at a later bar line, if one is scheduled."""

    def __init__(self, live: LiveTurnSettings, timeline: ChartTimeline) -> None:
        self.activity = PlayerActivity(live)
        self._live = live
        self._timeline = timeline
        self._current = self._make_mode(live.play.mode, 0)
        self._scheduled: tuple[int, ModeName, PlayMode] | None = None

    def _make_mode(self, mode: ModeName, start: int) -> PlayMode:
        return MODES[mode].make(TurnContext(self._live.play, self._timeline, self.activity, start))

    def start(self, tick: int) -> None:
        """Put the mode of the settings in force from the bar line at `tick`, and forget a scheduled one."""
        self._current, self._scheduled = self._make_mode(self._live.play.mode, tick), None

    def schedule_mode(self, mode: ModeName, tick: int) -> None:
        """Let `mode` take over at the bar line at `tick`, in place of one that was scheduled before."""
        self._scheduled = tick, mode, self._make_mode(mode, tick)

    def cancel_scheduled(self) -> None:
        """Keep the mode in force."""
        self._scheduled = None

    @property
    def scheduled(self) -> tuple[int, ModeName] | None:
        """The tick at which another mode takes over, and its name."""
        return self._scheduled and self._scheduled[:2]

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        if self._scheduled is None:
            return self._current.next_open_tick(tick)
        change_tick, _, next_mode = self._scheduled
        opens = self._current.next_open_tick(tick) if tick < change_tick else None
        if opens is not None and opens < change_tick:
            return opens
        return next_mode.next_open_tick(max(tick, change_tick))

    def turn_end(self, tick: int) -> float:
        """See `PlayMode`."""
        end = self._mode_at(tick).turn_end(tick)
        return min(end, self._scheduled[0]) if self._scheduled and tick < self._scheduled[0] else end

    def player_onsets_per_beat(self, tick: int) -> float:
        """See `PlayMode`."""
        return self._mode_at(tick).player_onsets_per_beat(tick)

    def gives_way(self, tick: int) -> bool:
        """See `PlayMode`."""
        return self._mode_at(tick).gives_way

    def _mode_at(self, tick: int) -> PlayMode:
        return self._scheduled[2] if self._scheduled and tick >= self._scheduled[0] else self._current
