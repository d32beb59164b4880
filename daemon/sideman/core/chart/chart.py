# SPDX-License-Identifier: Apache-2.0
"""The changes as musicians write them, and the chord at any beat of the song, chorus after chorus.

`| Dm7 | G7 | Cmaj7 | % |` is four bars. What may stand in a chart:

- `|` or `||` or the end of a line ends a bar; spaces part the chords of a bar;
- several chords share their bar equally, the first ones getting a beat more when it does not divide
  (three chords in 4/4 last 2, 1 and 1 beats); with more chords than beats they share its half-beats likewise;
- `/` or `.` keeps the chord before it for one share more: `| Dm7 / / G7 |` changes on the fourth beat;
- `%` alone in a bar repeats the bar before, `%%` the two bars before (and stands for two);
- `|: ... :|` is played twice, with `:|x3` three times in all; without `|:` the repeat goes back to the last `:|` or
  the top;
- `[1]`, `[2]`, `[1,2]`, `[1-3]` before a bar begin an ending, which goes up to its `:|`; the last one may end in `||`;
- `[A]`, `[Bridge]` before a bar name the section that it begins;
- `Segno` and `Coda` stand before their bar; `To Coda`, `Fine`, `D.C.` and `D.S.` (`al Fine`, `al Coda`, `al 2nd
  ending`) behind theirs, before or after its bar line; `form` says how they are played;
- `N.C.` is no chord;
- `#` at the start of a line or after a space begins a comment, up to the end of the line (so F#7 is safe);
- before the first bar, lines such as `title: Blue Monk's Coat`; also `composer:`, `key:`, `tempo:` and `meter:`;
- a meter such as `3/4` before the chords of a bar: it holds from there on. Where the first bar has none, it is that of
  the settings.

Beats are quarter notes from the top of the song, whatever the meter.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

from sideman.core.chart.form import SIGN_PATTERN, Form, stands_before_bar
from sideman.core.errors import ConfigError
from sideman.core.positions import snapped_beat
from sideman_models.errors import ChordError
from sideman_models.music.harmony import Chord, parse_chord

BARS_PER_LINE = 4
MAX_NAME_LENGTH = 200
MAX_PROBLEM_LENGTH = 300


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
    meter: Meter


@dataclass(frozen=True, slots=True)
class ChartInfo:
    """What a chart tells besides its changes: empty or None where it does not.

    `key` is the symbol of its tonic chord (`Bb`, `Am`), `tempo` in quarter notes a minute; `sections` are (bar, name),
    bars counted from 0 in the order played.
    """

    title: str = ""
    composer: str = ""
    key: str = ""
    tempo: float | None = None
    sections: tuple[tuple[int, str], ...] = ()

    def transposed(self, semitones: int) -> ChartInfo:
        """The same in another key."""
        return replace(self, key=parse_chord(self.key).transposed(semitones).text if self.key else "")

    def __str__(self) -> str:
        parts = [self.title, f"by {self.composer}" if self.composer else "", f"in {self.key}" if self.key else ""]
        return ", ".join(filter(None, [*parts, f"{self.tempo:g} bpm" if self.tempo else ""]))


@dataclass(frozen=True, slots=True)
class Chart:
    """A song's changes, repeats written out, played round and round. Never empty.

    What it is `info` makes no difference to it: two charts of the same changes are equal.
    """

    bars: tuple[Bar, ...]
    info: ChartInfo = field(default=ChartInfo(), compare=False)
    _beats: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _chords: tuple[Chord, ...] = field(init=False, repr=False, compare=False)
    _bar_beats: tuple[float, ...] = field(init=False, repr=False, compare=False)
    length: float = field(init=False, repr=False, compare=False)
    """The length of a chorus in quarter notes."""

    def __post_init__(self) -> None:
        if not self.bars:
            raise ChartError("a chart needs at least one bar, such as | C7 |")
        *starts, length = accumulate((float(bar.meter.quarters) for bar in self.bars), initial=0.0)
        changes = _chord_changes(self.bars, starts)
        object.__setattr__(self, "_beats", tuple(beat for beat, _ in changes))
        object.__setattr__(self, "_chords", tuple(chord for _, chord in changes))
        object.__setattr__(self, "_bar_beats", tuple(starts))
        object.__setattr__(self, "length", length)

    @property
    def meter(self) -> Meter:
        """The meter of the first bar."""
        return self.bars[0].meter

    @property
    def meters(self) -> tuple[tuple[float, Meter], ...]:
        """The beats of a chorus on which a meter begins that the bar before has not, the first at 0."""
        before = [None, *(bar.meter for bar in self.bars)]
        timed = zip(self._bar_beats, self.bars, before, strict=False)
        return tuple((beat, bar.meter) for beat, bar, last in timed if bar.meter != last)

    def bar_at(self, beat: float) -> tuple[int, float]:
        """The bar that sounds at a beat, counted from 0 at the first top and going round, and the beat it begins on."""
        chorus, place = divmod(snapped_beat(beat), self.length)
        index = bisect_right(self._bar_beats, place) - 1
        return int(chorus) * len(self.bars) + index, chorus * self.length + self._bar_beats[index]

    def beat_of_bar(self, bar_index: int) -> float:
        """The beat on which a bar begins, counted from 0 at the first top and going round."""
        chorus, index = divmod(bar_index, len(self.bars))
        return chorus * self.length + self._bar_beats[index]

    def meter_at(self, beat: float) -> Meter:
        """The meter of the bar that sounds at a beat, the chart going round."""
        return self.bars[self.bar_at(beat)[0] % len(self.bars)].meter

    def chord_at(self, beat: float) -> Chord:
        """The chord that sounds at a beat (quarter notes from the first top; the chart repeats for ever)."""
        return self._chords[bisect_right(self._beats, snapped_beat(beat) % self.length) - 1]

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """Return the next different chord and the quarter notes until it; infinite if the chord never changes."""
        chord, change = self.next_change_beat(beat)
        return chord, change - snapped_beat(beat)

    def next_change_beat(self, beat: float) -> tuple[Chord, float]:
        """Return the next different chord and the beat on which it begins; infinite if the chord never changes."""
        if len(self._chords) == 1:
            return self._chords[0], math.inf
        chorus, place = divmod(snapped_beat(beat), self.length)
        index = bisect_right(self._beats, place)
        if index < len(self._beats):
            return self._chords[index], chorus * self.length + self._beats[index]
        return self._chords[0], (chorus + 1) * self.length + self._beats[0]

    def chords_in_bar(self, bar_index: int) -> tuple[Chord, ...]:
        """The chords of a bar, counted from 0 at the first top and going round."""
        return tuple(chord for _, chord in self.bars[bar_index % len(self.bars)].chords)

    def transposed(self, semitones: int) -> Chart:
        """The same song so many semitones higher."""
        bars = (
            Bar(tuple((at, chord.transposed(semitones)) for at, chord in bar.chords), bar.meter) for bar in self.bars
        )
        return Chart(tuple(bars), self.info.transposed(semitones))

    def text(self) -> str:
        """The chart as `parse_changes` reads it in its first meter, four bars a line, each section from a new one."""
        before = [self.meter, *(bar.meter for bar in self.bars)]
        cells = [_bar_text(bar, last) for bar, last in zip(self.bars, before, strict=False)]
        names = {at: f"[{name}]" for at, name in self.info.sections}
        starts = sorted({0, *names, len(cells)})
        lines: list[str] = []
        for first, end in pairwise(starts):
            lines += [names[first]] if first in names else []
            rows = (cells[at : min(at + BARS_PER_LINE, end)] for at in range(first, end, BARS_PER_LINE))
            lines += [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join(lines)


def _chord_changes(bars: tuple[Bar, ...], starts: Sequence[float]) -> list[tuple[float, Chord]]:
    """Where a chord follows a different one, the end of the song being followed by its top."""
    flat = [(start + at, chord) for start, bar in zip(starts, bars, strict=True) for at, chord in bar.chords]
    before = [flat[-1][1], *(chord for _, chord in flat)]
    return [change for change, last in zip(flat, before, strict=False) if change[1] != last] or [(0.0, flat[0][1])]


def chord_onsets(count: int, meter: Meter) -> list[Fraction]:
    """Where `count` chords of one bar begin, in quarter notes; empty if they are more than its half-beats."""
    beats, unit = meter.numerator, Fraction(4, meter.denominator)
    if count > beats:
        beats, unit = 2 * beats, unit / 2
    if count > beats:
        return []
    share, over = divmod(beats, count)
    return [unit * (index * share + min(index, over)) for index in range(count)]


def _bar_text(bar: Bar, before: Meter) -> str:
    """The bar as it will be read back: its bare chords if that will do, else beat by beat, else by half-beats.

    Its meter is told where it is not that of the bar `before`.
    """
    meter = bar.meter
    if meter != before:
        return f"{meter} {_bar_text(bar, meter)}"
    chords = {at: chord.text for at, chord in bar.chords}
    for count in (len(chords), meter.numerator, 2 * meter.numerator):
        places = [float(at) for at in chord_onsets(count, meter)]
        if chords.keys() <= set(places):
            return " ".join(chords.get(at, "/") for at in places)
    raise ValueError(f"{bar} changes between the half-beats of {meter}")


def make_bar(chords: Sequence[Chord], places: Sequence[Fraction], meter: Meter) -> Bar:
    """A bar of chords at these places (the first at 0), those left out that only go on."""
    kept = [at for at in range(len(chords)) if at == 0 or chords[at] != chords[at - 1]]
    return Bar(tuple((float(places[at]), chords[at]) for at in kept), meter)


def section_name(text: str) -> str:
    """A section's name as it can be printed and read back; empty if that leaves nothing of it."""
    name = " ".join("".join(each if each.isprintable() and each not in "[]#" else " " for each in text).split())
    return "" if _ENDING.fullmatch(name) else name[:MAX_NAME_LENGTH].strip()


