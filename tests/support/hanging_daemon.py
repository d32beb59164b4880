# SPDX-License-Identifier: Apache-2.0
"""`sideman run` with the given arguments, whose port never returns from the first note and keeps Python's lock."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sideman import cli
from sideman.midi.ports import MidiPorts
from sideman.service import main_loop, service


class _HangingPorts(MidiPorts):
    def send(self, _message: Sequence[int]) -> None:
        """Compute for ever in C."""
        _ = 7 ** (10**10)


if __name__ == "__main__":
    main_loop.HANG_TIMEOUT_S = 1.0
    setattr(service, "MidiPorts", _HangingPorts)  # noqa: B010 - a seam that is not exported
    sys.exit(cli.main(["run", *sys.argv[1:]]))
