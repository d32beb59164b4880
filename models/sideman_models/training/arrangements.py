# SPDX-License-Identifier: Apache-2.0
"""Arrangements of the music: the same solos where their notes would be played almost as well.

There is little music to learn from, so a network knows some of it by heart. Most of what holds for a solo holds for its
arrangements, too, and each moves something that the network could know it by:

- its time: a solo in eighths becomes one in sixteenths over chords that change twice as often, one with shorter notes
  becomes one of half its speed;
- its place: the solo and its chords begin half a bar later;
- its chords: of two chords that prepare the same one, such as Dm7 G7, one lasts for both, or one of them becomes two.
  Soloists play the same lines over either, and so do their accompanists.

An arrangement moves one or several of these. There are more kinds than one epoch of training takes: it takes
`ARRANGEMENTS_AN_EPOCH` of them, in turn. So the network seldom hears the same twice.

An arrangement is marked as music of another feel (see `solos.Solo`): it adds no values, and nothing is measured on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby, pairwise
from statistics import median

from msgspec.structs import replace

from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.solos import ChordGrid, Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER

ARRANGEMENTS_AN_EPOCH = 3
"""How many kinds of arrangements each epoch takes beside the music."""
_EIGHTH = TICKS_PER_QUARTER / 2
_PREPARING, _DOMINANT = ("minor", "minor seventh", "half-diminished"), ("dominant", "altered", "sus")
_FOURTH = 5

Arrange = Callable[[Solo], Solo | None]
"""Returns another arrangement of a solo, or None if it has none of this kind."""


def arrangements(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Return the arrangements of the pieces that come from solos, by kind; a kind that none has is left out."""
    solos = [piece.solo for piece in pieces if piece.solo is not None]
    kinds = ([arranged for solo in solos if (arranged := _arranged(solo, steps)) is not None] for steps in _KINDS)
    return [[solo_to_piece(replace(solo, other_feel=True)) for solo in kind] for kind in kinds if kind]


def _arranged(solo: Solo, steps: Iterable[Arrange]) -> Solo | None:
    arranged: Solo | None = solo
    for step in steps:
        arranged = None if arranged is None else step(arranged)
    return arranged


def in_other_time(solo: Solo) -> Solo | None:
    """Return the solo twice as fast if half of its notes are eighths or longer, otherwise half as fast.

    None if it has fewer than two notes.
    """
    apart = [after.onset - note.onset for note, after in pairwise(solo.notes)]
    if not apart:
        return None
    chords, slots = solo.changes.chords, solo.changes.slots_per_beat
    if median(apart) >= _EIGHTH:
        factor, changes = 0.5, ChordGrid(chords, 2 * slots)
    else:
        factor, changes = 2.0, ChordGrid(tuple(chord for chord in chords for _ in range(2)), slots)
    notes = tuple(replace(note, onset=factor * note.onset, end=factor * note.end) for note in solo.notes)
    return replace(solo, notes=notes, changes=changes, bpm=None if solo.bpm is None else factor * solo.bpm)


def half_a_bar_later(solo: Solo) -> Solo | None:
    """Return the solo half a bar later, or None if half of its bar is not a number of beats."""
    beats, rest = divmod(solo.bar_ticks, 2 * TICKS_PER_QUARTER)
    if rest or not solo.changes.chords:
        return None
    notes = tuple(
        replace(note, onset=note.onset + solo.bar_ticks // 2, end=note.end + solo.bar_ticks // 2) for note in solo.notes
    )
    chords, slots = solo.changes.chords, solo.changes.slots_per_beat
    return replace(solo, notes=notes, changes=ChordGrid(chords[:1] * (beats * slots) + chords, slots))


def with_fewer_chords(solo: Solo, kept: int = 1) -> Solo | None:
    """Return the solo with one chord in place of each pair such as Dm7 G7: in turn the first (0) and the second (1).

    `kept` says which one of the first pair. None if there is no such pair.
    """
    runs = [(chord, len(list(run))) for chord, run in groupby(solo.changes.chords)]
    chords: list[Chord] = []
    pairs = number = 0
    while number < len(runs):
        first, count = runs[number]
        number += 1
        if number < len(runs) and _prepare_the_same(first, runs[number][0]):
            first, count = (first, runs[number][0])[(pairs + kept) % 2], count + runs[number][1]
            number += 1
            pairs += 1
        chords += [first] * count
    return replace(solo, changes=ChordGrid(tuple(chords), solo.changes.slots_per_beat)) if pairs else None


def with_more_chords(solo: Solo) -> Solo | None:
    """Return the solo with a pair such as Dm7 G7 in place of each G7 that leads to a C and lasts a bar or longer.

    None if there is no such chord.
    """
    bar = solo.bar_ticks * solo.changes.slots_per_beat // TICKS_PER_QUARTER
    runs = [(chord, len(list(run))) for chord, run in groupby(solo.changes.chords)]
    chords: list[Chord] = []
    before: Chord | None = None
    is_changed = False
    for (chord, count), (after, _) in zip(runs, [*runs[1:], (None, 0)], strict=True):
        early = 0
        if count >= bar and _leads(chord, after) and not (before is not None and _prepare_the_same(before, chord)):
            early, is_changed = count // 2, True
        chords += [_preparing(chord)] * early + [chord] * (count - early)
        before = chord
    return replace(solo, changes=ChordGrid(tuple(chords), solo.changes.slots_per_beat)) if is_changed else None


def _leads(chord: Chord, after: Chord | None) -> bool:
    is_dominant = chord.quality.family in _DOMINANT
    return is_dominant and after is not None and (after.root - chord.root) % 12 == _FOURTH


def _preparing(dominant: Chord) -> Chord:
    """Return the chord that prepares the same one as this: Dm7 for G7, Dm7b5 for G7alt."""
    prepares_f = parse_chord("Cm7b5" if dominant.quality.family == "altered" else "Cm7")
    return prepares_f.transposed((dominant.root - _FOURTH) % 12)


def _prepare_the_same(chord: Chord, after: Chord) -> bool:
    families = chord.quality.family in _PREPARING and after.quality.family in _DOMINANT
    return families and (after.root - chord.root) % 12 == _FOURTH


_with_first_chords = partial(with_fewer_chords, kept=0)
_KINDS: tuple[tuple[Arrange, ...], ...] = (
    (in_other_time,), (half_a_bar_later,), (with_fewer_chords,),
    (in_other_time, half_a_bar_later), (with_more_chords,), (_with_first_chords,),
    (in_other_time, with_fewer_chords), (half_a_bar_later, with_more_chords), (half_a_bar_later, _with_first_chords),
    (in_other_time, with_more_chords), (half_a_bar_later, with_fewer_chords),
    (in_other_time, half_a_bar_later, _with_first_chords),
)  # fmt: skip
"""The kinds of arrangements: what is done to a solo, step by step. Each epoch takes the next three."""
