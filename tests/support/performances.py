# SPDX-License-Identifier: Apache-2.0
"""The golden performances: their settings and inputs, and the text in which they are kept.

`python tests/support/performances.py` writes them again, after a change that is meant to be heard.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT.parent / "daemon"), str(ROOT.parent / "models")]

from sideman.core.actions import PlayVariation  # noqa: E402
from sideman.core.events import Command, ControlChange, MidiEvent, NoteOff, NoteOn, SetMode  # noqa: E402
from sideman_models.music.harmony import parse_pitch, pitch_name  # noqa: E402
from support.fakes import classic_bundle, modern_bundle, performance, play_on_fake_clock  # noqa: E402

GOLDEN = ROOT / "golden"
BARS = 8

PHRASE: list[tuple[float, MidiEvent]] = [
    (2.0, NoteOn(62, 70, 1)), (2.24, NoteOff(62, 1)), (2.25, NoteOn(65, 72, 1)), (2.45, NoteOff(65, 1)),
    (2.5, NoteOn(69, 75, 1)), (2.9, NoteOff(69, 1)), (3.02, NoteOn(67, 70, 1)), (3.4, NoteOff(67, 1)),
]  # fmt: skip

FAST = "| F7 | Bb7 Bdim7 | F7 D7b9 Gm7 C7/E | N.C. | C#m7b5 F#7sus | Bmaj7 | % | Gbm6 / / A7alt |"


def phrases_as_input(*phrases: tuple[float, float, str]) -> list[tuple[float, MidiEvent]]:
    """Phrases at 120 beats per minute: the first beat, the beats of each note, the pitches (- is a rest)."""
    events: list[tuple[float, MidiEvent]] = []
    for start, beats, pitches in phrases:
        for number, name in enumerate(pitches.split()):
            if name != "-":
                second, pitch = (start + number * beats) / 2, parse_pitch(name)
                events += [(second, NoteOn(pitch, 70, 1)), (second + 0.45 * beats, NoteOff(pitch, 1))]
    return events


RUN = "D4 E4 F4 G4 A4 Bb4 C5 D5 E5 D5 C5 Bb4 A4 G4 F4 E4"
CHORDS: list[tuple[float, MidiEvent]] = [
    (second + up, event(pitch))
    for second, pitches in ((1.97, (53, 57, 60, 63)), (5.03, (46, 50, 56)), (8.0, (48, 55)), (10.5, (52, 55, 58, 61)))
    for pitch in pitches
    for up, event in ((0.0, lambda pitch: NoteOn(pitch, 70, 3)), (0.4, lambda pitch: NoteOff(pitch, 3)))
]
INPUTS: Mapping[str, Sequence[tuple[float, MidiEvent | Command]]] = {
    "heard": PHRASE,
    "trade": phrases_as_input((0, 0.25, RUN), (4, 0.25, RUN), (16, 1, "D5 - C5 - A4 - G4"), (25, 0.5, "F4 E4 D4")),
    "answer": phrases_as_input((0, 0.25, RUN), (12, 0.5, "A4 C5 D5 - C5 A4"), (22.5, 0.5, "D5 C5 A4"), (29, 1, "D4")),
    "duet": phrases_as_input((8, 0.25, RUN), (12, 0.25, RUN), (24, 1, "D4 F4 A4 C5")),
    "off": phrases_as_input((0, 0.5, RUN)),
    "held": sorted(CHORDS, key=lambda one: one[0]),
    "again": [(5.1, PlayVariation())],
    "hands": [
        (1.0, ControlChange(20, 10, 1)),
        (2.1, ControlChange(20, 60, 1)),
        (4.2, ControlChange(20, 40, 1)),
        *((5.0 + place / 1000, ControlChange(21, place, 4)) for place in range(60, 128)),
        *((second, ControlChange(65, value, 1)) for second in (6.0, 6.4, 6.8) for value in (127, 0)),
        (7.0, NoteOn(24, 90, 10)),
        (7.1, NoteOff(24, 10)),
    ],
    "modes": [
        *PHRASE,
        (5.0, SetMode("trade")),
        (9.1, SetMode("answer", now=True)),
        *phrases_as_input((20, 0.5, "A4 C5 D5")),
    ],
}
"""What the player plays and requests, by performance."""

PERFORMANCES: Mapping[str, Mapping[str, Any]] = {
    "beat": {},
    "eighth": {"play__rate": "eighth", "play__swing": 0.67},
    "triplet": {"play__rate": "triplet", "play__gate": 0.5},
    "sixteenth": {"play__rate": "sixteenth", "tempo__bpm": 96},
    "phrase": {"play__rate": "phrase"},
    "waltz": {"play__rate": "phrase", "tempo__meter": "3/4"},
    "meters": {
        "play__rate": "eighth",
        "play__comp": "bass",
        "play__style": "plain",
        "chart__changes": "| Dm7 | 3/4 G7 | Cmaj7 | 4/4 A7alt | 5/4 Dm7 G7 |",
    },
    "likeliest": {"play__rate": "eighth", "play__temperature": 0},
    "heard": {"play__rate": "eighth"},
    "held": {"midi__chords": 3},
    "off": {"play__mode": "off"},
    "trade": {"play__mode": "trade", "play__trade_bars": 2, "play__rate": "eighth"},
    "answer": {"play__mode": "answer", "play__rate": "eighth"},
    "duet": {"play__mode": "duet", "play__rate": "eighth"},
    "modes": {"play__trade_bars": 1, "play__trade_first": "sideman", "play__rate": "eighth"},
    "hands": {
        "play__trade_bars": 1,
        "midi__cc.20": "play.rate",
        "midi__cc.21": "play.velocity 1-127",
        "midi__cc.65": "tap",
        "midi__notes.C1": "mode",
    },
    "again": {"play__rate": "phrase", "play__density": 0.3},
    "ending": {
        "play__rate": "phrase",
        "play__ending": "any",
        "chart__choruses": 1,
        "chart__changes": "| Dm7 G7 | Cmaj7 A7 | Dm7 | G7 Cmaj7 |",
    },
    "target": {
        "play__rate": "phrase",
        "play__target": "2: 3, 3.3: Bb4, 4.4+: root or 5",
        "chart__choruses": 2,
        "chart__changes": "| Dm7 G7 | Cmaj7 A7 | Dm7 | G7 Cmaj7 |",
    },
    "shells": {"play__comp": "shells", "play__style": "plain", "play__mode": "off", "chart__changes": FAST},
    "bass": {"play__comp": "bass", "play__style": "plain", "chart__changes": FAST},
    "classic": {"play__rate": "eighth"},
    "classic-phrase": {"play__rate": "phrase"},
    "classic-drawn": {"play__rate": "phrase", "play__settle": False, "play__leap": 0, "play__apart": 0},
}


def perform_as_text(name: str) -> str:
    """Play a performance on the fake clock; returns every bar and every note as text."""
    bundle = classic_bundle() if name.startswith("classic") else modern_bundle()
    made = performance(bundle, **PERFORMANCES[name])
    beats = None if made.settings.chart.choruses else made.chart.beat_of_bar(BARS)
    recorder, bars = play_on_fake_clock(made.make_engine(0.0, beats=beats), 60.0, INPUTS.get(name, ()))
    lines = [bar.text() for bar in bars]
    lines += [_note_line(second, message) for second, message in recorder.sent]
    return "\n".join(lines) + "\n"


def _note_line(second: float, message: tuple[int, ...]) -> str:
    status, pitch, velocity = message
    struck = status & 0xF0 == 0x90
    channel = status & 0x0F
    words = [f"{second:8.4f} {'on ' if struck else 'off'} {pitch_name(pitch):4}"]
    return " ".join(
        [*words, *([f"{velocity:3}"] if struck else []), *([f"on channel {channel + 1}"] if channel else [])]
    )


if __name__ == "__main__":
    for each in PERFORMANCES:
        (GOLDEN / f"{each}.txt").write_text(perform_as_text(each), "utf-8")
