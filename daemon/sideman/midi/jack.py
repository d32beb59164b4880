# SPDX-License-Identifier: Apache-2.0
"""libjack, as far as rtmidi does not offer it: whether the server runs, its period and cycles, ports and connections.

We have one client of our own, without ports, to watch the server: libjack calls it from a thread of its own within
milliseconds of the server's death. It also answers whether there is a server at all, which ports there are, whose they
are and how they are connected, and it makes connections.

There must be one libjack in the process, and it must be the one of the server: the system's. The wheels of rtmidi bring
another version, whose clients can break the graph of the system's server, and which does not find PipeWire. So the
system's libjack is loaded first, for the whole process: the dynamic linker then binds rtmidi to it. Only where the
system has none do both use that of the wheel.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

RETRY_PAUSES_S = (0.02, 0.05, 0.1)  # a server sometimes refuses a client while another one closes
STALL_S = 1.0
LINGER_PERIODS, MAX_LINGER_S = 3, 0.5  # periods can be longer on a busy machine
MIDI_TYPE = b"8 bit raw midi"
IS_INPUT, IS_OUTPUT = 1, 2
"""JackPortIsInput: a port that receives; JackPortIsOutput: a port that sends."""
_NO_START_SERVER = 1  # JackNoStartServer of jack/types.h
_SERVER_FAILED = 0x10  # JackServerFailed: no server runs
_ALREADY_CONNECTED = 17  # EEXIST
_SYSTEM_LIBRARY = "libjack.so.0"
_SHUTDOWN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NAMES = ctypes.POINTER(ctypes.c_char_p)
_TEXT, _POINTER = ctypes.c_char_p, ctypes.c_void_p
_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "jack_client_open": (_POINTER, (_TEXT, ctypes.c_int, _POINTER)),
    "jack_client_close": (ctypes.c_int, (_POINTER,)),
    "jack_on_shutdown": (None, (_POINTER, _SHUTDOWN, _POINTER)),
    "jack_get_buffer_size": (ctypes.c_uint32, (_POINTER,)),
    "jack_get_sample_rate": (ctypes.c_uint32, (_POINTER,)),
    "jack_last_frame_time": (ctypes.c_uint32, (_POINTER,)),
    "jack_frames_to_time": (ctypes.c_uint64, (_POINTER, ctypes.c_uint32)),
    "jack_get_time": (ctypes.c_uint64, ()),
    "jack_get_ports": (_NAMES, (_POINTER, _TEXT, _TEXT, ctypes.c_ulong)),
    "jack_port_by_name": (_POINTER, (_POINTER, _TEXT)),
    "jack_port_get_all_connections": (_NAMES, (_POINTER, _POINTER)),
    "jack_connect": (ctypes.c_int, (_POINTER, _TEXT, _TEXT)),
    "jack_disconnect": (ctypes.c_int, (_POINTER, _TEXT, _TEXT)),
    "jack_free": (None, (_POINTER,)),
}
"""The functions that we call: the types of result and arguments."""


def load_system_libjack() -> None:
    """Load the system's libjack for the whole process, if there is one. Call it before rtmidi is imported."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            ctypes.CDLL(_SYSTEM_LIBRARY, ctypes.RTLD_GLOBAL)


