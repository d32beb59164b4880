# SPDX-License-Identifier: Apache-2.0
"""What is played, in a musician's words: the tune, how sideman plays, and a line for each bar with both players.

The log of `run`, `sideman check` and `sideman takes show` speak with these words, in the key that the player reads.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

from msgspec import Struct

from sideman.core import events
from sideman.core.actions import Start
from sideman.core.chart.chart import Chart
from sideman.core.events import NoteOn, Report
from sideman.core.settings.schema import Settings, value_of, write_value
from sideman.core.snapshot import Snapshot
from sideman.core.turns import MODES, ModeName
from sideman_models.music.harmony import Chord, pitch_name
from sideman_models.text import count_noun

LINE_LENGTH = 71
"""The longest line of a bar: with the time before it, it fits a terminal of 80 columns."""
RATE_WORDS = {
    "beat": "one note a beat", "eighth": "eighths", "triplet": "triplets", "sixteenth": "sixteenths",
    "phrase": "phrases with their own rhythm",
}  # fmt: skip
"""What each `play.rate` sounds like."""
_EARLY_BEATS = 0.125
"""The player's notes up to this much before a bar line belong to the bar that follows."""
_SHORTEST_NOTES = 2
"""A line that is too long keeps at least this many words of each of its lists."""


def chart_text(chart: Chart) -> str:
    """Return the chords of a chart as text, whatever their onsets."""
    try:
        return chart.text()
    except ValueError:  # chords between the half-beats cannot be written as text
        return " | ".join(" ".join(chord.text for _, chord in bar.chords) for bar in chart.bars)


def tune_words(chart: Chart, settings: Settings) -> str:
    """Return the tune and its key as the player reads it, its length, its meters and the tempo."""
    shown, tempo = chart.shown(settings.midi.transpose), settings.tempo
    meters = ", ".join(dict.fromkeys(str(bar.meter) for bar in chart.bars))
    key = f"in {shown.info.key}" if shown.info.key else f"from {shown.chord_at(0.0).text}"
    pulse = f"{tempo.bpm:g} bpm" if tempo.source == "internal" else f"the tempo of {tempo.source}"
    choruses = settings.chart.choruses
    rounds = "" if choruses is None else ", 1 chorus" if choruses == 1 else f", {choruses} choruses"
    length = f"{count_noun(len(chart.bars), 'bar')} of {meters}"
    tune = f"{shown.info.title} {key}, {length}" if shown.info.title else f"{length} {key}"
    return f"{tune}, {pulse}{rounds}"


def play_words(settings: Settings) -> str:
    """Return how sideman plays: its mode, its rate and its accompaniment."""
    play = settings.play
    mode = MODES[play.mode].text.replace("play.trade_bars", str(play.trade_bars))
    band = write_value("play.comp", value_of(settings, "play.comp"))
    names = [str(name) for name in (band if isinstance(band, list) else [band]) if name not in (None, "off")]
    return f"sideman {mode}: {RATE_WORDS[play.rate]}, {'with ' + ', '.join(names) if names else 'no band'}"


def opening_lines(chart: Chart, settings: Settings) -> list[str]:
    """Return what is played, for the start of the log: one line, or more where it would be too long."""
    tune, play = tune_words(chart, settings), play_words(settings)
    lines = [f"{tune}; {play}"] if len(tune) + len(play) + 2 <= LINE_LENGTH else [tune, play]
    return [folded for line in lines for folded in textwrap.wrap(line, LINE_LENGTH)]


def closing_words(snapshot: Snapshot) -> str:
    """Return what was played, for the end of the log."""
    if not snapshot.played_notes and not snapshot.heard_notes:
        return "the end: not a note was played"
    notes = f"{count_noun(snapshot.played_notes, 'note')} by sideman, {snapshot.heard_notes} by you"
    return f"the end: {notes}; --seed {snapshot.seed} plays the same again"


