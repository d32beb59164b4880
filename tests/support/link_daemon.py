# SPDX-License-Identifier: Apache-2.0
"""`sideman run` with the given arguments, which prints each message as second and bytes instead of sending it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from sideman import cli
from sideman.midi.ports import MidiPorts
from sideman.service import service


class _PrintingPorts(MidiPorts):
    def send(self, message: Sequence[int]) -> None:
        """Print it on stdout."""
        print(time.monotonic(), *message, flush=True)  # noqa: T201


if __name__ == "__main__":
    setattr(service, "MidiPorts", _PrintingPorts)  # noqa: B010 - a seam that is not exported
    sys.exit(cli.main(["run", *sys.argv[1:]]))
