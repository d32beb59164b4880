# SPDX-License-Identifier: Apache-2.0
"""Readouts: what the state of the network says about how a note is played, beside which note it is.

A bundle may have two, each with one hidden layer:

- `touch`: how much louder the note is than the player's usual, in decibels,
- `placement`: how much later than its swung place it is, in beats.

    x = the hidden state a from which the value was chosen, then the facts of the note (see `NoteFacts`)
    y = tanh(x K + b) v + v0

In training the last loudness is that of the recorded player; on stage it is that of our own last note.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from sideman_models.music.context import Place
from sideman_models.music.harmony import TONE_KINDS
from sideman_models.music.values import TICKS_PER_QUARTER, Value
from sideman_models.network.lstm import Floats

READOUT_VERSION = 1
"""The version of `note_facts`: a readout that was trained with another one is refused."""
LOUDNESS_SCALE_DB = 5.0
"""The last loudness is divided by this."""
_DURATIONS = (3, 4, 6, 8, 12, 24)
_BEATS = 4
_USUAL_BPM, _MIDDLE_PITCH = 160.0, 66
_PLACE = len(TONE_KINDS)
_BEAT = _PLACE + TICKS_PER_QUARTER
_DURATION = _BEAT + _BEATS
_NUMBERS = _DURATION + len(_DURATIONS) + 1
N_FACTS = _NUMBERS + 9
"""How many numbers `note_facts` gives."""


class NoteFacts(Struct, frozen=True):
    """What a readout is told about a note besides the state.

    `last_loudness` is that of the note before in decibels above the usual, 0 before the first.
    """

    value: Value
    place: Place
    pitch: int
    bpm: float
    last_loudness: float = 0.0


def note_facts(note: NoteFacts) -> Floats:
    """Return the facts as numbers (N_FACTS,): kind, place in the beat, beat, duration, line, register, tempo."""
    facts = np.zeros(N_FACTS, np.float32)
    value, tick, previous = note.value, note.place.tick_in_bar, note.place.previous_pitch
    facts[TONE_KINDS.index(value.kind)] = 1.0
    facts[_PLACE + tick % TICKS_PER_QUARTER] = 1.0
    facts[_BEAT + tick // TICKS_PER_QUARTER % _BEATS] = 1.0
    facts[_DURATION + sum(value.ticks >= each for each in _DURATIONS)] = 1.0
    step = 0 if previous is None else max(-12, min(12, note.pitch - previous))
    facts[_NUMBERS:] = (
        value.interval is None,
        step > 0,
        step < 0,
        step / 12,
        abs(step) / 12,
        (register := (note.pitch - _MIDDLE_PITCH) / 12),
        register * register,
        math.log2(note.bpm / _USUAL_BPM),
        note.last_loudness / LOUDNESS_SCALE_DB,
    )
    return facts


class Readout(Struct, frozen=True):
    """One readout: `kernel` K (n_a + N_FACTS, n_h), `bias` b (n_h,), `output` v (n_h,) and `output_bias` v0 (1,)."""

    kernel: Floats
    bias: Floats
    output: Floats
    output_bias: Floats

    def read(self, a: Floats, facts: Floats) -> float:
        """Return y for the hidden state `a` (n_a,) and the facts (N_FACTS,) of a note."""
        hidden = np.dot(a, self.kernel[: len(a)]) + np.dot(facts, self.kernel[len(a) :])
        return float(np.dot(np.tanh(hidden + self.bias), self.output) + self.output_bias[0])
