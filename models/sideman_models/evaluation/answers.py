# SPDX-License-Identifier: Apache-2.0
"""How much an answer takes up of what was played before it: the share of its runs of intervals that the turn had."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from sideman_models.music.solos import Solo
from sideman_models.music.values import TICKS_PER_QUARTER

ANSWER_BARS = 4
"""The bars of a turn, and of its answer."""
RUN_INTERVALS = 4
Turn = Sequence[int]
"""The pitches of a turn, in order."""


class Answers(Struct, frozen=True):
    """The runs of all answers of `who`, and the share of them that the turns before them had."""

    who: str
    runs: int
    share: float

    @classmethod
    def of(cls, who: str, pairs: Iterable[tuple[Turn, Turn]]) -> Answers:
        """Count over pairs of a turn and its answer."""
        runs = shared = 0
        for turn, answer in pairs:
            known, found = set(interval_runs(turn)), interval_runs(answer)
            runs += len(found)
            shared += sum(run in known for run in found)
        return cls(who, runs, shared / max(1, runs))

    def as_json(self) -> dict[str, object]:
        """Return plain JSON."""
        return {"who": self.who, "runs": self.runs, "share": round(self.share, 5)}


def interval_runs(pitches: Turn) -> list[tuple[int, ...]]:
    """Return all runs of `RUN_INTERVALS` intervals in a row."""
    steps = [after - before for before, after in pairwise(pitches)]
    return [tuple(steps[at : at + RUN_INTERVALS]) for at in range(len(steps) - RUN_INTERVALS + 1)]


def turns_of(solo: Solo) -> list[Turn]:
    """Return the solo in turns of `ANSWER_BARS` bars. Every second one is an answer to the one before."""
    length = ANSWER_BARS * solo.bar_ticks
    count = math.ceil(solo.changes.length_beats * TICKS_PER_QUARTER / length)
    turns: list[list[int]] = [[] for _ in range(count)]
    for note in solo.notes:
        if 0 <= (turn := int(note.onset // length)) < count:
            turns[turn].append(note.pitch)
    return list(turns)


def real_answers(solos: Sequence[Solo]) -> list[Answers]:
    """Count the answers of the soloists to themselves, and for comparison those of somebody else, a solo further on."""
    turns = [turns_of(solo) for solo in solos]
    own = [pair for one in turns for pair in zip(one[::2], one[1::2], strict=False)]
    others = [
        pair
        for one, other in zip(turns, turns[1:] + turns[:1], strict=True)
        for pair in zip(one[::2], other[1::2], strict=False)
    ]
    return [Answers.of("the soloist's next four bars", own), Answers.of("four bars of somebody else", others)]
