# SPDX-License-Identifier: Apache-2.0
"""`run --sound`: fluidsynth gets every message, its failure is reported, and it always ends with us."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.errors import Unavailable
from sideman.core.events import ClockTick, ControlChange, MidiEvent, NoteOff, NoteOn, PitchBend, ProgramChange, encode
from sideman.sound.fluidsynth import FluidSynth, find_fluidsynth
from sideman.sound.live import LiveSynth, shell_command
from support.fakes import settings
from support.processes import TIMEOUT_S, DaemonProcess, run_sideman, write_bundle

T = TypeVar("T")
PLAYS = 'while read word rest; do echo "$word $rest" >> "$0.heard"; [ "$word" = echo ] && echo "$rest"; done'
NO_PORTS = ("--set", "midi.output=none", "--set", "midi.input=none")


def fake(folder: Path, does: str = PLAYS) -> FluidSynth:
    """A fake fluidsynth that records its commands, or does something else; it writes `.ended` at its end."""
    program, font = folder / "fluidsynth", folder / "font.sf2"
    program.write_text(f'#!/bin/sh\n{does}\necho > "$0.ended"\n')
    program.chmod(0o755)
    font.write_bytes(b"RIFF\x04\x00\x00\x00sfbk")
    return FluidSynth(program, font)


def heard(folder: Path) -> list[str]:
    """The commands that the fake got, without the one that asks whether it is ready."""
    return (folder / "fluidsynth.heard").read_text().splitlines()[1:]


def until(true: Callable[[], T]) -> T:
    """Wait until `true` returns something, and return it."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.01)):
        if answer := true():
            return answer
        pause.wait(0.01)
    raise AssertionError("it never came true")


# -- what it is printed


@pytest.mark.parametrize(
    ("event", "command"),
    [
        (NoteOn(60, 80, 1), "noteon 0 60 80"),
        (NoteOff(127, 16), "noteoff 15 127"),
        (ControlChange(64, 0, 10), "cc 9 64 0"),
        (ProgramChange(32, 2), "prog 1 32"),
        (PitchBend(0, 1), "pitch_bend 0 8192"),
        (PitchBend(-8192, 3), "pitch_bend 2 0"),
        (ClockTick(), ""),
    ],
)
def test_a_message_becomes_a_shell_command(event: MidiEvent, command: str) -> None:
    """Guards against: a wrong note or channel, or a note that never ends."""
    assert shell_command(encode(event)) == command


@given(st.tuples(st.integers(0x80, 0xFF), st.integers(0, 127), st.integers(0, 127)))
def test_no_message_is_more_than_one_command(message: tuple[int, ...]) -> None:
    """Guards against: an unknown message that becomes a wrong command."""
    assert re.fullmatch(r"((noteon|noteoff|cc|prog|pitch_bend) \d+ \d+( \d+)?)?", shell_command(message))


@pytest.mark.subprocess
def test_all_messages_are_played_and_it_ends_with_us(tmp_path: Path) -> None:
    """Guards against: missing notes; a fluidsynth process that is left behind."""
    with closing(LiveSynth(fake(tmp_path))) as sound:
        for event in (NoteOn(60, 80, 1), ClockTick(), NoteOff(60, 1)):
            sound.send(encode(event))
        assert sound.poll() == ""
    assert (tmp_path / "fluidsynth.ended").exists()
    assert heard(tmp_path) == ["noteon 0 60 80", "noteoff 0 60"]


@pytest.mark.subprocess
def test_each_voice_has_a_sound_that_suits_it(tmp_path: Path) -> None:
    """Guards against: a bass with a piano sound; program changes again and again."""
    with closing(LiveSynth(fake(tmp_path))) as sound:
        for comp in ("off", "bass", "bass", "shells"):
            chosen = settings(play__comp=comp, midi__program=67)
            sound.set_programs(chosen.midi, chosen.play)
        chosen = settings(play__comp="shells", midi__comp_program=5, midi__comp_bank=129)
        sound.set_programs(chosen.midi, chosen.play)
    assert heard(tmp_path)[:5] == ["prog 0 66", "prog 0 66", "prog 1 32", "prog 0 66", "prog 1 0"]
    assert heard(tmp_path)[5:] == ["cc 1 0 1", "cc 1 32 1", "prog 1 4"]


# -- what may go wrong


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("echo cannot open the default device; echo Giving up.; exit 255", "cannot open the default device; Giving up"),
        ("exit 0", "fluidsynth has ended$"),
    ],
)
def test_a_failed_start_is_reported_with_its_message(does: str, words: str, tmp_path: Path) -> None:
    """Guards against: silence without a reason if there is no sound card."""
    with pytest.raises(Unavailable, match=words):
        LiveSynth(fake(tmp_path, does))


@pytest.mark.subprocess
def test_a_synth_that_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    """Guards against: a traceback if fluidsynth cannot be run."""
    synth = fake(tmp_path)
    synth.program.chmod(0o644)
    with pytest.raises(Unavailable, match="cannot be run"):
        LiveSynth(synth)


