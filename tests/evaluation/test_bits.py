# SPDX-License-Identifier: Apache-2.0
"""The bits of a network, their confidence intervals, and the command `sideman evaluate`."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sideman.commands import evaluate as command
from sideman.core.errors import CannotCreate, NoSuchInput, UsageError
from sideman_models.corpus.corpus import Corpus, read_corpus
from sideman_models.errors import CorpusError
from sideman_models.evaluation.bits import EXACT_PROBABILITY, OTHER_KIND_PROBABILITY, evaluate, pitch_bits, pitch_rank
from sideman_models.evaluation.report import BASELINE_FAMILIES, ratio_interval
from sideman_models.evaluation.statistics import STATISTICS
from sideman_models.music.context import FEATURES, ContextFeatures, Place
from sideman_models.music.harmony import Chord, parse_chord
from sideman_models.music.solos import Piece
from sideman_models.music.values import VALUE_KINDS, Value, Vocabulary, choose_pitch
from sideman_models.network.bundle import Bundle, save_bundle
from sideman_models.network.lstm import Weights
from sideman_models.training.dataset import build_vocabulary
from sideman_models.training.split import split_by_rule, split_by_share
from support.corpora import write_tiny_corpus
from support.fakes import classic_bundle, random_weights
from support.strategies import chords, modern_values


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return a few random tunes."""
    return read_corpus([write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl", titles=40)])


def uniform_weights(vocabulary: Vocabulary, context: ContextFeatures) -> Weights:
    """Return the weights of a network for which all values are equally likely."""
    n = len(vocabulary)
    shapes = ((n + context.n_rows, 8), (2, 8), (8,), (2, n), (n,))
    kernel, recurrent, bias, out, out_bias = (np.zeros(shape, np.float32) for shape in shapes)
    return Weights(kernel, recurrent, bias, out, out_bias, 0.0)


def test_a_uniform_network_needs_the_bits_of_its_vocabulary(corpus: Corpus) -> None:
    """Guards against: figures that are not bits."""
    vocabulary, context = build_vocabulary(corpus.pieces), ContextFeatures(list(FEATURES))
    bundle = Bundle("uniform", vocabulary, context, weights=uniform_weights(vocabulary, context))
    figures = evaluate(bundle, corpus.pieces)
    assert figures.bits_per_value == pytest.approx(math.log2(len(vocabulary)))
    assert figures.values == sum(len(piece.values) for piece in corpus.pieces)
    assert figures.bits_per_note is not None
    pitches = sum(pitch_bits(vocabulary, piece) for piece in corpus.pieces)
    assert figures.bits_per_note == pytest.approx((figures.values * figures.bits_per_value + pitches) / figures.notes)


def test_each_piece_begins_with_the_zero_state(corpus: Corpus) -> None:
    """Guards against: figures that depend on the order of the pieces."""
    vocabulary, context = build_vocabulary(corpus.pieces), ContextFeatures(list(FEATURES))
    bundle = Bundle("any", vocabulary, context, weights=random_weights(len(vocabulary), context.n_rows, 6, 1.0))
    one, other = (evaluate(bundle, pieces) for pieces in (corpus.pieces, corpus.pieces[::-1]))
    assert one.bits_per_value == pytest.approx(other.bits_per_value)


def test_pieces_without_pitches_have_no_bits_a_note() -> None:
    """Guards against: a figure that means nothing."""
    vocabulary = Vocabulary([Value("C", 6, 2), Value("R", 12)])
    bundle = Bundle("any", vocabulary, ContextFeatures(), weights=random_weights(2, 0, 3, 0.0))
    figures = evaluate(bundle, [Piece("", "", (Value("C", 6, 2), Value("C", 6, 3)), source_notes=2)])
    assert figures.bits_per_note is None
    assert figures.mapped_share == 0.5
    silent = Bundle("any", Vocabulary([Value("C", 6, 2)]), ContextFeatures(), weights=random_weights(1, 0, 3, 0.0))
    figures = evaluate(silent, [Piece("", "", (Value("C", 6, 2), Value("R", 6), Value("C", 6, 3)), source_notes=2)])
    assert (figures.values, figures.mapped_share) == (2, 0.5)
    with pytest.raises(CorpusError, match="without chords"):
        evaluate(
            Bundle("any", vocabulary, ContextFeatures(["beat"]), weights=random_weights(2, 4, 3, 0.0)),
            [Piece("", "", (Value("C", 6),))],
        )


def place(chord: Chord, previous: int | None) -> Place:
    """Return a place with this chord and previous pitch."""
    return Place(0, chord, chord, math.inf, previous)


@given(modern_values(), chords(), st.integers(12, 115))
def test_rank_0_is_the_pitch_that_would_be_played(value: Value, chord: Chord, previous: int) -> None:
    """Guards against: bits of a pitch for another way of playing the values."""
    played = choose_pitch(value, chord, previous, 0, 127)
    if played is not None:
        assert pitch_rank(value, place(chord, previous), played) == 0


@given(modern_values(), chords(), st.none() | st.integers(0, 127))
def test_the_probabilities_of_the_pitches_sum_to_at_most_1(value: Value, chord: Chord, previous: int | None) -> None:
    """Guards against: too few bits a note: a code that cannot exist."""
    if value.kind == "R":
        return
    at = place(chord, previous)
    costs = [pitch_bits(Vocabulary([value]), Piece("", "", (value,), (at,), (pitch,))) for pitch in range(128)]
    assert sum(2**-cost for cost in costs) <= 1 + 1e-9
    fitting = [cost for pitch, cost in enumerate(costs) if VALUE_KINDS[chord.kind_of(pitch)] == value.kind]
    if fitting:
        assert min(fitting) == pytest.approx(
            -math.log2((1 - OTHER_KIND_PROBABILITY) * EXACT_PROBABILITY[value.interval is not None])
        )


def test_a_pitch_of_another_kind_is_unlikely_but_possible() -> None:
    """Guards against: one mapped value that makes the bits infinite."""
    value, at = Value("C", 6, 2), place(parse_chord("C"), 60)
    assert pitch_rank(value, at, 62) is None
    assert pitch_bits(Vocabulary([value]), Piece("", "", (value,), (at,), (62,))) == pytest.approx(
        -math.log2(OTHER_KIND_PROBABILITY / 128)
    )


def save_random_bundle(vocabulary: Vocabulary, folder: Path, context: ContextFeatures | None = None) -> str:
    """Save a bundle with random weights; return its path."""
    context = context or ContextFeatures()
    weights = random_weights(len(vocabulary), context.n_rows, 6, 1.0)
    save_bundle(Bundle("any", vocabulary, context, weights=weights), folder / "any")
    return str(folder / "any")


def run(*words: str | Path) -> int:
    """Run the command with these arguments."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([*map(str, words)]))


def test_the_command_reports_everything_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """Guards against: a network that cannot be measured, or not compared by a program."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    model = ["--model", save_random_bundle(build_vocabulary(corpus.pieces), tmp_path, ContextFeatures(["beat"]))]
    assert run(*model, "--json", "--unseen", "--choruses", "9", path) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"bits_per_value", "bits_per_note", "values", "titles", "dropped_share", "mapped_share"} <= set(report)
    assert report["pieces"] == len(split_by_rule(corpus.pieces).held_out)
    assert [one["family"] for one in report["best_ngrams"]] == list(BASELINE_FAMILIES)
    for best in report["best_ngrams"]:
        family = [one["bits_per_value"] for one in report["ngrams"] if one["family"] == best["family"]]
        assert best["bits_per_value"] == min(family)
        assert best["fewer"] == pytest.approx(1 - report["bits_per_value"] / best["bits_per_value"], abs=1e-4)
        assert best["fewer_interval"][0] <= best["fewer"] <= best["fewer_interval"][1]
    assert report["best_ngrams"][3]["bits_per_value"] < report["best_ngrams"][0]["bits_per_value"]
    assert (
        report["best_ngrams"][0]["bits_per_value"] < report["unigram_bits_per_value"] < report["chance_bits_per_value"]
    )
    assert set(report["statistics"]) == set(STATISTICS)
    assert report["choruses"] == 9
    assert {(one["likeness"], one["whose"]) for one in report["verbatim"]} == {
        (likeness, whose) for likeness in ("values", "melody") for whose in ("real", "played")
    }
    assert report["absent"] == {}


def test_the_command_reports_everything_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """Guards against: a musician who has to read JSON."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    model = save_random_bundle(build_vocabulary(corpus.pieces), tmp_path)
    assert run("--unseen", "--choruses", "2", path, "--model", model) == 0
    report = capsys.readouterr().out
    for words in (
        *BASELINE_FAMILIES,
        *STATISTICS,
        "the network",
        "unigram",
        "chance",
        "plain orders 1 to 6",
        "as in Tune",
    ):
        assert words in report
    assert max(map(len, report.splitlines())) <= 120


def test_the_report_says_what_is_missing_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """Guards against: a half empty table without a reason, or a command that fails where it could report something."""
    model = ["--model", save_random_bundle(build_vocabulary(corpus.pieces), tmp_path)]
    path = write_tiny_corpus(tmp_path / "one.jsonl", titles=1)
    assert run(*model, "--choruses", "0", path) == 0
    report = capsys.readouterr().out
    assert "no n-grams: no pieces to train" in report
    assert "No statistics of its playing: none were asked for" in report
    values = tmp_path / "tune.txt"
    values.write_text("C,0.500 S,0.500,+2 R,1.000 C,0.500,-2\n" * 2)
    assert run(*model, "--json", values, "--train", values) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["absent"]) == {"ngrams", "verbatim", "statistics"}
    assert report["bits_per_note"] is None
    other = tmp_path / "other.txt"
    other.write_text("C,0.500 S,0.500,+2 C,0.500,-2 C,0.500\n" * 3)
    assert run(*model, "--json", values, "--train", other) == 0
    report = json.loads(capsys.readouterr().out)
    assert {one["family"] for one in report["ngrams"]} == {BASELINE_FAMILIES[0]}
    assert report["verbatim"][0]["longest_notes"] == 2
    assert "statistics" in report["absent"]


def test_a_classic_network_can_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a student who cannot see how good the network of the assignment is."""
    bundle = classic_bundle()
    save_bundle(bundle, tmp_path / "classic")
    random_source = np.random.default_rng(0)
    lines = [
        " ".join(bundle.vocabulary.values[int(index)].text for index in random_source.integers(60, size=30))
        for _ in "1234"
    ]
    for name, some in (("a.txt", lines[:2]), ("b.txt", lines[2:])):
        (tmp_path / name).write_text("\n".join(some))
    assert run("--model", tmp_path / "classic", "--json", tmp_path / "a.txt", "--train", tmp_path / "b.txt") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bits_per_note"] is None
    assert report["best_ngrams"][0]["bits_per_value"] > 0


def test_the_baselines_are_not_trained_on_what_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """Guards against: n-grams that know the pieces by heart, so that each network looks bad beside them."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    model = ["--model", save_random_bundle(build_vocabulary(corpus.pieces), tmp_path), "--choruses", "0", "--json"]
    bits = []
    for train in list[list[str | Path]](([], ["--train", path])):
        assert run(*model, "--unseen", path, *train) == 0
        bits.append([one["bits_per_value"] for one in json.loads(capsys.readouterr().out)["ngrams"]])
    assert bits[0] == bits[1]


def test_the_picture_shows_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus) -> None:
    """Guards against: a report that is an empty sheet."""
    matplotlib = pytest.importorskip("matplotlib.image")
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    model = ["--model", save_random_bundle(build_vocabulary(corpus.pieces), tmp_path)]
    dark_pixels = []
    for name, choruses in (("small.png", "0"), ("whole.png", "3")):
        picture = tmp_path / name
        assert run(*model, "--unseen", path, "--choruses", choruses, "--report", picture) == 0
        dark_pixels.append(int((matplotlib.imread(picture)[:, :, :3].max(2) < 0.99).sum()))
    assert 5_000 < dark_pixels[0] < dark_pixels[1] / 2
    assert "bits" in capsys.readouterr().out.lower()


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, corpus: Corpus) -> None:
    """Guards against: a measurement of something else than was requested, or an error after the work."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=2)
    model = ["--model", save_random_bundle(build_vocabulary(corpus.pieces), tmp_path)]
    with pytest.raises(NoSuchInput):
        run(*model, tmp_path / "none.jsonl")
    with pytest.raises(NoSuchInput):
        run(*model, path, "--train", tmp_path / "none.jsonl")
    with pytest.raises(CorpusError, match=r"kept from any \(a tenth"):
        run(*model, "--unseen", path)
    with pytest.raises(UsageError, match="choruses"):
        run(*model, path, "--choruses", "-1")
    with pytest.raises(UsageError, match="seed"):
        run(*model, path, "--seed", "-1")
    with pytest.raises(CannotCreate, match="no folder"):
        run(*model, path, "--report", tmp_path / "nowhere" / "report.png")


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.floats(1, 9), st.floats(1, 9)), min_size=2, max_size=12))
def test_the_interval_contains_the_figure(pieces: list[tuple[str, float, float]]) -> None:
    """Guards against: a figure outside its own interval, or an interval that depends on chance."""
    titles, tops, bottoms = (list(column) for column in zip(*pieces, strict=True))
    ends = ratio_interval(titles, tops, bottoms)
    assert (ends is None) == (len(set(titles)) < 2)
    if ends is not None:
        ratios = [top / bottom for top, bottom in zip(tops, bottoms, strict=True)]
        assert min(ratios) - 1e-9 <= ends[0] <= ends[1] <= max(ratios) + 1e-9
        assert ends == ratio_interval(titles, tops, bottoms)


