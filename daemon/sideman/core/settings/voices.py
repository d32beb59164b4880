# SPDX-License-Identifier: Apache-2.0
"""THE table of voices: on which channel each plays, with which sound, and whether it plays.

The check of the settings, the crash marker, the tracks of a rendered file, the sounds of `--sound` and the live view
follow this table. The clicks are not in it: they are too short to hang, and nothing is drawn or written for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from sideman.core.events import ControlChange, MidiEvent, ProgramChange, Voice
from sideman.core.settings.schema import MidiSettings, PlaySettings

BANK_MSB, BANK_LSB = 0, 32
"""The controllers that select a bank, before the program change that takes its sound from there."""


class VoiceRow(Struct, frozen=True):
    """A row of the table: what musicians call the voice, and the keys of its channel, its program and its bank.

    `general_midi` returns the General MIDI program (1..128) that suits it where none is set; None chooses none. `plays`
    says whether the settings ask for it.
    """

    text: str
    channel_key: str
    program_key: str
    bank_key: str
    general_midi: Callable[[PlaySettings], int | None]
    plays: Callable[[PlaySettings], bool]

    def channel(self, midi: MidiSettings) -> int:
        """Return its channel."""
        return int(_value(midi, self.channel_key))

    def sound(self, midi: MidiSettings, play: PlaySettings, *, general_midi: bool = False) -> list[MidiEvent]:
        """Return what selects its sound: the bank and the program, as far as they are set.

        With `general_midi`, a voice without a program gets the one that suits it.
        """
        channel, bank, program = self.channel(midi), _value(midi, self.bank_key), _value(midi, self.program_key)
        if program is None and general_midi:
            program = self.general_midi(play)
        if program is None:
            return []
        banks = [] if bank is None else [(BANK_MSB, bank >> 7), (BANK_LSB, bank & 0x7F)]
        return [*(ControlChange(number, part, channel) for number, part in banks), ProgramChange(program - 1, channel)]


def _value(midi: MidiSettings, key: str) -> Any:  # noqa: ANN401 - a value of any type
    return getattr(midi, key.removeprefix("midi."))


VOICES: Mapping[Voice, VoiceRow] = {
    "solo": VoiceRow(
        "the solo",
        "midi.channel",
        "midi.program",
        "midi.bank",
        general_midi=lambda _play: None,
        plays=lambda _play: True,
    ),
    "comp": VoiceRow(
        "the accompaniment",
        "midi.comp",
        "midi.comp_program",
        "midi.comp_bank",
        general_midi=lambda play: {"shells": 1, "bass": 33}.get(play.comp),  # a piano, a double bass
        plays=lambda play: play.comp != "off",
    ),
}
"""The solo, and each voice that accompanies it. The channel of a voice has to differ from that of the ones before."""


def voice_sounds(midi: MidiSettings, play: PlaySettings, *, general_midi: bool = False) -> list[MidiEvent]:
    """Return what selects the sounds of all voices (see `VoiceRow.sound`), of a common channel only the first."""
    rows = [row for name, row in VOICES.items() if voice_of_channel(row.channel(midi), midi) == name]
    return [event for row in rows for event in row.sound(midi, play, general_midi=general_midi)]


def voice_channels(midi: MidiSettings) -> list[int]:
    """Return the channels of all voices, in order."""
    return sorted({row.channel(midi) for row in VOICES.values()})


def voice_of_channel(channel: int, midi: MidiSettings) -> Voice:
    """Return the voice whose notes sound on `channel`. What belongs to none is the solo's."""
    return next((name for name, row in VOICES.items() if row.channel(midi) == channel), "solo")
