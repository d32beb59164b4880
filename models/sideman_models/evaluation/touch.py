# SPDX-License-Identifier: Apache-2.0
"""What recorded players do with loudness and time beside what the readouts of a network say; see `network.readout`.

Loudness is in decibels above the mean of its solo, because every recording has a level of its own, and is clipped to
15 dB. Delay is in seconds after the place where the note would sound in the swing of its solo. A player's mean lateness
cannot be known ahead: placement is *explained* by the share of the variance of the delays around the mean of their solo
for which the readout accounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, median

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.music.solos import Piece
from sideman_models.music.swing import DEFAULT_SWING, STRAIGHT, swung_beat
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle
from sideman_models.network.encoding import PieceEncoder
from sideman_models.network.lstm import Floats, LstmState, NumpyNetwork
from sideman_models.network.readout import N_FACTS, NoteFacts, note_facts, ruled_accent

MAX_LOUDNESS_DB = 15.0
_MIN_OFF_BEATS = 8  # with fewer, a solo has no swing of its own
_MAX_SWING, _MIN_SWING = 0.75, 0.45


class PlayedNotes(Struct, frozen=True):
    """N notes of recorded players: `inputs` (N, n_a + N_FACTS) of the readouts, and what the players did, each (N,).

    `touch` is the loudness and `placement` the delay, not a number where it is not known; `piece` is the number of the
    piece, `accent` that of `ruled_accent`.
    """

    inputs: Floats
    touch: Floats
    placement: Floats
    accent: Floats
    piece: npt.NDArray[np.int64]


def played_notes(bundle: Bundle, pieces: Sequence[Piece]) -> PlayedNotes:
    """Let the network read the pieces that come with their notes, and collect these."""
    network, encoder = NumpyNetwork(bundle.weights), PieceEncoder(bundle.vocabulary, bundle.context)
    inputs: list[Floats] = []
    rows: list[tuple[float, float, float, int]] = []
    for number, piece in enumerate(pieces):
        if not any(note.loudness is not None or note.delay is not None for note in piece.notes):
            continue
        for facts, row in _notes_of_piece(network, encoder, piece):
            inputs.append(facts)
            rows.append((*row, number))
    table = np.array(rows, np.float64).reshape(len(rows), 4)
    touch, placement, accent = table[:, :3].astype(np.float32).T
    stacked = np.array(inputs, np.float32).reshape(len(rows), bundle.weights.n_a + N_FACTS)
    return PlayedNotes(stacked, touch, placement, accent, table[:, 3].astype(np.int64))


def _notes_of_piece(
    network: NumpyNetwork, encoder: PieceEncoder, piece: Piece
) -> Iterator[tuple[Floats, tuple[float, float, float]]]:
    """Yield for each note of a piece the input of the readouts, and its loudness, delay and ruled accent."""
    vocabulary, encoded, state = encoder.vocabulary, encoder.encode(piece), LstmState.zero(network.n_a)
    indices, rows, notes = iter(encoded.indices.tolist()), iter(encoded.context_rows.astype(np.intp)), iter(piece.notes)
    known = [note.loudness for note in piece.notes if note.loudness is not None]
    usual, swing = fmean(known) if known else 0.0, _swing_of(piece)
    bpm = 120.0 if piece.solo is None or piece.solo.bpm is None else piece.solo.bpm
    previous, last_loudness = None, 0.0
    for value, place, pitch in zip(piece.values, piece.places or (), piece.pitches or (), strict=True):
        note = None if pitch is None else next(notes)
        if vocabulary.nearest_index(value) is None:
            continue
        index = next(indices)
        network.advance(previous, next(rows), state)
        previous, chosen = index, vocabulary.values[index]
        if note is None or chosen.kind == "R":
            continue
        facts = note_facts(NoteFacts(chosen, place, note.pitch, bpm), last_loudness)
        loudness = (
            np.nan
            if note.loudness is None
            else float(np.clip(note.loudness - usual, -MAX_LOUDNESS_DB, MAX_LOUDNESS_DB))
        )
        tick = place.tick_in_bar % TICKS_PER_QUARTER
        beats = np.nan if note.delay is None else note.delay + tick / TICKS_PER_QUARTER - swung_beat(tick, swing)
        step = 0 if place.previous_pitch is None else note.pitch - place.previous_pitch
        yield np.concatenate((state.a, facts)), (loudness, beats * 60.0 / bpm, ruled_accent(tick, step))
        last_loudness = 0.0 if note.loudness is None else loudness


def _swing_of(piece: Piece) -> float:
    """Return the swing of a piece: where its second eighths lie in the median, or the usual swing if it has few."""
    placed = zip(
        (place for place, pitch in zip(piece.places or (), piece.pitches or (), strict=True) if pitch is not None),
        piece.notes,
        strict=True,
    )
    delays = [note.delay for place, note in placed if note.delay is not None and _is_off_beat(place.tick_in_bar)]
    return (
        DEFAULT_SWING if len(delays) < _MIN_OFF_BEATS else min(_MAX_SWING, max(_MIN_SWING, STRAIGHT + median(delays)))
    )


def _is_off_beat(tick: int) -> bool:
    return tick % TICKS_PER_QUARTER == TICKS_PER_QUARTER // 2


class TouchFigures(Struct, frozen=True, omit_defaults=True):
    """How well readouts predict what players did; None where the bundle lacks one, or the music does not say.

    `loudness_correlation` is with the loudness of the player's last note given, `loudness_alone` without it, and
    `ruled_correlation` that of `ruled_accent`. `placement_explained` is a share.
    """

    notes: int
    loudness_correlation: float | None = None
    loudness_alone: float | None = None
    ruled_correlation: float | None = None
    placement_explained: float | None = None


def touch_figures(bundle: Bundle, pieces: Sequence[Piece]) -> TouchFigures | None:
    """Measure the readouts of a bundle on pieces; None if it has none, or the pieces have no such notes."""
    if not bundle.readouts:
        return None
    notes = played_notes(bundle, pieces)
    if not len(notes.piece):
        return None
    figures: dict[str, float | None] = {}
    if bundle.touch is not None:
        alone = notes.inputs.copy()
        alone[:, -1] = 0.0  # the last fact is the last loudness
        said = {
            "loudness_correlation": bundle.touch.read_all(notes.inputs),
            "loudness_alone": bundle.touch.read_all(alone),
        }
        said["ruled_correlation"] = notes.accent
        figures |= {name: _correlation(notes.touch, one, notes.piece) for name, one in said.items()}
    if bundle.placement is not None:
        figures["placement_explained"] = _explained(
            notes.placement, bundle.placement.read_all(notes.inputs), notes.piece
        )
    rounded = {name: None if one is None else round(one, 4) for name, one in figures.items()}
    return TouchFigures(len(notes.piece), **rounded)


def _around_means(
    values: Floats, said: Floats, piece: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return both where `values` are known, as differences from the means of their pieces."""
    known = ~np.isnan(values)
    numbers, piece = np.unique(piece[known], return_inverse=True)
    sizes = np.bincount(piece, minlength=len(numbers))
    real, predicted = (each[known].astype(np.float64) for each in (values, said))
    return real - (np.bincount(piece, real) / sizes)[piece], predicted - (np.bincount(piece, predicted) / sizes)[piece]


def _correlation(values: Floats, said: Floats, piece: npt.NDArray[np.int64]) -> float | None:
    real, predicted = _around_means(values, said, piece)
    scale = float(np.sqrt((real**2).sum() * (predicted**2).sum()))
    return float((real * predicted).sum()) / scale if scale else None


def _explained(values: Floats, said: Floats, piece: npt.NDArray[np.int64]) -> float | None:
    real, predicted = _around_means(values, said, piece)
    total = float((real**2).sum())
    return 1.0 - float(((real - predicted) ** 2).sum()) / total if total else None


def touch_lines(figures: TouchFigures) -> Iterator[str]:
    """Yield the lines of a report."""
    yield f"Touch and placement, on {figures.notes:,} notes of recorded players"
    texts = (
        ("loudness_correlation", "loudness: correlation with the players'", "{:.3f}"),
        ("loudness_alone", "  without the loudness of the last note", "{:.3f}"),
        ("ruled_correlation", "  of the rule (beat and contour)", "{:.3f}"),
        ("placement_explained", "placement: explained around each solo's mean", "{:.1%}"),
    )
    for name, text, form in texts:
        if (one := getattr(figures, name)) is not None:
            yield f"  {text:<44} {form.format(one)}"
