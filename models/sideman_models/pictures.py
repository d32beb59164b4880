# SPDX-License-Identifier: Apache-2.0
"""Pictures as PNG: a line of notes over its changes, learning curves, and how often each value comes.

Drawn straight onto a canvas of their own: no window, no display and no state that another drawing could disturb. This
needs matplotlib, which comes with sideman[train]; nothing that plays loads it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sideman_models.music.harmony import pitch_name

Axes = Any

DPI = 110
INK, QUIET, PAPER = "#222222", "#8a8a8a", "#ffffff"
KIND_COLOURS = {"C": "#2b6cb0", "S": "#2f9e6e", "A": "#d9822b", "X": "#c0392b", "R": "#9a9a9a"}
"""A colour for each kind of value: chord, scale and approach tones, others, rests."""

MOST_BARS = 128
_FEW_BARS = 16  # up to so many stand four in a row, more of them eight
_BLACK_KEYS = (1, 3, 6, 8, 10)
_NAMED_KEYS = (0, 2, 4, 7, 9)  # B and F would touch their neighbours
_LEAST_SEMITONES = 14
_LARGEST_NAME, _SMALLEST_NAME, _LEAST_NAME = 10.0, 7.0, 4.5  # points: of chords; with eight bars in a row; ever
_SEMITONE_INCHES = 0.075
_ROLL_INCHES, _LEFT_INCHES, _RIGHT_INCHES = 12.2, 0.35, 0.65
_TOP_INCHES, _GAP_INCHES = 0.4, 0.45
_VELOCITIES = colormaps["plasma_r"]
_LOUDNESS = Normalize(20, 150)  # the palest colours, at its ends, would vanish on white
_MOST_VALUES = 40


BarLines = Callable[[int], float]
"""The beat on which a bar begins, by its number from 0; without end."""


def _fours(bar: int) -> float:
    return 4.0 * bar


@dataclass(frozen=True, slots=True)
class RollNote:
    """A note of a piano roll: `onset` and `length` in beats (quarter notes), MIDI `pitch` and `velocity`."""

    onset: float
    length: float
    pitch: int
    velocity: int = 84


def figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, on an Agg canvas of its own."""
    empty = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(empty)
    return empty


def png(drawn: Figure) -> bytes:
    """The figure as PNG: the same bytes for the same drawing."""
    packed = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box, and that is no reason to stop.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        drawn.savefig(packed, format="png", metadata={"Software": None})
    return packed.getvalue()


# -- piano roll


def piano_roll(
    notes: Sequence[RollNote], chords: Sequence[tuple[float, str]], title: str, line: BarLines = _fours
) -> bytes:
    """`notes` over the names of `chords` (beat, name), in rows of four or eight bars; `line` says where bars begin.

    Colours tell velocities. Of more than `MOST_BARS` bars the first so many are drawn, and the title says so.
    """
    bars = _bars(notes, chords, line)
    shown = min(bars, MOST_BARS)
    a_row = _bars_in_a_row(shown, chords, line)
    rows, beats = math.ceil(shown / a_row), _widest(shown, a_row, line)
    low, high = _pitches(notes)
    title += f" (bars 1–{shown} of {bars})" if shown < bars else ""
    drawn, axes = _rows(rows, (high - low + 1) * _SEMITONE_INCHES, title)
    for row, here in enumerate(axes):
        first, number = row * a_row, min(a_row, shown - row * a_row)
        start, end = line(first), line(first + number)
        here.set_xlim(start, start + beats)
        here.set_ylim(low - 0.5, high + 0.5)
        _keyboard(here, low, high, end)
        _bar_lines(here, first, number, line)
        _names(here, chords, start, end, min(_name_sizes(chords, beats), default=_LARGEST_NAME))
        _notes(here, notes, start, end)
    return png(drawn)


def _rows(rows: int, inches: float, title: str) -> tuple[Figure, list[Axes]]:
    """A figure with `rows` axes, each `inches` high, its title and the scale of velocities."""
    height = _TOP_INCHES + rows * (inches + _GAP_INCHES)
    drawn = figure(_LEFT_INCHES + _ROLL_INCHES + _RIGHT_INCHES, height)
    width = drawn.get_figwidth()
    # Placed by hand: a layout that is solved for takes ten times as long as all the drawing.
    drawn.set_layout_engine("none")
    drawn.text(0.5, 1 - 0.1 / height, title, color=INK, fontsize=13, ha="center", va="top", parse_math=False)
    bottoms = [height - _TOP_INCHES - (row + 1) * (inches + _GAP_INCHES) + 0.22 for row in range(rows)]
    across = _LEFT_INCHES / width, _ROLL_INCHES / width
    axes = [drawn.add_axes((across[0], bottom / height, across[1], inches / height)) for bottom in bottoms]
    for here in axes:
        here.tick_params(length=0, pad=2)
        here.spines[:].set_visible(False)
    place = (across[0] + across[1] + 0.12 / width, bottoms[0] / height, 0.12 / width, inches / height)
    _velocity_scale(drawn, drawn.add_axes(place))
    return drawn, axes


