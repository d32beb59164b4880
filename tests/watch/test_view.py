# SPDX-License-Identifier: Apache-2.0
"""Those who watch see what is played, on any terminal and whatever comes, and get their terminal back."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.watch import plain, watch
from sideman.watch.model import EVENT_KINDS, WatchState, read_event
from support.processes import TIMEOUT_S, daemon_environment

pytest.importorskip("rich")

from rich.cells import cell_len
from rich.console import Console

from sideman.watch.screen import ASCII, UTF8, draw_screen, glyphs_for
from support.watch import (
    GOLDEN,
    PICTURE_SECOND,
    PLAYER_NOTES,
    SIZES,
    Terminal,
    performance_events,
    screen_text,
    socket_lines,
    state_at,
)

_MUSIC = ("beat", "bar", "beats", "pitch", "velocity", "voice", "value", "on", "chord", "next_chord", "bpm", "rolling")
_STATE = ("mode", "doing", "seed", "late", "heard", "echoes", "played", "settings", "values", "coming", "form_bar")
_TOLD = ("title", "bars", "meter", "sections", "text", "level", "ports", "chorus", "ok", "error", "play.temperature")
_NAMES = (*_MUSIC, *_STATE, *_TOLD, "top", "meters")
_numbers = st.integers(-5, 200) | st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 1e300])
_simple = st.none() | st.booleans() | _numbers | st.text(max_size=8) | st.sampled_from(["4/4", "7/8", "16/16", "solo"])
_anything = st.recursive(
    _simple,
    lambda some: st.lists(some, max_size=4) | st.dictionaries(st.sampled_from(_NAMES), some, max_size=4),
    max_leaves=8,
)
_events = st.dictionaries(st.sampled_from(_NAMES), _anything, max_size=8).flatmap(
    lambda fields: st.sampled_from([*sorted(EVENT_KINDS), "bar", "nonsense"]).map(
        lambda kind: {**fields, "event": kind}
    )
)


# -- what is known


def test_the_scene_is_what_was_told() -> None:
    """One would see another bar, tempo or setting than is played."""
    scene = state_at(PICTURE_SECOND)
    assert (scene.title, len(scene.bars), str(scene.meter)) == ("A Blues for Two", 12, "4/4")
    assert (scene.chord, scene.next_chord, scene.bpm, scene.seed) == ("Cm7", "F7", 120.0, 5)
    assert scene.settings["play.temperature"] == 1.4
    heard = {(note.beat, note.pitch) for note in scene.notes(13.0) if note.source == "heard"}
    assert heard == {(beat, pitch) for beat, pitch, _ in PLAYER_NOTES if beat * 0.5 <= PICTURE_SECOND}


def test_the_beat_goes_on_in_tempo_but_no_further_than_a_beat() -> None:
    """The roll would jump from beat to beat, or go on playing when the daemon hangs."""
    scene = WatchState()
    scene.apply_event({"event": "status", "beat": 8.0, "bpm": 120.0, "rolling": True}, 100.0)
    assert [scene.beat_at(second) for second in (100.0, 100.25, 100.5, 200.0)] == [8.0, 8.5, 9.0, 9.0]
    scene.apply_event({"event": "status", "beat": 9.0, "rolling": False}, 100.5)
    assert scene.beat_at(101.0) == 9.0


def test_music_that_begins_anew_leaves_nothing_of_before() -> None:
    """After a clock's start the roll would show notes of the last time in the wrong place."""
    scene = state_at(PICTURE_SECOND)
    scene.apply_event({"event": "beat", "beat": 0.0}, PICTURE_SECOND + 1)
    assert list(scene.notes(0.0)) == []


def test_the_place_in_the_chart_is_the_one_that_is_told() -> None:
    """After another chart took over, the wrong bar would be marked."""
    scene = state_at(PICTURE_SECOND)
    scene.apply_event({"event": "status", "beat": 24.5, "bar": 7, "top": -76.0}, PICTURE_SECOND)
    assert scene.bar_at(24.5) == 2 * 12 + 1


