# SPDX-License-Identifier: Apache-2.0
"""Names letter by letter: the course's network and its figures, and the names of takes."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sideman.commands import names as command
from sideman.core.errors import NoSuchInput, UsageError
from sideman_models.course.names import (
    MAX_LETTERS,
    NAMES_FILE,
    Doubles,
    NameModel,
    Parameters,
    clip,
    generate_names,
    initial_parameters,
    load_name_model,
    model,
    optimize,
    read_names,
    sample,
    save_name_model,
)
from sideman_models.course.rnn import rnn_backward, rnn_forward
from sideman_models.errors import BundleError, CorpusError
from sideman_models.network.storage import CARD_FILE, WEIGHTS_FILE
from support.data_files import data_file

FEW = ["anna", "otto", "hannah", "ada", "bob"]


def random_parameters(n_a: int, n_x: int, seed: int, size: float = 1.0) -> Parameters:
    """Return random parameters with biases."""
    generator = np.random.default_rng(seed)
    shapes = {"Wax": (n_a, n_x), "Waa": (n_a, n_a), "Wya": (n_x, n_a), "b": (n_a, 1), "by": (n_x, 1)}
    return {name: generator.normal(0, size, shape) for name, shape in shapes.items()}


def copied(parameters: Parameters) -> Parameters:
    """Return an independent copy."""
    return {name: array.copy() for name, array in parameters.items()}


def loss_of(parameters: Parameters, X: list[int | None], Y: list[int], a: Doubles) -> float:
    """Return the loss without changing the parameters."""
    return optimize(X, Y, a, copied(parameters), 0.0)[0]


letters = st.lists(st.integers(1, 5), min_size=1, max_size=9)


@settings(max_examples=20)
@given(letters, st.integers(0, 1000))
def test_the_gradients_are_the_slopes_of_the_loss(name: list[int], seed: int) -> None:
    """Guards against: wrong gradients with which training still seems to work."""
    parameters = random_parameters(4, 6, seed, 0.3)
    X, Y, a = [None, *name], [*name, 0], np.random.default_rng(seed).normal(size=(4, 1))
    _, gradients, _ = optimize(X, Y, a, copied(parameters), 0.0)
    for which, parameter in parameters.items():
        for place in np.random.default_rng(seed).permutation(parameter.size)[:4]:
            losses = []
            for step in (1e-6, -1e-6):
                moved = copied(parameters)
                moved[which].flat[place] += step
                losses.append(loss_of(moved, X, Y, a))
            slope = np.clip((losses[0] - losses[1]) / 2e-6, -5, 5)
            assert gradients[f"d{which}"].flat[place] == pytest.approx(slope, abs=1e-6)


@settings(max_examples=20)
@given(letters, st.integers(0, 1000))
def test_it_computes_the_same_as_the_courses_recurrent_network(name: list[int], seed: int) -> None:
    """Guards against: a network that differs from the course's recurrent network."""
    p = random_parameters(4, 6, seed, 0.2)
    a0 = np.random.default_rng(seed).normal(size=(4, 1))
    x = np.zeros((6, 1, len(name) + 1))
    x[name, 0, np.arange(1, len(name) + 1)] = 1
    Y = [*name, 0]
    a, predicted, caches = rnn_forward(x, a0, {**{key: p[key] for key in ("Wax", "Waa", "Wya", "by")}, "ba": p["b"]})
    loss, gradients, last = optimize([None, *name], Y, a0, copied(p), 0.0)
    assert loss == pytest.approx(-np.log(predicted[Y, 0, np.arange(len(Y))]).sum())
    np.testing.assert_allclose(last, a[:, :, -1], atol=1e-12)
    dy = predicted.copy()
    dy[Y, 0, np.arange(len(Y))] -= 1
    theirs = rnn_backward(np.einsum("ya,ymt->amt", p["Wya"], dy), caches)
    for ours, other in (("dWax", "dWax"), ("dWaa", "dWaa"), ("db", "dba")):
        np.testing.assert_allclose(gradients[ours], np.clip(theirs[other], -5, 5), atol=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.floats(0.1, 100))
def test_clipping_changes_only_numbers_out_of_bounds(numbers: list[float], most: float) -> None:
    """Guards against: one unusual name that spoils the parameters."""
    gradients = {"db": np.array(numbers)}
    assert clip(gradients, most) is gradients
    assert np.abs(gradients["db"]).max() <= most
    within = np.abs(numbers) <= most
    np.testing.assert_array_equal(gradients["db"][within], np.array(numbers)[within])


def _indices(names: Sequence[str]) -> tuple[dict[int, str], dict[str, int]]:
    """Return the two tables of the course's notebook."""
    letters = sorted({"\n", *"".join(names)})
    return dict(enumerate(letters)), {letter: index for index, letter in enumerate(letters)}


