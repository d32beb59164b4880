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
INK, GREY, PAPER = "#222222", "#8a8a8a", "#ffffff"
KIND_COLOURS = {"C": "#2b6cb0", "S": "#2f9e6e", "A": "#d9822b", "X": "#c0392b", "R": "#9a9a9a"}
"""A colour for each kind of value: chord, scale and approach tones, others, rests."""

MAX_PICTURE_BARS = 128
_MAX_BARS_IN_FOURS = 16  # up to so many stand four in a row, more of them eight
_BLACK_KEYS = (1, 3, 6, 8, 10)
_NAMED_KEYS = (0, 2, 4, 7, 9)  # B and F would touch their neighbours
_MIN_SEMITONES = 14
_MAX_FONT_SIZE, _MIN_EIGHT_BAR_FONT_SIZE, _MIN_FONT_SIZE = (
    10.0,
    7.0,
    4.5,
)  # points: of chords; with eight bars in a row; ever
_SEMITONE_INCHES = 0.075
_ROLL_INCHES, _LEFT_INCHES, _RIGHT_INCHES = 12.2, 0.35, 0.65
_TOP_INCHES, _GAP_INCHES = 0.4, 0.45
_VELOCITY_COLOURS = colormaps["plasma_r"]
_VELOCITY_RANGE = Normalize(20, 150)  # the palest colours, at its ends, would vanish on white
_MAX_VALUES = 40


BarStartFunction = Callable[[int], float]
"""The beat on which a bar begins, by its number from 0; without end."""


def _four_beat_bars(bar: int) -> float:
    return 4.0 * bar


