# SPDX-License-Identifier: Apache-2.0
"""What rtmidi does not tell of the JACK server: whether it lives and how long its period is. And how to keep it quiet.

Rtmidi's own clients never notice that the server has died: sending seems to work until a ring of some 2,340 messages
is full, and then spins for ever with Python's lock held. So one more client, without ports, stands watch: libjack
calls it from a thread of its own within milliseconds of the server's death. It is also how we ask whether there is a
server at all.

Libjack is reached through rtmidi's extension module (a symbol is looked up in a library and in what it is linked to),
so that both speak to the same copy of it: the wheels carry their own.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable

RETRY_PAUSES_S = (0.02, 0.05, 0.1, 0.0)  # a server refuses a client, at times, while another one leaves
STALL_S = 1.0
_NO_START_SERVER = 1  # JackNoStartServer of jack/types.h
_SERVER_FAILED = 0x10  # JackServerFailed: there is none
_SHUTDOWN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def load_libjack(extension: str) -> ctypes.CDLL | None:
    """Libjack as rtmidi's `extension` (a file) is linked to it, made silent; None where it has none."""
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(extension)
    _silence_messages(library)
    if not hasattr(library, "jack_client_open"):
        return None
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    library.jack_client_open.restype = ctypes.c_void_p
    library.jack_client_open.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)
    library.jack_on_shutdown.argtypes = (ctypes.c_void_p, _SHUTDOWN, ctypes.c_void_p)
    library.jack_last_frame_time.restype = ctypes.c_uint32
    for name in ("jack_client_close", "jack_get_buffer_size", "jack_get_sample_rate", "jack_last_frame_time"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    return library


def _silence_messages(library: ctypes.CDLL) -> None:
    """Take away the handlers with which libjack and libasound write to stderr whatever goes wrong.

    In their place comes a C function that does nothing with what it is told. It must not be a Python one: libjack would
    call it from its own threads, at a time when Python may be gone.
    """
    nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
    for name in ("jack_set_error_function", "jack_set_info_function", "snd_lib_error_set_handler"):
        if hasattr(library, name):
            setter = getattr(library, name)
            setter.argtypes = (ctypes.c_void_p,)
            setter(nothing)


class JackServer:
    """Watches a JACK server. When it dies, `has_died` becomes true and libjack's thread calls `on_death`."""

    def __init__(self, library: ctypes.CDLL, client: int, on_death: Callable[[], None]) -> None:
        self.has_died = False
        self._library, self._client = library, client
        self._on_death = on_death
        self._last_frames = (time.monotonic(), -1)  # when its frames were last looked at, and what they were
        self._callback = _SHUTDOWN(self._shutdown)  # kept: libjack holds only its address
        library.jack_on_shutdown(client, self._callback, None)

    @classmethod
    def connect(cls, library: ctypes.CDLL, name: str, on_death: Callable[[], None]) -> JackServer | None:
        """The server that runs, or None. Never starts one."""
        status = ctypes.c_int()
        for pause in RETRY_PAUSES_S:
            client = library.jack_client_open(name.encode(), _NO_START_SERVER, ctypes.byref(status))
            if client or status.value & _SERVER_FAILED:
                return cls(library, client, on_death) if client else None
            time.sleep(pause)
        return None

    @property
    def period_s(self) -> float:
        """Seconds between two rounds in which the server carries messages from port to port."""
        frames = self._library.jack_get_buffer_size(self._client)
        return float(frames / self._library.jack_get_sample_rate(self._client))

    def wait_periods(self, periods: int, max_s: float) -> None:
        """Wait until it has carried messages `periods` more times; no more than `max_s` seconds."""
        frames = periods * self._library.jack_get_buffer_size(self._client)
        first, end = self._library.jack_last_frame_time(self._client), time.monotonic() + max_s
        while not self.has_died and time.monotonic() < end:
            if (self._library.jack_last_frame_time(self._client) - first) % 2**32 >= frames:
                return
            time.sleep(self.period_s / 2)

    def is_stalled(self) -> bool | None:
        """Whether it has carried nothing since this was last answered, a second ago or more; None: too early to say."""
        now, (then, before) = time.monotonic(), self._last_frames
        if now - then < STALL_S:
            return None
        frames = int(self._library.jack_last_frame_time(self._client))
        self._last_frames = (now, frames)
        return frames == before

    def close(self) -> None:
        """Take the watch away; nothing is called after this."""
        self._library.jack_client_close(self._client)

    def _shutdown(self, _nothing: int | None) -> None:
        self.has_died = True
        self._on_death()
