# SPDX-License-Identifier: Apache-2.0
"""Write a solo to a MIDI file: the same engine as `sideman run`, on a clock that does not wait."""

from __future__ import annotations

import argparse
from pathlib import Path

from sideman.commands.common import add_settings, load_chart, load_settings
from sideman.core.engine import BarPlayed, play_through
from sideman.core.errors import UsageError
from sideman.core.events import NoteOn
from sideman.io import log
from sideman.io.midifile import write_midi
from sideman.performance import prepare

DEFAULT_BARS = 32
MOST_BARS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman render`."""
    parser.add_argument("--out", metavar="FILE.mid", type=Path, required=True, help="the MIDI file to write")
    parser.add_argument(
        "--bars", metavar="N", type=int, help=f"how long (default: chart.choruses, else {DEFAULT_BARS})"
    )
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Render the solo and say on standard output what was written."""
    if args.bars is not None and not 1 <= args.bars <= MOST_BARS:
        raise UsageError(f"--bars {args.bars}: from 1 to {MOST_BARS} bars")
    settings = load_settings(args)
    log.set_up(settings.log.level)
    performance = prepare(settings, load_chart(settings))
    bars = args.bars or (None if settings.chart.choruses else DEFAULT_BARS)
    engine = performance.engine(0.0, beats=None if bars is None else bars * performance.bar_beats)
    events = [(due.beat, due.what) for due in play_through(engine) if not isinstance(due.what, BarPlayed)]
    write_midi(args.out, events, settings.tempo.bpm, settings.tempo.meter, engine.end or 0.0, "sideman")
    notes = sum(isinstance(event, NoteOn) for _, event in events)
    length = round((engine.end or 0.0) / performance.bar_beats)
    print(f"{args.out}: {notes} notes, {length} bars, seed {performance.seed}")
    return 0
