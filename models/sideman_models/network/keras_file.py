# SPDX-License-Identifier: Apache-2.0
"""Imports a network from a Keras model file (`.keras`), as data: nothing in the file is run, and Keras is not loaded.

A `.keras` file is a zip archive. `config.json` describes the layers in order, `model.weights.h5` has their weights:
those of the second LSTM layer are in the group `layers/lstm_1`. Keras itself makes each layer by the name of its class,
whatever module that is in, and has run code of files by this more than once.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sideman_models.errors import ArchiveError, BundleError
from sideman_models.files import ZipReader
from sideman_models.limits import KERAS, KERAS_CONFIG
from sideman_models.network.bundle import Bundle, check_weight_arrays, weight_arrays
from sideman_models.network.lstm import Floats, Weights
from sideman_models.network.storage import read_bytes

Config = Mapping[str, Any]

_CELL, _DENSOR = ("LSTM_cell", "LSTM", "lstm", "cell/vars"), ("densor", "Dense", "dense", "vars")
"""Of each layer that is read: its name, its class, the name of its class in the weights, and where its arrays are."""
_SETTINGS: tuple[tuple[str, str, tuple[object, ...]], ...] = (
    ("LSTM_cell", "activation", ("tanh",)),
    ("LSTM_cell", "recurrent_activation", ("sigmoid",)),
    ("LSTM_cell", "use_bias", (True,)),
    ("densor", "activation", ("linear", "softmax")),
    ("densor", "use_bias", (True,)),
)


def read_keras_file(path: Path, template: Bundle, name: str) -> Bundle:
    """Read the network in a `.keras` file as a bundle called `name`, with the values and context of `template`.

    It reads the layers `LSTM_cell` and `densor`, with any number of units, and the penalty of the layer `mask`. Without
    that layer the penalty is that of `template`, so models of the assignment can be read too. Raises `BundleError` if
    the file is not a Keras model, or the network computes something else than what plays.
    """
    content = read_bytes(path, KERAS.bytes)
    if not content.startswith(b"PK"):
        raise BundleError(f"{path}: not a .keras file (those are zip archives)")
    try:
        archive = ZipReader(content, KERAS.bytes)
        layers = _layers(json.loads(archive.read("config.json", KERAS_CONFIG.bytes)))
        _check_layers(path, layers)
        stored = archive.read("model.weights.h5")
        kernel, recurrent, bias = _arrays(stored, layers, *_CELL)
        densor_kernel, densor_bias = _arrays(stored, layers, *_DENSOR)
        mask = {each["name"]: each["config"] for each in layers}.get("mask")
        penalty = template.weights.penalty if mask is None else -float(mask.get("scale", math.nan))
        weights = Weights(kernel, recurrent, bias, densor_kernel, densor_bias, penalty, template.weights.motif)
    except BundleError:
        raise
    except ArchiveError as error:
        raise BundleError(f"{path}: not a Keras model that can be read here: {error}") from error
    except Exception as error:  # what is described wrongly, and what h5py says of a broken file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BundleError(f"{path}: not a Keras model that can be read here: {reason[:200]}") from error
    check_weight_arrays(path, weight_arrays(weights), template.weights.n_values, template.weights.n_context)
    facts = {"imported_from": path.name, "sha256": hashlib.sha256(content).hexdigest(), "like": template.name}
    like_card = template.card.strip() or "It has no card."
    card = _CARD_TEMPLATE.format(name=name, **facts, n_a=weights.n_a, like_card=like_card)
    return Bundle(name, template.vocabulary, template.context, facts, card, weights=weights)


_CARD_TEMPLATE = """# {name}

A network for sideman with {n_a} units, imported from the Keras model `{imported_from}`, sha256 {sha256}. Its values
and its context are those of {like}. Its figures have not been measured since (`sideman evaluate` measures them). The
card of {like} follows; its sources and licences also apply to networks that are made from it:

---

{like_card}
"""


def _layers(config: Config) -> list[Config]:
    """Return the layers in order, each as plain data with a name, the name of its class, and its settings."""
    described = config["config"]["layers"]
    return [
        {"name": str(each["config"]["name"]), "class": str(each["class_name"]), "config": dict(each["config"])}
        for each in described
    ]


def _check_layers(path: Path, layers: list[Config]) -> None:
    """Check that the layers are there and compute what plays. Raises `BundleError`."""
    by_name = {layer["name"]: layer for layer in layers}
    for name, kind, *_ in (_CELL, _DENSOR):
        found = by_name[name]["class"] if name in by_name else None
        if found != kind:
            problem = "no such layer" if found is None else f"a layer of type {found[:100]}"
            raise BundleError(f"{path}: {name}: {problem}; a layer of type {kind} is needed")
    for name, setting, known in _SETTINGS:
        value = by_name[name]["config"].get(setting)
        if value not in known:
            raise BundleError(f"{path}: {name}: {setting}: {value!r:.100}, but sideman plays only {known[0]!r}")


def _arrays(stored: bytes, layers: list[Config], name: str, kind: str, group: str, inside: str) -> list[Floats]:
    """Return the arrays of a layer, in the order of Keras: kernels first, the bias last. Raises `ValueError`."""
    number = [layer["name"] for layer in layers if layer["class"] == kind].index(name)
    place = f"layers/{group}{f'_{number}' if number else ''}/{inside}"
    with h5py.File(io.BytesIO(stored), "r") as file:
        at, count = file, 3 if kind == "LSTM" else 2
        for step in place.split("/"):
            at = _inside(at, step, h5py.Group, place)
        if len(at) != count:
            raise ValueError(f"{place}: {len(at)} arrays, where {count} belong")
        return [_array(_inside(at, str(index), h5py.Dataset, place), len(stored), place) for index in range(count)]


def _inside(group: Any, name: str, kind: type, place: str) -> Any:  # noqa: ANN401 - h5py has no types
    """Return what `group` holds under a name. A link could lead into another file of this machine: it is refused."""
    found = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
    if isinstance(found, kind):
        return found
    raise ValueError(f"{place}: not in its weights")


def _array(dataset: Any, most: int, place: str) -> Floats:  # noqa: ANN401
    """Return the numbers of a dataset that the file itself holds, as they are, and that are not larger than it."""
    if dataset.external or dataset.is_virtual or dataset.chunks is not None:
        raise ValueError(f"{place}: its numbers are packed, or in another file")
    if dataset.dtype.kind != "f" or math.prod(dataset.shape) * dataset.dtype.itemsize > most:
        raise ValueError(f"{place}: not numbers that are in this file")
    return np.asarray(dataset[()], np.float32)
