# SPDX-License-Identifier: Apache-2.0
"""The view of `sideman ctl watch`: it shows what is played, on any terminal, and leaves the terminal as it was."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from sideman.control.codec import Message, ReceivedRequest
from sideman.control.events import (
    EVENTS,
    BarEvent,
    BarValue,
    ChangedEvent,
    ComingEvent,
    DoingEvent,
    Event,
    LogEvent,
    ModeEvent,
    StatusEvent,
    ValueEvent,
)
from sideman.control.requests import REQUESTS, ModeRequest, Refusal, Request, SetRequest
from sideman.core.settings.schema import KEYS
from sideman.watch import watch
from sideman.watch.model import WatchState, read_message
from sideman.watch.plain import plain_lines
from sideman_models.music.harmony import parse_pitch
from sideman_models.text import printable
from support.processes import TIMEOUT_S, daemon_environment

pytest.importorskip("rich")

from rich.cells import cell_len
from rich.console import Console

from sideman.watch.roll import draw_roll
from sideman.watch.screen import ASCII, SETTING_NAMES, UTF8, Glyphs, draw_screen, glyphs_for
from sideman.watch.view import request_for_key
from support.watch import (
    GOLDEN,
    PICTURE_SECOND,
    PLAYER_NOTES,
    SIZES,
    Terminal,
    beat_event,
    chart_event,
    performance_events,
    screen_text,
    socket_lines,
    state_at,
    status_event,
)

HALTED = status_event(beat=PICTURE_SECOND * 2, bar=4, rolling=False, form_bar=4, chord="Cm7", next_chord="F7")

_texts = st.text(max_size=8) | st.sampled_from(["4/4", "7/8", "16/16", "solo", "C7", "a\x1b[2J\r\n\x07b"])
_values = st.none() | st.booleans() | st.integers() | st.floats() | _texts | st.lists(_texts, max_size=3)
_fields: dict[object, st.SearchStrategy[Any]] = {
    str: _texts,
    bool: st.booleans(),
    float: st.floats(min_value=0, max_value=1e300),
    dict[str, object]: st.dictionaries(st.sampled_from(["play.temperature", "midi.transpose"]) | _texts, _values),
}


def _of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that the protocol allows for a field of this type, often an extreme one."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        strategy = _within(*arguments[:2])
    elif origin in (UnionType, Union):
        strategy = st.one_of(*map(_of_type, arguments))
    elif origin is list:
        strategy = st.lists(_of_type(arguments[0]), max_size=4)
    elif origin is tuple:
        strategy = st.tuples(*map(_of_type, arguments))
    elif isinstance(kind, type) and issubclass(kind, Struct):
        strategy = _structs(kind)
    else:
        strategy = st.none() if kind is type(None) else _fields[kind]
    return strategy


def _within(kind: Any, limits: Meta) -> st.SearchStrategy[Any]:
    if kind is int and limits.ge is not None and limits.le is not None:
        low, high = int(limits.ge), int(limits.le)
        return st.integers(low, high) | st.sampled_from([low, high]) | st.integers(max(low, -20), min(high, 130))
    if kind is float and limits.le is not None:
        least = 1e-300 if limits.ge is None else float(limits.ge)
        return st.floats(least, float(limits.le)) | st.floats(max(least, 0.5), 130)
    return _of_type(kind)


def _structs(kind: type[Struct]) -> st.SearchStrategy[Any]:
    types = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: _of_type(types[name]) for name in kind.__struct_fields__})


_events = st.sampled_from(list(EVENTS.values())).flatmap(_structs)
_numbers = st.integers(-5, 200) | st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 1e300])
_anything = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda some: st.lists(some, max_size=4) | st.dictionaries(_texts, some, max_size=4),
    max_leaves=8,
)


def _is_printable(line: str) -> bool:
    return printable(line) == line


# -- what the view knows


def test_the_state_is_that_of_the_daemon() -> None:
    """Guards against: a view that shows another bar, tempo or setting than the one that is played."""
    state = state_at(PICTURE_SECOND)
    assert (state.title, len(state.bars), str(state.meters[0])) == ("A Blues for Two", 12, "4/4")
    assert (state.chord, state.next_chord, state.bpm, state.seed) == ("Cm7", "F7", 120.0, 5)
    assert state.settings["play.temperature"] == 1.4
    heard = {(note.beat, note.pitch) for note in state.notes(13.0) if note.source == "heard"}
    assert heard == {(beat, pitch) for beat, pitch, _ in PLAYER_NOTES if beat * 0.5 <= PICTURE_SECOND}


def test_the_beat_goes_on_in_tempo_but_no_further_than_a_beat() -> None:
    """Guards against: a roll that jumps from beat to beat, or moves on while the daemon hangs."""
    state = WatchState()
    state.apply_event(status_event(beat=8.0, bpm=120.0), 100.0)
    assert [state.beat_at(second) for second in (100.0, 100.25, 100.5, 200.0)] == [8.0, 8.5, 9.0, 9.0]
    state.apply_event(status_event(beat=9.0, rolling=False), 100.5)
    assert state.beat_at(101.0) == 9.0


def test_music_that_waits_says_for_what() -> None:
    """Guards against: a view of an armed sideman that looks as if the music had been stopped, or had died."""
    waits = status_event(rolling=False, doing="idle", waiting="armed: waits for your first note")
    assert "armed: waits for your first note" in list(plain_lines([waits]))
    assert "halted" not in list(plain_lines([waits]))
    state = WatchState()
    state.apply_event(waits, 0.0)
    shown = "\n".join(line.plain for line in draw_screen(state, 0.0, 120, 24, UTF8))
    assert "armed: waits for your first note" in shown
    assert "halted" in list(plain_lines([waits, status_event(), status_event(rolling=False)]))


def test_music_that_starts_again_removes_the_old_notes() -> None:
    """Guards against: notes of the last time that the roll shows in the wrong place."""
    state = state_at(PICTURE_SECOND)
    state.apply_event(beat_event(0), PICTURE_SECOND + 1)
    assert list(state.notes(0.0)) == []


def test_the_position_in_the_chart_follows_its_top() -> None:
    """Guards against: a wrong bar that is marked after another chart took over."""
    state = state_at(PICTURE_SECOND)
    state.apply_event(status_event(beat=24.5, bar=7, top=-76.0), PICTURE_SECOND)
    assert state.bar_at(24.5) == 2 * 12 + 1


def test_bars_of_several_meters_are_shown_in_their_lengths() -> None:
    """Guards against: a wrong bar, and bar lines in wrong places, in a chart that changes its meter."""
    state = WatchState()
    meters = [(0, "4/4"), (1, "3/4"), (2, "x")]
    state.apply_event(chart_event([["C"], ["F", "G"], ["A"]], meters=meters), 0.0)
    state.apply_event(status_event(bpm=120.0, beat=15.0, bar=5, chord="G"), 0.0)
    assert [str(meter) for meter in state.meters] == ["4/4", "3/4", "3/4"]
    assert [state.bar_at(beat) for beat in (-0.5, 0, 3.9, 4, 6.9, 7, 10, 14)] == [-1, 0, 0, 1, 1, 2, 3, 4]
    assert [state.bar_line_beat(bar) for bar in range(-1, 5)] == [-3, 0, 4, 7, 10, 14]
    assert state.sounding_chord(1, 15.0) == 1
    shown = "\n".join(line.plain for line in draw_screen(state, 0.0, 90, 24, ASCII))
    assert "3/4  1 [2] 3 " in shown
    state.apply_event(beat_event(30, bar=11, top=27.0), 0.0)  # another chart took over
    assert (state.bar_at(30.0), state.bars_before) == (0, 10)


def test_sections_in_any_script_leave_the_bars_in_line() -> None:
    """Guards against: bars that do not stand below each other, or are cut, if the sections have Japanese names."""
    state = WatchState()
    bars = [[f"C{number}"] for number in range(12)]
    state.apply_event(chart_event(bars, sections=[(0, "前奏"), (4, "A"), (8, "とても長い名前の部分")]), 0.0)
    rows = [line.plain for line in draw_screen(state, 0.0, 80, 24, UTF8)[2:5]]
    assert ["C0" in rows[0], "C4" in rows[1], "C8" in rows[2]] == [True] * 3
    places = {tuple(cell_len(row[:at]) for at, letter in enumerate(row) if letter in "│▶") for row in rows}
    assert len(places) == 1
    assert len(places.pop()) == 5


def test_the_sounding_chord_of_a_bar_with_two_is_marked() -> None:
    """Guards against: a soloist who plays over the wrong chord of a bar."""
    state = state_at(PICTURE_SECOND)
    assert [state.sounding_chord(3, beat) for beat in (12.0, 15.0)] == [0, 0]  # Cm7, until an event names another
    state.apply_event(beat_event(14, bar=4, chord="F7"), 7.0)
    assert state.sounding_chord(3, 14.0) == 1


@settings(max_examples=100)
@given(st.lists(_events, max_size=6), st.sampled_from([*SIZES, (1, 1), (3, 40), (300, 2), (60, 13)]))
def test_no_event_breaks_the_view(events: list[Event], size: tuple[int, int]) -> None:
    """Guards against: a daemon of another version, or a program that imitates one, that ends the view."""
    state = WatchState()
    for number, event in enumerate(events):
        state.apply_event(event, float(number))
    assert all(map(_is_printable, plain_lines(events)))
    for glyphs in (UTF8, ASCII):
        drawn = draw_screen(state, float(len(events)), *size, glyphs)
        assert len(drawn) == size[1]
        assert all(line.cell_len <= size[0] and _is_printable(line.plain) for line in drawn)
        assert glyphs.utf8 or all(line.plain.isascii() for line in drawn)


def test_no_text_takes_the_terminal_over() -> None:
    """Guards against: a chart's title, or a port's name, that clears the screen or makes the terminal type commands."""
    state, evil = WatchState(), "a\x1b[2J\r\n\x07b"
    for event in (
        chart_event([[evil]], title=evil, sections=[(0, evil)]),
        status_event(mode=evil, doing=evil, chord=evil, next_chord=evil, ports=evil, clock=evil),
        ChangedEvent({"play.rate": evil, evil: evil}),
        ComingEvent(1.0, None, evil),
        BarEvent(1, [evil], [BarValue(evil, None)]),
        ModeEvent(evil, 0.0),
        LogEvent(evil, evil),
        Refusal(None, False, evil),
    ):
        state.apply_event(event, 0.0)
        assert all(map(_is_printable, plain_lines([event])))
    assert all(_is_printable(line.plain) for line in draw_screen(state, 0.0, 300, 50, UTF8))


@given(
    st.text()
    | st.from_regex(r'\{"event":.*')
    | st.builds(
        lambda kind, fields: json.dumps({**fields, "event": kind}), st.sampled_from(list(EVENTS)),
        st.dictionaries(st.sampled_from(sorted({"ok", *StatusEvent.__struct_fields__})) | _texts, _anything),
    )
)  # fmt: skip
def test_lines_that_are_not_understood_are_ignored(line: str) -> None:
    """Guards against: a traceback for half a line, as the last one may be, or for an event of another version."""
    WatchState().apply_event(read_message(line), 0.0)
    assert read_message('{"v":1,"event":"dance"}') is None
    assert read_message('{"v":1,"event":"mode","mode":"solo"}') is None
    assert read_message('{"v":1,"event":"mode","mode":"solo","beat":1,"new":[]}') == ModeEvent("solo", 1.0)


# -- what the view shows


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pictures_are_as_they_were(width: int, height: int) -> None:
    """Guards against: an unintended change of the screen (`python tests/support/watch.py` writes the pictures)."""
    drawn = screen_text(width, height)
    assert drawn == (GOLDEN / f"watch-{width}x{height}.txt").read_text("utf-8")
    assert len(drawn.splitlines()) == height
    assert max(map(len, drawn.splitlines())) <= width


@pytest.mark.parametrize("glyphs", [UTF8, ASCII])
def test_the_players_can_be_told_apart_without_colour(glyphs: Glyphs) -> None:
    """Guards against: the notes of both players looking alike without colours, or to the colour-blind."""
    kinds = [{glyphs.roll_cells(letter) for letter in letters} for letters in ("O=", "Y-", "c", "?", "B", "|:")]
    assert sum(map(len, kinds)) == len(set.union(*kinds))


def test_both_players_have_colours_of_their_own() -> None:
    """Guards against: notes that are as dim as the lines behind them, or alike for both players."""
    console = Console(width=80, height=24, force_terminal=True, color_system="standard")
    with console.capture() as written:
        console.print(*draw_screen(state_at(PICTURE_SECOND), PICTURE_SECOND, 80, 24, UTF8), sep="\n")
    assert "\x1b[1;36m●━━" in written.get()
    assert "\x1b[33m○──" in written.get()


def test_a_terminal_without_utf8_gets_ascii_only() -> None:
    """Guards against: unreadable characters in place of the roll on a serial console."""
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


def test_the_view_says_when_the_daemon_is_silent() -> None:
    """Guards against: a picture that stands still and is taken for the present one."""
    assert "no word" not in screen_text(80, 24)
    drawn = draw_screen(state_at(PICTURE_SECOND), PICTURE_SECOND + 9.0, 80, 24, UTF8)
    assert "no word for 9 s" in drawn[0].plain


# -- plain lines


def test_a_pipe_gets_a_line_for_each_bar_and_change() -> None:
    """Guards against: a pipe that gets escape sequences, or nothing to read."""
    pipe = io.StringIO()
    assert watch(socket_lines(*(event for _, event in performance_events(16.0))), pipe, send=print) == 0
    written = pipe.getvalue().splitlines()
    assert written[0] == "chart: A Blues for Two, 12 bars of 4/4"
    assert [line for line in written if line.startswith("bar ")][2].startswith("bar 3 | F7 | ")
    for line in ("seed: 5", "mode: solo", "playing", "tempo: 120 bpm", "play.temperature is 1.4, play.density is 0.6"):
        assert written.count(line) == 1
    assert written[-1] == "the daemon has ended"
    assert "\x1b" not in pipe.getvalue()


def test_a_slightly_unsteady_tempo_is_written_once() -> None:
    """Guards against: two lines a second about the tempo of an external clock."""
    events = [status_event(bpm=bpm) for bpm in (120.4, 119.6, 120.5, 97.0)]
    first = list(plain_lines(events[:1]))
    assert "tempo: 120 bpm" in first
    assert list(plain_lines(events)) == [*first, "tempo: 97 bpm"]


def test_a_terminal_without_rich_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: an error, instead of something to read, for a user who has not installed the extra."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("TERM", "xterm")
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    assert watch(socket_lines(ModeEvent("trade", 0.0)), screen, send=print) == 0
    assert screen.getvalue().splitlines()[1:] == ["mode: trade", "the daemon has ended"]
    assert "sideman[watch]" in screen.getvalue()


# -- the terminal

_PROGRAM = """
import os, sys
from sideman.control.codec import encode_json, make_request
from sideman.control.requests import REQUESTS, request_fields
from sideman.core.errors import UsageError
from sideman.watch import watch
asks = os.fdopen(int(sys.argv[2]), "wb", buffering=0)
send = lambda request: asks.write(encode_json(request) + b"\\n")
def read(text):
    name, *words = text.split()
    if name not in REQUESTS:
        raise UsageError(f"{name} is no request")
    return make_request(name, dict(zip(request_fields(REQUESTS[name]), words)))
