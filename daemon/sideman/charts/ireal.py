# SPDX-License-Identifier: Apache-2.0
"""Charts of iReal Pro: links (`irealb://`, `irealbook://`), by themselves or in the HTML files that it exports.

A link holds songs, each with title, composer, style, key and its music. The music is a row of cells: bar lines, chords,
signs and blanks. That of `irealb` links is shuffled (`unshuffled`), that of `irealbook` links is plain. Of what the
format knows, this is read:

- `|`, `[`, `]`, `{`, `}`, `Z`: bar lines, double bars, repeats, the end; `N1`, `N2`, … endings; `T44` the meter;
- chords, `n` for none, `p` for a slash, `W/G` for the chord before over another bass; chords in parentheses (others
  that fit), `s` and `l` (sizes), `f`, `U`, `Y` and texts are passed over;
- `x` repeats the bar before, `r` the two before; a bar that is left blank goes on with its chord;
- `*A` a section; `S` segno; `Q` coda: the first of two is where to leave (behind its bar, or before it where it stands
  before the first chord), the last where to go on; texts `<D.C. al Fine>`, `<D.S. al Coda>`, `<D.C. al 2nd End.>`,
  `<Fine>` and `<3x>`.

When a bar has a cell a beat (or two), chords stand on the beat of their cell, else they share it like words in a text.
`form` says how the signs are played.

Written here, because no library for it has been released for years (pyRealParser 0.1.0 is of 2018), and none plays the
form; the format has been described publicly at irealpro.com.
"""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote

from sideman.core.chart.chart import About, Bar, Chart, ChartError, Meter, bar_of, onsets, parse_key, section_name
from sideman.core.chart.form import SIGN, Form
from sideman_models.errors import ChordError
from sideman_models.music.harmony import Chord, parse_chord

LINK = re.compile(r"ireal(?:b|book)://", re.IGNORECASE)
_SHUFFLED = "1r34LbKcu7"
_BLOCK = 50
_SHORT = (("Kcl", "| x"), ("LZ", " |"), ("XyQ", "   "))
_LONGEST_TITLE = 100
_LONGEST_MUSIC = 1 << 14
"""Characters of one song's music: a full page of iReal Pro's has some two thousand."""
_LONGEST_PROBLEM = 300

_TOKEN = re.compile(
    r"T(?P<meter>\d\d)|\*(?P<section>[A-Za-z])|N(?P<ending>\d)|<(?P<text>[^>]*)>|(?P<other>\([^)]*\))"
    r"|(?P<chord>[A-GW][b#]?(?:\*[^*]*\*|sus|alt|add|[-+^#bhoø\d])*(?:/[A-G][b#]?)?)"
    r"|(?P<line>[|\[\]{}Z])|(?P<sign>[SQ])|(?P<none>n)|(?P<hold>p)|(?P<bars>[xr])|(?P<blank>\s)|(?P<nothing>[,\"slfUY])"
)
_RETURN = re.compile(SIGN, re.IGNORECASE)
_TIMES = re.compile(r"(\d{1,3})\s*x", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Song:
    """A song of a link, its music unshuffled."""

    title: str
    composer: str
    key: str
    tempo: float | None
    music: str


def read_ireal(text: str, source: str, wanted: str | None = None) -> Chart:
    """The chart of the first song in a link or an HTML file, or of the `wanted` one (its title, or a number from 1).

    Raises ChartError naming `source`, the song and the bar.
    """
    songs = list(find_songs(text))
    if not songs:
        raise ChartError(
            f"{source}: no song of iReal Pro in it; export a song or a playlist as HTML, or share its link"
        )
    song = songs[0] if wanted is None else _chosen(songs, wanted, source)
    if len(song.music) > _LONGEST_MUSIC:
        raise ChartError(f"{source}, {song.title or 'untitled'}: its music is longer than any song's")
    return _Music(song, f"{source}, {song.title or 'untitled'}").read()


def find_songs(text: str) -> Iterator[Song]:
    """The songs of all links in a text or in HTML."""
    for link in _links(text):
        body = LINK.sub("", unquote(link), count=1)
        yield from _shuffled_songs(body) if _SHUFFLED in body else _plain_songs(body)


def unshuffled(music: str) -> str:
    """The music of an `irealb` link, without its mark, as written: each full block of 50 put in order, and spelled out.

    In a block, characters 0 to 4 and 10 to 23 have changed places with those that lie as far from its end. A block
    after which less than two characters are left has been left alone.
    """
    blocks: list[str] = []
    while len(music) > _BLOCK:
        block, music = music[:_BLOCK], music[_BLOCK:]
        blocks.append(block if len(music) < 2 else _swapped(block))
    music = "".join([*blocks, music])
    for short, long in _SHORT:
        music = music.replace(short, long)
    return music


def _swapped(block: str) -> str:
    cells = list(block)
    for at in (*range(5), *range(10, 24)):
        cells[at], cells[-1 - at] = cells[-1 - at], cells[at]
    return "".join(cells)


def _links(text: str) -> Iterator[str]:
    marked_up = re.search(r"<\s*(?:a|html|body|head|p|!doctype)\b", text, re.IGNORECASE) is not None
    end = 0
    for match in LINK.finditer(text):
        if match.start() < end:
            continue
        before = text[match.start() - 1 : match.start()]
        stop = before if before in ('"', "'") and before else r"[\s<>\"']" if marked_up else r"[\r\n]"
        found = re.compile(stop).search(text, match.end())
        end = found.start() if found else len(text)
        link = text[match.start() : end]
        yield html.unescape(link) if marked_up else link


def _shuffled_songs(body: str) -> Iterator[Song]:
    for each in body.split("==="):
        fields = each.split("=")
        at = next((number for number, field in enumerate(fields) if field.startswith(_SHUFFLED)), None)
        if at is None:
            continue
        told = [*fields[:at], "", ""]
        # After the style stands the key; what has no name between them may be missing or blank.
        key = next((field for field in reversed(fields[2:at]) if field), "")
        tempo = next((float(field) for field in fields[at + 1 :] if re.fullmatch(r"[0-9]{2,3}", field)), None)
        music = fields[at].removeprefix(_SHUFFLED)
        music = unshuffled(music) if len(music) <= _LONGEST_MUSIC else music  # what is too long is never read
        yield Song(_plain(told[0]), _plain(told[1]), _key(key), tempo if tempo and 20 <= tempo <= 400 else None, music)


def _plain_songs(body: str) -> Iterator[Song]:
    fields = body.split("=")
    for first in range(0, len(fields) - 5, 6):
        title, composer, _style, key, _n, music = fields[first : first + 6]
        yield Song(_plain(title), _plain(composer), _key(key), None, music)


def _plain(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text[: 2 * _LONGEST_TITLE]).split())


