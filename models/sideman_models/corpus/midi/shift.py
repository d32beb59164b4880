# SPDX-License-Identifier: Apache-2.0
"""Finds notes that begin off the beats of the file, and moves them if they do so by a constant time.

**Notes off the beat.** In music recorded without a click, the beats of the file are anywhere. Chance alone would put a
quarter of the notes within a sixteenth of a beat of a beat or its half. If there are 64 notes or more, and fewer than
three in ten are that near, they ignore the beats.

**A constant shift.** Many programs write such notes all late, or all early, by the same time. It is a shift if half of
the notes or more are near the beats, or near their halves, thirds or quarters, once it is taken off. Of the shifts that
do so (of eighths late by a sixth, also a third early) the smallest is taken, unless with another one clearly more notes
begin on beats. It is looked for in all parts together, and then in each that still ignores the beats. Texts and meters
move with all parts, unless this brings them off the beats.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import pi

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from sideman_models.corpus.midi.parser import MidiTrack, TimedNote
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.text import count_noun

Floats = npt.NDArray[np.floating]

_MIN_NOTES, _MAX_CHANCE_SHARE, _MIN_SHARE = 64, 0.3, 0.5
_GRIDS = (1, 2, 3, 4)
"""The parts of a beat on which notes may begin."""
_NEAR = 1 / 8
"""How far from a place of the grid a note may begin, as a share of the distance of two places."""
_MIN_SHIFT = 1 / 24
_CLEARLY_MORE = 1.3
_DRUM_CHANNEL = 9


def without_shift(tracks: Sequence[tuple[int, MidiTrack]]) -> tuple[list[tuple[int, MidiTrack]], list[str]]:
    """Return numbered tracks that sound together without the constant shift of their notes, and remarks on it."""
    remarks = []
    parts = [_onsets(notes) for _, track in tracks for notes in track.notes.values()]
    if common := _constant_shift(np.concatenate([*parts, np.zeros(0)])):
        remarks.append(f"its notes begin {_beats_text(common)}: moved to the beats")
        tracks = [(number, _moved_track(track, common)) for number, track in tracks]
    moved: list[tuple[int, MidiTrack]] = []
    texts: defaultdict[str, int] = defaultdict(int)
    for number, track in tracks:
        found = {
            channel: shift
            for channel, notes in track.notes.items()
            if channel != _DRUM_CHANNEL and (shift := _constant_shift(_onsets(notes), of_one_part=True))
        }
        notes = {channel: _moved_notes(notes, found.get(channel, 0.0)) for channel, notes in track.notes.items()}
        moved.append((number, replace(track, notes=defaultdict(list, notes)) if found else track))
        for shift in found.values():
            texts[_beats_text(shift)] += 1
    remarks += [f"{count_noun(count, 'part')} {text}: moved to the beats" for text, count in texts.items()]
    return moved, remarks


def ignores_beats(onsets: Floats) -> bool:
    """Whether notes with these onsets ignore the beats of the file: see the module docstring."""
    return len(onsets) >= _MIN_NOTES and _near_share(onsets / TICKS_PER_QUARTER, 2) < _MAX_CHANCE_SHARE


def _constant_shift(onsets: Floats, *, of_one_part: bool = False) -> float:
    """Return by how many ticks the notes are late (negative: early), or 0.0 if there is no constant shift."""
    if not ignores_beats(onsets):
        return 0.0
    beats = onsets / TICKS_PER_QUARTER
    offsets = {grid: float(np.angle(np.exp(2j * pi * grid * beats).mean())) / (2 * pi * grid) for grid in _GRIDS}
    shares = {grid: _near_share(beats - offset, grid) for grid, offset in offsets.items()}
    grid = max(_GRIDS, key=lambda one: (round(shares[one], 3), -one))
    # A part that always begins at the same place of the beat, such as an off-beat guitar, plays it as it is meant.
    if shares[grid] < _MIN_SHARE or (of_one_part and grid == 1):
        return 0.0
    places = np.round((beats - offsets[grid]) * grid) / grid
    rests = beats - places
    shift = float(np.median(rests[np.abs(rests - offsets[grid]) * grid <= _NEAR]))
    candidates = [shift + step / grid for step in range(-grid, grid + 1) if abs(shift + step / grid) <= 0.5]
    best = 0.0, -1.0
    for one in sorted(candidates, key=lambda one: (round(abs(one), 3), -one)):
        on_beats = _near_share(beats - one, 1)
        if on_beats > _CLEARLY_MORE * best[1]:
            best = one, on_beats
    return best[0] * TICKS_PER_QUARTER if abs(best[0]) >= _MIN_SHIFT else 0.0


def _near_share(beats: Floats, grid: int) -> float:
    """Return the share of these times that are near a place of the grid."""
    places = beats * grid
    return float(np.mean(np.abs(places - np.round(places)) <= _NEAR)) if len(places) else 0.0


def _moved_track(track: MidiTrack, shift: float) -> MidiTrack:
    """Return the track moved, without those of its parts, texts and meters that this would bring off the beats."""
    notes = {
        channel: _moved_notes(notes, shift) if _helps(_onsets(notes), shift) else notes
        for channel, notes in track.notes.items()
    }
    texts, meters = track.texts, track.time_signatures
    if _helps(np.array([text.tick for text in texts]), shift):
        texts = [replace(text, tick=_moved(text.tick, shift)) for text in texts]
    if _helps(np.array([tick for tick, _, _ in meters if tick]), shift):
        meters = [(_moved(tick, shift) if tick else tick, above, below) for tick, above, below in meters]
    return replace(track, notes=defaultdict(list, notes), texts=texts, time_signatures=meters)


def _helps(ticks: Floats, shift: float) -> bool:
    """Whether these times are at least as near to the places of the grids once the shift is taken off."""
    before, after = ticks / TICKS_PER_QUARTER, (ticks - shift) / TICKS_PER_QUARTER
    return sum(_near_share(after, grid) - _near_share(before, grid) for grid in _GRIDS) > -1e-9


def _onsets(notes: Sequence[TimedNote]) -> Floats:
    return np.array([start for start, _, _ in notes], np.float64)


def _moved_notes(notes: list[TimedNote], shift: float) -> list[TimedNote]:
    return [(_moved(start, shift), _moved(end, shift), pitch) for start, end, pitch in notes] if shift else notes


def _moved(tick: float, shift: float) -> float:
    """Return an earlier tick, rounded so that what belongs on a bar line is not before it."""
    return max(0.0, round(tick - shift, 6))


def _beats_text(shift: float) -> str:
    return f"{abs(shift) / TICKS_PER_QUARTER:.2f} of a beat {'late' if shift > 0 else 'early'}"
