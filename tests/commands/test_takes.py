# SPDX-License-Identifier: Apache-2.0
"""`sideman takes`, and the daemon that records: killed, stopped, and without a disk."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mido
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman.charts.detect import read_chart
from sideman.cli import main
from sideman.commands import takes as command
from sideman.core.errors import NoSuchInput, SidemanError, Unavailable, UnreadableInput, UsageError
from sideman.core.events import BarPlayed, ChangeSettings, EventSent, NoteHeard, NoteOn, PortChanged
from sideman.takes.folder import OpenTake, TakeFolder
from sideman.takes.journal import Journal, TakeTotals
from sideman_models.music.harmony import pitch_name
from sideman_models.network.bundle import load_bundle
from support.fakes import performance
from support.performances import PHRASE
from support.processes import daemon_environment, run_sideman, running_daemon, write_bundle
from support.scores import notes_of_parts
from support.takes import perform_with_reports, recorded_take

QUICK = ("midi.output=none", "midi.input=none", "tempo.bpm=400", "play.rate=eighth", "takes.record=true")


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> TakeFolder:
    """A home folder with an empty folder of takes."""
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.chdir(home)
    return TakeFolder(home / "sideman" / "takes")


@pytest.fixture
def take(folder: TakeFolder, home: Path) -> Journal:
    """A take of an untrained network on disk."""
    made = performance(play__rate="eighth", model__bundle=str(write_bundle(home)))
    made = replace(made, bundle=load_bundle(str(write_bundle(home))))
    change = ChangeSettings((("play.rate", "sixteenth"),))
    header, reports, _ = perform_with_reports(made, [*PHRASE, (6.0, change)], 9.0)
    return recorded_take(folder.path, header, reports)


def run(*words: str | Path) -> int:
    """Run the command in this process."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_the_list_shows_every_take(folder: TakeFolder, take: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a list that omits takes, or is empty because one is broken."""
    folder.journal("2001-01-01-000000-Torn").write_bytes(b"garbage\n")
    run("list")
    head, torn, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "date", "length", "bars", "played", "heard", "bpm", "size"]
    assert "broken" in torn
    assert ":1: " in torn
    totals = take.totals()
    assert row.split()[:1] + row.split()[3:8] == [take.name, "0:08", str(totals.bars), str(totals.played), "4", "120.0"]
    run("list", "--json")
    broken, printed = json.loads(capsys.readouterr().out)
    assert "not the journal of a take" in broken["wrong"]
    assert printed["name"] == take.name
    assert (printed["bars"], printed["heard"], printed["seed"], printed["whole"]) == (5, 4, 1, True)


