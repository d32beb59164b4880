# SPDX-License-Identifier: Apache-2.0
"""Learning: finds out which controller a hand moves, and how that controller sends its movement.

- **Not a hand**: bank selection, data entry and the selection of parameters, channel modes; a controller that already
  moved in the last `STREAM_REST_S` before learning began, until it has rested that long; a position that trembles by
  one or two; the second half of a 14-bit position.
- **A setting** is bound once a controller has gone through more than `TREMBLE` positions, in two messages at least. Two
  controllers 32 apart whose messages come in pairs have 14 bits.
- **An endless knob** repeats a few values, which a knob with an end does not: 1 and 127, 65 and 63, 1 and 65. Turned
  both ways it shows which encoding it has; turned one way only, the more usual one is taken after `ONE_WAY_STEPS`.
- **An action** is bound at a press, also of a button that was never seen before, or that says nothing at its release.
"""

from __future__ import annotations

from itertools import pairwise

from msgspec import Struct, field

from sideman.core.events import ControlChange
from sideman.core.input.controllers import (
    DATA_ENTRY,
    DATA_ENTRY_FINE,
    HALF_WAIT_S,
    MAX_POSITION,
    PARAMETER_NUMBERS,
    PRESSED_FROM,
    BindingKey,
    fine_pair_number,
)
from sideman.core.targets import ControllerForm, SettingTarget, Target

STREAM_REST_S = 0.5
"""A controller that moved within this time before learning began moves by itself."""
TREMBLE = 4
"""A position that stays this near to the first one trembles: two up and two down."""
ONE_WAY_STEPS, ONE_WAY_S = 8, 2.0
"""An endless knob that is turned one way only is recognised after this many messages within this time."""
UNBINDABLE_CONTROLLERS = frozenset(
    {0, 32, DATA_ENTRY, DATA_ENTRY_FINE, 96, 97, *PARAMETER_NUMBERS, *range(120, MAX_POSITION + 1)}
)
"""Controllers that cannot be learned: no hand moves them alone, and keyboards send some of them unasked."""

_REMEMBERED = 32  # values of a controller
_FEW_STEPS = 3  # messages of an endless knob whose encoding is known
_FASTEST = 15  # the most steps in one message by which an endless knob is recognised
_FARTHEST = 48  # no hand moves a knob with an end so far in one message
_RIGHT, _LEFT = frozenset(range(1, _FASTEST + 1)), frozenset(range(128 - _FASTEST, 128))
_OFFSET_RIGHT, _OFFSET_LEFT = frozenset(range(65, 65 + _FASTEST)), frozenset(range(64 - _FASTEST, 64))
_SINGLE_STEPS = {1, 127, 63, 65}  # an endless knob that is turned by hand sends these, too
_ENCODINGS: tuple[tuple[ControllerForm, frozenset[int], frozenset[int]], ...] = (
    ("relative", _RIGHT, _LEFT),
    ("relative binary-offset", _OFFSET_RIGHT, _OFFSET_LEFT),
    ("relative sign-magnitude", _RIGHT, _OFFSET_RIGHT),
)
"""Each encoding with its values to the right and to the left, the more usual one first."""
_Place = tuple[int, BindingKey, int]  # channel, key of the bindings, number


class Learned(Struct, frozen=True):
    """The controller that was moved, its last position, and the form of its messages."""

    key: BindingKey
    number: int
    position: int
    form: ControllerForm


class _Seen(Struct, frozen=True):
    """The last message of a controller; `is_second_half` if it came right after one of the controller 32 lower."""

    value: int
    second: float
    is_second_half: bool


