# SPDX-License-Identifier: Apache-2.0
"""Reads a chart from text as musicians write it: `| Dm7 | G7 | Cmaj7 | % |` is four bars.

- **Bars.** `|`, `||` or the end of a line ends a bar; spaces separate the chords of a bar. `N.C.` is no chord.
- **Several chords** share their bar equally. If it does not divide, the first ones get a beat more: three chords in 4/4
  last 2, 1 and 1 beats. More chords than beats share the half-beats in the same way.
- **`/` or `.`** keeps the chord before it for one more share: `| Dm7 / / G7 |` changes on the fourth beat.
- **`%`** alone in a bar repeats the bar before it; `%%` repeats the two bars before it, and stands for two bars.
- **Repeats.** `|: ... :|` is played twice, with `:|x3` three times in all. Without `|:` a repeat goes back to the last
  `:|` or to the top. `[1]`, `[2]`, `[1,2]`, `[1-3]` before a bar begin an ending, which lasts to its `:|`; the last
  ending may also end in `||`.
- **Sections.** `[A]`, `[Bridge]` before a bar name the section that begins there.
- **Signs.** `Segno` and `Coda` stand before their bar; `To Coda`, `Fine`, `D.C.` and `D.S.` (`al Fine`, `al Coda`, `al
  2nd ending`) stand after theirs, before or after its bar line. `form` says how they are played.
- **Meter.** `3/4` before the chords of a bar holds from that bar on. The meter of the settings holds before the first.
- **Headers.** Lines before the first bar: `title: Blue Monk's Coat`, `composer:`, `key:`, `tempo:`, `meter:`, `style:`.
- **Comments.** `#` at the start of a line or after a space begins a comment to the end of the line (so F#7 is safe).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, chord_onsets, make_bar, parse_meter
from sideman.core.chart.form import SIGN_PATTERN, Form, stands_before_bar
from sideman.core.chart.styles import Style, style_list, style_of
from sideman_models.errors import ChordError
from sideman_models.limits import CHART
from sideman_models.music.harmony import Chord, parse_chord

MAX_NAME_LENGTH = 200
MAX_PROBLEM_LENGTH = 300
MAX_WARNINGS = 20

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_HEADER = re.compile(r"[ \t]*([A-Za-z]{2,20})[ \t]*:(?!\s*\|)(.*)")
_ENDING = re.compile(r"\s*[0-9]{1,3}\.?(\s*[,-]\s*[0-9]{1,3}\.?)*\s*")
_METER = re.compile(r"\d+/\d+")
_KEY = re.compile(r"([A-G][b#♭♯]?)[ \t]*(?:(m|-|min|minor)|maj|major)?", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?P<line>:?\|+:?(?:\s*x\s*(?P<times>\d{1,9}))?|\n)|\[(?P<mark>[^\]\n|]{0,300})\]"
    rf"|(?P<sign>(?i:{re.sub(r'P<[a-z]+>', ':', SIGN_PATTERN)}))(?=[\s|:\[]|$)|(?P<word>[^\s|:]+|:)"
)


def parse_changes(text: str, meter: Meter, source: str) -> Chart:
    """Read a chart from `text`, as described at the top of this file.

    `meter` is used until the text gives one. A ChartError names `source`, the line (if there are several), the bar and
    the symbol.
    """
    return _ChartReader(meter, source).read(text)


def parse_key(text: str) -> str:
    """Return the symbol of the tonic chord of a key such as `Bb`, `A minor`, `F#m`. Raises ValueError."""
    match = _KEY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a key: write Bb, F# minor, Am")
    return parse_chord(match[1][0].upper() + match[1][1:] + ("m" if match[2] else "")).text


def parse_tempo(text: str) -> float:
    """Return a tempo of 20 to 400 quarter notes a minute. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,4}(?:\.\d{1,4})?)\s*(?:bpm)?\s*", text, re.IGNORECASE | re.ASCII)
    if match is None or not 20 <= float(match[1]) <= 400:
        raise ValueError(f"{text.strip()!r} is not a tempo: write a number from 20 to 400, in quarter notes a minute")
    return float(match[1])


def parse_style(text: str) -> Style:
    """Return the style of a text such as `Bossa Nova`. Raises ValueError."""
    if (style := style_of(text)) is None:
        raise ValueError(f"{text.strip()[:MAX_NAME_LENGTH]!r} is not a style: write {style_list()}")
    return style


