# SPDX-License-Identifier: Apache-2.0
"""Draws the report of an evaluation (bits, playing, copying) as one picture, with matplotlib of sideman[train]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sideman_models.evaluation.report import BASELINE_FAMILIES, PLAYED, EvaluationReport
from sideman_models.evaluation.statistics import NOTE_OVERFLOW_BIN, Comparison, Outcome, share
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.pictures import GREY, INK, KIND_COLOURS, figure_png, new_figure

Axes = Any

SIMILAR_RATIO = 2.0
"""Music within this number of half distances may pass for the real music."""
_COLUMNS = 3
_REAL_COLOUR, _PLAYED_COLOUR = GREY, KIND_COLOURS["C"]
_SHORT_NAMES = "values alone", "values, mask", "context chain", "context chain, mask", "context, mask, memory"
_SHORT_FAMILY_NAMES = dict(zip(BASELINE_FAMILIES, _SHORT_NAMES, strict=True))
_MAX_BARS = 24


def report_picture(report: EvaluationReport) -> bytes:
    """Return the picture as PNG. Parts that are missing in the report are left out."""
    panels: list[tuple[str, Callable[[Axes], None]]]
    panels = [("bits a value (lower is better)", partial(_draw_bits, report))]
    if report.statistics:
        panels.append(("distance, in half distances", partial(_draw_distances, report)))
    if report.shared_runs:
        panels.append(("longest melody shared with the training set", partial(_draw_shared_runs, report)))
    for one in report.statistics:
        if one.name in _PICTURED_STATISTICS:
            title, label = _PICTURED_STATISTICS[one.name]
            panels.append((title, partial(_draw_comparison, one, label)))
    across = min(_COLUMNS, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(5.0 * across, 3.3 * down + 0.4)
    measured = report.evaluation
    figure.suptitle(f"{report.bundle_name}: {measured.pieces} pieces, {measured.values:,} values", color=INK)
    all_axes = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in all_axes[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, draw) in zip(all_axes, panels, strict=False):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7, labelcolor=INK)
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        draw(axes)
    return figure_png(figure)


def _draw_rows(axes: Axes, rows: Sequence[tuple[str, float]], colours: Sequence[str]) -> None:
    """Draw a horizontal bar for each row (its name, its length), the first one at the top."""
    axes.barh(range(len(rows)), [length for _, length in rows], color=colours, height=0.7)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()


def _draw_bits(report: EvaluationReport, axes: Axes) -> None:
    """Draw the bits a value of the network, with their interval, and of the n-grams."""
    bars = [(report.bundle_name, report.evaluation.bits_per_value)]
    bars += [
        (_SHORT_FAMILY_NAMES[family], best.bits_per_value)
        for family in reversed(BASELINE_FAMILIES)
        if (best := report.best_baseline(family))
    ]
    bars += [("unigram", one.bits_per_value)] if (one := report.unigram()) else []
    bars.append(("chance", report.chance_bits))
    _draw_rows(axes, bars, [_PLAYED_COLOUR] + [_REAL_COLOUR] * (len(bars) - 1))
    ends = report.intervals.get("bits_per_value") or (bars[0][1],) * 2
    axes.plot(ends, [0, 0], color=INK, linewidth=2)
    for row, (_, bits) in enumerate(bars):
        axes.annotate(f" {bits:.2f}", (bits if row else ends[1], row), fontsize=7, color=INK, va="center")


def _draw_distances(report: EvaluationReport, axes: Axes) -> None:
    """Draw the distance of each statistic as a multiple of its half distance."""
    ratios = [(one.name, one.distance_ratio) for one in report.statistics if one.distance_ratio is not None]
    _draw_rows(axes, ratios, [_PLAYED_COLOUR] * len(ratios))
    axes.axvline(SIMILAR_RATIO, color=INK, linestyle=":", linewidth=1)


def _draw_shared_runs(report: EvaluationReport, axes: Axes) -> None:
    """Draw in how many pieces the longest shared run has how many notes."""
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


_PICTURED_STATISTICS: dict[str, tuple[str, Callable[[Outcome], str]]] = {
    "kinds": ("kinds", str),
    "strong beats": ("kinds on beats 1 and 3", str),
    "durations": ("durations in beats", lambda ticks: f"{round(int(ticks) / TICKS_PER_QUARTER, 2):g}"),
    "intervals": ("intervals in semitones", str),
    "phrases in notes": ("notes in a phrase, up to", lambda most: str(most) if most != NOTE_OVERFLOW_BIN else "more"),
    "pitches": ("pitches", str),
}


def _draw_comparison(comparison: Comparison, label: Callable[[Outcome], str], axes: Axes) -> None:
    """Draw the shares of the outcomes, real and played; with many outcomes not all labels.

    The outcomes are in order: kinds, then numbers by size. Those below 0.2 % are left out.
    """
    shown = [
        one
        for one in {*comparison.real, *comparison.played}
        if max(share(comparison.real, one), share(comparison.played, one)) >= 0.002
    ]
    outcomes = sorted(shown, key=lambda one: ("CSAXR".find(str(one)), one if isinstance(one, int) else 0))
    for shift, colour, whose, counts in (
        (-0.2, _REAL_COLOUR, "real", comparison.real),
        (0.2, _PLAYED_COLOUR, "played", comparison.played),
    ):
        heights = [100 * share(counts, outcome) for outcome in outcomes]
        axes.bar([at + shift for at in range(len(outcomes))], heights, 0.4, color=colour, label=whose)
    every = max(1, -(-len(outcomes) // _MAX_BARS))
    axes.set_xticks(range(0, len(outcomes), every), [label(outcome) for outcome in outcomes[::every]])
    axes.set_ylabel("%", fontsize=7, color=GREY)
    axes.legend(fontsize=7, frameon=False)
