# SPDX-License-Identifier: Apache-2.0
"""A trained model on disk: a folder of `weights.npz`, `values.json` and `CARD.md`, checked when it is loaded.

A bundle comes from anywhere, so nothing in it is believed: no pickle is read, no shape, type, number or name is taken
as given, and every refusal names the file and the field at fault.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sideman_models.errors import BundleError, NoSuchBundle, ValueTextError
from sideman_models.music.context import FEATURES, ContextFeatures
from sideman_models.music.values import Value, Vocabulary, parse_value
from sideman_models.network.lstm import Weights
from sideman_models.network.storage import (
    check_shapes,
    existing_folder,
    pack_arrays,
    read_bytes,
    read_description,
    unpack_arrays,
    write_folder,
)

FORMAT, VERSION = "sideman bundle", 1
WEIGHTS_FILE, VALUES_FILE, CARD_FILE = "weights.npz", "values.json", "CARD.md"
_ARRAY_NAMES = (
    "LSTM_cell/kernel",
    "LSTM_cell/recurrent_kernel",
    "LSTM_cell/bias",
    "densor/kernel",
    "densor/bias",
    "mask/penalty",
)
_INSTALLED_BUNDLES = Path(__file__).parents[1] / "bundles"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A trained network with what its symbols and context rows mean.

    `facts` is what the trainer wrote of the corpus, the training and the figures: plain JSON, told and never relied on.
    `fingerprint` is the hash of the weights, for a bundle that was loaded.
    """

    name: str
    vocabulary: Vocabulary
    context: ContextFeatures
    weights: Weights
    facts: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    path: Path | None = None
    fingerprint: str = ""

    @property
    def classic(self) -> bool:
        """Whether the values are the classic assignment's."""
        return self.vocabulary.classic


def bundle_folders() -> list[Path]:
    """Where bundles are looked for by name: the user's own first, then the installed ones."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111 - for the homeless
    own = [Path(data) / "sideman" / "bundles"] if Path(data).is_absolute() else []
    return [*own, _INSTALLED_BUNDLES]


def bundle_names() -> list[str]:
    """The bundles there are, by name; those that `find_bundle` finds set aside too."""
    found = [folder / path.parent.name for folder in bundle_folders() for path in _description_files(folder)]
    return sorted(
        {path.name for path in found if path.name[0] != "." and (existing_folder(path) / VALUES_FILE).is_file()}
    )


def _description_files(folder: Path) -> list[Path]:
    """Of the bundles in a folder, and in the hidden folders there."""
    return [*folder.glob(f"*/{VALUES_FILE}"), *folder.glob(f".*/*/{VALUES_FILE}")]


def find_bundle(name: str) -> Path:
    """The folder of the bundle called `name`, which may also be a path. Raises `BundleError` listing what there is.

    Where a save was killed between moving the old bundle away and the new one in, it is where the old one lies.
    """
    if os.sep in name or name.startswith((".", "~")):
        path = existing_folder(Path(os.path.expanduser(name)))  # noqa: PTH111 - Path's own raises for an unknown user
        if not path.is_dir():
            raise NoSuchBundle(f"{path}: no such bundle (a bundle is a folder with {WEIGHTS_FILE} and {VALUES_FILE})")
        return path
    for path in map(existing_folder, [folder / name for folder in bundle_folders()] + [Path(name)]):
        if (path / VALUES_FILE).is_file():
            return path
    raise NoSuchBundle(f"no bundle called {name!r}; there are: {', '.join(bundle_names()) or 'none'}")


def load_bundle(name: str) -> Bundle:
    """The bundle at `name` (a name or a path), every shape, type, number and hash checked. Raises `BundleError`."""
    path = find_bundle(name)
    facts = _read_description(path / VALUES_FILE)
    vocabulary = Vocabulary(_parse_values(path / VALUES_FILE, facts))
    context = ContextFeatures(_feature_names(path / VALUES_FILE, facts))
    raw = read_bytes(path / WEIGHTS_FILE)
    if hashlib.sha256(raw).hexdigest() != facts.get("weights_sha256"):
        raise BundleError(f"{path / WEIGHTS_FILE}: its contents do not match weights_sha256 in {VALUES_FILE}")
    weights = _parse_weights(path / WEIGHTS_FILE, raw, len(vocabulary), context.n_rows)
    for field_name, said, true in (
        ("dialect", facts.get("dialect"), _dialect(vocabulary)),
        ("units", facts.get("units"), weights.n_a),
    ):
        if said != true:
            raise BundleError(f"{path / VALUES_FILE}: {field_name}: {said!r}, but it holds {true!r}")
    card = (path / CARD_FILE).read_text("utf-8", "replace") if (path / CARD_FILE).is_file() else ""
    return Bundle(
        path.resolve().name, vocabulary, context, weights, facts.get("facts", {}), card, path, facts["weights_sha256"]
    )


def save_bundle(bundle: Bundle, path: Path, extras: Mapping[str, bytes] | None = None) -> None:
    """Write `bundle` as the folder `path`, whole or not at all; an older bundle there is replaced at the end.

    `extras` are further files, by name, such as pictures. Raises `BundleError` where something else stands at `path`.
    """
    if path.exists() and not (path / VALUES_FILE).is_file():
        raise BundleError(f"{path}: something that is not a bundle is already there")
    write_folder(path, _bundle_files(bundle, extras or {}))


def _bundle_files(bundle: Bundle, extras: Mapping[str, bytes]) -> dict[str, bytes]:
    weights = weights_bytes(bundle.weights)
    texts = [value.text for value in bundle.vocabulary.values]
    values_file = {
        "format": FORMAT,
        "version": VERSION,
        "dialect": _dialect(bundle.vocabulary),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "values_sha256": values_sha256(texts),
        "units": bundle.weights.n_a,
        "context": [{"feature": name, "rows": FEATURES[name].row_count} for name in bundle.context.names],
        "facts": dict(bundle.facts),
        "values": texts,
    }
    text = json.dumps(values_file, indent=1, ensure_ascii=False) + "\n"
    return {WEIGHTS_FILE: weights, VALUES_FILE: _encode_text(text), CARD_FILE: _encode_text(bundle.card), **extras}


def _encode_text(text: str) -> bytes:
    """In UTF-8; a byte of the command line that was not, written out (as JSON does)."""
    return text.encode(errors="backslashreplace")


def _dialect(vocabulary: Vocabulary) -> str:
    return "classic" if vocabulary.classic else "modern"


def values_sha256(texts: Iterable[str]) -> str:
    """The hash of a list of values: sha256 of their texts joined by newlines."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def weights_bytes(weights: Weights) -> bytes:
    """The contents of `weights.npz`, the same for the same numbers."""
    arrays = (weights.kernel, weights.recurrent, weights.bias, weights.densor_kernel, weights.densor_bias,
              np.array([weights.penalty], np.float32))  # fmt: skip
    return pack_arrays(dict(zip(_ARRAY_NAMES, arrays, strict=True)))


