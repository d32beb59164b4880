# SPDX-License-Identifier: Apache-2.0
"""Choosing the next value: notes of both players enter the network, and every setting has its effect."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.core.chart.timeline import ChartTimeline
from sideman.core.engine import play_through
from sideman.core.events import Choice, NoteOn
from sideman.core.parts.improviser import AUTO_REPEATS, Improviser
from sideman.core.parts.masks import MASK_SETTINGS, ValueMasks, smoothing_rules
from sideman.core.parts.random_source import RandomSource
from sideman.core.settings.groups.play import PlaySettings
from sideman_models.music.line import LineNote
from sideman_models.music.values import REST_KIND, Value
from sideman_models.network.bundle import Bundle, load_bundle
from support.fakes import RecordingNetwork, classic_bundle, modern_bundle, motif_bundle, performance
from support.offline_network import offline_distribution, softmax

phrases = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 40), st.integers(40, 90)), min_size=1, max_size=12)


def improviser(bundle: Bundle | None = None, net: RecordingNetwork | None = None, **keys: Any) -> Improviser:
    """An improviser at the top of the four bars of `fakes.CHANGES`."""
    return performance(bundle, net, **keys).make_engine(0.0).improviser


def line(phrase: list[tuple[int, int, int]]) -> list[LineNote]:
    """A phrase of (gap, length, pitch) in ticks as notes that do not overlap."""
    notes, now = [], 0
    for gap, length, pitch in phrase:
        now += gap
        notes.append(LineNote(now, now + length, pitch))
        now += length
    return notes


@settings(max_examples=60)
@given(phrases, st.sampled_from([modern_bundle(), motif_bundle()]))
def test_hearing_a_phrase_moves_the_network_like_reading_it(phrase: list[tuple[int, int, int]], bundle: Bundle) -> None:
    """Guards against: a solo that answers something else than what was played."""
    notes = line(phrase)
    tick = int(notes[-1].end) + 24
    player = improviser(bundle, play__mode="off", play__motif=1.0)
    for note in notes:
        player.player_note_on(note.onset, note.pitch)
        player.player_note_off(note.end, note.pitch)
    _, logits = player.predict(tick)
    assert softmax(logits) == pytest.approx(offline_distribution(bundle, notes, tick), abs=1e-6)


@given(st.integers(36, 96), st.integers(0, 47))
def test_a_note_just_heard_counts_for_the_very_next_value(pitch: int, tick: int) -> None:
    """Guards against: an answer that is always a note behind."""
    silent, heard = improviser(), improviser()
    heard.player_note_on(tick, pitch)
    assert not np.allclose(silent.predict(48)[1], heard.predict(48)[1])


def test_what_is_fed_back_is_what_sounded() -> None:
    """Guards against: a network that is fed other durations than it played."""
    value = Value("C", 3, 2)
    for gate, written in ((0.9, ["C,1.000"]), (0.5, ["C,0.500", "R,0.500"])):
        bundle = modern_bundle()
        network = RecordingNetwork(bundle.weights)
        player = improviser(bundle, network, play__gate=gate)
        index = bundle.vocabulary.index_of(value) or 0
        player.record_played(Choice(0, 12, index, value, 62, 80))
        player.record_played(Choice(12, 12, index, value, 64, 80))
        player.predict(24)
        texts = [bundle.vocabulary.values[fed].text for fed in network.fed_values if fed is not None]
        assert [text[:7] for text in texts[: len(written)]] == written


def test_a_released_key_does_not_end_our_note_of_that_pitch() -> None:
    """Guards against: a network that sees its own note cut short."""
    player = improviser()
    player.player_note_on(0, 60)
    player.record_played(Choice(12, 12, 0, modern_bundle().vocabulary.values[0], 60, 80))
    player.player_note_off(15, 60)
    assert [written.value.ticks for written in player._line.copy().finish_at(24)] == [12]


@given(st.floats(-0.4, 0.99))
def test_simultaneous_notes_of_both_enter_the_line(lag: float) -> None:
    """Guards against: a network that loses its own note whenever the player plays at the same time."""
    bundle = modern_bundle()
    player = improviser(bundle)
    for beat in range(1, 9):
        onsets = [(12.0 * beat, None), (12.0 * beat + lag, 90)]
        for tick, heard in sorted(onsets, key=lambda onset: onset[0]):
            if heard is None:
                player.record_played(Choice(12 * beat, 12, 0, bundle.vocabulary.values[0], 60, 80))
            else:
                player.player_note_on(tick, heard)
    assert player._line.dropped_notes == 0


def test_a_classic_network_is_fed_the_value_that_was_drawn() -> None:
    """Guards against: a classic solo that is not that of the course."""
    bundle = classic_bundle()
    network = RecordingNetwork(bundle.weights)
    player = improviser(bundle, network)
    drawn = []
    for beat in range(8):
        choice = player.choose(12 * beat)
        player.record_played(choice)
        drawn.append(choice.index)
    network.fed_values.clear()
    player.predict(96)
    assert network.fed_values[-1] == drawn[-1]


def solo(player: Improviser, ticks: int = 480) -> list[Choice]:
    """What `player` chooses and plays from the top, without input."""
    choices, tick = [], 0
    while tick < ticks:
        choices.append(player.choose(tick))
        player.record_played(choices[-1])
        tick += choices[-1].length
    return choices


def leaps(choices: list[Choice]) -> list[int]:
    """Semitones from note to note."""
    pitches = [choice.pitch for choice in choices if choice.pitch is not None]
    return [abs(after - before) for before, after in pairwise(pitches)]


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([1, 3, 5, 12]), st.sampled_from([0.25, 1 / 3, 0.5, 1]))
def test_a_classic_solo_keeps_the_rules_of_the_originals(seed: int, leap: int, apart: float) -> None:
    """Guards against: a classic solo with rhythms off the grid, crowded notes and wide leaps."""
    keys: dict[str, Any] = {"play__leap": leap, "play__apart": apart, "play__seed": seed, "play__window": 2}
    choices = solo(improviser(classic_bundle(), play__rate="phrase", **keys))
    assert all(choice.tick % 12 in (0, 3, 4, 6, 8, 9) for choice in choices)
    assert all(choice.length >= 12 * apart for choice in choices)
    changes = ChartTimeline(performance().chart)
    for before, after in pairwise(choices):
        assert before.pitch is not None
        assert after.pitch is not None
        chord = changes.chord_at(after.tick / 12)
        kind = chord.kind_of(after.pitch)
        fitting = [pitch for pitch in range(48, 85) if chord.kind_of(pitch) == kind and pitch != before.pitch]
        assert abs(after.pitch - before.pitch) <= max(leap, min(abs(pitch - before.pitch) for pitch in fitting))


def test_without_its_rules_a_classic_solo_is_as_it_was_drawn() -> None:
    """Guards against: rules that cannot be turned off, so that their effect cannot be shown."""
    off: dict[str, Any] = {"play__settle": False, "play__leap": 0, "play__apart": 0, "play__repetition": 0}
    choices = solo(improviser(classic_bundle(), play__rate="phrase", **off))
    assert all(choice.length == choice.value.ticks for choice in choices)
    assert any(choice.tick % 12 not in (0, 3, 4, 6, 8, 9) for choice in choices)


def test_a_classic_network_is_fed_the_value_drawn_though_its_duration_settled() -> None:
    """Guards against: a network that leaves the music it has learned because its values were smoothed."""
    bundle = classic_bundle()
    network = RecordingNetwork(bundle.weights)
    player = improviser(bundle, network, play__rate="phrase")
    tick, changed = 0, 0
    for _ in range(60):
        choice = player.choose(tick)
        player.record_played(choice)
        tick += choice.length
        changed += choice.length != choice.value.ticks
        network.fed_values.clear()
        player.predict(tick)
        assert network.fed_values[-1] == choice.index
    assert changed


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([2, 5, 12]), st.sampled_from([0, 0.25, 0.5]))
def test_a_modern_solo_keeps_the_rules_in_what_it_draws(seed: int, leap: int, apart: float) -> None:
    """Guards against: rules that change notes after they were chosen, while the network is fed others."""
    keys: dict[str, Any] = {"play__leap": leap, "play__apart": apart, "play__settle": True, "play__seed": seed}
    choices = solo(improviser(play__rate="phrase", **keys))
    assert all(choice.length == choice.value.ticks for choice in choices)
    assert all(choice.tick % 12 in (0, 2, 3, 4, 6, 8, 9, 10) for choice in choices)
    assert all(choice.length >= 12 * apart for choice in choices if choice.pitch is not None)
    assert all(semitones <= leap for semitones in leaps(choices))


def test_a_modern_solo_is_left_as_it_was_learned() -> None:
    """Guards against: rules made for another corpus that change how the default bundle plays."""
    kept: dict[str, Any] = {"play__leap": 0, "play__apart": 0, "play__settle": False}
    assert solo(improviser(play__rate="phrase")) == solo(improviser(play__rate="phrase", **kept))


controls = st.fixed_dictionaries(
    {
        "play__rate": st.sampled_from(["beat", "eighth", "triplet", "sixteenth", "phrase"]),
        "play__temperature": st.sampled_from([0, 0.3, 1, 5]),
        "play__top_k": st.integers(0, 5),
        "play__top_p": st.floats(0.01, 1),
        "play__repetition": st.integers(0, 3),
        "play__density": st.floats(0, 4),
        "play__rests": st.integers(0, 2),
        "play__window": st.integers(0, 6),
        "play__leap": st.sampled_from(["auto", 0, 1, 12]),
        "play__apart": st.sampled_from(["auto", 0, 0.5, 4]),
        "play__settle": st.sampled_from(["auto", True, False]),
        "play__seed": st.integers(0, 100),
    }
)
ranges = st.tuples(st.integers(0, 127), st.integers(0, 40)).map(lambda pair: (pair[0], min(127, sum(pair))))
heard_notes = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 127)), max_size=6)


@settings(max_examples=150)
@given(controls, ranges, heard_notes, st.sampled_from([modern_bundle(), classic_bundle()]))
def test_with_any_settings_a_choice_is_a_pitch_in_range_or_a_rest(
    keys: dict[str, Any], span: tuple[int, int], heard: list[tuple[int, int]], bundle: Bundle
) -> None:
    """Guards against: a knob that stops the music with an error, or leaves the range of the instrument."""
    low, high = span
    player = improviser(bundle, play__range=f"{low}-{high}", **keys)
    for tick, pitch in sorted(heard):
        player.player_note_on(tick, pitch)
    tick = 60
    for _ in range(5):
        choice = player.choose(tick)
        assert choice.pitch is None or (low <= choice.pitch <= high and 1 <= choice.velocity <= 127)
        assert choice.length > 0
        player.record_played(choice)
        tick += choice.length


@given(st.integers(0, 1000))
def test_choosing_changes_nothing(seed: int) -> None:
    """Guards against: a choice that leaves traces after it was taken back, so that a performance does not repeat."""
    player = improviser(play__seed=seed)
    player.player_note_on(0, 60)
    before = player.export_state(12)
    assert player.choose(12) == player.choose(12)
    assert player.export_state(12) == before


def test_temperature_0_takes_the_likeliest_value() -> None:
    """Guards against: the safest setting that still plays at random."""
    player = improviser(play__temperature=0, play__repetition=0)
    place, logits = player.predict(0)
    kinds = {place.chord.kind_of(pitch) for pitch in range(12)}
    playable = np.isin(modern_bundle().vocabulary.kinds, [*kinds, REST_KIND])
    assert player.choose(0).index == np.where(playable, logits, -np.inf).argmax()


def test_top_k_of_one_is_the_likeliest_at_any_temperature() -> None:
    """Guards against: `top_k` that lets other values in."""
    safe = improviser(play__temperature=0, play__repetition=0)
    for seed in range(20):
        assert improviser(play__top_k=1, play__repetition=0, play__seed=seed).choose(0).index == safe.choose(0).index


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_rests_in_a_row_are_limited(limit: int) -> None:
    """Guards against: a band that waits for a soloist who has fallen asleep."""
    player = improviser(play__density=0.01, play__rests=limit)
    rests = 0
    for beat in range(60):
        choice = player.choose(12 * beat)
        rests = 0 if choice.pitch is not None else rests + 1
        assert rests <= limit
        player.record_played(choice)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("window", [0, 3])
def test_repetitions_of_a_pitch_are_limited(limit: int, window: int) -> None:
    """Guards against: a network that hammers one note."""
    bundle = modern_bundle()
    player = improviser(bundle, play__repetition=limit, play__window=window)
    pitches: list[int | None] = []
    for beat in range(200):
        choice = player.choose(12 * beat)
        pitches.append(choice.pitch)
        player.record_played(choice)
    played = [pitch for pitch in pitches if pitch is not None]
    assert all(len(set(played[start : start + limit + 1])) > 1 for start in range(len(played) - limit))


def test_density_leaves_room() -> None:
    """Guards against: a knob for space that has no effect."""

    def rests(density: float) -> int:
        player = improviser(play__density=density, play__rests=16)
        count = 0
        for beat in range(100):
            choice = player.choose(12 * beat)
            count += choice.pitch is None
            player.record_played(choice)
        return count

    assert rests(0.25) > rests(1.0) > rests(4.0)


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.integers(0, 2))
def test_draws_depend_only_on_seed_tick_and_purpose(seed: int, tick: int, purpose: int) -> None:
    """Guards against: a seed that does not give the same solo again."""
    drawn = RandomSource(seed).draw(tick, purpose)
    assert 0 <= drawn < 1
    other = RandomSource(seed)
    other.draw(tick + 1, purpose)
    assert other.draw(tick, purpose) == drawn


@pytest.mark.parametrize("bundle", [modern_bundle(), classic_bundle(), motif_bundle()])
def test_a_saved_state_is_restored(bundle: Bundle) -> None:
    """Guards against: a restart that forgets what was played together."""
    player, later = improviser(bundle), improviser(bundle)
    for tick in range(0, 96, 12):
        player.record_played(player.choose(tick))
    player.player_note_on(96, 65)
    player.player_note_on(108, 67)
    later.restore_state(player.export_state(120), 120)
    assert later.export_state(120) == player.export_state(120)
    _, expected = player.predict(120)
    _, logits = later.predict(120)
    assert logits.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "broken",
    [
        {"a": [1.0]},
        {"c": [float("nan")] * 16},
        {"last": "Q,1.000"},
        {"pitch": 400},
        *({"motifs": wrong} for wrong in ([1 << 20], "x", [0.5])),
    ],
)
def test_a_state_that_does_not_fit_is_refused(broken: dict[str, Any]) -> None:
    """Guards against: a foreign or damaged state that is played."""
    player = improviser(motif_bundle())
    with pytest.raises((ValueError, KeyError)):
        player.restore_state({**player.export_state(0), **broken}, 0)


@pytest.mark.parametrize("rate", ["beat", "phrase"])
@pytest.mark.parametrize("bundle", [classic_bundle(), modern_bundle()])
def test_masks_are_made_again_for_every_setting_that_they_are_made_from(bundle: Bundle, rate: str) -> None:
    """Guards against: a new setting that changes the masks at the start, and nothing while sideman plays."""
    read = set()

    class Recorded:
        def __getattr__(self, name: str) -> object:
            read.add(name)
            return rate if name == "rate" else getattr(PlaySettings(), name)

    recorded: Any = Recorded()
    ValueMasks(bundle.vocabulary, recorded, smoothing_rules(recorded, classic=bundle.classic))
    assert {"range", "rate", "window", "leap"} <= read <= set(MASK_SETTINGS)


def play_motif(player: Improviser, first_tick: int, pitches: list[int]) -> int:
    """Let the player play eighths; returns the tick after them."""
    for number, pitch in enumerate(pitches):
        player.player_note_on(first_tick + 6 * number, pitch)
    return first_tick + 6 * len(pitches)


@pytest.mark.parametrize(("strength", "played"), [(0.0, 0), (1.0, 4)])
def test_a_motif_of_the_players_is_taken_up(strength: float, played: int) -> None:
    """Guards against: a player whose motif is forgotten, and a setting or a view without effect."""
    player = improviser(motif_bundle(), play__motif=strength, play__temperature=0.0, play__rate="phrase")
    start = play_motif(player, 0, [60, 62, 65, 64, 69])
    after = play_motif(player, start, [60, 62, 65, 64])
    choice = player.choose(after)
    player.record_played(choice)
    assert (choice.pitch == 69, choice.motif) == (bool(played), played)


@pytest.mark.parametrize("is_theirs", [True, False])
def test_an_answer_takes_up_what_the_player_played(is_theirs: bool) -> None:
    """Guards against: turns that answer nothing, or that repeat our own motifs instead of the player's."""
    player, plain = improviser(motif_bundle(), play__motif=2.0, play__response=0.5), improviser(modern_bundle())
    for each in (player, plain):
        for tick, pitch in zip(range(0, 48, 6), [60, 62, 65, 64, 69, 60, 62, 65], strict=True):
            if is_theirs:
                each.player_note_on(tick, pitch)
            else:
                each.record_played(Choice(tick, 6, None, Value("C", 6), pitch, 80))
    (_, base), (_, alone), (_, answer) = plain.predict(48), player.predict(48), player.predict(48, answers=True)
    assert np.abs(alone - base).max() > 1
    np.testing.assert_allclose(answer - alone, is_theirs * 0.5 * (alone - base), atol=1e-5)


