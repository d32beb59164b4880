# SPDX-License-Identifier: Apache-2.0
"""What is played in words for people: a bar in one line, in the key of the player's instrument.

`transpose` is `midi.transpose`: the semitones from what is read to what sounds. Everything inside sounds as it is; only
what is shown is moved.
"""

from __future__ import annotations

from sideman.core.events import BarPlayed, Choice
from sideman_models.music.harmony import Chord, pitch_name


def format_bar(bar: BarPlayed, transpose: int = 0) -> str:
    """For example ``bar 3 | F7 | C,0.500,+2 Eb4 · R,1.000 -``."""
    chords = " ".join(format_chord(chord, transpose) for chord in bar.chords)
    return f"bar {bar.number} | {chords} | " + (
        " · ".join(_format_choice(choice, transpose) for choice in bar.choices) or "-"
    )


def format_chord(chord: Chord, transpose: int = 0) -> str:
    """The symbol of `chord` as the player reads it."""
    return chord.transposed(-transpose).text


def format_pitch(pitch: int, transpose: int = 0) -> str:
    """The name of a MIDI pitch as the player reads it."""
    return pitch_name(pitch - transpose)


def _format_choice(choice: Choice, transpose: int) -> str:
    return f"{choice.value.text} {'-' if choice.pitch is None else format_pitch(choice.pitch, transpose)}"
