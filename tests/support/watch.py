# SPDX-License-Identifier: Apache-2.0
"""The events of a real performance, made without a socket, for the tests of the view; and a terminal to show them on.

`python tests/support/watch.py` writes the golden pictures again, for a change of the view that is intended. With a
number of seconds it writes that much of the event stream to stdout, in real time.
"""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT.parent / "daemon"), str(ROOT.parent / "models")]

from sideman.control.codec import Message, encode_line  # noqa: E402
from sideman.control.events import (  # noqa: E402
    BarEvent,
    BarValue,
    BeatEvent,
    ChangedEvent,
    ChartEvent,
    ComingEvent,
    Event,
    HeardEvent,
    LogEvent,
    PortsEvent,
    StatusEvent,
    ValueEvent,
)
from sideman.control.protocol import ChartSummary, NextNote  # noqa: E402
from sideman.core.chart.chart import Chart  # noqa: E402
from sideman.core.events import (  # noqa: E402
    BarPlayed,
    ChangeSettings,
    Command,
    MidiEvent,
    NoteHeard,
    NoteOff,
    NoteOn,
    NotePlayed,
    Report,
    SettingsChanged,
)
from sideman.watch.model import WatchState  # noqa: E402
from sideman.watch.screen import UTF8, Glyphs, draw_screen  # noqa: E402
from support.fakes import performance, play_on_fake_clock  # noqa: E402

GOLDEN = ROOT / "golden"
SIZES = ((80, 24), (40, 10), (200, 50))
PICTURE_SECOND = 6.3
BPM = 120
CHANGES = """title: A Blues for Two
[A] | F7  | Bb7    | F7    | Cm7 F7     |
[B] | Bb7 | Bdim7  | F7    | Am7b5 D7b9 |
[C] | Gm7 | C7     | F7 D7 | Gm7 C7     |"""
PLAYER_NOTES = [(8.0, 65, 0.9), (9.0, 68, 0.4), (9.5, 70, 0.4), (10.0, 72, 1.5), (12.02, 75, 0.6), (12.98, 72, 0.3)]
"""The notes of the player: beat, pitch, length in beats."""

PORTS = "plays to sideman:out, hears sideman-in:in (JACK)"
VALUE = "C,0.500,+2"

TimedEvent = tuple[float, Event]


@cache
def performance_events(beats: float = 64.0) -> list[TimedEvent]:
    """The events of a performance at 120 bpm in order, each with its second; the chart comes first."""
    made = performance(
        play__rate="eighth", play__seed=5, tempo__bpm=BPM, chart__changes=CHANGES, play__range="C3-C6"
    )  # fmt: skip
    engine = made.make_engine(0.0, beats=beats)
    recorder, _ = play_on_fake_clock(engine, 10_000.0, sorted(_player_inputs(), key=lambda each: each[0]))
    struck = [report for report in recorder.reports if isinstance(report, NotePlayed)]
    events = [*_opening_events(made.chart), *_beat_events(made.chart, beats, struck), *_report_events(recorder.reports)]
    return sorted(events, key=lambda each: each[0])


def socket_lines(*messages: Message) -> Iterator[str]:
    """The lines of the socket for these messages."""
    for message in messages:
        yield encode_line(message).decode()


def state_at(second: float) -> WatchState:
    """What the view knows at that second of the performance."""
    state = WatchState()
    for at, event in performance_events():
        if at <= second:
            state.apply_event(event, at)
    return state


def status_event(**fields: Any) -> StatusEvent:
    """A status event; the fields that a test does not care about have ordinary values."""
    ordinary: dict[str, Any] = {
        "version": "1.0", "name": "sideman", "bundle": "modern", "ports": PORTS, "clock": "internal", "uptime_s": 1.0,
        "seed": 5, "mode": "solo", "doing": "playing", "rolling": True, "bpm": float(BPM), "beat": 0.0, "bar": 1,
        "top": 0.0, "form_bar": 1, "chorus": 1, "chord": "F7", "next_chord": "Bb7", "coming": None,
        "chart": ChartSummary("A Blues for Two", 12, "4/4"), "late": 0, "heard": 0, "echoes": 0, "played": 0,
        "settings": {},
    }  # fmt: skip
    return StatusEvent(**{**ordinary, **fields})


