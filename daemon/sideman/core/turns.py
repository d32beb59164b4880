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
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, Protocol, get_args

from msgspec import Struct

from sideman.core.chart.timeline import ChartTimeline
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


class _TurnSettings(Protocol):
    """The settings of `play` that turns depend on.

    `trade_bars` are the bars of a turn in mode `trade`; `trade_first` has the first one, `you` or `sideman`. In mode
    `answer` a pause lasts `patience` times the pace.
    """

    @property
    def mode(self) -> ModeName: ...
    @property
    def trade_bars(self) -> int: ...
    @property
    def trade_first(self) -> str: ...
    @property
    def patience(self) -> float: ...


class _LiveTurnSettings(Protocol):
    """The cell from which turns read the settings in force."""

    @property
    def play(self) -> _TurnSettings: ...


class ModeMemory(Struct, frozen=True):
    """A mode as plain data, counted from the bar line at the tick `start`, the bar with number `first_bar`."""

    name: ModeName
    start: int
    first_bar: int


class TurnsMemory(Struct, frozen=True):
    """The state of the turns as plain data; `onsets` and `recent_onsets` are the player's, in ticks."""

    current: ModeMemory
    scheduled: ModeMemory | None
    onsets: tuple[float, ...]
    recent_onsets: tuple[float, ...]
    last_release: float | None


class PlayerActivity:
    """What the player has done, as far as turns depend on it. Ticks are written ticks."""

    def __init__(self, live: _LiveTurnSettings) -> None:
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

    def memory(self, current: ModeMemory, scheduled: ModeMemory | None) -> TurnsMemory:
        """Return the state as plain data. Keys that are held are not in it: their releases will not be heard."""
        last_release = None if self._last_release == -math.inf else self._last_release
        return TurnsMemory(current, scheduled, tuple(self._onsets), tuple(self._recent_onsets), last_release)

    def recall(self, memory: TurnsMemory) -> None:
        """Continue from `memory`."""
        self.clear()
        self._onsets.extend(memory.onsets)
        self._recent_onsets.extend(memory.recent_onsets)
        self._last_release = -math.inf if memory.last_release is None else memory.last_release

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
    """A play mode: when it is our turn, from the bar line at `start` on. Without a rule of its own we play through."""

    gives_way: bool = False
    """Whether we stop at the next beat when the player comes in."""
    answers: bool = False
    """Whether our turns answer what the player has played."""
    name: ModeName
    start: int
    _settings: _TurnSettings
    _timeline: ChartTimeline
    _activity: PlayerActivity
    _first_bar: int

    def __init__(
        self, name: ModeName, start: int, settings: _TurnSettings, timeline: ChartTimeline, activity: PlayerActivity
    ) -> None:
        self.name, self.start = name, start
        self._settings, self._timeline, self._activity = settings, timeline, activity
        self._first_bar = timeline.bar_number_at(start)  # now: the timeline forgets old charts

    def memory(self) -> ModeMemory:
        """Return the mode as plain data."""
        return ModeMemory(self.name, self.start, self._first_bar)

    def count_from(self, bar: int) -> None:
        """Count turns from the bar with this number, which began at `start` in a chart that is forgotten by now."""
        self._first_bar = bar

    def next_open_tick(self, tick: int) -> int | None:
        """Return the first tick at or after `tick` at which we may start a note; None if that depends on the player."""
        return tick

    def turn_end(self, tick: int) -> float:  # noqa: ARG002 - see the modes with turns
        """Return the tick at which our turn that holds `tick` ends; infinite if it does not end."""
        return math.inf

    def player_onsets_per_beat(self, tick: int) -> float:  # noqa: ARG002 - see `DuetMode`
        """Return how busy the player is whom we leave room, in onsets per beat; 0 if we leave none."""
        return 0.0


class SoloMode(PlayMode):
    """We play through."""


class OffMode(PlayMode):
    """We never play."""

    def next_open_tick(self, tick: int) -> int | None:  # noqa: ARG002
        """See `PlayMode`."""
        return None


