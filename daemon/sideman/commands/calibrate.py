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
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from sideman.commands.common import add_options, add_settings_options, load_settings
from sideman.config import resources
from sideman.config.sources import config_path
from sideman.config.yaml_edit import set_key
from sideman.core.errors import Unavailable, UsageError
from sideman.core.events import NoteOff, NoteOn, encode
from sideman.core.settings.schema import MidiSettings
from sideman.midi.backends import AUTO
from sideman.midi.ports import NO_PORT, MidiPorts, PortRequest
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
    if not 1 <= args.notes <= MOST_NOTES:
        raise UsageError(f"--notes {args.notes}: 1 to {MOST_NOTES}")
    midi = load_settings(args).midi
    midi = replace(midi, output=args.output or midi.output, input=args.input or midi.input)
    for key, port in (("midi.output", midi.output), ("midi.input", midi.input)):
        if port == NO_PORT:
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
    if result.returned * 2 <= result.sent:
        raise Unavailable(f"only {result.returned} of {result.sent} notes came back; is other music on the loop?")
    path = _config_file(args) if args.write else None
    if path is not None:
        set_key(path, KEY, result.offset_ms)
    if args.json:
        facts = {"notes": result.sent, "back": result.returned, "median_ms": result.median_ms, "p95_ms": result.p95_ms}
        written = None if path is None else str(path)
        print(json.dumps({**facts, "offset_ms": result.offset_ms, "written": written}, indent=2))
        return 0
    advice = f"written to {path}" if path else "put it into your configuration file, or use --write"
    print(
        f"{port_names}\n"
        f"{result.returned} of {result.sent} notes came back; the loop takes "
        f"{result.median_ms:.2f} ms (median), {result.p95_ms:.2f} ms (95th percentile)\n"
        f"half of it, for the output:  {KEY}: {result.offset_ms}   ({advice})\n"
        "The delay of the synth itself is not included: if the solo still sounds late, adjust by ear."
    )
    return 0


class LoopMeasurement(Struct, frozen=True):
    """How many notes were sent, and the delay in seconds of each note that came back."""

    sent: int
    round_trips_s: Sequence[float]

    @property
    def returned(self) -> int:
        """How many notes came back."""
        return len(self.round_trips_s)

    @property
    def median_ms(self) -> float:
        """The median delay of the whole loop."""
        return 1e3 * statistics.median(self.round_trips_s)

    @property
    def p95_ms(self) -> float:
        """The delay that 95 % of the notes do not exceed."""
        return 1e3 * sorted(self.round_trips_s)[round(0.95 * (self.returned - 1))]

    @property
    def offset_ms(self) -> int:
        """The value for play.offset_ms: half the delay, earlier."""
        return -round(self.median_ms / 2)


class LoopTest:
    """Sends notes on `channel` to `output` and waits for them at `clock`. Pitches and pauses are random."""

    def __init__(
        self, output: MidiOutput, clock: Clock, channel: int, random_source: random.Random | None = None
    ) -> None:
        self._output = output
        self._clock = clock
        self._channel = channel
        self._random = random_source or random.Random()

    def measure(self, notes: int) -> LoopMeasurement:
        """Send `notes` notes, with pauses so irregular that no other music can be mistaken for them."""
        times = []
        for _ in range(notes):
            times.append(self.measure_once(NOTE_TIMEOUT_S))
            end = self._clock.now() + self._random.uniform(*_PAUSES_S)
            while self._clock.wait(end) is not None:
                pass  # what arrives in a pause is not ours
        return LoopMeasurement(notes, [time for time in times if time is not None])

    def measure_once(self, timeout_s: float) -> float | None:
        """Send one note. Returns its delay in seconds, or None if it does not come back within `timeout_s`."""
        note = NoteOn(self._random.randint(_LOWEST, _HIGHEST), _VELOCITY, self._channel)
        sent = self._clock.now()
        self._output.send(encode(note))
        try:
            returned = self._wait_for_return(note, sent + min(_NOTE_LENGTH_S, timeout_s))
        finally:
            self._output.send(encode(NoteOff(note.pitch, note.channel)))
        returned = self._wait_for_return(note, sent + timeout_s) if returned is None else returned
        return None if returned is None else returned - sent

    def _wait_for_return(self, note: NoteOn, until: float) -> float | None:
        """The second at which the note came back, on any channel: a loop may change it."""
        while (arrival := self._clock.wait(until)) is not None:
            item = arrival.item
            if isinstance(item, NoteOn) and (item.pitch, item.velocity) == (note.pitch, note.velocity):
                return arrival.second
        return None


def _connect(loop: LoopTest, ports: MidiPorts, midi: MidiSettings) -> None:
    """Send notes until one comes back. If a port is our own virtual port, the user has to connect it first."""
    is_virtual = AUTO in (midi.output, midi.input)
    if is_virtual:
        advice = f"connect the output to the input now ({CONNECT_TIMEOUT_S:g} s)"
        print(f"{ports.status_text}: {advice}", file=sys.stderr, flush=True)
    for _ in range(round(CONNECT_TIMEOUT_S / NOTE_TIMEOUT_S) if is_virtual else 3):
        if loop.measure_once(NOTE_TIMEOUT_S) is not None:
            return
    raise Unavailable(
        f"no note came back ({ports.status_text}): connect the output to the input with a cable, a loop-back port, or "
        "the thru of a synth; --output and --input choose other ports (sideman ports lists them)"
    )


def _config_file(args: argparse.Namespace) -> Path:
    """The configuration file to write to: the one that is read, else a new one of the user."""
    path, own = config_path(args.config), resources.user_config_folder()
    if path is not None:
        return path
    if own is None:
        raise Unavailable("--write: this user has no home folder; name a file with --config")
    return own / "config.yaml"
