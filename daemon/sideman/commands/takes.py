# SPDX-License-Identifier: Apache-2.0
"""`sideman takes`: lists, shows, exports, deletes and replays recorded takes.

A take is recorded with takes.record, or saved afterwards with `sideman ctl keep`. It is two files in takes.folder:
NAME.mid for other programs, and NAME.jsonl, the journal of everything that came in and went out.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sideman.charts.chart_writer import CHART_WRITERS, in_force
from sideman.charts.score_writer import musicxml_bytes
from sideman.commands.common import add_settings_options, check_midi_name, load_settings, output_kind, print_list
from sideman.core import events
from sideman.core.errors import SidemanError, UsageError
from sideman.core.events import MidiEvent, NoteOff, NoteOn
from sideman.core.settings.schema import Settings, with_values
from sideman.core.words import BarWords, chart_text
from sideman.exit_status import REPLAY_DIFFERS
from sideman.files import write_file
from sideman.render.render import take_picture
from sideman.sound.fluidsynth import find_fluidsynth
from sideman.takes.folder import TakeFolder, is_folder, is_recording, reading, take_folder
from sideman.takes.journal import Journal, TakeTotals
from sideman.takes.lines import settings_to_json
from sideman.takes.midi_file import TakeMidiFile
from sideman.takes.replay import compare_replay, replay_engine
from sideman.takes.score import take_score
from sideman_models.text import count_noun, printable

if TYPE_CHECKING:
    from sideman_models.pictures import Player  # which needs matplotlib


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions with their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list the takes in the order in which they were recorded")
    showing = actions.add_parser("show", help="show one take: chart, seed, settings and every bar")
    exporting = actions.add_parser("export", help="write one take as a MIDI file, a score, a sound file or a picture")
    out = "the file to write, by its name: .mid; .musicxml, a score; .wav; .png; its chart: .html (iReal Pro), .txt"
    exporting.add_argument("--out", metavar="FILE.mid", type=Path, help=out)
    exporting.add_argument("--picture", metavar="FILE.png", type=Path, help="draw what was played over the chords")
    exporting.add_argument("--wav", metavar="FILE.wav", type=Path, help="render it to a sound file with fluidsynth")
    playing = actions.add_parser("play", help="play one take aloud with fluidsynth: both players, as recorded")
    for action in (exporting, playing):
        action.add_argument("--sound-font", metavar="FILE.sf2", type=Path, help="the sound font for fluidsynth")
    deleting = actions.add_parser("delete", help="delete takes, without asking")
    deleting.add_argument("names", metavar="NAME", nargs="*", help="the full names of the takes")
    deleting.add_argument("--all", action="store_true", help="all takes but those that are being recorded; needs --yes")
    deleting.add_argument("--yes", action="store_true", help="confirms --all")
    replaying = actions.add_parser("replay", help="replay one take and compare: same input, same seed, same notes")
    replaying.add_argument("--out", metavar="FILE.mid", type=Path, help="also write what the replay plays")
    for action in (showing, exporting, playing, replaying):
        action.add_argument("name", metavar="NAME", help="the name of a take")
    for action in (listing, showing):
        action.add_argument("--json", action="store_true", help="print JSON")
    for action in (listing, showing, exporting, playing, deleting, replaying):
        add_settings_options(action)


def run(args: argparse.Namespace) -> int:
    """Perform the action. Returns 0, or `REPLAY_DIFFERS`."""
    actions: dict[str, Callable[[argparse.Namespace, TakeFolder], int]] = {
        "list": _list, "show": _show, "export": _export, "play": _play, "delete": _delete, "replay": _replay
    }  # fmt: skip
    return actions[args.action](args, take_folder(load_settings(args).takes.folder))


@contextlib.contextmanager
def _open_journal(folder: TakeFolder, name: str) -> Iterator[Journal]:
    """A take's journal, which is not deleted meanwhile."""
    path = folder.find(name)
    with reading(path):
        yield Journal(path)


# -- the list


def _list(args: argparse.Namespace, folder: TakeFolder) -> int:
    all_facts: list[dict[str, Any]] = []
    rows = [["name", "date", "length", "bars", "played", "heard", "bpm", "size", ""]]
    for name in folder.names():
        size = folder.size(name)
        try:
            with _open_journal(folder, name) as journal:
                totals = journal.totals()
                facts = _facts(journal, totals, size)
            date = facts["date"][:16].replace("T", " ")
            numbers = [str(totals.bars), str(totals.played), str(totals.heard), f"{totals.bpm:.1f}"]
            state = "recording" if facts["recording"] else "" if facts["whole"] else "a part"
            row = [name, date, _format_length(totals.seconds), *numbers, _format_size(size), state]
        except (SidemanError, OSError) as error:
            facts = {"name": name, "path": str(folder.journal(name)), "bytes": size, "wrong": printable(error)}
            row = [name, *[""] * 6, _format_size(size), f"broken: {facts['wrong']}"]
        all_facts.append(facts)
        rows.append(row)
    nothing = f"no takes in {printable(folder.path)}; record with takes.record=true, or save with `sideman ctl keep`"
    print_list(all_facts, rows, nothing, as_json=args.json)
    return 0


