# SPDX-License-Identifier: Apache-2.0
"""A program at a JACK server that hears sound, MIDI and the transport on one axis: the frames of the server.

It is called in each period, in JACK's own thread. That is right for a program that only tries others, and wrong for
sideman itself (see docs/internals/ports.md): a period that this program misses is lost for its own ears only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman.core.events import JackPosition
from sideman.midi.jack import IS_INPUT, IS_OUTPUT, MIDI_TYPE, JackServer
from sideman.midi.jack_transport import PositionStruct, find_libjack, position_of

AUDIO_TYPE = b"32 bit float mono audio"
ONSET_GAP_S = 0.08
"""A sound that begins this soon after another one is part of it."""
_PROCESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p)
_P, _U32 = ctypes.c_void_p, ctypes.c_uint32


class _MidiEvent(ctypes.Structure):
    _fields_ = (("time", ctypes.c_uint32), ("size", ctypes.c_size_t), ("buffer", ctypes.POINTER(ctypes.c_ubyte)))


class HeardMidi(Struct, frozen=True):
    """A message that came in at a frame, on the input number `port`."""

    frame: int
    port: int
    message: tuple[int, ...]

    @property
    def is_onset(self) -> bool:
        """Whether a note begins."""
        return self.message[0] & 0xF0 == 0x90 and self.message[2] > 0


class JackEar:
    """Hears from `open` to `close`. It has an input for sound, `audio`, and those for MIDI, `midi-1` and so on."""

    def __init__(self, name: str = "ear", midi_inputs: int = 1) -> None:
        library = find_libjack()
        server = JackServer.connect(library, name, lambda: None)
        if server is None:
            raise RuntimeError("no JACK server runs")
        self.name, self._server, self._library, self._client = name, server, library, server._client
        self._declare()
        self.midi: list[HeardMidi] = []
        self.places: list[tuple[int, JackPosition]] = []
        """Frame and position of the transport in each period."""
        self.lost: list[tuple[int, int]] = []
        """The stretches in which this program was not called in time: it has heard nothing of them."""
        self._sound: list[tuple[int, npt.NDArray[np.float32]]] = []
        self._lock = threading.Lock()
        self.inputs = ("audio", *(f"midi-{number}" for number in range(1, midi_inputs + 1)))
        self._audio = self._port("audio", AUDIO_TYPE)
        self._midi_inputs = [self._port(port, MIDI_TYPE) for port in self.inputs[1:]]
        self._callback = _PROCESS(self._process)  # libjack has only its address: keep the object alive
        library.jack_set_process_callback(self._client, self._callback, None)
        sys.setswitchinterval(1e-4)
        library.jack_activate(self._client)
        self.rate = int(library.jack_get_sample_rate(self._client))

    def _declare(self) -> None:
        pointer, text = ctypes.POINTER, ctypes.c_char_p
        for name, result, arguments in (
            ("jack_port_register", _P, (_P, text, text, ctypes.c_ulong, ctypes.c_ulong)),
            ("jack_set_process_callback", ctypes.c_int, (_P, _PROCESS, _P)),
            ("jack_activate", ctypes.c_int, (_P,)),
            ("jack_port_get_buffer", _P, (_P, _U32)),
            ("jack_midi_get_event_count", _U32, (_P,)),
            ("jack_midi_event_get", ctypes.c_int, (pointer(_MidiEvent), _P, _U32)),
            ("jack_transport_query", ctypes.c_int, (_P, pointer(PositionStruct))),
            ("jack_transport_locate", ctypes.c_int, (_P, _U32)),
            ("jack_transport_start", None, (_P,)),
            ("jack_transport_stop", None, (_P,)),
        ):
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments

    def _port(self, name: str, kind: bytes) -> Any:
        return self._library.jack_port_register(self._client, name.encode(), kind, IS_INPUT, 0)

    def _process(self, frames: int, _argument: int | None) -> int:
        library, start = self._library, int(self._library.jack_last_frame_time(self._client))
        if not self._sound:
            with contextlib.suppress(PermissionError):  # it helps, but needs root
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
        place = PositionStruct()
        state = library.jack_transport_query(self._client, ctypes.byref(place))
        sound = ctypes.string_at(library.jack_port_get_buffer(self._audio, frames), 4 * frames)
        event = _MidiEvent()
        with self._lock:
            if self._sound and start - self._sound[-1][0] > frames:
                self.lost.append((self._sound[-1][0] + frames, start))
            self._sound.append((start, np.frombuffer(sound, np.float32)))
            self.places.append((start, position_of(state, place)))
            for port, handle in enumerate(self._midi_inputs, 1):
                buffer = library.jack_port_get_buffer(handle, frames)
                for number in range(library.jack_midi_get_event_count(buffer)):
                    library.jack_midi_event_get(ctypes.byref(event), buffer, number)
                    self.midi.append(HeardMidi(start + event.time, port, tuple(event.buffer[: event.size])))
        return 0

    # -- ports

    def ports(self, flags: int = IS_OUTPUT, kind: bytes | None = None) -> list[str]:
        """The ports of all programs, of one kind or of both."""
        return self._server._names(self._library.jack_get_ports(self._client, None, kind, flags))

    def find(self, part: str, flags: int = IS_OUTPUT, kind: bytes | None = None) -> str | None:
        """The first port with `part` in its name."""
        return next((port for port in self.ports(flags, kind) if part.lower() in port.lower()), None)

    def connect(self, source: str, destination: str) -> bool:
        """Connect two ports; one of its own by its short name alone, `audio` or `midi-1`."""
        destination = f"{self.name}:{destination}" if destination in self.inputs else destination
        return self._server.connect_ports(source, destination)

    # -- the transport

    def start(self) -> None:
        """Let the transport roll."""
        self._library.jack_transport_start(self._client)

    def stop(self) -> None:
        """Stop the transport."""
        self._library.jack_transport_stop(self._client)

    def locate(self, second: float) -> None:
        """Let the transport jump."""
        self._library.jack_transport_locate(self._client, round(second * self.rate))

    # -- what was heard

    @property
    def frame(self) -> int:
        """The present frame."""
        return self._server.frames

    def sound(self, start: int, end: int) -> npt.NDArray[np.float32]:
        """The sound of a stretch; silence where a period was lost."""
        heard = np.zeros(max(0, end - start), np.float32)
        with self._lock:
            parts = [(at - start, part) for at, part in self._sound if start <= at and at + len(part) <= end]
        for at, part in parts:
            heard[at : at + len(part)] = part
        return heard

    def loudness(self, start: int, end: int) -> float:
        """The root of the mean square, 1 for full scale."""
        heard = self.sound(start, end)
        return float(np.sqrt(np.mean(np.square(heard)))) if len(heard) else 0.0

    def onsets(self, start: int, end: int, threshold: float = 0.02) -> list[int]:
        """The frames at which a sound begins after a little silence."""
        loud = np.flatnonzero(np.abs(self.sound(start, end)) > threshold)
        first = np.flatnonzero(np.diff(loud, prepend=-(10**9)) > ONSET_GAP_S * self.rate)
        return [start + int(at) for at in loud[first]]

    def heard(self, start: int, end: int, true: Callable[[HeardMidi], bool] = lambda _: True) -> list[HeardMidi]:
        """The MIDI of a stretch."""
        with self._lock:
            return [event for event in self.midi if start <= event.frame < end and true(event)]

    def close(self) -> None:
        """Leave the server."""
        self._server.close()