def test_bars_of_several_meters_are_shown_as_they_are() -> None:
    """In a tune that changes its meter the view would mark the wrong bar, and draw bar lines where there are none."""
    scene = WatchState()
    bars, meters = [["C"], ["F", "G"], ["A"]], [[0, "4/4"], [1, "3/4"], [2, "x"]]
    scene.apply_event({"event": "chart", "bars": bars, "meter": "4/4", "meters": meters}, 0.0)
    scene.apply_event({"event": "beat", "beat": 15.0, "bar": 5, "top": 0.0, "chord": "G"}, 0.0)
    assert [str(meter) for meter in scene.meters] == ["4/4", "3/4", "3/4"]
    assert [scene.bar_at(beat) for beat in (-0.5, 0, 3.9, 4, 6.9, 7, 10, 14)] == [-1, 0, 0, 1, 1, 2, 3, 4]
    assert [scene.bar_line_beat(bar) for bar in range(-1, 5)] == [-3, 0, 4, 7, 10, 14]
    assert scene.sounding_chord(1, 15.0) == 1
    scene.apply_event({"event": "status", "bpm": 120.0}, 0.0)
    shown = "\n".join(line.plain for line in draw_screen(scene, 0.0, 90, 24, ASCII))
    assert "3/4  1 [2] 3 " in shown
    scene.apply_event({"event": "beat", "beat": 30.0, "bar": 11, "top": 27.0}, 0.0)  # another chart took over
    assert (scene.bar_at(30.0), scene.bars_before) == (0, 10)


def test_sections_in_any_script_leave_the_bars_in_line() -> None:
    """With Japanese names the bars of a chart would not stand below each other, and the last one be cut."""
    scene = WatchState()
    bars = [[f"C{number}"] for number in range(12)]
    scene.apply_event(
        {"event": "chart", "bars": bars, "sections": [[0, "前奏"], [4, "A"], [8, "とても長い名前の部分"]]}, 0.0
    )
    rows = [line.plain for line in draw_screen(scene, 0.0, 80, 24, UTF8)[2:5]]
    assert ["C0" in rows[0], "C4" in rows[1], "C8" in rows[2]] == [True] * 3
    places = {tuple(cell_len(row[:at]) for at, letter in enumerate(row) if letter in "│▶") for row in rows}
    assert len(places) == 1
    assert len(places.pop()) == 5


def test_the_chord_that_sounds_is_marked_though_its_bar_has_two() -> None:
    """In a bar of two chords one would solo over the wrong one."""
    scene = state_at(PICTURE_SECOND)
    assert [scene.sounding_chord(3, beat) for beat in (12.0, 15.0)] == [
        0,
        0,
    ]  # Cm7 it is, as long as nothing else is told
    scene.apply_event({"event": "beat", "beat": 14.0, "chord": "F7"}, 7.0)
    assert scene.sounding_chord(3, 14.0) == 1


@settings(max_examples=60)
@given(st.lists(_events, max_size=6), st.sampled_from([*SIZES, (1, 1), (3, 40), (300, 2), (60, 13)]))
def test_no_event_upsets_the_view(events: list[dict[str, Any]], size: tuple[int, int]) -> None:
    """A daemon of another version, or a program that plays daemon, would crash the view."""
    scene = WatchState()
    teller = plain.PlainWriter()
    for number, event in enumerate(events):
        scene.apply_event(event, float(number))
        assert all(line.isprintable() for line in teller.lines_for(event))
    for looks in (UTF8, ASCII):
        drawn = draw_screen(scene, float(len(events)), *size, looks)
        assert len(drawn) == size[1]
        assert all(line.cell_len <= size[0] and line.plain.isprintable() for line in drawn)
        assert looks.utf8 or all(line.plain.isascii() for line in drawn)


