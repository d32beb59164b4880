# SPDX-License-Identifier: Apache-2.0
"""Solos from MIDI files of any kind: the melody, its metre, and the chords under it.

- **The melody** is found, or named, as `parts` says; of several notes at once the highest line is taken, a part
  that swings is written straight. Every track of a type 2 file is a piece of its own.
- **The metre**: where it changes the file is parted, and each stretch of one metre (`metre`) is a solo of its own,
  under the same title.
- **The chords** are, with `auto`, the first of these that there is: symbols in the texts (`chords`); what a track
  called the chords plays; else they are found (`chordfinder`) from all other pitched parts and from what lies below the
  melody in its own; if there is no such thing, from the melody alone.
- **The title** is the name of a first track that holds no notes, if it tells anything, else the file's name. So a tune
  stays on one side of the split, wherever its file lies.

What a file gives is told by its `FileReport`, as is why a file gives nothing; a bad one is never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sideman_models.corpus.midi.chord_sources import Chords, FoundChords, found_below, symbol_chords
from sideman_models.corpus.midi.meter import Signature, Stretch, find_stretches
from sideman_models.corpus.midi.parser import MOST_QUARTERS, Midi, MidiError, Strike, Track, parse_midi
from sideman_models.corpus.midi.parts import (
    Part,
    beatless,
    find_melody,
    highest_line,
    named_part,
    parts,
    swing,
    unswung,
)
from sideman_models.music.line import LineNote
from sideman_models.music.solos import Solo
from sideman_models.music.values import TICKS
from sideman_models.text import counted

VERSION = 4
"""To be raised with every change to what is read from the same bytes, or old readings would be taken for new."""
BY_TRACK = "track:"

_EMPTY_NAMES = re.compile(
    r"[\W\d_]*(untitled|(new )?(song|track|sequence|seq|tempo|conductor|master|control|midi|meta|file|type|no name)"
    r"[\W\d_]*)*|.*(www\.|http|@|copyright|\(c\)|©).*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How music is read.

    Of MIDI files, `melody` is a track's name or number, None: to be found; `chords` auto, text, infer or track:NAME;
    `cache` whether readings are kept for the next time. Of solo databases, `all_feels`: see `weimar.read_solos`.
    """

    melody: str | None = None
    chords: str = "auto"
    cache: bool = True
    all_feels: bool = False


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was used of a file, what not, and why.

    `left_out` says why nothing was, and is empty otherwise. `notes` were in the melody, of which `dropped` fell out of
    the line. `swing` is where second eighths began, as a share of the beat. `cached`: it was read another time.
    """

    file: str = ""
    title: str = ""
    melody: str = ""
    chords: str = ""
    metres: tuple[str, ...] = ()
    bars: int = 0
    notes: int = 0
    dropped: int = 0
    swing: float | None = None
    remarks: tuple[str, ...] = ()
    left_out: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True)
class MidiMusic:
    """What one file holds, its solos as yet without the title that the file's name may give."""

    report: FileReport
    solos: tuple[Solo, ...] = ()


class _NothingHere(Exception):
    """Why a file, or one song of it, gives no solo."""


def read_midi(data: bytes, reading: Reading) -> MidiMusic:
    """All that the bytes of a file hold. Never an error: the report says what is wrong."""
    try:
        midi = parse_midi(data)
    except MidiError as error:
        return MidiMusic(FileReport(left_out=str(error)))
    numbered = list(enumerate(midi.tracks, 1))
    songs = [[one] for one in numbered] if midi.type == 2 else [numbered]
    found: list[MidiMusic] = []
    reasons: list[str] = []
    left = float(MOST_QUARTERS)
    for song in songs:
        if left <= 0:
            midi.remarks.append(f"only its first {len(found)} songs are read")
            break
        try:
            found.append(_Song(song, midi.division, reading).read())
        except _NothingHere as reason:
            reasons.append(str(reason))
        else:
            left -= sum(solo.changes.beats for solo in found[-1].solos)
    broken = [f"track {number} {track.broken}" for number, track in numbered if track.broken]
    remarks = (*midi.remarks, *broken, *_unended(midi))
    if not found:
        return MidiMusic(FileReport(remarks=remarks, left_out=reasons[0] if reasons else "no notes"))
    return _together(found, _song_title(midi), remarks)


