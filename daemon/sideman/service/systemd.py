# SPDX-License-Identifier: Apache-2.0
"""What systemd is told: ready, alive, stopping, and a line for `systemctl status`. Outside systemd, nothing.

The protocol is sd_notify(3): datagrams of KEY=VALUE lines to the socket that $NOTIFY_SOCKET names.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class SystemdNotifier:
    """The way to the service manager that `environ` names; silent without one, or when it no longer listens."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_interval_s = (
            _watchdog_interval_s(environ) if address else None
        )  # seconds between two alive(), None: not asked for

    def ready(self, status: str) -> None:
        """The service does its work."""
        self._send(f"READY=1\nSTATUS={_single_line(status)}")

    def status(self, status: str) -> None:
        """What it does just now, in a line."""
        self._send(f"STATUS={_single_line(status)}")

    def notify_watchdog(self) -> None:
        """It goes on working: to be told at least every `watchdog_interval_s` seconds, and only if that is true."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str = "stopping") -> None:
        """It has begun to end."""
        self._send(f"STOPPING=1\nSTATUS={_single_line(status)}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A manager that is gone or too busy must not stop the music.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.sendto(message.encode(), socket.MSG_DONTWAIT, self._address)


def _watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    """Half the time the service manager allows, as sd_watchdog_enabled(3) advises; None: asks nothing of us."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    allowed = environ.get("WATCHDOG_USEC", "")
    return int(allowed) / 2e6 if allowed.isascii() and allowed.isdigit() and int(allowed) else None


def _single_line(text: str) -> str:
    return " ".join(text.split())
