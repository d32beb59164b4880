# SPDX-License-Identifier: Apache-2.0
"""The page's sound in real Chromium: its modules as they are, with a store whose events come from the test.

What sounds is recorded in the page from each part's last node. An onset is where the wave rises, in seconds of the
AudioContext; a straight line through the readings of `getOutputTimestamp` during the whole recording says when that
left the loudspeaker. So a fault of the player's own clock, which follows single readings, shows.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from playwright.sync_api import Page, sync_playwright

FILES = Path(__file__).parents[2] / "daemon" / "sideman" / "window" / "page"
POLICY = "default-src 'self'; script-src 'self'; style-src 'self'"
TIMEOUT_S = 60.0  # against hanging only
_OUTLIER_MS = 5.0
_FLAGS = ("--autoplay-policy=no-user-gesture-required",)

# The fake store, and a recorder of every part. `window.hidden` lets timers run as in a tab in the background.
_HARNESS = """
export const OFFSET_MS = 1234.5;
export const handlers = {};
export const requests = [];
export const store = {
  on(name, handler) { (handlers[name] ??= []).push(handler); return () => {}; },
  clock: { toLocal: (second) => 1000 * second - OFFSET_MS },
  request: async (what) => { requests.push(what); return {}; },
};
export const second = (ms = performance.now()) => (ms + OFFSET_MS) / 1000;
export function emit(event) { for (const handler of handlers[event.event] ?? []) handler(event); }

/** Events [{after, ...event}] are emitted `after` so many seconds, by messages, which no tab in the background delays. */
export async function emitAll(events) {
  const channel = new MessageChannel();
  const start = performance.now();
  let next = 0;
  await new Promise((done) => {
    channel.port1.onmessage = () => {
      for (; next < events.length && performance.now() - start >= 1000 * events[next].after; next += 1) emit(events[next]);
      if (next < events.length) setTimeoutReal(() => channel.port2.postMessage(0), 4);
      else done();
    };
    channel.port2.postMessage(0);
  });
}
const setTimeoutReal = window.setTimeout.bind(window);
export const pause = (seconds) => new Promise((done) => setTimeoutReal(done, 1000 * seconds));

export class Recorder {
  static async of(sound, names) {
    const recorder = new Recorder();
    const context = (recorder.context = sound.context);
    await context.audioWorklet.addModule("/test/worklet.js");
    recorder.parts = {};
    for (const name of names) {
      const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
      const blocks = (recorder.parts[name] = []);
      node.port.onmessage = ({ data }) => blocks.push(data);
      (name === "all" ? sound.sampler.output : sound.sampler.parts.get(name).last).connect(node);
      node.connect(context.destination);
    }
    recorder.readings = [];
    const read = () => {
      const stamp = context.getOutputTimestamp();
      recorder.readings.push([stamp.contextTime, stamp.performanceTime]);
      if (!recorder.over) setTimeoutReal(read, 50);
    };
    read();
    return recorder;
  }
  /** {part: {first, wave}} with waves as base64 of float32, and the readings. */
  async end() {
    await pause(0.2);
    this.over = true;
    const parts = {};
    for (const [name, blocks] of Object.entries(this.parts)) {
      const first = blocks[0].frame; // the thread that starts loses some blocks
      const wave = new Float32Array(blocks.at(-1).frame - first + 4096);
      for (const block of blocks) wave.set(block.wave, block.frame - first);
      const bytes = new Uint8Array(wave.buffer);
      let text = "";
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      parts[name] = { first, wave: btoa(text) };
    }
    return { rate: this.context.sampleRate, readings: this.readings, parts, offset: OFFSET_MS };
  }
}
"""
_WORKLET = """
registerProcessor("recorder", class extends AudioWorkletProcessor {
  wave = new Float32Array(4096); filled = 0; frame = currentFrame;
  process([[channel]]) {
    if (!this.filled) this.frame = currentFrame;
    if (channel) this.wave.set(channel, this.filled); else this.wave.fill(0, this.filled, this.filled + 128);
    this.filled += 128;
    if (this.filled === 4096) { this.port.postMessage({ frame: this.frame, wave: this.wave.slice() }); this.filled = 0; }
    return true;
  }
});
"""
_TIMERS = """
const every = window.setInterval.bind(window), once = window.setTimeout.bind(window);
window.setInterval = (f, ms, ...rest) => every(f, Math.max(ms, 1000), ...rest);
window.setTimeout = (f, ms, ...rest) => once(f, Math.max(ms ?? 0, 1000), ...rest);
window.requestAnimationFrame = () => 0;
"""


class _Files(http.server.SimpleHTTPRequestHandler):
    """The page's files and the harness, with the policy under which the page runs."""

    made: ClassVar = {
        "/": "<!doctype html><title>sound</title>",
        "/test/harness.js": _HARNESS,
        "/test/worklet.js": _WORKLET,
    }

    def do_GET(self) -> None:
        if (text := self.made.get(self.path)) is None:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(self.path) if self.path != "/" else "text/html")
        self.end_headers()
        self.wfile.write(text.encode())
        return None

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """No log."""