class TradeMode(PlayMode):
    """Turns of `play.trade_bars` bars each, counted from `start`; the first one is that of `play.trade_first`."""

    answers = True

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        turn = max(0, self._turn_at(tick))
        is_ours = (turn % 2 == 0) == (self._settings.trade_first == "sideman")
        return max(tick, self.start) if is_ours else self._turn_start(turn + 1)

    def turn_end(self, tick: int) -> float:
        """See `PlayMode`."""
        return self._turn_start(self._turn_at(tick) + 1)

    def _turn_at(self, tick: int) -> int:
        return (self._timeline.bar_number_at(tick) - self._first_bar) // self._settings.trade_bars

    def _turn_start(self, turn: int) -> int:
        return self._timeline.bar_line_tick(self._first_bar + turn * self._settings.trade_bars)


class AnswerMode(PlayMode):
    """We play while the player pauses."""

    gives_way = answers = True

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        pause = self._activity.pause_tick()
        if pause == math.inf:
            return None
        line, _ = self._timeline.bar_at(pause)
        on_bar_line = pause - line < DURATION_GRID[0] and self._activity.is_idle_after(line)
        return max(tick, line if on_bar_line else math.ceil(pause))


class DuetMode(PlayMode):
    """We play all the time, and leave the player room."""

    def player_onsets_per_beat(self, tick: int) -> float:
        """See `PlayMode`."""
        return self._activity.onsets_per_beat(tick)


class ModeRow(Struct, frozen=True):
    """A row of the table: what the mode does, in a musician's words, and its class.

    `counted_by` are the settings by which its turns count bars; a change of one begins the mode again.
    """

    text: str
    mode_class: type[PlayMode]
    counted_by: frozenset[str] = frozenset()


MODES: Mapping[ModeName, ModeRow] = {
    "solo": ModeRow("plays all the time", SoloMode),
    "trade": ModeRow(
        "takes turns with you, play.trade_bars bars each",
        TradeMode,
        frozenset({"play.trade_bars", "play.trade_first"}),
    ),
    "answer": ModeRow("plays when you pause", AnswerMode),
    "duet": ModeRow("plays along with you and leaves you room", DuetMode),
    "off": ModeRow("only listens", OffMode),
}
"""Every mode by its name."""


class TurnPlan:
    """The mode in force, and the mode that takes over at a later bar line, if one is `scheduled`."""

    def __init__(self, live: _LiveTurnSettings, timeline: ChartTimeline) -> None:
        self.activity = PlayerActivity(live)
        self._live = live
        self._timeline = timeline
        self.start(0)

    def _make_mode(self, name: ModeName, start: int) -> PlayMode:
        return MODES[name].mode_class(name, start, self._live.play, self._timeline, self.activity)

    def start(self, tick: int) -> None:
        """Put the mode of the settings in force from the bar line at `tick`, and forget a scheduled one."""
        self._current = self._make_mode(self._live.play.mode, tick)
        self.scheduled: PlayMode | None = None

    def memory(self) -> TurnsMemory:
        """Return the state as plain data."""
        scheduled = None if self.scheduled is None else self.scheduled.memory()
        return self.activity.memory(self._current.memory(), scheduled)

    def recall(self, memory: TurnsMemory) -> None:
        """Continue from `memory`."""
        self.activity.recall(memory)
        self._current = self._recalled_mode(memory.current)
        self.scheduled = None if memory.scheduled is None else self._recalled_mode(memory.scheduled)

    def _recalled_mode(self, memory: ModeMemory) -> PlayMode:
        mode = self._make_mode(memory.name, memory.start)
        mode.count_from(memory.first_bar)
        return mode

    def schedule_mode(self, name: ModeName, tick: int) -> None:
        """Let another mode take over at the bar line at `tick`, in place of one that was scheduled before."""
        self.scheduled = self._make_mode(name, tick)

    def next_open_tick(self, tick: int) -> int | None:
        """See `PlayMode`."""
        if self.scheduled is None:
            return self._current.next_open_tick(tick)
        change_tick = self.scheduled.start
        opens = self._current.next_open_tick(tick) if tick < change_tick else None
        if opens is not None and opens < change_tick:
            return opens
        return self.scheduled.next_open_tick(max(tick, change_tick))

    def turn_end(self, tick: int) -> float:
        """See `PlayMode`."""
        end = self.mode_at(tick).turn_end(tick)
        return min(end, self.scheduled.start) if self.scheduled and tick < self.scheduled.start else end

    def mode_at(self, tick: int) -> PlayMode:
        """Return the mode that holds at `tick`."""
        return self.scheduled if self.scheduled and tick >= self.scheduled.start else self._current
