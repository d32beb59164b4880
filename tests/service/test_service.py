# SPDX-License-Identifier: Apache-2.0
"""The daemon as a process: start, stop, signals, systemd. No ports are needed."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sideman.config.sources import SettingsSources, load_chart
from sideman.control.client import ControlClient
from sideman.core.events import NoteOff, NoteSent
from sideman.midi.ports import MidiPorts
from sideman.playing.player import Player, Remembered
from sideman.service import main_loop
from sideman.service.main_loop import QUIET_BEFORE_NOTE_S, MainLoop, yield_to_player
from sideman.service.service import Service
from sideman.service.wakeup import Wakeup
from support.fakes import FakeClock, RecordingOutput, hanging_notes, performance, settings
from support.processes import (
    TIMEOUT_S,
    DaemonProcess,
    daemon_environment,
    run_sideman,
    running_daemon,
    write_bundle,
)

NO_PORTS = ("midi.output=none", "midi.input=none")


@pytest.fixture
def _restore_interpreter() -> Iterator[None]:
    """Undo what the service does to the interpreter."""
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    gc.unfreeze()
    gc.enable()


@pytest.mark.subprocess
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_normally(number: signal.Signals, tmp_path: Path) -> None:
    """Guards against: a normal stop that looks like a failure."""
    with running_daemon(tmp_path, *NO_PORTS, "tempo.bpm=400") as daemon:
        daemon.wait_for("bar 1")
        assert daemon.stop(number) == 0


@pytest.mark.subprocess
def test_one_line_says_ready_and_nothing_but_bars_comes_after(tmp_path: Path) -> None:
    """Guards against: a script cannot know when the daemon plays."""
    with running_daemon(tmp_path, *NO_PORTS, "tempo.bpm=400") as daemon:
        daemon.wait_for("bar 2")
        daemon.stop(signal.SIGTERM)
    lines = [number for number, line in enumerate(daemon.log) if "ready" in line]
    assert len(lines) == 1
    assert all(" bar " in line or "the end: " in line for line in daemon.log[lines[0] + 1 :])


@pytest.mark.subprocess
def test_it_ends_by_itself_after_the_choruses(tmp_path: Path) -> None:
    """Guards against: a daemon that does not end after the last chorus."""
    with running_daemon(tmp_path, *NO_PORTS, "tempo.bpm=400", "chart.changes=| C |", "chart.choruses=2") as daemon:
        assert daemon.stop() == 0
    assert sum("bar" in line for line in daemon.log) >= 2


@pytest.mark.subprocess
def test_a_port_that_never_returns_does_not_keep_the_process(tmp_path: Path) -> None:
    """Guards against: a daemon that spins in a library for ever, deaf to SIGTERM, until the machine is switched off."""
    words = ["--set", f"model.bundle={write_bundle(tmp_path)}", "--set", "control.socket=none"]
    program = Path(__file__).parents[1] / "support" / "hanging_daemon.py"
    no_ports = [word for setting in NO_PORTS for word in ("--set", setting)]
    command = [sys.executable, str(program), *words, *no_ports]
    run = subprocess.run(
        command, env=daemon_environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert run.returncode == 1
    assert "hanging_daemon.py" in run.stderr


@pytest.mark.subprocess
def test_quiet_is_quiet(tmp_path: Path) -> None:
    """Guards against: a service's journal full of bars."""
    settings = (*NO_PORTS, "tempo.bpm=400", "chart.choruses=1", "log.level=warning")
    with running_daemon(tmp_path, *settings) as daemon:
        assert daemon.stop() == 0
    assert daemon.log == []


@pytest.mark.subprocess
def test_panic_plays_on(tmp_path: Path) -> None:
    """Guards against: a panic that ends the solo."""
    with running_daemon(tmp_path, *NO_PORTS, "tempo.bpm=400") as daemon:
        daemon.wait_for("bar 1")
        daemon.process.send_signal(signal.SIGUSR1)
        bars = sum("bar" in line for line in daemon.log)
        daemon.wait_for("bar", bars + 3)
        assert daemon.stop(signal.SIGTERM) == 0


