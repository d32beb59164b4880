# SPDX-License-Identifier: Apache-2.0
"""The chords under a melody, found from the notes of its accompaniment.

A hidden Markov model over slots of time (a beat, in metres of eighths an eighth), its states the qualities of
`QUALITY_PRIORS` on the twelve roots, its best path found by Viterbi. All figures are logarithms of probabilities, set
by hand:

- **What sounds.** Each voice that sounds through a slot is one draw from the pitch classes: a tone of the chord is
  likely, one of its scale less, any other unlikely (`_TONE`, `_FIFTH`, `_SCALE`, `_OTHER`, of sum 1). As every state
  shares out the same whole, a triad fits best where nothing but the triad sounds. The draws of a slot do not stand
  alone, so they count only in part (`_VOICE_WEIGHT`); those of the melody, which says less of the chord, less still
  (`_MELODY_WEIGHT`).
- **The bass**, the lowest note of a slot: where a chord begins and on the first beat of a bar most likely its root,
  elsewhere any of its tones (`_BASS_WEIGHT`). Above E3 it counts half, above C4 nothing.
- **Changes** come with the bar line, seldom in its middle, hardly ever elsewhere; the root then likes to fall by a
  fifth (`_ROOT_MOTION`).
- **Qualities** differ in how common they are (`QUALITY_PRIORS`).

A slot in which nothing sounds tells nothing: the chord stays. Where nothing sounds at all there is no chord.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
import numpy.typing as npt

from sideman_models.corpus.midi.parser import TimedNote
from sideman_models.music.harmony import NO_CHORD, QUALITIES, QUALITY_PRIORS, Chord, chord_on

Floats = npt.NDArray[np.floating]

_TONE, _FIFTH, _SCALE, _OTHER = 1.0, 0.7, 0.1, 0.02
_MELODY_TONE, _MELODY_SCALE, _MELODY_OTHER = 1.0, 0.5, 0.12
_VOICE_WEIGHT, _MELODY_WEIGHT = 0.7, 0.4
_BASS_BEGINS = (0.78, 0.08, 0.09, 0.05)
"""The bass where a chord begins: its root, its other tones together, other tones of its scale, the rest."""
_BASS_ELSEWHERE = (0.24, 0.36, 0.18, 0.22)
_BASS_WEIGHT = 0.75
_HALF_BASS_FROM, _NO_BASS_FROM = 52, 60
_CHANGE_AT_BAR, _CHANGE_IN_MIDDLE, _CHANGE_ELSEWHERE = log(0.8), log(0.4), log(0.02)
_ROOT_MOTION = {
    0: 0.05,
    5: 0.40,
    2: 0.12,
    11: 0.10,
    7: 0.07,
    9: 0.06,
    3: 0.06,
    10: 0.04,
    1: 0.03,
    4: 0.03,
    8: 0.02,
    6: 0.02,
}
"""How likely the next root lies so many semitones higher (0: another quality on the same root)."""
_MIN_BASS_SHARE = 0.25
"""A note that holds for this part of a slot may be its bass."""


@dataclass(frozen=True, slots=True)
class TimeSlots:
    """`count` slots of `ticks_per_slot` each, `slots_per_bar` to a bar; the first begins on a bar line."""

    count: int
    ticks_per_slot: int
    slots_per_bar: int


def find_chords(accompaniment: Sequence[TimedNote], melody: Sequence[TimedNote], slots: TimeSlots) -> list[Chord]:
    """The chord of every slot, from notes whose times are ticks from the first slot. See the module for the method.

    Without accompaniment the melody alone must tell: give it as both.
    """
    voices, tune = _sounding_amounts(accompaniment, slots), _sounding_amounts(melody, slots)
    if not voices.any() and not tune.any():
        return [NO_CHORD] * slots.count
    telling = np.flatnonzero(voices.any(axis=1) | tune.any(axis=1))
    staying, beginning = _observation_scores(voices[telling], tune[telling])
    path = _viterbi_path(staying, beginning, telling.tolist(), slots.slots_per_bar)
    latest = np.maximum(np.searchsorted(telling, np.arange(slots.count), side="right") - 1, 0)
    return [_STATE_CHORDS[path[index]] for index in latest]


def _sounding_amounts(notes: Sequence[TimedNote], slots: TimeSlots) -> Floats:
    """(slots, 128): how many notes of each pitch sound through each slot, parts of it counted as such."""
    held = np.zeros((slots.count, 128))
    edges: Floats = np.arange(slots.count + 1) * float(slots.ticks_per_slot)
    by_pitch: dict[int, tuple[list[float], list[float]]] = {}
    for start, end, pitch in notes:
        starts, ends = by_pitch.setdefault(pitch, ([], []))
        starts.append(start)
        ends.append(end)
    for pitch, (starts, ends) in by_pitch.items():
        held[:, pitch] = np.diff(_time_since(starts, edges) - _time_since(ends, edges)) / slots.ticks_per_slot
    return held


def _time_since(times: Sequence[float], edges: Floats) -> Floats:
    """(edges,): the time since each of `times`, summed over those that are past."""
    ordered = np.sort(np.array(times, np.float64))
    past = np.searchsorted(ordered, edges)
    return np.asarray(edges * past - np.concatenate([[0.0], np.cumsum(ordered)])[past])


def _observation_scores(voices: Floats, tune: Floats) -> tuple[Floats, Floats]:
    """(slots, states) twice: how well each chord explains a slot it goes on in, and one it begins in."""
    sounds = _VOICE_WEIGHT * _by_pitch_class(np.minimum(voices, 1.0)) @ _TONE_SCORES.T
    sounds += _MELODY_WEIGHT * _by_pitch_class(np.minimum(tune, 1.0)) @ _MELODY_TONE_SCORES.T
    lowest = np.argmax(voices >= _MIN_BASS_SHARE, axis=1)
    weight = _BASS_WEIGHT * np.where(lowest < _HALF_BASS_FROM, 1.0, np.where(lowest < _NO_BASS_FROM, 0.5, 0.0))
    weight *= (voices >= _MIN_BASS_SHARE).any(axis=1)
    below = weight[:, None]
    elsewhere = sounds + below * _BASS_ELSEWHERE_SCORES.T[lowest % 12]
    begins = sounds + below * _BASS_BEGIN_SCORES.T[lowest % 12]
    return elsewhere.astype(np.float32), begins.astype(np.float32)  # two of them, of a long piece, are large


def _by_pitch_class(held: Floats) -> Floats:
    """(slots, 12) from (slots, 128)."""
    padded = np.concatenate([held, np.zeros((len(held), 4))], axis=1)
    return np.asarray(padded.reshape(len(held), 11, 12).sum(axis=1))


def _viterbi_path(staying: Floats, beginning: Floats, places: Sequence[int], in_bar: int) -> list[int]:
    """The likeliest state of every slot, of which `places` says where it lies.

    Where a chord goes depends on its root alone: of each root only the best state is asked.
    """
    shape = (len(QUALITY_PRIORS), 12)  # the states: a row a quality, a column a root
    staying, beginning = staying.reshape(-1, *shape), beginning.reshape(-1, *shape)
    same, roots = np.arange(len(_STATE_CHORDS), dtype=np.int16).reshape(shape), np.arange(12)
    came_from = np.zeros(staying.shape, np.int16)
    best = beginning[0] + _QUALITY_SCORES
    for index in range(1, len(places)):
        at_bar = places[index] % in_bar == 0
        change = _change_score(places[index], places[index - 1], in_bar)
        top = best.argmax(axis=0)
        moved = best[top, roots][:, None] + _ROOT_MOTION_SCORES
        before = moved.argmax(axis=0)
        new = moved[before, roots] + change + _QUALITY_SCORES + beginning[index]
        stay = best + log(1 - exp(change)) + (beginning if at_bar else staying)[index]
        came_from[index] = np.where(new > stay, 12 * top[before] + before, same)
        best = np.maximum(new, stay)
    path = [int(best.argmax())]
    origins = came_from.reshape(len(places), -1)
    for index in range(len(places) - 1, 0, -1):
        path.append(int(origins[index, path[-1]]))
    return path[::-1]


def _change_score(slot: int, before: int, in_bar: int) -> float:
    """How likely a chord changes at a slot, the last one that told anything being `before`."""
    if slot // in_bar > before // in_bar:
        return _CHANGE_AT_BAR
    return _CHANGE_IN_MIDDLE if 2 * (slot % in_bar) == in_bar else _CHANGE_ELSEWHERE


def _pitch_class_scores(chord: Chord, tone: float, fifth: float, scale: float, other: float) -> Floats:
    """(12,) logarithms of the probability of each pitch class."""
    likely = np.full(12, other)
    likely[list(chord.scale)] = scale
    likely[list(chord.tones)] = tone
    if 7 in chord.quality.tones:
        likely[(chord.root + 7) % 12] = fifth
    return np.asarray(np.log(likely / likely.sum()))


def _bass_scores(chord: Chord, shares: tuple[float, float, float, float]) -> Floats:
    """(12,) logarithms of the probability of each pitch class as the bass."""
    root, tone, scale, other = shares
    tones, scales = chord.tones - {chord.root}, chord.scale - chord.tones
    likely = np.full(12, other / max(1, 12 - len(chord.scale | chord.tones)))
    likely[list(scales)] = scale / max(1, len(scales))
    likely[list(tones)] = tone / max(1, len(tones))
    likely[chord.root] = root
    return np.asarray(np.log(likely / likely.sum()))


# The states: quality by quality, each on the roots C to B.
_STATE_CHORDS: list[Chord] = [chord_on(root, QUALITIES[quality]) for quality in QUALITY_PRIORS for root in range(12)]
_TONE_SCORES = np.array([_pitch_class_scores(chord, _TONE, _FIFTH, _SCALE, _OTHER) for chord in _STATE_CHORDS])
_MELODY_TONE_SCORES = np.array(
    [_pitch_class_scores(chord, _MELODY_TONE, _MELODY_TONE, _MELODY_SCALE, _MELODY_OTHER) for chord in _STATE_CHORDS]
)
_BASS_BEGIN_SCORES = np.array([_bass_scores(chord, _BASS_BEGINS) for chord in _STATE_CHORDS])
_BASS_ELSEWHERE_SCORES = np.array([_bass_scores(chord, _BASS_ELSEWHERE) for chord in _STATE_CHORDS])
_QUALITY_SCORES = np.log(list(QUALITY_PRIORS.values()))[:, None]
_ROOT_MOTION_SCORES = np.log([[_ROOT_MOTION[(after - before) % 12] for after in range(12)] for before in range(12)])
