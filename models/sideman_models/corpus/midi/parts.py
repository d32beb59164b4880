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

from sideman_models.corpus.midi.parser import Strike, Track
from sideman_models.music.values import TICKS

_DRUMS = re.compile(r"\b(drum|perc|kit\b)", re.IGNORECASE)
_BASS = re.compile(r"\b(bass|contrabass|kontrabass)\b(?! (clar|tromb|sax))", re.IGNORECASE)
_CHORDS = re.compile(r"\b(chords?|akkorde?|accords?|changes)\b", re.IGNORECASE)
_NAMED = (re.compile(r"melod|\btune\b|\btheme\b", re.IGNORECASE), re.compile(r"\bsolo|\blead\b|\bimpro", re.IGNORECASE))
_VOICES = re.compile(
    r"\bvoca|\bvox\b|\bvoice\b|\bsing(er|ing)?\b|\bvoc\b|sax|trumpet|\btpt\b|cornet|trombone|\btbn\b|clarinet|flute|"
    r"flugel|oboe|horn\b|violin\b|fiddle|whistle|recorder|harmonica",
    re.IGNORECASE,
)
_BASS_SOUNDS = range(32, 40)
_SOLO_SOUNDS = {40, *range(56, 80), *range(80, 88)}
_LOW = 48
_TOGETHER = 1.0  # ticks


@dataclass(frozen=True, slots=True)
class Part:
    """What track `track` (from 1) plays on channel `channel` (from 1); `notes` in order of onset, in `TICKS`.

    `sound` is the General MIDI number (0..127) of what plays its first note.
    """

    track: int
    channel: int
    name: str
    sound: int | None
    notes: tuple[Strike, ...]

    @property
    def drums(self) -> bool:
        """Whether its pitches are none."""
        return self.channel == 10 or bool(_DRUMS.search(self.name))

    @property
    def bass(self) -> bool:
        """Whether it is the bass."""
        return bool(_BASS.search(self.name)) or self.sound in _BASS_SOUNDS

    @property
    def chords(self) -> bool:
        """Whether its track is called the chords."""
        return bool(_CHORDS.search(self.name))

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"track {self.track}{name}, channel {self.channel}"


def parts(tracks: Sequence[tuple[int, Track]], division: int) -> list[Part]:
    """All parts that have notes, in order; `tracks` with their numbers, `division` ticks a quarter note."""
    found = []
    for number, track in tracks:
        for channel, notes in sorted(track.notes.items()):
            scaled = tuple((start * TICKS / division, end * TICKS / division, pitch) for start, end, pitch in notes)
            found.append(Part(number, channel + 1, track.name, track.programs.get(channel), scaled))
    return found


def named_part(pitched: Sequence[Part], name: str) -> Part | None:
    """The part that `name` means: a track's name or number, or where one track plays all parts, a channel's number.

    A whole name goes before a part of one. Where a track plays several channels, the most notes decide.
    """
    if name.isascii() and name.isdecimal():
        number = int(name) if len(name) < 6 else 0
        fits = [part for part in pitched if part.track == number]
        if len({part.track for part in pitched}) == 1:
            fits = [part for part in pitched if part.channel == number] or fits
    else:
        wanted = name.casefold().strip()
        fits = [part for part in pitched if part.name.casefold() == wanted]
        fits = fits or [part for part in pitched if wanted in part.name.casefold()]
    return max(fits, key=lambda part: len(part.notes), default=None)


def find_melody(pitched: Sequence[Part], bar_ticks: int) -> tuple[Part, str]:
    """The part that is the melody, and why it is thought so. There must be one part at least."""
    lines = {index: highest_line(part.notes) for index, part in enumerate(pitched)}
    high = [index for index, part in enumerate(pitched) if not _low(part)] or list(lines)
    bars = _bars([note for part in pitched for note in part.notes], bar_ticks)

    def score(index: int) -> float:
        return _score(pitched[index], lines[index], bars, bar_ticks)

    for pattern in _NAMED:
        if named := [index for index in high if pattern.search(pitched[index].name)]:
            return pitched[max(named, key=score)], "by its name"
    if len(pitched) == 1:
        return pitched[0], "the only part"
    best = max(high, key=score)
    return pitched[best], f"by what it plays, {score(best):.1f} of 6.5 points"


