# SPDX-License-Identifier: Apache-2.0
"""The ledger of sounding notes: what sounds, and on which beat each note is to end.

Every note-on is entered here before it is sent, and leaves only with its note-off. So nothing that we started can hang.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count

from msgspec import Struct

from sideman.core.events import CONTROL_CHANGE, NOTE_OFF, ControlChange, MidiEvent, NoteOff, NoteOn

SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 120, 123

Key = tuple[int, int]
"""Channel and pitch."""


class _SoundingNote(Struct):
    note_id: int
    end: float  # beat
    order: int  # of two notes that end on one beat, the one whose end was set first ends first


class Ledger:
    """The notes that sound, by channel and pitch. `channel` is the one that a panic silences in any case."""

    def __init__(self, channel: int) -> None:
        self._sounding: dict[Key, _SoundingNote] = {}
        self._numbers = count(1)  # of notes, and of the ends that are set
        self._channels = {channel}

    def note_on(self, note: NoteOn, end: float = math.inf) -> tuple[int, list[MidiEvent]]:
        """Enter `note`, which ends on beat `end`.

        Returns the number of the note and what to send: if the pitch still sounds, its note-off comes first.
        """
        key = (note.channel, note.pitch)
        released: list[MidiEvent] = [NoteOff(note.pitch, note.channel)] if key in self._sounding else []
        number = next(self._numbers)
        self._sounding[key] = _SoundingNote(number, end, number)
        self._channels.add(note.channel)
        return number, [*released, note]

    def end_by(self, note_id: int, beat: float) -> None:
        """Let the note end on `beat` at the latest, if it still sounds."""
        for sounding in self._sounding.values():
            if sounding.note_id == note_id and beat < sounding.end:
                sounding.end, sounding.order = beat, next(self._numbers)

    @property
    def next_end(self) -> float:
        """The beat on which the next note ends; infinite if nothing sounds."""
        return min((sounding.end for sounding in self._sounding.values()), default=math.inf)

    def release_next(self) -> list[MidiEvent]:
        """Release the note that ends next."""
        key = min(self._sounding, key=lambda key: (self._sounding[key].end, self._sounding[key].order))
        return self._release(key)

    def release_note(self, note_id: int) -> list[MidiEvent]:
        """Release one note, if it still sounds."""
        key = next((key for key, sounding in self._sounding.items() if sounding.note_id == note_id), None)
        return [] if key is None else self._release(key)

    def release_all(self, channel: int | None = None) -> list[MidiEvent]:
        """Release all notes on `channel`, or on every channel."""
        keys = [key for key in self._sounding if channel in (None, key[0])]
        return [event for key in keys for event in self._release(key)]

    def panic(self) -> list[MidiEvent]:
        """Release all notes, and send the controllers that silence every channel we ever played on."""
        silencing = self.silencing()
        self._sounding.clear()
        return silencing

    def silencing(self) -> list[MidiEvent]:
        """Return what a panic sends, for one of several ports: at the others the notes go on, and end as they would."""
        note_offs = [NoteOff(pitch, channel) for channel, pitch in self._sounding]
        return [*note_offs, *(control for channel in sorted(self._channels) for control in _silence_controls(channel))]

    def release_rest(self, channel: int) -> list[MidiEvent]:
        """Return what silences `channel`, but for our own notes that sound there."""
        ours = {pitch for on, pitch in self._sounding if on == channel}
        if not ours:
            return release_channel(channel)
        return [NoteOff(pitch, channel) for pitch in range(128) if pitch not in ours]

    def _release(self, key: Key) -> list[MidiEvent]:
        del self._sounding[key]
        channel, pitch = key
        return [NoteOff(pitch, channel)]


def release_channel(channel: int) -> list[MidiEvent]:
    """Return the note-offs of all 128 pitches of `channel`, and the controllers that silence it."""
    return [*(NoteOff(pitch, channel) for pitch in range(128)), *_silence_controls(channel)]


def is_release(message: Sequence[int]) -> bool:
    """Whether a MIDI message ends notes or silences a channel."""
    kind = message[0] & 0xF0
    silences = kind == CONTROL_CHANGE and message[1] in (SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF)
    return kind == NOTE_OFF or silences


def _silence_controls(channel: int) -> list[MidiEvent]:
    return [ControlChange(number, 0, channel) for number in (SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF)]
