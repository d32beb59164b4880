# SPDX-License-Identifier: Apache-2.0
"""Draws pictures as PNG: a piano roll of notes over chords, learning curves, and the frequencies of values.

Each picture is drawn on a canvas of its own, without a display or pyplot's global state. This module needs matplotlib,
which the extra `picture` installs; nothing that plays imports it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import count, pairwise
from typing import Any, Literal

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from msgspec import Struct

from sideman_models.music.harmony import pitch_name

Axes = Any

DPI = 110
INK, GREY, PAPER = "#222222", "#8a8a8a", "#ffffff"
KIND_COLOURS = {"C": "#2b6cb0", "S": "#2f9e6e", "A": "#d9822b", "X": "#c0392b", "R": "#9a9a9a"}
"""The colour of each kind of value: chord tone, scale tone, approach tone, other tone, rest."""

MAX_PICTURE_BARS = 128
_MAX_BARS_IN_FOURS = 16  # up to this number of bars there are four in a row, else eight
_BLACK_KEYS = (1, 3, 6, 8, 10)
_NAMED_KEYS = (0, 2, 4, 7, 9)  # the names of B and F would touch their neighbours
_MIN_SEMITONES = 14
# Points, of chord names: the largest, the smallest with eight bars in a row, the smallest of all.
_MAX_FONT_SIZE, _MIN_EIGHT_BAR_FONT_SIZE, _MIN_FONT_SIZE = 10.0, 7.0, 4.5
_SEMITONE_INCHES = 0.075
_ROLL_INCHES, _LEFT_INCHES, _RIGHT_INCHES = 12.2, 0.35, 0.65
_TOP_INCHES, _GAP_INCHES = 0.4, 0.45
_VELOCITY_COLOURS = colormaps["plasma_r"]
_VELOCITY_RANGE = Normalize(20, 150)  # wider than needed at its pale end, which would vanish on white
_MAX_VALUES = 40


BarStartFunction = Callable[[int], float]
"""Returns the beat on which a bar starts. The bar is a number from 0, without an upper limit."""


Player = Literal["band", "you", "sideman"]
"""Who plays a note."""
_PLAYER_LOOKS: Mapping[Player, tuple[float, Mapping[str, Any]]] = {
    "band": (0.5, {"facecolors": "#c9ced6", "edgecolor": "#8d94a0", "linewidth": 0.3, "zorder": 2}),
    "you": (0.86, {"facecolors": "#ffffff", "edgecolor": "#00806a", "linewidth": 1.0, "hatch": "/////", "zorder": 4}),
    "sideman": (0.86, {"edgecolor": INK, "linewidth": 0.3, "zorder": 3}),
}
"""The height of each player's notes and their look, in the order in which they are drawn: one can tell them apart
without colours. The colour of sideman's notes is their velocity."""
_PLAYER_TEXTS: Mapping[Player, str] = {"band": "band: grey, flat", "you": "you: hatched", "sideman": "sideman: filled"}


