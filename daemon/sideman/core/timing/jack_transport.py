# SPDX-License-Identifier: Apache-2.0
"""Follows the transport of JACK: whether it rolls, where it is, and its tempo.

The transport counts frames; all programs of a JACK server share it. One of them can be timebase master, and adds bar,
beat, tick and tempo. Therefore:

- With a timebase master, its tempo is ours, and its bar 1 is the top of the music. The bars before the position are
  taken to have the meter of the bar that sounds.
- Without one, the beats are counted from frame 0 in our own tempo. If that changes, the beat at the frame stays.
- The transport's position is always known, so a transport that rolls already is joined at once, where it is.
- If the position jumps while the transport rolls, the music continues there. A difference of at most `JUMP_BEATS` only
  moves the music a little.
- A transport is never lost: if the server ends, it stops.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from sideman.core.events import ClockInput, JackPosition
from sideman.core.timing.pll import CLOCK_TICKS_PER_BEAT, FASTEST_BPM, SLOWEST_BPM, next_sixteenth
from sideman.core.timing.tempo import Tempo

JUMP_BEATS = 0.1
"""A greater difference between the transport's position and the expected one is a jump."""
GRACE_S = 0.02
"""A start that is noticed so late is still a start on its sixteenth: the transport is asked, and does not report."""


class BarBeatTick(Struct, frozen=True):
    """A position of a timebase master; bars and beats count from 1. Its beats are `1 / beat_type` notes."""

    bar: int
    beat: int
    tick: float
    ticks_per_beat: float
    beats_per_bar: float
    beat_type: float

    @property
    def quarters(self) -> float | None:
        """The quarter notes from the beginning of bar 1; None if the master sends nonsense."""
        if not (self.ticks_per_beat > 0 and self.beats_per_bar > 0 and self.beat_type > 0):
            return None
        beats = (self.bar - 1) * self.beats_per_bar + self.beat - 1 + self.tick / self.ticks_per_beat
        return beats * 4 / self.beat_type


class JackTransportFollower:
    """Follows a transport, without a timebase master at `bpm`.

    `on_change` is called when `status_text` has changed, `control` to start (True) or stop the transport.
    """

    def __init__(
        self,
        bpm: float,
        on_change: Callable[[], None] = lambda: None,
        control: Callable[[bool], None] = lambda _rolling: None,
    ) -> None:
        self.rolling = False
        self.relocated = False
        self._control = control
        self._on_change = on_change
        self._own_tempo = Tempo(bpm, 0.0, 0.0)  # from beats to seconds of the transport
        self._position: JackPosition | None = None
        self._line = Tempo(bpm, 0.0, 0.0)  # from beats to seconds of our clock
        self._shown_text = self.status_text

    @property
    def tempo(self) -> Tempo:
        """From beats, counted from the top of the music, to seconds, by the transport's last position."""
        return self._line

    @property
    def tick(self) -> int:
        """The next tick on a sixteenth note, whose position can be sent."""
        return max(0, next_sixteenth(math.floor(self._line.beat * CLOCK_TICKS_PER_BEAT)))

    @property
    def status_text(self) -> str:
        """What the transport does, in words for the log."""
        if self._position is None:
            return "looking for JACK's transport"
        tempo = f"{self._line.bpm:.1f} bpm{'' if self._position.bpm else ', our own'}"
        return f"following JACK's transport at {tempo}" if self.rolling else f"JACK's transport is stopped, {tempo}"

    def receive(self, item: ClockInput, second: float) -> None:
        """Take in the transport's position at `second`; other messages are ignored."""
        if not isinstance(item, JackPosition):
            return
        was_rolling, expected_beat, self._position = self.rolling, self._line.beat_at(second), item
        if item.bpm:
            bpm, beat = min(max(item.bpm, SLOWEST_BPM), FASTEST_BPM), item.beat
        else:
            bpm, beat = self._own_tempo.bpm, self._own_tempo.beat_at(item.transport_s)
        self._line, self.rolling = Tempo(bpm, second, beat), item.rolling
        if item.rolling and (not was_rolling or abs(beat - expected_beat) > JUMP_BEATS):
            self.relocated = True
            self._line = _from_sixteenth(self._line)
        self._notify_if_changed()

    def request_tempo(self, bpm: float) -> None:
        """Take another tempo of our own; a timebase master cannot be asked."""
        here = self._line.second, self._line.beat
        self._own_tempo = self._own_tempo.with_bpm(bpm, 0.0 if self._position is None else self._position.transport_s)
        if self._position is None or not self._position.bpm:
            self._line = Tempo(bpm, *here)
        self._notify_if_changed()

    def lost_at(self) -> float:
        """See `ClockSource`. A transport is never lost."""
        return math.inf

    def mark_lost(self) -> None:
        """See `ClockSource`. A transport is never lost."""

    def request_rolling(self, rolling: bool, second: float) -> None:  # noqa: ARG002 - as a `ClockSource`
        """See `ClockSource`. With `tempo.jack_control` JACK's transport is started and stopped."""
        self._control(rolling)

    def set_port_period(self, period_s: float) -> None:
        """See `ClockSource`. A transport does not come through a MIDI port."""

    def _notify_if_changed(self) -> None:
        if self.status_text != self._shown_text:
            self._shown_text = self.status_text
            self._on_change()


def _from_sixteenth(line: Tempo) -> Tempo:
    """Return the same line from the sixteenth before, if that was a moment ago: its note is to be played too."""
    sixteenth = math.floor(line.beat * 4) / 4
    second = line.second_at(sixteenth)
    return Tempo(line.bpm, second, sixteenth) if line.second - second <= GRACE_S else line
