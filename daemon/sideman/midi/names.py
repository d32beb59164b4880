# SPDX-License-Identifier: Apache-2.0
"""Which of the ports that there are is the one that somebody named."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from sideman.core.errors import Unavailable


def match_ports(wanted: str, names: Sequence[str]) -> list[int]:
    """Where in `names` the port called `wanted` is: those of just that name, else those that contain it, in any case.

    ALSA appends the numbers of client and port (`nanoKEY:nanoKEY MIDI 1 20:0`), which change from start to start: a
    name without them, or with those of another start, is exact too.
    """
    for is_meant in (
        lambda name: wanted == name,
        lambda name: _without_numbers(wanted) == _without_numbers(name),
        lambda name: wanted.casefold() in name.casefold(),
    ):
        found = [n for n, name in enumerate(names) if is_meant(name)]
        if found:
            return found
    return []


def nearest_port_name(wanted: str, names: Sequence[str]) -> str | None:
    """The name that was most likely meant, compared whole and by its parts: people name a port by its device."""
    parts = {
        part.casefold(): name for name in reversed(names) for part in (name, _without_numbers(name), *name.split(":"))
    }
    found = difflib.get_close_matches(wanted.casefold(), parts, 1, 0.5)
    return parts[found[0]] if found else None


def is_own_port(name: str, client: str) -> bool:
    """Whether a port is ours, or of another sideman under the same name (JACK then appends -01)."""
    return re.match(rf"{re.escape(client)}(-in)?(-\d+)?:", name) is not None


def ambiguous_port_error(key: str, wanted: str, names: Sequence[str]) -> Unavailable:
    """The error for a name that fits several ports."""
    return Unavailable(f"{key}: '{wanted}' could be any of {quoted_names(names)}: give more of the name")


def port_not_found_error(key: str, wanted: str, names: Sequence[str]) -> Unavailable:
    """The error for a name that fits no port: what was likely meant, and what there is."""
    guess = nearest_port_name(wanted, names)
    meant = f"; did you mean '{guess}'?" if guess else ""
    return Unavailable(f"{key}: no port is called '{wanted}'{meant} (there are: {quoted_names(names)})")


def quoted_names(names: Sequence[str]) -> str:
    """The names in quotes, for an error."""
    return ", ".join(f"'{name}'" for name in names) or "none at all"


def _without_numbers(name: str) -> str:
    return re.sub(r" \d+:\d+$", "", name)