class _Candidate(Struct):
    """What a controller has sent since learning began: `values`, after the value `before`; None: not seen before.

    `seconds` says when.
    """

    before: int | None
    values: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def has_moved(self) -> bool:
        """Whether it was moved by more than a tremble."""
        return len(self.values) > 1 and self._reach > TREMBLE

    @property
    def is_pressed(self) -> bool:
        """Whether it is a switch that was pressed; a button may send 127 for its press and nothing else."""
        if self.before is None and self.values == [MAX_POSITION]:
            return True
        return max(self.values) >= PRESSED_FROM and self._reach > TREMBLE

    def is_turned(self, form: ControllerForm) -> bool:
        """Whether it is turned if it is an endless knob with this encoding."""
        sent = set(self.values)
        fits = any(sent <= right | left for each, right, left in _ENCODINGS if each == form)
        return fits and len(self.values) >= _FEW_STEPS and bool(sent & _SINGLE_STEPS)

    @property
    def _steady(self) -> bool:
        """Whether it has sent enough for an endless knob that is turned one way, as fast as a hand turns it."""
        return len(self.seconds) >= ONE_WAY_STEPS and self.seconds[-1] - self.seconds[-ONE_WAY_STEPS] <= ONE_WAY_S

    @property
    def _reach(self) -> int:
        reached = self.values if self.before is None else [self.before, *self.values]
        return max(reached) - min(reached)

    def encoding(self) -> ControllerForm | None:
        """Return the encoding of an endless knob; "absolute" if it is none; None if that has to be seen."""
        sent, count = set(self.values), len(self.values)
        fitting = [each for each in _ENCODINGS if sent <= each[1] | each[2] and sent & _SINGLE_STEPS]
        repeats = any(value == following for value, following in pairwise(self.values))
        if not fitting or not (repeats or max(sent) - min(sent) >= _FARTHEST):
            return "absolute"
        if 2 * len(sent) <= count:
            both_ways = [form for form, right, left in fitting if sent & right and sent & left]
            if both_ways or self._steady:
                return [*both_ways, fitting[0][0]][0]
        return "absolute" if count >= ONE_WAY_STEPS else None


class ControllerLearner:
    """Watches every controller, and says which one was moved after `begin`."""

    def __init__(self) -> None:
        self.target: Target | None = None
        """What is to be bound; None while nothing is to be learned."""
        self._seen: dict[tuple[int, int], _Seen] = {}  # the last message, by channel and number
        self._streams: set[tuple[int, int]] = set()  # the controllers that moved when learning began
        self._candidates: dict[_Place, _Candidate] = {}

    def begin(self, target: Target | None, second: float) -> None:
        """Learn `target` from now on; None ends learning."""
        self.target = target
        self._candidates = {}
        self._streams = {place for place, seen in self._seen.items() if second - seen.second < STREAM_REST_S}

    def hear(self, item: ControlChange, second: float, parameter: int | None) -> Learned | bool:
        """Take in a message; `parameter` is the NRPN that is selected on its channel.

        Returns what was learned; else whether the message may belong to what is learned, so that it must do nothing.
        """
        place = item.channel, item.number
        before = self._seen.get(place)
        self.note(item, second)
        if self.target is None:
            return False
        if place in self._streams and before is not None:
            if second - before.second < STREAM_REST_S:
                return False
            self._streams.discard(place)
        if item.number == DATA_ENTRY and parameter is not None:
            return self._hear_candidate((item.channel, "midi.nrpn", parameter), item.value, second, None)
        if item.number in UNBINDABLE_CONTROLLERS:
            return False
        first = fine_pair_number(item.number)
        if first is not None and (
            (item.channel, "midi.cc", first) in self._candidates or self._seen[place].is_second_half
        ):
            return True
        known = None if before is None else before.value
        return self._hear_candidate((item.channel, "midi.cc", item.number), item.value, second, known)

    def note(self, item: ControlChange, second: float) -> None:
        """Remember a message, without taking it for a movement to learn."""
        first = fine_pair_number(item.number)
        lower = None if first is None else self._seen.get((item.channel, first))
        is_pair = lower is not None and second - lower.second <= HALF_WAIT_S
        self._seen[item.channel, item.number] = _Seen(item.value, second, is_pair)

    def _hear_candidate(self, place: _Place, value: int, second: float, before: int | None) -> Learned | bool:
        candidate = self._candidates.setdefault(place, _Candidate(before))
        candidate.values.append(value)
        candidate.seconds.append(second)
        if len(candidate.values) > _REMEMBERED:
            candidate.before = candidate.values.pop(0)
            del candidate.seconds[0]
        form = self._form_of(place, candidate)
        if form is None:
            return True
        self.target = None
        _, key, number = place
        return Learned(key, number, value, form)

    def _form_of(self, place: _Place, candidate: _Candidate) -> ControllerForm | None:
        """Return the form of a controller that is to be bound; None if it is not known yet that a hand moves it."""
        channel, key, number = place
        if not isinstance(self.target, SettingTarget):
            return "absolute" if candidate.is_pressed else None
        if key == "midi.nrpn":
            return "absolute" if candidate.has_moved else None
        if self.target.form.startswith("relative"):
            return self.target.form if candidate.is_turned(self.target.form) else None
        fine = self._seen.get((channel, number + 32))
        if number < 32 and fine is not None and fine.is_second_half:
            return "14-bit" if candidate.has_moved else None
        encoding = candidate.encoding()
        if encoding == "absolute":
            return encoding if candidate.has_moved else None
        return encoding
