# SPDX-License-Identifier: Apache-2.0
"""Bits: the figures that say whether one network is better than another."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import evaluation
from sideman.commands import evaluate as command
from sideman.core.errors import CannotCreate, NoSuchInput, UsageError
from sideman_models.corpus.corpus import Corpus, read_corpus
from sideman_models.errors import CorpusError
from sideman_models.evaluation.bits import EXACT_PROBABILITY, OTHER_KIND_PROBABILITY, evaluate, pitch_bits, pitch_rank
from sideman_models.evaluation.bootstrap import ratio_interval
from sideman_models.evaluation.report import BASELINE_FAMILIES
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
    """A few random tunes."""
    return read_corpus([write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny.jsonl", titles=40)])


def uniform(vocabulary: Vocabulary, context: ContextFeatures) -> Weights:
    """A network that knows nothing."""
    n = len(vocabulary)
    shapes = ((n + context.n_rows, 8), (2, 8), (8,), (2, n), (n,))
    kernel, recurrent, bias, out, out_bias = (np.zeros(shape, np.float32) for shape in shapes)
    return Weights(kernel, recurrent, bias, out, out_bias, 0.0)


def test_a_network_that_knows_nothing_costs_the_size_of_its_vocabulary(corpus: Corpus) -> None:
    """The figures would not be bits."""
    vocabulary, context = build_vocabulary(corpus.pieces), ContextFeatures(list(FEATURES))
    bundle = Bundle("uniform", vocabulary, context, uniform(vocabulary, context))
    figures = evaluate(bundle, corpus.pieces)
    assert figures.bits_per_value == pytest.approx(math.log2(len(vocabulary)))
    assert figures.values == sum(len(piece.values) for piece in corpus.pieces)
    assert figures.bits_per_note is not None
    pitches = sum(pitch_bits(vocabulary, piece) for piece in corpus.pieces)
    assert figures.bits_per_note == pytest.approx((figures.values * figures.bits_per_value + pitches) / figures.notes)


def test_every_piece_begins_afresh(corpus: Corpus) -> None:
    """The figures would depend on the order of the pieces."""
    vocabulary, context = build_vocabulary(corpus.pieces), ContextFeatures(list(FEATURES))
    bundle = Bundle("any", vocabulary, context, random_weights(len(vocabulary), context.n_rows, 6, 1.0))
    one, other = (evaluate(bundle, pieces) for pieces in (corpus.pieces, corpus.pieces[::-1]))
    assert one.bits_per_value == pytest.approx(other.bits_per_value)


def test_pieces_without_pitches_have_no_bits_a_note() -> None:
    """A figure would be told that is none."""
    vocabulary = Vocabulary([Value("C", 6, 2), Value("R", 12)])
    bundle = Bundle("any", vocabulary, ContextFeatures(), random_weights(2, 0, 3, 0.0))
    figures = evaluate(bundle, [Piece("", "", (Value("C", 6, 2), Value("C", 6, 3)), source_notes=2)])
    assert figures.bits_per_note is None
    assert figures.mapped_share == 0.5
    silent = Bundle("any", Vocabulary([Value("C", 6, 2)]), ContextFeatures(), random_weights(1, 0, 3, 0.0))
    figures = evaluate(silent, [Piece("", "", (Value("C", 6, 2), Value("R", 6), Value("C", 6, 3)), source_notes=2)])
    assert (figures.values, figures.mapped_share) == (2, 0.5)
    with pytest.raises(CorpusError, match="without chords"):
        evaluate(
            Bundle("any", vocabulary, ContextFeatures(["beat"]), random_weights(2, 4, 3, 0.0)),
            [Piece("", "", (Value("C", 6),))],
        )


def place(chord: Chord, previous: int | None) -> Place:
    """Somewhere."""
    return Place(0, chord, chord, math.inf, previous)


@given(modern_values(), chords(), st.integers(12, 115))
def test_rank_nought_is_what_would_be_played(value: Value, chord: Chord, previous: int) -> None:
    """The bits of a pitch would be those of another way of playing the values."""
    played = choose_pitch(value, chord, previous, 0, 127)
    if played is not None:
        assert pitch_rank(value, place(chord, previous), played) == 0


@given(modern_values(), chords(), st.none() | st.integers(0, 127))
def test_the_pitches_chances_sum_to_no_more_than_one(value: Value, chord: Chord, previous: int | None) -> None:
    """Bits a note would be too few: a code that cannot be."""
    if value.kind == "R":
        return
    here = place(chord, previous)
    costs = [pitch_bits(Vocabulary([value]), Piece("", "", (value,), (here,), (pitch,))) for pitch in range(128)]
    assert sum(2**-cost for cost in costs) <= 1 + 1e-9
    fitting = [cost for pitch, cost in enumerate(costs) if VALUE_KINDS[chord.kind_of(pitch)] == value.kind]
    if fitting:
        assert min(fitting) == pytest.approx(
            -math.log2((1 - OTHER_KIND_PROBABILITY) * EXACT_PROBABILITY[value.interval is not None])
        )


def test_a_pitch_of_another_kind_is_astray_but_not_impossible() -> None:
    """One mapped value would make the bits infinite."""
    value, here = Value("C", 6, 2), place(parse_chord("C"), 60)
    assert pitch_rank(value, here, 62) is None
    assert pitch_bits(Vocabulary([value]), Piece("", "", (value,), (here,), (62,))) == pytest.approx(
        -math.log2(OTHER_KIND_PROBABILITY / 128)
    )


def trained_on_nothing(vocabulary: Vocabulary, folder: Path, context: ContextFeatures | None = None) -> str:
    """The path of a bundle of dice."""
    context = context or ContextFeatures()
    weights = random_weights(len(vocabulary), context.n_rows, 6, 1.0)
    save_bundle(Bundle("any", vocabulary, context, weights), folder / "any")
    return str(folder / "any")


def run(*words: str | Path) -> int:
    """The command itself."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([*map(str, words)]))


