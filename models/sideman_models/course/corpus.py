# SPDX-License-Identifier: Apache-2.0
"""The classic corpus: reads the course's MIDI file by the grammar of deepjazz (Ji-Sung Kim, 2016).

`read_classic` turns the MIDI file of the course *Sequence Models* into its 193 tokens, and `training_arrays` turns them
into the course's X and Y. The originals read the file with music21 (3.x to 6.1). The rules here reproduce its results:

1. *Read.* The melody is the guitar track, the chords are the piano track. Notes that start and end within 1/16 of a
   quarter note of an earlier note of their track form one group with it, with the onset and length of that note. Onset
   and length are each quantised to the nearest multiple of 1/4 or 1/3 of a quarter note. The solo is bars 119 to 136.
2. *Spell.* Every pitch class has one name: C C# D Eb E F F# G G# A Bb B.
3. *Active chord.* The last chord of the bar that has started, or else the first chord of the bar.
4. *Kind.* C: a tone of the chord. S: a tone of its scale, by name (G# is not in Eb major). A: a semitone from a tone
   of the chord. X: none of these.
5. *Text.* Kind and length, and, except for the first note of a bar, the interval from the previous note plus and minus
   a minor third: `C,0.250,<P1,d-5>`.

Times are in quarter notes. A *name* is a letter (0 to 6 for C to B) with its sharps (+1) or flats (-1).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from operator import attrgetter
from os import PathLike
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.errors import CorpusError
from sideman_models.files import check_regular_file
from sideman_models.text import sha256_of_lines

MELODY_TRACK = 11
CHORDS_TRACK = 6
FIRST_SOLO_ONSET, LAST_SOLO_ONSET = 476, 548
"""The onsets of the solo in quarter notes, both included."""
BEATS_PER_BAR = 4

SNIPPET_COUNT = 60
SNIPPET_LENGTH = 30

NoteName = tuple[int, int]
"""A letter, 0 to 6 for C to B, and its accidental: +1 for a sharp, -1 for a flat."""
Floats = npt.NDArray[np.float32]

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
DORIAN_SCALE = (0, 2, 3, 5, 7, 9, 10)
LETTER_SEMITONES = MAJOR_SCALE
"""The seven letters C..B in semitones."""

PITCH_CLASS_NAMES: tuple[NoteName, ...] = (
    (0, 0), (0, 1), (1, 0), (2, -1), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (5, 0), (6, -1), (6, 0),
)  # fmt: skip
"""The name of each of the 12 pitch classes."""

TONICS: tuple[NoteName, ...] = (
    (0, -1), (0, 0), (1, -1), (1, 0), (2, -1), (2, 0), (3, 0), (3, 1), (4, 0), (5, -1), (5, 0), (6, -1), (6, 0),
)  # fmt: skip
"""The possible tonics of a chord's scale, lowest first: Cb C Db D Eb E F F# G Ab A Bb B."""


class MidiNote(Struct):
    """A note from tick `start` to tick `end` of the file; while it has no end, -1."""

    start: int
    pitch: int
    end: int = -1


