# SPDX-License-Identifier: Apache-2.0
"""Decodes the MIDI bytes that a port delivers into the messages that sideman uses.

Ports should deliver whole messages, and most do. Everything else is handled as the MIDI 1.0 specification says: running
status, a clock byte inside another message, system exclusive dumps, stray data bytes. No input raises an error.

Written by hand because mido's parser ends a status after one message, so that notes under running status are lost, and
drops a message that a clock byte interrupts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sideman.core import events

_STATUS, _SYSTEM, _REAL_TIME = 0x80, 0xF0, 0xF8
_ONE_DATA_BYTE = (events.PROGRAM_CHANGE, 0xD0)  # 0xD0 is channel pressure; all other channel messages have two


class MidiDecoder:
    """Decodes the bytes of one port. Clock messages are ignored unless `clock`."""

    __slots__ = ("_clock", "_data", "_status")

    def __init__(self, *, clock: bool = False) -> None:
        self._clock = clock
        self._status = 0
        self._data: list[int] = []

    def feed(self, message: Iterable[int]) -> Iterator[events.MidiEvent]:
        """The events that are complete with `message`, in order. A note-on with velocity 0 becomes a note-off."""
        for byte in message:
            if byte >= _REAL_TIME:
                if self._clock and byte in events.CLOCK_MESSAGES:
                    yield events.CLOCK_MESSAGES[byte]
            elif byte >= _STATUS:
                self._status = byte if byte < _SYSTEM or (self._clock and byte == events.SONG_POSITION) else 0
                self._data.clear()
            elif self._status:
                yield from self._data_byte(byte)

    def _data_byte(self, byte: int) -> Iterator[events.MidiEvent]:
        self._data.append(byte)
        kind, channel = self._status & 0xF0, (self._status & 0x0F) + 1
        if len(self._data) < (1 if kind in _ONE_DATA_BYTE else 2):
            return
        first, second = self._data[0], self._data[-1]
        self._data.clear()
        if self._status == events.SONG_POSITION:
            self._status = 0  # a system message has no running status
            yield events.SongPosition(first | second << 7)
        elif kind == events.NOTE_ON and second:
            yield events.NoteOn(first, second, channel)
        elif kind in (events.NOTE_ON, events.NOTE_OFF):
            yield events.NoteOff(first, channel)
        elif kind == events.CONTROL_CHANGE:
            yield events.ControlChange(first, second, channel)
        elif kind == events.PROGRAM_CHANGE:
            yield events.ProgramChange(first, channel)
        elif kind == events.PITCH_BEND:
            yield events.PitchBend((first | second << 7) - events.PITCH_BEND_CENTRE, channel)
