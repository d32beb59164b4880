# SPDX-License-Identifier: Apache-2.0
"""Separates the player's notes from what we sent ourselves and comes back, and from channels that are not heard.

A looped cable or the MIDI thru of a DAW sends everything back. Each event that we send accounts for one equal event
that comes in within `midi.echo_ms`, perhaps on another channel; a second one is the player's. With several ports it may
come back by each way from an output to an input, once. That holds for notes, program changes, controllers, and the
start, stop, continue and song position of our clock.

The ticks of a clock are all equal, and those of a clock that we follow come within `midi.echo_ms` of our own. So a tick
counts as an echo only where the way back is known: one of our clock's other messages has come back `delay` seconds
after it was sent, and the tick comes within `TICK_TOLERANCE_S` of the moment at which one of our ticks is due back. The
way back is forgotten when no more ticks come in than a clock that comes in once would send.
"""

from __future__ import annotations

import math
from collections import deque

from sideman.core.events import (
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    ControlChange,
    MidiEvent,
    NoteOff,
    NoteOn,
    ProgramChange,
    SongPosition,
)
from sideman.core.ledger import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN
from sideman.core.settings.groups.midi import MidiSettings

TICK_TOLERANCE_S = 0.003
"""How much earlier or later than the way back takes a tick of our clock may come back."""
_TICKS_COUNTED = 24
_LOOP_RATIO = 1.5  # of the ticks that come in to those that we send; without the loop it is 1
_MAX_SENT = 256
_NEVER_ECHOED = (SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF)
"""Controllers that we send to silence a synthesizer; a pedal of the player that comes up then has to count."""

_ClockMove = ClockStart | ClockContinue | ClockStop | SongPosition
_Sent = tuple[object, ...]  # what makes two events equal, but for their channel


class EchoFilter:
    """Lets the player's notes on the channels that are heard (see `melody`) through, and drops our own echoes."""

    def __init__(self, midi: MidiSettings) -> None:
        self._midi = midi
        outputs = max(
            len(names) for names in (midi.output, midi.comp_output, midi.bass_output, midi.drums_output) if names
        )
        self._ways = outputs * len(midi.input)  # by which one event may come back
        self._sent: deque[tuple[_Sent, float]] = deque(maxlen=_MAX_SENT * self._ways)
        self._ticks = _TickEcho()
        self._held_keys: set[tuple[int, int]] = set()
        self.echoes = 0
        """How many notes were dropped as echoes."""

    def event_sent(self, event: MidiEvent, second: float) -> None:
        """Remember that we sent `event` at `second`."""
        if isinstance(event, ClockTick):
            self._ticks.sent(second)
        elif (sent := _compared(event)) is not None:
            self._sent.extend([(sent, second)] * self._ways)

    def is_echo(self, item: MidiEvent | Command, second: float) -> bool:
        """Whether `item`, which came in at `second`, is an echo. That of a note is taken out by `filter_note`."""
        if isinstance(item, ClockTick):
            return self._ticks.is_echo(second)
        found = self._find(item, second)
        if found is None:
            return False
        if not isinstance(item, NoteOn):
            self._sent.remove(found)
        if isinstance(item, _ClockMove):
            self._ticks.delay = second - found[1]
        return True

    def filter_note(self, event: MidiEvent, second: float, counts_as: int | None = None) -> NoteOn | NoteOff | None:
        """Return `event` if the player starts or ends a note with it, else None.

        `counts_as` is the channel that its channel counts as, where that is another one.
        """
        if isinstance(event, NoteOff) and (event.channel, event.pitch) in self._held_keys:
            self._held_keys.discard((event.channel, event.pitch))
            return event
        if not isinstance(event, NoteOn):
            return None
        channel, midi = counts_as or event.channel, self._midi
        is_heard = channel != midi.drums if midi.listen is None else channel == midi.listen
        if not is_heard and channel != midi.chords:
            return None
        if (sent := self._find(event, second)) is not None:
            self._sent.remove(sent)
            self.echoes += 1
            return None
        self._held_keys.add((event.channel, event.pitch))
        return event

    def _find(self, item: MidiEvent | Command, second: float) -> tuple[_Sent, float] | None:
        """Return the first event that we sent not long before `second` and whose echo `item` can be."""
        compared = _compared(item)
        if compared is None:
            return None
        while self._sent and second - self._sent[0][1] > self._midi.echo_ms / 1000:
            self._sent.popleft()
        return next((sent for sent in self._sent if sent[0] == compared and sent[1] <= second), None)


def _compared(item: MidiEvent | Command) -> _Sent | None:
    """Return what has to be equal in an echo of `item`; None for what is never taken for an echo."""
    match item:
        case NoteOn(pitch, velocity):
            return "note", pitch, velocity
        case ControlChange(number, value) if number not in _NEVER_ECHOED:
            return "controller", number, value
        case ProgramChange(program):
            return "program", program
        case SongPosition(sixteenths):
            return "position", sixteenths
        case ClockStart() | ClockContinue() | ClockStop():
            return (type(item),)
    return None


class _TickEcho:
    """Tells the ticks of our own clock that come back from those of the clock that we follow."""

    def __init__(self) -> None:
        self.delay: float | None = None
        """How long the way back takes, in seconds; None: nothing of our clock has come back."""
        self._sent: deque[float] = deque(maxlen=_MAX_SENT)
        self._sent_count, self._heard_count = 0, 0

    def sent(self, second: float) -> None:
        self._sent.append(second)
        self._sent_count += 1
        if self._sent_count == _TICKS_COUNTED:
            if self._heard_count < _LOOP_RATIO * _TICKS_COUNTED:
                self.delay = None
            self._sent_count, self._heard_count = 0, 0

    def is_echo(self, second: float) -> bool:
        self._heard_count += 1
        if self.delay is None:
            return False
        while self._sent and self._sent[0] + self.delay < second - TICK_TOLERANCE_S:
            self._sent.popleft()
        due = self._sent[0] + self.delay if self._sent else math.inf
        if due > second + TICK_TOLERANCE_S:
            return False
        self._sent.popleft()
        return True
