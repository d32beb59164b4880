# SPDX-License-Identifier: Apache-2.0
"""A daemon that is killed, on real ports. `tests/system/kill_trial.py` does the same many times."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from ports.conftest import Others
from support.kills import LISTENER, kill_again_and_again

pytestmark = [pytest.mark.ports, pytest.mark.subprocess]


def test_after_a_kill_nothing_hangs_and_the_solo_goes_on(others: Others, tmp_path: Path) -> None:
    """Guards against: a crash on stage that leaves a note sounding, or begins another solo."""
    for kill in kill_again_and_again(others.client("MidiIn", LISTENER), tmp_path, 4, Random(5)):
        assert kill.hanging == 0, kill
        assert kill.wrong == 0, kill
        assert kill.lost_bars <= 1, kill
