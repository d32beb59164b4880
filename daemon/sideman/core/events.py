# SPDX-License-Identifier: Apache-2.0
"""What is played, heard and asked for: small frozen facts that pass between the parts. Channels are 1..16."""

from __future__ import annotations

from dataclasses import dataclass

from sideman.core.chart import Chart


@dataclass(frozen=True, slots=True)
class NoteOn:
    """A key goes down: MIDI pitch 0..127 (middle C is 60), velocity 1..127."""

    pitch: int
    velocity: int
    channel: int


@dataclass(frozen=True, slots=True)
class NoteOff:
    """A key comes up."""

    pitch: int
    channel: int


@dataclass(frozen=True, slots=True)
class Control:
    """A controller moves: number and value 0..127."""

    number: int
    value: int
    channel: int


Event = NoteOn | NoteOff | Control


@dataclass(frozen=True, slots=True)
class Panic:
    """Silence everything at once, on every channel we play, and play on."""


@dataclass(frozen=True, slots=True)
class Hush:
    """Release every pitch on `channel`: what an earlier process, killed, may have left sounding there."""

    channel: int


@dataclass(frozen=True, slots=True)
class SetChart:
    """Play over these changes from the next bar on."""

    chart: Chart


@dataclass(frozen=True, slots=True)
class SetTempo:
    """Go on from here at another tempo, in quarter notes a minute."""

    bpm: float


Command = Panic | Hush | SetChart | SetTempo

NOTE_OFF, NOTE_ON, CONTROL = 0x80, 0x90, 0xB0


def encode(event: Event) -> tuple[int, int, int]:
    """The three bytes of `event` on a MIDI wire."""
    channel = event.channel - 1
    match event:
        case NoteOn(pitch, velocity):
            return NOTE_ON | channel, pitch, velocity
        case NoteOff(pitch):
            return NOTE_OFF | channel, pitch, 0
        case Control(number, value):
            return CONTROL | channel, number, value