@pytest.mark.subprocess
def test_systemd_gets_true_notifications(tmp_path: Path) -> None:
    """Guards against: systemd trusts a dead player, or kills one that plays."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(TIMEOUT_S)
        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        with running_daemon(tmp_path, *NO_PORTS, **env) as daemon:
            printed = manager.recv(4096).decode()
            assert printed.startswith("READY=1")
            assert "STATUS=playing; output none" in printed
            while "WATCHDOG=1" not in printed:
                printed = manager.recv(4096).decode()
            daemon.process.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in printed:
                printed = manager.recv(4096).decode()
            assert daemon.stop() == 0


@pytest.mark.subprocess
def test_an_armed_service_is_ready_and_begins_when_it_is_asked(tmp_path: Path) -> None:
    """Guards against: systemd gives up a service that waits; a player who cannot see why nothing sounds."""
    address, door = str(tmp_path / "notify"), str(tmp_path / "door")
    armed = ("play.start=armed", "tempo.bpm=400", f"control.socket={door}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(TIMEOUT_S)
        with running_daemon(tmp_path, *NO_PORTS, *armed, NOTIFY_SOCKET=address) as daemon:
            printed = manager.recv(4096).decode()
            assert printed.startswith("READY=1")
            assert "STATUS=armed: waits for start; output none" in printed
            daemon.wait_for("armed: waits for start")
            assert "solo, armed: waits for start" in run_sideman("ctl", "--socket", door, "status").stdout
            assert not any(" bar " in line for line in daemon.log)
            assert run_sideman("ctl", "--socket", door, "start").returncode == 0
            daemon.wait_for("bar 1")
            daemon.wait_for("playing")
            while "STATUS=playing; output none" not in printed:
                printed = manager.recv(4096).decode()
            assert daemon.stop(signal.SIGTERM) == 0


@pytest.mark.subprocess
def test_the_state_is_kept_for_the_next_start(tmp_path: Path) -> None:
    """Guards against: the service starts from the top after every reboot."""
    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    settings = (*NO_PORTS, "tempo.bpm=400", "play.resume=true", "play.seed=null")
    with running_daemon(tmp_path, *settings, **env) as daemon:
        daemon.wait_for("bar 3")
        assert daemon.stop(signal.SIGTERM) == 0
    seed = next(line for line in daemon.log if "seed" in line).partition("seed ")[2]
    with running_daemon(tmp_path, *settings, **env) as daemon:
        daemon.wait_for(" bar ")
        daemon.stop(signal.SIGTERM)
    first = next(line for line in daemon.log if " bar " in line)
    assert "bar 1 " not in first
    assert seed == next(line for line in daemon.log if "seed" in line).partition("seed ")[2]


def resuming(folder: Path, *settings: str, client: str = "sideman") -> contextlib.AbstractContextManager[DaemonProcess]:
    """A daemon that goes on where it was, with a control socket in `folder`, where its state is too."""
    chosen = ("tempo.bpm=400", "play.resume=true", "play.seed=null", f"control.socket={folder / client}")
    return running_daemon(
        folder, *NO_PORTS, *chosen, f"midi.client={client}", *settings, STATE_DIRECTORY=str(folder / "state")
    )


@pytest.mark.subprocess
def test_what_was_changed_while_it_played_outlives_a_kill(tmp_path: Path) -> None:
    """Guards against: a knob's setting, a preset or a mute that is forgotten when the box is switched off."""
    with resuming(tmp_path) as daemon:
        daemon.wait_for(" bar ")
        with closing(ControlClient(tmp_path / "sideman")) as control:
            control.request("preset", name="ballad")
            control.request("set", key="play.density", value=1.5)
            control.request("mode", mode="trade")
        daemon.wait_for("play.mode is trade")
        daemon.wait_for(" bar ", sum(" bar " in line for line in daemon.log) + 2)
        daemon.process.kill()
    with resuming(tmp_path, "play.velocity=33") as daemon:
        daemon.wait_for("ready")
        with closing(ControlClient(tmp_path / "sideman")) as control:
            changed = control.request("status")["settings"]
            assert (changed["play.density"], changed["play.mode"]) == (1.5, "trade")
            assert changed["tempo.bpm"] < 100
            assert changed["play.velocity"] == 33
            applied = control.request("preset", name="bebop")["changed"]
        assert daemon.stop(signal.SIGTERM) == 0
    assert any("as it was changed while it played" in line and "play.density is 1.5" in line for line in daemon.log)
    assert applied["tempo.bpm"] > 100  # what the ballad has set goes back first


