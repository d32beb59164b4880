# SPDX-License-Identifier: Apache-2.0
"""MIDI mapping: turns controllers, pads and program changes that are bound to something into commands.

1. **What is bound.** `midi.cc` binds controllers to settings or actions, `midi.notes` binds notes to actions,
   `midi.programs` binds program changes to presets; all of them on every channel. What is bound is not music: it goes
   no further, and the release of a bound note does not either.
2. **Soft take-over.** A controller changes nothing until it reaches or passes the current value of its setting; then it
   has picked the value up. It loses the value when anything else changes the setting. So nothing jumps when a preset,
   `sideman ctl` or another controller has changed a value meanwhile.
3. **Rate.** New values count at most every `MIN_TURN_INTERVAL_S`, the last one always. However fast a controller moves,
   no note waits for it.
4. **Learning.** After `LearnBinding` the next controller that moves (for an action also the next note) is bound.
5. **Sustain pedal.** A pedal that went down before it was bound comes up as music; otherwise the notes that it sustains
   would never end.
"""

from __future__ import annotations

import math

from msgspec import Struct

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
from sideman.core.ledger import SUSTAIN
from sideman.core.settings.bindings import controller_range_of
from sideman.core.settings.schema import MidiSettings, Settings, value_of
from sideman.core.settings.types import ChoiceRange, ControllerRange
from sideman.core.targets import ActionTarget, SettingTarget, Target
from sideman.core.timing.clock_source import CLOCK_SOURCES
from sideman.core.turns import MODE_NAMES, ModeName

MIN_TURN_INTERVAL_S = 0.01
"""The shortest time between two changes that come from controllers."""
PRESSED_FROM = 64
"""A controller at this value or above is pressed."""
UNBINDABLE_CONTROLLERS = frozenset({0, 32, *range(120, 128)})
"""Controllers that cannot be learned, since keyboards send them unasked: bank selection and channel modes."""

MappedCommand = Command | ActionRequested
MappedCommands = tuple[MappedCommand, ...]

_MAX_POSITION = 127


class _ControllerState(Struct):
    """The last position (None: unknown) and the last value of a controller; whether it has picked up its setting."""

    position: int | None = None
    last_value: object = None
    picked_up: bool = False


