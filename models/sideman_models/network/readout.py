# SPDX-License-Identifier: Apache-2.0
"""Readouts: what the state of the network says about how a note is played, beside which note it is.

A bundle may have two, each with one hidden layer:

- `touch`: how much louder the note is than the player's usual, in decibels,
- `placement`: how much later than its swung place it is, in seconds.

    x = the hidden state a from which the value was chosen, then the facts of the note (see `NoteFacts`)
    y = tanh(x K + b) v + v0

In training the last loudness is that of the recorded player; on stage it is that of our own last note.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from sideman_models.errors import BundleError
from sideman_models.music.context import Place
from sideman_models.music.qualities import TONE_KINDS
from sideman_models.music.values import TICKS_PER_QUARTER, Value
from sideman_models.network.lstm import Floats
from sideman_models.network.storage import check_shapes

READOUTS = ("touch", "placement")
"""The readouts that a bundle may have."""
READOUT_VERSION = 1
"""The version of `note_facts`: a readout that was trained with another one is refused."""
LOUDNESS_SCALE_DB = 5.0
"""The last loudness is divided by this."""
MAX_READOUT_UNITS = 512
"""With more units a readout would take longer than the step of the network."""
_ARRAYS = ("kernel", "bias", "output", "output_bias")
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
    """What a readout knows of a note besides the state, and besides how loud the note before it was."""

    value: Value
    place: Place
    pitch: int
    bpm: float


def note_facts(note: NoteFacts, last_loudness: float) -> Floats:
    """Return the facts as numbers (N_FACTS,): kind, place in the beat, beat, duration, line, register, tempo.

    `last_loudness`, the last of them, is that of the note before in decibels above the usual, 0 before the first.
    """
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
        last_loudness / LOUDNESS_SCALE_DB,
    )
    return facts


class Readout(Struct, frozen=True):
    """One readout: `kernel` K (n_a + N_FACTS, n_h), `bias` b (n_h,), `output` v (n_h,) and `output_bias` v0 (1,)."""

    kernel: Floats
    bias: Floats
    output: Floats
    output_bias: Floats

    def read_all(self, inputs: Floats) -> Floats:
        """Return y for each row x of `inputs` (…, n_a + N_FACTS)."""
        y: Floats = np.dot(np.tanh(np.dot(inputs, self.kernel) + self.bias), self.output) + self.output_bias[0]
        return y


def ruled_accent(tick_in_beat: int, step: int) -> int:
    """Return the accent of a note without a readout, as a difference of MIDI velocities.

    Beats are loudest, off-beats softer; a line that rises by `step` semitones gets louder, one that falls softer.
    """
    accent = 4 if tick_in_beat == 0 else (-2 if tick_in_beat == TICKS_PER_QUARTER // 2 else -7)
    return accent + max(-8, min(8, step))


# -- on disk


def describe_readouts(readouts: Mapping[str, Readout]) -> dict[str, Any]:
    """Return what a bundle says of its readouts."""
    return {name: {"version": READOUT_VERSION, "units": len(one.bias)} for name, one in readouts.items()}


def readout_arrays(readouts: Mapping[str, Readout]) -> dict[str, Floats]:
    """Return the arrays of the readouts by their names in `weights.npz`."""
    return {f"{name}/{array}": getattr(one, array) for name, one in readouts.items() for array in _ARRAYS}


def readout_array_names(path: Path, description: Mapping[str, Any]) -> list[str]:
    """Return the names of the arrays that a bundle's `description` announces. Raises `BundleError`, naming `path`."""
    described = description.get("readouts", {})
    if not isinstance(described, dict):
        raise BundleError(f"{path}: readouts: not a mapping of {' and '.join(READOUTS)}")
    if described and description.get("dialect") == "classic":
        raise BundleError(f"{path}: readouts: a classic network has none")
    for name, about in described.items():
        if name not in READOUTS:
            raise BundleError(f"{path}: readouts: {str(name)[:100]!r} is none of {', '.join(READOUTS)}")
        version, units = (about.get(key) if isinstance(about, dict) else None for key in ("version", "units"))
        if version != READOUT_VERSION:
            raise BundleError(
                f"{path}: readouts: {name}: version: {version!r}, but this program reads {READOUT_VERSION}"
            )
        if type(units) is not int or not 1 <= units <= MAX_READOUT_UNITS:
            raise BundleError(f"{path}: readouts: {name}: units: {units!r} is no number from 1 to {MAX_READOUT_UNITS}")
    return [f"{name}/{array}" for name in described for array in _ARRAYS]


def check_readouts(
    path: Path, arrays: Mapping[str, Floats], description: Mapping[str, Any], n_a: int
) -> dict[str, Readout]:
    """Return the readouts in `arrays`, checked against their description. Raises `BundleError`, naming `path`."""
    readouts = {}
    for name, about in description.get("readouts", {}).items():
        units = about["units"]
        shapes = ((n_a + N_FACTS, units), (units,), (units,), (1,))
        named = dict(zip((f"{name}/{array}" for array in _ARRAYS), shapes, strict=True))
        check_shapes(path, arrays, named, f"{n_a} units of the network, {N_FACTS} facts and {units} units of {name}")
        readouts[name] = Readout(*(arrays[each] for each in named))
    return readouts
