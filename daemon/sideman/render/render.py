# SPDX-License-Identifier: Apache-2.0
"""Renders a take: plays a song or a set on a clock that does not wait, and makes its MIDI file; draws what it plays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle, groupby, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from sideman.charts.chart_writer import in_force
from sideman.charts.played_bars import (
    PlayedBar,
    chord_changes,
    meter_changes,
    placed_notes,
    without_gaps,
    written_bars,
)
from sideman.charts.score_writer import Score, ScoreChange, ScorePart
from sideman.core.chart.chart import Chart
from sideman.core.chart.places import find_place
from sideman.core.engine import DueItem, Engine
from sideman.core.events import (
    BarPlayed,
    BarStarted,
    ClockMessage,
    MidiEvent,
    NoteOn,
    QueueSong,
    Report,
    Voice,
    note_spans,
)
from sideman.core.settings.schema import with_values
from sideman.core.settings.voices import VOICES, track_of
from sideman.playing.assembly import Performance
from sideman.render.midi_file import midi_file_bytes
from sideman_models.course.names import NameModel, generate_names
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import NumpyNetwork

if TYPE_CHECKING:
    from sideman_models.pictures import Player  # which needs matplotlib

LEARNING, VALUES, SAMPLE = "learning.png", "values.png", "sample.png"
PICTURES = (
    (LEARNING, "Bits per value, epoch by epoch"),
    (VALUES, "The values it learned from, and how often each occurs"),
    (SAMPLE, "A chorus it plays"),
)
"""The file name of each picture, and what it shows."""


class PlayedSong(Struct, frozen=True):
    """The chart that is played from beat `start` on, at `bpm`."""

    start: float
    chart: Chart
    bpm: float


class RenderedTake(Struct, frozen=True):
    """A solo of `beats` beats over `songs`. `events` (beat, event) are in order, those of the `band` by voice.

    `played_bars` are its bars as they were played, and last its end; `tempos` (beat, bpm) its tempos from the first on.

    `midi` is the content of its MIDI file, in which each voice that accompanies has a track of its own, as it has a
    part in the `score`.
    """

    name: str
    seed: int
    events: tuple[tuple[float, MidiEvent], ...]
    beats: float
    songs: tuple[PlayedSong, ...]
    midi: bytes
    score: Score
    played_bars: tuple[PlayedBar, ...]
    tempos: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, MidiEvent], ...] = ()

    @property
    def chart(self) -> Chart:
        """The chart of its first song."""
        return self.songs[0].chart

    @property
    def bpm(self) -> float:
        """The tempo of its first song."""
        return self.songs[0].bpm

    @property
    def bars(self) -> int:
        """Its length in bars."""
        return len(self.played_bars) - 1

    @property
    def seconds(self) -> float:
        """Its length in real time."""
        ends = [*(beat for beat, _ in self.tempos[1:]), self.beats]
        return sum((end - beat) * 60 / bpm for (beat, bpm), end in zip(self.tempos, ends, strict=True))

    @property
    def chords(self) -> Iterator[tuple[float, str]]:
        """The symbols of its chords, with their beats."""
        return chord_changes(self.played_bars)

    def beat_of_bar(self, number: int) -> float:
        """The beat on which a bar begins; after the last one they go on with its length."""
        *_, last, end = self.played_bars
        over = number - self.bars
        return end.beat + over * (end.beat - last.beat) if over > 0 else self.played_bars[number].beat

    @property
    def notes(self) -> int:
        """The number of its notes."""
        return sum(isinstance(event, NoteOn) for _, event in self.events)


class _Begun(Struct, frozen=True):
    """A bar as it began, with the name of the section that begins there, and the tempo and swing from there on."""

    bar: PlayedBar
    section: str | None
    bpm: float
    swing: float


class _Listener:
    """Notes what `engine` reports of its bars, which a loop and a cycle of keys make others than the chart's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.begun: list[_Begun] = []
        self.songs: list[PlayedSong] = []
        self._number: int | None = None
        engine.report = self._add

    def _add(self, report: Report) -> None:
        if not isinstance(report, BarStarted):
            return
        engine, beat, settings = self._engine, report.beat, self._engine.settings
        if settings.chart.song != self._number:
            self._number = settings.chart.song
            self.songs.append(PlayedSong(beat, in_force(engine.practice.chart, settings), settings.tempo.bpm))
        span, section = engine.chart.charts[1], None
        if beat >= engine.timeline.start:  # it is not counted in
            bar = span.bar_at(round(beat * TICKS_PER_QUARTER)) % len(span.chart.bars)
            section = dict(span.chart.info.sections).get(bar)
        played = PlayedBar(beat, report.meter, report.changes, report.key)
        self.begun.append(_Begun(played, section, engine.tempo.bpm, engine.timeline.swing))


