# SPDX-License-Identifier: Apache-2.0
"""THE table of clock sources: what may set the pulse, by the name that `tempo.source` gives it.

A clock source says where the music is and whether it rolls; the transport follows it. To add one, write its class
beside this file, name it in `ClockSourceName` and give it a row in `CLOCK_SOURCES`. A MIDI clock and Link reach it by
themselves. Anything else needs a message in `ClockInput`, and a feeder in the service that puts it into the inbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from msgspec import Struct

from sideman.core.events import ClockInput
from sideman.core.timing.ableton_link import LinkFollower
from sideman.core.timing.jack_transport import JackTransportFollower
from sideman.core.timing.midi_clock import MidiClockFollower
from sideman.core.timing.song_position import PositionUnit
from sideman.core.timing.tempo import Tempo


class ClockSource(Protocol):
    """A clock that the transport follows. Beats and ticks (24 a quarter note) count from the top of the music."""

    rolling: bool
    """Whether the music rolls by this clock now."""
    relocated: bool
    """Whether the clock has jumped to another position; who goes there sets it to False."""

    @property
    def tempo(self) -> Tempo:
        """From beats to seconds. A beat below 0: the music is about to begin."""

    @property
    def tick(self) -> int:
        """The tick with which a clock of our own may start: where the music is now, or a later one."""

    @property
    def status_text(self) -> str:
        """What the clock does, in words for the log."""

    def receive(self, item: ClockInput, second: float) -> None:
        """Take in a message of the clock that came at `second`."""

    def lost_at(self) -> float:
        """Return the second at which the clock counts as lost unless a message comes before; may be infinite."""

    def mark_lost(self) -> None:
        """The clock is lost."""

    def request_tempo(self, bpm: float, /) -> None:
        """Ask for another tempo; a clock that cannot be asked goes on as before."""

    def request_rolling(self, rolling: bool, second: float, /) -> None:
        """The music was started or stopped by a command at `second`; a clock that can be controlled does the same."""

    def set_port_period(self, period_s: float) -> None:
        """The port delivers its messages in rounds of `period_s`; 0: each at once."""


class ClockConfig(Struct, frozen=True):
    """The clocks of a performance: the source that is followed, if any, and whether we send a MIDI clock."""

    source: ClockSource | None = None
    sends_midi_clock: bool = False


INTERNAL_CLOCK = ClockConfig()
"""Our own tempo; no MIDI clock is sent."""


class ClockSourceOptions(Struct, frozen=True):
    """What a clock source is made from: settings of `tempo`, and the quarter notes of a bar.

    `on_change` is called when the source's `status_text` has changed; `request_tempo` asks a session for another tempo,
    `request_rolling` starts and stops a transport.
    """

    bpm: float
    wait_start: bool
    bar_beats: float
    on_change: Callable[[], None] = lambda: None
    request_tempo: Callable[[float], None] = lambda _bpm: None
    position: PositionUnit = "sixteenths"
    request_rolling: Callable[[bool], None] = lambda _rolling: None


class ClockSourceRow(Struct, frozen=True):
    """A row of the table: what the source does, in a musician's words, and how it is made; None for our own tempo.

    `accepts_tempo`: it can be asked for another tempo. `needs_midi_input`: it is a MIDI clock, and comes in at
    `tempo.port` or `midi.input`. `needs_link`: it follows an Ableton Link session, which the service joins.
    `needs_jack`: it follows the transport of JACK, which the service reads.
    """

    text: str
    make: Callable[[ClockSourceOptions], ClockSource | None]
    accepts_tempo: bool = True
    needs_midi_input: bool = False
    needs_link: bool = False
    needs_jack: bool = False


ClockSourceName = Literal["internal", "midi-clock", "link", "jack-transport"]
"""The name of a clock source, as in `tempo.source`."""

CLOCK_SOURCES: Mapping[ClockSourceName, ClockSourceRow] = {
    "internal": ClockSourceRow("keeps the tempo of tempo.bpm", lambda _options: None),
    "midi-clock": ClockSourceRow(
        "follows the MIDI clock that comes in at tempo.port, or else at midi.input",
        lambda options: MidiClockFollower(
            options.bpm, wait_start=options.wait_start, position=options.position, on_change=options.on_change
        ),
        accepts_tempo=False,
        needs_midi_input=True,
    ),
    "link": ClockSourceRow(
        "plays in the tempo of an Ableton Link session (the extra link has to be installed)",
        lambda options: LinkFollower(options.bar_beats, options.wait_start, options.on_change, options.request_tempo),
        needs_link=True,
    ),
    "jack-transport": ClockSourceRow(
        "follows the transport of a JACK server, and the tempo of its timebase master if there is one",
        lambda options: JackTransportFollower(options.bpm, options.on_change, options.request_rolling),
        needs_jack=True,
    ),
}
"""Every clock source by its name."""
