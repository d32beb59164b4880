# SPDX-License-Identifier: Apache-2.0
"""A mark on disk for every port on which notes of ours may sound, with the channels.

It is there from before the first note until after the last note-off has left. A start that finds one knows that the
process before it was killed, perhaps with a note sounding, and can release it as soon as that port is open.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from sideman_models.files import read_plain_file, write_whole

_log = logging.getLogger(__name__)
_MAX_PORTS = 32
_MAX_BYTES = 1 << 16


class CrashMarker:
    """The marks in the file at `path`: channels (1..16) by the name of their port, as `Link.name` gives it.

    Where the disk refuses there are none, and the music plays all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left_over = _read(path)
        self._current: dict[str, list[int]] = {}

    def mark_playing(self, port: str, channels: Sequence[int]) -> list[int]:
        """We are about to play on `channels` of `port`; those that a killed process has left sounding there."""
        self._current[port] = list(channels)
        left = self._left_over.pop(port, [])
        self._write()
        return left

    def clear(self) -> None:
        """All that we played has been released."""
        self._current.clear()
        self._write()

    def _write(self) -> None:
        marks = {**self._left_over, **self._current}
        try:
            if marks:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._path, json.dumps(marks).encode())
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.debug("%s: cannot be written: %s", self._path, error.strerror)


def _read(path: Path) -> dict[str, list[int]]:
    try:
        said = json.loads(read_plain_file(path, _MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    items = list(said.items())[:_MAX_PORTS] if isinstance(said, dict) else []
    return {port: channels for port, channels in items if _are_channels(channels)}


def _are_channels(said: object) -> bool:
    return isinstance(said, list) and all(isinstance(channel, int) and 1 <= channel <= 16 for channel in said)