_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_HEADER = re.compile(r"[ \t]*([A-Za-z]{2,20})[ \t]*:(?!\s*\|)(.*)")
_ENDING = re.compile(r"\s*[0-9]{1,3}\.?(\s*[,-]\s*[0-9]{1,3}\.?)*\s*")
_METER = re.compile(r"\d+/\d+")
_KEY = re.compile(r"([A-G][b#♭♯]?)[ \t]*(?:(m|-|min|minor)|maj|major)?", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?P<line>:?\|+:?(?:\s*x\s*(?P<times>\d{1,9}))?|\n)|\[(?P<mark>[^\]\n|]{0,300})\]"
    rf"|(?P<sign>(?i:{re.sub(r'P<[a-z]+>', ':', SIGN_PATTERN)}))(?=[\s|:\[]|$)|(?P<word>[^\s|:]+|:)"
)
_HEADER_NAMES = "title, composer, key, tempo and meter"


def parse_changes(text: str, meter: Meter, source: str) -> Chart:
    """Read the changes (the module says what may stand in them). ChartError names `source`, line, bar and symbol.

    `meter` is that of a chart which gives none. The line is told where there are several.
    """
    return _ChartReader(meter, source).read(text)


def parse_key(text: str) -> str:
    """A key such as `Bb`, `A minor`, `F#m` as the symbol of its tonic chord. Raises ValueError."""
    match = _KEY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a key: write Bb, F# minor, Am")
    return parse_chord(match[1][0].upper() + match[1][1:] + ("m" if match[2] else "")).text


