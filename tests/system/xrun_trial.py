# SPDX-License-Identifier: Apache-2.0
"""Counts the cycles that JACK could not finish in time, with sideman in its graph and without.

    python tests/system/xrun_trial.py [SECONDS] [--frames FRAMES] [--realtime] [--turns TURNS]

It starts a JACK server of its own (dummy driver, 64 frames, so 750 cycles a second) and a program that sends 200 notes
a second. In turn, this program plays to JACK's own monitor, or to sideman, which plays too. Prints the XRuns that the
server reports for each turn, and which clients it names. With --realtime, as musicians run JACK, it needs the right to
real-time scheduling.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SERVER = "sideman-xruns"
SENDER = """
import sys, time
from sideman.midi.rtmidi_driver import import_rtmidi
rtmidi = import_rtmidi()
keys = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="pourer")
keys.open_virtual_port("out")
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for message in ((0x90, 60, 80), (0x80, 60, 0)):
        keys.send_message(message)
        time.sleep(0.0025)
"""


def main() -> None:
    """Run the trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=100.0)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--realtime", action="store_true")
    args = parser.parse_args()
    seconds = args.seconds
    if shutil.which("jackd") is None:
        sys.exit("jackd is not installed")
    os.environ["JACK_DEFAULT_SERVER"] = SERVER
    priority = "--realtime" if args.realtime else "--no-realtime"
    command = ["jackd", "-n", SERVER, priority, "-d", "dummy", "-r", "48000", "-p", str(args.frames)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: list[str] = []
    assert server.stdout is not None
    output = server.stdout
    threading.Thread(target=lambda: lines.extend(output), daemon=True).start()
    time.sleep(2.0)
    try:
        for _ in range(args.turns):
            for with_sideman in (False, True):
                lines.clear()
                _turn(with_sideman, seconds)
                named = collections.Counter(re.findall(r"client = (\S+)", "".join(lines)))
                count = sum("XRun" in line for line in lines)
                who = "sideman" if with_sideman else "JACK's monitor"
                print(f"{seconds:g} s with {who}: {count} XRuns {dict(named)}", flush=True)
    finally:
        server.terminate()
        server.wait()


def _turn(with_sideman: bool, seconds: float) -> None:
    """Let the sender play to one of the two."""
    with tempfile.TemporaryDirectory() as home:
        ours = [sys.executable, "-m", "sideman", "run", "--set", "midi.client=xruns", "--set", "play.rate=eighth"]
        command, port = (ours, "xruns-in:in") if with_sideman else (["jack_midi_dump", "dump"], "dump:input")
        environment = {**os.environ, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home}
        with Path(os.devnull).open("w") as nowhere:
            taker = subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere)
            sender = subprocess.Popen([sys.executable, "-c", SENDER, str(seconds + 3.0)])
            time.sleep(3.0)  # both are there now, and what their coming has cost is over
            subprocess.run(["jack_connect", "pourer:out", port], check=True)
            sender.wait()
            taker.send_signal(signal.SIGINT)
            taker.wait()
        time.sleep(1.0)


if __name__ == "__main__":
    main()