@pytest.mark.subprocess
def test_what_was_changed_after_a_reload_outlives_a_kill(tmp_path: Path) -> None:
    """Guards against: a knob that is back where it was, because the configuration was read again before it moved."""
    configuration = tmp_path / "config" / "sideman" / "config.yaml"
    configuration.parent.mkdir(parents=True)

    def started() -> contextlib.AbstractContextManager[DaemonProcess]:
        words = ["tempo.bpm=400", "play.resume=true", f"control.socket={tmp_path / 'sideman'}", *NO_PORTS]
        env = {"STATE_DIRECTORY": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        return running_daemon(tmp_path, *words, "play.seed=null", **env)

    configuration.write_text("play: {gate: 0.4}\n")
    with started() as daemon:
        daemon.wait_for(" bar ")
        configuration.write_text("play: {gate: 0.5, leap: 2}\n")
        with closing(ControlClient(tmp_path / "sideman")) as control:
            assert control.request("reload")["changed"] == {"play.gate": 0.5, "play.leap": 2}
            control.request("set", key="play.gate", value=0.6)
        daemon.wait_for("play.gate is 0.6")
        daemon.wait_for(" bar ", sum(" bar " in line for line in daemon.log) + 2)
        daemon.process.kill()
    with started() as daemon:
        daemon.wait_for("ready")
        with closing(ControlClient(tmp_path / "sideman")) as control:
            changed = control.request("status")["settings"]
        assert daemon.stop(signal.SIGTERM) == 0
    assert (changed["play.gate"], changed["play.leap"]) == (0.6, 2)
    assert not any("another one by now" in line for line in daemon.log)


@pytest.mark.subprocess
def test_a_loop_that_an_edited_chart_does_not_have_ends(tmp_path: Path) -> None:
    """Guards against: a status that shows a loop of bars that there are no longer."""
    chart = tmp_path / "song.chart"
    chart.write_text("| C | F | G | C |\n")
    with resuming(tmp_path, f"chart.file={chart}") as daemon:
        daemon.wait_for(" bar ")
        with closing(ControlClient(tmp_path / "sideman")) as control:
            control.request("set", key="practice.loop", value="3-4")
            control.request("set", key="play.gate", value=0.35)
        daemon.wait_for("practice.loop is 3-4")
        assert daemon.stop(signal.SIGTERM) == 0
    chart.write_text("| C | F |\n")
    with resuming(tmp_path, f"chart.file={chart}") as daemon:
        daemon.wait_for("playing without the loop")
        daemon.wait_for("ready")
        with closing(ControlClient(tmp_path / "sideman")) as control:
            changed = control.request("status")["settings"]
        assert daemon.stop(signal.SIGTERM) == 0
    assert (changed["practice.loop"], changed["play.gate"]) == (None, 0.35)


@pytest.mark.subprocess
def test_the_place_in_a_set_outlives_a_kill_during_another_chart(tmp_path: Path) -> None:
    """Guards against: a set that begins again with its first song, because a request was being played."""
    songs = "chart.set=['blues, 1 chorus', coda, waltz]"
    with resuming(tmp_path, songs, "chart.song=3") as daemon:
        daemon.wait_for(" bar ")
        with closing(ControlClient(tmp_path / "sideman")) as control:
            control.request("chart", name="modal")
        daemon.wait_for("chart.song is 0")
        daemon.wait_for(" bar ", sum(" bar " in line for line in daemon.log) + 3)
        daemon.process.kill()
    with resuming(tmp_path, songs, "chart.song=3") as daemon:
        daemon.wait_for("ready")
        with closing(ControlClient(tmp_path / "sideman")) as control:
            assert control.request("get", key="chart.song")["value"] == 0
        assert daemon.stop(signal.SIGTERM) == 0
    (state,) = (json.loads(path.read_text()) for path in tmp_path.rglob("state-*.json"))
    assert state["song"] == 3


@pytest.mark.subprocess
def test_a_state_of_another_bundle_is_set_aside(tmp_path: Path) -> None:
    """Guards against: numbers of one network that are fed to another, or a place in the music that is lost."""
    with resuming(tmp_path) as daemon:
        daemon.wait_for(" bar ", 2)
        daemon.process.kill()
    path = tmp_path / "state" / "state-sideman.json"
    kept = path.read_bytes()
    with resuming(tmp_path, "model.bundle=default") as daemon:
        daemon.wait_for(" bar 1 ")
        assert daemon.stop(signal.SIGTERM) == 0
    (line,) = [line for line in daemon.log if "another bundle" in line]
    assert str(path) in line
    assert path.with_name("state-sideman.aside-1.json").read_bytes() == kept
    assert json.loads(path.read_bytes())["weights"] != json.loads(kept)["weights"]


@pytest.mark.subprocess
def test_two_daemons_keep_two_places(tmp_path: Path) -> None:
    """Guards against: a daemon that goes on with the solo of another."""
    for client in ("left", "right"):
        with resuming(tmp_path, client=client) as daemon:
            daemon.wait_for(" bar 1 ")
            daemon.stop(signal.SIGTERM)
    seeds = {json.loads(path.read_bytes())["memory"]["improviser"]["seed"] for path in (tmp_path / "state").iterdir()}
    assert len(seeds) == 2


@pytest.mark.subprocess
def test_a_state_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    """Guards against: a full disk that ends the music, or that fills the log."""
    (tmp_path / "state").write_text("in the way")
    with resuming(tmp_path) as daemon:
        daemon.wait_for(" bar ", 3)
        (tmp_path / "state").unlink()
        daemon.wait_for("the state is saved again")
        assert daemon.stop(signal.SIGTERM) == 0
    assert sum("the state cannot be saved" in line for line in daemon.log) == 1
    assert (tmp_path / "state" / "state-sideman.json").exists()


@pytest.mark.subprocess
def test_a_suspended_process_continues_on_the_beat(tmp_path: Path) -> None:
    """Guards against: a laptop that wakes up plays all missed notes at once."""
    settings = (*NO_PORTS, "tempo.bpm=400")
    with running_daemon(tmp_path, *settings) as daemon:
        daemon.wait_for("bar 1")
        daemon.process.send_signal(signal.SIGSTOP)
        with running_daemon(tmp_path, *settings) as meanwhile:
            meanwhile.wait_for(" bar ", 4)
        seen = len(daemon.log)
        daemon.process.send_signal(signal.SIGCONT)
        daemon.wait_for("bar", seen)
        assert daemon.stop(signal.SIGTERM) == 0
    bars = [int(line.partition("bar ")[2].split()[0]) for line in daemon.log if " bar " in line]
    assert bars == sorted(set(bars))
    assert bars[-1] - bars[0] >= len(bars)  # the bars it slept through are passed over, not played late


@pytest.mark.usefixtures("_restore_interpreter")
def test_a_defect_in_the_main_thread_still_releases_every_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: an error in the main thread leaves a note sounding."""
    sent: list[tuple[int, int, int]] = []

    def fail(self: MainLoop, *_: object) -> None:
        while not sent:
            select.select([self.wakeup], [], [], 0.01)
        raise RuntimeError("a defect")

    chosen = settings(
        midi__output="none", midi__input="none", model__bundle=str(write_bundle(tmp_path)), play__density=4
    )
    monkeypatch.setattr(MidiPorts, "send", lambda _self, message: sent.append(tuple(message)))
    monkeypatch.setattr(MainLoop, "turn", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        Service(chosen, load_chart(chosen), SettingsSources(), None).run()
    assert sent
    assert not hanging_notes(sent)


def test_the_main_thread_waits_while_a_note_is_about_to_be_sent() -> None:
    """Guards against: a request at that moment makes the note late."""
    soon = time.monotonic() + QUIET_BEFORE_NOTE_S / 2
    yield_to_player(soon)
    assert time.monotonic() >= soon
    for second in (math.inf, time.monotonic() + 1e6):
        yield_to_player(second)  # or this test would not end


def test_the_state_is_not_written_just_before_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a note that is late because a file is written at that moment."""
    steps: list[object] = []
    monkeypatch.setattr(main_loop, "yield_to_player", steps.append)
    played = performance().make_engine(0.0)
    clock = FakeClock()
    player = Player(played, RecordingOutput(clock), clock, lambda _: None)
    nothing: Any = None
    loop = MainLoop(nothing, player, nothing, nothing, None, None, nothing, nothing, steps.append, None)
    loop._keep_state()
    assert steps == []
    player.sends_at, player.remembered = 12.5, Remembered(played.memory(), played.settings)
    for _ in range(2):
        loop._keep_state()
    assert steps == [12.5, player.remembered]


@pytest.mark.parametrize(("numbers", "forced"), [((2,), False), ((2, 2), True), ((15, 15), False), ((1, 15), False)])
def test_a_second_ctrl_c_forces(numbers: tuple[int, ...], forced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a hanging daemon that can be killed only from another terminal."""
    left: list[int] = []
    monkeypatch.setattr("os._exit", left.append)
    monkeypatch.setattr(Service, "_limit_closing", lambda _service: None)  # it would end the tests
    chosen = settings(midi__output="none", midi__input="none")
    service = Service(chosen, load_chart(chosen), SettingsSources(), None)
    with closing(service._wakeup):
        for number in numbers:
            service._handle_signal(number)
    assert left == ([130] if forced else [])


def test_a_signal_does_not_wait_for_the_main_thread() -> None:
    """Guards against: a panic or an end that waits while the main thread writes to a slow disk, or reads a chart."""
    handled, done = list[int](), threading.Event()

    def handle(number: int) -> None:
        handled.append(number)
        if len(handled) == 2:
            done.set()

    with closing(Wakeup()) as wakeup, wakeup.catch_signals(handle):
        library = ctypes.CDLL(None)  # while it waits here, Python runs no handler in this thread
        read, write = os.pipe()
        for number in (signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        threading.Thread(target=lambda: (done.wait(TIMEOUT_S), os.write(write, b"!"))).start()
        while library.poll((ctypes.c_short * 4)(read, 0, 1, 0), 1, int(1000 * TIMEOUT_S)) < 0:
            pass  # a signal ends the wait
        assert handled == [signal.SIGUSR1, signal.SIGTERM]
        os.close(read)
        os.close(write)
    assert not any(thread.name == "signals" for thread in threading.enumerate())


def test_a_wake_up_during_a_read_is_not_lost() -> None:
    """Guards against: a pedal's preset that takes effect a second late, because a bar ended at the same moment."""

    class Meanwhile:
        def recv(self, most: int) -> bytes:
            """Another thread wakes us just before the read."""
            wakeup.wake()
            return reader.recv(most)

    with closing(Wakeup()) as wakeup:
        reader = wakeup._reader
        wakeup.wake()
        wakeup._reader = Meanwhile()  # type: ignore[assignment]
        wakeup.clear()
        wakeup._reader = reader
        wakeup.wake()
        assert select.select([wakeup], [], [], 0)[0] == [wakeup]


def test_those_who_watch_notes_learn_of_each_at_once() -> None:
    """Guards against: a note cut short that a page goes on sounding until something else happens, 50 ms later."""
    sent = NoteSent(1.0, 1.0, NoteOff(60, 1))
    with closing(Wakeup()) as wakeup:
        wakeup.put(sent)
        assert select.select([wakeup], [], [], 0)[0] == []
        wakeup.has_watchers = True
        wakeup.put(sent)
        assert select.select([wakeup], [], [], 0)[0] == [wakeup]
        assert list(wakeup.reports) == [sent, sent]


@pytest.mark.subprocess
def test_the_first_note_is_on_time_however_early_it_must_be(tmp_path: Path) -> None:
    """Guards against: with a negative offset, the first note is lost."""
    settings = (*NO_PORTS, "play.offset_ms=-200", "chart.choruses=1", "tempo.bpm=400", "play.late_ms=100")
    with running_daemon(tmp_path, *settings) as daemon:
        assert daemon.stop() == 0
    assert not any("too late" in line for line in daemon.log)
