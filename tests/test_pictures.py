# SPDX-License-Identifier: Apache-2.0
"""Pictures: the notes, curves and counts are visible. The tests look at pixels."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.strategies import chord_symbols

pytest.importorskip("matplotlib")

from sideman_models import pictures
from sideman_models.pictures import KIND_COLOURS, RollNote, learning_curves, piano_roll, value_frequencies

Pixels = npt.NDArray[np.uint8]

roll_notes = st.builds(RollNote, st.floats(0, 14), st.floats(0, 9), st.integers(0, 127), st.integers(1, 127))
in_four_four = partial(piano_roll, bar_start=lambda bar: 4.0 * bar)
named = st.lists(st.tuples(st.integers(0, 20).map(float), chord_symbols()), max_size=8).map(sorted)


def pixels(picture: bytes) -> Pixels:
    """Decode a picture: (height, width, 3)."""
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(picture), "png")[:, :, :3] * 255).round().astype(np.uint8)


def area(picture: Pixels, colour: str) -> int:
    """Count the pixels of a colour, written #rrggbb."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.abs(picture.astype(int) - wanted).max(axis=2) <= 2).sum())


def coloured(picture: Pixels) -> int:
    """Count the pixels of any colour but grey: those of notes and of the scale beside them."""
    return int((np.ptp(picture.astype(int), axis=2) > 40).sum())


@pytest.mark.slow
@settings(max_examples=4)
@given(st.lists(roll_notes, max_size=20), named, st.sampled_from([2.5, 3.0, 4.0]))
@example([], [], 4.0)
def test_any_line_can_be_drawn(notes: list[RollNote], chords: list[tuple[float, str]], bar_beats: float) -> None:
    """Guards against: a traceback for a line of unusual shape."""
    for line in (lambda bar: bar * bar_beats, lambda bar: bar * bar_beats + bar // 3):
        picture = pixels(piano_roll(notes, chords, "any", line))
        height, width, _ = picture.shape
        assert width > 1000
        assert height > 100
        assert area(picture, "#ffffff") < height * width


def test_every_note_and_every_chord_is_visible() -> None:
    """Guards against: notes or chords that are missing in the picture."""
    one, other = RollNote(0.0, 2.0, 60, 80), RollNote(21.0, 1.0, 72, 80)
    whole, half = (pixels(in_four_four(notes, [(0.0, "C7")], "line")) for notes in ([one, other], [one]))
    named_too = pixels(in_four_four([one, other], [(0.0, "C7"), (20.0, "F#m7b5")], "line"))
    assert coloured(whole) > coloured(half)
    assert whole.shape == named_too.shape
    changed = np.argwhere((whole != named_too).any(axis=2))
    assert len(changed) > 20
    assert np.ptp(changed[:, 1]) < whole.shape[1] / 4  # the new name changes only its own bar


def test_many_long_names_get_more_room() -> None:
    """Guards against: chord names that overlap or are too small to read."""
    notes = [RollNote(67.0, 1.0, 60)]
    few, many = ([(float(beat), "F#m7b5") for beat in range(0, 80, step)] for step in (4, 1))
    assert len(pixels(in_four_four(notes, many, "line"))) > 1.5 * len(pixels(in_four_four(notes, few, "line")))


def test_longer_notes_are_longer_and_higher_ones_higher() -> None:
    """Guards against: a picture of another line than was played."""
    rows = {}
    for pitch, length in ((60, 1.0), (67, 2.0)):
        notes = [RollNote(1.0, length, pitch, 80), RollNote(0.0, 0.01, 50, 80), RollNote(0.0, 0.01, 75, 80)]
        picture = pixels(in_four_four(notes, [], "line"))[:, :-150].astype(int)  # without the scale
        rows[pitch] = np.argwhere(np.ptp(picture, axis=2) > 60)
    assert np.median(rows[67][:, 0]) < np.median(rows[60][:, 0])
    assert np.ptp(rows[67][:, 1]) > 1.4 * np.ptp(rows[60][:, 1])


def test_a_very_long_solo_gives_a_picture_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a picture that needs more memory the longer the solo is."""
    monkeypatch.setattr(pictures, "MAX_PICTURE_BARS", 8)
    long, short = (
        pixels(in_four_four([RollNote(4.0 * bar, 1.0, 60) for bar in range(bars)], [], "solo")) for bars in (10_000, 8)
    )
    assert long.shape == short.shape
    assert (long != short).any()  # the title says that there are more bars


@pytest.mark.parametrize("title", ["$x", "$\\frac$", "名前", "\x01"])
def test_a_title_is_shown_as_it_is_written(title: str) -> None:
    """Guards against: an error for a title with a dollar sign or unusual letters."""
    shown, empty = (pixels(in_four_four([], [(0.0, text or "C7")], text)) for text in (title, ""))
    assert (shown != empty).any()


def test_the_same_line_gives_the_same_bytes() -> None:
    """Guards against: different bytes for the same picture, and so bundles that cannot be reproduced."""
    assert in_four_four([RollNote(0, 1, 60)], [], "line") == in_four_four([RollNote(0, 1, 60)], [], "line")


@pytest.mark.parametrize("unseen", [None, 5.0, float("nan")])
def test_learning_curves_with_and_without_held_out_music(unseen: float | None) -> None:
    """Guards against: a missing curve if no pieces are held out."""
    picture = pixels(learning_curves([(1, 6.0, unseen), (2, 5.0, unseen)], "learning"))
    assert area(picture, "#2b6cb0") > 100
    assert (area(picture, "#d9822b") > 20) == (unseen == 5.0)


@settings(max_examples=3)
@given(st.dictionaries(st.text(max_size=8), st.integers(0, 10**6), max_size=60))
@example({})
@example({"C,0.500,+1": 0})
def test_any_counts_can_be_drawn(counts: dict[str, int]) -> None:
    """Guards against: a traceback for a corpus of one value or none."""
    assert pixels(value_frequencies(counts, "values")).shape[2] == 3


def test_the_more_frequent_value_has_the_longer_bar() -> None:
    """Guards against: bars whose lengths do not fit the counts."""
    picture = pixels(value_frequencies({"R,1.000": 10, "C,0.500,+1": 90}, "values"))
    assert area(picture, KIND_COLOURS["C"]) > 5 * area(picture, KIND_COLOURS["R"]) > 0
