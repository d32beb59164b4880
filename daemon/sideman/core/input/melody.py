# SPDX-License-Identifier: Apache-2.0
"""From what the player's hands do to the line that the network hears, by these rules.

- **Whose.** Our own notes that come back are dropped (see `Listener`). `midi.listen` names the channel that is heard;
  where it is `all`, that of the drums (`midi.drums`) is not. What comes on `midi.chords` is never the line: see
  `HeldChords`.
- **Key.** A transposing instrument (`midi.transpose`) is heard as it sounds, and so is a bent note: at the pitch that
  it begins at, the wheel reaching two semitones either way, rounded to whole ones. Bending it afterwards changes
  nothing. What would lie beyond MIDI's pitches is heard in the nearest octave.
- **Clusters.** Onsets within 35 ms of the first are one moment, and so are those that come to one place of the grid.
  The highest note of a moment is the line; the others accompany it.
- **Place.** A moment falls on the place of the grid that it means, a little early or late as it may be, in the player's
  own swing (see `humantime`). The end of a note is un-swung, but stays where it is.
- **Pedal.** While the sustain pedal (controller 64, from 64 on) is down, a note rings on after its key has come up:
  until the pedal comes up or the next onset, for a bar at most. A key that is down is held; a note that rings is not.
- **Repeated notes.** A key struck again before it came up ends its first note; one note-off ends both.
- **All notes off** (controllers 120 and 123) lets go of all keys of its channel.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

from sideman.core.events import Control, Event, NoteOff, NoteOn, PitchBend
from sideman.core.input.chord_detection import HeldChords
from sideman.core.input.echo import Listener
from sideman.core.input.quantize import OwnSwing, tick_of, written_at
from sideman.core.ledger import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN
from sideman.core.settings.schema import MidiSettings
from sideman.core.timing.tempo import Tempo
from sideman_models.music.context import Bars
from sideman_models.music.values import TICKS

CLUSTER_S = 0.035
"""Onsets so many seconds apart are one moment."""
MEANT_S = 0.06
"""A chord is taken to be early or late by so many seconds at most."""
BEND_SEMITONES = 2
"""How far the wheel bends, up or down."""

_WHEEL = 8192
_PEDAL_DOWN = 64
_PITCHES = 128


class Ear(Protocol):
    """Who follows the line. Ticks are twelfths of a beat, pitches as they sound."""

    def hear(self, tick: float, pitch: int) -> None:
        """A note begins."""
        ...

    def hear_release(self, tick: float, pitch: int) -> None:
        """A note ends at `tick`, which may be to come; an earlier end may still be told."""
        ...


Played = NoteOn | NoteOff | Control


class Hearing:
    """Hears the player, in the `bars` of the tune.

    It can be asked at any time: `held`, whether a key is down; `last_onset`, the tick on which the last moment was
    written; `last_release`, the tick (not rounded) at which the last key that was down came up. Both are None before
    there is one.
    """

    def __init__(self, midi: MidiSettings, bars: Bars) -> None:
        self.listener = Listener(midi.listen, midi.echo_ms / 1000, drums=midi.drums, chords=midi.chords)
        self.chords = HeldChords()
        self.transpose = midi.transpose
        self.last_onset: int | None = None
        self.last_release: float | None = None
        self._bars = bars
        self._chords_channel = midi.chords
        self._keys: dict[tuple[int, int], int] = {}  # the pitch as heard of every key that is down, by channel and key
        self._bends: dict[int, int] = {}  # in semitones, by channel
        self._pedals: set[int] = set()  # the channels whose pedal is down
        self._swing = OwnSwing()
        self._began = -math.inf  # the second of the last moment's first onset
        self._top: NoteOn | None = None  # its highest note

    @property
    def held(self) -> bool:
        """Whether a key is down that plays the line or accompanies it."""
        return any(channel != self._chords_channel for channel, _ in self._keys)

    # -- whose it is, and at what pitch

    def hears(self, event: Event, second: float) -> list[Played]:
        """What `event` means for the line: notes at the pitch that sounds, a pedal that comes up; perhaps nothing.

        Keys of the chords' channel go to `chords`. To be called with all that comes in, whether there is music or not.
        """
        match event:
            case NoteOn() | NoteOff():
                note = self.listener.hears(event, second)
                return [] if note is None else self._key(note, second)
            case PitchBend(value, channel):
                self._bends[channel] = math.floor(BEND_SEMITONES * value / _WHEEL + 0.5)
            case Control(number, _, channel) if number == SUSTAIN and channel != self._chords_channel:
                return self._pedal(event)
            case Control(number, _, channel) if number in (ALL_SOUND_OFF, ALL_NOTES_OFF):
                keys = [key for each, key in self._keys if each == channel]
                return [up for key in keys for up in self._key(NoteOff(key, channel), second)]
        return []

    def _key(self, note: NoteOn | NoteOff, second: float) -> list[Played]:
        key = note.channel, note.pitch
        if isinstance(note, NoteOn):
            pitch = _within_midi(note.pitch + self._bends.get(note.channel, 0) + self.transpose)
            self._keys[key] = pitch
        elif key in self._keys:
            pitch = self._keys.pop(key)
        else:
            return []
        if note.channel != self._chords_channel:
            return [replace(note, pitch=pitch)]
        if isinstance(note, NoteOn):
            self.chords.strike(pitch, second)
        else:
            self.chords.release(pitch, second)
        return []

    def _pedal(self, pedal: Control) -> list[Played]:
        if pedal.value >= _PEDAL_DOWN:
            self._pedals.add(pedal.channel)
        elif pedal.channel in self._pedals:
            self._pedals.remove(pedal.channel)
            return [pedal]
        return []

    # -- where it belongs

    def meant(self, second: float, tempo: Tempo, swing: float) -> float:
        """The beat that a chord held at `second` counts from: the place it means, if that is near, else its own."""
        beat = tempo.beat_at(second)
        meant = self._place(beat, tempo, swing) / TICKS
        return meant if abs(meant - beat) * 60.0 / tempo.bpm <= MEANT_S else beat

    def _place(self, beat: float, tempo: Tempo, swing: float, before: int | None = None) -> int:
        return written_at(beat, self._bars, self._swing.ratio(swing), 60.0 / tempo.bpm, before)

    def follow(self, played: Played, second: float, tempo: Tempo, swing: float, ear: Ear) -> None:
        """Let `ear` know what `played` (of `hears`) means for the line; we swing by `swing`."""
        if isinstance(played, NoteOn):
            self._strike(played, second, tempo, swing, ear)
            return
        tick = tick_of(tempo.beat_at(second), self._bars, self._swing.ratio(swing))
        if isinstance(played, NoteOff):
            self.last_release = self.last_release if self.held else tick
            rings = self._bars.bar_at(tick)[1] if played.channel in self._pedals else 0
            self._release(tick + rings, played.channel, played.pitch, ear)
        elif self._top is not None and self._top.channel == played.channel:
            self._release(tick, played.channel, self._top.pitch, ear)

    def _release(self, tick: float, channel: int, pitch: int, ear: Ear) -> None:
        if not any(each == channel and heard == pitch for (each, _), heard in self._keys.items()):
            ear.hear_release(tick, pitch)

    def _strike(self, note: NoteOn, second: float, tempo: Tempo, swing: float, ear: Ear) -> None:
        place = self.last_onset
        if second - self._began > CLUSTER_S or place is None:
            beat, self._began = tempo.beat_at(second), second
            self._swing.hear(beat, self._bars)
            place = self._place(beat, tempo, swing, self.last_onset)
            if place != self.last_onset:
                self._top = None
                self.last_onset = place
        if self._top is None or note.pitch > self._top.pitch:
            self._top = note
            ear.hear(place, note.pitch)


def _within_midi(pitch: int) -> int:
    if pitch < 0:
        return pitch % 12
    return pitch if pitch < _PITCHES else pitch - 12 * ((pitch - _PITCHES) // 12 + 1)
