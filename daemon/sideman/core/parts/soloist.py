# SPDX-License-Identifier: Apache-2.0
"""The soloist: what the solo plays next, and when: turns, choices made ahead, the final note, a phrase varied.

A choice is made ahead of its onset and can be taken back until it is played. How long it may last is settled only when
it is played, because the mode may have changed in between.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from sideman.core.events import Choice, NoteOn
from sideman.core.parts.aims import Aims
from sideman.core.parts.approach import Approach
from sideman.core.parts.improviser import PULSE_TICKS, ChoiceConstraints, Improviser
from sideman.core.parts.masks import MIN_ONSET_GAP_BEATS
from sideman.core.parts.part import Part, PlannedRest, PlayedNote
from sideman.core.parts.touch import placed_beat
from sideman.core.parts.variation import (
    MAX_PHRASE_BARS,
    MAX_PHRASE_CHOICES,
    Variation,
    VariationMemory,
    bar_line_before,
    last_phrase,
)
from sideman.core.positions import reached_beat, tick_at
from sideman.core.timeline import Timeline
from sideman.core.turns import TurnPlan
from sideman_models.music.context import next_bar_line, ticks_after_bar_line
from sideman_models.music.smoothing import delay_onset
from sideman_models.music.values import TICKS_PER_QUARTER, Value

_TOO_SHORT_TO_HEAR_S = 0.003


class SoloistMemory(Struct, frozen=True):
    """The state of the soloist as plain data; `phrase` has onset, length and pitch of each choice since it began."""

    next_tick: int
    start_tick: int
    last_tick: int
    silent_since: int
    last_beat: float | None
    phrase: tuple[tuple[int, int, int | None], ...]
    variation: VariationMemory | None


class Soloist(Part):
    """Plays one line with `improviser`, in the turns of `turns`."""

    def __init__(self, timeline: Timeline, improviser: Improviser, turns: TurnPlan) -> None:
        self.played_notes = 0
        self.choice: Choice | None = None
        """What is chosen to be played next."""
        self.note_id: int | None = None
        """The number of the last note in the ledger."""
        self._timeline, self._chart, self._live = timeline, timeline.chart, timeline.live
        self._improviser = improviser
        self._turns = turns
        self._aims = Aims(timeline, improviser, turns)
        self._choice_beat = math.inf
        self._decision = 0
        self._final_note_tick = math.inf  # as of the choice that is made
        self._last_note_s = -math.inf  # the second meant for the last note
        self._unrecorded: Choice | None = None  # has been played, and is not yet known to the network
        self._bar: list[Choice] = []
        self._phrase: deque[Choice] = deque(maxlen=MAX_PHRASE_CHOICES)
        self._variation: Variation | None = None
        self.relocate()

    # -- when

    @property
    def decision(self) -> int | None:
        """See `Part`."""
        return None if self.choice is None else self._decision

    def next_beat(self) -> float:
        """See `Part`."""
        if self.choice is not None:
            return self._choice_beat
        tick = self.next_tick()
        return math.inf if tick is None else self.earliest_beat(tick)

    def next_tick(self) -> int | None:
        """Return the tick of the next choice; None if it is not known, or there is none."""
        if self.choice is not None:
            return self.choice.tick
        tick = self._next_tick
        while (opens := self._turns.next_open_tick(tick)) != tick:
            if opens is None:
                return None
            tick = self.next_pulse(opens)
        if self._variation is not None and tick >= self._variation.start:
            step = self._variation.next_tick(tick)
            tick = tick if step is None or self._turns.next_open_tick(step) != step else step
        return tick if tick < self._timeline.end_tick else None

    def is_our_turn(self, tick: int) -> bool:
        """Whether we may start a note at `tick`."""
        return tick < self._timeline.end_tick and self._turns.next_open_tick(tick) == tick

    def turn_change(self, tick: int) -> float | None:
        """Return the beat on which the turn that holds `tick` goes to the other player; None if that is not known."""
        turns = self._turns
        opens = None if turns.mode_at(tick).gives_way else turns.next_open_tick(tick)
        if opens is None:
            return None
        end = turns.turn_end(tick) if opens == tick else opens
        goes_on = end == math.inf or end >= self._timeline.end_tick
        return None if goes_on or (opens == tick and turns.next_open_tick(int(end)) == end) else end / TICKS_PER_QUARTER

    def next_pulse(self, tick: float, pulse: int | None = None) -> int:
        """Return the first pulse at or after `tick`, of the rate unless `pulse` is given; bar lines are pulses."""
        pulse = pulse or PULSE_TICKS.get(self._live.play.rate, TICKS_PER_QUARTER)
        line, bar_ticks = self._chart.bar_at(tick)
        return line + min(math.ceil((tick - line) / pulse) * pulse, bar_ticks)

    def sounding_beat(self, tick: int) -> float:
        """Return the beat on which a choice for `tick` sounds.

        Triplets stay where swung sixteenths move: two onsets of one beat could meet or change places without a gap.
        """
        return self._after_last(self._timeline.swung_beat(tick))

    def _after_last(self, beat: float) -> float:
        """Return `beat`, or a later one that is not too near to the last note, but before the end of the music."""
        delayed, end = delay_onset(beat, self._last_beat, self._min_gap), self._timeline.end
        return max(beat, (self._last_beat + end) / 2) if beat < end <= delayed else delayed

    @property
    def _min_gap(self) -> float:
        return min(self._improviser.rules.apart, MIN_ONSET_GAP_BEATS)

    def earliest_beat(self, tick: int) -> float:
        """Return the first beat on which a choice for `tick` may sound: by then it has to be made."""
        early_s = self._improviser.touch.early_s(self._live.play, ticks_after_bar_line(self._chart, tick))
        beat = self.sounding_beat(tick)
        if not early_s:
            return beat
        return self._placed_beat(tick, beat, -early_s * self._timeline.tempo.bpm / 60.0)

    def _placed_beat(self, tick: int, beat: float, delay: float) -> float:
        """Return the beat of a choice for `tick`, which lies on `beat`, when it is played `delay` beats later."""
        if not delay:
            return beat
        before, after = (self._timeline.swung_beat(tick + step) for step in (-1, 1))
        return self._after_last(placed_beat(before, beat, after, delay))

    # -- what

    def prepare(self, second: float) -> None:
        """Choose ahead what comes next. An onset that is already too late is passed over, with all before it."""
        if self.choice is not None:
            return
        tick = self.next_tick()
        if tick is not None and self._timeline.is_late(self.sounding_beat(tick), second):
            self._next_tick = self.next_pulse(self._timeline.beat_at(second) * TICKS_PER_QUARTER)
            self._phrase.clear()
            self.missed_notes += 1
            tick = self.next_tick()
        if tick is None:
            return
        self._decision = next(self._timeline.decisions)
        # The final note now, because there is no time for it when the choice is due.
        self._final_note_tick = self._timeline.final_note_tick()
        self.choice = self._improviser.choose(tick, self._constraints(tick), self._timeline.tempo.bpm)
        self._choice_beat = self._placed_beat(tick, self.sounding_beat(tick), self.choice.delay)

    def _constraints(self, tick: int) -> ChoiceConstraints:
        approach = self._approach(tick)
        if tick >= self._final_note_tick:
            length, is_free = round(self._timeline.end_tick) - tick, approach is None
            return ChoiceConstraints(length=length, must_sound=True, must_be_chord_tone=is_free, approach=approach)
        varied = None if self._variation is None else self._variation.constraints(tick)
        mode, silent_ticks = self._turns.mode_at(tick), tick - self._silent_since if tick == self._next_tick else 0
        return varied or ChoiceConstraints(
            player_onsets_per_beat=mode.player_onsets_per_beat(tick),
            answers=mode.answers,
            silent_ticks=max(0, silent_ticks),
            approach=approach,
        )

    def _approach(self, tick: int) -> Approach | None:
        """Return the way to what is aimed at next; a turn, and a phrase that comes again, begin a way of their own."""
        end = self._turns.turn_end(tick)
        bounds = [end] if end > tick else []
        if self._variation is not None:
            bounds.append(max(self._variation.start, tick + 1))
        return self._aims.approach(tick, min(bounds, default=math.inf))

    def work_ahead(self) -> None:
        """Do a part of what the way to a target takes to work out, while there is time."""
        if (tick := self.next_tick()) is not None:
            self._aims.work_ahead(tick)

    def target_text(self, tick: int) -> str:
        """Return the next target note from `tick` on, in a musician's words; empty if there is none."""
        varied = self._variation.covers if self._variation is not None else lambda _tick: False
        return self._aims.text(tick, self._next_tick, self._last_tick, varied, self._live.midi.transpose)

    def take_back(self) -> None:
        """Forget the choice that is made; the next one is made afresh."""
        self.choice = None

    # -- playing

    def play(self, second: float) -> Sequence[PlayedNote]:
        """See `Part`."""
        if self.choice is None:
            return []
        choice, beat = self._cut_to_room(self.choice), self._choice_beat
        self.choice = None
        if choice.pitch is None:
            self._bar.append(choice)
            self._record(choice)
            return []
        # Sent early, a note may have been played for the same time just before, in what a jump has ended.
        played_already = beat <= reached_beat(self._timeline.beat_at(self._last_note_s))
        played_already &= second - self._last_note_s > _TOO_SHORT_TO_HEAR_S
        if played_already or self._timeline.is_late(beat, second):
            self.missed_notes += 1
            self._continue_after(replace(choice, pitch=None))
            self._improviser.record_missed(choice)
            return []
        self.played_notes += 1
        self._last_beat, self._last_note_s = beat, self._timeline.second_at(beat)
        self._bar.append(choice)
        self._unrecorded = choice
        return [self._sounding(choice, choice.pitch, beat)]

    @property
    def planned(self) -> Sequence[PlayedNote | PlannedRest]:
        """See `Part`."""
        if self.choice is None:
            return ()
        choice, beat = self._cut_to_room(self.choice), self._choice_beat
        if choice.pitch is None:
            return [PlannedRest(beat, beat + choice.length / TICKS_PER_QUARTER, "solo", choice.value)]
        return [self._sounding(choice, choice.pitch, beat)]

    def _sounding(self, choice: Choice, pitch: int, beat: float) -> PlayedNote:
        note, end = NoteOn(pitch, choice.velocity, self._live.midi.channel), self._timeline.end
        if choice.tick < self._final_note_tick:  # `play.gate` of the time to the next onset
            after = choice.tick + choice.length
            next_onset = max(self._timeline.swung_beat(after), beat + MIN_ONSET_GAP_BEATS)
            if choice.delay > 0.0 and self.is_our_turn(after):  # what follows may be as late
                next_onset += beat - self._timeline.swung_beat(choice.tick)
            sounding = self._improviser.sounding_ticks(choice.length)
            end = min(beat + (next_onset - beat) * sounding / choice.length, end)
        return PlayedNote(note, beat, end, "solo", choice.tick, choice.value, choice.motif)

    def sent(self) -> None:
        """What `play` returned has been sent: now is the time for the network's step, which takes longest."""
        if self._unrecorded is not None:
            choice, self._unrecorded = self._unrecorded, None
            self._record(choice)

    def take_bar(self) -> tuple[Choice, ...]:
        """Return what was played since the last call."""
        played, self._bar = tuple(self._bar), []
        return played

    def _cut_to_room(self, choice: Choice) -> Choice:
        """Return `choice`, ending at the latest with its turn, the final note or the variation that follows."""
        bounds = [self._turns.turn_end(choice.tick), self._final_note_tick]
        if self._variation is not None:
            bounds.append(self._variation.start)
        room = min((bound for bound in bounds if bound > choice.tick), default=math.inf) - choice.tick
        return choice if choice.length <= room else replace(choice, length=round(room))

    def _record(self, choice: Choice) -> None:
        self._continue_after(choice)
        self._improviser.record_played(choice)

    def _continue_after(self, choice: Choice) -> None:
        if choice.tick != self._next_tick:
            self._phrase.clear()
            self._silent_since = choice.tick
        self._last_tick = choice.tick
        variation = self._variation
        if variation is not None and choice.tick >= variation.start:
            if self._phrase and self._phrase[-1].tick < variation.start:
                self._phrase.clear()
            if variation.next_tick(choice.tick) == choice.tick:
                variation.advance(choice.pitch)
            if variation.next_tick(choice.tick) is None:
                self._variation = None
        self._next_tick = choice.tick + choice.length
        if choice.pitch is not None:
            self._silent_since = self._next_tick
        self._phrase.append(choice)

    # -- saving and restoring

    def memory(self) -> SoloistMemory:
        """Return the state as plain data. The choice that is made is not in it: it is made again, and is the same."""
        oldest = bar_line_before(self._chart, self._next_tick, MAX_PHRASE_BARS + 1)  # before it, nothing is varied
        phrase = tuple((each.tick, each.length, each.pitch) for each in self._phrase if each.tick >= oldest)
        return SoloistMemory(
            self._next_tick,
            self._start_tick,
            self._last_tick,
            self._silent_since,
            None if self._last_beat == -math.inf else self._last_beat,
            phrase,
            None if self._variation is None else self._variation.memory(),
        )

    def recall(self, memory: SoloistMemory) -> None:
        """Continue from `memory`."""
        self.choice = self.note_id = None
        self._next_tick, self._start_tick, self._last_tick = memory.next_tick, memory.start_tick, memory.last_tick
        self._silent_since = memory.silent_since
        self._last_beat = -math.inf if memory.last_beat is None else memory.last_beat
        self._phrase.clear()
        for tick, length, pitch in memory.phrase:  # of its choices only these three matter
            self._phrase.append(Choice(tick, length, None, Value("R", length), pitch, 0))
        variation = memory.variation
        self._variation = None if variation is None else Variation.recalled(variation, self._chart)

    # -- what changes while it plays

    def rate_changed(self) -> None:
        """`play.rate` has changed: continue on a pulse of the new rate, unless a choice is already made."""
        if self.choice is None:
            self._next_tick = self.next_pulse(self._next_tick, PULSE_TICKS.get(self._live.play.rate, 1))

    def start_mode(self, tick: float, line: int) -> None:
        """From `tick` on, play in the mode of the settings, whose turns count from the bar line at `line`."""
        self._turns.start(line)
        first = self.next_pulse(tick)
        if first <= self._last_tick:  # it was played already, because of the swing or the offset
            first = self.next_pulse(self._last_tick + 1)
        if self._variation is not None or (self.choice is not None and self.choice.tick < first):
            self.choice = None  # a later one was chosen for the new mode
        if self._next_tick != first:
            self._phrase.clear()
            self._silent_since = first
        self._next_tick, self._variation = first, None

    def wait_until(self, tick: int) -> None:
        """Play nothing before the bar line at `tick`, from which turns count again: it is counted in."""
        self.choice = None
        self.start_mode(tick, tick)
        self._start_tick = self._next_tick

    def give_way(self, tick: int) -> None:
        """End what we play at `tick`."""
        self.choice = self._variation = None
        self._next_tick = min(self._next_tick, max(tick, self._start_tick))

    def play_variation(self, tick: int) -> None:
        """Play the last phrase again, varied, from the first bar line at or after `tick` in one of our turns."""
        phrase = last_phrase(self._phrase, self._chart)
        start = self._turns.next_open_tick(tick)
        if phrase and start is not None:
            start = next_bar_line(self._chart, start)
            self._variation = Variation(phrase, start, self._chart, self._live.play.range)
            self.choice = None

    def chart_changed(self, tick: int) -> None:
        """Another chart takes over at the bar line at `tick`: choose again."""
        self.choice = None
        if self._variation is not None and self._variation.start > tick:
            self.play_variation(tick)

    def relocate(self) -> None:
        """See `Part`. Turns count from the top of the music."""
        self._turns.start(round(self._timeline.top * TICKS_PER_QUARTER))
        self._phrase.clear()
        self._bar = []
        self.choice = self._variation = self.note_id = None
        self._last_beat = -math.inf  # of the last note
        start = self.next_pulse(tick_at(self._timeline.start))
        self._start_tick = start  # nothing is played before
        self._next_tick = start  # the first tick at which we may continue
        self._last_tick = start - 1  # that of the last choice
        self._silent_since = start