def test_the_command_tells_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus) -> None:
    """Nobody could measure a network, or compare it by machine."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    model = ["--model", trained_on_nothing(build_vocabulary(corpus.pieces), tmp_path, ContextFeatures(["beat"]))]
    assert run(*model, "--json", "--unseen", "--choruses", "9", path) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"bits_per_value", "bits_per_note", "values", "titles", "dropped_share", "mapped_share"} <= set(told)
    assert told["pieces"] == len(split_by_rule(corpus.pieces).held_out)
    assert [one["family"] for one in told["best_ngrams"]] == list(BASELINE_FAMILIES)
    for best in told["best_ngrams"]:
        family = [one["bits_per_value"] for one in told["ngrams"] if one["family"] == best["family"]]
        assert best["bits_per_value"] == min(family)
        assert best["fewer"] == pytest.approx(1 - told["bits_per_value"] / best["bits_per_value"], abs=1e-4)
        assert best["fewer_interval"][0] <= best["fewer"] <= best["fewer_interval"][1]
    assert told["best_ngrams"][3]["bits_per_value"] < told["best_ngrams"][0]["bits_per_value"]
    assert told["best_ngrams"][0]["bits_per_value"] < told["unigram_bits_per_value"] < told["chance_bits_per_value"]
    assert set(told["statistics"]) == set(STATISTICS)
    assert told["choruses"] == 9
    assert {(one["likeness"], one["whose"]) for one in told["verbatim"]} == {
        (likeness, whose) for likeness in ("values", "melody") for whose in ("real", "played")
    }
    assert told["absent"] == {}


def test_the_command_is_read_by_people(tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus) -> None:
    """A musician would have to read JSON."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    model = trained_on_nothing(build_vocabulary(corpus.pieces), tmp_path)
    assert run("--unseen", "--choruses", "2", path, "--model", model) == 0
    told = capsys.readouterr().out
    for words in (
        *BASELINE_FAMILIES,
        *STATISTICS,
        "the network",
        "unigram",
        "chance",
        "plain orders 1 to 6",
        "as in Tune",
    ):
        assert words in told
    assert max(map(len, told.splitlines())) <= 120


