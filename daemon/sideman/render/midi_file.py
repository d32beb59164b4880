# SPDX-License-Identifier: Apache-2.0
"""Writes a finished performance as a standard MIDI file. The only module of the daemon that uses mido.

`sideman.takes.midi_file` writes the MIDI file of a take, which grows while it is played, and says why without mido.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import mido

from sideman.core.chart.chart import Meter
from sideman.core.events import MidiEvent, encode

TICKS_PER_BEAT = 960


def midi_file_bytes(
    tracks: Iterable[tuple[str, Iterable[tuple[float, MidiEvent]]]],
    bpm: float,
    meters: Iterable[tuple[float, Meter]],
    length: float,
    chords: Iterable[tuple[float, str]] = (),
    tempos: Iterable[tuple[float, float]] = (),
) -> bytes:
    """The content of a MIDI file with these `tracks` (name, events with their beats), `length` beats long.

    `meters` (beat, meter) become time signatures. `chords` (beat, symbol) become markers, which sequencers show and
    `sideman corpus` reads. `tempos` (beat, bpm) follow the first one. All are in order of time.
    """
    song = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    signs = [
        (beat, mido.MetaMessage("time_signature", numerator=meter.numerator, denominator=meter.denominator))
        for beat, meter in meters
    ]
    signs += [(beat, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(each))) for beat, each in tempos]
    signs += [(beat, mido.MetaMessage("marker", text=symbol)) for beat, symbol in chords]
    signs.sort(key=lambda timed: timed[0])
    song.tracks.append(_track(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)), signs, 0.0))
    for name, events in tracks:
        messages = [(beat, mido.Message.from_bytes(encode(event))) for beat, event in events]
        song.tracks.append(_track(mido.MetaMessage("track_name", name=name), messages, length))
    file = io.BytesIO()
    song.save(file=file)
    return file.getvalue()


def _track(first: Any, messages: Iterable[tuple[float, Any]], length: float) -> mido.MidiTrack:  # noqa: ANN401
    """A track of mido's messages at their beats, at least `length` beats long."""
    track = mido.MidiTrack([first])
    now = 0
    for beat, message in messages:
        tick = round(beat * TICKS_PER_BEAT)
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, round(length * TICKS_PER_BEAT) - now)))
    return track
