# SPDX-License-Identifier: Apache-2.0
"""The page as a screen reader has it: Chromium's accessibility tree, and what live regions say."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.page import CHART, STATUS, served_page

pytestmark = pytest.mark.browser
TUNE = {**CHART, "bars": [["Dm7"], ["G7"], ["Cmaj7"], ["A7b9"]] * 3}
HEARD = """
() => {
    const heard = window.heard = [];
    const live = "[aria-live]:not([aria-live=off]), [role=status], [role=alert], [role=log], output";
    new MutationObserver((changes) => {
        for (const { target } of changes) {
            const region = (target.nodeType === 1 ? target : target.parentElement)?.closest(live);
            const shown = region && !region.closest("[hidden], [aria-hidden=true]") ? region.textContent : "";
            if (shown && heard.at(-1) !== shown) heard.push(shown);
        }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
}
"""
"""Keeps in `heard` what a screen reader says by itself: each new text of a live region."""


def tree(page: Any) -> list[tuple[str, str]]:
    """Role and name of each element that a screen reader comes to."""
    cdp = page.context.new_cdp_session(page)
    nodes = cdp.send("Accessibility.getFullAXTree")["nodes"]
    return [
        (each["role"]["value"], each.get("name", {}).get("value", ""))
        for each in nodes
        if not each.get("ignored", False)
    ]


def press(page: Any, role: str, name: str, *keys: str) -> None:
    """Go to an element by its role and name, as a screen reader does, and press keys there."""
    element = page.get_by_role(role, name=name, exact=True)
    element.focus()
    for key in keys:
        page.keyboard.press(key)


def at(beat: float, **more: Any) -> list[dict[str, Any]]:
    """What the daemon says when the band is on a beat."""
    tempo = {"event": "tempo", "bpm": 20.0, "beat": beat, "clock": "monotonic", "rolling": True}
    return [{**tempo, "second": time.monotonic()}, {"event": "status", **STATUS, "beat": beat, **more}]


def test_a_blind_player_starts_hears_the_changes_steers_and_goes_to_a_bar(
    tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    """Guards against: a page that only eyes can use, or that never stops talking."""
    with served_page(tmp_path) as (address, daemon):
        page = open_page(address)
        page.get_by_role("button", name="Solo").wait_for()
        daemon.send({"event": "chart", **TUNE}, *at(0.0))
        page.get_by_role("cell", name="bar 12, A 7 flat 9").wait_for()
        found = tree(page)
        wanted = [
            ("button", "Hear it play"), ("navigation", "Transport"), ("group", "Who plays when"), ("region", "Chart"),
            ("table", "Changes: Test Tune"), ("cell", "bar 9, D minor 7"), ("slider", "Daring"), ("region", "Now"),
        ]  # fmt: skip
        assert [each for each in wanted if each not in found] == []
        controls = ("button", "slider", "checkbox", "combobox", "textbox", "searchbox", "cell")
        assert [each for each in found if each[0] in controls and not each[1]] == []
        assert not {"Canvas", "img"} & {role for role, _ in found}
        page.evaluate(HEARD)

        press(page, "button", "Hear it play", "Enter")  # start
        page.get_by_role("button", name="Mute this page", pressed=True).wait_for()
        for number in range(1, 6):  # as it is at first: a change of turn is said, and nothing else
            daemon.send(*at(number, doing="playing" if number < 5 else "listening", turn_ends=5.0))
        page.locator("#spoken", has_text="Your turn").wait_for()
        assert page.evaluate("heard") == ["Your turn"]
        page.locator("td[aria-current] [aria-label^='bar 2,']").wait_for()  # else its chord would be new

        page.locator("#panel-page summary").focus()  # hear the changes
        page.keyboard.press("Enter")
        page.get_by_role("combobox", name="Speak to a screen reader").select_option("turns, modes and chords")
        # First a bar where it has not been. Never on a bar line: the page's clock may lie a little before it.
        for beat, chord in ((33.0, "D minor 7"), (5.0, "G 7"), (9.0, "C major 7")):
            daemon.send(*at(beat, doing="listening"))
            page.locator("#spoken", has_text=chord).wait_for()
        assert page.evaluate("heard") == ["Your turn", "D minor 7", "G 7", "C major 7"]

        press(page, "slider", "Daring", "ArrowRight")  # set the temperature
        assert daemon.wait_for("set")["value"] == 1.05
        assert page.get_by_role("slider", name="Daring").get_attribute("aria-valuetext") == "as it learned, 1.05"
        daemon.send({"event": "changed", "values": {"play.density": 0.5}, "second": 0.0})  # a knob turns another one
        page.locator("[id='slider-play.density'][aria-valuetext^=sparse]").wait_for()

        press(page, "button", "bar 1, D minor 7", "ArrowDown", "ArrowDown", "Enter")  # go to bar 9
        assert daemon.wait_for("jump")["to"] == 9
        page.locator("#spoken", has_text="bar 9, D minor 7").wait_for()
        assert page.evaluate("heard")[4:] == ["bar 9, D minor 7"]
