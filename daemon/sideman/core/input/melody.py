# SPDX-License-Identifier: Apache-2.0
"""From what the player's hands do to the line that the network hears, by these rules.

- **Whose.** Our own notes that come back are dropped (see `EchoFilter`). `midi.listen` names the channel that is heard;
  where it is `all`, that of the drums (`midi.drums`) is not. What comes on `midi.chords` is never the line: see
  `ChordDetector`.
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
from typing import Protocol

from msgspec.structs import replace

from sideman.core.events import ControlChange, MidiEvent, NoteOff, NoteOn, PitchBend
from sideman.core.input.chord_detection import ChordDetector
from sideman.core.input.echo import EchoFilter
from sideman.core.input.quantize import SwingEstimator, quantize
from sideman.core.ledger import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN
from sideman.core.settings.live import LiveSettings
from sideman.core.timing.tempo import Tempo, exact_tick
from sideman_models.music.context import Bars
from sideman_models.music.values import TICKS_PER_QUARTER

CLUSTER_S = 0.035
"""Onsets so many seconds apart are one moment."""
MAX_CHORD_SHIFT_S = 0.06
"""A chord is taken to be early or late by so many seconds at most."""
BEND_SEMITONES = 2
"""How far the wheel bends, up or down."""

_FULL_BEND = 8192
_PEDAL_DOWN_FROM = 64
_PITCH_COUNT = 128


class MelodySink(Protocol):
    """Who follows the line. Ticks are twelfths of a beat, pitches as they sound."""

    def player_note_on(self, tick: float, pitch: int) -> None:
        """A note begins."""
        ...

    def player_note_off(self, tick: float, pitch: int) -> None:
        """A note ends at `tick`, which may be to come; an earlier end may still be told."""
        ...


PlayerEvent = NoteOn | NoteOff | ControlChange


class MelodyTracker:
    """Hears the player, in the `bars` of the tune.

    It can be asked at any time: `keys_held`, whether a key is down; `last_onset_tick`, the tick on which the last
    moment was written; `last_release_tick`, the tick (not rounded) at which the last key that was down came up. Both
    are None before there is one.
    """

    def __init__(self, live: LiveSettings, bars: Bars) -> None:
        midi = live.midi
        self.echo_filter = EchoFilter(
            midi.listen, midi.echo_ms / 1000, drum_channel=midi.drums, chord_channel=midi.chords
        )
        self.chord_detector = ChordDetector()
        self.last_onset_tick: int | None = None
        self.last_release_tick: float | None = None
        self._live = live
        self._bars = bars
        self._chords_channel = midi.chords
        self._pressed_keys: dict[
            tuple[int, int], int
        ] = {}  # the pitch as heard of every key that is down, by channel and key
        self._bends: dict[int, int] = {}  # in semitones, by channel
        self._sustained_channels: set[int] = set()  # the channels whose pedal is down
        self._swing_estimator = SwingEstimator()
        self._chord_onset_s = -math.inf  # the second of the last moment's first onset
        self._top_note: NoteOn | None = None  # its highest note

    @property
    def keys_held(self) -> bool:
        """Whether a key is down that plays the line or accompanies it."""
        return any(channel != self._chords_channel for channel, _ in self._pressed_keys)

    # -- whose it is, and at what pitch

    def player_events(self, event: MidiEvent, second: float) -> list[PlayerEvent]:
        """What `event` means for the line: notes at the pitch that sounds, a pedal that comes up; perhaps nothing.

        Keys of the chords' channel go to `chord_detector`. To be called with all that comes in, whether there is music
        or not.
        """
        match event:
            case NoteOn() | NoteOff():
                note = self.echo_filter.filter_note(event, second)
                return [] if note is None else self._receive_note(note, second)
            case PitchBend(value, channel):
                self._bends[channel] = math.floor(BEND_SEMITONES * value / _FULL_BEND + 0.5)
            case ControlChange(number, _, channel) if number == SUSTAIN and channel != self._chords_channel:
                return self._receive_pedal(event)
            case ControlChange(number, _, channel) if number in (ALL_SOUND_OFF, ALL_NOTES_OFF):
                keys = [key for each, key in self._pressed_keys if each == channel]
                return [up for key in keys for up in self._receive_note(NoteOff(key, channel), second)]
        return []

    def _receive_note(self, note: NoteOn | NoteOff, second: float) -> list[PlayerEvent]:
        key = note.channel, note.pitch
        if isinstance(note, NoteOn):
            pitch = _fold_into_midi(note.pitch + self._bends.get(note.channel, 0) + self._live.midi.transpose)
            self._pressed_keys[key] = pitch
        elif key in self._pressed_keys:
            pitch = self._pressed_keys.pop(key)
        else:
            return []
        if note.channel != self._chords_channel:
            return [replace(note, pitch=pitch)]
        if isinstance(note, NoteOn):
            self.chord_detector.note_on(pitch, second)
        else:
            self.chord_detector.note_off(pitch, second)
        return []

    def _receive_pedal(self, pedal: ControlChange) -> list[PlayerEvent]:
        if pedal.value >= _PEDAL_DOWN_FROM:
            self._sustained_channels.add(pedal.channel)
        elif pedal.channel in self._sustained_channels:
            self._sustained_channels.remove(pedal.channel)
            return [pedal]
        return []

    # -- where it belongs

    def intended_beat(self, second: float, tempo: Tempo, swing: float) -> float:
        """The beat that a chord held at `second` counts from: the place it means, if that is near, else its own."""
        beat = tempo.beat_at(second)
        meant = self._quantized_tick(beat, tempo, swing) / TICKS_PER_QUARTER
        return meant if abs(meant - beat) * 60.0 / tempo.bpm <= MAX_CHORD_SHIFT_S else beat

    def _quantized_tick(self, beat: float, tempo: Tempo, swing: float, previous_tick: int | None = None) -> int:
        return quantize(beat, self._bars, self._swing_estimator.estimate(swing), 60.0 / tempo.bpm, previous_tick)

    def track(self, event: PlayerEvent, second: float, tempo: Tempo, swing: float, sink: MelodySink) -> None:
        """Let `sink` know what `event` (of `player_events`) means for the line; we swing by `swing`."""
        if isinstance(event, NoteOn):
            self._track_note_on(event, second, tempo, swing, sink)
            return
        tick = exact_tick(tempo.beat_at(second), self._bars, self._swing_estimator.estimate(swing))
        if isinstance(event, NoteOff):
            self.last_release_tick = self.last_release_tick if self.keys_held else tick
            rings = self._bars.bar_at(tick)[1] if event.channel in self._sustained_channels else 0
            self._track_note_off(tick + rings, event.channel, event.pitch, sink)
        elif self._top_note is not None and self._top_note.channel == event.channel:
            self._track_note_off(tick, event.channel, self._top_note.pitch, sink)

    def _track_note_off(self, tick: float, channel: int, pitch: int, ear: MelodySink) -> None:
        if not any(each == channel and heard == pitch for (each, _), heard in self._pressed_keys.items()):
            ear.player_note_off(tick, pitch)

    def _track_note_on(self, note: NoteOn, second: float, tempo: Tempo, swing: float, ear: MelodySink) -> None:
        place = self.last_onset_tick
        if second - self._chord_onset_s > CLUSTER_S or place is None:
            beat, self._chord_onset_s = tempo.beat_at(second), second
            self._swing_estimator.add_onset(beat, self._bars)
            place = self._quantized_tick(beat, tempo, swing, self.last_onset_tick)
            if place != self.last_onset_tick:
                self._top_note = None
                self.last_onset_tick = place
        if self._top_note is None or note.pitch > self._top_note.pitch:
            self._top_note = note
            ear.player_note_on(place, note.pitch)


def _fold_into_midi(pitch: int) -> int:
    if pitch < 0:
        return pitch % 12
    return pitch if pitch < _PITCH_COUNT else pitch - 12 * ((pitch - _PITCH_COUNT) // 12 + 1)