class MidiMapping:
    """Maps everything that comes in. It has to see every event and command, so that it knows who changes a setting."""

    def __init__(self) -> None:
        self._midi: MidiSettings | None = None  # the bindings below are those of these settings
        self._controller_targets: dict[int, Target] = {}
        self._note_targets: dict[int, ActionTarget] = {}
        self._program_targets: dict[int, ActionTarget] = {}  # by program, from 1
        self._controllers: dict[int, _ControllerState] = {}
        self._held_switches: set[tuple[int, int]] = set()  # channel and pitch of bound notes that are down
        self._sustained_channels: set[int] = set()  # the channels whose sustain pedal is down and was not bound then
        self._learn_target: Target | None = None
        self._requested_mode: ModeName | None = None  # the last mode that was requested
        self._pending_values: dict[str, object] = {}  # of controllers that moved again within MIN_TURN_INTERVAL_S
        self._flushed_at = -math.inf

    def handle(self, item: MidiEvent | Command, second: float, settings: Settings) -> MappedCommands | None:
        """Return the commands for `item`, which came in at `second`; None if it is not bound and goes on as music."""
        self._load_bindings(settings.midi)
        match item:
            case ControlChange() if not self._is_sustain_release(item):
                return self._controller_moved(item, second, settings)
            case NoteOn(pitch, _, channel):
                return self._note_on(pitch, channel, settings)
            case NoteOff(pitch, channel) if (channel, pitch) in self._held_switches:
                self._held_switches.discard((channel, pitch))
                return ()
            case ProgramChange(program) if target := self._program_targets.get(program + 1):
                return self._perform(target, settings)
            case LearnBinding(target):
                self._learn_target = target
                return ()
            case ChangeSettings(values):
                self._settings_changed(values)
            case SetMode(mode):
                self._settings_changed((("play.mode", mode),))
        return None

    @property
    def next_due(self) -> float:
        """The second at which `flush` has something to return; infinite if nothing is pending."""
        return self._flushed_at + MIN_TURN_INTERVAL_S if self._pending_values else math.inf

    def flush(self, second: float) -> MappedCommands:
        """Return the pending values of controllers if they are due at `second`."""
        if second < self.next_due:
            return ()
        values, self._pending_values, self._flushed_at = tuple(self._pending_values.items()), {}, second
        return (ChangeSettings(values),)

    def _load_bindings(self, midi: MidiSettings) -> None:
        """Take over changed bindings. A controller with another target has to pick up its value again."""
        if midi is self._midi:
            return
        self._midi, before = midi, self._controller_targets
        self._controller_targets = dict(midi.cc)
        self._note_targets, self._program_targets = (
            {number: target for number, target in bindings if isinstance(target, ActionTarget)}
            for bindings in (midi.notes, midi.programs)
        )
        for number, state in self._controllers.items():
            state.picked_up = state.picked_up and self._controller_targets.get(number) == before.get(number)

    def _settings_changed(self, values: tuple[tuple[str, object], ...]) -> None:
        """Take note of new values from any source. A controller that gave another value has to pick it up again."""
        for key, value in values:
            self._pending_values.pop(key, None)
            if key == "play.mode":
                self._requested_mode = next(mode for mode in MODE_NAMES if mode == value)
            for number, state in self._controllers.items():
                target = self._controller_targets.get(number)
                if isinstance(target, SettingTarget) and target.key == key and state.last_value != value:
                    state.picked_up = False

    # -- controllers

    def _is_sustain_release(self, item: ControlChange) -> bool:
        """Whether the sustain pedal comes up that went down as music, before anything was bound to it."""
        if item.number != SUSTAIN:
            return False
        if item.value < PRESSED_FROM:
            was_down = item.channel in self._sustained_channels
            self._sustained_channels.discard(item.channel)
            return was_down
        if item.number not in self._controller_targets and self._learn_target is None:
            self._sustained_channels.add(item.channel)
        return False

    def _controller_moved(self, item: ControlChange, second: float, settings: Settings) -> MappedCommands | None:
        number, position = item.number, item.value
        if self._learn_target is not None and number not in UNBINDABLE_CONTROLLERS:
            self._controllers[number] = _ControllerState(position)
            return self._learn(self._learn_target, "midi.cc", number, settings.midi)
        target = self._controller_targets.get(number)
        if target is None:
            return None
        state = self._controllers.setdefault(number, _ControllerState())
        previous, state.position = state.position, position
        if isinstance(target, SettingTarget):
            return self._turn(target, state, previous, second, settings)
        pressed = position >= PRESSED_FROM and (previous is None or previous < PRESSED_FROM)
        return self._perform(target, settings) if pressed else ()

    def _turn(
        self, target: SettingTarget, state: _ControllerState, previous: int | None, second: float, settings: Settings
    ) -> MappedCommands:
        if target.key == "tempo.bpm" and not CLOCK_SOURCES[settings.tempo.source].accepts_tempo:
            return ()  # the clock that is followed sets the tempo
        position, controller_range = state.position or 0, controller_range_of(target)
        if target.key in self._pending_values:
            current = self._pending_values[target.key]
        elif target.key == "play.mode":  # a requested mode waits for its bar line
            current = self._requested_mode or settings.play.mode
        else:
            current = value_of(settings, target.key)
        state.picked_up = state.picked_up or reaches_value(controller_range, current, previous, position)
        if not state.picked_up:
            return ()
        state.last_value = value_at_position(controller_range, position)
        if state.last_value == current:
            return ()
        self._pending_values[target.key] = state.last_value
        return self.flush(second)

    # -- actions

    def _note_on(self, pitch: int, channel: int, settings: Settings) -> MappedCommands | None:
        if isinstance(self._learn_target, ActionTarget):
            self._held_switches.add((channel, pitch))
            return self._learn(self._learn_target, "midi.notes", pitch, settings.midi)
        if target := self._note_targets.get(pitch):
            self._held_switches.add((channel, pitch))
            return self._perform(target, settings)
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

    def _learn(self, target: Target, key: str, number: int, midi: MidiSettings) -> MappedCommands:
        """Bind `target` to what has just been moved. Earlier bindings of either of them are removed."""
        self._learn_target = None
        after = {"midi.cc": midi.cc.without_target(target), "midi.notes": midi.notes.without_target(target)}
        after[key] = after[key].with_binding(number, target)
        return (ChangeSettings(tuple(after.items())), ActionRequested("learned", f"{key}.{number}={target.text}"))


# -- positions and values


def value_at_position(controller_range: ControllerRange, position: int) -> object:
    """Return the value of a controller at `position`, 0..127. Choices divide the way into equal parts."""
    if isinstance(controller_range, ChoiceRange):
        return controller_range.values[position * len(controller_range.values) // (_MAX_POSITION + 1)]
    width = controller_range.high - controller_range.low
    share = (position + 1) / (_MAX_POSITION + 1) if controller_range.excludes_low else position / _MAX_POSITION
    value = controller_range.low + share * width
    if controller_range.integers_only:
        return round(value)
    # Few digits, so that people can read and type the value; a hundredth of a controller's step makes no difference.
    return min(max(round(value, 4 - math.ceil(math.log10(width))), controller_range.low), controller_range.high)


def position_of_value(controller_range: ControllerRange, value: object) -> float | None:
    """Return the position, 0..127, that gives `value` or comes nearest to it; None for a value such as auto."""
    if isinstance(controller_range, ChoiceRange):
        if value not in controller_range.values:
            return None
        part = (_MAX_POSITION + 1) / len(controller_range.values)
        return (controller_range.values.index(value) + 0.5) * part - 0.5
    if not isinstance(value, int | float):
        return None
    share = (value - controller_range.low) / (controller_range.high - controller_range.low)
    position = share * (_MAX_POSITION + 1) - 1 if controller_range.excludes_low else share * _MAX_POSITION
    return min(max(position, 0.0), float(_MAX_POSITION))


def reaches_value(controller_range: ControllerRange, value: object, previous: int | None, position: int) -> bool:
    """Whether a controller that moves from `previous` to `position` reaches or passes `value`.

    A switch always does, and so does every controller whose setting has a value that no position gives, such as auto.
    """
    goal = position_of_value(controller_range, value)
    if goal is None or controller_range == ChoiceRange((False, True)) or abs(position - goal) <= 1:
        return True
    passes_goal = previous is not None and (previous - goal) * (position - goal) <= 0
    return passes_goal or value_at_position(controller_range, position) == value
