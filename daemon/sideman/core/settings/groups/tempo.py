# SPDX-License-Identifier: Apache-2.0
"""The settings of `tempo`: the tempo, the clock, the meter."""

from __future__ import annotations

from typing import get_args

from msgspec import Struct

from sideman.core.chart.chart import ChartError, Meter, parse_meter
from sideman.core.settings.groups.definitions import PORT, PORTS, group, setting
from sideman.core.settings.types import SettingType, boolean_type, choice_type, number_type, optional_type
from sideman.core.timing.clock_source import CLOCK_SOURCES, ClockSourceName
from sideman.core.timing.song_position import PositionUnit


def _read_meter(value: object) -> Meter:
    try:
        return parse_meter(value if isinstance(value, str) else "")
    except ChartError:
        raise ValueError from None


METER_TYPE = SettingType(
    "a time signature such as 4/4, 3/4 or 6/8: 1 to 16 over 1, 2, 4, 8 or 16", _read_meter, None, str
)
COMMON_TIME = Meter(4, 4)


@group
class TempoSettings(Struct, frozen=True):
    """The tempo, and the clock that sets it.

    A `port` of None means the ports of `midi.input`, a `clock_output` of None those of `midi.output`.
    """

    bpm: float = setting(120.0, number_type(20, 400), "The tempo in quarter notes per minute.")
    meter: Meter = setting(COMMON_TIME, METER_TYPE, "The time signature of a chart that does not have one itself.")
    source: ClockSourceName = setting(
        "internal",
        choice_type(*CLOCK_SOURCES),
        f"The clock that sideman plays to: {', '.join(f'{name} {row.text}' for name, row in CLOCK_SOURCES.items())}.",
    )
    port: str | None = setting(
        None,
        optional_type(None, PORT, "midi.input"),
        "With source midi-clock: the MIDI port from which alone the clock is read, so that the clock of a keyboard "
        "does not count beside that of the sequencer. With null it is read from midi.input, and of several clocks only "
        "one.",
    )
    wait_start: bool = setting(
        True,
        boolean_type(),
        "When an external clock already runs: with true, sideman follows a MIDI clock in silence until it starts, "
        "continues or sends its song position, and waits for the start of a Link session; with false, the first tick "
        "of a MIDI clock is the first beat, and sideman comes in at the next bar line of a Link session.",
    )
    clock_out: bool = setting(
        False, boolean_type(), "Send a MIDI clock together with the notes, so that other devices can follow."
    )
    clock_output: tuple[str, ...] | None = setting(
        None,
        optional_type(None, PORTS, "midi.output"),
        "With clock_out: the MIDI port of the clock, if it has one of its own.",
    )
    clock_when_stopped: bool = setting(
        False,
        boolean_type(),
        "With clock_out: send the ticks of the clock also while the music stands still, for synths whose arpeggios and "
        "delays need a tempo all the time.",
    )
    jack_control: bool = setting(
        False,
        boolean_type(),
        "With source jack-transport: when sideman is started or stopped, start or stop the transport of JACK, and with "
        "it all programs that follow it.",
    )
    position: PositionUnit = setting(
        "sixteenths",
        choice_type(*get_args(PositionUnit)),
        "What the song positions of a MIDI clock count. MIDI says sixteenths; clocks is for programs that send MIDI "
        "clocks, 24 a quarter note, such as Ardour 7.3: otherwise sideman goes six times too far.",
    )