class PitchGroup(Struct, frozen=True):
    """Pitches that start and end together; onset and length in quarter notes, quantised."""

    onset: Fraction
    length: Fraction
    pitches: tuple[int, ...]

    @property
    def bar(self) -> int:
        """The bar of the onset, counted from 0 at the start of the file."""
        return int(self.onset // BEATS_PER_BAR)


class ClassicCorpus(Struct, frozen=True):
    """The tokens of the solo and the chords, bar by bar. A chord is (quarters after the bar line, MIDI pitches)."""

    bars: tuple[tuple[str, ...], ...]
    chords: tuple[tuple[tuple[float, tuple[int, ...]], ...], ...]

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens, in order."""
        return tuple(token for bar in self.bars for token in bar)

    @property
    def values(self) -> tuple[str, ...]:
        """The different tokens, sorted: the index of a value here is its index in the network."""
        return tuple(sorted(set(self.tokens)))

    def facts(self) -> dict[str, object]:
        """Return counts and hashes as plain JSON. A hash is the sha256 of the tokens or values, joined by newlines."""
        return {
            "tokens": len(self.tokens),
            "values": len(self.values),
            "tokens_per_bar": [len(bar) for bar in self.bars],
            "kinds": {kind: sum(token[0] == kind for token in self.tokens) for kind in "CSAX"},
            "durations": dict(sorted(Counter(token.split(",")[1] for token in self.tokens).items())),
            "tokens_sha256": sha256_of_lines(self.tokens),
            "values_sha256": sha256_of_lines(self.values),
        }


def read_classic(path: str | PathLike[str]) -> ClassicCorpus:
    """Read the course's MIDI file by the rules above.

    Raises `CorpusError`, which names the file and the problem: not a MIDI file, a missing track, no notes of the solo,
    or a bar without chords.
    """
    try:
        check_regular_file(Path(path))
        midi = mido.MidiFile(path)
    except Exception as error:  # mido raises errors of any type for a broken file
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CorpusError(f"{path}: not a readable MIDI file ({reason})") from error
    if midi.ticks_per_beat <= 0:
        raise CorpusError(f"{path}: its times are not in ticks per quarter note")
    melody = [group for group in _solo_groups(midi, MELODY_TRACK, path) if len(group.pitches) == 1]
    chord_groups = [group for group in _solo_groups(midi, CHORDS_TRACK, path) if len(group.pitches) > 1]
    if not melody:
        raise CorpusError(
            f"{path}: track {MELODY_TRACK} has no notes from quarter {FIRST_SOLO_ONSET} to {LAST_SOLO_ONSET}, the solo"
        )
    # The chord track has one bar more than the melody: only the bars of the melody count.
    bars, chords = [], []
    for number in sorted({note.bar for note in melody}):
        bar_chords = [chord for chord in chord_groups if chord.bar == number]
        if not bar_chords:
            raise CorpusError(f"{path}: track {CHORDS_TRACK} has no chord in bar {number}, where the solo has notes")
        bars.append(tuple(_bar_tokens([note for note in melody if note.bar == number], bar_chords)))
        chords.append(tuple((float(chord.onset % BEATS_PER_BAR), chord.pitches) for chord in bar_chords))
    return ClassicCorpus(tuple(bars), tuple(chords))


def training_arrays(corpus: ClassicCorpus) -> tuple[Floats, Floats]:
    """Return the course's training set: X (60 snippets, 30 steps, n_values) and Y (30 steps, 60 snippets, n_values).

    X[:, 0] is all zeros, and Y[t] is X[:, t + 1]. So the first value of a snippet is never used, and the last target is
    all zeros: the loss must leave that step out. Raises `CorpusError` if the corpus has 30 values or fewer.
    """
    values, indices = np.unique(corpus.tokens, return_inverse=True)
    if len(indices) <= SNIPPET_LENGTH:
        raise CorpusError(
            f"the corpus has {len(indices)} values; training takes snippets of {SNIPPET_LENGTH} from a longer corpus"
        )
    # Only NumPy's legacy generator draws the same snippets as the course.
    starts = np.random.RandomState(0).choice(len(indices) - SNIPPET_LENGTH, SNIPPET_COUNT)
    X = np.eye(len(values), dtype=np.float32)[indices[starts[:, None] + np.arange(SNIPPET_LENGTH)]]
    X[:, 0] = 0.0
    return X, np.roll(X.transpose(1, 0, 2), -1, axis=0)


# 1. Read


def _solo_groups(midi: mido.MidiFile, number: int, path: str | PathLike[str]) -> list[PitchGroup]:
    """Return the groups of a track that start within the solo, in order of onset."""
    if number >= len(midi.tracks):
        raise CorpusError(
            f"{path}: no track {number}, only 0 to {len(midi.tracks) - 1}; "
            f"the classic corpus has its melody in track {MELODY_TRACK} and its chords in track {CHORDS_TRACK}"
        )
    groups = sorted(_pitch_groups(_track_notes(midi.tracks[number]), midi.ticks_per_beat), key=attrgetter("onset"))
    return [group for group in groups if FIRST_SOLO_ONSET <= group.onset <= LAST_SOLO_ONSET]


def _track_notes(track: mido.MidiTrack) -> list[MidiNote]:
    """Return the notes of a track in order of their note-ons. A note-off ends the oldest note of its pitch."""
    tick = 0
    notes: list[MidiNote] = []
    held: dict[int, list[MidiNote]] = defaultdict(list)  # by pitch
    for message in track:
        tick += message.time
        if message.type == "note_on" and message.velocity > 0:
            notes.append(MidiNote(tick, message.note))
            held[message.note].append(notes[-1])
        elif message.type in ("note_on", "note_off") and held[message.note]:
            held[message.note].pop(0).end = tick
    return [note for note in notes if note.end >= 0]


def _pitch_groups(notes: Sequence[MidiNote], ticks: int) -> Iterator[PitchGroup]:
    """Group notes that start and end within 1/16 of a quarter note (`ticks` / 16) of the first note of the group.

    A note in a group does not start a group of its own, but it may be in two groups.
    """
    tolerance = ticks / 16
    grouped: set[int] = set()
    for index, first in enumerate(notes):
        if index in grouped:
            continue
        pitches = [first.pitch]
        for later in range(index + 1, len(notes)):
            note = notes[later]
            if note.start - first.start > tolerance:
                break
            if abs(note.end - first.end) <= tolerance:
                pitches.append(note.pitch)
                grouped.add(later)
        length = _quantize(Fraction(first.end - first.start, ticks)) or Fraction(1, 4)
        yield PitchGroup(_quantize(Fraction(first.start, ticks)), length, tuple(pitches))


def _quantize(quarter_notes: Fraction) -> Fraction:
    """Return the nearest multiple of 1/4 or 1/3 of a quarter note; on a tie, that of 1/4."""
    fourths, thirds = Fraction(round(quarter_notes * 4), 4), Fraction(round(quarter_notes * 3), 3)
    return thirds if abs(thirds - quarter_notes) < abs(fourths - quarter_notes) else fourths


# 2. Spell


def _scale_names(tonic: NoteName, steps: Sequence[int]) -> Iterator[NoteName]:
    """Yield the names of a scale, one letter per step from its tonic; `steps` are semitones above the tonic."""
    for degree, step in enumerate(steps):
        octave, letter = divmod(tonic[0] + degree, 7)
        semitones = LETTER_SEMITONES[tonic[0]] + tonic[1] + step
        yield letter, semitones - LETTER_SEMITONES[letter] - 12 * octave


# 4. Kind


def tone_kind(pitch: int, chord: Sequence[int]) -> str:
    """Return the kind of a pitch over a chord of MIDI pitches: `C`, `S`, `A` or `X`, the first that holds."""
    tones = {tone % 12 for tone in chord}
    if pitch % 12 in tones:
        return "C"
    if PITCH_CLASS_NAMES[pitch % 12] in chord_scale(chord):
        return "S"
    return "A" if tones & {(pitch - 1) % 12, (pitch + 1) % 12} else "X"


def chord_scale(chord: Sequence[int]) -> list[NoteName]:
    """Return the scale over a chord: major over a major chord, else Dorian.

    Its tonic is the one whose scale has the most tones of the chord, and the highest of several. It need not be the
    root of the chord.
    """
    steps = MAJOR_SCALE if is_major(chord) else DORIAN_SCALE
    tones = {tone % 12 for tone in chord}
    scales = (list(_scale_names(tonic, steps)) for tonic in reversed(TONICS))
    return max(scales, key=lambda names: len(tones & {(LETTER_SEMITONES[name[0]] + name[1]) % 12 for name in names}))


def is_major(chord: Sequence[int]) -> bool:
    """Return whether the chord has a major third, and a perfect fifth or no fifth, counted by letters from its root.

    The root is the tone with the most thirds (by letter) stacked above it, and the first of several.
    """
    letters = [PITCH_CLASS_NAMES[pitch % 12][0] for pitch in chord]
    root_letter = max(
        letters,
        key=lambda letter: next((count for count in range(6) if (letter + 2 * (count + 1)) % 7 not in letters), 6),
    )
    root = chord[letters.index(root_letter)]

    def above(steps: int) -> set[int]:
        tones = zip(chord, letters, strict=True)
        return {(pitch - root) % 12 for pitch, letter in tones if (letter - root_letter) % 7 == steps}

    return above(2) == {4} and above(4) <= {7}


# 3. The active chord, and 5. text


def _bar_tokens(notes: Sequence[PitchGroup], chords: Sequence[PitchGroup]) -> Iterator[str]:
    previous: int | None = None
    for note in notes:
        pitch = note.pitches[0]
        active = [chord for chord in chords if chord.onset <= note.onset][-1:] or chords
        text = f"{tone_kind(pitch, active[0].pitches)},{float(note.length):.3f}"
        yield text if previous is None else f"{text},{interval_range_text(previous, pitch)}"
        previous = pitch


def interval_range_text(previous_pitch: int, pitch: int) -> str:
    """Return the interval between two pitches plus and minus a minor third: `<P1,d-5>` for a falling minor third."""
    before, after = (7 * (each // 12) + PITCH_CLASS_NAMES[each % 12][0] for each in (previous_pitch, pitch))
    steps, semitones = after - before, pitch - previous_pitch
    return f"<{interval_name(steps + 2, semitones + 3)},{interval_name(steps - 2, semitones - 3)}>"


def interval_name(steps: int, semitones: int) -> str:
    """Return music21's name of an interval of letter steps and semitones: `P1`, `M3`, `d5`, or `m-3` if it falls."""
    minus = "-" if steps < 0 else ""
    steps, semitones = abs(steps), -semitones if minus else semitones
    octaves, letter = divmod(steps, 7)
    wider = semitones - 12 * octaves - LETTER_SEMITONES[letter]
    if wider > 0:
        quality = "A" * wider
    elif letter in (0, 3, 4):  # unison, fourth and fifth are perfect
        quality = "d" * -wider or "P"
    else:
        quality = ("M", "m")[-wider] if wider > -2 else "d" * (-wider - 1)
    return f"{quality}{minus}{steps + 1}"
