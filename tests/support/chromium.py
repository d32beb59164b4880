# SPDX-License-Identifier: Apache-2.0
"""Chromium, for the tests of the page; and pages that fail their test when the browser reports an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.page import CHROMIUM, CHROMIUM_ARGUMENTS


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """A browser without a window; its pages may only sound after a touch, as everywhere."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: object) -> Iterator[Callable[..., object]]:
    """Opens an address in a page of its own: `open_page(address, width=360, …)`. No error may be on its console."""
    errors: list[str] = []
    contexts = []

    def open_page(address: str, width: int = 1280, height: int = 800, **options: object) -> object:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[attr-defined]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda text: errors.append(text.text) if text.type == "error" else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    unexpected = [each for each in errors if "WebSocket connection" not in each]
    assert not unexpected
