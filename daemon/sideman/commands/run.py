# SPDX-License-Identifier: Apache-2.0
"""Play: improvise on the MIDI output, listen to the input, until told to stop.

SIGTERM and Ctrl-C release every note and end it; a second Ctrl-C does so at once. SIGUSR1 silences all and plays on.
"""

from __future__ import annotations

import argparse

from sideman.commands.common import add_settings, sources
from sideman.io import log
from sideman.loading import load_chart


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman run`."""
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Play until a signal or the end of the choruses asked for; 0, or the status of what went wrong."""
    from sideman.service import Service

    where = sources(args)
    settings = where.read()
    log.set_up(settings.log.level)
    return Service(settings, load_chart(settings), where).run()
