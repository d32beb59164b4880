# SPDX-License-Identifier: Apache-2.0
"""MIDI mapping: turns controllers, pads and program changes that are bound to something into commands.

1. **What is bound.** `midi.cc` and `midi.nrpn` bind controllers to settings or actions, `midi.notes` binds notes to
   actions, `midi.programs` binds program changes to presets; all of them on every channel. What is bound is not music:
   it goes no further, and the release of a bound note does not either. How the messages of a controller become
   movements and presses stands in `controllers`.
2. **Soft take-over.** A controller changes nothing until it reaches or passes the current value of its setting; then it
   has picked the value up. It loses the value when anything else changes the setting. So nothing jumps when a preset,
   `sideman ctl` or another controller has changed a value meanwhile. An endless knob goes on from the current value.
3. **Rate.** New values count at most every `MIN_TURN_INTERVAL_S`, the last one always. However fast a controller moves,
   no note waits for it.
4. **Learning.** After `LearnBinding` the next controller that a hand moves (for an action also the next note) is bound:
   see `learning`.
5. **Sustain pedal.** A pedal that went down before it was bound comes up as music; otherwise the notes that it sustains
   would never end.
6. **Feedback.** With `midi.feedback` each bound controller is sent the position of its setting: at the start, and when
   the setting has changed by another way. A controller that follows it has picked the value up. One that was moved
   within `REST_S` is sent nothing until it has rested that long, so that no motor works against a hand.
"""

from __future__ import annotations

import math
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sideman.core.actions import ACTIONS
from sideman.core.events import (
    ActionRequested,
    ChangeSettings,
    Command,
    ControlChange,
    LearnBinding,
    MidiEvent,
    NoteOff,
    NoteOn,
    ProgramChange,
    SetMode,
)
from sideman.core.input.controllers import (
    DATA_ENTRY,
    DATA_ENTRY_FINE,
    MAX_FINE_POSITION,
    MAX_POSITION,
    PRESSED_FROM,
    RELEASED_AT,
    BindingKey,
    FineControllers,
    Movement,
    SelectedParameters,
    Switch,
    fine_pair_number,
    steps_of,
)
from sideman.core.input.learning import ControllerLearner, Learned
from sideman.core.ledger import SUSTAIN
from sideman.core.settings.bindings import FIRST_FINE_CONTROLLER, controller_range_of, learnable, with_learned
from sideman.core.settings.groups.midi import MidiSettings
from sideman.core.settings.schema import Settings, value_of
from sideman.core.settings.types import ChoiceRange, ControllerRange, NumberRange
from sideman.core.targets import ActionTarget, ControllerForm, SettingTarget, Target
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman.core.turns import MODE_NAMES, ModeName

MIN_TURN_INTERVAL_S = 0.01
"""The shortest time between two changes that come from controllers."""
REST_S = 0.5
"""A controller that was moved this long ago is not being moved any more."""

MappedCommand = Command | ActionRequested
MappedCommands = tuple[MappedCommand, ...]

_Place = tuple[BindingKey, int]
"""A controller or an NRPN: the key of its bindings and its number."""


class _ControllerState(Struct):
    """The last position (None: unknown) and the last value of a controller; whether it has picked up its setting.

    `moved_at` is the second of its last movement.
    """

    position: int | None = None
    last_value: object = None
    picked_up: bool = False
    moved_at: float = -math.inf


