# SPDX-License-Identifier: Apache-2.0
"""What is played, as text for musicians: a bar in one line, in the key of the player's instrument.

`transpose` is `midi.transpose`, the semitones from the written to the sounding pitch. Inside the program all pitches
are sounding pitches; only the text is transposed.
"""

from __future__ import annotations

from sideman.core.events import BarPlayed
from sideman_models.music.harmony import Chord, pitch_name


def format_bar(bar: BarPlayed, transpose: int = 0) -> str:
    """Return a line such as ``bar 3 | F7 | C,0.500,+2 Eb4 · R,1.000 -``."""
    chords = " ".join(format_chord(chord, transpose) for chord in bar.chords)
    pitches = ("-" if choice.pitch is None else pitch_name(choice.pitch - transpose) for choice in bar.choices)
    choices = (f"{choice.value.text} {pitch}" for choice, pitch in zip(bar.choices, pitches, strict=True))
    return f"bar {bar.number} | {chords} | {' · '.join(choices) or '-'}"


def format_chord(chord: Chord, transpose: int = 0) -> str:
    """Return the symbol of `chord` as the player reads it."""
    return chord.transposed(-transpose).text
