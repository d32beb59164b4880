# SPDX-License-Identifier: Apache-2.0
"""The last phrase once more, varied: the same rhythm and the same contour, other notes.

A phrase ends with two beats of rest. Its notes are chosen anew, each from the pitches that lie on the same side of the
note before as they did, and that leave room in the range for the steps that follow in the same direction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sideman.core.parts.improviser import Choice, Wish
from sideman.core.settings.types import Range
from sideman_models.music.context import Bars, place_in_bar
from sideman_models.music.line import PHRASE_REST

MOST_BARS = 8
"""A phrase that goes on for longer is varied from so many bars before its end."""
MOST_CHOICES = 1024
"""More than that many bars of the longest kind hold, at the highest rate."""


@dataclass(frozen=True, slots=True)
class Part:
    """A note or a rest of a phrase: its onset and length in ticks.

    `way` is how its pitch lies to the note before: -1 below, 0 the same, 1 above, None for a first note or a rest.
    `below` and `above` are the semitones that the notes after it need there at least.
    """

    tick: int
    length: int
    rest: bool
    way: int | None
    below: int
    above: int


class Variation:
    """`phrase`, to be played again in the range `span` from the bar line `begins` on, at its places in the bar."""

    def __init__(self, phrase: Sequence[Choice], begins: int, bars: Bars, span: Range) -> None:
        self.begins = begins
        self._span = span
        self._before: int | None = None
        later = begins - bars.bar_at(phrase[0].tick)[0]
        self._parts = deque(_parts(phrase, later))

    def opens(self, tick: int) -> int | None:
        """The tick of the part to be played next, if that is not before `tick`; None: it is over, or out of step."""
        return self._parts[0].tick if self._parts and self._parts[0].tick >= tick else None

    def wish(self, tick: int) -> Wish | None:
        """How the choice at `tick` has to be, if that is the part to be played next."""
        if not self._parts or self._parts[0].tick != tick:
            return None
        part = self._parts[0]
        if part.rest:
            return Wish(length=part.length, rest=True)
        return Wish(length=part.length, sounds=True, within=self._within(part))

    def played(self, pitch: int | None) -> None:
        """The next part has been played."""
        self._parts.popleft()
        self._before = self._before if pitch is None else pitch

    def _within(self, part: Part) -> Range:
        low, high = self._span.low + part.below, self._span.high - part.above
        if part.way is not None and self._before is not None:
            low = max(low, self._before + part.way) if part.way >= 0 else low
            high = min(high, self._before + part.way) if part.way <= 0 else high
        return Range(low, high) if low <= high else self._span


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
        if phrase and (silent >= PHRASE_REST or choice.tick < _bars_before(_end(phrase[0]), bars)):
            break
        phrase.append(choice)
    while phrase and phrase[-1].pitch is None:
        phrase.pop()
    return phrase[::-1]


def _bars_before(tick: int, bars: Bars) -> int:
    """The tick that lies as `tick` does in its bar, `MOST_BARS` bars before."""
    line, _ = bars.bar_at(tick)
    for _ in range(MOST_BARS):
        line, _ = bars.bar_at(line - 1)
    return line + place_in_bar(bars, tick)


def _end(choice: Choice) -> int:
    return choice.tick + choice.length


def _parts(phrase: Sequence[Choice], later: int) -> list[Part]:
    """The parts of `phrase`, so many ticks later."""
    parts: list[Part] = []
    below = above = 0
    for choice, way in reversed(list(zip(phrase, _ways(phrase), strict=True))):
        parts.append(Part(choice.tick + later, choice.length, choice.pitch is None, way, below, above))
        if way:
            below, above = (below + 1, 0) if way < 0 else (0, above + 1)
    return parts[::-1]


def _ways(phrase: Sequence[Choice]) -> Iterator[int | None]:
    before: int | None = None
    for choice in phrase:
        yield None if choice.pitch is None or before is None else (choice.pitch > before) - (choice.pitch < before)
        before = before if choice.pitch is None else choice.pitch
