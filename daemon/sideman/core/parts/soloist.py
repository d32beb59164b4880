# SPDX-License-Identifier: Apache-2.0
"""What is played next, and when, in written ticks: turns, the choice ahead, the ending, and the last phrase again.

It knows neither seconds nor ports: the engine asks it for the next choice and tells it what has sounded. Up to where a
choice may last is settled only when it is played, since a change of mode may have come in between.
"""

from __future__ import annotations

import math
from collections import deque

from msgspec.structs import replace

from sideman.core.chart.timeline import ChartTimeline
from sideman.core.events import Choice
from sideman.core.parts.improviser import PULSE_TICKS, ChoiceConstraints, Improviser
from sideman.core.parts.turns import TurnPlan
from sideman.core.parts.variation import MAX_PHRASE_CHOICES, Variation, last_phrase
from sideman.core.settings.schema import ModeName, PlaySettings
from sideman_models.music.context import next_bar_line
from sideman_models.music.values import TICKS_PER_QUARTER

_ALMOST = 1e-6


class Soloist:
    """Plays one line with `improviser` from the tick `start` on, in the turns that `play` says.

    `end` is the tick where it stops, infinite where it does not; `rounds_off`: before that comes a last note.
    """

    def __init__(
        self, play: PlaySettings, tune: ChartTimeline, improviser: Improviser, start: int, *, rounds_off: bool
    ) -> None:
        self.improviser = improviser
        self.rota = TurnPlan(play, tune)
        self.choice: Choice | None = None
        self.end = math.inf
        self._play = play
        self._tune = tune
        self.rounds_off = rounds_off
        self._start = start  # nothing is played before
        self._next = start  # the first tick at which we may go on
        self._last = start - 1  # that of the last choice
        self._last_at = math.inf  # the tick of the last note, as of the choice that is made
        self._silent_from = start
        self._phrase: deque[Choice] = deque(maxlen=MAX_PHRASE_CHOICES)
        self._variation: Variation | None = None

    # -- when

    def coming(self) -> int | None:
        """The tick of the next choice; None where that is not known, or there is none."""
        if self.choice is not None:
            return self.choice.tick
        tick = self._opens(self._next)
        if tick is not None and self._variation is not None and tick >= self._variation.start:
            part = self._variation.next_tick(tick)
            tick = tick if part is None or self.rota.next_open_tick(part) != part else part
        return None if tick is None or tick >= self.end else tick

    def _opens(self, tick: int) -> int | None:
        """The first tick at or after `tick` at which we may begin: that very one, or a pulse."""
        while (opens := self.rota.next_open_tick(tick)) != tick:
            if opens is None:
                return None
            tick = self.next_pulse(opens)
        return tick

    def ours(self, tick: int) -> bool:
        """Whether it is our turn at `tick`."""
        return tick < self.end and self.rota.next_open_tick(tick) == tick

    def next_pulse(self, tick: float, pulse: int | None = None) -> int:
        """The first pulse at or after `tick`, of the rate unless told otherwise; there is one on every bar line."""
        pulse = pulse or PULSE_TICKS.get(self._play.rate, TICKS_PER_QUARTER)
        line, bar = self._tune.bar_at(tick)
        return line + min(math.ceil((tick - line) / pulse) * pulse, bar)

    def _closes(self, tick: int) -> float:
        """The tick at which what begins at `tick` has to end: with its turn, or before what else has its own place."""
        bounds = [self.rota.turn_end(tick), self._last_at]
        if self._variation is not None:
            bounds.append(self._variation.start)
        return min((bound for bound in bounds if bound > tick), default=math.inf)

    # -- what

    def prepare(self) -> Choice:
        """Choose for the next onset, which is known, and has no choice yet."""
        tick = self.coming()
        if tick is None:
            raise ValueError("nothing is coming")
        self._last_at = self._last_note()  # looked for now, since there is no time for it when the choice is due
        self.choice = self.improviser.choose(tick, self._wish(tick))
        return self.choice

    def _wish(self, tick: int) -> ChoiceConstraints:
        if tick >= self._last_at:
            return ChoiceConstraints(length=round(self.end) - tick, must_sound=True, must_be_chord_tone=True)
        varied = None if self._variation is None else self._variation.constraints(tick)
        silent = tick - self._silent_from if tick == self._next else 0
        return varied or ChoiceConstraints(
            player_onsets_per_beat=self.rota.player_onsets_per_beat(tick), silent_ticks=max(0, silent)
        )

    def _last_note(self) -> float:
        """The tick of the last note: where the last chord begins, at the last bar line at the earliest."""
        if not self.rounds_off or self.end == math.inf:
            return math.inf
        end, beat = self.end / TICKS_PER_QUARTER, self._tune.bar_at(self.end - 1)[0] / TICKS_PER_QUARTER
        while beat + (lasts := self._tune.next_change(beat)[1]) < end - _ALMOST:
            beat += lasts
        return math.ceil(beat * TICKS_PER_QUARTER - _ALMOST)

    def is_last(self, choice: Choice) -> bool:
        """Whether `choice` is the last note of all, which lasts to the end."""
        return choice.tick >= self._last_at

    def take_back(self) -> None:
        """Let the next choice be made anew."""
        self.choice = None

    # -- what has been played

    def take(self) -> Choice:
        """The choice, whose time has come, cut to the time it has: it is to be `played` or `missed`."""
        if self.choice is None:
            raise ValueError("nothing is chosen")
        choice, self.choice = self.choice, None
        room = self._closes(choice.tick) - choice.tick
        return choice if choice.length <= room else replace(choice, length=round(room))

    def played(self, choice: Choice) -> None:
        """`choice` has sounded."""
        self._go_on(choice)
        self.improviser.record_played(choice)

    def missed(self, choice: Choice) -> None:
        """`choice` came too late."""
        self._go_on(replace(choice, pitch=None))
        self.improviser.record_missed(choice)

    def _go_on(self, choice: Choice) -> None:
        if choice.tick != self._next:
            self._phrase.clear()
            self._silent_from = choice.tick
        self._last = choice.tick
        if self._variation is not None and choice.tick >= self._variation.start:
            self._vary(self._variation, choice)
        self._next = choice.tick + choice.length
        if choice.pitch is not None:
            self._silent_from = self._next
        self._phrase.append(choice)

    def _vary(self, variation: Variation, choice: Choice) -> None:
        if self._phrase and self._phrase[-1].tick < variation.start:
            self._phrase.clear()
        if variation.next_tick(choice.tick) == choice.tick:
            variation.advance(choice.pitch)
        if variation.next_tick(choice.tick) is None:
            self._variation = None

    # -- what is asked for

    def adopt(self, play: PlaySettings) -> None:
        """Play as other settings say, from the next choice that is made on; of the mode nothing is heeded here."""
        rate, self._play = self._play.rate, play
        self.improviser.apply_settings(play)
        self.rota.activity.patience = play.patience
        if self.choice is None and play.rate != rate:
            self._next = self.next_pulse(self._next, PULSE_TICKS.get(play.rate, 1))

    def plan(self, mode: ModeName, tick: int) -> None:
        """Let `mode` hold from the bar line at `tick` on."""
        self.rota.schedule_mode(self._play, mode, tick)
        self._drop(tick)

    def set_mode(self, play: PlaySettings, tick: int, line: int) -> None:
        """From `tick` on the mode is that of `play`, whose turns count from the bar line at `line`."""
        self.rota.start(play, line)
        self.adopt(play)
        if tick <= self._last:
            tick = self.next_pulse(self._last + 1)  # swing, or an offset, may have it that this was played already
        if self._variation is not None or (self.choice is not None and self.choice.tick < tick):
            self.choice = None  # else it was chosen for the new mode
        if self._next != tick:
            self._phrase.clear()
            self._silent_from = tick
        self._next, self._variation = tick, None

    def give_way(self, tick: int) -> None:
        """The player comes in: what we play ends at `tick`."""
        self._drop(tick)

    def _drop(self, tick: int) -> None:
        self.choice = self._variation = None
        self._next = min(self._next, max(tick, self._start))

    def skip(self, tick: float) -> None:
        """What would have begun before `tick` is passed over."""
        self._next = self.next_pulse(tick)
        self._phrase.clear()

    def vary(self, tick: int) -> None:
        """Play the last phrase again, varied, from the first bar line at or after `tick` in a turn of ours."""
        phrase = last_phrase(self._phrase, self._tune)
        begins = self.rota.next_open_tick(tick)
        if phrase and begins is not None:
            begins = next_bar_line(self._tune, begins)
            self._variation = Variation(phrase, begins, self._tune, self._play.range)
            self.choice = None

    def another_chart(self, tick: int) -> None:
        """From the bar line at `tick` on there are other chords and bars: what is to come then is settled anew."""
        self.choice = None
        if self._variation is not None and self._variation.start > tick:
            self.vary(tick)

    def move(self, start: int, top: int) -> None:
        """Go on from `start`, in music whose top is at `top`; turns are counted from there."""
        self.rota.start(self._play, top)
        self.rota.activity.clear()
        self._phrase.clear()
        self.choice = self._variation = None
        self._start = self._next = self._silent_from = start
        self._last = start - 1
