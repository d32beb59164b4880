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

from sideman.core.events import Choice
from sideman.core.parts.masks import Mask, ValueMasks
from sideman.core.parts.reweight import Reweighter
from sideman.core.parts.smoothing import smoothing_rules
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.schema import PlaySettings
from sideman.core.settings.types import PitchRange
from sideman_models.music.context import Bars, ChordChanges, Place, clash_mask_at, ticks_after_bar_line
from sideman_models.music.harmony import CHORD_TONE
from sideman_models.music.line import LineValue, MelodicLine
from sideman_models.music.smoothing import NO_RULES, SmoothingRules, is_repeated_too_often
from sideman_models.music.values import DURATION_GRID, TICKS_PER_QUARTER, Value, choose_pitch
from sideman_models.network.bundle import Bundle
from sideman_models.network.lstm import LstmState, Network

Logits = npt.NDArray[np.float64]

PULSE_TICKS = {
    "beat": TICKS_PER_QUARTER,
    "eighth": TICKS_PER_QUARTER // 2,
    "triplet": TICKS_PER_QUARTER // 3,
    "sixteenth": TICKS_PER_QUARTER // 4,
}
"""Ticks of a pulse at each pulsed rate; at rate `phrase` a value lasts its own duration."""

MASK_SETTINGS = ("range", "rate", "window", "leap", "apart", "settle", "repetition", "longest")
"""The settings that masks and rules are made from."""

DUET_REST_BIAS = 1.5
"""In a duet, by how much each onset a beat of the player raises the log-odds of a rest."""

_MIN_TEMPERATURE = 1e-6  # a temperature below this is none
_VALUE_DRAW, _PITCH_DRAW, _VELOCITY_DRAW = range(3)


