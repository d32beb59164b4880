# SPDX-License-Identifier: Apache-2.0
"""Quantising: properties on generated playing, and figures on recorded solos."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.input.quantize import SwingEstimator, quantize
from sideman.core.timing.tempo import exact_tick
from sideman_models.music.context import EvenBars
from sideman_models.music.swing import swung_beat
from support.data_files import data_file

BAR = 48
swings = st.floats(0.5, 0.68)
errors = st.floats(-0.01, 0.01)  # seconds


@given(st.sampled_from([36, 42, 48, 60]), st.integers(0, 400), st.floats(40, 240), st.floats(0.5, 0.6), st.floats(0, 1))
def test_an_early_note_belongs_to_the_bar_it_means(bar: int, number: int, bpm: float, swing: float, by: float) -> None:
    """Guards against: a note 30 ms early that is heard in the bar before, over that bar's chord."""
    early = by * (0.06 if bpm <= 110 and bar % 12 == 0 else 0.03)
    assert quantize(number * bar / 12 - early * bpm / 60, EvenBars(bar), swing, 60 / bpm) == number * bar


@given(st.integers(0, 500), st.sampled_from([0, 3, 4, 6, 8, 9]), st.floats(40, 110), st.floats(0.5, 0.56), errors)
def test_a_note_on_the_grid_is_written_there(beat: int, tick: int, bpm: float, swing: float, error: float) -> None:
    """Guards against: eighths, triplets and sixteenths that are confused when somebody plays a little unevenly."""
    sounds = swung_beat(12 * beat + tick, swing) + error * bpm / 60
    assert quantize(sounds, EvenBars(BAR), swing, 60 / bpm, 12 * beat if tick else None) == 12 * beat + tick


@given(st.integers(0, 500), st.floats(60, 200), st.floats(0.5, 0.66), errors)
def test_three_in_a_beat_are_a_triplet(beat: int, bpm: float, swing: float, error: float) -> None:
    """Guards against: the last note of a triplet that becomes a swung eighth."""
    ticks: list[int] = []
    for third in range(3):
        sounds = beat + third / 3 + (error * bpm / 60 if third == 2 else 0)
        ticks.append(quantize(sounds, EvenBars(BAR), swing, 60 / bpm, ticks[-1] if ticks else None))
    assert ticks == [12 * beat, 12 * beat + 4, 12 * beat + 8]


@given(st.floats(0, 500), st.floats(30, 400), swings, st.sampled_from([42, 48]), st.none() | st.integers(-3, 3))
def test_a_note_is_never_moved_far(beat: float, bpm: float, swing: float, bar: int, since: int | None) -> None:
    """Guards against: a note that is heard at another time than it was played, or two notes in the wrong order."""
    before = None if since is None else round(beat * 12) + since
    tick = quantize(beat, EvenBars(bar), swing, 60 / bpm, before)
    assert tick == before or abs(tick - exact_tick(beat, EvenBars(bar), swing)) <= 6
    assert before is None or tick >= before


@settings(max_examples=30)
@given(st.floats(0.5, 0.72), st.integers(0, 99), st.sampled_from([42, 48]))
def test_the_players_swing_is_measured(swing: float, seed: int, bar: int) -> None:
    """Guards against: a player who swings harder than we do and is heard in triplets and sixteenths."""
    estimator = SwingEstimator()
    wobble = [(seed * 7 + number * 31) % 11 / 500 - 0.01 for number in range(200)]
    beats = (top + beat for top in range(0, 600 * bar, bar) for beat in range(0, bar - 11, 12))
    for number, tick in enumerate(islice(beats, 60)):
        estimator.add_onset(tick / 12 + wobble[number], EvenBars(bar))
        if number % 4 == 3:  # triplets do not count
            estimator.add_onset(tick / 12 + 1 / 3, EvenBars(bar))
            estimator.add_onset(tick / 12 + 2 / 3, EvenBars(bar))
        elif number % 3:
            estimator.add_onset(tick / 12 + swing + wobble[-number], EvenBars(bar))
    assert estimator.estimate(0.54) == pytest.approx(swing, abs=0.015)


def test_the_estimate_starts_with_our_swing() -> None:
    """Guards against: first notes that are heard straight although everybody swings."""
    estimator = SwingEstimator()
    assert estimator.estimate(0.6) == 0.6
    for beat in range(20):
        estimator.add_onset(beat, EvenBars(BAR))
        estimator.add_onset(beat + 0.34, EvenBars(BAR))
    assert estimator.estimate(0.6) == 0.6
    for beat in range(20, 40):
        estimator.add_onset(beat, EvenBars(BAR))
        estimator.add_onset(beat + 0.77, EvenBars(BAR))
    assert estimator.estimate(0.6) == 0.75


def _recorded(solos: int) -> Iterator[list[tuple[float, float, float]]]:
    """Every onset of recorded swing solos in 4/4: its beat as played and as written, and the seconds of a beat."""
    with gzip.open(data_file("wjd/solos_train.jsonl.gz"), "rt", encoding="utf-8") as lines:
        records: Iterator[dict[str, Any]] = map(json.loads, lines)
        swing = (record for record in records if record["signature"] == "4/4" and record["rhythmfeel"] == "SWING")
        for record in islice(swing, 0, 20 * solos, 20):
            beats = [dict(zip(record["beat_fields"], row, strict=True)) for row in record["beats"]]
            times = [beat["onset_s"] for beat in beats]
            numbers = {(beat["bar"], beat["beat"]): number for number, beat in enumerate(beats)}
            yield [
                _onset(dict(zip(record["note_fields"], row, strict=True)), times, numbers) for row in record["notes"]
            ]


def _onset(note: dict[str, Any], times: list[float], numbers: dict[tuple[int, int], int]) -> tuple[float, float, float]:
    at = max(0, min(bisect_right(times, note["onset_s"]) - 1, len(times) - 2))
    beat_s = times[at + 1] - times[at]
    written = numbers[note["bar"], note["beat"]] + (note["tatum"] - 1) / note["division"]
    return at + (note["onset_s"] - times[at]) / beat_s, written, beat_s


def test_recorded_solos_are_heard_as_they_are_written() -> None:
    """Guards against: real playing that is heard worse than by plain rounding."""
    endless = EvenBars(12 * 10_000)
    notes = ours = rounded = on_beat = ours_on_beat = rounded_on_beat = 0
    for onsets in _recorded(12):
        estimator, before = SwingEstimator(), None
        for beat, written, beat_s in onsets:
            estimator.add_onset(beat, endless)
            before = quantize(beat, endless, estimator.estimate(0.54), beat_s, before)
            plain = min(
                (0, 2, 3, 4, 6, 8, 9, 10, 12), key=lambda tick: abs(tick - exact_tick(beat, endless, 0.54) % 12)
            )
            plain += 12 * int(exact_tick(beat, endless, 0.54) // 12)
            notes += 1
            ours += before == 12 * written
            rounded += plain == 12 * written
            if written % 1 == 0:
                on_beat += 1
                ours_on_beat += before == 12 * written
                rounded_on_beat += plain == 12 * written
    assert notes > 2000
    assert ours / notes > rounded / notes + 0.1
    assert ours_on_beat / on_beat > rounded_on_beat / on_beat + 0.2
