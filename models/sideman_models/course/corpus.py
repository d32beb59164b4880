# SPDX-License-Identifier: Apache-2.0
"""The classic corpus: the grammar of deepjazz (Ji-Sung Kim, 2016), as the course *Sequence Models* trains on it.

`read_classic` turns that one MIDI file into its 193 tokens, `training_arrays` those into the course's X and Y. The
originals leave the reading to music21 (3.x to 6.1), whose habits the rules here reproduce:

1. *Read.* The melody is the guitar's track, the chords are the piano's. Notes that begin and end within a sixteenth of
   a quarter of an earlier note of their track sound as one with it, all with its onset and length. Onset and length
   are each put on the nearest multiple of 1/4 or 1/3 of a quarter. The solo is bars 119 to 136.
2. *Spell.* Every pitch class has one name: C C# D Eb E F F# G G# A Bb B.
3. *Active chord.* The last one of the bar that has begun, else the bar's first.
4. *Kind.* C: a tone of the chord. S: a tone of its scale, by name (G# is not in Eb major). A: a semitone from a tone
   of the chord. X: none of these.
5. *Text.* Kind, length and, but for the first note of a bar, the interval from the note before plus and minus a minor
   third: `C,0.250,<P1,d-5>`.

Times are quarter notes. A *name* is a letter (0..6 for C..B) with its sharps (+1) or flats (-1).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt

from sideman_models.errors import CorpusError
from sideman_models.files import check_regular_file

MELODY_TRACK = 11
CHORDS_TRACK = 6
FIRST_SOLO_ONSET, LAST_SOLO_ONSET = 476, 548
"""The solo's first and last onset, both included."""
BEATS_PER_BAR = 4
MIN_LENGTH = Fraction(1, 4)

SNIPPET_COUNT = 60
SNIPPET_LENGTH = 30
SEED = 0

NoteName = tuple[int, int]
"""A letter, 0..6 for C..B, and its accidental."""
Floats = npt.NDArray[np.float32]

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
DORIAN_SCALE = (0, 2, 3, 5, 7, 9, 10)
LETTER_SEMITONES = MAJOR_SCALE
"""The seven letters C..B in semitones."""

PITCH_CLASS_NAMES: tuple[NoteName, ...] = (
    (0, 0), (0, 1), (1, 0), (2, -1), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (5, 0), (6, -1), (6, 0),
)  # fmt: skip
"""How each of the 12 pitch classes is spelled."""

TONICS: tuple[NoteName, ...] = (
    (0, -1), (0, 0), (1, -1), (1, 0), (2, -1), (2, 0), (3, 0), (3, 1), (4, 0), (5, -1), (5, 0), (6, -1), (6, 0),
)  # fmt: skip
"""The tonics a chord's scale may have, lowest first: Cb C Db D Eb E F F# G Ab A Bb B."""


@dataclass(frozen=True, slots=True)
class MidiNote:
    """A key held from `start` to `end`, in ticks."""

    start: int
    end: int
    pitch: int


