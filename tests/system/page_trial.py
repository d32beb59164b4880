# SPDX-License-Identifier: Apache-2.0
"""Watches what a page that is open for an hour costs: the band plays and sounds in headless Chromium.

    PYTHONPATH=daemon:models:tests python tests/system/page_trial.py [MINUTES]

The daemon, the page's process and the page are the real ones, as `make play` starts them, without MIDI ports. All
panels are open, the metronome clicks, and a key is played each minute. Each minute, after the browser has collected its
garbage and given back what it keeps for later, it prints the memory that each process has for itself (USS) and with its
share of what is common (PSS), the JavaScript heap, and the objects that live. At the end it compares the last third of
the time with the second third, for the first one fills what has a bound; it fails if anything has grown by more than a
twentieth.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from support.page import CHROMIUM, CHROMIUM_ARGUMENTS, played_band

MOST_GROWTH = 0.05
SLACK = {"MB": 1.0, "heap MB": 0.3, "nodes": 50.0, "listeners": 5.0, "audio": 20.0}
"""What may be between two thirds of any time: which notes sound in the minute's second differs."""
METRICS = {"heap MB": "JSHeapUsedSize", "nodes": "Nodes", "listeners": "JSEventListeners", "audio": "AudioHandlers"}
MIB = 2**20


def main() -> None:
    """Run the trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", nargs="?", type=int, default=60)
    minutes = parser.parse_args().minutes
    if CHROMIUM is None:
        sys.exit("Chromium is not installed")
    with (
        tempfile.TemporaryDirectory() as home,
        played_band(Path(home)) as (program, address),
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.click("#hear")
        page.locator("#hear[aria-pressed=true]").wait_for()
        page.evaluate("() => document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.locator("#metronome").check()
        cdp = page.context.new_cdp_session(page)
        cdp.send("Performance.enable")
        processes = _processes(program.pid, chromium)
        rows = []
        start = time.monotonic()
        for minute in range(minutes + 1):
            page.keyboard.press("a")
            page.wait_for_timeout(max(0.0, 1000 * (start + 60 * minute - time.monotonic())) + 5000 * (minute == 0))
            rows.append(_measured(cdp, processes))
            if minute == 0:
                print("minute", *rows[0], sep="  ")
            print(f"{minute:6}", *(f"{value:{len(name)}.1f}" for name, value in rows[-1].items()), sep="  ", flush=True)
        chromium.close()
    grown = list(_grown(rows))
    print(*(grown or ["Nothing has grown."]), sep="\n")
    sys.exit(bool(grown))


def _processes(daemon: int, chromium: Any) -> dict[str, int]:
    """The processes that are watched, by name."""
    found = chromium.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    renderer = max((each for each in found if each["type"] == "renderer"), key=lambda each: each["cpuTime"])
    listed = subprocess.run(["pgrep", "-P", str(daemon), "-f", "window"], capture_output=True, text=True, check=True)
    return {"daemon": daemon, "page": int(listed.stdout.split()[0]), "renderer": int(renderer["id"])}


def _measured(cdp: Any, processes: dict[str, int]) -> dict[str, float]:
    """All figures of one minute."""
    cdp.send("HeapProfiler.collectGarbage")
    cdp.send("Memory.simulatePressureNotification", {"level": "critical"})  # give back what is kept for later use
    cdp.send("HeapProfiler.collectGarbage")
    row = {}
    for name, pid in processes.items():
        lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
        kib = {line[0]: int(line[1]) for line in lines}
        row[f"{name} USS MB"] = (kib["Private_Clean:"] + kib["Private_Dirty:"]) / 1024
        row[f"{name} PSS MB"] = kib["Pss:"] / 1024
    metrics = {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
    return {**row, **{name: metrics[key] / (MIB if "MB" in name else 1) for name, key in METRICS.items()}}


def _grown(rows: list[dict[str, float]]) -> Iterator[str]:
    """What is larger in the last third than in the second."""
    third = len(rows) // 3
    for name in rows[0] if third else ():
        before, after = (
            sorted(row[name] for row in part)[third // 2] for part in (rows[third : 2 * third], rows[-third:])
        )
        slack = next(more for unit, more in SLACK.items() if name.endswith(unit))
        if after - before > max(MOST_GROWTH * before, slack):
            yield f"{name}: {before:.1f} in the second third of the time, {after:.1f} in the last"


if __name__ == "__main__":
    main()
