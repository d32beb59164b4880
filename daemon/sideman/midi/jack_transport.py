# SPDX-License-Identifier: Apache-2.0
"""Reads the transport of a JACK server, and starts and stops it.

A thread asks for the position every `POLL_S` and reports what has changed. The notes do not depend on this thread: the
server says at which microsecond the transport was at which frame, and between two reports the beats follow a straight
line.

A timebase master may be wrong for a single period: klick 0.12 says the next bar in a period that begins on a bar line.
So a beat that jumps while the frames run on counts only when a later period confirms it (`PositionFilter`). Hydrogen
1.2 counts each bar as one beat, of as many ticks as the bar has (`_is_bar_one_beat`).

sideman cannot be timebase master: libjack calls a timebase master in its real-time thread, in each period, and Python
must not run there. It can start and stop the transport.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Callable

from sideman.core.errors import Unavailable
from sideman.core.events import JackPosition
from sideman.core.timing.jack_transport import JUMP_BEATS, BarBeatTick
from sideman.midi.drivers import has_rtmidi
from sideman.midi.jack import JackServer, libjack_of
from sideman.midi.rtmidi_driver import import_rtmidi

POLL_S = 0.01
SEARCH_S = 1.0
"""How often to look for a server while there is none."""
DRIFT_S = 0.0005
_CLEAR_BEATS = 0.03  # more than a tick of Hydrogen's, which are a 48th of a beat
_ROLLING, _LOOPING = 1, 2
_BBT, _BBT_OFFSET, _TICK_DOUBLE = 0x10, 0x40, 0x200
_CLOSE_S = 2.0

_log = logging.getLogger(__name__)


class PositionStruct(ctypes.Structure):
    """`jack_position_t` of jack/types.h."""

    _pack_ = 1
    _fields_ = (
        ("unique_1", ctypes.c_uint64),
        ("usecs", ctypes.c_uint64),
        ("frame_rate", ctypes.c_uint32),
        ("frame", ctypes.c_uint32),
        ("valid", ctypes.c_int),
        ("bar", ctypes.c_int32),
        ("beat", ctypes.c_int32),
        ("tick", ctypes.c_int32),
        ("bar_start_tick", ctypes.c_double),
        ("beats_per_bar", ctypes.c_float),
        ("beat_type", ctypes.c_float),
        ("ticks_per_beat", ctypes.c_double),
        ("beats_per_minute", ctypes.c_double),
        ("frame_time", ctypes.c_double),
        ("next_time", ctypes.c_double),
        ("bbt_offset", ctypes.c_uint32),
        ("audio_frames_per_video_frame", ctypes.c_float),
        ("video_offset", ctypes.c_uint32),
        ("tick_double", ctypes.c_double),
        ("padding", ctypes.c_int32 * 5),
        ("unique_2", ctypes.c_uint64),
    )


def position_of(state: int, read: PositionStruct) -> JackPosition:
    """The position that libjack has `read` in transport state `state`."""
    transport_s = read.frame / read.frame_rate if read.frame_rate else 0.0
    bpm, quarters = 0.0, None
    if read.valid & _BBT and read.beats_per_minute > 0:
        tick = read.tick_double if read.valid & _TICK_DOUBLE else float(read.tick)
        tick *= read.beats_per_bar if _is_bar_one_beat(read) else 1
        place = BarBeatTick(read.bar, read.beat, tick, read.ticks_per_beat, read.beats_per_bar, read.beat_type)
        quarters, bpm = place.quarters, read.beats_per_minute * 4 / (read.beat_type or 4)
    if quarters is None or not read.frame_rate:
        bpm, quarters = 0.0, 0.0
    elif read.valid & _BBT_OFFSET:  # bar, beat and tick belong to an earlier frame
        quarters += read.bbt_offset / read.frame_rate * bpm / 60
    return JackPosition(state in (_ROLLING, _LOOPING), transport_s, bpm, quarters)


def _is_bar_one_beat(read: PositionStruct) -> bool:
    """Whether the timebase master takes the ticks of a whole bar for those of a beat.

    The ticks before the bar show it. In the first bar there are none, but the frames have run on for that many beats.
    """
    if read.beat != 1 or read.beats_per_bar <= 1 or read.ticks_per_beat <= 0:
        return False
    if read.bar > 1:
        return bool(read.bar_start_tick == (read.bar - 1) * read.ticks_per_beat)
    beats = read.frame / max(1, read.frame_rate) * read.beats_per_minute / 60
    said = read.tick / read.ticks_per_beat
    return abs(beats - said) > _CLEAR_BEATS > abs(beats - said * read.beats_per_bar)


def find_libjack() -> ctypes.CDLL:
    """The library of JACK that the ports use. Raises Unavailable if there is none."""
    library = libjack_of(import_rtmidi()) if has_rtmidi() else None  # one copy: two in a process crash
    if library is None:
        raise Unavailable("tempo.source: jack-transport: there is no libjack here; install JACK, or set another source")
    return library


class TransportClient:
    """The transport as a client of the server sees it: `client` is a handle of libjack, `library`."""

    def __init__(self, library: ctypes.CDLL, client: int) -> None:
        library.jack_transport_query.argtypes = (ctypes.c_void_p, ctypes.POINTER(PositionStruct))
        for name in ("jack_activate", "jack_transport_start", "jack_transport_stop"):
            getattr(library, name).argtypes = (ctypes.c_void_p,)
        library.jack_get_time.restype = ctypes.c_uint64
        library.jack_get_time.argtypes = ()
        library.jack_frames_to_time.restype = ctypes.c_uint64
        library.jack_frames_to_time.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        self._library, self._client = library, client
        library.jack_activate(client)  # PipeWire gives a position to active clients only; ours has no port or callback

    def read(self) -> tuple[JackPosition, float]:
        """The position, and the second of our clock at which the transport was there."""
        place = PositionStruct()
        state = self._library.jack_transport_query(self._client, ctypes.byref(place))
        before = time.monotonic()
        server_us = self._library.jack_get_time()  # the server's clock need not be ours
        now = (before + time.monotonic()) / 2
        age_s = (server_us - self._smoothed_us(place)) / 1e6 if place.usecs else 0.0
        return position_of(state, place), now - max(0.0, age_s)

    def _smoothed_us(self, place: PositionStruct) -> float:
        """When the period of `place` should have begun: a busy machine begins some late.

        If the answer is half a period off or more, the next period has begun meanwhile.
        """
        began_us, period = place.usecs, self._library.jack_get_buffer_size(self._client)
        frames = self._library.jack_last_frame_time(self._client)
        smoothed_us = self._library.jack_frames_to_time(self._client, frames)
        return float(smoothed_us if abs(smoothed_us - began_us) * place.frame_rate < period * 5e5 else began_us)

    def set_rolling(self, rolling: bool) -> None:
        """Start or stop the transport; does not block."""
        (self._library.jack_transport_start if rolling else self._library.jack_transport_stop)(self._client)


class PositionFilter:
    """Lets those positions through that say something new, and that are not the mistake of a single period."""

    def __init__(self) -> None:
        self.last: JackPosition | None = None
        """The last position that was let through."""
        self._last_s = 0.0
        self._doubtful: tuple[float, float] | None = None  # seconds of the transport, and how far its beat is off

    def is_new(self, position: JackPosition, second: float) -> bool:
        """Whether `position`, of the transport at `second`, is to be reported."""
        if self.last is not None:
            passed_s = second - self._last_s if self.last.rolling else 0.0
            off_s = position.transport_s - self.last.transport_s - passed_s
            off_beats = position.beat - self.last.beat - passed_s * self.last.bpm / 60
            same = (position.rolling, position.bpm) == (self.last.rolling, self.last.bpm)
            if same and abs(off_s) <= DRIFT_S and abs(off_beats) <= DRIFT_S * position.bpm / 60:
                self._doubtful = None
                return False
            runs_on = self.last.rolling and position.rolling and abs(off_s) <= DRIFT_S
            has_bars = self.last.bpm > 0 and position.bpm > 0
            if runs_on and has_bars and abs(off_beats) > JUMP_BEATS and not self._confirms(position, off_beats):
                return False
        self.last, self._last_s, self._doubtful = position, second, None
        return True

    def _confirms(self, position: JackPosition, off_beats: float) -> bool:
        """Whether `position` says the same as a doubtful one of another period."""
        if self._doubtful is not None and self._doubtful[0] == position.transport_s:
            return False
        confirms = self._doubtful is not None and abs(off_beats - self._doubtful[1]) <= JUMP_BEATS
        self._doubtful = position.transport_s, off_beats
        return confirms


class JackTransport:
    """Follows the transport of the running server from `open` to `close`, also of one that is started later.

    `library` is libjack, `name` that of our client. `on_position` is called in a thread of its own with each new
    position and its second.
    """

    def __init__(self, library: ctypes.CDLL, name: str, on_position: Callable[[JackPosition, float], None]) -> None:
        self._library, self._name, self._on_position = library, name, on_position
        self._wake, self._closing = threading.Event(), False
        self._requests: list[bool] = []  # to start or to stop
        self._filter = PositionFilter()
        self._thread = threading.Thread(target=self._run, name="jack-transport", daemon=True)

    def open(self) -> None:
        """Begin to read."""
        self._thread.start()

    def request_rolling(self, rolling: bool) -> None:
        """Start or stop the transport. May be called in any thread; does not block."""
        self._requests.append(rolling)
        self._wake.set()

    def close(self) -> None:
        """End."""
        self._closing = True
        self._wake.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        try:
            while not self._closing:
                server = JackServer.connect(self._library, self._name, self._wake.set)
                if server is None:
                    self._requests.clear()
                    self._wake.wait(SEARCH_S)
                    self._wake.clear()
                    continue
                try:
                    self._follow(server, TransportClient(self._library, server._client))  # noqa: SLF001 - one client for both
                finally:
                    server.close()  # at once: see the rules in `sideman.midi.jack_driver`
        except Exception:  # noqa: BLE001 - the music must go on
            _log.exception("JACK's transport cannot be read any more; the music goes on in its present tempo")

    def _follow(self, server: JackServer, transport: TransportClient) -> None:
        while not self._closing and not server.has_died:
            while self._requests:
                transport.set_rolling(self._requests.pop(0))
            self._report(*transport.read())
            self._wake.wait(POLL_S)
            self._wake.clear()
        if server.has_died and (last := self._filter.last) is not None:
            self._report(JackPosition(False, last.transport_s, last.bpm, last.beat), time.monotonic())

    def _report(self, position: JackPosition, second: float) -> None:
        if self._filter.is_new(position, second):
            self._on_position(position, second)
