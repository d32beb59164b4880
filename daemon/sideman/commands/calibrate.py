# SPDX-License-Identifier: Apache-2.0
"""`sideman calibrate`: measures the delay of notes through a loop, so that they can be played earlier.

Short, quiet notes are sent to midi.output and come back at midi.input, through a cable, a loop-back port, or the thru
of a synth. The measured delay is that of the whole loop; half of it is taken as the delay of the output.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from contextlib import closing

from msgspec import Struct
from msgspec.structs import asdict, replace

from sideman.commands.common import add_options, add_settings_options, check_numbers, load_settings
from sideman.config import resources
from sideman.config.yaml import set_keys
from sideman.core.errors import Unavailable
from sideman.core.events import NoteOff, NoteOn, encode
from sideman.core.settings.groups.midi import MidiSettings
from sideman.midi.ports import MidiPorts
from sideman.midi.request import AUTO, NO_PORT, PortRequest
from sideman.playing.inbox import Clock, Inbox
from sideman.playing.player import MidiOutput

KEY = "play.offset_ms"
NOTES = 25
MOST_NOTES = 1000
NOTE_TIMEOUT_S = 0.4
"""A note that is not back by then is lost. Half of this is the most that play.offset_ms can compensate."""
CONNECT_TIMEOUT_S = 30.0
_NOTE_LENGTH_S = 0.02
_VELOCITY = 12
_PAUSES_S = (0.03, 0.13)
_LOWEST, _HIGHEST = 48, 72


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman calibrate`."""
    add_options(
        parser,
        ("--output", "PORT", str, "the port to send to, instead of midi.output"),
        ("--input", "PORT", str, "the port to listen to, instead of midi.input"),
        ("--notes", "N", int, f"how many notes to send (default: {NOTES})"),
    )
    parser.set_defaults(notes=NOTES)
    parser.add_argument("--write", action="store_true", help=f"write the result, {KEY}, to the configuration file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_settings_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print the result, and write it with --write. Raises Unavailable if too few notes come back."""
    check_numbers(args, {"notes": (1, MOST_NOTES)})
    midi = load_settings(args).midi
    for name in ("output", "input"):
        if getattr(args, name) is not None:
            midi = replace(midi, **{name: (getattr(args, name),)})
    for key, ports_named in (("midi.output", midi.output), ("midi.input", midi.input)):
        if NO_PORT in ports_named:
            raise Unavailable(f"{key}: none: a loop needs an output and an input; name a port, or auto")
    inbox = Inbox()
    # Under another name, so that a running daemon is not disturbed.
    with closing(MidiPorts(PortRequest(midi.output, midi.input, f"{midi.client}-calibrate"), inbox.put)) as ports:
        if missing := ports.open():
            raise Unavailable("\n".join(missing))
        loop = LoopTest(ports, inbox, midi.channel)
        _connect(loop, ports, midi)
        result = loop.measure(args.notes)
        port_names = ports.status_text
    path = None
    if args.write:  # to the file that is read, else to a new one of the user
        path = resources.writable_config_path(args.config)
        if path is None:
            raise Unavailable("--write: this user has no home folder; name a file with --config")
        set_keys(path, {KEY: result.offset_ms})
    if args.json:
        print(json.dumps({**asdict(result), "written": path and str(path)}, indent=2))
        return 0
    advice = f"written to {path}" if path else "put it into your configuration file, or use --write"
    print(
        f"{port_names}\n"
        f"{result.back} of {result.notes} notes came back; the loop takes "
        f"{result.median_ms:.2f} ms (median), {result.p95_ms:.2f} ms (95th percentile)\n"
        f"half of it, for the output:  {KEY}: {result.offset_ms}   ({advice})\n"
        "The delay of the synth itself is not included: if the solo still sounds late, adjust by ear."
    )
    return 0


class LoopMeasurement(Struct, frozen=True):
    """How many notes were sent and came back, and the delay of the whole loop: its median and its 95th percentile.

    `offset_ms` is the value for play.offset_ms: half the median, earlier.
    """

    notes: int
    back: int
    median_ms: float
    p95_ms: float
    offset_ms: int


class LoopTest(Struct, frozen=True):
    """Sends notes on `channel` to `output` and waits for them at `clock`. Pitches and pauses are random."""

    output: MidiOutput
    clock: Clock
    channel: int

    def measure(self, notes: int) -> LoopMeasurement:
        """Send `notes` notes, with pauses so irregular that no other music can be mistaken for them.

        Raises Unavailable if no more than half of them come back.
        """
        times = []
        for _ in range(notes):
            times.append(self.measure_once())
            end = self.clock.now() + random.uniform(*_PAUSES_S)
            while self.clock.wait(end) is not None:
                pass  # what arrives in a pause is not ours
        delays_ms = sorted(1e3 * time for time in times if time is not None)
        back = len(delays_ms)
        if back * 2 <= notes:
            raise Unavailable(f"only {back} of {notes} notes came back; is other music on the loop?")
        median_ms = statistics.median(delays_ms)
        return LoopMeasurement(notes, back, median_ms, delays_ms[round(0.95 * (back - 1))], -round(median_ms / 2))

    def measure_once(self) -> float | None:
        """Send one note. Returns its delay in seconds, or None if it does not come back in time."""
        note = NoteOn(random.randint(_LOWEST, _HIGHEST), _VELOCITY, self.channel)
        sent = self.clock.now()
        self.output.send(encode(note))
        try:
            returned = self._wait_for_return(note, sent + _NOTE_LENGTH_S)
        finally:
            self.output.send(encode(NoteOff(note.pitch, note.channel)))
        returned = self._wait_for_return(note, sent + NOTE_TIMEOUT_S) if returned is None else returned
        return None if returned is None else returned - sent

    def _wait_for_return(self, note: NoteOn, until: float) -> float | None:
        """The second at which the note came back, on any channel: a loop may change it."""
        while (arrival := self.clock.wait(until)) is not None:
            match arrival.item:
                case NoteOn(note.pitch, note.velocity):
                    return arrival.second
        return None


def _connect(loop: LoopTest, ports: MidiPorts, midi: MidiSettings) -> None:
    """Send notes until one comes back. If a port is our own virtual port, the user has to connect it first."""
    is_virtual = AUTO in (*midi.output, *midi.input)
    if is_virtual:
        advice = f"connect the output to the input now ({CONNECT_TIMEOUT_S:g} s)"
        print(f"{ports.status_text}: {advice}", file=sys.stderr, flush=True)
    for _ in range(round(CONNECT_TIMEOUT_S / NOTE_TIMEOUT_S) if is_virtual else 3):
        if loop.measure_once() is not None:
            return
    raise Unavailable(
        f"no note came back ({ports.status_text}): connect the output to the input with a cable, a loop-back port, or "
        "the thru of a synth; --output and --input choose other ports (sideman ports lists them)"
    )
