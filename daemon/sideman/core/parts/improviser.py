# SPDX-License-Identifier: Apache-2.0
"""What to play next: the network's state, the line so far, the controls and the dice give one value at a time.

A choice is made ahead of its beat, on copies; only when it has sounded does it become part of the line, and with it
of the network's state. So a choice can be taken back at no cost when the player plays something in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sideman.core.parts.masks import Mask, Masks
from sideman.core.parts.reweight import Factors
from sideman.core.parts.smoothing import rules
from sideman.core.settings.schema import PlaySettings
from sideman.core.settings.types import Range
from sideman_models.music.context import Bars, Changes, Place, clashes, place_in_bar
from sideman_models.music.harmony import CHORD
from sideman_models.music.line import Line, Written
from sideman_models.music.smoothing import NONE, too_often
from sideman_models.music.values import GRID, TICKS, Value, realise
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import Network, State

Logits = npt.NDArray[np.float64]

PULSES = {"beat": TICKS, "eighth": TICKS // 2, "triplet": TICKS // 3, "sixteenth": TICKS // 4}
"""Ticks of a pulse at each pulsed rate; at rate `phrase` a value lasts its own duration."""

SHAPING = ("range", "rate", "window", "leap", "apart", "settle", "repetition", "longest")
"""The settings that masks and rules are made from."""

ROOM = 1.5
"""In a duet, by how much each onset a beat of the player raises the log-odds of a rest."""

_COLDEST = 1e-6  # a temperature below this is none
_VALUE_ROLL, _PITCH_ROLL, _VELOCITY_ROLL = range(3)


class Dice:
    """Throws that depend on the seed, the tick and the purpose alone, so that a choice taken back shifts no other."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # One generator set back to a counter before each throw: to make a new one takes seven times as long.
        self._bits = np.random.Philox(key=seed)
        self._generator = np.random.Generator(self._bits)
        self._state: Any = self._bits.state
        self._counter = self._state["state"]["counter"]

    def roll(self, tick: int, purpose: int) -> float:
        """A number from 0 up to, but not including, 1."""
        self._counter[:2] = tick & 0xFFFFFFFF, purpose
        self._bits.state = self._state
        return self._generator.random()