class RollNote(Struct, frozen=True):
    """A note of a piano roll: `onset` and `length` in beats (quarter notes), MIDI `pitch` and `velocity` (0..127)."""

    onset: float
    length: float
    pitch: int
    velocity: int = 84
    player: Player = "sideman"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, on an Agg canvas of its own."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_png(figure: Figure) -> bytes:
    """Return the figure as PNG. The same drawing gives the same bytes."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font does not have is drawn as a box.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


# -- piano roll


def piano_roll(
    notes: Sequence[RollNote], chords: Sequence[tuple[float, str]], title: str, bar_start: BarStartFunction
) -> bytes:
    """Draw `notes` over `chords` as PNG, in rows of four or eight bars. The colour of sideman's is their velocity.

    A chord is (beat, name), sorted by beat. If there are more than `MAX_PICTURE_BARS` bars, only the first ones are
    drawn, and the title says so.
    """
    # All notes and the starts of all chords are drawn, and at least one bar.
    note_ends = [note.onset + max(note.length, 0.0) for note in notes]
    last = max([*note_ends, *(beat + 1e-6 for beat, _ in chords)], default=0.0)
    bars = next(bars for bars in count(1) if bar_start(bars) >= last - 1e-9)
    shown = min(bars, MAX_PICTURE_BARS)
    row_bars, row_beats, font_size = 8, *_fit_rows(chords, shown, 8, bar_start)
    if shown <= _MAX_BARS_IN_FOURS or font_size < _MIN_EIGHT_BAR_FONT_SIZE:
        row_bars, row_beats, font_size = 4, *_fit_rows(chords, shown, 4, bar_start)
    # The pitches reach a semitone beyond the notes, and over at least `_MIN_SEMITONES`.
    low = min((note.pitch for note in notes), default=60) - 1
    high = max((note.pitch for note in notes), default=72) + 1
    missing = max(0, _MIN_SEMITONES - (high - low))
    low, high = low - missing // 2, high + (missing + 1) // 2
    title += f" (bars 1–{shown} of {bars})" if shown < bars else ""
    players = [player for player in _PLAYER_LOOKS if any(note.player == player for note in notes)]
    if len(players) > 1:
        title += f" · {', '.join(_PLAYER_TEXTS[player] for player in reversed(players))}"
    figure, all_axes = _make_rows(math.ceil(shown / row_bars), (high - low + 1) * _SEMITONE_INCHES, title)
    for row, axes in enumerate(all_axes):
        first, bar_count = row * row_bars, min(row_bars, shown - row * row_bars)
        start, end = bar_start(first), bar_start(first + bar_count)
        axes.set_xlim(start, start + row_beats)
        axes.set_ylim(low - 0.5, high + 0.5)
        _draw_grid(axes, low, high, first, [bar_start(first + bar) for bar in range(bar_count + 1)])
        _draw_chord_names(axes, chords, start, end, font_size)
        _draw_notes(axes, notes, start, end)
    return figure_png(figure)


def _make_rows(rows: int, inches: float, title: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with a title and a scale of velocities, and its `rows` axes, each `inches` high."""
    height = _TOP_INCHES + rows * (inches + _GAP_INCHES)
    figure = new_figure(_LEFT_INCHES + _ROLL_INCHES + _RIGHT_INCHES, height)
    width = figure.get_figwidth()
    # The axes are placed by hand: a layout engine takes ten times as long as all the drawing.
    figure.set_layout_engine("none")
    figure.text(0.5, 1 - 0.1 / height, title, color=INK, fontsize=13, ha="center", va="top", parse_math=False)
    bottoms = [height - _TOP_INCHES - (row + 1) * (inches + _GAP_INCHES) + 0.22 for row in range(rows)]
    left, row_width = _LEFT_INCHES / width, _ROLL_INCHES / width
    all_axes = [figure.add_axes((left, bottom / height, row_width, inches / height)) for bottom in bottoms]
    for axes in all_axes:
        axes.tick_params(length=0, pad=2)
        axes.spines[:].set_visible(False)
    scale_box = (left + row_width + 0.12 / width, bottoms[0] / height, 0.12 / width, inches / height)
    colours = ScalarMappable(_VELOCITY_RANGE, _VELOCITY_COLOURS)
    scale = figure.colorbar(colours, cax=figure.add_axes(scale_box), ticks=range(20, 121, 20))
    scale.ax.set_ylim(20, 127)
    scale.set_label("velocity", fontsize=7, color=GREY)
    scale.ax.tick_params(labelsize=6, labelcolor=GREY, length=2)
    scale.outline.set_visible(False)
    return figure, all_axes


def _fit_rows(
    chords: Sequence[tuple[float, str]], bar_count: int, row_bars: int, bar_start: BarStartFunction
) -> tuple[float, float]:
    """Return the beats of the longest row, the scale of all rows, and the font size that keeps chord names apart."""
    beats = max(bar_start(first + row_bars) - bar_start(first) for first in range(0, bar_count, row_bars))
    points = _ROLL_INCHES * 72 / beats  # per beat
    sizes = [(after - beat) * points / (0.75 * len(name) + 0.4) for (beat, name), (after, _) in pairwise(chords)]
    return beats, max(_MIN_FONT_SIZE, min([_MAX_FONT_SIZE, *sizes]))


def _draw_grid(axes: Axes, low: int, high: int, first_bar: int, bar_lines: Sequence[float]) -> None:
    """Shade the black keys and name most white ones; draw lines between octaves, beats and bars; number the bars."""
    start, end = bar_lines[0], bar_lines[-1]
    black = [pitch for pitch in range(low, high + 1) if pitch % 12 in _BLACK_KEYS]
    bottoms = [pitch - 0.5 for pitch in range(low, high + 1) if pitch % 12 == 0]
    _draw_rectangles(axes, [(start, end, pitch) for pitch in black], 1.0, facecolor="#f1f3f6", linewidth=0)
    axes.hlines(bottoms, start, end, color="#c5c9d0", linewidth=0.6)
    named = [pitch for pitch in range(max(0, low), min(127, high) + 1) if pitch % 12 in _NAMED_KEYS]
    axes.set_yticks(named, [pitch_name(pitch) for pitch in named], fontsize=6, color=INK)
    beats = [line + beat for line, after in pairwise(bar_lines) for beat in range(1, math.ceil(after - line))]
    axes.vlines(beats, *axes.get_ylim(), color="#dcdfe4", linewidth=0.6)
    axes.vlines(bar_lines, *axes.get_ylim(), color="#777777", linewidth=0.9)
    numbers = [str(first_bar + bar) for bar in range(1, len(bar_lines))]
    axes.set_xticks(bar_lines[:-1], numbers, fontsize=7, color=GREY, ha="left")


