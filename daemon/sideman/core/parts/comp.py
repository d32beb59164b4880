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

from sideman.core.chart.chart import Meter
from sideman.core.chart.timeline import ChartTimeline
from sideman_models.music.context import ticks_after_bar_line
from sideman_models.music.harmony import NO_CHORD, Chord
from sideman_models.music.values import TICKS_PER_QUARTER

CompStyle = Literal["off", "shells", "bass"]
DrawFunction = Callable[[int, int], float]
"""The dice: a number from 0 up to 1 for a tick and a purpose, always the same."""

SHELL_PITCHES = range(48, 73)
BASS_PITCHES = range(28, 56)
GATES = {"off": 0.0, "shells": 0.85, "bass": 0.95}
"""How much of the time to the next onset a note sounds."""
GM_PROGRAMS = {"shells": 1, "bass": 33}
"""What each sounds best with, of the sounds of General MIDI (1..128): a piano, a double bass."""

_FIGURE, _WALK, _LANDING, _SIDE, _TOUCH = range(16, 21)  # purposes of the dice; the solo has the first ones
_VELOCITY_REDUCTION = {"off": 0, "shells": 18, "bass": 6}
_SHELL_CENTRE = 60  # of the shells
_MIN_SHELL_INTERVAL = 3  # semitones between the two tones of a shell


@dataclass(frozen=True, slots=True)
class CompNote:
    """A note to be struck: MIDI pitch and velocity."""

    pitch: int
    velocity: int


def beat_ticks(meter: Meter) -> int:
    """Ticks of a beat as one counts it: a quarter note, in compound time a dotted one."""
    compound = meter.denominator >= 8 and meter.numerator > 3 and meter.numerator % 3 == 0
    return 3 * 4 * TICKS_PER_QUARTER // meter.denominator if compound else TICKS_PER_QUARTER


