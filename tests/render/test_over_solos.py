# SPDX-License-Identifier: Apache-2.0
"""Playing over solos for `evaluate`: the measured music must be the music that is played."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.chart.chart import Meter
from sideman.playing.assembly import Performance
from sideman.render.over_solos import RENDER_SETTINGS, chart_of_solo, play_over_solos
from sideman_models.music.harmony import parse_chord
from sideman_models.music.solos import ChordGrid, Solo
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.lstm import NumpyNetwork
from support.fakes import classic_bundle, modern_bundle, note_ons, play_on_fake_clock
from support.strategies import beat_changes, meters


def solo(title: str = "Blues", beats: int = 32, bar_ticks: int = 48) -> Solo:
    """A solo of which only the chords are known."""
    some = [parse_chord(text) for text in ("F7", "Bb7", "Gm7", "C7")]
    return Solo(title, "Nobody", (), ChordGrid(tuple(some[beat // 6 % 4] for beat in range(beats))), bar_ticks)


def test_it_plays_what_the_player_would_play() -> None:
    """Guards against: figures of other music than users hear."""
    bundle, over = modern_bundle(), solo()
    [piece] = play_over_solos(bundle, [over], 1, seed=5)
    performance = Performance(RENDER_SETTINGS, chart_of_solo(over), bundle, NumpyNetwork(bundle.weights), 5)
    recorder, _ = play_on_fake_clock(performance.make_engine(0.0, beats=32.0), 60.0)
    assert piece.solo is not None
    heard = note_ons(recorder)
    assert [note.pitch for note in piece.solo.notes] == [pitch for _, pitch in heard]
    swung = [second * RENDER_SETTINGS.tempo.bpm / 60 for second, _ in heard]
    assert [note.onset / TICKS_PER_QUARTER for note in piece.solo.notes] == pytest.approx(swung, abs=0.2)
    assert len(heard) > 10
    assert piece.pitches is not None
    assert [pitch for pitch in piece.pitches if pitch is not None] == [pitch for _, pitch in heard]


def test_its_values_are_those_that_were_chosen() -> None:
    """Guards against: gate or swing that changes the measured durations."""
    bundle = modern_bundle()
    [piece] = play_over_solos(bundle, [solo(beats=128)], 1, seed=2)
    assert piece.solo is not None
    assert piece.dropped_notes == 0
    notes = piece.solo.notes
    chosen = [note.end - note.onset for note in notes]
    written = [value.ticks for value in piece.values if value.kind != "R"]
    assert len(written) == len(chosen)
    # A rest that a bar line cuts may leave a tick or two to the note before.
    assert sum(one != other for one, other in zip(written, chosen, strict=True)) < len(chosen) / 50
    assert all(before.end <= after.onset for before, after in pairwise(notes))


def test_choruses_rotate_through_the_solos_with_seeds_of_their_own() -> None:
    """Guards against: the same chorus again and again; choruses that cannot be reproduced."""
    solos = [solo("One"), solo("Two", 16)]
    pieces = list(play_over_solos(modern_bundle(), solos, 3, seed=1))
    assert [piece.title for piece in pieces] == ["One", "Two", "One"]
    assert pieces[0].values != pieces[2].values
    assert pieces == list(play_over_solos(modern_bundle(), solos, 3, seed=1))
    assert pieces[2] == next(play_over_solos(modern_bundle(), solos[:1], 1, seed=3))
    assert list(play_over_solos(modern_bundle(), [], 3)) == []


def test_a_classic_bundle_can_play_over_solos() -> None:
    """Guards against: a classic network that cannot be measured."""
    [piece] = play_over_solos(classic_bundle(), [solo()], 1)
    assert {value.kind for value in piece.values} <= set("CSAXR")
    assert len(piece.values) > 10


@settings(max_examples=30)
@given(beat_changes(), st.just(Meter(4, 4)) | meters())
def test_the_chart_has_the_changes_of_the_solo(changes: ChordGrid, meter: Meter) -> None:
    """Guards against: the network plays over other chords than the solo it is compared with."""
    bar_ticks = round(meter.quarters * TICKS_PER_QUARTER)
    chart = chart_of_solo(Solo("", "", (), changes, bar_ticks))
    assert float(chart.meter.quarters) * TICKS_PER_QUARTER == bar_ticks
    assert 0 <= chart.length - changes.length_beats < bar_ticks / TICKS_PER_QUARTER
    for beat in range(math.ceil(changes.length_beats)):
        assert chart.chord_at(beat) == changes.chord_at(beat)
