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
   neither a triad's nor among the common ones (`COMMON` there);
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

from sideman_models.music.harmony import COMMON, QUALITIES, Chord, Quality, chord_on

SETTLE_S = 0.04
"""A chord is told so many seconds after its last change."""

_FEWEST = 3
_MOST_MISFITS = 1
_FIFTH = 7


class HeldChords:
    """The keys of the chords' channel. `due` is the second at which to ask which chord it is (infinite: none is)."""

    def __init__(self) -> None:
        self.due = math.inf
        self._changed = 0.0
        self._keys: dict[int, int] = {}  # the grip that each belongs to, by pitch
        self._grip = 0
        self._gone: set[int] = set()  # keys of this grip that came up before it was told
        self._letting_go = False

    def strike(self, pitch: int, second: float) -> None:
        """A key goes down."""
        if self.due == math.inf:
            self._grip += 1
        self._letting_go = False
        self._gone.discard(pitch)
        self._keys[pitch] = self._grip
        self._change(second)

    def release(self, pitch: int, second: float) -> None:
        """A key comes up."""
        if self._keys.get(pitch) != self._grip:
            if self._keys.pop(pitch, None) is not None and not self._letting_go:
                self._change(second)
        elif self.due < math.inf:
            self._gone.add(pitch)
        else:
            self._letting_go = True
            del self._keys[pitch]

    def settle(self) -> tuple[Chord, float] | None:
        """The chord that is held, and the second since when; None where it is none."""
        self.due = math.inf
        chord = recognise(self._keys)
        self._letting_go = bool(self._gone)
        for pitch in self._gone:
            del self._keys[pitch]
        self._gone.clear()
        return None if chord is None else (chord, self._changed)

    def _change(self, second: float) -> None:
        self._changed, self.due = second, second + SETTLE_S


def recognise(pitches: Collection[int]) -> Chord | None:
    """The chord of these MIDI pitches, by the rule above; None if they make none."""
    bass = min(pitches, default=0)
    found = _above_bass(frozenset((pitch - bass) % 12 for pitch in pitches))
    if found is None:
        return None
    root, quality = found
    return chord_on((bass + root) % 12, quality, bass % 12 if root else None)


@lru_cache(maxsize=4096)
def _above_bass(notes: frozenset[int]) -> tuple[int, Quality] | None:
    """The root and the quality of some notes; notes and root are semitones above the bass."""
    if len(notes) < _FEWEST:
        return None
    ranked = [
        (rank, root, quality)
        for root in sorted(notes)
        for rank, quality in _ranked(frozenset((note - root) % 12 for note in notes), -root % 12)
    ]
    (misfits, *_), root, quality = min(ranked, key=lambda one: one[0])
    return (root, quality) if misfits <= _MOST_MISFITS else None


def _ranked(held: frozenset[int], bass: int) -> Iterator[tuple[tuple[float, ...], Quality]]:
    """Every quality with what speaks against it, by the rule; all are semitones above a root."""
    for row, (quality, tones, spared) in enumerate(_SOUGHT):
        odd, missing = held - tones, tones - held
        foreign = bass in odd and len(held) > _FEWEST and not missing
        misfits = len(odd) + len(missing - spared) - (0.5 if foreign else 0)
        fifthless, inverted, common = _FIFTH in missing, bass != 0, COMMON.get(quality.name, 0.0)
        rare = not common and len(tones) > _FEWEST
        yield (misfits, fifthless + inverted + rare, -common, inverted, fifthless, len(odd), row), quality


_SOUGHT = [
    (quality, frozenset(quality.tones), frozenset() if name == "69#11" else frozenset({_FIFTH}))
    for name, quality in QUALITIES.items()
    if len(quality.tones) >= _FEWEST and name not in ("-b6", "-7#5")
]
