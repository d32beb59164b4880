# SPDX-License-Identifier: Apache-2.0
"""The page in Chromium steers a real band, which another program hears on a real port."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ports.conftest import Others, until
from ports.test_play import Synth
from support.fakes import hanging_notes
from support.page import played_band

pytestmark = [pytest.mark.ports, pytest.mark.browser]
FAST = ["midi.output=auto", "midi.client=steered", "tempo.bpm=240", "play.late_ms=1000", "play.mode=solo"]
SOLO = 0  # its channel, counted from 0
LAST = 8  # notes: enough that chance does not make them all alike
Note = tuple[int, int, int]


def hears(synth: Synth, true: Callable[[Note], bool], *channels: int) -> None:
    """Wait until all the last notes, on these channels or on all, are as they should be."""

    def heard() -> bool:
        onsets = [each for each in synth.messages() if each[0] & 0xF0 == 0x90 and each[2]]
        last = [each for each in onsets if each[0] & 0x0F in (channels or range(16))][-LAST:]
        return len(last) == LAST and all(map(true, last))

    until(heard)


def test_what_is_moved_on_the_page_is_heard_on_the_port(
    others: Others, tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    """Guards against: sliders, settings and buttons that move on the page, while the synth plays on as before."""
    settings = [word for each in FAST for word in ("--set", each)]
    with played_band(tmp_path, *settings) as (_, address):
        synth = Synth(others, "steered:out")
        page = open_page(address)
        hears(synth, lambda note: note[2] > 40, SOLO)
        page.locator("[id='slider-play.velocity']:enabled").fill("20")
        hears(synth, lambda note: note[2] < 40, SOLO)
        page.click("#panel-settings summary")
        for key, value in (("play.range", "C5-C6"), ("play.comp", "off")):
            field = page.locator(f"[id='setting-{key}']")
            field.fill(value)
            field.press("Enter")
        hears(synth, lambda note: 72 <= note[1] <= 84, SOLO)
        hears(synth, lambda note: note[0] & 0x0F == SOLO)  # bass, chords and drums are mute
        steered = len(synth.messages())  # what came before may lack messages: JACK drops some while the browser starts
        page.locator("#modes button[value=off]").click()
        page.locator("#modes button[value=off][aria-pressed=true]").wait_for()
        until(lambda: not hanging_notes(synth.messages()[steered:]))
