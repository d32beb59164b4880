# SPDX-License-Identifier: Apache-2.0
"""The player's knobs, pedals, pads and program changes: what comes in as MIDI goes out as commands.

They are heard on every channel: pads and pedals often have one of their own. What is bound to something here is no
music, and goes no further: a note that is a switch is never heard, nor its release. A sustain pedal that went down as
music comes up as music, though it has become a switch meanwhile: else what it held would ring for ever.

A knob changes nothing until it has reached, or passed, the value that holds (soft take-over): so nothing jumps when a
preset, or somebody else, has changed it meanwhile. Its values are given at most every `MIN_TURN_INTERVAL_S`, the last
one always: of a thousand a second none waits in a queue, and no note waits for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sideman.core.events import (
    ActionRequested,
    ChangeSettings,
    Command,
    ControlChange,
    LearnBinding,
    MidiEvent,
    NoteOff,
    NoteOn,
    Panic,
    PlayVariation,
    ProgramChange,
    SetMode,
    Start,
    Stop,
    TapTempo,
)
from sideman.core.ledger import SUSTAIN
from sideman.core.settings.bindings import ActionTarget, SettingTarget, Target
from sideman.core.settings.read_bindings import MODES, controller_range_of
from sideman.core.settings.schema import MidiSettings, ModeName, Settings, value_of
from sideman.core.settings.types import ChoiceRange, ControllerRange

MIN_TURN_INTERVAL_S = 0.01
"""Between two times that the values of knobs count."""
PRESSED_FROM = 64
"""A controller at this value or above is pressed."""
UNBINDABLE_CONTROLLERS = frozenset({0, 32, *range(120, 128)})
"""Controllers that no hand moves: bank selection and the modes of a channel."""

MappedCommand = Command | ActionRequested

_MAX_POSITION = 127
_ON_OFF = ChoiceRange((False, True))
_ACTION_COMMANDS: dict[str, Command] = {
    "start": Start(),
    "stop": Stop(),
    "again": PlayVariation(),
    "panic": Panic(),
    "tap": TapTempo(),
}


@dataclass(slots=True)
class _ControllerState:
    """Where a controller stands, from 0 (None: not known); what it gave last; whether it has hold of the value."""

    position: int | None = None
    last_value: object = None
    picked_up: bool = False


class MidiMapping:
    """Where every controller stands, and what is still to be given."""

    def __init__(self) -> None:
        self._midi: MidiSettings | None = None
        self._setting_targets: dict[int, tuple[SettingTarget, ControllerRange]] = {}
        self._action_targets: dict[str, dict[int, ActionTarget]] = {}
        self._controllers: dict[int, _ControllerState] = {}
        self._held_switches: set[tuple[int, int]] = set()
        self._sustained_channels: set[int] = set()  # the channels whose sustain pedal is down, as music
        self._learn_target: Target | None = None
        self._requested_mode: ModeName | None = None
        self._pending_values: dict[str, object] = {}
        self._flushed_at = -math.inf

    def handle(self, item: MidiEvent | Command, second: float, settings: Settings) -> tuple[MappedCommand, ...] | None:
        """What `item`, at `second`, asks for while `settings` hold; None where it is not for the controls.

        Every item is to pass here, so that what others change is known: then a knob has to reach the value anew.
        """
        self._load_bindings(settings.midi)
        match item:
            case ControlChange(number, value) if not self._is_sustain_release(item):
                return self._controller_moved(number, value, second, settings)
            case NoteOn(pitch, _, channel):
                return self._note_on(pitch, channel, settings)
            case NoteOff(pitch, channel) if (channel, pitch) in self._held_switches:
                self._held_switches.discard((channel, pitch))
                return ()
            case ProgramChange(program) if action := self._action_targets["programs"].get(program + 1):
                return self._perform_action(action, settings)
            case LearnBinding(target):
                self._learn_target = target
                return ()
            case ChangeSettings(values):
                self._note_changes(values)
            case SetMode(mode):
                self._note_changes((("play.mode", mode),))
        return None

    @property
    def next_due(self) -> float:
        """The second when something is still to be given; infinite where there is nothing."""
        return self._flushed_at + MIN_TURN_INTERVAL_S if self._pending_values else math.inf

    def flush(self, second: float) -> tuple[MappedCommand, ...]:
        """The last values of the knobs that have been turned, if their time has come."""
        if second < self.next_due:
            return ()
        values, self._pending_values, self._flushed_at = tuple(self._pending_values.items()), {}, second
        return (ChangeSettings(values),)

    def _load_bindings(self, midi: MidiSettings) -> None:
        """Know the tables, when they have changed; a controller with another target has hold of nothing."""
        if midi is self._midi:
            return
        self._midi, before = midi, self._setting_targets
        self._setting_targets = {
            number: (each, controller_range_of(each)) for number, each in midi.cc if isinstance(each, SettingTarget)
        }
        tables = {"cc": midi.cc, "notes": midi.notes, "programs": midi.programs}
        self._action_targets = {
            name: {number: each for number, each in table if isinstance(each, ActionTarget)}
            for name, table in tables.items()
        }
        for number, hand in self._controllers.items():
            hand.picked_up = hand.picked_up and self._setting_targets.get(number) == before.get(number)

    def _note_changes(self, values: tuple[tuple[str, object], ...]) -> None:
        """These values hold from now on, whoever gave them: a knob that did not has lost its hold."""
        for key, value in values:
            self._pending_values.pop(key, None)
            if key == "play.mode":
                self._requested_mode = next(mode for mode in MODES if mode == value)
            for number, (knob, _) in self._setting_targets.items():
                hand = self._controllers.get(number)
                if hand is not None and knob.key == key and hand.last_value != value:
                    hand.picked_up = False

    # -- controllers

    def _is_sustain_release(self, item: ControlChange) -> bool:
        """Whether it is the sustain pedal that comes up, and went down before anything was bound to it."""
        if item.number != SUSTAIN:
            return False
        if item.value < PRESSED_FROM:
            was_down = item.channel in self._sustained_channels
            self._sustained_channels.discard(item.channel)
            return was_down
        bound = item.number in self._action_targets["cc"] or item.number in self._setting_targets
        if not bound and self._learn_target is None:
            self._sustained_channels.add(item.channel)
        return False

    def _controller_moved(
        self, number: int, value: int, second: float, settings: Settings
    ) -> tuple[MappedCommand, ...] | None:
        if self._learn_target is not None and number not in UNBINDABLE_CONTROLLERS:
            self._controllers[number] = _ControllerState(value)
            return self._bind_learned(self._learn_target, "midi.cc", number, settings.midi)
        action, knob = self._action_targets["cc"].get(number), self._setting_targets.get(number)
        if action is None and knob is None:
            return None
        hand = self._controllers.setdefault(number, _ControllerState())
        before, hand.position = hand.position, value
        if knob is not None:
            return self._turn_setting(*knob, hand, before, second, settings)
        pressed = value >= PRESSED_FROM and (before is None or before < PRESSED_FROM)
        return self._perform_action(action, settings) if action and pressed else ()

    def _turn_setting(
        self,
        knob: SettingTarget,
        span: ControllerRange,
        hand: _ControllerState,
        previous_position: int | None,
        second: float,
        settings: Settings,
    ) -> tuple[MappedCommand, ...]:
        if knob.key == "tempo.bpm" and settings.tempo.source == "midi-clock":
            return ()  # that has its own
        place = hand.position or 0
        holding = self._current_value(knob.key, settings)
        hand.picked_up = hand.picked_up or reaches_value(span, holding, previous_position, place)
        value = value_at_position(span, place)
        if hand.picked_up:
            hand.last_value = value
        if not hand.picked_up or value == holding:
            return ()
        self._pending_values[knob.key] = value
        return self.flush(second)

    def _current_value(self, key: str, settings: Settings) -> object:
        """The value of `key` that holds, or will: one just turned to, or a mode that waits for its bar line."""
        if key == "play.mode" and key not in self._pending_values:
            return self._requested_mode or settings.play.mode
        return self._pending_values[key] if key in self._pending_values else value_of(settings, key)

    # -- switches

    def _note_on(self, pitch: int, channel: int, settings: Settings) -> tuple[MappedCommand, ...] | None:
        bound = isinstance(self._learn_target, ActionTarget)
        action = self._action_targets["notes"].get(pitch)
        if action is None and not bound:
            self._held_switches.discard((channel, pitch))
            return None
        self._held_switches.add((channel, pitch))
        if isinstance(self._learn_target, ActionTarget):
            return self._bind_learned(self._learn_target, "midi.notes", pitch, settings.midi)
        return self._perform_action(action, settings) if action else ()

    def _perform_action(self, action: ActionTarget, settings: Settings) -> tuple[MappedCommand, ...]:
        if action.name == "mode":
            return (SetMode(self._target_mode(action.argument, settings)),)
        return (_ACTION_COMMANDS.get(action.name) or ActionRequested(action.name, action.argument),)

    def _target_mode(self, name: str, settings: Settings) -> ModeName:
        """The mode called `name`; without a name the one after that which holds, or is to hold from the next bar on."""
        last = self._requested_mode or settings.play.mode
        return next((mode for mode in MODES if mode == name), MODES[(MODES.index(last) + 1) % len(MODES)])

    # -- learning

    def _bind_learned(self, target: Target, table: str, number: int, midi: MidiSettings) -> tuple[MappedCommand, ...]:
        """Bind `target` to what has just been moved, in place of what either of them was bound to."""
        self._learn_target = None
        after = {"midi.cc": midi.cc.without_target(target), "midi.notes": midi.notes.without_target(target)}
        after[table] = after[table].with_binding(number, target)
        return (ChangeSettings(tuple(after.items())), ActionRequested("learned", f"{table}.{number}={target.text}"))


def value_at_position(controller_range: ControllerRange, position: int) -> object:
    """The value where a controller stands at `position`, 0..127: words part the way equally, a switch at its half."""
    if isinstance(controller_range, ChoiceRange):
        return controller_range.values[position * len(controller_range.values) // (_MAX_POSITION + 1)]
    width = controller_range.high - controller_range.low
    share = (position + 1) / (_MAX_POSITION + 1) if controller_range.excludes_low else position / _MAX_POSITION
    value = controller_range.low + share * width
    if controller_range.integers_only:
        return round(value)
    # To be read and typed in again: a hundredth of a knob's step is nothing to a musician.
    return min(max(round(value, 4 - math.ceil(math.log10(width))), controller_range.low), controller_range.high)


def position_of_value(controller_range: ControllerRange, value: object) -> float | None:
    """The place, 0..127, where a controller would give `value`, or the nearest to it; None for a value such as auto."""
    if isinstance(controller_range, ChoiceRange):
        parts = len(controller_range.values)
        return (
            (controller_range.values.index(value) + 0.5) * (_MAX_POSITION + 1) / parts - 0.5
            if value in controller_range.values
            else None
        )
    if not isinstance(value, int | float):
        return None
    share = (value - controller_range.low) / (controller_range.high - controller_range.low)
    return min(
        max(share * (_MAX_POSITION + 1) - 1 if controller_range.excludes_low else share * _MAX_POSITION, 0.0),
        float(_MAX_POSITION),
    )


def reaches_value(
    controller_range: ControllerRange, value: object, previous_position: int | None, position: int
) -> bool:
    """Whether a controller that moves from `previous_position` to `position` reaches or passes `value`."""
    goal = position_of_value(controller_range, value)
    if (
        goal is None
        or controller_range == _ON_OFF
        or value_at_position(controller_range, position) == value
        or abs(position - goal) <= 1
    ):
        return True
    return previous_position is not None and (previous_position - goal) * (position - goal) <= 0
