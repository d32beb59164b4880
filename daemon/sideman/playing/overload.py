# SPDX-License-Identifier: Apache-2.0
"""What becomes of more messages than the player can take in: each sender has a budget.

A MIDI cable carries about a thousand messages a second, so no musician comes near the budget. What a sender sends
beyond it, a program gone wild or one that means harm, is treated like this:

- **Notes.** A note-on is left out, and then its note-off too. The note-off of a note-on that was taken in is always
  taken in: no key stays down.
- **Clock ticks** have a larger budget of their own, many times that of the fastest tempo, so none of a clock that is
  followed is lost in a storm of notes.
- **Everything else** (controllers, bends, programs, song positions, requests) is held back. Of what is held back only
  the newest of a kind counts: a controller keeps its last value, of presets only the last is used. Data entry is held
  back together with the parameter that it is for.

What is left out or overtaken is counted. Nothing here reads a clock: the seconds are those of the arrivals.
"""

from __future__ import annotations

from collections.abc import Hashable

from msgspec import Struct

from sideman.core.actions import Start, Stop
from sideman.core.events import (
    ChangeSettings,
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    Command,
    ControlChange,
    MidiEvent,
    NoteOff,
    NoteOn,
)
from sideman.core.input.controllers import DATA_ENTRY, DATA_ENTRY_FINE, PARAMETER_NUMBERS

MAX_PER_SECOND, BURST = 2000.0, 500
"""The budget of a sender: messages a second in the long run, and at once."""
MAX_NOTES_PER_SECOND, NOTE_BURST = 400.0, 200
"""The part of it that may be note-ons: each of them moves the network on. Ten fingers play a hundred a second."""
MAX_TICKS_PER_SECOND, TICK_BURST = 1000.0, 1000
"""The same for clock ticks, apart from the others. At 400 bpm there are 160 a second."""
MAX_WAITING = 500
"""The most messages of a sender that wait to be taken in, besides ticks and note-offs."""
MAX_HELD = 512
"""The most kinds of messages of a sender that are held back; the oldest are left out."""

_ONE_KIND = {ClockStart: "clock", ClockContinue: "clock", ClockStop: "clock", Start: "transport", Stop: "transport"}
"""Messages of different types that overtake each other."""


class Arrival(Struct, frozen=True):
    """An event or a command with the second at which it came in; None asks the player to stop."""

    second: float
    item: MidiEvent | Command | None


class Overload(Struct):
    """What was left out: note-ons and clock ticks; and how many other messages were overtaken by newer ones."""

    notes: int = 0
    ticks: int = 0
    overtaken: int = 0

    def __add__(self, other: Overload) -> Overload:
        return Overload(self.notes + other.notes, self.ticks + other.ticks, self.overtaken + other.overtaken)


class _Budget:
    """`rate` a second in the long run, `burst` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._second = float(burst), 0.0

    def take(self, second: float) -> bool:
        """Whether there is one left at `second`, which is taken then."""
        self._left = min(self._burst, self._left + max(0.0, second - self._second) * self._rate)
        self._second = max(self._second, second)
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Sender:
    """What one sender may send. `keys_down` are the keys whose note-on was taken in from any sender: pitch, channel."""

    def __init__(self, keys_down: set[tuple[int, int]]) -> None:
        self.overload = Overload()
        self.taken = 0
        """How many of the messages that were admitted have been taken in."""
        self._admitted = 0
        self._keys_down = keys_down
        self._notes = _Budget(MAX_NOTES_PER_SECOND, NOTE_BURST)
        self._messages, self._ticks = _Budget(MAX_PER_SECOND, BURST), _Budget(MAX_TICKS_PER_SECOND, TICK_BURST)
        self._held: dict[Hashable, list[Arrival]] = {}  # in the order of the last change
        self._selected: dict[int, dict[int, Arrival]] = {}  # by channel: what selects the present parameter

    @property
    def holds(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)

    @property
    def waiting(self) -> int:
        """How many messages wait to be taken in."""
        return self._admitted - self.taken

    def admit(self, arrival: Arrival, *, is_behind: bool = False) -> bool:
        """Whether `arrival` is to be taken in in its turn. If not, it is left out or held back.

        Nothing that can wait is admitted if everybody `is_behind`.
        """
        item, second = arrival.item, arrival.second
        if isinstance(item, ClockTick):
            admitted = self.waiting < MAX_WAITING + TICK_BURST and self._ticks.take(second)
            self.overload.ticks += not admitted
        elif isinstance(item, NoteOff) and (item.pitch, item.channel) in self._keys_down:
            self._keys_down.discard((item.pitch, item.channel))
            admitted = True
        else:
            admitted = not is_behind and self.waiting < MAX_WAITING and self._messages.take(second)
            if isinstance(item, NoteOn):
                admitted = admitted and self._notes.take(second)
                self.overload.notes += not admitted
                if admitted:
                    self._keys_down.add((item.pitch, item.channel))
            elif not isinstance(item, NoteOff):
                admitted = self._admit_in_order(arrival, within_budget=admitted)
        self._admitted += admitted
        return admitted

    def release(self) -> list[Arrival]:
        """Return what has been held back for the longest time, in order."""
        return self._held.pop(next(iter(self._held))) if self._held else []

    def _admit_in_order(self, arrival: Arrival, *, within_budget: bool) -> bool:
        """Whether neither the budget nor an older message of its kind holds `arrival` back."""
        item = arrival.item
        if isinstance(item, ControlChange) and item.number in (*PARAMETER_NUMBERS, DATA_ENTRY, DATA_ENTRY_FINE):
            return self._admit_parameter(arrival, item, within_budget=within_budget)
        kind = (
            _ONE_KIND.get(type(item), type(item).__name__),  # type: ignore[arg-type]
            getattr(item, "channel", 0),
            getattr(item, "number", 0),
        )
        older = self._held.pop(kind, None)
        if older is None and within_budget:
            return True
        if older is not None:
            self.overload.overtaken += 1
            if isinstance(item, ChangeSettings) and isinstance(before := older[0].item, ChangeSettings):
                values = {**dict(before.values), **dict(item.values)}
                arrival = Arrival(arrival.second, ChangeSettings(tuple(values.items())))
        self._hold(kind, [arrival])
        return False

    def _admit_parameter(self, arrival: Arrival, item: ControlChange, *, within_budget: bool) -> bool:
        """The same for what selects a parameter (RPN, NRPN) or sets it."""
        selected = self._selected.setdefault(item.channel, {})
        selects = item.number in PARAMETER_NUMBERS
        if selects:
            kind, _ = PARAMETER_NUMBERS[item.number]
            for number in [number for number in selected if PARAMETER_NUMBERS[number][0] != kind]:
                del selected[number]  # one of the two kinds is selected
            selected[item.number] = arrival
        selection = "selection", item.channel, 0
        if within_budget and selection not in self._held:
            return True
        if not selects:
            values = tuple((number, each.item.value) for number, each in sorted(selected.items()))  # type: ignore[union-attr]
            older = self._held.pop(("parameter", item.channel, values), [])
            others = [each for each in older if each.item.number not in (*selected, item.number)]  # type: ignore[union-attr]
            self.overload.overtaken += bool(older)
            self._hold(("parameter", item.channel, values), [*selected.values(), *others, arrival])
        self._held.pop(selection, None)
        self._hold(selection, list(selected.values()))
        return False

    def _hold(self, kind: Hashable, arrivals: list[Arrival]) -> None:
        self._held[kind] = arrivals
        if len(self._held) > MAX_HELD:
            del self._held[next(iter(self._held))]
            self.overload.overtaken += 1
