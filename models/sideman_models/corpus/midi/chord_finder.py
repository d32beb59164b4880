# SPDX-License-Identifier: Apache-2.0
"""Finds the chords under a melody from the notes of its accompaniment.

The method is a hidden Markov model over slots of time (a beat, or an eighth in meters of eighths). Its states are the
qualities of `QUALITY_PRIORS` on the twelve roots; the Viterbi algorithm finds the best path. All numbers are logarithms
of probabilities that were set by hand:

- **Notes.** Each voice that sounds through a slot is one draw from the pitch classes. A chord tone is likely, another
  scale tone less likely, any other tone unlikely (`_TONE`, `_FIFTH`, `_SCALE`, `_OTHER`). In each state they are scaled
  to the sum 1, so a triad fits best where only the triad sounds. The draws of a slot are not independent, so they count
  only in part (`_VOICE_WEIGHT`). The notes of the melody say less about the chord, so they count even less
  (`_MELODY_WEIGHT`).
- **The bass** is the lowest note of a slot. Where a chord begins and on the first beat of a bar it is most likely the
  root, elsewhere any chord tone (`_BASS_WEIGHT`). From E3 it counts half, from C4 not at all.
- **Changes** of chord are likely at the bar line, less likely in the middle of the bar, and unlikely elsewhere. The
  most likely motion of the root is a fifth down (`_ROOT_MOTION`).
- **Qualities** are not equally common (`QUALITY_PRIORS`).

In a slot in which nothing sounds, the chord stays. If nothing sounds at all, there is no chord.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.corpus.midi.parser import TimedNote
from sideman_models.music.harmony import NO_CHORD, Chord, chord_on
from sideman_models.music.qualities import QUALITIES, QUALITY_PRIORS

Floats = npt.NDArray[np.floating]

_TONE, _FIFTH, _SCALE, _OTHER = 1.0, 0.7, 0.1, 0.02
_MELODY_TONE, _MELODY_SCALE, _MELODY_OTHER = 1.0, 0.5, 0.12
_VOICE_WEIGHT, _MELODY_WEIGHT = 0.7, 0.4
_BASS_BEGINS = (0.78, 0.08, 0.09, 0.05)
"""The bass where a chord begins: the root, the other chord tones together, the other scale tones, the rest."""
_BASS_ELSEWHERE = (0.24, 0.36, 0.18, 0.22)
_BASS_WEIGHT = 0.75
_HALF_BASS_FROM, _NO_BASS_FROM = 52, 60
_CHANGE_AT_BAR, _CHANGE_IN_MIDDLE, _CHANGE_ELSEWHERE = log(0.8), log(0.4), log(0.02)
_ROOT_MOTION = (0.05, 0.03, 0.12, 0.06, 0.03, 0.40, 0.02, 0.07, 0.02, 0.06, 0.04, 0.10)
"""The probability that the next root is 0 to 11 semitones higher (0: another quality on the same root)."""
_MIN_BASS_SHARE = 0.25
"""A note that sounds for this share of a slot may be its bass."""


class TimeSlots(Struct, frozen=True):
    """`count` slots of `ticks_per_slot` each, `slots_per_bar` in a bar. The first slot begins on a bar line."""

    count: int
    ticks_per_slot: int
    slots_per_bar: int


def find_chords(accompaniment: Sequence[TimedNote], melody: Sequence[TimedNote], slots: TimeSlots) -> list[Chord]:
    """Return the chord of each slot (the module docstring describes the method).

    Times of notes are in ticks from the first slot. If there is no accompaniment, pass the melody as both arguments.
    """
    voices, tune = _sounding_amounts(accompaniment, slots), _sounding_amounts(melody, slots)
    if not voices.any() and not tune.any():
        return [NO_CHORD] * slots.count
    audible = np.flatnonzero(voices.any(axis=1) | tune.any(axis=1))
    sounds = _VOICE_WEIGHT * _by_pitch_class(np.minimum(voices[audible], 1.0)) @ _TONE_SCORES.T
    sounds += _MELODY_WEIGHT * _by_pitch_class(np.minimum(tune[audible], 1.0)) @ _MELODY_TONE_SCORES.T
    may_be_bass = voices[audible] >= _MIN_BASS_SHARE
    lowest = np.argmax(may_be_bass, axis=1)
    weight = _BASS_WEIGHT * np.where(lowest < _HALF_BASS_FROM, 1.0, np.where(lowest < _NO_BASS_FROM, 0.5, 0.0))
    weight *= may_be_bass.any(axis=1)
    # How well each state explains each slot if its chord continues there, and if it begins there. Both are float32,
    # because they are large for a long piece.
    staying, beginning = (
        (sounds + weight[:, None] * scores.T[lowest % 12]).astype(np.float32)
        for scores in (_BASS_ELSEWHERE_SCORES, _BASS_BEGIN_SCORES)
    )
    path = _viterbi_path(staying, beginning, audible.tolist(), slots.slots_per_bar)
    latest = np.maximum(np.searchsorted(audible, np.arange(slots.count), side="right") - 1, 0)
    return [_STATE_CHORDS[path[index]] for index in latest]


def _sounding_amounts(notes: Sequence[TimedNote], slots: TimeSlots) -> Floats:
    """Return (slots, 128): how many notes of each pitch sound in each slot, in fractions of the slot."""
    amounts = np.zeros((slots.count, 128))
    edges: Floats = np.arange(slots.count + 1) * float(slots.ticks_per_slot)
    starts, ends, pitches = np.array(notes, np.float64).reshape(-1, 3).T
    for pitch in {pitch for _, _, pitch in notes}:
        same = pitches == pitch
        sounding = _time_since(starts[same], edges) - _time_since(ends[same], edges)
        amounts[:, pitch] = np.diff(sounding) / slots.ticks_per_slot
    return amounts


def _time_since(times: Floats, edges: Floats) -> Floats:
    """Return (edges,): for each edge the sum of the times since those of `times` that are before it."""
    ordered = np.sort(times)
    past = np.searchsorted(ordered, edges)
    return np.asarray(edges * past - np.concatenate([[0.0], np.cumsum(ordered)])[past])


def _by_pitch_class(amounts: Floats) -> Floats:
    """Sum pitches (slots, 128) by pitch class (slots, 12)."""
    return np.asarray(np.pad(amounts, ((0, 0), (0, 4))).reshape(-1, 11, 12).sum(axis=1))


def _viterbi_path(staying: Floats, beginning: Floats, places: Sequence[int], in_bar: int) -> list[int]:
    """Return the most likely state of each slot with notes; `places` are the numbers of these slots.

    The next chord depends only on the root of a chord, so only the best state of each root is considered.
    """
    shape = (len(QUALITY_PRIORS), 12)  # the states: one row for each quality, one column for each root
    staying, beginning = staying.reshape(-1, *shape), beginning.reshape(-1, *shape)
    same, roots = np.arange(len(_STATE_CHORDS), dtype=np.int16).reshape(shape), np.arange(12)
    origins = np.zeros(staying.shape, np.int16)
    best = beginning[0] + _QUALITY_SCORES
    for index, (last, slot) in enumerate(pairwise(places), 1):
        if slot // in_bar > last // in_bar:
            change = _CHANGE_AT_BAR
        else:
            change = _CHANGE_IN_MIDDLE if 2 * (slot % in_bar) == in_bar else _CHANGE_ELSEWHERE
        top = best.argmax(axis=0)
        moved = best[top, roots][:, None] + _ROOT_MOTION_SCORES
        before = moved.argmax(axis=0)
        new = moved[before, roots] + change + _QUALITY_SCORES + beginning[index]
        stay = best + log(1 - exp(change)) + (staying if slot % in_bar else beginning)[index]
        origins[index] = np.where(new > stay, 12 * top[before] + before, same)
        best = np.maximum(new, stay)
    path = [int(best.argmax())]
    flat_origins = origins.reshape(len(places), -1)
    for index in range(len(places) - 1, 0, -1):
        path.append(int(flat_origins[index, path[-1]]))
    return path[::-1]


def _pitch_class_scores(chord: Chord, tone: float, fifth: float, scale: float, other: float) -> Floats:
    """Return (12,) the logarithm of the probability of each pitch class."""
    weights = np.full(12, other)
    weights[list(chord.scale)] = scale
    weights[list(chord.tones)] = tone
    if 7 in chord.quality.tones:
        weights[(chord.root + 7) % 12] = fifth
    return np.asarray(np.log(weights / weights.sum()))


def _bass_scores(chord: Chord, shares: tuple[float, float, float, float]) -> Floats:
    """Return (12,) the logarithm of the probability of each pitch class as the bass."""
    root, tone, scale, other = shares
    tones, scales = chord.tones - {chord.root}, chord.scale - chord.tones
    weights = np.full(12, other / max(1, 12 - len(chord.scale | chord.tones)))
    weights[list(scales)] = scale / max(1, len(scales))
    weights[list(tones)] = tone / max(1, len(tones))
    weights[chord.root] = root
    return np.asarray(np.log(weights / weights.sum()))


# The states: for each quality, the roots C to B.
_STATE_CHORDS: list[Chord] = [chord_on(root, QUALITIES[quality]) for quality in QUALITY_PRIORS for root in range(12)]
_TONE_SCORES = np.array([_pitch_class_scores(chord, _TONE, _FIFTH, _SCALE, _OTHER) for chord in _STATE_CHORDS])
_MELODY_TONE_SCORES = np.array(
    [_pitch_class_scores(chord, _MELODY_TONE, _MELODY_TONE, _MELODY_SCALE, _MELODY_OTHER) for chord in _STATE_CHORDS]
)
_BASS_BEGIN_SCORES = np.array([_bass_scores(chord, _BASS_BEGINS) for chord in _STATE_CHORDS])
_BASS_ELSEWHERE_SCORES = np.array([_bass_scores(chord, _BASS_ELSEWHERE) for chord in _STATE_CHORDS])
_QUALITY_SCORES = np.log(list(QUALITY_PRIORS.values()))[:, None]
_ROOT_MOTION_SCORES = np.log([[_ROOT_MOTION[(after - before) % 12] for after in range(12)] for before in range(12)])
