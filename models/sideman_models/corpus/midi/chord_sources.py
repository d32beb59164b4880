# SPDX-License-Identifier: Apache-2.0
"""The sources of chords in a MIDI file: symbols in its texts, or the notes of its other parts.

Symbols are text, marker, lyric or cue events of one kind on one track. They count as chords if at least three in five
can be read by `harmony.parse_chord`; up to 64 are tried. A root may be a small letter: `am`, `bb7`; but one alone (`a`)
is a chord only where no root is a capital, because it may be a minor chord. Symbols in German letters (`german`) are
read as such. If all of them are single letters, they are taken for rehearsal marks. If they are plain major and minor
chords, fewer than one in eight bars, and other notes than the melody can tell the chords, they are taken for the keys
of the music. The chords that Yamaha keyboards write (`xf_chords`) come before all texts, and are never rehearsal marks
or keys. A chord begins on the nearest beat, or half beat if one lies between two beats. The first chord also holds
before its onset.

A text among the symbols that is no chord is left out, or used as far as it is understood if what follows is no word;
`SymbolChords.problems` says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from sideman_models.corpus.midi.chord_finder import find_chords
from sideman_models.corpus.midi.meter import MeterSection
from sideman_models.corpus.midi.parser import MidiTrack, TextEvent, TimedNote
from sideman_models.corpus.midi.parts import MidiPart, skyline
from sideman_models.corpus.midi.xf_chords import XF_CHORD
from sideman_models.errors import ChordError
from sideman_models.music.german import from_german, is_german
from sideman_models.music.harmony import Chord, nearest_chord, parse_chord
from sideman_models.music.solos import ChordGrid
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.text import count_noun

_MIN_SYMBOL_SHARE = 0.6
_MAX_TRIED = 64
_MAX_GROUPS = 16
_MAX_UNREAD = 32
_MAX_SYMBOL_LENGTH = 32
_BRACKETS = "[](){}<>|\"' "
_ACCIDENTALS = ("", "b", "#", "♭", "♯")
_SHOWN = 40
_KARAOKE_SIGN = "@"
_KEY_QUALITIES = ("", "-")
_MIN_QUARTERS_OF_KEY = 32
_MAX_LINE_SHARE = 0.8
"""A part of which a smaller share is its highest line plays chords, too."""
_MAX_GUESSES = 256
_ROOT = re.compile(r"[A-G](bb|##|[b#]?)")
_WORD = re.compile(r"[^\W\d_]{2}")


class SymbolChords(Struct, frozen=True):
    """Chords from symbols: (onset in `TICKS_PER_QUARTER`, chord) in order, at least one.

    `problems` has (onset, text) for each text that was not read, or not as it stands.
    """

    chords: tuple[tuple[float, Chord], ...]
    description: str
    unread_symbols: tuple[str, ...]
    problems: tuple[tuple[float, str], ...] = ()

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
    problems: tuple[tuple[float, str], ...] = ()

    def chords_over(self, section: MeterSection) -> ChordGrid:
        """Return the chords of the section, one for each slot."""
        below, melody = (section.notes_within(notes) for notes in (self.accompaniment, self.melody))
        chords = find_chords(below, melody, section.slots())
        return ChordGrid(tuple(chords), section.slots_per_beat)


ChordSource = SymbolChords | InferredChords


class _Spelling(NamedTuple):
    """How the symbols of a group are written: whether a small letter alone is a chord, and whether H is B."""

    small_letters: bool = False
    is_german: bool = False


_PLAIN = _Spelling()


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


def chords_from_symbols(tracks: Sequence[tuple[int, MidiTrack]], pitched: Sequence[MidiPart]) -> SymbolChords | None:
    """Return the chords of the largest group (kind and track) of text events that is chord symbols, or None.

    `pitched` are the parts whose notes could tell the chords instead; without any, no symbols are taken for keys.
    """
    groups: dict[tuple[int, str], list[TextEvent]] = defaultdict(list)
    for number, track in tracks:
        for text in track.texts:
            if not text.text.startswith(_KARAOKE_SIGN):
                groups[number, text.kind].append(text)
    largest_first = sorted(groups.items(), key=lambda group: (group[0][1] != XF_CHORD, -len(group[1])))
    for (number, kind), texts in largest_first[:_MAX_GROUPS]:
        where = f"{kind} events of track {number}"
        if kind == XF_CHORD and any(_read_symbol(one.text) for one in texts):
            return _symbol_chords(where, texts)
        tried = [one.text for one in texts[:: -(-len(texts) // _MAX_TRIED)]]
        has_capitals = any(text.strip(_BRACKETS)[:1] in "ABCDEFG" and _read_symbol(text) for text in tried)
        spelling = _Spelling(not has_capitals, is_german(_capital(one.text.strip(_BRACKETS)) for one in texts))
        read = [chord for text in tried if (chord := _read_symbol(text, spelling))]
        if len(read) < _MIN_SYMBOL_SHARE * len(tried) or all(len(chord.text) == 1 for chord in read):
            continue
        if not _may_be_keys(read, len(texts), pitched):
            return _symbol_chords(where, texts, spelling)
    return None


def _symbol_chords(where: str, texts: Sequence[TextEvent], spelling: _Spelling = _PLAIN) -> SymbolChords:
    chords: list[tuple[float, Chord]] = []
    problems: list[tuple[float, str]] = []
    if spelling.is_german:
        problems.append((texts[0].tick, "its chords have German letters: H is read as B, and B as Bb"))
    unread: set[str] = set()
    for one in texts:
        if chord := _read_symbol(one.text, spelling):
            chords.append((one.tick, chord))
        elif len(problems) < _MAX_GUESSES and (guess := _guess_symbol(one.text, spelling)):
            chords.append((one.tick, guess))
            problems.append((one.tick, f"{one.text[:_SHOWN]!r} is read as {guess.text!r}"))
        elif one.text:
            unread.add(one.text)
            problems.append((one.tick, f"{one.text[:_SHOWN]!r} is not a chord: the chord before it goes on"))
    return SymbolChords(
        tuple(chords),
        f"{count_noun(len(chords), 'symbol')}, {where}",
        tuple(sorted(unread)[:_MAX_UNREAD]),
        tuple(problems),
    )


def _may_be_keys(chords: Sequence[Chord], count: int, pitched: Sequence[MidiPart]) -> bool:
    """Whether the symbols are too few, and too plain, for the chords of music whose notes tell the chords."""
    if not all(chord.quality.name in _KEY_QUALITIES for chord in chords):
        return False
    quarters = max((part.notes[-1][0] for part in pitched), default=0.0) / TICKS_PER_QUARTER
    if count * _MIN_QUARTERS_OF_KEY > quarters:
        return False
    return len(pitched) > 1 or len(skyline(pitched[0].notes)) < _MAX_LINE_SHARE * len(pitched[0].notes)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=4096)
def _read_symbol(text: str, spelling: _Spelling = _PLAIN) -> Chord | None:
    """Return the chord that the text stands for, or None."""
    plain = text.strip(_BRACKETS)
    if not 1 <= len(plain) <= _MAX_SYMBOL_LENGTH or plain[0] not in "ABCDEFGHNnabcdefgh":
        return None
    if plain[0] in "abcdefgh":
        if plain[1:] in _ACCIDENTALS and not spelling.small_letters:
            return None
        plain = _capital(plain)
    try:
        plain = from_german(plain) if spelling.is_german else plain
        return parse_chord(plain)
    except ChordError:
        return None


def _guess_symbol(text: str, spelling: _Spelling) -> Chord | None:
    """Return the chord that the text begins with, if that is more than a letter, and what follows is no word."""
    plain = "".join(text.strip(_BRACKETS).split())
    if len(plain) > _MAX_SYMBOL_LENGTH:
        return None
    try:
        plain = _capital(plain)
        plain = from_german(plain) if spelling.is_german else plain
        chord = nearest_chord(plain)
    except ChordError:
        return None
    return None if _ROOT.fullmatch(chord.text) or _WORD.search(plain[len(chord.text) :]) else chord