def _low(part: Part) -> bool:
    return part.bass or fmean(pitch for _, _, pitch in part.notes) < _LOW


def _score(part: Part, line: Sequence[Strike], bars: int, bar_ticks: int) -> float:
    mean = fmean(pitch for _, _, pitch in line)
    return (
        2 * len(line) / len(part.notes)
        + 2 * _bars(line, bar_ticks) / bars
        + max(0.0, 1 - abs(mean - 72) / 24)
        + min(1.0, len({pitch % 12 for _, _, pitch in line}) / 7)
        + (0.5 if part.sound in _SOLO_SOUNDS or _VOICES.search(part.name) else 0.0)
    )


def _bars(notes: Iterable[Strike], bar_ticks: int) -> int:
    """In how many bars a note begins."""
    return len({start // bar_ticks for start, _, _ in notes})


def highest_line(notes: Sequence[Strike]) -> list[Strike]:
    """The notes of the highest line, in order of onset; see the module."""
    line: list[Strike] = []
    for group in _together(notes):
        highest = max(group, key=lambda one: (one[2], one[1]))
        if not line or highest[2] >= line[-1][2] or not _under(highest, line[-1]):
            line.append(highest)
    return line


def _together(notes: Sequence[Strike]) -> Iterator[list[Strike]]:
    """Notes that begin together."""
    group: list[Strike] = []
    until = 0.0
    for note in notes:
        if group and (note[0] - group[0][0] >= _TOGETHER or note[0] >= until):
            yield group
            group = []
        until = max(until, note[1]) if group else note[1]
        group.append(note)
    if group:
        yield group


def _under(note: Strike, higher: Strike) -> bool:
    covered = higher[1] - note[0]
    return covered > 0 and covered >= (note[1] - note[0]) / 2


def swing(notes: Sequence[Strike]) -> float | None:
    """Where the second eighths of a swinging part begin, as a share of the beat; None for one that does not swing."""
    seconds = []
    for phases in _phases(notes).values():
        on_beat = [phase for phase in phases if phase < 1 / 12]
        after = [phase for phase in phases if phase >= 1 / 12]
        if on_beat and len(after) == 1 and 0.45 <= after[0] <= 0.8:
            seconds.append(after[0])
    if len(seconds) < 16:
        return None
    ratio = median(seconds)
    near = sum(abs(phase - ratio) <= 0.06 for phase in seconds)
    return ratio if ratio >= 0.55 and near >= 0.6 * len(seconds) else None


def unswung(notes: Sequence[Strike], ratio: float) -> list[Strike]:
    """The notes of a part that swings, written straight; none overtakes another."""
    triplets = {
        beat for beat, phases in _phases(notes).items() if any(abs(phase - 1 / 3) <= 1 / 12 for phase in phases)
    }

    def straight(tick: float) -> float:
        beat, phase = divmod(tick / TICKS, 1.0)
        if beat in triplets:
            return tick
        return TICKS * (beat + (phase / ratio if phase < ratio else 1 + (phase - ratio) / (1 - ratio)) / 2)

    return [(straight(start), straight(end), pitch) for start, end, pitch in notes]


def beatless(notes: Sequence[Strike]) -> bool:
    """Whether the notes, many as they are, pay no heed to the beats."""
    near = sum(abs(start / (TICKS / 2) - round(start / (TICKS / 2))) <= 1 / 8 for start, _, _ in notes)
    return len(notes) >= 64 and near < 0.3 * len(notes)


def _phases(notes: Sequence[Strike]) -> dict[float, list[float]]:
    """Where in their beats notes begin, by beat. What comes a little before a beat belongs to it."""
    found: dict[float, list[float]] = defaultdict(list)
    for start, _, _ in notes:
        beat, phase = divmod(start / TICKS, 1.0)
        if phase > 1 - 1 / 24:
            beat, phase = beat + 1, 0.0
        found[beat].append(phase)
    return found