def test_no_text_takes_the_terminal_over() -> None:
    """A chart's title, or a port's name, could clear the screen or make the terminal type commands."""
    scene, evil = WatchState(), "a\x1b[2J\r\n\x07b"
    chart = {"event": "chart", "title": evil, "bars": [[evil]], "sections": [[0, evil]]}
    status = {"event": "status", "mode": evil, "doing": evil, "chord": evil, "ports": evil, "clock": evil}
    values = {"event": "changed", "values": {"play.rate": evil, evil: evil}}
    coming = {"event": "coming", "beat": 1.0, "value": evil}
    log = {"event": "log", "level": evil, "text": evil}
    for event in (chart, status, values, coming, log, {"event": "timing", evil: 1}, {"ok": False, "error": evil}):
        scene.apply_event(event, 0.0)
        assert all(line.isprintable() for line in plain.PlainWriter().lines_for(event))
    assert all(line.plain.isprintable() for line in draw_screen(scene, 0.0, 300, 50, UTF8))


@given(st.text() | st.from_regex(r'\{"event":.*'))
def test_no_line_upsets_the_view(line: str) -> None:
    """Half a line, as the last may be, would end it with a traceback."""
    WatchState().apply_event(read_event(line), 0.0)


# -- what is seen


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pictures_are_as_they_were(width: int, height: int) -> None:
    """Guards against a change of the screen that nobody meant (`python tests/support/watch.py` writes the pictures)."""
    drawn = screen_text(width, height)
    assert drawn == (GOLDEN / f"watch-{width}x{height}.txt").read_text("utf-8")
    assert len(drawn.splitlines()) == height
    assert max(map(len, drawn.splitlines())) <= width


@pytest.mark.parametrize("looks", [UTF8, ASCII])
def test_who_plays_is_told_without_colour(looks: Any) -> None:
    """Without colours, or without seeing them, one could not tell the own notes from what one played."""
    kinds = [{looks.roll_cells[letter] for letter in letters} for letters in ("O=", "Y-", "c", "?", "B", "|:")]
    assert sum(map(len, kinds)) == len(set.union(*kinds))


def test_both_players_shine_in_colours_of_their_own() -> None:
    """Own and heard notes would be as dim as the lines behind them, or alike."""
    console = Console(width=80, height=24, force_terminal=True, color_system="standard")
    with console.capture() as written:
        console.print(*draw_screen(state_at(PICTURE_SECOND), PICTURE_SECOND, 80, 24, UTF8), sep="\n")
    assert "\x1b[1;36m●━━" in written.get()
    assert "\x1b[33m○──" in written.get()


def test_a_terminal_without_utf8_gets_ascii_only() -> None:
    """On a serial console there would be rubbish in place of the roll."""
    assert screen_text(80, 24, ASCII).isascii()
    assert glyphs_for("utf-8", {"LANG": "de_DE.UTF-8"}) is UTF8
    assert glyphs_for("utf-8", {"LANG": "C.utf8"}) is UTF8
    assert glyphs_for("utf-8", {"LC_CTYPE": "UTF-8"}) is UTF8
    assert glyphs_for("utf-8", {"LC_ALL": "en_GB.UTF-8", "LANG": "C"}) is UTF8
    for encoding, environment_ in (
        ("ascii", {"LANG": "de_DE.UTF-8"}),
        ("utf-8", {"LANG": "C"}),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}),
        ("utf-8", {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}),
        ("iso8859-1", {"LANG": "de_DE"}),
        (None, {}),
    ):
        assert glyphs_for(encoding, environment_) is ASCII


def test_a_silent_daemon_is_seen() -> None:
    """One would take a picture that stands still for one that is true."""
    assert "no word" not in screen_text(80, 24)
    drawn = draw_screen(state_at(PICTURE_SECOND), PICTURE_SECOND + 9.0, 80, 24, UTF8)
    assert "no word for 9 s" in drawn[0].plain


# -- plain lines


def test_elsewhere_there_is_a_line_for_each_bar_and_change() -> None:
    """A pipe would get escape sequences, or nothing to read."""
    stream_ = io.StringIO()
    assert watch(socket_lines(performance_events(16.0)), stream_) == 0
    written = stream_.getvalue().splitlines()
    assert written[0] == "chart: A Blues for Two, 12 bars of 4/4"
    assert [line for line in written if line.startswith("bar ")][2].startswith("bar 3 | F7 | ")
    for line in ("seed: 5", "mode: solo", "playing", "tempo: 120 bpm", "play.temperature is 1.4, play.density is 0.6"):
        assert written.count(line) == 1
    assert written[-1] == "the daemon has ended"
    assert "\x1b" not in stream_.getvalue()


