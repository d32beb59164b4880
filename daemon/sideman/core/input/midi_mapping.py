# SPDX-License-Identifier: Apache-2.0
"""The player's knobs, pedals, pads and program changes: what comes in as MIDI goes out as commands.

They are heard on every channel: pads and pedals often have one of their own. What is bound to something here is no
music, and goes no further: a note that is a switch is never heard, nor its release. A sustain pedal that went down as
music comes up as music, though it has become a switch meanwhile: else what it held would ring for ever.

A knob changes nothing until it has reached, or passed, the value that holds (soft take-over): so nothing jumps when a
preset, or somebody else, has changed it meanwhile. Its values are given at most every `TURN_S`, the last one always:
of a thousand a second none waits in a queue, and no note waits for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sideman.core.events import (
    Again,
    Begin,
    Change,
    Command,
    Control,
    Event,
    Halt,
    Learn,
    NoteOff,
    NoteOn,
    Panic,
    ProgramChange,
    SetMode,
    Tap,
)
from sideman.core.ledger import SUSTAIN
from sideman.core.reports import Asked
from sideman.core.settings.bindings import Action, Knob, Target
from sideman.core.settings.read_bindings import MODES, span_of
from sideman.core.settings.schema import MidiSettings, Mode, Settings, value_of
from sideman.core.settings.types import Choices, Span

TURN_S = 0.01
"""Between two times that the values of knobs count."""
PRESSED = 64
"""A controller at this value or above is pressed."""
UNLEARNED = frozenset({0, 32, *range(120, 128)})
"""Controllers that no hand moves: bank selection and the modes of a channel."""

Order = Command | Asked

_MOST = 127
_SWITCH = Choices((False, True))
_PLAIN: dict[str, Command] = {"start": Begin(), "stop": Halt(), "again": Again(), "panic": Panic(), "tap": Tap()}


@dataclass(slots=True)
class _Hand:
    """Where a controller stands, from 0 (None: not known); what it gave last; whether it has hold of the value."""

    place: int | None = None
    gave: object = None
    holds: bool = False


class Controls:
    """Where every controller stands, and what is still to be given."""

    def __init__(self) -> None:
        self._midi: MidiSettings | None = None
        self._knobs: dict[int, tuple[Knob, Span]] = {}
        self._actions: dict[str, dict[int, Action]] = {}
        self._hands: dict[int, _Hand] = {}
        self._held: set[tuple[int, int]] = set()
        self._pedals: set[int] = set()  # the channels whose sustain pedal is down, as music
        self._learning: Target | None = None
        self._mode: Mode | None = None
        self._turned: dict[str, object] = {}
        self._given = -math.inf

    def take(self, item: Event | Command, second: float, settings: Settings) -> tuple[Order, ...] | None:
        """What `item`, at `second`, asks for while `settings` hold; None where it is not for the controls.

        Every item is to pass here, so that what others change is known: then a knob has to reach the value anew.
        """
        self._adopt(settings.midi)
        match item:
            case Control(number, value) if not self._is_music(item):
                return self._control(number, value, second, settings)
            case NoteOn(pitch, _, channel):
                return self._strike(pitch, channel, settings)
            case NoteOff(pitch, channel) if (channel, pitch) in self._held:
                self._held.discard((channel, pitch))
                return ()
            case ProgramChange(program) if action := self._actions["programs"].get(program + 1):
                return self._act(action, settings)
            case Learn(target):
                self._learning = target
                return ()
            case Change(values):
                self._see(values)
            case SetMode(mode):
                self._see((("play.mode", mode),))
        return None

    @property
    def due(self) -> float:
        """The second when something is still to be given; infinite where there is nothing."""
        return self._given + TURN_S if self._turned else math.inf

    def give(self, second: float) -> tuple[Order, ...]:
        """The last values of the knobs that have been turned, if their time has come."""
        if second < self.due:
            return ()
        values, self._turned, self._given = tuple(self._turned.items()), {}, second
        return (Change(values),)

    def _adopt(self, midi: MidiSettings) -> None:
        """Know the tables, when they have changed; a controller with another target has hold of nothing."""
        if midi is self._midi:
            return
        self._midi, before = midi, self._knobs
        self._knobs = {number: (each, span_of(each)) for number, each in midi.cc if isinstance(each, Knob)}
        tables = {"cc": midi.cc, "notes": midi.notes, "programs": midi.programs}
        self._actions = {
            name: {number: each for number, each in table if isinstance(each, Action)} for name, table in tables.items()
        }
        for number, hand in self._hands.items():
            hand.holds = hand.holds and self._knobs.get(number) == before.get(number)

    def _see(self, values: tuple[tuple[str, object], ...]) -> None:
        """These values hold from now on, whoever gave them: a knob that did not has lost its hold."""
        for key, value in values:
            self._turned.pop(key, None)
            if key == "play.mode":
                self._mode = next(mode for mode in MODES if mode == value)
            for number, (knob, _) in self._knobs.items():
                hand = self._hands.get(number)
                if hand is not None and knob.key == key and hand.gave != value:
                    hand.holds = False

    # -- controllers

    def _is_music(self, item: Control) -> bool:
        """Whether it is the sustain pedal that comes up, and went down before anything was bound to it."""
        if item.number != SUSTAIN:
            return False
        if item.value < PRESSED:
            was_down = item.channel in self._pedals
            self._pedals.discard(item.channel)
            return was_down
        bound = item.number in self._actions["cc"] or item.number in self._knobs
        if not bound and self._learning is None:
            self._pedals.add(item.channel)
        return False

    def _control(self, number: int, value: int, second: float, settings: Settings) -> tuple[Order, ...] | None:
        if self._learning is not None and number not in UNLEARNED:
            self._hands[number] = _Hand(value)
            return self._bind(self._learning, "midi.cc", number, settings.midi)
        action, knob = self._actions["cc"].get(number), self._knobs.get(number)
        if action is None and knob is None:
            return None
        hand = self._hands.setdefault(number, _Hand())
        before, hand.place = hand.place, value
        if knob is not None:
            return self._turn(*knob, hand, before, second, settings)
        pressed = value >= PRESSED and (before is None or before < PRESSED)
        return self._act(action, settings) if action and pressed else ()

    def _turn(
        self, knob: Knob, span: Span, hand: _Hand, before: int | None, second: float, settings: Settings
    ) -> tuple[Order, ...]:
        if knob.key == "tempo.bpm" and settings.tempo.source == "midi-clock":
            return ()  # that has its own
        place = hand.place or 0
        holding = self._holding(knob.key, settings)
        hand.holds = hand.holds or reached(span, holding, before, place)
        value = value_at(span, place)
        if hand.holds:
            hand.gave = value
        if not hand.holds or value == holding:
            return ()
        self._turned[knob.key] = value
        return self.give(second)

    def _holding(self, key: str, settings: Settings) -> object:
        """The value of `key` that holds, or will: one just turned to, or a mode that waits for its bar line."""
        if key == "play.mode" and key not in self._turned:
            return self._mode or settings.play.mode
        return self._turned[key] if key in self._turned else value_of(settings, key)

    # -- switches

    def _strike(self, pitch: int, channel: int, settings: Settings) -> tuple[Order, ...] | None:
        bound = isinstance(self._learning, Action)
        action = self._actions["notes"].get(pitch)
        if action is None and not bound:
            self._held.discard((channel, pitch))
            return None
        self._held.add((channel, pitch))
        if isinstance(self._learning, Action):
            return self._bind(self._learning, "midi.notes", pitch, settings.midi)
        return self._act(action, settings) if action else ()

    def _act(self, action: Action, settings: Settings) -> tuple[Order, ...]:
        if action.verb == "mode":
            return (SetMode(self._wanted_mode(action.argument, settings)),)
        return (_PLAIN.get(action.verb) or Asked(action.verb, action.argument),)

    def _wanted_mode(self, name: str, settings: Settings) -> Mode:
        """The mode called `name`; without a name the one after that which holds, or is to hold from the next bar on."""
        last = self._mode or settings.play.mode
        return next((mode for mode in MODES if mode == name), MODES[(MODES.index(last) + 1) % len(MODES)])

    # -- learning

    def _bind(self, target: Target, table: str, number: int, midi: MidiSettings) -> tuple[Order, ...]:
        """Bind `target` to what has just been moved, in place of what either of them was bound to."""
        self._learning = None
        after = {"midi.cc": midi.cc.without(target), "midi.notes": midi.notes.without(target)}
        after[table] = after[table].bound(number, target)
        return (Change(tuple(after.items())), Asked("learned", f"{table}.{number}={target.text}"))


def value_at(span: Span, place: int) -> object:
    """The value where a controller stands at `place`, 0..127: words part the way equally, a switch at its half."""
    if isinstance(span, Choices):
        return span.values[place * len(span.values) // (_MOST + 1)]
    width = span.high - span.low
    share = (place + 1) / (_MOST + 1) if span.above_low else place / _MOST
    value = span.low + share * width
    if span.whole:
        return round(value)
    # To be read and typed in again: a hundredth of a knob's step is nothing to a musician.
    return min(max(round(value, 4 - math.ceil(math.log10(width))), span.low), span.high)


def place_of(span: Span, value: object) -> float | None:
    """The place, 0..127, where a controller would give `value`, or the nearest to it; None for a value such as auto."""
    if isinstance(span, Choices):
        parts = len(span.values)
        return (span.values.index(value) + 0.5) * (_MOST + 1) / parts - 0.5 if value in span.values else None
    if not isinstance(value, int | float):
        return None
    share = (value - span.low) / (span.high - span.low)
    return min(max(share * (_MOST + 1) - 1 if span.above_low else share * _MOST, 0.0), float(_MOST))


def reached(span: Span, value: object, before: int | None, place: int) -> bool:
    """Whether a controller that goes from `before` to `place` has come to `value`, or past it; a switch always has."""
    goal = place_of(span, value)
    if goal is None or span == _SWITCH or value_at(span, place) == value or abs(place - goal) <= 1:
        return True
    return before is not None and (before - goal) * (place - goal) <= 0
