# SPDX-License-Identifier: Apache-2.0
"""The parts of a MIDI file: which of them is the melody, which line it plays, and whether its eighths swing.

A part is what one track plays on one channel; channel 10 is drums, and so is a track called drums or percussion.

**The melody**, unless it is named, is the part whose track is called a melody, else a solo or lead. Of several, and
where no name tells, it is the one with the highest sum of

- twice the share of its notes in its highest line (below),
- twice the share of the bars in which it begins a note,
- how near its mean pitch is to C5 (1 there, 0 two octaves away),
- its different pitch classes, seven or more counting 1,
- half a point for the name of a voice or of an instrument that plays one note at a time (saxophone, trumpet ...), or
  for a sound that soloists have (General MIDI: brass, reeds, pipes, synth leads, violin).

Basses (by name, sound, or a mean below C3) come after all others.

**The highest line** of a part that plays several notes at once: of notes that begin together (within a twelfth of a
beat, the earlier still sounding) the highest; and no note of which at least half sounds under a higher one.

**Swing.** In beats with an onset at the beat and just one more, between 0.45 and 0.8 of the way, the second tells the
ratio. With 16 or more such beats, of which three in five lie within 0.06 of their median, and a median of 0.55 or more,
the part swings: in every beat, what is before the ratio is stretched to the first half and what is after it to the
second, as on a lead sheet. Beats with an onset near their first third are triplets and are left.

**Beats that nobody played.** Music recorded without a click has a file's beats anywhere. Of 64 notes or more, chance
alone would put a quarter within a sixteenth of a beat of a beat or of its half; fewer than three in ten are no more.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from sideman_models.corpus.midi.parser import MidiTrack, TimedNote
from sideman_models.music.values import TICKS_PER_QUARTER

_DRUM_NAMES = re.compile(r"\b(drum|perc|kit\b)", re.IGNORECASE)
_BASS_NAMES = re.compile(r"\b(bass|contrabass|kontrabass)\b(?! (clar|tromb|sax))", re.IGNORECASE)
_CHORD_TRACK_NAMES = re.compile(r"\b(chords?|akkorde?|accords?|changes)\b", re.IGNORECASE)
_MELODY_NAMES = (
    re.compile(r"melod|\btune\b|\btheme\b", re.IGNORECASE),
    re.compile(r"\bsolo|\blead\b|\bimpro", re.IGNORECASE),
)
_SOLO_INSTRUMENT_NAMES = re.compile(
    r"\bvoca|\bvox\b|\bvoice\b|\bsing(er|ing)?\b|\bvoc\b|sax|trumpet|\btpt\b|cornet|trombone|\btbn\b|clarinet|flute|"
    r"flugel|oboe|horn\b|violin\b|fiddle|whistle|recorder|harmonica",
    re.IGNORECASE,
)
_BASS_PROGRAMS = range(32, 40)
_SOLO_PROGRAMS = {40, *range(56, 80), *range(80, 88)}
_LOW_PITCH = 48
_SAME_ONSET_TICKS = 1.0  # ticks


@dataclass(frozen=True, slots=True)
class MidiPart:
    """The notes of one track (from 1) on one channel (from 1), in order of onset, in ticks of `TICKS_PER_QUARTER`.

    `program` is the General MIDI number (0..127) of what plays its first note.
    """

    track: int
    channel: int
    name: str
    program: int | None
    notes: tuple[TimedNote, ...]

    @property
    def is_drums(self) -> bool:
        """Whether its pitches are none."""
        return self.channel == 10 or bool(_DRUM_NAMES.search(self.name))

    @property
    def is_bass(self) -> bool:
        """Whether it is the bass."""
        return bool(_BASS_NAMES.search(self.name)) or self.program in _BASS_PROGRAMS

    @property
    def is_chords(self) -> bool:
        """Whether its track is called the chords."""
        return bool(_CHORD_TRACK_NAMES.search(self.name))

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"track {self.track}{name}, channel {self.channel}"


def split_into_parts(tracks: Sequence[tuple[int, MidiTrack]], ticks_per_quarter: int) -> list[MidiPart]:
    """All parts that have notes, in order; `tracks` with their numbers, `ticks_per_quarter` ticks a quarter note."""
    found = []
    for number, track in tracks:
        for channel, notes in sorted(track.notes.items()):
            scaled = tuple(
                (start * TICKS_PER_QUARTER / ticks_per_quarter, end * TICKS_PER_QUARTER / ticks_per_quarter, pitch)
                for start, end, pitch in notes
            )
            found.append(MidiPart(number, channel + 1, track.name, track.programs.get(channel), scaled))
    return found


def find_named_part(pitched_parts: Sequence[MidiPart], name: str) -> MidiPart | None:
    """The part that `name` means: a track's name or number, or where one track plays all parts, a channel's number.

    A whole name goes before a part of one. Where a track plays several channels, the most notes decide.
    """
    if name.isascii() and name.isdecimal():
        number = int(name) if len(name) < 6 else 0
        fits = [part for part in pitched_parts if part.track == number]
        if len({part.track for part in pitched_parts}) == 1:
            fits = [part for part in pitched_parts if part.channel == number] or fits
    else:
        wanted = name.casefold().strip()
        fits = [part for part in pitched_parts if part.name.casefold() == wanted]
        fits = fits or [part for part in pitched_parts if wanted in part.name.casefold()]
    return max(fits, key=lambda part: len(part.notes), default=None)


def find_melody(pitched_parts: Sequence[MidiPart], bar_ticks: int) -> tuple[MidiPart, str]:
    """The part that is the melody, and why it is thought so. There must be one part at least."""
    lines = {index: skyline(part.notes) for index, part in enumerate(pitched_parts)}
    high = [index for index, part in enumerate(pitched_parts) if not _is_low(part)] or list(lines)
    bars = _count_bars([note for part in pitched_parts for note in part.notes], bar_ticks)

    def score(index: int) -> float:
        return _melody_score(pitched_parts[index], lines[index], bars, bar_ticks)

    for pattern in _MELODY_NAMES:
        if named := [index for index in high if pattern.search(pitched_parts[index].name)]:
            return pitched_parts[max(named, key=score)], "by its name"
    if len(pitched_parts) == 1:
        return pitched_parts[0], "the only part"
    best = max(high, key=score)
    return pitched_parts[best], f"by what it plays, {score(best):.1f} of 6.5 points"


def _is_low(part: MidiPart) -> bool:
    return part.is_bass or fmean(pitch for _, _, pitch in part.notes) < _LOW_PITCH


def _melody_score(part: MidiPart, line: Sequence[TimedNote], bars: int, bar_ticks: int) -> float:
    mean = fmean(pitch for _, _, pitch in line)
    return (
        2 * len(line) / len(part.notes)
        + 2 * _count_bars(line, bar_ticks) / bars
        + max(0.0, 1 - abs(mean - 72) / 24)
        + min(1.0, len({pitch % 12 for _, _, pitch in line}) / 7)
        + (0.5 if part.program in _SOLO_PROGRAMS or _SOLO_INSTRUMENT_NAMES.search(part.name) else 0.0)
    )


def _count_bars(notes: Iterable[TimedNote], bar_ticks: int) -> int:
    """In how many bars a note begins."""
    return len({start // bar_ticks for start, _, _ in notes})


def skyline(notes: Sequence[TimedNote]) -> list[TimedNote]:
    """The notes of the highest line, in order of onset; see the module."""
    line: list[TimedNote] = []
    for group in _simultaneous_notes(notes):
        highest = max(group, key=lambda one: (one[2], one[1]))
        if not line or highest[2] >= line[-1][2] or not _is_covered(highest, line[-1]):
            line.append(highest)
    return line


def _simultaneous_notes(notes: Sequence[TimedNote]) -> Iterator[list[TimedNote]]:
    """Notes that begin together."""
    group: list[TimedNote] = []
    until = 0.0
    for note in notes:
        if group and (note[0] - group[0][0] >= _SAME_ONSET_TICKS or note[0] >= until):
            yield group
            group = []
        until = max(until, note[1]) if group else note[1]
        group.append(note)
    if group:
        yield group


def _is_covered(note: TimedNote, higher: TimedNote) -> bool:
    covered = higher[1] - note[0]
    return covered > 0 and covered >= (note[1] - note[0]) / 2


def estimate_swing(notes: Sequence[TimedNote]) -> float | None:
    """Where the second eighths of a swinging part begin, as a share of the beat; None for one that does not swing."""
    seconds = []
    for phases in _beat_phases(notes).values():
        on_beat = [phase for phase in phases if phase < 1 / 12]
        after = [phase for phase in phases if phase >= 1 / 12]
        if on_beat and len(after) == 1 and 0.45 <= after[0] <= 0.8:
            seconds.append(after[0])
    if len(seconds) < 16:
        return None
    ratio = median(seconds)
    near = sum(abs(phase - ratio) <= 0.06 for phase in seconds)
    return ratio if ratio >= 0.55 and near >= 0.6 * len(seconds) else None


def remove_swing(notes: Sequence[TimedNote], ratio: float) -> list[TimedNote]:
    """The notes of a part that swings, written straight; none overtakes another."""
    triplets = {
        beat for beat, phases in _beat_phases(notes).items() if any(abs(phase - 1 / 3) <= 1 / 12 for phase in phases)
    }

    def straight(tick: float) -> float:
        beat, phase = divmod(tick / TICKS_PER_QUARTER, 1.0)
        if beat in triplets:
            return tick
        return TICKS_PER_QUARTER * (beat + (phase / ratio if phase < ratio else 1 + (phase - ratio) / (1 - ratio)) / 2)

    return [(straight(start), straight(end), pitch) for start, end, pitch in notes]


def ignores_beats(notes: Sequence[TimedNote]) -> bool:
    """Whether the notes, many as they are, pay no heed to the beats."""
    near = sum(
        abs(start / (TICKS_PER_QUARTER / 2) - round(start / (TICKS_PER_QUARTER / 2))) <= 1 / 8 for start, _, _ in notes
    )
    return len(notes) >= 64 and near < 0.3 * len(notes)


def _beat_phases(notes: Sequence[TimedNote]) -> dict[float, list[float]]:
    """Where in their beats notes begin, by beat. What comes a little before a beat belongs to it."""
    found: dict[float, list[float]] = defaultdict(list)
    for start, _, _ in notes:
        beat, phase = divmod(start / TICKS_PER_QUARTER, 1.0)
        if phase > 1 - 1 / 24:
            beat, phase = beat + 1, 0.0
        found[beat].append(phase)
    return found
