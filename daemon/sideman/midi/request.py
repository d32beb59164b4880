# SPDX-License-Identifier: Apache-2.0
"""Which ports the settings ask for, and what each of them carries.

A port carries messages by their first byte, the status: of some channels, of the clock, or both. So the notes of a
voice find their port by their channel, and a clock may have a port of its own in both directions. A real port that is
named in several settings is opened once and carries everything that they ask for. `auto` is another virtual port for
each setting.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from sideman.core.events import Voice
from sideman.core.settings.schema import Settings, value_of
from sideman.core.settings.voices import VOICES
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman.midi.driver import Direction

AUTO, NO_PORT = "auto", "none"
OUTPUT, INPUT, CLOCK_INPUT = "midi.output", "midi.input", "tempo.port"
CLOCK = frozenset(range(0xF0, 0x100))
"""The statuses of the clock messages."""
CHANNELS = frozenset(range(0x80, 0xF0))
"""Those of notes, controllers, programs and pitch bends, on all channels."""

Names = str | tuple[str, ...]


class Split(Struct, frozen=True):
    """An output of its own: the setting that names its ports, its label, and the channel; no channel: the clock."""

    key: str
    label: str
    names: Names
    channel: int | None = None

    @property
    def carries(self) -> frozenset[int]:
        """The statuses that go there."""
        return CLOCK if self.channel is None else frozenset(range(0x80 | self.channel - 1, 0xF0, 0x10))


_SPLITS: tuple[tuple[str, str, Voice | None], ...] = (
    ("midi.comp_output", "comp", "comp"),
    ("midi.drums_output", "clicks", "drums"),
    ("midi.bass_output", "bass", "bass"),
    ("tempo.clock_output", "clock", None),
)
"""What may leave midi.output: the setting of its output, its label, the voice that goes there."""
TITLES = {
    OUTPUT: "output",
    "midi.comp_output": "accompaniment to",
    "midi.bass_output": "bass to",
    "midi.drums_output": "clicks to",
    "tempo.clock_output": "clock to",
    INPUT: "input",
    CLOCK_INPUT: "clock from",
}
"""What the ports of each setting are called where all ports are listed."""


class WantedPort(Struct, frozen=True):
    """One port that is wanted: the setting that names it first, its name or AUTO, and the statuses that it carries.

    `label` distinguishes our own port from the others that we have in this direction; "" is the usual one.
    """

    key: str
    name: str
    direction: Direction
    carries: frozenset[int]
    label: str = ""

    @property
    def id(self) -> str:
        """What distinguishes it from all others for as long as we run: `midi.output: Synth`."""
        return f"{self.key}: {self.name}"

    @property
    def carries_clock(self) -> bool:
        """Whether it carries the clock."""
        return self.carries >= CLOCK

    @property
    def channels(self) -> list[int]:
        """The channels that it carries."""
        return [channel for channel in range(1, 17) if 0x8F + channel in self.carries]


class PortRequest(Struct, frozen=True):
    """The wanted ports (AUTO, NO_PORT, or one or more names), our client name, and whether a named port may come later.

    With `clock`, a MIDI clock is followed: that of `clock_input`, if it is named, else that of an input. `splits` are
    what does not go to `output`.
    """

    output: Names = AUTO
    input: Names = AUTO
    client: str = "sideman"
    wait: bool = False
    clock: bool = False
    clock_input: str = ""
    splits: tuple[Split, ...] = ()

    @property
    def outputs(self) -> list[WantedPort]:
        """The wanted outputs."""
        elsewhere = frozenset[int]().union(*(split.carries for split in self.splits))
        wanted = _ports(OUTPUT, self.output, Direction.OUTPUT, (CHANNELS | CLOCK) - elsewhere)
        for split in self.splits:
            wanted += _ports(split.key, split.names, Direction.OUTPUT, split.carries, split.label)
        return _merged(wanted)

    @property
    def inputs(self) -> list[WantedPort]:
        """The wanted inputs."""
        clock_here = CLOCK if self.clock and not self.clock_input else frozenset[int]()
        wanted = _ports(INPUT, self.input, Direction.INPUT, CHANNELS | clock_here)
        if self.clock and self.clock_input:
            wanted += _ports(CLOCK_INPUT, self.clock_input, Direction.INPUT, CLOCK, "clock")
        return _merged(wanted)


def request_of(settings: Settings) -> PortRequest:
    """The ports that `settings` ask for. What shares a channel with a voice goes where that voice goes."""
    midi, tempo = settings.midi, settings.tempo
    splits: list[Split] = []
    used: set[int | None] = {midi.channel}
    for key, label, voice in _SPLITS:
        names, channel = value_of(settings, key), VOICES[voice].channel(midi) if voice else None
        if voice == "bass" and names is None:  # it goes where the accompaniment goes
            key, label, names = "midi.comp_output", "comp", midi.comp_output  # noqa: PLW2901
        if names is not None and channel not in used:
            splits.append(Split(key, label, names, channel))
        used |= {channel}
    follows_clock = CLOCK_SOURCES[tempo.source].needs_midi_input
    return PortRequest(midi.output, midi.input, midi.client, midi.wait, follows_clock, tempo.port or "", tuple(splits))


def _ports(key: str, names: Names, direction: Direction, carries: frozenset[int], label: str = "") -> list[WantedPort]:
    """The ports called `names`: a virtual one first, so that it has our usual name."""
    wanted = sorted([names] if isinstance(names, str) else names, key=lambda name: name != AUTO)
    return [
        WantedPort(key, name, direction, carries, f"{label or 'port'}{number}" if number > 1 else label)
        for number, name in enumerate(wanted, 1)
        if name != NO_PORT
    ]


def _merged(wanted: Iterable[WantedPort]) -> list[WantedPort]:
    """One port for each name; AUTO stays another port for each setting."""
    ports: dict[str, WantedPort] = {}
    for port in wanted:
        place = port.id if port.name == AUTO else port.name
        known = ports.get(place, port)
        ports[place] = replace(known, carries=known.carries | port.carries)
    return list(ports.values())