def test_a_tempo_that_trembles_is_told_once() -> None:
    """Beside somebody else's clock there would be two lines a second of it."""
    teller = plain.PlainWriter()
    told = [list(teller.lines_for({"event": "status", "bpm": bpm})) for bpm in (120.4, 119.6, 120.5, 97.0)]
    assert told == [["tempo: 120 bpm"], [], [], ["tempo: 97 bpm"]]


def test_a_terminal_without_rich_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installed only what playing needs would get an error instead of something to read."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("TERM", "xterm")
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    assert watch(socket_lines([(0.0, {"event": "mode", "mode": "trade"})]), screen) == 0
    assert screen.getvalue().splitlines()[1:] == ["mode: trade", "the daemon has ended"]
    assert "sideman[watch]" in screen.getvalue()


# -- the terminal

_PROGRAM = """
import json, os, sys
from sideman.watch import watch
asks = os.fdopen(int(sys.argv[2]), "w")
send = lambda request: print(json.dumps(request), file=asks, flush=True)
sys.exit(watch(os.fdopen(int(sys.argv[1])), sys.stdout, send=send))
"""


class Watching:
    """The view in a process of its own, on a terminal of 80 x 24, fed through a pipe."""

    def __init__(self, **env: str) -> None:
        self._master, self._slave = pty.openpty()
        self.terminal = Terminal(80, 24)
        self.resize(80, 24)
        self._before = termios.tcgetattr(self._slave)
        reads, feed = os.pipe()
        asks, writes = os.pipe()
        told = daemon_environment(**{"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env})
        command = [sys.executable, "-c", _PROGRAM, str(reads), str(writes)]
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=told,
            pass_fds=(reads, writes),
            start_new_session=True,
        )
        os.close(reads)
        os.close(writes)
        self.feed, self._asked = os.fdopen(feed, "w"), os.fdopen(asks)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        termios.tcsetwinsize(self._slave, (height, width))
        self.terminal.resize(width, height)

    def tell(self, *events: dict[str, Any]) -> None:
        """Feed it events."""
        for line in socket_lines([(0.0, event) for event in events]):
            self.feed.write(line)
        self.feed.flush()

    def until(self, seen: Callable[[Terminal], bool]) -> None:
        """Wait until the terminal is as it should be."""
        patience = time.monotonic() + TIMEOUT_S  # against hanging only
        while not seen(self.terminal):
            ready, _, _ = select.select([self._master], [], [], TIMEOUT_S)
            assert ready, self.terminal.text
            assert time.monotonic() < patience, self.terminal.text
            self.terminal.feed(self._read())

    def _read(self) -> str:
        written = os.read(self._master, 100_000)
        while written[-1] >= 0x80 or b"\x1b" in written[-12:]:  # not in the midst of a letter or a sequence
            if not select.select([self._master], [], [], 0.2)[0]:
                break
            written += os.read(self._master, 100_000)
        return written.decode()

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def asked(self) -> dict[str, Any]:
        """The next request it has sent."""
        request: dict[str, Any] = json.loads(self._asked.readline())
        return request

    def left(self) -> int:
        """Wait for its end; its status. The terminal must be as it was."""
        status = self.process.wait(TIMEOUT_S)
        while select.select([self._master], [], [], 0)[0]:
            self.terminal.feed(self._read())
        assert termios.tcgetattr(self._slave) == self._before
        assert not self.terminal.modes & {"?1049"}
        assert "?25" in self.terminal.modes  # the cursor is back
        return status

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        for end in (self._master, self._slave):
            os.close(end)
        self.feed.close()
        self._asked.close()


@contextmanager
def watching(**env: str) -> Iterator[Watching]:
    """The view, told a performance that stands still at `PICTURE_SECOND`."""
    view = Watching(**env)
    try:
        view.tell(*(event for second, event in performance_events() if second <= PICTURE_SECOND))
        view.tell({"event": "status", "beat": PICTURE_SECOND * 2, "rolling": False, "coming": None})
        view.until(lambda terminal: "halted" in terminal.text)
        yield view
    finally:
        view.close()


def _shows(wanted: str, terminal: Terminal) -> bool:
    """Below the first line, which on a slow machine tells that it has been silent for long."""
    return terminal.text.split("\n", 1)[1] == wanted.split("\n", 1)[1]


@pytest.mark.subprocess
def test_the_view_draws_resizes_and_ends_with_the_daemon() -> None:
    """The terminal would be left on another screen without cursor or echo, or show something else than was told."""
    scene = state_at(PICTURE_SECOND)
    scene.apply_event({"event": "status", "beat": PICTURE_SECOND * 2, "rolling": False, "coming": None}, PICTURE_SECOND)
    with watching(COLUMNS="30") as view:  # which a shell may have left there
        told = "q quit  p panic  m mode  t tap  a again  +- temp"
        assert view.terminal.modes & {"?1049", "?25"} == {"?1049"}
        for width, height in ((80, 24), (50, 12), (120, 40)):
            wanted = "".join(
                f"{line.plain}\n" for line in draw_screen(scene, PICTURE_SECOND, width, height, UTF8, told)
            )
            if (width, height) != (80, 24):
                view.resize(width, height)
            view.until(partial(_shows, wanted))
        assert view.terminal.coloured
        view.tell({"event": "log", "text": "shorter"})
        view.until(lambda terminal: terminal.text.rstrip().endswith("\nshorter"))
        view.feed.close()
        assert view.left() == 0
        assert "the daemon has ended" in view.terminal.text


@pytest.mark.subprocess
def test_keys_ask_and_leave() -> None:
    """A key would do nothing, or another thing than is written below the chart."""
    with watching() as view:
        view.press("pta\x1b[A+-mm?")
        assert [view.asked()["do"] for _ in range(3)] == ["panic", "tap", "again"]
        for value in (1.5, 1.6, 1.5):
            assert view.asked() == {"v": 1, "do": "set", "key": "play.temperature", "value": value}
        for mode in ("trade", "answer"):
            assert view.asked() == {"v": 1, "do": "mode", "mode": mode}
        view.until(lambda terminal: "solo > answer: playing" in terminal.text)
        view.tell({"ok": False, "error": "no such mode here"})
        view.until(lambda terminal: "solo: playing" in terminal.text and "no such mode here" in terminal.text)
        view.tell({"event": "mode", "mode": "answer"})
        view.until(lambda terminal: "answer: playing" in terminal.text)
        view.press("q")
        assert view.left() == 0


@pytest.mark.subprocess
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_it_tidily(number: signal.Signals) -> None:
    """Ctrl-C would leave a terminal without cursor and echo."""
    with watching() as view:
        view.process.send_signal(number)
        assert view.left() == 0


@pytest.mark.subprocess
def test_no_colour_and_no_utf8_are_heeded() -> None:
    """Who asked for no colours would get them, and a terminal that knows ASCII only something else."""
    with watching(NO_COLOR="1", LC_ALL="C") as view:
        assert not view.terminal.coloured
        assert view.terminal.text.isascii()


@pytest.mark.subprocess
def test_a_terminal_that_cannot_draw_gets_lines() -> None:
    """A dumb terminal would be flooded with escape sequences."""
    view = Watching(TERM="dumb")
    try:
        view.tell({"event": "mode", "mode": "trade"})
        view.until(lambda terminal: "mode: trade" in terminal.text)
        assert not view.terminal.modes
    finally:
        view.close()


@pytest.mark.subprocess
def test_the_view_is_of_no_weight_to_the_daemon() -> None:
    """`sideman run` would load what only the view needs."""
    program = "import sys, sideman.watch; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=daemon_environment(), check=False).returncode == 0
