# SPDX-License-Identifier: Apache-2.0
"""How exactly notes sound in the page: recorded in headless Chromium, compared with the seconds that were announced.

All parts play at once, on all kinds of samples, announced 80 to 230 ms ahead. What is recorded, and how its time is
found, says `support.sound_page`. A sample's own attack counts: an onset is where the wave rises over its surroundings.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.figures import Budget, Figure, median, p99

LIMIT_MS = 3.0
_PITCHES = {
    "solo": (58, 62, 67, 70), "bass": (34, 40, 45), "shells": (52, 57, 64), "drums": (51, 38, 44, 42, 36, 40),
    "click": (76, 77), "you": (60, 72),
}  # fmt: skip
_BEATS = 75
_CASES = {"in front": False, "in the background": True}


def figures(effort: float) -> Iterator[Figure]:
    """The onset errors, in a tab in front and in one whose timers run once a second."""
    browser = shutil.which("chromium")
    ready = browser is not None and importlib.util.find_spec("playwright") is not None
    for name, hidden in _CASES.items():
        what = f"page {name}: off its second by"
        if not ready:
            yield Figure(what, "ms", None, note="Chromium or playwright is not installed")
            continue
        errors, missing, lost = _errors(browser, hidden, max(2, round(_BEATS * effort)))
        share = f"of {len(errors) + missing + lost} notes {missing} did not sound, {lost} were lost by the recorder"
        budget = Budget(f"p99 at most {LIMIT_MS:g} ms", LIMIT_MS, p99(errors))
        yield Figure(what, "ms", median(errors), p99(errors), {"95th percentile": _p95(errors)}, budget, share)


def _p95(errors: list[float]) -> float:
    return float(np.percentile(errors, 95))


def _errors(browser: str | None, hidden: bool, beats: int) -> tuple[list[float], int, int]:
    """The absolute errors in ms, and how many notes did not sound, and how many were not recorded."""
    from playwright.sync_api import sync_playwright

    from support.sound_page import load_sound, record, served_sound

    notes = _notes(beats)
    with served_sound() as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(address)
        load_sound(page, hidden=hidden)
        recording = record(page, list(_PITCHES), notes)
        chromium.close()
    kept = [note for note in notes if not recording.lost(note["voice"], note["second"])]
    found = [recording.onset_error(note["voice"], note["second"]) for note in kept]
    errors = [1000 * abs(error) for error in found if error is not None]
    return errors, len(found) - len(errors), len(notes) - len(kept)


def _notes(beats: int) -> list[dict[str, Any]]:
    from support.sound_page import coming

    drawn = np.random.default_rng(1)
    notes: list[dict[str, Any]] = []
    for beat in range(beats):
        for place, (voice, pitches) in enumerate(_PITCHES.items()):
            second, ahead = 0.3 + 0.4 * beat + 0.03 * place + 0.02 * drawn.random(), 0.08 + 0.15 * drawn.random()
            notes.append(coming(len(notes), second, ahead, voice=voice, pitch=int(drawn.choice(pitches))))
    return sorted(notes, key=lambda note: note["after"])
