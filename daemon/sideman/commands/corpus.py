# SPDX-License-Identifier: Apache-2.0
"""`sideman corpus`: describes a corpus file by file, in figures, or by its values; measures chord detection."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from msgspec.structs import asdict

from sideman.commands.common import add_options, add_reading_options, reading_options
from sideman.config.sources import load_chart
from sideman.core.errors import UsageError
from sideman.core.settings.schema import Settings, with_values
from sideman.files import check_readable
from sideman_models.corpus import corpus as modern
from sideman_models.corpus.advice import likely_key, shown_changes, too_little_music
from sideman_models.corpus.midi.reader import FileReport
from sideman_models.corpus.weimar import DATABASE_SUFFIXES
from sideman_models.course.corpus import read_classic, training_arrays
from sideman_models.music.solos import Solo
from sideman_models.network.bundle import load_bundle
from sideman_models.text import count_noun, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman corpus`."""
    parser.add_argument("--classic", action="store_true", help="read a MIDI file by the rules of the classic corpus")
    add_options(parser, ("--model", "BUNDLE", str, "with --values: map the values to those that this network knows"))
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the facts as JSON")
    values = "print the values instead: one piece per line, with --classic one bar per line"
    form.add_argument("--values", action="store_true", help=values)
    accuracy = (
        "instead: measure how many chords of these charts (.txt) and solo databases are detected from accompaniments "
        "made up over them"
    )
    parser.add_argument("--chord-accuracy", action="store_true", help=accuracy)
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the facts or the values of all files together, with --classic of each file."""
    if args.model and (args.classic or not args.values):
        raise UsageError("--model needs --values, and excludes --classic")
    if args.chord_accuracy and (args.classic or args.values):
        raise UsageError("--chord-accuracy excludes --classic and --values")
    check_readable(*args.files)
    lines = _accuracy_lines if args.chord_accuracy else _classic_lines if args.classic else _modern_lines
    for line in lines(args):
        print(line)
    return 0


def _classic_lines(args: argparse.Namespace) -> Iterator[str]:
    for path in args.files:
        corpus = read_classic(path)
        if args.values:
            yield from (" ".join(bar) for bar in corpus.bars)
        else:
            facts: dict[str, object] = {"file": printable(path), **corpus.facts()}
            for name, array in zip("XY", training_arrays(corpus), strict=True):
                facts |= {f"{name}_shape": list(array.shape), f"{name}_sum": int(array.sum())}
            yield json.dumps(facts) if args.json else _format_facts(facts)


def _modern_lines(args: argparse.Namespace) -> Iterator[str]:
    corpus = modern.read_corpus(args.files, reading_options(args))
    if args.values:
        known = load_bundle(args.model).vocabulary if args.model else None
        for piece in corpus.pieces:
            values = piece.values
            if known:  # each becomes the nearest known value; rests without one are left out
                values = tuple(known.values[at] for at in map(known.nearest_index, values) if at is not None)
            yield " ".join(value.text for value in values)
    elif args.json:
        yield json.dumps({**modern.corpus_facts(corpus), "midi_files": [asdict(report) for report in corpus.reports]})
    else:
        pieces = iter(corpus.pieces)
        for report in corpus.reports:
            solos = [piece.solo for piece in islice(pieces, report.solos) if piece.solo is not None]
            yield from _report_lines(report, solos)
        yield from [modern.midi_summary(corpus), ""] if corpus.reports else []
        yield _format_facts(modern.corpus_facts(corpus))
        yield from filter(None, [too_little_music(corpus)])


def _report_lines(report: FileReport, solos: Sequence[Solo]) -> Iterator[str]:
    """What was read from a MIDI file, what was left out, and why; its chords and its key, and how sure they are."""
    if report.left_out:
        yield f"{report.file}: left out: {report.left_out}"
    else:
        dropped = f", {report.dropped} of them dropped" if report.dropped else ""
        metres = " ".join(report.metres)
        size = f"{count_noun(report.bars, 'bar')}, {count_noun(report.notes, 'note')}{dropped}"
        yield f"{report.file}: {report.title!r}, {metres}, {size}"
        yield f"    melody: {report.melody}"
        sure = (
            "a guess: compare some bars with the tune"
            if report.chords.startswith("found")
            else "as written in the file"
        )
        yield f"    chords: {report.chords}: {sure}"
        yield from (f"        {shown_changes(solo)}" for solo in solos[:1])
        yield f"    key: {likely_key(solos)}, a guess from the notes and chords"
    if report.swing:
        yield f"    swings: its second eighths, at {report.swing:.2f} of the beat, are written straight"
    yield from (f"    {remark}" for remark in report.remarks)


def _accuracy_lines(args: argparse.Namespace) -> Iterator[str]:
    """How many chords of each file were right, in each trial."""
    from sideman_models.evaluation import chord_accuracy as trials

    for path in args.files:
        of_database = path.name.endswith(DATABASE_SUFFIXES)
        if of_database:
            tunes = list(trials.database_tunes(path))
        else:
            chart = load_chart(with_values(Settings(), [("chart.file", str(path))]))
            tunes = [([chart.chord_at(beat) for beat in range(16 * int(chart.length))], ())]  # 16 choruses
        results = {
            "a band made up": trials.accompaniment_accuracy(tunes, trials.band_accompaniment),
            "plain chords": trials.accompaniment_accuracy(tunes, trials.plain_chord_accompaniment),
        }
        results |= {"its own bass": trials.database_bass_accuracy(path)} if of_database else {}
        for trial, accuracy in results.items():
            if args.json:
                yield json.dumps({"file": printable(path), "trial": trial, **accuracy.as_json()})
            else:
                shares = f"{accuracy.root_share:.1%} of the roots, {accuracy.family_share:.1%} of roots and families"
                yield f"{printable(path)}, {trial}: {shares} found, in {count_noun(accuracy.beats, 'beat')}"


def _format_facts(facts: Mapping[str, object]) -> str:
    width, lines = max(map(len, facts)), []
    for name, fact in facts.items():
        text = str(fact)
        if isinstance(fact, dict):
            text = "  ".join(f"{each} x {count}" for each, count in fact.items()) or "none"
        elif isinstance(fact, list):
            text = " ".join(map(str, fact)) or "none"
        lines.append(f"{name.replace('_', ' '):<{width}}  {text}")
    return "\n".join(lines)
