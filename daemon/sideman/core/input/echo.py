# SPDX-License-Identifier: Apache-2.0
"""Separates the player's notes from our own notes that come back, and from channels that are not heard."""

from __future__ import annotations

from collections import deque

from sideman.core.events import MidiEvent, NoteOff, NoteOn
from sideman.core.settings.schema import MidiSettings

_MAX_SENT_NOTES = 256


class EchoFilter:
    """Lets the player's notes on the channels that are heard (see `melody`) through, and drops our own echoes.

    A looped cable or the MIDI thru of a DAW sends our notes back with the same pitch and velocity, perhaps on another
    channel. Each note that we send accounts for one such note within `midi.echo_ms`; a second one is the player's.
    """

    def __init__(self, midi: MidiSettings) -> None:
        self._midi = midi
        self._sent_notes: deque[tuple[int, int, float]] = deque(maxlen=_MAX_SENT_NOTES)
        self._held_keys: set[tuple[int, int]] = set()
        self.echoes = 0
        """How many notes were dropped as echoes."""

    def note_sent(self, note: NoteOn, second: float) -> None:
        """Remember that we sent `note` at `second`."""
        self._sent_notes.append((note.pitch, note.velocity, second))

    def is_echo(self, note: NoteOn, second: float) -> bool:
        """Whether `note`, heard at `second`, is an echo of a note that we sent."""
        return self._sent_note_of(note, second) is not None

    def filter_note(self, event: MidiEvent, second: float) -> NoteOn | NoteOff | None:
        """Return `event` if the player starts or ends a note with it, else None."""
        if isinstance(event, NoteOff) and (event.channel, event.pitch) in self._held_keys:
            self._held_keys.discard((event.channel, event.pitch))
            return event
        if not isinstance(event, NoteOn):
            return None
        channel, midi = event.channel, self._midi
        is_heard = channel != midi.drums if midi.listen is None else channel == midi.listen
        if not is_heard and channel != midi.chords:
            return None
        if (sent := self._sent_note_of(event, second)) is not None:
            self._sent_notes.remove(sent)
            self.echoes += 1
            return None
        self._held_keys.add((channel, event.pitch))
        return event

    def _sent_note_of(self, note: NoteOn, second: float) -> tuple[int, int, float] | None:
        """Return the first note that we sent not long before `second` and whose echo `note` can be."""
        for sent in self._sent_notes:
            if sent[:2] == (note.pitch, note.velocity) and 0 <= second - sent[2] <= self._midi.echo_ms / 1000:
                return sent
        return None
