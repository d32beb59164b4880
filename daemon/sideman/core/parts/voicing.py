# SPDX-License-Identifier: Apache-2.0
"""The rule of the shells: the third and the seventh of each chord, where the two voices move least.

They lie from C3 to F4, below most of the solo. Each chord is played where it begins, or, as often as
`play.anticipation` says, an eighth note before; between the changes they play a figure of the style, as drawn for the
bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from sideman.core.chart.styles import Style
from sideman.core.parts.band_bar import EIGHTH, BandBar, RuleState, WrittenNote
from sideman.core.parts.comp import nearest_shell, shell_tones
from sideman_models.music.harmony import Chord

SHELL_RANGE = range(48, 66)
_ANTICIPATION, _FIGURE, _TOUCH, _LENGTH = range(48, 52)  # purposes of draws
_LOUDNESS = -20
_FIGURES: Mapping[Style, Sequence[Sequence[int]]] = {
    "swing": ((18,), (18,), (30,), (18, 42), (), (24,)),
    "bossa": ((18, 36), (12, 30), (18, 30), (12, 36)),
    "ballad": ((), (24,), ()),
    "even": ((18,), (18, 36), (24,), (30,)),
    "waltz": ((12, 24), (18,), (12,), ()),
}
"""The places of a bar in which they play besides the changes; in meters but 4/4 and 3/4, on every second beat."""
_MOST_ANTICIPATED: Mapping[Style, float] = {"swing": 1.0, "bossa": 1.0, "even": 1.0, "waltz": 0.5, "ballad": 0.3}


def play_shells(bar: BandBar, before: RuleState) -> tuple[list[WrittenNote], RuleState]:
    """Play a bar. The state is the two pitches of the last shell, and 1 if the next bar's chord has been played."""
    *last, anticipated = before or (0,)
    shell, onsets = tuple(last), _onsets(bar, is_begun=bool(anticipated))
    notes: list[WrittenNote] = []
    for (tick, chord), (following, _) in pairwise([*onsets, (bar.stop, bar.chord_at(bar.stop))]):
        if not chord.tones:
            continue
        shell = nearest_shell(shell_tones(chord), shell, SHELL_RANGE)
        length = round(bar.end) - tick if tick >= bar.final else _length(bar, tick, following)
        loudness = _LOUDNESS + round(8 * (bar.draw(tick, _TOUCH) - 0.5)) - 3 * bool((tick - bar.line) % bar.beat)
        notes += [WrittenNote(tick, length, pitch, loudness) for pitch in shell]
    is_next_played = bool(onsets) and _is_anticipated(bar, bar.stop)
    return bar.within(notes), (*shell, int(is_next_played))


def _length(bar: BandBar, tick: int, following: int) -> int:
    """How long a shell is held: short and long ones in swing, otherwise nearly to the next one."""
    room = max(EIGHTH, following - tick)
    if bar.style in ("swing", "even") and bar.draw(tick, _LENGTH) < 0.4:
        return min(room, EIGHTH)
    return round(room * 0.9)


def _is_anticipated(bar: BandBar, tick: int) -> bool:
    """Whether the chord that begins at `tick` is played an eighth note early."""
    chord = bar.chord_at(tick)
    if tick >= min(bar.final, bar.end) or not chord.tones or chord == bar.chord_at(tick - EIGHTH):
        return False
    return bar.draw(tick, _ANTICIPATION) < bar.anticipation * _MOST_ANTICIPATED[bar.style]


def _onsets(bar: BandBar, *, is_begun: bool) -> list[tuple[int, Chord]]:
    """Return the onsets of a bar with their chords."""
    changes = dict(bar.changes())
    onsets: dict[int, Chord] = {}
    for tick, chord in [*changes.items(), (bar.stop, bar.chord_at(bar.stop))]:
        if tick == bar.stop:
            if _is_anticipated(bar, tick):
                onsets[tick - EIGHTH] = chord
        elif tick == bar.line:
            if not is_begun:
                onsets[tick] = chord
        else:
            onsets[tick - EIGHTH if tick - EIGHTH > bar.line and _is_anticipated(bar, tick) else tick] = chord
    if bar.final <= bar.stop:
        return sorted((tick, chord) for tick, chord in onsets.items() if tick <= bar.final)
    for tick in _figure(bar):
        if all(abs(tick - onset) >= bar.beat * 3 // 4 for onset in (*onsets, bar.line)):
            onsets[tick] = bar.chord_at(tick)
    return sorted(onsets.items(), key=lambda one: one[0])


def _figure(bar: BandBar) -> Sequence[int]:
    figures = _FIGURES[bar.style]
    if bar.is_common if bar.style != "waltz" else bar.ticks == 36:
        return [bar.line + at for at in figures[int(bar.draw(bar.line, _FIGURE) * len(figures))]]
    return range(bar.line + 2 * bar.beat, bar.stop, 2 * bar.beat)
