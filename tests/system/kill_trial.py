# SPDX-License-Identifier: Apache-2.0
"""Kills a playing daemon at random moments, starts it again, and prints what a listener has heard of it.

Run it in a checkout on a machine with ALSA's sequencer or JACK (jackd2), which may be busy for the time (2 s a kill):

    .venv/bin/python tests/system/kill_trial.py --kills 200

Its status is 0 if no note hung after a start, no place was more than a bar from the kill, and each note after a start
was the one that would have come without the kill.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import Random
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "daemon", "models")]

from ports.conftest import midi_programs  # noqa: E402
from support.kills import BPM, LISTENER, kill_again_and_again  # noqa: E402


def main() -> int:
    """Run the trial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="how many times (default: 200)")
    parser.add_argument("--bpm", type=float, default=BPM, help=f"the tempo (default: {BPM:g})")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    args = parser.parse_args()
    with ExitStack() as stack:
        others = stack.enter_context(midi_programs())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kills = []
        listener = others.client("MidiIn", LISTENER)
        for kill in kill_again_and_again(listener, folder, args.kills, Random(args.seed), args.bpm):
            kills.append(kill)
            place = f"killed on beat {kill.beat:8.2f}, again from {kill.again:5} after {kill.gap_beats:4.1f} beats"
            notes = f"{kill.sounding} sounded, {kill.hanging} hang, {kill.wrong} wrong"
            print(f"{len(kills):4}  {place}; {notes}", flush=True)
    hanging, wrong = sum(kill.hanging for kill in kills), sum(kill.wrong for kill in kills)
    lost, gaps = [kill.lost_bars for kill in kills], [kill.gap_beats for kill in kills]
    print(f"kills                            {len(kills)}, {sum(kill.sounding > 0 for kill in kills)} in a note")
    print(f"notes that hang after the start  {hanging}")
    print(f"place lost, in bars              median {median(lost):.2f}, worst {max(lost):.3f}")
    print(f"other notes than without kills   {wrong}; {sum(kill.unheard for kill in kills)} did not reach the listener")
    print(f"gap, in beats at {args.bpm:3g} bpm         median {median(gaps):.1f}, worst {max(gaps):.1f}")
    return int(hanging > 0 or wrong > 0 or max(lost) > 1)


if __name__ == "__main__":
    sys.exit(main())
