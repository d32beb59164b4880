# SPDX-License-Identifier: Apache-2.0
"""Draws the picture of the live view: as many lines as the terminal has, none longer than it is wide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate, groupby, islice, pairwise
from operator import itemgetter

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from sideman.core.actions import ACTIONS
from sideman.core.settings.schema import GROUPS
from sideman.core.turns import MODE_NAMES
from sideman.watch.model import WatchState
from sideman.watch.roll import CELLS, draw_roll
from sideman_models.text import printable

_KEYS = [("?", "keys"), ("q", "quit"), *((each.key, each.name) for each in ACTIONS.values() if each.key)]
_MORE_KEYS = [
    (f"1-{len(MODE_NAMES)}", f"mode {', '.join(MODE_NAMES)}"),
    ("up, down", "choose a setting"),
    ("left, right, - or +", "turn it"),
    (":", "type any request, as after `sideman ctl`: set play.range C4-C6, preset bebop, chart waltz"),
]
BARS_PER_LINE, NARROW_BARS_PER_LINE = 4, 2
SETTINGS_WIDTH = 27
_SETTINGS = {
    "temperature": (0, 2), "density": (0, 2), "harmony": (0, 2), "contour": (0, 2), "rate": None, "swing": (0.5, 0.75),
    "gate": (0, 1), "velocity": (0, 127), "comp": None, "range": None, "repetition": None, "top_p": (0, 1),
    "top_k": None, "rests": None, "longest": None, "offset_ms": None,
}  # fmt: skip
_SETTINGS |= {name: None for name in GROUPS["play"].__struct_fields__ if name not in (*_SETTINGS, "mode")}
"""The settings below `play` that are shown, and where the bar of each is empty and full; None: it has no bar.

