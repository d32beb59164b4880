# SPDX-License-Identifier: Apache-2.0
"""Jobs that are performed in a process of their own: what it may not do, and what is believed of its answer."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sideman.charts.ireal import read_ireal
from sideman.config.reading import (
    AnswerReader,
    BindingJob,
    ChangesJob,
    ChartJob,
    FolderJob,
    Listing,
    NamesJob,
    Piece,
    PieceJob,
    answer_lines,
    encode_job,
    written_settings,
)
from sideman.config.sources import SettingsSources
from sideman.core.chart.chart import Chart, Meter
from sideman.core.chart.form import MAX_BARS
from sideman.core.chart.text import parse_changes
from sideman.core.errors import ConfigError, NoSuchInput, SidemanError
from sideman.core.settings.resolve import WrittenValue
from sideman.core.settings.schema import Settings
from sideman_models.music.qualities import RARE_QUALITIES
from support.ireal import playlist_link, song_text

CHART = parse_changes(
    "title: Blue\ncomposer: Her\nkey: Bb\ntempo: 90\n[A]\n| Bb7/D / Eb7 | N.C. |\n[B]\n| 3/4 F#-7b5(b9) G7 | % |",
    Meter(4, 4),
    "test",
)


def read(*lines: bytes) -> object:
    """The answer in these lines."""
    reader = AnswerReader()
    for line in lines:
        reader.take(line)
    assert reader.is_complete
    return reader.answer()


def test_a_chart_comes_back_as_it_was() -> None:
    """Guards against: a chart that sounds, is called or is written otherwise because it was read elsewhere."""
    back = read(*answer_lines(CHART))
    assert isinstance(back, Chart)
    assert (back.bars, back.info) == (CHART.bars, CHART.info)
    assert back.text() == CHART.text()


def test_rare_qualities_and_warnings_come_back_as_they_were() -> None:
    """Guards against: a song of a file that a playing daemon refuses, or plays by a guess without a word."""
    music = "T44[" + "|".join(f"C#{name}   " for name in RARE_QUALITIES) + "|?D<D.S.>Z"
    chart = read_ireal(playlist_link(song_text("Odd", music)), "x")
    assert {bar.chords[0][1].quality.name for bar in chart.bars} >= RARE_QUALITIES.keys()
    back = read(*answer_lines(chart))
    assert isinstance(back, Chart)
    assert (back.bars, back.info) == (chart.bars, chart.info)
    assert len(back.info.warnings) > 1
    line, *others = answer_lines(chart)
    spoilt = json.loads(line)
    spoilt["info"][5] = ["one\x1b[2J"]
    with pytest.raises(ValueError, match="warnings"):
        read(json.dumps(spoilt).encode(), *others)


@pytest.mark.parametrize("error", [NoSuchInput("no such file"), ConfigError("line one\nline two")])
def test_an_error_comes_back_as_it_was(error: SidemanError) -> None:
    """Guards against: a mistake in a file that is called an error of the program."""
    back = read(*answer_lines(error))
    assert (type(back), str(back)) == (type(error), str(error))


def test_long_charts_have_short_lines() -> None:
    """Guards against: a line that holds the interpreter for milliseconds while it is decoded, and delays a note."""
    long = Chart(CHART.bars * (MAX_BARS // len(CHART.bars)))
    assert max(map(len, answer_lines(long))) < 1 << 14
    assert read(*answer_lines(long)) == long


GOOD: list[Any] = [0.0, 0, "7", None, "C7"]


@pytest.mark.parametrize(
    "bars",
    [
        [["4/4", []]],
        [["4/4", [[1.0, *GOOD[1:]]]]],
        [["4/4", [GOOD, [4.0, *GOOD[1:]]]]],
        [["4/4", [GOOD, GOOD]]],
        [["99/4", [GOOD]]],
        [["4/4", [[0.0, 12, "7", None, "C7"]]]],
        [["4/4", [[0.0, 0, "7", -1, "C7"]]]],
        [["4/4", [[0.0, 0, "os.system", None, "C7"]]]],
        [["4/4", [[0.0, 0, "7", None, "C7\nforged line"]]]],
        [["4/4", [GOOD]]] * (MAX_BARS + 1),
    ],
)
def test_an_answer_is_not_believed(bars: object) -> None:
    """Guards against: a process that a hostile file has taken over, and that takes over the daemon with its answer."""
    reader = AnswerReader()
    with pytest.raises((ValueError, LookupError, ConfigError)):
        reader.take(json.dumps({"type": "bars", "bars": bars}).encode())


@pytest.mark.parametrize(
    "answer",
    [Piece(1, "x" * (1 << 17)), Piece(1, "é"), Listing((("a\x1b[2J", 0.0, 0),)), Listing((("a", 0.0, 0),) * 1001)],
)
def test_no_other_answer_is_believed(answer: Piece | Listing) -> None:
    """Guards against: a file that has taken over the process which reads it, and now fills memory or a terminal."""
    with pytest.raises(ValueError, match=r"names that cannot be shown|more than a piece"):
        read(*answer_lines(answer))


def test_a_folder_is_listed_in_the_order_in_which_its_files_were_written(tmp_path: Path) -> None:
    """Guards against: a list of takes in which the last one is hard to find, or that hangs on something odd."""
    for number, name in enumerate(("b", "a", ".hidden", "c")):
        (tmp_path / f"{name}.jsonl").write_text("x")
        os.utime(tmp_path / f"{name}.jsonl", (1000 + number,) * 2)
    (tmp_path / "a.mid").write_bytes(b"12345")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    listing = read(*answer_lines(FolderJob(str(tmp_path), ".jsonl", ".mid").perform()))
    assert listing == Listing((("b", 1000.0, 0), ("a", 1001.0, 5), ("c", 1003.0, 0)))
    assert FolderJob(str(tmp_path / "none"), ".jsonl", ".mid").perform() == Listing(())
    assert ("blues", 0.0, 0) in NamesJob("charts", (".chart", ".txt")).perform().names


def test_a_file_is_read_in_pieces(tmp_path: Path) -> None:
    """Guards against: a long take that cannot be fetched, or has a gap; and files of others that can be."""
    content = os.urandom(120_000)
    (tmp_path / "long.mid").write_bytes(content)
    found = b""
    while len(found) < len(content):
        piece = read(*answer_lines(PieceJob(str(tmp_path), "long.mid", len(found)).perform()))
        assert isinstance(piece, Piece)
        assert piece.size == len(content)
        found += base64.b64decode(piece.data)
    assert found == content
    assert PieceJob(str(tmp_path), "long.mid", 10**11).perform() == Piece(120_000, "")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.mid").symlink_to(tmp_path / "long.mid")
    for name in ("../long.mid", "link.mid", "none.mid", ".hidden", "a\0.mid", str(tmp_path / "long.mid")):
        with pytest.raises(SidemanError):
            PieceJob(str(tmp_path / "in"), name, 0).perform()


def test_a_reload_finds_what_differs(home: Path) -> None:
    """Guards against: values that change on their way into the process and back."""
    config = home / ".config" / "sideman" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("play:\n  range: C3-C5\nmidi:\n  channel: 3\n  cc: {20: play.gate}\n")
    sources = SettingsSources(None, None, {"play.gate": WrittenValue(0.5, "--set")})
    changes = ChangesJob(written_settings(Settings()), sources).perform()
    assert changes.restart_keys == ("midi.channel",)
    assert changes.settings.keys() == {"play.range", "play.gate", "midi.cc"}
    assert read(*answer_lines(changes)) == changes


def test_a_reload_of_what_holds_changes_nothing(home: Path) -> None:
    """Guards against: a key that nothing shows, or a list, which seems changed after its way into the process."""
    config = home / ".config" / "sideman" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("control: {osc: 9000, osc_key: only-we-know-it-2}\nmidi: {input: [Keystep, Digitakt]}\n")
    sources = SettingsSources(None, None, {})
    changes = ChangesJob(written_settings(sources.read()), sources).perform()
    assert (changes.values, changes.restart_keys) == ({}, ())


ATTACKS = {
    "open a file": "open('/etc/passwd').read()",
    "write a file": "open({own!r}, 'w').write('x')",
    "append to a file that it has": "import os; os.write(2, b'x')",
    "ask the network": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "talk to this machine": "import socket; socket.socket(socket.AF_UNIX)",
    "start a program": "import subprocess; subprocess.run(['/bin/true'])",
    "take memory": "bytearray(1 << 30)",
    "take its rights back": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9))",
}


def _unmeasured() -> dict[str, str]:
    """The environment of a process whose coverage is not measured: it could not write down what was measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not limit memory and processes in this way")
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_process_can_do_nothing_but_answer(attack: str, tmp_path: Path) -> None:
    """Guards against: a chart from the internet that reads keys, writes files or calls home."""
    own, error = tmp_path / "own", tmp_path / "error"
    code = ATTACKS[attack].format(own=str(own))
    program = f"""
import os, sys, traceback, socket, subprocess, resource
from sideman.config import reading
reading.limit_itself()
reading.open_nothing_more()
try:
    {code.replace("; ", chr(10) + "    ")}
except (OSError, MemoryError, ValueError) as error:
    os.write(1, type(error).__name__.encode())
else:
    os.write(1, b"done")
"""
    if attack == "take its rights back":  # root may raise limits: another user, to whom the attack would be worth it
        program = program.replace("try:", "os.setuid(65534)\ntry:", 1)
    with error.open("wb") as file:
        process = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=file,
            env=_unmeasured(),
            timeout=60,
            check=True,
        )
    assert process.stdout in (b"OSError", b"PermissionError", b"MemoryError", b"BlockingIOError", b"ValueError")
    assert not own.exists()
    assert not error.read_bytes()