@contextlib.contextmanager
def _served() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(FILES)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def sound_page(hidden: bool = False, before: str = "") -> Iterator[Page]:
    """A page with the sound's modules; `hidden` lets its timers run once a second. `before` is a script of the test."""
    with _served() as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*_FLAGS])
        page = browser.new_page()
        page.set_default_timeout(1000 * TIMEOUT_S)
        # The recorder keeps the timers of a tab in front: the page's alone are slowed down, after the harness is loaded.
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate(f"async () => {{ window.t = await import('/test/harness.js'); {before} }}")
        if hidden:
            page.evaluate(f"() => {{ {_TIMERS} }}")
        page.evaluate(
            "async () => { window.s = await import('/sound/sound.js'); window.sound = s.createSound(t.store); }"
        )
        try:
            yield page
        finally:
            browser.close()


@dataclass(frozen=True)
class Recording:
    """What sounded: the wave of each part, the second of the daemon's clock at its first sample, and its rate."""

    waves: Mapping[str, np.ndarray]
    firsts: Mapping[str, float]
    rate: float

    @classmethod
    def read(cls, made: Mapping[str, Any]) -> Recording:
        """Of what the page's recorder returned."""
        readings = np.array([pair for pair in made["readings"] if pair[1] > 0])
        apart = 1000 * readings[:, 0] - readings[:, 1]
        readings = readings[np.abs(apart - np.median(apart)) < _OUTLIER_MS]  # a context that has just begun misreads
        slope, start = np.polyfit(readings[:, 0], readings[:, 1], 1)
        waves, firsts = {}, {}
        for name, part in made["parts"].items():
            waves[name] = np.frombuffer(base64.b64decode(part["wave"]), np.float32)
            heard_ms = start + slope * part["first"] / made["rate"]
            firsts[name] = (heard_ms + made["offset"]) / 1000
        return cls(waves, firsts, 1000 * made["rate"] / slope)

    def between(self, part: str, start: float, end: float) -> np.ndarray:
        """The wave of a part from a second to another."""
        first = self.firsts[part]
        return self.waves[part][max(0, round((start - first) * self.rate)) : max(0, round((end - first) * self.rate))]

    def loudest(self, part: str, start: float, end: float) -> float:
        """The peak of a part from a second to another."""
        wave = self.between(part, start, end)
        return float(np.max(np.abs(wave))) if len(wave) else 0.0

    def onset_error(self, part: str, second: float, before: float = 0.06, after: float = 0.1) -> float | None:
        """By how many seconds the note that is due at `second` sounds later; None if it does not sound there."""
        wave = np.abs(self.between(part, second - before, second + after))
        still = np.max(wave[: round(0.02 * self.rate)], initial=0.0)
        above = np.flatnonzero(wave > 1.5 * still + 0.03 * np.max(wave, initial=0.0) + 1e-4)
        return None if not len(above) else float(above[0] / self.rate - before)


def record(page: Page, parts: Sequence[str], events: Sequence[Mapping[str, Any]], tail: float = 0.5) -> Recording:
    """Switch the sound on, emit events (their times relative to now) and return what sounded."""
    made = page.evaluate(
        """async ([parts, events, tail]) => {
            await sound.start();
            const recorder = await t.Recorder.of(sound, parts);
            await t.pause(0.3);
            const now = t.second();
            await t.emitAll(events.map((event) => "second" in event ? { ...event, second: event.second + now } : event));
            await t.pause(tail);
            return { ...(await recorder.end()), now };
        }""",
        [list(parts), list(events), tail],
    )
    recording = Recording.read(made)
    moved = {name: first - made["now"] for name, first in recording.firsts.items()}
    return Recording(recording.waves, moved, recording.rate)


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
