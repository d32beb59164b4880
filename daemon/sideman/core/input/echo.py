# SPDX-License-Identifier: Apache-2.0
"""What reaches the input: the player's notes, our own coming back, and everything that is neither."""

from __future__ import annotations

from collections import deque

from sideman.core.events import Event, NoteOff, NoteOn

_REMEMBERED = 256


class Listener:
    """Tells the player's notes from our own echo, on one channel (1..16) or on all (None).

    Of all channels, that of the `drums` is left out. The channel on which `chords` are held is heard in any case.

    A looped cable or a DAW's thru sends back the pitch and velocity we sent, perhaps on another channel. Each note we
    send explains one such note heard within `echo` seconds; a second one is the player's.
    """

    def __init__(
        self, channel: int | None, echo: float, *, drums: int | None = None, chords: int | None = None
    ) -> None:
        self._channel = channel
        self._drums = drums
        self._chords = chords
        self._echo = echo
        self._sent: deque[tuple[int, int, float]] = deque(maxlen=_REMEMBERED)
        self._held: set[tuple[int, int]] = set()
        self.echoes = 0

    def sent(self, note: NoteOn, second: float) -> None:
        """We play `note` at `second`."""
        self._sent.append((note.pitch, note.velocity, second))

    def awaits(self, note: NoteOn, second: float) -> bool:
        """Whether `note`, heard at `second`, is one of ours that comes back."""
        return any(
            sent[:2] == (note.pitch, note.velocity) and 0 <= second - sent[2] <= self._echo for sent in self._sent
        )

    def heeds(self, channel: int) -> bool:
        """Whether what comes on `channel` can be the player's."""
        return channel == self._chords or (
            channel != self._drums if self._channel is None else channel == self._channel
        )

    def hears(self, event: Event, second: float) -> NoteOn | NoteOff | None:
        """The player's own note-on, or the end of one of the player's notes; None for anything else."""
        if isinstance(event, NoteOn) and self.heeds(event.channel):
            if self._is_echo(event, second):
                self.echoes += 1
                return None
            self._held.add((event.channel, event.pitch))
            return event
        if isinstance(event, NoteOff) and (event.channel, event.pitch) in self._held:
            self._held.discard((event.channel, event.pitch))
            return event
        return None

    def _is_echo(self, note: NoteOn, second: float) -> bool:
        while self._sent and second - self._sent[0][2] > self._echo:
            self._sent.popleft()
        for sent in self._sent:
            if sent[:2] == (note.pitch, note.velocity) and second >= sent[2]:
                self._sent.remove(sent)
                return True
        return False
