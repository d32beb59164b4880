# SPDX-License-Identifier: Apache-2.0
"""A file that says on which channels of which port our notes may sound.

It exists from before the first note until the last note-off has left. If the daemon finds it at its start, the previous
process was killed, or ended while the MIDI system stood still, perhaps while a note sounded. The daemon then releases
the notes as soon as that port is open.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from sideman_models.files import read_plain_file
from sideman_models.limits import CRASH_MARK
from sideman_models.writing import delete, make_folder, write_whole

_log = logging.getLogger(__name__)
_MAX_PORTS = 32


class CrashMarker:
    """The file at `path`: channels (1..16) by port name, as in `MidiPorts.output_name`.

    If it cannot be written there is no marker, and the music plays all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            marks = json.loads(read_plain_file(path, CRASH_MARK.bytes))
        except (OSError, ValueError, RecursionError):
            marks = None
        items = list(marks.items())[:_MAX_PORTS] if isinstance(marks, dict) else []
        lists = {port: channels for port, channels in items if isinstance(channels, list)}
        self._left_over: dict[str, list[int]] = {
            port: each for port, each in lists.items() if all(isinstance(n, int) and 1 <= n <= 16 for n in each)
        }
        self._current: dict[str, list[int]] = {}

    def mark_playing(self, port: str, channels: Sequence[int]) -> list[int]:
        """Mark `channels` of `port`. Returns the channels of this port that a killed process has left marked."""
        self._current[port] = list(dict.fromkeys([*self._current.get(port, ()), *channels]))
        left_over = self._left_over.pop(port, [])
        self._write()
        return left_over

    def clear(self) -> None:
        """Remove our marks: every note has been released."""
        self._current.clear()
        self._write()

    def _write(self) -> None:
        marks = {**self._left_over, **self._current}
        try:
            if marks:
                make_folder(self._path.parent)
                write_whole(self._path, json.dumps(marks).encode())
            else:
                delete(self._path)
        except OSError as error:
            _log.debug("%s: cannot be written: %s", self._path, error.strerror)
