# SPDX-License-Identifier: Apache-2.0
"""Takes part in an Ableton Link session. The only module that imports `aalink` (the extra `link`).

A thread reads the session every 30 ms and reports what has changed. (The library is made for asyncio and needs an event
loop to start, but we do not wait in it.) The notes do not depend on this thread: between two reports, the beats follow
a straight line.

Beat and second are read together three times, and the fastest reading counts, so that they match to some hundredths of
a millisecond. Link's clock is not corrected in the way the system's monotonic clock is. If the two differ by `DRIFT_S`,
the beat is reported again.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from sideman.core.errors import Unavailable
from sideman.core.events import LinkState
from sideman.core.timing.tempo import Tempo
from sideman_models.text import count_noun

POLL_S = 0.03
DRIFT_S = 0.0002
PEER_SEARCH_S = 1.0
"""How long to look for peers before we start the session alone."""
_JOINING_S = 0.1
_LEAD_S = 0.1  # from the end of the search to the first beat
_READINGS = 3
_CLOSE_S = 2.0

_log = logging.getLogger(__name__)


def load_aalink() -> Any:  # noqa: ANN401 - the module has no types
    """The library. Raises Unavailable if it is not installed or cannot be loaded."""
    try:
        import aalink
    except ImportError as error:
        raise Unavailable(
            f"tempo.source: link: the library aalink cannot be loaded ({error}); pip install 'sideman[link]' "
            "installs it, or set tempo.source to internal or midi-clock"
        ) from error
    return aalink


def read_session(link: Any) -> tuple[float, LinkState, float]:  # noqa: ANN401
    """A second, the state of the session at that second, and how many seconds the reading took."""
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

    `on_state` is called in the session's thread with each new state and its second. Raises Unavailable if the library
    is not installed.
    """

    def __init__(self, bpm: float, bar_beats: float, on_state: Callable[[LinkState, float], None]) -> None:
        self._aalink = load_aalink()
        self._bpm, self._bar_beats = bpm, bar_beats
        self._on_state = on_state
        self._requested_bpm: float | None = None
        self._closing = threading.Event()
        self._reported: tuple[float, bool, int] | None = None  # the tempo, whether it plays, and the number of peers
        self._tempo = Tempo(bpm, 0.0, 0.0)
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def open(self) -> None:
        """Join the session. The first state is reported up to `PEER_SEARCH_S` later."""
        self._thread.start()

    def request_tempo(self, bpm: float) -> None:
        """Ask the session for another tempo. May be called in any thread; does not block."""
        self._requested_bpm = bpm

    def close(self) -> None:
        """Leave the session."""
        self._closing.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        import asyncio  # not needed without Link, and slow to load

        try:
            with asyncio.Runner() as runner:
                link = runner.run(self._make_link())
                link.quantum, link.start_stop_sync_enabled, link.enabled = self._bar_beats, True, True
                try:
                    self._find_peers(link)
                    while not self._closing.wait(POLL_S):
                        self._poll(link)
                finally:
                    link.enabled = False
        except Exception:  # noqa: BLE001 - the music must go on
            _log.exception("Link has failed; the music goes on in its present tempo")

    async def _make_link(self) -> Any:  # noqa: ANN401
        return self._aalink.Link(self._bpm)

    def _find_peers(self, link: Any) -> None:  # noqa: ANN401
        """Look for peers. Without any, start the session, with its first bar line at once."""
        end = time.monotonic() + PEER_SEARCH_S
        while not link.num_peers and time.monotonic() < end and not self._closing.wait(POLL_S):
            pass
        if link.num_peers:
            self._closing.wait(_JOINING_S)  # peers are visible a moment before we share their beat
        elif not self._closing.is_set():
            link.request_beat(-_LEAD_S * link.tempo / 60.0)
            link.playing = True

    def _poll(self, link: Any) -> None:  # noqa: ANN401
        requested_bpm, self._requested_bpm = self._requested_bpm, None
        if requested_bpm is not None:
            link.tempo = requested_bpm
        second, state, took = read_session(link)
        if took >= DRIFT_S:
            return
        facts = state.bpm, state.playing, state.peers
        if facts != self._reported or abs(self._tempo.second_at(state.beat) - second) > DRIFT_S:
            self._reported, self._tempo = facts, Tempo(state.bpm, second, state.beat)
            self._on_state(state, second)


def describe_session(bpm: float, bar_beats: float) -> str:
    """The state of the session that we would join, in words. Raises Unavailable if the library is not installed."""
    states: queue.SimpleQueue[LinkState] = queue.SimpleQueue()
    session = LinkSession(bpm, bar_beats, lambda state, _second: states.put(state))
    session.open()
    try:
        state = states.get(timeout=2 * PEER_SEARCH_S)
    except queue.Empty:
        raise Unavailable("tempo.source: link: the library aalink does not answer") from None
    finally:
        session.close()
    if not state.peers:
        return "no other peers now"
    return f"{count_noun(state.peers, 'other peer')}, {state.bpm:.1f} bpm, {'playing' if state.playing else 'stopped'}"
