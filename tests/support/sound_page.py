# SPDX-License-Identifier: Apache-2.0
"""The page's sound in real Chromium: its modules as they are, with a store whose events come from the test.

What sounds is recorded in the page from each part's last node. An onset is where something begins that does not follow
from the wave before, in seconds of the AudioContext; readings of `getOutputTimestamp` of the recorder's own, before and
after, say when that left the loudspeaker. So a fault of the player's own clock shows.

`record_band` records the page that a daemon plays to, with nothing of the test's between them: what it announces is
compared in seconds of the machine's monotonic clock, which the daemon's seconds are, and Chromium's on Linux.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, Route

FILES = Path(__file__).parents[2] / "daemon" / "sideman" / "window" / "page"
HARNESS = Path(__file__).parent
_PAGE = b"<!doctype html><link rel=icon href=data:,><title>sound</title><div id=keys></div>"
POLICY = "default-src 'self'; script-src 'self'; style-src 'self'; img-src data:"
TIMEOUT_S = 60.0  # against hanging only
_NEAR = 15  # readings, about as many as in a second
BEFORE_S, AFTER_S = 0.06, 0.1  # where the onset of a note is looked for
_KNOWN_S, _STILL_S = 0.05, 0.04  # of that: what the wave is foreseen from, and what says how well
_ORDER = 64  # samples
BAND = {"solo": "solo", "bass": "bass", "comp": "shells", "drums": "drums"}
"""The part of the page that a voice of the band sounds in."""
_CLOCK_READINGS = 50
_GRAIN_S = 0.0002  # what browsers round their clock to

_TIMERS = """
const every = window.setInterval.bind(window), once = window.setTimeout.bind(window);
window.setInterval = (f, ms, ...rest) => every(f, Math.max(ms, 1000), ...rest);
window.setTimeout = (f, ms, ...rest) => once(f, Math.max(ms ?? 0, 1000), ...rest);
window.requestAnimationFrame = () => 0;
"""


class _Files(http.server.SimpleHTTPRequestHandler):
    """The page's files, and below /test/ the harness, with the policy under which the page runs."""

    def do_GET(self) -> None:
        """Serve a file, or an empty page."""
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(_PAGE)
        return None

    def translate_path(self, path: str) -> str:
        """The file at a path."""
        name = path.removeprefix("/test/")
        return super().translate_path(path) if name == path else str(HARNESS / name)

    def end_headers(self) -> None:
        """Add the policy."""
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *_words: object) -> None:
        """No log."""


@contextlib.contextmanager
def served_sound() -> Iterator[str]:
    """Serves the page's files and the harness; yields the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(FILES)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(TIMEOUT_S)


def load_sound(page: Page, *, hidden: bool = False, script: str = "") -> None:
    """Load the sound's modules in a page of `served_sound`, and touch the page, without which browsers are silent.

    With `hidden` the timers of the page run once a second, as in a tab in the background. `script` runs before the
    modules are loaded.
    """
    page.set_default_timeout(1000 * TIMEOUT_S)
    page.mouse.click(5, 5)
    page.evaluate("async () => { window.t = await import('/test/sound_harness.js'); }")
    page.evaluate(f"() => {{ {_TIMERS if hidden else ''} {script} }}")
    page.evaluate(
        """async () => {
            const { createSound } = await import("/sound/sound.js");
            const { Playing } = await import("/sound/playing.js");
            window.sound = createSound(t.store);
            window.playing = new Playing(t.store, sound);
        }"""
    )


@dataclass(frozen=True)
class Recording:
    """What sounded: the wave of each part, NaN where it was lost, and the context's second of its first sample.

    `readings` are pairs of the context's second and the second that the test has announced notes in.
    """

    waves: Mapping[str, np.ndarray]
    firsts: Mapping[str, float]
    readings: np.ndarray
    rate: float

    @classmethod
    def read(cls, made: Mapping[str, Any]) -> Recording:
        """Of what the page's recorder returned; from then on seconds count from `now`."""
        readings = np.array([pair for pair in made["readings"] if pair[1] > 0])
        readings[:, 1] = (readings[:, 1] + made["offset"]) / 1000 - made["now"]
        parts = made["parts"].items()
        waves = {name: np.frombuffer(base64.b64decode(part["wave"]), np.float32) for name, part in parts}
        return cls(waves, {name: part["first"] / made["rate"] for name, part in parts}, readings, made["rate"])

    def between(self, part: str, start: float, end: float) -> np.ndarray:
        """The wave of a part from a second to another."""
        first, last = (max(0, round((self._context(each) - self.firsts[part]) * self.rate)) for each in (start, end))
        return self.waves[part][first:last]

    def loudest(self, part: str, start: float, end: float) -> float:
        """The peak of a part from a second to another."""
        return _peak(self.between(part, start, end))

    def onset_error(self, part: str, second: float) -> float | None:
        """By how many seconds the note that is due at `second` sounds later; None if it does not sound there."""
        new = _unforeseen(self.between(part, second - BEFORE_S, second + AFTER_S), round(_KNOWN_S * self.rate))
        still = _peak(new[: round(_STILL_S * self.rate)])
        above = np.flatnonzero(new > 1.5 * still + 0.03 * _peak(new) + 1e-5)
        return None if not len(above) else float(above[0] / self.rate - BEFORE_S)

    def lost(self, part: str, second: float) -> bool:
        """Whether the recorder has lost something around a second: no fault of the page."""
        wave = self.between(part, second - BEFORE_S, second + AFTER_S)
        return not len(wave) or bool(np.isnan(wave).any())

    def _context(self, second: float) -> float:
        """The context's second at a second, from the readings around it: a device may stand still meanwhile."""
        near = self.readings[np.argsort(np.abs(self.readings[:, 1] - second))[:_NEAR]]
        return second + float(np.median(near[:, 0] - near[:, 1]))