def _draw_rectangles(axes: Axes, bars: Sequence[tuple[float, float, int]], height: float, **look: Any) -> None:  # noqa: ANN401
    """Draw rectangles (start beat, end beat, pitch), all in one collection."""
    corners = ((0, -1), (1, -1), (1, 1), (0, 1))
    rectangles = [[(bar[x], bar[2] + y * height / 2) for x, y in corners] for bar in bars]
    axes.add_collection(PolyCollection(rectangles, **look), autolim=False)


def _draw_chord_names(axes: Axes, chords: Sequence[tuple[float, str]], start: float, end: float, size: float) -> None:
    """Write the chords of a row above it. A chord that continues from the previous row is named again."""
    before = [(start, name) for beat, name in chords if beat <= start + 1e-9][-1:]
    for beat, name in before + [(beat, name) for beat, name in chords if start + 1e-9 < beat < end - 1e-9]:
        axes.annotate(
            name, (beat, 1.0), xycoords=("data", "axes fraction"), xytext=(1, 2), textcoords="offset points",
            fontsize=size, color=INK, fontweight="bold", ha="left", va="bottom", parse_math=False,
        )  # fmt: skip


def _draw_notes(axes: Axes, notes: Sequence[RollNote], start: float, end: float) -> None:
    """Draw the notes of a row. A note across the end of a row is drawn in both rows."""
    parts = [(max(note.onset, start), min(note.onset + note.length, end), note.pitch) for note in notes]
    visible = [(part, note) for part, note in zip(parts, notes, strict=True) if part[1] > part[0]]
    for player, (height, look) in _PLAYER_LOOKS.items():
        bars = [part for part, note in visible if note.player == player]
        if player == "sideman":
            velocities = (note.velocity for _, note in visible if note.player == player)
            colours = [_VELOCITY_COLOURS(_VELOCITY_RANGE(velocity)) for velocity in velocities]
            _draw_rectangles(axes, bars, height, facecolors=colours, **look)
        elif bars:
            _draw_rectangles(axes, bars, height, **look)


# -- curves and bars


def learning_curves(epochs: Sequence[tuple[int, float, float | None]], title: str) -> bytes:
    """Draw the loss by epoch as PNG. `epochs` are (number, training loss, loss on unseen music or None)."""
    figure, axes = _plain_figure(4.5, title)
    look = {"marker": "o", "markersize": 3, "linewidth": 1.6}
    numbers, losses = [number for number, _, _ in epochs], [loss for _, loss, _ in epochs]
    axes.plot(numbers, losses, **look, label="training", color="#2b6cb0")
    if unseen := [(number, loss) for number, _, loss in epochs if loss is not None and math.isfinite(loss)]:
        best = min(unseen, key=lambda point: point[1])
        label = f"unseen (best {best[1]:.3f}, epoch {best[0]})"
        axes.plot(*zip(*unseen, strict=True), **look, label=label, color="#d9822b")
        axes.plot(*best, "o", markersize=11, markerfacecolor="none", markeredgecolor="#d9822b")
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("bits per value", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    axes.grid(axis="y", color="#e6e8ec")
    return figure_png(figure)


def value_frequencies(counts: Mapping[str, int], title: str) -> bytes:
    """Draw as PNG how often each of the most frequent values occurs, with its share. The colour is the kind."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown, total = ranked[:_MAX_VALUES], sum(counts.values())
    title += f" ({len(shown)} of {len(ranked):,})" if len(shown) < len(ranked) else ""
    figure, axes = _plain_figure(1.2 + 0.19 * max(4, len(shown)), title)
    colours = [KIND_COLOURS.get(name.partition(",")[0], "#2b6cb0") for name, _ in shown]
    bars = axes.barh(range(len(shown)), [count for _, count in shown], color=colours, height=0.78)
    labels = [f"{count:,} ({count / total:.1%})" for _, count in shown] if total else []
    axes.bar_label(bars, labels, padding=3, fontsize=7, color=GREY)
    axes.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=7, parse_math=False)
    axes.set_ylim(max(4, len(shown)) - 0.4, -0.6)
    axes.margins(x=0.16)
    axes.set_xlabel(f"occurrences, of {total:,}", color=INK)
    return figure_png(figure)


def _plain_figure(height: float, title: str) -> tuple[Figure, Axes]:
    figure = new_figure(8.0, height)
    axes = figure.subplots()
    axes.set_title(title, color=INK, fontsize=12, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, labelcolor=INK)
    return figure, axes
