# SPDX-License-Identifier: Apache-2.0
"""The last phrase played again, varied: the same rhythm and the same contour with other notes.

A phrase begins after two beats of rest. In the variation each note is chosen from the pitches that lie on the same side
of the note before as in the phrase, and that leave room in the range for the steps that follow in the same direction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Reversible, Sequence
from itertools import dropwhile
from typing import Self

from msgspec import Struct

from sideman.core.events import Choice
from sideman.core.parts.improviser import ChoiceConstraints
from sideman.core.settings.types import PitchRange
from sideman_models.music.context import Bars, ticks_after_bar_line
from sideman_models.music.line import PHRASE_REST_TICKS

MAX_PHRASE_BARS = 8
"""Of a longer phrase only the last bars are varied."""
MAX_PHRASE_CHOICES = 1024
"""More choices than `MAX_PHRASE_BARS` bars of the longest meter hold at the highest rate."""


class PhraseStep(Struct, frozen=True):
    """A note or a rest of a phrase: its onset and its length in ticks.

    `direction` says where its pitch lies from the note before: -1 below, 0 the same, 1 above; None for the first note
    and for a rest. The notes after it need `room_below` or `room_above` semitones at least.
    """

    tick: int
    length: int
    is_rest: bool
    direction: int | None
    room_below: int
    room_above: int


class VariationMemory(Struct, frozen=True):
    """A variation as plain data: what of it is still to be played."""

    start: int
    pitch_range: PitchRange
    previous_pitch: int | None
    steps: tuple[PhraseStep, ...]


class Variation:
    """Plays `phrase` again, varied, within `pitch_range`, from the bar line at `start` on, where it was in its bar."""

    def __init__(self, phrase: Sequence[Choice], start: int, bars: Bars, pitch_range: PitchRange) -> None:
        self.start = start
        self._pitch_range = pitch_range
        self._previous_pitch: int | None = None
        self._steps: deque[PhraseStep] = deque()
        shift_ticks = start - bars.bar_at(phrase[0].tick)[0] if phrase else 0
        directions: list[int | None] = []
        before: int | None = None
        for pitch in (choice.pitch for choice in phrase):
            directions.append(None if pitch is None or before is None else (pitch > before) - (pitch < before))
            before = before if pitch is None else pitch
        below = above = 0  # the room for the steps after it, so these come first
        for choice, direction in zip(reversed(phrase), reversed(directions), strict=True):
            tick, is_rest = choice.tick + shift_ticks, choice.pitch is None
            self._steps.appendleft(PhraseStep(tick, choice.length, is_rest, direction, below, above))
            if direction:
                below, above = (below + 1, 0) if direction < 0 else (0, above + 1)

    def memory(self) -> VariationMemory:
        """Return the state as plain data."""
        return VariationMemory(self.start, self._pitch_range, self._previous_pitch, tuple(self._steps))

    @classmethod
    def recalled(cls, memory: VariationMemory, bars: Bars) -> Self:
        """Return a variation that continues from `memory`."""
        variation = cls((), memory.start, bars, memory.pitch_range)
        variation._steps.extend(memory.steps)
        variation._previous_pitch = memory.previous_pitch
        return variation

    def covers(self, tick: int) -> bool:
        """Whether what is still to be played of it goes on at `tick`."""
        return bool(self._steps) and self.start <= tick < self._steps[-1].tick + self._steps[-1].length

    def next_tick(self, tick: int) -> int | None:
        """Return the tick of the next step, at or after `tick`; None after the last step, or if one was skipped."""
        return self._steps[0].tick if self._steps and self._steps[0].tick >= tick else None

    def constraints(self, tick: int) -> ChoiceConstraints | None:
        """Return the constraints of the choice at `tick`, if that is the next step."""
        if not self._steps or self._steps[0].tick != tick:
            return None
        step = self._steps[0]
        if step.is_rest:
            return ChoiceConstraints(length=step.length, must_rest=True)
        low, high = self._pitch_range.low + step.room_below, self._pitch_range.high - step.room_above
        if step.direction is not None and self._previous_pitch is not None:
            low = max(low, self._previous_pitch + step.direction) if step.direction >= 0 else low
            high = min(high, self._previous_pitch + step.direction) if step.direction <= 0 else high
        pitch_range = PitchRange(low, high) if low <= high else self._pitch_range
        return ChoiceConstraints(length=step.length, must_sound=True, pitch_range=pitch_range)

    def advance(self, pitch: int | None) -> None:
        """The next step has been played, as a note of `pitch` or as a rest (None)."""
        self._steps.popleft()
        self._previous_pitch = self._previous_pitch if pitch is None else pitch


def bar_line_before(bars: Bars, tick: float, count: int) -> int:
    """Return the tick of the bar line `count` bars before that of the bar at `tick`."""
    line, _ = bars.bar_at(tick)
    for _ in range(count):
        line, _ = bars.bar_at(line - 1)
    return line


def last_phrase(choices: Reversible[Choice], bars: Bars) -> list[Choice]:
    """Return the last phrase of `choices`, which follow each other without a gap; empty if there is no note.

    It goes back to the last two beats of rest, at most `MAX_PHRASE_BARS` bars. It does not begin or end with a rest.
    """
    backwards = list(dropwhile(lambda choice: choice.pitch is None, reversed(choices)))
    if not backwards:
        return []
    end = backwards[0].tick + backwards[0].length
    earliest = bar_line_before(bars, end, MAX_PHRASE_BARS) + ticks_after_bar_line(
        bars, end
    )  # the same position in its bar
    phrase: list[Choice] = []
    silent = 0
    for choice in backwards:
        silent = silent + choice.length if choice.pitch is None else 0
        if silent >= PHRASE_REST_TICKS or choice.tick < earliest:
            break
        phrase.append(choice)
    while phrase and phrase[-1].pitch is None:
        phrase.pop()
    return phrase[::-1]
