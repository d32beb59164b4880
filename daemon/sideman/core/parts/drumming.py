# SPDX-License-Identifier: Apache-2.0
"""The rules of the drums and of the click.

Drums play brushes at slow and medium tempos, else sticks. In swing the ride cymbal, or a brush on the snare, has the
ride pattern, the hi-hat is on 2 and 4, the bass drum is felt rather than heard; a bossa has its clave on the rim. The
bar before a section ends with a fill, and a crash is on the top of each chorus. The pitches are those of a General MIDI
drum kit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sideman.core.parts.band_bar import EIGHTH, BandBar, RuleState, WrittenNote
from sideman_models.music.values import TICKS_PER_QUARTER

KICK, RIM, SNARE, PEDAL_HAT, HAT, CRASH, RIDE = 36, 37, 38, 44, 42, 49, 51
HIGH_TOM, MIDDLE_TOM, LOW_TOM = 50, 47, 43
HIGH_CLICK, LOW_CLICK = 76, 77
"""Wood blocks."""
_GHOST, _FILL, _TOUCH = range(64, 67)  # purposes of draws
_LENGTH = 2  # ticks; a drum rings as long as it does
_BASE = {KICK: -30, RIM: -20, SNARE: -24, PEDAL_HAT: -18, HAT: -28, CRASH: -8, RIDE: -18}
_FILLS: Sequence[Sequence[tuple[int, int]]] = (  # ticks before the bar line, and what is struck
    ((24, SNARE), (18, SNARE), (12, HIGH_TOM), (6, LOW_TOM)),
    ((24, SNARE), (20, SNARE), (16, HIGH_TOM), (12, HIGH_TOM), (8, MIDDLE_TOM), (4, LOW_TOM)),
    ((18, SNARE), (12, SNARE), (6, KICK)),
    ((24, HIGH_TOM), (18, SNARE), (6, SNARE)),
)
_BRUSH_FILLS: Sequence[Sequence[tuple[int, int]]] = (
    ((24, SNARE), (20, SNARE), (16, SNARE), (12, SNARE), (6, SNARE)),
    ((18, SNARE), (12, SNARE), (6, SNARE)),
)

_Stroke = tuple[int, int, int]
"""Tick, pitch, and what is added to its loudness."""


def play_drums(bar: BandBar, _before: RuleState) -> tuple[list[WrittenNote], RuleState]:
    """Play a bar."""
    if bar.line >= bar.final or bar.final < bar.stop:
        strokes = [stroke for stroke in _time(bar) if stroke[0] < bar.final]
        strokes += [(int(bar.final), CRASH, 0), (int(bar.final), KICK, 12)]
    else:
        strokes = _with_fill(bar, [*_time(bar)])
        if bar.chart.is_top(bar.line):
            strokes += [(bar.line, CRASH, 0), (bar.line, KICK, 10)]
    loudest = {(tick, pitch): added for tick, pitch, added in sorted(strokes, key=lambda one: one[2])}
    notes = [
        WrittenNote(tick, _LENGTH, pitch, _BASE.get(pitch, -22) + added + _touch(bar, tick, pitch))
        for (tick, pitch), added in loudest.items()
    ]
    return bar.within(notes), ()


def _touch(bar: BandBar, tick: int, pitch: int) -> int:
    return round(6 * ((bar.draw(tick, _TOUCH) * (pitch + 7.7)) % 1.0 - 0.5))


def _with_fill(bar: BandBar, strokes: list[_Stroke]) -> list[_Stroke]:
    """Return the strokes of a bar, with a fill at the end of its section in place of the time-keeping hand."""
    if not bar.chart.begins_section(bar.stop) or bar.beat != TICKS_PER_QUARTER or bar.ticks < 36:
        return strokes
    fills = _BRUSH_FILLS if bar.brushes or bar.style == "ballad" else _FILLS
    fill = fills[int(bar.draw(bar.line, _FILL) * len(fills))]
    start = bar.stop - fill[0][0]
    kept = [stroke for stroke in strokes if stroke[0] < start or stroke[1] == PEDAL_HAT]
    return [*kept, *((bar.stop - before, pitch, 12 - before // 4) for before, pitch in fill)]


def _time(bar: BandBar) -> Iterator[_Stroke]:
    """The strokes that keep the time in the style of the bar."""
    beats = range(bar.line, bar.stop, bar.beat)
    if bar.style == "bossa" and bar.is_common:
        yield from _bossa(bar)
        return
    yield from ((tick, PEDAL_HAT, 0) for number, tick in enumerate(beats) if _has_hat(bar, number))
    if bar.style == "even":
        yield from (
            (tick, HAT, 4 if (tick - bar.line) % bar.beat == 0 else -4) for tick in range(bar.line, bar.stop, EIGHTH)
        )
        yield from ((bar.line + at, pitch, 4) for at, pitch in ((0, KICK), (30, KICK), (36, RIM)) if at < bar.ticks)
        return
    hand = SNARE if bar.brushes or bar.style == "ballad" else RIDE
    for number, tick in enumerate(beats):
        yield tick, hand, 2 if _has_hat(bar, number) else -2
        skips = _has_hat(bar, number) and bar.beat == TICKS_PER_QUARTER and bar.style != "ballad"
        if skips and tick + EIGHTH < bar.stop:
            yield tick + EIGHTH, hand, -6
        if bar.style == "swing" or number == 0:
            yield tick, KICK, 0
    if hand == RIDE:
        for tick in (tick + EIGHTH for tick in beats if bar.draw(tick, _GHOST) < 0.18 and tick + EIGHTH < bar.stop):
            yield tick, SNARE, 0


def _has_hat(bar: BandBar, number: int) -> bool:
    """Whether the hi-hat is on this beat of a bar: 2 and 4, in a waltz 2 and 3."""
    return number > 0 if bar.ticks // bar.beat == 3 else number % 2 == 1


def _bossa(bar: BandBar) -> Iterator[_Stroke]:
    """Eighths on the hi-hat, the bass drum, and the clave on the rim, which takes two bars."""
    yield from (
        (tick, HAT, 2 if (tick - bar.line) % bar.beat == 0 else -4) for tick in range(bar.line, bar.stop, EIGHTH)
    )
    yield from ((bar.line + at, KICK, 4 if at in (0, 24) else -2) for at in (0, 18, 24, 42))
    clave = (12, 30) if bar.chart.bar_number_at(bar.line) % 2 else (0, 18, 36)
    yield from ((bar.line + at, RIM, 0) for at in clave)


def play_click(bar: BandBar, _before: RuleState) -> tuple[list[WrittenNote], RuleState]:
    """Play the click of a bar."""
    notes = []
    for number, tick in enumerate(range(bar.line, bar.stop, bar.beat)):
        if bar.click == "beats" or number % 2:
            notes.append(WrittenNote(tick, 1, HIGH_CLICK if number == 0 else LOW_CLICK, 0))
    return bar.within(notes), ()
