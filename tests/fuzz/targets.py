# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: each target takes bytes, and may refuse them only with the errors that its row allows.

Imported by the process that fuzzes, after its imports are instrumented. To add a target, write a function that returns
the one which takes the bytes, and a row in `TARGETS`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from typing import get_args

import msgspec
from msgspec import Struct

from sideman.charts.detect import read_chart
from sideman.config.sources import SettingsSources, load_chart
from sideman.control.osc import OscPort, OscServer
from sideman.control.server import ControlServer
from sideman.control.socket_file import UnixListener
from sideman.core.chart.chart import ChartError, Meter
from sideman.core.errors import SidemanError
from sideman.playing.assembly import resumed_engine, state_of
from sideman.playing.state import STATE_VERSION, load_state, with_changes
from sideman.takes.journal import Journal
from sideman.takes.replay import performance_of
from sideman_models.corpus.midi.parser import MidiError, parse_midi
from sideman_models.corpus.weimar import Feels, read_solos
from sideman_models.errors import ModelsError
from sideman_models.music.solos import solo_to_piece
from sideman_models.network.bundle import load_bundle, save_bundle
from support.control import ControlScene, SocketClient, control_scene
from support.corpora import beat_rows, note_row, solo_record
from support.fakes import modern_bundle, performance
from support.fakes import settings as made_settings
from support.ireal import html_page, playlist_link, song_text

ROOT = Path(__file__).parents[2]
Feed = Callable[[bytes], None]
SCORE = b"""<?xml version="1.0"?><score-partwise version="4.0"><work><work-title>Ours</work-title></work><part-list>
<score-part id="P1"><part-name>b</part-name></score-part></part-list><part id="P1"><measure number="1"><attributes>
<divisions>2</divisions><key><fifths>-1</fifths></key><time><beats>4</beats><beat-type>4</beat-type></time><transpose>
<chromatic>-2</chromatic></transpose></attributes><barline location="left"><repeat direction="forward"/></barline>
<harmony><root><root-step>B</root-step><root-alter>-1</root-alter></root><kind text="7">dominant</kind><bass>
<bass-step>D</bass-step></bass><degree><degree-value>9</degree-value><degree-alter>-1</degree-alter><degree-type>add</degree-type>
</degree></harmony><note><rest/><duration>8</duration></note><barline location="right"><ending number="1" type="stop"/>
<repeat direction="backward" times="2"/></barline></measure></part></score-partwise>"""


class Target(Struct, frozen=True):
    """A reader: `make` returns what takes the bytes, with a folder for files; `seeds` are inputs that are right."""

    make: Callable[[Path], Feed]
    seeds: Callable[[], Iterator[bytes]]
    allowed: tuple[type[Exception], ...] = ()
    words: str = ""
    max_bytes: int = 1 << 16


def file_feed(name: str, read: Callable[[Path], object]) -> Callable[[Path], Feed]:
    """Return the maker of a feed whose bytes are the contents of a file."""

    def make(folder: Path) -> Feed:
        def feed(data: bytes) -> None:
            (folder / name).write_bytes(data)
            read(folder / name)

        return feed

    return make


def written_chart(path: Path) -> None:
    """Read a chart, and see that it can be used: transposed, written as text, and read again."""
    chart = read_chart(path, Meter(4, 4))
    assert len(chart.bars)
    again = path.with_name("again.chart")
    again.write_text(chart.transposed(3).text(), "utf-8")
    assert len(read_chart(again, chart.meter).bars) == len(chart.bars)


def midi_feed(folder: Path) -> Feed:
    """A MIDI file for training, and as a chart."""
    as_chart = file_feed("a.mid", lambda path: read_chart(path, Meter(4, 4)))(folder)

    def feed(data: bytes) -> None:
        with suppress(MidiError):
            parse_midi(data)
        as_chart(data)

    return feed


