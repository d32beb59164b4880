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
