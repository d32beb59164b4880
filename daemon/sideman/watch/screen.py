# SPDX-License-Identifier: Apache-2.0
"""Draws the picture of the live view: as many lines as the terminal has, none longer than it is wide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, groupby, islice, pairwise
from operator import itemgetter

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from sideman.watch.model import WatchState
from sideman.watch.roll import CELLS, LABEL_COLUMNS, draw_roll
from sideman.watch.settings_rows import CONTROL_ROWS, ControlRow

BARS_PER_LINE, NARROW_BARS_PER_LINE = 4, 2
CONTROLS_WIDTH = 27
_BAR_CELLS = 8
_SILENT_AFTER_S = 3.0  # a daemon that works sends its status twice a second
_MAX_PULSES = 8  # pulses of a bar that are shown one by one
_MAX_SECTION_LENGTH = 10
_NARROW, _NARROWEST = 60, 36
_LOG_STYLES = {"warning": "yellow", "error": "bold red", "critical": "bold red"}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of the picture: `draw_roll` maps the letters of the roll, `full` and `empty` draw the settings."""

    roll_cells: dict[str, str]
    rule: str
    current_bar: str
    bar_line: str
    full: str
    empty: str
    utf8: bool

    def printable(self, text: str) -> str:
        """Return `text` as this terminal can show it."""
        if self.utf8:
            return text
        return text.translate({0x266D: "b", 0x266F: "#"}).encode("ascii", "replace").decode()


def _by_letter(kinds: dict[str, str]) -> dict[str, str]:
    """Return the character for each letter of the roll, from two for each kind: the onset and what follows."""
    return {letter: shown for kind, pair in kinds.items() for letter, shown in zip(CELLS[kind], pair, strict=True)}


UTF8 = Glyphs(
    _by_letter({"own": "●━", "heard": "○─", "comp": "··", "next": "◌◌", "both": "◉◉", "now": "││", "bar": "┊┊"}),
    rule="─", current_bar="▶", bar_line="│", full="█", empty="░", utf8=True,
)  # fmt: skip
ASCII = Glyphs(
    _by_letter({"own": "#=", "heard": "o-", "comp": "..", "next": "??", "both": "@@", "now": "||", "bar": "::"}),
    rule="-", current_bar=">", bar_line="|", full="#", empty=".", utf8=False,
)  # fmt: skip
_COERCED_LOCALES = ("C.UTF-8", "C.utf8")
"""The locales that Python itself sets in the environment if it names none."""


def glyphs_for(encoding: str | None, environment: Mapping[str, str]) -> Glyphs:
    """Return the characters for a terminal: those of ASCII unless it is known to show UTF-8.

    In the locale C Python writes UTF-8 as well, so the environment counts in addition to the encoding.
    """
    characters, language = environment.get("LC_CTYPE", ""), environment.get("LANG", "")
    if characters in _COERCED_LOCALES and language in ("", "C", "POSIX"):
        characters = ""
    locale = environment.get("LC_ALL") or characters or language
    both = (encoding or "", locale.rpartition(".")[2])
    return UTF8 if all(each.lower().replace("-", "").startswith("utf8") for each in both) else ASCII


_STYLES = {
    "own": "bold cyan", "heard": "yellow", "comp": "dim", "next": "cyan", "both": "bold magenta", "now": "bold",
    "bar": "dim",
}  # fmt: skip
_CELL_STYLES = {letter: _STYLES[kind] for kind, pair in CELLS.items() for letter in pair}