def beat_event(beat: int, **fields: Any) -> BeatEvent:
    """A beat event; the fields that a test does not care about have ordinary values."""
    ordinary = {"bar": beat // 4 + 1, "top": 0.0, "form_bar": 1, "chorus": 1, "chord": "F7", "next_chord": "Bb7"}
    return BeatEvent(beat=beat, **{**ordinary, **fields})


def chart_event(bars: list[list[str]], **fields: Any) -> ChartEvent:
    """A chart event; the fields that a test does not care about have ordinary values."""
    ordinary = {"title": "", "composer": "", "key": "", "meter": "4/4", "meters": [], "sections": []}
    return ChartEvent(bars=bars, **{**ordinary, **fields})


def screen_text(width: int, height: int, glyphs: Glyphs = UTF8) -> str:
    """The picture at `PICTURE_SECOND`, as text."""
    drawn = draw_screen(state_at(PICTURE_SECOND), PICTURE_SECOND, width, height, glyphs)
    return "".join(f"{line.plain}\n" for line in drawn)


class Terminal:
    """A terminal, as far as the view uses one: its screen after what was written to it."""

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self.modes: set[str] = set()
        self.coloured = False
        self.clear()

    def clear(self) -> None:
        """Empty the screen."""
        width, height = self.size
        self._cells = [[" "] * width for _ in range(height)]
        self._row = self._column = 0

    def resize(self, width: int, height: int) -> None:
        """Get another size; the screen then shows anything."""
        self.size = width, height
        self._cells = [["~"] * width for _ in range(height)]

    def feed(self, text: str) -> None:
        """Process what was written."""
        for _, numbers, end, letter in _TERMINAL_OUTPUT.findall(text):
            if letter:
                self._put(letter)
            elif end in "hl":
                (self.modes.add if end == "h" else self.modes.discard)(numbers)
            elif end == "m":
                self.coloured |= bool(re.search(r"(?:^|;)[39]\d", numbers))
            else:
                self._control(end, numbers)

    def _control(self, end: str, numbers: str) -> None:
        if end == "J":
            self.clear()
        elif end == "K":
            self._cells[self._row] = [" "] * self.size[0]
        elif end == "H":
            row, column = map(int, (numbers or "1;1").split(";"))
            self._row, self._column = row - 1, column - 1
        else:
            raise AssertionError(f"the terminal does not know the sequence {end} {numbers}")

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._row += 1
        else:
            self._cells[self._row][self._column] = letter
            self._column += 1

    @property
    def text(self) -> str:
        """The screen, without the blanks at the ends of lines."""
        return "".join("".join(row).rstrip() + "\n" for row in self._cells)


_TERMINAL_OUTPUT = re.compile(r"(\x1b)\[([?0-9;]*)([A-Za-z])|(.)", re.DOTALL)


def _player_inputs() -> Iterator[tuple[float, MidiEvent | Command]]:
    for beat, pitch, length in PLAYER_NOTES:
        yield beat * 60 / BPM, NoteOn(pitch, 80, 1)
        yield (beat + length) * 60 / BPM, NoteOff(pitch, 1)
    yield 6.1, ChangeSettings((("play.temperature", 1.4), ("play.density", 0.6)))


def _opening_events(chart: Chart) -> Iterator[TimedEvent]:
    bars = [[chord.text for _, chord in bar.chords] for bar in chart.bars]
    sections = list(chart.info.sections)
    yield 0.0, chart_event(bars, title=chart.info.title, meter=str(chart.meter), sections=sections)
    yield 0.0, PortsEvent(PORTS)
    yield 0.0, LogEvent("info", "bundle modern (191 values, 16 units, numpy); seed 5")


def _beat_events(chart: Chart, beats: float, struck: list[NotePlayed]) -> Iterator[TimedEvent]:
    """A beat and a status event on each beat, and the next note after each note."""
    settings = {
        "play.temperature": 1.0, "play.density": 1.0, "play.harmony": 1.0, "play.contour": 1.0, "play.rate": "eighth",
        "play.swing": None, "play.gate": 0.9, "play.velocity": 84, "play.comp": "off", "play.range": "C3-C6",
        "play.repetition": 2, "play.top_p": 1.0, "play.top_k": 0,
    }  # fmt: skip
    for beat in range(int(beats)):
        second, bar = beat * 60 / BPM, beat // 4 + 1
        place: dict[str, Any] = {
            "bar": bar,
            "chord": chart.chord_at(beat).text,
            "next_chord": chart.next_change(beat)[0].text,
            "form_bar": (bar - 1) % len(chart.bars) + 1,
            "chorus": (bar - 1) // len(chart.bars) + 1,
        }
        yield second, beat_event(beat, **place)
        following = next((each for each in struck if each.beat >= beat), None)
        yield (
            second,
            status_event(
                **place,
                beat=float(beat),
                coming=following and NextNote(following.beat, following.note.pitch, VALUE),
                heard=sum(at <= beat for at, _, _ in PLAYER_NOTES),
                played=sum(each.beat <= beat for each in struck),
                settings={} if beat else settings,
            ),
        )
    for before, after in pairwise(struck):
        yield before.beat * 60 / BPM, ComingEvent(after.beat, after.note.pitch, VALUE)


def _report_events(reports: list[Report]) -> Iterator[TimedEvent]:
    for report in reports:
        match report:
            case NotePlayed(beat, length, note, voice):
                yield beat * 60 / BPM, ValueEvent(beat, VALUE, note.pitch, length, note.velocity, voice)
            case NoteHeard(beat, note):
                velocity = note.velocity if isinstance(note, NoteOn) else 0
                yield beat * 60 / BPM, HeardEvent(beat, isinstance(note, NoteOn), note.pitch, velocity)
            case SettingsChanged(values):
                yield 6.1, ChangedEvent(dict(values))
            case BarPlayed(number, chords, choices):
                played = [BarValue(choice.value.text, choice.pitch) for choice in choices]
                yield number * 4 * 60 / BPM, BarEvent(number, [chord.text for chord in chords], played)


def paced_lines(seconds: float) -> Iterator[str]:
    """The lines of the event stream in real time."""
    start = time.monotonic()
    for second, event in performance_events(math.ceil(seconds * BPM / 60)):
        time.sleep(max(0.0, start + second - time.monotonic()))
        yield from socket_lines(event)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        for line in paced_lines(float(sys.argv[1])):
            sys.stdout.write(line)
            sys.stdout.flush()
    else:
        for width, height in SIZES:
            (GOLDEN / f"watch-{width}x{height}.txt").write_text(screen_text(width, height), "utf-8")
