# SPDX-License-Identifier: Apache-2.0
"""What was recorded (takes.record, or kept by `sideman ctl keep`): list, show, export and delete it, or play it again.

A take is two files in takes.folder: NAME.mid, for other programs, and NAME.jsonl, with all that came in and went out.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sideman.commands.common import add_settings_options, format_table, load_settings
from sideman.core.chart.chart import Chart
from sideman.core.errors import SidemanError, UsageError
from sideman.core.events import (
    BarPlayed,
    BarStarted,
    ChangeSettings,
    EventSent,
    InputReceived,
    MidiEvent,
    NoteOff,
    NoteOn,
    Report,
)
from sideman.core.settings.schema import Settings, with_values
from sideman.core.text import format_bar
from sideman.files import explain_write_errors, write_atomically
from sideman.render.render import note_spans
from sideman.sound.fluidsynth import find_fluidsynth
from sideman.takes.folder import TakeFolder, is_folder, is_recording, take_folder
from sideman.takes.journal import Journal, TakeTotals
from sideman.takes.lines import settings_to_json
from sideman.takes.midi_file import TakeMidiFile
from sideman.takes.replay import compare_replay, complete_journal, engine_at_start, performance_of
from sideman_models.text import printable

DIFFERENT_STATUS = 1
"""The exit status where a take that is played again is not the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be done, each with its own options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the takes there are, the oldest first")
    showing = actions.add_parser("show", help="the chart, the seed, the settings, and every bar of one")
    exporting = actions.add_parser("export", help="a copy of one: MIDI, sound, picture")
    exporting.add_argument("--out", metavar="FILE.mid", type=Path, help="the MIDI file to write")
    exporting.add_argument("--picture", metavar="FILE.png", type=Path, help="draw what was played over the chords")
    exporting.add_argument("--wav", metavar="FILE.wav", type=Path, help="play it through fluidsynth to a sound file")
    exporting.add_argument("--sound-font", metavar="FILE.sf2", type=Path, help="what fluidsynth plays with")
    deleting = actions.add_parser("delete", help="delete some, without asking")
    deleting.add_argument("names", metavar="NAME", nargs="*", help="takes, by their whole names")
    deleting.add_argument("--all", action="store_true", help="all that are not being recorded; with --yes")
    deleting.add_argument("--yes", action="store_true", help="yes, all of them")
    replaying = actions.add_parser("replay", help="play one again: the same input, the same seed, the same notes")
    replaying.add_argument("--out", metavar="FILE.mid", type=Path, help="write what is played now, too")
    for one in (showing, exporting, replaying):
        one.add_argument("name", metavar="NAME", help="a take's name")
    for one in (listing, showing):
        one.add_argument("--json", action="store_true", help="as JSON")
    for one in (listing, showing, exporting, deleting, replaying):
        add_settings_options(one)


def run(args: argparse.Namespace) -> int:
    """Do what is asked for; 1 where a take that is played again is not the same.

    Raises the errors of what is missing, broken or cannot be written.
    """
    actions: dict[str, Callable[[argparse.Namespace, TakeFolder], int]] = {
        "list": _list, "show": _show, "export": _export, "delete": _delete, "replay": _replay
    }  # fmt: skip
    return actions[args.action](args, take_folder(load_settings(args).takes.folder))


def _journal(folder: TakeFolder, name: str) -> Journal:
    """A take's journal, brought to its end if it was cut off and the folder may be written to."""
    journal = Journal(folder.find(name))
    with contextlib.suppress(OSError):
        return complete_journal(journal, folder)
    return journal


# -- what there is


