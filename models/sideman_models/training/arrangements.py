# SPDX-License-Identifier: Apache-2.0
"""Arrangements of the music: the same solos where their notes would be played almost as well.

There is little music to learn from, so a network knows some of it by heart. Most of what holds for a solo holds for its
arrangements, too, and each moves something that the network could know it by:

- its time: a solo in eighths becomes one in sixteenths over chords that change twice as often, one with shorter notes
  becomes one of half its speed;
- its place: the solo and its chords begin half a bar later;
- its chords: of two chords that prepare the same one, such as Dm7 G7, one lasts for both. Soloists play the same lines
  over either, and so do their accompanists.

An arrangement is marked as music of another feel (see `solos.Solo`): it adds no values, and nothing is measured on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from statistics import median

from msgspec.structs import replace

from sideman_models.music.harmony import Chord
from sideman_models.music.solos import ChordGrid, Piece, Solo, solo_to_piece
from sideman_models.music.values import TICKS_PER_QUARTER

_EIGHTH = TICKS_PER_QUARTER / 2
_PREPARING, _DOMINANT = ("minor", "minor seventh", "half-diminished"), ("dominant", "altered", "sus")
_FOURTH = 5


def arrangements(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the arrangements of each piece that comes from a solo."""
    for piece in pieces:
        if piece.solo is not None:
            for solo in (in_other_time(piece.solo), half_a_bar_later(piece.solo), with_fewer_chords(piece.solo)):
                if solo is not None:
                    yield solo_to_piece(replace(solo, other_feel=True))


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


def with_fewer_chords(solo: Solo) -> Solo | None:
    """Return the solo with one chord in place of each pair such as Dm7 G7: in turn the second and the first.

    None if there is no such pair.
    """
    runs = [(chord, len(list(run))) for chord, run in groupby(solo.changes.chords)]
    chords: list[Chord] = []
    pairs = number = 0
    while number < len(runs):
        first, count = runs[number]
        number += 1
        if number < len(runs) and _prepare_the_same(first, runs[number][0]):
            first, count = (runs[number][0], first)[pairs % 2], count + runs[number][1]
            number += 1
            pairs += 1
        chords += [first] * count
    return replace(solo, changes=ChordGrid(tuple(chords), solo.changes.slots_per_beat)) if pairs else None


def _prepare_the_same(chord: Chord, after: Chord) -> bool:
    families = chord.quality.family in _PREPARING and after.quality.family in _DOMINANT
    return families and (after.root - chord.root) % 12 == _FOURTH
