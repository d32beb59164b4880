# SPDX-License-Identifier: Apache-2.0
"""How exactly notes sound in the page: recorded in headless Chromium, compared with the seconds that were announced.

First all parts play at once, on all kinds of samples, announced 80 to 230 ms ahead by the benchmark. Then the band of a
daemon plays, to the page that its own process serves. What is recorded, and how its time is found, says
`support.sound_page`. A sample's own attack counts: an onset is where something new begins. So the band's soloist is on
the piano, as a saxophone begins to speak too slowly to say when.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.figures import Budget, Figure, median, p99
from bench.scene import SEED

if TYPE_CHECKING:
    from support.sound_page import Recording

LIMIT_MS = 3.0
_PITCHES = {
    "solo": (58, 62, 67, 70), "bass": (34, 40, 45), "shells": (52, 57, 64), "drums": (51, 38, 44, 42, 36, 40),
    "click": (76, 77), "you": (60, 72),
}  # fmt: skip
_BEATS = 75
_SECONDS, _SHORTEST_S = 60.0, 5.0
_PIANO = 1  # its number in General MIDI, from which the page takes the soloist's instrument
_CASES = {"in front": False, "in the background": True}


def figures(effort: float) -> Iterator[Figure]:
    """The onset errors, in a tab in front and in one whose timers run once a second; and with a daemon that plays."""
    browser = shutil.which("chromium")
    ready = browser is not None and importlib.util.find_spec("playwright") is not None
    for name, hidden in _CASES.items():
        what = f"page {name}: off its second by"
        if ready:
            yield _figure(what, *_with_harness(browser, hidden, max(2, round(_BEATS * effort))))
        else:
            yield Figure(what, "ms", None, note="Chromium or playwright is not installed")
    what = "page with the daemon: off its second by"
    if not ready or importlib.util.find_spec("websockets") is None:
        yield Figure(what, "ms", None, note="Chromium, playwright or websockets is not installed")
        return
    try:
        yield _figure(what, *_with_daemon(browser, max(_SHORTEST_S, _SECONDS * effort)))
    except RuntimeError as error:  # the browser has another clock
        yield Figure(what, "ms", None, note=str(error))


def _figure(what: str, recording: Recording, notes: Sequence[tuple[str, float]], more: str = "") -> Figure:
    """The absolute errors in ms, and how many notes did not sound, and how many were not recorded."""
    kept = [note for note in notes if not recording.lost(*note)]
    found = [recording.onset_error(*note) for note in kept]
    errors = [1000 * abs(error) for error in found if error is not None]
    missing, lost = len(found) - len(errors), len(notes) - len(kept)
    share = f"of {len(notes)} notes {missing} did not sound, {lost} were lost by the recorder{more}"
    if not errors:
        return Figure(what, "ms", None, note=share)
    budget = Budget(f"p99 at most {LIMIT_MS:g} ms", LIMIT_MS, p99(errors))
    return Figure(what, "ms", median(errors), p99(errors), {"95th percentile": _p95(errors)}, budget, share)


def _p95(errors: list[float]) -> float:
    return float(np.percentile(errors, 95))


def _with_harness(browser: str | None, hidden: bool, beats: int) -> tuple[Recording, list[tuple[str, float]]]:
    """What sounds, and the part and the second of each note that was announced."""
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
    return recording, [(note["voice"], note["second"]) for note in notes]


def _with_daemon(browser: str | None, seconds: float) -> tuple[Recording, list[tuple[str, float]], str]:
    """What sounds of a band, the part and the second of each of its notes, and what was left out."""
    from playwright.sync_api import sync_playwright

    from support.page import CHROMIUM_ARGUMENTS, played_band
    from support.sound_page import record_band

    words = ("--set", f"play.seed={SEED}", "--set", f"midi.program={_PIANO}")
    with (
        tempfile.TemporaryDirectory() as home,
        played_band(Path(home), *words) as (_, address),
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=browser, args=CHROMIUM_ARGUMENTS)
        page = chromium.new_page(bypass_csp=True)
        recording, notes, late = record_band(page, address, Path(home) / "s", seconds)
        chromium.close()
    apart = list(_apart(notes))
    more = f"; besides, {late} were announced too late, {len(notes) - len(apart)} came too close after another"
    return recording, apart, more


def _apart(notes: Sequence[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """The notes but those in whose window another one of the same part begins before them."""
    from support.sound_page import BEFORE_S

    for part, second in notes:
        if not any(part == other and 0 < second - at < BEFORE_S for other, at in notes):
            yield part, second


def _notes(beats: int) -> list[dict[str, Any]]:
    from support.sound_page import coming

    drawn = np.random.default_rng(1)
    notes: list[dict[str, Any]] = []
    for beat in range(beats):
        for place, (voice, pitches) in enumerate(_PITCHES.items()):
            second, ahead = 0.3 + 0.4 * beat + 0.03 * place + 0.02 * drawn.random(), 0.08 + 0.15 * drawn.random()
            notes.append(coming(len(notes), second, ahead, voice=voice, pitch=int(drawn.choice(pitches))))
    return sorted(notes, key=lambda note: note["after"])
