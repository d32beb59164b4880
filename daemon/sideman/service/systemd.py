# SPDX-License-Identifier: Apache-2.0
"""Notifies systemd: ready, alive, stopping, and a line for `systemctl status`. Does nothing outside systemd.

The protocol is sd_notify(3): datagrams with lines KEY=VALUE to the socket in $NOTIFY_SOCKET. Also here: what the unit
forbids, but some settings ask for: the network.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from sideman.core.errors import NotPermitted
from sideman.core.settings.schema import Settings
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman_models.text import printable

_log = logging.getLogger(__name__)


class SystemdNotifier:
    """Sends to the service manager named in `environ`. Errors are ignored: the music must not depend on it."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        allowed = environ.get("WATCHDOG_USEC", "") if address else ""
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        has_watchdog = is_ours and allowed.isascii() and allowed.isdigit() and int(allowed) > 0
        self.watchdog_interval_s = int(allowed) / 2e6 if has_watchdog else None
        """Seconds between two calls of `notify_watchdog`: half the time that systemd allows, as sd_watchdog_enabled(3)
        advises; None if systemd has no watchdog for us."""

    def ready(self, status: str) -> None:
        """The daemon plays now."""
        self._send(READY="1", STATUS=status)

    def status(self, status: str) -> None:
        """Set the line for `systemctl status`."""
        self._send(STATUS=status)

    def notify_watchdog(self) -> None:
        """The daemon works. Call this at least every `watchdog_interval_s` seconds, and only if it is true."""
        self._send(WATCHDOG="1")

    def stopping(self) -> None:
        """The daemon has begun to stop."""
        self._send(STOPPING="1", STATUS="stopping")

    def _send(self, **lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(f"{key}={printable(' '.join(value.split()))}" for key, value in lines.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(message.encode(), socket.MSG_DONTWAIT, self._address)


def network_keys(settings: Settings) -> dict[str, str]:
    """The settings that need the network, each with the file that allows it in systemd's unit."""
    osc = {"control.osc": "osc.conf"} if settings.control.osc is not None else {}
    source = settings.tempo.source
    return {**osc, f"tempo.source: {source}": "link.conf"} if CLOCK_SOURCES[source].needs_link else osc


def check_network(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Raise NotPermitted if `settings` ask for the network, and this process may not use it.

    If it is a service, and its network is one of its own that leads nowhere, the log says so.
    """
    keys = network_keys(settings)
    if not keys:
        return
    allow = f"systemd's unit allows it with the lines of {' and '.join(keys.values())}: see docs/service.md"
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        raise NotPermitted(
            f"{', '.join(keys)}: this process may not use the network ({error.strerror}); {allow}"
        ) from None
    if "NOTIFY_SOCKET" in environ and _interfaces() == ["lo"]:
        _log.warning("%s: there is no network here but 'lo'; if this machine has one, %s", ", ".join(keys), allow)


def _interfaces() -> list[str]:
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/net/dev").read_text("utf-8").splitlines()
        return [line.partition(":")[0].strip() for line in lines[2:]]
    return []