class RandomSource:
    """Throws that depend on the seed, the tick and the purpose alone, so that a choice taken back shifts no other."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # One generator set back to a counter before each throw: to make a new one takes seven times as long.
        self._bits = np.random.Philox(key=seed)
        self._generator = np.random.Generator(self._bits)
        self._state: Any = self._bits.state
        self._counter = self._state["state"]["counter"]

    def draw(self, tick: int, purpose: int) -> float:
        """A number from 0 up to, but not including, 1."""
        self._counter[:2] = tick & 0xFFFFFFFF, purpose
        self._bits.state = self._state
        return self._generator.random()


@dataclass(frozen=True, slots=True)
class ChoiceConstraints:
    """What the moment asks of a choice, beside the settings.

    To leave room to a player who is `player_onsets_per_beat` with so many onsets a beat; to end a silence of ours of
    `silent_ticks` ticks in time; to take `length` ticks; to `must_rest`, or to sound; to be a `must_be_chord_tone` of
    the chord; to keep `pitch_range` a range.
    """

    player_onsets_per_beat: float = 0.0
    silent_ticks: int = 0
    length: int | None = None
    must_rest: bool = False
    must_sound: bool = False
    must_be_chord_tone: bool = False
    pitch_range: PitchRange | None = None


UNCONSTRAINED = ChoiceConstraints()


class Improviser:
    """Improvises one line over `changes` and `bars` with the network of a bundle, by the settings of `live`."""

    def __init__(
        self, bundle: Bundle, network: Network, changes: ChordChanges, bars: Bars, live: LiveSettings, seed: int
    ) -> None:
        self.bundle = bundle
        self._live = live
        self._play = live.play
        self._random_source = RandomSource(seed)
        self.state = LstmState.zero(network.weights.n_a)
        self._network = network
        self._vocabulary = bundle.vocabulary
        self._context = bundle.context
        self._rules = smoothing_rules(live.play, classic=bundle.classic)
        self._value_masks = self._make_masks()
        self._reweighter = Reweighter(bundle.vocabulary)
        self._line = MelodicLine(changes, bars)
        self._last_value: int | None = None
        self._lookahead_state = LstmState.zero(network.weights.n_a)
        self._rests_in_a_row = 0
        self._repeats_in_a_row = 0

    @property
    def settings(self) -> PlaySettings:
        """The settings in force; what is made from them is made again when they have changed."""
        play = self._live.play
        if play is not self._play:
            before, self._play = self._play, play
            if play.seed is not None and play.seed != before.seed:
                self._random_source = RandomSource(play.seed)
            if any(getattr(play, name) != getattr(before, name) for name in MASK_SETTINGS):
                self._rules = smoothing_rules(play, classic=self.bundle.classic)
                self._value_masks = self._make_masks()
        return play

    @property
    def random_source(self) -> RandomSource:
        """The random source of the seed in force."""
        _ = self.settings
        return self._random_source

    @property
    def rules(self) -> SmoothingRules:
        """The rules of smoothness in force."""
        _ = self.settings
        return self._rules

    def _make_masks(self, pitch_range: PitchRange | None = None) -> ValueMasks:
        settings = self._play if pitch_range is None else replace(self._play, range=pitch_range)
        return ValueMasks(self._vocabulary, settings, NO_RULES if self.bundle.classic else self._rules)

    # -- what has sounded

    def player_note_on(self, tick: float, pitch: int) -> None:
        """The player strikes `pitch` at `tick`: what that settles enters the network, the note with the next step."""
        self._count_repeats(pitch)
        self._update_state(self._line.add_note(tick, pitch, heard=True))

    def player_note_off(self, tick: float, pitch: int) -> None:
        """The player's `pitch` ends at `tick`, which may be to come; an earlier end may still be told."""
        if self._line.heard_pitch == pitch:
            self._line.release(tick)

    def reconsider_changes(self) -> None:
        """The changes are others, from a little while ago on: what the player struck meanwhile is heard over them."""
        self._line.reconsider_chord()

    def record_played(self, choice: Choice) -> None:
        """`choice` has sounded (or was the silence it meant to be)."""
        self._count_repeats(choice.pitch)
        if choice.pitch is None:
            self._update_state(self._line.add_own_rest(choice.tick, drawn_index=choice.index))
            return
        begins = True if choice.value.interval is None else None
        self._update_state(
            self._line.add_own_note(choice.tick, choice.pitch, starts_phrase=begins, drawn_index=choice.index)
        )
        self._line.release(choice.tick + self.sounding_ticks(choice.length))

    def record_missed(self, choice: Choice) -> None:
        """`choice` came too late to be played: the network is told of the silence in its place."""
        self._count_repeats(None)
        self._update_state(self._line.add_own_rest(choice.tick))

    def cut_note(self, tick: float) -> None:
        """Our note, if one sounds, was ended at `tick`, before its time."""
        self._line.release(tick)

    def sounding_ticks(self, length: int) -> float:
        """For how many of `length` ticks a note sounds: `gate` of it, the silence growing no longer after one beat."""
        return min(
            length - (1.0 - self.settings.gate) * min(length, TICKS_PER_QUARTER),
            self.settings.longest * TICKS_PER_QUARTER,
        )

    def _count_repeats(self, pitch: int | None) -> None:
        if pitch is None:
            self._rests_in_a_row += 1
            return
        self._rests_in_a_row = 0
        self._repeats_in_a_row = self._repeats_in_a_row + 1 if pitch == self._line.last_pitch else 1

    def _update_state(self, written: Iterable[LineValue]) -> None:
        self._last_value = self._feed(written, self.state, self._last_value)

    def _feed(self, written: Iterable[LineValue], state: LstmState, last: int | None) -> int | None:
        for one in written:
            drawn = one.drawn_index if self.bundle.classic else None
            index = self._vocabulary.nearest_index(one.value) if drawn is None else drawn
            if index is not None:
                self._step(one.place, state, last)
                last = index
        return last

    def _step(self, place: Place, state: LstmState, last: int | None) -> npt.NDArray[np.float32]:
        clash = clash_mask_at(self._vocabulary, place) if self._network.weights.penalty else None
        return self._network.step(last, self._context.active_rows(place), clash, state)

    # -- what comes next

    def predict(self, tick: int) -> tuple[Place, Logits]:
        """The place of a value that begins at `tick`, and its logits (n_values,); nothing is changed."""
        line = self._line.copy()
        self._lookahead_state.assign(self.state)
        last = self._feed(line.finish_at(tick), self._lookahead_state, self._last_value)
        place = line.next_place()
        return place, self._step(place, self._lookahead_state, last).astype(np.float64)

    def choose(self, tick: int, constraints: ChoiceConstraints = UNCONSTRAINED) -> Choice:
        """Choose the value whose onset is at `tick`, as the moment wishes; nothing is changed."""
        place, logits = self.predict(tick)
        previous = place.previous_pitch
        index = self._choose_value(tick, place, logits, constraints)
        length = constraints.length or self._ticks_to_pulse(tick)
        if index is None:
            return Choice(tick, length or TICKS_PER_QUARTER, None, Value("R", length or TICKS_PER_QUARTER), None, 0)
        value = self._vocabulary.values[index]
        within = constraints.pitch_range or self.settings.range
        roll = self.random_source.draw(tick, _PITCH_DRAW)
        avoid, leap = previous if self._must_not_repeat else None, self.rules.leap
        low, high, window = within.low, within.high, self.settings.window
        pitch = choose_pitch(value, place.chord, previous, low, high, window, roll, avoid=avoid, max_leap=leap)
        velocity = 0 if pitch is None else self._velocity(tick, pitch, previous)
        return Choice(tick, length or self._value_ticks(tick, value), index, value, pitch, velocity)

    def _choose_value(self, tick: int, place: Place, logits: Logits, constraints: ChoiceConstraints) -> int | None:
        if constraints.must_rest:
            return None
        return self._draw(
            self._adjust_logits(logits, constraints.player_onsets_per_beat),
            self._masks_for(place, constraints),
            self.random_source.draw(tick, _VALUE_DRAW),
        )

    def _value_ticks(self, tick: int, value: Value) -> int:
        """Ticks that `value` takes at `tick`: its own, which the rules of the originals may settle anew."""
        if not self.bundle.classic:
            return value.ticks
        return self.rules.smoothed_length(ticks_after_bar_line(self._line.bars, tick), value.ticks, TICKS_PER_QUARTER)

    def _ticks_to_pulse(self, tick: int) -> int | None:
        """Ticks from `tick` to the next pulse, of which one falls on every bar line; None at rate `phrase`."""
        pulse, (line, bar) = PULSE_TICKS.get(self.settings.rate), self._line.bars.bar_at(tick)
        place = tick - line
        return pulse and min(pulse - place % pulse, bar - place)

    @property
    def _must_not_repeat(self) -> bool:
        """Whether the last pitch has been struck as often in a row as it may."""
        return is_repeated_too_often(self._repeats_in_a_row, self.rules.repetition)

    @property
    def _is_greedy(self) -> bool:
        return self.settings.temperature < _MIN_TEMPERATURE

    def _adjust_logits(self, logits: Logits, player_onsets_per_beat: float = 0.0) -> Logits:
        settings = self.settings
        if settings.harmony != 1.0 or settings.contour != 1.0:
            logits = self._reweighter.reweight(logits, settings.harmony, settings.contour)
        if not self._is_greedy:
            logits = logits / settings.temperature
        if settings.density != 1.0:
            floor = 1e-9  # a density of nothing leaves rests alone in the race
            logits = logits - np.where(self._vocabulary.is_rest, math.log(max(settings.density, floor)), 0.0)
        if player_onsets_per_beat:
            logits = logits + np.where(self._vocabulary.is_rest, DUET_REST_BIAS * player_onsets_per_beat, 0.0)
        return logits

    def _masks_for(self, place: Place, constraints: ChoiceConstraints) -> tuple[Mask, ...]:
        settings = self.settings
        forced = (
            settings.rate in PULSE_TICKS
            and self._rests_in_a_row >= settings.rests
            and not constraints.player_onsets_per_beat
        )
        allowed = self._value_masks if constraints.pitch_range is None else self._make_masks(constraints.pitch_range)
        masks = allowed.masks_at(place, must_sound=constraints.must_sound or forced, avoid_repeat=self._must_not_repeat)
        if settings.silence and not constraints.player_onsets_per_beat:
            masks = self._without_long_rests(masks, settings.silence * TICKS_PER_QUARTER - constraints.silent_ticks)
        if constraints.must_be_chord_tone:
            return *(mask & (self._vocabulary.kinds == CHORD_TONE) for mask in masks), *masks
        if constraints.length is not None and settings.rate not in PULSE_TICKS:
            return *(mask & (self._vocabulary.ticks == constraints.length) for mask in masks), *masks
        return masks

    def _without_long_rests(self, masks: tuple[Mask, ...], ticks_left: float) -> tuple[Mask, ...]:
        """`masks` without the rests that last longer than the ticks `left`."""
        pulse = PULSE_TICKS.get(self.settings.rate)
        if ticks_left >= (pulse or DURATION_GRID[-1]):
            return masks
        lasting = self._vocabulary.is_rest & ((pulse or self._vocabulary.ticks) > ticks_left)
        return tuple(mask & ~lasting for mask in masks)

    def _draw(self, logits: Logits, masks: Iterable[Mask], drawn: float) -> int | None:
        for mask in masks:
            if mask.any():
                return self._draw_from(np.where(mask, logits, -np.inf), drawn)
        return None

    def _draw_from(self, logits: Logits, drawn: float) -> int:
        if self._is_greedy:
            return int(logits.argmax())
        weights = np.exp(logits - logits.max())
        if self.settings.top_k or self.settings.top_p < 1.0:
            weights = _nucleus(weights, self.settings.top_k, self.settings.top_p)
        total = weights.cumsum()
        index = int(total.searchsorted(drawn * total[-1], "right"))
        return index if index < len(total) else int(np.flatnonzero(weights)[-1])  # the product was rounded up

    def _velocity(self, tick: int, pitch: int, previous: int | None) -> int:
        """The beat carries the weight, off-beats are lighter, a rising line grows and a falling one gives way."""
        place = ticks_after_bar_line(self._line.bars, tick) % TICKS_PER_QUARTER
        accent = 4 if place == 0 else (-2 if place == TICKS_PER_QUARTER // 2 else -7)
        contour = 0 if previous is None else max(-8, min(8, pitch - previous))
        human = round(6 * (self.random_source.draw(tick, _VELOCITY_DRAW) - 0.5))
        return max(1, min(127, self.settings.velocity + accent + contour + human))

    # -- the memory

    def export_state(self, tick: float) -> dict[str, Any]:
        """The whole state at `tick` as plain numbers: (a, c), the value to be fed next, and the pitch before."""
        line, state = self._line.copy(), self.state.copy()
        last = self._feed(line.finish(tick), state, self._last_value)
        text = None if last is None else self._vocabulary.values[last].text
        return {"a": state.a.tolist(), "c": state.c.tolist(), "last": text, "pitch": line.finished_pitch}

    def restore_state(self, saved: Mapping[str, Any], tick: int) -> None:
        """Go on from a `saved` of the same bundle at `tick`, as if no time had passed.

        Raises `ValueError` or `KeyError` for one that does not fit.
        """
        with np.errstate(over="ignore"):  # a number that is too large becomes infinite, which is refused below
            a, c = (np.array(saved[name], np.float32) for name in "ac")
        if a.shape != self.state.a.shape or c.shape != a.shape or not np.isfinite([a, c]).all():
            raise ValueError("a state of another network")
        texts = {value.text: index for index, value in enumerate(self._vocabulary.values)}
        last = None if saved["last"] is None else texts[saved["last"]]
        pitch = saved["pitch"]
        if not (pitch is None or (isinstance(pitch, int) and 0 <= pitch <= 127)):
            raise ValueError("a pitch that is none")
        self.state.assign(LstmState(a, c))
        self._last_value, self._line.finished_pitch, self._line.position = last, pitch, tick


def _nucleus(weights: Logits, top_k: int, top_p: float) -> Logits:
    """`weights` with only the `top_k` greatest kept (0: all), of these the fewest that hold `top_p` of the whole."""
    order = np.argsort(-weights, kind="stable")
    kept = order[: top_k or None]
    shares = weights[kept].cumsum() / weights[kept].sum()
    kept = kept[: int(np.searchsorted(shares, top_p)) + 1]
    nucleus = np.zeros_like(weights)
    nucleus[kept] = weights[kept]
    return nucleus