def test_what_cannot_be_told_is_said_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """A table would be half empty for no reason given, or the command fail where there is something to tell."""
    model = ["--model", trained_on_nothing(build_vocabulary(corpus.pieces), tmp_path)]
    path = write_tiny_corpus(tmp_path / "one.jsonl", titles=1)
    assert run(*model, "--choruses", "0", path) == 0
    told = capsys.readouterr().out
    assert "no n-grams: no pieces to train" in told
    assert "No statistics of its playing: none were asked for" in told
    values = tmp_path / "tune.txt"
    values.write_text("C,0.500 S,0.500,+2 R,1.000 C,0.500,-2\n" * 2)
    assert run(*model, "--json", values, "--train", values) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["absent"]) == {"ngrams", "verbatim", "statistics"}
    assert told["bits_per_note"] is None
    other = tmp_path / "other.txt"
    other.write_text("C,0.500 S,0.500,+2 C,0.500,-2 C,0.500\n" * 3)
    assert run(*model, "--json", values, "--train", other) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["family"] for one in told["ngrams"]} == {BASELINE_FAMILIES[0]}
    assert told["verbatim"][0]["longest_notes"] == 2
    assert "statistics" in told["absent"]


def test_a_classic_network_can_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A student could not tell how good the assignment's network is."""
    bundle = classic_bundle()
    save_bundle(bundle, tmp_path / "classic")
    dice = np.random.default_rng(0)
    lines = [
        " ".join(bundle.vocabulary.values[int(index)].text for index in dice.integers(60, size=30)) for _ in "1234"
    ]
    for name, some in (("a.txt", lines[:2]), ("b.txt", lines[2:])):
        (tmp_path / name).write_text("\n".join(some))
    assert run("--model", tmp_path / "classic", "--json", tmp_path / "a.txt", "--train", tmp_path / "b.txt") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bits_per_note"] is None
    assert told["best_ngrams"][0]["bits_per_value"] > 0


def test_nothing_that_is_measured_trains_the_opponents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """The n-grams would know the pieces by heart, and every network look bad beside them."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    model = ["--model", trained_on_nothing(build_vocabulary(corpus.pieces), tmp_path), "--choruses", "0", "--json"]
    bits = []
    for train in list[list[str | Path]](([], ["--train", path])):
        assert run(*model, "--unseen", path, *train) == 0
        bits.append([one["bits_per_value"] for one in json.loads(capsys.readouterr().out)["ngrams"]])
    assert bits[0] == bits[1]


def test_the_picture_shows_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus) -> None:
    """The report would be an empty sheet."""
    matplotlib = pytest.importorskip("matplotlib.image")
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    model = ["--model", trained_on_nothing(build_vocabulary(corpus.pieces), tmp_path)]
    inked = []
    for name, choruses in (("small.png", "0"), ("whole.png", "3")):
        picture = tmp_path / name
        assert run(*model, "--unseen", path, "--choruses", choruses, "--report", picture) == 0
        inked.append(int((matplotlib.imread(picture)[:, :, :3].max(2) < 0.99).sum()))
    assert 5_000 < inked[0] < inked[1] / 2
    assert "bits" in capsys.readouterr().out.lower()


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, corpus: Corpus) -> None:
    """Something would be measured other than what was asked for, or fail after the work."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=2)
    model = ["--model", trained_on_nothing(build_vocabulary(corpus.pieces), tmp_path)]
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
def test_an_interval_holds_the_figure(pieces: list[tuple[str, float, float]]) -> None:
    """A figure would lie outside its own bounds, or they would depend on chance."""
    titles, tops, bottoms = (list(column) for column in zip(*pieces, strict=True))
    ends = ratio_interval(titles, tops, bottoms)
    assert (ends is None) == (len(set(titles)) < 2)
    if ends is not None:
        ratios = [top / bottom for top, bottom in zip(tops, bottoms, strict=True)]
        assert min(ratios) - 1e-9 <= ends[0] <= ends[1] <= max(ratios) + 1e-9
        assert ends == ratio_interval(titles, tops, bottoms)