def score_feed(folder: Path) -> Feed:
    """A score; from a first byte that is odd on, the rest is compressed first."""
    read = file_feed("a.xml", lambda path: read_chart(path, Meter(4, 4)))(folder)

    def feed(data: bytes) -> None:
        if data[:1] and data[0] % 2:
            archive = BytesIO()
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("a.xml", data[1:])
            data = archive.getvalue()
        read(data)

    return feed


def bundle_feed(folder: Path) -> Feed:
    """A bundle: the first byte chooses which of its files the rest is. The hash of the weights is made right."""
    place = folder / "bundle"
    save_bundle(modern_bundle(), place)
    description, weights = (place / "values.json").read_bytes(), (place / "weights.npz").read_bytes()

    def feed(data: bytes) -> None:
        which, rest = data[:1], data[1:]
        archive, text = weights, description
        if which < b"\x55":
            text = rest
        elif which < b"\xaa":
            archive = rest
        else:  # the first of its arrays
            with zipfile.ZipFile(made := BytesIO(), "w") as file, zipfile.ZipFile(BytesIO(weights)) as right:
                for number, member in enumerate(right.namelist()):
                    file.writestr(member, right.read(member) if number else rest)
            archive = made.getvalue()
        written = json.loads(description)["weights_sha256"].encode()
        text = text.replace(written, hashlib.sha256(archive).hexdigest().encode())
        (place / "weights.npz").write_bytes(archive)
        (place / "values.json").write_bytes(text)
        load_bundle(str(place))

    return feed


def read_journal(path: Path) -> None:
    """Read a take, whole, and prepare to play it again."""
    journal = Journal(path)
    for _ in journal.reports():
        pass
    journal.totals()
    performance_of(journal.header)


def state_feed(folder: Path) -> Feed:
    """A saved state. What is refused as in `Service` is set aside; nothing else may be raised."""
    at, made = folder / "state.json", performance()

    def feed(data: bytes) -> None:
        at.write_bytes(data)
        state = load_state(at)
        if state is None:
            return
        with suppress(ValueError, KeyError, TypeError, ArithmeticError, LookupError, AttributeError):
            with_changes(made_settings(), state.get("settings", {}))
            resumed_engine(made, state, 0.0)

    return feed


class Daemon:
    """A daemon's ears without its ports; a new one after some thousand inputs, so that memory tells of leaks only."""

    def __init__(self) -> None:
        self.count, self.second = 0, 0.0
        self.scene: ControlScene = control_scene()

    def answer(self, request: object) -> object:
        """Answer as the daemon does."""
        return self.scene.api.answer(request)  # type: ignore[arg-type]

    def answer_guest(self, request: object) -> object:
        """Answer as the daemon does over OSC."""
        return self.scene.api.answer_guest(request)  # type: ignore[arg-type]

    def goes_on(self) -> None:
        """Let time pass, and the engine play."""
        self.count, self.second = self.count + 1, self.second + 1.0
        if self.count % 4096 == 0:
            self.scene = control_scene()
        self.scene.play_until(self.scene.clock.second + 0.05)
        self.scene.commands.clear()
        self.scene.note_ons.clear()
        self.scene.handle_reports()


def socket_feed(folder: Path) -> Feed:
    """What a client sends to the control socket."""
    daemon, listener = Daemon(), UnixListener(folder / "s")
    server = ControlServer(listener, daemon.answer, list, lambda: None)

    def feed(data: bytes) -> None:
        client = SocketClient(folder / "s")
        with closing(client.connection):
            client.send(data + b"\n")
            for _ in range(4):
                daemon.second += 1.0
                server.serve(daemon.second)
            client.lines()
        daemon.goes_on()
        server.serve(daemon.second)

    return feed


def osc_feed(_folder: Path) -> Feed:
    """What is sent to the OSC port."""
    daemon, port, sender = Daemon(), OscPort("127.0.0.1", 0), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server, number = OscServer(port, daemon.answer_guest, lambda: None), port.socket.getsockname()[1]

    def feed(data: bytes) -> None:
        sender.sendto(data[:65_000], ("127.0.0.1", number))
        daemon.goes_on()
        server.serve(daemon.second)

    return feed


