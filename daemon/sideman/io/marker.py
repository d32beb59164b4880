# SPDX-License-Identifier: Apache-2.0
"""A mark on disk while notes may sound: which port we play to, and on which channel.

It is there from before the first note until after the last note-off has left. A start that finds one knows that the
process before it was killed, perhaps with a note sounding, and can release it.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from sideman.io.files import write_whole

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where notes may sound: a port's name as `Link.name` gives it, and a channel 1..16."""

    port: str
    channel: int


def left_by_another(path: Path) -> Mark | None:
    """The mark that a process which did not end in good order has left, or None."""
    try:
        said = json.loads(path.read_bytes())
        mark = Mark(str(said["port"]), int(said["channel"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return mark if 1 <= mark.channel <= 16 else None


def put(path: Path, mark: Mark) -> None:
    """Leave `mark`. Where the disk refuses there is none, and the music plays all the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(mark)).encode())
    except OSError as error:
        _log.debug("%s: cannot be written: %s", path, error.strerror)


def take_away(path: Path) -> None:
    """All that we played has been released."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.debug("%s: cannot be removed: %s", path, error.strerror)
