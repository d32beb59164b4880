# SPDX-License-Identifier: Apache-2.0
"""MIDI files of every kind for the tests of their readers, written by mido or byte by byte."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import mido
from hypothesis import strategies as st

from sideman_models.music.solos import Solo
from sideman_models.music.values import TICKS_PER_QUARTER

DIVISION = 480

Timed = tuple[float, Any]
"""A quarter note from the top, and a message of mido's that falls there."""


def note_events(notes: Iterable[tuple[float, float, int]], channel: int = 0) -> list[Timed]:
    """Notes (onset, end, pitch) in quarter notes as messages; at the same time, note-offs come first."""
    events: list[Timed] = []
    for start, end, pitch in notes:
        events.append((start, mido.Message("note_on", channel=channel, note=pitch, velocity=80)))
        events.append((end, mido.Message("note_off", channel=channel, note=pitch)))
    return events


def scale_events(bars: int = 4, low: int = 60, channel: int = 0, step: float = 0.5) -> list[Timed]:
    """A line up and down a C major scale, a note each `step` quarters."""
    pitches = [low + offset for offset in (0, 2, 4, 5, 7, 9, 11, 12, 11, 9, 7, 5, 4, 2)]
    count = round(4 * bars / step)
    return note_events([(at * step, (at + 1) * step, pitches[at % len(pitches)]) for at in range(count)], channel)


def block_chords(chords: Sequence[Sequence[int]], length: float = 4.0, channel: int = 0) -> list[Timed]:
    """Chords one after another, each held for `length` quarters."""
    return note_events(
        [(at * length, (at + 1) * length, pitch) for at, chord in enumerate(chords) for pitch in chord], channel
    )


def marker_events(symbols: Iterable[tuple[float, str]], kind: str = "marker") -> list[Timed]:
    """Texts (quarter, text) as events: marker, text, lyrics or cue_marker."""
    return [(at, mido.MetaMessage(kind, text=text)) for at, text in symbols]


def meter_event(at: float, numerator: int, denominator: int) -> Timed:
    """A time signature."""
    return at, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)


def track(events: Iterable[Timed], name: str = "") -> mido.MidiTrack:
    """Events as a track; at the same time, note-offs come first and note-ons last."""
    made = mido.MidiTrack([mido.MetaMessage("track_name", name=name)] if name else [])
    order = {"note_off": 0, "note_on": 2}
    now = 0
    for at, message in sorted(events, key=lambda event: (event[0], order.get(event[1].type, 1))):
        tick = round(at * DIVISION)
        made.append(message.copy(time=tick - now))
        now = tick
    return made


def midi_bytes(*tracks: mido.MidiTrack, kind: int = 1) -> bytes:
    """The bytes of a file of these tracks."""
    file = io.BytesIO()
    mido.MidiFile(type=kind, ticks_per_beat=DIVISION, tracks=list(tracks)).save(file=file)
    return file.getvalue()


def write_midi(path: Path, *tracks: mido.MidiTrack, kind: int = 1) -> Path:
    """A file of these tracks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(midi_bytes(*tracks, kind=kind))
    return path


def raw_chunk(body: bytes, claim: int | None = None, name: bytes = b"MTrk") -> bytes:
    """A chunk that claims the length `claim` (None: its true length)."""
    return name + (len(body) if claim is None else claim).to_bytes(4, "big") + body


def raw_midi_bytes(*tracks: bytes, kind: int = 1, division: int = DIVISION, count: int | None = None) -> bytes:
    """A file of such chunks, byte by byte."""
    numbers = (kind, len(tracks) if count is None else count, division)
    return raw_chunk(b"".join(number.to_bytes(2, "big") for number in numbers), name=b"MThd") + b"".join(tracks)


def as_midi(solo: Solo) -> bytes:
    """A solo over its changes: the chords as markers where they change, the notes as a track."""
    chords = solo.changes.chords
    symbols = [(at, chord.text) for at, chord in enumerate(chords) if at == 0 or chords[at - 1].text != chord.text]
    notes = note_events(
        [(note.onset / TICKS_PER_QUARTER, note.end / TICKS_PER_QUARTER, note.pitch) for note in solo.notes]
    )
    head = track([meter_event(0, solo.bar_ticks // TICKS_PER_QUARTER, 4), *marker_events(symbols)])
    return midi_bytes(head, track(notes, "Melody"))


DM7, G7, CMAJ7 = (50, 60, 65, 69), (43, 59, 65, 71), (48, 59, 64, 67)
TWO_FIVE_ONE = (DM7, G7, CMAJ7, CMAJ7)

# Eight bars of a band: drums, bass, chords and melody.
drums = note_events([(at / 2, at / 2 + 0.1, 36 + 2 * (at % 4)) for at in range(64)], 9)
bass = scale_events(8, low=36, channel=1, step=1)
tune = scale_events(8, low=67, channel=3)
comping = block_chords(TWO_FIVE_ONE * 2, channel=2)


bytes_7, channels = st.integers(0, 127), st.integers(0, 15)
messages = (
    st.builds(lambda c, n, v: mido.Message("note_on", channel=c, note=n, velocity=v), channels, bytes_7, bytes_7)
    | st.builds(lambda c, n: mido.Message("note_off", channel=c, note=n), channels, bytes_7)
    | st.builds(lambda c, p: mido.Message("program_change", channel=c, program=p), channels, bytes_7)
    | st.builds(lambda c, v: mido.Message("control_change", channel=c, control=64, value=v), channels, bytes_7)
    | st.builds(lambda c, p: mido.Message("pitchwheel", channel=c, pitch=p), channels, st.integers(-99, 99))
    | st.builds(lambda v: mido.Message("aftertouch", value=v), bytes_7)
    | st.builds(lambda data: mido.Message("sysex", data=data), st.lists(bytes_7, max_size=200))
    | st.builds(lambda tempo: mido.MetaMessage("set_tempo", tempo=tempo), st.integers(0, 1 << 23))
    | st.builds(
        lambda n, d: mido.MetaMessage("time_signature", numerator=n, denominator=1 << d),
        st.integers(1, 32), st.integers(0, 6),
    )
    | st.builds(
        lambda kind, text: mido.MetaMessage(kind, text=text),
        st.sampled_from(["text", "lyrics", "marker", "cue_marker"]), st.text("AbCm7 -é", max_size=40),
    )
)  # fmt: skip
events = st.builds(
    lambda message, wait: message.copy(time=wait), messages, st.sampled_from([0, 1, 90]) | st.integers(0, 9999)
)
midi_tracks = st.lists(events, max_size=30).map(mido.MidiTrack)
"""Tracks of anything that mido can write."""