@pytest.mark.subprocess
def test_the_process_answers(tmp_path: Path) -> None:
    """Guards against: a reader that opens something, or loads a module, when nothing can be opened any more."""
    texts = {
        "a.chart": "| C | F |",
        "b.musicxml": '<?xml version="1.0" encoding="ISO-8859-1"?><score-partwise><part><measure>'
        "<harmony><root><root-step>C</root-step></root><kind>major</kind></harmony></measure></part></score-partwise>",
        "c.html": "irealbook://Blue=Her=Swing=C=n=[T44C |F Z",
        "d.chart": "| C | Hm |",
        "e.abc": 'X:1\nT:Blue\nM:4/4\nL:1/4\nK:C\n"C"CCCC|"F"FFFF|\n',
    }
    contents = {name: text.encode() for name, text in texts.items()}
    packed, container = io.BytesIO(), '<container><rootfiles><rootfile full-path="b.xml"/></rootfiles></container>'
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("b.xml", texts["b.musicxml"])
    contents["f.mxl"] = packed.getvalue()
    for name, content in contents.items():
        file = tmp_path / name
        file.write_bytes(content)
        job = ChartJob({"chart.file": str(file)})
        process = subprocess.run(
            [sys.executable, "-c", "from sideman.config.reading import main; main()"],
            input=encode_job(job),
            stdout=subprocess.PIPE,
            env=_unmeasured(),
            timeout=60,
            check=True,
        )
        answer = read(*process.stdout.splitlines())
        if name.startswith("d"):
            assert "bar 2: 'Hm' is not a chord" in str(answer)
        else:
            assert answer == job.perform()


def test_a_configuration_that_was_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Guards against: what was just saved in an editor, lost because a knob was learned in that moment."""
    file = tmp_path / "config.yaml"
    job = BindingJob(str(file), "midi.cc.74", "play.gate")
    new = job.perform()
    file.write_text("tempo: {bpm: 90}\n")
    changed = job.perform()
    file.write_text("tempo: {bpm: 1000}\n")
    for edited in (new, changed):
        with pytest.raises(ConfigError, match="changed meanwhile"):
            edited.write()
    assert file.read_text() == "tempo: {bpm: 1000}\n"