sys.exit(watch(os.fdopen(int(sys.argv[1])), sys.stdout, send, read))
"""


class Watching:
    """The view in a process of its own, on a terminal of 80 x 24. It gets its events through a pipe."""

    def __init__(self, **env: str) -> None:
        self._master, self._slave = pty.openpty()
        self.terminal = Terminal(80, 24)
        self.resize(80, 24)
        self._before = termios.tcgetattr(self._slave)
        reads, feed = os.pipe()
        asks, writes = os.pipe()
        environment = daemon_environment(**{"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env})
        command = [sys.executable, "-c", _PROGRAM, str(reads), str(writes)]
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=environment,
            pass_fds=(reads, writes),
            start_new_session=True,
        )
        os.close(reads)
        os.close(writes)
        self.feed, self._requests = os.fdopen(feed, "w"), os.fdopen(asks)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        termios.tcsetwinsize(self._slave, (height, width))
        self.terminal.resize(width, height)

    def send(self, *messages: Message) -> None:
        """Send messages to the view."""
        self.feed.writelines(socket_lines(*messages))
        self.feed.flush()

    def until(self, seen: Callable[[Terminal], bool]) -> None:
        """Wait until the terminal shows what it should."""
        give_up_s = time.monotonic() + TIMEOUT_S  # only so that the test does not hang
        while not seen(self.terminal):
            ready, _, _ = select.select([self._master], [], [], TIMEOUT_S)
            assert ready, self.terminal.text
            assert time.monotonic() < give_up_s, self.terminal.text
            self.terminal.feed(self._read())

    def _read(self) -> str:
        written = os.read(self._master, 100_000)
        while written[-1] >= 0x80 or b"\x1b" in written[-12:]:  # not in the middle of a character or a sequence
            if not select.select([self._master], [], [], 0.2)[0]:
                break
            written += os.read(self._master, 100_000)
        return written.decode()

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def next_request(self) -> Request:
        """The next request that the view has sent."""
        return ReceivedRequest(self._requests.readline().encode()).read()

    def wait(self) -> int:
        """Wait for the end of the view and return its exit status. The terminal must be as it was before."""
        status = self.process.wait(TIMEOUT_S)
        while select.select([self._master], [], [], 0)[0]:
            self.terminal.feed(self._read())
        assert termios.tcgetattr(self._slave) == self._before
        assert not self.terminal.modes & {"?1049"}
        assert "?25" in self.terminal.modes  # the cursor is visible again
        return status

    def close(self) -> None:
        """End the process and close all files."""
        self.process.kill()
        self.process.wait()
        for end in (self._master, self._slave):
            os.close(end)
        self.feed.close()
        self._requests.close()


@contextmanager
def watching(**env: str) -> Iterator[Watching]:
    """The view of a performance that stands still at `PICTURE_SECOND`."""
    view = Watching(**env)
    try:
        view.send(*(event for second, event in performance_events() if second <= PICTURE_SECOND), HALTED)
        view.until(lambda terminal: "halted" in terminal.text)
        yield view
    finally:
        view.close()


def _shows(wanted: str, terminal: Terminal) -> bool:
    """Whether the terminal shows this, apart from the first line: on a slow machine it says that no events come."""
    return terminal.text.split("\n", 1)[1] == wanted.split("\n", 1)[1]


@pytest.mark.subprocess
def test_the_view_draws_resizes_and_ends_with_the_daemon() -> None:
    """Guards against: a terminal without cursor or echo, and against a picture of another state than the daemon's."""
    state = state_at(PICTURE_SECOND)
    state.apply_event(HALTED, PICTURE_SECOND)
    with watching(COLUMNS="30") as view:  # a shell may have left a wrong width there
        assert view.terminal.modes & {"?1049", "?25"} == {"?1049"}
        for width, height in ((80, 24), (50, 12), (120, 40)):
            wanted = "".join(f"{line.plain}\n" for line in draw_screen(state, PICTURE_SECOND, width, height, UTF8))
            if (width, height) != (80, 24):
                view.resize(width, height)
            view.until(partial(_shows, wanted))
        assert view.terminal.coloured
        view.send(LogEvent("info", "shorter"))
        view.until(lambda terminal: terminal.text.rstrip().endswith("\nshorter"))
        view.feed.close()
        assert view.wait() == 0
        assert "the daemon has ended" in view.terminal.text


