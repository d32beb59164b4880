# SPDX-License-Identifier: Apache-2.0
"""Unplugs devices again and again, and measures how soon they are heard and served again.

    python tests/system/heal_trial.py [TURNS]

Two virtual ports of another program stand for a keyboard and a synthesizer. They go away for a short or a long time and
come back. A turn is healed when a note of the keyboard arrives, and when the synthesizer gets one of our notes. Needs
ALSA's sequencer or a JACK server. Prints, for each side and each kind of absence, the seconds from the return to the
first note (median, 99th percentile, worst), and the turns that stayed deaf; at the end the clients that were left over.
"""

from __future__ import annotations

import queue
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from sideman.core.events import MidiEvent, NoteOn
from sideman.midi.drivers import load_drivers
from sideman.midi.ports import MidiPorts, list_ports
from sideman.midi.request import PortRequest
from sideman.midi.rtmidi_driver import import_rtmidi
from sideman.service.main_loop import POLL_INTERVAL_S

AWAY_S = {"short": (0.024, 0.1), "long": (0.8, 2.0)}
GIVE_UP_S = 10.0
KEYBOARD, SYNTH = "TrialKeys", "TrialSynth"


class Device:
    """A port of another program, which can be unplugged."""

    def __init__(self, rtmidi: Any, api: int, kind: str, name: str) -> None:
        self._make: Callable[[], Any] = lambda: getattr(rtmidi, kind)(api, name=name)
        self.heard: queue.Queue[list[int]] = queue.Queue()
        self.client: Any = None

    def plug_in(self) -> None:
        """Open the port."""
        self.client = self._make()
        if hasattr(self.client, "set_callback"):
            self.client.set_callback(lambda message, _data=None: self.heard.put(message[0]))
        self.client.open_virtual_port("port")

    def unplug(self) -> None:
        """Close the port, and the client."""
        if hasattr(self.client, "cancel_callback"):
            self.client.cancel_callback()
            time.sleep(0.01)
        self.client.close_port()
        self.client.delete()


def main() -> None:
    """Run the trial."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    rtmidi = import_rtmidi()
    system = next(driver.title for driver in load_drivers("trial") if driver.is_running())
    api = rtmidi.API_LINUX_ALSA if system == "ALSA" else rtmidi.API_UNIX_JACK
    heard: queue.Queue[MidiEvent] = queue.Queue()
    ports = MidiPorts(PortRequest(SYNTH, KEYBOARD, "trial", wait=True), lambda event, _second: heard.put(event))
    ports.open()
    done = threading.Event()

    def look_after() -> None:
        while not done.is_set():
            select.select([ports], [], [], POLL_INTERVAL_S)
            ports.poll()

    looking = threading.Thread(target=look_after)
    looking.start()
    keyboard = Device(rtmidi, api, "MidiOut", KEYBOARD)
    synth = Device(rtmidi, api, "MidiIn", SYNTH)
    try:
        for kind, (least, most) in AWAY_S.items():
            for name, device, is_healed in (
                ("keyboard", keyboard, lambda pitch: _keyboard_is_heard(keyboard, heard, pitch)),
                ("synthesizer", synth, lambda pitch: _synth_is_served(ports, synth, pitch)),
            ):
                times = [_turn(device, is_healed, least + (most - least) * n / turns, n % 128) for n in range(turns)]
                _print(f"{system}, {name}, {kind} absence", times)
    finally:
        done.set()
        looking.join()
        ports.close()
        left = [
            name for listing in list_ports("nothing") for name in listing.outputs + listing.inputs if "rial" in name
        ]
        print(f"clients left over: {left or 'none'}")


def _turn(device: Device, is_healed: Callable[[int], bool], away_s: float, pitch: int) -> float | None:
    """Plug the device in, wait until it works, unplug it. Returns the seconds, or None if it stayed deaf.

    Each turn has a pitch of its own, so that a note of the turn before is no answer.
    """
    device.plug_in()
    start = time.monotonic()
    seconds = None
    while seconds is None and time.monotonic() - start < GIVE_UP_S:
        seconds = time.monotonic() - start if is_healed(pitch) else None
        time.sleep(0.005)
    device.unplug()
    time.sleep(away_s)
    return seconds


def _keyboard_is_heard(keyboard: Device, heard: queue.Queue[MidiEvent], pitch: int) -> bool:
    keyboard.client.send_message((0x90, pitch, 80))
    return any(heard.get() == NoteOn(pitch, 80, 1) for _ in range(heard.qsize()))


def _synth_is_served(ports: MidiPorts, synth: Device, pitch: int) -> bool:
    ports.send((0x90, pitch, 80))
    return any(synth.heard.get() == [0x90, pitch, 80] for _ in range(synth.heard.qsize()))


def _print(what: str, times: list[float | None]) -> None:
    healed = sorted(time for time in times if time is not None)
    p50, p99, worst = (healed[min(len(healed) - 1, round(share * (len(healed) - 1)))] for share in (0.5, 0.99, 1.0))
    deaf = len(times) - len(healed)
    print(f"{what}: {len(times)} turns, {deaf} deaf; p50 {p50:.3f} s, p99 {p99:.3f} s, worst {worst:.3f} s", flush=True)


if __name__ == "__main__":
    main()
