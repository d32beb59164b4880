# SPDX-License-Identifier: Apache-2.0
"""The golden performances: what they are and how they are written down for people to read.

`python tests/performances.py` writes them anew, for a change that is meant to be heard.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT.parent / "daemon"), str(ROOT.parent / "models")]

from fakes import classic_bundle, modern_bundle, performance, play  # noqa: E402
from sideman.core.events import Event, NoteOff, NoteOn  # noqa: E402
from sideman.report import bar_line  # noqa: E402
from sideman_models.harmony import pitch_name  # noqa: E402

GOLDEN = ROOT / "golden"
BARS = 8

PHRASE: list[tuple[float, Event]] = [
    (2.0, NoteOn(62, 70, 1)), (2.24, NoteOff(62, 1)), (2.25, NoteOn(65, 72, 1)), (2.45, NoteOff(65, 1)),
    (2.5, NoteOn(69, 75, 1)), (2.9, NoteOff(69, 1)), (3.02, NoteOn(67, 70, 1)), (3.4, NoteOff(67, 1)),
]  # fmt: skip

FAST = "| F7 | Bb7 Bdim7 | F7 D7b9 Gm7 C7/E | N.C. | C#m7b5 F#7sus | Bmaj7 | % | Gbm6 / / A7alt |"

PERFORMANCES: Mapping[str, Mapping[str, Any]] = {
    "beat": {},
    "eighth": {"play__rate": "eighth", "play__swing": 0.67},
    "triplet": {"play__rate": "triplet", "play__gate": 0.5},
    "sixteenth": {"play__rate": "sixteenth", "tempo__bpm": 96},
    "phrase": {"play__rate": "phrase"},
    "waltz": {"play__rate": "phrase", "tempo__meter": "3/4"},
    "likeliest": {"play__rate": "eighth", "play__temperature": 0},
    "heard": {"play__rate": "eighth"},
    "off": {"play__mode": "off"},
    "shells": {"play__comp": "shells", "play__mode": "off", "chart__changes": FAST},
    "bass": {"play__comp": "bass", "chart__changes": FAST},
    "classic": {"play__rate": "eighth"},
    "classic-phrase": {"play__rate": "phrase"},
    "classic-drawn": {"play__rate": "phrase", "play__settle": False, "play__leap": 0, "play__apart": 0},
}


def perform(name: str) -> str:
    """Play a performance on the fake clock and write down every bar and every note."""
    bundle = classic_bundle() if name.startswith("classic") else modern_bundle()
    made = performance(bundle, **PERFORMANCES[name])
    engine = made.engine(0.0, beats=BARS * made.bar_beats)
    recorder, bars = play(engine, 60.0, PHRASE if name == "heard" else ())
    lines = [bar_line(bar) for bar in bars]
    lines += [_note(second, message) for second, message in recorder.sent]
    return "\n".join(lines) + "\n"


def _note(second: float, message: tuple[int, ...]) -> str:
    status, pitch, velocity = message
    struck = status & 0xF0 == 0x90
    channel = status & 0x0F
    words = [f"{second:8.4f} {'on ' if struck else 'off'} {pitch_name(pitch):4}"]
    return " ".join(
        [*words, *([f"{velocity:3}"] if struck else []), *([f"on channel {channel + 1}"] if channel else [])]
    )


if __name__ == "__main__":
    for each in PERFORMANCES:
        (GOLDEN / f"{each}.txt").write_text(perform(each), "utf-8")