def parse_tempo(text: str) -> float:
    """A tempo in quarter notes a minute, 20 to 400. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,4}(?:\.\d{1,4})?)\s*(?:bpm)?\s*", text, re.IGNORECASE | re.ASCII)
    if match is None or not 20 <= float(match[1]) <= 400:
        raise ValueError(f"{text.strip()!r} is not a tempo: write a number from 20 to 400, in quarter notes a minute")
    return float(match[1])


class _ChartReader:
    """Goes through the words of a chart once, bar lines closing bars and repeats."""

    def __init__(self, meter: Meter, source: str) -> None:
        self._meter = meter
        self._source = source
        self._info = ChartInfo()
        self._form: Form[Bar] = Form(self._error)
        self._words: list[str] = []
        self._signs_after_chords: list[str] = []  # signs that stand behind the chords of the bar being read
        self._after_bar_line = False  # a single bar line stands just before, on this line
        self._line = 1
        self._bar_lines: list[int] = []  # the line that each bar stands on
        self._has_several_lines = False

    def read(self, text: str) -> Chart:
        lines = _COMMENT.sub("", text).replace("\r\n", "\n").split("\n")
        self._has_several_lines = len(text.strip().splitlines()) > 1
        music = self._read_headers(lines)
        for match in _TOKEN.finditer("\n".join(["", *lines[music:]]) if music else "\n".join(lines)):
            self._read_token(match)
        self._close_bar()
        bars, sections = self._form.unfold()
        if not bars:
            raise ChartError(f"{self._source}: no chords; write changes such as | Dm7 | G7 | Cmaj7 | % |")
        return Chart(tuple(bars), replace(self._info, sections=sections))

    def _read_headers(self, lines: list[str]) -> int:
        """Take the lines before the music; where that begins."""
        for number, line in enumerate(lines):
            self._line = number + 1
            match = _HEADER.fullmatch(line)
            if match:
                self._read_header(match[1].lower(), match[2].strip())
            elif line.strip():
                self._line = max(1, number)  # the line break before the music counts on
                return number
        return len(lines)

    def _read_header(self, name: str, value: str) -> None:
        readers: dict[str, Callable[[str], Any]] = {
            "title": _checked_text,
            "composer": _checked_text,
            "key": parse_key,
            "tempo": parse_tempo,
            "meter": parse_meter,
        }
        if name not in readers:
            raise ChartError(f"{self._source}, line {self._line}: {name + ':'!r}: the lines on top are {_HEADER_NAMES}")
        if not value:
            return
        try:
            told = readers[name](value)
        except (ValueError, ChartError) as error:
            raise ChartError(f"{self._source}, line {self._line}: {name}: {error}") from None
        if isinstance(told, Meter):
            self._meter = told
        else:
            self._info = replace(self._info, **{name: told})

    def _read_token(self, match: re.Match[str]) -> None:
        if match["line"]:
            self._read_bar_line(match["line"], match["times"])
            return
        self._after_bar_line = False
        if match["mark"] is not None:
            self._read_mark(match["mark"].strip())
        elif match["sign"]:
            self._read_sign(match["sign"])
        elif not self._words and _METER.fullmatch(match["word"]):
            self._read_meter(match["word"])
        else:
            if self._signs_after_chords:
                raise self._error(f"{self._signs_after_chords[0]!r} must stand behind the last chord of its bar")
            self._words.append(match["word"])

    def _error(self, problem: str, bar: int | None = None) -> ChartError:
        bar = bar or len(self._form) + 1
        line = self._bar_lines[bar - 1] if bar <= len(self._bar_lines) else self._line
        place = f"line {line}, bar {bar}" if self._has_several_lines else f"bar {bar}"
        return ChartError(f"{self._source}, {place}: {problem[:MAX_PROBLEM_LENGTH]}")

    def _read_mark(self, text: str) -> None:
        if self._words:
            raise self._error(f"'[{text}]' must stand before the first chord of its bar")
        if _ENDING.fullmatch(text):
            self._form.start_ending(self._ending_numbers(text))
        elif name := section_name(text):
            self._form.start_section(name)
        else:
            raise self._error("'[]' has no name: write a section's, such as [A], or an ending's number, such as [1]")

    def _ending_numbers(self, text: str) -> tuple[int, ...]:
        """The times that an ending is for: `1`, `1,2`, `1-3`."""
        numbers = [int(each) for each in re.findall(r"\d+", text)]
        return tuple(range(numbers[0], numbers[1] + 1)) if "-" in text and len(numbers) == 2 else tuple(numbers)

    def _read_sign(self, text: str) -> None:
        if not self._words:
            self._form.add_sign(text)
        elif stands_before_bar(text):
            raise self._error(f"{text!r} must stand before the first chord of its bar")
        else:
            self._signs_after_chords.append(text)

    def _read_meter(self, text: str) -> None:
        try:
            self._meter = parse_meter(text)
        except ChartError as error:
            raise self._error(str(error)) from None

    def _read_bar_line(self, line: str, times: str | None) -> None:
        single = line == "|"
        if single and self._after_bar_line:
            raise self._error("nothing stands in it; write '%' to repeat the bar before, or 'N.C.' for no chord")
        self._after_bar_line = single
        self._close_bar()
        if line.startswith(":"):
            self._form.close_repeat(None if times is None else int(times))
        elif times is not None:
            raise self._error(f"'x{times}' belongs behind the end of a repeat: ':|x{times}'")
        elif line.startswith("||"):
            self._form.double_bar()
        if line.endswith("|:"):
            self._form.open_repeat()
        self._line += line.count("\n")

    def _close_bar(self) -> None:
        words, self._words = self._words, []
        for bar in self._make_bars(words) if words else []:
            self._form.add_bar(bar)
            self._bar_lines.append(self._line)
        for sign in self._signs_after_chords:
            self._form.add_sign(sign)
        self._signs_after_chords = []

    def _make_bars(self, words: list[str]) -> list[Bar]:
        if words not in (["%"], ["%%"]):
            return [self._make_bar(words)]
        count = len(words[0])
        before = [self._form.last_bar(back) for back in range(count, 0, -1)]
        bars = [bar for bar in before if bar is not None]
        if any(bar.meter != self._meter for bar in bars):
            raise self._error(f"{words[0]!r} repeats bars of another meter than {self._meter}; write the chords")
        if len(bars) < count:
            what = "the bar before, and there is none" if count == 1 else "two bars before, and there are not so many"
            raise self._error(f"{words[0]!r} repeats {what}; write a chord")
        return bars

    def _make_bar(self, words: list[str]) -> Bar:
        places = chord_onsets(len(words), self._meter)
        if not places:
            most = 2 * self._meter.numerator
            raise self._error(f"{len(words)} chords, of which a bar of {self._meter} holds {most} at most")
        before = self._form.last_bar()
        last = before.chords[-1][1] if before else None
        chords: list[Chord] = []
        for word in words:
            last = self._read_chord(word, last)
            chords.append(last)
        return make_bar(chords, places, self._meter)

    def _read_chord(self, word: str, last: Chord | None) -> Chord:
        if word in ("/", "."):
            if last is None:
                raise self._error(f"{word!r} keeps the chord before it, and there is none; write a chord")
            return last
        if word in ("%", "%%"):
            raise self._error(
                f"{word!r} repeats a whole bar and stands alone in it; '/' keeps a chord for one share more"
            )
        try:
            return parse_chord(word)
        except ChordError as error:
            raise self._error(str(error)) from None


def _checked_text(text: str) -> str:
    """A title or a name: printable, of reasonable length. Raises ValueError."""
    if not text.isprintable() or len(text) > MAX_NAME_LENGTH:
        raise ValueError(f"{MAX_NAME_LENGTH} printable characters at most")
    return text