def test_the_list_is_in_the_order_of_recording(
    folder: TakeFolder, take: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: the take of tonight in the middle of the list, because the clock was wrong."""
    reports = list(take.reports())
    later = recorded_take(folder.path, replace(take.header, date="1970-01-01T00:00:00+00:00"), reports)
    run("list", "--json")
    assert [(one["name"], one["number"]) for one in json.loads(capsys.readouterr().out)] == [
        (take.name, 1), (later.name, 2)
    ]  # fmt: skip


def test_show_says_when_a_port_was_lost_and_found(
    folder: TakeFolder, take: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a take with a hole in it, and no word about the cable that fell out."""
    reports = list(take.reports())
    ends = [at for at, report in enumerate(reports) if isinstance(report, BarPlayed)]
    for at, is_open, text in (
        (ends[2], True, "midi.input: Keys is open"),
        (ends[1] + 1, False, "midi.input: Keys is gone"),
        (ends[1], False, "midi.input: Keys is gone; looking for it"),
        (0, True, "midi.output: Synth is open"),
    ):
        reports.insert(at, PortChanged("midi.input" if "input" in text else "midi.output", is_open, text))
    changed = recorded_take(folder.path, take.header, reports)
    run("show", take.name)
    assert "lost" not in capsys.readouterr().out
    run("show", changed.name)
    lines = capsys.readouterr().out.splitlines()
    assert "input lost at bar 2, back at bar 3" in lines
    assert "midi.input: Keys is open" in lines
    assert not any(line.startswith("output ") for line in lines)


def test_a_take_is_not_deleted_under_its_reader(
    folder: TakeFolder, take: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: a replay or an export that breaks off in the middle."""
    refused = []

    def totals(self: Journal) -> TakeTotals:
        with pytest.raises(UsageError, match="being read"):
            folder.delete(take.name)
        refused.append(self.name)
        return real_totals(self)

    real_totals = Journal.totals
    monkeypatch.setattr(Journal, "totals", totals)
    run("show", take.name)
    run("list")
    assert refused == [take.name, take.name]
    run("delete", take.name)
    assert folder.names() == []


def test_other_files_among_the_takes_are_listed_and_not_touched(
    folder: TakeFolder, take: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a folder, a pipe or a broken link hides all takes, or blocks the command."""
    folder.journal("2001-folder").mkdir()
    folder.journal("2001-link").symlink_to("nowhere")
    os.mkfifo(folder.journal("2001-pipe"))
    run("list")
    _, *strange, row = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in strange] == ["2001-folder", "2001-link", "2001-pipe"]
    problems = ("a folder, not a file", "a link to nothing", "not a plain file; save its content to a file first")
    assert all(line.endswith(problem) for line, problem in zip(strange, problems, strict=True))
    assert row.startswith(take.name)
    for name, problem in zip(("2001-folder", "2001-link", "2001-pipe"), problems, strict=True):
        with pytest.raises(UnreadableInput if name == "2001-pipe" else NoSuchInput, match=problem):
            run("show", name)
    with pytest.raises(UsageError, match="a folder"):
        run("delete", "2001-folder")
    run("delete", "--all", "--yes")
    assert folder.names() == ["2001-folder"]


ODD: st.SearchStrategy[object] = st.sampled_from([
    None, True, -5, 0, 1.5, 10**40, 1e300, float("nan"), float("inf"), "", "\ud800", "x\n\x1b[31m", [], {}, [[]], [1],
])  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_journal_crashes_the_commands(
    data: st.DataObject, folder: TakeFolder, take: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: one damaged file hides all takes behind a traceback, or floods the terminal."""
    lines = [json.loads(line) for line in take.path.read_bytes().splitlines()]
    at = data.draw(st.sampled_from([0, 0, len(lines) - 1]) | st.integers(0, len(lines) - 1))
    inside = lines[at]
    keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
    key = data.draw(st.sampled_from(keys))
    if inside[key] and isinstance(inside[key], dict | list) and data.draw(st.booleans()):
        inside = inside[key]
        key = data.draw(st.sampled_from(list(inside) if isinstance(inside, dict) else list(range(len(inside)))))
    inside[key] = data.draw(ODD)
    name = "2001-01-01-Odd"
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    folder.journal(name).write_text(text, "utf-8")
    run("list")
    *_, odd, row = capsys.readouterr().out.splitlines()
    assert odd.isprintable()
    assert (odd.split()[0], row.split()[0]) == (name, take.name)
    run("list", "--json")
    for words in (["show"], ["show", "--json"], ["replay"], ["export", "--out", "x.mid"]):
        with contextlib.suppress(SidemanError):
            run(words[0], name, *words[1:])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown


@pytest.mark.parametrize("part", ["name", "date", "bundle"])
def test_no_journal_writes_to_the_terminal_but_words(
    part: str, folder: TakeFolder, take: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a take with control characters changes the terminal, or fakes lines."""
    odd = json.loads(take.header.encode()) | {part: "2001\n\x1b[31mred", "whole": False}
    folder.journal("2001-Odd").write_text(json.dumps(odd) + "\n", "utf-8")
    for words in (["show", "2001-Odd"], ["list"]):
        run(*words)
        assert "\x1b" not in capsys.readouterr().out
    with pytest.raises(Unavailable) as refused:
        run("replay", "2001-Odd")
    assert str(refused.value).isprintable()


def test_without_any_take_the_list_says_so(folder: TakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: an empty answer that looks like a failure."""
    run("list")
    assert "takes.record" in capsys.readouterr().out
    run("list", "--json")
    assert json.loads(capsys.readouterr().out) == []


def test_a_take_is_shown_with_chart_settings_and_bars(take: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a take without its chart, settings and seed."""
    run("show", take.name)
    shown = capsys.readouterr().out
    assert "| Dm7 | G7 | Cmaj7 | A7alt |" in shown
    assert "seed 1" in shown
    assert "\nplay.rate: eighth\n" in shown
    assert "\nplay.rate is sixteenth\n" in shown
    assert "\nbar 4 | A7alt | " in shown
    run("show", take.name, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["settings"]["play.rate"] == "eighth"
    assert printed["settings"]["play.temperature"] == 1.0
    assert any(line.startswith("bar 2 | G7") for line in printed["log"])


def test_a_take_is_shown_in_the_players_key(folder: TakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a take that shows an alto player other notes than the log did."""
    made = performance(play__rate="eighth", midi__transpose=-9)
    header, reports, _ = perform_with_reports(made, [(4.5, ChangeSettings((("midi.transpose", -2),)))], 9.0)
    recorded_take(folder.path, header, reports)
    run("show", folder.names()[0])
    shown = capsys.readouterr().out
    bars = [report for report in reports if isinstance(report, BarPlayed)]
    lines = [line for line in shown.splitlines() if line.startswith("bar ")]
    for bar, key, line in zip(bars, [-9, -9, -2, -2], lines, strict=True):
        names = ["-" if each.pitch is None else pitch_name(each.pitch - key) for each in bar.choices]
        assert line == f"bar {bar.number} | {bar.chords[0].shown(key).text} | sideman {' '.join(names)}"
    assert "| Bm7 | E7 | Amaj7 | F#7alt |" in shown
    assert "\nbar 2 | E7 | " in shown


def test_a_take_shows_what_you_played(
    folder: TakeFolder, take: Journal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a take, and its picture, from which half of the music is missing: yours."""
    run("show", take.name)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bar ")]
    heard = [report.note for report in take.reports() if isinstance(report, NoteHeard)]
    struck = [pitch_name(note.pitch) for note in heard if isinstance(note, NoteOn)]
    assert struck
    assert [word for line in lines for word in line.partition("| you ")[2].split()] == struck
    drawn: list[Any] = []
    pictures = pytest.importorskip("sideman_models.pictures")

    def draw(notes: list[Any], *_: object) -> bytes:
        drawn.extend(notes)
        return b""

    monkeypatch.setattr(pictures, "piano_roll", draw)
    run("export", take.name, "--out", "roll.png")
    assert [pitch_name(note.pitch) for note in drawn if note.player == "you"] == struck
    assert {note.player for note in drawn} == {"sideman", "you"}


@pytest.mark.subprocess
@pytest.mark.parametrize(("does", "status"), [("", 0), ("echo 'Failed to create the audio driver' >&2", 69)])
def test_a_take_is_played_aloud(
    does: str, status: int, folder: TakeFolder, take: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against: `takes play` that is silent and says nothing about it."""
    program = folder.path / "bin" / "fluidsynth"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nfor last; do :; done\ncp "$last" "{folder.path}/heard"\n{does}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    (folder.path / "font.sf2").write_bytes(b"RIFF\x04\x00\x00\x00sfbk")
    assert main(["takes", "play", take.name, "--sound-font", str(folder.path / "font.sf2")]) == status
    assert (folder.path / "heard").read_bytes() == folder.midi(take.name).read_bytes()


def test_a_take_is_played_again_from_its_files(
    folder: TakeFolder, take: Journal, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: the same input and seed that give other notes."""
    assert run("replay", take.name, "--out", "again.mid") == 0
    assert "the same" in capsys.readouterr().out
    assert Path("again.mid").read_bytes() == folder.midi(take.name).read_bytes()
    lines = take.path.read_text("utf-8").splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if '"Sent"' in line)
    lines[at] = '["Sent",0.1,0.0,["NoteOn",1,2,3]]\n'
    take.path.write_text("".join(lines), "utf-8")
    assert run("replay", take.name) == 1
    assert "then NoteOn(pitch=1, velocity=2, channel=3) on beat 0.0, now" in capsys.readouterr().out
    shutil.rmtree(write_bundle(home))
    with pytest.raises(UsageError, match="its name says"):
        run("replay", take.name, "--out", "again.wav")
    with pytest.raises(Unavailable, match="is gone or has changed"):
        run("replay", take.name)


def test_a_take_is_exported(folder: TakeFolder, take: Journal) -> None:
    """Guards against: a take that other programs cannot use."""
    run("export", take.name, "--out", "copy.mid", "--picture", "roll.png")
    assert Path("copy.mid").read_bytes() == folder.midi(take.name).read_bytes()
    assert Path("roll.png").read_bytes().startswith(b"\x89PNG")
    for words in ([], ["--out", "x", "--picture", "x"], ["--out", "x", "--sound-font", "y"]):
        with pytest.raises(UsageError):
            run("export", take.name, *words)


def test_a_take_is_written_as_a_score_and_its_chart(take: Journal) -> None:
    """Guards against: a score without what you played, or with other chords and notes than were heard."""
    for name in ("take.musicxml", "take.html", "take.txt"):
        run("export", take.name, "--out", name)
    chart = take.header.chart
    assert read_chart(Path("take.txt"), chart.meter) == read_chart(Path("take.html"), chart.meter) == chart
    bars = read_chart(Path("take.musicxml"), chart.meter).bars
    assert bars == tuple(chart.bars[at % len(chart.bars)] for at in range(len(bars)))
    parts = notes_of_parts(Path("take.musicxml").read_bytes())
    reports = list(take.reports())
    sent = [each.event.pitch for each in reports if isinstance(each, EventSent) and isinstance(each.event, NoteOn)]
    heard = [each.note.pitch for each in reports if isinstance(each, NoteHeard) and isinstance(each.note, NoteOn)]
    assert [[pitch for _, _, pitch in part] for part in parts] == [sent, heard]


@pytest.mark.subprocess
@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="no fluidsynth here")
def test_a_take_is_exported_as_sound(take: Journal) -> None:
    """Guards against: a take that cannot be heard without a synth."""
    run("export", take.name, "--wav", "take.wav")
    assert Path("take.wav").stat().st_size > take.totals().seconds * 44_100 * 4


def test_only_the_named_takes_are_deleted(
    folder: TakeFolder, take: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: the wrong take is deleted."""
    sheet = OpenTake(folder, msgspec.structs.replace(take.header, name="2999-01-01-000000-Now"))
    with pytest.raises(NoSuchInput, match=f"did you mean {take.name}"):
        run("delete", take.name, take.name[:-1])
    for words in (["--all"], [], ["--all", "--yes", take.name]):
        with pytest.raises(UsageError):
            run("delete", *words)
    with pytest.raises(UsageError, match="recorded"):
        run("delete", sheet.header.name)
    assert folder.names() == [take.name, sheet.header.name]
    run("list")
    assert capsys.readouterr().out.rstrip().endswith("recording")
    run("delete", "--all", "--yes")
    sheet.close()
    assert folder.names() == [sheet.header.name]
    assert [path.suffix for path in folder.path.iterdir()] == [".jsonl"]


@pytest.mark.parametrize("name", ["../x", "", ".", "x/y", "x\0y", "nothing"])
def test_a_path_is_no_name_of_a_take(name: str, take: Journal) -> None:
    """Guards against: files outside the folder are deleted."""
    for words in (["show", name], ["delete", name], ["export", name, "--out", "x.mid"], ["replay", name]):
        with pytest.raises(NoSuchInput):
            run(*words)


def test_an_error_in_a_take_names_its_line(take: Journal) -> None:
    """Guards against: a crash, or half a take that is shown as complete."""
    lines = take.path.read_bytes().splitlines(keepends=True)
    take.path.write_bytes(b"".join([*lines[:5], b"garbage\n", *lines[6:]]))
    for words in (["show"], ["replay"], ["export", "--out", "x.mid"]):
        with pytest.raises(UnreadableInput, match=":6: "):
            run(words[0], take.name, *words[1:])


@pytest.mark.subprocess
def test_a_daemon_that_is_killed_leaves_a_take_up_to_the_last_bar(tmp_path: Path) -> None:
    """Guards against: a crash costs the evening's best solo."""
    env = {"XDG_DATA_HOME": str(tmp_path)}
    with running_daemon(tmp_path, *QUICK, **env) as daemon:
        daemon.wait_for("bar 4 ")
        daemon.process.kill()
        daemon.stop()
    folder = TakeFolder(tmp_path / "sideman" / "takes")
    (name,) = folder.names()
    song = mido.MidiFile(folder.midi(name), charset="utf-8")  # before any command has looked at it
    assert [sum(message.time for message in track) / song.ticks_per_beat >= 16 for track in song.tracks] == [True] * 3
    printed = json.loads(run_sideman("takes", "list", "--json", env=env).stdout)
    assert (printed[0]["name"], printed[0]["bars"] >= 4) == (name, True)
    bars = [line.partition("bar ")[2].partition(" | next ")[0] for line in daemon.log if " bar " in line]
    shown = run_sideman("takes", "show", name, env=env).stdout
    assert all(f"bar {bar}\n" in shown for bar in bars[:4])
    replayed = run_sideman("takes", "replay", name, env=env)
    assert replayed.returncode == 0, replayed
    assert "the same" in replayed.stdout


@pytest.mark.subprocess
def test_a_daemon_that_is_stopped_leaves_the_whole_take(tmp_path: Path) -> None:
    """Guards against: a take without its end, or with notes that never end."""
    env = {"XDG_DATA_HOME": str(tmp_path / "elsewhere")}
    chosen = (*QUICK, f"takes.folder={tmp_path / 'takes'}", "chart.choruses=1", "chart.changes=| C | F |")
    with running_daemon(tmp_path, *chosen, **env) as daemon:
        assert daemon.stop() == 0
    folder = TakeFolder(tmp_path / "takes")
    (name,) = folder.names()
    assert Journal(folder.journal(name)).written_totals is not None
    where = ("--set", f"takes.folder={folder.path}")
    assert "the same" in run_sideman("takes", "replay", name, *where, env=env).stdout
    assert run_sideman("takes", "delete", name, *where, env=env).stdout == "1 deleted\n"
    assert list(folder.path.iterdir()) == []


@pytest.mark.subprocess
def test_without_a_folder_the_music_goes_on(tmp_path: Path) -> None:
    """Guards against: a full or missing disk ends the music."""
    (tmp_path / "takes").write_text("a file in its place")
    chosen = (*QUICK, f"takes.folder={tmp_path / 'takes'}")
    with running_daemon(tmp_path, *chosen) as daemon:
        daemon.wait_for("bar 4 ")
        assert daemon.stop(signal.SIGTERM) == 0
    assert sum("cannot be written" in line for line in daemon.log) == 1


@pytest.mark.subprocess
def test_playing_does_not_load_mido() -> None:
    """Guards against: a daemon that starts slower and needs more memory."""
    code = "import sideman.service.service, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=daemon_environment(), capture_output=True, text=True, check=True
    )
    assert not {"mido", "matplotlib"} & set(done.stdout.split())


def _contents(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """What stands in a folder: by name the mode, the time and the content or the target."""
    status = {path: path.lstat() for path in folder.iterdir()}
    return {
        path.name: (
            at.st_mode,
            at.st_mtime_ns,
            os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes(),
        )
        for path, at in status.items()
    }


ATTACK = "Blue\nssh-ed25519 AAAA attacker\r\x1b[2J\x9b31m\x7f\u202e\u2028moon"


@pytest.mark.parametrize("planted", ["{name}.mid", ".{name}.mid.new", ".{name}.mid-0000000000"])
def test_listing_and_showing_write_nothing(
    planted: str, folder: TakeFolder, take: Journal, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a takes folder of somebody else's that writes into the keys of who looks at it."""
    secret, name = home / "authorized_keys", "2001-01-01-000000-Unfinished"
    secret.write_bytes(b"ssh-ed25519 mine\n")
    first, *lines = take.path.read_bytes().splitlines(keepends=True)[:-1]
    header = json.loads(first) | {"date": ATTACK, "bundle": ATTACK}
    header["chart"]["about"] |= {"title": ATTACK, "composer": ATTACK}
    folder.journal(name).write_bytes(b"".join([json.dumps(header).encode() + b"\n", *lines]))
    (folder.path / planted.format(name=name)).symlink_to(secret)
    before = _contents(folder.path)
    for words in (["list"], ["list", "--json"], ["show", name], ["show", name, "--json"]):
        assert main(["takes", *words]) == 0
        printed = capsys.readouterr().out
        assert printed.replace("\n", "").isprintable()
        assert not any(line.startswith("ssh-") for line in printed.splitlines())
    assert _contents(folder.path) == before
    assert main(["takes", "export", name, "--out", "out.mid"]) == 0
    assert b"Blue\\nssh-ed25519" in Path("out.mid").read_bytes()
    assert b"\nssh-" not in Path("out.mid").read_bytes()
    assert main(["takes", "export", name, "--out", str(folder.path / planted.format(name=name))]) in (2, 73)
    assert main(["takes", "delete", name]) == 0
    assert secret.read_bytes() == b"ssh-ed25519 mine\n"
