# SPDX-License-Identifier: Apache-2.0
"""Finds the port that a user means by a name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sideman_models.text import closest, printable


def match_ports(wanted: str, names: Sequence[str]) -> list[int]:
    """The indices in `names` of the ports called `wanted`: exact matches, else names that contain it in any case.

    ALSA appends the numbers of client and port (`nanoKEY:nanoKEY MIDI 1 20:0`), which change with every start. So a
    name without these numbers, or with others, also counts as an exact match.
    """
    for matches in (
        lambda name: wanted == name,
        lambda name: same_port(wanted, name),
        lambda name: wanted.casefold() in name.casefold(),
    ):
        if found := [n for n, name in enumerate(names) if matches(name)]:
            return found
    return []


def nearest_port_name(wanted: str, names: Sequence[str]) -> str | None:
    """The most similar name, or None. Parts of names count too: users often write only the name of the device."""
    parts = {
        part.casefold(): name for name in reversed(names) for part in (name, _without_numbers(name), *name.split(":"))
    }
    found = closest(wanted.casefold(), parts, 0.5)
    return parts[found] if found is not None else None


def is_own_port(name: str, client: str) -> bool:
    """Whether a port belongs to us, or to another sideman of the same name (JACK appends -01); not to `sideman-2`.

    The labels are those of `sideman.midi.request`.
    """
    return re.match(rf"{re.escape(client)}(-(port|comp|clicks|clock)\d*)?(-in)?(-\d\d)?:", name) is not None


def same_port(name: str, other: str) -> bool:
    """Whether two names are those of one port: the numbers that a system appends change when a device comes back.

    ALSA appends client and port (` 24:0`), PipeWire's bridge to JACK the client in brackets (` [24]`).
    """
    return _without_numbers(name) == _without_numbers(other)


def quoted_names(names: Sequence[str]) -> str:
    """The names in quotes, for an error message."""
    return ", ".join(f"'{printable(name)}'" for name in names) or "none"


def _without_numbers(name: str) -> str:
    return re.sub(r" \d+:\d+$| ?\[\d+\]", "", name)
