# SPDX-License-Identifier: Apache-2.0
"""The changes as musicians write them, and the chord at any beat of the song, chorus after chorus.

`| Dm7 | G7 | Cmaj7 | % |` is four bars. What may stand in a chart:

- `|` or `||` or the end of a line ends a bar; spaces part the chords of a bar;
- several chords share their bar equally, the first ones getting a beat more when it does not divide
  (three chords in 4/4 last 2, 1 and 1 beats); with more chords than beats they share its half-beats likewise;
- `/` or `.` keeps the chord before it for one share more: `| Dm7 / / G7 |` changes on the fourth beat;
- `%` alone in a bar repeats the bar before;
- `|: ... :|` is played twice, with `:|x3` three times in all; without `|:` the repeat goes back to the last `:|` or
  the top;
- `N.C.` is no chord;
- `#` at the start of a line or after a space begins a comment, up to the end of the line (so F#7 is safe).

Beats are quarter notes from the top of the song, whatever the meter.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction

from sideman.core.errors import ConfigError
from sideman_models.errors import ChordError
from sideman_models.harmony import Chord, parse_chord

BARS_A_LINE = 4
MOST_BARS = 4096
MOST_TIMES = 64
# A beat that arithmetic left this little before a change still belongs to the new chord.
TOLERANCE = 1e-9


class ChartError(ConfigError):
    """Changes or a meter that cannot be read."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A time signature: 1 to 16 notes of 1/1 to 1/16 in a bar."""

    numerator: int
    denominator: int

    @property
    def quarters(self) -> Fraction:
        """The length of a bar in quarter notes."""
        return Fraction(4 * self.numerator, self.denominator)

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"


def parse_meter(text: str) -> Meter:
    """A meter such as `4/4`, `3/4` or `6/8`; ChartError says what is allowed."""
    match = re.fullmatch(r"\s*([0-9]{1,2})\s*/\s*([0-9]{1,2})\s*", text)
    if match and 1 <= int(match[1]) <= 16 and int(match[2]) in (1, 2, 4, 8, 16):
        return Meter(int(match[1]), int(match[2]))
    raise ChartError(f"{text!r} is not a meter: write 4/4, 3/4, 6/8 (1 to 16 over 1, 2, 4, 8 or 16)")