def midi_seeds() -> Iterator[bytes]:
    """A chart and a melody, byte by byte."""
    chord = b"\0\xff\x06\x03Cm7\x83\x60\xff\x01\x02F7"
    notes = b"\0\x90\x3c\x40\x60\x3e\x40\x60\x80\x3c\0\0\x3e\0\0\xb0\x40\x7f\0\xe0\0\x40\0\xff\x51\x03\x07\xa1\x20"
    body = b"\0\xff\x58\x04\x04\x02\x18\x08" + chord + notes + b"\0\xff\x2f\0"
    yield b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk" + len(body).to_bytes(4, "big") + body
    yield b"MThd\0\0\0\x06\0\x01\0\x01\0\x60MTrk" + len(body).to_bytes(4, "big") + body


def chart_seeds() -> Iterator[bytes]:
    """The charts that come with sideman, and songs of iReal Pro."""
    for path in sorted((ROOT / "config/charts").iterdir()):
        yield path.read_bytes()
    song = playlist_link(song_text("Ours", "{T44*AC^7 |Fh7/G,Bb7|N1D-7 Q|x }|Y[*BG7sus|Kcl|r| Z "))
    yield song.encode()
    yield html_page(song).encode()


def tune_seeds() -> Iterator[bytes]:
    """Tunes in ABC."""
    head = "X:1\nT:Ours\nC:sideman\nM:6/8\nL:1/8\nQ:3/8=90\nK:Gdor\n"
    yield f'{head}P:A\n|:d|"Gm"G2A B>cd|1"F"(3fga f2 "C7/E"[ceg]:|2"D7"d6!fine!|]\n'.encode()
    yield f'{head}[V:1]"Gm"G6&d6|Z2|[M:3/4]"^To Coda"{{ab}}g4!segno!|"A7"a6!D.S.!|\n\nX:2\nK:C\n"C"c|'.encode()


def read_databases(path: Path) -> None:
    """Read a database of solos with every choice of feels, and make pieces of them."""
    for feels in get_args(Feels):
        list(map(solo_to_piece, read_solos(path, feels=feels)))


def database_seeds() -> Iterator[bytes]:
    """A solo database: a solo in 4/4, one of another feel."""
    notes, beats = [note_row(1, 1, 60), note_row(2, 3, 64, 2, 3)], beat_rows(["C^7", "", "D-7", "NC"] * 2)
    for record in (solo_record(notes, beats), solo_record(notes, beats, rhythmfeel="LATIN")):
        yield json.dumps(record).encode()


def bundle_seeds() -> Iterator[bytes]:
    """A small bundle: its description, its archive, an array."""
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(modern_bundle(), Path(folder) / "b")
        yield b"\0" + (Path(folder) / "b/values.json").read_bytes()
        yield b"\x60" + (Path(folder) / "b/weights.npz").read_bytes()
        with zipfile.ZipFile(Path(folder) / "b/weights.npz") as file:
            yield b"\xff" + file.read(file.namelist()[0])


def journal_seeds() -> Iterator[bytes]:
    """The beginnings of recorded takes."""
    for path in sorted((ROOT / "tests/recorded").glob("*.jsonl.gz")):
        with gzip.open(path) as file:
            yield b"".join(file.readline() for _ in range(40))


def request_seeds() -> Iterator[bytes]:
    """Requests as lines."""
    for text in (
        '{"do":"status","id":1}',
        '{"v":1,"do":"set","key":"play.temperature","value":1.25}',
        '{"do":"set","key":"midi.cc","value":{"20":"play.density"}}',
        '{"do":"mode","mode":"trade","now":true}\n{"do":"watch","events":["beat"]}',
        '{"do":"preset","name":"bebop"}\n{"do":"learn","key":"play.velocity","write":false}\n{"do":"panic"}',
        '{"do":"set","key":"chart.changes","value":"| Cm7 | F7 |"}\n{"do":"get"}\n{"do":"keep"}\n{"do":"tap"}',
    ):
        yield text.encode()