def _peak(wave: np.ndarray) -> float:
    return 0.0 if np.isnan(wave).all() else float(np.nanmax(np.abs(wave)))


def _unforeseen(wave: np.ndarray, known: int) -> np.ndarray:
    """What of a wave does not follow from its last samples as it does in its `known` first: notes that sound on do."""
    if len(wave) <= max(known, _ORDER):
        return np.zeros(0)
    spans = np.lib.stride_tricks.sliding_window_view(wave.astype(float), _ORDER + 1)
    last, then = spans[:, :-1], spans[:, -1]
    first, target = last[: known - _ORDER], then[: known - _ORDER]
    powers = first.T @ first + np.eye(_ORDER) * (1e-6 * np.square(first).sum() / _ORDER + 1e-12)
    weights = np.linalg.solve(powers, first.T @ target)
    return np.concatenate([np.zeros(_ORDER), np.abs(then - last @ weights)])


def record(page: Page, parts: Sequence[str], events: Sequence[Mapping[str, Any]], tail: float = 0.5) -> Recording:
    """Switch the sound on, emit events (their times relative to now) and return what sounded."""
    made = page.evaluate(
        """async ([parts, events, tail]) => {
            await sound.start();
            const recorder = await t.Recorder.of(sound, parts);
            await t.pause(0.3);
            const now = t.second();
            const moved = (event) => ("second" in event ? { ...event, second: event.second + now } : event);
            await t.emitAll(events.map(moved));
            await t.pause(tail);
            return { ...(await recorder.end()), now };
        }""",
        [list(parts), list(events), tail],
    )
    return Recording.read(made)


def coming(number: int, second: float, ahead: float = 0.1, **more: Any) -> dict[str, Any]:
    """A planned note that is due at `second` and known `ahead` of that."""
    note = {
        "pitch": 60,
        "velocity": 90,
        "voice": "solo",
        "beats": 0.1,
        "length_s": 0.05,
        "beat": 2 * second,
        "value": None,
    }
    return {"event": "coming", "after": second - ahead, "note": number, "second": second, "channel": 1, **note, **more}


def record_band(page: Page, address: str, path: Path, seconds: float) -> tuple[Recording, list[tuple[str, float]], int]:
    """Open the page of a daemon whose band plays, switch its sound on, and record it for some seconds.

    `path` is the daemon's control socket. Returns what sounded, its seconds being the daemon's; the part and the second
    of each note that was announced ahead of it and then struck, once if a part has several; and how many were announced
    too late. The page's context has to bypass the policy, as a worklet can be put into the page only as a blob.
    """
    page.set_default_timeout(1000 * TIMEOUT_S)
    page.route("**/main.js", _give_sound)
    page.route("**/test/*", lambda route: route.fulfill(path=HARNESS / route.request.url.rpartition("/")[2]))
    page.goto(address)
    page.click("#hear")
    page.locator("#hear[aria-pressed=true]").wait_for()
    page.evaluate(
        """async ([parts, code]) => {
            const { Recorder, pause } = await import("/test/sound_harness.js");
            const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
            window.recorder = await Recorder.of(sound, parts, address);
            await pause(0.3);
        }""",
        [sorted(set(BAND.values())), (HARNESS / "sound_recorder.js").read_text("utf-8")],
    )
    epoch = performance_epoch(page)
    notes, late = _struck(path, seconds)
    made = page.evaluate("() => recorder.end()")
    return Recording.read({**made, "offset": 1000 * epoch, "now": 0.0}), notes, late


def _give_sound(route: Route) -> None:
    """Let the page's main module put its sound where the recorder finds it."""
    response = route.fetch()
    route.fulfill(response=response, body=f"{response.text()}\nwindow.sound = sound;\n")


def performance_epoch(page: Page) -> float:
    """The second of the monotonic clock at which the page's `performance.now()` began, as the browser itself says.

    Raises RuntimeError if the browser counts by another clock: it must lie between two readings of Python's.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    epoch = 0.0
    for _ in range(_CLOCK_READINGS):
        before = time.monotonic()
        said = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        between = time.monotonic()
        epoch = said["NavigationStart"]
        now = epoch + page.evaluate("() => performance.now()") / 1000
        after = time.monotonic()
        if not (before <= said["Timestamp"] <= between and between - _GRAIN_S <= now <= after + _GRAIN_S):
            raise RuntimeError("this browser's clock is not the monotonic clock of the machine")
    session.detach()
    return epoch


def _struck(path: Path, seconds: float) -> tuple[list[tuple[str, float]], int]:
    """What the band strikes in the next seconds, and how much of it was announced too late."""
    announced: dict[int, float] = {}  # by how many seconds ahead
    struck: dict[tuple[str, float], float] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(str(path))
        client.sendall(b'{"do":"watch","v":2}\n')
        start = time.monotonic()
        for line in client.makefile(encoding="utf-8"):
            now, event = time.monotonic(), json.loads(line)
            if now > start + seconds:
                break
            if event.get("event") == "coming":
                announced[event["note"]] = event["second"] - now
            elif event.get("event") == "played" and event["voice"] in BAND and event["second"] > start + AFTER_S:
                key = BAND[event["voice"]], event["second"]
                struck[key] = min(struck.get(key, seconds), announced.get(event["note"], 0.0))
    return [key for key, ahead in struck.items() if ahead > 0], sum(ahead <= 0 for ahead in struck.values())
