# SPDX-License-Identifier: Apache-2.0
"""A take as a score: the bars and chords as they came, and a part for each player, also for the one who was heard."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from typing import cast

from msgspec.structs import replace

from sideman.charts.played_bars import NEAR, PlayedBar, placed_notes, without_gaps, written_bars
from sideman.charts.score_writer import Score, ScoreChange, ScorePart
from sideman.core import events
from sideman.core.errors import UnreadableInput
from sideman.core.events import MidiEvent, NoteOff, NoteOn, Voice
from sideman.core.settings.voices import VOICES
from sideman.core.timeline import swing_of
from sideman.takes.journal import Journal, TakeHeader
from sideman.takes.tempo_map import take_tempo

_LEAST_CHANGE = 0.005
"""A tempo is written if it differs from the last one by this share: a clock that is followed is never quite steady."""


class TakeScore:
    """Makes the score of a take from its reports."""

    def __init__(self, header: TakeHeader) -> None:
        self._header = header
        self._begun: list[PlayedBar] = []
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
                while self._begun and self._begun[-1].beat >= beat - NEAR:  # a bar that was not played after all
                    key = self._begun.pop().key if key is None else key
                self._begun.append(PlayedBar(beat, meter, changes, key))
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
        parts = [ScorePart(name, tuple(placed_notes(notes, begun, self._end)), shift) for name, notes, shift in players]
        drums = placed_notes(sent["drums"] if self._has_drums else (), begun, self._end)
        parts.append(ScorePart("drums", tuple(drums), is_drums=True))
        parts = [part for part in parts if part.notes] or parts[:1]
        opening, *changes = self._changes(begun)
        info = header.chart.info
        key = info.key if opening.key is None else opening.key
        info = replace(info, title=info.title or header.name, sections=(), key=key)
        bars = tuple(written_bars(begun))
        return Score(info, bars, tuple(parts), opening.bpm, opening.swing or 0.5, tuple(changes))

    def _changes(self, begun: list[PlayedBar]) -> Iterator[ScoreChange]:
        """Yield how the take begins, and then where the tempo, the swing and the key change, in order."""
        tempos = [(mark.beat, round(60e6 / mark.beat_us, 2)) for mark in self._tempo.marks]
        keys = [(bar.beat, bar.key) for bar in begun[1:] if bar.key is not None]
        beats = [bar.beat for bar in begun]
        play, style, bpm, swing, swing_set = self._header.settings.play, self._header.chart.info.style, 0.0, None, None
        for beat in sorted(
            {beats[0], *(beat for beat, _ in (*tempos, *keys, *self._swings) if beat < beats[-1] - NEAR)}
        ):
            last = bpm, swing
            bpm = next((each for at, each in reversed(tempos) if at <= beat), tempos[0][1])
            swing_set = next((each for at, each in reversed(self._swings) if at <= beat), play.swing)
            swing = swing_of(replace(play, swing=swing_set), style, bpm)
            bar = max(0, bisect_right(beats, beat + NEAR) - 1)
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

    def _all_bars(self) -> Iterator[PlayedBar]:
        """Yield the bars that sounded, those that passed without a report too, and last the end as an empty bar."""
        bars = [bar for bar in self._begun if bar.beat < self._end - NEAR]
        if not bars:
            return
        length = float(bars[0].meter.quarters)
        early = max([0.0, *(bars[0].beat - beat for beat, _ in self._heard)])
        counted = min(math.ceil(early / length - NEAR), self._header.count_in_bars)  # only if something was played
        opening = [replace(bars[0], beat=bars[0].beat - at * length, changes=()) for at in range(counted, 0, -1)]
        yield from without_gaps([*opening, *bars])


def take_score(journal: Journal) -> Score:
    """The score of a take."""
    maker = TakeScore(journal.header)
    for report in journal.reports():
        maker.add_report(report)
    return maker.score()
