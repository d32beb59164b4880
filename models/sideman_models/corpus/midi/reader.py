# SPDX-License-Identifier: Apache-2.0
"""Solos from MIDI files of any kind: the melody, its metre, and the chords under it.

- **The melody** is found, or named, as `split_into_parts` says; of several notes at once the highest line is taken, a
part
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

from sideman_models.corpus.midi.chord_sources import (
    ChordSource,
    InferredChords,
    chords_from_accompaniment,
    chords_from_symbols,
)
from sideman_models.corpus.midi.meter import MeterSection, TimeSignature, find_meter_sections
from sideman_models.corpus.midi.parser import MAX_QUARTERS, MidiError, MidiFile, MidiTrack, TimedNote, parse_midi
from sideman_models.corpus.midi.parts import (
    MidiPart,
    estimate_swing,
    find_melody,
    find_named_part,
    ignores_beats,
    remove_swing,
    skyline,
    split_into_parts,
)
from sideman_models.music.line import LineNote
from sideman_models.music.solos import Solo
from sideman_models.music.values import TICKS_PER_QUARTER
from sideman_models.text import count_noun

READER_VERSION = 4
"""To be raised with every change to what is read from the same bytes, or old readings would be taken for new."""
TRACK_PREFIX = "track:"

_MEANINGLESS_NAMES = re.compile(
    r"[\W\d_]*(untitled|(new )?(song|track|sequence|seq|tempo|conductor|master|control|midi|meta|file|type|no name)"
    r"[\W\d_]*)*|.*(www\.|http|@|copyright|\(c\)|©).*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How music is read.

    Of MIDI files, `melody` is a track's name or number, None: to be found; `chords` auto, text, infer or track:NAME;
    `use_cache` whether readings are kept for the next time. Of solo databases, `all_feels`: see `weimar.read_solos`.
    """

    melody: str | None = None
    chords: str = "auto"
    use_cache: bool = True
    all_feels: bool = False


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was used of a file, what not, and why.

    `left_out` says why nothing was, and is empty otherwise. `notes` were in the melody, of which `dropped` fell out of
    the line. `estimate_swing` is where second eighths began, as a share of the beat. `cached`: it was read another
    time.
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


class _NoSoloError(Exception):
    """Why a file, or one song of it, gives no solo."""


def read_midi(data: bytes, options: ReadingOptions) -> MidiMusic:
    """All that the bytes of a file hold. Never an error: the report says what is wrong."""
    try:
        midi = parse_midi(data)
    except MidiError as error:
        return MidiMusic(FileReport(left_out=str(error)))
    numbered = list(enumerate(midi.tracks, 1))
    songs = [[one] for one in numbered] if midi.file_type == 2 else [numbered]
    found: list[MidiMusic] = []
    reasons: list[str] = []
    left = float(MAX_QUARTERS)
    for song in songs:
        if left <= 0:
            midi.remarks.append(f"only its first {len(found)} songs are read")
            break
        try:
            found.append(_Song(song, midi.ticks_per_quarter, options).read())
        except _NoSoloError as reason:
            reasons.append(str(reason))
        else:
            left -= sum(solo.changes.length_beats for solo in found[-1].solos)
    broken = [f"track {number} {track.problem}" for number, track in numbered if track.problem]
    remarks = (*midi.remarks, *broken, *_unended_remark(midi))
    if not found:
        return MidiMusic(FileReport(remarks=remarks, left_out=reasons[0] if reasons else "no notes"))
    return _join_songs(found, _title_in_file(midi), remarks)


def _join_songs(found: Sequence[MidiMusic], title: str, remarks: tuple[str, ...]) -> MidiMusic:
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


def _unended_remark(midi: MidiFile) -> list[str]:
    unended = sum(track.notes_without_end for track in midi.tracks)
    return [f"{count_noun(unended, 'note')} without an end"] if unended else []


