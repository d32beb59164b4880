# SPDX-License-Identifier: Apache-2.0
"""What rtmidi does not offer for JACK: whether the server runs, how long its period is, and no messages on stderr.

rtmidi's clients do not notice that the server has died. Sending seems to work until a ring buffer of about 2,340
messages is full, and then loops for ever while it holds Python's lock. So we have one more client, without ports, to
watch the server: libjack calls it from a thread of its own within milliseconds of the server's death. It also answers
whether there is a server at all.

We load libjack through rtmidi's extension module: the dynamic linker looks up a symbol in a library and in the
libraries that it is linked to. So both use the same copy of libjack; rtmidi's wheels contain their own.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable

RETRY_PAUSES_S = (0.02, 0.05, 0.1, 0.0)  # a server sometimes refuses a client while another one closes
STALL_S = 1.0
_NO_START_SERVER = 1  # JackNoStartServer of jack/types.h
_SERVER_FAILED = 0x10  # JackServerFailed: no server runs
_SHUTDOWN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def load_libjack(extension: str) -> ctypes.CDLL | None:
    """The libjack to which rtmidi's `extension` (a file) is linked, without its messages; None if there is none."""
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(extension)
    # libjack and libasound write errors to stderr. The function that replaces their handlers is a C function that
    # ignores its arguments: a Python function could still be called from libjack's threads after Python has ended.
    ignore = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
    for name in ("jack_set_error_function", "jack_set_info_function", "snd_lib_error_set_handler"):
        if hasattr(library, name):
            setter = getattr(library, name)
            setter.argtypes = (ctypes.c_void_p,)
            setter(ignore)
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


class JackServer:
    """Watches a JACK server. When it dies, `has_died` becomes true and libjack's thread calls `on_death`."""

    def __init__(self, library: ctypes.CDLL, client: int, on_death: Callable[[], None]) -> None:
        self.has_died = False
        self._library, self._client = library, client
        self._on_death = on_death
        self._last_frames = (time.monotonic(), -1)  # when the frame counter was last read, and its value
        self._callback = _SHUTDOWN(self._shutdown)  # libjack has only its address: keep the object alive
        library.jack_on_shutdown(client, self._callback, None)

    @classmethod
    def connect(cls, library: ctypes.CDLL, name: str, on_death: Callable[[], None]) -> JackServer | None:
        """Watch the running server; None if none runs. Never starts a server."""
        status = ctypes.c_int()
        for pause in RETRY_PAUSES_S:
            client = library.jack_client_open(name.encode(), _NO_START_SERVER, ctypes.byref(status))
            if client or status.value & _SERVER_FAILED:
                return cls(library, client, on_death) if client else None
            time.sleep(pause)
        return None

    @property
    def period_s(self) -> float:
        """Seconds per period: the server delivers MIDI messages once per period."""
        frames = self._library.jack_get_buffer_size(self._client)
        return float(frames / self._library.jack_get_sample_rate(self._client))

    def wait_periods(self, periods: int, max_s: float) -> None:
        """Wait until the server has delivered messages for `periods` periods, at most `max_s` seconds."""
        frames = periods * self._library.jack_get_buffer_size(self._client)
        start, end = self._library.jack_last_frame_time(self._client), time.monotonic() + max_s
        while not self.has_died and time.monotonic() < end:
            if (self._library.jack_last_frame_time(self._client) - start) % 2**32 >= frames:
                return
            time.sleep(self.period_s / 2)

    def is_stalled(self) -> bool | None:
        """Whether no period has passed since the last answer, at least a second ago; None if it is too early to say."""
        now, (last_s, last_frames) = time.monotonic(), self._last_frames
        if now - last_s < STALL_S:
            return None
        frames = int(self._library.jack_last_frame_time(self._client))
        self._last_frames = (now, frames)
        return frames == last_frames

    def close(self) -> None:
        """Stop watching. `on_death` is not called after this."""
        self._library.jack_client_close(self._client)

    def _shutdown(self, _argument: int | None) -> None:
        self.has_died = True
        self._on_death()
