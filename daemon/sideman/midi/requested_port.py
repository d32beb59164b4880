# SPDX-License-Identifier: Apache-2.0
"""One port that was requested: finds it, opens it, notices that it is gone, and finds it again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from sideman.core.errors import Unavailable
from sideman.midi.driver import DriverError, DriverPort, MidiDriver, ReceiveBytes
from sideman.midi.drivers import no_system_message
from sideman.midi.names import is_own_port, match_ports, nearest_port_name, quoted_names, same_port
from sideman.midi.request import AUTO, WantedPort
from sideman_models.text import printable

IN_PROCESS = "in-process"
_Target = tuple[MidiDriver, str]


class RequestedPort:
    """What was found for `wanted`. `client` is our name; `receive` takes what an input receives."""

    def __init__(self, wanted: WantedPort, client: str, receive: ReceiveBytes | None = None) -> None:
        self.wanted = wanted
        self.is_open = False
        self.driver: MidiDriver | None = None
        self.port: DriverPort | None = None  # ours; it may outlive its connection
        self.target = ""  # the real port that it was connected to last; "" for a virtual port
        self.missing = ""  # why it is not open
        self._title = ""  # for the user, of what was opened last
        self._peers = frozenset[str]()  # the ports that were connected to it at the last look
        self._client, self._receive = client, receive

    @property
    def key(self) -> str:
        """The setting that names it."""
        return self.wanted.key

    @property
    def title(self) -> str:
        """What it is for the user: its name with its system, or what we wait for."""
        if self.is_open:
            return self._title
        return IN_PROCESS if self.wanted.name == AUTO else f"waiting for '{self.wanted.name}'"

    @property
    def why_closed(self) -> str:
        """Why it is not open, without the name of its setting; empty if it is."""
        return self.missing.removeprefix(f"{self.key}: ")

    @property
    def serving(self) -> tuple[DriverPort, MidiDriver] | None:
        """Our port and its system while it is open and its system runs."""
        if not self.is_open or self.port is None or self.driver is None or self.driver.has_died():
            return None
        return self.port, self.driver

    @property
    def peers(self) -> list[str]:
        """The ports that were connected to it at the last look."""
        return sorted(map(printable, self._peers)) if self.is_open else []

    def open(self, drivers: Sequence[MidiDriver], others: Iterable[RequestedPort]) -> DriverPort:
        """Find the port and open it. Raises Unavailable with the reason and the existing ports.

        `others` are requested in the same direction; what carries the same is never connected to the same port.
        """
        try:
            running = [driver for driver in drivers if driver.is_running()]
            driver = next((driver for driver in running if driver.has_virtual_ports), None)
            if self.wanted.name == AUTO and driver is not None:
                target, ours = "", self._make_port(driver)
            else:
                driver, target = self._choose_target(running, others)
                kept = self.port if self.driver is driver else None
                ours = kept if kept is not None and kept.exists() else self._make_port(driver)
                ours.connect(target)
        except DriverError as error:
            raise Unavailable(f"{self.key}: {printable(error)}") from error
        self.is_open, self.missing, self.target = True, "", target
        self._title = f"{printable(target or ours.name)} ({driver.title})"
        self.look_at_peers()
        return ours

    def is_lost(self) -> bool:
        """Whether our port does not exist any more, or is not connected any more, or its system has ended."""
        if self.serving is None:
            return True
        port, _ = self.serving
        try:
            return not port.exists() or (bool(self.target) and not port.is_connected(self.target))
        except DriverError:  # something came or went while the system was asked: look again next time
            return False

    def look_at_peers(self) -> tuple[frozenset[str], frozenset[str]]:
        """The ports that were connected to ours at the last look, and those that are now."""
        before = self._peers
        if self.serving is None:
            self._peers = frozenset()
        else:
            with contextlib.suppress(DriverError):  # as in `is_lost`
                self._peers = self.serving[0].peers()
        return before, self._peers

    def close(self) -> None:
        """Close our port."""
        if self.port is not None:
            self.port.close()
        self.port, self.driver, self.is_open = None, None, False

    def _make_port(self, driver: MidiDriver) -> DriverPort:
        self.close()
        wanted = self.wanted
        made = driver.open_port(wanted.direction, self._receive, clock=wanted.carries_clock, label=wanted.label)
        self.port, self.driver = made, driver
        return made

    def _choose_target(self, running: Sequence[MidiDriver], others: Iterable[RequestedPort]) -> _Target:
        """The real port, and its system."""
        key, wanted = self.key, self.wanted.name
        if not running:
            raise Unavailable(f"{key}: {no_system_message()}")
        targets = [(driver, name) for driver in running for name in driver.targets(self.wanted.direction)]
        targets = [target for target in targets if not is_own_port(target[1], self._client)]
        taken = [
            (other.driver, other.target)
            for other in others
            if other is not self and other.is_open and other.wanted.carries & self.wanted.carries
        ]
        free = [target for target in targets if target not in taken]
        if wanted == AUTO and free:
            return free[0]
        # A device that comes back may have another number. It is the one that was connected, not one with a like name.
        again = [target for target in free if self.target and same_port(target[1], self.target)]
        found = again[:1] or _matching(wanted, free)
        if not found and _matching(wanted, targets):
            raise Unavailable(f"{key}: '{wanted}' is connected under another name in these settings: name it once")
        if not found:
            names = [name for _, name in targets]
            guess = nearest_port_name(wanted, names)
            meant = f"; did you mean '{printable(guess)}'?" if guess else ""
            raise Unavailable(f"{key}: no port is called '{wanted}'{meant} (the ports are: {quoted_names(names)})")
        # Only those of the first system: a port at ALSA and one at JACK may be the same device.
        same = [target for target in found if target[0] is found[0][0]]
        if len(same) > 1:
            matches = quoted_names([name for _, name in same])
            raise Unavailable(f"{key}: '{wanted}' matches {matches}: write more of the name")
        return same[0]


def _matching(wanted: str, targets: Sequence[_Target]) -> list[_Target]:
    return [targets[number] for number in match_ports(wanted, [name for _, name in targets])]