@pytest.mark.parametrize(("repeats", "rate", "times"), [
    (2.0, "phrase", 2.0), (0.5, "eighth", 0.5), (0.0, "phrase", 0.0), (1.0, "phrase", 1.0),
    ("auto", "phrase", AUTO_REPEATS), ("auto", "beat", 1.0),
])  # fmt: skip
def test_repeats_weight_the_same_pitch_alone(repeats: float | str, rate: str, times: float) -> None:
    """Guards against: a setting without effect, or one that moves other notes too."""
    player, same = improviser(modern_bundle(), play__repeats=repeats, play__rate=rate), []
    _, before = player.predict(0)
    after = player._adjust_logits(before, 0.0)
    for value, change in zip(player.bundle.vocabulary.values, np.exp(after - before), strict=True):
        same.append(value.interval == 0)
        assert change == pytest.approx(times if value.interval == 0 else 1.0, abs=1e-5)
    assert any(same)
    classic = improviser(classic_bundle(), play__rate="phrase")
    _, before = classic.predict(0)
    assert classic._adjust_logits(before, 0.0) is before


@pytest.mark.parametrize(("variety", "full"), [(0, 1.0), (2, 1.0), (3, 1 / 3), (4, 0.0), (12, 0.0)])
def test_motifs_of_few_pitches_count_no_more_than_learned(variety: int, full: float) -> None:
    """Guards against: a solo that goes round on two notes for the rest of the evening."""
    plain = improviser(modern_bundle())
    twice = improviser(motif_bundle(), play__motif=3.0, play__variety=variety)
    for player in (plain, twice):
        play_motif(player, 0, [60, 62] * 8)
    once = improviser(motif_bundle(), play__motif=1.0, play__variety=variety)
    play_motif(once, 0, [60, 62] * 8)
    base = plain.predict(96)[1]
    learned = once.predict(96)[1] - base
    assert np.abs(learned).max() > 1
    np.testing.assert_allclose(twice.predict(96)[1] - base, (1.0 + 2.0 * full) * learned, atol=1e-4)


