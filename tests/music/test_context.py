# SPDX-License-Identifier: Apache-2.0
"""The context features of a value (sideman_models.music.context)."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.music.context import FEATURES, ContextFeatures, EvenBars, Place, clash_mask_at, place_at
from sideman_models.music.harmony import NO_CHORD, parse_chord
from sideman_models.music.qualities import TONE_KINDS
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import Value, Vocabulary
from support.strategies import beat_changes, chords, modern_values

places = st.builds(
    Place,
    st.integers(0, 95),
    chords(),
    chords(),
    st.floats(0.01, 64) | st.just(float("inf")),
    st.none() | st.integers(0, 127),
)


@given(places, st.lists(st.sampled_from(sorted(FEATURES)), unique=True))
def test_each_feature_turns_on_its_own_rows(place: Place, names: list[str]) -> None:
    """Guards against: features that share rows, so that the network confuses one with another."""
    context = ContextFeatures(names)
    rows = context.active_rows(place)
    assert len(rows) == context.max_active
    active = [int(row) for row in rows if row != context.n_rows]
    assert len(set(active)) == len(active)
    assert all(0 <= row < context.n_rows for row in active)
    start = 0
    for name in names:
        feature = FEATURES[name]
        own = [row - start for row in active if start <= row < start + feature.row_count]
        assert own == list(feature.active_rows(place))
        assert len(own) in (feature.max_active, 0 if place.previous_pitch is None else feature.max_active)
        start += feature.row_count


def test_the_rows_of_a_place_never_move() -> None:
    """Guards against: rows that change their meaning, so that a trained bundle gets other input than in training."""
    place = Place(30, parse_chord("Dm7"), parse_chord("G7"), 1.5, 65)
    rows = {name: list(feature.active_rows(place)) for name, feature in FEATURES.items()}
    assert rows["position in the bar"] == [30]
    assert rows["place in the beat"] == [6]
    assert rows["beat"] == [2]
    assert rows["root motion"] == [5]
    assert rows["beats to the change"] == [1]
    assert rows["register"] == [3]
    assert rows["previous pitch from the root now"] == [3]
    assert rows["previous pitch from the root next"] == [10]
    # Offsets 0..11 from F over D minor: chord tone, then F# outside the scale, G in it, and so on.
    kinds = "".join(TONE_KINDS[row % 4] for row in rows["kinds of the twelve offsets now"])
    assert kinds == "".join(TONE_KINDS[parse_chord("Dm7").kind_of(65 + offset)] for offset in range(12))


@given(st.lists(modern_values(), min_size=1, unique=True), places)
def test_a_value_clashes_when_its_interval_leads_to_another_kind(known: list[Value], place: Place) -> None:
    """Guards against: a mask that penalises the values that fit."""
    clash = clash_mask_at(Vocabulary(known), place)
    for value, clashing in zip(known, clash, strict=True):
        if value.interval is None or place.previous_pitch is None:
            assert not clashing
        else:
            assert isinstance(value.interval, int)
            assert clashing == (TONE_KINDS[place.chord.kind_of(place.previous_pitch + value.interval)] != value.kind)


@given(beat_changes(), st.integers(-20, 2000))
def test_the_next_change_is_the_next_different_chord(changes: ChordGrid, tick: int) -> None:
    """Guards against: a network that aims at a chord that does not come."""
    place = place_at(changes, EvenBars(48), max(0, tick), None)
    beat = max(0, tick) / 12
    assert place.chord == changes.chords[min(len(changes.chords) - 1, int(beat))]
    if np.isinf(place.beats_to_change):
        assert all(chord == place.chord for chord in changes.chords[int(beat) :])
    else:
        assert place.beats_to_change > 0
        assert place.next_chord != place.chord
        assert changes.chord_at(beat + place.beats_to_change) == place.next_chord
        between = range(int(beat), round(beat + place.beats_to_change))
        assert all(changes.chords[at] == place.chord for at in between)


def test_without_a_chord_there_is_no_distance_from_its_root() -> None:
    """Guards against: N.C. treated as a chord on C."""
    place = Place(0, NO_CHORD, parse_chord("C7"), 2.0, 60)
    assert FEATURES["previous pitch from the root now"].active_rows(place) == [12]
    assert FEATURES["root motion"].active_rows(place) == [12]


def test_a_place_from_another_process_has_the_same_rows() -> None:
    """Guards against: music that gets other rows if several processes read it."""
    place = Place(0, NO_CHORD, parse_chord("G7"), 4.0, 60)
    copied = pickle.loads(pickle.dumps(place))
    assert np.array_equal(
        ContextFeatures(sorted(FEATURES)).active_rows(copied), ContextFeatures(sorted(FEATURES)).active_rows(place)
    )