@dataclass(frozen=True, slots=True)
class PitchGroup:
    """Pitches struck and released together; onset and length in quarters, on the grid."""

    onset: Fraction
    length: Fraction
    pitches: tuple[int, ...]

    @property
    def bar(self) -> int:
        """The bar it begins in, counted from 0 at the start of the file."""
        return int(self.onset // BEATS_PER_BAR)


@dataclass(frozen=True, slots=True)
class ClassicCorpus:
    """The tokens of the solo bar by bar, and the chords of the same bars as (quarters from the bar line, pitches)."""

    bars: tuple[tuple[str, ...], ...]
    chords: tuple[tuple[tuple[float, tuple[int, ...]], ...], ...]

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in order."""
        return tuple(token for bar in self.bars for token in bar)

    @property
    def values(self) -> tuple[str, ...]:
        """The different tokens, sorted: a value's place here is its index in the network."""
        return tuple(sorted(set(self.tokens)))

    def facts(self) -> dict[str, object]:
        """Counts and hashes (sha256 of the tokens, and of the values, joined by newlines), ready for JSON."""
        return {
            "tokens": len(self.tokens),
            "values": len(self.values),
            "tokens_per_bar": [len(bar) for bar in self.bars],
            "kinds": {kind: sum(token[0] == kind for token in self.tokens) for kind in "CSAX"},
            "durations": dict(sorted(Counter(token.split(",")[1] for token in self.tokens).items())),
            "tokens_sha256": _sha256_of_lines(self.tokens),
            "values_sha256": _sha256_of_lines(self.values),
        }


def _sha256_of_lines(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_classic(path: str | PathLike[str]) -> ClassicCorpus:
    """Read the course's MIDI file by the rules above.

    Raises CorpusError naming the file and what it lacks: not a MIDI file, no such track, no solo, a bar without chords.
    """
    midi = _open_midi_file(path)
    melody = [sound for sound in _solo_groups(_midi_track(midi, MELODY_TRACK, path), midi) if len(sound.pitches) == 1]
    chords = [sound for sound in _solo_groups(_midi_track(midi, CHORDS_TRACK, path), midi) if len(sound.pitches) > 1]
    if not melody:
        raise CorpusError(
            f"{path}: track {MELODY_TRACK} has no notes from quarter {FIRST_SOLO_ONSET} to {LAST_SOLO_ONSET}, the solo"
        )
    # The chords go on for one bar more than the melody: bars are those of the melody.
    numbers = sorted({note.bar for note in melody})
    by_bar = [[chord for chord in chords if chord.bar == number] for number in numbers]
    for number, found in zip(numbers, by_bar, strict=True):
        if not found:
            raise CorpusError(f"{path}: track {CHORDS_TRACK} has no chord in bar {number}, where the solo has notes")
    return ClassicCorpus(
        bars=tuple(
            _bar_tokens([note for note in melody if note.bar == number], found)
            for number, found in zip(numbers, by_bar, strict=True)
        ),
        chords=tuple(tuple((float(chord.onset % BEATS_PER_BAR), chord.pitches) for chord in found) for found in by_bar),
    )


def training_arrays(corpus: ClassicCorpus) -> tuple[Floats, Floats]:
    """The course's training set: X (60 snippets, 30 steps, values), Y (30 steps, 60 snippets, values).

    Step t is fed the value before it, nothing at first, and Y[t] is what X holds at t + 1. So a snippet's first value
    is never used, and the last target is all zeros: a loss must leave that step out.
    """
    index = {value: place for place, value in enumerate(corpus.values)}
    line = [index[token] for token in corpus.tokens]
    if len(line) <= SNIPPET_LENGTH:
        raise CorpusError(
            f"the corpus has {len(line)} values; training takes snippets of {SNIPPET_LENGTH} from a longer one"
        )
    X = np.zeros((SNIPPET_COUNT, SNIPPET_LENGTH, len(index)), np.float32)
    # The course's own dice: only NumPy's legacy generator draws the same snippets.
    dice = np.random.RandomState(SEED)
    for snippet in X:
        start = int(dice.choice(len(line) - SNIPPET_LENGTH))
        for step in range(1, SNIPPET_LENGTH):
            snippet[step, line[start + step]] = 1.0
    Y = np.zeros((SNIPPET_LENGTH, SNIPPET_COUNT, len(index)), np.float32)
    Y[:-1] = X.transpose(1, 0, 2)[1:]
    return X, Y


# 1. Read


def _open_midi_file(path: str | PathLike[str]) -> mido.MidiFile:
    try:
        check_regular_file(Path(path))
        midi = mido.MidiFile(path)
    except OSError as error:
        raise CorpusError(f"{path}: not a readable MIDI file ({error.strerror or error})") from error
    except Exception as error:
        # A foreign or broken file can trip the parser anywhere; whatever it says, this is no MIDI file.
        raise CorpusError(f"{path}: not a readable MIDI file ({str(error) or type(error).__name__})") from error
    if midi.ticks_per_beat <= 0:
        raise CorpusError(f"{path}: its time is not counted in ticks a quarter note")
    return midi


def _midi_track(midi: mido.MidiFile, number: int, path: str | PathLike[str]) -> mido.MidiTrack:
    if number >= len(midi.tracks):
        raise CorpusError(
            f"{path}: no track {number}, only 0 to {len(midi.tracks) - 1}; "
            f"the classic corpus has its melody in track {MELODY_TRACK} and its chords in track {CHORDS_TRACK}"
        )
    return midi.tracks[number]


def _solo_groups(track: mido.MidiTrack, midi: mido.MidiFile) -> list[PitchGroup]:
    """What begins within the solo, in order of onset."""
    sounds = _pitch_groups(_track_notes(track), midi.ticks_per_beat)
    return sorted(
        (sound for sound in sounds if FIRST_SOLO_ONSET <= sound.onset <= LAST_SOLO_ONSET), key=lambda sound: sound.onset
    )


def _track_notes(track: mido.MidiTrack) -> list[MidiNote]:
    """The notes of a track in the order in which they are struck; a note-off ends the oldest of its pitch."""
    now = 0
    struck: list[tuple[int, int]] = []
    ends: dict[int, int] = {}
    held: dict[int, list[int]] = {}
    for message in track:
        now += message.time
        if message.type == "note_on" and message.velocity > 0:
            held.setdefault(message.note, []).append(len(struck))
            struck.append((now, message.note))
        elif message.type in ("note_on", "note_off") and held.get(message.note):
            ends[held[message.note].pop(0)] = now
    return [MidiNote(start, ends[place], pitch) for place, (start, pitch) in enumerate(struck) if place in ends]


def _pitch_groups(notes: Sequence[MidiNote], ticks: int) -> list[PitchGroup]:
    """Notes that begin and end within a sixteenth of a quarter of an earlier one, gathered into it.

    Each is compared with the first note of the group; one that was gathered opens no group of its own, but two groups
    may share it.
    """
    near = ticks / 16
    gathered: set[int] = set()
    sounds = []
    for place, first in enumerate(notes):
        if place in gathered:
            continue
        pitches = [first.pitch]
        for later in range(place + 1, len(notes)):
            note = notes[later]
            if note.start - first.start > near:
                break
            if abs(note.end - first.end) <= near:
                pitches.append(note.pitch)
                gathered.add(later)
        length = _quantize(Fraction(first.end - first.start, ticks)) or MIN_LENGTH
        sounds.append(PitchGroup(_quantize(Fraction(first.start, ticks)), length, tuple(pitches)))
    return sounds


def _quantize(quarter_notes: Fraction) -> Fraction:
    """The nearest multiple of 1/4 or 1/3; on a tie, of 1/4."""
    fourths, thirds = Fraction(round(quarter_notes * 4), 4), Fraction(round(quarter_notes * 3), 3)
    return thirds if abs(thirds - quarter_notes) < abs(fourths - quarter_notes) else fourths


# 2. Spell


def _note_name(pitch: int) -> NoteName:
    return PITCH_CLASS_NAMES[pitch % 12]


def _scale_names(tonic: NoteName, steps: Sequence[int]) -> list[NoteName]:
    """A scale's names, a letter a step from its tonic."""
    names = []
    for degree, step in enumerate(steps):
        octave, letter = divmod(tonic[0] + degree, 7)
        sounding = LETTER_SEMITONES[tonic[0]] + tonic[1] + step
        names.append((letter, sounding - LETTER_SEMITONES[letter] - 12 * octave))
    return names


def _pitch_class(name: NoteName) -> int:
    return (LETTER_SEMITONES[name[0]] + name[1]) % 12


# 3. The active chord


def _active_chord(chords: Sequence[PitchGroup], onset: Fraction) -> tuple[int, ...]:
    begun = [chord for chord in chords if chord.onset <= onset]
    return (begun[-1] if begun else chords[0]).pitches


# 4. Kind


def tone_kind(pitch: int, chord: Sequence[int]) -> str:
    """How a pitch sits in a chord (MIDI pitches): `C`, `S`, `A` or `X`, the first that holds."""
    tones = {tone % 12 for tone in chord}
    if pitch % 12 in tones:
        return "C"
    if _note_name(pitch) in chord_scale(chord):
        return "S"
    return "A" if tones & {(pitch - 1) % 12, (pitch + 1) % 12} else "X"


def chord_scale(chord: Sequence[int]) -> list[NoteName]:
    """The scale over a chord: major over a major chord, else Dorian, on the tonic that holds most of its tones.

    The tonic need not be the chord's root; among equals it is the highest.
    """
    steps = MAJOR_SCALE if is_major(chord) else DORIAN_SCALE
    tones = {tone % 12 for tone in chord}
    scales = (_scale_names(tonic, steps) for tonic in reversed(TONICS))
    return max(scales, key=lambda scale: len(tones.intersection(map(_pitch_class, scale))))


def is_major(chord: Sequence[int]) -> bool:
    """Whether the chord has a major third, and a perfect fifth or none, judged by letters from its root.

    The root is the tone with the most thirds, by letter, stacked above it; among equals the first.
    """
    letters = [_note_name(pitch)[0] for pitch in chord]
    root_letter = max(letters, key=lambda letter: _thirds_above(letter, letters))
    root = chord[letters.index(root_letter)]

    def above(steps: int) -> set[int]:
        return {(pitch - root) % 12 for pitch in chord if (_note_name(pitch)[0] - root_letter) % 7 == steps}

    return above(2) == {4} and above(4) <= {7}


def _thirds_above(letter: int, letters: Sequence[int]) -> int:
    return next((count for count in range(6) if (letter + 2 * (count + 1)) % 7 not in letters), 6)


# 5. Text


def _bar_tokens(notes: Sequence[PitchGroup], chords: Sequence[PitchGroup]) -> tuple[str, ...]:
    """The tokens of a bar."""
    texts = []
    before: int | None = None
    for note in notes:
        pitch = note.pitches[0]
        text = f"{tone_kind(pitch, _active_chord(chords, note.onset))},{float(note.length):.3f}"
        texts.append(text if before is None else f"{text},{interval_range_text(before, pitch)}")
        before = pitch
    return tuple(texts)


def interval_range_text(previous_pitch: int, pitch: int) -> str:
    """The interval between two pitches, a minor third wider and a minor third narrower: `<P1,d-5>` for a falling m3."""
    steps = _staff_position(pitch) - _staff_position(previous_pitch)
    semitones = pitch - previous_pitch
    return f"<{interval_name(steps + 2, semitones + 3)},{interval_name(steps - 2, semitones - 3)}>"


def _staff_position(pitch: int) -> int:
    return 7 * (pitch // 12) + _note_name(pitch)[0]


def interval_name(steps: int, semitones: int) -> str:
    """An interval of so many letter steps and semitones as music21 names it: `P1`, `M3`, `d5`, falling `m-3`."""
    if steps < 0:
        quality, number = _quality_and_number(-steps, -semitones)
        return f"{quality}-{number}"
    quality, number = _quality_and_number(steps, semitones)
    return f"{quality}{number}"


def _quality_and_number(steps: int, semitones: int) -> tuple[str, int]:
    octaves, letter = divmod(steps, 7)
    wider = semitones - 12 * octaves - LETTER_SEMITONES[letter]
    perfect = letter in (0, 3, 4)
    if wider > 0:
        return "A" * wider, steps + 1
    if perfect:
        return "d" * -wider or "P", steps + 1
    return ("M", "m")[-wider] if wider > -2 else "d" * (-wider - 1), steps + 1