class MidiMapping:
    """Maps everything that comes in. It has to see every event and command, so that it knows who changes a setting."""

    def __init__(self) -> None:
        self._midi: MidiSettings | None = None  # the bindings below are those of these settings
        self._controller_targets: dict[_Place, Target] = {}
        self._note_targets: dict[int, ActionTarget] = {}
        self._program_targets: dict[int, ActionTarget] = {}  # by program, from 1
        self._controllers: dict[_Place, _ControllerState] = {}
        self._fine_controllers = FineControllers()
        self._parameters = SelectedParameters()
        self._switches: dict[_Place | int, Switch] = {}  # of bound controllers, and of bound notes by pitch
        self._held_switches: set[tuple[int, int]] = set()  # channel and pitch of bound notes that are down
        self._sustained_channels: set[int] = set()  # the channels whose sustain pedal is down and was not bound then
        self._learner = ControllerLearner()
        self._requested_mode: ModeName | None = None  # the last mode that was requested
        self._pending_values: dict[str, object] = {}  # of controllers that moved again within MIN_TURN_INTERVAL_S
        self._flushed_at = -math.inf
        self._feedback_at = math.inf  # when a controller that is to be sent its position will have rested

    def handle(self, item: MidiEvent | Command, second: float, settings: Settings) -> MappedCommands | None:
        """Return the commands for `item`, which came in at `second`; None if it is not bound and goes on as music."""
        self._load_bindings(settings.midi)
        match item:
            case ControlChange():
                return self._control_change(item, second, settings)
            case NoteOn(pitch, _, channel):
                return self._note_on(pitch, channel, second, settings)
            case NoteOff(pitch, channel) if (channel, pitch) in self._held_switches:
                self._held_switches.discard((channel, pitch))
                self._switches.setdefault(pitch, Switch()).release(second)
                return ()
            case ProgramChange(program) if target := self._program_targets.get(program + 1):
                return self._perform(target, settings)
            case LearnBinding(target):
                self._learner.begin(target, second)
                return ()
            case ChangeSettings(values):
                self._settings_changed(values)
            case SetMode(mode):
                self._settings_changed((("play.mode", mode),))
        return None

    @property
    def next_due(self) -> float:
        """The second at which `flush` or `feedback` has something to return; infinite if nothing is pending."""
        values_due = self._flushed_at + MIN_TURN_INTERVAL_S if self._pending_values else math.inf
        return min(values_due, self._fine_controllers.next_due, self._feedback_at)

    def flush(self, second: float, settings: Settings) -> MappedCommands:
        """Return the pending values of controllers if they are due at `second`."""
        alone = self._fine_controllers.due(second)
        commands = [command for movement in alone for command in self._moved(movement, second, settings)]
        return (*commands, *self._flush_values(second))

    def _flush_values(self, second: float) -> MappedCommands:
        if not self._pending_values or second < self._flushed_at + MIN_TURN_INTERVAL_S:
            return ()
        values, self._pending_values, self._flushed_at = tuple(self._pending_values.items()), {}, second
        return (ChangeSettings(values),)

    def _load_bindings(self, midi: MidiSettings) -> None:
        """Take over changed bindings. A controller with another target has to pick up its value again."""
        if midi is self._midi:
            return
        self._midi, before = midi, self._controller_targets
        self._controller_targets = {("midi.cc", number): target for number, target in midi.cc}
        self._controller_targets |= {("midi.nrpn", number): target for number, target in midi.nrpn}
        self._note_targets, self._program_targets = (
            {number: target for number, target in bindings if isinstance(target, ActionTarget)}
            for bindings in (midi.notes, midi.programs)
        )
        for place, state in self._controllers.items():
            state.picked_up = state.picked_up and self._controller_targets.get(place) == before.get(place)

    def _settings_changed(self, values: tuple[tuple[str, object], ...]) -> None:
        """Take note of new values from any source. A controller that gave another value has to pick it up again."""
        for key, value in values:
            self._pending_values.pop(key, None)
            if key == "play.mode":
                self._requested_mode = next(mode for mode in MODE_NAMES if mode == value)
            for place, state in self._controllers.items():
                target = self._controller_targets.get(place)
                if isinstance(target, SettingTarget) and target.key == key and state.last_value != value:
                    state.picked_up = False

    def _current_value(self, key: str, settings: Settings) -> object:
        """Return the value of a setting that a controller goes on from: the last one that was asked for."""
        if key in self._pending_values:
            return self._pending_values[key]
        if key == "play.mode":  # a requested mode waits for its bar line
            return self._requested_mode or settings.play.mode
        return value_of(settings, key)

    # -- controllers

    def _control_change(self, item: ControlChange, second: float, settings: Settings) -> MappedCommands | None:
        self._parameters.select(item)
        target = self._learner.target
        if self._is_sustain_release(item):
            self._learner.note(item, second)
            return None
        learned = self._learner.hear(item, second, self._parameters.selected(item.channel, "nrpn"))
        if isinstance(learned, Learned) and target is not None:
            return self._controller_learned(target, learned, second, settings.midi)
        if learned:
            return ()
        if (place := self._place_of(item)) is None:
            return None
        movement = self._movement(item, place, second)
        if movement is None:
            return ()
        return (*self._moved(movement, second, settings), *self._flush_values(second))

    def _is_sustain_release(self, item: ControlChange) -> bool:
        """Whether the sustain pedal comes up that went down as music, before anything was bound to it."""
        if item.number != SUSTAIN:
            return False
        if item.value < PRESSED_FROM:
            was_down = item.channel in self._sustained_channels
            self._sustained_channels.discard(item.channel)
            return was_down
        if ("midi.cc", item.number) not in self._controller_targets and self._learner.target is None:
            self._sustained_channels.add(item.channel)
        return False

    def _place_of(self, item: ControlChange) -> _Place | None:
        """Return the bound controller or NRPN that `item` moves, if there is one."""
        if item.number in (DATA_ENTRY, DATA_ENTRY_FINE):
            parameter = self._parameters.selected(item.channel, "nrpn")
            if parameter is not None and ("midi.nrpn", parameter) in self._controller_targets:
                return "midi.nrpn", parameter
            if self._parameters.selected(item.channel, "rpn") is not None:
                return None  # such as the range of the pitch wheel
        first = fine_pair_number(item.number)
        if first is not None and self._form(("midi.cc", first)) == "14-bit":
            return "midi.cc", first
        return ("midi.cc", item.number) if ("midi.cc", item.number) in self._controller_targets else None

    def _form(self, place: _Place) -> ControllerForm:
        target = self._controller_targets.get(place)
        if place[0] == "midi.nrpn":
            return "14-bit"
        return target.form if isinstance(target, SettingTarget) else "absolute"

    def _movement(self, item: ControlChange, place: _Place, second: float) -> Movement | None:
        """Return the movement of the controller at `place`; None if half of its position is still to come."""
        key, number = place
        if self._form(place) != "14-bit":
            return Movement(key, number, item.value)
        if item.number in (DATA_ENTRY_FINE, number + FIRST_FINE_CONTROLLER):
            return self._fine_controllers.second_half(item.channel, key, number, item.value)
        return self._fine_controllers.first_half(item.channel, key, number, item.value, second)

    def _moved(self, movement: Movement, second: float, settings: Settings) -> MappedCommands:
        """Return the command of an action; a value is left among the pending ones."""
        place = movement.key, movement.number
        target = self._controller_targets.get(place)
        if isinstance(target, ActionTarget):
            switch = self._switches.setdefault(place, Switch())
            pressed = switch.move(movement.position * (MAX_POSITION + 1) // (movement.top + 1), second)
            return self._perform(target, settings) if pressed else ()
        if target is None or (target.key == "tempo.bpm" and not CLOCK_SOURCES[settings.tempo.source].accepts_tempo):
            return ()  # the clock that is followed sets the tempo
        current, controller_range = self._current_value(target.key, settings), controller_range_of(target)
        if target.form.startswith("relative"):
            value = stepped_value(controller_range, current, steps_of(target.form, movement.position))
        else:
            state = self._controllers.setdefault(place, _ControllerState())
            previous, state.position, state.moved_at = state.position, movement.position, second
            if not state.picked_up:
                reached = reaches_value(controller_range, current, previous, movement.position, movement.top)
                state.picked_up = reached
            if not state.picked_up:
                return ()
            value = state.last_value = value_at_position(controller_range, movement.position, movement.top)
        if value != current:
            self._pending_values[target.key] = value
        return ()

    # -- feedback

    def feedback(self, second: float, settings: Settings, *, everything: bool = False) -> list[MidiEvent]:
        """Return what shows the settings on the controllers that stand elsewhere, or on all if `everything`."""
        if not settings.midi.feedback:
            return []
        self._load_bindings(settings.midi)
        self._feedback_at, sent = math.inf, list[MidiEvent]()
        for place, target in self._controller_targets.items():
            if not isinstance(target, SettingTarget):
                continue
            state = self._controllers.setdefault(place, _ControllerState())
            value, top = self._current_value(target.key, settings), self._top(place)
            position = position_of_value(controller_range_of(target), value, top)
            if position is None or (state.position == round(position) and not everything):
                continue
            if state.picked_up and state.last_value == value and not everything:
                continue  # it gave this value itself
            if second < state.moved_at + REST_S:
                self._feedback_at = min(self._feedback_at, state.moved_at + REST_S)
                continue
            state.position, state.last_value, state.picked_up = round(position), value, True
            sent += _position_messages(place, state.position, top, settings.midi.channel)
        return sent

    def _top(self, place: _Place) -> int:
        return MAX_FINE_POSITION if self._form(place) == "14-bit" else MAX_POSITION

    # -- actions

    def _note_on(self, pitch: int, channel: int, second: float, settings: Settings) -> MappedCommands | None:
        if isinstance(learning := self._learner.target, ActionTarget):
            self._held_switches.add((channel, pitch))
            self._switches[pitch] = Switch(is_down=True)
            self._learner.begin(None, second)
            return self._learned(learning, "midi.notes", pitch, settings.midi)
        if target := self._note_targets.get(pitch):
            self._held_switches.add((channel, pitch))
            pressed = self._switches.setdefault(pitch, Switch()).press(second)
            return self._perform(target, settings) if pressed else ()
        self._held_switches.discard((channel, pitch))
        return None

    def _perform(self, target: ActionTarget, settings: Settings) -> MappedCommands:
        """Return the command of an action, or the request for the main thread if it has none."""
        if target.name == "mode":
            last = self._requested_mode or settings.play.mode
            following = MODE_NAMES[(MODE_NAMES.index(last) + 1) % len(MODE_NAMES)]
            return (SetMode(next((mode for mode in MODE_NAMES if mode == target.argument), following)),)
        return (ACTIONS[target.name].command or ActionRequested(target.name, target.argument),)

    # -- learning

    def _controller_learned(
        self, target: Target, learned: Learned, second: float, midi: MidiSettings
    ) -> MappedCommands:
        place = learned.key, learned.number
        if isinstance(target, ActionTarget):  # performed at the next press
            self._switches[place] = Switch(is_down=learned.position > RELEASED_AT, changed_at=second)
        elif target.form == "absolute":
            target = replace(target, form=learned.form)
        plain = learned.form == "absolute" and learned.key == "midi.cc"
        self._controllers[place] = _ControllerState(learned.position if plain else None, moved_at=second)
        return self._learned(target, learned.key, learned.number, midi)

    def _learned(self, target: Target, key: str, number: int, midi: MidiSettings) -> MappedCommands:
        """Bind `target` to what has just been moved. Earlier bindings of either of them are removed."""
        before = learnable(midi)
        after = with_learned(before, f"{key}.{number}", target)
        changes = tuple((name, bindings) for name, bindings in after.items() if name == key or bindings != before[name])
        return (ChangeSettings(changes), ActionRequested("learned", f"{key}.{number}={target.text}"))


# -- positions and values


def value_at_position(controller_range: ControllerRange, position: int, top: int = MAX_POSITION) -> object:
    """Return the value of a controller at `position`, 0..`top`. Choices divide the way into equal parts."""
    if isinstance(controller_range, ChoiceRange):
        return controller_range.values[position * len(controller_range.values) // (top + 1)]
    width = controller_range.high - controller_range.low
    share = (position + 1) / (top + 1) if controller_range.excludes_low else position / top
    return _tidy_value(controller_range, controller_range.low + share * width, 4 if top == MAX_POSITION else 6)


def _tidy_value(controller_range: NumberRange, value: float, digits: int) -> float:
    """Return `value` with so few digits that people can read and type it; what is lost is far less than a step."""
    if controller_range.integers_only:
        return round(value)
    low, high = controller_range.low, controller_range.high
    return min(max(round(value, digits - math.ceil(math.log10(high - low))), low), high)


def position_of_value(controller_range: ControllerRange, value: object, top: int = MAX_POSITION) -> float | None:
    """Return the position, 0..`top`, that gives `value` or comes nearest to it; None for a value such as auto."""
    if isinstance(controller_range, ChoiceRange):
        if value not in controller_range.values:
            return None
        part = (top + 1) / len(controller_range.values)
        return (controller_range.values.index(value) + 0.5) * part - 0.5
    if not isinstance(value, int | float):
        return None
    share = (value - controller_range.low) / (controller_range.high - controller_range.low)
    position = share * (top + 1) - 1 if controller_range.excludes_low else share * top
    return min(max(position, 0.0), float(top))


def reaches_value(
    controller_range: ControllerRange, value: object, previous: int | None, position: int, top: int = MAX_POSITION
) -> bool:
    """Whether a controller that moves from `previous` to `position` reaches or passes `value`.

    A switch always does, and so does every controller whose setting has a value that no position gives, such as auto.
    """
    goal = position_of_value(controller_range, value, top)
    if goal is None or controller_range == ChoiceRange((False, True)) or abs(position - goal) <= top / MAX_POSITION:
        return True
    passes_goal = previous is not None and (previous - goal) * (position - goal) <= 0
    return passes_goal or value_at_position(controller_range, position, top) == value


def stepped_value(controller_range: ControllerRange, value: object, steps: int) -> object:
    """Return the value that an endless knob reaches from `value` by `steps`: positive upwards.

    A step is the next word or whole number, or a 127th of the range where that is more. A value such as auto goes on
    from the middle. A value beyond the range comes nearer step by step, and goes no further away.
    """
    if steps == 0:
        return value
    if isinstance(controller_range, ChoiceRange):
        last = len(controller_range.values) - 1
        index = controller_range.values.index(value) if value in controller_range.values else last / 2
        return controller_range.values[int(min(max(index + steps, 0), last))]
    low, high = controller_range.low, controller_range.high
    start = value if isinstance(value, int | float) else (low + high) / 2
    step = max((high - low) / MAX_POSITION, float(controller_range.integers_only))
    lowest: Any = value_at_position(controller_range, 0)
    reached = min(max(start + steps * step, min(lowest, start)), max(high, start))
    return _tidy_value(controller_range, reached, 4) if low <= reached <= high else type(start)(reached)


def _position_messages(place: _Place, position: int, top: int, channel: int) -> list[MidiEvent]:
    """Return what moves the controller at `place` to `position`."""
    (key, number), upper, lower = place, position >> 7, position & 0x7F
    if top == MAX_POSITION:
        messages = [(number, position)]
    elif key == "midi.cc":
        messages = [(number, upper), (number + FIRST_FINE_CONTROLLER, lower)]
    else:
        messages = [(99, number >> 7), (98, number & 0x7F), (DATA_ENTRY, upper), (DATA_ENTRY_FINE, lower)]
    return [ControlChange(controller, value, channel) for controller, value in messages]
