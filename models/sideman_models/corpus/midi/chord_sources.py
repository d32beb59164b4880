# SPDX-License-Identifier: Apache-2.0
"""The sources of chords in a MIDI file: symbols in its texts, or the notes of its other parts.

Symbols are text, marker, lyric or cue events of one kind on one track. They count as chords if at least three in five
can be read by `harmony.parse_chord`; up to 64 are tried. If all of them are single letters, they are taken for
rehearsal marks. A chord begins on the nearest beat, or half beat if one lies between two beats. The first chord also
holds before its onset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from sideman_models.corpus.midi.chord_finder import find_chords
from sideman_models.corpus.midi.meter import MeterSection
from sideman_models.corpus.midi.parser import MidiTrack, TextEvent, TimedNote
from sideman_models.corpus.midi.parts import MidiPart
from sideman_models.errors import ChordError
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.text import count_noun

_MIN_SYMBOL_SHARE = 0.6
_MAX_TRIED = 64
_MAX_GROUPS = 16
_MAX_UNREAD = 32
_MAX_SYMBOL_LENGTH = 20
_BRACKETS = "[](){}<>|\"' "


class SymbolChords(Struct, frozen=True):
    """Chords from symbols: (onset in `TICKS_PER_QUARTER`, chord) in order, at least one."""

    chords: tuple[tuple[float, Chord], ...]
    description: str
    unread_symbols: tuple[str, ...]

    def chords_over(self, section: MeterSection) -> ChordGrid:
        """Return the chords of the section, on a grid of half beats if one of them begins on a half beat."""
        onsets = [at for at, _ in self.chords if section.start <= at < section.end]
        on_half_beat = any(
            0.25 < (at - section.start) * section.slots_per_beat / TICKS_PER_QUARTER % 1 < 0.75 for at in onsets
        )
        slots = section.slots(2 if on_half_beat else 1)
        grid: list[Chord] = []
        chord = self.chords[0][1]
        for at, following in self.chords:
            slot = min(slots.count, round((at - section.start) / slots.ticks_per_slot))
            grid += [chord] * (slot - len(grid))
            chord = following
        return ChordGrid((*grid, *[chord] * (slots.count - len(grid))), TICKS_PER_QUARTER // slots.ticks_per_slot)


class InferredChords(Struct, frozen=True):
    """Chords found from notes. Both lists of notes are in order of onset."""

    accompaniment: Sequence[TimedNote]
    melody: Sequence[TimedNote]
    description: str
    unread_symbols: tuple[str, ...] = ()

    def chords_over(self, section: MeterSection) -> ChordGrid:
        """Return the chords of the section, one for each slot."""
        below, melody = (section.notes_within(notes) for notes in (self.accompaniment, self.melody))
        chords = find_chords(below, melody, section.slots())
        return ChordGrid(tuple(chords), section.slots_per_beat)


ChordSource = SymbolChords | InferredChords


def chords_from_accompaniment(parts: Sequence[MidiPart], melody: MidiPart, line: Sequence[TimedNote]) -> InferredChords:
    """Return chords found from all notes but the highest `line` of the melody, or from it if there are no others."""
    others = [part for part in parts if part is not melody]
    in_line = set(line)
    below = [note for note in melody.notes if note not in in_line]
    accompaniment = sorted([note for part in others for note in part.notes] + below)
    if not accompaniment:
        return InferredChords(line, line, "found from the melody alone")
    sources = [count_noun(len(others), "other part")] if others else []
    sources += ["the notes below the melody"] if below else []
    return InferredChords(accompaniment, line, f"found from {' and '.join(sources)}")


def chords_from_symbols(tracks: Sequence[tuple[int, MidiTrack]]) -> SymbolChords | None:
    """Return the chords of the largest group (kind and track) of text events that is chord symbols, or None."""
    groups: dict[tuple[int, str], list[TextEvent]] = defaultdict(list)
    for number, track in tracks:
        for text in track.texts:
            groups[number, text.kind].append(text)
    for (number, kind), texts in sorted(groups.items(), key=lambda group: -len(group[1]))[:_MAX_GROUPS]:
        tried = [one.text for one in texts[:: -(-len(texts) // _MAX_TRIED)]]
        read = [text for text in tried if _read_symbol(text)]
        if len(read) < _MIN_SYMBOL_SHARE * len(tried) or all(len(text.strip(_BRACKETS)) == 1 for text in read):
            continue
        symbols = [(one, _read_symbol(one.text)) for one in texts]
        chords = tuple((one.tick, chord) for one, chord in symbols if chord)
        unread = {one.text for one, chord in symbols if chord is None}
        description = f"{len(chords)} symbols, {kind} events of track {number}"
        return SymbolChords(chords, description, tuple(sorted(unread)[:_MAX_UNREAD]))
    return None


@lru_cache(maxsize=4096)
def _read_symbol(text: str) -> Chord | None:
    """Return the chord that the text stands for, or None."""
    plain = text.strip(_BRACKETS)
    if not 1 <= len(plain) <= _MAX_SYMBOL_LENGTH or plain[0] not in "ABCDEFGNn":
        return None
    try:
        return parse_chord(plain)
    except ChordError:
        return None
