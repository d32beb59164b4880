# SPDX-License-Identifier: Apache-2.0
"""Pictures of the page for the README, from a real sideman in a real browser.

    .venv/bin/python tests/support/page_pictures.py        # writes all of them into docs/pictures

`tests/window/test_pictures.py` takes the pictures again and compares.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

if __name__ == "__main__":
    ROOT_OF_TESTS = Path(__file__).parents[1]
    sys.path[:0] = [str(ROOT_OF_TESTS), *(str(ROOT_OF_TESTS.parent / folder) for folder in ("daemon", "models"))]

from sideman.control.client import ControlClient
from sideman.core.errors import SidemanError
from support.page import CHROMIUM, CHROMIUM_ARGUMENTS, TIMEOUT_S, played_band
from support.processes import ROOT

PICTURES = ROOT / "docs" / "pictures"
SIZES = {
    "page-dark.png": (1120, 725), "page-light.png": (1120, 725), "steering-light.png": (1120, 500),
    "phone.png": (390, 780), "playing.gif": (840, 700),
}  # fmt: skip
BAND = ("--mode", "trade", "--set", "play.trade_bars=1", "--set", "play.trade_first=sideman", "--seed", "7")
PHRASE, NOTE_S = (60, 63, 65, 67, 65, 63), 0.27
COLOURS = 128
GIF_SECONDS, GIF_RATE = 10.0, 8.0
Page = Any


def still(page: Page) -> bytes:
    """The page as it is now, as a PNG of its commonest colours."""
    return _encoded([_shot(page)], "PNG")


def moving(page: Page, seconds: float = GIF_SECONDS) -> bytes:
    """What the page shows for some seconds, as a GIF."""
    shots: list[Image.Image] = []
    start = time.monotonic()
    while time.monotonic() < start + seconds:
        page.wait_for_timeout(max(0.0, start + len(shots) / GIF_RATE - time.monotonic()) * 1000)
        shots.append(_shot(page))
    return _encoded(shots, "GIF", int(1000 * seconds / len(shots)))


def _shot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def _encoded(shots: list[Image.Image], form: str, duration_ms: int = 0) -> bytes:
    counts = Counter[Any]()
    for shot in shots:
        counts.update({colour: count for count, colour in shot.getcolors(shot.width * shot.height) or []})
    common = [part for colour, _ in counts.most_common(COLOURS) for part in colour]
    palette = Image.new("P", (1, 1))
    palette.putpalette(common)
    first, *others = [shot.quantize(palette=palette, dither=Image.Dither.NONE) for shot in shots]
    file = io.BytesIO()
    more = {"save_all": True, "append_images": others, "duration": duration_ms, "loop": 0} if others else {}
    first.save(file, form, optimize=True, **more)
    return file.getvalue()


@contextmanager
def trading_player(socket: Path) -> Iterator[None]:
    """A musician who plays a phrase at each of their turns."""
    with closing(ControlClient(socket)) as ear, closing(ControlClient(socket)) as hand:

        def play() -> None:
            with suppress(OSError, ValueError, SidemanError):  # the band has ended
                for line in ear.lines():
                    event = json.loads(line)
                    if event.get("event") == "doing" and event["doing"] == "listening":
                        for pitch in PHRASE:
                            hand.request("play_note", on=True, pitch=pitch, velocity=90)
                            time.sleep(NOTE_S * 0.8)
                            hand.request("play_note", on=False, pitch=pitch)
                            time.sleep(NOTE_S * 0.2)

        ear.request("watch")
        threading.Thread(target=play, daemon=True).start()
        yield


def take_picture(browser: Any, name: str, bars: int = 4, seconds: float = GIF_SECONDS) -> bytes:
    """Start a band, trade with it for some bars with the page open as `name` shows it, and return the picture."""
    width, height = SIZES[name]
    scheme = "dark" if "dark" in name or name.endswith(".gif") else "light"
    with tempfile.TemporaryDirectory() as home, played_band(Path(home), *BAND) as (_, address):
        view = {"width": width, "height": height}
        with (
            closing(browser.new_context(viewport=view, color_scheme=scheme, locale="en-GB")) as context,
            trading_player(Path(home) / "s"),
        ):
            page = context.new_page()
            page.goto(address)
            page.click("#hear")
            page.locator("#hear[aria-pressed=true]").wait_for()
            page.mouse.move(0, 0)
            page.locator(f"#chart td:nth-of-type({bars}).lit").wait_for(timeout=TIMEOUT_S * 1000)
            page.locator("#turn-text", has_text="sideman plays").wait_for(timeout=TIMEOUT_S * 1000)
            page.wait_for_timeout(1200)  # until its answer is on the page
            if "steering" in name:
                page.evaluate("scrollTo(0, document.querySelector('#how').offsetTop - 65)")  # below the transport
            picture = moving(page, seconds) if name.endswith(".gif") else still(page)
    return picture


def main() -> None:
    """Write all pictures."""
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        for name in sys.argv[1:] or SIZES:
            picture = take_picture(browser, name)
            (PICTURES / name).write_bytes(picture)
            print(f"{name}: {len(picture) / 1024:.0f} KiB")  # noqa: T201
        browser.close()


if __name__ == "__main__":
    main()
