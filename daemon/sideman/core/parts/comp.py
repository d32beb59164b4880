# SPDX-License-Identifier: Apache-2.0
"""An accompaniment by rule, so that a player without a band hears the changes: plain shells, or a walking bass.

Nothing here knows of seconds: `Comp` says at which tick it strikes next, and what. It asks for the chord only then, so
a chord that changes under it is followed with the next onset.

**Shells** are two tones that tell a chord from others: the third and the seventh; the sixth where there is no seventh,
the fifth where there is neither; in a suspended chord what stands for the third. They lie from C3 to C5, where the two
voices move least from the shell before. They are struck on the bar line and with each change, and besides on the half
of the second beat or on the third of each four, as the bar's dice say; what would come within a beat of a change gives
way to it.

**Bass** walks from E1 to G3, a note a beat (and one more where a chord changes between two). A change brings its root,
or the bass its symbol names; a bar line under the same chord its root or fifth. From there it goes on in one direction
by tones of the chord and of its scale, and the last note before such a landing approaches it by a step: a semitone, or
a whole tone of the scale. No pitch comes twice in a row.

A beat is a quarter note, in 6/8, 9/8, 12/8 a dotted one. Like swing, beats begin anew at every bar line. Where there is
no chord there is a rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from sideman.core.chart.chart import TOLERANCE, Meter
from sideman.core.chart.timeline import Tune
from sideman_models.music.context import place_in_bar
from sideman_models.music.harmony import NO_CHORD, Chord
from sideman_models.music.values import TICKS

Style = Literal["off", "shells", "bass"]
Roll = Callable[[int, int], float]
"""The dice: a number from 0 up to 1 for a tick and a purpose, always the same."""

SHELLS = range(48, 73)
BASS = range(28, 56)
SOUNDS = {"off": 0.0, "shells": 0.85, "bass": 0.95}
"""How much of the time to the next onset a note sounds."""
PROGRAMS = {"shells": 1, "bass": 33}
"""What each sounds best with, of the sounds of General MIDI (1..128): a piano, a double bass."""

_FIGURE, _WALK, _LANDING, _SIDE, _TOUCH = range(16, 21)  # purposes of the dice; the solo has the first ones
_SOFTER = {"off": 0, "shells": 18, "bass": 6}
_MIDDLE = 60  # of the shells
_NARROWEST = 3  # semitones between the two tones of a shell


@dataclass(frozen=True, slots=True)
class CompNote:
    """A note to be struck: MIDI pitch and velocity."""

    pitch: int
    velocity: int


def beat_ticks(meter: Meter) -> int:
    """Ticks of a beat as one counts it: a quarter note, in compound time a dotted one."""
    compound = meter.denominator >= 8 and meter.numerator > 3 and meter.numerator % 3 == 0
    return 3 * 4 * TICKS // meter.denominator if compound else TICKS


class Comp:
    """Accompanies `tune`; ticks are twelfths of a quarter note."""

    def __init__(self, tune: Tune) -> None:
        self._tune = tune
        self._shell: tuple[int, ...] = ()
        self._pitch = (BASS[0] + BASS[-1]) // 2  # of the last note of the bass
        self._chord: Chord = NO_CHORD  # under the last note of the bass
        self._rises = True

    # -- when

    def first(self, tick: int) -> int:
        """The first beat at or after `tick`, which may be the next bar line."""
        line, bar = self._tune.bar_at(tick)
        beat = self._beat(tick)
        return line + min(-(-(tick - line) // beat) * beat, bar)

    def after(self, style: Style, tick: int, roll: Roll) -> int:
        """The onset after the one at `tick`, at the latest the next bar line."""
        line, bar = self._tune.bar_at(tick)
        end, beat = line + bar, self._beat(tick)
        change = min(self._change_after(tick), end)
        if style == "bass":
            return min(self.first(tick + 1), change)
        return next((hit for hit in self._hits(line, roll) if tick + beat <= hit <= change - beat), change)

    def _beat(self, tick: int) -> int:
        return beat_ticks(self._tune.meter_at(tick))

    def _change_after(self, tick: int) -> int:
        """The first tick of the next chord, or one that never comes."""
        beats = self._tune.next_change(tick / TICKS)[1]
        if math.isinf(beats):
            return tick + self._tune.bar_at(tick)[1]
        return max(tick + 1, math.ceil(tick + beats * TICKS - TOLERANCE * TICKS))

    def _hits(self, line: int, roll: Roll) -> Iterator[int]:
        """Where shells are struck in the bar that begins at the tick `line`, if nothing changes."""
        (_, bar), beat = self._tune.bar_at(line), self._beat(line)
        late = roll(line, _FIGURE) < 0.6 and beat == TICKS
        for first, beats in _groups(-(-bar // beat)):
            yield line + first * beat
            if late and beats >= 2:
                yield line + first * beat + beat * 3 // 2
            elif beats >= 3:
                yield line + (first + 2) * beat

    # -- what

    def strike(self, style: Style, tick: int, loudness: int, roll: Roll) -> list[CompNote]:
        """What is struck at `tick`; `loudness` is the velocity of the solo in the middle."""
        chord = self._chord_at(tick)
        if not chord.tones:
            self._chord = chord
            return []
        velocity = self._velocity(style, tick, loudness, roll)
        if style == "shells":
            self._shell = _nearest_shell(shell(chord), self._shell)
            return [CompNote(pitch, velocity) for pitch in self._shell]
        self._pitch = self._walk(tick, chord, roll)
        self._chord = chord
        return [CompNote(self._pitch, velocity)]

    def _chord_at(self, tick: int) -> Chord:
        return self._tune.chord_at(tick / TICKS)

    def _velocity(self, style: Style, tick: int, loudness: int, roll: Roll) -> int:
        place = place_in_bar(self._tune, tick)
        accent = 4 if place == 0 else (0 if place % TICKS == 0 else -4)
        human = round(6 * (roll(tick, _TOUCH) - 0.5))
        return max(1, min(127, loudness - _SOFTER[style] + accent + human))

    # -- the bass

    def _walk(self, tick: int, chord: Chord, roll: Roll) -> int:
        if self._lands(tick, chord, self._chord):
            pitch = self._nearest(self._ground(tick, chord, self._chord, roll))
            self._rises = self._turned(pitch, roll(tick, _SIDE))
            return pitch
        following = self.after("bass", tick, roll)
        coming = self._chord_at(following)
        if coming.tones and self._lands(following, coming, chord):
            return self._approach(self._ground(following, coming, chord, roll), chord, roll(tick, _WALK))
        return self._step(chord, roll(tick, _WALK))

    def _lands(self, tick: int, chord: Chord, before: Chord) -> bool:
        return place_in_bar(self._tune, tick) == 0 or chord != before

    def _ground(self, tick: int, chord: Chord, before: Chord, roll: Roll) -> int:
        """The pitch class that the bass lands on at `tick`."""
        ground = chord.root if chord.bass is None else chord.bass
        if chord != before or roll(tick, _LANDING) < 0.5:
            return ground
        fifth = next((offset for offset in (7, 6, 8) if offset in chord.quality.tones), 0)
        return (chord.root + fifth) % 12

    def _nearest(self, pitch_class: int) -> int:
        """The pitch of that class nearest to the last, but not that itself."""
        octaves = (pitch for pitch in BASS if pitch % 12 == pitch_class and pitch != self._pitch)
        return min(octaves, key=lambda pitch: (abs(pitch - self._pitch), pitch))

    @staticmethod
    def _turned(pitch: int, roll: float) -> bool:
        """Whether it goes up from `pitch`: the likelier the lower that is."""
        return roll < (BASS[-1] - pitch) / (BASS[-1] - BASS[0])

    def _approach(self, ground: int, chord: Chord, roll: float) -> int:
        """A step beside the next landing: by a semitone, or by a whole tone of the scale; rather from where we are."""
        landing = self._nearest(ground)
        side = 1 if self._pitch > landing else -1
        steps = (side, 2 * side, -side, -2 * side) if roll < 0.5 else (2 * side, side, -2 * side, -side)
        pitches = (landing + step for step in steps if abs(step) == 1 or (landing + step) % 12 in chord.scale)
        there = (pitch for pitch in pitches if pitch in BASS and pitch != self._pitch)
        return next(there, None) or self._step(chord, roll)  # at the end of the range there may be none

    def _step(self, chord: Chord, roll: float) -> int:
        """On in the direction taken, to the next tone of the chord or of its scale; back where the range ends."""
        wanted = chord.tones if roll < 0.6 else chord.tones | chord.scale
        up = [pitch for pitch in BASS if pitch > self._pitch and pitch % 12 in wanted]
        down = [pitch for pitch in BASS if pitch < self._pitch and pitch % 12 in wanted]
        self._rises = bool(up) if self._rises else not down
        return up[0] if self._rises else down[-1]


def shell(chord: Chord) -> tuple[int, ...]:
    """The pitch classes that are played of `chord`: two, or none of no chord."""
    tones = chord.quality.tones
    if not tones:
        return ()
    third = next((offset for offset in (4, 3, 5, 2) if offset in tones), 0)
    seventh = next(offset for offset in (10, 11, 9, 7, 8, 6) if offset in tones)
    return (chord.root + third) % 12, (chord.root + seventh) % 12


def _nearest_shell(classes: tuple[int, ...], before: tuple[int, ...]) -> tuple[int, ...]:
    """Two pitches of those classes, low and high, which move least from the two `before`; then nearest the middle."""

    def moved(pair: tuple[int, int]) -> tuple[int, int]:
        away = sum(abs(pitch - _MIDDLE) for pitch in pair)
        return sum(abs(pitch - old) for pitch, old in zip(pair, before, strict=False)), away

    pitches = [pitch for pitch in SHELLS if pitch % 12 in classes]
    pairs = ((low, high) for low, high in combinations(pitches, 2) if _NARROWEST <= high - low < 12)
    return min(pairs, key=moved)


def _groups(beats: int) -> Iterator[tuple[int, int]]:
    """A bar of so many beats parted in fours, fives in three and two: the first beat of each part, and its beats."""
    first = 0
    while first < beats:
        left = beats - first
        size = 3 if left == 5 else min(left, 4)
        yield first, size
        first += size
