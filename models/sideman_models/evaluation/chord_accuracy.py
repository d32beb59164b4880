# SPDX-License-Identifier: Apache-2.0
"""How right the chords are that `chordfinder` finds: against changes that are known.

Three trials over whole tunes, counted in beats:

- **An accompaniment is made up** over the changes: a walking bass with leading notes and passing tones, and chords of
  two to four voices without their root, off the beat as often as on it, one in eight of them a semitone out.
- **Plain chords** as a pianist's left hand holds them: all tones, any of them lowest, and no bass.
- **The Weimar database's own bass**, one pitch a beat as its authors heard it, with the solo as the melody. No chord
  is to be heard there but in what the two play.

A root is right if it is the same pitch class; a family (`harmony.FAMILIES`) if root and family are the same. Beats
without a chord, and those whose chord could not be read, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sideman_models.corpus.midi.chord_finder import Slots, find_chords
from sideman_models.corpus.midi.parser import Strike
from sideman_models.corpus.weimar import read_basses, read_solos
from sideman_models.music.harmony import NO_CHORD, Chord
from sideman_models.music.solos import Solo
from sideman_models.music.values import TICKS

Tune = tuple[Sequence[Chord], Sequence[Strike]]
"""A chord every beat, and a melody, whose times are in `TICKS`."""
Playing = Callable[[Sequence[Chord], np.random.Generator], Iterator[Strike]]
"""A way to accompany chords, which come one a beat."""

_BASS_FROM, _CHORDS_FROM, _HELD_FROM = 33, 52, 48


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of `beats` whose root, and whose root and family, were found."""

    beats: int
    roots: float
    families: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[Chord, Chord]]) -> Accuracy:
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
        return {"beats": self.beats, "roots": round(self.roots, 4), "families": round(self.families, 4)}


def found_again(tunes: Iterable[Tune], playing: Playing, seed: int = 0) -> Accuracy:
    """Over tunes in 4/4, accompanied by `playing`."""

    def pairs() -> Iterator[tuple[Chord, Chord]]:
        for number, (chords, melody) in enumerate(tunes):
            played = list(playing(chords, np.random.default_rng(seed + number)))
            yield from zip(find_chords(played, melody, _slots(chords)), chords, strict=True)

    return Accuracy.of(pairs())


def database_tunes(path: Path) -> Iterator[Tune]:
    """The changes and solos of a database file."""
    for solo in read_solos(path):
        yield solo.changes.chords, _strikes(solo)


def database_bass(path: Path) -> Accuracy:
    """Over the basses of a database file. Raises `CorpusError` as `read_solos` does, and where it has no basses."""

    def pairs() -> Iterator[tuple[Chord, Chord]]:
        for solo, basses in read_basses(path):
            chords = solo.changes.chords
            played = [(TICKS * beat, TICKS * (beat + 0.9), pitch) for beat, pitch in basses]
            yield from zip(find_chords(played, _strikes(solo), _slots(chords)), chords, strict=True)

    return Accuracy.of(pairs())


def _slots(chords: Sequence[Chord]) -> Slots:
    return Slots(len(chords), TICKS, 4)


def _strikes(solo: Solo) -> list[Strike]:
    return [(note.onset, note.end, note.pitch) for note in solo.notes]


def band(chords: Sequence[Chord], dice: np.random.Generator) -> Iterator[Strike]:
    """A bass and chords over changes in 4/4, told beat by beat; a beat without a chord is silent."""
    for beat, chord in enumerate(chords):
        if chord == NO_CHORD:
            continue
        begins = beat == 0 or chords[beat - 1] != chord
        after = chords[beat + 1] if beat + 1 < len(chords) else chord
        yield TICKS * beat, TICKS * (beat + 0.9), _bass(chord, after, begins or beat % 4 == 0, dice)
        if begins or dice.random() < 0.4:
            yield from _comping(chord, beat, dice)


def _bass(chord: Chord, after: Chord, strong: bool, dice: np.random.Generator) -> int:
    """Strong beats have the root, mostly; the last beat of a chord often leads to the next; others walk."""
    if strong and dice.random() < 0.85:
        sounds = chord.root if chord.bass is None else chord.bass
    elif after not in (chord, NO_CHORD) and dice.random() < 0.5:
        sounds = after.root + int(dice.choice([-1, 1]))
    else:
        sounds = int(dice.choice(sorted(chord.tones if dice.random() < 0.7 else chord.scale)))
    return _BASS_FROM + (sounds - _BASS_FROM) % 12


def _comping(chord: Chord, beat: int, dice: np.random.Generator) -> Iterator[Strike]:
    """Third and seventh, or what the chord has instead, now and then with the fifth and a tone of the scale."""
    upper = [tone for tone in chord.quality.tones if tone != 0]
    voices = [tone for tone in upper if tone != 7] + [tone for tone in upper if tone == 7 and dice.random() < 0.5]
    if dice.random() < 0.25:
        voices.append(int(dice.choice(chord.quality.scale)))
    start = TICKS * (beat + float(dice.choice([0.0, 0.5])))
    length = TICKS * float(dice.choice([0.5, 1.0, 2.0]))
    aside = int(dice.choice([-1, 1])) if dice.random() < 1 / 8 else 0
    for tone in voices:
        yield start, start + length, _CHORDS_FROM + (chord.root + tone + aside - _CHORDS_FROM) % 12


def plain_chords(chords: Sequence[Chord], dice: np.random.Generator) -> Iterator[Strike]:
    """Every chord for as long as it stays, a bar at most, all its tones above any of them."""
    start = 0
    for beat in range(1, len(chords) + 1):
        if beat < len(chords) and chords[beat] == chords[start] and beat % 4:
            continue
        if chords[start] != NO_CHORD:
            tones = sorted(chords[start].tones)
            lowest = int(dice.choice(tones))
            for tone in tones:
                yield TICKS * start, TICKS * (beat - 0.1), _HELD_FROM + lowest + (tone - lowest) % 12
        start = beat