@pytest.mark.subprocess
def test_keys_send_requests_and_leave() -> None:
    """Guards against: keys that do nothing, or something else than the help below the chart says."""
    with watching() as view:
        view.press("ptasxk\x1b[C+-mm")
        for action in ("panic", "tap", "again", "start", "stop", "keep"):
            assert view.next_request() == REQUESTS[action]()
        for value in (1.5, 1.6, 1.5):
            assert view.next_request() == SetRequest("play.temperature", value)
        for mode in ("trade", "answer"):
            assert view.next_request() == ModeRequest(mode)
        view.until(lambda terminal: "solo > answer: playing" in terminal.text)
        view.send(Refusal(None, False, "no such mode here"))
        view.until(lambda terminal: "solo: playing" in terminal.text and "no such mode here" in terminal.text)
        view.send(ModeEvent("answer", 12.0))
        view.until(lambda terminal: "answer: playing" in terminal.text)
        view.press("q")
        assert view.wait() == 0


@pytest.mark.subprocess
def test_every_setting_and_request_is_within_reach_of_the_keys() -> None:
    """Guards against: a player who has to leave the view for another terminal to change something."""
    with watching() as view:
        view.press("\x1b[B+")
        assert view.next_request() == SetRequest("play.density", 0.7)
        view.until(lambda terminal: "▶density" in terminal.text)
        view.press("4:mode soloo\x7f\r")
        assert [view.next_request() for _ in range(2)] == [ModeRequest("duet"), ModeRequest("solo")]
        view.press(":dance\r")
        view.until(lambda terminal: "dance is no request" in terminal.text)
        view.press(":quit\x1b")
        view.press("?")
        view.until(lambda terminal: "type any request" in terminal.text)
        assert view.process.poll() is None