def libjack_of(rtmidi: ModuleType) -> ctypes.CDLL | None:
    """The libjack that `rtmidi` uses, without its messages; None if it uses none."""
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(rtmidi._rtmidi.__file__)  # noqa: SLF001 - there is no public name for the extension
    with contextlib.suppress(OSError):  # not loaded, if it is not the system's
        library = ctypes.CDLL(_SYSTEM_LIBRARY, os.RTLD_NOLOAD)
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
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def libjack_text(library: ctypes.CDLL) -> str:
    """Which libjack this is, with its version if it says it: `libjack 1.9.21 of the system (/usr/lib/libjack.so.0)`."""
    version = ""
    with contextlib.suppress(AttributeError):
        library.jack_get_version_string.restype = ctypes.c_char_p
        version = f" {library.jack_get_version_string().decode(errors='replace')}"
    paths: set[str] = set()
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
        paths = {line.split(maxsplit=5)[5] for line in lines if re.search(r"/libjack[-.][^/]*$", line)}
    own = next((path for path in sorted(paths) if Path(path).name.startswith("libjack.so")), None)
    return f"libjack{version} " + (f"of the system ({own})" if own else "of python-rtmidi")


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
        for pause in (*RETRY_PAUSES_S, 0.0):
            client = library.jack_client_open(name.encode(), _NO_START_SERVER, ctypes.byref(status))
            if client or status.value & _SERVER_FAILED:
                return cls(library, client, on_death) if client else None
            time.sleep(pause)
        return None

    # -- time

    @property
    def period_frames(self) -> int:
        """Frames per period: the server delivers MIDI messages once per period."""
        return int(self._library.jack_get_buffer_size(self._client))

    @property
    def period_s(self) -> float:
        """Seconds per period."""
        return self.period_frames / float(self._library.jack_get_sample_rate(self._client))

    @property
    def frames(self) -> int:
        """The frame counter at the start of the current period. It stands still while no period is processed."""
        return int(self._library.jack_last_frame_time(self._client))

    def has_passed(self, periods: int, since: int) -> bool:
        """Whether the server has begun this number of periods since its frame counter was `since`."""
        return (self.frames - since) % 2**32 >= periods * self.period_frames

    def until_next_period_s(self) -> float:
        """Seconds until the next period begins; 0 or less if it is late."""
        start = self._library.jack_frames_to_time(self._client, (self.frames + self.period_frames) % 2**32)
        return float(start - self._library.jack_get_time()) / 1e6

    def wait_periods(self, periods: int, max_s: float) -> bool:
        """Wait until the server has delivered messages for `periods` periods, at most `max_s` seconds.

        Returns False if it has not delivered any: it stands still. One that has died does not.
        """
        start, end = self.frames, time.monotonic() + max_s
        while not self.has_died and time.monotonic() < end and not self.has_passed(periods, start):
            time.sleep(self.period_s / 2)
        return self.has_died or self.frames != start

    def is_stalled(self) -> bool | None:
        """Whether no period has passed since the last answer, at least a second ago; None if it is too early to say."""
        now, (last_s, last_frames) = time.monotonic(), self._last_frames
        if now - last_s < STALL_S:
            return None
        frames = self.frames
        self._last_frames = (now, frames)
        return frames == last_frames

    # -- ports

    def ports(self, flags: int) -> list[str]:
        """The names of all MIDI ports that receive (IS_INPUT) or send (IS_OUTPUT)."""
        return self._names(self._library.jack_get_ports(self._client, None, MIDI_TYPE, flags))

    def connections(self, port: str) -> list[str] | None:
        """The ports that are connected to `port`; None if there is no such port."""
        if not (found := self._library.jack_port_by_name(self._client, port.encode())):
            return None
        return self._names(self._library.jack_port_get_all_connections(self._client, found))

    def connect_ports(self, source: str, destination: str) -> bool:
        """Connect two ports. Returns whether they are connected now."""
        error = self._library.jack_connect(self._client, source.encode(), destination.encode())
        return error in (0, _ALREADY_CONNECTED)

    def disconnect_ports(self, source: str, destination: str) -> None:
        """Undo a connection, if it exists."""
        self._library.jack_disconnect(self._client, source.encode(), destination.encode())

    def close(self) -> None:
        """Stop watching. `on_death` is not called after this."""
        self._library.jack_client_close(self._client)

    def _names(self, found: ctypes.Array[ctypes.c_char_p]) -> list[str]:
        names: list[str] = []
        while found and (name := found[len(names)]):
            names.append(str(name, "utf-8", "replace"))
        self._library.jack_free(found)
        return names

    def _shutdown(self, _argument: int | None) -> None:
        self.has_died = True
        self._on_death()
