# SPDX-License-Identifier: Apache-2.0
"""`run --sound`: a fluidsynth of our own that is fed every message, said so when it fails, and never left behind."""

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
    """A fluidsynth that writes down what it is told, or does something else; `.ended` is there when it has ended."""
    program, font = folder / "fluidsynth", folder / "font.sf2"
    program.write_text(f'#!/bin/sh\n{does}\necho > "$0.ended"\n')
    program.chmod(0o755)
    font.write_bytes(b"RIFF\x04\x00\x00\x00sfbk")
    return FluidSynth(program, font)


def heard(folder: Path) -> list[str]:
    """What the fake was told, but the word that says when it is ready."""
    return (folder / "fluidsynth.heard").read_text().splitlines()[1:]


def until(true: Callable[[], T]) -> T:
    """What `true` answers as soon as it answers something."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.01)):
        if answer := true():
            return answer
        pause.wait(0.01)
    raise AssertionError("it never came true")


# -- what it is told


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
def test_a_message_is_told_in_the_synths_own_words(event: MidiEvent, command: str) -> None:
    """A note would be another, on another channel, or never end."""
    assert shell_command(encode(event)) == command


@given(st.tuples(st.integers(0x80, 0xFF), st.integers(0, 127), st.integers(0, 127)))
def test_no_message_is_more_than_one_command(message: tuple[int, ...]) -> None:
    """A message of a kind that is new to it would be taken for something else."""
    assert re.fullmatch(r"((noteon|noteoff|cc|prog|pitch_bend) \d+ \d+( \d+)?)?", shell_command(message))


@pytest.mark.subprocess
def test_all_that_is_sent_is_played_and_its_end_is_ours(tmp_path: Path) -> None:
    """Notes would be missing, or the synthesizer stay behind with its port and a core."""
    with closing(LiveSynth(fake(tmp_path))) as sound:
        for event in (NoteOn(60, 80, 1), ClockTick(), NoteOff(60, 1)):
            sound.send(encode(event))
        assert sound.poll() == ""
    assert (tmp_path / "fluidsynth.ended").exists()
    assert heard(tmp_path) == ["noteon 0 60 80", "noteoff 0 60"]


@pytest.mark.subprocess
def test_each_voice_has_a_sound_that_suits_it(tmp_path: Path) -> None:
    """The bass would be a piano, even after it was changed, or be chosen anew on every turn."""
    with closing(LiveSynth(fake(tmp_path))) as sound:
        for comp in ("off", "bass", "bass", "shells"):
            chosen = settings(play__comp=comp, midi__program=67)
            sound.set_programs(chosen.midi, chosen.play)
    assert heard(tmp_path) == ["prog 0 66", "prog 0 66", "prog 1 32", "prog 0 66", "prog 1 0"]


# -- what may go wrong


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("echo cannot open the default device; echo Giving up.; exit 255", "cannot open the default device; Giving up"),
        ("exit 0", "fluidsynth has ended$"),
    ],
)
def test_a_synth_that_does_not_start_is_told_in_its_own_words(does: str, words: str, tmp_path: Path) -> None:
    """One would sit in silence, and not know that there is no sound card."""
    with pytest.raises(Unavailable, match=words):
        LiveSynth(fake(tmp_path, does))


@pytest.mark.subprocess
def test_a_synth_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    """It would end in a traceback."""
    synth = fake(tmp_path)
    synth.program.chmod(0o644)
    with pytest.raises(Unavailable, match="cannot be run"):
        LiveSynth(synth)


@pytest.mark.subprocess
def test_when_it_dies_that_is_told_once_and_the_music_goes_on(tmp_path: Path) -> None:
    """A crash of the synthesizer would stop the solo, or fill the log."""
    with closing(
        LiveSynth(fake(tmp_path, 'read _ word; echo "$word"; read note; echo out of memory; exit 1'))
    ) as sound:
        sound.send(encode(NoteOn(60, 80, 1)))
        assert "fluidsynth has ended: out of memory" in until(sound.poll)
        sound.send(encode(NoteOff(60, 1)))
        assert sound.poll() == ""


@pytest.mark.subprocess
def test_when_it_stands_still_nobody_waits_for_it(tmp_path: Path) -> None:
    """A synthesizer that hangs would take the player with it, or go on with a note for ever."""
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
def test_where_there_is_none_a_word_says_so(options: list[str], words: str, status: int, tmp_path: Path) -> None:
    """One would wait for sound that cannot come."""
    done = run_sideman("run", *NO_PORTS, *options, env={"PATH": str(tmp_path)})
    assert (done.returncode, words in done.stderr, "--sound" in done.stderr) == (status, True, True)


# -- the whole program


@contextmanager
def sounding(folder: Path, *options: str, **env: str) -> Iterator[DaemonProcess]:
    """A daemon with sound, its home in `folder`."""
    given_ = ["--sound", *NO_PORTS, "--set", f"model.bundle={write_bundle(folder)}", "--set", "play.seed=1", *options]
    with closing(DaemonProcess(given_, {"HOME": str(folder), **env})) as daemon:
        yield daemon


@pytest.mark.subprocess
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_the_synth_ends_with_it(number: signal.Signals, tmp_path: Path) -> None:
    """After a crash a synthesizer would go on with the last note, and hold the sound card."""
    fake(tmp_path)
    fast = ("--sound-font", str(tmp_path / "font.sf2"), "--set", "tempo.bpm=400", "--set", "play.comp=bass")
    with sounding(tmp_path, *fast, PATH=f"{tmp_path}:{os.environ['PATH']}") as daemon:
        daemon.wait_for("sound: fluidsynth with font.sf2")
        daemon.wait_for("bar 2")
        daemon.stop(number)
    until((tmp_path / "fluidsynth.ended").exists)
    told = heard(tmp_path)
    assert told[0] == "prog 1 32"
    assert {line.split()[1] for line in told if line.startswith("noteon")} == {"0", "1"}
    if number != signal.SIGKILL:
        left = {tuple(line.split()[1:3]) for line in told if line.startswith("noteon")}
        last = {key: [line.split()[0] for line in told if tuple(line.split()[1:3]) == key][-1] for key in left}
        assert set(last.values()) == {"noteoff"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="no fluidsynth here")
def test_the_real_fluidsynth_is_heard_on_the_beat(tmp_path: Path) -> None:
    """All would seem well, and there would be no sound, or not in time."""
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
    """The seconds at which something is struck in a sound file, and how loud the whole is (0 to 1)."""
    with wave.open(str(path)) as file:
        rate, wires = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(wires, "<i2").reshape(-1, 2).mean(axis=1) / 32768
    step = rate // 100
    level = np.sqrt((samples[: len(samples) // step * step].reshape(-1, step) ** 2).mean(axis=1))
    rises = np.diff(np.log(level + 1e-4))
    onsets = [at for at in range(len(rises)) if rises[at] > 0.4 and not (rises[max(0, at - 20) : at] > 0.4).any()]
    return [at * step / rate for at in onsets], float(np.sqrt((samples**2).mean()))
