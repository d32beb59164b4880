# SPDX-License-Identifier: Apache-2.0
"""Who owns every note that sounds: each note-on is written here, and nothing is forgotten before its note-off."""

from __future__ import annotations

from sideman.core.events import ControlChange, MidiEvent, NoteOff, NoteOn

SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 120, 123


class Ledger:
    """The notes that sound now, by channel and pitch, each with the number of its strike; we play on `channel`."""

    def __init__(self, channel: int) -> None:
        self._sounding: dict[tuple[int, int], int] = {}
        self._last_note_id = 0
        self._channels = {channel}

    def __len__(self) -> int:
        return len(self._sounding)

    def note_on(self, note: NoteOn) -> tuple[int, list[MidiEvent]]:
        """Enter `note`; returns its number, and what to send: a pitch that still sounds is released first."""
        key = (note.channel, note.pitch)
        events: list[MidiEvent] = [NoteOff(note.pitch, note.channel)] if key in self._sounding else []
        self._last_note_id += 1
        self._sounding[key] = self._last_note_id
        self._channels.add(note.channel)
        return self._last_note_id, [*events, note]

    def note_off(self, note: NoteOff, note_id: int) -> list[MidiEvent]:
        """Take out the note of `note_id`; nothing to send if it was struck anew, or released with all, in between."""
        if self._sounding.get((note.channel, note.pitch)) != note_id:
            return []
        del self._sounding[note.channel, note.pitch]
        return [note]

    def release_all(self, channel: int | None = None) -> list[MidiEvent]:
        """The note-offs of everything that sounds, on `channel` or on all; none of it is in the ledger afterwards."""
        ended = [key for key in self._sounding if channel in (None, key[0])]
        for key in ended:
            del self._sounding[key]
        return [NoteOff(pitch, channel) for channel, pitch in ended]

    def panic(self) -> list[MidiEvent]:
        """Release all, and tell every channel we ever played on to be silent, sustain pedal up."""
        controls = [control for channel in sorted(self._channels) for control in _silence_controls(channel)]
        return [*self.release_all(), *controls]


def release_channel(channel: int) -> list[MidiEvent]:
    """The note-offs of all 128 pitches of `channel`, and the controllers that silence it."""
    return [*(NoteOff(pitch, channel) for pitch in range(128)), *_silence_controls(channel)]


def _silence_controls(channel: int) -> list[MidiEvent]:
    return [ControlChange(number, 0, channel) for number in (SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF)]