def test_each_setting_turns_within_its_range() -> None:
    """Guards against: a key that asks for a value that the daemon refuses."""
    for name in SETTING_NAMES:
        key = KEYS[f"play.{name}"]
        for direction in ("+", "-"):
            state = WatchState(selected=name, settings={key.name: key.value_type.write(key.default)})
            for _ in range(300):
                request = request_for_key(direction, state)
                if request is None:
                    assert state.command == f"set {key.name} "
                    break
                assert isinstance(request, SetRequest)
                key.value_type.read(request.value)
                state.apply_request(request)


@settings(max_examples=60)
@given(st.lists(st.integers(24, 108), min_size=1, max_size=6), st.integers(4, 30))
def test_a_row_says_every_pitch_that_it_shows(pitches: list[int], height: int) -> None:
    """Guards against: two semitones in one row under the name of one of them."""
    state = WatchState()
    state.apply_event(status_event(beat=8.0), 0.0)
    for number, pitch in enumerate(pitches):
        state.apply_event(ValueEvent(2.0 + number, None, pitch, 0.5, 80, "solo"), 0.0)
    shown: set[int] = set()
    for label, cells in draw_roll(state, 8.0, 120, height)[:-1]:
        ends = [parse_pitch(name) for name in re.findall(r"[A-G][b#]?\d", label)]
        shown |= set(range(ends[0], ends[-1] + 1)) if "●" in UTF8.roll_cells(cells) else set()
    assert set(pitches) <= shown