def _bars(notes: Sequence[RollNote], chords: Sequence[tuple[float, str]], line: BarLines) -> int:
    """Enough bars for every note's end and every chord's beginning; one at least."""
    ends = [note.onset + max(note.length, 0.0) for note in notes]
    end = max([*ends, *(beat + 1e-6 for beat, _ in chords)], default=0.0)
    return next(bars for bars in count(1) if line(bars) >= end - 1e-9)


def _widest(shown: int, a_row: int, line: BarLines) -> float:
    """The beats of the longest row, after which all are drawn to one scale."""
    return max(line(first + a_row) - line(first) for first in range(0, shown, a_row))


def _pitches(notes: Sequence[RollNote]) -> tuple[int, int]:
    """The lowest and highest pitch drawn: a semitone more than is played, and an octave or so at least."""
    low = min((note.pitch for note in notes), default=60) - 1
    high = max((note.pitch for note in notes), default=72) + 1
    missing = max(0, _LEAST_SEMITONES - (high - low))
    return low - missing // 2, high + (missing + 1) // 2


def _keyboard(here: Axes, low: int, high: int, end: float) -> None:
    """Black keys are shaded up to `end`, the octaves parted, and most white keys named."""
    start = here.get_xlim()[0]
    black = [pitch for pitch in range(low, high + 1) if pitch % 12 in _BLACK_KEYS]
    bottoms = [pitch - 0.5 for pitch in range(low, high + 1) if pitch % 12 == 0]
    _bars_across(here, [(start, end, pitch) for pitch in black], 1.0, facecolor="#f1f3f6", linewidth=0)
    here.hlines(bottoms, start, end, color="#c5c9d0", linewidth=0.6)
    named = [pitch for pitch in range(max(0, low), min(127, high) + 1) if pitch % 12 in _NAMED_KEYS]
    here.set_yticks(named, [pitch_name(pitch) for pitch in named], fontsize=6, color=INK)


def _bars_across(here: Axes, bars: Sequence[tuple[float, float, int]], height: float, **look: Any) -> None:  # noqa: ANN401
    """Rectangles from one beat to another at a pitch, all at once."""
    corners = ((0, -1), (1, -1), (1, 1), (0, 1))
    here.add_collection(
        PolyCollection([[(bar[x], bar[2] + y * height / 2) for x, y in corners] for bar in bars], **look),
        autolim=False,
    )


def _bar_lines(here: Axes, first: int, number: int, line: BarLines) -> None:
    starts = [line(first + bar) for bar in range(number + 1)]
    beats = [start + beat for start, end in pairwise(starts) for beat in range(1, math.ceil(end - start))]
    here.vlines(beats, *here.get_ylim(), color="#dcdfe4", linewidth=0.6)
    here.vlines(starts, *here.get_ylim(), color="#777777", linewidth=0.9)
    numbers = [str(first + bar + 1) for bar in range(number)]
    here.set_xticks(starts[:-1], numbers, fontsize=7, color=QUIET, ha="left")


def _bars_in_a_row(shown: int, chords: Sequence[tuple[float, str]], line: BarLines) -> int:
    """Four of few bars, or where the names of the chords need so much room; else eight."""
    sizes = _name_sizes(chords, _widest(shown, 8, line))
    return 4 if shown <= _FEW_BARS or min(sizes, default=_LARGEST_NAME) < _SMALLEST_NAME else 8


def _name_sizes(chords: Sequence[tuple[float, str]], beats: float) -> list[float]:
    """The font size in which each name fits before the next one, in rows of so many `beats`."""
    rooms = [after - beat for (beat, _), (after, _) in pairwise(chords)]
    points = _ROLL_INCHES * 72 / beats
    sizes = [room * points / (0.75 * len(name) + 0.4) for room, (_, name) in zip(rooms, chords, strict=False)]
    return [max(_LEAST_NAME, min(_LARGEST_NAME, size)) for size in sizes]


