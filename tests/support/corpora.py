# SPDX-License-Identifier: Apache-2.0
"""Small corpora for the tests of training: solo databases of a few lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

NOTE_FIELDS = [
    "onset_s", "duration_s", "bar", "beat", "tatum", "division", "beat_duration_s", "midi_pitch", "phrase_begin",
    "chord",
]  # fmt: skip
BEAT_FIELDS = ["onset_s", "bar", "beat", "period", "chord"]
BEAT_S = 0.5


def note_row(
    bar: int, beat: int, pitch: int, tatum: int = 1, division: int = 1, length: float = 1.0, **other: Any
) -> list[Any]:
    """A note row of the database; `length` in beats, at 120 beats per minute."""
    onset = ((bar - 1) * 4 + beat - 1 + (tatum - 1) / max(1, division)) * BEAT_S
    row: dict[str, Any] = {
        "onset_s": onset, "duration_s": length * BEAT_S, "bar": bar, "beat": beat, "tatum": tatum, "division": division,
        "beat_duration_s": BEAT_S, "midi_pitch": pitch, "phrase_begin": 0, "chord": "nonsense that is not read",
    } | other  # fmt: skip
    return [row[name] for name in NOTE_FIELDS]


def beat_rows(chords: Sequence[str], first_bar: int = 1, period: int = 4) -> list[list[Any]]:
    """Beat rows of the database, one for each chord."""
    return [
        [(at + (first_bar - 1) * 4) * BEAT_S, first_bar + at // period, 1 + at % period, period, chord]
        for at, chord in enumerate(chords)
    ]


def solo_record(notes: Sequence[Sequence[Any]], chords: Sequence[Sequence[Any]], **other: Any) -> dict[str, Any]:
    """One line of the database."""
    return {
        "title": "Our Blues", "performer": "Nobody", "signature": "4/4", "rhythmfeel": "SWING",
        "note_fields": [*NOTE_FIELDS], "beat_fields": [*BEAT_FIELDS], "notes": notes, "beats": chords,
    } | other  # fmt: skip


def write_database(path: Path, records: Sequence[Any]) -> Path:
    """A database file of these records."""
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def write_tiny_corpus(path: Path, titles: int = 12, bars: int = 6, seed: int = 0) -> Path:
    """A database of random walks on a scale: enough to learn something from in a moment."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(titles):
        pitch, notes = 60, []
        for at in range(bars * 8):
            pitch = int(np.clip(pitch + rng.choice([-2, -1, 1, 2, 2]), 48, 80))
            if rng.random() < 0.85:
                notes.append(
                    note_row(1 + at // 8, 1 + at // 2 % 4, pitch, 1 + at % 2, 2, 0.5, phrase_begin=int(at == 0))
                )
        chords = [["C^7", "D-7", "G7", "A7b9"][(at // 4 + number) % 4] for at in range(bars * 4)]
        records.append(solo_record(notes, beat_rows(chords), title=f"Tune {number}"))
    return write_database(path, records)