@dataclass(frozen=True, slots=True)
class _TakeRow:
    """A take in the list: what it amounts to, or what is wrong with it."""

    name: str
    path: Path
    size: int
    journal: Journal | None
    totals: TakeTotals | None
    problem: str = ""

    def facts(self) -> dict[str, Any]:
        """As JSON has it."""
        facts: dict[str, Any] = {"name": self.name, "path": str(self.path), "bytes": self.size}
        if self.journal is None or self.totals is None:
            return {**facts, "wrong": self.problem}
        header, totals = self.journal.header, self.totals
        return {
            **facts,
            "date": printable(header.date),
            "seconds": round(totals.seconds, 3),
            "bars": totals.bars,
            "played": totals.played,
            "heard": totals.heard,
            "bpm": round(totals.bpm, 2),
            "seed": header.seed,
            "bundle": printable(header.bundle),
            "whole": header.whole,
            "recording": is_recording(self.path),
        }

    def row(self) -> list[str]:
        """The cells of its row in the table."""
        if self.journal is None or self.totals is None:
            return [self.name, "", "", "", "", "", "", _format_size(self.size), f"broken: {self.problem}"]
        totals, date = self.totals, printable(self.journal.header.date[:16].replace("T", " "))
        numbers = [str(totals.bars), str(totals.played), str(totals.heard), f"{totals.bpm:.1f}"]
        state = "recording" if is_recording(self.path) else "" if self.journal.header.whole else "a part"
        return [self.name, date, _format_length(totals.seconds), *numbers, _format_size(self.size), state]


def _list(args: argparse.Namespace, folder: TakeFolder) -> int:
    listed = [_take_row(folder, name) for name in folder.names()]
    if args.json:
        print(json.dumps([one.facts() for one in listed], ensure_ascii=False))
        return 0
    if not listed:
        print(f"no takes in {printable(folder.path)}; takes.record=true makes them, and `sideman ctl keep`")
        return 0
    head = ["name", "date", "length", "bars", "played", "heard", "bpm", "size", ""]
    for line in format_table([head, *(one.row() for one in listed)]):
        print(line)
    return 0


def _take_row(folder: TakeFolder, name: str) -> _TakeRow:
    path, size = folder.journal(name), folder.size(name)
    try:
        journal = _journal(folder, name)
        return _TakeRow(name, path, size, journal, journal.totals())
    except (SidemanError, OSError) as error:
        return _TakeRow(name, path, size, None, None, printable(error))