def _names(here: Axes, chords: Sequence[tuple[float, str]], start: float, end: float, size: float) -> None:
    """The chords of a row above it; one that goes on from the row before is named again."""
    before = [(start, name) for beat, name in chords if beat <= start + 1e-9][-1:]
    for beat, name in before + [(beat, name) for beat, name in chords if start + 1e-9 < beat < end - 1e-9]:
        here.annotate(
            name, (beat, 1.0), xycoords=("data", "axes fraction"), xytext=(1, 2), textcoords="offset points",
            fontsize=size, color=INK, fontweight="bold", ha="left", va="bottom", parse_math=False,
        )  # fmt: skip


def _notes(here: Axes, notes: Sequence[RollNote], start: float, end: float) -> None:
    """The notes of a row; one over its edge is seen in both rows."""
    parts = [(max(note.onset, start), min(note.onset + note.length, end), note.pitch) for note in notes]
    seen = [(part, note.velocity) for part, note in zip(parts, notes, strict=True) if part[1] > part[0]]
    colours = [_VELOCITIES(_LOUDNESS(velocity)) for _, velocity in seen]
    _bars_across(here, [part for part, _ in seen], 0.86, facecolors=colours, edgecolor=INK, linewidth=0.3, zorder=3)


def _velocity_scale(drawn: Figure, place: Axes) -> None:
    scale = drawn.colorbar(ScalarMappable(_LOUDNESS, _VELOCITIES), cax=place, ticks=range(20, 121, 20))
    scale.ax.set_ylim(20, 127)
    scale.set_label("velocity", fontsize=7, color=QUIET)
    scale.ax.tick_params(labelsize=6, labelcolor=QUIET, length=2)
    scale.outline.set_visible(False)


# -- curves and bars


def learning_curves(epochs: Sequence[tuple[int, float, float | None]], title: str, unit: str = "bits a value") -> bytes:
    """Loss by epoch, of the music learned from and of music unseen: `epochs` are (number, learned, unseen or None)."""
    drawn = figure(8.0, 4.5)
    here = _plain_axes(drawn, title)
    _curve(here, [(number, learned) for number, learned, _ in epochs], "learned from", "#2b6cb0")
    unseen = [(number, loss) for number, _, loss in epochs if loss is not None and math.isfinite(loss)]
    if unseen:
        best = min(unseen, key=lambda point: point[1])
        _curve(here, unseen, f"unseen (best {best[1]:.3f}, epoch {best[0]})", "#d9822b")
        here.plot(*best, "o", markersize=11, markerfacecolor="none", markeredgecolor="#d9822b")
    here.set_xlabel("epoch", color=INK)
    here.set_ylabel(unit, color=INK, parse_math=False)
    here.xaxis.set_major_locator(MaxNLocator(integer=True))
    here.legend(frameon=False)
    here.grid(axis="y", color="#e6e8ec")
    return png(drawn)


def _curve(here: Axes, points: Sequence[tuple[int, float]], label: str, colour: str) -> None:
    numbers, losses = [number for number, _ in points], [loss for _, loss in points]
    here.plot(numbers, losses, marker="o", markersize=3, linewidth=1.6, label=label, color=colour)


def frequencies(counts: Mapping[str, int], title: str) -> bytes:
    """How often each of the most frequent values comes, with its share of all; musical values coloured by kind."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown, total = ranked[:_MOST_VALUES], sum(counts.values())
    drawn = figure(8.0, 1.2 + 0.19 * max(4, len(shown)))
    rest = len(ranked) - len(shown)
    here = _plain_axes(drawn, title + (f" ({len(shown)} of {len(ranked):,})" if rest else ""))
    colours = [KIND_COLOURS.get(name.partition(",")[0], "#2b6cb0") for name, _ in shown]
    drawn_bars = here.barh(range(len(shown)), [count for _, count in shown], color=colours, height=0.78)
    labels = [f"{count:,} ({count / total:.1%})" for _, count in shown] if total else []
    here.bar_label(drawn_bars, labels, padding=3, fontsize=7, color=QUIET)
    here.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=7, parse_math=False)
    here.set_ylim(max(4, len(shown)) - 0.4, -0.6)
    here.margins(x=0.16)
    here.set_xlabel(f"times, of {total:,}", color=INK)
    return png(drawn)


def _plain_axes(drawn: Figure, title: str) -> Axes:
    here = drawn.subplots()
    here.set_title(title, color=INK, fontsize=12, parse_math=False)
    for side in ("top", "right"):
        here.spines[side].set_visible(False)
    here.tick_params(labelsize=8, labelcolor=INK)
    return here
