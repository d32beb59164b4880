# SPDX-License-Identifier: Apache-2.0
"""Who plays when: the modes, as arithmetic on written ticks (12 a quarter note), known ahead of time.

Because it is known ahead, the first note of a turn is chosen ahead too, while the player still plays, and falls on its
very pulse. What the player does is told to an `Ear`, whatever the mode; the turns only ask it.

A pause, in mode `answer`, comes when nothing has been struck for `play.patience` times the player's own pace, and
nothing is held. A bar line less than a sixth of a beat before that is near enough: who plays sixteenths up to the last
one of a bar is answered on the bar line, and who plays eighths is not cut short.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import Protocol

from sideman.core.chart.timeline import Tune
from sideman.core.settings.schema import Mode, PlaySettings
from sideman_models.music.context import Bars
from sideman_models.music.values import GRID, TICKS, to_grid

_TOGETHER = TICKS / 8
"""Notes struck nearer to each other than this are one onset: a chord."""
_PACES, _TELLING = 6, 4
"""Of so many times from onset to onset the second longest is the pace; of fewer than so many, the longest."""
_QUICKEST = TICKS // 4
_LATELY = 4 * TICKS
"""How busy the player is, is counted over so long."""
_LOST = 32 * TICKS
"""A key held for so long without anything else is one whose end was lost on its way."""


class Ear:
    """What the player does, so far as turns depend on it, by a player whose pause takes `patience` times the pace."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._onsets: deque[float] = deque(maxlen=_PACES + 1)  # of the phrase
        self._lately: deque[float] = deque(maxlen=256)
        self._held = False
        self._released = -math.inf

    def strikes(self, tick: float) -> None:
        """The player strikes a key."""
        if tick >= self.pause_at():
            self._onsets.clear()
        self._held = True
        if not self._lately or tick - self._lately[-1] >= _TOGETHER:
            self._onsets.append(tick)
            self._lately.append(tick)

    def releases(self, tick: float, *, held: bool) -> None:
        """The player lets go of a key; `held`: others are still down."""
        self._held = held
        self._released = max(self._released, tick)

    def forget(self) -> None:
        """Another piece begins."""
        self._onsets.clear()
        self._lately.clear()
        self._held = False

    def pause_at(self) -> float:
        """The tick from which on the player pauses, unless something comes before; infinite before the first note."""
        if not self._onsets:
            return math.inf
        last = self._onsets[-1]
        return last + _LOST if self._held else max(last + self.patience * self._pace, self._released)

    @property
    def _pace(self) -> int:
        """The time from onset to onset, in ticks as it would be written; a beat for a note on its own."""
        gaps = sorted(to_grid(after - before) for before, after in pairwise(self._onsets))
        return max(_QUICKEST, gaps[-1] if len(gaps) < _TELLING else gaps[-2]) if gaps else TICKS

    def follows(self, tick: float) -> bool:
        """Whether nothing the player did is later than `tick`."""
        return self._released <= tick and (not self._onsets or self._onsets[-1] < tick)

    def busy(self, tick: float) -> float:
        """How many onsets a beat the player has lately come to, at `tick`."""
        return sum(tick - _LATELY < onset <= tick for onset in self._lately) * TICKS / _LATELY


class Turns(Protocol):
    """When we play."""

    yields: bool
    """Whether we give way at once when the player comes in."""

    def opens(self, tick: int) -> int | None:
        """The first tick at or after `tick` at which we may strike; None: not before the player does something."""
        ...

    def closes(self, tick: int) -> float:
        """The tick at which the turn ends that holds `tick`, one of ours."""
        ...

    def busy(self, tick: int) -> float:
        """To how many onsets a beat of the player we leave room."""
        ...


class Solo:
    """We play through."""

    yields = False

    def opens(self, tick: int) -> int | None:
        """See `Turns`."""
        return tick

    def closes(self, tick: int) -> float:  # noqa: ARG002
        """See `Turns`."""
        return math.inf

    def busy(self, tick: int) -> float:  # noqa: ARG002
        """See `Turns`."""
        return 0.0


