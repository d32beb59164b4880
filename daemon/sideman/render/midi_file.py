# SPDX-License-Identifier: Apache-2.0
"""Writes a finished performance as a standard MIDI file. The only module of the daemon that uses mido.

mido writes whole files only. The MIDI file of a take grows while it is played; `sideman.takes.midi_file` writes it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import mido

from sideman.core.chart.chart import Meter
from sideman.core.events import MidiEvent, encode

TICKS_PER_BEAT = 960


def midi_file_bytes(
    events: Iterable[tuple[float, MidiEvent]],
    bpm: float,
    meters: Iterable[tuple[float, Meter]],
    length: float,
    name: str,
    chords: Iterable[tuple[float, str]] = (),
    extra_tracks: Iterable[tuple[str, Iterable[tuple[float, MidiEvent]]]] = (),
) -> bytes:
    """The content of a MIDI file with `events` (beat, event) in a track called `name`, `length` beats long.

    `meters` (beat, meter) become time signatures. `chords` (beat, symbol) become markers, which sequencers show and
    `sideman corpus` reads. `extra_tracks` are (name, events). All are in order of time.
    """
    song = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    song.tracks.append(_conductor_track(bpm, meters, chords))
    song.tracks += [_track(track_events, length, title) for title, track_events in ((name, events), *extra_tracks)]
    file = io.BytesIO()
    song.save(file=file)
    return file.getvalue()


def _conductor_track(
    bpm: float, meters: Iterable[tuple[float, Meter]], chords: Iterable[tuple[float, str]]
) -> mido.MidiTrack:
    tempo = mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))
    messages = [(beat, _signature(meter)) for beat, meter in meters]
    messages += [(beat, mido.MetaMessage("marker", text=symbol)) for beat, symbol in chords]
    track = mido.MidiTrack([tempo])
    now = 0
    for beat, message in sorted(messages, key=lambda timed: timed[0]):
        tick = round(beat * TICKS_PER_BEAT)
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track"))
    return track


def _signature(meter: Meter) -> mido.MetaMessage:
    return mido.MetaMessage("time_signature", numerator=meter.numerator, denominator=meter.denominator)


def _track(events: Iterable[tuple[float, MidiEvent]], length: float, name: str) -> mido.MidiTrack:
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    now = 0
    for beat, event in events:
        tick = round(beat * TICKS_PER_BEAT)
        track.append(mido.Message.from_bytes(encode(event), time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, round(length * TICKS_PER_BEAT) - now)))
    return track
