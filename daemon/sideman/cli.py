# SPDX-License-Identifier: Apache-2.0
"""The command line: runs one command, and reports an error as one line and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO, cast

from sideman import __version__
from sideman.commands.parser import Parser
from sideman.core.errors import UsageError
from sideman.exit_status import DISK_ERRNOS, INTERRUPTED, exit_status_and_message
from sideman_models.text import PrintableStream, closest, printable

COMMANDS = {
    "run": "start the daemon in the foreground, and play",
    "ctl": "control the running daemon: status, settings, panic; or watch it play",
    "ports": "list the MIDI ports, and the ports that 'auto' would choose",
    "check": "check the configuration, and explain how to correct it",
    "calibrate": "measure the delay of notes through a loop of cables",
    "render": "write a solo to a MIDI file",
    "corpus": "describe a corpus of music",
    "train": "train a network on a corpus",
    "generate": "make the tune of the course's assignment",
    "evaluate": "measure how well a network predicts music it has not seen",
    "takes": "list, show, export, delete or replay recorded takes",
    "models": "list, show and export trained networks",
    "names": "make up names for takes and voices",
}
"""Each command and its line in the help. `sideman.commands` has a module of the same name."""

_GC_THRESHOLD = 50_000
"""Objects between two garbage collections: loading makes many objects and no garbage."""

_HELP = """usage: sideman COMMAND [OPTION]...

A real-time MIDI improviser: it plays a jazz solo with you.

Where to start:
  sideman run --sound            hear it play a blues at once (needs fluidsynth); Ctrl-C stops it
  sideman run                    play on the MIDI port 'sideman:out', and hear you on 'sideman-in:in'
  sideman ctl watch              see what a running sideman plays; its keys control it
  sideman check                  find out what would be played, and what is missing

Commands:
{commands}

`sideman COMMAND --help` shows the options of a command, `sideman --version` the version."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: sys.argv). Returns its exit status, see `sideman.exit_status`.

    Nothing that it prints can give orders to a terminal.
    """
    gc.set_threshold(_GC_THRESHOLD)
    words = sys.argv[1:] if argv is None else list(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as for stderr: no name or title raises UnicodeEncodeError
    with _printable_output():
        return _run_and_report(words)


@contextlib.contextmanager
def _printable_output() -> Iterator[None]:
    """Let through only printable text to stdout and stderr."""
    with contextlib.ExitStack() as stack:
        for stream, redirect in ((sys.stdout, contextlib.redirect_stdout), (sys.stderr, contextlib.redirect_stderr)):
            if stream is not None:
                stack.enter_context(redirect(cast("TextIO", PrintableStream(stream))))
        yield


def _run_and_report(words: list[str]) -> int:
    """Run a command. An error becomes a line for each problem, and an exit status."""
    try:
        status = _run(words)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED.number
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        _drop_stdout()
        return 0
    except Exception as error:  # noqa: BLE001 - any error becomes a line for each problem, and a status
        if isinstance(error, OSError) and error.errno in DISK_ERRNOS:
            _drop_stdout()
        status, text = exit_status_and_message(error)
        with contextlib.suppress(OSError):
            if "--debug" in words or os.environ.get("SIDEMAN_DEBUG"):
                sys.excepthook(type(error), error, error.__traceback__)
            if sys.stderr is not None:
                print("\n".join(f"sideman: {printable(line)}" for line in text.splitlines()), file=sys.stderr)
    return status


def _run(words: list[str]) -> int:
    try:
        front = Parser("sideman", description="A real-time MIDI improviser.", allow_abbrev=False, add_help=False)
        front.add_argument("-h", "--help", action="store_true")
        front.add_argument("--version", action="version", version=f"sideman {__version__}")
        front.add_argument("--debug", action="store_true")
        front.add_argument("command", nargs="?")
        front.add_argument("rest", nargs=argparse.REMAINDER)
        args = front.parse_all(words)
        if (name := args.command) is None:
            print(_HELP.format(commands="\n".join(f"  {each:10}{text}" for each, text in COMMANDS.items())))
            return 0 if args.help else UsageError.exit_status
        if name not in COMMANDS:
            near = closest(name, COMMANDS)
            hint = f"did you mean {near}?" if near else f"the commands are {', '.join(COMMANDS)}"
            raise UsageError(f"{name}: no such command; {hint}")
        module = importlib.import_module(f"sideman.commands.{name}")
        parser = Parser(f"sideman {name}", description=f"sideman {name}: {COMMANDS[name]}.", allow_abbrev=False)
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        module.add_arguments(parser)
        return int(module.run(parser.parse_all(["--help"] if args.help else args.rest)))
    except SystemExit as end:  # argparse raises it after --help and --version
        return int(end.code or 0)


def _drop_stdout() -> None:
    """Discard buffered output: Python would write it at exit, fail again and change the exit status."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
