# SPDX-License-Identifier: Apache-2.0
"""A take: a solo played on a clock that does not wait, to be written down or looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sideman.core.chart.chart import Chart, Meter
from sideman.core.engine import play_through
from sideman.core.events import MidiEvent, NoteOff, NoteOn, ProgramChange
from sideman.core.parts.comp import GM_PROGRAMS
from sideman.core.reports import BarPlayed
from sideman.core.settings.schema import MidiSettings, Settings
from sideman.playing.assembly import Performance
from sideman.render.midi_file import midi_file_bytes
from sideman_models.course.names import NameModel, generate_names


@dataclass(frozen=True, slots=True)
class RenderedTake:
    """What was played: `events` (beat, event) in order, `beats` long, over `chart` at `bpm`, with the seed's dice.

    `midi` is the same as the contents of a MIDI file, in which an accompaniment has a track of its own.
    """

    name: str
    seed: int
    events: tuple[tuple[float, MidiEvent], ...]
    beats: float
    chart: Chart
    bpm: float
    midi: bytes

    @property
    def bars(self) -> int:
        """How many bars it lasts."""
        return self.chart.bar_at(self.beats)[0]

    @property
    def seconds(self) -> float:
        """How long it lasts when it is heard."""
        return self.beats * 60 / self.bpm

    @property
    def notes(self) -> int:
        """How many notes it has."""
        return sum(isinstance(event, NoteOn) for _, event in self.events)


def render_take(performance: Performance, bars: int | None, name: str) -> RenderedTake:
    """Play so many `bars`, or the choruses that are set."""
    engine = performance.make_engine(0.0, beats=None if bars is None else performance.chart.beat_of_bar(bars))
    played = [(due.beat, due.item) for due in play_through(engine) if not isinstance(due.item, BarPlayed)]
    settings, chart, beats = performance.settings, performance.chart, engine.timeline.end or 0.0
    events = [*((0.0, event) for event in engine.sound_setup()), *played]
    solo = tuple(event for event in events if not _is_accompaniment(event[1], settings.midi))
    comp = [event for event in events if _is_accompaniment(event[1], settings.midi)]
    others = [("comp", [_comp_program(settings), *comp])] if comp else []
    bpm, told = settings.tempo.bpm, chord_symbols(chart, beats)
    midi = midi_file_bytes(solo, bpm, meter_changes(chart, beats), beats, name, told, others)
    return RenderedTake(name, performance.seed, solo, beats, chart, bpm, midi)


def _is_accompaniment(event: MidiEvent, midi: MidiSettings) -> bool:
    return isinstance(event, NoteOn | NoteOff) and event.channel == midi.comp != midi.channel


def _comp_program(settings: Settings) -> tuple[float, MidiEvent]:
    return 0.0, ProgramChange(GM_PROGRAMS.get(settings.play.comp, 1) - 1, settings.midi.comp)


def take_seed(seed: int, number: int) -> int:
    """The seed of take `number`, from the one given for all: it makes the same take on its own."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def take_name(names: NameModel, seed: int, known: set[str]) -> str:
    """The name of the take with this `seed`: always the same one, unless it is `known` already. It is from now on."""
    name = next(name for name in generate_names(names, seed) if name not in known)
    known.add(name)
    return name


def note_spans(events: tuple[tuple[float, MidiEvent], ...]) -> Iterator[tuple[float, float, NoteOn]]:
    """Onset, length in beats and the note itself, in the order of their ends."""
    struck: dict[int, tuple[float, NoteOn]] = {}
    for beat, event in events:
        if isinstance(event, NoteOn):
            struck[event.pitch] = beat, event
        elif isinstance(event, NoteOff) and event.pitch in struck:
            onset, note = struck.pop(event.pitch)
            yield onset, beat - onset, note


def meter_changes(chart: Chart, beats: float) -> Iterator[tuple[float, Meter]]:
    """Where a meter begins within so many `beats` of the chart, going round, that the bar before has not."""
    before, number = None, 0
    while (beat := chart.beat_of_bar(number)) < beats or not number:
        meter = chart.meter_at(beat)
        if meter != before:
            yield beat, meter
        before, number = meter, number + 1


def chord_symbols(chart: Chart, beats: float) -> Iterator[tuple[float, str]]:
    """Where a chord begins within so many `beats` of the chart, going round, and its name."""
    beat = 0.0
    while beat < beats:
        yield beat, chart.chord_at(beat).text
        beat += chart.next_change(beat)[1]
