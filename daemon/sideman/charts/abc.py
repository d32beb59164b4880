# SPDX-License-Identifier: Apache-2.0
"""Reads tunes in ABC notation (`.abc`, standard 2.1) that have chord symbols as charts.

A tune begins with `X:` and ends at an empty line; what stands before the first one holds for all. What is read:

- **Fields:** `T:` title, `C:` composer, `M:` meter, `L:` unit of note lengths, `Q:` tempo, `R:` rhythm (the style),
  `K:` key, `P:` the order of the parts (`A(AB)3C`); between the notes `M:`, `L:`, and `P:`, where a part begins. Of
  several voices (`V:`) the one with the most chords.
- **Chords** stand in quotes before a note. They begin on the nearest beat or half-beat. A text in quotes that begins
  with `^`, `_`, `<`, `>` or `@` is a remark; those that are signs (`"^D.C. al Fine"`) are read as signs.
- **Notes, rests, tuplets, broken rhythm** say how much time passes.
- **Bar lines,** repeats, endings (`|1`, `[2`, `:|2`), and the decorations `!segno!`, `!coda!`, `!fine!`, `!D.C.!`, ….

The first bar is a pick-up, and left out, if it is shorter than its meter; so is a short bar that completes the short
bar before it. A tune is refused only if it has no chords: whatever else is wrong with it is played as near as can be,
with a warning that names the tune and the bar.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter

from msgspec.structs import replace

from sideman.charts.songs import Song
from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, bar_on_grid, parse_meter
from sideman.core.chart.form import MAX_BARS, MAX_PASSES, Form, stands_before_bar
from sideman.core.chart.styles import style_of
from sideman.core.chart.text import (
    MAX_NAME_LENGTH,
    ReaderWarnings,
    check_size,
    parse_key,
    printable,
    section_name,
    unfolded_chart,
)
from sideman_models.errors import ChordError
from sideman_models.limits import TUNE, TUNES
from sideman_models.music.german import from_german, is_german
from sideman_models.music.harmony import NO_CHORD, Chord, nearest_chord

_MAX_LENGTH = 64
"""No note is longer than this many quarter notes: a larger number is a mistake."""
_FIELD = re.compile(r"([A-Za-z+]):(?![|:])(.*)")
_LENGTH = r"(?P<{0}n>\d{{0,4}})(?P<{0}s>/{{0,4}})(?P<{0}d>\d{{0,4}})"
_TOKEN = re.compile(
    r"\[(?P<field>[A-Za-z]):(?P<value>[^\]\n]*)\]|\"(?P<text>[^\"\n]*)\"|!(?P<sign>[^!\n|]{1,40})!|\+(?P<old>[^+\n|]{1,40})\+"
    r"|\{[^}\n]*\}|\((?P<tuplet>[2-9])(?::(?P<into>\d?))?(?::(?P<for>\d?))?"
    r"|(?P<line>:*\[?\|+[\]|]*:*|:{2,})(?P<after>[ \t]*\[?[1-9][\d,\-.]*)?|\[(?P<ending>[1-9][\d,\-.]*)"
    r"|(?P<bars>Z)(?P<count>\d{0,3})"
    rf"|(?:[_^=]*[A-Ga-g][,']*|[zx]|\[(?P<inner>[^\]\n:|\"]+)\]){_LENGTH.format('')}|(?P<broken>>{{1,3}}|<{{1,3}})|(?P<overlay>&)"
)
_INNER = re.compile(rf"[A-Ga-gzx][,']*{_LENGTH.format('')}")
_SIGNS = {
    "segno": "Segno", "coda": "Coda", "fine": "Fine", "tocoda": "To Coda", "dacoda": "D.C. al Coda", "dacapo": "D.C.",
    "dc": "D.C.", "ds": "D.S.", "dalsegno": "D.S.", "dcalfine": "D.C. al Fine", "dcalcoda": "D.C. al Coda",
    "dsalfine": "D.S. al Fine", "dsalcoda": "D.S. al Coda", "dacapoalfine": "D.C. al Fine",
    "dacapoalcoda": "D.C. al Coda", "dalsegnoalfine": "D.S. al Fine", "dalsegnoalcoda": "D.S. al Coda",
}  # fmt: skip
_TUPLET_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
_ORDER = re.compile(r"([A-Za-z])|([(])|([)])|(\d{1,3})")
_KEY = re.compile(r"([A-G][b#]?)[ \t]*([A-Za-z]*)")
_MAX_TEMPO_LENGTH = 100
_TEMPO = re.compile(r"((?:\d{1,3}/\d{1,3}[ \t]*)*)=?[ \t]*(\d{1,4}(?:\.\d{1,3})?)\s*$")


def abc_songs(text: str, source: str) -> list[Song]:
    """The tunes of a text. ChartError names `source`."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    starts = [at for at, line in enumerate(lines) if line.startswith("X:")]
    if len(starts) > TUNES.count:
        raise ChartError(f"{source}: more than {TUNES.count} {TUNES.items}")
    if not starts:
        raise ChartError(f"{source}: no tune in ABC: each begins with a line such as X:1")
    head = [line for line in lines[: starts[0]] if _FIELD.match(line)]
    songs = []
    for number, (first, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True), 1):
        title = next((line[2:].strip() for line in lines[first:end] if line.startswith("T:")), "")
        title = printable(title[:MAX_NAME_LENGTH]) or f"tune {number}"
        songs.append(Song(title, partial(_read_tune, f"{source}, {title}", title, head, lines[first:end])))
    return songs