def _together(found: Sequence[MidiMusic], title: str, remarks: tuple[str, ...]) -> MidiMusic:
    """The songs of a file as one."""
    reports = [one.report for one in found]
    report = replace(
        reports[0],
        title=title,
        metres=tuple(dict.fromkeys(metre for one in reports for metre in one.metres)),
        bars=sum(one.bars for one in reports),
        notes=sum(one.notes for one in reports),
        remarks=(*remarks, *dict.fromkeys(remark for one in reports for remark in one.remarks)),
    )
    return MidiMusic(report, tuple(solo for one in found for solo in one.solos))


def _unended(midi: Midi) -> list[str]:
    unended = sum(track.unended for track in midi.tracks)
    return [f"{counted(unended, 'note')} without an end"] if unended else []


def _song_title(midi: Midi) -> str:
    """What the file calls itself; empty if it does not."""
    if midi.type != 1 or not midi.tracks or midi.tracks[0].notes:
        return ""
    name = midi.tracks[0].name
    return "" if _EMPTY_NAMES.fullmatch(name) else name


@dataclass(slots=True)
class _Song:
    """The tracks, with their numbers, that sound together."""

    tracks: Sequence[tuple[int, Track]]
    division: int
    reading: Reading

    def read(self) -> MidiMusic:
        """Its solos. Raises `_NothingHere`."""
        everything = parts(self.tracks, self.division)
        pitched = [part for part in everything if not part.drums]
        if not pitched:
            raise _NothingHere("only drums" if everything else "no notes")
        end = max(max(note[1], note[0] + 1) for part in everything for note in part.notes)
        stretches, remarks = find_stretches(self._signatures(), end)
        melody, why = self._melody(pitched, stretches[0].bar_ticks)
        line = highest_line(melody.notes)
        chords = self._chords(pitched, melody, line)
        ratio = swing(line)
        written = unswung(line, ratio) if ratio else line
        solos = [solo for stretch in stretches if (solo := _solo(stretch, written, chords))]
        if len(line) < len(melody.notes):
            remarks.append(f"{counted(len(melody.notes) - len(line), 'note')} below the melody, in its own part")
        if beatless(line):
            remarks.append("its notes do not follow its beats: was it recorded without a click?")
        report = FileReport(
            melody=f"{melody}, {why}",
            chords=chords.told,
            metres=tuple(dict.fromkeys(stretch.metre for stretch in stretches)),
            bars=sum(stretch.bars for stretch in stretches),
            notes=sum(len(solo.notes) for solo in solos),
            swing=None if ratio is None else round(ratio, 3),
            remarks=tuple(remarks),
        )
        return MidiMusic(report, tuple(solos))

    def _signatures(self) -> Iterator[Signature]:
        for _, track in self.tracks:
            for tick, numerator, denominator in track.metres:
                yield tick * TICKS / self.division, numerator, denominator

    def _melody(self, pitched: Sequence[Part], bar_ticks: int) -> tuple[Part, str]:
        if self.reading.melody is None:
            return find_melody(pitched, bar_ticks)
        part = named_part(pitched, self.reading.melody)
        if part is None:
            raise _NothingHere(f"no melody called {self.reading.melody!r}")
        return part, "as asked for"

    def _chords(self, pitched: Sequence[Part], melody: Part, line: Sequence[Strike]) -> Chords:
        how = self.reading.chords
        symbols = symbol_chords(self.tracks, self.division) if how in ("auto", "text") else None
        if symbols is not None:
            return symbols
        if how == "text":
            raise _NothingHere("no chord symbols in its texts")
        track = None
        if how.startswith(BY_TRACK):
            track = named_part(pitched, how.removeprefix(BY_TRACK))
            if track is None:
                raise _NothingHere(f"no chords called {how.removeprefix(BY_TRACK)!r}")
        elif how == "auto":
            track = next((part for part in pitched if part.chords and part is not melody), None)
        if track is not None:
            return FoundChords(track.notes, (), f"found from {track}")
        return found_below(pitched, melody, line)


def _solo(stretch: Stretch, line: Sequence[Strike], chords: Chords) -> Solo | None:
    notes = stretch.within(line)
    if not notes:
        return None
    played = tuple(LineNote(start, max(start, end), pitch) for start, end, pitch in notes)
    return Solo("", "", played, chords.over(stretch), stretch.bar_ticks, unread=chords.unread)
