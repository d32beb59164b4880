# SPDX-License-Identifier: Apache-2.0
"""The table of exit statuses, and the systemd unit that relies on it."""

from __future__ import annotations

import re

from sideman.exit_status import exit_statuses
from support.processes import ROOT


def test_every_number_stands_in_the_table_once() -> None:
    """Guards against: two errors that a script cannot tell apart, and a status without an explanation."""
    table = exit_statuses()
    assert len({row.number for row in table}) == len(table)
    assert all(row.meaning and 0 < row.number < 256 for row in table)


def test_the_systemd_unit_prevents_the_restarts_that_do_not_help() -> None:
    """Guards against: systemd restarts a daemon whose configuration is wrong, or gives up one that a restart helps."""
    unit = (ROOT / "systemd" / "sideman.service").read_text("utf-8")
    [numbers] = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert [int(number) for number in numbers.split()] == [
        row.number for row in exit_statuses() if row.restart_helps is False
    ]
