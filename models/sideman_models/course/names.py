# SPDX-License-Identifier: Apache-2.0
"""Names, letter by letter: the character-level network of the course *Sequence Models*, in NumPy alone.

A plain recurrent network reads a name as one-hot letters and predicts at each step the next letter, and a newline at
the end. It is trained on one name at a time by gradient descent with clipped gradients, and each name starts from the
last state of the previous name. Takes and voices are named by a network that was trained on names of dinosaurs.

Sizes: n_x = n_y letters, including the newline; n_a units; T steps, one more than the letters of a name.

    a_t = tanh(Wax x_t + Waa a_{t-1} + b)     (n_a, 1)
    y_t = softmax(Wya a_t + by)               (n_y, 1)

`parameters` holds `Wax` (n_a, n_x), `Waa` (n_a, n_a), `Wya` (n_y, n_a), `b` (n_a, 1) and `by` (n_y, 1), in float64. A
letter is given as its index; None stands for 'no letter', before the first. One thing differs from the course: `sample`
seeds its random source once per name, not once per letter.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.course.rnn import softmax
from sideman_models.errors import BundleError, CorpusError
from sideman_models.files import numbered_lines
from sideman_models.network.storage import WEIGHTS_FILE, ModelFormat, check_shapes
from sideman_models.text import printable

Doubles = npt.NDArray[np.float64]
Parameters = dict[str, Doubles]
Gradients = dict[str, Doubles]

END_OF_NAME = "\n"
MAX_LETTERS = 50
"""A name is cut off after this many letters."""

ITERATIONS, UNITS, LEARNING_RATE, MAX_GRADIENT = 35_000, 50, 0.01, 5.0
REPORT_EVERY = 2000
DINOSAUR_MODEL = Path(__file__).parent / "dinosaurs"

NAMES_FILE = "names.json"
_FORMAT = ModelFormat("name model", 1, NAMES_FILE)
_ARRAY_NAMES = ("Wax", "Waa", "Wya", "b", "by")
_INITIAL_LOSS_LETTERS = 7  # the course starts the smoothed loss at that of 7 letters drawn at random
_LOSS_SMOOTHING = 0.999
_MAX_NAMES, _MAX_ALPHABET = 1_000_000, 500
_MIN_LETTERS = 3
_MAX_TRIES = 100


class NameModel(Struct, frozen=True):
    """A trained network, its letters by index with the newline, the facts of its training (plain JSON), its card."""

    letters: str
    parameters: Parameters
    facts: Mapping[str, Any] = {}
    card: str = ""


# -- the course's functions


def initial_parameters(n_a: int, n_x: int, n_y: int, seed: int = 1) -> Parameters:
    """Return the course's first parameters: small random weights, and biases of zero."""
    random_source = np.random.RandomState(seed)  # NumPy's legacy generator gives the course's figures
    Wax, Waa, Wya = (0.01 * random_source.randn(*shape) for shape in ((n_a, n_x), (n_a, n_a), (n_y, n_a)))
    return {"Wax": Wax, "Waa": Waa, "Wya": Wya, "b": np.zeros((n_a, 1)), "by": np.zeros((n_y, 1))}


def clip(gradients: Gradients, maxValue: float) -> Gradients:
    """Clip every number in `gradients` to -maxValue..maxValue, in place, and return them."""
    for gradient in gradients.values():
        np.clip(gradient, -maxValue, maxValue, out=gradient)
    return gradients


def sample(parameters: Parameters, char_to_ix: Mapping[str, int], seed: int | Sequence[int]) -> list[int]:
    """Return a name as indices of letters, drawn with the network's probabilities, up to and including the newline.

    After `MAX_LETTERS` letters the name is cut off with a newline. The same `seed` gives the same name.
    """
    random_source = np.random.default_rng(seed)
    p, end = parameters, char_to_ix[END_OF_NAME]
    a = np.zeros_like(p["b"])
    indices: list[int] = []
    z_input = p["b"]  # what the last letter and the bias add to the cell, (n_a, 1)
    while len(indices) < MAX_LETTERS and end not in indices[-1:]:
        a = np.tanh(p["Waa"] @ a + z_input)
        probabilities = softmax(p["Wya"] @ a + p["by"])[:, 0]
        indices.append(int(random_source.choice(len(probabilities), p=probabilities)))
        z_input = p["b"] + p["Wax"][:, indices[-1:]]
    return indices if end in indices[-1:] else [*indices, end]


def optimize(
    X: Sequence[int | None], Y: Sequence[int], a_prev: Doubles, parameters: Parameters, learning_rate: float = 0.01
) -> tuple[float, Gradients, Doubles]:
    """Train on one name: at each step the letter of `X` is read and that of `Y` predicted, from the state `a_prev`.

    `parameters` are changed in place. Returns the loss in nats, the clipped gradients, and the last state (n_a, 1).
    """
    hidden, predicted = _forward(X, a_prev, parameters)
    loss = -float(np.log(predicted[np.arange(len(Y)), Y]).sum())
    gradients = clip(_backward(X, Y, hidden, predicted, parameters), MAX_GRADIENT)
    for name in parameters:
        parameters[name] -= learning_rate * gradients[f"d{name}"]
    return loss, gradients, hidden[-1][:, None].copy()