def _format_length(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _format_size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{-(-size // 1000)} kB"


# -- one of them


def _show(args: argparse.Namespace, folder: TakeFolder) -> int:
    journal = _journal(folder, args.name)
    header, totals = journal.header, journal.totals()
    listed = _TakeRow(journal.name, journal.path, folder.size(journal.name), journal, totals)
    other, lines = _changed_settings(header.settings), list(_log_lines(journal))
    chart = header.chart.transposed(-header.settings.midi.transpose)  # as the player reads it
    if args.json:
        more = {"settings": settings_to_json(header.settings), "chart": _chart_text(chart), "log": lines}
        print(json.dumps({**listed.facts(), **more}, ensure_ascii=False))
        return 0
    print(
        f"{journal.name}: {totals.bars} bars, {_format_length(totals.seconds)} at {totals.bpm:.1f} bpm, "
        f"recorded {printable(header.date)}"
    )
    print(f"{totals.played} notes played, {totals.heard} heard; seed {header.seed}, bundle {printable(header.bundle)}")
    if not header.whole:
        print("it begins in the middle of the music, and cannot be played again")
    print(f"\n{printable(chart.info)}".rstrip() + f"\n{_chart_text(chart)}\n")
    print("\n".join([*(printable(f"{name}: {value}") for name, value in other.items()), ""] if other else []))
    print("\n".join(lines))
    return 0


def _changed_settings(settings: Settings) -> dict[str, Any]:
    """The settings that are not as they come."""
    usual = settings_to_json(Settings())
    return {
        name: value
        for name, value in settings_to_json(settings).items()
        if value != usual[name] and "chart." not in name
    }


def _chart_text(chart: Chart) -> str:
    try:
        return chart.text()
    except ValueError:  # changes between the half-beats
        return " | ".join(" ".join(chord.text for _, chord in bar.chords) for bar in chart.bars)


def _log_lines(journal: Journal) -> Iterator[str]:
    """As the log told it, in the key that the player reads."""
    settings = journal.header.settings
    for report in journal.reports():
        match report:
            case BarPlayed():
                yield format_bar(report, settings.midi.transpose)
            case InputReceived(_, _, ChangeSettings(values)):
                settings = with_values(settings, values)
                yield printable(", ".join(f"{name} is {value}" for name, value in values))
            case _:
                pass


def _export(args: argparse.Namespace, folder: TakeFolder) -> int:
    outputs = {name: getattr(args, name) for name in ("out", "picture", "wav") if getattr(args, name) is not None}
    if not outputs:
        raise UsageError("say what to write: --out FILE.mid, --picture FILE.png or --wav FILE.wav")
    if len({path.absolute() for path in outputs.values()}) < len(outputs):
        raise UsageError(f"{' and '.join(f'--{name}' for name in outputs)}: the same file")
    if args.sound_font is not None and args.wav is None:
        raise UsageError("--sound-font goes with --wav FILE.wav")
    synth = find_fluidsynth(args.sound_font) if args.wav is not None else None
    if args.picture is not None:
        importlib.import_module("sideman_models.pictures")  # not there without matplotlib
    journal = _journal(folder, args.name)
    midi = TakeMidiFile(journal.header)
    for report in journal.reports():
        midi.add_report(report)
    if args.out is not None:
        _write(args.out, midi.contents())
    if args.picture is not None:
        _write(args.picture, _picture(journal))
    if synth is not None:
        synth.render_wav(midi.contents(), args.wav, journal.totals().seconds)
    print(f"{', '.join(map(str, outputs.values()))}: written")
    return 0


def _write(path: Path, content: bytes) -> None:
    with explain_write_errors(path):
        write_atomically(path, content)


def _picture(journal: Journal) -> bytes:
    from sideman_models.pictures import RollNote, piano_roll

    header = journal.header
    events: list[tuple[float, MidiEvent]] = []
    chords: list[tuple[float, str]] = []
    opening = float(header.chart.meter_at(header.start).quarters)
    begun = {bar * opening: opening for bar in range(max(1, header.count_in_bars))}
    for report in journal.reports():
        match report:
            case EventSent(_, beat, NoteOn() | NoteOff() as note) if note.channel == header.settings.midi.channel:
                events.append((beat - header.first_beat, note))
            case BarStarted(beat, meter, changes):
                begun[beat - header.first_beat] = float(meter.quarters)
                chords += [(beat + at - header.first_beat, chord.text) for at, chord in changes]
            case _:
                pass
    notes = [RollNote(onset, length, note.pitch, note.velocity) for onset, length, note in note_spans(tuple(events))]
    title = f"{journal.name} · seed {header.seed} · {journal.totals().bpm:.4g} bpm"
    return piano_roll(notes, _chord_changes(chords), title, _bar_lines(sorted(begun.items())))


def _bar_lines(begun: Sequence[tuple[float, float]]) -> Callable[[int], float]:
    """Where bars begin, by those that were `begun` (beat, length); more alike after the last, and where it moved on."""
    lines: list[float] = []
    for (beat, length), (after, _) in pairwise(begun):
        bars = max(1, math.ceil((after - beat) / length - 1e-6))
        lines += [beat + bar * length for bar in range(bars)]
    last, length = begun[-1]
    return lambda bar: lines[bar] if bar < len(lines) else last + (bar - len(lines)) * length


def _chord_changes(chords: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    return [each for at, each in enumerate(chords) if at == 0 or chords[at - 1][1] != each[1]]


def _delete(args: argparse.Namespace, folder: TakeFolder) -> int:
    if args.all == bool(args.names):
        raise UsageError("name the takes to delete, or say --all --yes")
    if args.all and not args.yes:
        raise UsageError(f"--all would delete {len(folder.names())} takes in {printable(folder.path)}; say --yes, too")
    found = [path.stem for path in map(folder.find, args.names or _finished_takes(folder))]  # all, or none is deleted
    for name in found:
        folder.delete(name)
    print(f"{len(found)} deleted")
    return 0


def _finished_takes(folder: TakeFolder) -> list[str]:
    journals = ((name, folder.journal(name)) for name in folder.names())
    return [name for name, path in journals if not (is_recording(path) or is_folder(path))]


def _replay(args: argparse.Namespace, folder: TakeFolder) -> int:
    journal = _journal(folder, args.name)
    midi = TakeMidiFile(journal.header)

    def heed(report: Report) -> None:
        if args.out is not None:
            midi.add_report(report)

    engine = engine_at_start(journal.header, performance_of(journal.header))
    gc.freeze()  # what stands now need not be looked through at each bar
    again = compare_replay(journal, engine, heed)
    if args.out is not None:
        _write(args.out, midi.contents())
    if again.difference:
        print(f"{journal.name}: {again.same_events} events the same, then a difference: {again.difference}")
        return DIFFERENT_STATUS
    print(f"{journal.name}: the same {again.same_events} events")
    return 0
