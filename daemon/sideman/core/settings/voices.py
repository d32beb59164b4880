# SPDX-License-Identifier: Apache-2.0
"""THE table of voices: on which channel each plays, with which sound, and whether it plays.

The check of the settings, the crash marker, the tracks of a rendered file, the sounds of `--sound` and the live view
follow this table. The clicks are not in it: they are too short to hang, and nothing is drawn or written for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from sideman.core.events import Voice
from sideman.core.settings.schema import MidiSettings, PlaySettings

COMP_PROGRAMS = {"shells": 1, "bass": 33}
"""The General MIDI program (1..128) for each style of the accompaniment: a piano, a double bass."""


class VoiceRow(Struct, frozen=True):
    """A row of the table: what musicians call the voice, and the key of its channel.

    `program` returns the General MIDI program (1..128) that suits it; None chooses none. `plays` says whether the
    settings ask for it.
    """

    text: str
    channel_key: str
    program: Callable[[MidiSettings, PlaySettings], int | None]
    plays: Callable[[PlaySettings], bool]

    def channel(self, midi: MidiSettings) -> int:
        """Return its channel."""
        return int(getattr(midi, self.channel_key.removeprefix("midi.")))


VOICES: Mapping[Voice, VoiceRow] = {
    "solo": VoiceRow("the solo", "midi.channel", lambda midi, _play: midi.program, lambda _play: True),
    "comp": VoiceRow(
        "the accompaniment",
        "midi.comp",
        lambda _midi, play: COMP_PROGRAMS.get(play.comp),
        lambda play: play.comp != "off",
    ),
}
"""The solo, and each voice that accompanies it. The channel of a voice has to differ from that of the ones before."""


def voice_channels(midi: MidiSettings) -> list[int]:
    """Return the channels of all voices, in order."""
    return sorted({row.channel(midi) for row in VOICES.values()})


def voice_of_channel(channel: int, midi: MidiSettings) -> Voice:
    """Return the voice whose notes sound on `channel`. What belongs to none is the solo's."""
    return next((name for name, row in VOICES.items() if row.channel(midi) == channel), "solo")
