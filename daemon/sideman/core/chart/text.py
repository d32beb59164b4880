# SPDX-License-Identifier: Apache-2.0
"""Reads a chart from text as musicians write it: `| Dm7 | G7 | Cmaj7 | % |` is four bars.

- **Bars.** `|`, `||` or the end of a line ends a bar; spaces or commas separate the chords of a bar. `N.C.` is no
  chord. On a line without any bar line each word is a bar, and chords with a comma and no space (`Dm7,G7`) share one;
  with `/` in it, each word is a beat. `| Dm7,G7 C |` has two halves, the first of which two chords share.
- **Several chords** share their bar equally. If it does not divide, the first ones get a beat more: three chords in 4/4
  last 2, 1 and 1 beats. More chords than beats share the half-beats in the same way.
- **`/` or `.`** keeps the chord before it for one more share: `| Dm7 / / G7 |` changes on the fourth beat.
- **`%`** alone in a bar repeats the bar before it; `%%` repeats the two bars before it, and stands for two bars.
- **Repeats.** `|: ... :|` is played twice, with `:|x3` three times in all. Without `|:` a repeat goes back to the last
  `:|` or to the top. `[1]`, `[2]`, `[1,2]`, `[1-3]` before a bar begin an ending, which lasts to its `:|`; the last
  ending may also end in `||`.
- **Sections.** `[A]`, `[Bridge]` before a bar name the section that begins there; so do `A:`, `Verse 2:` at the start
  of a line, and `Verse 2` alone on one.
- **Signs.** `Segno` and `Coda` stand before their bar; `To Coda`, `Fine`, `D.C.` and `D.S.` (`al Fine`, `al Coda`, `al
  2nd ending`) stand after theirs, before or after its bar line. `form` says how they are played.
- **Meter.** `3/4` before the chords of a bar holds from that bar on. The meter of the settings holds before the first.
- **Headers.** Lines before the first bar: `title: Blue Monk's Coat`, `composer:`, `key:`, `tempo:`, `meter:`, `style:`,
  several on a line if commas part them, also as `Key=F`. A first line that is nothing else is the title.
- **Left out, with a warning:** alternatives in parentheses (`Dm7 (Ab7)`) unless they are alone in their bar, headers
  that say something else, and what Band-in-a-Box writes around a chord (`^C`, `C...`). Its short chords (`CJ`, `CH`,
  `CD`, `CS`) are read. A bar may begin with its number.
- **Comments.** `#` at the start of a line or after a space begins a comment to the end of the line (so F#7 is safe).

A text with mistakes is refused, with all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from msgspec.structs import replace

from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, chord_onsets, make_bar, parse_meter
from sideman.core.chart.form import MAX_BARS, SIGN_PATTERN, Form, stands_before_bar
from sideman.core.chart.styles import style_list, style_of
from sideman_models.errors import ChordError
from sideman_models.limits import CHART
from sideman_models.music.harmony import NO_CHORD, Chord, parse_chord
from sideman_models.text import closest

MAX_NAME_LENGTH = 200
MAX_PROBLEM_LENGTH = 300
MAX_WARNINGS = 20
MAX_PROBLEMS = 20
"""The most mistakes of a text that are named."""

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_HEADER = re.compile(r"[ \t]*([A-Za-z]{2,20})[ \t]*[:=](?!\s*\|)(.*)")
_LABEL = re.compile(
    r"^[ \t]*((?i:intro|verse|chorus|refrain|bridge|head|solos?|interlude|vamp|tag|outro)(?:[ \t]*\d{1,2})?"
    r"|[A-H]\d?(?=:\s))[ \t]*(?::(?=\s)|:?[ \t]*$)"
)
_SIGN = re.compile(SIGN_PATTERN, re.IGNORECASE)
_GROUP = re.compile(r"(?:^|(?<=[\s|:]))\(([^()|\n]{1,200})\)(?=[\s|:]|$)")
_CHORD_LIKE = re.compile(r"[A-G][b#]?(?:\d|m\d|-|\+|maj|min|dim|sus|aug|/).*|N\.?C\.?|[%/.]|%%")
_DECORATED = re.compile(r"(\^{0,2})(.*?)(\.{0,3})")
_SHORTCUT = re.compile(r"([A-G][b#]?)([JHDS]7?)(/.*)?")
_SHORTCUTS = {
    "J": "maj7", "J7": "maj7", "H": "m7b5", "H7": "m7b5", "D": "dim", "D7": "dim7", "S": "sus", "S7": "7sus"
}  # fmt: skip
"""The letters that Band-in-a-Box takes for a chord."""
_COMMA = re.compile(r",(?![^()]*\))")
_ENDING = re.compile(r"\s*[0-9]{1,3}\.?(\s*[,-]\s*[0-9]{1,3}\.?)*\s*")
_METER = re.compile(r"\d+/\d+")
_KEY = re.compile(r"([A-G][b#♭♯]?)[ \t]*(?:(m|-|min|minor)|maj|major)?", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?P<line>:?\|+:?(?:\s*x\s*(?P<times>\d{1,9}))?|\n)|\[(?P<mark>[^\]\n|]{0,300})\]"
    rf"|(?P<sign>(?i:{re.sub(r'P<[a-z]+>', ':', SIGN_PATTERN)}))(?=[\s|:\[]|$)"
    r"|(?P<number>\d{1,5}[.:]?)(?=\s)|(?P<word>[^\s|:]+|:)"
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
    "style": _checked_text,
}
_OTHER_NAMES = {
    "name": "title", "by": "composer", "music": "composer", "bpm": "tempo", "time": "meter", "feel": "style",
    "groove": "style", "rhythm": "style",
}  # fmt: skip
_KNOWN_HEADERS = "|".join([*_HEADER_PARSERS, *_OTHER_NAMES])
_NEXT_HEADER = re.compile(  # possessive, and from the first blank on: a line of blanks costs only its length
    rf"(?<![ \t])(?:[ \t]*+[,;][ \t]*+|[ \t]{{2,}}+|\t)(?=(?:{_KNOWN_HEADERS})[ \t]*+[:=](?!\s*\|))", re.IGNORECASE
)


def _is_title(line: str) -> bool:
    """Whether most of a line without bar lines is neither chords nor signs."""
    if "|" in line or "[" in line or len(line) > MAX_NAME_LENGTH:
        return False
    words = [match["sign"] or match["word"] or "" for match in _TOKEN.finditer(line)]
    chords = sum(bool(_CHORD_LIKE.fullmatch(word) or _SIGN.fullmatch(word) or _is_chord(word)) for word in words)
    return 2 * chords <= len(words)


def _is_chord(word: str) -> bool:
    try:
        parse_chord(word)
    except ChordError:
        return False
    return True


class _ChartReader:
    """Reads the tokens of a chart in one pass; a bar line closes the bar before it."""

    def __init__(self, meter: Meter, source: str) -> None:
        self._meter = meter
        self._source = source
        self._info = ChartInfo()
        self._warnings = ReaderWarnings(source)
        self._problems: dict[str, None] = {}  # in order, each once
        self._form: Form[Bar] = Form(self._error)
        self._words: list[str] = []
        self._signs_after_chords: list[str] = []  # signs after the chords of the bar that is being read
        self._after_bar_line = False  # the last token is a single bar line on this line
        self._line = 1
        self._bar_lines: list[int] = []  # the number of the line on which each bar stands
        self._has_several_lines = False
        self._bare_lines: dict[int, str] = {}  # lines without a bar line, and what a word on them is: a bar or a beat

    def read(self, text: str) -> Chart:
        plain = _COMMENT.sub("", text).replace("\r\n", "\n")
        lines = [_LABEL.sub(r"[\1]", line) for line in plain.split("\n")]
        self._has_several_lines = len(text.strip().splitlines()) > 1
        first_line = self._read_headers(lines)
        self._line = first_line  # the line break before the music adds one
        music = [self._plain_line(line, at) for at, line in enumerate(lines[first_line:], first_line + 1)]
        for match in _TOKEN.finditer("\n".join(["", *music])):
            try:
                self._read_token(match)
            except ChartError as error:
                self._problems[str(error)] = None
                if len(self._problems) > MAX_PROBLEMS or len(self._form) == MAX_BARS:
                    break
        return self._finished()

    def _finished(self) -> Chart:
        chart, missing = None, f"{self._source}: no chords; write changes such as | Dm7 | G7 | Cmaj7 | % |"
        try:
            self._close_bar()
            chart = unfolded_chart(self._form, self._info, missing, self._warnings)
        except ChartError as error:
            if str(error) != missing or not self._problems:
                self._problems[str(error)] = None
        problems = list(self._problems)
        if len(problems) > MAX_PROBLEMS:
            problems[MAX_PROBLEMS:] = [f"{self._source}: … and more mistakes"]
        if chart is None or problems:
            raise ChartError("\n".join(problems))
        return chart

    def _read_headers(self, lines: list[str]) -> int:
        """Read what stands before the music. Return the index of the line on which the music begins."""
        has_music_after = [False] * len(lines)
        for at in range(len(lines) - 2, -1, -1):
            has_music_after[at] = has_music_after[at + 1] or bool(lines[at + 1].strip())
        for at, line in enumerate(lines):
            self._line = at + 1
            if _HEADER.fullmatch(line):
                for each in _NEXT_HEADER.split(line.strip()):
                    name, text = _HEADER.fullmatch(each).groups()  # type: ignore[union-attr]
                    self._read_header(name.lower(), text.strip())
            elif line.strip():
                if self._info.title or not has_music_after[at] or not _is_title(line):
                    return at
                self._read_header("title", line.strip())
        return len(lines)

    def _read_header(self, name: str, text: str) -> None:
        place = f"{self._source}, line {self._line}"
        name = _OTHER_NAMES.get(name, name)
        if name not in _HEADER_PARSERS:
            if (near := closest(name, _HEADER_PARSERS)) is not None:
                names = "title, composer, key, tempo, meter and style"
                self._problems[f"{place}: {name + ':'!r}: the headers are {names}; did you mean {near}?"] = None
            else:
                self._warnings.add(f"line {self._line}: '{name}:' left out", None)
            return
        if not text:
            return
        try:
            value = _HEADER_PARSERS[name](text)
        except (ValueError, ChartError) as error:
            self._problems[f"{place}: {name}: {error}"] = None
            return
        if isinstance(value, Meter):
            self._meter = value
        elif name == "style" and (value := style_of(text)) is None:
            self._warnings.add(f"line {self._line}: style {text!r} left out: write {style_list()}", None)
        else:
            self._info = replace(self._info, **{name: value})

    def _plain_line(self, line: str, number: int) -> str:
        """Return a line of the music without alternative chords, and note whether it has bar lines."""

        def left_out(match: re.Match[str]) -> str:
            before, after = line[: match.start()].rstrip(), line[match.end() :].lstrip()
            if before[-1:] in ("", "|", ":") and after[:1] in ("", "|", ":") and "|" in line:
                return match[1]  # alone in its bar
            self._warnings.add(f"line {number}: ({match[1].strip()}) is an alternative: left out", None)
            return " "

        if _HEADER.fullmatch(line) and "|" not in line:
            name = line.strip()[:MAX_NAME_LENGTH]
            self._problems[f"{self._source}, line {number}: {name!r} must stand before the first bar"] = None
            return ""
        line = _GROUP.sub(left_out, line) if "(" in line else line
        if "|" not in line and line.strip():
            words = [match["word"] for match in _TOKEN.finditer(line) if match["word"]]
            beats = {"/", "."}.intersection(words)
            if not beats or (len(words) > self._meter.numerator and len(words) % self._meter.numerator == 0):
                self._bare_lines[number] = "beat" if beats else "bar"
            if len(words) > (self._meter.numerator if beats else 1) and number in self._bare_lines:
                unit = "a beat a word" if beats else "a bar a chord"
                self._warnings.add(f"lines without bar lines are read as {unit}", None)
        return line

    def _read_token(self, match: re.Match[str]) -> None:
        if match["line"]:
            self._read_bar_line(match["line"], match["times"])
            return
        self._after_bar_line = False
        bare = self._bare_lines.get(self._line)
        is_full = len(self._words) >= (self._meter.numerator if bare == "beat" else 1)
        opens = match["mark"] is not None or (match["sign"] and stands_before_bar(match["sign"]))
        if bare and self._words and (opens or (is_full and not match["sign"])):
            self._close_bar()
        if match["mark"] is not None:
            self._read_mark(match["mark"].strip())
        elif match["sign"]:
            self._read_sign(match["sign"])
        elif match["number"]:
            self._read_number(match["number"])
        else:
            self._read_word(match["word"])

    def _read_sign(self, sign: str) -> None:
        if not self._words:
            self._form.add_sign(sign)
        elif stands_before_bar(sign):
            raise self._error(f"{sign!r} must stand before the first chord of its bar")
        else:
            self._signs_after_chords.append(sign)

    def _read_number(self, number: str) -> None:
        """Read the number of the bar that it stands before."""
        if self._words or int(number.rstrip(".:")) != len(self._form) + 1:
            advice = "a number before the chords of a bar is the bar's, counted as written"
            raise self._error(f"{number!r} is no chord; {advice}")

    def _read_word(self, word: str) -> None:
        if not self._words and _METER.fullmatch(word):
            try:
                self._meter = parse_meter(word)
            except ChartError as error:
                raise self._error(str(error)) from None
        elif self._signs_after_chords:
            raise self._error(f"{self._signs_after_chords[0]!r} must stand after the last chord of its bar")
        else:
            self._words.append(word)

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
            cells = [[part for part in _COMMA.split(word) if part] or [word] for word in words]
            if sorted(map(len, cells)) == [1, 2]:  # Band-in-a-Box: half a bar each
                cells = [cell if len(cell) > 1 else [*cell, "/"] for cell in cells]
            return [self._make_bar([word for cell in cells for word in cell])]
        count = len(words[0])
        bars = self._form.last_bars(count)
        if any(bar.meter != self._meter for bar in bars):
            self._add_problem(f"{words[0]!r} repeats bars of another meter than {self._meter}; write the chords")
        if len(bars) < count:
            repeated = "the bar before, but there is none" if count == 1 else "the two bars before, but there are fewer"
            self._add_problem(f"{words[0]!r} repeats {repeated}; write a chord")
            bars = [Bar(((0.0, NO_CHORD),), self._meter)] * count
        return bars

    def _add_problem(self, problem: str) -> None:
        """Note a mistake in a bar, which is read on: the next ones are to be named, too."""
        self._problems[str(self._error(problem))] = None

    def _make_bar(self, words: list[str]) -> Bar:
        onsets = chord_onsets(len(words), self._meter)
        if not onsets:
            most = 2 * self._meter.numerator
            self._add_problem(f"{len(words)} chords, but a bar of {self._meter} holds {most} at most")
            words, onsets = words[:1], [Fraction(0)]
        bars_before = self._form.last_bars(1)
        chord = bars_before[0].chords[-1][1] if bars_before else None
        chords: list[Chord] = []
        for word in words:
            if word in ("%", "%%"):
                self._add_problem(f"{word!r} repeats a whole bar and stands alone in it; '/' keeps the chord before it")
            elif word not in ("/", "."):
                chord = self._chord(word)
            elif chord is None:
                self._add_problem(f"{word!r} keeps the chord before it, but there is none; write a chord")
            chords.append(chord or NO_CHORD)
        return make_bar(chords, onsets, self._meter)

    def _chord(self, word: str) -> Chord:
        push, plain, hold = _DECORATED.fullmatch(word).groups()  # type: ignore[union-attr]
        if (push or hold) and plain and not plain.endswith("alt") and plain not in ("N.C", "N.C.", "n.c"):
            self._warnings.add(f"{word!r} is read as {plain!r}", len(self._form) + 1)
            word = plain
        if (short := _SHORTCUT.fullmatch(word)) is not None:
            plain = short[1] + _SHORTCUTS[short[2]] + (short[3] or "")
            self._warnings.add(f"{word!r} is read as {plain!r}", len(self._form) + 1)
            word = plain
        try:
            return parse_chord(word)
        except ChordError as error:
            self._add_problem(str(error))
            return NO_CHORD
