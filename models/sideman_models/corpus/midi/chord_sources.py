# SPDX-License-Identifier: Apache-2.0
"""Where the chords of a MIDI file come from: symbols in its texts, or what its other parts play.

Symbols are text, marker, lyric or cue events of one kind on one track, of which three in five or more can be read as
chords (`harmony.parse_chord`); up to 64 of them are tried. Bare letters alone are taken for rehearsal marks. A chord
begins on the nearest beat, or half of one where any stands between two; the first also holds before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from sideman_models.corpus.midi.chord_finder import find_chords
from sideman_models.corpus.midi.meter import Stretch
from sideman_models.corpus.midi.parser import Strike, Text, Track
from sideman_models.corpus.midi.parts import Part
from sideman_models.errors import ChordError
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.solos import BeatChanges
from sideman_models.music.values import TICKS

_TELLING = 0.6
_TRIED = 64
_MOST_GROUPS = 16
_MOST_UNREAD = 32
_LONGEST_SYMBOL = 20
_BRACKETS = "[](){}<>|\"' "


class Chords(Protocol):
    """Chords to be laid over stretches. `told` says where they come from, `unread` what could not be read of them."""

    @property
    def told(self) -> str: ...  # noqa: D102

    @property
    def unread(self) -> tuple[str, ...]: ...  # noqa: D102

    def over(self, stretch: Stretch) -> BeatChanges:
        """The chords of the stretch."""
        ...


@dataclass(frozen=True, slots=True)
class SymbolChords:
    """Chords from symbols: (onset in `TICKS`, chord), in order, at least one."""

    chords: tuple[tuple[float, Chord], ...]
    told: str
    unread: tuple[str, ...]

    def over(self, stretch: Stretch) -> BeatChanges:
        """The chords of the stretch."""
        within = [at for at, _ in self.chords if stretch.start <= at < stretch.end]
        halves = any(0.25 < (at - stretch.start) * stretch.per_beat / TICKS % 1 < 0.75 for at in within)
        slots = stretch.slots(2 if halves else 1)
        laid: list[Chord] = []
        chord = self.chords[0][1]
        for at, following in self.chords:
            slot = min(slots.count, round((at - stretch.start) / slots.ticks))
            laid += [chord] * (slot - len(laid))
            chord = following
        return BeatChanges((*laid, *[chord] * (slots.count - len(laid))), TICKS // slots.ticks)


@dataclass(frozen=True, slots=True)
class FoundChords:
    """Chords found from notes, given in order of onset."""

    accompaniment: Sequence[Strike]
    melody: Sequence[Strike]
    told: str
    unread: tuple[str, ...] = ()

    def over(self, stretch: Stretch) -> BeatChanges:
        """The chords of the stretch."""
        chords = find_chords(stretch.within(self.accompaniment), stretch.within(self.melody), stretch.slots())
        return BeatChanges(tuple(chords), stretch.per_beat)


def found_below(pitched: Sequence[Part], melody: Part, line: Sequence[Strike]) -> FoundChords:
    """Chords from all that is not `line`, the melody's highest; from this alone if there is nothing else."""
    others = [part for part in pitched if part is not melody]
    taken = set(line)
    below = [note for note in melody.notes if note not in taken]
    accompaniment = sorted([note for part in others for note in part.notes] + below)
    if not accompaniment:
        return FoundChords(line, line, "found from the melody alone")
    sources = [f"{len(others)} other part{'s' * (len(others) != 1)}"] if others else []
    sources += ["the notes below the melody"] if below else []
    return FoundChords(accompaniment, line, f"found from {' and '.join(sources)}")


def symbol_chords(tracks: Sequence[tuple[int, Track]], division: int) -> SymbolChords | None:
    """The chords that the kind of events tells which has the most texts, of those that tell chords at all."""
    groups: dict[tuple[int, str], list[Text]] = defaultdict(list)
    for number, track in tracks:
        for text in track.texts:
            groups[number, text.kind].append(text)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))[:_MOST_GROUPS]
    for (number, kind), texts in largest:
        if _tells_chords(texts):
            chords = tuple((one.tick * TICKS / division, chord) for one in texts if (chord := _symbol(one.text)))
            unread = tuple(sorted({one.text for one in texts if _symbol(one.text) is None})[:_MOST_UNREAD])
            return SymbolChords(chords, f"{len(chords)} symbols, {kind} events of track {number}", unread)
    return None


def _tells_chords(texts: Sequence[Text]) -> bool:
    tried = [text.text for text in texts[:: -(-len(texts) // _TRIED)]]
    read = [text for text in tried if _symbol(text) is not None]
    return len(read) >= _TELLING * len(tried) and any(len(text.strip(_BRACKETS)) > 1 for text in read)


@lru_cache(maxsize=4096)
def _symbol(text: str) -> Chord | None:
    """The chord that a text is, if it is one."""
    plain = text.strip(_BRACKETS)
    if not 1 <= len(plain) <= _LONGEST_SYMBOL or plain[0] not in "ABCDEFGNn":
        return None
    try:
        return parse_chord(plain)
    except ChordError:
        return None
