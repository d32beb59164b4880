# SPDX-License-Identifier: Apache-2.0
"""Attacks the running program, and prints one row for each attack.

    python tests/system/attack_trial.py [--program FOLDER] [--python PYTHON] [NAME …]

FOLDER is a checkout of sideman, of this version or an older one; each attack starts that program as a user does. A row
says whether the attack reached its aim, the most memory that a process of the program took, the longest time until a
panic was answered while it went on, the notes that were left out because they were too late, and the time from SIGTERM
to the exit. Run as root, the user 65534 makes the attacks of "another user". The attacks over ports need `jackd`; one
needs root.

The files of an attack live in a folder of its own in /tmp, which is deleted.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""How long a storm lasts."""
_LONGEST_S = 90.0
_OTHER_USER = 65534
_JACK = f"sideman-attack-{os.getpid()}"
_SECRET = "secret-of-the-daemon root 19000 0 99999 7"
_MIB = 1 << 20
_FAST = ("tempo.bpm=300", "play.rests=0", "play.late_ms=1000")
_NO_PORTS = ("midi.output=none", "midi.input=none")


class Row:
    """What an attack came to."""

    def __init__(self) -> None:
        self.reached = "no"
        self.memory_mb = self.panic_s = self.exit_s = 0.0
        self.late = 0

    def __str__(self) -> str:
        measured = (self.memory_mb, 8, 0), (self.panic_s, 9, 3), (self.late, 6, 0), (self.exit_s, 9, 2)
        figures = ["-".rjust(width) if not value else f"{value:{width}.{digits}f}" for value, width, digits in measured]
        return f"{''.join(figures)}  {self.reached}"


class Program:
    """The program in a folder, and a folder for this attack."""

    def __init__(self, python: str, folder: Path, work: Path) -> None:
        self.python, self.work = python, work
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "SIDEMAN"))},
            "PYTHONPATH": f"{folder / 'daemon'}:{folder / 'models'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(work),
            "XDG_RUNTIME_DIR": str(work / "run"),
            "JACK_DEFAULT_SERVER": _JACK,
            "JACK_NO_START_SERVER": "1",
        }
        (work / "run").mkdir()

    def command(self, *words: str, settings: tuple[str, ...] = ()) -> list[str]:
        """Its command line."""
        return [self.python, "-m", "sideman", *words, *(word for each in settings for word in ("--set", each))]

    def measure(self, row: Row, *words: str, settings: tuple[str, ...] = ()) -> str:
        """Run a command to its end; its output. The row gets its memory, and its seconds as the time without panic."""
        began = time.monotonic()
        output = self.work / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                self.command(*words, settings=settings), env=self.environment, stdout=file, stderr=file, cwd=self.work
            )
            timer = threading.Timer(_LONGEST_S, process.kill)
            timer.start()
            _, _, usage = os.wait4(process.pid, 0)
            timer.cancel()
            process.returncode = 0
        row.memory_mb = max(row.memory_mb, usage.ru_maxrss / 1024)
        row.exit_s = max(row.exit_s, time.monotonic() - began)
        return output.read_text("utf-8", errors="replace")

    @contextlib.contextmanager
    def playing(self, row: Row, *settings: str, ports: bool = False, name: str = "door") -> Iterator[Daemon]:
        """The daemon while it plays. At the end it gets SIGTERM: an attack that begins in here still goes on then."""
        daemon = Daemon(self, settings if ports else (*_NO_PORTS, *settings), name)
        try:
            daemon.wait_for("ready")
            yield daemon
            row.memory_mb = max(row.memory_mb, daemon.peak_mb())
            with contextlib.suppress(OSError, ValueError):
                row.late = int(daemon.ask(do="status")["result"]["late"])
            began = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            daemon.process.wait(_LONGEST_S)
            row.exit_s = time.monotonic() - began
        finally:
            daemon.process.kill()
            daemon.process.wait()