@dataclass(frozen=True, slots=True)
class RollNote:
    """A note of a piano roll: `onset` and `length` in beats (quarter notes), MIDI `pitch` and `velocity`."""

    onset: float
    length: float
    pitch: int
    velocity: int = 84


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, on an Agg canvas of its own."""
    empty = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(empty)
    return empty


def figure_png(drawn: Figure) -> bytes:
    """The figure as PNG: the same bytes for the same drawing."""
    packed = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box, and that is no reason to stop.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        drawn.savefig(packed, format="png", metadata={"Software": None})
    return packed.getvalue()


# -- piano roll


def piano_roll(
    notes: Sequence[RollNote],
    chords: Sequence[tuple[float, str]],
    title: str,
    bar_start: BarStartFunction = _four_beat_bars,
) -> bytes:
    """Draw `notes` over `chords` (beat, name), in rows of four or eight bars; `bar_start` gives the beat of a bar.

    Colours tell velocities. Of more than `MAX_PICTURE_BARS` bars the first so many are drawn, and the title says so.
    """
    bars = _bar_count(notes, chords, bar_start)
    shown = min(bars, MAX_PICTURE_BARS)
    a_row = _bars_per_row(shown, chords, bar_start)
    rows, beats = math.ceil(shown / a_row), _longest_row_beats(shown, a_row, bar_start)
    low, high = _pitch_limits(notes)
    title += f" (bars 1–{shown} of {bars})" if shown < bars else ""
    drawn, axes = _make_rows(rows, (high - low + 1) * _SEMITONE_INCHES, title)
    for row, here in enumerate(axes):
        first, number = row * a_row, min(a_row, shown - row * a_row)
        start, end = bar_start(first), bar_start(first + number)
        here.set_xlim(start, start + beats)
        here.set_ylim(low - 0.5, high + 0.5)
        _draw_keyboard(here, low, high, end)
        _draw_bar_lines(here, first, number, bar_start)
        _draw_chord_names(here, chords, start, end, min(_font_sizes(chords, beats), default=_MAX_FONT_SIZE))
        _draw_notes(here, notes, start, end)
    return figure_png(drawn)


def _make_rows(rows: int, inches: float, title: str) -> tuple[Figure, list[Axes]]:
    """A figure with `rows` axes, each `inches` high, its title and the scale of velocities."""
    height = _TOP_INCHES + rows * (inches + _GAP_INCHES)
    drawn = new_figure(_LEFT_INCHES + _ROLL_INCHES + _RIGHT_INCHES, height)
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
    _draw_velocity_scale(drawn, drawn.add_axes(place))
    return drawn, axes


def _bar_count(notes: Sequence[RollNote], chords: Sequence[tuple[float, str]], bar_start: BarStartFunction) -> int:
    """Enough bars for every note's end and every chord's beginning; one at least."""
    ends = [note.onset + max(note.length, 0.0) for note in notes]
    end = max([*ends, *(beat + 1e-6 for beat, _ in chords)], default=0.0)
    return next(bars for bars in count(1) if bar_start(bars) >= end - 1e-9)


def _longest_row_beats(bar_count: int, a_row: int, bar_start: BarStartFunction) -> float:
    """The beats of the longest row, after which all are drawn to one scale."""
    return max(bar_start(first + a_row) - bar_start(first) for first in range(0, bar_count, a_row))


def _pitch_limits(notes: Sequence[RollNote]) -> tuple[int, int]:
    """The lowest and highest pitch drawn: a semitone more than is played, and an octave or so at least."""
    low = min((note.pitch for note in notes), default=60) - 1
    high = max((note.pitch for note in notes), default=72) + 1
    missing = max(0, _MIN_SEMITONES - (high - low))
    return low - missing // 2, high + (missing + 1) // 2


def _draw_keyboard(axes: Axes, low: int, high: int, end: float) -> None:
    """Black keys are shaded up to `end`, the octaves parted, and most white keys named."""
    start = axes.get_xlim()[0]
    black = [pitch for pitch in range(low, high + 1) if pitch % 12 in _BLACK_KEYS]
    bottoms = [pitch - 0.5 for pitch in range(low, high + 1) if pitch % 12 == 0]
    _draw_rectangles(axes, [(start, end, pitch) for pitch in black], 1.0, facecolor="#f1f3f6", linewidth=0)
    axes.hlines(bottoms, start, end, color="#c5c9d0", linewidth=0.6)
    named = [pitch for pitch in range(max(0, low), min(127, high) + 1) if pitch % 12 in _NAMED_KEYS]
    axes.set_yticks(named, [pitch_name(pitch) for pitch in named], fontsize=6, color=INK)


def _draw_rectangles(axes: Axes, bars: Sequence[tuple[float, float, int]], height: float, **look: Any) -> None:  # noqa: ANN401
    """Rectangles from one beat to another at a pitch, all at once."""
    corners = ((0, -1), (1, -1), (1, 1), (0, 1))
    axes.add_collection(
        PolyCollection([[(bar[x], bar[2] + y * height / 2) for x, y in corners] for bar in bars], **look),
        autolim=False,
    )


def _draw_bar_lines(axes: Axes, first: int, number: int, bar_start: BarStartFunction) -> None:
    starts = [bar_start(first + bar) for bar in range(number + 1)]
    beats = [start + beat for start, end in pairwise(starts) for beat in range(1, math.ceil(end - start))]
    axes.vlines(beats, *axes.get_ylim(), color="#dcdfe4", linewidth=0.6)
    axes.vlines(starts, *axes.get_ylim(), color="#777777", linewidth=0.9)
    numbers = [str(first + bar + 1) for bar in range(number)]
    axes.set_xticks(starts[:-1], numbers, fontsize=7, color=GREY, ha="left")


def _bars_per_row(bar_count: int, chords: Sequence[tuple[float, str]], bar_start: BarStartFunction) -> int:
    """Four of few bars, or where the names of the chords need so much room; else eight."""
    sizes = _font_sizes(chords, _longest_row_beats(bar_count, 8, bar_start))
    return 4 if bar_count <= _MAX_BARS_IN_FOURS or min(sizes, default=_MAX_FONT_SIZE) < _MIN_EIGHT_BAR_FONT_SIZE else 8


def _font_sizes(chords: Sequence[tuple[float, str]], beats: float) -> list[float]:
    """The font size in which each name fits before the next one, in rows of so many `beats`."""
    rooms = [after - beat for (beat, _), (after, _) in pairwise(chords)]
    points = _ROLL_INCHES * 72 / beats
    sizes = [room * points / (0.75 * len(name) + 0.4) for room, (_, name) in zip(rooms, chords, strict=False)]
    return [max(_MIN_FONT_SIZE, min(_MAX_FONT_SIZE, size)) for size in sizes]


def _draw_chord_names(axes: Axes, chords: Sequence[tuple[float, str]], start: float, end: float, size: float) -> None:
    """The chords of a row above it; one that goes on from the row before is named again."""
    before = [(start, name) for beat, name in chords if beat <= start + 1e-9][-1:]
    for beat, name in before + [(beat, name) for beat, name in chords if start + 1e-9 < beat < end - 1e-9]:
        axes.annotate(
            name, (beat, 1.0), xycoords=("data", "axes fraction"), xytext=(1, 2), textcoords="offset points",
            fontsize=size, color=INK, fontweight="bold", ha="left", va="bottom", parse_math=False,
        )  # fmt: skip


def _draw_notes(axes: Axes, notes: Sequence[RollNote], start: float, end: float) -> None:
    """The notes of a row; one over its edge is seen in both rows."""
    parts = [(max(note.onset, start), min(note.onset + note.length, end), note.pitch) for note in notes]
    seen = [(part, note.velocity) for part, note in zip(parts, notes, strict=True) if part[1] > part[0]]
    colours = [_VELOCITY_COLOURS(_VELOCITY_RANGE(velocity)) for _, velocity in seen]
    _draw_rectangles(axes, [part for part, _ in seen], 0.86, facecolors=colours, edgecolor=INK, linewidth=0.3, zorder=3)


def _draw_velocity_scale(drawn: Figure, place: Axes) -> None:
    scale = drawn.colorbar(ScalarMappable(_VELOCITY_RANGE, _VELOCITY_COLOURS), cax=place, ticks=range(20, 121, 20))
    scale.ax.set_ylim(20, 127)
    scale.set_label("velocity", fontsize=7, color=GREY)
    scale.ax.tick_params(labelsize=6, labelcolor=GREY, length=2)
    scale.outline.set_visible(False)


# -- curves and bars


def learning_curves(epochs: Sequence[tuple[int, float, float | None]], title: str, unit: str = "bits a value") -> bytes:
    """Loss by epoch, of the music learned from and of music unseen: `epochs` are (number, learned, unseen or None)."""
    drawn = new_figure(8.0, 4.5)
    here = _plain_axes(drawn, title)
    _draw_curve(here, [(number, learned) for number, learned, _ in epochs], "learned from", "#2b6cb0")
    unseen = [(number, loss) for number, _, loss in epochs if loss is not None and math.isfinite(loss)]
    if unseen:
        best = min(unseen, key=lambda point: point[1])
        _draw_curve(here, unseen, f"unseen (best {best[1]:.3f}, epoch {best[0]})", "#d9822b")
        here.plot(*best, "o", markersize=11, markerfacecolor="none", markeredgecolor="#d9822b")
    here.set_xlabel("epoch", color=INK)
    here.set_ylabel(unit, color=INK, parse_math=False)
    here.xaxis.set_major_locator(MaxNLocator(integer=True))
    here.legend(frameon=False)
    here.grid(axis="y", color="#e6e8ec")
    return figure_png(drawn)


def _draw_curve(axes: Axes, points: Sequence[tuple[int, float]], label: str, colour: str) -> None:
    numbers, losses = [number for number, _ in points], [loss for _, loss in points]
    axes.plot(numbers, losses, marker="o", markersize=3, linewidth=1.6, label=label, color=colour)


def value_frequencies(counts: Mapping[str, int], title: str) -> bytes:
    """How often each of the most frequent values comes, with its share of all; musical values coloured by kind."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown, total = ranked[:_MAX_VALUES], sum(counts.values())
    drawn = new_figure(8.0, 1.2 + 0.19 * max(4, len(shown)))
    rest = len(ranked) - len(shown)
    here = _plain_axes(drawn, title + (f" ({len(shown)} of {len(ranked):,})" if rest else ""))
    colours = [KIND_COLOURS.get(name.partition(",")[0], "#2b6cb0") for name, _ in shown]
    drawn_bars = here.barh(range(len(shown)), [count for _, count in shown], color=colours, height=0.78)
    labels = [f"{count:,} ({count / total:.1%})" for _, count in shown] if total else []
    here.bar_label(drawn_bars, labels, padding=3, fontsize=7, color=GREY)
    here.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=7, parse_math=False)
    here.set_ylim(max(4, len(shown)) - 0.4, -0.6)
    here.margins(x=0.16)
    here.set_xlabel(f"times, of {total:,}", color=INK)
    return figure_png(drawn)


def _plain_axes(drawn: Figure, title: str) -> Axes:
    here = drawn.subplots()
    here.set_title(title, color=INK, fontsize=12, parse_math=False)
    for side in ("top", "right"):
        here.spines[side].set_visible(False)
    here.tick_params(labelsize=8, labelcolor=INK)
    return here
