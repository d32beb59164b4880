# SPDX-License-Identifier: Apache-2.0
"""`sideman run` with the arguments given, its output written down instead: a line of second and bytes a message."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from sideman import cli
from sideman.midi.ports import MidiPorts
from sideman.service import service


class _PrintingPorts(MidiPorts):
    def send(self, message: Sequence[int]) -> None:
        """Tell it on stdout."""
        print(time.monotonic(), *message, flush=True)  # noqa: T201


if __name__ == "__main__":
    setattr(service, "MidiPorts", _PrintingPorts)  # noqa: B010 - a seam that is not exported
    sys.exit(cli.main(["run", *sys.argv[1:]]))
