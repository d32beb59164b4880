# SPDX-License-Identifier: Apache-2.0
"""A page that stays open: what comes in an hour leaves no more behind than what comes in some minutes.

The events come as fast as the page takes them in, on a clock of the test; `tests/system/page_trial.py` lets an hour
pass. What the sampler leaves behind shows `test_sound.py`: here what comes has been, and no voice is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.page import TIMEOUT_S, ScriptedDaemon, served_page
from support.sound_page import load_sound, served_sound

pytestmark = pytest.mark.browser

# Everything that a band at 120 bpm and a player send in `minutes`; while it is stopped, beats stand still.
KEPT = """
async ([minutes, rolling]) => {
    const { createStore } = await import("/store.js");
    const store = createStore();
    const { createSound } = await import("/sound/sound.js");
    const { Playing } = await import("/sound/playing.js");
    const sound = createSound(store);
    const playing = new Playing(store, sound);
    store.request = async () => ({});
    await sound.start();
    sound.bank.zone = () => null;
    sound.metronome(true);
    const start = performance.now() / 1000 - 60 * minutes; // it has all been
    store.receive({ event: "status", top: 0, settings: {}, rolling, bpm: 120, beat: 0 });
    const sounding = { pitch: 60, velocity: 80, length_s: 0.5 };
    for (let beat = 0; beat < 120 * minutes; beat += 1) {
        const now = { second: start + beat / 2, beat: rolling ? beat : 0 };
        store.receive({ event: "tempo", ...now, bpm: 120, rolling });
        if (rolling) {
            store.receive({ event: "beat", ...now, bar: beat >> 2, top: 0 });
            for (const voice of ["solo", "bass", "shells", "drums"]) {
                const note = { ...now, note: `${voice} ${beat}`, voice, beats: 1, ...sounding };
                for (const event of ["coming", "played", "released"]) {
                    if (event !== "released" || beat % 10) store.receive({ ...note, event }); // some get lost
                }
            }
            store.receive({ event: "choices", ...now, options: [] });
        }
        const heard = { event: "heard", ...now, pitch: 50 + beat % 30, velocity: 80 };
        for (const on of [true, false]) store.receive({ ...heard, on });
        store.receive({ event: "log", level: "info", text: `bar ${beat}` });
        playing.strike(60 + beat % 12, 1);
        playing.release(60 + beat % 12);
    }
    const { notes, heard, late, log } = store.state;
    const kept = { heard: heard.length, late: late.length, log: log.length, margins: sound.schedule.margins.length };
    return { ...kept, notes: notes.size, planned: sound.schedule.notes.size, clicks: sound.clicks.clicks.size,
        answers: playing.answers.length, held: playing.held.size };
}
"""


@pytest.mark.parametrize("rolling", [True, False])
def test_an_hour_leaves_no_more_behind_than_minutes(open_page: Callable[..., Any], rolling: bool) -> None:
    """Guards against: a page that grows slower through the evening, and a phone that closes it."""
    with served_sound() as address:
        page = open_page(address)
        load_sound(page)
        some, hour = (page.evaluate(KEPT, [minutes, rolling]) for minutes in (30, 60))
    assert all(kept <= 2100 for kept in hour.values())
    assert {name: kept for name, kept in hour.items() if kept > some[name] + 20} == {}


def test_a_daemon_that_comes_and_goes_leaves_nothing_behind(tmp_path: Any, open_page: Callable[..., Any]) -> None:
    """Guards against: a page that listens twice, three times … to the same events after each restart of the daemon."""
    with served_page(tmp_path) as (address, daemon):
        page = open_page(address)
        cdp = page.context.new_cdp_session(page)
        cdp.send("Performance.enable")
        page.locator("#panic:enabled").wait_for(timeout=1000 * TIMEOUT_S)
        page.evaluate("() => document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        counts = [_restarted(page, daemon, cdp) for _ in range(4)]
    assert counts[-1]["JSEventListeners"] <= counts[0]["JSEventListeners"] + 10
    assert counts[-1]["Nodes"] <= counts[0]["Nodes"] + 100


def _restarted(page: Any, daemon: ScriptedDaemon, cdp: Any) -> dict[str, float]:
    """Restart the daemon, and count what lives in the page when it has come back."""
    daemon.stop()
    page.locator("#panic:disabled").wait_for(timeout=1000 * TIMEOUT_S)
    daemon.requests.clear()
    daemon.start()
    page.locator("#panic:enabled").wait_for(timeout=1000 * TIMEOUT_S)
    daemon.wait_for("card")
    page.locator(".setting").nth(3).wait_for()
    cdp.send("HeapProfiler.collectGarbage")
    return {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
