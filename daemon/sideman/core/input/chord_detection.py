# SPDX-License-Identifier: Apache-2.0
"""The chords that are held on a channel of their own: when they count, and which they are.

**When.** The keys need not come down at once: a chord is told 40 ms after the last of them. It lasts when they come up,
until the next one. Keys that are left over from the chord before, and come up after the new ones went down, did not
belong to it: it is told anew without them. A staccato chord counts whole. The pedal makes no difference.

**Which.** The root is always among the keys, and there must be three different notes, else the chord before stays. Of
all qualities of `sideman_models.music.harmony` on these roots the one is taken that comes first by

1. the fewest tones that are held and not in it, or in it and not held. Its perfect fifth may be left out (but not that
   of 69#11, which would be a ninth chord a tone higher). A bass that is not in it counts half if nothing is missing;
2. the fewest of three blemishes: another tone than the root in the bass, the fifth left out, a quality that is
   neither a triad's nor among the common ones (`QUALITY_PRIORS` there);
3. how common it is; 4. the root in the bass; 5. its fifth held; 6. the fewest tones that are not in it; 7. the
   order of the table; 8. the root that lies nearest above the bass.

So C E G A is C6, but Am7 over an A, and Am7/E over an E or a G; C E A is Am/C; C E Bb is C7; C F G is Csus, but Fsus2
over an F and G7sus over a G; C E G is C/F over an F, but D9sus over a D; of a diminished seventh or an augmented chord
the lowest note is the root. A bass that is not the root is told behind a slash. What differs by more than one tone from
every chord is none. Two qualities are always told as commoner ones: C-b6 is Ab^7/C, and C-7#5 is Abadd9/C.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from functools import lru_cache

from sideman_models.music.harmony import QUALITIES, QUALITY_PRIORS, Chord, Quality, chord_on

SETTLE_S = 0.04
"""A chord is told so many seconds after its last change."""

_MIN_NOTES = 3
_MAX_MISFITS = 1
_FIFTH = 7


class ChordDetector:
    """The keys held on the chord channel. At the second `settle_at` ask which chord it is (infinite: no chord)."""

    def __init__(self) -> None:
        self.settle_at = math.inf
        self._changed_at = 0.0
        self._keys: dict[int, int] = {}  # the grip that each belongs to, by pitch
        self._chord_number = 0
        self._released_keys: set[int] = set()  # keys of this grip that came up before it was told
        self._is_releasing = False

    def note_on(self, pitch: int, second: float) -> None:
        """A key goes down."""
        if self.settle_at == math.inf:
            self._chord_number += 1
        self._is_releasing = False
        self._released_keys.discard(pitch)
        self._keys[pitch] = self._chord_number
        self._keys_changed(second)

    def note_off(self, pitch: int, second: float) -> None:
        """A key comes up."""
        if self._keys.get(pitch) != self._chord_number:
            if self._keys.pop(pitch, None) is not None and not self._is_releasing:
                self._keys_changed(second)
        elif self.settle_at < math.inf:
            self._released_keys.add(pitch)
        else:
            self._is_releasing = True
            del self._keys[pitch]

    def detect(self) -> tuple[Chord, float] | None:
        """The chord that is held, and the second since when; None where it is none."""
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
    """The chord of these MIDI pitches, by the rule above; None if they make none."""
    bass = min(pitches, default=0)
    found = _root_and_quality(frozenset((pitch - bass) % 12 for pitch in pitches))
    if found is None:
        return None
    root, quality = found
    return chord_on((bass + root) % 12, quality, bass % 12 if root else None)


@lru_cache(maxsize=4096)
def _root_and_quality(notes: frozenset[int]) -> tuple[int, Quality] | None:
    """The root and the quality of some notes; notes and root are semitones above the bass."""
    if len(notes) < _MIN_NOTES:
        return None
    ranked = [
        (rank, root, quality)
        for root in sorted(notes)
        for rank, quality in _rank_qualities(frozenset((note - root) % 12 for note in notes), -root % 12)
    ]
    (misfits, *_), root, quality = min(ranked, key=lambda one: one[0])
    return (root, quality) if misfits <= _MAX_MISFITS else None


def _rank_qualities(held: frozenset[int], bass: int) -> Iterator[tuple[tuple[float, ...], Quality]]:
    """Every quality with what speaks against it, by the rule; all are semitones above a root."""
    for row, (quality, tones, spared) in enumerate(_CANDIDATES):
        odd, missing = held - tones, tones - held
        foreign = bass in odd and len(held) > _MIN_NOTES and not missing
        misfits = len(odd) + len(missing - spared) - (0.5 if foreign else 0)
        fifthless, inverted, common = _FIFTH in missing, bass != 0, QUALITY_PRIORS.get(quality.name, 0.0)
        rare = not common and len(tones) > _MIN_NOTES
        yield (misfits, fifthless + inverted + rare, -common, inverted, fifthless, len(odd), row), quality


_CANDIDATES = [
    (quality, frozenset(quality.tones), frozenset() if name == "69#11" else frozenset({_FIFTH}))
    for name, quality in QUALITIES.items()
    if len(quality.tones) >= _MIN_NOTES and name not in ("-b6", "-7#5")
]
