# SPDX-License-Identifier: Apache-2.0
"""Makes the status of the daemon from the player's latest snapshot."""

from __future__ import annotations

from typing import NamedTuple

from sideman.control.protocol import ChartSummary, DaemonInfo, NextNote, SettingValues, Status
from sideman.core.settings.schema import KEYS, Settings, is_live, value_of, write_value
from sideman.core.snapshot import Snapshot
from sideman.core.text import format_chord

_LONG_KEYS = ("chart.changes",)  # too long for every status; `get` and the chart event have them
_STATUS_KEYS = tuple(name for name in KEYS if is_live(name) and name not in _LONG_KEYS)
_EPSILON_BEATS = 1e-6  # beats; what arithmetic may leave between a bar line and the beat that was waited for


class ChartPosition(NamedTuple):
    """A position in the chart: `top` is the beat on which the chart began; bar and chorus count from 1."""

    top: float
    form_bar: int
    chorus: int
    chord: str
    next_chord: str


def chart_position(snapshot: Snapshot, beats_ahead: float) -> ChartPosition:
    """Return the position `beats_ahead` after the snapshot, its chords as the player reads them."""
    chart, place = snapshot.chart_position(beats_ahead)
    chord, next_chord = snapshot.chord_and_next(beats_ahead)
    transpose = snapshot.settings.midi.transpose
    reached = max(0.0, place + _EPSILON_BEATS)
    return ChartPosition(
        top=round(snapshot.beat + beats_ahead - place, 4),
        form_bar=chart.bar_at(reached)[0] % len(chart.bars) + 1,
        chorus=int(reached // chart.length) + 1,
        chord=format_chord(chord, transpose),
        next_chord=format_chord(next_chord, transpose),
    )


def next_note(snapshot: Snapshot) -> NextNote | None:
    """Return what is chosen to be played next, if anything."""
    choice = snapshot.next_choice
    if choice is None:
        return None
    return NextNote(round(snapshot.next_choice_beat, 4), choice.pitch, choice.value.text)


def make_status(
    snapshot: Snapshot, info: DaemonInfo, settings: Settings, beats_ahead: float, uptime_s: float
) -> Status:
    """Return the status `beats_ahead` after the snapshot, with those `settings`."""
    chart, _ = snapshot.chart_position(beats_ahead)
    position = chart_position(snapshot, beats_ahead)
    values: SettingValues = {name: write_value(name, value_of(settings, name)) for name in _STATUS_KEYS}
    return Status(
        version=info.version,
        name=info.name,
        bundle=info.bundle,
        ports=info.ports,
        clock=info.clock,
        uptime_s=round(uptime_s, 1),
        seed=snapshot.seed,
        mode=snapshot.mode,
        doing=snapshot.state,
        rolling=snapshot.rolling,
        bpm=round(snapshot.bpm, 3),
        beat=round(snapshot.beat + beats_ahead, 3),
        bar=snapshot.bar_number(beats_ahead),
        top=position.top,
        form_bar=position.form_bar,
        chorus=position.chorus,
        chord=position.chord,
        next_chord=position.next_chord,
        coming=next_note(snapshot),
        chart=ChartSummary(chart.info.title, len(chart.bars), str(chart.meter)),
        late=snapshot.late_notes,
        heard=snapshot.heard_notes,
        echoes=snapshot.echoes,
        played=snapshot.played_notes,
        settings=values,
    )
