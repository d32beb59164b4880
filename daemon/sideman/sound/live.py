# SPDX-License-Identifier: Apache-2.0
"""Sound at once: a fluidsynth of our own, which plays whatever we send.

It is driven through its shell, on its standard input: `noteon 0 60 80`. That works wherever fluidsynth can make a
sound, with ALSA, with JACK, and where there is no MIDI system at all; nothing has to be connected. And it cannot be
left behind: when we end, be it by kill -9, its input ends, and with that fluidsynth.

What it sounds on is fluidsynth's own affair: `set audio.driver jack` in `~/.fluidsynth`.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from sideman.core.errors import Unavailable
from sideman.core.events import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, PITCH_BEND, PROGRAM_CHANGE, ProgramChange, encode
from sideman.core.parts.comp import GM_PROGRAMS
from sideman.core.settings.schema import MidiSettings, PlaySettings
from sideman.midi.ports import MidiPorts
from sideman.sound.fluidsynth import EXECUTABLE as FLUIDSYNTH
from sideman.sound.fluidsynth import FluidSynth

LOAD_TIMEOUT_S = 45.0
"""A large sound font on a slow card takes its time."""
GAIN = 0.6
"""Fluidsynth by itself (0.2) is set for a whole band, too soft for one line and a bass."""
EXIT_TIMEOUT_S = 3.0
TAIL_S = 0.4
"""How long the last notes may die away."""
_READY_TEXT = b"sideman-may-play"
_COMMANDS = {
    NOTE_OFF: "noteoff {} {}",
    NOTE_ON: "noteon {} {} {}",
    CONTROL_CHANGE: "cc {} {} {}",
    PROGRAM_CHANGE: "prog {} {}",
}


class LiveSynth:
    """A fluidsynth that runs, its sound font loaded, until `close`: an Output beside the port.

    Raises Unavailable, in fluidsynth's own words, where it cannot be run or has nothing to sound on.
    """

    def __init__(self, synth: FluidSynth) -> None:
        self.description = f"{synth.program.name} with {synth.sound_font.name}"
        self._failure = ""
        self._failure_reported = False
        self._programs: list[tuple[int, int]] = []  # those chosen: program and channel
        self._last_output: deque[str] = deque(maxlen=2)  # the last it said
        self._ready = threading.Event()
        self._process, self._pipe, said = _start_process(synth)
        self._reader = threading.Thread(target=self._read_output, args=(said,), name=FLUIDSYNTH, daemon=True)
        self._reader.start()
        self._write(b"echo " + _READY_TEXT)
        if not self._ready.wait(LOAD_TIMEOUT_S) or self._failure:
            self._stop(0.0)
            raise Unavailable(f"--sound: {self._failure or f'{FLUIDSYNTH} did not come up in {LOAD_TIMEOUT_S:g} s'}")

    def set_programs(self, midi: MidiSettings, play: PlaySettings) -> None:
        """Choose the sounds, of General MIDI: that of midi.program for the solo, and what suits the accompaniment."""
        sounds = [(midi.program, midi.channel)] if midi.program is not None else []
        sounds += [(GM_PROGRAMS[play.comp], midi.comp)] if play.comp != "off" and midi.comp != midi.channel else []
        if sounds != self._programs:
            self._programs = sounds
            for program, channel in sounds:
                self.send(encode(ProgramChange(program - 1, channel)))

    def with_ports(self, link: MidiPorts) -> PortsAndSynth:
        """The port and this as one."""
        return PortsAndSynth(link, self)

    def send(self, message: Sequence[int]) -> None:
        """Play one MIDI message of 1 to 3 bytes; never waits, and what fluidsynth has no use for is passed over."""
        line = shell_command(message)
        if line and not self._failure:
            self._write(line.encode())

    def poll(self) -> str:
        """Why there is no sound any more, told once; else nothing."""
        if not self._failure or self._failure_reported:
            return ""
        self._failure_reported = True
        self._process.kill()  # it must not go on with a note that it was not told the end of
        return f"--sound: {self._failure}; the music goes on without it"

    def close(self) -> None:
        """End it, all notes having been released."""
        if not self._failure:
            time.sleep(TAIL_S)
        self._stop(EXIT_TIMEOUT_S)

    def _stop(self, timeout_s: float) -> None:
        self._failure = self._failure or "it was ended"
        os.close(self._pipe)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(EXIT_TIMEOUT_S)  # unless somebody else has taken over its output

    def _write(self, line: bytes) -> None:
        # A line is far shorter than what a pipe takes whole or not at all, so two threads may write.
        try:
            os.write(self._pipe, line + b"\n")
        except BlockingIOError:
            self._failure = f"{FLUIDSYNTH} takes no more notes"
        except OSError:
            pass  # it has ended; the reader says why

    def _read_output(self, said: IO[bytes]) -> None:
        """It repeats every command; what it says must be taken, or one day it would wait for that."""
        with said:
            for line in said:
                if line.strip() == _READY_TEXT:
                    self._last_output.clear()
                    self._ready.set()
                elif line.strip() and not line.startswith(b">"):
                    self._last_output.append(line.decode("utf-8", "replace").strip())
        self._failure = self._failure or ": ".join(
            filter(None, [f"{FLUIDSYNTH} has ended", "; ".join(self._last_output)])
        )
        self._ready.set()


@dataclass(frozen=True, slots=True)
class PortsAndSynth:
    """The port and the sound together, as one Output of the player's."""

    ports: MidiPorts
    sound: LiveSynth

    def send(self, message: Sequence[int]) -> None:
        """Send one message to either."""
        self.ports.send(message)
        self.sound.send(message)


def shell_command(message: Sequence[int]) -> str:
    """A MIDI message as a command of fluidsynth's shell; empty for one that it has no use for."""
    kind, channel = message[0] & 0xF0, message[0] & 0x0F
    if kind == PITCH_BEND:
        return f"pitch_bend {channel} {message[1] | message[2] << 7}"
    return _COMMANDS.get(kind, "").format(channel, *message[1:])


def _start_process(synth: FluidSynth) -> tuple[subprocess.Popen[bytes], int, IO[bytes]]:
    """The process, our end of its input, and what it says; in a session of its own, so that Ctrl-C is ours to hear."""
    command = [str(synth.program), "-n", "-q", "-j", "-g", str(GAIN), str(synth.sound_font)]
    (their_input, ours), (said, their_output) = os.pipe(), os.pipe()
    os.set_blocking(ours, False)
    try:
        process = subprocess.Popen(  # noqa: S603 - the fluidsynth of the user's own PATH
            command, stdin=their_input, stdout=their_output, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        os.close(ours)
        os.close(said)
        raise Unavailable(f"--sound: {synth.program} cannot be run: {error.strerror}") from error
    finally:
        os.close(their_input)
        os.close(their_output)
    return process, ours, os.fdopen(said, "rb")
