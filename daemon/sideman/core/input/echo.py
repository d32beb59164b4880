# SPDX-License-Identifier: Apache-2.0
"""What reaches the input: the player's notes, our own coming back, and everything that is neither."""

from __future__ import annotations

from collections import deque

from sideman.core.events import MidiEvent, NoteOff, NoteOn

_MAX_SENT_NOTES = 256


class EchoFilter:
    """Tells the player's notes from our own echo, on one channel (1..16) or on all (None).

    Of all channels, that of the `drum_channel` is left out. The channel on which `chord_channel` are held is heard in
    any case.

    A looped cable or a DAW's thru sends back the pitch and velocity we sent, perhaps on another channel. Each note we
    send explains one such note heard within `echo_s` seconds; a second one is the player's.
    """

    def __init__(
        self, channel: int | None, echo_s: float, *, drum_channel: int | None = None, chord_channel: int | None = None
    ) -> None:
        self._channel = channel
        self._drum_channel = drum_channel
        self._chord_channel = chord_channel
        self._echo_s = echo_s
        self._sent_notes: deque[tuple[int, int, float]] = deque(maxlen=_MAX_SENT_NOTES)
        self._held_keys: set[tuple[int, int]] = set()
        self.echoes = 0

    def note_sent(self, note: NoteOn, second: float) -> None:
        """We play `note` at `second`."""
        self._sent_notes.append((note.pitch, note.velocity, second))

    def is_echo(self, note: NoteOn, second: float) -> bool:
        """Whether `note`, heard at `second`, is one of ours that comes back."""
        return any(
            sent[:2] == (note.pitch, note.velocity) and 0 <= second - sent[2] <= self._echo_s
            for sent in self._sent_notes
        )

    def accepts_channel(self, channel: int) -> bool:
        """Whether what comes on `channel` can be the player's."""
        return channel == self._chord_channel or (
            channel != self._drum_channel if self._channel is None else channel == self._channel
        )

    def filter_note(self, event: MidiEvent, second: float) -> NoteOn | NoteOff | None:
        """The player's own note-on, or the end of one of the player's notes; None for anything else."""
        if isinstance(event, NoteOn) and self.accepts_channel(event.channel):
            if self._consume_echo(event, second):
                self.echoes += 1
                return None
            self._held_keys.add((event.channel, event.pitch))
            return event
        if isinstance(event, NoteOff) and (event.channel, event.pitch) in self._held_keys:
            self._held_keys.discard((event.channel, event.pitch))
            return event
        return None

    def _consume_echo(self, note: NoteOn, second: float) -> bool:
        while self._sent_notes and second - self._sent_notes[0][2] > self._echo_s:
            self._sent_notes.popleft()
        for sent in self._sent_notes:
            if sent[:2] == (note.pitch, note.velocity) and second >= sent[2]:
                self._sent_notes.remove(sent)
                return True
        return False