def _key(text: str) -> str:
    try:
        return parse_key(text)
    except ValueError:
        return ""


def _chosen(songs: list[Song], wanted: str, source: str) -> Song:
    if re.fullmatch(r"[0-9]{1,6}", wanted) and 1 <= int(wanted) <= len(songs):
        return songs[int(wanted) - 1]
    titles = [song.title.casefold() for song in songs]
    if wanted.casefold() in titles:
        return songs[titles.index(wanted.casefold())]
    near = difflib.get_close_matches(wanted.casefold(), titles, 1)
    hint = f"; did you mean {songs[titles.index(near[0])].title!r}?" if near else ""
    raise ChartError(f"{source}: no song {wanted!r} among its {len(songs)}: give a title, or a number from 1{hint}")


class _Music:
    """Goes through the music of a song once."""

    def __init__(self, song: Song, place: str) -> None:
        self._song, self._place = song, place
        self._form: Form[Bar] = Form(self._error)
        self._meter = Meter(4, 4)
        self._cells: list[Chord | str | None] = []  # a chord, "x" or "r", None: blank
        self._last: Chord | None = None
        self._opened = "["
        self._behind: list[str] = []
        self._times: int | None = None
        self._owed = False  # the second of the two bars that an `r` repeats
        self._codas = 0

    def read(self) -> Chart:
        for match in self._tokens():
            kind = match.lastgroup or ""
            self._take[kind](self, match[kind])
        self._close_bar("Z")
        bars, sections = self._form.play()
        if not bars:
            raise ChartError(f"{self._place}: no bars in its music")
        song = self._song
        return Chart(tuple(bars), About(song.title, song.composer, song.key, song.tempo, sections))

    def _tokens(self) -> Iterator[re.Match[str]]:
        music, at = self._song.music, 0
        self._codas = re.sub(r"<[^>]*>", "", music).count("Q")
        while at < len(music):
            match = _TOKEN.match(music, at)
            if match is None:
                raise self._error(f"{music[at : at + 8]!r} is nothing that iReal Pro's music has")
            yield match
            at = match.end()

    def _error(self, problem: str, bar: int | None = None) -> ChartError:
        return ChartError(f"{self._place}, bar {bar or len(self._form) + 1}: {problem[:_LONGEST_PROBLEM]}")

    @property
    def _blank(self) -> bool:
        return all(cell is None for cell in self._cells)

    def _take_meter(self, text: str) -> None:
        meter = Meter(12, 8) if text == "12" else Meter(int(text[0]), int(text[1]))
        if meter.denominator not in (2, 4, 8) or not meter.numerator:
            raise self._error(f"'T{text}' is not a meter: T44, T34, T68, T12 (12/8)")
        self._meter = meter

    def _take_section(self, name: str) -> None:
        told = section_name({"i": "Intro", "v": "Verse"}.get(name, name))
        if self._blank:
            self._cells = []
        self._form.section(told)

    def _take_ending(self, number: str) -> None:
        if self._blank:
            self._cells = []
        self._form.ending((int(number) or self._form.next_ending,))

    def _take_text(self, text: str) -> None:
        told = re.sub(r"^\*\d\d", "", text).strip()
        sign, times = _RETURN.fullmatch(told), _TIMES.fullmatch(told)
        if times:
            self._times = int(times[1])
        elif sign and (sign["back"] or sign["fine"]):
            self._behind.append(told)

    def _take_other(self, _text: str) -> None:
        """What is no part of the music."""

    def _take_chord(self, text: str) -> None:
        symbol = text.replace("*", "").replace("add3", "")  # a third beside a sus is heard as the sus
        if symbol.startswith("W"):
            if self._last is None:
                raise self._error(f"{text!r} keeps the chord before it, and there is none")
            symbol = re.sub(r"/[A-G][b#]?$", "", self._last.text) + symbol[1:]
        try:
            self._last = parse_chord(symbol)
        except ChordError as error:
            raise self._error(str(error)) from None
        self._cells.append(self._last)

    def _take_none(self, _text: str) -> None:
        self._take_chord("N.C.")

    def _take_hold(self, _text: str) -> None:
        if self._last is None:
            raise self._error("'p' keeps the chord before it, and there is none")
        self._cells.append(self._last)

    def _take_bars(self, text: str) -> None:
        self._cells.append(text)

    def _take_blank(self, _text: str) -> None:
        self._cells.append(None)

    def _take_sign(self, text: str) -> None:
        if text == "S":
            self._form.sign("Segno")
            return
        self._codas -= 1
        if self._codas == 0:
            self._form.sign("Coda")
        elif self._blank:
            self._form.sign("To Coda")
        else:
            self._behind.append("To Coda")

    def _take_line(self, line: str) -> None:
        self._close_bar(line)
        if line == "{":
            self._form.open_repeat()
        elif line == "}":
            self._form.close_repeat(self._times)
            self._times = None
        elif line != "|":
            self._form.double_bar()
        self._opened = line

    def _close_bar(self, line: str) -> None:
        cells, self._cells = self._cells, []
        blank = all(cell is None for cell in cells)
        if self._owed and (cells or line != "|"):
            self._repeat(2)
            self._owed = False
        elif blank and cells and self._opened == "|" and line != "Z" and self._last is not None:
            self._form.add(Bar(((0.0, self._last),), self._meter))
        if not blank:
            self._add(cells)
        if cells or line != "|":
            for sign in self._behind:
                self._form.sign(sign)
            self._behind = []

    def _add(self, cells: list[Chord | str | None]) -> None:
        repeats = [cell for cell in cells if isinstance(cell, str)]
        chords = [cell for cell in cells if isinstance(cell, Chord)]
        if repeats and (chords or len(repeats) > 1):
            raise self._error(f"{repeats[0]!r} repeats whole bars and stands alone in its bar")
        if repeats:
            self._repeat(1 if repeats == ["x"] else 2)
            self._owed = repeats == ["r"]
        else:
            self._form.add(self._bar(cells, chords))

    def _repeat(self, back: int) -> None:
        bar = self._form.last(back)
        if bar is None:
            raise self._error("a sign repeats bars before it, and there are not so many")
        self._form.add(bar)
        self._last = bar.chords[-1][1]

    def _bar(self, cells: list[Chord | str | None], chords: list[Chord]) -> Bar:
        """Chords on the beats of their cells, if there is a cell for each beat or half of one."""
        meter = self._meter
        if len(cells) in (meter.numerator, 2 * meter.numerator):
            before = self._form.last()
            sounding = before.chords[-1][1] if before and self._opened == "|" else chords[0]
            filled: list[Chord] = []
            for cell in cells:
                sounding = cell if isinstance(cell, Chord) else sounding
                filled.append(sounding)
            return bar_of(filled, onsets(len(cells), meter), meter)
        places = onsets(len(chords), meter)
        if not places:
            raise self._error(f"{len(chords)} chords, of which a bar of {meter} holds {2 * meter.numerator} at most")
        return bar_of(chords, places, meter)

    _take: ClassVar[dict[str, Callable[[_Music, str], None]]] = {
        "meter": _take_meter, "section": _take_section, "ending": _take_ending, "text": _take_text,
        "other": _take_other, "chord": _take_chord, "line": _take_line, "sign": _take_sign, "none": _take_none,
        "hold": _take_hold, "bars": _take_bars, "blank": _take_blank, "nothing": _take_other,
    }  # fmt: skip
