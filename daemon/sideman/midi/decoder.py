# SPDX-License-Identifier: Apache-2.0
"""Decodes the MIDI bytes that a port delivers into the messages that sideman uses.

Ports should deliver whole messages, and most do. Everything else is handled as the MIDI 1.0 specification says: running
status, a clock byte inside another message, system exclusive dumps, stray data bytes. No input raises an error.

Written by hand because mido's parser ends a status after one message, so that notes under running status are lost, and
drops a message that a clock byte interrupts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sideman.core.events import (
    CLOCK_MESSAGES,
    CONTROL_CHANGE,
    NOTE_OFF,
    NOTE_ON,
    PITCH_BEND,
    PITCH_BEND_CENTRE,
    PROGRAM_CHANGE,
    SONG_POSITION,
    ControlChange,
    MidiEvent,
    NoteOff,
    NoteOn,
    PitchBend,
    ProgramChange,
    SongPosition,
)

_STATUS, _SYSTEM, _REAL_TIME = 0x80, 0xF0, 0xF8
_ONE_DATA_BYTE = (PROGRAM_CHANGE, 0xD0)  # program change and channel pressure; all other channel messages have two


class MidiDecoder:
    """Decodes the bytes of one port. Clock messages are ignored unless `clock`."""

    __slots__ = ("_clock", "_data", "_status")

    def __init__(self, *, clock: bool = False) -> None:
        self._clock = clock
        self._status = 0
        self._data: list[int] = []

    def feed(self, message: Iterable[int]) -> Iterator[MidiEvent]:
        """The events that are complete with `message`, in order. A note-on with velocity 0 becomes a note-off."""
        for byte in message:
            if byte >= _REAL_TIME:
                if self._clock and byte in CLOCK_MESSAGES:
                    yield CLOCK_MESSAGES[byte]
            elif byte >= _STATUS:
                self._status = byte if byte < _SYSTEM or (self._clock and byte == SONG_POSITION) else 0
                self._data.clear()
            elif self._status:
                yield from self._data_byte(byte)

    def _data_byte(self, byte: int) -> Iterator[MidiEvent]:
        self._data.append(byte)
        kind = self._status & 0xF0
        if len(self._data) < (1 if kind in _ONE_DATA_BYTE else 2):
            return
        if self._status == SONG_POSITION:
            event: MidiEvent | None = SongPosition(self._data[0] | self._data[1] << 7)
            self._status = 0  # a system message has no running status
        else:
            event = _event(kind, (self._status & 0x0F) + 1, *self._data)
        self._data.clear()
        if event is not None:
            yield event


def _event(kind: int, channel: int, first: int, second: int = 0) -> MidiEvent | None:
    if kind == NOTE_ON and second:
        return NoteOn(first, second, channel)
    if kind in (NOTE_ON, NOTE_OFF):
        return NoteOff(first, channel)
    if kind == CONTROL_CHANGE:
        return ControlChange(first, second, channel)
    if kind == PROGRAM_CHANGE:
        return ProgramChange(first, channel)
    return PitchBend((first | second << 7) - PITCH_BEND_CENTRE, channel) if kind == PITCH_BEND else None