@dataclass(frozen=True, slots=True)
class Bar:
    """The chords of a bar with their onsets in quarter notes from its bar line: the first at 0, no two alike meet."""

    chords: tuple[tuple[float, Chord], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A song's changes, repeats written out, played round and round. Never empty."""

    bars: tuple[Bar, ...]
    meter: Meter
    _beats: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _chords: tuple[Chord, ...] = field(init=False, repr=False, compare=False)
    length: float = field(init=False, repr=False, compare=False)
    """The length of a chorus in quarter notes."""

    def __post_init__(self) -> None:
        if not self.bars:
            raise ChartError("a chart needs at least one bar, such as | C7 |")
        changes = _changes(self.bars, float(self.meter.quarters))
        object.__setattr__(self, "_beats", tuple(beat for beat, _ in changes))
        object.__setattr__(self, "_chords", tuple(chord for _, chord in changes))
        object.__setattr__(self, "length", float(len(self.bars) * self.meter.quarters))

    def chord_at(self, beat: float) -> Chord:
        """The chord that sounds at a beat (quarter notes from the first top; the chart repeats for ever)."""
        return self._chords[bisect_right(self._beats, self._place(beat)) - 1]

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """The next different chord and the quarter notes until it; (the one chord, infinity) if it never changes."""
        if len(self._chords) == 1:
            return self._chords[0], math.inf
        place = self._place(beat)
        index = bisect_right(self._beats, place)
        if index < len(self._beats):
            return self._chords[index], self._beats[index] - place
        return self._chords[0], self._beats[0] + self.length - place

    def chords_in_bar(self, bar_index: int) -> tuple[Chord, ...]:
        """The chords of a bar, counted from 0 at the first top and going round."""
        return tuple(chord for _, chord in self.bars[bar_index % len(self.bars)].chords)

    def transposed(self, semitones: int) -> Chart:
        """The same song so many semitones higher."""
        bars = (Bar(tuple((at, chord.transposed(semitones)) for at, chord in bar.chords)) for bar in self.bars)
        return Chart(tuple(bars), self.meter)

    def text(self) -> str:
        """The chart as `parse_changes` reads it, four bars a line."""
        cells = [_bar_text(bar, self.meter) for bar in self.bars]
        lines = (cells[first : first + BARS_A_LINE] for first in range(0, len(cells), BARS_A_LINE))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _place(self, beat: float) -> float:
        """The beat within its chorus; one that lies a hair before a change is put on it."""
        length = self.length
        place = beat % length
        if length - place <= TOLERANCE:
            return 0.0
        index = bisect_right(self._beats, place)
        if index < len(self._beats) and self._beats[index] - place <= TOLERANCE:
            return self._beats[index]
        return place


def _changes(bars: tuple[Bar, ...], quarters: float) -> list[tuple[float, Chord]]:
    """Where a chord follows a different one, the end of the song being followed by its top."""
    flat = [(number * quarters + at, chord) for number, bar in enumerate(bars) for at, chord in bar.chords]
    before = [flat[-1][1], *(chord for _, chord in flat)]
    return [change for change, last in zip(flat, before, strict=False) if change[1] != last] or [(0.0, flat[0][1])]


def _onsets(count: int, meter: Meter) -> list[Fraction]:
    """Where `count` chords of one bar begin, in quarter notes; empty if they are more than its half-beats."""
    beats, unit = meter.numerator, Fraction(4, meter.denominator)
    if count > beats:
        beats, unit = 2 * beats, unit / 2
    if count > beats:
        return []
    share, over = divmod(beats, count)
    return [unit * (index * share + min(index, over)) for index in range(count)]


def _bar_text(bar: Bar, meter: Meter) -> str:
    """The bar as it will be read back: its bare chords if that will do, else beat by beat, else by half-beats."""
    chords = {at: chord.text for at, chord in bar.chords}
    for count in (len(chords), meter.numerator, 2 * meter.numerator):
        onsets = [float(at) for at in _onsets(count, meter)]
        if chords.keys() <= set(onsets):
            return " ".join(chords.get(at, "/") for at in onsets)
    raise ValueError(f"{bar} changes between the half-beats of {meter}")


_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_WORD = re.compile(r"(?P<line>:?\|+:?(?:\s*x\s*(?P<times>\d{1,9}))?|\n)|(?P<word>[^\s|:]+|:)")


def parse_changes(text: str, meter: Meter, source: str) -> Chart:
    """Read the changes (the module says what may stand in them). ChartError names `source`, bar and symbol."""
    return _Reader(meter, source).read(text)


class _Reader:
    """Goes through the words of a chart once, bar lines closing bars and repeats."""

    def __init__(self, meter: Meter, source: str) -> None:
        self._meter = meter
        self._source = source
        self._bars: list[Bar] = []
        self._words: list[str] = []
        self._repeat_from = 0
        self._repeat_open = False
        self._opened_at = 1
        self._written = 1  # the number of the bar being read, as a reader of the text counts
        self._parted = False  # a single bar line stands just before, on this line

    def read(self, text: str) -> Chart:
        for match in _WORD.finditer(_COMMENT.sub("", text)):
            if match["word"]:
                self._words.append(match["word"])
                self._parted = False
            else:
                self._bar_line(match["line"], match["times"])
        self._close_bar()
        if self._repeat_open:
            raise self._error("the repeat '|:' is never closed: write ':|' where it ends", self._opened_at)
        if not self._bars:
            raise ChartError(f"{self._source}: no chords; write changes such as | Dm7 | G7 | Cmaj7 | % |")
        return Chart(tuple(self._bars), self._meter)

    def _error(self, problem: str, bar: int | None = None) -> ChartError:
        return ChartError(f"{self._source}, bar {bar or self._written}: {problem}")

    def _bar_line(self, line: str, times: str | None) -> None:
        single = line == "|"
        if single and self._parted:
            raise self._error("nothing stands in it; write '%' to repeat the bar before, or 'N.C.' for no chord")
        self._parted = single
        self._close_bar()
        if line.startswith(":"):
            self._close_repeat(2 if times is None else int(times))
        elif times is not None:
            raise self._error(f"'x{times}' belongs behind the end of a repeat: ':|x{times}'")
        if line.endswith("|:"):
            self._open_repeat()

    def _open_repeat(self) -> None:
        if self._repeat_open:
            raise self._error("a repeat within a repeat; close the first with ':|' before opening the next")
        self._repeat_open = True
        self._opened_at = self._written
        self._repeat_from = len(self._bars)

    def _close_repeat(self, times: int) -> None:
        section = self._bars[self._repeat_from :]
        if not section:
            raise self._error("the repeat ':|' has no bars to repeat")
        if not 2 <= times <= MOST_TIMES:
            raise self._error(f"'x{times}': a part is played 2 to {MOST_TIMES} times")
        self._add(section * (times - 1))
        self._repeat_from = len(self._bars)
        self._repeat_open = False

    def _add(self, bars: list[Bar]) -> None:
        if len(self._bars) + len(bars) > MOST_BARS:
            raise self._error(f"the chart grows beyond {MOST_BARS} bars, its repeats written out")
        self._bars += bars

    def _close_bar(self) -> None:
        if self._words:
            self._add([self._bar_before() if self._words == ["%"] else self._bar(self._words)])
            self._words = []
            self._written += 1

    def _bar_before(self) -> Bar:
        if not self._bars:
            raise self._error("'%' repeats the bar before, and there is none; write a chord")
        return self._bars[-1]

    def _bar(self, words: list[str]) -> Bar:
        onsets = _onsets(len(words), self._meter)
        if not onsets:
            most = 2 * self._meter.numerator
            raise self._error(f"{len(words)} chords, of which a bar of {self._meter} holds {most} at most")
        last = self._bars[-1].chords[-1][1] if self._bars else None
        chords: list[tuple[float, Chord]] = []
        for onset, word in zip(onsets, words, strict=True):
            chord = self._chord(word, last)
            if chord != last or not chords:
                chords.append((float(onset), chord))
            last = chord
        return Bar(tuple(chords))

    def _chord(self, word: str, last: Chord | None) -> Chord:
        if word in ("/", "."):
            if last is None:
                raise self._error(f"{word!r} keeps the chord before it, and there is none; write a chord")
            return last
        if word == "%":
            raise self._error("'%' repeats a whole bar and stands alone in it; '/' keeps a chord for one share more")
        try:
            return parse_chord(word)
        except ChordError as error:
            raise self._error(str(error)) from None