def _read_tune(place: str, title: str, head: list[str], lines: list[str]) -> Chart:
    if sum(map(len, lines)) > TUNE.bytes:
        raise ChartError(f"{place}: its music is too long for a tune: more than {TUNE.size_text}")
    return _TuneReader(place, title).read([*head[:100], *lines])


_QUOTED = re.compile(r'"([^"]*)"')


class _TuneReader:
    """Reads a tune from its first field to its last bar line."""

    def __init__(self, source: str, title: str) -> None:
        self._source = source
        self._warnings = ReaderWarnings(source)
        self._form: Form[Bar] = Form(self._error, self._warnings.add)
        self._info = ChartInfo(title)
        self._meter = Meter(4, 4)
        self._unit: Fraction | None = None  # the length of a note without a number, in quarter notes
        self._last: Chord = NO_CHORD
        self._has_chords = self._is_german = False
        self._at = Fraction(0)  # how far the bar that is being read has got, in quarter notes
        self._longest = Fraction(0)
        self._chords: list[tuple[Fraction, Chord]] = []
        self._signs_after: list[str] = []
        self._note = Fraction(0)  # the length of the last note
        self._broken = Fraction(1)  # by how much the next note is longer
        self._tuplet = (Fraction(1), 0)  # by how much notes are longer, and how many
        self._missing = Fraction(0)  # of the short bar before
        self._order = ""  # in which the parts are played

    def read(self, lines: list[str]) -> Chart:
        music = self._read_head(lines)
        voice = self._voice(music)
        texts = (text for line in voice for text in _QUOTED.findall(line))
        if is_german(texts):
            self._is_german = True
            self._warnings.add("its chords have German letters: H is read as B, and B as Bb", None)
        for text in voice:
            self._read_line(text)
        self._end_bar()
        if not self._has_chords:
            raise ChartError(f'{self._source}: no chord symbols in it, such as "Am7" before a note')
        chart = unfolded_chart(self._form, self._info, f"{self._source}: no bars in it", self._warnings)
        return self._in_order(chart) if self._order else chart

    def _in_order(self, chart: Chart) -> Chart:
        """The chart with its parts in the order that the head of the tune gives."""
        starts = [(0, ""), *chart.info.sections, (len(chart.bars), "")]
        spans = [(name[:1], first, end) for (first, name), (end, _) in pairwise(starts)]
        runs = [list(run) for _, run in groupby(spans, itemgetter(0))]  # a part with its repeats
        parts: dict[str, tuple[Bar, ...]] = {}
        for run in runs:
            parts.setdefault(run[0][0], chart.bars[run[0][1] : run[-1][2]])
        order, opening = _play_order(self._order), parts.pop("", ())
        if missing := [name for name in dict.fromkeys(order) if name not in parts]:
            self._warnings.add(f"P:{self._order[:40]}: no part is marked {' or '.join(missing[:5])}: left out", None)
        wanted = [(name, parts[name]) for name in order if name in parts]
        count = len(opening) + sum(len(bars) for _, bars in wanted)
        if not wanted or count > MAX_BARS:
            self._warnings.add(
                f"P:{self._order[:40]}: {'too long' if wanted else 'no such parts'}: played as written", None
            )
            return Chart(chart.bars, replace(chart.info, warnings=self._warnings.texts))
        bars, sections = list(opening), []
        for name, more in wanted:
            sections.append((len(bars), name))
            bars += more
        check_size(bars, self._source)
        return Chart(tuple(bars), replace(chart.info, sections=tuple(sections), warnings=self._warnings.texts))

    def _error(self, problem: str, bar: int) -> ChartError:
        return ChartError(f"{self._source}, bar {bar}: {problem}")

    def _doubt(self, problem: str) -> None:
        self._warnings.add(problem, len(self._form) + 1)

    # -- fields

    def _read_head(self, lines: list[str]) -> list[str]:
        """Read the fields up to the key. Return the lines of the music, which an empty line ends."""
        for at, line in enumerate(lines):
            if match := _FIELD.match(line):
                self._read_field(match[1], _without_comment(match[2]))
                if match[1] == "K":
                    body = lines[at + 1 :]
                    end = next((number for number, each in enumerate(body) if not each.strip()), len(body))
                    return body[:end]
        self._warnings.add("it has no key (K:), which ends the head of a tune", None)
        return [line for line in lines if not _FIELD.match(line)]

    def _read_field(self, name: str, text: str) -> None:
        text = text.strip()
        match name:
            case "C" if not self._info.composer:
                self._info = replace(self._info, composer=section_name(text))
            case "P":
                self._order = text
            case "R":
                self._info = replace(self._info, style=style_of(text))
            case "Q":
                self._info = replace(self._info, tempo=_tempo(text) or self._info.tempo)
            case "K" if not self._info.key:
                self._info = replace(self._info, key=_key(text))
            case "M":
                self._read_meter(text)
            case "L" if match := re.fullmatch(r"(\d{1,2})/(\d{1,3})", text):
                unit = Fraction(4 * int(match[1]), int(match[2]) or 1)
                self._unit = unit if 0 < unit <= _MAX_LENGTH else self._unit

    def _read_meter(self, text: str) -> None:
        text = {"C": "4/4", "C|": "2/2", "none": "4/4", "": "4/4"}.get(text, text)
        sums = re.fullmatch(r"\(?([\d+ ]{1,20})\)?/(\d{1,2})", text)
        try:
            beats = sum(int(each) for each in sums[1].split("+") if each.strip()) if sums else 0
            self._meter = parse_meter(f"{beats}/{sums[2]}" if sums else text)
        except (ChartError, ValueError):
            self._doubt(f"{text[:40]!r} is not a meter that is played here: it stays {self._meter}")

    def _voice(self, lines: list[str]) -> list[str]:
        """Return the lines of the voice that has the most chords, with the fields that hold for all."""
        voices: dict[str, list[str]] = {"": []}
        name = ""
        for line in lines:
            if line.startswith("%") or line[:2] in ("w:", "W:", "s:"):
                continue
            match = re.match(r"V:\s*(\S+).*|\[V:\s*([^\s\]]+)[^\]]*\]", line)
            if match:
                name = match[1] or match[2]
            voices.setdefault(name, []).append(_without_comment(line[match.end() :] if match else line))
        return max(voices.values(), key=lambda each: sum(len(re.findall(r'"[A-H]', line)) for line in each))

    # -- music

    def _read_line(self, line: str) -> None:
        if match := _FIELD.match(line):
            self._take_field(match[1], match[2])
            return
        for match in _TOKEN.finditer(line):
            self._take(match)

    def _take_field(self, name: str, text: str) -> None:
        if name == "P":
            self._end_bar()
            if label := section_name(text):
                self._form.start_section(label)
        elif name in "ML":
            self._read_field(name, text)

    def _take(self, token: re.Match[str]) -> None:
        match token.lastgroup:
            case "value":
                self._take_field(token["field"], token["value"])
            case "text":
                self._take_text(token["text"])
            case "sign" | "old":
                self._take_sign(token["sign"] or token["old"])
            case "line" | "after":
                self._take_bar_line(token["line"], token["after"])
            case "ending":
                self._start_ending(token["ending"])
            case "d":
                self._take_note(token)
            case "tuplet" | "into" | "for":
                self._start_tuplet(token)
            case "broken":
                self._break(token["broken"])
            case "count" | "overlay":
                self._take_time(token)

    def _take_time(self, token: re.Match[str]) -> None:
        """Take a rest of whole bars, over which the chord goes on; or a voice that begins again with the bar."""
        if token["overlay"]:
            self._at = Fraction(0)
            return
        for _ in range(max(1, int(token["count"] or 1))):
            self._at = self._longest = self._meter.quarters
            self._end_bar()

    def _start_tuplet(self, token: re.Match[str]) -> None:
        notes = int(token["tuplet"])
        into = int(token["into"] or 0) or _TUPLET_TIME.get(notes, 3 if self._meter.is_compound else 2)
        self._tuplet = Fraction(into, notes), int(token["for"] or 0) or notes

    def _take_text(self, text: str) -> None:
        """Take a text in quotes: a chord, a sign, or a remark."""
        text = re.split(r"[;\n]", text, maxsplit=1)[0].strip()
        if text[:1] in ("^", "_", "<", ">", "@"):
            self._take_sign(re.sub(r"^[\^_<>]|^@[\d.,\- ]*", "", text))
            return
        symbol = re.sub(r"(?<=.)\([A-H][^)]*\)?$", "", text)
        if not symbol or self._take_sign(symbol):
            return
        symbol = from_german(symbol) if self._is_german else symbol
        try:
            chord = NO_CHORD if symbol.replace(".", "").upper() in ("NC", "TACET") else nearest_chord(symbol)
        except ChordError:
            self._doubt(f"{text[:40]!r} is no chord: left out")
            return
        if chord.text != symbol and chord != NO_CHORD:
            self._doubt(f"{text[:40]!r} is read as {chord}")
        self._has_chords |= chord != NO_CHORD
        self._chords.append((self._at, chord))

    def _take_sign(self, text: str) -> bool:
        sign = _SIGNS.get(re.sub(r"[\s.]", "", text.lower()))
        if sign is None:
            return False
        if stands_before_bar(sign) and not self._at:
            self._form.add_sign(sign)
        else:
            self._signs_after.append(sign)
        return True

    def _take_note(self, token: re.Match[str]) -> None:
        length = _length(token) * (self._unit or self._usual_unit)
        if token["inner"] and (first := _INNER.search(token["inner"])):
            length *= _length(first)
        factor, notes = self._tuplet
        if notes:
            length, self._tuplet = length * factor, (factor, notes - 1)
        length, self._broken = min(length * self._broken, Fraction(_MAX_LENGTH)), Fraction(1)
        self._note = length
        self._at += length
        self._longest = max(self._longest, self._at)

    @property
    def _usual_unit(self) -> Fraction:
        """The length of a note where no `L:` says it."""
        return Fraction(1, 4) if self._meter.quarters < 3 else Fraction(1, 2)

    def _break(self, signs: str) -> None:
        """Broken rhythm: the note before is longer (or shorter), the next one shorter (or longer), by the same."""
        less = Fraction(1, 2 ** len(signs))
        before, after = (2 - less, less) if signs[0] == ">" else (less, 2 - less)
        self._at += self._note * (before - 1)
        self._longest = max(self._longest, self._at) if before > 1 else self._at
        self._broken = after

    # -- bars

    def _take_bar_line(self, line: str, ending: str | None) -> None:
        self._end_bar()
        closes, opens = line.startswith(":"), line.endswith(":")
        if set(line) == {":"}:
            closes = opens = True
        if closes and len(self._form):
            colons = len(line) - len(line.lstrip(":"))
            times = colons + 1 if colons > 1 and "|" in line else None
            self._form.close_repeat(times)
        elif len(line.strip(":")) > 1:
            self._form.double_bar()
        if opens:
            self._form.open_repeat()
        if ending:
            self._start_ending(ending)

    def _start_ending(self, text: str) -> None:
        self._end_bar()
        numbers: set[int] = set()
        for first, last in re.findall(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", text[:100]):
            numbers |= set(range(int(first), min(int(last or first), int(first) + MAX_PASSES) + 1))
        self._form.start_ending(tuple(sorted(numbers - {0})) or (self._form.next_ending,))

    def _end_bar(self) -> None:
        """The bar ends here, if it has begun: enter it into the form, with the signs that stand after it."""
        length, chords, signs = self._longest, self._chords, self._signs_after
        self._at = self._longest = self._note = Fraction(0)
        self._chords, self._signs_after = [], []
        self._broken, self._tuplet = Fraction(1), (Fraction(1), 0)
        quarters = self._meter.quarters
        if length and length < quarters and (not len(self._form) or length == self._missing):
            self._last = chords[-1][1] if chords else self._last  # a pick-up
            self._missing = Fraction(0)
        elif length or chords:
            if length > quarters + Fraction(1, 64):
                self._doubt(f"its notes are longer than a bar of {self._meter}")
            self._missing = max(Fraction(0), quarters - length) if length else Fraction(0)
            bar = bar_on_grid(chords, self._meter, self._last)
            self._form.add_bar(bar)
            self._last = bar.chords[-1][1]
        for sign in signs:
            self._form.add_sign(sign)


def _play_order(text: str) -> list[str]:
    """The parts in the order that a text such as `A(AB)3C` gives; of very many only the first."""
    groups: list[list[str]] = [[]]
    last: list[str] = []  # what a number repeats
    for letter, opens, closes, count in _ORDER.findall(text[:200]):
        if opens:
            groups.append([])
            continue
        if letter or closes:
            last = [letter] if letter else groups.pop() if len(groups) > 1 else []
        else:
            last = last * min(int(count) - 1, MAX_BARS // max(1, len(last)) + 1)
        groups[-1] = [*groups[-1], *last][: MAX_BARS + 1]
    return [name for group in groups for name in group][: MAX_BARS + 1]


def _without_comment(line: str) -> str:
    return re.split(r"(?<!\\)%", line, maxsplit=1)[0]


def _length(match: re.Match[str]) -> Fraction:
    """The length of a note, in units: `3`, `/`, `3/2`, `//`."""
    count, slashes, divisor = match["n"], match["s"], match["d"]
    below = int(divisor or 0) or 2 ** len(slashes) if slashes else 1
    return min(Fraction(int(count or 1), below), Fraction(_MAX_LENGTH))


def _tempo(text: str) -> float | None:
    """The tempo in quarter notes a minute: `1/4=120`, `"Slow" 3/8=60`, `120`."""
    match = _TEMPO.search(re.sub(r'"[^"]*"', "", text).strip()[-_MAX_TEMPO_LENGTH:])
    if match is None:
        return None
    beats = [Fraction(int(a), int(b) or 1) for a, b in re.findall(r"(\d+)/(\d+)", match[1])]
    tempo = float(match[2]) * float(4 * sum(beats, Fraction(0)) if beats else 1)
    return tempo if 20 <= tempo <= 400 else None


def _key(text: str) -> str:
    """The symbol of the tonic chord: minor for the modes that have a minor third."""
    match = _KEY.match(text)
    if match is None:
        return "A" if text[:2].lower() == "hp" else ""
    mode = match[2].lower()[:3]
    return parse_key(match[1] + ("m" if mode in ("m", "min", "dor", "aeo", "phr", "loc") else ""))
