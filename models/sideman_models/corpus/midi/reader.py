# SPDX-License-Identifier: Apache-2.0
"""Reads solos from MIDI files of any kind: the melody, its meter, and the chords under it.

- **The melody** is chosen by `parts.find_melody`, or named by the user. Of several notes at once the highest line is
  used. A part that swings is written straight. Each track of a type 2 file is a song of its own.
  Of a take, the melody is what the player played.
- **The meter**: each section of one meter (`meter.find_meter_sections`) is a solo of its own, under the same title.
- **The chords**, with the option `auto`, come from the first of these sources that exists: chord symbols in the texts
  (`chord_sources`); a track that is called chords; the notes of all other pitched parts and those below the melody in
  its own part (`chord_finder`); the melody alone.
- **The title** is that in the file, if it means something (`titles`). Otherwise it is the name of the file. So all
  versions of a tune stay on one side of the split.
- **Notes off the beat** by a constant time are moved to it (`shift`).

A `FileReport` says what was used of a file, or why nothing was. A broken file is never an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from sideman_models.corpus.midi.chord_sources import InferredChords, chords_from_accompaniment, chords_from_symbols
from sideman_models.corpus.midi.meter import find_meter_sections
from sideman_models.corpus.midi.parser import MAX_QUARTERS, MidiError, MidiTrack, TimedNote, parse_midi
from sideman_models.corpus.midi.parts import (
    MidiPart,
    estimate_swing,
    find_melody,
    find_named_part,
    remove_swing,
    skyline,
    split_into_parts,
)
from sideman_models.corpus.midi.shift import ignores_beats, without_shift
from sideman_models.corpus.midi.titles import find_title
from sideman_models.corpus.weimar import Feels
from sideman_models.music.line import LineNote
from sideman_models.music.solos import Solo
from sideman_models.text import count_noun

READER_VERSION = 7
"""Must be raised with each change to the result for the same bytes. Otherwise old cached readings would be used."""
TRACK_PREFIX = "track:"

_SHOWN_PROBLEMS = 5
_HEARD = "heard"
_TAKE_TRACKS = frozenset(("played", _HEARD))
"""The tracks by which the file of a take is known."""


class ReadingOptions(Struct, frozen=True):
    """How music is read.

    For MIDI files, `melody` is the name or number of a track (None: the program chooses), and `chords` is `auto`,
    `text`, `infer` or `track:NAME`. `use_cache` keeps readings on disk. For solo databases, `feels` is explained in
    `weimar.read_solos`.
    """

    melody: str | None = None
    chords: str = "auto"
    use_cache: bool = True
    feels: Feels = "swing"


class FileReport(Struct, frozen=True):
    """What was used of a file, what was not, and why.

    `left_out` says why nothing was used; otherwise it is empty. The melody has `notes` notes, of which `dropped` have
    no value; `solos` are counted. `swing` is where second eighths began, as a share of the beat (None: it does not
    swing). `cached`: the reading comes from the cache.
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
    solos: int = 0


class MidiMusic(Struct, frozen=True):
    """The solos of one file. They have no title yet if only the name of the file gives one."""

    report: FileReport
    solos: tuple[Solo, ...] = ()


class _NoSoloError(Exception):
    """A file, or one song of it, has no solo. The message says why."""


def read_midi(data: bytes, options: ReadingOptions) -> MidiMusic:
    """Return all that the bytes of a file hold. Raises no error: `FileReport.left_out` says why it has no solo."""
    try:
        midi = parse_midi(data)
    except MidiError as error:
        return MidiMusic(FileReport(left_out=str(error)))
    numbered = list(enumerate(midi.tracks, 1))
    songs: list[MidiMusic] = []
    reasons: list[str] = []
    quarters_left = float(MAX_QUARTERS)
    for tracks in [[one] for one in numbered] if midi.file_type == 2 else [numbered]:
        if quarters_left <= 0:
            midi.remarks.append(f"only its first {len(songs)} songs are read")
            break
        try:
            songs.append(_read_song(tracks, options))
        except _NoSoloError as reason:
            reasons.append(str(reason))
        else:
            quarters_left -= sum(solo.changes.length_beats for solo in songs[-1].solos)
    remarks = midi.all_remarks()
    if not songs:
        return MidiMusic(FileReport(remarks=tuple(remarks), left_out=reasons[0] if reasons else "no notes"))
    reports = [song.report for song in songs]
    report = replace(
        reports[0],
        title=find_title(midi),
        metres=tuple(dict.fromkeys(metre for one in reports for metre in one.metres)),
        bars=sum(one.bars for one in reports),
        notes=sum(one.notes for one in reports),
        remarks=(*remarks, *dict.fromkeys(remark for one in reports for remark in one.remarks)),
    )
    return MidiMusic(report, tuple(solo for song in songs for solo in song.solos))


