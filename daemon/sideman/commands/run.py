# SPDX-License-Identifier: Apache-2.0
"""`sideman run`: the daemon. It plays on the MIDI output and listens to the MIDI input, until it is stopped.

SIGTERM and Ctrl-C release every note and end the program; a second Ctrl-C ends it at once. SIGUSR1 is a panic: it
silences everything, and the music goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
from pathlib import Path

from sideman.commands.common import add_play_options, add_settings_options, settings_sources
from sideman.config.sources import at_chart_tempo, load_chart
from sideman.control.socket_file import socket_path
from sideman.core.errors import UsageError
from sideman.core.words import opening_lines
from sideman.service import log

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman run`."""
    sound = "play through fluidsynth as well, so that you hear it at once"
    parser.add_argument("--sound", action="store_true", help=sound)
    parser.add_argument("--sound-font", metavar="FILE.sf2", type=Path, help="the sound font for fluidsynth")
    window = "serve the page of `sideman window` as well, and open it in a browser where there is a screen"
    parser.add_argument("--window", action="store_true", help=window)
    add_play_options(parser)
    add_settings_options(parser)


def run(args: argparse.Namespace) -> int:
    """Play until a signal comes, or until the last chorus is over. Returns the exit status."""
    from sideman.service.service import Service

    if args.sound_font is not None and not args.sound:
        raise UsageError("--sound-font goes with --sound")
    sources = settings_sources(args)
    settings = sources.read()
    log.configure_logging(settings.log.level)
    chart = load_chart(settings)
    settings = at_chart_tempo(settings, chart)
    for line in opening_lines(chart, settings):
        _log.info("%s", line)
    for warning in chart.info.warnings:
        _log.warning("%s", warning)
    with contextlib.ExitStack() as at_end:
        sound = None
        if args.sound:
            from sideman.sound.fluidsynth import find_fluidsynth
            from sideman.sound.live import LiveSynth

            sound = at_end.enter_context(contextlib.closing(LiveSynth(find_fluidsynth(args.sound_font, "--sound"))))
            sound.set_programs(settings.midi, settings.play)
            _log.info("sound: %s", sound.description)
        if args.window:
            from sideman.window.process import WindowProcess

            path = socket_path(settings.control.socket, settings.midi.client)
            if path is None:
                raise UsageError("--window needs the control socket, but control.socket is none")
            at_end.enter_context(contextlib.closing(WindowProcess(path)))
        return Service(settings, chart, sources, sound, has_page=args.window).run()
