# SPDX-License-Identifier: Apache-2.0
"""A take as a score: the bars and chords as they came, and a part for each player, also for the one who was heard."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from operator import itemgetter

from msgspec import Struct
from msgspec.structs import replace

from sideman.charts.score_writer import PlayedNote, Score, ScorePart
from sideman.core import events
from sideman.core.chart.chart import Bar, Meter
from sideman.core.errors import UnreadableInput
from sideman.core.events import MidiEvent, NoteOff, NoteOn, Voice, note_spans
from sideman.core.settings.voices import VOICES
from sideman.core.timing.tempo import default_swing
from sideman.takes.journal import Journal, TakeHeader
from sideman_models.music.harmony import NO_CHORD, Chord

_NEAR = 1e-6
_MAX_GAP_BARS = 1000


class _Begun(Struct, frozen=True):
    """A bar as it began in the take: its beat, its meter, and the chords in it."""

    beat: float
    meter: Meter
    changes: tuple[tuple[float, Chord], ...]


class TakeScore:
    """Makes the score of a take from its reports."""

    def __init__(self, header: TakeHeader) -> None:
        self._header = header
        self._begun: list[_Begun] = []
        self._heard: list[tuple[float, MidiEvent]] = []
        self._sent: dict[Voice, list[tuple[float, MidiEvent]]] = {voice: [] for voice in VOICES}
        midi = header.settings.midi
        self._voices = {row.channel(midi): voice for voice, row in VOICES.items() if row.channel(midi) != midi.drums}
        self._end = header.start

    def add_report(self, report: events.Report) -> None:
        """Take in the next report."""
        match report:
            case events.BarStarted(beat, meter, changes):
                while self._begun and self._begun[-1].beat >= beat - _NEAR:  # a bar that was not played after all
                    self._begun.pop()
                self._begun.append(_Begun(beat, meter, changes))
            case events.EventSent(_, beat, NoteOn() | NoteOff() as note) if note.channel in self._voices:
                self._sent[self._voices[note.channel]].append((beat, note))
            case events.NoteHeard(beat, note):
                self._heard.append((beat, note))
            case events.Advanced(_, beat) | events.PlayerEnded(_, beat) | events.InputReceived(_, beat):
                self._end = max(self._end, beat)

    def score(self) -> Score:
        """Return the score. Raises UnreadableInput for a take in which no bar began."""
        header, settings = self._header, self._header.settings
        begun = list(self._all_bars())
        if not begun:
            raise UnreadableInput(f"{header.name}: no bar was played in this take: there is nothing to write")
        transpose, bpm = settings.midi.transpose, settings.tempo.bpm
        players = [("sideman", self._sent["solo"], transpose), ("you", self._heard, transpose)]
        players += [(voice, notes, 0) for voice, notes in self._sent.items() if voice != "solo"]
        parts = [ScorePart(name, tuple(self._placed(notes, begun)), shift) for name, notes, shift in players]
        parts = [part for part in parts if part.notes] or parts[:1]
        info = replace(header.chart.info, title=header.chart.info.title or header.name, sections=())
        swing = default_swing(bpm) if settings.play.swing is None else settings.play.swing
        return Score(info, tuple(_written_bars(begun)), tuple(parts), bpm, swing)

    def _all_bars(self) -> Iterator[_Begun]:
        """Yield the bars that sounded, those that passed without a report too, and last the end as an empty bar."""
        bars = [bar for bar in self._begun if bar.beat < self._end - _NEAR]
        if not bars:
            return
        length = float(bars[0].meter.quarters)
        early = max([0.0, *(bars[0].beat - beat for beat, _ in self._heard)])
        counted = min(math.ceil(early / length - _NEAR), self._header.count_in_bars)  # only if something was played
        opening = [replace(bars[0], beat=bars[0].beat - at * length, changes=()) for at in range(counted, 0, -1)]
        end = _Begun(bars[-1].beat + float(bars[-1].meter.quarters), bars[-1].meter, ())
        for bar, after in pairwise([*opening, *bars, end]):
            length = float(bar.meter.quarters)
            yield bar
            for at in range(1, min(round((after.beat - bar.beat) / length), _MAX_GAP_BARS)):
                yield replace(bar, beat=bar.beat + at * length, changes=())
        yield end

    def _placed(self, notes: Iterable[tuple[float, MidiEvent]], begun: list[_Begun]) -> Iterator[PlayedNote]:
        """Yield the notes with their beats in the score, where each bar has the length that it is written with."""
        lengths = [float(_meter_between(bar, after).quarters) for bar, after in pairwise(begun)]
        starts, beats = list(accumulate(lengths, initial=0.0)), [bar.beat for bar in begun]

        def place(beat: float) -> float:
            at = max(0, bisect_right(beats, beat + _NEAR) - 1)
            return starts[at] + min(beat - beats[at], lengths[at] if at < len(lengths) else 0.0)

        for onset, length, note in note_spans(notes, self._end):
            if beats[0] - _NEAR <= onset < beats[-1]:
                yield PlayedNote(place(onset), place(onset + length), note.pitch)


def _meter_between(bar: _Begun, after: _Begun) -> Meter:
    """The meter of a bar, or a shorter one if the bar after it began before its end."""
    quarters = after.beat - bar.beat
    if quarters < float(bar.meter.quarters) - _NEAR:
        for unit in (4, 8, 16):
            count = round(quarters * unit / 4)
            if 1 <= count <= 16 and (abs(quarters * unit / 4 - count) < _NEAR or unit == 16):
                return Meter(count, unit)
    return bar.meter


def _written_bars(begun: list[_Begun]) -> Iterator[Bar]:
    """Yield the bars as a chart has them: the chord before goes on until the first one of a bar."""
    last = NO_CHORD
    for bar, after in pairwise(begun):
        meter = _meter_between(bar, after)
        changes = {0.0: last} | {at: chord for at, chord in bar.changes if at < float(meter.quarters) - _NEAR}
        kept: list[tuple[float, Chord]] = []
        for at, chord in sorted(changes.items(), key=itemgetter(0)):
            kept += [(at, chord)] if not kept or kept[-1][1] != chord else []
        last = kept[-1][1]
        yield Bar(tuple(kept), meter)


def take_score(journal: Journal) -> Score:
    """The score of a take."""
    maker = TakeScore(journal.header)
    for report in journal.reports():
        maker.add_report(report)
    return maker.score()
