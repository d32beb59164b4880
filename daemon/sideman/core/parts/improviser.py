# SPDX-License-Identifier: Apache-2.0
"""Chooses what the solo plays next, one value at a time, with the network.

A choice depends on the network's state, the line so far, the settings and the random source. It is made ahead of its
onset on copies of the state and the line; only what has sounded enters the real ones. So a choice can be taken back at
no cost when the player plays something in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from sideman.core.events import Choice
from sideman.core.parts.approach import Approach, ApproachStep, StepRules, Steps
from sideman.core.parts.masks import MASK_SETTINGS, Mask, ValueMasks, smoothing_rules
from sideman.core.parts.random_source import RandomSource
from sideman.core.parts.recent_steps import RecentSteps
from sideman.core.parts.reweight import Logits, Reweighter
from sideman.core.parts.touch import Touch, Touched, TouchMemory
from sideman.core.settings.groups.play import PlaySettings
from sideman.core.settings.live import LiveSettings
from sideman.core.settings.types import PitchRange
from sideman_models.music.context import Bars, ChordChanges, Place, clash_mask_at
from sideman_models.music.line import LineMemory, LineValue, MelodicLine
from sideman_models.music.motifs import RECENT, MotifMemory, motif_symbols, padded_rows, symbol_logits
from sideman_models.music.qualities import CHORD_TONE
from sideman_models.music.smoothing import NO_RULES, SmoothingRules, is_repeated_too_often
from sideman_models.music.values import DURATION_GRID, TICKS_PER_QUARTER, Value, choose_pitch, clip_interval
from sideman_models.network.bundle import BundleInfo
from sideman_models.network.lstm import LstmState, Network
from sideman_models.network.readout import NoteFacts

PULSE_TICKS = {
    "beat": TICKS_PER_QUARTER,
    "eighth": TICKS_PER_QUARTER // 2,
    "triplet": TICKS_PER_QUARTER // 3,
    "sixteenth": TICKS_PER_QUARTER // 4,
}
"""The ticks of a pulse at each rate; at rate `phrase`, which has no pulse, a value lasts its own duration."""

DUET_REST_BIAS = 1.5
"""In a duet, each onset per beat of the player adds this to the logits of rests."""

_MIN_TEMPERATURE = 1e-6  # below it the likeliest value is chosen
_MIN_DENSITY = 1e-9  # in place of 0, for its logarithm: only rests are left
_MIN_REPEATS = 1e-6
AUTO_REPEATS = 1.4
"""`play.repeats` at rate phrase: with it `default` repeats about as many notes as the soloists that it learned from."""
_VALUE_DRAW, _PITCH_DRAW, _VELOCITY_DRAW = range(3)


class ChoiceConstraints(Struct, frozen=True):
    """What a choice has to respect besides the settings."""

    player_onsets_per_beat: float = 0.0
    """How busy the player is whom we leave room; 0 if we leave none."""
    answers: bool = False
    """Whether this is an answer to the player, whose motifs then count for more: see `play.response`."""
    silent_ticks: int = 0
    """How long we have been silent; a silence must not become longer than `play.silence`."""
    length: int | None = None
    """The length of the choice; None: that of its value or pulse."""
    must_rest: bool = False
    must_sound: bool = False
    must_be_chord_tone: bool = False
    pitch_range: PitchRange | None = None
    """The pitches allowed, in place of `play.range`."""
    approach: Approach | None = None
    """The way to the target note that is to be kept within reach."""


UNCONSTRAINED = ChoiceConstraints()

_ChosenFrom = tuple[Logits, Callable[[Value], int | None]]
"""The weights of all values at a choice, and what gives the pitch of a value there."""


class ImproviserMemory(Struct, frozen=True):
    """The state of an improviser as plain data; `last` is the value to be fed next, in its written form.

    `motifs` is from `MotifMemory.memory`.
    """

    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    a: list[float]
    c: list[float]
    last: str | None
    rests_in_a_row: int
    repeats_in_a_row: int
    line: LineMemory
    touch: TouchMemory = TouchMemory()
    motifs: list[int] = []


class Improviser:
    """Improvises one line over `changes` and `bars` with the network of a bundle and the settings of `live`."""

    def __init__(
        self, bundle: BundleInfo, network: Network, changes: ChordChanges, bars: Bars, live: LiveSettings, seed: int
    ) -> None:
        self.bundle = bundle
        self._live = live
        self._play = live.play
        self._random_source = RandomSource(seed)
        self.state = LstmState.zero(network.n_a)
        self._steps_taken = RecentSteps(network)
        self._vocabulary = bundle.vocabulary
        self._context = bundle.context
        self._rules = smoothing_rules(live.play, classic=bundle.classic)
        self._value_masks = self._make_masks()
        self._steps: Steps | None = None
        self._reweighter = Reweighter(bundle.vocabulary)
        values = bundle.vocabulary
        self._same_pitch = (values.has_interval & (values.low == 0) & (values.high == 0)).astype(np.float64)
        self.touch = Touch(bundle)
        self._line = MelodicLine(changes, bars)
        self._last_value: int | None = None
        self._lookahead_state = LstmState.zero(network.n_a)
        # A network that has learned nothing from motifs needs no memory of them.
        self._motifs, self._lookahead_motifs = (MotifMemory() if network.motif.any() else None for _ in range(2))
        self._lookahead_runs = MotifMemory(1).longest_runs(None)
        self._motif_rows, self._symbols = padded_rows(network.motif), motif_symbols(bundle.vocabulary)
        self._rests_in_a_row = 0
        self._repeats_in_a_row = 0
        self._chosen_from: _ChosenFrom | None = None
        self.on_written: Callable[[LineValue], object] | None = None
        """What is given each value of the line when it has sounded; None: nothing is."""
        self.prepared: dict[str, Network] = {}
        """Learned networks that can take over, by their fingerprints; any thread may add one."""

    @property
    def settings(self) -> PlaySettings:
        """The settings in force. If they have changed, masks, rules and random source are made again."""
        play = self._live.play
        if play is not self._play:
            before, self._play = self._play, play
            if play.seed is not None and play.seed != before.seed:
                self._random_source = RandomSource(play.seed)
            if any(getattr(play, name) != getattr(before, name) for name in MASK_SETTINGS):
                self._rules = smoothing_rules(play, classic=self.bundle.classic)
                self._value_masks = self._make_masks()
                self._steps = None
        return play

    @property
    def random_source(self) -> RandomSource:
        """The random source of the seed in force."""
        _ = self.settings
        return self._random_source

    @property
    def rules(self) -> SmoothingRules:
        """The smoothing rules in force."""
        _ = self.settings
        return self._rules

    def _make_masks(self, pitch_range: PitchRange | None = None) -> ValueMasks:
        settings = self._play if pitch_range is None else replace(self._play, range=pitch_range)
        return ValueMasks(self._vocabulary, settings, NO_RULES if self.bundle.classic else self._rules)

    @property
    def steps(self) -> Steps:
        """Where the values lead to by the settings in force, for a line that has a target."""
        play = self.settings
        if self._steps is None:
            pulse, pitches, classic = PULSE_TICKS.get(play.rate), play.range, self.bundle.classic
            rules = StepRules(pitches.low, pitches.high, play.window, pulse, classic, self._rules)
            self._steps = Steps(self._vocabulary, self._value_masks.allowed_shapes, rules)
        return self._steps

    # -- what was played

    def player_note_on(self, tick: float, pitch: int) -> None:
        """The player starts a note at `tick`: the values before it are complete now and enter the network."""
        self._count_repeats(pitch)
        self._update_state(self._line.add_note(tick, pitch, heard=True))

    def player_note_off(self, tick: float, pitch: int) -> None:
        """See `MelodySink`."""
        if self._line.heard_pitch == pitch:
            self._line.release(tick)

    def reconsider_changes(self) -> None:
        """The chord has changed, from a moment ago on: a note that the player started since then is heard over it."""
        self._line.reconsider_chord()

    def record_played(self, choice: Choice) -> None:
        """`choice` has been played; a rest is played too."""
        tick, pitch, index = choice.tick, choice.pitch, choice.index
        self._count_repeats(pitch)
        if pitch is None:
            self._update_state(self._line.add_own_rest(tick, drawn_index=index))
            return
        self.touch.played(choice.loudness)
        starts_phrase = True if choice.value.interval is None else None
        self._update_state(self._line.add_own_note(tick, pitch, starts_phrase=starts_phrase, drawn_index=index))
        self._line.release(tick + self.sounding_ticks(choice.length))

    def record_missed(self, choice: Choice) -> None:
        """`choice` came too late to be played: the network gets a rest in its place."""
        self._count_repeats(None)
        self._update_state(self._line.add_own_rest(choice.tick))

    def cut_note(self, tick: float) -> None:
        """End our note at `tick`, if it would end later."""
        self._line.release(tick)

    def sounding_ticks(self, length: int) -> float:
        """Return how many of `length` ticks a note sounds: all but the share 1 - `play.gate` of its first beat."""
        ticks = length - (1.0 - self.settings.gate) * min(length, TICKS_PER_QUARTER)
        return min(ticks, self.settings.longest * TICKS_PER_QUARTER)

    def _count_repeats(self, pitch: int | None) -> None:
        if pitch is None:
            self._rests_in_a_row += 1
            return
        self._rests_in_a_row = 0
        self._repeats_in_a_row = self._repeats_in_a_row + 1 if pitch == self._line.last_pitch else 1

    def adopt(self, fingerprint: str) -> None:
        """Let a network of `prepared` choose from now on. State and line stay, and so does a choice already made."""
        network = self.prepared.pop(fingerprint, None)
        if network is not None:
            self._steps_taken = RecentSteps(network)

    def _update_state(self, written: Sequence[LineValue]) -> None:
        if self.on_written is not None:
            for value in written:
                self.on_written(value)
        self._last_value = self._feed(written, self.state, self._motifs, self._last_value)

    def _feed(
        self, written: Iterable[LineValue], state: LstmState, motifs: MotifMemory | None, last: int | None
    ) -> int | None:
        """Feed written values to `state` and `motifs`.

        The last one is not fed to `state` yet: it is returned, and fed with the next step.
        """
        for line_value in written:
            drawn = line_value.drawn_index if self.bundle.classic else None
            index = self._vocabulary.nearest_index(line_value.value) if drawn is None else drawn
            if index is not None:
                self._steps_taken.advance(last, self._context.active_rows(line_value.place), state)
                last = index
                if motifs is not None:
                    motifs.append(line_value.value, line_value.place.previous_pitch, heard=line_value.heard)
        return last

    # -- choosing

    def predict(self, tick: int, *, answers: bool = False) -> tuple[Place, Logits]:
        """Return the place of a value that begins at `tick`, and its logits (n_values,). Nothing is changed.

        For `answers` see `ChoiceConstraints`.
        """
        line = self._line.copy()
        self._lookahead_state.assign(self.state)
        motifs = self._lookahead_motifs
        if motifs is not None and self._motifs is not None:
            motifs.assign(self._motifs)
        last = self._feed(line.finish_at(tick), self._lookahead_state, motifs, self._last_value)
        place = line.next_place()
        clash = clash_mask_at(self._vocabulary, place) if self._steps_taken.network.penalty else None
        rows = self._context.active_rows(place)
        logits = self._steps_taken.step(last, rows, clash, self._lookahead_state).astype(np.float64)
        if motifs is not None:
            self._lookahead_runs = motifs.longest_runs(place.previous_pitch)
            if self.settings.motif:
                by_symbol = self._motif_strength(motifs) * symbol_logits(self._motif_rows, self._lookahead_runs)
                if answers and (more := self.settings.motif * self.settings.response):
                    theirs = motifs.longest_runs(place.previous_pitch, heard=True)
                    by_symbol += more * symbol_logits(self._motif_rows, theirs)
                logits += by_symbol.take(self._symbols)
        return place, logits

    def _motif_strength(self, motifs: MotifMemory) -> float:
        """Return `play.motif`; beyond 1 it counts the less, the fewer pitches came last (see `play.variety`)."""
        motif, variety = self.settings.motif, self.settings.variety
        if motif <= 1.0 or not variety or len(motifs) < RECENT:
            return motif
        return 1.0 + (motif - 1.0) * min(1.0, max(0.0, 2.0 * motifs.recent_pitches() / variety - 1.0))

    def choose(self, tick: int, constraints: ChoiceConstraints = UNCONSTRAINED, bpm: float = 120.0) -> Choice:
        """Choose the value that begins at `tick`, within `constraints`, at the tempo `bpm`. Nothing is changed."""
        place, logits = self.predict(tick, answers=constraints.answers)
        previous, settings = place.previous_pitch, self.settings
        weights, aim, way = None, constraints.approach, None
        if aim is not None:
            way = aim.at(tick, place.chord, previous, previous if self._must_not_repeat else None)
        if not constraints.must_rest:
            logits = self._adjust_logits(logits, constraints.player_onsets_per_beat)
            weights = self._weights(logits, self._masks_for(place, constraints), way)
        self._chosen_from = None
        length, (line, bar_ticks) = constraints.length, self._line.bars.bar_at(tick)
        tick_in_bar = tick - line
        if length is None and (pulse := PULSE_TICKS.get(settings.rate)):
            length = min(pulse - tick_in_bar % pulse, bar_ticks - tick_in_bar)  # bar lines are pulses
        if weights is None:
            return Choice(tick, length or TICKS_PER_QUARTER, None, Value("R", length or TICKS_PER_QUARTER), None, 0)
        index = _draw(weights, self.random_source.draw(tick, _VALUE_DRAW))
        value = self._vocabulary.values[index]
        pitches, window = constraints.pitch_range or settings.range, settings.window
        has_several = bool(window) or way is not None or self.bundle.classic  # pitches to choose from
        drawn = self.random_source.draw(tick, _PITCH_DRAW) if has_several else 0.0
        avoid, max_leap = previous if self._must_not_repeat else None, self.rules.leap

        def pitch_of(value: Value) -> int | None:
            led = None if way is None else way.pitch(value, drawn)
            if led is not None:
                return led
            low, high = pitches.low, pitches.high
            return choose_pitch(value, place.chord, previous, low, high, window, drawn, avoid=avoid, max_leap=max_leap)

        pitch = pitch_of(value)
        self._chosen_from = weights, pitch_of
        touched = Touched(0) if pitch is None else self._touched(tick, NoteFacts(value, place, pitch, bpm))
        if length is None:
            length = value.ticks
            if self.bundle.classic:  # the smoothing rules may change the length
                length = self.rules.smoothed_length(tick_in_bar, length, TICKS_PER_QUARTER)
        if aim is not None and (target := aim.next_tick(tick)) is not None:
            length = min(length, target - tick)  # a pulse, or what no value of the network fills
        yours = self._yours(value, pitch, previous)
        return Choice(tick, length, index, value, pitch, touched.velocity, touched.delay, touched.loudness, yours)

    def options(self, count: int) -> tuple[tuple[Value, int | None, float], ...]:
        """Return the likeliest values of the last choice, each with the pitch that it would get and its probability.

        There are none if it had to rest.
        """
        if self._chosen_from is None:
            return ()
        weights, pitch_of = self._chosen_from
        likeliest = [int(index) for index in np.argsort(-weights, kind="stable")[:count] if weights[index] > 0]
        values, total = self._vocabulary.values, weights.sum()
        return tuple((values[index], pitch_of(values[index]), float(weights[index] / total)) for index in likeliest)

    def _yours(self, value: Value, pitch: int | None, previous: int | None) -> int:
        """Return how many of the player's notes and rests a note that is chosen now repeats in a row, 0 if too few."""
        if pitch is None or self._lookahead_motifs is None:
            return 0
        interval = value.interval if value.interval is None or previous is None else clip_interval(pitch - previous)
        return self._lookahead_motifs.continues_yours(Value(value.kind, value.ticks, interval), self._lookahead_runs)

    @property
    def _must_not_repeat(self) -> bool:
        """Whether the last pitch has been played as often in a row as the rules allow."""
        return is_repeated_too_often(self._repeats_in_a_row, self.rules.repetition)

    def _adjust_logits(self, logits: Logits, player_onsets_per_beat: float) -> Logits:
        settings = self.settings
        if settings.harmony != 1.0 or settings.contour != 1.0:
            logits = self._reweighter.reweight(logits, settings.harmony, settings.contour)
        if settings.temperature >= _MIN_TEMPERATURE and settings.temperature != 1.0:
            logits = logits / settings.temperature
        if settings.density != 1.0:
            rest_bias = -math.log(max(settings.density, _MIN_DENSITY))
            logits = logits + np.where(self._vocabulary.is_rest, rest_bias, 0.0)
        if (repeats := self._repeats) != 1.0:
            logits = logits + math.log(max(repeats, _MIN_REPEATS)) * self._same_pitch
        if player_onsets_per_beat:
            logits = logits + np.where(self._vocabulary.is_rest, DUET_REST_BIAS * player_onsets_per_beat, 0.0)
        return logits

    @property
    def _repeats(self) -> float:
        """How much likelier the same pitch comes again than the network expects: see `play.repeats`."""
        if self.settings.repeats is not None:
            return self.settings.repeats
        return AUTO_REPEATS if self.settings.rate == "phrase" and not self.bundle.classic else 1.0

    def _masks_for(self, place: Place, constraints: ChoiceConstraints) -> tuple[Mask, ...]:
        """Return the masks to try one after the other, the strictest first."""
        settings, leaves_room = self.settings, bool(constraints.player_onsets_per_beat)
        pulse = PULSE_TICKS.get(settings.rate)
        enough_rests = pulse is not None and self._rests_in_a_row >= settings.rests and not leaves_room
        values = self._value_masks if constraints.pitch_range is None else self._make_masks(constraints.pitch_range)
        must_sound = constraints.must_sound or enough_rests
        masks = values.masks_at(place, must_sound=must_sound, avoid_repeat=self._must_not_repeat)
        if settings.silence and not leaves_room:
            ticks_left = settings.silence * TICKS_PER_QUARTER - constraints.silent_ticks
            if ticks_left < (pulse or DURATION_GRID[-1]):  # some rests are too long
                too_long = self._vocabulary.is_rest & ((pulse or self._vocabulary.ticks) > ticks_left)
                masks = tuple(mask & ~too_long for mask in masks)
        if constraints.must_be_chord_tone:
            return *(mask & (self._vocabulary.kinds == CHORD_TONE) for mask in masks), *masks
        if constraints.length is not None and pulse is None:
            return *(mask & (self._vocabulary.ticks == constraints.length) for mask in masks), *masks
        return masks

    def _weights(self, logits: Logits, masks: Sequence[Mask], way: ApproachStep | None) -> Logits | None:
        """Return the weights of the values that the first mask with any value allows; None if all masks are empty."""
        settings = self.settings
        for mask in masks if way is None else way.masks(masks):
            if np.logical_or.reduce(mask):  # the methods `any` and `max` cost a microsecond more
                break
        else:
            return None
        logits = np.where(mask, logits, -np.inf)
        if settings.temperature < _MIN_TEMPERATURE:
            only = np.zeros_like(logits)
            only[logits.argmax()] = 1.0
            return only
        weights: Logits = np.exp(logits - np.maximum.reduce(logits))
        if settings.top_k or settings.top_p < 1.0:
            weights = _nucleus(weights, settings.top_k, settings.top_p)
        return weights

    def _touched(self, tick: int, note: NoteFacts) -> Touched:
        return self.touch.choose(
            self.settings, self._lookahead_state.a, note, self.random_source.draw(tick, _VELOCITY_DRAW)
        )

    # -- saving and restoring

    def memory(self) -> ImproviserMemory:
        """Return the whole state, as plain data."""
        return ImproviserMemory(
            self.random_source.seed,
            self.state.a.tolist(),
            self.state.c.tolist(),
            None if self._last_value is None else self._vocabulary.values[self._last_value].text,
            self._rests_in_a_row,
            self._repeats_in_a_row,
            self._line.memory(),
            self.touch.memory,
            [] if self._motifs is None else self._motifs.memory(),
        )

    def recall(self, memory: ImproviserMemory) -> None:
        """Continue from `memory`, which is of the same bundle. Raises `ValueError`, `KeyError` or ChordError."""
        pitch, position, pending = memory.line.finished_pitch, memory.line.position, memory.line.pending
        drawn = None if pending is None else pending.drawn_index
        if drawn is not None and not 0 <= drawn < len(self._vocabulary):
            raise ValueError(f"the network has no value {drawn}")
        self.restore_state(
            {"a": memory.a, "c": memory.c, "last": memory.last, "pitch": pitch, "motifs": memory.motifs}, position
        )
        self._rests_in_a_row, self._repeats_in_a_row = memory.rests_in_a_row, memory.repeats_in_a_row
        self._line.recall(memory.line)
        self.touch.memory = memory.touch

    def export_state(self, tick: float) -> dict[str, Any]:
        """Return the state at `tick` in plain types: (a, c), the value to be fed next, the pitch before, the motifs."""
        line, state, motifs = self._line.copy(), self.state.copy(), self._lookahead_motifs
        if motifs is not None and self._motifs is not None:
            motifs.assign(self._motifs)
        last = self._feed(line.finish(tick), state, motifs, self._last_value)
        text = None if last is None else self._vocabulary.values[last].text
        return {
            "a": state.a.tolist(), "c": state.c.tolist(), "last": text, "pitch": line.finished_pitch,
            "motifs": [] if motifs is None else motifs.memory(), "touch": msgspec.to_builtins(self.touch.memory),
        }  # fmt: skip

    def restore_state(self, saved: Mapping[str, Any], tick: int) -> None:
        """Continue at `tick` from a state that `export_state` returned for the same bundle, as if no time had passed.

        Raises `ValueError` or `KeyError` if it does not fit.
        """
        with np.errstate(over="ignore"):  # a number that is too large becomes infinite, which is refused below
            a, c = (np.array(saved[name], np.float32) for name in "ac")
        if a.shape != self.state.a.shape or c.shape != a.shape or not np.isfinite([a, c]).all():
            raise ValueError("the state belongs to another network")
        texts = {value.text: index for index, value in enumerate(self._vocabulary.values)}
        last = None if saved["last"] is None else texts[saved["last"]]
        pitch = saved["pitch"]
        if not (pitch is None or (isinstance(pitch, int) and 0 <= pitch <= 127)):
            raise ValueError("the pitch is not a MIDI pitch")
        try:
            touch = msgspec.convert(saved.get("touch", {}), TouchMemory)
        except msgspec.ValidationError as error:
            raise ValueError(f"the touch does not fit: {error}") from error
        motifs = saved.get("motifs", [])  # states of earlier versions have none
        if not isinstance(motifs, list) or not all(isinstance(code, int) for code in motifs):
            raise ValueError("the motifs are not a list of whole numbers")
        if self._motifs is not None:
            self._motifs.recall(motifs)
        self.state.assign(LstmState(a, c))
        self.touch.memory = touch
        self._last_value, self._line.finished_pitch, self._line.position = last, pitch, tick


def _draw(weights: Logits, drawn: float) -> int:
    """Draw the index of a value."""
    total = weights.cumsum()
    index = int(total.searchsorted(drawn * total[-1], "right"))
    # Rounding may take the product beyond the sum; then it is the last value.
    return index if index < len(total) else int(np.flatnonzero(weights)[-1])


def _nucleus(weights: Logits, top_k: int, top_p: float) -> Logits:
    """Return `weights` with only the `top_k` greatest left (0: all), of these the fewest that make up `top_p`."""
    order = np.argsort(-weights, kind="stable")
    kept = order[: top_k or None]
    shares = weights[kept].cumsum() / weights[kept].sum()
    kept = kept[: int(np.searchsorted(shares, top_p)) + 1]
    nucleus = np.zeros_like(weights)
    nucleus[kept] = weights[kept]
    return nucleus
