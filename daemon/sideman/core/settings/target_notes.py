# SPDX-License-Identifier: Apache-2.0
"""Target notes as musicians write them: `17: 3` is the third of the chord on the first beat of bar 17.

A place is a bar of the form, with a beat where it is not the first one (`32.4`) and a `+` for the half beat after it
(`32.4+`). A tone is a degree of the chord that sounds there (`root`, `3`, `7`, `b9`, `#11`), a note in any octave
(`Bb`) or one pitch (`Bb4`); `3 or 5` takes whichever the line leads to. A degree without an accidental is the one that
the chord has, or else its scale: 3 of Cm7 is Eb, 9 of C7b9 is Db.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from sideman.core.chart.chart import Chart, ChartError, Meter
from sideman.core.settings.types import PitchRange, SettingType, quoted
from sideman_models.errors import ModelsError
from sideman_models.music.harmony import Chord, parse_pitch, pitch_name
from sideman_models.music.qualities import frame_of
from sideman_models.music.values import TICKS_PER_QUARTER

MAX_TARGETS = 64
"""How many target notes a form may have."""
_MAX_LENGTH = 2000
_PLACE = re.compile(r"([1-9]\d{0,3})(?:\.([1-9]\d?)(\+?))?")
_NOTE = re.compile(r"[A-G](?:bb?|##?)?(-?\d)?")
_DEGREE = re.compile(r"([b#]?)([1-9]|1[0-3])")
_SIGNS = str.maketrans("♭♯", "b#")
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_FORMS = ((0,), (2, 1, 3), (4, 3), (5, 6), (7, 6, 8), (9, 8), (11, 10, 9))
"""The semitones above the root that a degree may have, the usual ones first."""
SOME_TONES = "root, 3, 7, b9, Bb or Bb4"


class TargetNote(Struct, frozen=True):
    """One of `tones` in each chorus, in `bar` on `beat` (both from 1), or half a beat after it."""

    bar: int
    beat: int
    half: bool
    tones: tuple[str, ...]

    @property
    def text(self) -> str:
        """The target as it is written."""
        return f"{self.bar}{self._beat_text}: {tones_text(self.tones)}"

    @property
    def _beat_text(self) -> str:
        return f".{self.beat}{'+' * self.half}" if self.half or self.beat > 1 else ""

    def ticks(self, meter: Meter) -> int | None:
        """Return the ticks from the bar line to the target; None if a bar of this meter has no such place."""
        ticks = TICKS_PER_QUARTER * 4 * (2 * (self.beat - 1) + self.half) / (2 * meter.denominator)
        return int(ticks) if self.beat <= meter.numerator and ticks.is_integer() else None

    def words(self, chord: Chord) -> str:
        """Return the target as it is shown over `chord`: `3 of Cmaj7 in bar 17`, `Bb4 in bar 17, beat 2+`."""
        of = f" of {chord}" if any(is_degree(tone) for tone in self.tones) else ""
        beat = f", beat {self._beat_text[1:]}" if self._beat_text else ""
        return f"{tones_text(self.tones)}{of} in bar {self.bar}{beat}"


def tones_text(tones: Iterable[str]) -> str:
    """Return tones as they are written."""
    return " or ".join(tones)


def read_tones(text: str) -> tuple[str, ...]:
    """Read `3`, `root or 5`, `Bb4`. Raises ValueError, which says what is valid."""
    tones = tuple(_read_tone(" ".join(each.split())) for each in re.split(r"\sor\s", text))
    return tuple(dict.fromkeys(tones))


def _read_tone(text: str) -> str:
    plain = text.translate(_SIGNS)
    if plain in ("root", "1", "8"):
        return "root"
    degree, note = _DEGREE.fullmatch(plain), _NOTE.fullmatch(plain)
    if note is not None:
        try:
            parse_pitch(plain if note[1] else f"{plain}4")
        except ModelsError:
            raise ValueError(f"{quoted(text)} is no pitch: they go from C-1 to G9") from None
    elif degree is None:
        raise ValueError(f"{quoted(text)} is no tone: write {SOME_TONES}")
    return plain


def read_targets(text: str) -> tuple[TargetNote, ...]:
    """Read `17: 3` or `17: 3, 32.1: root`. Raises ValueError, which says what is valid."""
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"it is longer than {_MAX_LENGTH} characters")
    targets = [_read_target(each) for each in text.split(",")]
    if len(targets) > MAX_TARGETS:
        raise ValueError(f"there are more than {MAX_TARGETS} targets")
    places = [(target.bar, target.beat, target.half) for target in targets]
    if twice := next((target for target in targets if places.count((target.bar, target.beat, target.half)) > 1), None):
        raise ValueError(f"{twice.text.partition(':')[0]} is there twice; write 3 or 5 for a choice")
    return tuple(sorted(targets, key=lambda target: (target.bar, target.beat, target.half)))


def _read_target(text: str) -> TargetNote:
    place, colon, tones = text.partition(":")
    match = _PLACE.fullmatch(place.strip())
    if not colon or not tones.strip():
        raise ValueError(f"{quoted(text.strip())} is no target: write a bar, a colon and a tone")
    if match is None:
        raise ValueError(f"{quoted(place.strip())} is no place: write a bar, from 1 on, or a bar and a beat: 17.3")
    return TargetNote(int(match[1]), int(match[2] or 1), bool(match[3]), read_tones(tones))


def _read_target_setting(value: object) -> tuple[TargetNote, ...]:
    if value in ("off", None, False):
        return ()
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - all types refuse a value with the same error
    return read_targets(value)


TARGET_TYPE = SettingType(
    'off or bars with tones, such as "17: 3, 32.4: root" (in quotes in a file)',
    _read_target_setting,
    None,
    lambda targets: ", ".join(target.text for target in targets) or "off",
)


def _read_ending(value: object) -> tuple[str, ...]:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError  # noqa: TRY004 - as above
    return () if value == "any" else read_tones(str(value))


ENDING_TYPE = SettingType(
    f"any, or a tone: {SOME_TONES}; 3 or 5 is a choice", _read_ending, None, lambda tones: tones_text(tones) or "any"
)


# -- what a target means over a chord


def is_degree(tone: str) -> bool:
    """Whether `tone` depends on the chord."""
    return tone == "root" or _NOTE.fullmatch(tone) is None


@lru_cache(maxsize=1024)
def degree_above_root(tone: str, chord: Chord) -> int | None:
    """Return the semitones (0..11) from the root of `chord` to the degree `tone`; None if it has no such degree."""
    if not chord.tones:
        return None
    if tone == "root":
        return 0
    match = _DEGREE.fullmatch(tone)
    if match is None:
        return None
    accidental, number = match[1], (int(match[2]) - 1) % 7
    if accidental:
        return (_MAJOR_SCALE[number] + (1 if accidental == "#" else -1)) % 12
    tones, scale = chord.quality.tones, chord.quality.scale
    third, seventh, fifth = frame_of(tones)
    # What is another degree of this chord: #9 is the third of a minor one, #11 its low fifth, 6 its low seventh.
    others = {1: (third,) if third == 3 else (), 3: (fifth,), 5: (fifth, seventh), 6: () if seventh == 9 else (9,)}
    forms = [form for form in _FORMS[number] if form not in others.get(number, ())]
    return next((form for group in (tones, scale) for form in forms if form in group), None)


def pitches_of(tones: Iterable[str], chord: Chord, pitches: PitchRange) -> frozenset[int]:
    """Return the pitches in the range `pitches` that are one of `tones` over `chord`."""
    return _pitches_of(tuple(tones), chord, pitches)


@lru_cache(maxsize=1024)
def _pitches_of(tones: tuple[str, ...], chord: Chord, pitches: PitchRange) -> frozenset[int]:
    found: set[int] = set()
    for tone in tones:
        if not is_degree(tone):
            has_octave = tone[-1].isdigit()
            pitch = parse_pitch(tone if has_octave else f"{tone}4")
            found |= {pitch} if has_octave else set(range(pitch % 12, 128, 12))
        elif (above := degree_above_root(tone, chord)) is not None:
            found |= set(range((chord.root + above) % 12, 128, 12))
    return frozenset(pitch for pitch in found if pitches.low <= pitch <= pitches.high)


def missing(tones: Iterable[str], chord: Chord, pitches: PitchRange) -> str:
    """Return why no pitch in the range `pitches` is one of `tones` over `chord`; empty if one is."""
    tones = tuple(tones)
    if pitches_of(tones, chord, pitches):
        return ""
    degrees = [tone for tone in tones if is_degree(tone) and degree_above_root(tone, chord) is None]
    if degrees and not chord.tones:
        return "there is no chord there (N.C.); name a note, such as Bb"
    if degrees:
        return f"{chord} has no {tones_text(degrees)}"
    return f"outside play.range, {pitch_name(pitches.low)}-{pitch_name(pitches.high)}"


def problem_in(target: TargetNote, chart: Chart, pitches: PitchRange) -> str:
    """Return why `target` cannot be played over `chart` in the range `pitches`; empty if it can."""
    if target.bar > len(chart.bars):
        return f"the form has no bar {target.bar}; its bars are 1-{len(chart.bars)}"
    meter = chart.bars[target.bar - 1].meter
    if (ticks := target.ticks(meter)) is None:
        return f"bar {target.bar}, in {meter}, has no such place"
    beat = chart.beat_of_bar(target.bar - 1) + ticks / TICKS_PER_QUARTER
    return missing(target.tones, chart.chord_at(beat), pitches)


def check_targets(targets: Iterable[TargetNote], chart: Chart, pitches: PitchRange) -> None:
    """Raise ChartError if one of `targets`, of `play.target`, cannot be played over `chart` in the range `pitches`."""
    for target in targets:
        if problem := problem_in(target, chart, pitches):
            raise ChartError(f"play.target: {target.text}: {problem}")