def osc_seeds() -> Iterator[bytes]:
    """Messages, and a bundle of one."""
    one = b"/sideman/play/temperature\0\0\0,f\0\0\x3f\xa0\0\0"
    yield one
    yield b"/sideman/set\0\0\0\0,si\0play.velocity\0\0\0\0\0\0\x4d"
    yield b"/sideman/mode\0\0\0,sT\0trade\0\0\0"
    yield b"/sideman/status\0,\0\0\0"
    yield b"#bundle\0\0\0\0\0\0\0\0\x01" + len(one).to_bytes(4, "big") + one


def state_seeds() -> Iterator[bytes]:
    """A state that an engine has left in the middle of its music, and one of long ago."""
    made, scene = performance(), control_scene()
    scene.play_until(12.0)
    yield msgspec.json.encode({"version": STATE_VERSION, **state_of(scene.engine.memory(), made), "settings": {}})
    yield (ROOT / "tests/recorded/state.json").read_bytes()


def settings_seeds() -> Iterator[bytes]:
    """The presets, and the settings with their defaults."""
    for path in (*sorted((ROOT / "config/presets").iterdir()), ROOT / "config/default.yaml"):
        yield path.read_bytes()


REQUEST_WORDS = (
    'do id v key value now name watch events play.mode midi.cc chart.file chart.changes true null {" "} [] 1e9'
)
TARGETS: dict[str, Target] = {
    "midi": Target(midi_feed, midi_seeds, (ChartError,), "MThd MTrk RIFF"),
    "charts": Target(
        file_feed("a.chart", written_chart),
        chart_seeds,
        (ChartError,),
        "| [A] D.C. al Coda N.C. % 3/4 irealb:// x4 Fine",
    ),
    "tunes": Target(
        file_feed("a.abc", written_chart),
        tune_seeds,
        (ChartError,),
        'X:1 K:C M:C| L:1/16 Q:1/4=99 |: :|2 "Am7" "^Coda" !segno! !D.C.! (3 [ceg]2 c>c Z4 [V:2] P:A',
    ),
    "scores": Target(
        score_feed,
        lambda: iter([b"\1" + SCORE, SCORE]),
        (ChartError,),
        "<harmony> <root> <degree> <ending <repeat <!DOCTYPE <time> <measure> <transpose> <note> <duration>",
    ),
    "databases": Target(
        file_feed("a.jsonl", read_databases),
        database_seeds,
        (ModelsError,),
        '"notes":[[ "beats":[[ null true NaN 1e308 -9 "4/4" "SWING" "BALLAD" "C^7" "NC"',
        max_bytes=1 << 13,
    ),
    "bundles": Target(
        bundle_feed,
        bundle_seeds,
        (SidemanError, ModelsError),
        "NUMPY descr fortran_order shape <f4 PK NaN",
        max_bytes=1 << 18,
    ),
    "journals": Target(file_feed("1.jsonl", read_journal), journal_seeds, (SidemanError, ModelsError), REQUEST_WORDS),
    "states": Target(state_feed, state_seeds, (SidemanError,), REQUEST_WORDS),
    "settings": Target(
        file_feed("a.yaml", lambda path: load_chart(SettingsSources(None, str(path)).read())),
        settings_seeds,
        (SidemanError,),
        "!! &a *a << tempo: midi: {20: play.density}",
    ),
    "socket": Target(socket_feed, request_seeds, (), REQUEST_WORDS),
    "osc": Target(osc_feed, osc_seeds, (), "/sideman/ #bundle ,sifTFNIbthd[] play.mode chart.file"),
}
"""The `allowed` errors have a message for people. The socket and OSC answer errors themselves: nothing is allowed."""