The most important ones for a player come first, because a small terminal shows only some of them.
"""
SETTING_NAMES = tuple(_SETTINGS)
_BAR_CELLS = 8
_MAX_VALUE = 1e9  # a larger number is no value of these settings
_SILENT_AFTER_S = 3.0  # a daemon that works sends its status twice a second
_MAX_PULSES = 8  # pulses of a bar that are shown one by one
_MAX_SECTION_LENGTH = 10
_NARROW, _NARROWEST = 60, 36
_LOG_STYLES = {"warning": "yellow", "error": "bold red", "critical": "bold red"}


class Glyphs(Struct, frozen=True):
    """The characters of the picture: `roll` for the letters of `draw_roll`, `full` and `empty` for the settings."""

    roll: str
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

    def roll_cells(self, letters: str) -> str:
        """Return cells of the roll, given as the letters of `CELLS`, as this terminal can show them."""
        return letters.translate(str.maketrans("O=Y-c?B|:", self.roll))


UTF8 = Glyphs("●━○─·◌◉│┊", rule="─", current_bar="▶", bar_line="│", full="█", empty="░", utf8=True)
ASCII = Glyphs("#=o-.?@|:", rule="-", current_bar=">", bar_line="|", full="#", empty=".", utf8=False)
_COERCED_LOCALES = ("C.UTF-8", "C.utf8")  # those that Python itself sets in the environment if it names none


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


def draw_screen(state: WatchState, second: float, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """Return the picture at `second`: `height` lines of at most `width` cells."""
    beat = state.beat_at(second)
    footer = _footer_lines(state, beat, height, glyphs)
    lines = [_title_line(state, beat, second, width, glyphs), _pulse_line(state, beat, width, glyphs)]
    room = max(1, height // 6)
    if height >= 7:
        lines += _chart_lines(state, beat, width, room, glyphs)
    if height >= 12:
        lines.append(_legend_line(width, glyphs))
    body = height - len(lines) - len(footer)
    if body >= 3:
        has_settings = width >= SETTINGS_WIDTH + 45 and not state.shows_keys
        across = width - SETTINGS_WIDTH - 1 if has_settings else width
        rows = draw_roll(state, beat or 0.0, across, body)
        roll = key_lines(body) if state.shows_keys else [_roll_line(*row, glyphs) for row in rows]
        first = max(0, SETTING_NAMES.index(state.selected) + 1 - body) if state.selected in _SETTINGS else 0
        for line, name in zip(roll, SETTING_NAMES[first:] if across < width else (), strict=False):
            line.truncate(across, overflow="crop", pad=True)
            line.append(glyphs.current_bar if name == state.selected else " ", "bold")
            line.append_text(_setting_line(name, state.settings.get(f"play.{name}", "-"), glyphs))
        lines += roll
    lines += [*(Text() for _ in range(height - len(lines) - len(footer))), *footer]
    for line in lines[:height]:
        line.truncate(width, overflow="crop")
        line.rstrip()
    return lines[:height]


def _join_parts(*parts: str | tuple[str, str], gap: str = "   ") -> Text:
    """Return the parts that are not empty in one line; a part may have a style."""
    styled = [part if isinstance(part, tuple) else (part, "") for part in parts]
    return Text(gap).join(Text(text, style) for text, style in styled if text)


# -- the top


def _title_line(state: WatchState, beat: float | None, second: float, width: int, glyphs: Glyphs) -> Text:
    bar = None if beat is None else state.bar_at(beat)
    if bar is None:
        place = ""
    elif not state.bars:
        place = f"bar {bar + 1}"
    elif bar < 0:
        place = "count-in"
    else:
        place = f"chorus {bar // len(state.bars) + 1}   bar {bar % len(state.bars) + 1} of {len(state.bars)}"
    quiet = 0.0 if state.last_event_s is None else second - state.last_event_s
    silent = f"no word for {quiet:.0f} s" if quiet > _SILENT_AFTER_S else ""
    seed = "" if state.seed is None else f"seed {state.seed}"
    title = glyphs.printable(state.title)
    name = "sideman" if width >= _NARROW or not title else ""
    next_up = (glyphs.printable(", ".join(filter(None, [state.practice, state.target]))), "bold yellow")
    return _join_parts((silent, "bold red"), (name, "bold cyan"), place, next_up, (title, "bold"), (seed, "dim"))


def _pulse_line(state: WatchState, beat: float | None, width: int, glyphs: Glyphs) -> Text:
    """Return the mode, the tempo, the pulses of the bar with the present one in brackets, and the chords."""
    narrow = width < _NARROW
    bpm = "" if state.bpm is None else f"{state.bpm:.{0 if narrow else 1}f} bpm"
    halted = "" if state.rolling else glyphs.printable(state.waiting) or "halted"
    doing = f"{state.doing} yours" if state.motif and state.doing == "playing" else state.doing  # your motif
    does = ": ".join(filter(None, [" > ".join(filter(None, [state.mode, state.requested_mode])), doing]))
    pulses = ""
    if beat is not None:
        bar = state.bar_at(beat)
        meter = state.meter_of_bar(bar)
        at = math.floor((beat - state.bar_line_beat(bar)) * meter.denominator / 4 + 1e-6) % meter.numerator
        marks = [f"[{number + 1}]" if number == at else f" {number + 1} " for number in range(meter.numerator)]
        pulses = f"{meter} {''.join(marks)}" if len(marks) <= _MAX_PULSES else f"{meter}  {marks[at]}"
    chords = [state.chord, state.next_chord if state.next_chord != state.chord else ""]
    changes = glyphs.printable(" > ".join(filter(None, chords)))
    turn = "" if beat is None else state.turn_words(beat)
    parts = (
        (glyphs.printable(does), "bold green"),
        (halted, "yellow"),
        (turn, "bold yellow"),
        bpm,
        pulses,
        (changes, "bold"),
    )
    return _join_parts(*parts, gap="  " if narrow else "   ")


# -- the chart


def _chart_lines(state: WatchState, beat: float | None, width: int, room: int, glyphs: Glyphs) -> list[Text]:
    """Return `room` lines of the chart around the current bar; each section begins a new line."""
    if not state.bars:
        return []
    current = None if beat is None else state.bar_at(beat) % len(state.bars)
    across = NARROW_BARS_PER_LINE if width < _NARROWEST else BARS_PER_LINE
    names = {bar: glyphs.printable(name) for bar, name in state.sections if 0 <= bar < len(state.bars)}
    rows = [
        range(bar, min(bar + across, end))
        for first, end in pairwise(sorted({0, *names, len(state.bars)}))
        for bar in range(first, end, across)
    ]
    at = next((number for number, bars in enumerate(rows) if current in bars), 0)
    top = max(0, min(at - (room - 1) // 2, len(rows) - room))
    margin = min(_MAX_SECTION_LENGTH, max(map(cell_len, names.values()), default=0)) + 1
    cell = max(4, (width - margin - 1) // across)
    lines = []
    for bars in rows[top : top + room]:
        line = Text().append(f"{set_cell_size(names.get(bars.start, ''), margin - 1)} ", "dim")
        for bar in bars:
            here = beat if bar == current else None
            line.append(glyphs.bar_line if here is None else glyphs.current_bar, "dim" if here is None else "bold")
            line.append_text(_chart_bar(state, bar, here, cell - 1, glyphs))
        lines.append(line.append(glyphs.bar_line, "dim"))
    return lines


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


def _legend_line(width: int, glyphs: Glyphs) -> Text:
    """Return the line that explains the marks of the roll and the keys."""
    kinds = {"own": "sideman", "heard": "you", "next": "next"}
    marks = " ".join(f"{glyphs.roll_cells(CELLS[kind])} {who}" for kind, who in kinds.items())
    line, keys = f"{glyphs.rule} {marks} ", " "
    for key, name in _KEYS:  # as many as there is room for; the first shows all
        keys += f"{key} {name}  " if len(line) + len(keys) + len(f"{key} {name}  ") < width - 2 else ""
    fill = glyphs.rule * max(0, width - len(line) - len(keys) - 2)
    return Text(f"{line}{fill}{keys}{glyphs.rule * 2}", "dim")


def key_lines(height: int) -> list[Text]:
    """Return what each key does, in `height` lines."""
    actions = [(each.key, each.help) for each in ACTIONS.values() if each.key]
    lines = [Text(f"{key:>20}  {text}") for key, text in [("q", "quit"), *actions, *_MORE_KEYS]]
    return [*lines[:height], *(Text() for _ in range(height - len(lines)))]


def _roll_line(label: str, cells: str, glyphs: Glyphs) -> Text:
    """Return a line of the roll with its styles. A blank has the style before it, so that less is written."""
    own = (_CELL_STYLES.get(letter) for letter in cells)
    styles = islice(accumulate(own, lambda before, style: style or before, initial="dim"), 1, None)
    text = Text().append(label, "dim")
    for style, run in groupby(zip(styles, cells, strict=True), itemgetter(0)):
        text.append(glyphs.roll_cells("".join(letter for _, letter in run)), style)
    return text


def _setting_line(name: str, value: object, glyphs: Glyphs) -> Text:
    """Return the name of a setting and its value: as a bar and a number, or as it is written in the configuration."""
    line, limits = Text(f"{name:11} "), _SETTINGS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MAX_VALUE <= value <= _MAX_VALUE:
        return line.append(glyphs.printable("auto" if value is None else printable(value))[: SETTINGS_WIDTH - 12])
    if limits is None:
        return line.append(f"{value:.4g}")
    low, high = limits
    full = round((min(max(value, low), high) - low) / (high - low) * _BAR_CELLS)
    line.append(glyphs.full * full, "cyan").append(glyphs.empty * (_BAR_CELLS - full), "dim")
    return line.append(f" {value:.4g}")


# -- the footer


def _footer_lines(state: WatchState, beat: float | None, height: int, glyphs: Glyphs) -> list[Text]:
    """Return the next note, the counts, the ports and the log, as far as there is room for them."""
    room = 0 if height < 5 else 1 if height < 8 else 2 if height < 14 else 2 + height // 16
    coming, said = state.next_note, "next: nothing"
    if coming is not None:
        pitch = "rest" if coming.pitch is None else state.pitch_name(coming.pitch)
        when = "" if beat is None else f" in {max(0.0, coming.beat - beat):.1f} beats"
        said = f"next: {pitch}{when} ({coming.value})"
    counts = "  ".join(f"{name} {count}" for name, count in state.counts.items())
    next_line = _join_parts((glyphs.printable(said), "cyan"), (counts, "bold red" if state.counts.get("late") else ""))
    clock = "" if state.clock == "internal" else state.clock
    ports = _join_parts((glyphs.printable(state.ports), "dim"), (glyphs.printable(clock), "dim"))
    log = [Text(glyphs.printable(text), _LOG_STYLES.get(level, "dim")) for level, text in state.log]
    if state.command is not None:
        log.append(Text(glyphs.printable(f": {printable(state.command)}_"), "bold"))
    if room <= 2:
        return [next_line, *(log[-1:] or [ports])][:room]
    last = log[-(room - 2) :]
    return [next_line, ports, *last, *(Text() for _ in range(room - 2 - len(last)))]
