# SPDX-License-Identifier: Apache-2.0
"""A chart: the bars and chords of a song with all repeats written out, and what holds at any beat of it.

Beats are quarter notes from the top of the song, whatever the meter. A chart has no end: after its last bar comes its
first, and before the top the bars go on backwards. `text` reads charts that musicians type; `form` writes out repeats.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from sideman.core.chart.styles import Style
from sideman.core.errors import ConfigError
from sideman.core.positions import snapped_beat
from sideman_models.errors import ChordError
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.text import printable

_MAX_FIFTHS = 7


class ChartError(ConfigError):
    """A chart or a meter that cannot be read."""


class Meter(Struct, frozen=True):
    """A time signature: 1 to 16 notes of 1/1 to 1/16 in a bar."""

    numerator: int
    denominator: int

    @property
    def quarters(self) -> Fraction:
        """The length of a bar in quarter notes."""
        return Fraction(4 * self.numerator, self.denominator)

    @property
    def is_compound(self) -> bool:
        """Whether its beats are dotted notes, as in 6/8, 9/8 and 12/8."""
        return self.denominator >= 8 and self.numerator > 3 and self.numerator % 3 == 0

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"


def parse_meter(text: str) -> Meter:
    """Return the meter of a text such as `4/4`, `3/4` or `6/8`. ChartError says what is allowed."""
    match = re.fullmatch(r"\s*([0-9]{1,2})\s*/\s*([0-9]{1,2})\s*", text)
    if match and 1 <= int(match[1]) <= 16 and int(match[2]) in (1, 2, 4, 8, 16):
        return Meter(int(match[1]), int(match[2]))
    raise ChartError(f"{text!r} is not a meter: write 4/4, 3/4, 6/8 (1 to 16 over 1, 2, 4, 8 or 16)")


class Bar(Struct, frozen=True):
    """The chords of a bar, each with its onset in quarter notes from the bar line.

    The first chord begins at 0, and two chords in a row are never equal.
    """

    chords: tuple[tuple[float, Chord], ...]
    meter: Meter


class ChartInfo(Struct, frozen=True):
    """What a chart says besides its bars; a field is empty or None where the chart does not say it.

    `key` is the symbol of the tonic chord (`Bb`, `Am`), `tempo` is in quarter notes a minute. `sections` are pairs of a
    bar's index, in the order played, and the name of the section that begins there. `warnings` are the guesses of the
    reader of a file; each names the file, the song and the bar, as written. `style` is how a band plays it.
    """

    title: str = ""
    composer: str = ""
    key: str = ""
    tempo: float | None = None
    sections: tuple[tuple[int, str], ...] = ()
    warnings: tuple[str, ...] = ()
    style: Style | None = None

    def __post_init__(self) -> None:
        """A chart may come from anywhere: its texts go into files, logs and terminals."""
        for name in ("title", "composer", "key"):
            force_setattr(self, name, printable(getattr(self, name)))
        force_setattr(self, "sections", tuple((bar, printable(section)) for bar, section in self.sections))

    @property
    def signature(self) -> tuple[int, bool] | None:
        """The sharps of the key signature, or below 0 its flats, and whether the key is minor; None without a key."""
        try:
            tonic = parse_chord(self.key) if self.key else None
        except ChordError:
            return None
        if tonic is None or not tonic.tones:
            return None
        is_minor = 3 in tonic.quality.tones and 4 not in tonic.quality.tones
        fifths = "FCGDAEB".index(tonic.text[0]) - 1 + 7 * (tonic.text[1:2] == "#") - 7 * (tonic.text[1:2] == "b")
        fifths -= 3 * is_minor
        return fifths - 12 * (fifths > _MAX_FIFTHS) + 12 * (fifths < -_MAX_FIFTHS), is_minor

    def transposed(self, semitones: int) -> ChartInfo:
        """Return the same in the key that lies `semitones` higher."""
        return replace(self, key=parse_chord(self.key).transposed(semitones).text if self.key else "")

    def __str__(self) -> str:
        parts = [self.title, f"by {self.composer}" if self.composer else "", f"in {self.key}" if self.key else ""]
        return ", ".join(filter(None, [*parts, f"{self.tempo:g} bpm" if self.tempo else "", self.style]))


class Chart(Struct, frozen=True, eq=False, dict=True):
    """A song's bars in the order played, repeats written out; never empty. It is played round and round.

    Two charts with the same bars are equal, whatever their `info` says. A bar's index counts from 0 at the top and goes
    on after the last bar: in a chart of 12 bars, bar 12 is the first bar of the second chorus.
    """

    bars: tuple[Bar, ...]
    info: ChartInfo = ChartInfo()

    def __post_init__(self) -> None:
        if not self.bars:
            raise ChartError("a chart needs at least one bar, such as | C7 |")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chart) and self.bars == other.bars

    def __ne__(self, other: object) -> bool:
        return not self == other  # the structs' own `!=` does not ask `__eq__`

    def __hash__(self) -> int:
        return hash(self.bars)

    @cached_property
    def length(self) -> float:
        """The length of a chorus in quarter notes."""
        return self._bar_beats[-1]

    @cached_property
    def _bar_beats(self) -> tuple[float, ...]:
        """The beats on which the bars of the first chorus begin, and its end."""
        return tuple(accumulate((float(bar.meter.quarters) for bar in self.bars), initial=0.0))

    @cached_property
    def _changes(self) -> tuple[tuple[float, ...], tuple[Chord, ...]]:
        """The beats of the first chorus on which the chord changes, and the chords that begin on them."""
        bars = zip(self._bar_beats, self.bars, strict=False)
        chords = [(beat + at, chord) for beat, bar in bars for at, chord in bar.chords]
        before = [chords[-1][1], *(chord for _, chord in chords)]  # the top follows the last chord of the song
        changes = [change for change, last in zip(chords, before, strict=False) if change[1] != last]
        changes = changes or [(0.0, chords[0][1])]
        return tuple(beat for beat, _ in changes), tuple(chord for _, chord in changes)

    @property
    def meter(self) -> Meter:
        """The meter of the first bar."""
        return self.bars[0].meter

    @property
    def meters(self) -> tuple[tuple[float, Meter], ...]:
        """The beats of a chorus on which the meter changes, each with the new meter; the first is beat 0."""
        before = [None, *(bar.meter for bar in self.bars)]
        bars = zip(self._bar_beats, self.bars, before, strict=False)
        return tuple((beat, bar.meter) for beat, bar, last in bars if bar.meter != last)

    def bar_at(self, beat: float) -> tuple[int, float]:
        """Return the index of the bar that sounds at `beat`, and the beat on which it begins."""
        chorus, chorus_beat = divmod(snapped_beat(beat), self.length)
        index = bisect_right(self._bar_beats, chorus_beat, hi=len(self.bars)) - 1
        return int(chorus) * len(self.bars) + index, chorus * self.length + self._bar_beats[index]

    def beat_of_bar(self, bar_index: int) -> float:
        """Return the beat on which a bar begins."""
        chorus, index = divmod(bar_index, len(self.bars))
        return chorus * self.length + self._bar_beats[index]

    def meter_at(self, beat: float) -> Meter:
        """Return the meter of the bar that sounds at `beat`."""
        return self.bars[self.bar_at(beat)[0] % len(self.bars)].meter

    def chord_at(self, beat: float) -> Chord:
        """Return the chord that sounds at `beat`."""
        beats, chords = self._changes
        return chords[bisect_right(beats, snapped_beat(beat) % self.length) - 1]

    def next_change(self, beat: float) -> tuple[Chord, float]:
        """Return the next different chord and the quarter notes until it; infinite if the chord never changes."""
        chord, change = self.next_change_beat(beat)
        return chord, change - snapped_beat(beat)

    def next_change_beat(self, beat: float) -> tuple[Chord, float]:
        """Return the next different chord and the beat on which it begins; infinite if the chord never changes."""
        beats, chords = self._changes
        if len(chords) == 1:
            return chords[0], math.inf
        chorus, chorus_beat = divmod(snapped_beat(beat), self.length)
        more, index = divmod(bisect_right(beats, chorus_beat), len(beats))
        return chords[index], (chorus + more) * self.length + beats[index]

    def transposed(self, semitones: int) -> Chart:
        """Return the same song, `semitones` higher."""
        bars = (
            Bar(tuple((at, chord.transposed(semitones)) for at, chord in bar.chords), bar.meter) for bar in self.bars
        )
        return Chart(tuple(bars), self.info.transposed(semitones))

    def shown(self, transpose: int = 0) -> Chart:
        """Return the chart as the player reads it, see `Chord.shown`."""
        bars = (Bar(tuple((at, chord.shown(transpose)) for at, chord in bar.chords), bar.meter) for bar in self.bars)
        return Chart(tuple(bars), self.info.transposed(-transpose))

    def with_warning(self, problem: str) -> Chart:
        """Return the same song with one more warning."""
        return replace(self, info=replace(self.info, warnings=(*self.info.warnings, f"{self.info.title}: {problem}")))

    def text(self) -> str:
        """Return the chart as text for `parse_changes`, with the chart's first meter as the default.

        A line has four bars; each section begins on a new line.
        """
        before = [self.meter, *(bar.meter for bar in self.bars)]
        cells = [_bar_text(bar, last) for bar, last in zip(self.bars, before, strict=False)]
        names = {index: f"[{name}]" for index, name in self.info.sections}
        starts = sorted({0, *names, len(cells)})
        lines: list[str] = []
        for first, end in pairwise(starts):
            lines += [names[first]] if first in names else []
            rows = (cells[at : min(at + 4, end)] for at in range(first, end, 4))
            lines += [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join(lines)


def chord_onsets(count: int, meter: Meter) -> list[Fraction]:
    """Return the onsets of `count` chords that share one bar, in quarter notes; empty if the bar cannot hold them.

    The chords share the beats of the bar: in 6/8, 9/8 and 12/8 the dotted ones if these are enough. Where they are more
    than its beats, they share its half-beats.
    """
    beats, unit = meter.numerator, Fraction(4, meter.denominator)
    if meter.is_compound and count <= beats // 3:
        beats, unit = beats // 3, unit * 3
    if count > beats:
        beats, unit = 2 * beats, unit / 2
    if count > beats:
        return []
    share, extra = divmod(beats, count)
    return [unit * (index * share + min(index, extra)) for index in range(count)]


def _bar_text(bar: Bar, meter_before: Meter) -> str:
    """Return the shortest text that is read back as this bar: its chords, or a word for each beat or half-beat."""
    meter = bar.meter
    meter_text = "" if meter == meter_before else f"{meter} "
    chords = {onset: chord.text for onset, chord in bar.chords}
    for count in (len(chords), meter.numerator, 2 * meter.numerator):
        onsets = [float(onset) for onset in chord_onsets(count, meter)]
        if chords.keys() <= set(onsets):
            return meter_text + " ".join(chords.get(onset, "/") for onset in onsets)
    raise ValueError(f"{bar} changes between the half-beats of {meter}")


def make_bar(chords: Sequence[Chord], onsets: Sequence[Fraction], meter: Meter) -> Bar:
    """Return a bar of `chords` with these onsets (the first at 0), without chords that repeat the one before."""
    kept = [index for index in range(len(chords)) if index == 0 or chords[index] != chords[index - 1]]
    return Bar(tuple((float(onsets[index]), chords[index]) for index in kept), meter)


def bar_on_grid(placed: Iterable[tuple[Fraction, Chord]], meter: Meter, last: Chord) -> Bar:
    """Return a bar of half-beats, in which each chord begins on the nearest one and lasts until the next chord.

    `placed` has each chord with its place in quarter notes; until the first one the chord before, `last`, goes on.
    """
    places = chord_onsets(2 * meter.numerator, meter)
    half_beat = meter.quarters / len(places)
    begins = {min(round(at / half_beat), len(places) - 1): chord for at, chord in placed}
    return make_bar([last := begins.get(index, last) for index in range(len(places))], places, meter)
