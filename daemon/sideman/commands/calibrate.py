# SPDX-License-Identifier: Apache-2.0
"""Measure how long a note is on its way, by a loop, so that it can be played so much earlier.

Short, quiet notes go out at midi.output and are awaited at midi.input: by a cable from one to the other, a port that
loops back, or the thru of a synth. What is measured is the whole loop, out and in; half of it is taken for the way out.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sideman.commands.common import add_settings_options, load_settings
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
"""A note that is not back by then is lost: half of it is the most that play.offset_ms can make good."""
CONNECT_TIMEOUT_S = 30.0
_NOTE_LENGTH_S = 0.02
_VELOCITY = 12
_PAUSES_S = (0.03, 0.13)
_LOWEST, _HIGHEST = 48, 72


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman calibrate`."""
    parser.add_argument("--output", metavar="PORT", help="send there, instead of midi.output")
    parser.add_argument("--input", metavar="PORT", help="listen there, instead of at midi.input")
    parser.add_argument("--notes", metavar="N", type=int, default=NOTES, help=f"so many notes (default: {NOTES})")
    parser.add_argument("--write", action="store_true", help=f"write what was found, as {KEY}, to the configuration")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_settings_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, tell, and write if asked to. Raises Unavailable where nothing, or not enough, comes back."""
    if not 1 <= args.notes <= MOST_NOTES:
        raise UsageError(f"--notes {args.notes}: 1 to {MOST_NOTES}")
    midi = _chosen_ports(load_settings(args).midi, args)
    inbox = Inbox()
    with _open_ports(midi, inbox) as link:
        _connect(LoopTest(link, inbox, midi.channel), link, midi)
        found = LoopTest(link, inbox, midi.channel).measure(args.notes)
        ports = link.status_text
    if len(found.round_trips_s) * 2 <= found.sent:
        raise Unavailable(
            f"only {len(found.round_trips_s)} of {found.sent} notes came back; is there anything else on the loop?"
        )
    path = _config_file(args) if args.write else None
    if path is not None:
        set_key(path, KEY, found.offset_ms)
    print(_as_json(found, path) if args.json else _as_text(found, ports, path))
    return 0


@dataclass(frozen=True, slots=True)
class LoopMeasurement:
    """How many notes were sent, and the seconds after which each that came back did."""

    sent: int
    round_trips_s: Sequence[float]

    @property
    def median_ms(self) -> float:
        """There and back."""
        return 1e3 * statistics.median(self.round_trips_s)

    @property
    def p95_ms(self) -> float:
        """There and back, all but the slowest twentieth."""
        return 1e3 * sorted(self.round_trips_s)[round(0.95 * (len(self.round_trips_s) - 1))]

    @property
    def offset_ms(self) -> int:
        """What play.offset_ms makes good: half the loop, earlier."""
        return -round(self.median_ms / 2)


class LoopTest:
    """Sends notes on `channel` to `output`, and waits for them at `clock`; the dice say which and when."""

    def __init__(
        self, output: MidiOutput, clock: Clock, channel: int, random_source: random.Random | None = None
    ) -> None:
        self._output = output
        self._clock = clock
        self._channel = channel
        self._random = random_source or random.Random()

    def measure(self, notes: int) -> LoopMeasurement:
        """What became of so many notes, at distances that no other rhythm shares."""
        times = []
        for _ in range(notes):
            times.append(self.measure_once(NOTE_TIMEOUT_S))
            self._discard_until(self._clock.now() + self._random.uniform(*_PAUSES_S))
        return LoopMeasurement(notes, [time for time in times if time is not None])

    def measure_once(self, timeout_s: float) -> float | None:
        """The seconds until one note is back, or None if it is not within `timeout_s`."""
        note = NoteOn(self._random.randint(_LOWEST, _HIGHEST), _VELOCITY, self._channel)
        sent = self._clock.now()
        self._output.send(encode(note))
        try:
            back = self._wait_for_return(note, sent + min(_NOTE_LENGTH_S, timeout_s))
        finally:
            self._output.send(encode(NoteOff(note.pitch, note.channel)))
        back = self._wait_for_return(note, sent + timeout_s) if back is None else back
        return None if back is None else back - sent

    def _wait_for_return(self, note: NoteOn, until: float) -> float | None:
        """When the note came; a loop may carry it to another channel."""
        while (arrival := self._clock.wait(until)) is not None:
            item = arrival.item
            if isinstance(item, NoteOn) and (item.pitch, item.velocity) == (note.pitch, note.velocity):
                return arrival.second
        return None

    def _discard_until(self, until: float) -> None:
        while self._clock.wait(until) is not None:
            pass


def _chosen_ports(midi: MidiSettings, args: argparse.Namespace) -> MidiSettings:
    midi = replace(midi, output=args.output or midi.output, input=args.input or midi.input)
    for key, port in (("midi.output", midi.output), ("midi.input", midi.input)):
        if port == NO_PORT:
            raise Unavailable(f"{key}: none: a loop needs both ways; name a port, or auto")
    return midi


@contextmanager
def _open_ports(midi: MidiSettings, inbox: Inbox) -> Iterator[MidiPorts]:
    """Both ports, under a name of their own, so that a daemon that plays keeps its."""
    link = MidiPorts(PortRequest(midi.output, midi.input, f"{midi.client}-calibrate"), inbox.put)
    missing = link.open()
    try:
        if missing:
            raise Unavailable("\n".join(missing))
        yield link
    finally:
        link.close()


def _connect(loop: LoopTest, link: MidiPorts, midi: MidiSettings) -> None:
    """Knock until something answers. Where a port is our own, somebody has to connect it first."""
    ours = AUTO in (midi.output, midi.input)
    if ours:
        print(f"{link.status_text}: connect them now, by a loop ({CONNECT_TIMEOUT_S:g} s)", file=sys.stderr, flush=True)
    for _ in range(round(CONNECT_TIMEOUT_S / NOTE_TIMEOUT_S) if ours else 3):
        if loop.measure_once(NOTE_TIMEOUT_S) is not None:
            return
    raise Unavailable(
        f"nothing came back ({link.status_text}): lead the output into the input, by a cable, by a loop-back port, or "
        "by the thru of a synth; --output and --input name others (sideman ports lists them)"
    )


def _config_file(args: argparse.Namespace) -> Path:
    """The configuration to write to: the one that is read, else the user's own, made anew."""
    path, own = config_path(args.config), resources.user_config_folder()
    if path is not None:
        return path
    if own is None:
        raise Unavailable("--write: this user has no home; name a file with --config")
    return own / "config.yaml"


def _as_json(found: LoopMeasurement, path: Path | None) -> str:
    said = {"notes": found.sent, "back": len(found.round_trips_s), "median_ms": found.median_ms, "p95_ms": found.p95_ms}
    return json.dumps({**said, "offset_ms": found.offset_ms, "written": None if path is None else str(path)}, indent=2)


def _as_text(found: LoopMeasurement, ports: str, path: Path | None) -> str:
    advice = f"written to {path}" if path else "put it into your configuration, or let --write do it"
    return (
        f"{ports}\n"
        f"{len(found.round_trips_s)} of {found.sent} notes came back; out and in again took "
        f"{found.median_ms:.2f} ms at the median, {found.p95_ms:.2f} ms at p95\n"
        f"half of it, for the way out:  {KEY}: {found.offset_ms}   ({advice})\n"
        "What a synth takes from the note to its sound is not in it: how much earlier still, your ear must tell."
    )
