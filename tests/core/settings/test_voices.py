# SPDX-License-Identifier: Apache-2.0
"""The table of voices."""

from __future__ import annotations

from typing import get_args

from sideman.core.events import Voice
from sideman.core.settings.schema import KEYS, MidiSettings
from sideman.core.settings.voices import VOICES, voice_channels, voice_of_channel


def test_every_voice_but_the_clicks_has_a_row_and_a_channel_of_its_own() -> None:
    """Guards against: a new voice that a crash leaves sounding, or that cuts off another one's notes."""
    assert {*VOICES, "clicks"} == set(get_args(Voice))
    assert all(row.channel_key in KEYS for row in VOICES.values())
    assert len(voice_channels(MidiSettings())) == len(VOICES)
    assert [voice_of_channel(row.channel(MidiSettings()), MidiSettings()) for row in VOICES.values()] == list(VOICES)


def test_what_sounds_on_another_channel_belongs_to_the_solo() -> None:
    """Guards against: count-in clicks that a rendered file loses; an accompaniment that takes the solo's notes."""
    assert voice_of_channel(MidiSettings().drums, MidiSettings()) == "solo"
    assert voice_of_channel(1, MidiSettings(channel=1, comp=1)) == "solo"
