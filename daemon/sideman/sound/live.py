# SPDX-License-Identifier: Apache-2.0
"""Immediate sound: runs a fluidsynth process that plays what we send.

We write commands of its shell, such as `noteon 0 60 80`, to its standard input. This works wherever fluidsynth has
audio: with ALSA, with JACK, and without any MIDI system. The user does not have to connect anything. And the process
never outlives us: when we end, even by kill -9, its standard input ends, and then it ends too.

The audio device is chosen in fluidsynth's own configuration: `set audio.driver jack` in `~/.fluidsynth`.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import IO, cast

from msgspec import Struct

from sideman.core.errors import Unavailable
from sideman.core.events import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, PITCH_BEND, PROGRAM_CHANGE, MidiEvent, encode
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.settings.voices import voice_sounds
from sideman.midi.ports import MidiPorts
from sideman.sound.fluidsynth import EXECUTABLE as FLUIDSYNTH
from sideman.sound.fluidsynth import GAIN, FluidSynth

LOAD_TIMEOUT_S = 45.0
"""Loading a large sound font from a slow SD card takes long."""
EXIT_TIMEOUT_S = 3.0
TAIL_S = 0.4
"""How long the last notes may ring."""
_READY_TEXT = b"sideman-may-play"
_COMMANDS = {
    NOTE_OFF: "noteoff {} {}",
    NOTE_ON: "noteon {} {} {}",
    CONTROL_CHANGE: "cc {} {} {}",
    PROGRAM_CHANGE: "prog {} {}",
}


class LiveSynth:
    """A running fluidsynth with its sound font loaded, until `close`. It is a `MidiOutput`.

    Raises Unavailable with fluidsynth's own message if it cannot run or has no audio.
    """

    def __init__(self, synth: FluidSynth) -> None:
        self.description = f"{synth.program.name} with {synth.sound_font.name}"
        self._failure = ""
        self._failure_reported = False
        self._sounds: list[MidiEvent] = []  # what has selected them
        self._last_output: deque[str] = deque(maxlen=2)  # its last messages
        self._ready = threading.Event()
        command = [str(synth.program), "-n", "-q", "-j", "-g", str(GAIN), str(synth.sound_font)]
        pipe = subprocess.PIPE
        try:  # it runs in its own session, so that Ctrl-C reaches only us
            self._process = subprocess.Popen(  # noqa: S603 - the fluidsynth in the user's PATH
                command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            raise Unavailable(f"--sound: {synth.program} cannot be run: {error.strerror}") from error
        self._input, output = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._pipe = self._input.fileno()
        os.set_blocking(self._pipe, False)
        self._reader = threading.Thread(target=self._read_output, args=(output,), name=FLUIDSYNTH, daemon=True)
        self._reader.start()
        self._write(b"echo " + _READY_TEXT)
        if not self._ready.wait(LOAD_TIMEOUT_S) or self._failure:
            self._stop(0.0)
            raise Unavailable(f"--sound: {self._failure or f'{FLUIDSYNTH} did not start within {LOAD_TIMEOUT_S:g} s'}")

    def set_programs(self, midi: MidiSettings, play: PlaySettings) -> None:
        """Choose the sounds of the voices: those of the settings, else the General MIDI ones that suit."""
        sounds = voice_sounds(midi, play, general_midi=True)
        if sounds != self._sounds:
            self._sounds = sounds
            for event in sounds:
                self.send(encode(event))

    def with_ports(self, ports: MidiPorts) -> PortsAndSynth:
        """One output that sends to both."""
        return PortsAndSynth(ports, self)

    def send(self, message: Sequence[int]) -> None:
        """Play one MIDI message of 1 to 3 bytes. Never blocks; ignores messages that fluidsynth does not use."""
        line = shell_command(message)
        if line and not self._failure:
            self._write(line.encode())

    def poll(self) -> str:
        """The reason why the sound has stopped, returned once; otherwise an empty string."""
        if not self._failure or self._failure_reported:
            return ""
        self._failure_reported = True
        self._process.kill()  # or a note whose note-off it never got would ring on
        return f"--sound: {self._failure}; the music goes on without it"

    def close(self) -> None:
        """End fluidsynth. All notes have been released before."""
        if not self._failure:
            time.sleep(TAIL_S)
        self._stop(EXIT_TIMEOUT_S)

    def _stop(self, timeout_s: float) -> None:
        self._failure = self._failure or "it was closed"
        self._input.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(EXIT_TIMEOUT_S)  # it may not end if another process has inherited the output

    def _write(self, line: bytes) -> None:
        # A pipe writes such a short line whole or not at all, so two threads may write.
        try:
            os.write(self._pipe, line + b"\n")
        except BlockingIOError:
            self._failure = f"{FLUIDSYNTH} accepts no more notes"
        except OSError:
            pass  # it has ended; `_read_output` finds the reason

    def _read_output(self, output: IO[bytes]) -> None:
        """Read what fluidsynth prints: it echoes every command, and would block if its output were not read."""
        with output:
            for line in output:
                if line.strip() == _READY_TEXT:
                    self._last_output.clear()
                    self._ready.set()
                elif line.strip() and not line.startswith(b">"):
                    self._last_output.append(line.decode("utf-8", "replace").strip())
        messages = "; ".join(self._last_output)
        self._failure = self._failure or f"{FLUIDSYNTH} has ended" + (f": {messages}" if messages else "")
        self._ready.set()


class PortsAndSynth(Struct, frozen=True):
    """The MIDI ports and the sound as one output."""

    ports: MidiPorts
    sound: LiveSynth

    def send(self, message: Sequence[int]) -> None:
        """Send one message to both."""
        self.ports.send(message)
        self.sound.send(message)

    def send_to(self, port_id: str, message: Sequence[int]) -> None:
        """Send one message to that MIDI port."""
        self.ports.send_to(port_id, message)


def shell_command(message: Sequence[int]) -> str:
    """A MIDI message as a command of fluidsynth's shell; empty for a message that it does not use."""
    kind, channel = message[0] & 0xF0, message[0] & 0x0F
    if kind == PITCH_BEND:
        return f"pitch_bend {channel} {message[1] | message[2] << 7}"
    return _COMMANDS.get(kind, "").format(channel, *message[1:])
