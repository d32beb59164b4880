# SPDX-License-Identifier: Apache-2.0
"""The settings of `log`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from sideman.core.settings.groups.definitions import group, setting
from sideman.core.settings.types import choice_type


@group
class LogSettings(Struct, frozen=True):
    """The log."""

    level: Literal["debug", "info", "warning", "error"] = setting(
        "info",
        choice_type("debug", "info", "warning", "error"),
        "How much is logged; info has a line for each bar, with what both of you played, debug the values as well.",
    )