def test_the_turn_is_counted_down() -> None:
    """Guards against: a player who does not see when his turn comes."""
    state = WatchState()
    state.apply_event(status_event(beat=4.0, mode="trade", doing="listening", turn_ends=16.0), 0.0)
    shown = [state.turn_words(beat) for beat in (4.0, 8.0, 12.0, 14.5, 16.0)]
    assert shown == ["sideman in 3 bars", "sideman in 2 bars", "sideman in 4 beats", "sideman in 2 beats", ""]
    assert "sideman in 3 bars" in draw_screen(state, 0.0, 80, 24, UTF8)[1].plain
    state.apply_event(DoingEvent("playing", 32.0), 0.0)
    assert state.turn_words(16.0) == "you in 4 bars"


@pytest.mark.subprocess
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_restores_the_terminal(number: signal.Signals) -> None:
    """Guards against: a terminal without cursor and echo after Ctrl-C."""
    with watching() as view:
        view.process.send_signal(number)
        assert view.wait() == 0


@pytest.mark.subprocess
def test_a_terminal_without_colours_and_utf8_gets_neither() -> None:
    """Guards against: colours that the user has switched off, and characters that the terminal does not have."""
    with watching(NO_COLOR="1", LC_ALL="C") as view:
        assert not view.terminal.coloured
        assert view.terminal.text.isascii()


@pytest.mark.subprocess
def test_a_terminal_that_cannot_draw_gets_lines() -> None:
    """Guards against: a dumb terminal that is flooded with escape sequences."""
    view = Watching(TERM="dumb")
    try:
        view.send(ModeEvent("trade", 0.0))
        view.until(lambda terminal: "mode: trade" in terminal.text)
        assert not view.terminal.modes
    finally:
        view.close()


@pytest.mark.subprocess
def test_the_package_loads_without_rich() -> None:
    """Guards against: a `sideman run` that loads what only the view needs."""
    program = "import sys, sideman.watch; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=daemon_environment(), check=False).returncode == 0