@dataclass(frozen=True, slots=True)
class Choice:
    """A value chosen for the onset at `tick`, of `length` ticks; a rest has no `pitch`.

    `index` is None where no value could be played at all: then it is a rest for want of anything else.
    """

    tick: int
    length: int
    index: int | None
    value: Value
    pitch: int | None
    velocity: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What the moment asks of a choice, beside the settings.

    To leave room to a player who is `busy` with so many onsets a beat; to end a silence of ours of `silent` ticks in
    time; to take `length` ticks; to `rest`, or to sound; to be a `tone` of the chord; to keep `within` a range.
    """

    busy: float = 0.0
    silent: int = 0
    length: int | None = None
    rest: bool = False
    sounds: bool = False
    tone: bool = False
    within: Range | None = None


FREE = Wish()


class Improviser:
    """Improvises one line over `changes` and `bars` with the network of a bundle, as `settings` say."""

    def __init__(
        self, bundle: Bundle, network: Network, changes: Changes, bars: Bars, settings: PlaySettings, seed: int
    ) -> None:
        self.bundle = bundle
        self.settings = settings
        self.dice = Dice(seed)
        self.state = State.zero(network.weights.n_a)
        self._network = network
        self._vocabulary = bundle.vocabulary
        self._context = bundle.context
        self.rules = rules(settings, classic=bundle.classic)
        self._allowed = self._masked()
        self._factors = Factors(bundle.vocabulary)
        self._line = Line(changes, bars)
        self._last: int | None = None
        self._ahead = State.zero(network.weights.n_a)
        self._rests = 0
        self._repeats = 0

    def adopt(self, settings: PlaySettings) -> None:
        """Play as other `settings` say, from the next choice on."""
        before, self.settings = self.settings, settings
        if settings.seed is not None and settings.seed != before.seed:
            self.dice = Dice(settings.seed)
        if any(getattr(settings, name) != getattr(before, name) for name in SHAPING):
            self.rules = rules(settings, classic=self.bundle.classic)
            self._allowed = self._masked()

    def _masked(self, within: Range | None = None) -> Masks:
        settings = self.settings if within is None else replace(self.settings, range=within)
        return Masks(self._vocabulary, settings, NONE if self.bundle.classic else self.rules)

    # -- what has sounded

    def hear(self, tick: float, pitch: int) -> None:
        """The player strikes `pitch` at `tick`: what that settles enters the network, the note with the next step."""
        self._count(pitch)
        self._enter(self._line.note(tick, pitch, heard=True))

    def hear_release(self, tick: float, pitch: int) -> None:
        """The player's `pitch` ends at `tick`, which may be to come; an earlier end may still be told."""
        if self._line.heard_pitch == pitch:
            self._line.release(tick)

    def changes_told(self) -> None:
        """The changes are others, from a little while ago on: what the player struck meanwhile is heard over them."""
        self._line.reconsider()

    def played(self, choice: Choice) -> None:
        """`choice` has sounded (or was the silence it meant to be)."""
        self._count(choice.pitch)
        if choice.pitch is None:
            self._enter(self._line.own_rest(choice.tick, drawn=choice.index))
            return
        begins = True if choice.value.interval is None else None
        self._enter(self._line.own_note(choice.tick, choice.pitch, begins=begins, drawn=choice.index))
        self._line.release(choice.tick + self.sounding(choice.length))

    def missed(self, choice: Choice) -> None:
        """`choice` came too late to be played: the network is told of the silence in its place."""
        self._count(None)
        self._enter(self._line.own_rest(choice.tick))

    def cut(self, tick: float) -> None:
        """Our note, if one sounds, was ended at `tick`, before its time."""
        self._line.cut(tick)

    def sounding(self, length: int) -> float:
        """For how many of `length` ticks a note sounds: `gate` of it, the silence growing no longer after one beat."""
        return min(length - (1.0 - self.settings.gate) * min(length, TICKS), self.settings.longest * TICKS)

    def _count(self, pitch: int | None) -> None:
        if pitch is None:
            self._rests += 1
            return
        self._rests = 0
        self._repeats = self._repeats + 1 if pitch == self._line.last_pitch else 1

    def _enter(self, written: Iterable[Written]) -> None:
        self._last = self._feed(written, self.state, self._last)

    def _feed(self, written: Iterable[Written], state: State, last: int | None) -> int | None:
        for one in written:
            drawn = one.drawn if self.bundle.classic else None
            index = self._vocabulary.nearest(one.value) if drawn is None else drawn
            if index is not None:
                self._step(one.place, state, last)
                last = index
        return last

    def _step(self, place: Place, state: State, last: int | None) -> npt.NDArray[np.float32]:
        clash = clashes(self._vocabulary, place) if self._network.weights.penalty else None
        return self._network.step(last, self._context.rows(place), clash, state)

    # -- what comes next

    def expect(self, tick: int) -> tuple[Place, Logits]:
        """The place of a value that begins at `tick`, and its logits (n_values,); nothing is changed."""
        line = self._line.copy()
        self._ahead.set(self.state)
        last = self._feed(line.settle_at(tick), self._ahead, self._last)
        place = line.place()
        return place, self._step(place, self._ahead, last).astype(np.float64)

    def choose(self, tick: int, wish: Wish = FREE) -> Choice:
        """Choose the value whose onset is at `tick`, as the moment wishes; nothing is changed."""
        place, logits = self.expect(tick)
        previous = place.previous
        index = self._wished(tick, place, logits, wish)
        length = wish.length or self._pulse(tick)
        if index is None:
            return Choice(tick, length or TICKS, None, Value("R", length or TICKS), None, 0)
        value = self._vocabulary.values[index]
        within = wish.within or self.settings.range
        roll = self.dice.roll(tick, _PITCH_ROLL)
        avoid, leap = previous if self._repeated else None, self.rules.leap
        low, high, window = within.low, within.high, self.settings.window
        pitch = realise(value, place.chord, previous, low, high, window, roll, avoid=avoid, leap=leap)
        velocity = 0 if pitch is None else self._velocity(tick, pitch, previous)
        return Choice(tick, length or self._lasts(tick, value), index, value, pitch, velocity)

    def _wished(self, tick: int, place: Place, logits: Logits, wish: Wish) -> int | None:
        if wish.rest:
            return None
        return self._draw(self._scaled(logits, wish.busy), self._masks(place, wish), self.dice.roll(tick, _VALUE_ROLL))

    def _lasts(self, tick: int, value: Value) -> int:
        """Ticks that `value` takes at `tick`: its own, which the rules of the originals may settle anew."""
        if not self.bundle.classic:
            return value.ticks
        return self.rules.length(place_in_bar(self._line.bars, tick), value.ticks, TICKS)

    def _pulse(self, tick: int) -> int | None:
        """Ticks from `tick` to the next pulse, of which one falls on every bar line; None at rate `phrase`."""
        pulse, (line, bar) = PULSES.get(self.settings.rate), self._line.bars.bar_at(tick)
        place = tick - line
        return pulse and min(pulse - place % pulse, bar - place)

    @property
    def _repeated(self) -> bool:
        """Whether the last pitch has been struck as often in a row as it may."""
        return too_often(self._repeats, self.rules.repetition)

    @property
    def _cold(self) -> bool:
        return self.settings.temperature < _COLDEST

    def _scaled(self, logits: Logits, busy: float = 0.0) -> Logits:
        settings = self.settings
        if settings.harmony != 1.0 or settings.contour != 1.0:
            logits = self._factors.weighed(logits, settings.harmony, settings.contour)
        if not self._cold:
            logits = logits / settings.temperature
        if settings.density != 1.0:
            floor = 1e-9  # a density of nothing leaves rests alone in the race
            logits = logits - np.where(self._vocabulary.rests, math.log(max(settings.density, floor)), 0.0)
        if busy:
            logits = logits + np.where(self._vocabulary.rests, ROOM * busy, 0.0)
        return logits

    def _masks(self, place: Place, wish: Wish) -> tuple[Mask, ...]:
        settings = self.settings
        forced = settings.rate in PULSES and self._rests >= settings.rests and not wish.busy
        allowed = self._allowed if wish.within is None else self._masked(wish.within)
        masks = allowed.at(place, rested=wish.sounds or forced, repeated=self._repeated)
        if settings.silence and not wish.busy:
            masks = self._ending_silence(masks, settings.silence * TICKS - wish.silent)
        if wish.tone:
            return *(mask & (self._vocabulary.kinds == CHORD) for mask in masks), *masks
        if wish.length is not None and settings.rate not in PULSES:
            return *(mask & (self._vocabulary.ticks == wish.length) for mask in masks), *masks
        return masks

    def _ending_silence(self, masks: tuple[Mask, ...], left: float) -> tuple[Mask, ...]:
        """`masks` without the rests that last longer than the ticks `left`."""
        pulse = PULSES.get(self.settings.rate)
        if left >= (pulse or GRID[-1]):
            return masks
        lasting = self._vocabulary.rests & ((pulse or self._vocabulary.ticks) > left)
        return tuple(mask & ~lasting for mask in masks)

    def _draw(self, logits: Logits, masks: Iterable[Mask], roll: float) -> int | None:
        for mask in masks:
            if mask.any():
                return self._draw_from(np.where(mask, logits, -np.inf), roll)
        return None

    def _draw_from(self, logits: Logits, roll: float) -> int:
        if self._cold:
            return int(logits.argmax())
        weights = np.exp(logits - logits.max())
        if self.settings.top_k or self.settings.top_p < 1.0:
            weights = _nucleus(weights, self.settings.top_k, self.settings.top_p)
        total = weights.cumsum()
        index = int(total.searchsorted(roll * total[-1], "right"))
        return index if index < len(total) else int(np.flatnonzero(weights)[-1])  # the product was rounded up

    def _velocity(self, tick: int, pitch: int, previous: int | None) -> int:
        """The beat carries the weight, off-beats are lighter, a rising line grows and a falling one gives way."""
        place = place_in_bar(self._line.bars, tick) % TICKS
        accent = 4 if place == 0 else (-2 if place == TICKS // 2 else -7)
        contour = 0 if previous is None else max(-8, min(8, pitch - previous))
        human = round(6 * (self.dice.roll(tick, _VELOCITY_ROLL) - 0.5))
        return max(1, min(127, self.settings.velocity + accent + contour + human))

    # -- the memory

    def memory(self, tick: float) -> dict[str, Any]:
        """The whole state at `tick` as plain numbers: (a, c), the value to be fed next, and the pitch before."""
        line, state = self._line.copy(), self.state.copy()
        last = self._feed(line.settle(tick), state, self._last)
        text = None if last is None else self._vocabulary.values[last].text
        return {"a": state.a.tolist(), "c": state.c.tolist(), "last": text, "pitch": line.pitch}

    def remember(self, memory: Mapping[str, Any], tick: int) -> None:
        """Go on from a `memory` of the same bundle at `tick`, as if no time had passed.

        Raises `ValueError` or `KeyError` for one that does not fit.
        """
        a, c = (np.array(memory[name], np.float32) for name in "ac")
        if a.shape != self.state.a.shape or c.shape != a.shape or not np.isfinite([a, c]).all():
            raise ValueError("a state of another network")
        texts = {value.text: index for index, value in enumerate(self._vocabulary.values)}
        last = None if memory["last"] is None else texts[memory["last"]]
        pitch = memory["pitch"]
        if not (pitch is None or (isinstance(pitch, int) and 0 <= pitch <= 127)):
            raise ValueError("a pitch that is none")
        self.state.set(State(a, c))
        self._last, self._line.pitch, self._line.position = last, pitch, tick


def _nucleus(weights: Logits, top_k: int, top_p: float) -> Logits:
    """`weights` with only the `top_k` greatest kept (0: all), of these the fewest that hold `top_p` of the whole."""
    order = np.argsort(-weights, kind="stable")
    kept = order[: top_k or None]
    shares = weights[kept].cumsum() / weights[kept].sum()
    kept = kept[: int(np.searchsorted(shares, top_p)) + 1]
    nucleus = np.zeros_like(weights)
    nucleus[kept] = weights[kept]
    return nucleus
