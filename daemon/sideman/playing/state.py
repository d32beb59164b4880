# SPDX-License-Identifier: Apache-2.0
"""The state of a performance in one small file: the daemon goes on from it after a restart, a kill or a crash.

A client (`midi.client`) has a file of its own. The player leaves a memory at the half of each bar and at the end, and
the main thread writes it, whole or not at all. It does not wait for the disk before the end: a process that is killed
loses nothing before the last memory, but a power cut may cost the last seconds.

Besides the memory of the engine the file holds the settings that were changed while it played. Each is changed again
at the next start, unless its value in the configuration is another one by then: who edits the configuration means it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from sideman.core.settings.bindings import bindings_key_of, read_binding
from sideman.core.settings.resolve import EntryName, WrittenValue, conflicts, with_entries
from sideman.core.settings.schema import CHART_KEYS, KEYS, Settings, is_live, value_of
from sideman.core.settings.written import setting_from_json, setting_to_json
from sideman.core.targets import Bindings, Target
from sideman.files import state_folder
from sideman.playing.assembly import Performance, state_of
from sideman.playing.player import Remembered
from sideman_models.files import read_plain_file
from sideman_models.limits import STATE
from sideman_models.writing import make_folder, rename, write_whole

_log = logging.getLogger(__name__)
STATE_VERSION = 2
_READ_VERSIONS = (1, STATE_VERSION)


def state_path(client: str) -> Path:
    """Return the path of the state of the daemon whose midi.client is `client`."""
    return client_path("state", client, ".json")


def client_path(kind: str, client: str, suffix: str) -> Path:
    """Return the path of a file of the daemon whose midi.client is `client`, in the folder of the saved state."""
    plain = re.sub(r"[^\w.+-]", "_", client)
    return state_folder() / f"{kind}-{plain}{suffix}"


def find_state(own: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the state at the path `own`, or else the one that all clients had together, and where it is."""
    path = own if os.path.lexists(own) else own.with_name("state.json")
    state = load_state(path)
    return None if state is None else (path, state)


def load_state(path: Path) -> dict[str, Any] | None:
    """Return the state saved at `path`; None if there is none. A file that cannot be one is set aside."""
    try:
        state = json.loads(read_plain_file(path, STATE.bytes))
    except FileNotFoundError:
        return None
    except OSError as error:
        set_aside(path, f"cannot be read: {error.strerror}")
        return None
    except (ValueError, RecursionError):
        set_aside(path, "torn, or not a saved state")
        return None
    if not isinstance(state, dict) or "version" not in state or "weights" not in state:
        set_aside(path, "not a saved state of sideman")
    elif state["version"] not in _READ_VERSIONS:
        versions = " and ".join(map(str, _READ_VERSIONS))
        set_aside(path, f"its version is {state['version']!r:.40}, and this sideman reads {versions}")
    else:
        return state
    return None


def set_aside(path: Path, reason: str) -> None:
    """Rename a file that cannot be continued from, and log where it is kept."""
    names = (path.with_name(f"{path.stem}.aside-{number}{path.suffix}") for number in count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        rename(path, aside)
        kept = f"kept as {aside.name}"
    except OSError as error:
        kept = f"it cannot be renamed: {error.strerror}"
    _log.warning("%s: %s; %s; sideman starts afresh", path, reason, kept)


class StateKeeper:
    """Keeps the state of `performance` in the file at `path`.

    A disk that fails is logged once, and so is the first time that it works again.
    """

    def __init__(self, path: Path, performance: Performance) -> None:
        self._path = path
        self._performance = performance
        self._fails = False

    def keep(
        self,
        remembered: Remembered,
        configured: Settings,
        preset: str | None = None,
        song: int = 0,
        *,
        sync: bool = False,
    ) -> None:
        """Write what the player has left, if `play.resume` is on, and the `preset` that was applied last.

        `configured` are the settings of the configuration, as it was read or written last. `song` is the number of the
        last song of the set: after a chart in between, the one after it follows. `sync`: wait until the disk has it.
        """
        if not remembered.settings.play.resume:
            return
        state = {
            "version": STATE_VERSION,
            **state_of(remembered.memory, self._performance),
            "preset": preset,
            "song": song,
            "settings": changed_settings(configured, remembered.settings),
        }
        try:
            make_folder(self._path.parent)
            write_whole(self._path, msgspec.json.encode(state), sync=sync)
        except OSError as error:
            if not self._fails:
                why = error.strerror or error
                _log.warning("%s: the state cannot be saved: %s; sideman tries again each bar", self._path, why)
            self._fails = True
        else:
            if self._fails:
                _log.info("%s: the state is saved again", self._path)
            self._fails = False


# -- settings that were changed while it played


def changed_settings(configured: Settings, settings: Settings) -> dict[str, tuple[object, object]]:
    """Return the live keys with other values in `settings` than in `configured`: both values, as JSON can hold them.

    The keys of the chart belong together: if one has changed, all are there.
    """
    changed = {name for name in KEYS if is_live(name) and value_of(configured, name) != value_of(settings, name)}
    changed |= CHART_KEYS if changed & CHART_KEYS else set()
    pairs = {name: (value_of(configured, name), value_of(settings, name)) for name in KEYS if name in changed}
    return {name: (setting_to_json(name, one), setting_to_json(name, other)) for name, (one, other) in pairs.items()}


def with_changes(configured: Settings, changes: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return `configured` with what `changed_settings` returned, and the names of what is left as it is configured.

    These are keys and bindings whose value in the configuration has changed since, and values that are not allowed any
    more, by themselves or with the others. Raises ValueError or TypeError if `changes` is broken.
    """
    values: dict[EntryName, Any] = {}
    left: list[str] = []
    for name, (before, after) in changes.items():
        try:
            if not is_live(name):
                raise ValueError
            old, new = (dict(_entries(name, setting_from_json(name, each)[1])) for each in (before, after))
        except (AttributeError, ValueError):  # no such key any more, or no such value
            left.append(name)
            continue
        now = dict(_entries(name, value_of(configured, name)))
        for entry in sorted(old.keys() | new.keys(), key=str):
            is_changed = old.get(entry) != new.get(entry) or name in CHART_KEYS
            if now.get(entry) == new.get(entry) or not is_changed:
                continue
            if now.get(entry) == old.get(entry):
                values[entry] = new.get(entry)
            else:
                left.append(_name_of(entry))
    if CHART_KEYS & set(left):
        left += sorted(CHART_KEYS & values.keys())
    refused = {name for entry, value in values.items() if not _is_allowed(name := _name_of(entry), value)} - {*left}
    while True:
        left += sorted(refused)
        values = {entry: value for entry, value in values.items() if _name_of(entry) not in left}
        settings = with_entries(configured, values)
        refused = {name for name, _ in conflicts(settings, {_name_of(entry): WrittenValue("", "") for entry in values})}
        if not refused:
            return settings, left


def _entries(name: str, value: object) -> Iterator[tuple[EntryName, object]]:
    """Yield the value of the setting `name`, or each of its bindings."""
    if isinstance(value, Bindings):
        yield from (((name, number), target) for number, target in value)
    else:
        yield name, value


def _is_allowed(name: str, target: Target | None) -> bool:
    """Whether `target` is allowed for the binding `name`, if it is one."""
    try:
        return bindings_key_of(name) is None or read_binding(name, target and target.text)[1] == target
    except ValueError:
        return False


def _name_of(entry: EntryName) -> str:
    return entry if isinstance(entry, str) else ".".join(map(str, entry))
