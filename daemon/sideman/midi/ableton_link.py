# SPDX-License-Identifier: Apache-2.0
"""Our place in an Ableton Link session: the only module that imports `aalink` (the extra `link`).

A thread of its own looks at the session every few hundredths of a second and passes on what is new. (The library is
made for asyncio, and wants a loop to begin with, though we never wait for it there.) Nothing of it is on the way of a
note: between two looks the beats are those of a straight line.

Beat and second are read together, thrice, and the quickest reading counts, so that they belong to each other by some
hundredths of a millisecond. Link's own clock is not corrected as the system's monotonic clock is; a look that finds
the two `DRIFT_S` apart passes on the session's beat anew.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from sideman.core.errors import Unavailable
from sideman.core.events import LinkState
from sideman.core.timing.tempo import Tempo

POLL_S = 0.03
DRIFT_S = 0.0002
PEER_SEARCH_S = 1.0
"""So long others are looked for, before we play alone."""
_JOINING_S = 0.1
_LEAD_S = 0.1  # from the end of the search to the first beat
_READINGS = 3
_CLOSE_S = 2.0

_log = logging.getLogger(__name__)


def load_aalink() -> Any:  # noqa: ANN401 - a module that says nothing of its types
    """The library. Raises Unavailable where it is not installed, or does not load."""
    try:
        import aalink
    except ImportError as error:
        raise Unavailable(
            f"tempo.source: link: the library aalink does not load ({error}); pip install 'sideman[link]' "
            "installs it, or set tempo.source to internal or midi-clock"
        ) from error
    return aalink


def read_session(link: Any) -> tuple[float, LinkState, float]:  # noqa: ANN401
    """The second, how the session of `link` stands then, and the seconds that the reading took."""
    readings = []
    for _ in range(_READINGS):
        before = time.monotonic()
        beat = link.beat
        after = time.monotonic()
        readings.append((after - before, (before + after) / 2, beat))
    took, second, beat = min(readings)
    return second, LinkState(link.tempo, beat, link.playing, link.num_peers), took


class LinkSession:
    """Takes part in a Link session from `open` to `close`, with `bpm` and bars of `bar_beats` quarter notes.

    `on_state` is called, in a thread of its own, with what is new and its second. Raises Unavailable where the library
    is not there.
    """

    def __init__(self, bpm: float, bar_beats: float, on_state: Callable[[LinkState, float], None]) -> None:
        self._aalink = load_aalink()
        self._bpm, self._bar_beats = bpm, bar_beats
        self._on_state = on_state
        self._requested_bpm: float | None = None
        self._closing = threading.Event()
        self._last: LinkState | None = None
        self._tempo = Tempo(bpm, 0.0, 0.0)
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def open(self) -> None:
        """Join. What is found is put some moments later."""
        self._thread.start()

    def request_tempo(self, bpm: float) -> None:
        """Give the session another tempo. Any thread may; it waits for nothing."""
        self._requested_bpm = bpm

    def close(self) -> None:
        """Leave; the others go on."""
        self._closing.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        try:
            self._participate(loop.run_until_complete(self._make_link()))
        except Exception:  # noqa: BLE001 - whatever it is, the music goes on
            _log.exception("Link has failed; the music goes on in the tempo it has")
        finally:
            loop.close()

    async def _make_link(self) -> Any:  # noqa: ANN401
        return self._aalink.Link(self._bpm)

    def _participate(self, link: Any) -> None:  # noqa: ANN401
        link.quantum, link.start_stop_sync_enabled, link.enabled = self._bar_beats, True, True
        try:
            self._find_peers(link)
            while not self._closing.wait(POLL_S):
                self._poll(link)
        finally:
            link.enabled = False

    def _find_peers(self, link: Any) -> None:  # noqa: ANN401
        """Look for others. Alone, we start the session, with its first bar line at once."""
        end = time.monotonic() + PEER_SEARCH_S
        while not link.num_peers and time.monotonic() < end and not self._closing.wait(POLL_S):
            pass
        if link.num_peers:
            self._closing.wait(_JOINING_S)  # the others are seen a moment before their beat is ours
        elif not self._closing.is_set():
            link.request_beat(-_LEAD_S * link.tempo / 60.0)
            link.playing = True

    def _poll(self, link: Any) -> None:  # noqa: ANN401
        asked, self._requested_bpm = self._requested_bpm, None
        if asked is not None:
            link.tempo = asked
        second, state, took = read_session(link)
        if took < DRIFT_S and self._is_new(state, second):
            self._last, self._tempo = state, Tempo(state.bpm, second, state.beat)
            self._on_state(state, second)

    def _is_new(self, state: LinkState, second: float) -> bool:
        last = self._last
        if last is None or (last.bpm, last.playing, last.peers) != (state.bpm, state.playing, state.peers):
            return True
        return abs(self._tempo.second_at(state.beat) - second) > DRIFT_S


def describe_session(bpm: float, bar_beats: float) -> str:
    """How the session stands that we would join, in words. Raises Unavailable where the library is not there."""
    seen: queue.SimpleQueue[LinkState] = queue.SimpleQueue()
    session = LinkSession(bpm, bar_beats, lambda state, _second: seen.put(state))
    session.open()
    try:
        state = seen.get(timeout=2 * PEER_SEARCH_S)
    except queue.Empty:
        raise Unavailable("tempo.source: link: the library aalink does not answer") from None
    finally:
        session.close()
    if not state.peers:
        return "nobody else is there now"
    others = f"{state.peers} other{'' if state.peers == 1 else 's'}"
    return f"{others}, {state.bpm:.1f} bpm, {'playing' if state.playing else 'stopped'}"
