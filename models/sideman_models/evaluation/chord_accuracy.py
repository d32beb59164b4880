# SPDX-License-Identifier: Apache-2.0
"""How right the chords are that `chordfinder` finds: against changes that are known.

Three trials over whole tunes, counted in beats:

- **An accompaniment is made up** over the changes: a walking bass with leading notes and passing tones, and chords of
  two to four voices without their root, off the beat as often as on it, one in eight of them a semitone out.
- **Plain chords** as a pianist's left hand holds them: all tones, any of them lowest, and no bass.
- **The Weimar database's own bass**, one pitch a beat as its authors heard it, with the solo as the melody. No chord
  is to be heard there but in what the two play.

A root is right if it is the same pitch class; a family (`harmony.CHORD_FAMILIES`) if root and family are the same.
Beats without a chord, and those whose chord could not be read, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sideman_models.corpus.midi.chord_finder import TimeSlots, find_chords
from sideman_models.corpus.midi.parser import TimedNote
from sideman_models.corpus.weimar import read_bass_lines, read_solos
from sideman_models.music.harmony import NO_CHORD, Chord
from sideman_models.music.solos import Solo
from sideman_models.music.values import TICKS_PER_QUARTER

ChordsAndMelody = tuple[Sequence[Chord], Sequence[TimedNote]]
"""A chord every beat, and a melody, whose times are in `TICKS_PER_QUARTER`."""
Accompaniment = Callable[[Sequence[Chord], np.random.Generator], Iterator[TimedNote]]
"""A way to accompany chords, which come one a beat."""

_LOWEST_BASS, _LOWEST_COMPING, _LOWEST_PLAIN = 33, 52, 48


@dataclass(frozen=True, slots=True)
class ChordAccuracy:
    """Shares of `beats` whose root, and whose root and family, were found."""

    beats: int
    root_share: float
    family_share: float

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[Chord, Chord]]) -> ChordAccuracy:
        """From (found, true) beat by beat."""
        beats = roots = families = 0
        for found, true in pairs:
            if true != NO_CHORD:
                same = found != NO_CHORD and found.root == true.root
                beats += 1
                roots += same
                families += same and found.quality.family == true.quality.family
        return cls(beats, roots / max(1, beats), families / max(1, beats))

    def as_json(self) -> dict[str, Any]:
        """Rounded, ready for JSON."""
        return {"beats": self.beats, "roots": round(self.root_share, 4), "families": round(self.family_share, 4)}


def accompaniment_accuracy(
    tunes: Iterable[ChordsAndMelody], accompaniment: Accompaniment, seed: int = 0
) -> ChordAccuracy:
    """Over tunes in 4/4, accompanied by `accompaniment`."""

    def pairs() -> Iterator[tuple[Chord, Chord]]:
        for number, (chords, melody) in enumerate(tunes):
            played = list(accompaniment(chords, np.random.default_rng(seed + number)))
            yield from zip(find_chords(played, melody, _beat_slots(chords)), chords, strict=True)

    return ChordAccuracy.from_pairs(pairs())


def database_tunes(path: Path) -> Iterator[ChordsAndMelody]:
    """The changes and solos of a database file."""
    for solo in read_solos(path):
        yield solo.changes.chords, _timed_notes(solo)


def database_bass_accuracy(path: Path) -> ChordAccuracy:
    """Over the basses of a database file. Raises `CorpusError` as `read_solos` does, and where it has no basses."""

    def pairs() -> Iterator[tuple[Chord, Chord]]:
        for solo, basses in read_bass_lines(path):
            chords = solo.changes.chords
            played = [(TICKS_PER_QUARTER * beat, TICKS_PER_QUARTER * (beat + 0.9), pitch) for beat, pitch in basses]
            yield from zip(find_chords(played, _timed_notes(solo), _beat_slots(chords)), chords, strict=True)

    return ChordAccuracy.from_pairs(pairs())


def _beat_slots(chords: Sequence[Chord]) -> TimeSlots:
    return TimeSlots(len(chords), TICKS_PER_QUARTER, 4)


def _timed_notes(solo: Solo) -> list[TimedNote]:
    return [(note.onset, note.end, note.pitch) for note in solo.notes]


def band_accompaniment(chords: Sequence[Chord], random_source: np.random.Generator) -> Iterator[TimedNote]:
    """A bass and chords over changes in 4/4, told beat by beat; a beat without a chord is silent."""
    for beat, chord in enumerate(chords):
        if chord == NO_CHORD:
            continue
        begins = beat == 0 or chords[beat - 1] != chord
        after = chords[beat + 1] if beat + 1 < len(chords) else chord
        yield (
            TICKS_PER_QUARTER * beat,
            TICKS_PER_QUARTER * (beat + 0.9),
            _bass_pitch(chord, after, begins or beat % 4 == 0, random_source),
        )
        if begins or random_source.random() < 0.4:
            yield from _comping_notes(chord, beat, random_source)


def _bass_pitch(chord: Chord, next_chord: Chord, strong: bool, random_source: np.random.Generator) -> int:
    """Strong beats have the root, mostly; the last beat of a chord often leads to the next; others walk."""
    if strong and random_source.random() < 0.85:
        sounds = chord.root if chord.bass is None else chord.bass
    elif next_chord not in (chord, NO_CHORD) and random_source.random() < 0.5:
        sounds = next_chord.root + int(random_source.choice([-1, 1]))
    else:
        sounds = int(random_source.choice(sorted(chord.tones if random_source.random() < 0.7 else chord.scale)))
    return _LOWEST_BASS + (sounds - _LOWEST_BASS) % 12


def _comping_notes(chord: Chord, beat: int, random_source: np.random.Generator) -> Iterator[TimedNote]:
    """Third and seventh, or what the chord has instead, now and then with the fifth and a tone of the scale."""
    upper = [tone for tone in chord.quality.tones if tone != 0]
    voices = [tone for tone in upper if tone != 7] + [
        tone for tone in upper if tone == 7 and random_source.random() < 0.5
    ]
    if random_source.random() < 0.25:
        voices.append(int(random_source.choice(chord.quality.scale)))
    start = TICKS_PER_QUARTER * (beat + float(random_source.choice([0.0, 0.5])))
    length = TICKS_PER_QUARTER * float(random_source.choice([0.5, 1.0, 2.0]))
    aside = int(random_source.choice([-1, 1])) if random_source.random() < 1 / 8 else 0
    for tone in voices:
        yield start, start + length, _LOWEST_COMPING + (chord.root + tone + aside - _LOWEST_COMPING) % 12


def plain_chord_accompaniment(chords: Sequence[Chord], random_source: np.random.Generator) -> Iterator[TimedNote]:
    """Every chord for as long as it stays, a bar at most, all its tones above any of them."""
    start = 0
    for beat in range(1, len(chords) + 1):
        if beat < len(chords) and chords[beat] == chords[start] and beat % 4:
            continue
        if chords[start] != NO_CHORD:
            tones = sorted(chords[start].tones)
            lowest = int(random_source.choice(tones))
            for tone in tones:
                yield (
                    TICKS_PER_QUARTER * start,
                    TICKS_PER_QUARTER * (beat - 0.1),
                    _LOWEST_PLAIN + lowest + (tone - lowest) % 12,
                )
        start = beat
