# SPDX-License-Identifier: Apache-2.0
"""Detects the chord that the player holds on the chord channel: when it counts, and which chord it is.

**When.** The keys of a chord need not go down at the same time: it is detected `SETTLE_S` after the last key. After its
keys are released it stays in force until the next chord. Keys of the chord before that are released only after the new
keys went down do not belong to the new chord: it is then detected again without them. A short (staccato) chord keeps
all its keys. The sustain pedal makes no difference.

**Which.** A chord needs three different notes, and its root is one of them; otherwise the chord before stays in force.
Of all qualities in `sideman_models.music.qualities` on these roots, the first one is taken in the order of

1. the fewest misfits: held notes that are not in the chord, and chord tones that are not held. A perfect fifth may be
   missing (but not that of 69#11, which would be a ninth chord a tone higher). If nothing is missing, a bass note that
   is not in the chord counts half;
2. the fewest of three flaws: the bass is not the root, the fifth is missing, the quality is neither a triad nor a
   common one (in `QUALITY_PRIORS`);
3. the most common quality; 4. the root in the bass; 5. the fifth held; 6. the fewest notes that are not in the chord;
   7. the order of the table of qualities; 8. the root that lies nearest above the bass.

So C E G A is C6, but Am7 over an A, and Am7/E over an E or a G; C E A is Am/C; C E Bb is C7; C F G is Csus, but Fsus2
over an F and G7sus over a G; C E G is C/F over an F, but D9sus over a D. The root of a diminished seventh or an
augmented chord is its lowest note. A bass that is not the root is written after a slash. Notes with more than one
misfit for every chord are no chord. Two qualities are always read as more common ones: C-b6 is Ab^7/C, and C-7#5 is
Abadd9/C.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import lru_cache

from sideman_models.music.harmony import Chord, chord_on
from sideman_models.music.qualities import QUALITIES, QUALITY_PRIORS, Quality

SETTLE_S = 0.04
"""A chord is detected this long after its keys last changed."""

_MIN_NOTES = 3
_MAX_MISFITS = 1
_FIFTH = 7


class ChordDetector:
    """Follows the keys on the chord channel. At the second `settle_at` a chord is to be detected (infinite: none)."""

    def __init__(self) -> None:
        self.settle_at = math.inf
        self._changed_at = 0.0
        self._keys: dict[int, int] = {}  # the number of the chord that each held key belongs to, by pitch
        self._chord_number = 0
        self._released_keys: set[int] = set()  # keys of this chord that were released before it settled
        self._is_releasing = False

    def note_on(self, pitch: int, second: float) -> None:
        """The player presses a key."""
        if self.settle_at == math.inf:
            self._chord_number += 1
        self._is_releasing = False
        self._released_keys.discard(pitch)
        self._keys[pitch] = self._chord_number
        self._keys_changed(second)

    def note_off(self, pitch: int, second: float) -> None:
        """The player releases a key."""
        if self._keys.get(pitch) != self._chord_number:
            if self._keys.pop(pitch, None) is not None and not self._is_releasing:
                self._keys_changed(second)
        elif self.settle_at < math.inf:
            self._released_keys.add(pitch)
        else:
            self._is_releasing = True
            del self._keys[pitch]

    def detect(self) -> tuple[Chord, float] | None:
        """Return the chord that is held and the second at which its keys last changed; None if it is no chord."""
        self.settle_at = math.inf
        chord = detect_chord(self._keys)
        self._is_releasing = bool(self._released_keys)
        for pitch in self._released_keys:
            del self._keys[pitch]
        self._released_keys.clear()
        return None if chord is None else (chord, self._changed_at)

    def _keys_changed(self, second: float) -> None:
        self._changed_at, self.settle_at = second, second + SETTLE_S


def detect_chord(pitches: Collection[int]) -> Chord | None:
    """Return the chord of these MIDI pitches, by the rules above; None if they are no chord."""
    bass = min(pitches, default=0)
    match = _root_and_quality(frozenset((pitch - bass) % 12 for pitch in pitches))
    if match is None:
        return None
    root, quality = match
    return chord_on((bass + root) % 12, quality, bass % 12 if root else None)


@lru_cache(maxsize=4096)
def _root_and_quality(notes: frozenset[int]) -> tuple[int, Quality] | None:
    """Return the root and the quality of `notes`; notes and root are in semitones above the bass."""
    if len(notes) < _MIN_NOTES:
        return None
    ranked: list[tuple[tuple[float, ...], int, Quality]] = []
    for root in sorted(notes):
        held, bass = {(note - root) % 12 for note in notes}, -root % 12
        for row, (quality, tones, optional) in enumerate(_CANDIDATES):
            foreign, missing = held - tones, tones - held
            foreign_bass = bass in foreign and len(held) > _MIN_NOTES and not missing
            misfits = len(foreign) + len(missing - optional) - (0.5 if foreign_bass else 0)
            no_fifth, inverted, prior = _FIFTH in missing, bass != 0, QUALITY_PRIORS.get(quality.name, 0.0)
            rare = not prior and len(tones) > _MIN_NOTES
            rank = (misfits, no_fifth + inverted + rare, -prior, inverted, no_fifth, len(foreign), row)
            ranked.append((rank, root, quality))
    (fewest_misfits, *_), root, quality = min(ranked, key=lambda candidate: candidate[0])
    return (root, quality) if fewest_misfits <= _MAX_MISFITS else None


_CANDIDATES = [
    (quality, frozenset(quality.tones), frozenset() if name == "69#11" else frozenset({_FIFTH}))
    for name, quality in QUALITIES.items()
    if len(quality.tones) >= _MIN_NOTES and name not in ("-b6", "-7#5")
]