@pytest.mark.slow
def test_the_losses_are_the_courses() -> None:
    """Guards against: losses that differ from the course's."""
    names = read_names(data_file("dinos/dinos.txt"))
    losses: dict[int, float] = {}
    model(names, *_indices(names), 10_001, report=lambda iteration, loss, _: losses.update({iteration: loss}))
    assert [round(losses[at], 6) for at in (0, 2000, 10_000)] == [23.087336, 27.884160, 23.844446]


def test_the_installed_model_is_the_courses() -> None:
    """Guards against: an installed model that was trained less, or on another list."""
    learned = load_name_model()
    assert learned.facts["iterations"] == 35_000
    losses = learned.facts["smoothed_losses"]
    assert losses["0"] == pytest.approx(23.087336)
    # By then rounding differences have grown to the second decimal.
    assert losses["34000"] == pytest.approx(22.43, abs=0.05)
    assert "no licence stated" in learned.card


@given(st.integers(0, 1000), st.integers(0, 1000))
@settings(max_examples=30)
def test_a_name_ends_with_the_newline_or_is_cut_off(weights: int, seed: int) -> None:
    """Guards against: a name that never ends."""
    parameters, char_to_ix = random_parameters(5, 4, weights), {"\n": 0, "a": 1, "b": 2, "c": 3}
    indices = sample(parameters, char_to_ix, seed)
    assert indices == sample(parameters, char_to_ix, seed)
    assert indices[-1] == 0
    assert 0 not in indices[:-1]
    assert len(indices) <= MAX_LETTERS + 1


def test_letters_are_drawn_with_the_networks_probabilities() -> None:
    """Guards against: letters that are not drawn with the network's probabilities."""
    parameters, char_to_ix = random_parameters(5, 4, 3, 0.5), {"\n": 0, "a": 1, "b": 2, "c": 3}
    p = parameters
    a = np.tanh(p["b"])
    first = np.exp(p["Wya"] @ a + p["by"])[:, 0]
    first /= first.sum()
    a = np.tanh(p["Wax"][:, [1]] + p["Waa"] @ a + p["b"])
    second = np.exp(p["Wya"] @ a + p["by"])[:, 0]
    second /= second.sum()
    names = [sample(parameters, char_to_ix, seed) for seed in range(4000)]
    first_letters = np.bincount([name[0] for name in names], minlength=4)
    second_letters = np.bincount([name[1] for name in names if name[0] == 1], minlength=4)
    for counts, probabilities in ((first_letters, first), (second_letters, second)):
        spread = np.sqrt(probabilities * (1 - probabilities) * counts.sum())
        assert (np.abs(counts - probabilities * counts.sum()) < 4 * spread).all()


def test_training_learns_from_the_names() -> None:
    """Guards against: training on a user's own list without effect."""
    losses: list[float] = []
    ix_to_char, char_to_ix = _indices(FEW)
    parameters = model(FEW, ix_to_char, char_to_ix, 2001, 20, report=lambda _at, loss, _: losses.append(loss))
    learned = NameModel("".join(ix_to_char.values()), parameters)
    assert losses[-1] < losses[0] / 2
    doubled = sum("nn" in name for name in islice(generate_names(learned, 0), 30))  # two of the five names have it
    untrained = NameModel(learned.letters, initial_parameters(20, len(learned.letters), len(learned.letters)))
    assert doubled > 2 * sum("nn" in name for name in islice(generate_names(untrained, 0), 30))


@given(st.integers(0, 1000), st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_names_are_different_and_without_end(weights: int, seed: int) -> None:
    """Guards against: two takes with the same name, or an endless loop with a network that knows few names."""
    learned = NameModel("\nab", random_parameters(3, 3, weights))
    names = list(islice(generate_names(learned, seed), 12))
    assert len(set(names)) == 12
    assert names == list(islice(generate_names(learned, seed), 12))


@pytest.mark.parametrize("endless", [True, False])
def test_a_network_without_usable_names_still_gives_names(endless: bool) -> None:
    """Guards against: an endless loop while naming a take."""
    parameters = {name: np.zeros_like(array) for name, array in random_parameters(3, 2, 0).items()}
    parameters["by"][:, 0] = [-100, 100] if endless else [100, -100]
    assert len({*islice(generate_names(NameModel("\na", parameters), 0), 3)}) == 3


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_a_name_can_be_a_file_name(seed: int) -> None:
    """Guards against: names that cannot be file names."""
    for name in islice(generate_names(load_name_model(), seed), 5):
        assert name.isascii()
        assert name.isalpha()
        assert 3 <= len(name) <= MAX_LETTERS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no names in it"),
        (b"\n \n", "no names in it"),
        (b"Anna\n", "only one name"),
        (b"Anna\nANNA\n", "only one name"),
        (b"Anna\nOt\tto\n", "names:2: '\\\\t' is not allowed"),
        (b"Anna\n\n<b>\n", "names:3: '<' is not allowed"),
        (b"Anna\n" + b"a" * 50, "names:2: 50 letters"),
        (b"MThd\x00\x00\x00\x06", r"names:1: '\\x00' is not allowed"),
        (b"Anna\n\xff\xfe\n", "names:2: not text"),
    ],
)
def test_a_file_that_is_not_a_list_of_names_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    """Guards against: a traceback for a wrong file, or names made of binary data."""
    path = tmp_path / "names"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=words):
        read_names(path)