def _read_song(tracks: Sequence[tuple[int, MidiTrack]], options: ReadingOptions) -> MidiMusic:
    """Return the solos of tracks that sound together. Raises `_NoSoloError`."""
    tracks, shifts = without_shift(tracks)
    parts = split_into_parts(tracks)
    pitched = [part for part in parts if not part.is_drums]
    if not pitched:
        raise _NoSoloError("only drums" if parts else "no notes")
    end = max(max(note[1], note[0] + 1) for part in parts for note in part.notes)
    signatures = [signature for _, track in tracks for signature in track.time_signatures]
    sections, remarks = find_meter_sections(signatures, end)
    if options.melody is None and _TAKE_TRACKS.issubset(track.name for _, track in tracks):
        melody, why = _player_of_take(pitched), "what the player played in this take"
    elif options.melody is None:
        melody, why = find_melody(pitched, sections[0].bar_ticks)
    elif named := find_named_part(pitched, options.melody):
        melody, why = named, "as requested"
    else:
        raise _NoSoloError(f"no melody called {options.melody!r}")
    line = skyline(melody.notes)
    wants_text = options.chords == "text"
    symbols = (
        chords_from_symbols(tracks, [] if wants_text else pitched) if wants_text or options.chords == "auto" else None
    )
    chords = symbols or _infer_chords(options.chords, pitched, melody, line)
    ratio = estimate_swing(line)
    straight = remove_swing(line, ratio) if ratio else line
    solos = []
    for section in sections:
        if notes := section.notes_within(straight):
            line_notes = tuple(LineNote(start, max(start, end), pitch) for start, end, pitch in notes)
            changes, unread = chords.chords_over(section), chords.unread_symbols
            solos.append(Solo("", "", line_notes, changes, section.bar_ticks, unread_chords=unread))
    if len(line) < len(melody.notes):
        remarks.append(f"{count_noun(len(melody.notes) - len(line), 'note')} below the melody in its own part")
    remarks += [*shifts, *_problems_text(chords.problems)]
    if ignores_beats(np.array([start for start, _, _ in line])):
        remarks.append("the notes ignore the beats of the file: was it recorded without a click?")
    report = FileReport(
        melody=f"{melody}, {why}",
        chords=chords.description,
        metres=tuple(dict.fromkeys(section.meter for section in sections)),
        bars=sum(section.bar_count for section in sections),
        notes=sum(len(solo.notes) for solo in solos),
        swing=None if ratio is None else round(ratio, 3),
        remarks=tuple(remarks),
    )
    return MidiMusic(report, tuple(solos))


def _player_of_take(parts: Sequence[MidiPart]) -> MidiPart:
    """Return what the player played: sideman's own line is nothing to learn from. Raises `_NoSoloError`."""
    heard = find_named_part(parts, _HEARD)
    if heard is None:
        raise _NoSoloError("a take in which the player did not play")
    return heard


def _problems_text(problems: Sequence[tuple[float, str]]) -> list[str]:
    """Return the problems of chord symbols, each once and only the first ones."""
    texts = list(dict.fromkeys(text for _, text in problems))
    more = len(texts) - _SHOWN_PROBLEMS
    return texts[:_SHOWN_PROBLEMS] + ([f"{more} more texts like these"] if more > 0 else [])


def _infer_chords(
    option: str, parts: Sequence[MidiPart], melody: MidiPart, line: Sequence[TimedNote]
) -> InferredChords:
    if option == "text":
        raise _NoSoloError("no chord symbols in its texts")
    track = None
    if option == "auto":
        track = next((part for part in parts if part.is_chords and part is not melody), None)
    elif option.startswith(TRACK_PREFIX):
        name = option.removeprefix(TRACK_PREFIX)
        track = find_named_part(parts, name)
        if track is None:
            raise _NoSoloError(f"no chords called {name!r}")
    if track is None:
        return chords_from_accompaniment(parts, melody, line)
    return InferredChords(track.notes, (), f"found from {track}")
