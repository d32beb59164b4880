# SPDX-License-Identifier: Apache-2.0
"""Who may come in: which names of this machine, which origins, which token; and on loopback, which user.

A page of somebody else's in the same browser must not reach the daemon. A browser says with each request which page
asks (Origin) and by which name it found us (Host), and a page cannot forge either.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_TCP_TABLE = Path("/proc/net/tcp")
_ROOT = 0


class Gate(Struct, frozen=True):
    """Lets in those that reach us at `host`; None means loopback, and no token is asked for."""

    host: str | None = None
    token: str | None = None

    @classmethod
    def of(cls, host: str | None) -> Gate:
        """The gate for an address that was asked for, with a new token; without an address, for loopback."""
        return cls() if host is None else cls(host, secrets.token_urlsafe(9))

    @property
    def listens_at(self) -> str:
        """The address to listen at."""
        return self.host or LOOPBACK

    def refusal(self, host: str | None, origin: str | None, *, is_socket: bool) -> str:
        """Return why a request with these headers is refused; empty if it is not."""
        name = _host_name(host)
        if name is None or not self._is_ours(name):
            return f"Host {host}: open the page at the address that sideman printed"
        if origin is None:
            return "a WebSocket without Origin: only a page of sideman's may open it" if is_socket else ""
        return "" if origin == f"http://{host}" else f"Origin {origin}: another page may not talk to sideman"

    def has_token(self, token: str) -> bool:
        """Whether `token` is the right one, if one is asked for."""
        return self.token is None or secrets.compare_digest(self.token.encode(), token.encode())

    def _is_ours(self, name: str) -> bool:
        """Whether a browser that has found us by `name` was not led here by a name server of somebody else's."""
        if name in _LOOPBACK_NAMES:
            return True
        return self.host is not None and (_is_address(name) or name in {self.host.lower(), *_own_names()})

    def address(self, port: int) -> str:
        """Return the address of the page, as a browser on another device opens it."""
        name = self.listens_at
        if _is_address(name) and ipaddress.ip_address(name).is_unspecified:
            name = address_in_the_network()
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{port}" + ("" if self.token is None else f"/#{self.token}")


def is_other_user(peer_port: int, own_port: int) -> bool:
    """Whether the process at the other end of a loopback connection belongs to another user, as far as Linux says.

    The control socket is open to its owner only (mode 0600), and the page passes requests on to it. An end that is
    closed already has no inode, and Linux lists it as root's: it counts as another user's.
    """
    ends = tuple(f"0100007F:{port:04X}" for port in (peer_port, own_port))
    try:
        rows = [line.split() for line in _TCP_TABLE.read_text("ascii").splitlines()[1:]]
    except (OSError, ValueError):
        return False
    users = {int(row[7]) for row in rows if (row[1], row[2]) == ends and row[9] != "0"}
    return not users & {os.geteuid(), _ROOT}


def address_in_the_network() -> str:
    """Return this machine's address in the local network; loopback if it is in none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: the route to it shows our own
            return str(probe.getsockname()[0])
        except OSError:
            return LOOPBACK


def _host_name(host: str | None) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname if host else None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> tuple[str, str]:
    own = socket.gethostname().lower()
    return own, f"{own}.local"
