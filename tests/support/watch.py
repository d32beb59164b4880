# SPDX-License-Identifier: Apache-2.0
"""The events of a real performance as watching clients get them, without a socket.

`python tests/support/watch.py` writes the golden pictures of the view again, after a change that is meant to be seen.
With a number it prints that many seconds of the events, in real time.
"""

from __future__ import annotations

import json
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
from sideman.watch.keys import KEY_HELP  # noqa: E402
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

TimedEvent = tuple[float, dict[str, Any]]


@cache
def performance_events(beats: float = 64.0) -> list[TimedEvent]:
    """The events of a performance at 120 bpm, each with its second, in order."""
    made = performance(
        play__rate="eighth", play__seed=5, tempo__bpm=BPM, chart__changes=CHANGES, play__range="C3-C6"
    )  # fmt: skip
    engine = made.make_engine(0.0, beats=beats)
    recorder, _ = play_on_fake_clock(engine, 10_000.0, sorted(_player_inputs(), key=lambda each: each[0]))
    struck = [report for report in recorder.reports if isinstance(report, NotePlayed)]
    status = _status_events(made.chart, beats, struck)
    events = [*_opening_events(made.chart), *status, *_report_events(recorder.reports)]
    return sorted(events, key=lambda each: each[0])


def socket_lines(events: list[TimedEvent]) -> Iterator[str]:
    """The events as lines of the control socket."""
    for _, event in events:
        yield json.dumps({"v": 1, **event}) + "\n"


def state_at(second: float) -> WatchState:
    """What the view knows at that second of the performance."""
    scene = WatchState()
    for at, event in performance_events():
        if at <= second:
            scene.apply_event(event, at)
    return scene


def screen_text(width: int, height: int, looks: Glyphs = UTF8) -> str:
    """The picture at `PICTURE_SECOND`, as text."""
    drawn = draw_screen(state_at(PICTURE_SECOND), PICTURE_SECOND, width, height, looks, KEY_HELP)
    return "".join(f"{line.plain}\n" for line in drawn)


class Terminal:
    """A terminal, as far as the view uses one: what is on its screen after everything that was written."""

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self.modes: set[str] = set()
        self.coloured = False
        self.clear()

    def clear(self) -> None:
        """Start with an empty screen."""
        width, height = self.size
        self._cells = [[" "] * width for _ in range(height)]
        self._row = self._column = 0

    def resize(self, width: int, height: int) -> None:
        """Change the size; what was on the screen becomes unreadable."""
        self.size = width, height
        self._cells = [["~"] * width for _ in range(height)]

    def feed(self, text: str) -> None:
        """Process what the view has written."""
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
            raise AssertionError(f"the terminal was asked for {end} {numbers}")

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
        """The text on the screen, without blanks at the ends of lines."""
        return "".join("".join(row).rstrip() + "\n" for row in self._cells)


_TERMINAL_OUTPUT = re.compile(r"(\x1b)\[([?0-9;]*)([A-Za-z])|(.)", re.DOTALL)


def _player_inputs() -> Iterator[tuple[float, MidiEvent | Command]]:
    for beat, pitch, length in PLAYER_NOTES:
        yield beat * 60 / BPM, NoteOn(pitch, 80, 1)
        yield (beat + length) * 60 / BPM, NoteOff(pitch, 1)
    yield 6.1, ChangeSettings((("play.temperature", 1.4), ("play.density", 0.6)))


def _opening_events(chart: Chart) -> Iterator[TimedEvent]:
    bars = [[chord.text for _, chord in bar.chords] for bar in chart.bars]
    about = {"title": chart.info.title, "meter": str(chart.meter), "sections": list(map(list, chart.info.sections))}
    yield 0.0, {"event": "chart", "bars": bars, **about}
    yield 0.0, {"event": "ports", "text": "plays to sideman:out, hears sideman-in:in (JACK)"}
    yield 0.0, {"event": "log", "level": "info", "text": "bundle modern (191 values, 16 units, numpy); seed 5"}


def _status_events(chart: Chart, beats: float, struck: list[NotePlayed]) -> Iterator[TimedEvent]:
    """The status on each beat, and the next note from then on."""
    settings = {
        "play.temperature": 1.0, "play.density": 1.0, "play.harmony": 1.0, "play.contour": 1.0, "play.rate": "eighth",
        "play.swing": None, "play.gate": 0.9, "play.velocity": 84, "play.comp": "off", "play.range": "C3-C6",
        "play.repetition": 2, "play.top_p": 1.0, "play.top_k": 0,
    }  # fmt: skip
    for beat in range(int(beats)):
        second, bar = beat * 60 / BPM, beat // 4 + 1
        sounding, following = chart.chord_at(beat).text, chart.next_change(beat)[0].text
        place: dict[str, object] = {"chord": sounding, "next_chord": following}
        place |= {"form_bar": (bar - 1) % len(chart.bars) + 1, "chorus": (bar - 1) // len(chart.bars) + 1}
        yield second, {"event": "beat", "beat": float(beat), "bar": bar, **place}
        counts = {"late": 0, "heard": sum(at <= beat for at, _, _ in PLAYER_NOTES), "echoes": 0}
        played = sum(each.beat <= beat for each in struck)
        how = {"bpm": float(BPM), "rolling": True, "mode": "solo", "doing": "playing", "seed": 5, "played": played}
        fields = {"settings": settings} if not beat else {}
        yield second, {"event": "status", "beat": float(beat), "bar": bar, **place, **how, **counts, **fields}
    for before, after in pairwise(struck):
        coming = {"beat": after.beat, "pitch": after.note.pitch, "value": "C,0.500,+2"}
        yield before.beat * 60 / BPM, {"event": "coming", **coming}


def _report_events(reports: list[Report]) -> Iterator[TimedEvent]:
    second = 0.0
    for report in reports:
        match report:
            case NotePlayed(beat, length, note, voice):
                second = beat * 60 / BPM
                fields = {"beat": beat, "value": "C,0.500,+2", "pitch": note.pitch, "beats": length, "voice": voice}
                yield second, {"event": "value", "velocity": note.velocity, **fields}
            case NoteHeard(beat, note):
                second = beat * 60 / BPM
                on = {"on": isinstance(note, NoteOn), "velocity": getattr(note, "velocity", 0)}
                yield second, {"event": "heard", "beat": beat, "pitch": note.pitch, **on}
            case SettingsChanged(values):
                yield 6.1, {"event": "changed", "values": dict(values)}
            case BarPlayed(number, chords, choices):
                played = [{"value": choice.value.text, "pitch": choice.pitch} for choice in choices]
                fields = {"number": number, "chords": [chord.text for chord in chords], "values": played}
                yield number * 4 * 60 / BPM, {"event": "bar", **fields}


def paced_lines(seconds: float) -> Iterator[str]:
    """The lines in real time."""
    start = time.monotonic()
    events = performance_events(math.ceil(seconds * BPM / 60))
    for (second, _), line in zip(events, socket_lines(events), strict=True):
        time.sleep(max(0.0, start + second - time.monotonic()))
        yield line


if __name__ == "__main__":
    if len(sys.argv) > 1:
        for each in paced_lines(float(sys.argv[1])):
            sys.stdout.write(each)
            sys.stdout.flush()
    else:
        for width, height in SIZES:
            (GOLDEN / f"watch-{width}x{height}.txt").write_text(screen_text(width, height), "utf-8")
