# SPDX-License-Identifier: Apache-2.0
"""The last phrase once more, varied: the same rhythm and the same contour, other notes.

A phrase ends with two beats of rest. Its notes are chosen anew, each from the pitches that lie on the same side of the
note before as they did, and that leave room in the range for the steps that follow in the same direction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sideman.core.events import Choice
from sideman.core.parts.improviser import ChoiceConstraints
from sideman.core.settings.types import PitchRange
from sideman_models.music.context import Bars, ticks_after_bar_line
from sideman_models.music.line import PHRASE_REST_TICKS

MAX_PHRASE_BARS = 8
"""A phrase that goes on for longer is varied from so many bars before its end."""
MAX_PHRASE_CHOICES = 1024
"""More than that many bars of the longest kind hold, at the highest rate."""


@dataclass(frozen=True, slots=True)
class PhraseStep:
    """A note or a rest of a phrase: its onset and length in ticks.

    `direction` is how its pitch lies to the note before: -1 below, 0 the same, 1 above, None for a first note or a
    rest. `room_below` and `room_above` are the semitones that the notes after it need there at least.
    """

    tick: int
    length: int
    is_rest: bool
    direction: int | None
    room_below: int
    room_above: int


class Variation:
    """Plays `phrase` again, varied, within `pitch_range` from the bar line `start` on, at the same places in a bar."""

    def __init__(self, phrase: Sequence[Choice], start: int, bars: Bars, pitch_range: PitchRange) -> None:
        self.start = start
        self._pitch_range = pitch_range
        self._previous_pitch: int | None = None
        later = start - bars.bar_at(phrase[0].tick)[0]
        self._steps = deque(_phrase_steps(phrase, later))

    def next_tick(self, tick: int) -> int | None:
        """The tick of the part to be played next, if that is not before `tick`; None: it is over, or out of step."""
        return self._steps[0].tick if self._steps and self._steps[0].tick >= tick else None

    def constraints(self, tick: int) -> ChoiceConstraints | None:
        """How the choice at `tick` has to be, if that is the part to be played next."""
        if not self._steps or self._steps[0].tick != tick:
            return None
        part = self._steps[0]
        if part.is_rest:
            return ChoiceConstraints(length=part.length, must_rest=True)
        return ChoiceConstraints(length=part.length, must_sound=True, pitch_range=self._pitch_range_for(part))

    def advance(self, pitch: int | None) -> None:
        """The next part has been played."""
        self._steps.popleft()
        self._previous_pitch = self._previous_pitch if pitch is None else pitch

    def _pitch_range_for(self, part: PhraseStep) -> PitchRange:
        low, high = self._pitch_range.low + part.room_below, self._pitch_range.high - part.room_above
        if part.direction is not None and self._previous_pitch is not None:
            low = max(low, self._previous_pitch + part.direction) if part.direction >= 0 else low
            high = min(high, self._previous_pitch + part.direction) if part.direction <= 0 else high
        return PitchRange(low, high) if low <= high else self._pitch_range


def last_phrase(choices: Iterable[Choice], bars: Bars) -> list[Choice]:
    """The last phrase of `choices`, which follow each other without a gap; empty where there is no note.

    It goes back to two beats of rest, at most eight bars; rests before and after it are no part of it.
    """
    phrase: list[Choice] = []
    silent = 0
    for choice in reversed(list(choices)):
        silent = silent + choice.length if choice.pitch is None else 0
        if not phrase and choice.pitch is None:
            continue
        if phrase and (silent >= PHRASE_REST_TICKS or choice.tick < _earliest_tick(_end_tick(phrase[0]), bars)):
            break
        phrase.append(choice)
    while phrase and phrase[-1].pitch is None:
        phrase.pop()
    return phrase[::-1]


def _earliest_tick(tick: int, bars: Bars) -> int:
    """The tick that lies as `tick` does in its bar, `MAX_PHRASE_BARS` bars before."""
    line, _ = bars.bar_at(tick)
    for _ in range(MAX_PHRASE_BARS):
        line, _ = bars.bar_at(line - 1)
    return line + ticks_after_bar_line(bars, tick)


def _end_tick(choice: Choice) -> int:
    return choice.tick + choice.length


def _phrase_steps(phrase: Sequence[Choice], shift_ticks: int) -> list[PhraseStep]:
    """The parts of `phrase`, so many ticks later."""
    parts: list[PhraseStep] = []
    below = above = 0
    for choice, way in reversed(list(zip(phrase, _directions(phrase), strict=True))):
        parts.append(PhraseStep(choice.tick + shift_ticks, choice.length, choice.pitch is None, way, below, above))
        if way:
            below, above = (below + 1, 0) if way < 0 else (0, above + 1)
    return parts[::-1]


def _directions(phrase: Sequence[Choice]) -> Iterator[int | None]:
    before: int | None = None
    for choice in phrase:
        yield None if choice.pitch is None or before is None else (choice.pitch > before) - (choice.pitch < before)
        before = before if choice.pitch is None else choice.pitch