def section_name(text: str) -> str:
    """Return a section's name in a form that can be printed and read back; empty if no such name is left of `text`."""
    text = text[: 8 * MAX_NAME_LENGTH]
    kept = "".join(char if char.isprintable() and char not in "[]#" else " " for char in text)
    name = " ".join(kept.split())
    return "" if _ENDING.fullmatch(name) else name[:MAX_NAME_LENGTH].strip()


class ReaderWarnings:
    """Collects what a reader of a file guessed. `source` is the file, and the song in it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._texts: dict[str, None] = {}  # in order, each once

    def add(self, problem: str, bar: int | str | None) -> None:
        """Add what was guessed at a bar, by its number as written; without a bar it is about the whole song."""
        place = f"{self._source}, bar {bar}" if bar else self._source
        self._texts[f"{place}: {problem[:MAX_PROBLEM_LENGTH]}"] = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The warnings; of very many only the first."""
        texts = [printable(text) for text in self._texts]
        more = len(texts) - MAX_WARNINGS
        return (*texts[:MAX_WARNINGS], *([f"{printable(self._source)}: {more} more warnings"] if more > 0 else []))


def printable(text: str) -> str:
    """Return a text with a blank for each run of what cannot be printed."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def unfolded_chart(form: Form[Bar], info: ChartInfo, missing: str, warnings: ReaderWarnings | None = None) -> Chart:
    """Return the chart of a form, with the `warnings` of its reader.

    A form without bars is a ChartError with the text `missing`.
    """
    bars, sections = form.unfold()
    if not bars:
        raise ChartError(missing)
    check_size(bars, missing.partition(":")[0])
    return Chart(tuple(bars), replace(info, sections=sections, warnings=warnings.texts if warnings else ()))


def check_size(bars: Sequence[Bar], source: str) -> None:
    """Refuse more chords than a chart may have. ChartError names `source`."""
    if sum(len(bar.chords) for bar in bars) > CHART.count:
        raise ChartError(f"{source}: more than {CHART.count} {CHART.items}")


def _checked_text(text: str) -> str:
    """Return a title or a name if it is printable and not too long. Raises ValueError."""
    if not text.isprintable() or len(text) > MAX_NAME_LENGTH:
        raise ValueError(f"{MAX_NAME_LENGTH} printable characters at most")
    return text


_HEADER_PARSERS: dict[str, Callable[[str], Any]] = {
    "title": _checked_text,
    "composer": _checked_text,
    "key": parse_key,
    "tempo": parse_tempo,
    "meter": parse_meter,
    "style": parse_style,
}


class _ChartReader:
    """Reads the tokens of a chart in one pass; a bar line closes the bar before it."""

    def __init__(self, meter: Meter, source: str) -> None:
        self._meter = meter
        self._source = source
        self._info = ChartInfo()
        self._form: Form[Bar] = Form(self._error)
        self._words: list[str] = []
        self._signs_after_chords: list[str] = []  # signs after the chords of the bar that is being read
        self._after_bar_line = False  # the last token is a single bar line on this line
        self._line = 1
        self._bar_lines: list[int] = []  # the number of the line on which each bar stands
        self._has_several_lines = False

    def read(self, text: str) -> Chart:
        lines = _COMMENT.sub("", text).replace("\r\n", "\n").split("\n")
        self._has_several_lines = len(text.strip().splitlines()) > 1
        first_line = len(lines)  # the index of the line on which the music begins
        for number, line in enumerate(lines):
            self._line = number + 1
            if match := _HEADER.fullmatch(line):
                self._read_header(match[1].lower(), match[2].strip())
            elif line.strip():
                self._line = first_line = number  # the line break before the music adds one
                break
        for match in _TOKEN.finditer("\n".join(["", *lines[first_line:]])):
            self._read_token(match)
        self._close_bar()
        missing = f"{self._source}: no chords; write changes such as | Dm7 | G7 | Cmaj7 | % |"
        return unfolded_chart(self._form, self._info, missing)

    def _read_header(self, name: str, text: str) -> None:
        place = f"{self._source}, line {self._line}"
        if name not in _HEADER_PARSERS:
            raise ChartError(f"{place}: {name + ':'!r}: the headers are title, composer, key, tempo, meter and style")
        if not text:
            return
        try:
            value = _HEADER_PARSERS[name](text)
        except (ValueError, ChartError) as error:
            raise ChartError(f"{place}: {name}: {error}") from None
        if isinstance(value, Meter):
            self._meter = value
        else:
            self._info = replace(self._info, **{name: value})

    def _read_token(self, match: re.Match[str]) -> None:
        if match["line"]:
            self._read_bar_line(match["line"], match["times"])
            return
        self._after_bar_line = False
        if match["mark"] is not None:
            self._read_mark(match["mark"].strip())
        elif match["sign"]:
            if not self._words:
                self._form.add_sign(match["sign"])
            elif stands_before_bar(match["sign"]):
                raise self._error(f"{match['sign']!r} must stand before the first chord of its bar")
            else:
                self._signs_after_chords.append(match["sign"])
        elif not self._words and _METER.fullmatch(match["word"]):
            try:
                self._meter = parse_meter(match["word"])
            except ChartError as error:
                raise self._error(str(error)) from None
        elif self._signs_after_chords:
            raise self._error(f"{self._signs_after_chords[0]!r} must stand after the last chord of its bar")
        else:
            self._words.append(match["word"])

    def _error(self, problem: str, bar: int | None = None) -> ChartError:
        bar = bar or len(self._form) + 1
        line = self._bar_lines[bar - 1] if bar <= len(self._bar_lines) else self._line
        place = f"line {line}, bar {bar}" if self._has_several_lines else f"bar {bar}"
        return ChartError(f"{self._source}, {place}: {problem[:MAX_PROBLEM_LENGTH]}")

    def _read_mark(self, text: str) -> None:
        """Read what stands in brackets: the numbers of an ending (`1`, `1,2`, `1-3`), or the name of a section."""
        if self._words:
            raise self._error(f"'[{text}]' must stand before the first chord of its bar")
        if _ENDING.fullmatch(text):
            numbers = tuple(map(int, re.findall(r"\d+", text)))
            is_range = "-" in text and len(numbers) == 2
            self._form.start_ending(tuple(range(numbers[0], numbers[1] + 1)) if is_range else numbers)
        elif name := section_name(text):
            self._form.start_section(name)
        else:
            raise self._error("'[]' has no name: write a section's, such as [A], or an ending's number, such as [1]")

    def _read_bar_line(self, line: str, times: str | None) -> None:
        is_single = line == "|"
        if is_single and self._after_bar_line:
            raise self._error("the bar is empty; write '%' to repeat the bar before, or 'N.C.' for no chord")
        self._after_bar_line = is_single
        self._close_bar()
        if line.startswith(":"):
            self._form.close_repeat(None if times is None else int(times))
        elif times is not None:
            raise self._error(f"'x{times}' must follow the end of a repeat: ':|x{times}'")
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
        """Return the bar that `words` mean; for `%%` two bars."""
        if words not in (["%"], ["%%"]):
            return [self._make_bar(words)]
        count = len(words[0])
        bars = self._form.last_bars(count)
        if any(bar.meter != self._meter for bar in bars):
            raise self._error(f"{words[0]!r} repeats bars of another meter than {self._meter}; write the chords")
        if len(bars) < count:
            repeated = "the bar before, but there is none" if count == 1 else "the two bars before, but there are fewer"
            raise self._error(f"{words[0]!r} repeats {repeated}; write a chord")
        return bars

    def _make_bar(self, words: list[str]) -> Bar:
        onsets = chord_onsets(len(words), self._meter)
        if not onsets:
            most = 2 * self._meter.numerator
            raise self._error(f"{len(words)} chords, but a bar of {self._meter} holds {most} at most")
        bars_before = self._form.last_bars(1)
        chord = bars_before[0].chords[-1][1] if bars_before else None
        chords: list[Chord] = []
        for word in words:
            if word in ("%", "%%"):
                raise self._error(f"{word!r} repeats a whole bar and stands alone in it; '/' keeps the chord before it")
            if word not in ("/", "."):
                try:
                    chord = parse_chord(word)
                except ChordError as error:
                    raise self._error(str(error)) from None
            elif chord is None:
                raise self._error(f"{word!r} keeps the chord before it, but there is none; write a chord")
            chords.append(chord)
        return make_bar(chords, onsets, self._meter)