def _facts(journal: Journal, totals: TakeTotals, size: int) -> dict[str, Any]:
    """The members of a take's JSON object."""
    header = journal.header
    return {
        "name": journal.name,
        "number": header.number,
        "path": str(journal.path),
        "bytes": size,
        "date": printable(header.date),
        "seconds": round(totals.seconds, 3),
        "bars": totals.bars,
        "played": totals.played,
        "heard": totals.heard,
        "bpm": round(totals.bpm, 2),
        "seed": header.seed,
        "bundle": printable(header.bundle),
        "whole": header.whole,
        "recording": is_recording(journal.path),
    }


def _format_length(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _format_size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{-(-size // 1000)} kB"


# -- one take


def _show(args: argparse.Namespace, folder: TakeFolder) -> int:
    with _open_journal(folder, args.name) as journal:
        _show_journal(args, folder, journal)
    return 0


def _show_journal(args: argparse.Namespace, folder: TakeFolder, journal: Journal) -> None:
    header, totals = journal.header, journal.totals()
    settings, usual, lines = settings_to_json(header.settings), settings_to_json(Settings()), list(_log_lines(journal))
    chart = header.chart.shown(header.settings.midi.transpose)
    if args.json:
        more = {"settings": settings, "chart": chart_text(chart), "log": lines}
        more |= {"ports": list(_port_changes(journal))}
        print(json.dumps({**_facts(journal, totals, folder.size(journal.name)), **more}, ensure_ascii=False))
        return
    print(
        f"{journal.name}: {count_noun(totals.bars, 'bar')}, {_format_length(totals.seconds)} at {totals.bpm:.1f} bpm, "
        f"recorded {printable(header.date)}"
    )
    notes = f"{count_noun(totals.played, 'note')} played, {totals.heard} heard"
    print(f"{notes}; seed {header.seed}, bundle {printable(header.bundle)}")
    print("".join(f"{line}\n" for line in _port_changes(journal)), end="")
    if not header.whole:
        print("it begins in the middle of the music and cannot be replayed")
    print(f"\n{printable(chart.info)}".rstrip() + f"\n{chart_text(chart)}\n")
    changed = [name for name, value in settings.items() if value != usual[name] and "chart." not in name]
    print("\n".join([*(printable(f"{name}: {settings[name]}") for name in changed), ""] if changed else []))
    print("\n".join(lines))


def _log_lines(journal: Journal) -> Iterator[str]:
    """A line for each bar, with what both played, and for each change, in the key that the player reads."""
    header = journal.header
    settings, first = header.settings, header.chart.bar_at(header.start)[0] + 1
    words = BarWords(settings.play.mode, settings.midi.transpose, first, coming=False)
    for report in journal.reports():
        if line := words.add(report):
            yield line
        match report:
            case events.InputReceived(item=events.ChangeSettings(values)):
                settings = with_values(settings, values)
                words.transpose = settings.midi.transpose
                yield printable(", ".join(f"{name} is {value}" for name, value in values))
            case events.PortChanged():
                yield printable(report.text)


def _port_changes(journal: Journal) -> Iterator[str]:
    """For each port that was lost: the bars in which it was lost, and in which it was found again."""
    bar, changes = 1, dict[str, list[str]]()  # by the port, in takes of earlier versions by its setting
    for report in journal.reports():
        match report:
            case events.BarPlayed(number):
                bar = number + 1
            case events.PortChanged(key, is_open, _, _, port):
                of_port = changes.setdefault(port or key, [])
                if is_open == bool(len(of_port) % 2):  # otherwise nothing new, such as another reason
                    of_port.append(f"{'back' if is_open else 'lost'} at bar {bar}")
    keys = [port.partition(": ")[0] for port in changes]
    for (port, of_port), key in zip(changes.items(), keys, strict=True):
        if of_port:
            name = port if keys.count(key) > 1 else key
            yield printable(f"{name.removeprefix('midi.')} {', '.join(of_port)}")


def _export(args: argparse.Namespace, folder: TakeFolder) -> int:
    outputs = {name: getattr(args, name) for name in ("out", "picture", "wav") if getattr(args, name) is not None}
    if not outputs:
        raise UsageError("choose what to write: --out FILE.mid, --picture FILE.png or --wav FILE.wav")
    if len({path.absolute() for path in outputs.values()}) < len(outputs):
        raise UsageError(f"{' and '.join(f'--{name}' for name in outputs)}: the same file")
    kinds = {path: output_kind(option, path) for option, path in outputs.items()}
    if args.sound_font is not None and "wav" not in kinds.values():
        raise UsageError("--sound-font needs --wav FILE.wav")
    synth = find_fluidsynth(args.sound_font) if "wav" in kinds.values() else None
    if "picture" in kinds.values():
        importlib.import_module("sideman_models.pictures")  # raises if matplotlib is not installed
    with _open_journal(folder, args.name) as journal:
        for path, kind in kinds.items():
            if kind == "wav" and synth is not None:
                synth.render_wav(_midi(journal), path, journal.totals().seconds)
            else:
                write_file(path, _contents(journal, kind))
    print(f"{', '.join(map(str, outputs.values()))}: written")
    return 0


def _play(args: argparse.Namespace, folder: TakeFolder) -> int:
    synth = find_fluidsynth(args.sound_font, "takes play")
    with _open_journal(folder, args.name) as journal:
        midi, totals = _midi(journal), journal.totals()
    notes = f"{count_noun(totals.played, 'note')} played, {totals.heard} heard"
    print(f"{journal.name}: {_format_length(totals.seconds)}, {notes}; Ctrl-C stops it", flush=True)
    synth.play(midi)
    return 0


def _midi(journal: Journal) -> bytes:
    return TakeMidiFile(journal.header, journal.reports()).contents()


def _contents(journal: Journal, kind: str) -> bytes:
    """What is written into a file of this kind: the music of the take, or its chart in a format for charts."""
    if kind == "score":
        return musicxml_bytes(take_score(journal))
    if kind in CHART_WRITERS:
        settings = journal.header.settings
        return CHART_WRITERS[kind](in_force(journal.header.chart, settings), settings.midi.transpose)
    return _picture(journal) if kind == "picture" else _midi(journal)


def _picture(journal: Journal) -> bytes:
    """What both players and the band played, over the chords as the player reads them."""
    header = journal.header
    players: dict[Player, list[tuple[float, MidiEvent]]] = {"sideman": [], "you": [], "band": []}
    chords: list[tuple[float, str]] = []
    opening = float(header.chart.meter_at(header.start).quarters)
    begun = {bar * opening: opening for bar in range(max(1, header.count_in_bars))}
    midi = header.settings.midi
    for report in journal.reports():
        match report:
            case events.EventSent(_, beat, NoteOn() | NoteOff() as note) if note.channel == midi.channel:
                players["sideman"].append((beat - header.first_beat, note))
            case events.EventSent(_, beat, NoteOn() | NoteOff() as note) if note.channel != midi.drums:
                players["band"].append((beat - header.first_beat, note))
            case events.NoteHeard(beat, note):
                players["you"].append((beat - header.first_beat, note))
            case events.BarStarted(beat, meter, changes):
                begun[beat - header.first_beat] = float(meter.quarters)
                for at, chord in changes:
                    symbol = chord.shown(midi.transpose).text
                    if not chords or chords[-1][1] != symbol:
                        chords.append((beat + at - header.first_beat, symbol))
            case _:
                pass
    title = f"{journal.name} · seed {header.seed} · {journal.totals().bpm:.4g} bpm"
    return take_picture(players, chords, title, _bar_lines(sorted(begun.items())))


def _bar_lines(begun: Sequence[tuple[float, float]]) -> Callable[[int], float]:
    """The beats of the bar lines, from those in `begun` (beat, length). Gaps are filled with bars of equal length."""
    lines: list[float] = []
    for (beat, length), (after, _) in pairwise(begun):
        bars = max(1, math.ceil((after - beat) / length - 1e-6))
        lines += [beat + bar * length for bar in range(bars)]
    last, length = begun[-1]
    return lambda bar: lines[bar] if bar < len(lines) else last + (bar - len(lines)) * length


def _delete(args: argparse.Namespace, folder: TakeFolder) -> int:
    if args.all == bool(args.names):
        raise UsageError("name the takes to delete, or use --all --yes")
    if args.all and not args.yes:
        number = len(folder.names())
        raise UsageError(f"--all would delete {number} takes in {printable(folder.path)}; confirm with --yes")
    journals = [folder.find(name) for name in args.names or folder.names()]  # an unknown name raises here already
    if args.all:
        journals = [path for path in journals if not (is_recording(path) or is_folder(path))]
    for path in journals:
        folder.delete(path.stem)
    print(f"{len(journals)} deleted")
    return 0


def _replay(args: argparse.Namespace, folder: TakeFolder) -> int:
    check_midi_name(args.out)
    with _open_journal(folder, args.name) as journal:
        midi = TakeMidiFile(journal.header)
        engine = replay_engine(journal)
        gc.freeze()  # existing objects are not examined at each bar
        result = compare_replay(journal, engine, midi.add_report if args.out is not None else events.ignore_report)
    if args.out is not None:
        write_file(args.out, midi.contents())
    if result.difference:
        print(f"{journal.name}: {result.same_events} events are the same, then one differs: {result.difference}")
        return REPLAY_DIFFERS.number
    print(f"{journal.name}: the same {result.same_events} events")
    return 0