def test_names_of_any_language_are_read(tmp_path: Path) -> None:
    """Guards against: names in other languages that cannot be trained on."""
    path = tmp_path / "names"
    path.write_bytes("\ufeffJosé\r\nO'Neill-Łoś\n\n  Åsa 2 \nनाम\n".encode())
    assert read_names(path) == ["josé", "o'neill-łoś", "åsa 2", "नाम"]
    with pytest.raises(CorpusError, match="cannot be read"):
        read_names(tmp_path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A model on disk."""
    save_name_model(NameModel("\nabc", initial_parameters(3, 4, 4), {"names": 2}, "a card"), tmp_path / "kept")
    return tmp_path / "kept"


def test_a_model_is_loaded_as_it_was_saved(kept: Path) -> None:
    """Guards against: names that change when the model is saved and loaded."""
    learned, expected = load_name_model(kept), initial_parameters(3, 4, 4)
    assert (learned.letters, learned.facts, learned.card) == ("\nabc", {"names": 2}, "a card")
    for name, array in learned.parameters.items():
        np.testing.assert_allclose(array, expected[name], atol=1e-7)


def broken(kept: Path, **changes: object) -> Path:
    """Change the description of the model."""
    description = json.loads((kept / NAMES_FILE).read_text()) | changes
    (kept / NAMES_FILE).write_text(json.dumps(description))
    return kept


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "sideman bundle"}, "not a name model"),
        ({"version": 2}, "too old"),
        ({"letters": "abcd"}, "newline"),
        ({"letters": "\naab"}, "different letters"),
        ({"letters": 4}, "letters"),
        ({"letters": "\nab"}, "shape"),
        ({"weights_sha256": "0"}, "do not match"),
    ],
)
def test_a_broken_model_is_refused(kept: Path, changes: dict[str, object], words: str) -> None:
    """Guards against: a damaged model that generates wrong names."""
    with pytest.raises(BundleError, match=words):
        load_name_model(broken(kept, **changes))


def test_a_model_replaces_a_model_and_nothing_else(kept: Path, tmp_path: Path) -> None:
    """Guards against: a mistake in --out that destroys another folder."""
    save_name_model(NameModel("\nxy", initial_parameters(2, 3, 3)), kept)
    assert load_name_model(kept).letters == "\nxy"
    assert {path.name for path in kept.iterdir()} == {NAMES_FILE, WEIGHTS_FILE, CARD_FILE}
    (tmp_path / "songs").mkdir()
    with pytest.raises(BundleError, match="already there"):
        save_name_model(load_name_model(kept), tmp_path / "songs")


def run(*words: str | Path) -> int:
    """Run the command in this process."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_the_command_generates_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a command that generates no names."""
    outputs = []
    for _ in range(2):
        assert run("--count", "4", "--seed", "7") == 0
        outputs.append(capsys.readouterr().out.split())
    assert outputs[0] == outputs[1]
    assert len({*outputs[0]}) == 4
    run("--count", "4", "--seed", "8")
    assert capsys.readouterr().out.split() != outputs[0]


def test_the_command_trains_a_model_and_saves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a model of a user's own names that is not saved."""
    (tmp_path / "few.txt").write_text("\n".join(FEW))
    learn: list[str | Path] = ["--train", tmp_path / "few.txt", "--iterations", "2001", "--out", tmp_path / "few"]
    learn += ["--source", "us"]
    assert run(*learn, "--seed", "1", "--count", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["0", "2000"]
    assert "trained on us" in load_name_model(tmp_path / "few").card
    run("--model", tmp_path / "few", "--seed", "1", "--count", "3")
    assert capsys.readouterr().out.splitlines() == lines[3:]


def test_a_list_with_any_file_name_can_be_trained_on(tmp_path: Path) -> None:
    """Guards against: an error for a list whose file name is not UTF-8."""
    odd = os.fsdecode(b"pr\xe9noms")
    (tmp_path / odd).write_text("\n".join(FEW))
    assert run("--train", tmp_path / odd, "--iterations", "1", "--out", tmp_path / f"{odd}.kept", "--source", odd) == 0
    kept = load_name_model(tmp_path / f"{odd}.kept")
    assert kept.facts["file"] == kept.facts["source"] == r"pr\xe9noms"
    assert r"pr\xe9noms" in kept.card


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--count", "0"], UsageError),
        (["--seed", "-1"], UsageError),
        (["--iterations", "0"], UsageError),
        (["--out", "x"], UsageError),
        (["--train", "nothing.txt"], NoSuchInput),
        (["--model", "nothing"], NoSuchInput),
        (["--train", __file__, "--out", str(Path(__file__).parent)], UsageError),
    ],
)
def test_wrong_usage_is_reported(words: list[str], error: type[Exception]) -> None:
    """Guards against: a traceback for wrong usage, or an error only after a minute of training."""
    with pytest.raises(error):
        run(*words)
