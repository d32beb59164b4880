# SPDX-License-Identifier: Apache-2.0
"""An appraisal as one picture: bits beside the opponents', playing beside what it learned from, and what is copied.

It needs matplotlib, which comes with sideman[train].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sideman_models.evaluation.report import FAMILIES, PLAYED, Appraisal
from sideman_models.evaluation.statistics import MORE_NOTES, Comparison, Outcome, share
from sideman_models.music.values import TICKS
from sideman_models.pictures import INK, KIND_COLOURS, QUIET, figure, png

Axes = Any
Panel = Callable[[Axes, Appraisal], None]

ENOUGH = 2.0
"""Times the distance of two halves of the real music: what lies within it may pass for such music."""
_ACROSS = 3
_REAL_COLOUR, _PLAYED_COLOUR = QUIET, KIND_COLOURS["C"]
_SHORT = {
    FAMILIES[0]: "values alone",
    FAMILIES[1]: "values, mask",
    FAMILIES[2]: "context chain",
    FAMILIES[3]: "context chain, mask",
}
_MOST_BARS = 24


def report_picture(found: Appraisal) -> bytes:
    """The picture as PNG; what the appraisal could not find out is left out."""
    panels: list[Panel] = [_bits]
    if found.statistics:
        panels.append(_distances)
    if found.borrowed:
        panels.append(_borrowed)
    panels += [_side_by_side(one) for one in found.statistics if one.name in _PICTURED]
    across = min(_ACROSS, len(panels))
    down = -(-len(panels) // across)
    drawn = figure(5.0 * across, 3.3 * down + 0.4)
    drawn.suptitle(f"{found.model}: {found.evaluation.pieces} pieces, {found.evaluation.values:,} values", color=INK)
    places = list(drawn.subplots(down, across, squeeze=False).flat)
    for here in places:
        here.set_axis_off()
    for here, panel in zip(places, panels, strict=False):
        here.set_axis_on()
        here.spines[["top", "right"]].set_visible(False)
        here.tick_params(labelsize=7, labelcolor=INK)
        panel(here, found)
    return png(drawn)


def _title(here: Axes, words: str) -> None:
    here.set_title(words, fontsize=9, color=INK, loc="left")


def _bits(here: Axes, found: Appraisal) -> None:
    """What a value costs the network, with its interval, and each opponent."""
    bars = [(found.model, found.evaluation.bits_per_value)]
    bars += [(_SHORT[family], best.bits_per_value) for family in reversed(FAMILIES) if (best := found.best(family))]
    bars += [("unigram", one.bits_per_value)] if (one := found.unigram()) else []
    bars.append(("chance", found.chance))
    rows = range(len(bars))
    here.barh(rows, [bits for _, bits in bars], color=[_PLAYED_COLOUR] + [_REAL_COLOUR] * (len(bars) - 1), height=0.7)
    ends = found.intervals.get("bits_per_value") or (bars[0][1],) * 2
    here.plot(ends, [0, 0], color=INK, linewidth=2)
    for row, (_, bits) in zip(rows, bars, strict=True):
        here.annotate(f" {bits:.2f}", (bits if row else ends[1], row), fontsize=7, color=INK, va="center")
    here.set_yticks(list(rows), [name for name, _ in bars])
    here.invert_yaxis()
    _title(here, "bits a value (fewer is better)")


def _distances(here: Axes, found: Appraisal) -> None:
    """How many times the distance of two halves of the real music."""
    told = [(one.name, one.ratio) for one in found.statistics if one.ratio is not None]
    rows = range(len(told))
    here.barh(rows, [ratio for _, ratio in told], color=_PLAYED_COLOUR, height=0.7)
    here.axvline(ENOUGH, color=INK, linestyle=":", linewidth=1)
    here.set_yticks(list(rows), [name for name, _ in told])
    here.invert_yaxis()
    _title(here, "distance, in times that of two halves")


def _borrowed(here: Axes, found: Appraisal) -> None:
    """In how many pieces the longest run shared with the training set has so many notes."""
    for one in found.borrowed:
        if one.likeness != "melody":
            continue
        counts = Counter(run.notes for run in one.runs)
        lengths = range(max(counts) + 1)
        whose, colour = ("played", _PLAYED_COLOUR) if one.whose == PLAYED else ("real", _REAL_COLOUR)
        shares = [100 * counts[length] / len(one.runs) for length in lengths]
        here.plot(lengths, shares, color=colour, label=whose, marker="o", markersize=3)
    here.set_xlabel("notes", fontsize=7, color=QUIET)
    here.set_ylabel("% of pieces", fontsize=7, color=QUIET)
    here.legend(fontsize=7, frameon=False)
    _title(here, "longest melody shared with the training set")


def _ticks(outcome: Outcome) -> str:
    return f"{int(outcome) / TICKS:.2f}".rstrip("0").rstrip(".")


_PICTURED: dict[str, tuple[str, Callable[[Outcome], str]]] = {
    "kinds": ("kinds", str),
    "strong beats": ("kinds on beats 1 and 3", str),
    "durations": ("durations in beats", _ticks),
    "intervals": ("intervals in semitones", str),
    "phrases in notes": ("notes in a phrase, up to", lambda most: str(most) if most != MORE_NOTES else "more"),
    "pitches": ("pitches", str),
}


def _side_by_side(one: Comparison) -> Panel:
    """The shares of a statistic's outcomes, real and played; of many the most frequent ones."""
    name, label = _PICTURED[one.name]

    def draw(here: Axes, _: Appraisal) -> None:
        outcomes = _outcomes(one)
        for shift, colour, whose, counts in (
            (-0.2, _REAL_COLOUR, "real", one.real),
            (0.2, _PLAYED_COLOUR, "played", one.played),
        ):
            heights = [100 * share(counts, outcome) for outcome in outcomes]
            here.bar([at + shift for at in range(len(outcomes))], heights, 0.4, color=colour, label=whose)
        every = max(1, -(-len(outcomes) // _MOST_BARS))
        here.set_xticks(range(0, len(outcomes), every), [label(outcome) for outcome in outcomes[::every]])
        here.set_ylabel("%", fontsize=7, color=QUIET)
        here.legend(fontsize=7, frameon=False)
        _title(here, name)

    return draw


def _outcomes(one: Comparison) -> Sequence[Outcome]:
    """What there is to show, in order: kinds as they are named, numbers by size, those of less than 0.2 % left out."""
    both = {*one.real, *one.played}
    shown = [each for each in both if max(share(one.real, each), share(one.played, each)) >= 0.002]
    return sorted(shown, key=lambda each: ("CSAXR".find(str(each)), each if isinstance(each, int) else 0))
