# SPDX-License-Identifier: Apache-2.0
"""`sideman evaluate`: measures how well a network predicts music beside n-grams, how it plays, and what it copies."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from msgspec.structs import replace

from sideman.commands.common import MAX_SEED, add_options, add_reading_options, check_numbers, read_music
from sideman.core.errors import CannotCreate
from sideman.files import check_readable, write_file
from sideman.render.over_solos import answers_over_solos, play_over_solos
from sideman_models.corpus.corpus import Corpus
from sideman_models.errors import CorpusError
from sideman_models.evaluation.answers import real_answers
from sideman_models.evaluation.report import make_report, with_played_music
from sideman_models.evaluation.text import report_text
from sideman_models.music.solos import Piece
from sideman_models.network.bundle import Bundle, load_bundle
from sideman_models.training import split as splits

CHORUSES, MAX_CHORUSES = 100, 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sideman evaluate`."""
    parser.add_argument("--model", required=True, metavar="BUNDLE", help="the network: a bundle's name, or its folder")
    unseen = "measure only the titles that were held out when it was trained"
    parser.add_argument("--unseen", action="store_true", help=unseen)
    train = "music to train the n-grams on (default with --unseen: the other titles)"
    parser.add_argument("--train", nargs="+", type=Path, default=[], metavar="FILE", help=train)
    add_options(
        parser,
        ("--choruses", "N", int, f"how many choruses the network plays over the pieces' chords ({CHORUSES}; 0: none)"),
        ("--seed", "N", int, "the random seed of everything that is drawn (0)"),
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--report", type=Path, metavar="FILE.png", help="also draw the report as a picture")
    parser.set_defaults(choruses=CHORUSES, seed=0)
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the figures."""
    check_numbers(args, {"choruses": (0, MAX_CHORUSES), "seed": (0, MAX_SEED - MAX_CHORUSES)})
    check_readable(*args.files, *args.train)
    if args.report:
        if not args.report.parent.is_dir():
            raise CannotCreate(f"{args.report}: cannot be created: there is no folder {args.report.parent}")
        importlib.import_module("sideman_models.evaluation.picture")  # raises if matplotlib is not installed
    bundle = load_bundle(args.model)
    corpus = read_music(args.files, args)
    pieces, training = _measured_and_training(bundle, corpus, args)
    remarks = _known_music_remarks(bundle, corpus, args)
    for remark in remarks:
        print(remark, file=sys.stderr)
    report = make_report(bundle, pieces, training, args.seed)
    solos = [piece.solo for piece in pieces if piece.solo is not None]
    if solos and args.choruses:
        played = list(play_over_solos(bundle, solos, args.choruses, args.seed))
        answers = [*real_answers(solos), *answers_over_solos(bundle, solos, args.seed)]
        report = with_played_music(report, pieces, training, played, answers, args.seed)
    else:
        why = "none were asked for" if solos else "these pieces have no chords to play over"
        report = replace(report, missing_parts={**report.missing_parts, "statistics": why})
    report = replace(report, remarks=[*remarks, *report.remarks])
    print(json.dumps(report.as_json()) if args.json else report_text(report))
    if args.report:
        from sideman_models.evaluation.picture import report_picture

        write_file(args.report, report_picture(report))
    return 0


def _measured_and_training(bundle: Bundle, corpus: Corpus, args: argparse.Namespace) -> tuple[list[Piece], list[Piece]]:
    """The pieces to measure, and the pieces to train the n-grams on. No title is in both."""
    split = splits.split_by_rule(corpus.pieces, splits.read_split_rule(bundle.facts, bundle.path))
    everything = [piece for piece in split.training + split.held_out if not piece.other_feel]
    pieces = [*split.held_out] if args.unseen else everything
    if not pieces and args.unseen:
        raise CorpusError(f"none of these pieces is of a title kept from {bundle.name} ({split.rule.description})")
    if not pieces:
        raise CorpusError("none of these pieces can be measured")
    if not args.train:
        return pieces, [*split.training] if args.unseen else []
    titles = {piece.title for piece in pieces}
    others = read_music(args.train, args).pieces
    return pieces, [piece for piece in others if piece.values and piece.title not in titles]


def _known_music_remarks(bundle: Bundle, corpus: Corpus, args: argparse.Namespace) -> list[str]:
    """A remark for each measured file that the network has learned from."""
    own, *before = splits.lineage(bundle.facts)
    if args.unseen:
        files = splits.files_known_before(before, splits.read_split_rule(own, bundle.path), corpus.files, bundle.path)
        why = f"a network from which {bundle.name} was trained has learned from it, and held out other titles"
    else:
        hashes = set().union(*map(splits.training_file_hashes, (own, *before)))
        files = [name for name, sha256 in sorted(corpus.files.items()) if sha256 in hashes]
        why = f"{bundle.name} learned from it, so the figures include music that it has seen (see --unseen)"
    return [f"{name}: {why}" for name in files]
