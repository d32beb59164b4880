# SPDX-License-Identifier: Apache-2.0
"""The command line: one command, one line per error, and the exit status that scripts rely on."""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import IO

import pytest

from sideman import __version__, cli
from sideman.core import errors
from sideman_models.errors import BundleError, ChordError, CorpusError, NoSuchBundle

HEAVY = {"tensorflow", "keras", "h5py", "matplotlib", "rich"}


def python(*words: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run Python in a new process with the same import paths."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, *words]
    return subprocess.run(command, text=True, stdout=stdout, stderr=subprocess.PIPE, env=environment, check=False)


def loaded(program: str) -> set[str]:
    """The packages that are loaded after `program` has run."""
    return {name.partition(".")[0] for name in python("-c", f"{program}; print(*sys.modules)").stdout.split()}


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Replace the command `check` by one that only raises `error`."""
    module = ModuleType("sideman.commands.check")

    def fail(_: argparse.Namespace) -> int:
        raise error

    module.add_arguments = lambda _parser: None  # type: ignore[attr-defined]
    module.run = fail  # type: ignore[attr-defined]
    monkeypatch.setattr("importlib.import_module", lambda _: module)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (errors.UsageError("a"), 2, "a"),
        (errors.UnreadableInput("a"), 65, "a"),
        (BundleError("a"), 65, "a"),
        (NoSuchBundle("a"), 66, "a"),
        (CorpusError("a"), 65, "a"),
        (ChordError("a"), 65, "a"),
        (errors.NoSuchInput("a"), 66, "a"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x.mid"), 66, "x.mid: No such file"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "x"), 66, "x: Is a directory"),
        (errors.Unavailable("a"), 69, "a"),
        (ModuleNotFoundError("No module", name="tensorflow"), 69, "tensorflow is not installed"),
        (ModuleNotFoundError("No module", name="sideman.typo"), 70, "an internal error of sideman"),
        (MemoryError(), 69, "not enough memory"),
        (errors.SidemanError("a"), 70, "a"),
        (ZeroDivisionError("by zero"), 70, "an internal error of sideman: ZeroDivisionError: by zero"),
        (errors.CannotCreate("a"), 73, "a"),
        (FileExistsError(errno.EEXIST, "File exists", "x"), 73, "x: File exists"),
        (errors.DiskError("a"), 74, "a"),
        (OSError(errno.ENOSPC, "No space left on device"), 74, "No space left on device"),
        (OSError(errno.EIO, "Input/output error", b"x"), 74, "x: Input/output error"),
        (errors.NotPermitted("a"), 77, "a"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 77, "x: Permission denied"),
        (errors.ConfigError("a"), 78, "a"),
    ],
)
def test_each_error_has_its_status_and_one_line(
    error: Exception, status: int, line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a script or systemd mistakes one failure for another; a musician reads a traceback."""
    failing(monkeypatch, error)
    monkeypatch.setattr(cli, "DISK_ERRNOS", ())  # pytest needs its stdout
    assert cli.main(["check"]) == status
    said = capfd.readouterr().err
    assert said.startswith(f"sideman: {line}")
    assert said.count("\n") == 1


def test_an_unhandled_interrupt_has_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against: a shell loop over files continues after Ctrl-C."""
    failing(monkeypatch, KeyboardInterrupt())
    assert cli.main(["check"]) == 130


def test_each_problem_of_a_configuration_has_its_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against: several problems printed as one line."""
    failing(monkeypatch, errors.ConfigError("a:1: x\nb:2: y"))
    cli.main(["check"])
    assert capfd.readouterr().err == "sideman: a:1: x\nsideman: b:2: y\n"


@pytest.mark.parametrize("how", ["--debug", "SIDEMAN_DEBUG"])
def test_debug_shows_where_a_defect_is(
    how: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a bug report without a traceback."""
    failing(monkeypatch, ZeroDivisionError("by zero"))
    if how == "SIDEMAN_DEBUG":
        monkeypatch.setenv(how, "1")
    assert cli.main(["check", *(["--debug"] if how == "--debug" else [])]) == 70
    assert "Traceback" in capfd.readouterr().err


def test_no_command_is_a_usage_error_and_lists_the_commands(capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: a user who types only `sideman` gets no help."""
    assert cli.main([]) == 2
    shown = capfd.readouterr().out
    assert all(f"  {name} " in shown for name in cli.COMMANDS)
    assert cli.main(["--help"]) == 0


def test_the_version(capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: a bug report that cannot say which version it is about."""
    assert cli.main(["--version"]) == 0
    assert capfd.readouterr().out == f"sideman {__version__}\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["chek"], "chek: no such command; did you mean check?"),
        (["xyzzy"], "xyzzy: no such command; the commands are "),
        (["--loud"], "unrecognized arguments: --loud (see sideman --help)"),
        (["check", "--loud"], "unrecognized arguments: --loud (see sideman check --help)"),
        (["check", "--conf", "x"], "unrecognized arguments: --conf x"),
        (["check", "--set"], "argument --set: expected one argument"),
    ],
)
def test_a_usage_error_is_one_line(words: list[str], line: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: a typing mistake answered with a screen of help, or with nothing."""
    assert cli.main(words) == 2
    said = capfd.readouterr().err
    assert said.startswith(f"sideman: {line}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: a command without help."""
    assert cli.main([name, "--help"]) == 0
    assert f"usage: sideman {name}" in capfd.readouterr().out


@pytest.mark.subprocess
def test_a_configuration_error_ends_the_process_with_its_status(tmp_path: Path) -> None:
    """Guards against: a service manager that restarts for ever a daemon that can never start."""
    path = tmp_path / "my.yaml"
    path.write_text("tempo:\n  bpm: 1000\n  metre: 4/4\n")
    done = python("-m", "sideman", "check", "--config", str(path))
    assert (done.returncode, done.stdout) == (78, "")
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [f"{path}:2", f"{path}:3"]


@pytest.mark.subprocess
def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    """Guards against: `sideman … | head` ends in a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    done = python("-m", "sideman", "--help", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.subprocess
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_under_the_output_is_reported() -> None:
    """Guards against: output that is cut off without an error."""
    with Path("/dev/full").open("w") as full:
        done = python("-m", "sideman", "--help", stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (74, 1)


@pytest.mark.subprocess
def test_playing_loads_nothing_that_only_training_needs() -> None:
    """Guards against: a start that takes seconds and half a gigabyte; OpenSSL in the memory of each daemon."""
    names = loaded("import sys, sideman.cli, sideman.commands.run, sideman.service.service")
    assert "numpy" in names
    assert not names & HEAVY
    assert not (names - loaded("import sys")) & {"hashlib", "subprocess"}  # what measures coverage loads them itself


@pytest.mark.subprocess
def test_the_version_and_the_help_load_next_to_nothing() -> None:
    """Guards against: help that waits for numpy to load."""
    names = loaded("import sys, sideman.cli; sideman.cli.main(['--version'])")
    assert "sideman" in names
    assert not names & {"numpy", "mido", "rtmidi", "yaml", *HEAVY}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["run", "--tempo", "140"], "did you mean --bpm 140?"),
        (["run", "--song=waltz"], "did you mean --chart waltz?"),
        (["run", "--temperature", "0.5"], "did you mean --set play.temperature=0.5?"),
        (["run", "--midi-output", "Volca"], "did you mean --set midi.output=Volca?"),
        (["render", "--out", "x.mid", "--style", "bebop"], "did you mean --preset bebop?"),
        (["render", "--output", "x.mid"], "did you mean --out?"),
        (["run", "--xyzzy"], "see sideman run --help"),
        (["takes", "shwo"], "did you mean show?"),
    ],
)
def test_a_wrong_option_is_met_with_the_right_one(
    words: list[str], hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Guards against: a player who looks for the right option in three screens of help."""
    assert cli.main(words) == 2
    said = capfd.readouterr().err
    assert hint in said
    assert said.count("\n") == 1


def test_the_name_alone_says_where_to_start(capfd: pytest.CaptureFixture[str]) -> None:
    """Guards against: a newcomer who sees fourteen commands and does not know which one makes music."""
    cli.main([])
    shown = capfd.readouterr().out
    assert shown.index("sideman run") < shown.index("Commands:")