def model(
    data: Sequence[str],
    ix_to_char: Mapping[int, str],
    char_to_ix: Mapping[str, int],
    num_iterations: int = ITERATIONS,
    n_a: int = UNITS,
    *,
    report: Callable[[int, float, Parameters], None] | None = None,
) -> Parameters:
    """Train on the lower-case names `data`, one name per iteration, in an order that is shuffled once (seed 0).

    Every `REPORT_EVERY` iterations, `report` gets the iteration, the smoothed loss and the current parameters. Returns
    the parameters.
    """
    parameters = initial_parameters(n_a, len(ix_to_char), len(ix_to_char))
    names = list(data)
    np.random.RandomState(0).shuffle(names)
    loss = -np.log(1 / len(ix_to_char)) * _INITIAL_LOSS_LETTERS
    a_prev, end = np.zeros((n_a, 1)), char_to_ix[END_OF_NAME]
    for iteration in range(num_iterations):
        indices = [char_to_ix[letter] for letter in names[iteration % len(names)]]
        current, _, a_prev = optimize([None, *indices], [*indices, end], a_prev, parameters, LEARNING_RATE)
        loss = loss * _LOSS_SMOOTHING + current * (1 - _LOSS_SMOOTHING)
        if report is not None and iteration % REPORT_EVERY == 0:
            report(iteration, loss, parameters)
    return parameters


# -- forward and backward through a name


def _forward(X: Sequence[int | None], a_prev: Doubles, p: Parameters) -> tuple[Doubles, Doubles]:
    """Return the hidden states, from that before the first letter, (T + 1, n_a), and the predictions (T, n_y)."""
    steps = len(X)
    hidden, scores = np.empty((steps + 1, len(p["b"]))), np.empty((steps, len(p["by"])))
    hidden[0] = a_prev[:, 0]
    z_letters = p["Wax"].T[[index or 0 for index in X]]  # (T, n_a): Wax times a one-hot column is a column of Wax
    z_letters[[index is None for index in X]] = 0.0
    bias, Waa, Wya = p["b"][:, 0], p["Waa"], p["Wya"]
    for t in range(steps):
        z = Waa.dot(hidden[t])
        z += z_letters[t]
        z += bias
        np.tanh(z, out=hidden[t + 1])
        np.dot(Wya, hidden[t + 1], out=scores[t])
    predicted = np.asarray(softmax((scores + p["by"][:, 0]).T).T, np.float64)
    return hidden, predicted


def _backward(
    X: Sequence[int | None], Y: Sequence[int], hidden: Doubles, predicted: Doubles, p: Parameters
) -> Gradients:
    """Return the gradients of the cross-entropy, summed over the steps."""
    dy = predicted.copy()
    dy[np.arange(len(Y)), Y] -= 1
    dz = np.empty((len(Y), len(p["b"])))
    slopes = 1 - hidden[1:] * hidden[1:]
    da_next = np.zeros(len(p["b"]))
    WyaT, WaaT = p["Wya"].T, p["Waa"].T
    for t in reversed(range(len(Y))):
        np.multiply(slopes[t], WyaT.dot(dy[t]) + da_next, out=dz[t])
        da_next = WaaT.dot(dz[t])
    dWax = np.zeros_like(p["Wax"])
    letters = [(t, index) for t, index in enumerate(X) if index is not None][::-1]
    np.add.at(dWax.T, [index for _, index in letters], dz[[t for t, _ in letters]])
    return {
        "dWax": dWax,
        "dWaa": _sum_of_outer_products(dz, hidden[:-1]),
        "dWya": _sum_of_outer_products(dy, hidden[1:]),
        "db": _sum_over_steps(dz)[:, None],
        "dby": _sum_over_steps(dy)[:, None],
    }


def _sum_of_outer_products(left: Doubles, right: Doubles) -> Doubles:
    return _sum_over_steps(left[:, :, None] * right[:, None, :])


def _sum_over_steps(steps: Doubles) -> Doubles:
    """Return the sum over the steps, added from the last to the first as in the course.

    The order only changes the rounding, but after 30,000 iterations that changes the second decimal of the loss.
    """
    return np.asarray(np.add.reduce(steps[::-1], axis=0), np.float64)


# -- reading and generating names