def _read_description(path: Path) -> dict[str, Any]:
    told = read_description(path, FORMAT, VERSION)
    if not isinstance(told.get("facts", {}), dict):
        raise BundleError(f"{path}: facts: not a mapping")
    return told


def _parse_values(path: Path, description: Mapping[str, Any]) -> list[Value]:
    texts = description.get("values")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BundleError(f"{path}: values: not a list of texts")
    if len(set(texts)) != len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise BundleError(f"{path}: values: {twice!r} stands there twice")
    if description.get("values_sha256") != values_sha256(texts):
        raise BundleError(f"{path}: values_sha256: does not match the values")
    values = []
    for place, text in enumerate(texts):
        try:
            values.append(parse_value(text))
        except ValueTextError as error:
            raise BundleError(f"{path}: values[{place}]: {error}") from error
    if all(value.kind == "R" for value in values):
        raise BundleError(f"{path}: values: there is no note among them")
    return values


def _feature_names(path: Path, description: Mapping[str, Any]) -> list[str]:
    features = description.get("context")
    if not isinstance(features, list):
        raise BundleError(f"{path}: context: not a list of features")
    for place, feature in enumerate(features):
        name = feature.get("feature") if isinstance(feature, dict) else None
        if not isinstance(name, str) or name not in FEATURES:
            raise BundleError(f"{path}: context[{place}]: {name!r} is not a feature this program knows")
        if feature.get("rows") != FEATURES[name].row_count:
            raise BundleError(
                f"{path}: context[{place}]: {name!r} has {FEATURES[name].row_count} rows, not {feature.get('rows')!r}"
            )
    return [feature["feature"] for feature in features]


def _parse_weights(path: Path, raw: bytes, n_values: int, n_context: int) -> Weights:
    arrays = unpack_arrays(path, raw, _ARRAY_NAMES)
    recurrent = arrays["LSTM_cell/recurrent_kernel"]
    n_a = recurrent.shape[0] if recurrent.ndim == 2 else 0
    shapes = ((n_values + n_context, 4 * n_a), (n_a, 4 * n_a), (4 * n_a,), (n_a, n_values), (n_values,), (1,))
    sizes = f"{n_values} values, {n_context} context rows and {n_a} units"
    check_shapes(path, arrays, dict(zip(_ARRAY_NAMES, shapes, strict=True)), sizes)
    kernel, recurrent, bias, densor_kernel, densor_bias, penalty = (arrays[name] for name in _ARRAY_NAMES)
    return Weights(kernel, recurrent, bias, densor_kernel, densor_bias, float(penalty[0]))
