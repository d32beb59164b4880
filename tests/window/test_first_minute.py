# SPDX-License-Identifier: Apache-2.0
"""The first minute with everything real: the program as `make play` starts it, its page in Chromium."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from support.page import TIMEOUT_S, played_band

pytestmark = pytest.mark.browser
RECORDER = Path(__file__).parents[1] / "support" / "sound_recorder.js"


def struck(path: Path, count: int, voices: set[str]) -> list[dict[str, Any]]:
    """The next notes of these voices, as the daemon says that it strikes them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(str(path))
        client.sendall(b'{"do":"watch","v":2}\n')
        notes = []
        for line in client.makefile():
            event = json.loads(line)
            if event.get("event") == "played" and event["voice"] in voices:
                notes.append(event)
            if len(notes) == count:
                break
    return notes


def test_from_the_command_to_a_band_that_is_heard_seen_and_steered(tmp_path: Path, open_page: Any) -> None:
    """Guards against: a first minute in which something that works alone does not work together."""
    with played_band(tmp_path) as (program, address):
        page = open_page(address)
        page.click("#hear")
        page.locator("#hear[aria-pressed=true]").wait_for()
        page.locator("#chart td.lit").wait_for()
        page.locator("#choices li").first.wait_for()
        bands = struck(tmp_path / "s", 12, {"bass", "comp", "shells", "drums"})
        assert len({note["voice"] for note in bands}) == 3
        assert struck(tmp_path / "s", 1, {"solo"})[0]["velocity"] > 40
        page.locator("[id='slider-play.velocity']").fill("20")
        page.locator("[id='slider-play.velocity'][aria-valuetext^='very soft']").wait_for()
        while struck(tmp_path / "s", 1, {"solo"})[0]["velocity"] > 40:  # what was decided before sounds as it was
            pass
        page.keyboard.press("Escape")
        page.locator("#modes button[value=off]").click()
        page.locator("#modes button[value=off][aria-pressed=true]").wait_for(timeout=TIMEOUT_S * 1000)
        program.send_signal(signal.SIGKILL)
        page.locator("#trouble:visible").wait_for()
        assert program.wait(TIMEOUT_S) == -signal.SIGKILL


TAP = """
() => {
    const [Context, Socket, connect] = [AudioContext, WebSocket, AudioNode.prototype.connect];
    window.AudioContext = class extends Context {
        constructor(...all) { super(...all); window.tapped = { context: this }; }
    };
    window.WebSocket = class extends Socket {
        constructor(...all) {
            super(...all);
            const { port1, port2 } = new MessageChannel(); // its message comes when the page has taken the end in
            port1.onmessage = () => { window.ended ??= window.tapped?.context.currentTime; };
            this.addEventListener("close", () => port2.postMessage(0));
        }
    };
    AudioNode.prototype.connect = function (target, ...more) {
        const isLast = target === window.tapped?.context.destination && !(this instanceof AudioWorkletNode);
        if (isLast) window.tapped.last = this;
        return connect.call(this, target, ...more);
    };
}
"""
"""Keeps the page's AudioContext and its last node in `tapped`, and in `ended` its second when the socket ended."""
RECORD = """
async (recorder) => {
    const { context, last } = tapped;
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([recorder], { type: "text/javascript" })));
    const node = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
    window.blocks = [];
    node.port.onmessage = ({ data }) => blocks.push([data.frame / context.sampleRate, data.wave]);
    last.connect(node);
    node.connect(context.destination);
}
"""
LOUDEST = """
([from, to]) => {
    let most = 0;
    for (const [start, wave] of blocks) {
        const [first, end] = [from, to].map((at) => Math.ceil((ended + at - start) * tapped.context.sampleRate));
        for (const value of wave.slice(Math.max(0, first), Math.max(0, end))) most = Math.max(most, Math.abs(value));
    }
    return most;
}
"""
"""The peak between two seconds after the end of the socket."""
FLOOR = 1e-4


def test_a_band_that_is_killed_falls_silent_within_a_tenth_of_a_second(tmp_path: Path, open_page: Any) -> None:
    """Guards against: a page that plays on, clicks on or holds a chord when the daemon has been killed on stage.

    Seconds are those of the audio, counted from the moment at which the page's socket ended.
    """
    with played_band(tmp_path) as (program, address):
        page = open_page("about:blank", bypass_csp=True)  # for the recorder, which is no part of the page
        page.add_init_script(f"({TAP})()")
        page.goto(address)
        page.click("#hear")
        page.locator("#hear[aria-pressed=true]").wait_for()
        page.evaluate(RECORD, RECORDER.read_text("utf-8"))
        page.click("#panel-sound summary")
        page.locator("#metronome").check()
        page.locator("#playing-controls input").first.check()
        struck(tmp_path / "s", 12, {"bass", "comp", "shells", "drums"})
        page.keyboard.down("a")  # a key that is held at the end
        struck(tmp_path / "s", 2, {"bass"})
        program.send_signal(signal.SIGKILL)
        page.wait_for_function("() => window.ended && tapped.context.currentTime > ended + 2.5")
        assert page.evaluate(LOUDEST, [-1.0, 0.0]) > 100 * FLOOR
        assert page.evaluate(LOUDEST, [0.1, 2.0]) < FLOOR