class Daemon:
    """A daemon that plays."""

    def __init__(self, program: Program, settings: tuple[str, ...], name: str) -> None:
        self.door = program.work / name
        self._log = program.work / f"{name}.log"
        words = program.command("run", settings=(*_FAST, *settings, f"control.socket={self.door}"))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                words, env=program.environment, stdout=log, stderr=log, cwd=program.work, start_new_session=True
            )

    def log(self) -> bytes:
        """What it has written so far."""
        return self._log.read_bytes()

    def wait_for(self, text: str) -> None:
        """Wait until the log has a text."""
        until = time.monotonic() + _LONGEST_S
        while text.encode() not in self.log():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the daemon does not start: {self.log().decode(errors='replace')[-300:]}")
            time.sleep(0.05)

    def connect(self) -> socket.socket:
        """A connection to its control socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_LONGEST_S)
        connection.connect(str(self.door))
        return connection

    def ask(self, **request: object) -> dict[str, Any]:
        """Its answer to a request."""
        with self.connect() as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = connection.makefile("rb").readline()
        found: dict[str, Any] = json.loads(answer or b"{}")
        return found

    def peak_mb(self) -> float:
        """The most memory that the daemon, or a process that reads for it now, has taken."""
        peaks = [0.0]
        for pid in [self.process.pid, *_children(self.process.pid)]:
            with contextlib.suppress(OSError, TypeError):
                status = Path(f"/proc/{pid}/status").read_text("ascii")
                peaks.append(int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024)  # type: ignore[index]
        return max(peaks)

    def under(self, row: Row, attack: Callable[[], object], seconds: float = SECONDS) -> None:
        """Attack in threads of its own; ask for a panic again and again meanwhile, and write down the longest wait."""
        thread = threading.Thread(target=_quietly, args=[attack], daemon=True)
        thread.start()
        until, longest = time.monotonic() + seconds, 0.0
        while time.monotonic() < until or (thread.is_alive() and seconds == 0):
            began = time.monotonic()
            with contextlib.suppress(OSError, ValueError):
                self.ask(do="panic")
            longest = max(longest, time.monotonic() - began)
            row.memory_mb = max(row.memory_mb, self.peak_mb())
            if time.monotonic() > until + _LONGEST_S:
                break
            time.sleep(0.02)
        row.panic_s = max(row.panic_s, longest)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    return []


def _quietly(attack: Callable[[], object]) -> None:
    with contextlib.suppress(OSError, ValueError):
        attack()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- planted links


def _planted(program: Program, row: Row, command: Callable[[Path], tuple[str, ...]]) -> None:
    """Leave an unfinished take, plant links where the program may write, and let it list or render."""
    folder, target = program.work / "takes", program.work / "authorized_keys"
    target.write_text("ours\n")
    settings = (f"takes.folder={folder}", "takes.record=true", "chart.changes=| C |")
    with contextlib.suppress(Exception), program.playing(Row(), *settings) as daemon:
        time.sleep(2)
        daemon.process.kill()
    names = [path.stem for path in folder.glob("*.jsonl")]
    folder.mkdir(exist_ok=True)
    for name in (*names, "solo"):
        (folder / f"{name}.mid").unlink(missing_ok=True)
        for link in (f".{name}.mid.new", f"{name}.mid", f".{name}.mid.tmp", f"{name}.mid.tmp", f".{name}.mid-0"):
            (folder / link).symlink_to(target)
    program.measure(row, *command(folder))
    changed = target.read_bytes() != b"ours\n"
    row.reached = "YES: the file that a link leads to was overwritten" if changed else "no"


def journal(program: Program, row: Row) -> None:
    """`takes list` of a folder with an unfinished journal and planted links."""
    config = program.work / "config.yaml"
    config.write_text(f"takes: {{folder: {program.work / 'takes'}}}\n")
    _planted(program, row, lambda _: ("takes", "list", "--config", str(config)))


def render(program: Program, row: Row) -> None:
    """`render --out` into a folder with planted links."""
    _planted(program, row, lambda folder: ("render", "--out", str(folder / "solo.mid"), "--bars", "4"))


# -- OSC


def _osc(address: str, *arguments: str) -> bytes:
    words = [address, "," + "s" * len(arguments), *arguments]
    return b"".join(word.encode() + b"\0" * (4 - len(word.encode()) % 4) for word in words)


def osc_file(program: Program, row: Row) -> None:
    """Let the daemon read a password file over OSC."""
    secret, port = program.work / "shadow", _free_port()
    secret.write_text(f"{_SECRET}\n")
    secret.chmod(0o600)
    with program.playing(row, f"control.osc={port}") as daemon, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.5)
        heard = b""
        for message in (
            _osc("/sideman/chart/file", str(secret)),
            _osc("/sideman/set", "chart.file", str(secret)),
            _osc("/sideman/set", "chart", f"{{file: {secret}}}"),
            _osc("/sideman/chart", str(secret)),
            _osc("/sideman/chart", f"../../../../../..{secret}"),
            _osc("/sideman/set", "chart.set", f"[{secret}]"),
            _osc("/sideman/preset", str(secret)),
        ):
            sender.sendto(message, ("127.0.0.1", port))
            with contextlib.suppress(TimeoutError):
                while True:
                    heard += sender.recv(1 << 16)
        row.reached = "YES: an answer quotes it" if b"secret-of-the-daemon" in heard + daemon.log() else "no"


def osc_echo(program: Program, row: Row) -> None:
    """Forge a message from one daemon to another, and see whether they answer each other for ever."""
    ports = _free_port(), _free_port()
    with (
        program.playing(row, f"control.osc={ports[0]}", "midi.client=one", name="one") as one,
        program.playing(Row(), f"control.osc={ports[1]}", "midi.client=two", name="two") as two,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw,
    ):
        data = _osc("/sideman/nothing", "x")
        raw.sendto(struct.pack("!4H", ports[1], ports[0], 8 + len(data), 0) + data, ("127.0.0.1", 0))
        time.sleep(1)
        before, began = _datagrams(), time.monotonic()
        one.under(row, lambda: None, 3.0)
        rate = (_datagrams() - before) / (time.monotonic() - began)
        two.ask(do="status")
        row.reached = f"{'YES' if rate > 100 else 'no'}: {rate:,.0f} messages a second after one that was forged"


def _datagrams() -> int:
    """How many datagrams of UDP this machine has taken in."""
    names, counts = (
        line.split() for line in Path("/proc/net/snmp").read_text("ascii").splitlines() if line[:4] == "Udp:"
    )
    return int(counts[names.index("InDatagrams")])


def osc_size(program: Program, row: Row) -> None:
    """How much comes back for a small message."""
    port, message = _free_port(), _osc("/sideman/get")
    with program.playing(row, f"control.osc={port}"), socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.settimeout(1.0)
        sender.sendto(message, ("127.0.0.1", port))
        heard = 0
        with contextlib.suppress(TimeoutError):
            heard = len(sender.recv(1 << 17))
        row.reached = f"{'YES' if heard > 50 * len(message) else 'no'}: {len(message)} bytes in, {heard} bytes out"


# -- small files that cost much


def _bz2_zip(path: Path, *names: str, mib: int = 512, head: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name in names:
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(head)
                for _ in range(mib):
                    member.write(b" " * _MIB)
    return path


def _on_request(program: Program, row: Row, chart: Path) -> None:
    """Let a playing daemon read a chart."""
    with program.playing(row) as daemon:
        answer: dict[str, Any] = {}

        def ask() -> None:
            answer.update(daemon.ask(do="set", key="chart.file", value=str(chart)))

        daemon.under(row, ask, 0)
        row.reached = (
            f"{chart.stat().st_size:,} bytes; {'read' if answer.get('ok') else answer.get('error', 'none')[-60:]}"
        )


def _costly(row: Row) -> None:
    """Say whether a file cost more than its limits."""
    costly = row.memory_mb > 600 or row.panic_s > 1.0
    row.reached = f"{'YES' if costly else 'no'}: {row.reached}"


def bz2_mxl(program: Program, row: Row) -> None:
    """A compressed score that is unpacked to 512 MiB."""
    _on_request(program, row, _bz2_zip(program.work / "score.mxl", "META-INF/container.xml", "score.xml", mib=256))
    _costly(row)


def bz2_npz(program: Program, row: Row) -> None:
    """A bundle whose weights are unpacked to 240 MiB, just below its limit."""
    folder = program.work / "bundle"
    folder.mkdir()
    names = _weight_names(program)
    mib = 240 // len(names)
    described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({mib * _MIB // 4},), }}".ljust(117) + "\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(described)) + described.encode()
    weights = _bz2_zip(folder / "weights.npz", *names, mib=mib, head=head).read_bytes()
    values = json.loads((_bundled(program) / "values.json").read_text("utf-8"))
    values["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    (folder / "values.json").write_text(json.dumps(values))
    said = program.measure(row, "models", "show", str(folder))
    row.reached = f"{len(weights):,} bytes; {said.strip()[-80:]}"
    _costly(row)


def _bundled(program: Program) -> Path:
    models = program.environment["PYTHONPATH"].split(":")[1]
    return next(path.parent for path in Path(models).rglob("values.json") if path.parent.name == "default")


def _weight_names(program: Program) -> list[str]:
    with zipfile.ZipFile(_bundled(program) / "weights.npz") as archive:
        return archive.namelist()


def bz2_keras(program: Program, row: Row) -> None:
    """A Keras model that is unpacked to 512 MiB."""
    file = _bz2_zip(program.work / "model.keras", "config.json", "metadata.json", "model.weights.h5", mib=170)
    said = program.measure(row, "models", "import", str(file), "--like", "default", "--out", str(program.work / "out"))
    row.reached = f"{file.stat().st_size:,} bytes; {said.strip()[-80:]}"
    _costly(row)


def score(program: Program, row: Row) -> None:
    """A score with 12,000 chords in a bar."""
    chord = "<harmony><root><root-step>{}</root-step></root><kind>major</kind><offset>{}</offset></harmony>"
    bar = "".join(chord.format("CDEFGAB"[number % 7], number) for number in range(12_000))
    file = program.work / "score.musicxml"
    head = "<attributes><divisions>3000</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
    rest = "<note><rest/><duration>12000</duration></note>"
    file.write_text(
        f'<score-partwise><part id="P1"><measure number="1">{head}{bar}{rest}</measure></part></score-partwise>',
        "utf-8",
    )
    _on_request(program, row, file)
    _costly(row)


def big_json(program: Program, row: Row) -> None:
    """90 MB of JSON as the description of a bundle."""
    folder = program.work / "bundle"
    folder.mkdir()
    (folder / "weights.npz").write_bytes((_bundled(program) / "weights.npz").read_bytes())
    with (folder / "values.json").open("w") as file:
        file.write('{"format": "sideman bundle", "version": 1, "values": [')
        for _ in range(3000):
            file.write("[[],{}]," * 3750)
        file.write("0]}")
    said = program.measure(row, "models", "show", str(folder))
    row.reached = said.strip()[-80:]
    _costly(row)


def keras_code(program: Program, row: Row) -> None:
    """A Keras model whose layer is a function of Python (read by Keras up to 3.8)."""
    marker, file = program.work / "marker", program.work / "model.keras"
    function = {
        "name": "x", "class_name": "function", "module": "subprocess", "config": "Popen",
        "inbound_nodes": [{"args": [["touch", str(marker)]], "kwargs": {"bufsize": -1}}],
    }  # fmt: skip
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["x", 0, 0]]}
    inner = {"module": "keras.models", "class_name": "Model", "config": {"name": "x", "layers": [function], **ends}}
    layers = [{**inner, "name": "x", "inbound_nodes": []}]
    config = {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": "m", "layers": layers, **ends},
    }
    config |= {"registered_name": "Functional", "build_config": {"input_shape": None}}
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.8.0", "date_saved": ""}))
        archive.writestr("model.weights.h5", b"")
    said = program.measure(row, "models", "import", str(file), "--like", "default", "--out", str(program.work / "out"))
    time.sleep(0.5)
    row.reached = "YES: its code ran" if marker.exists() else f"no: {said.strip()[-90:]}"


# -- storms and locks


def presets(program: Program, row: Row) -> None:
    """A storm of presets, and SIGTERM in it."""
    lines = b"".join(json.dumps({"do": "preset", "name": name}).encode() + b"\n" for name in ("ballad", "bebop"))
    with program.playing(row) as daemon:
        for _ in range(4):
            threading.Thread(target=_quietly, args=[lambda: _storm(daemon, lines)], daemon=True).start()
        daemon.under(row, lambda: _storm(daemon, lines))
    row.reached = "YES" if row.panic_s > 1.0 or row.exit_s > 2.0 else "no"


def _storm(daemon: Daemon, lines: bytes) -> None:
    with daemon.connect() as connection:
        threading.Thread(target=_quietly, args=[lambda: _drain(connection)], daemon=True).start()
        while True:
            connection.sendall(lines)


def _drain(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def keep(program: Program, row: Row) -> None:
    """A storm of `keep` beside recorded takes that fill the folder."""
    folder = program.work / "takes"
    takes = (f"takes.folder={folder}", "takes.limit_mb=1")
    with contextlib.suppress(Exception), program.playing(Row(), *takes, "takes.record=true"):
        time.sleep(3)
    recorded = sorted(folder.glob("*.jsonl"))
    first = recorded[0].read_bytes()
    recorded[0].write_bytes(first + b"\n" * max(0, 900_000 - len(first)))
    with program.playing(row, *takes) as daemon:
        daemon.under(row, lambda: _storm(daemon, b'{"do":"keep"}\n'))
        kept = len(list(folder.glob("*.jsonl"))) - 1
    lost = sum(not path.exists() for path in recorded)
    row.reached = f"{'YES' if lost else 'no'}: {lost} of {len(recorded)} recorded takes lost, {kept} kept"


def flock(program: Program, row: Row) -> None:
    """Another user locks the folder of the socket, which all may read, and whatever it may open in it."""
    run = program.work / "run"
    program.environment["RUNTIME_DIRECTORY"] = str(run)  # as systemd says it
    for path in (program.work, program.work / "run"):
        path.chmod(0o755)
    with contextlib.suppress(Exception):  # makes the folder, as it makes it
        subprocess.run(
            program.command("run", settings=(*_NO_PORTS, "chart.choruses=1", "tempo.bpm=400")),
            env=program.environment, cwd=program.work, timeout=15, capture_output=True, check=False,
        )  # fmt: skip
    locker = subprocess.Popen(
        ["/usr/bin/python3", "-c", _LOCKER, str(run)],
        user=_OTHER_USER if os.geteuid() == 0 else None,
        stdout=subprocess.PIPE,
    )
    assert locker.stdout is not None
    locked = locker.stdout.readline().decode().strip()
    try:
        log = program.work / "log"
        with log.open("wb") as file:
            daemon = subprocess.Popen(
                program.command("run", settings=_NO_PORTS),
                env=program.environment,
                cwd=program.work,
                stdout=file,
                stderr=file,
            )
        until = time.monotonic() + 30
        while daemon.poll() is None and b"ready" not in log.read_bytes() and time.monotonic() < until:
            time.sleep(0.1)
        ended = daemon.poll()
        daemon.terminate()
        daemon.wait(_LONGEST_S)
        row.reached = f"no: it plays ({locked})" if ended is None else f"YES: it ended with {ended} ({locked})"
    finally:
        locker.kill()
        locker.wait()


_LOCKER = """
import fcntl, os, pathlib, sys, time
held = []
for path in (pathlib.Path(sys.argv[1]), *pathlib.Path(sys.argv[1]).glob("*")):
    try:
        held.append(os.open(path, os.O_RDONLY))
        fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass
print(f"{len(held)} locked", flush=True)
time.sleep(1000)
"""


# -- over ports


@contextlib.contextmanager
def _jack() -> Iterator[None]:
    command = ["jackd", "-n", _JACK, "--no-realtime", "-d", "dummy", "-r", "48000", "-p", "64"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        os.environ.update(JACK_DEFAULT_SERVER=_JACK, JACK_NO_START_SERVER="1")
        yield
    finally:
        server.terminate()
        server.wait()


def flood(program: Program, row: Row) -> None:
    """75,000 notes a second, and SIGTERM in it."""
    with _jack(), contextlib.ExitStack() as after, program.playing(row, ports=True) as daemon:
        sender = subprocess.Popen([sys.executable, "-c", _FLOOD], env=os.environ.copy(), stdout=subprocess.PIPE)
        after.callback(sender.wait)
        after.callback(sender.kill)
        assert sender.stdout is not None
        if not sender.stdout.readline():
            raise RuntimeError("the flood does not begin")
        daemon.under(row, lambda: None, 2 * SECONDS)
    row.reached = "YES" if row.panic_s > 1.0 or row.exit_s > 2.0 else "no"


_FLOOD = """
import rtmidi, time
port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="storm")
port.open_port(next(n for n, each in enumerate(port.get_ports()) if each.startswith("sideman-in:")), "out")
began, sent = time.monotonic(), 0
print("ready", flush=True)
while True:
    due = min(int((time.monotonic() - began) * 75000), sent + 1000)
    for number in range(sent, due):
        port.send_message((0x93 if number % 2 else 0x83, 40 + number // 2 % 40, 80))
    sent = due
    time.sleep(0.001)
"""


def port_names(program: Program, row: Row) -> None:
    """A port whose name has escapes and line ends in it."""
    with _jack():
        other = subprocess.Popen([sys.executable, "-c", _NAMED], env=os.environ.copy(), stdout=subprocess.PIPE)
        assert other.stdout is not None
        other.stdout.readline()
        try:
            with program.playing(row, "midi.output=evil", "midi.input=none", ports=True) as daemon:
                time.sleep(1)
                words = program.command("ctl", "status", "--socket", str(daemon.door))
                shown = subprocess.run(words, env=program.environment, capture_output=True, check=False).stdout
                shown += subprocess.run(
                    program.command("ports"), env=program.environment, capture_output=True, check=False
                ).stdout
                answer = json.dumps(daemon.ask(do="status")).encode()
            said = daemon.log() + shown
        finally:
            other.kill()
            other.wait()
    found = [name for name, text in (("an escape", b"\x1b"), ("a forged line", b"\nforged")) if text in said]
    connected = b"evil" in said + answer
    row.reached = (
        f"YES: {' and '.join(found)} in its output" if found else f"no{'' if connected else ': not connected'}"
    )


_NAMED = """
import rtmidi, time
port = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="evil\\x1b]0;owned\\x07\\nforged line")
port.open_virtual_port("in\\x1b[2J\\nforged port")
print("ready", flush=True)
time.sleep(1000)
"""

ATTACKS: dict[str, Callable[[Program, Row], None]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        journal, render, osc_file, osc_echo, osc_size, bz2_mxl, bz2_npz, bz2_keras, score, big_json, keras_code,
        presets, keep, flock, flood, port_names,
    )
}  # fmt: skip


def main() -> None:
    """Print a row for each attack."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    own = Path(__file__).parents[2]
    parser.add_argument("--program", type=Path, default=own, help="the checkout to attack (default: this one)")
    parser.add_argument("--python", default=sys.executable, help="the Python that runs it (default: this one)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"attacks: {', '.join(ATTACKS)} (default: all)")
    given = parser.parse_args()
    _say(f"{'':12}{'MB':>8}{'panic s':>9}{'late':>6}{'exit s':>9}  reached")
    for name in given.names or ATTACKS:
        row = Row()
        with tempfile.TemporaryDirectory(prefix="attack-", dir="/tmp", ignore_cleanup_errors=True) as folder:
            try:
                ATTACKS[name](Program(given.python, given.program.resolve(), Path(folder)), row)
            except Exception as error:  # noqa: BLE001 - the other attacks go on
                row.reached = f"? {type(error).__name__}: {str(error)[:120]!r}"
        _say(f"{name:12}{row}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
