# SPDX-License-Identifier: Apache-2.0
"""Renders a take: plays a song or a set on a clock that does not wait, and makes its MIDI file; draws what it plays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from sideman.charts.chart_writer import in_force
from sideman.charts.score_writer import PlayedNote, Score, ScoreChange, ScorePart
from sideman.core.chart.chart import Bar, Chart, Meter
from sideman.core.engine import DueItem, Engine
from sideman.core.events import BarPlayed, ClockMessage, MidiEvent, NoteOn, QueueSong, Voice, note_spans
from sideman.core.settings.schema import with_values
from sideman.core.settings.voices import VOICES, track_of
from sideman.core.timeline import swing_of
from sideman.playing.assembly import Performance
from sideman.render.midi_file import midi_file_bytes
from sideman_models.course.names import NameModel, generate_names
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
        return sum(song.chart.bar_at(beats)[0] for song, beats in song_lengths(self.songs, self.beats))

    @property
    def seconds(self) -> float:
        """Its length in real time."""
        return sum(beats * 60 / song.bpm for song, beats in song_lengths(self.songs, self.beats))

    @property
    def chords(self) -> Iterator[tuple[float, str]]:
        """The symbols of its chords, with their beats."""
        for song, beats in song_lengths(self.songs, self.beats):
            yield from ((song.start + beat, symbol) for beat, symbol in chord_symbols(song.chart, beats))

    def beat_of_bar(self, number: int) -> float:
        """The beat on which a bar begins."""
        for song, beats in song_lengths(self.songs, self.beats):
            bars = song.chart.bar_at(beats)[0]
            if number < bars or song is self.songs[-1]:
                break
            number -= bars
        return song.start + song.chart.beat_of_bar(number)

    @property
    def notes(self) -> int:
        """The number of its notes."""
        return sum(isinstance(event, NoteOn) for _, event in self.events)


def song_lengths(songs: Sequence[PlayedSong], beats: float) -> Iterator[tuple[PlayedSong, float]]:
    """Yield each song and how many beats it lasts, of `beats` in all."""
    for song, end in zip(songs, [*(song.start for song in songs[1:]), beats], strict=True):
        yield song, end - song.start


def render_take(
    performance: Performance, bars: int | None, name: str, following: Iterable[QueueSong] = ()
) -> RenderedTake:
    """Play `bars` bars, or with None as many choruses as the settings say, and then the `following` songs."""
    settings = with_values(performance.settings, [("play.start", "at once")])  # nothing has to be waited for
    performance = replace(performance, settings=settings)
    engine = performance.make_engine(0.0, beats=None if bars is None else performance.chart.beat_of_bar(bars))
    due, songs = _play(engine, following)
    played = [(each.beat, each.item) for each in due if not isinstance(each.item, BarPlayed)]
    beats = engine.timeline.end or 0.0
    tracks: dict[Voice, list[tuple[float, MidiEvent]]] = {name: [] for name in VOICES}
    for beat, event in [*((0.0, event) for event in engine.sound_setup(general_midi=True)), *played]:
        voice = "solo" if isinstance(event, ClockMessage) else track_of(event.channel, settings.midi, settings.play)
        tracks[voice].append((beat, event))
    solo = tuple(tracks.pop("solo"))
    others = [(voice, track) for voice, track in tracks.items() if VOICES[voice].plays(settings.midi, settings.play)]
    band = tuple(event for _, track in others for event in track)
    score = _score(performance, songs, beats, [("solo", solo), *others])
    take = RenderedTake(name, performance.seed, solo, beats, songs, b"", score, band)
    meters = [
        (song.start + beat, meter)
        for song, length in song_lengths(songs, beats)
        for beat, meter in meter_changes(song.chart, length)
    ]
    tempos = [(song.start, song.bpm) for song in songs[1:]]
    return replace(take, midi=midi_file_bytes([(name, solo), *others], take.bpm, meters, beats, take.chords, tempos))


def _play(engine: Engine, following: Iterable[QueueSong]) -> tuple[list[DueItem], tuple[PlayedSong, ...]]:
    """Play to the end, one song after the other. Returns what was played, and the songs."""
    played, songs = (
        list[DueItem](),
        [PlayedSong(0.0, in_force(engine.chart.chart, engine.settings), engine.settings.tempo.bpm)],
    )
    queue, number, second = iter(following), engine.settings.chart.song, 0.0
    coming = next(queue, None)
    while True:
        if coming is not None:
            engine.receive(coming, second)
            coming = None
        due = engine.deadline()
        if due is None:
            return played, tuple(songs)
        second = due
        played += engine.advance(second)
        if engine.settings.chart.song != number:
            number, span = engine.settings.chart.song, engine.chart.charts[1]
            songs.append(PlayedSong(span.start, in_force(span.chart, engine.settings), engine.settings.tempo.bpm))
            coming = next(queue, None)


def _score(
    performance: Performance,
    songs: Sequence[PlayedSong],
    beats: float,
    tracks: Iterable[tuple[Voice, Iterable[tuple[float, MidiEvent]]]],
) -> Score:
    """The solo, as the player reads it, and what accompanies it as notation over the bars of the charts."""
    settings, bars, sections = performance.settings, list[Bar](), list[tuple[int, str]]()
    changes = list[ScoreChange]()
    for song, length in song_lengths(songs, beats):
        chart, first = song.chart, len(bars)
        changes.append(
            ScoreChange(first, 0.0, chart.info.key, song.bpm, swing_of(settings.play, chart.info.style, song.bpm))
        )
        more = [chart.bars[at % len(chart.bars)] for at in range(chart.bar_at(max(0.0, length - 1e-6))[0] + 1)]
        names = dict(chart.info.sections)
        if len(songs) > 1:
            sections.append((first, ": ".join(filter(None, [chart.info.title, names.pop(0, "")]))))
        sections += [
            (first + at, names[at % len(chart.bars)]) for at in range(len(more)) if at % len(chart.bars) in names
        ]
        bars += more
    parts = tuple(
        ScorePart(
            "sideman" if voice == "solo" else voice,
            tuple(PlayedNote(onset, onset + length, note.pitch) for onset, length, note in note_spans(events, beats)),
            settings.midi.transpose if voice == "solo" else 0,
            is_drums=voice == "drums",
        )
        for voice, events in tracks
    )
    info = replace(songs[0].chart.info, sections=tuple(sections))
    opening = changes[0]
    return Score(info, tuple(bars), parts, opening.bpm, opening.swing or 0.5, tuple(changes[1:]))


def take_seed(seed: int, number: int) -> int:
    """The seed of take `number`, made from the common seed. With it, that take can be rendered alone."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def take_name(names: NameModel, seed: int, known: set[str]) -> str:
    """The name for the take with this `seed`, always the same unless it is in `known`. Adds it to `known`."""
    name = next(name for name in generate_names(names, seed) if name not in known)
    known.add(name)
    return name


def meter_changes(chart: Chart, beats: float) -> Iterator[tuple[float, Meter]]:
    """Yield (beat, meter) for each change of meter within `beats` beats of the chart, which repeats."""
    last, number = None, 0
    while (beat := chart.beat_of_bar(number)) < beats or not number:
        meter = chart.meter_at(beat)
        if meter != last:
            yield beat, meter
        last, number = meter, number + 1


def chord_symbols(chart: Chart, beats: float) -> Iterator[tuple[float, str]]:
    """Yield (beat, symbol) for each chord within `beats` beats of the chart, which repeats."""
    beat = 0.0
    while beat < beats:
        yield beat, chart.chord_at(beat).text
        beat += chart.next_change(beat)[1]


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
    chords, title = chord_symbols(chart, take.beats), f"{bundle.name}: a chorus"
    return {
        LEARNING: pictures.learning_curves([(number, seen, unseen) for number, seen, unseen in curve], bundle.name),
        VALUES: pictures.value_frequencies(counts, f"{bundle.name}: values it learned from"),
        SAMPLE: take_picture({"sideman": take.events}, chords, title, chart.beat_of_bar),
    }