def _title_in_file(midi: MidiFile) -> str:
    """What the file calls itself; empty if it does not."""
    if midi.file_type != 1 or not midi.tracks or midi.tracks[0].notes:
        return ""
    name = midi.tracks[0].name
    return "" if _MEANINGLESS_NAMES.fullmatch(name) else name


@dataclass(slots=True)
class _Song:
    """The tracks, with their numbers, that sound together."""

    tracks: Sequence[tuple[int, MidiTrack]]
    ticks_per_quarter: int
    options: ReadingOptions

    def read(self) -> MidiMusic:
        """Its solos. Raises `_NoSoloError`."""
        everything = split_into_parts(self.tracks, self.ticks_per_quarter)
        pitched = [part for part in everything if not part.is_drums]
        if not pitched:
            raise _NoSoloError("only drums" if everything else "no notes")
        end = max(max(note[1], note[0] + 1) for part in everything for note in part.notes)
        stretches, remarks = find_meter_sections(self._time_signatures(), end)
        melody, why = self._find_melody(pitched, stretches[0].bar_ticks)
        line = skyline(melody.notes)
        chords = self._find_chords(pitched, melody, line)
        ratio = estimate_swing(line)
        written = remove_swing(line, ratio) if ratio else line
        solos = [solo for stretch in stretches if (solo := _make_solo(stretch, written, chords))]
        if len(line) < len(melody.notes):
            remarks.append(f"{count_noun(len(melody.notes) - len(line), 'note')} below the melody, in its own part")
        if ignores_beats(line):
            remarks.append("its notes do not follow its beats: was it recorded without a click?")
        report = FileReport(
            melody=f"{melody}, {why}",
            chords=chords.description,
            metres=tuple(dict.fromkeys(stretch.meter for stretch in stretches)),
            bars=sum(stretch.bar_count for stretch in stretches),
            notes=sum(len(solo.notes) for solo in solos),
            swing=None if ratio is None else round(ratio, 3),
            remarks=tuple(remarks),
        )
        return MidiMusic(report, tuple(solos))

    def _time_signatures(self) -> Iterator[TimeSignature]:
        for _, track in self.tracks:
            for tick, numerator, denominator in track.time_signatures:
                yield tick * TICKS_PER_QUARTER / self.ticks_per_quarter, numerator, denominator

    def _find_melody(self, pitched_parts: Sequence[MidiPart], bar_ticks: int) -> tuple[MidiPart, str]:
        if self.options.melody is None:
            return find_melody(pitched_parts, bar_ticks)
        part = find_named_part(pitched_parts, self.options.melody)
        if part is None:
            raise _NoSoloError(f"no melody called {self.options.melody!r}")
        return part, "as asked for"

    def _find_chords(
        self, pitched_parts: Sequence[MidiPart], melody: MidiPart, line: Sequence[TimedNote]
    ) -> ChordSource:
        how = self.options.chords
        symbols = chords_from_symbols(self.tracks, self.ticks_per_quarter) if how in ("auto", "text") else None
        if symbols is not None:
            return symbols
        if how == "text":
            raise _NoSoloError("no chord symbols in its texts")
        track = None
        if how.startswith(TRACK_PREFIX):
            track = find_named_part(pitched_parts, how.removeprefix(TRACK_PREFIX))
            if track is None:
                raise _NoSoloError(f"no chords called {how.removeprefix(TRACK_PREFIX)!r}")
        elif how == "auto":
            track = next((part for part in pitched_parts if part.is_chords and part is not melody), None)
        if track is not None:
            return InferredChords(track.notes, (), f"found from {track}")
        return chords_from_accompaniment(pitched_parts, melody, line)


def _make_solo(stretch: MeterSection, line: Sequence[TimedNote], chords: ChordSource) -> Solo | None:
    notes = stretch.notes_within(line)
    if not notes:
        return None
    played = tuple(LineNote(start, max(start, end), pitch) for start, end, pitch in notes)
    return Solo("", "", played, chords.chords_over(stretch), stretch.bar_ticks, unread_chords=chords.unread_symbols)
