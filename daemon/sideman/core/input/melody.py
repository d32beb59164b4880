# SPDX-License-Identifier: Apache-2.0
"""Turns what the player plays into the melody that the network hears, by these rules.

- **Source.** Our own notes that come back are dropped (see `EchoFilter`). The melody is heard on the channel
  `midi.listen`; if that is `all`, on every channel but the drums (`midi.drums`). Notes on `midi.chords` are never
  melody: they go to the `ChordDetector`.
- **Ghost notes.** A note of the melody softer than `midi.ghost` is not heard, nor is its end.
- **Pitch.** A note is heard at its sounding pitch: transposed by `midi.transpose` and bent by the pitch wheel as it
  stands at the onset, rounded to whole semitones. So a bend of less than half a semitone, such as a vibrato, moves no
  note. Later bends change nothing. A pitch beyond the range of MIDI is moved by octaves into it. How far the wheel
  bends is `BEND_SEMITONES` until its channel sends another range (RPN 0: semitones and cents).
- **MPE.** An instrument that sends each note on a channel of its own says so on channel 1 or 16 (RPN 6: how many member
  channels its zone has). From then on notes, pedals and releases on the member channels count as ones on that master
  channel, whatever `midi.drums` or `midi.chords` would make of them. A note is bent by its own channel, whose range is
  `MPE_BEND_SEMITONES` until another one is sent, and by the master channel.
- **Chords.** Notes that start within `CLUSTER_S` of the first, or that quantise to the same tick, are one chord. Only
  its highest note becomes part of the melody (the skyline); the lower ones are ignored.
- **Onset.** The onset is quantised in the player's own swing (see `quantize`). The end of a note is unswung, but not
  quantised.
- **Pedal.** While the sustain pedal (controller 64, values from 64) is down, a note sounds on after its key is
  released: until the pedal is released or the next note starts, for one bar at most. Such a note is not a held key.
- **Repeated notes.** A key that is struck again before its release ends its first note; one note-off ends both.
- **All notes off** (controllers 120 and 123) releases all keys of its channel.
"""

from __future__ import annotations

import math
from typing import Protocol

from msgspec.structs import replace

from sideman.core.events import ControlChange, MidiEvent, NoteOff, NoteOn, PitchBend
from sideman.core.input.chord_detection import ChordDetector
from sideman.core.input.controllers import DATA_ENTRY, DATA_ENTRY_FINE, SelectedParameters
from sideman.core.input.echo import EchoFilter
from sideman.core.input.quantize import SwingEstimator, quantize
from sideman.core.ledger import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN
from sideman.core.settings.live import LiveSettings
from sideman.core.timing.tempo import Tempo, exact_tick
from sideman_models.music.context import Bars
from sideman_models.music.values import TICKS_PER_QUARTER

CLUSTER_S = 0.035
"""Notes that start within this time of the first are one chord."""
MAX_CHORD_SHIFT_S = 0.06
"""A chord on the chord channel counts as played too early or too late by this time at most."""
BEND_SEMITONES, MPE_BEND_SEMITONES = 2, 48
"""How far the pitch wheel bends a note, up or down: on any channel, and on the member channels of an MPE zone."""

_FULL_BEND = 8192
_BEND_RANGE, _MPE_CONFIGURATION = 0, 6  # registered parameters
_MASTER_CHANNELS = (1, 16)
_PEDAL_DOWN_FROM = 64


class MelodySink(Protocol):
    """Takes the notes of the melody (the improviser). Ticks are written ticks, pitches are sounding pitches."""

    def player_note_on(self, tick: float, pitch: int) -> None:
        """A note starts at `tick`."""

    def player_note_off(self, tick: float, pitch: int) -> None:
        """A note ends at `tick`. That may lie in the future; a later call may then set an earlier end."""


PlayerEvent = NoteOn | NoteOff | ControlChange
"""A note on, a note off, or a release of the sustain pedal that matters for the melody."""


