# SPDX-License-Identifier: Apache-2.0
"""An appraisal as one picture: bits beside the opponents', playing beside what it learned from, and what is copied.

It needs matplotlib, which comes with sideman[train].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sideman_models.evaluation.report import BASELINE_FAMILIES, PLAYED, EvaluationReport
from sideman_models.evaluation.statistics import NOTE_OVERFLOW_BIN, Comparison, Outcome, share
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.pictures import GREY, INK, KIND_COLOURS, figure_png, new_figure

Axes = Any
Panel = Callable[[Axes, EvaluationReport], None]

SIMILAR_RATIO = 2.0
"""Times the distance of two halves of the real music: what lies within it may pass for such music."""
_COLUMNS = 3
_REAL_COLOUR, _PLAYED_COLOUR = GREY, KIND_COLOURS["C"]
_SHORT_FAMILY_NAMES = {
    BASELINE_FAMILIES[0]: "values alone",
    BASELINE_FAMILIES[1]: "values, mask",
    BASELINE_FAMILIES[2]: "context chain",
    BASELINE_FAMILIES[3]: "context chain, mask",
}
_MAX_BARS = 24


def report_picture(report: EvaluationReport) -> bytes:
    """The picture as PNG; what the appraisal could not find out is left out."""
    panels: list[Panel] = [_draw_bits]
    if report.statistics:
        panels.append(_draw_distances)
    if report.shared_runs:
        panels.append(_draw_shared_runs)
    panels += [_comparison_panel(one) for one in report.statistics if one.name in _PICTURED_STATISTICS]
    across = min(_COLUMNS, len(panels))
    down = -(-len(panels) // across)
    drawn = new_figure(5.0 * across, 3.3 * down + 0.4)
    drawn.suptitle(
        f"{report.bundle_name}: {report.evaluation.pieces} pieces, {report.evaluation.values:,} values", color=INK
    )
    places = list(drawn.subplots(down, across, squeeze=False).flat)
    for here in places:
        here.set_axis_off()
    for here, panel in zip(places, panels, strict=False):
        here.set_axis_on()
        here.spines[["top", "right"]].set_visible(False)
        here.tick_params(labelsize=7, labelcolor=INK)
        panel(here, report)
    return figure_png(drawn)


def _set_title(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, color=INK, loc="left")


def _draw_bits(axes: Axes, report: EvaluationReport) -> None:
    """What a value costs the network, with its interval, and each opponent."""
    bars = [(report.bundle_name, report.evaluation.bits_per_value)]
    bars += [
        (_SHORT_FAMILY_NAMES[family], best.bits_per_value)
        for family in reversed(BASELINE_FAMILIES)
        if (best := report.best_baseline(family))
    ]
    bars += [("unigram", one.bits_per_value)] if (one := report.unigram()) else []
    bars.append(("chance", report.chance_bits))
    rows = range(len(bars))
    axes.barh(rows, [bits for _, bits in bars], color=[_PLAYED_COLOUR] + [_REAL_COLOUR] * (len(bars) - 1), height=0.7)
    ends = report.intervals.get("bits_per_value") or (bars[0][1],) * 2
    axes.plot(ends, [0, 0], color=INK, linewidth=2)
    for row, (_, bits) in zip(rows, bars, strict=True):
        axes.annotate(f" {bits:.2f}", (bits if row else ends[1], row), fontsize=7, color=INK, va="center")
    axes.set_yticks(list(rows), [name for name, _ in bars])
    axes.invert_yaxis()
    _set_title(axes, "bits a value (fewer is better)")


def _draw_distances(axes: Axes, report: EvaluationReport) -> None:
    """How many times the distance of two halves of the real music."""
    told = [(one.name, one.distance_ratio) for one in report.statistics if one.distance_ratio is not None]
    rows = range(len(told))
    axes.barh(rows, [ratio for _, ratio in told], color=_PLAYED_COLOUR, height=0.7)
    axes.axvline(SIMILAR_RATIO, color=INK, linestyle=":", linewidth=1)
    axes.set_yticks(list(rows), [name for name, _ in told])
    axes.invert_yaxis()
    _set_title(axes, "distance, in times that of two halves")


def _draw_shared_runs(axes: Axes, report: EvaluationReport) -> None:
    """In how many pieces the longest run shared with the training set has so many notes."""
    for one in report.shared_runs:
        if one.match != "melody":
            continue
        counts = Counter(run.note_count for run in one.runs)
        lengths = range(max(counts) + 1)
        whose, colour = ("played", _PLAYED_COLOUR) if one.whose == PLAYED else ("real", _REAL_COLOUR)
        shares = [100 * counts[length] / len(one.runs) for length in lengths]
        axes.plot(lengths, shares, color=colour, label=whose, marker="o", markersize=3)
    axes.set_xlabel("notes", fontsize=7, color=GREY)
    axes.set_ylabel("% of pieces", fontsize=7, color=GREY)
    axes.legend(fontsize=7, frameon=False)
    _set_title(axes, "longest melody shared with the training set")


def _beats_text(outcome: Outcome) -> str:
    return f"{int(outcome) / TICKS_PER_QUARTER:.2f}".rstrip("0").rstrip(".")


_PICTURED_STATISTICS: dict[str, tuple[str, Callable[[Outcome], str]]] = {
    "kinds": ("kinds", str),
    "strong beats": ("kinds on beats 1 and 3", str),
    "durations": ("durations in beats", _beats_text),
    "intervals": ("intervals in semitones", str),
    "phrases in notes": ("notes in a phrase, up to", lambda most: str(most) if most != NOTE_OVERFLOW_BIN else "more"),
    "pitches": ("pitches", str),
}


def _comparison_panel(comparison: Comparison) -> Panel:
    """The shares of a statistic's outcomes, real and played; of many the most frequent ones."""
    name, label = _PICTURED_STATISTICS[comparison.name]

    def draw(here: Axes, _: EvaluationReport) -> None:
        outcomes = _shown_outcomes(comparison)
        for shift, colour, whose, counts in (
            (-0.2, _REAL_COLOUR, "real", comparison.real),
            (0.2, _PLAYED_COLOUR, "played", comparison.played),
        ):
            heights = [100 * share(counts, outcome) for outcome in outcomes]
            here.bar([at + shift for at in range(len(outcomes))], heights, 0.4, color=colour, label=whose)
        every = max(1, -(-len(outcomes) // _MAX_BARS))
        here.set_xticks(range(0, len(outcomes), every), [label(outcome) for outcome in outcomes[::every]])
        here.set_ylabel("%", fontsize=7, color=GREY)
        here.legend(fontsize=7, frameon=False)
        _set_title(here, name)

    return draw


def _shown_outcomes(comparison: Comparison) -> Sequence[Outcome]:
    """What there is to show, in order: kinds as they are named, numbers by size, those of less than 0.2 % left out."""
    both = {*comparison.real, *comparison.played}
    shown = [each for each in both if max(share(comparison.real, each), share(comparison.played, each)) >= 0.002]
    return sorted(shown, key=lambda each: ("CSAXR".find(str(each)), each if isinstance(each, int) else 0))