def draw_screen(
    state: WatchState, second: float, width: int, height: int, glyphs: Glyphs, keys: str = ""
) -> list[Text]:
    """Return the picture at `second`: `height` lines of at most `width` cells. `keys` explains the keys."""
    beat = state.beat_at(second)
    footer = _footer_lines(state, beat, height, glyphs)
    lines = [_title_line(state, beat, second, width, glyphs), _pulse_line(state, beat, width, glyphs)]
    room = max(1, height // 6)
    if height >= 7:
        lines += _chart_lines(state, beat, width, room, glyphs)
    if height >= 12:
        lines.append(_legend_line(width, glyphs, keys))
    body = height - len(lines) - len(footer)
    if body >= 3:
        lines += _body_lines(state, 0.0 if beat is None else beat, width, body, glyphs)
    lines += [*(Text() for _ in range(height - len(lines) - len(footer))), *footer]
    return [_fit_line(line, width) for line in lines[:height]]


def _fit_line(line: Text, width: int) -> Text:
    line.truncate(width, overflow="crop")
    line.rstrip()
    return line


def _join_parts(*parts: str | tuple[str, str], gap: str = "   ") -> Text:
    """Return the parts that are not empty in one line; a part may have a style."""
    styled = [part if isinstance(part, tuple) else (part, "") for part in parts]
    return Text(gap).join(Text(text, style) for text, style in styled if text)


# -- the top


def _title_line(state: WatchState, beat: float | None, second: float, width: int, glyphs: Glyphs) -> Text:
    place = "" if beat is None else _position_text(state, state.bar_at(beat))
    quiet = 0.0 if state.last_event_s is None else second - state.last_event_s
    silent = f"no word for {quiet:.0f} s" if quiet > _SILENT_AFTER_S else ""
    seed = "" if state.seed is None else f"seed {state.seed}"
    title = glyphs.printable(state.title)
    name = "sideman" if width >= _NARROW or not title else ""
    return _join_parts((silent, "bold red"), (name, "bold cyan"), place, (title, "bold"), (seed, "dim"))


def _position_text(state: WatchState, bar: int) -> str:
    if not state.bars:
        return f"bar {bar + 1}"
    if bar < 0:
        return "count-in"
    chorus, place = divmod(bar, len(state.bars))
    return f"chorus {chorus + 1}   bar {place + 1} of {len(state.bars)}"


def _pulse_line(state: WatchState, beat: float | None, width: int, glyphs: Glyphs) -> Text:
    narrow = width < _NARROW
    bpm = "" if state.bpm is None else f"{state.bpm:.{0 if narrow else 1}f} bpm"
    halted = "" if state.rolling else "halted"
    does = ": ".join(filter(None, [" > ".join(filter(None, [state.mode, state.requested_mode])), state.state]))
    beats = "" if beat is None else _beat_marks(state, beat)
    chords = [state.chord, state.next_chord if state.next_chord != state.chord else ""]
    changes = glyphs.printable(" > ".join(filter(None, chords)))
    return _join_parts(
        (glyphs.printable(does), "bold green"),
        (halted, "yellow"),
        bpm,
        beats,
        (changes, "bold"),
        gap="  " if narrow else "   ",
    )


def _beat_marks(state: WatchState, beat: float) -> str:
    """Return the pulses of the bar, with the present one in brackets."""
    bar = state.bar_at(beat)
    meter = state.meter_of_bar(bar)
    at = math.floor((beat - state.bar_line_beat(bar)) * meter.denominator / 4 + 1e-6) % meter.numerator
    if meter.numerator > _MAX_PULSES:
        return f"{meter}  [{at + 1}]"
    marks = (f"[{number + 1}]" if number == at else f" {number + 1} " for number in range(meter.numerator))
    return f"{meter} {''.join(marks)}"


# -- the chart


def _chart_lines(state: WatchState, beat: float | None, width: int, room: int, glyphs: Glyphs) -> list[Text]:
    """Return `room` lines of the chart around the current bar; each section begins a new line."""
    if not state.bars:
        return []
    here = None if beat is None else state.bar_at(beat)
    current = None if here is None else here % len(state.bars)
    across = NARROW_BARS_PER_LINE if width < _NARROWEST else BARS_PER_LINE
    rows = list(_chart_rows(state, across))
    at = next((n for n, (_, bars) in enumerate(rows) if current in bars), 0)
    first = max(0, min(at - (room - 1) // 2, len(rows) - room))
    margin = min(_MAX_SECTION_LENGTH, max(cell_len(glyphs.printable(name)) for name, _ in rows)) + 1
    cell = max(4, (width - margin - 1) // across)
    return [_chart_row(state, beat, current, row, (margin, cell), glyphs) for row in rows[first : first + room]]


def _chart_rows(state: WatchState, across: int) -> Iterator[tuple[str, range]]:
    """Return each line of the chart, of up to `across` bars: the section that begins there, and its bars."""
    names = {bar: name for bar, name in state.sections if 0 <= bar < len(state.bars)}
    for first, end in pairwise(sorted({0, *names, len(state.bars)})):
        for bar in range(first, end, across):
            yield names.get(bar, "") if bar == first else "", range(bar, min(bar + across, end))


def _chart_row(
    state: WatchState,
    beat: float | None,
    current: int | None,
    row: tuple[str, range],
    size: tuple[int, int],
    glyphs: Glyphs,
) -> Text:
    (name, bars), (margin, cell) = row, size
    line = Text().append(f"{set_cell_size(glyphs.printable(name), margin - 1)} ", "dim")
    for bar in bars:
        here = beat if bar == current else None
        line.append(glyphs.bar_line if here is None else glyphs.current_bar, "dim" if here is None else "bold")
        line.append_text(_chart_bar(state, bar, here, cell - 1, glyphs))
    line.append(glyphs.bar_line, "dim")
    return line


def _chart_bar(state: WatchState, bar: int, beat: float | None, width: int, glyphs: Glyphs) -> Text:
    """Return the chords of a bar in `width` cells. If `beat` is in the bar, the sounding chord is in brackets."""
    sounding = None if beat is None else state.sounding_chord(bar, beat)
    text = Text(style="" if beat is None else "reverse")
    for at, chord in enumerate(state.bars[bar]):
        shown = glyphs.printable(chord)
        text.append(f"[{shown}]" if at == sounding else f" {shown} ", "bold" if at == sounding else "")
    text.truncate(width, overflow="crop", pad=True)
    return text


# -- the middle


def _legend_line(width: int, glyphs: Glyphs, keys: str) -> Text:
    """Return the line that explains the marks of the roll and the keys."""
    kinds = {"own": "sideman", "heard": "you", "next": "next"}
    marks = " ".join(
        "".join(glyphs.roll_cells[letter] for letter in CELLS[kind]) + f" {who}" for kind, who in kinds.items()
    )
    line = f"{glyphs.rule} {marks} "
    keys = f" {glyphs.printable(keys)} " if keys else ""
    fill = glyphs.rule * max(0, width - len(line) - len(keys) - 2)
    return Text(f"{line}{fill}{keys}{glyphs.rule * 2}", "dim")


def _body_lines(state: WatchState, beat: float, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """Return the roll and, if there is room, the settings beside it."""
    beside = width >= CONTROLS_WIDTH + 45
    across = width - CONTROLS_WIDTH - 1 if beside else width
    lines = [_roll_line(line, glyphs) for line in draw_roll(state, beat, across, height)]
    if beside:
        for line, control in zip(lines, CONTROL_ROWS, strict=False):
            line.truncate(across + 1, overflow="crop", pad=True)
            line.append_text(_control_line(state, control, glyphs))
    return lines


def _roll_line(line: str, glyphs: Glyphs) -> Text:
    """Return a line of the roll with its styles. A blank has the style before it, so that less is written."""
    label, cells = line[:LABEL_COLUMNS], line[LABEL_COLUMNS:]
    own = (_CELL_STYLES.get(letter) for letter in cells)
    styles = islice(accumulate(own, lambda before, style: style or before, initial="dim"), 1, None)
    text = Text().append(label, "dim")
    for style, run in groupby(zip(styles, cells, strict=True), itemgetter(0)):
        text.append("".join(glyphs.roll_cells.get(letter, letter) for _, letter in run), style)
    return text


def _control_line(state: WatchState, control: ControlRow, glyphs: Glyphs) -> Text:
    share, text = control.share_and_text(state.settings)
    if share is None:
        return Text(f"{control.label:11} {glyphs.printable(text)[: CONTROLS_WIDTH - 12]}")
    full = round(share * _BAR_CELLS)
    line = Text(f"{control.label:11} ")
    line.append(glyphs.full * full, "cyan").append(glyphs.empty * (_BAR_CELLS - full), "dim")
    return line.append(f" {text}")


# -- the footer


def _footer_lines(state: WatchState, beat: float | None, height: int, glyphs: Glyphs) -> list[Text]:
    """Return the next note, the counts, the ports and the log, as far as there is room for them."""
    room = 0 if height < 5 else 1 if height < 8 else 2 if height < 14 else 3 + height // 16 - 1
    log = [_log_line(level, text, glyphs) for level, text in state.log]
    clock = "" if state.clock == "internal" else state.clock
    ports = _join_parts((glyphs.printable(state.ports), "dim"), (glyphs.printable(clock), "dim"))
    if room <= 2:
        return [_next_line(state, beat, glyphs), *(log[-1:] or [ports])][:room]
    last = log[-(room - 2) :]
    return [_next_line(state, beat, glyphs), ports, *last, *(Text() for _ in range(room - 2 - len(last)))]


def _next_line(state: WatchState, beat: float | None, glyphs: Glyphs) -> Text:
    counts = "  ".join(f"{name} {count}" for name, count in state.counts.items())
    late = "bold red" if state.counts.get("late") else ""
    return _join_parts((glyphs.printable(_next_note_text(state, beat)), "cyan"), (counts, late))


def _next_note_text(state: WatchState, beat: float | None) -> str:
    """Return the note that is planned, and when it will be played."""
    if state.next_note is None:
        return "next: nothing"
    pitch = "rest" if state.next_note.pitch is None else state.pitch_name(state.next_note.pitch)
    when = "" if beat is None else f" in {max(0.0, state.next_note.beat - beat):.1f} beats"
    return f"next: {pitch}{when} ({state.next_note.value})"


def _log_line(level: str, text: str, glyphs: Glyphs) -> Text:
    return Text(glyphs.printable(text), _LOG_STYLES.get(level, "dim"))
