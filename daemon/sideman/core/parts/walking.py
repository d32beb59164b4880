# SPDX-License-Identifier: Apache-2.0
"""The rule of the bass: it plays the root, or the bass that the symbol names, of each chord, and walks to the next one.

On each change, and on each bar line, it *lands*: on a change on the root or on the bass of a slash chord, on a bar line
under the same chord on the root, the fifth or the third. The notes between two landings are chosen together, so that
they lead to the next: by tones of the chord and its scale, mostly by step, and from a semitone, a step or a fifth into
it. How many notes there are is a matter of the style: swing walks in quarters, a ballad in halves, a bossa plays its
figure, a waltz three. The bass has the notes from E1 to G3 and prefers the lower ones. No pitch comes twice in a row
but in a bossa or even eighths, where root and fifth are repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sideman.core.parts.band_bar import BandBar, RuleState, WrittenNote
from sideman_models.music.harmony import Chord

BASS_PITCHES = range(28, 56)
_FIRST_PITCH = 36
_COMFORTABLE = range(28, 48)
_LANDING, _WALK, _TOUCH, _FIGURE = range(32, 36)  # purposes of draws
_STEP_COSTS = (6.0, 0.0, 0.0, 0.5, 0.5, 0.8, 2.0, 0.9, 1.8, 2.2, 2.6, 3.0, 1.6)  # by interval, 0 to 12 semitones
_REACH = 9
_LOUDNESS = -12

Target = tuple[int, int, Chord]
"""Where the bass lands: the tick, the pitch, the chord."""


def play_bass(bar: BandBar, before: RuleState) -> tuple[list[WrittenNote], RuleState]:
    """Play a bar. The state is the pitch on which the bar lands, chosen by the bar before."""
    notes: list[WrittenNote] = []
    changes = bar.changes()
    places = [*changes, (bar.stop, bar.chord_at(bar.stop))]
    last = before[0] if before else _FIRST_PITCH
    landing = _landing(bar, places[0], last, None if before else last, may_stay=bool(before))
    for (tick, chord), following in pairwise(places):
        target = _landing(bar, following, landing, chord)
        if chord.tones:
            if tick >= bar.final:
                notes.append(WrittenNote(tick, round(bar.end) - tick, landing, _LOUDNESS + 4))
                break
            onsets = [tick, *(onset for onset in _onsets(bar) if tick < onset < following[0])]
            pitches = [landing, *_path(bar, landing, onsets[1:], target, chord, following[1])]
            ends = [*onsets[1:], following[0]]
            notes += [
                WrittenNote(onset, max(1, round((end - onset) * _gate(bar))), pitch, _loudness(bar, onset))
                for onset, end, pitch in zip(onsets, ends, pitches, strict=True)
            ]
        landing = target
    return bar.within(notes), (landing,)


def _gate(bar: BandBar) -> float:
    return 0.92 if bar.style in ("swing", "waltz", "ballad") else 0.85


def _loudness(bar: BandBar, tick: int) -> int:
    beat, rest = divmod(tick - bar.line, bar.beat)
    accent = 3 if beat % 2 and not rest and bar.style == "swing" else 2 if tick == bar.line else -4 if rest else 0
    return _LOUDNESS + accent + round(6 * (bar.draw(tick, _TOUCH) - 0.5))


def _onsets(bar: BandBar) -> Sequence[int]:
    """The onsets of the style in a bar, without those that a change brings."""
    line, beat = bar.line, bar.beat
    drawn = bar.draw(line, _FIGURE)
    if bar.is_common and bar.style == "bossa":
        return [line, line + 18, line + 24, line + 42]
    if bar.is_common and bar.style == "even":
        return [line + at for at in ((0, 18, 24, 42), (0, 18, 30), (0, 12, 24, 36))[int(drawn * 3)]]
    if bar.is_common and bar.style == "ballad":
        return [line + at for at in ((0, 24), (0, 24, 36), (0, 24, 42), (0, 18, 24))[int(drawn * 4)]]
    step = beat if bar.style in ("swing", "waltz") else 2 * beat
    return range(line, bar.stop, step)


def _landing(bar: BandBar, place: tuple[int, Chord], last: int, before: object, *, may_stay: bool = False) -> int:
    """Return the pitch on which the bass lands; `before` is the chord before. `may_stay`: `last` was chosen for it."""
    tick, chord = place
    if not chord.tones:
        return last
    bass = chord.root if chord.bass is None else chord.bass
    classes = [bass]
    if may_stay:
        same = not bar.changes_at_line()
        if last % 12 == bass or (same and last % 12 in chord.tones):
            return last
    elif chord == before:
        third, fifth = _tone(chord, (4, 3, 5)), _tone(chord, (7, 6, 8))
        drawn = bar.draw(tick, _LANDING)
        classes = [bass] if drawn < 0.5 else [fifth] if drawn < 0.85 else [third]
    pitches = [pitch for pitch in BASS_PITCHES if pitch % 12 in classes and (may_stay or pitch != last)]
    return min(pitches, key=lambda pitch: abs(pitch - last) + 4 * (pitch not in _COMFORTABLE) + pitch / 100)


def _tone(chord: Chord, offsets: Sequence[int]) -> int:
    """The pitch class of the first of these offsets that the chord has, else its root."""
    return (chord.root + next((each for each in offsets if each in chord.quality.tones), 0)) % 12


def _path(bar: BandBar, start: int, onsets: Sequence[int], target: int, chord: Chord, following: Chord) -> list[int]:
    """Return the cheapest pitches for `onsets`, which lead from `start` to `target`."""
    if not onsets:
        return []
    best: dict[int, tuple[float, tuple[int, ...]]] = {start: (0.0, ())}
    for at, onset in enumerate(onsets):
        is_last = at == len(onsets) - 1
        drawn = bar.draw(onset, _WALK)
        steady = bar.style in ("bossa", "even") and not (is_last and onset > bar.stop - 12)
        ways = _approaches(target, chord, following) if is_last and not steady else _tones(bar, onset, chord, steady)
        reached: dict[int, tuple[float, tuple[int, ...]]] = {}
        for pitch, own_cost in ways.items():
            noise = (drawn * (37 + pitch) * 7.13) % 1.0  # as random as the draw, and another for each pitch
            for last, (cost, path) in best.items():
                step = abs(pitch - last)
                if step > _REACH and step != 12:
                    continue
                again = 1.5 if pitch == start or pitch in path else 0.0
                total = cost + own_cost + again + 1.4 * noise + (0.0 if steady and not step else _STEP_COSTS[step])
                if is_last:
                    total += _STEP_COSTS[min(abs(target - pitch), 12)] if pitch != target else 9.0
                if pitch not in reached or total < reached[pitch][0]:
                    reached[pitch] = total, (*path, pitch)
        if not reached:  # at an end of the range
            reached = {last: (cost, (*path, last)) for last, (cost, path) in best.items()}
        best = reached
    return list(min(best.values())[1])


def _tones(bar: BandBar, onset: int, chord: Chord, steady: bool) -> dict[int, float]:
    """The pitches that may come at `onset`, each with its cost: tones of the chord, and of its scale between beats."""
    if steady:  # root and fifth
        classes = {chord.root if chord.bass is None else chord.bass: 0.3, _tone(chord, (7, 6, 8)): 0.0}
    else:
        colour = 1.6 if (onset - bar.line) % (2 * bar.beat) == 0 else 0.4
        classes = dict.fromkeys(chord.scale, colour) | dict.fromkeys(chord.tones, 0.2)
    return {
        pitch: classes[pitch % 12] + (0.0 if pitch in _COMFORTABLE else 0.8)
        for pitch in BASS_PITCHES
        if pitch % 12 in classes
    }


def _approaches(target: int, chord: Chord, following: Chord) -> dict[int, float]:
    """The pitches from which the bass steps into `target`, each with its cost."""
    ways = {target - 1: 0.0, target + 1: 0.2, target + 7: 1.0, target - 5: 0.9}
    for pitch in (target - 2, target + 2):
        ways[pitch] = 0.2 if pitch % 12 in chord.scale | following.scale else 3.0
    return {pitch: cost for pitch, cost in ways.items() if pitch in BASS_PITCHES}