class Off(Solo):
    """We never play."""

    def opens(self, tick: int) -> int | None:  # noqa: ARG002
        """See `Turns`."""
        return None


class Trade(Solo):
    """Turns of so many `bars` of `tune`, the first from the bar line at `start`; `ours`: the first is ours."""

    def __init__(self, tune: Tune, start: int, bars: int, *, ours: bool) -> None:
        self._tune = tune
        self._start = start
        self._first = tune.number_at(start)
        self._bars = bars
        self._ours = ours

    def opens(self, tick: int) -> int | None:
        """See `Turns`."""
        turn = max(0, self._turn(tick))
        if (turn % 2 == 0) == self._ours:
            return max(tick, self._start)
        return self._begins(turn + 1)

    def closes(self, tick: int) -> float:
        """See `Turns`."""
        return self._begins(self._turn(tick) + 1)

    def _turn(self, tick: int) -> int:
        return (self._tune.number_at(tick) - self._first) // self._bars

    def _begins(self, turn: int) -> int:
        return self._tune.line_of(self._first + turn * self._bars)


class Answer(Solo):
    """We play while the player pauses."""

    yields = True

    def __init__(self, ear: Ear, bars: Bars) -> None:
        self._ear = ear
        self._bars = bars

    def opens(self, tick: int) -> int | None:
        """See `Turns`."""
        pause = self._ear.pause_at()
        if pause == math.inf:
            return None
        line, _ = self._bars.bar_at(pause)
        near = pause - line < GRID[0] and self._ear.follows(line)
        return max(tick, line if near else math.ceil(pause))


class Duet(Solo):
    """We play all the time, and leave the player room."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    def busy(self, tick: int) -> float:
        """See `Turns`."""
        return self._ear.busy(tick)


class Rota:
    """The turns that hold, and those that are to hold from a tick to come on; in the bars of `tune`."""

    def __init__(self, play: PlaySettings, tune: Tune) -> None:
        self.ear = Ear(play.patience)
        self._tune = tune
        self._now = self._turns(play, play.mode, 0)
        self._next: tuple[int, Mode, Turns] | None = None

    def _turns(self, play: PlaySettings, mode: Mode, tick: int) -> Turns:
        match mode:
            case "solo":
                return Solo()
            case "trade":
                return Trade(self._tune, tick, play.trade_bars, ours=play.trade_first == "sideman")
            case "answer":
                return Answer(self.ear, self._tune)
            case "duet":
                return Duet(self.ear)
            case "off":
                return Off()

    def begin(self, play: PlaySettings, tick: int) -> None:
        """Let the turns that `play` says hold from the bar line at `tick` on, and forget what was to come."""
        self._now, self._next = self._turns(play, play.mode, tick), None

    def plan(self, play: PlaySettings, mode: Mode, tick: int) -> None:
        """Let `mode` hold from the bar line at `tick` on, as `play` says; only the last plan counts."""
        self._next = tick, mode, self._turns(play, mode, tick)

    def cancel(self) -> None:
        """Let everything go on as it is."""
        self._next = None

    @property
    def planned(self) -> tuple[int, Mode] | None:
        """The tick from which on another mode is to hold, and which."""
        return self._next and self._next[:2]

    def opens(self, tick: int) -> int | None:
        """See `Turns`."""
        if self._next is None:
            return self._now.opens(tick)
        changes, _, turns = self._next
        opens = self._now.opens(tick) if tick < changes else None
        return turns.opens(max(tick, changes)) if opens is None or opens >= changes else opens

    def closes(self, tick: int) -> float:
        """See `Turns`."""
        closes = self._at(tick).closes(tick)
        return min(closes, self._next[0]) if self._next and tick < self._next[0] else closes

    def busy(self, tick: int) -> float:
        """See `Turns`."""
        return self._at(tick).busy(tick)

    def yields(self, tick: int) -> bool:
        """See `Turns`."""
        return self._at(tick).yields

    def _at(self, tick: int) -> Turns:
        return self._next[2] if self._next and tick >= self._next[0] else self._now
