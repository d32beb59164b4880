# SPDX-License-Identifier: Apache-2.0
"""`sideman window`: the page in the browser that shows the running daemon, sounds and steers it.

It serves until Ctrl-C, also while no daemon runs. Only this machine reaches it, unless --host says otherwise: then the
address has a token in it, and is also drawn as a QR code for a phone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import importlib.util
import json
import os
import signal
import sys
import webbrowser
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from sideman.control.socket_file import daemon_paths
from sideman.core.errors import Unavailable, UsageError
from sideman.window.process import check_installed
from sideman_models.text import printable

DEFAULT_PORT = 8765
_RETRY_S = 0.2
_PLAIN_HTTP = (
    "On a phone the page shows, steers and sounds, but its browser gives a page without https neither MIDI keyboards\n"
    "nor a screen that stays awake. Everybody who has this address can control sideman; the network can read along."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman window`."""
    parser.add_argument("--port", metavar="PORT", type=int, help=f"the port to serve at (default: {DEFAULT_PORT})")
    host = "let others in, at this address of the machine (0.0.0.0: at all of them)"
    parser.add_argument("--host", metavar="ADDRESS", help=host)
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    parser.add_argument("--socket", metavar="PATH", help="the socket of the daemon, instead of the usual one")
    parser.add_argument("--name", metavar="NAME", help="the daemon whose midi.client is NAME")
    parser.add_argument("--until-stdin-ends", action="store_true", help=argparse.SUPPRESS)  # started by `run --window`


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes. Returns the exit status."""
    if args.port is not None and not 0 <= args.port <= 65535:
        raise UsageError(f"--port {args.port}: from 0 to 65535; 0 is any that is free")
    check_installed()
    asyncio.run(_serve(args))
    return 0


async def _serve(args: argparse.Namespace) -> None:
    from sideman.window.gate import Gate
    from sideman.window.server import PAGE_FOLDER, WindowServer, page_files

    gate = Gate.of(args.host)
    paths = partial(daemon_paths, args.socket, args.name)
    server = WindowServer(gate, lambda: list(paths()), page_files(PAGE_FOLDER))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if args.until_stdin_ends:
        loop.add_reader(sys.stdin, _end_with_stdin, loop, ended)
    async with contextlib.AsyncExitStack() as stack:
        try:
            try:
                port = await stack.enter_async_context(server.serving(DEFAULT_PORT if args.port is None else args.port))
            except OSError as error:
                if args.port is not None or error.errno != errno.EADDRINUSE:
                    raise
                port = await stack.enter_async_context(server.serving(0))  # the usual one was not asked for
        except OSError as error:
            hint = "; choose another with --port" if error.errno == errno.EADDRINUSE else ""
            reason = os.strerror(error.errno) if error.errno else error
            raise Unavailable(f"window: {gate.listens_at}, port {args.port or DEFAULT_PORT}: {reason}{hint}") from None
        announcing = asyncio.ensure_future(_announce(args, gate.address(port), paths))
        await ended.wait()
        announcing.cancel()
        await asyncio.gather(announcing, return_exceptions=True)


def _end_with_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Whatever comes is thrown away, until there is no more: the daemon that has started us has ended."""
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin)
        ended.set()


async def _announce(args: argparse.Namespace, address: str, paths: Callable[[], Iterable[Path]]) -> None:
    """Print the address, with what the daemon plays to; wait for the daemon if `sideman run` has started us."""
    outputs = await _midi_outputs(paths)
    while outputs is None and args.until_stdin_ends:
        await asyncio.sleep(_RETRY_S)
        outputs = await _midi_outputs(paths)
    names = printable(", ".join(port["name"] for port in outputs or () if port["open"]))
    print(f"Open {address}  ·  {_midi_text(outputs, names)}", flush=True)
    if args.host is not None:
        _print_code(address)
    if not args.no_browser and not _open_browser(address):
        device = f"connect a synth to {names}" if names else "add a MIDI system (ALSA, JACK)"
        print(f"No browser opens here. To hear it: open the address in one, {device}, or use `sideman run --sound`.")
    sys.stdout.flush()


async def _midi_outputs(paths: Callable[[], Iterable[Path]]) -> list[dict[str, Any]] | None:
    """Return the outputs that the daemon was asked for, as the request `ports` says; None without a daemon."""
    from sideman.window.bridge import open_daemon

    writer = None
    try:
        reader, writer = await open_daemon(paths())
        writer.write(b'{"do":"ports"}\n')
        ports = json.loads(await reader.readline()).get("result")
        if not isinstance(ports, list):  # a daemon of an older version
            return [{"name": "see the log of sideman", "open": True}]
        return [port for port in ports if port["setting"] == "midi.output"]
    except (OSError, ValueError):
        return None
    finally:
        if writer is not None:
            writer.close()


def _midi_text(outputs: list[dict[str, Any]] | None, names: str) -> str:
    """What the daemon plays to, or why to nothing; `names` are those of the open outputs."""
    if outputs is None:
        return "no sideman plays yet: sideman run"
    reasons = [printable(str(port.get("why", ""))) for port in outputs if not names]
    return next(filter(None, reasons), f"MIDI: {names or 'none'}")


def _print_code(address: str) -> None:
    """Draw the address as a QR code, where a terminal can show it."""
    if sys.stdout.isatty() and importlib.util.find_spec("segno") is not None:
        import segno

        segno.make(address, micro=False).terminal(sys.__stdout__, compact=True)
    print(_PLAIN_HTTP)


def _open_browser(address: str) -> bool:
    """Open the address in a browser, where there is a screen. Returns whether one was opened."""
    has_screen = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    with contextlib.suppress(webbrowser.Error, OSError):
        return has_screen and webbrowser.open(address)
    return False
