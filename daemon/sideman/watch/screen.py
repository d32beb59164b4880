# SPDX-License-Identifier: Apache-2.0
"""The picture of a scene: as many lines as the terminal has, none longer than it is wide, whatever its size."""

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
_SILENT_AFTER_S = 3.0  # a daemon that lives tells its status more often
_MAX_PULSES = 8  # of a bar, that are shown one by one
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
        """`text` as this terminal can show it."""
        if self.utf8:
            return text
        return text.translate({0x266D: "b", 0x266F: "#"}).encode("ascii", "replace").decode()


def _by_letter(kinds: dict[str, str]) -> dict[str, str]:
    """The character of each letter, from those for a kind: of its onset and of what follows."""
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
"""What Python itself takes for the characters, in the environment, where that names none."""


def glyphs_for(encoding: str | None, environment: Mapping[str, str]) -> Glyphs:
    """The looks for a terminal: all characters if it is known to show UTF-8, else those of ASCII.

    Python writes UTF-8 in the locale C, too, so what the environment says counts as well as the encoding.
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
    """The picture at `second`: `height` lines, each of `width` cells at most. `keys` tells what keys do."""
    beat = state.beat_at(second)
    foot = _footer_lines(state, beat, height, glyphs)
    lines = [_title_line(state, beat, second, width, glyphs), _pulse_line(state, beat, width, glyphs)]
    room = max(1, height // 6)
    if height >= 7:
        lines += _chart_lines(state, beat, width, room, glyphs)
    if height >= 12:
        lines.append(_legend_line(width, glyphs, keys))
    body = height - len(lines) - len(foot)
    if body >= 3:
        lines += _body_lines(state, 0.0 if beat is None else beat, width, body, glyphs)
    lines += [*(Text() for _ in range(height - len(lines) - len(foot))), *foot]
    return [_fit_line(line, width) for line in lines[:height]]


def _fit_line(line: Text, width: int) -> Text:
    line.truncate(width, overflow="crop")
    line.rstrip()
    return line


def _join_parts(*parts: str | tuple[str, str], gap: str = "   ") -> Text:
    """Those of the parts that are not empty, some of them with a style."""
    told = [part if isinstance(part, tuple) else (part, "") for part in parts]
    return Text(gap).join(Text(text, style) for text, style in told if text)


# -- the top


def _title_line(scene: WatchState, beat: float | None, second: float, width: int, looks: Glyphs) -> Text:
    place = "" if beat is None else _position_text(scene, scene.bar_at(beat))
    quiet = 0.0 if scene.last_event_s is None else second - scene.last_event_s
    silent = f"no word for {quiet:.0f} s" if quiet > _SILENT_AFTER_S else ""
    seed = "" if scene.seed is None else f"seed {scene.seed}"
    title = looks.printable(scene.title)
    name = "sideman" if width >= _NARROW or not title else ""
    return _join_parts((silent, "bold red"), (name, "bold cyan"), place, (title, "bold"), (seed, "dim"))


def _position_text(scene: WatchState, bar: int) -> str:
    if not scene.bars:
        return f"bar {bar + 1}"
    if bar < 0:
        return "count-in"
    chorus, place = divmod(bar, len(scene.bars))
    return f"chorus {chorus + 1}   bar {place + 1} of {len(scene.bars)}"


def _pulse_line(scene: WatchState, beat: float | None, width: int, looks: Glyphs) -> Text:
    narrow = width < _NARROW
    bpm = "" if scene.bpm is None else f"{scene.bpm:.{0 if narrow else 1}f} bpm"
    halted = "" if scene.rolling else "halted"
    does = ": ".join(filter(None, [" > ".join(filter(None, [scene.mode, scene.requested_mode])), scene.state]))
    beats = "" if beat is None else _beat_marks(scene, beat)
    chords = [scene.chord, scene.next_chord if scene.next_chord != scene.chord else ""]
    changes = looks.printable(" > ".join(filter(None, chords)))
    return _join_parts(
        (looks.printable(does), "bold green"),
        (halted, "yellow"),
        bpm,
        beats,
        (changes, "bold"),
        gap="  " if narrow else "   ",
    )


def _beat_marks(scene: WatchState, beat: float) -> str:
    """The pulses of the bar, the one it is at in brackets."""
    bar = scene.bar_at(beat)
    meter = scene.meter_of_bar(bar)
    at = math.floor((beat - scene.bar_line_beat(bar)) * meter.denominator / 4 + 1e-6) % meter.numerator
    if meter.numerator > _MAX_PULSES:
        return f"{meter}  [{at + 1}]"
    marks = (f"[{number + 1}]" if number == at else f" {number + 1} " for number in range(meter.numerator))
    return f"{meter} {''.join(marks)}"


# -- the chart


def _chart_lines(scene: WatchState, beat: float | None, width: int, room: int, looks: Glyphs) -> list[Text]:
    """Four bars a line, or two, each section from a new one; `room` lines, that of the current bar among them."""
    if not scene.bars:
        return []
    here = None if beat is None else scene.bar_at(beat)
    current = None if here is None else here % len(scene.bars)
    across = NARROW_BARS_PER_LINE if width < _NARROWEST else BARS_PER_LINE
    rows = list(_chart_rows(scene, across))
    at = next((n for n, (_, bars) in enumerate(rows) if current in bars), 0)
    first = max(0, min(at - (room - 1) // 2, len(rows) - room))
    margin = min(_MAX_SECTION_LENGTH, max(cell_len(looks.printable(name)) for name, _ in rows)) + 1
    cell = max(4, (width - margin - 1) // across)
    return [_chart_row(scene, beat, current, row, (margin, cell), looks) for row in rows[first : first + room]]


def _chart_rows(scene: WatchState, across: int) -> Iterator[tuple[str, range]]:
    """The lines of the chart, `across` bars long: the name of the section that begins there, and the bars."""
    names = {bar: name for bar, name in scene.sections if 0 <= bar < len(scene.bars)}
    for first, end in pairwise(sorted({0, *names, len(scene.bars)})):
        for bar in range(first, end, across):
            yield names.get(bar, "") if bar == first else "", range(bar, min(bar + across, end))


def _chart_row(
    scene: WatchState,
    beat: float | None,
    current: int | None,
    row: tuple[str, range],
    size: tuple[int, int],
    looks: Glyphs,
) -> Text:
    (name, bars), (margin, cell) = row, size
    line = Text().append(f"{set_cell_size(looks.printable(name), margin - 1)} ", "dim")
    for bar in bars:
        here = beat if bar == current else None
        line.append(looks.bar_line if here is None else looks.current_bar, "dim" if here is None else "bold")
        line.append_text(_chart_bar(scene, bar, here, cell - 1, looks))
    line.append(looks.bar_line, "dim")
    return line


def _chart_bar(scene: WatchState, bar: int, beat: float | None, width: int, looks: Glyphs) -> Text:
    """The chords of a bar in so many cells; if the `beat` lies in it, the one that sounds is in brackets."""
    sounding = None if beat is None else scene.sounding_chord(bar, beat)
    text = Text(style="" if beat is None else "reverse")
    for at, chord in enumerate(scene.bars[bar]):
        shown = looks.printable(chord)
        text.append(f"[{shown}]" if at == sounding else f" {shown} ", "bold" if at == sounding else "")
    text.truncate(width, overflow="crop", pad=True)
    return text


# -- the middle


def _legend_line(width: int, looks: Glyphs, keys: str) -> Text:
    """What the marks of the roll mean, and what keys do."""
    kinds = {"own": "sideman", "heard": "you", "next": "next"}
    told = " ".join(
        "".join(looks.roll_cells[letter] for letter in CELLS[kind]) + f" {who}" for kind, who in kinds.items()
    )
    line = f"{looks.rule} {told} "
    keys = f" {looks.printable(keys)} " if keys else ""
    fill = looks.rule * max(0, width - len(line) - len(keys) - 2)
    return Text(f"{line}{fill}{keys}{looks.rule * 2}", "dim")


def _body_lines(scene: WatchState, beat: float, width: int, height: int, looks: Glyphs) -> list[Text]:
    """The roll, and beside it, if there is room for both, the controls."""
    beside = width >= CONTROLS_WIDTH + 45
    across = width - CONTROLS_WIDTH - 1 if beside else width
    lines = [_roll_line(line, looks) for line in draw_roll(scene, beat, across, height)]
    if beside:
        for line, control in zip(lines, CONTROL_ROWS, strict=False):
            line.truncate(across + 1, overflow="crop", pad=True)
            line.append_text(_control_line(scene, control, looks))
    return lines


def _roll_line(line: str, looks: Glyphs) -> Text:
    """A line of the roll as it looks. A blank takes the style before it: the fewer changes, the less to write."""
    label, cells = line[:LABEL_COLUMNS], line[LABEL_COLUMNS:]
    own = (_CELL_STYLES.get(letter) for letter in cells)
    styles = islice(accumulate(own, lambda before, style: style or before, initial="dim"), 1, None)
    text = Text().append(label, "dim")
    for style, run in groupby(zip(styles, cells, strict=True), itemgetter(0)):
        text.append("".join(looks.roll_cells.get(letter, letter) for _, letter in run), style)
    return text


def _control_line(scene: WatchState, control: ControlRow, looks: Glyphs) -> Text:
    share, told = control.share_and_text(scene.settings)
    if share is None:
        return Text(f"{control.label:11} {looks.printable(told)[: CONTROLS_WIDTH - 12]}")
    full = round(share * _BAR_CELLS)
    line = Text(f"{control.label:11} ")
    line.append(looks.full * full, "cyan").append(looks.empty * (_BAR_CELLS - full), "dim")
    return line.append(f" {told}")


# -- the foot


def _footer_lines(scene: WatchState, beat: float | None, height: int, looks: Glyphs) -> list[Text]:
    """What comes next, the counts, the ports and the log: as much of it as there is room for."""
    room = 0 if height < 5 else 1 if height < 8 else 2 if height < 14 else 3 + height // 16 - 1
    log = [_log_line(level, text, looks) for level, text in scene.log]
    clock = "" if scene.clock == "internal" else scene.clock
    ports = _join_parts((looks.printable(scene.ports), "dim"), (looks.printable(clock), "dim"))
    if room <= 2:
        return [_next_line(scene, beat, looks), *(log[-1:] or [ports])][:room]
    last = log[-(room - 2) :]
    return [_next_line(scene, beat, looks), ports, *last, *(Text() for _ in range(room - 2 - len(last)))]


def _next_line(scene: WatchState, beat: float | None, looks: Glyphs) -> Text:
    counts = "  ".join(f"{name} {count}" for name, count in scene.counts.items())
    late = "bold red" if scene.counts.get("late") else ""
    return _join_parts((looks.printable(_next_note_text(scene, beat)), "cyan"), (counts, late))


def _next_note_text(scene: WatchState, beat: float | None) -> str:
    """What it plans to play next, and when."""
    if scene.next_note is None:
        return "next: nothing"
    pitch = "rest" if scene.next_note.pitch is None else scene.pitch_name(scene.next_note.pitch)
    when = "" if beat is None else f" in {max(0.0, scene.next_note.beat - beat):.1f} beats"
    return f"next: {pitch}{when} ({scene.next_note.value})"


def _log_line(level: str, text: str, looks: Glyphs) -> Text:
    return Text(looks.printable(text), _LOG_STYLES.get(level, "dim"))
