# SPDX-License-Identifier: Apache-2.0
"""Reads charts of iReal Pro: links (`irealb://`, `irealbook://`), alone or in the HTML files that it exports.

This reader is written by hand because no library for the format is maintained (pyRealParser 0.1.0 is of 2018), and none
plays the form. The format is described publicly at irealpro.com.

A link has songs, each with title, composer, style (see `sideman.core.chart.styles`), key and music. The music is a row
of cells: bar lines, chords, signs and blanks. In `irealb` links it is scrambled (see `unscramble`), in `irealbook`
links it is plain. We read:

- `|`, `[`, `]`, `{`, `}`, `Z`: bar lines, double bars, repeats, the end; `N1`, `N2`, … endings; `T44` the meter;
- chords; `n` is no chord, `p` a slash, `W/G` the previous chord over another bass. Alternative chords in parentheses,
  the sizes `s` and `l`, `f`, `U`, `Y` and other texts are ignored;
- `x` repeats the previous bar, `r` the previous two; a blank bar continues the previous chord;
- `*A` is a section, `S` the segno, `Q` a coda sign. The last `Q` is the coda itself (if a D.C. or D.S. stands before
  it); an earlier one says where to jump to it: after its bar, or before its bar if the sign stands before the first
  chord. The texts `<D.C. al Fine>`, `<D.S. al Coda>`, `<D.C. al 2nd End.>`, `<Fine>` and `<3x>`. A D.C. or D.S. stands
  where it fits on the page: its jump is at the end of the section.

If a bar has one cell (or two) per beat, each chord stands on the beat of its cell. Otherwise the chords share the bar
evenly, like the chords of a text. A chord alone in its bar, after one blank, is centred: it begins with the bar.
`sideman.core.chart.form` says how the signs are played. A song is refused only if it has no chords: whatever else is
wrong with it is played as near as can be, with a warning that names the song and the bar.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from urllib.parse import unquote

from sideman.charts.detect import IREAL_LINK
from sideman.charts.songs import Song, pick_song
from sideman.core.chart.chart import Bar, Chart, ChartError, ChartInfo, Meter, chord_onsets, make_bar
from sideman.core.chart.form import SIGN_PATTERN, Form
from sideman.core.chart.styles import style_of
from sideman.core.chart.text import ReaderWarnings, parse_key, printable, section_name, unfolded_chart
from sideman_models.errors import ChordError
from sideman_models.limits import PLAYLIST, SONG
from sideman_models.music.german import from_german
from sideman_models.music.harmony import NO_CHORD, Chord, nearest_chord, parse_chord

SCRAMBLED_MARK = "1r34LbKcu7"
_BLOCK_SIZE = 50
_MAX_TITLE_LENGTH = 100
_MAX_MUSIC_LENGTH = SONG.bytes  # characters; a full page of iReal Pro has about two thousand

_TOKEN = re.compile(
    r"T(?P<meter>\d\d)|\*(?P<section>[A-Za-z])|N(?P<ending>\d)|<(?P<text>[^<>]*)>|(?P<other>\([^()]*\))"
    r"|(?P<chord>[A-GW][b#]?(?:\*[^*|\[\]{}]{0,40}\*|sus|alt|add|[-+^#bhoø\d])*(?:/[A-G][b#]?)?)"
    r"|(?P<line>[|\[\]{}Z])|(?P<sign>[SQ])|(?P<none>n)|(?P<hold>p)|(?P<bars>[xr])|(?P<blank>\s)|(?P<nothing>[,\"slfUY])"
    r"|(?P<unknown>(?s:.))"
)
_NO_NAME = re.compile(r"<[^<>]*>|\*[A-Za-z]|\*[^*|]*\*")
"""What has letters, but no names of notes."""
_GERMAN_NAME = re.compile(r"H|[A-G](?:is|es)")
_CELL = re.compile(
    rf"(?P<other>{_NO_NAME.pattern})|[A-H](?:is|es|(?<=[AE])s(?!us|[A-H]))?[b#]?(?:[-+^#bho\d]|sus|alt|add)*(?:/[A-H](?:is|es|(?<=[AE])s)?[b#]?)?"
)
_SIGN = re.compile(SIGN_PATTERN, re.IGNORECASE)
_RETURN = re.compile(r"<[^<>]*(?:D\.?\s?[CS]\b|Da\s+Capo|Dal\s+Segno)", re.IGNORECASE)
_TIMES = re.compile(r"(\d{1,3})\s*x", re.IGNORECASE)


def read_ireal(text: str, source: str, wanted: str | None = None) -> Chart:
    """The chart of a song in a link or an HTML file: the `wanted` one (see `pick_song`), else the first.

    ChartError names `source`, the song and the bar.
    """
    return pick_song(ireal_songs(text, source), wanted, source).read()


def ireal_songs(text: str, source: str) -> list[Song]:
    """The songs of a link or an HTML file. ChartError names `source`."""
    songs = list(islice(find_songs(text), PLAYLIST.count + 1))
    if len(songs) > PLAYLIST.count:
        raise ChartError(f"{source}: more than {PLAYLIST.count} {PLAYLIST.items}")
    if not songs:
        advice = "export a song or a playlist as HTML, or share its link"
        raise ChartError(f"{source}: it has no song of iReal Pro; {advice}")
    return [Song(info.title, partial(_read_song, source, info, music)) for info, music in songs]


def _read_song(source: str, info: ChartInfo, music: str) -> Chart:
    place = f"{source}, {info.title or 'untitled'}"
    if len(music) > _MAX_MUSIC_LENGTH:
        raise ChartError(f"{place}: its music is too long for a song")
    return _IRealReader(place).read(info, music)


def find_songs(text: str) -> Iterator[tuple[ChartInfo, str]]:
    """The songs of all links in a text or in HTML: the facts of each, and its music, unscrambled."""
    head = IREAL_LINK.split(text, maxsplit=1)[0]  # what looks like a tag after it may be music, such as <A tempo>
    is_html = re.search(r"<\s*(?:a|html|body|head|p|!doctype)\b", head, re.IGNORECASE) is not None
    end = 0
    while match := IREAL_LINK.search(text, end):
        before = text[match.start() - 1 : match.start()]
        stop = before if before in ('"', "'") else r"</|[\r\n]" if is_html else r"[\r\n]"
        found = re.compile(stop).search(text, match.end())
        end = found.start() if found else len(text)
        link = text[match.end() : end]
        if is_html and "%" in link:  # a link that is percent-encoded has no blanks
            link = re.split(r"[\s<>\"']", link, maxsplit=1)[0]
        body = unquote(html.unescape(link) if is_html else link)
        fields = body.split("=")
        if SCRAMBLED_MARK in body:
            yield from _scrambled_songs(body)
        else:
            for first in range(0, len(fields) - 5, 6):
                title, composer, style, key, _n, music = fields[first : first + 6]
                yield _song_info(title, composer, key, style), music


def unscramble(music: str) -> str:
    """Unscramble the music of an `irealb` link, without its mark, and write out its abbreviations.

    In each full block of 50, the characters 0 to 4 and 10 to 23 have changed places with those at the same distance
    from the block's end. A block that is followed by fewer than two characters is not scrambled.
    """
    cells = list(music)
    for start in range(0, len(cells) - _BLOCK_SIZE - 1, _BLOCK_SIZE):
        for at in (*range(5), *range(10, 24)):
            left, right = start + at, start + _BLOCK_SIZE - 1 - at
            cells[left], cells[right] = cells[right], cells[left]
    return "".join(cells).replace("Kcl", "| x").replace("LZ", " |").replace("XyQ", "   ")


def _scrambled_songs(body: str) -> Iterator[tuple[ChartInfo, str]]:
    for each in body.split("==="):
        fields = each.split("=")
        at = next((number for number, field in enumerate(fields) if field.startswith(SCRAMBLED_MARK)), None)
        if at is None:
            continue
        names = [*fields[:at], "", ""]
        # The key is the last field before the music that is not blank: unused fields may stand between them.
        style, key = ["", "", *filter(None, fields[2:at])][-2:]
        tempo = next((float(field) for field in fields[at + 1 :] if re.fullmatch(r"[0-9]{2,3}", field)), None)
        music = fields[at].removeprefix(SCRAMBLED_MARK)
        music = unscramble(music) if len(music) <= _MAX_MUSIC_LENGTH else music  # too long: refused later
        # The style stands after the composer and a field that is not used, before the key.
        style = next((field for field in fields[2:at] if style_of(field)), "")
        yield _song_info(names[0], names[1], key, style, tempo if tempo and 20 <= tempo <= 400 else None), music


def _song_info(title: str, composer: str, key: str, style: str, tempo: float | None = None) -> ChartInfo:
    try:
        tonic = parse_key(key)
    except ValueError:
        tonic = ""
    title, composer = (printable(text[: 2 * _MAX_TITLE_LENGTH]) for text in (title, composer))
    return ChartInfo(title, composer, tonic, tempo, style=style_of(style))


class _IRealReader:
    """Reads the music of a song from its first token to its last."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._warnings = ReaderWarnings(source)
        self._form: Form[Bar] = Form(self._error, self._warnings.add)
        self._meter = Meter(4, 4)
        self._cells: list[Chord | str | None] = []  # a chord; "x" or "r"; None for a blank
        self._last: Chord = NO_CHORD
        self._opening_line = "["
        self._signs_after_bar: list[str] = []
        self._returns: list[str] = []  # D.C. or D.S., for the end of the section
        self._times: int | None = None
        self._second_repeat_due = False  # the second of the two bars that an `r` repeats
        self._codas_left = 0
        self._blanks_after_line: int | None = None  # blank bars, as long as only such follow a `}` or `]`

    def read(self, info: ChartInfo, music: str) -> Chart:
        if _GERMAN_NAME.search(_NO_NAME.sub(" ", music)):
            music = _CELL.sub(lambda cell: cell["other"] or from_german(cell[0]), music)
            self._warnings.add("its chords have German letters: H is read as B, and B as Bb", None)
        self._codas_left = re.sub(r"<[^<>]*>", "", music).count("Q")
        if self._codas_left == 1 and _RETURN.search(music, music.rfind("Q")):
            self._codas_left = 2  # the coda itself has no sign: it stands after the jump
        for match in _TOKEN.finditer(music):
            kind = match.lastgroup or ""
            self._take(kind, match[kind])
        self._take_line("Z")
        missing = f"{self._source}: no bars in its music"
        chart = unfolded_chart(self._form, info, missing, self._warnings)
        if all(chord == NO_CHORD for bar in chart.bars for _, chord in bar.chords):
            raise ChartError(f"{self._source}: no chords in its music")
        return chart

    def _error(self, problem: str, bar: int) -> ChartError:
        return ChartError(f"{self._source}, bar {bar}: {problem}")

    def _doubt(self, problem: str) -> None:
        self._warnings.add(problem, len(self._form) + 1)

    @property
    def _is_blank(self) -> bool:
        return all(cell is None for cell in self._cells)

    def _take(self, kind: str, text: str) -> None:
        """Take the next token. Those of the kinds "other" and "nothing" do not change the music."""
        match kind:
            case "meter":
                self._take_meter(text)
            case "section" | "ending":
                self._take_mark(kind, text)
            case "text":
                self._take_text(text)
            case "chord":
                self._take_chord(text)
            case "none" | "hold":
                self._last = NO_CHORD if kind == "none" else self._last
                self._cells.append(self._last)
            case "bars" | "blank":
                self._cells.append(text if kind == "bars" else None)
            case "sign":
                self._take_sign(text)
            case "line":
                self._take_line(text)
            case "unknown":
                self._doubt(f"{text!r} is not known in the music of iReal Pro; it is left out")

    def _take_meter(self, text: str) -> None:
        meter = Meter(12, 8) if text == "12" else Meter(int(text[0]), int(text[1]))
        if meter.denominator in (2, 4, 8) and meter.numerator:
            self._meter = meter
        else:
            self._doubt(f"'T{text}' is not a meter: T44, T34, T68, T12 (12/8); it stays {self._meter}")

    def _take_mark(self, kind: str, text: str) -> None:
        """Take a section or an ending: it begins with the next bar."""
        if self._is_blank:
            self._cells = []
            self._add_returns()
        if kind == "section":
            self._form.start_section(section_name({"i": "Intro", "v": "Verse"}.get(text, text)))
        else:
            self._blanks_after_line = None  # they only bring the ending below the one before it
            self._form.start_ending((int(text) or self._form.next_ending,))

    def _take_text(self, text: str) -> None:
        text = re.sub(r"^\*\d\d", "", text).strip()
        if times := _TIMES.fullmatch(text):
            self._times = int(times[1])
        elif (sign := _SIGN.fullmatch(text)) and (sign["back"] or sign["fine"]):
            (self._returns if sign["back"] else self._signs_after_bar).append(text)

    def _take_chord(self, text: str) -> None:
        symbol = text.replace("*", "")
        if symbol.startswith("W"):
            if self._last == NO_CHORD:
                self._doubt(f"{text!r} has no chord before it: read as N.C.")
                self._cells.append(NO_CHORD)
                return
            symbol = self._last.without_bass.text + symbol[1:]
        try:
            self._last = parse_chord(symbol)
        except ChordError:
            self._last = nearest_chord(symbol)
            self._doubt(f"{text!r} is not understood; it is read as {self._last}")
        self._cells.append(self._last)

    def _take_sign(self, text: str) -> None:
        sign = "Segno"
        if text == "Q":
            self._codas_left -= 1
            sign = "To Coda" if self._codas_left > 0 else "Coda"
        if sign == "To Coda" and not self._is_blank:
            self._signs_after_bar.append(sign)
            return
        if sign == "Coda":
            self._add_returns()
        self._form.add_sign(sign)

    def _add_returns(self) -> None:
        for sign in self._returns:
            self._form.add_sign(sign)
        self._returns = []

    def _take_line(self, line: str) -> None:
        has_cells = bool(self._cells)
        self._close_bar(line)
        if has_cells or line != "|":
            for sign in self._signs_after_bar:
                self._form.add_sign(sign)
            self._signs_after_bar = []
        if line != "|":
            self._add_returns()
        if line == "{":
            self._form.open_repeat()
        elif line == "}":
            self._form.close_repeat(self._times)
            self._times = None
        elif line != "|":
            self._form.double_bar()
        self._opening_line = line

    def _close_bar(self, line: str) -> None:
        """Add the bar that ends at a line."""
        is_blank, cells, self._cells = self._is_blank, self._cells, []
        if self._second_repeat_due and (cells or line != "|"):
            self._repeat(2)
            self._second_repeat_due = False
        elif is_blank and cells and self._opening_line == "|" and line != "Z" and len(self._form):
            if self._blanks_after_line is None:
                self._hold(1)
            else:
                self._blanks_after_line += 1
        if not is_blank or line != "|":
            self._hold(self._blanks_after_line or 0)
            self._blanks_after_line = 0 if line in "]}" else None
        if not is_blank:
            self._add_bar(cells)

    def _hold(self, bars: int) -> None:
        for _ in range(bars):
            self._form.add_bar(Bar(((0.0, self._last),), self._meter))

    def _repeat(self, back: int) -> None:
        bars = self._form.last_bars(back)
        if not bars:
            self._doubt("a sign repeats more bars than there are before it")
        self._form.add_bar(bars[0] if bars else Bar(((0.0, self._last),), self._meter))
        self._last = self._form.last_bars(1)[0].chords[-1][1]

    def _add_bar(self, cells: list[Chord | str | None]) -> None:
        """Add a bar; if it has a cell for each beat or half-beat, chords stand on the beats of their cells."""
        repeats = [cell for cell in cells if isinstance(cell, str)]
        chords = [cell for cell in cells if isinstance(cell, Chord)]
        if repeats and (chords or len(repeats) > 1):
            self._doubt(f"{repeats[0]!r} repeats whole bars and must be alone in its bar")
        if repeats and not chords:
            self._repeat(1 if repeats[0] == "x" else 2)
            self._second_repeat_due = repeats == ["r"]
            return
        meter, before = self._meter, self._form.last_bars(1)
        last = before[0].chords[-1][1] if before and (self._opening_line == "|" or repeats) else chords[0]
        if len(chords) == 1 and len(cells) > 2 and cells[0] is None and cells[1] is not None:
            if chords[0] != NO_CHORD and last != chords[0]:
                self._doubt(f"{chords[0]} is centred in its bar; it is played from the bar line on")
        elif len(cells) in (meter.numerator, 2 * meter.numerator, meter.numerator // 3 if meter.is_compound else 0):
            chords = [last := cell if isinstance(cell, Chord) else last for cell in cells]
        elif repeats and isinstance(cells[0], str):
            chords.insert(0, last)
        most = 2 * meter.numerator
        if len(chords) > most:
            self._doubt(f"{len(chords)} chords; a bar of {meter} has at most {most}; the last ones are left out")
            chords = chords[:most]
        self._form.add_bar(make_bar(chords, chord_onsets(len(chords), meter), meter))
