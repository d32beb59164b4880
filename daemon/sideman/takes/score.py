# SPDX-License-Identifier: Apache-2.0
"""A take as a score: the bars and chords as they came, and a part for each player, also for the one who was heard."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from sideman.charts.score_writer import PlayedNote, Score, ScoreChange, ScorePart
from sideman.core import events
from sideman.core.chart.chart import Bar, Meter
from sideman.core.errors import UnreadableInput
from sideman.core.events import MidiEvent, NoteOff, NoteOn, Voice, note_spans
from sideman.core.settings.voices import VOICES
from sideman.core.timeline import swing_of
from sideman.takes.journal import Journal, TakeHeader
from sideman.takes.tempo_map import take_tempo
from sideman_models.music.harmony import NO_CHORD, Chord

_NEAR = 1e-6
_MAX_GAP_BARS = 1000
_LEAST_CHANGE = 0.005
"""A tempo is written if it differs from the last one by this share: a clock that is followed is never quite steady."""


class _Begun(Struct, frozen=True):
    """A bar as it began in the take: its beat, its meter, the chords in it, and its key if that is new."""

    beat: float
    meter: Meter
    changes: tuple[tuple[float, Chord], ...]
    key: str | None = None


class TakeScore:
    """Makes the score of a take from its reports."""

    def __init__(self, header: TakeHeader) -> None:
        self._header = header
        self._begun: list[_Begun] = []
        self._heard: list[tuple[float, MidiEvent]] = []
        self._sent: dict[Voice, list[tuple[float, MidiEvent]]] = {voice: [] for voice in VOICES}
        midi = header.settings.midi
        self._voices = {row.channel(midi): voice for voice, row in VOICES.items()}
        self._has_drums = "drums" in header.settings.play.comp
        self._tempo = take_tempo(header)
        self._swings = [(header.first_beat, header.settings.play.swing)]  # the setting, from a beat on
        self._end = header.start

    def add_report(self, report: events.Report) -> None:
        """Take in the next report."""
        match report:
            case events.BarStarted(beat, meter, changes, key):
                while self._begun and self._begun[-1].beat >= beat - _NEAR:  # a bar that was not played after all
                    key = self._begun.pop().key if key is None else key
                self._begun.append(_Begun(beat, meter, changes, key))
                self._tempo.start_bar(beat)
            case events.EventSent(_, beat, NoteOn() | NoteOff() as note) if note.channel in self._voices:
                self._sent[self._voices[note.channel]].append((beat, note))
            case events.NoteHeard(beat, note):
                self._heard.append((beat, note))
            case events.Advanced(second, beat) | events.PlayerEnded(second, beat):
                self._advance(second, beat, by_command=False)
            case events.InputReceived(second, beat, item):
                self._advance(second, beat, by_command=True)
                if isinstance(item, events.ChangeSettings):
                    for key, value in item.values:
                        self._has_drums |= key == "play.comp" and "drums" in cast("tuple[str, ...]", value)
                        if key == "play.swing":
                            self._swings.append((beat, cast("float | None", value)))

    def _advance(self, second: float, beat: float, *, by_command: bool) -> None:
        self._end = max(self._end, beat)
        if beat >= self._header.first_beat:
            self._tempo.add(second, beat, by_command=by_command)

    def score(self) -> Score:
        """Return the score. Raises UnreadableInput for a take in which no bar began."""
        header, settings = self._header, self._header.settings
        begun = list(self._all_bars())
        if not begun:
            raise UnreadableInput(f"{header.name}: no bar was played in this take: there is nothing to write")
        transpose, sent = settings.midi.transpose, self._sent
        players = [("sideman", sent["solo"], transpose), ("you", self._heard, transpose)]
        players += [(voice, notes, 0) for voice, notes in sent.items() if voice not in ("solo", "drums")]
        parts = [ScorePart(name, tuple(self._placed(notes, begun)), shift) for name, notes, shift in players]
        drums = self._placed(sent["drums"] if self._has_drums else (), begun)
        parts.append(ScorePart("drums", tuple(drums), is_drums=True))
        parts = [part for part in parts if part.notes] or parts[:1]
        opening, *changes = self._changes(begun)
        info = header.chart.info
        key = info.key if opening.key is None else opening.key
        info = replace(info, title=info.title or header.name, sections=(), key=key)
        bars = tuple(_written_bars(begun))
        return Score(info, bars, tuple(parts), opening.bpm, opening.swing or 0.5, tuple(changes))

    def _changes(self, begun: list[_Begun]) -> Iterator[ScoreChange]:
        """Yield how the take begins, and then where the tempo, the swing and the key change, in order."""
        tempos = [(mark.beat, round(60e6 / mark.beat_us, 2)) for mark in self._tempo.marks]
        keys = [(bar.beat, bar.key) for bar in begun[1:] if bar.key is not None]
        beats = [bar.beat for bar in begun]
        play, style, bpm, swing, swing_set = self._header.settings.play, self._header.chart.info.style, 0.0, None, None
        for beat in sorted(
            {beats[0], *(beat for beat, _ in (*tempos, *keys, *self._swings) if beat < beats[-1] - _NEAR)}
        ):
            last = bpm, swing
            bpm = next((each for at, each in reversed(tempos) if at <= beat), tempos[0][1])
            swing_set = next((each for at, each in reversed(self._swings) if at <= beat), play.swing)
            swing = swing_of(replace(play, swing=swing_set), style, bpm)
            bar = max(0, bisect_right(beats, beat + _NEAR) - 1)
            key = dict(keys).get(beat) if bar else begun[0].key
            change = ScoreChange(
                bar,
                max(0.0, beat - beats[bar]),
                key,
                bpm if abs(bpm - last[0]) > _LEAST_CHANGE * bpm else None,
                swing if swing != last[1] else None,
            )
            bpm = bpm if change.bpm else last[0]
            if beat == beats[0] or change.key is not None or change.bpm or change.swing is not None:
                yield change

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