@pytest.mark.parametrize("motif", [1.0, 3.0])
def test_it_does_not_go_round_on_a_few_notes(motif: float) -> None:
    """Guards against: a chord that lasts, over which it plays the same two or three notes for a hundred notes.

    Of 307 recorded soloists, the longest stretch with three pitches or fewer has 49 notes within the first 216.
    """
    keys: dict[str, Any] = {"play__rate": "phrase", "play__motif": motif, "chart__changes": "| Dm7 |"}
    stretches = []
    for seed in range(3):
        made = performance(load_bundle("default"), play__seed=seed, chart__choruses=72, **keys)
        items = [due.item for due in play_through(made.make_engine(0.0))]
        pitches = [item.pitch for item in items if isinstance(item, NoteOn)]
        stretches.append(longest_stretch(pitches, 3))
    assert max(stretches) < 50


def longest_stretch(pitches: Sequence[int], different: int) -> int:
    """The number of notes of the longest stretch with at most `different` pitches."""
    longest = first = 0
    for last in range(len(pitches)):
        while len({*pitches[first : last + 1]}) > different:
            first += 1
        longest = max(longest, last + 1 - first)
    return longest


def test_no_memory_of_motifs_is_no_effect() -> None:
    """Guards against: bundles of yesterday that play other notes, and a setting that is not off at 0."""
    plain, off = improviser(modern_bundle()), improviser(motif_bundle(), play__motif=0.0)
    for player in (plain, off):
        play_motif(player, 0, [60, 62, 65, 64, 69, 60, 62, 65])
    assert plain.predict(48)[1].tolist() == off.predict(48)[1].tolist()
    assert plain.export_state(48)["motifs"] == []
    twice, once = (improviser(motif_bundle(), play__motif=strength) for strength in (2.0, 1.0))
    for player in (twice, once):
        play_motif(player, 0, [60, 62, 65, 64, 69, 60, 62, 65])
    base = plain.predict(48)[1]
    np.testing.assert_allclose(twice.predict(48)[1] - base, 2.0 * (once.predict(48)[1] - base), atol=1e-5)
