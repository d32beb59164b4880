# SPDX-License-Identifier: Apache-2.0
"""The table of voices."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from sideman.core.events import ControlChange, ProgramChange, Voice
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.settings.schema import KEYS
from sideman.core.settings.voices import VOICES, track_of, voice_channels, voice_of_channel, voice_sounds


def test_every_voice_but_the_clicks_has_a_row_and_a_channel_of_its_own() -> None:
    """Guards against: a new voice that a crash leaves sounding, or that cuts off another one's notes."""
    assert {*VOICES, "clicks"} == set(get_args(Voice))
    assert all(key in KEYS for row in VOICES.values() for key in (row.channel_key, row.program_key, row.bank_key))
    assert len(voice_channels(MidiSettings())) == len(VOICES)
    assert [voice_of_channel(row.channel(MidiSettings()), MidiSettings()) for row in VOICES.values()] == list(VOICES)


def test_what_sounds_on_another_channel_belongs_to_the_solo() -> None:
    """Guards against: count-in clicks that a rendered file loses; an accompaniment that takes the solo's notes."""
    assert track_of(MidiSettings().drums, MidiSettings(), PlaySettings()) == "solo"
    assert track_of(MidiSettings().drums, MidiSettings(), PlaySettings(comp=("drums",))) == "drums"
    assert voice_of_channel(16, MidiSettings()) == "solo"
    assert voice_of_channel(1, MidiSettings(channel=1, comp=1)) == "solo"


@given(st.integers(1, 128), st.integers(0, 16383), st.integers(1, 16))
def test_a_bank_is_selected_before_its_program(program: int, bank: int, channel: int) -> None:
    """Guards against a synth that takes the program from another bank."""
    *banks, chosen = voice_sounds(MidiSettings(program=program, bank=bank, channel=channel), PlaySettings())
    assert chosen == ProgramChange(program - 1, channel)
    assert [(event.number, event.channel) for event in banks if isinstance(event, ControlChange)] == [
        (0, channel), (32, channel),
    ]  # fmt: skip
    msb, lsb = (event.value for event in banks if isinstance(event, ControlChange))
    assert (msb * 128 + lsb, lsb < 128) == (bank, True)


def test_on_a_common_channel_only_the_solo_selects_its_sound() -> None:
    """Guards against a solo with the sound of an accompaniment that does not play."""
    midi = MidiSettings(program=5, comp=1, comp_program=34)
    assert voice_sounds(midi, PlaySettings()) == [ProgramChange(4, 1)]


def test_general_midi_only_fills_in_what_is_not_set() -> None:
    """Guards against a bass that sounds as a piano, and against a sound of the player that is replaced."""
    bass = PlaySettings(comp=("bass",))
    assert voice_sounds(MidiSettings(), bass) == []
    assert voice_sounds(MidiSettings(), bass, general_midi=True) == [ProgramChange(32, 2)]
    assert voice_sounds(MidiSettings(comp_program=40), bass, general_midi=True) == [ProgramChange(39, 2)]


def test_each_of_the_band_has_a_channel_and_a_sound_of_its_own() -> None:
    """Guards against a bass that sounds as the piano beside it, or drums that are not heard as drums."""
    band = PlaySettings(comp=("bass", "shells", "drums"))
    chosen = [ProgramChange(0, 2), ProgramChange(32, 3), ProgramChange(40, 10)]
    assert voice_sounds(MidiSettings(), band, general_midi=True) == chosen
    midi = MidiSettings(bass=7, bass_program=34, comp_program=5, drums_program=33)
    assert voice_sounds(midi, band) == [ProgramChange(4, 2), ProgramChange(33, 7), ProgramChange(32, 10)]
