# SPDX-License-Identifier: Apache-2.0
"""Reading MIDI files for training: notes per second, beside mido, which only parses them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence

import mido
import numpy as np

from bench.figures import Budget, Figure, in_turns, median
from sideman_models.corpus.midi.parser import TimedNote, parse_midi
from sideman_models.corpus.midi.reader import ReadingOptions, read_midi
from sideman_models.evaluation.chord_accuracy import band_accompaniment
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.solos import solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER

FILES, CHORUSES = 8, 16
SLOWER = 8
"""How many times as long as mido's parsing it may take to find melody and chords and to write values."""
_DIVISION = 480
_CHANGES = ["D-7", "G7", "C^7", "A7b9", "F-7", "Bb7", "Eb^7", "A7alt"]
_MIDO, _BYTES = "mido's parsing alone", "our parsing alone"


def figures(effort: float) -> Iterator[Figure]:
    """From the bytes of files to values: melody and chords are found, and nothing is cached."""
    files = [random_file(np.random.default_rng(seed)) for seed in range(FILES)]
    notes = sum(len(played) for data in files for one in parse_midi(data).tracks for played in one.notes.values())
    times = in_turns(
        max(1, round(8 * effort)),
        {
            "ours": (1, lambda: [_values(data) for data in files]),
            _BYTES: (1, lambda: [parse_midi(data) for data in files]),
            _MIDO: (1, lambda: [mido.MidiFile(file=io.BytesIO(data)) for data in files]),
        },
    )
    rates = {what: notes / median(seconds) for what, seconds in times.items()}
    ours = rates.pop("ours")
    budget = Budget(f"at least 1/{SLOWER} of what mido parses", rates[_MIDO] / SLOWER, ours, at_least=True)
    yield Figure("reading MIDI files, to values", "notes/s", ours, None, rates, budget)


def _values(data: bytes) -> int:
    return sum(len(solo_to_piece(solo).values) for solo in read_midi(data, ReadingOptions()).solos)


def random_file(rng: np.random.Generator) -> bytes:
    """A random melody of eighths over bass and chords, as a file of type 1 without chord symbols."""
    chords = [parse_chord(text) for text in _CHANGES * CHORUSES for _ in range(4)]
    file = io.BytesIO()
    tracks = [_track("Sax", 0, _melody(chords, rng)), _track("Band", 1, band_accompaniment(chords, rng))]
    mido.MidiFile(type=1, ticks_per_beat=_DIVISION, tracks=tracks).save(file=file)
    return file.getvalue()


def _melody(chords: Sequence[Chord], rng: np.random.Generator) -> Iterator[TimedNote]:
    pitch = 72
    for eighth in range(2 * len(chords)):
        pitch = int(np.clip(pitch + rng.integers(-4, 5), 58, 86))
        start = TICKS_PER_QUARTER / 2 * eighth
        yield start, start + TICKS_PER_QUARTER / 2, pitch


def _track(name: str, channel: int, notes: Iterable[TimedNote]) -> mido.MidiTrack:
    events = [(at, kind, pitch) for start, end, pitch in notes for at, kind in ((start, "note_on"), (end, "note_off"))]
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    now = 0
    for at, kind, pitch in sorted(events):
        tick = round(at * _DIVISION / TICKS_PER_QUARTER)
        track.append(mido.Message(kind, channel=channel, note=pitch, velocity=80, time=tick - now))
        now = tick
    return track
