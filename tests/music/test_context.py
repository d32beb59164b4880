# SPDX-License-Identifier: Apache-2.0
"""What the network is told beside the value before."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sideman_models.music.context import FEATURES, ContextFeatures, EvenBars, Place, clash_mask_at, place_at
from sideman_models.music.harmony import NO_CHORD, TONE_KINDS, parse_chord
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
def test_each_feature_lights_its_own_rows(place: Place, names: list[str]) -> None:
    """The network would be told one thing in the words for another."""
    context = ContextFeatures(names)
    rows = context.active_rows(place)
    assert len(rows) == context.max_active
    lit = [int(row) for row in rows if row != context.n_rows]
    assert len(set(lit)) == len(lit)
    assert all(0 <= row < context.n_rows for row in lit)
    start = 0
    for name in names:
        feature = FEATURES[name]
        told = [row - start for row in lit if start <= row < start + feature.row_count]
        assert told == list(feature.active_rows(place))
        assert len(told) in (feature.max_active, 0 if place.previous_pitch is None else feature.max_active)
        start += feature.row_count


def test_the_words_of_a_place_can_be_read() -> None:
    """A trained bundle would be told other things than it was trained on: no row may ever move."""
    place = Place(30, parse_chord("Dm7"), parse_chord("G7"), 1.5, 65)
    told = {name: list(feature.active_rows(place)) for name, feature in FEATURES.items()}
    assert told["position in the bar"] == [30]
    assert told["place in the beat"] == [6]
    assert told["beat"] == [2]
    assert told["root motion"] == [5]
    assert told["beats to the change"] == [1]
    assert told["register"] == [3]
    assert told["previous pitch from the root now"] == [3]
    assert told["previous pitch from the root next"] == [10]
    # Offsets 0..11 from F over D minor: chord tone, then F# outside the scale, G in it, and so on.
    kinds = "".join(TONE_KINDS[row % 4] for row in told["kinds of the twelve offsets now"])
    assert kinds == "".join(TONE_KINDS[parse_chord("Dm7").kind_of(65 + offset)] for offset in range(12))


@given(st.lists(modern_values(), min_size=1, unique=True), places)
def test_a_value_clashes_when_its_interval_leads_to_another_kind(known: list[Value], place: Place) -> None:
    """The mask would punish the right notes."""
    clash = clash_mask_at(Vocabulary(known), place)
    for value, clashing in zip(known, clash, strict=True):
        if value.interval is None or place.previous_pitch is None:
            assert not clashing
        else:
            assert isinstance(value.interval, int)
            assert clashing == (TONE_KINDS[place.chord.kind_of(place.previous_pitch + value.interval)] != value.kind)


@given(beat_changes(), st.integers(-20, 2000))
def test_the_next_change_is_the_next_different_chord(changes: ChordGrid, tick: int) -> None:
    """The network would aim at a chord that does not come."""
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


def test_without_a_chord_there_is_no_root_to_tell_from() -> None:
    """N.C. would be told as if it were a chord on C."""
    place = Place(0, NO_CHORD, parse_chord("C7"), 2.0, 60)
    assert FEATURES["previous pitch from the root now"].active_rows(place) == [12]
    assert FEATURES["root motion"].active_rows(place) == [12]


def test_a_place_says_the_same_when_it_comes_from_another_process() -> None:
    """Music read by several processes at once would be told in other words than the same music read by one."""
    place = Place(0, NO_CHORD, parse_chord("G7"), 4.0, 60)
    copied = pickle.loads(pickle.dumps(place))
    assert np.array_equal(
        ContextFeatures(sorted(FEATURES)).active_rows(copied), ContextFeatures(sorted(FEATURES)).active_rows(place)
    )
