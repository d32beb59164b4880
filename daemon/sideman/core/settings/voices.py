# SPDX-License-Identifier: Apache-2.0
"""THE table of voices: on which channel each plays, with which sound, and whether it plays.

The check of the settings, the crash marker, the ports, the tracks of takes and rendered files, the sounds of `--sound`
and the live view follow this table. The clicks are not in it: they are too short to hang, and nothing is drawn for
them.

The voice `comp` is the accompaniment that has always been there: the shells, or a bass that plays without them and has
no channel of its own. Otherwise the bass is the voice `bass`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from sideman.core.events import ControlChange, MidiEvent, ProgramChange, Voice
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.groups.play import PlaySettings

BASS_CHANNEL = 3
"""The channel of a bass beside shells, if none is set."""
BANK_MSB, BANK_LSB = 0, 32
"""The controllers that select a bank, before the program change that takes its sound from there."""


class VoiceRow(Struct, frozen=True):
    """A row of the table: what musicians call the voice, and the keys of its channel, its program and its bank.

    `general_midi` returns the General MIDI program (1..128) that suits it where none is set; None chooses none. `plays`
    says whether the settings ask for it. Where no channel is set, it is `usual_channel`.
    """

    text: str
    channel_key: str
    program_key: str
    bank_key: str
    general_midi: Callable[[MidiSettings, PlaySettings], int | None]
    plays: Callable[[MidiSettings, PlaySettings], bool]
    usual_channel: int = 1

    def channel(self, midi: MidiSettings) -> int:
        """Return its channel."""
        return int(_value(midi, self.channel_key) or self.usual_channel)

    def sound(self, midi: MidiSettings, play: PlaySettings, *, general_midi: bool = False) -> list[MidiEvent]:
        """Return what selects its sound: the bank and the program, as far as they are set.

        With `general_midi`, a voice without a program gets the one that suits it.
        """
        channel, bank, program = self.channel(midi), _value(midi, self.bank_key), _value(midi, self.program_key)
        if program is None and general_midi:
            program = self.general_midi(midi, play)
        if program is None:
            return []
        banks = [] if bank is None else [(BANK_MSB, bank >> 7), (BANK_LSB, bank & 0x7F)]
        return [*(ControlChange(number, part, channel) for number, part in banks), ProgramChange(program - 1, channel)]


def _drums_play(play: PlaySettings) -> bool:
    return "drums" in play.comp and play.style != "plain"


def bass_voice(midi: MidiSettings, play: PlaySettings) -> Voice:
    """Return the voice of the bass."""
    return "bass" if midi.bass is not None or "shells" in play.comp else "comp"


def _bass_is(voice: Voice, midi: MidiSettings, play: PlaySettings) -> bool:
    """Whether a bass plays, as this voice."""
    return "bass" in play.comp and play.style != "plain" and bass_voice(midi, play) == voice


def _comp_plays(midi: MidiSettings, play: PlaySettings) -> bool:
    return "shells" in play.comp or _bass_is("comp", midi, play) or (play.style == "plain" and "bass" in play.comp)


def _comp_program(midi: MidiSettings, play: PlaySettings) -> int | None:
    if not _comp_plays(midi, play):
        return None
    plays_bass = "shells" not in play.comp or (play.style == "plain" and play.comp[0] == "bass")
    return 33 if plays_bass else 1  # a double bass, a piano


def _value(midi: MidiSettings, key: str) -> Any:  # noqa: ANN401 - a value of any type
    return getattr(midi, key.removeprefix("midi."))


VOICES: Mapping[Voice, VoiceRow] = {
    "solo": VoiceRow(
        "the solo",
        "midi.channel",
        "midi.program",
        "midi.bank",
        general_midi=lambda _midi, _play: None,
        plays=lambda _midi, _play: True,
    ),
    "comp": VoiceRow(
        "the accompaniment",
        "midi.comp",
        "midi.comp_program",
        "midi.comp_bank",
        general_midi=_comp_program,
        plays=_comp_plays,
    ),
    "bass": VoiceRow(
        "the bass",
        "midi.bass",
        "midi.bass_program",
        "midi.bass_bank",
        general_midi=lambda midi, play: 33 if _bass_is("bass", midi, play) else None,
        plays=partial(_bass_is, "bass"),
        usual_channel=BASS_CHANNEL,
    ),
    "drums": VoiceRow(
        "the drums",
        "midi.drums",
        "midi.drums_program",
        "midi.drums_bank",
        general_midi=lambda _midi, play: 41 if _drums_play(play) else None,  # a kit with brushes
        plays=lambda _midi, play: _drums_play(play),
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


def track_of(channel: int, midi: MidiSettings, play: PlaySettings) -> Voice:
    """Return the voice in whose track a note on `channel` belongs: one that plays, otherwise the solo."""
    voice = voice_of_channel(channel, midi)
    return voice if VOICES[voice].plays(midi, play) else "solo"


def voice_of_channel(channel: int, midi: MidiSettings) -> Voice:
    """Return the voice whose notes sound on `channel`. What belongs to none is the solo's."""
    return next((name for name, row in VOICES.items() if row.channel(midi) == channel), "solo")