def test_an_interval_is_that_of_a_mean_of_titles() -> None:
    """It would be too narrow: pieces of one title say the same thing over and over."""
    dice = np.random.default_rng(5)
    figures = dice.normal(5, 1, 40)
    ends = ratio_interval([f"{title}" for title in range(40)], figures.tolist(), [1.0] * 40)
    assert ends is not None
    assert ends[1] - ends[0] == pytest.approx(2 * 1.96 * figures.std() / math.sqrt(40), rel=0.15)
    again = ratio_interval([f"{title}" for title in range(40)] * 3, figures.tolist() * 3, [1.0] * 120)
    assert again == pytest.approx(ends)


def test_the_benchmark_measures_it() -> None:
    """Evaluating could get slow unseen."""
    [figure] = evaluation.figures(0.01)
    assert figure.what.startswith("evaluate")
    assert figure.value is not None
    assert figure.value > 0
    assert figure.budget is not None
    assert figure.budget.measured > 0
    assert all(beside > 0 for beside in figure.beside.values())


def told_as_json(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """What the command printed, and what it said beside."""
    out, err = capsys.readouterr()
    return json.loads(out), err


@pytest.mark.parametrize("share", [0.3, 0.02, None])
def test_unseen_is_what_that_network_did_not_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float | None
) -> None:
    """The figures would be of music that the network learned from, or there would be none although some was kept."""
    path = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=6)
    music = read_corpus([path])
    split = split_by_share(music.pieces, share)
    vocabulary = build_vocabulary(music.pieces)
    facts = {"files": music.files, "held_back": split.rule.as_json()}
    weights = random_weights(len(vocabulary), 0, 6, 1.0)
    save_bundle(Bundle("any", vocabulary, ContextFeatures(), weights, facts), tmp_path / "any")
    assert run("--model", tmp_path / "any", path, "--unseen", "--json", "--choruses", "0") == 0
    told, said = told_as_json(capsys)
    assert told["pieces"] == len(split.held_out) > 0
    assert (told["remarks"], said) == ([], "")
    # Without --unseen it is told that it knows the music; so it is with it, if a network before it knew.
    assert run("--model", tmp_path / "any", path, "--json", "--choruses", "0") == 0
    told, said = told_as_json(capsys)
    assert told["remarks"] == [said.strip()]
    assert said.startswith("tiny.jsonl: any learned from it")
    began = {"from": {"files": music.files, "held_back": split_by_share(music.pieces, 0).rule.as_json()}}
    save_bundle(Bundle("any", vocabulary, ContextFeatures(), weights, {**facts, **began}), tmp_path / "any")
    assert run("--model", tmp_path / "any", path, "--unseen", "--json", "--choruses", "0") == 0
    told, said = told_as_json(capsys)
    assert told["remarks"] == [said.strip()]
    assert "a network that any began from learned from it" in said


def test_music_that_is_hardly_known_is_remarked_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """A classic network would seem to foretell jazz, when it was measured on its own sixty values over and over."""
    save_bundle(classic_bundle(), tmp_path / "classic")
    path = write_tiny_corpus(tmp_path / "one.jsonl", titles=1)
    assert run("--model", tmp_path / "classic", path, "--choruses", "0") == 0
    assert "97.5 % of the values are none that this network knows" in capsys.readouterr().out
    assert run("--model", trained_on_nothing(build_vocabulary(corpus.pieces), tmp_path), path, "--choruses", "0") == 0
    assert "none that this network knows" not in capsys.readouterr().out


def test_every_line_of_the_table_tells_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    """Where the best n-gram is the one that looks at nothing, a reader would look for what was cut off."""
    model = trained_on_nothing(build_vocabulary(corpus.pieces), tmp_path)
    for name, line in (("a.txt", "C,0.500"), ("b.txt", "C,0.500 S,0.500,+2")):
        (tmp_path / name).write_text(line)
    assert run("--model", model, tmp_path / "a.txt", "--train", tmp_path / "b.txt") == 0
    told = capsys.readouterr().out
    assert "order 1: how often each value comes" in told
    assert not any(line.endswith(":") for line in told.splitlines())
