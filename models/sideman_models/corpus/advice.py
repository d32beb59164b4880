# SPDX-License-Identifier: Apache-2.0
"""What a musician should know about music before a network learns from it: whether it is enough, and in which key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sideman_models.corpus.corpus import Corpus
from sideman_models.music.harmony import MINOR_ROOT_NAMES, ROOT_NAMES
from sideman_models.music.solos import Solo
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.text import count_noun

ENOUGH_NOTES = 5_000
"""With fewer notes a network that starts from nothing knows few values, and plays little else than these solos."""
_SHOWN_BARS = 8
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How well each tone fits a key (Krumhansl and Kessler, 1982), from the tonic up."""


def too_little_music(corpus: Corpus) -> str:
    """Return a warning if a network that starts from nothing has too little to learn from; else an empty text."""
    notes = sum(piece.source_notes - piece.dropped_notes for piece in corpus.pieces)
    if notes >= ENOUGH_NOTES:
        return ""
    values = len({value for piece in corpus.pieces for value in piece.values})
    found = f"{count_noun(notes, 'note')} and {count_noun(values, 'different value')}"
    return (
        f"too little music: {found}, where {ENOUGH_NOTES:,} notes are enough to "
        "start from nothing; add music, or build on the installed network with --from default"
    )


def likely_key(solos: Sequence[Solo]) -> str:
    """Return the key that fits the notes of the solos and the tones of their chords best; empty without notes."""
    weights = np.zeros(12)
    for solo in solos:
        for note in solo.notes:
            weights[note.pitch % 12] += note.end - note.onset
        for chord in solo.changes.chords:
            weights[list(chord.tones)] += TICKS_PER_QUARTER / solo.changes.slots_per_beat
    if not weights.std():
        return ""
    fits = {
        (names[root] + suffix): float(np.corrcoef(weights, np.roll(profile, root))[0, 1])
        for profile, names, suffix in ((_MAJOR, ROOT_NAMES, ""), (_MINOR, MINOR_ROOT_NAMES, "m"))
        for root in range(12)
    }
    return max(fits, key=lambda key: fits[key] if np.isfinite(fits[key]) else -1.0)


def shown_changes(solo: Solo) -> str:
    """Return the chords of the first bars of a solo, bar by bar."""
    beats = solo.bar_ticks / TICKS_PER_QUARTER
    bars = []
    for bar in range(min(_SHOWN_BARS, max(1, round(solo.changes.length_beats / beats)))):
        slots = range(
            round(bar * beats * solo.changes.slots_per_beat), round((bar + 1) * beats * solo.changes.slots_per_beat)
        )
        texts = [solo.changes.chords[at].shown().text for at in slots if at < len(solo.changes.chords)]
        bars.append(" ".join(text for at, text in enumerate(texts) if at == 0 or text != texts[at - 1]))
    more = " …" if solo.changes.length_beats > _SHOWN_BARS * beats else ""
    return f"| {' | '.join(bars)} |{more}"