class BarLine(Struct):
    """What a line about a bar says; `coming` is what comes after it. Each list may be cut to make the line fit."""

    number: int | None
    chords: list[str]
    own: list[str]
    heard: list[str]
    coming: str = ""

    def text(self, width: int = LINE_LENGTH) -> str:
        """Return the line, at most `width` characters long."""
        shown = [self.chords[:], self.own[:], self.heard[:]]
        if len(self._joined(shown)) > width:
            shown[1:] = _without_same_octaves(self.own), _without_same_octaves(self.heard)
        while len(line := self._joined(shown)) > width:
            longest = max(shown, key=len)
            if len(longest) <= _SHORTEST_NOTES + 1:
                return line[: width - 1] + "…"
            longest[-2:] = ["…"]
        return line

    def _joined(self, lists: list[list[str]]) -> str:
        chords, own, heard = (" ".join(words) for words in lists)
        bar = "bar" if self.number is None else f"bar {self.number}"
        played = [own and f"sideman {own}", heard and f"you {heard}"] if own or heard else ["-"]
        return " | ".join(filter(None, [bar, chords, *played, self.coming]))


def _without_same_octaves(names: Iterable[str]) -> list[str]:
    """Return pitch names, each with its octave only if that is another one than before: `E4 A Bb C5 D`."""
    shown, octave = [], ""
    for name in names:
        letters = name.rstrip("-0123456789")
        shown.append(letters if letters and name[len(letters) :] == octave else name)
        octave = name[len(letters) :] if letters else octave
    return shown


class BarWords:
    """Makes a line for each bar from the reports of a performance; the first bar that begins is bar `number`.

    With `coming` a line ends with the next chords and, where turns are taken, whose turn it is.
    """

    def __init__(self, mode: ModeName, transpose: int, number: int = 1, *, coming: bool = True) -> None:
        self.transpose = transpose
        self._mode = mode
        self._has_coming = coming
        self._number: int | None = number  # of the bar that sounds
        self._bars: list[events.BarStarted] = []  # the bar that sounds, and the one that has just begun
        self._heard: list[tuple[float, int]] = []
        self._state: events.StateChanged | None = None

    def add(self, report: Report) -> str:
        """Take in the next report. Returns a line when it ends a bar, else no text.

        In mode off only the bars in which the player played have a line.
        """
        match report:
            case events.NoteHeard(beat, NoteOn() as note):
                self._heard.append((beat, note.pitch))
            case events.StateChanged():
                self._state = report
            case events.ModeChanged(mode):
                self._mode = mode
            case events.InputReceived(item=Start() | events.ClockStart()):
                self._number = 1
            case events.BarStarted():
                self._bars = [*self._bars[-1:], report]
            case events.BarPlayed(number, chords, choices):
                self._number = number
                own = ["-" if each.pitch is None else self._name(each.pitch) for each in choices]
                return self._end_bar(chords, own).text()
            case events.Advanced() | events.PlayerEnded() if len(self._bars) > 1:  # a bar in which we only listened
                line = self._end_bar([chord for _, chord in self._bars[0].changes], [])
                return line.text() if line.heard else ""
        return ""

    def _end_bar(self, chords: Iterable[Chord], own: list[str]) -> BarLine:
        started = self._bars[-1] if len(self._bars) > 1 else None
        end = math.inf if started is None else started.beat - _EARLY_BEATS
        heard = [self._name(pitch) for beat, pitch in self._heard if beat < end]
        self._heard = [note for note in self._heard if note[0] >= end]
        self._bars = self._bars[1:] if started is not None else []
        line = BarLine(self._number, self._symbols(chords), own, heard, self._coming(started))
        self._number = None if self._number is None else self._number + 1
        return line

    def _coming(self, started: events.BarStarted | None) -> str:
        if started is None or not self._has_coming:
            return ""
        chords = " ".join(self._symbols(chord for _, chord in started.changes))
        return ": ".join(filter(None, [f"next {chords}", self._turn(started)]))

    def _turn(self, started: events.BarStarted) -> str:
        """Return whose turn it is in the bar that has just begun, and for how many bars if that is known."""
        state = self._state
        if state is None or state.state == "idle" or self._mode in ("solo", "duet", "off"):
            return ""
        player = "sideman" if state.state == "playing" else "you"
        if state.until is None:
            return player
        left = (state.until - started.beat) / float(started.meter.quarters)
        return f"{player}, {count_noun(max(1, math.ceil(left - 1e-6)), 'bar')}"

    def _symbols(self, chords: Iterable[Chord]) -> list[str]:
        return [chord.shown(self.transpose).text for chord in chords]

    def _name(self, pitch: int) -> str:
        shown = pitch - self.transpose
        return pitch_name(shown) if 0 <= shown <= 127 else str(shown)
