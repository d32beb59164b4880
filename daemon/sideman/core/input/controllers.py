# SPDX-License-Identifier: Apache-2.0
"""What hands do with controllers: presses of switches, positions in 7 or 14 bits, and steps of endless knobs.

- **Switches.** A press counts at `PRESSED_FROM`, and the switch is released only at `RELEASED_AT` or below: a pedal
  that is held half down acts once. The contacts of a switch bounce: a second press within `DEAD_TIME_S` of the first
  does not count, nor does one within that time of a release. Only the time stamps of the events decide.
- **14 bits.** The first half of a position (controllers 0 to 31, or 6 for an NRPN) comes before its second half (32 to
  63, or 38). A first half whose second half does not come within `HALF_WAIT_S` stands alone, as the MIDI 1.0
  specification allows. A controller that has never sent a second half is taken to have 7 bits.
- **NRPN.** Controllers 98 and 99 select a parameter on their channel, and data entry (6, 38) then sets it. Controllers
  100 and 101 select a registered parameter (RPN), which is no knob: see `melody`.
- **Steps.** An endless knob sends how far it was turned, not where it stands.
"""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from sideman.core.events import ControlChange
from sideman.core.settings.bindings import FIRST_FINE_CONTROLLER
from sideman.core.targets import ControllerForm

PRESSED_FROM = 64
"""A controller at this value or above is pressed."""
RELEASED_AT = 40
"""A pressed controller is released at this value or below."""
DEAD_TIME_S = 0.02
"""A press this soon after another press, or after a release, is the bounce of a contact."""
HALF_WAIT_S = 0.01
"""How long the first half of a 14-bit position waits for the second one."""
DATA_ENTRY, DATA_ENTRY_FINE = 6, 38
PARAMETER_NUMBERS = {98: ("nrpn", 0), 99: ("nrpn", 1), 100: ("rpn", 0), 101: ("rpn", 1)}
"""The controllers that select a parameter: its kind, and whether they carry the lower (0) or the upper half (1)."""
MAX_POSITION, MAX_FINE_POSITION = 127, 16383

_NO_PARAMETER = 16383
BindingKey = Literal["midi.cc", "midi.nrpn"]


class Switch(Struct):
    """A pedal, button or pad that performs an action; `is_down` while it is held."""

    is_down: bool = False
    changed_at: float = -math.inf  # the second of the last press or release
    pressed_at: float = -math.inf  # the second of the last press that counted

    def move(self, position: int, second: float) -> bool:
        """Take in the position of a controller; returns whether that is a press."""
        if not self.is_down and position >= PRESSED_FROM:
            return self.press(second)
        if self.is_down and position <= RELEASED_AT:
            self.release(second)
        return False

    def press(self, second: float) -> bool:
        """The switch goes down; returns whether that counts as a press."""
        counts = second - max(self.pressed_at, self.changed_at) >= DEAD_TIME_S
        self.is_down, self.changed_at = True, second
        if counts:
            self.pressed_at = second
        return counts

    def release(self, second: float) -> None:
        """The switch comes up."""
        self.is_down, self.changed_at = False, second


def steps_of(form: ControllerForm, value: int) -> int:
    """Return how far an endless knob has been turned: positive to the right."""
    if form == "relative binary-offset":
        return value - 64
    if value < 64:
        return value
    return 64 - value if form == "relative sign-magnitude" else value - 128


class Movement(Struct, frozen=True):
    """A controller moves to `position` of 0..`top`. Its binding is the entry `number` of the bindings `key`."""

    key: BindingKey
    number: int
    position: int
    top: int = MAX_POSITION


class SelectedParameters:
    """Which parameter is selected on each channel, by controllers 98 to 101."""

    def __init__(self) -> None:
        self._halves: dict[tuple[int, str], list[int]] = {}  # lower and upper half, by channel and kind
        self._kinds: dict[int, str] = {}  # the kind that was selected last, by channel

    def select(self, item: ControlChange) -> bool:
        """Take in `item`; returns whether it selects a parameter."""
        if (named := PARAMETER_NUMBERS.get(item.number)) is None:
            return False
        kind, half = named
        self._halves.setdefault((item.channel, kind), [127, 127])[half] = item.value
        self._kinds[item.channel] = kind
        return True

    def selected(self, channel: int, kind: Literal["rpn", "nrpn"]) -> int | None:
        """Return the number of the parameter of this kind that data entry on `channel` sets, if there is one."""
        if self._kinds.get(channel) != kind:
            return None
        lower, upper = self._halves[channel, kind]
        number = upper << 7 | lower
        return None if number == _NO_PARAMETER else number


class _FinePosition(Struct):
    """The halves of a position with 14 bits; `waits_until`: the first half waits for the second until then."""

    first: int | None = None
    has_second: bool = False
    waits_until: float = math.inf


class FineControllers:
    """Joins the halves of positions with 14 bits, by channel, bindings and number."""

    def __init__(self) -> None:
        self._positions: dict[tuple[int, BindingKey, int], _FinePosition] = {}

    def first_half(self, channel: int, key: BindingKey, number: int, value: int, second: float) -> Movement | None:
        """Take in a first half; returns the movement if it has no second half to wait for."""
        fine = self._positions.setdefault((channel, key, number), _FinePosition())
        fine.first = value
        if fine.has_second:
            fine.waits_until = second + HALF_WAIT_S
            return None
        return Movement(key, number, value << 7 | value, MAX_FINE_POSITION)

    def second_half(self, channel: int, key: BindingKey, number: int, value: int) -> Movement | None:
        """Take in a second half; returns the movement if the first one has come before."""
        fine = self._positions.get((channel, key, number))
        if fine is None or fine.first is None:
            return None
        fine.has_second, fine.waits_until = True, math.inf
        return Movement(key, number, fine.first << 7 | value, MAX_FINE_POSITION)

    @property
    def next_due(self) -> float:
        """The second at which a first half will have waited long enough; infinite if none waits."""
        return min((fine.waits_until for fine in self._positions.values()), default=math.inf)

    def due(self, second: float) -> list[Movement]:
        """Return the movements of first halves that stand alone at `second`."""
        movements = []
        for (_, key, number), fine in self._positions.items():
            if fine.first is not None and fine.waits_until <= second:
                fine.waits_until = math.inf
                movements.append(Movement(key, number, fine.first << 7, MAX_FINE_POSITION))
        return movements


def fine_pair_number(number: int) -> int | None:
    """Return the number of the controller whose second half is `number`, if it is one from 32 to 63."""
    first = number - FIRST_FINE_CONTROLLER
    return first if 0 <= first < FIRST_FINE_CONTROLLER else None