class MelodyTracker:
    """Follows what the player plays over `bars`."""

    def __init__(self, live: LiveSettings, bars: Bars) -> None:
        midi = live.midi
        self.echo_filter = EchoFilter(midi)
        self.chord_detector = ChordDetector()
        self._live = live
        self._bars = bars
        self._chords_channel = midi.chords
        self._pressed_keys: dict[tuple[int, int], int] = {}  # the sounding pitch of each held key, by channel and key
        self._parameters = SelectedParameters()
        self._bends: dict[int, int] = {}  # the positions of the pitch wheels, by channel
        self._bend_ranges: dict[int, float] = {}  # in semitones, by channel
        self._masters: dict[int, int] = {}  # the master channel of each member channel of an MPE zone
        self._sustained_channels: set[int] = set()  # the channels whose sustain pedal is down
        self._swing_estimator = SwingEstimator()
        self._last_onset_tick: int | None = None  # the quantised onset of the last chord
        self._chord_onset_s = -math.inf  # when the first note of the last chord started
        self._top_note: NoteOn | None = None  # its highest note

    @property
    def keys_held(self) -> bool:
        """Whether a key is held on any channel but the chord channel."""
        return any(self._master(channel) != self._chords_channel for channel, _ in self._pressed_keys)

    # -- source and pitch

    def player_events(self, event: MidiEvent, second: float) -> list[PlayerEvent]:
        """Return what `event` means for the melody: notes at their sounding pitch, or a pedal that is released.

        Keys on the chord channel are passed to `chord_detector`. This must be called with every event that comes in,
        also while the music does not roll.
        """
        match event:
            case NoteOn() | NoteOff():
                note = self.echo_filter.filter_note(event, second, self._master(event.channel))
                return [] if note is None else self._receive_note(note, second)
            case PitchBend(value, channel):
                self._bends[channel] = value
            case ControlChange():
                return self._receive_control(event, second)
        return []

    def _receive_control(self, event: ControlChange, second: float) -> list[PlayerEvent]:
        number, channel = event.number, self._master(event.channel)
        if number == SUSTAIN and channel != self._chords_channel:
            if event.value >= _PEDAL_DOWN_FROM:
                self._sustained_channels.add(channel)
            elif channel in self._sustained_channels:
                self._sustained_channels.remove(channel)
                return [replace(event, channel=channel)]
        elif number in (ALL_SOUND_OFF, ALL_NOTES_OFF):
            keys = [key for key in self._pressed_keys if channel in (key[0], self._master(key[0]))]
            return [release for at, key in keys for release in self._receive_note(NoteOff(key, at), second)]
        elif not self._parameters.select(event) and number in (DATA_ENTRY, DATA_ENTRY_FINE):
            self._set_parameter(event)
        return []

    def _receive_note(self, note: NoteOn | NoteOff, second: float) -> list[PlayerEvent]:
        key, channel = (note.channel, note.pitch), self._master(note.channel)
        if isinstance(note, NoteOn):
            if note.velocity < self._live.midi.ghost and channel != self._chords_channel:
                return []
            pitch = note.pitch + self._bend(note.channel) + self._live.midi.transpose
            while not 0 <= pitch < 128:
                pitch += 12 if pitch < 0 else -12
            self._pressed_keys[key] = pitch
        elif key in self._pressed_keys:
            pitch = self._pressed_keys.pop(key)
        else:
            return []
        if channel != self._chords_channel:
            return [replace(note, pitch=pitch, channel=channel)]
        if isinstance(note, NoteOn):
            self.chord_detector.note_on(pitch, second)
        else:
            self.chord_detector.note_off(pitch, second)
        return []

    def _bend(self, channel: int) -> int:
        """Return by how many semitones the pitch wheels bend a note that starts on `channel` now."""
        wheels = {channel, self._master(channel)}
        bend = sum(self._bend_range(each) * self._bends.get(each, 0) / _FULL_BEND for each in wheels)
        return math.floor(bend + 0.5)

    def _bend_range(self, channel: int) -> float:
        usual = MPE_BEND_SEMITONES if channel in self._masters else BEND_SEMITONES
        return self._bend_ranges.get(channel, usual)

    # -- registered parameters

    def _master(self, channel: int) -> int:
        """Return the channel that `channel` counts as: the master of its MPE zone, if it is a member of one."""
        return self._masters.get(channel, channel)

    def _set_parameter(self, event: ControlChange) -> None:
        """Take in data entry for the range of a pitch wheel, or for the MPE zone of a master channel."""
        channel, parameter = event.channel, self._parameters.selected(event.channel, "rpn")
        if parameter == _BEND_RANGE:
            whole = math.floor(self._bend_range(channel))
            semitones = whole + event.value / 100 if event.number == DATA_ENTRY_FINE else float(event.value)
            zone = [each for each, at in self._masters.items() if at == self._masters.get(channel)]
            self._bend_ranges |= dict.fromkeys(zone or [channel], semitones)
        elif parameter == _MPE_CONFIGURATION and event.number == DATA_ENTRY and channel in _MASTER_CHANNELS:
            count = min(event.value, 15)
            members = range(2, 2 + count) if channel == 1 else range(16 - count, 16)
            taken = {channel, *members}  # from the other zone, too
            self._masters = {each: at for each, at in self._masters.items() if not taken & {each, at}}
            self._masters |= dict.fromkeys(members, channel)
            self._bend_ranges = {each: semitones for each, semitones in self._bend_ranges.items() if each not in taken}

    # -- onsets and ends

    def intended_beat(self, second: float, tempo: Tempo, swing: float) -> float:
        """Return the beat from which a chord held at `second` counts: quantised, unless that moves it too far."""
        beat = tempo.beat_at(second)
        quantized = self._quantized_tick(beat, tempo, swing) / TICKS_PER_QUARTER
        return quantized if abs(quantized - beat) * 60.0 / tempo.bpm <= MAX_CHORD_SHIFT_S else beat

    def _quantized_tick(self, beat: float, tempo: Tempo, swing: float, previous_tick: int | None = None) -> int:
        return quantize(beat, self._bars, self._swing_estimator.estimate(swing), 60.0 / tempo.bpm, previous_tick)

    def track(self, event: PlayerEvent, second: float, tempo: Tempo, swing: float, sink: MelodySink) -> None:
        """Pass an event of `player_events` to `sink`; `swing` is our own swing, the default for the player's."""
        if isinstance(event, NoteOn):
            onset_tick = self._last_onset_tick
            if second - self._chord_onset_s > CLUSTER_S or onset_tick is None:
                beat, self._chord_onset_s = tempo.beat_at(second), second
                self._swing_estimator.add_onset(beat, self._bars)
                onset_tick = self._quantized_tick(beat, tempo, swing, self._last_onset_tick)
                if onset_tick != self._last_onset_tick:
                    self._top_note, self._last_onset_tick = None, onset_tick
            if self._top_note is None or event.pitch > self._top_note.pitch:
                self._top_note = event
                sink.player_note_on(onset_tick, event.pitch)
            return
        tick = exact_tick(tempo.beat_at(second), self._bars, self._swing_estimator.estimate(swing))
        if isinstance(event, NoteOff):
            sustain = self._bars.bar_at(tick)[1] if event.channel in self._sustained_channels else 0
            self._track_note_off(tick + sustain, event.channel, event.pitch, sink)
        elif self._top_note is not None and self._top_note.channel == event.channel:
            self._track_note_off(tick, event.channel, self._top_note.pitch, sink)

    def _track_note_off(self, tick: float, channel: int, pitch: int, sink: MelodySink) -> None:
        """End a note, unless another key of its channel still holds the same pitch."""
        if (channel, pitch) not in ((self._master(at), held) for (at, _), held in self._pressed_keys.items()):
            sink.player_note_off(tick, pitch)
