# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from sideman_models.evaluation.report import (
    BASELINE_FAMILIES,
    CONFIDENCE_LEVEL,
    PLAYED,
    UNIGRAM,
    Baseline,
    ConfidenceInterval,
    EvaluationReport,
)
from sideman_models.evaluation.statistics import HALF_SPLITS, Outcome, share
from sideman_models.evaluation.touch import touch_lines
from sideman_models.evaluation.verdict import verdict_lines

_WIDTH = 46
_SHOWN_OUTCOMES: dict[str, tuple[Outcome, ...]] = {
    "kinds": tuple("CSAXR"),
    "strong beats": tuple("CSAX"),
    "repeated pitches": ("again",),
    "repeated motifs": ("again",),
}
"""The statistics whose shares are listed, with the outcomes to list."""


def report_text(report: EvaluationReport) -> str:
    """Return the whole report as text."""
    parts = (
        _verdict(report),
        _music_lines(report),
        _bits_lines(report),
        _touch_lines(report),
        _statistics_lines(report),
        _answers_lines(report),
        _copying_lines(report),
    )
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _verdict(report: EvaluationReport) -> Iterator[str]:
    for line in verdict_lines(report):
        yield from textwrap.wrap(line, 112, subsequent_indent="  ")


def _music_lines(report: EvaluationReport) -> Iterator[str]:
    one = report.evaluation
    pieces, titles = "piece" if one.pieces == 1 else "pieces", "title" if one.titles == 1 else "titles"
    yield f"{report.bundle_name}, on {one.pieces:,} {pieces} of {one.titles:,} {titles}"
    yield f"  {one.values:,} values, {100 * one.mapped_share:.1f} % of them mapped to the nearest known value"
    yield f"  {one.notes:,} notes; of those in the source {100 * one.dropped_share:.1f} % were dropped"
    for remark in report.remarks:
        yield from _wrapped(remark)


def _bits_lines(report: EvaluationReport) -> Iterator[str]:
    one = report.evaluation
    level = f"{100 * CONFIDENCE_LEVEL:.0f} %"
    yield f"{'Bits':<{_WIDTH}} a value   the network needs fewer by [{level} interval over titles]"
    yield _bits_line("the network", one.bits_per_value, _interval_text(report.intervals.get("bits_per_value")))
    if report.bits_without_motifs is not None:
        yield _bits_line("  without its memory of motifs", report.bits_without_motifs, "")
    if one.bits_per_note is not None:
        yield _bits_line("  a note in all", one.bits_per_note, _interval_text(report.intervals.get("bits_per_note")))
    for family in reversed(BASELINE_FAMILIES):
        if (best := report.best_baseline(family)) is not None:
            yield _bits_line(family, best.bits_per_value, _saving_text(best))
            yield from _wrapped(f"{best.name}: {', '.join(best.chain) or 'the frequency of each value'}")
    on_values = [one for one in report.baselines if one.family == BASELINE_FAMILIES[0]]
    if orders := [one for one in on_values if len(one.name) == len(UNIGRAM)]:
        yield f"    plain orders 1 to {len(orders)}: {'  '.join(f'{one.bits_per_value:.3f}' for one in orders)}"
    if (unigram := report.unigram()) is not None:
        yield _bits_line("unigram", unigram.bits_per_value, _saving_text(unigram))
    saving = _percent(1 - one.bits_per_value / report.chance_bits)
    yield _bits_line(f"chance, {report.vocabulary_size} values", report.chance_bits, saving)
    if "ngrams" in report.missing_parts:
        yield f"  no n-grams: {report.missing_parts['ngrams']}"


def _touch_lines(report: EvaluationReport) -> Iterator[str]:
    if report.touch is not None:
        yield from touch_lines(report.touch)


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, 112, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False)


def _bits_line(name: str, bits: float, rest: str) -> str:
    return f"  {name:<{_WIDTH - 2}} {bits:7.3f}   {rest}".rstrip()


def _interval_text(ends: ConfidenceInterval | None) -> str:
    return "" if ends is None else f"[{ends[0]:.3f} to {ends[1]:.3f}]"


def _saving_text(baseline: Baseline) -> str:
    if baseline.interval is None:
        return _percent(baseline.saving)
    low, high = (100 * (1 - bound) for bound in reversed(baseline.interval))
    return f"{_percent(baseline.saving)} [{low:.1f} to {high:.1f}]"


def _percent(share_of: float) -> str:
    return f"{100 * share_of:.1f} %"


def _statistics_lines(report: EvaluationReport) -> Iterator[str]:
    if not report.statistics:
        if "statistics" in report.missing_parts:
            yield f"No statistics of its playing: {report.missing_parts['statistics']}"
        return
    yield f"{f'Played: {report.choruses} choruses over the same changes':<{_WIDTH}} distance   halves    times"
    for one in report.statistics:
        half = "" if one.half_distance is None else f"{one.half_distance:8.3f}"
        ratio = "" if one.distance_ratio is None else f"{one.distance_ratio:8.2f}"
        yield f"  {one.name:<{_WIDTH - 2}} {one.distance:8.3f} {half:>8} {ratio:>8}".rstrip()
        if outcomes := _SHOWN_OUTCOMES.get(one.name):
            for whose, counts in (("theirs", one.real), ("its own", one.played)):
                yield f"    {whose}: {'  '.join(f'{each} {_percent(share(counts, each))}' for each in outcomes)}"
    yield "  distance: Jensen-Shannon's, the square root of the divergence in bits, 0 to 1"
    yield f"  halves: the distance of two random halves of the pieces (split by title), median of {HALF_SPLITS} splits"


def _answers_lines(report: EvaluationReport) -> Iterator[str]:
    if report.answers:
        yield f"{'Answers to four bars: runs of four intervals':<{_WIDTH}}     runs   that the turn had"
    for one in report.answers:
        yield f"  {one.who:<{_WIDTH - 2}} {one.runs:8,} {_percent(one.share):>8}"


def _copying_lines(report: EvaluationReport) -> Iterator[str]:
    if not report.shared_runs:
        if "verbatim" in report.missing_parts:
            yield f"No verbatim runs: {report.missing_parts['verbatim']}"
        return
    yield f"{'Longest runs shared with the training set':<{_WIDTH}}  longest   median"
    for one in report.shared_runs:
        whose = "what it played" if one.whose == PLAYED else "these pieces, with those of other players"
        yield f"  {f'{one.match}: {whose}':<{_WIDTH - 2}} {one.longest.note_count:8} {one.median_notes:8g} notes"
        run = one.longest
        if run.source is not None:
            yield from _wrapped(f"{run.piece.title}: {run.text}")
            yield f"    as in {' by '.join(filter(None, (run.source.title, run.source.performer)))}"
