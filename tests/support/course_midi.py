# SPDX-License-Identifier: Apache-2.0
"""Small MIDI files of our own in the form of the classic corpus."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import mido

from sideman_models.course.corpus import CHORDS_TRACK, FIRST_SOLO_ONSET, MELODY_TRACK

TICKS = 96
Span = tuple[float, float, int]
"""Onset, length, pitch; in quarters from the start of the solo."""


def track(notes: Iterable[Span]) -> mido.MidiTrack:
    """A track of notes (onset, length, pitch), in quarters from the start of the solo."""
    events = [
        (round((FIRST_SOLO_ONSET + at) * TICKS), kind, pitch)
        for onset, length, pitch in notes
        for at, kind in ((onset, "note_on"), (onset + length, "note_off"))
    ]
    now, made = 0, mido.MidiTrack()
    for tick, name, pitch in sorted(events, key=lambda event: (event[0], event[1] == "note_on")):
        made.append(mido.Message(name, note=pitch, velocity=64, time=tick - now))
        now = tick
    return made


def write_classic_midi(folder: Path, melody: Iterable[Span], chords: Iterable[Span]) -> Path:
    """A file that has its tracks at the places where the classic corpus has them."""
    file = mido.MidiFile(ticks_per_beat=TICKS)
    file.tracks = [mido.MidiTrack() for _ in range(MELODY_TRACK + 1)]
    file.tracks[MELODY_TRACK] = track(melody)
    file.tracks[CHORDS_TRACK] = track(chords)
    path = folder / "made.mid"
    file.save(path)
    return path


def held_chord(pitches: Iterable[int], onset: float = 0.0, length: float = 4.0) -> list[Span]:
    """A chord as spans."""
    return [(onset, length, pitch) for pitch in pitches]