class Comp:
    """Accompanies `timeline`; ticks are twelfths of a quarter note."""

    def __init__(self, timeline: ChartTimeline) -> None:
        self._timeline = timeline
        self._last_shell: tuple[int, ...] = ()
        self._last_pitch = (BASS_PITCHES[0] + BASS_PITCHES[-1]) // 2  # of the last note of the bass
        self._last_chord: Chord = NO_CHORD  # under the last note of the bass
        self._is_ascending = True

    # -- when

    def first_onset(self, tick: int) -> int:
        """The first beat at or after `tick`, which may be the next bar line."""
        line, bar = self._timeline.bar_at(tick)
        beat = self._beat_ticks(tick)
        return line + min(-(-(tick - line) // beat) * beat, bar)

    def next_onset(self, style: CompStyle, tick: int, draw: DrawFunction) -> int:
        """The onset after the one at `tick`, at the latest the next bar line."""
        line, bar = self._timeline.bar_at(tick)
        end, beat = line + bar, self._beat_ticks(tick)
        change = min(self._next_change_tick(tick), end)
        if style == "bass":
            return min(self.first_onset(tick + 1), change)
        return next((hit for hit in self._shell_onsets(line, draw) if tick + beat <= hit <= change - beat), change)

    def _beat_ticks(self, tick: int) -> int:
        return beat_ticks(self._timeline.meter_at(tick))

    def _next_change_tick(self, tick: int) -> int:
        """Return the first tick of the next chord; if the chord never changes, a tick in the next bar."""
        change = self._timeline.next_change_tick(tick)
        return tick + self._timeline.bar_at(tick)[1] if math.isinf(change) else max(tick + 1, math.ceil(change))

    def _shell_onsets(self, line: int, draw: DrawFunction) -> Iterator[int]:
        """Where shells are struck in the bar that begins at the tick `line`, if nothing changes."""
        (_, bar), beat = self._timeline.bar_at(line), self._beat_ticks(line)
        late = draw(line, _FIGURE) < 0.6 and beat == TICKS_PER_QUARTER
        for first, beats in _beat_groups(-(-bar // beat)):
            yield line + first * beat
            if late and beats >= 2:
                yield line + first * beat + beat * 3 // 2
            elif beats >= 3:
                yield line + (first + 2) * beat

    # -- what

    def notes_at(self, style: CompStyle, tick: int, solo_velocity: int, draw: DrawFunction) -> list[CompNote]:
        """What is struck at `tick`; `solo_velocity` is the velocity of the solo in the middle."""
        chord = self._chord_at(tick)
        if not chord.tones:
            self._last_chord = chord
            return []
        velocity = self._velocity(style, tick, solo_velocity, draw)
        if style == "shells":
            self._last_shell = _nearest_shell(shell_tones(chord), self._last_shell)
            return [CompNote(pitch, velocity) for pitch in self._last_shell]
        self._last_pitch = self._walk(tick, chord, draw)
        self._last_chord = chord
        return [CompNote(self._last_pitch, velocity)]

    def _chord_at(self, tick: int) -> Chord:
        return self._timeline.chord_at(tick / TICKS_PER_QUARTER)

    def _velocity(self, style: CompStyle, tick: int, solo_velocity: int, draw: DrawFunction) -> int:
        place = ticks_after_bar_line(self._timeline, tick)
        accent = 4 if place == 0 else (0 if place % TICKS_PER_QUARTER == 0 else -4)
        human = round(6 * (draw(tick, _TOUCH) - 0.5))
        return max(1, min(127, solo_velocity - _VELOCITY_REDUCTION[style] + accent + human))

    # -- the bass

    def _walk(self, tick: int, chord: Chord, draw: DrawFunction) -> int:
        if self._is_landing(tick, chord, self._last_chord):
            pitch = self._nearest_pitch(self._landing_pitch_class(tick, chord, self._last_chord, draw))
            self._is_ascending = self._goes_up(pitch, draw(tick, _SIDE))
            return pitch
        following = self.next_onset("bass", tick, draw)
        coming = self._chord_at(following)
        if coming.tones and self._is_landing(following, coming, chord):
            return self._approach(self._landing_pitch_class(following, coming, chord, draw), chord, draw(tick, _WALK))
        return self._step_on(chord, draw(tick, _WALK))

    def _is_landing(self, tick: int, chord: Chord, before: Chord) -> bool:
        return ticks_after_bar_line(self._timeline, tick) == 0 or chord != before

    def _landing_pitch_class(self, tick: int, chord: Chord, before: Chord, draw: DrawFunction) -> int:
        """The pitch class that the bass lands on at `tick`."""
        ground = chord.root if chord.bass is None else chord.bass
        if chord != before or draw(tick, _LANDING) < 0.5:
            return ground
        fifth = next((offset for offset in (7, 6, 8) if offset in chord.quality.tones), 0)
        return (chord.root + fifth) % 12

    def _nearest_pitch(self, pitch_class: int) -> int:
        """The pitch of that class nearest to the last, but not that itself."""
        octaves = (pitch for pitch in BASS_PITCHES if pitch % 12 == pitch_class and pitch != self._last_pitch)
        return min(octaves, key=lambda pitch: (abs(pitch - self._last_pitch), pitch))

    @staticmethod
    def _goes_up(pitch: int, drawn: float) -> bool:
        """Whether it goes up from `pitch`: the likelier the lower that is."""
        return drawn < (BASS_PITCHES[-1] - pitch) / (BASS_PITCHES[-1] - BASS_PITCHES[0])

    def _approach(self, ground: int, chord: Chord, drawn: float) -> int:
        """A step beside the next landing: by a semitone, or by a whole tone of the scale; rather from where we are."""
        landing = self._nearest_pitch(ground)
        side = 1 if self._last_pitch > landing else -1
        steps = (side, 2 * side, -side, -2 * side) if drawn < 0.5 else (2 * side, side, -2 * side, -side)
        pitches = (landing + step for step in steps if abs(step) == 1 or (landing + step) % 12 in chord.scale)
        there = (pitch for pitch in pitches if pitch in BASS_PITCHES and pitch != self._last_pitch)
        return next(there, None) or self._step_on(chord, drawn)  # at the end of the range there may be none

    def _step_on(self, chord: Chord, drawn: float) -> int:
        """On in the direction taken, to the next tone of the chord or of its scale; back where the range ends."""
        wanted = chord.tones if drawn < 0.6 else chord.tones | chord.scale
        up = [pitch for pitch in BASS_PITCHES if pitch > self._last_pitch and pitch % 12 in wanted]
        down = [pitch for pitch in BASS_PITCHES if pitch < self._last_pitch and pitch % 12 in wanted]
        self._is_ascending = bool(up) if self._is_ascending else not down
        return up[0] if self._is_ascending else down[-1]


def shell_tones(chord: Chord) -> tuple[int, ...]:
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
        away = sum(abs(pitch - _SHELL_CENTRE) for pitch in pair)
        return sum(abs(pitch - old) for pitch, old in zip(pair, before, strict=False)), away

    pitches = [pitch for pitch in SHELL_PITCHES if pitch % 12 in classes]
    pairs = ((low, high) for low, high in combinations(pitches, 2) if _MIN_SHELL_INTERVAL <= high - low < 12)
    return min(pairs, key=moved)


def _beat_groups(beats: int) -> Iterator[tuple[int, int]]:
    """A bar of so many beats parted in fours, fives in three and two: the first beat of each part, and its beats."""
    first = 0
    while first < beats:
        left = beats - first
        size = 3 if left == 5 else min(left, 4)
        yield first, size
        first += size
