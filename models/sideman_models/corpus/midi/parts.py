# SPDX-License-Identifier: Apache-2.0
"""The parts of a MIDI file: which part is the melody, what its highest line is, and whether it swings.

A part is what one track plays on one channel. Channel 10 is drums, and so is a track whose name says drums or
percussion.

**The melody**, if the user does not name it, is the part whose track is called a melody, or else the voice, or else a
solo or lead, or else a saxophone, or else the lead or solo of a guitar or keyboard. Backing voices and the names of
General MIDI's own sounds, which programs give, do not count (Voice Oohs, Lead 1 (square), Tenor Sax; but a saxophone so
called is compared with a lead guitar). Of several such parts, and if no name helps, it is the part with the highest
sum of these points:

- twice the share of its notes that belong to its highest line (below),
- twice the share of the bars in which a note of the line begins,
- how near the mean pitch of the line is to C5 (1 there, 0 at two octaves from it),
- the different pitch classes of the line; seven or more count 1,
- 0.5 for the name of a voice or of an instrument that plays one note at a time (saxophone, trumpet ...), or for a
  program that soloists use (General MIDI: brass, reeds, pipes, synth leads, violin).

Bass parts (by name, by program, or with a mean below C3) come after all others.

**The highest line** of a part that plays several notes at once: of notes that begin together (within a twelfth of a
beat, while the earlier one still sounds) the highest; but no note of which at least half sounds under a higher one.

**Swing.** In a beat with one onset on the beat and only one more, between 0.45 and 0.8 of the beat, the second onset
gives the ratio. The part swings if there are 16 or more such beats, if three fifths of them lie within 0.06 of their
median, and if the median is 0.55 or more. Then the part is written straight, as on a lead sheet: in each beat, the part
before the ratio is stretched to the first half, the rest to the second half. Beats with an onset near their first third
are triplets and are not changed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median

from msgspec import Struct

from sideman_models.corpus.midi.parser import MidiTrack, TimedNote
from sideman_models.music.values import TICKS_PER_QUARTER

_DRUM_NAMES = re.compile(r"\b(?<!steel )(drum(?!mer\b.*\w)|perc|kit\b)", re.IGNORECASE)
_BASS_NAMES = re.compile(r"\b(bass|contrabass|kontrabass)\b(?! (clar|tromb|sax))", re.IGNORECASE)
_CHORD_TRACK_NAMES = re.compile(r"\b(chords?|akkorde?|accords?|changes)\b", re.IGNORECASE)
_VOICE = r"\bvoca|\bvox\b|\bvoice\b|\bsing(er|ing)?\b|\bvoc\b"
_SOLO, _OF_BAND = r"\bsolo|\blead\b|\bimpro", r"guit|\bgtr|\bgt\b|\bgit|piano|organ|keys|keyb|synth"
_MELODY_NAMES = (
    re.compile(r"melod|\btune\b|\btheme\b", re.IGNORECASE),
    re.compile(_VOICE, re.IGNORECASE),
    re.compile(rf"^(?!.*({_OF_BAND})).*({_SOLO})", re.IGNORECASE),
    re.compile(r"sax", re.IGNORECASE),
    re.compile(_SOLO, re.IGNORECASE),
)
_LEAD_OF_BAND = _MELODY_NAMES[-1]
_GENERAL_MIDI_SAX = re.compile(r"(soprano|alto|tenor|bari(tone)?) ?sax(ophone)?[\W\d]*", re.IGNORECASE)
_NOT_A_MELODY = re.compile(
    r"\b(back|bgv|bv|harmon(y|ies)|choir|chorus|2nd|second|oo+hs?|aa+hs?|pads?\b|melodic tom)|"
    r"^[\W\d]*(lead ?\d ?(\W.*)?|(square|saw|sawtooth|saw tooth|calliope|chiff(er)?|charang|voice|fifths|5ths|bass ?\W)"
    r" ?(wave)? ?lead|(synth|syn) ?(voice|vox|lead)|solo vox|"
    rf"{_GENERAL_MIDI_SAX.pattern})[\W\d]*$",
    re.IGNORECASE,
)
_SOLO_INSTRUMENT_NAMES = re.compile(
    _VOICE + r"|sax|trumpet|\btpt\b|cornet|trombone|\btbn\b|clarinet|flute|"
    r"flugel|oboe|horn\b|violin\b|fiddle|whistle|recorder|harmonica",
    re.IGNORECASE,
)
_BASS_PROGRAMS = range(32, 40)
_SOLO_PROGRAMS = {40, *range(56, 88)}
_LOW_PITCH = 48
_SAME_ONSET_TICKS = 1.0


class MidiPart(Struct, frozen=True):
    """The notes of one track (from 1) on one channel (from 1), in order of onset, in ticks of `TICKS_PER_QUARTER`.

    `program` is the General MIDI program (0..127) at its first note, if there is one.
    """

    track: int
    channel: int
    name: str
    program: int | None
    notes: tuple[TimedNote, ...]

    @property
    def is_drums(self) -> bool:
        """Whether the part is drums, whose pitches are not pitches."""
        return self.channel == 10 or bool(_DRUM_NAMES.search(self.name))

    @property
    def is_bass(self) -> bool:
        """Whether the part is a bass, by its name or program."""
        return bool(_BASS_NAMES.search(self.name)) or self.program in _BASS_PROGRAMS

    @property
    def is_chords(self) -> bool:
        """Whether the name of the track says that it plays the chords."""
        return bool(_CHORD_TRACK_NAMES.search(self.name))

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"track {self.track}{name}, channel {self.channel}"


def split_into_parts(tracks: Sequence[tuple[int, MidiTrack]]) -> list[MidiPart]:
    """Return all parts with notes, in order of track and channel. `tracks` are (number, track)."""
    return [
        MidiPart(number, channel + 1, track.name, track.programs.get(channel), tuple(notes))
        for number, track in tracks
        for channel, notes in sorted(track.notes.items())
    ]


def find_named_part(pitched_parts: Sequence[MidiPart], name: str) -> MidiPart | None:
    """Return the part that `name` means, or None.

    `name` is the name or number of a track. If one track plays all parts, a number may also be a channel. A whole name
    is preferred to a part of one. If a track plays several channels, the one with the most notes is returned.
    """
    if name.isascii() and name.isdecimal():
        number = int(name) if len(name) < 6 else 0
        matches = [part for part in pitched_parts if part.track == number]
        if len({part.track for part in pitched_parts}) == 1:
            matches = [part for part in pitched_parts if part.channel == number] or matches
    else:
        wanted = name.casefold().strip()
        matches = [part for part in pitched_parts if part.name.casefold() == wanted]
        matches = matches or [part for part in pitched_parts if wanted in part.name.casefold()]
    return max(matches, key=lambda part: len(part.notes), default=None)


def find_melody(pitched_parts: Sequence[MidiPart], bar_ticks: int) -> tuple[MidiPart, str]:
    """Return the part that is the melody, and why it was chosen. There must be at least one part."""
    bars = _count_bars([note for part in pitched_parts for note in part.notes], bar_ticks)

    def score(part: MidiPart) -> float:
        line = skyline(part.notes)
        pitches = [pitch for _, _, pitch in line]
        return (
            2 * len(line) / len(part.notes)
            + 2 * _count_bars(line, bar_ticks) / bars
            + max(0.0, 1 - abs(fmean(pitches) - 72) / 24)
            + min(1.0, len({pitch % 12 for pitch in pitches}) / 7)
            + (0.5 if part.program in _SOLO_PROGRAMS or _SOLO_INSTRUMENT_NAMES.search(part.name) else 0.0)
        )

    not_low = [
        part for part in pitched_parts if not part.is_bass and fmean(pitch for _, _, pitch in part.notes) >= _LOW_PITCH
    ] or pitched_parts
    # A melody, a voice or a saxophone may be low, or have the program of a bass. A low solo is that of the bass.
    not_called_bass = [part for part in pitched_parts if not _BASS_NAMES.search(part.name)]
    for pattern in _MELODY_NAMES:
        among = not_low if _SOLO in pattern.pattern else not_called_bass
        if named := [part for part in among if pattern.search(part.name) and not _NOT_A_MELODY.search(part.name)]:
            if pattern is _LEAD_OF_BAND:
                named += [part for part in not_low if _GENERAL_MIDI_SAX.fullmatch(part.name)]
            return max(named, key=score), "by its name"
    if len(pitched_parts) == 1:
        return pitched_parts[0], "the only part"
    best = max(not_low, key=score)
    return best, f"by what it plays, {score(best):.1f} of 6.5 points"


def _count_bars(notes: Iterable[TimedNote], bar_ticks: int) -> int:
    """Return the number of bars in which a note begins."""
    return len({start // bar_ticks for start, _, _ in notes})


def skyline(notes: Sequence[TimedNote]) -> list[TimedNote]:
    """Return the notes of the highest line in order of onset: see the module docstring."""
    groups: list[list[TimedNote]] = []  # of notes that begin together
    until = 0.0
    for note in notes:
        if not groups or note[0] - groups[-1][0][0] >= _SAME_ONSET_TICKS or note[0] >= until:
            groups.append([])
            until = note[1]
        until = max(until, note[1])
        groups[-1].append(note)
    line: list[TimedNote] = []
    for group in groups:
        highest = start, end, pitch = max(group, key=lambda one: (one[2], one[1]))
        covered = line[-1][1] - start if line and line[-1][2] > pitch else 0.0
        if covered <= 0 or covered < (end - start) / 2:
            line.append(highest)
    return line


def estimate_swing(notes: Sequence[TimedNote]) -> float | None:
    """Return the swing ratio: where the second eighths begin, as a share of the beat. None: the part does not swing.

    `notes` must be in order of onset, in ticks of `TICKS_PER_QUARTER`.
    """
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
    """Return the notes of a part with this swing ratio, written straight. Their order does not change."""
    triplets = {
        beat for beat, phases in _beat_phases(notes).items() if any(abs(phase - 1 / 3) <= 1 / 12 for phase in phases)
    }

    def straight(tick: float) -> float:
        beat, phase = divmod(tick / TICKS_PER_QUARTER, 1.0)
        if beat in triplets:
            return tick
        return TICKS_PER_QUARTER * (beat + (phase / ratio if phase < ratio else 1 + (phase - ratio) / (1 - ratio)) / 2)

    return [(straight(start), straight(end), pitch) for start, end, pitch in notes]


def _beat_phases(notes: Sequence[TimedNote]) -> dict[float, list[float]]:
    """Return by beat where its notes begin, as shares of the beat. A note shortly before a beat belongs to it."""
    phases_by_beat: dict[float, list[float]] = defaultdict(list)
    for start, _, _ in notes:
        beat, phase = divmod(start / TICKS_PER_QUARTER, 1.0)
        if phase > 1 - 1 / 24:
            beat, phase = beat + 1, 0.0
        phases_by_beat[beat].append(phase)
    return phases_by_beat