def render_take(
    performance: Performance, bars: int | None, name: str, following: Iterable[QueueSong] = ()
) -> RenderedTake:
    """Play `bars` bars, or with None as many choruses as the settings say, and then the `following` songs."""
    settings = with_values(performance.settings, [("play.start", "at once")])  # nothing has to be waited for
    performance = replace(performance, settings=settings)
    engine = performance.make_engine(0.0, beats=None if bars is None else _length(performance, bars))
    listener = _Listener(engine)
    due = _play(engine, following, listener.songs)
    played = [(each.beat, each.item) for each in due if not isinstance(each.item, BarPlayed)]
    beats, begun, songs = engine.timeline.end or 0.0, listener.begun, tuple(listener.songs)
    tracks: dict[Voice, list[tuple[float, MidiEvent]]] = {name: [] for name in VOICES}
    for beat, event in [*((0.0, event) for event in engine.sound_setup(general_midi=True)), *played]:
        voice = "solo" if isinstance(event, ClockMessage) else track_of(event.channel, settings.midi, settings.play)
        tracks[voice].append((beat, event))
    solo = tuple(tracks.pop("solo"))
    others = [(voice, track) for voice, track in tracks.items() if VOICES[voice].plays(settings.midi, settings.play)]
    band = tuple(event for _, track in others for event in track)
    played_bars = tuple(without_gaps([each.bar for each in begun]))
    runs = (next(run) for _, run in groupby(begun, key=lambda each: each.bpm))
    tempos = tuple((first.bar.beat, first.bpm) for first in runs)
    score = _score(performance, songs, begun, played_bars, [("solo", solo), *others])
    meters, chords = meter_changes(played_bars), chord_changes(played_bars)
    midi = midi_file_bytes([(name, solo), *others], songs[0].bpm, meters, beats, chords, tempos[1:])
    return RenderedTake(name, performance.seed, solo, beats, songs, midi, score, played_bars, tempos, band)


def _length(performance: Performance, bars: int) -> float:
    """How many beats `bars` bars last, count-in bars among them: of the chart, or of the bars that are repeated."""
    chart, practice = performance.chart, performance.settings.practice
    if practice.loop is None:
        return chart.beat_of_bar(bars)
    loop = find_place(chart, practice.loop)
    lengths = [float(bar.meter.quarters) for bar in chart.bars[loop.first : loop.end]]
    return sum(islice(cycle([*lengths, *lengths[:1] * practice.count_in]), bars))


def _play(engine: Engine, following: Iterable[QueueSong], begun: Sequence[PlayedSong]) -> list[DueItem]:
    """Play to the end, one song after the other, and return what was played; `begun` are the songs that have begun.

    A song is given to the engine when the one before it has begun.
    """
    played, queue, second, queued = list[DueItem](), iter(following), 0.0, 0
    while True:
        if queued < len(begun) and (coming := next(queue, None)) is not None:
            queued += 1
            engine.receive(coming, second)
        due = engine.deadline()
        if due is None:
            return played
        second = due
        played += engine.advance(second)