@pytest.mark.subprocess
def test_its_death_is_reported_once_and_the_music_goes_on(tmp_path: Path) -> None:
    """Guards against: a crash of fluidsynth stops the solo, or floods the log."""
    with closing(
        LiveSynth(fake(tmp_path, 'read _ word; echo "$word"; read note; echo out of memory; exit 1'))
    ) as sound:
        sound.send(encode(NoteOn(60, 80, 1)))
        assert "fluidsynth has ended: out of memory" in until(sound.poll)
        sound.send(encode(NoteOff(60, 1)))
        assert sound.poll() == ""


@pytest.mark.subprocess
def test_a_stalled_synth_does_not_block_the_player(tmp_path: Path) -> None:
    """Guards against: a hanging fluidsynth blocks the player, or a note sounds for ever."""
    with closing(LiveSynth(fake(tmp_path, 'read _ word; echo "$word"; exec sleep 1000'))) as sound:
        for _ in range(20_000):  # more than a pipe holds
            sound.send(encode(NoteOn(60, 80, 1)))
        assert "accepts no more notes" in sound.poll()
        assert sound.poll() == ""


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (["--sound"], "fluidsynth is not installed", 69),
        (["--sound", "--sound-font", "none.sf2"], "fluidsynth is not installed", 69),
        (["--sound-font", "none.sf2"], "--sound-font goes with --sound", 2),
    ],
)
def test_a_missing_fluidsynth_is_an_error(options: list[str], words: str, status: int, tmp_path: Path) -> None:
    """Guards against: waiting for sound without fluidsynth or a sound font."""
    done = run_sideman("run", *NO_PORTS, *options, env={"PATH": str(tmp_path)})
    assert (done.returncode, words in done.stderr, "--sound" in done.stderr) == (status, True, True)


# -- the whole program


@contextmanager
def sounding(folder: Path, *options: str, **env: str) -> Iterator[DaemonProcess]:
    """A daemon with sound, and its home in `folder`."""
    given_ = ["--sound", *NO_PORTS, "--set", f"model.bundle={write_bundle(folder)}", "--set", "play.seed=1", *options]
    with closing(DaemonProcess(given_, {"HOME": str(folder), **env})) as daemon:
        yield daemon


@pytest.mark.subprocess
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_synth_always_ends_with_the_daemon(number: signal.Signals, tmp_path: Path) -> None:
    """Guards against: after a crash, fluidsynth goes on with the last note and keeps the sound card."""
    fake(tmp_path)
    fast = ("--sound-font", str(tmp_path / "font.sf2"), "--set", "tempo.bpm=400", "--set", "play.comp=bass")
    with sounding(tmp_path, *fast, PATH=f"{tmp_path}:{os.environ['PATH']}") as daemon:
        daemon.wait_for("sound: fluidsynth with font.sf2")
        daemon.wait_for("bar 2")
        daemon.stop(number)
    until((tmp_path / "fluidsynth.ended").exists)
    printed = heard(tmp_path)
    assert printed[0] == "prog 1 32"
    assert {line.split()[1] for line in printed if line.startswith("noteon")} == {"0", "1"}
    if number != signal.SIGKILL:
        left = {tuple(line.split()[1:3]) for line in printed if line.startswith("noteon")}
        last = {key: [line.split()[0] for line in printed if tuple(line.split()[1:3]) == key][-1] for key in left}
        assert set(last.values()) == {"noteoff"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="no fluidsynth here")
def test_the_real_fluidsynth_is_heard_on_the_beat(tmp_path: Path) -> None:
    """Guards against: no sound, or sound that is not in time, without an error."""
    try:
        find_fluidsynth(None)
    except Unavailable as error:
        pytest.skip(str(error))
    sound = tmp_path / "sound.wav"
    (tmp_path / ".fluidsynth").write_text(f"set audio.driver file\nset audio.file.name {sound}\n")
    short = ("play.gate=0.2", "play.rests=0", "play.late_ms=1000", "chart.choruses=1", "chart.changes=| C7 | F7 |")
    with sounding(tmp_path, *(word for key in short for word in ("--set", key))) as daemon:
        daemon.wait_for("ready")
        assert daemon.stop() == 0
    onsets, loudness = heard_in(sound)
    assert loudness > 0.003
    assert len(onsets) == 5  # the last of them lasts a bar
    assert np.diff(onsets) == pytest.approx([0.5] * 4, abs=0.2)  # roughly: that driver has no sound card's clock


def heard_in(path: Path) -> tuple[list[float], float]:
    """The seconds of the onsets in a sound file, and its loudness (0 to 1)."""
    with wave.open(str(path)) as file:
        rate, wires = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(wires, "<i2").reshape(-1, 2).mean(axis=1) / 32768
    step = rate // 100
    level = np.sqrt((samples[: len(samples) // step * step].reshape(-1, step) ** 2).mean(axis=1))
    rises = np.diff(np.log(level + 1e-4))
    onsets = [at for at in range(len(rises)) if rises[at] > 0.4 and not (rises[max(0, at - 20) : at] > 0.4).any()]
    return [at * step / rate for at in onsets], float(np.sqrt((samples**2).mean()))