def test_the_interval_is_that_of_a_mean_over_titles() -> None:
    """Guards against: an interval that is too narrow, because pieces of one title are not independent."""
    random_source = np.random.default_rng(5)
    figures = random_source.normal(5, 1, 40)
    ends = ratio_interval([f"{title}" for title in range(40)], figures.tolist(), [1.0] * 40)
    assert ends is not None
    assert ends[1] - ends[0] == pytest.approx(2 * 1.96 * figures.std() / math.sqrt(40), rel=0.15)
    again = ratio_interval([f"{title}" for title in range(40)] * 3, figures.tolist() * 3, [1.0] * 120)
    assert again == pytest.approx(ends)


def printed_json(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """Return the JSON on standard output, and the text on standard error."""
    out, err = capsys.readouterr()
    return json.loads(out), err


@pytest.mark.parametrize("share", [0.3, 0.02, None])
def test_unseen_means_what_this_network_did_not_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float | None
) -> None:
    """Guards against: figures of music that the network was trained on, or none although some music was held out."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=6)
    music = read_corpus([path])
    split = split_by_share(music.pieces, share)
    vocabulary = build_vocabulary(music.pieces)
    facts = {"files": music.files, "held_back": msgspec.to_builtins(split.rule)}
    weights = random_weights(len(vocabulary), 0, 6, 1.0)
    save_bundle(Bundle("any", vocabulary, ContextFeatures(), facts, weights=weights), tmp_path / "any")
    assert run("--model", tmp_path / "any", path, "--unseen", "--json", "--choruses", "0") == 0
    report, warning = printed_json(capsys)
    assert report["pieces"] == len(split.held_out) > 0
    assert (report["remarks"], warning) == ([], "")
    # Without --unseen the command warns that the network knows the music. With it, the command warns if the network
    # was trained from another one that knows the music.
    assert run("--model", tmp_path / "any", path, "--json", "--choruses", "0") == 0
    report, warning = printed_json(capsys)
    assert report["remarks"] == [warning.strip()]
    assert warning.startswith("tiny.jsonl: any learned from it")
    base = {"from": {"files": music.files, "held_back": msgspec.to_builtins(split_by_share(music.pieces, 0).rule)}}
    save_bundle(Bundle("any", vocabulary, ContextFeatures(), {**facts, **base}, weights=weights), tmp_path / "any")
    assert run("--model", tmp_path / "any", path, "--unseen", "--json", "--choruses", "0") == 0
    report, warning = printed_json(capsys)
    assert report["remarks"] == [warning.strip()]
    assert "a network from which any was trained has learned from it" in warning


def test_a_remark_warns_if_most_values_are_mapped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """Guards against: a classic network that seems to predict jazz, because it was measured on its own sixty values."""
    save_bundle(classic_bundle(), tmp_path / "classic")
    path = write_tiny_corpus(tmp_path / "one.jsonl", titles=1)
    assert run("--model", tmp_path / "classic", path, "--choruses", "0") == 0
    assert "97.5 % of the values are not in the vocabulary of the network" in capsys.readouterr().out
    assert run("--model", save_random_bundle(build_vocabulary(corpus.pieces), tmp_path), path, "--choruses", "0") == 0
    assert "not in the vocabulary" not in capsys.readouterr().out


def test_the_best_ngram_is_described_even_if_its_chain_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """Guards against: a line that ends after the name, so that a reader looks for the missing part."""
    model = save_random_bundle(build_vocabulary(corpus.pieces), tmp_path)
    for name, line in (("a.txt", "C,0.500"), ("b.txt", "C,0.500 S,0.500,+2")):
        (tmp_path / name).write_text(line)
    assert run("--model", model, tmp_path / "a.txt", "--train", tmp_path / "b.txt") == 0
    report = capsys.readouterr().out
    assert "order 1: the frequency of each value" in report
    assert not any(line.endswith(":") for line in report.splitlines())