def _score(
    performance: Performance,
    songs: Sequence[PlayedSong],
    begun: Sequence[_Begun],
    bars: Sequence[PlayedBar],
    tracks: Iterable[tuple[Voice, Iterable[tuple[float, MidiEvent]]]],
) -> Score:
    """The solo, as the player reads it, and what accompanies it as notation over the bars that were played."""
    settings, sections, changes = performance.settings, list[tuple[int, str]](), list[ScoreChange]()
    numbers = {bar.beat: number for number, bar in enumerate(bars)}
    opened = {song.start: song.chart.info for song in songs}
    last: _Begun | None = None
    for each in begun:
        number, info, section = numbers[each.bar.beat], opened.get(each.bar.beat), each.section
        if info is not None and len(songs) > 1:
            section = ": ".join(filter(None, [info.title, section]))
        sections += [] if section is None else [(number, section)]
        change = ScoreChange(
            number,
            0.0,
            each.bar.key if info is None or each.bar.key is not None else info.key,
            each.bpm if last is None or each.bpm != last.bpm else None,
            each.swing if last is None or each.swing != last.swing else None,
        )
        changes += [] if (change.key, change.bpm, change.swing) == (None, None, None) else [change]
        last = each
    end = bars[-1].beat
    parts = tuple(
        ScorePart(
            "sideman" if voice == "solo" else voice,
            tuple(placed_notes(events, bars, end)),
            settings.midi.transpose if voice == "solo" else 0,
            is_drums=voice == "drums",
        )
        for voice, events in tracks
    )
    info = replace(songs[0].chart.info, sections=tuple(sections))
    opening = changes[0]
    return Score(info, tuple(written_bars(bars)), parts, songs[0].bpm, opening.swing or 0.5, tuple(changes[1:]))


def take_seed(seed: int, number: int) -> int:
    """The seed of take `number`, made from the common seed. With it, that take can be rendered alone."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def take_name(names: NameModel, seed: int, known: set[str]) -> str:
    """The name for the take with this `seed`, always the same unless it is in `known`. Adds it to `known`."""
    name = next(name for name in generate_names(names, seed) if name not in known)
    known.add(name)
    return name


def take_picture(
    players: Mapping[Player, Iterable[tuple[float, MidiEvent]]],
    chords: Iterable[tuple[float, str]],
    title: str,
    bar_line: Callable[[int], float],
) -> bytes:
    """A piano roll of the events of `players` over `chords`, with their beats, as PNG. `bar_line` gives a bar's beat.

    Raises ModuleNotFoundError if matplotlib is not installed.
    """
    from sideman_models.pictures import RollNote, piano_roll

    notes = [
        RollNote(onset, length, note.pitch, note.velocity, player)
        for player, events in players.items()
        for onset, length, note in note_spans(events)
    ]
    return piano_roll(notes, list(chords), title, bar_line)


def bundle_pictures(bundle: Bundle, curve: list[Any], counts: Mapping[str, int], chart: Chart) -> dict[str, bytes]:
    """The pictures of a bundle as PNG, by file name. The chorus is played over `chart`.

    `curve` has (epoch, bits in training, bits on unseen pieces or None), `counts` the number of each value in the music
    it learned from. Raises ModuleNotFoundError if matplotlib is not installed.
    """
    from sideman.render.over_solos import RENDER_SETTINGS
    from sideman_models import pictures

    performance = Performance(RENDER_SETTINGS, chart, bundle, NumpyNetwork(bundle.weights), seed=0)
    take = render_take(performance, len(chart.bars), bundle.name)
    title = f"{bundle.name}: a chorus"
    return {
        LEARNING: pictures.learning_curves([(number, seen, unseen) for number, seen, unseen in curve], bundle.name),
        VALUES: pictures.value_frequencies(counts, f"{bundle.name}: values it learned from"),
        SAMPLE: take_picture({"sideman": take.events}, take.chords, title, take.beat_of_bar),
    }
