# SPDX-License-Identifier: Apache-2.0
"""Measures the accuracy of `chord_finder` against chord changes that are known.

There are three trials over whole tunes. All count beats:

- **Band**: an accompaniment generated from the changes. It has a walking bass with leading notes and passing tones, and
  rootless chords of two to four voices, as often off the beat as on it. One chord in eight is a semitone too high or
  too low.
- **Plain chords**, as the left hand of a pianist plays them: all tones, any of them lowest, and no bass.
- **The bass of the Weimar Jazz Database**, one pitch a beat as its authors heard it, with the solo as the melody. These
  two are the only parts that hint at the chords.

A root is right if it is the same pitch class. A family (`harmony.CHORD_FAMILIES`) is right if the root is right too.
Beats without a chord, and beats whose symbol could not be read, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from sideman_models.corpus.midi.chord_finder import TimeSlots, find_chords
from sideman_models.corpus.midi.parser import TimedNote
from sideman_models.corpus.weimar import read_bass_lines, read_solos
from sideman_models.music.harmony import NO_CHORD, Chord
from sideman_models.music.solos import Solo
from sideman_models.music.values import TICKS_PER_QUARTER

ChordsAndMelody = tuple[Sequence[Chord], Sequence[TimedNote]]
"""One chord a beat, and a melody whose times are in `TICKS_PER_QUARTER`."""
Accompaniment = Callable[[Sequence[Chord], np.random.Generator], Iterator[TimedNote]]

_LOWEST_BASS, _LOWEST_COMPING, _LOWEST_PLAIN = 33, 52, 48


class ChordAccuracy(Struct, frozen=True):
    """The number of beats, and the shares of them with the right root and with the right root and family."""

    beats: int
    root_share: float
    family_share: float

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[Chord, Chord]]) -> ChordAccuracy:
        """Return the accuracy over pairs (found chord, true chord), one a beat."""
        beats = roots = families = 0
        for found, true in pairs:
            if true != NO_CHORD:
                root_right = found != NO_CHORD and found.root == true.root
                beats += 1
                roots += root_right
                families += root_right and found.quality.family == true.quality.family
        return cls(beats, roots / max(1, beats), families / max(1, beats))

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON, rounded to four decimals."""
        return {"beats": self.beats, "roots": round(self.root_share, 4), "families": round(self.family_share, 4)}


def accompaniment_accuracy(tunes: Iterable[ChordsAndMelody], accompaniment: Accompaniment) -> ChordAccuracy:
    """Return the accuracy over tunes in 4/4 with a generated accompaniment."""
    return ChordAccuracy.from_pairs(
        pair
        for number, (chords, melody) in enumerate(tunes)
        for pair in _found_and_true(list(accompaniment(chords, np.random.default_rng(number))), melody, chords)
    )


def database_tunes(path: Path) -> Iterator[ChordsAndMelody]:
    """Yield the changes and the melody of each solo in a database file."""
    for solo in read_solos(path):
        yield solo.changes.chords, _timed_notes(solo)


def database_bass_accuracy(path: Path) -> ChordAccuracy:
    """Return the accuracy over a database's solos with their own bass. Raises `CorpusError` as `read_bass_lines`."""
    return ChordAccuracy.from_pairs(
        pair
        for solo, basses in read_bass_lines(path)
        for pair in _found_and_true(list(starmap(_bass_note, basses)), _timed_notes(solo), solo.changes.chords)
    )


def _found_and_true(
    played: Sequence[TimedNote], melody: Sequence[TimedNote], chords: Sequence[Chord]
) -> Iterator[tuple[Chord, Chord]]:
    return zip(find_chords(played, melody, TimeSlots(len(chords), TICKS_PER_QUARTER, 4)), chords, strict=True)


def _bass_note(beat: int, pitch: int) -> TimedNote:
    return TICKS_PER_QUARTER * beat, TICKS_PER_QUARTER * (beat + 0.9), pitch


def _timed_notes(solo: Solo) -> list[TimedNote]:
    return [(note.onset, note.end, note.pitch) for note in solo.notes]


def band_accompaniment(chords: Sequence[Chord], random_source: np.random.Generator) -> Iterator[TimedNote]:
    """Yield a bass and chords over changes in 4/4, one chord a beat. Beats without a chord are silent."""
    for beat, chord in enumerate(chords):
        if chord == NO_CHORD:
            continue
        begins = beat == 0 or chords[beat - 1] != chord
        next_chord = chords[beat + 1] if beat + 1 < len(chords) else chord
        if (begins or beat % 4 == 0) and random_source.random() < 0.85:  # a strong beat mostly has the root
            bass = chord.root if chord.bass is None else chord.bass
        elif next_chord not in (chord, NO_CHORD) and random_source.random() < 0.5:  # often leads to the next
            bass = next_chord.root + int(random_source.choice([-1, 1]))
        else:  # other beats walk
            bass = int(random_source.choice(sorted(chord.tones if random_source.random() < 0.7 else chord.scale)))
        yield _bass_note(beat, _LOWEST_BASS + (bass - _LOWEST_BASS) % 12)
        if begins or random_source.random() < 0.4:
            yield from _comping_notes(chord, beat, random_source)


def _comping_notes(chord: Chord, beat: int, random_source: np.random.Generator) -> Iterator[TimedNote]:
    """Yield third and seventh (or the tones that the chord has instead), sometimes with fifth and a scale tone."""
    voices = [tone for tone in chord.quality.tones if tone and (tone != 7 or random_source.random() < 0.5)]
    if random_source.random() < 0.25:
        voices.append(int(random_source.choice(chord.quality.scale)))
    start = TICKS_PER_QUARTER * (beat + float(random_source.choice([0.0, 0.5])))
    length = TICKS_PER_QUARTER * float(random_source.choice([0.5, 1.0, 2.0]))
    shift = int(random_source.choice([-1, 1])) if random_source.random() < 1 / 8 else 0
    for tone in voices:
        yield start, start + length, _LOWEST_COMPING + (chord.root + tone + shift - _LOWEST_COMPING) % 12


def plain_chord_accompaniment(chords: Sequence[Chord], random_source: np.random.Generator) -> Iterator[TimedNote]:
    """Yield each chord with all its tones, any of them lowest, until it changes or the bar ends."""
    start = 0
    for beat in range(1, len(chords) + 1):
        if beat < len(chords) and chords[beat] == chords[start] and beat % 4:
            continue
        if chords[start] != NO_CHORD:
            tones = sorted(chords[start].tones)
            lowest = int(random_source.choice(tones))
            begin, end = TICKS_PER_QUARTER * start, TICKS_PER_QUARTER * (beat - 0.1)
            for tone in tones:
                yield begin, end, _LOWEST_PLAIN + lowest + (tone - lowest) % 12
        start = beat
