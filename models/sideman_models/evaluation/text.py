# SPDX-License-Identifier: Apache-2.0
"""An appraisal as people read it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from sideman_models.evaluation.bootstrap import LEVEL, Interval
from sideman_models.evaluation.report import FAMILIES, PLAYED, UNIGRAM, Appraisal, Borrowed, Opponent
from sideman_models.evaluation.statistics import SPLITS, Comparison, Outcome, share

_WIDTH = 46


def text(found: Appraisal) -> str:
    """All of it."""
    parts = (_music(found), _bits(found), _playing(found), _verbatim(found))
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _music(found: Appraisal) -> Iterator[str]:
    one = found.evaluation
    yield f"{found.model}, on {_number(one.pieces, 'piece')} of {_number(one.titles, 'title')}"
    yield f"  {one.values:,} values, {100 * one.mapped_share:.1f} % of them mapped to the nearest that it knows"
    yield f"  {one.notes:,} notes; of those in the source {100 * one.dropped_share:.1f} % fell out of the line"
    for remark in found.remarks:
        yield from _wrapped(remark)


def _number(count: int, of: str) -> str:
    return f"{count:,} {of}{'' if count == 1 else 's'}"


def _bits(found: Appraisal) -> Iterator[str]:
    one = found.evaluation
    yield f"{'Bits':<{_WIDTH}} a value   the network needs fewer by [{100 * LEVEL:.0f} % interval over titles]"
    yield _line("the network", one.bits_per_value, _between(found.intervals.get("bits_per_value")))
    if one.bits_per_note is not None:
        yield _line("  a note in all", one.bits_per_note, _between(found.intervals.get("bits_per_note")))
    for family in reversed(FAMILIES):
        if (best := found.best(family)) is not None:
            yield _line(family, best.bits_per_value, _fewer(best))
            yield from _wrapped(f"{best.name}: {', '.join(best.chain) or 'how often each value comes'}")
    if orders := [one for one in found.opponents if one.family == FAMILIES[0] and len(one.name) == len(UNIGRAM)]:
        yield f"    plain orders 1 to {len(orders)}: {'  '.join(f'{one.bits_per_value:.3f}' for one in orders)}"
    if (unigram := found.unigram()) is not None:
        yield _line("unigram", unigram.bits_per_value, _fewer(unigram))
    yield _line(f"chance, {found.vocabulary} values", found.chance, _percent(1 - one.bits_per_value / found.chance))
    if "ngrams" in found.absent:
        yield f"  no n-grams: {found.absent['ngrams']}"


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, 112, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False)


def _line(name: str, bits: float, rest: str) -> str:
    return f"  {name:<{_WIDTH - 2}} {bits:7.3f}   {rest}".rstrip()


def _between(ends: Interval | None) -> str:
    return "" if ends is None else f"[{ends[0]:.3f} to {ends[1]:.3f}]"


def _fewer(one: Opponent) -> str:
    if one.interval is None:
        return _percent(one.fewer)
    return f"{_percent(one.fewer)} [{100 * (1 - one.interval[1]):.1f} to {100 * (1 - one.interval[0]):.1f}]"


def _percent(share_of: float) -> str:
    return f"{100 * share_of:.1f} %"


def _playing(found: Appraisal) -> Iterator[str]:
    if not found.statistics:
        if "statistics" in found.absent:
            yield f"No statistics of its playing: {found.absent['statistics']}"
        return
    yield f"{f'Played: {found.choruses} choruses over the same changes':<{_WIDTH}} distance   halves    times"
    for one in found.statistics:
        half = "" if one.half is None else f"{one.half:8.3f}"
        ratio = "" if one.ratio is None else f"{one.ratio:8.2f}"
        yield f"  {one.name:<{_WIDTH - 2}} {one.distance:8.3f} {half:>8} {ratio:>8}".rstrip()
        yield from _told(one)
    yield "  distance: Jensen-Shannon's, the square root of the divergence in bits, 0 to 1"
    yield f"  halves: that between two random halves of these pieces, parted by title, the median of {SPLITS} splits"


_TOLD: dict[str, tuple[Outcome, ...]] = {
    "kinds": tuple("CSAXR"),
    "strong beats": tuple("CSAX"),
    "repeated pitches": ("again",),
    "repeated motifs": ("again",),
}


def _told(one: Comparison) -> Iterator[str]:
    """The shares themselves, where they are few."""
    if outcomes := _TOLD.get(one.name):
        for whose, counts in (("theirs", one.real), ("its own", one.played)):
            yield f"    {whose}: {'  '.join(f'{each} {_percent(share(counts, each))}' for each in outcomes)}"


def _verbatim(found: Appraisal) -> Iterator[str]:
    if not found.borrowed:
        if "verbatim" in found.absent:
            yield f"No verbatim runs: {found.absent['verbatim']}"
        return
    yield f"{'Shared word for word with the training set':<{_WIDTH}}  longest   median"
    for one in found.borrowed:
        whose = "what it played" if one.whose == PLAYED else "these pieces, with other players"
        yield f"  {f'{one.likeness}: {whose}':<{_WIDTH - 2}} {one.longest.notes:8} {one.median:8g} notes"
        yield from _run(one)


def _run(one: Borrowed) -> Iterator[str]:
    run = one.longest
    if run.source is not None:
        yield from _wrapped(f"{run.piece.title}: {run.text}")
        yield f"    as in {' by '.join(filter(None, (run.source.title, run.source.performer)))}"