def read_names(path: Path) -> list[str]:
    """Read the names in a text file, one per line, in lower case.

    Raises `CorpusError`, which names the line, if it is not a list of at least two different names.
    """
    names = []
    for number, line in numbered_lines(path):
        where, name = f"{printable(path)}:{number}", line.strip().lower()
        if len(name) >= MAX_LETTERS:
            raise CorpusError(f"{where}: {len(name)} letters; a name has fewer than {MAX_LETTERS}")
        if wrong := next((one for one in name if one not in " -'’." and unicodedata.category(one)[0] not in "LMN"), ""):
            raise CorpusError(f"{where}: {wrong!r} is not allowed in a name; letters, digits, spaces, - ' and . are")
        names += [name] if name else []
        if len(names) > _MAX_NAMES:
            raise CorpusError(f"{where}: more than {_MAX_NAMES:,} names")
    if len(set(names)) < 2:
        raise CorpusError(
            f"{path}: {'only one name' if names else 'no names'} in it; at least two are needed, one per line"
        )
    if len({*"".join(names)}) > _MAX_ALPHABET:
        raise CorpusError(
            f"{path}: more than {_MAX_ALPHABET} different letters; this does not look like a list of names"
        )
    return names


def generate_names(name_model: NameModel, seed: int) -> Iterator[str]:
    """Yield names without end, all different, and the same for the same `seed`.

    If the network makes `_MAX_TRIES` unusable names in a row, the next name gets a number.
    """
    known: set[str] = set()
    char_to_ix = {letter: index for index, letter in enumerate(name_model.letters)}
    failures = 0
    for number in count():
        indices = sample(name_model.parameters, char_to_ix, [seed, number])
        name = "".join(name_model.letters[index] for index in indices[:-1]).strip().capitalize()
        if len(name) < _MIN_LETTERS or len(indices) > MAX_LETTERS or name in known:
            failures += 1
            if failures < _MAX_TRIES:
                continue
            name = f"{name or 'Name'} {number}"
        if name not in known:
            failures = 0
            known.add(name)
            yield name


# -- on disk


def train_name_model(
    path: Path, source: str, command: str, iterations: int, report: Callable[[int, float, NameModel], None]
) -> NameModel:
    """Train a model of the names in the file `path`.

    `source` and `command` are written to its card. Every `REPORT_EVERY` iterations, `report` gets the iteration, the
    smoothed loss and the current model. Raises `CorpusError`.
    """
    names = read_names(path)
    letters = "".join(sorted({END_OF_NAME, *"".join(names)}))
    ix_to_char, char_to_ix = dict(enumerate(letters)), {letter: index for index, letter in enumerate(letters)}
    losses: dict[str, float] = {}

    def remember(iteration: int, loss: float, parameters: Parameters) -> None:
        losses[str(iteration)] = round(loss, 6)
        report(iteration, loss, NameModel(letters, parameters))

    parameters = model(names, ix_to_char, char_to_ix, iterations, report=remember)
    facts = {
        "source": printable(source),
        "file": printable(path.name),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "names": len(names),
        "units": UNITS,
        "iterations": iterations,
        "smoothed_losses": losses,
        "command": command,
    }
    return NameModel(letters, parameters, facts, _model_card(letters, facts))


def _model_card(letters: str, facts: Mapping[str, Any]) -> str:
    iteration, loss = list(facts["smoothed_losses"].items())[-1]
    letters = letters.replace(END_OF_NAME, "")
    return f"""# Names

A character-level network that generates names: {facts["units"]} tanh units and the letters {letters}.

It was trained on {facts["source"] or "a list of names"}: `{facts["file"]}`, sha256 {facts["sha256"]},
{facts["names"]:,} names. The list itself is not included.

```
{facts["command"]}
```

{facts["iterations"]:,} iterations of one name each; smoothed loss {loss:.4f} at iteration {int(iteration):,}.
"""


def save_name_model(name_model: NameModel, path: Path) -> None:
    """Write `name_model` as the folder `path`, whole or not at all. Raises as `ModelFormat.write` does."""
    arrays = {name: array.astype(np.float32) for name, array in name_model.parameters.items()}
    description = {"letters": name_model.letters, "facts": dict(name_model.facts)}
    _FORMAT.write(path, description, arrays, name_model.card, {})


def load_name_model(path: Path = DINOSAUR_MODEL) -> NameModel:
    """Load the model in the folder `path`, by default the installed one, and check it. Raises `BundleError`."""
    description, arrays, card = _FORMAT.read(path, _ARRAY_NAMES)
    letters = description.get("letters")
    if not isinstance(letters, str) or END_OF_NAME not in letters or len(set(letters)) != len(letters):
        raise BundleError(f"{path / NAMES_FILE}: letters: not a text of different letters that includes a newline")
    n_y, n_a = len(letters), arrays["b"].shape[0] if arrays["b"].ndim else 0
    shapes = {"Wax": (n_a, n_y), "Waa": (n_a, n_a), "Wya": (n_y, n_a), "b": (n_a, 1), "by": (n_y, 1)}
    check_shapes(path / WEIGHTS_FILE, arrays, shapes, f"{n_y} letters and {n_a} units")
    facts = description.get("facts")
    parameters = {name: arrays[name].astype(np.float64) for name in _ARRAY_NAMES}
    return NameModel(letters, parameters, facts if isinstance(facts, dict) else {}, card)
