# SPDX-License-Identifier: Apache-2.0
"""The bar line on which practice brings something: a jump, another round, key or tempo; see `Practice`."""

from __future__ import annotations

from sideman.core import events
from sideman.core.changes.modes import ModeChanges
from sideman.core.ensemble import Ensemble
from sideman.core.events import MidiEvent
from sideman.core.parts.part import ONSET_RANK
from sideman.core.positions import whole_tick_at
from sideman.core.practice import Coming
from sideman.core.timing.tempo import Tempo


def begin_round(beat: float, ensemble: Ensemble, modes: ModeChanges) -> list[MidiEvent]:
    """What practice was to bring on `beat` holds from now on; returns what to send."""
    coming = ensemble.practice.begin()
    if coming is None:
        return []
    sent = ensemble.ledger.release_all() if coming.leaves else []
    if coming.bpm is not None:
        change, timeline = ("tempo.bpm", coming.bpm), ensemble.timeline
        ensemble.live.change([change])
        if ensemble.transport.clock is None:
            timeline.tempo = Tempo(coming.bpm, timeline.tempo.second_at(beat), beat)
        else:
            ensemble.transport.clock.request_tempo(coming.bpm)
        ensemble.report(events.SettingsChanged((change,)))
        sent += ensemble.mapping.feedback(timeline.second_at(beat), ensemble.live.settings)
    return [*sent, *_count_in(beat, coming, ensemble, modes)]


def _count_in(beat: float, coming: Coming, ensemble: Ensemble, modes: ModeChanges) -> list[MidiEvent]:
    """Play nothing but clicks from `beat` on, if the round is counted in; a scheduled mode starts with it."""
    if not coming.count_in:
        return []
    timeline, soloist = ensemble.timeline, ensemble.soloist
    timeline.start = beat + coming.count_in
    sent = modes.start_scheduled(beat)
    for part in ensemble.parts:
        if part is not soloist and part.rank == ONSET_RANK:
            part.relocate()
    soloist.wait_until(whole_tick_at(timeline.start))
    ensemble.count_in.start(coming.count_in_bars)
    return sent
