# SPDX-License-Identifier: Apache-2.0
"""Bundles: trained networks on disk, each a folder of `weights.npz`, `values.json` and `CARD.md`.

A bundle may come from anywhere, so nothing in it is trusted. No pickle is read; every shape, type, number and name is
checked; and every error names the file and the field.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct, field

from sideman_models.errors import BundleError, NoSuchBundle, ValueTextError
from sideman_models.limits import DESCRIPTION
from sideman_models.music.context import FEATURES, ContextFeatures
from sideman_models.music.motifs import MAX_RUN, NO_ROWS
from sideman_models.music.values import Value, Vocabulary, parse_value
from sideman_models.network.lstm import Floats, Weights
from sideman_models.network.readout import (
    READOUTS,
    Readout,
    check_readouts,
    describe_readouts,
    readout_array_names,
    readout_arrays,
)
from sideman_models.network.storage import WEIGHTS_FILE, ModelFormat, check_shapes, existing_folder
from sideman_models.text import printable, sha256_of_lines

VALUES_FILE = "values.json"
_ARRAY_NAMES = (
    "LSTM_cell/kernel",
    "LSTM_cell/recurrent_kernel",
    "LSTM_cell/bias",
    "densor/kernel",
    "densor/bias",
    "mask/penalty",
)
_MOTIF = "motif/rows"
_FORMAT = ModelFormat("bundle", 2, VALUES_FILE, optional=(_MOTIF,))
_INSTALLED_BUNDLES = Path(__file__).parents[1] / "bundles"


class BundleInfo(Struct, frozen=True):
    """What a bundle says of its network: above all the meaning of the values and of the context rows.

    `facts` describes the corpus, the training and the figures, as plain JSON. It is shown, but what plays does not
    depend on it. `card` is the text of `CARD.md`. Only a loaded bundle has a `path` and a `fingerprint`, the sha256 of
    its weights file. `touch` and `placement` say how the notes are played, see `readout`; a bundle may lack them.
    """

    name: str
    vocabulary: Vocabulary
    context: ContextFeatures
    facts: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    path: Path | None = None
    fingerprint: str = ""
    touch: Readout | None = None
    placement: Readout | None = None

    @property
    def readouts(self) -> dict[str, Readout]:
        """The readouts that the bundle has, by name."""
        return {name: one for name in READOUTS if (one := getattr(self, name)) is not None}

    @property
    def classic(self) -> bool:
        """Whether the values are the classic ones of the assignment."""
        return self.vocabulary.classic


class Bundle(BundleInfo, frozen=True, kw_only=True):
    """A trained network with its weights. What plays keeps only the `info`, and frees the weights."""

    weights: Weights

    @property
    def info(self) -> BundleInfo:
        """The bundle without its weights."""
        return BundleInfo(*(getattr(self, name) for name in BundleInfo.__struct_fields__))


def bundle_folders() -> list[Path]:
    """Return the folders that are searched for a bundle by name: the user's own, then that of the installed bundles."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111 - Path's own raises without a home
    own = [Path(data) / "sideman" / "bundles"] if Path(data).is_absolute() else []
    return [*own, _INSTALLED_BUNDLES]


def bundle_names() -> list[str]:
    """Return the names of all bundles, sorted, including those that `find_bundle` finds in a backup."""
    patterns = f"*/{VALUES_FILE}", f".*/*/{VALUES_FILE}"  # the second: in a backup, which is a hidden folder
    files = ((folder, file) for folder in bundle_folders() for pattern in patterns for file in folder.glob(pattern))
    found = {folder / file.parent.name for folder, file in files if file.parent.name[0] != "."}
    # os.path.isfile raises nothing: a folder that may not be read does not hide the others.
    return sorted({path.name for path in found if os.path.isfile(existing_folder(path) / VALUES_FILE)})  # noqa: PTH113


def find_bundle(name: str) -> Path:
    """Return the folder of the bundle `name`, which may also be a path. Raises `NoSuchBundle`, which lists all names.

    If a save was killed before the new bundle was in its place, this is the backup of the old one.
    """
    if os.sep in name or name.startswith((".", "~")):
        path = existing_folder(Path(os.path.expanduser(name)))  # noqa: PTH111 - Path's own raises for an unknown user
        if not path.is_dir():
            raise NoSuchBundle(f"{path}: no such bundle (a bundle is a folder with {WEIGHTS_FILE} and {VALUES_FILE})")
        return path
    for path in map(existing_folder, [folder / name for folder in bundle_folders()] + [Path(name)]):
        if os.path.isfile(path / VALUES_FILE):  # noqa: PTH113
            return path
    raise NoSuchBundle(f"no bundle called {name!r}; there are: {', '.join(bundle_names()) or 'none'}")


def load_bundle(name: str) -> Bundle:
    """Load the bundle `name`, a name or a path, and check every shape, type, number and hash in it.

    Raises `BundleError`, which names the file and the field; `NoSuchBundle` if there is no such folder.
    """
    path = find_bundle(name)
    try:
        return _load(path)
    except BundleError:
        raise
    except Exception as error:  # whatever a file of unknown origin holds, it is this bundle that is broken
        raise BundleError(f"{path}: broken: {type(error).__name__}: {str(error)[:200]}") from error


def _load(path: Path) -> Bundle:
    description, arrays, card = _FORMAT.read(
        path, _ARRAY_NAMES, lambda found: readout_array_names(path / VALUES_FILE, found)
    )
    facts = description.get("facts", {})
    if not isinstance(facts, dict):
        raise BundleError(f"{path / VALUES_FILE}: facts: not a mapping")
    vocabulary = Vocabulary(_parse_values(path / VALUES_FILE, description))
    context = ContextFeatures(_feature_names(path / VALUES_FILE, description))
    check_weight_arrays(path / WEIGHTS_FILE, arrays, len(vocabulary), context.n_rows)
    kernel, recurrent, bias, densor_kernel, densor_bias, penalty = (arrays[name] for name in _ARRAY_NAMES)
    weights = Weights(
        kernel, recurrent, bias, densor_kernel, densor_bias, float(penalty[0]), arrays.get(_MOTIF, NO_ROWS)
    )
    readouts = check_readouts(path / WEIGHTS_FILE, arrays, description, weights.n_a)
    for key, actual in (("dialect", _dialect(vocabulary)), ("units", weights.n_a)):
        if description.get(key) != actual:
            raise BundleError(f"{path / VALUES_FILE}: {key}: {description.get(key)!r}, but the bundle has {actual!r}")
    own_name, fingerprint = printable(path.resolve().name), description["weights_sha256"]
    return Bundle(own_name, vocabulary, context, facts, card, path, fingerprint, weights=weights, **readouts)


def save_bundle(bundle: Bundle, path: Path, extras: Mapping[str, bytes] | None = None) -> None:
    """Write `bundle` as the folder `path`, whole or not at all. A bundle that is already there is replaced.

    `extras` are further files by name, such as pictures. Raises `BundleError` if something that is not a bundle is at
    `path`, and `OSError` if the folder cannot be written.
    """
    texts = [value.text for value in bundle.vocabulary.values]
    description = {
        "dialect": _dialect(bundle.vocabulary),
        "values_sha256": sha256_of_lines(texts),
        "units": bundle.weights.n_a,
        "context": [{"feature": name, "rows": FEATURES[name].row_count} for name in bundle.context.names],
        **({"readouts": describe_readouts(bundle.readouts)} if bundle.readouts else {}),
        "facts": dict(bundle.facts),
        "values": texts,
    }
    arrays = {**weight_arrays(bundle.weights), **readout_arrays(bundle.readouts)}
    _FORMAT.write(path, description, arrays, bundle.card, extras or {})


def _dialect(vocabulary: Vocabulary) -> str:
    return "classic" if vocabulary.classic else "modern"


def weight_arrays(weights: Weights) -> dict[str, Floats]:
    """Return the arrays by their names in `weights.npz`; those of the memory of motifs only if it has an effect."""
    penalty = np.array([weights.penalty], np.float32)
    kernels = weights.kernel, weights.recurrent, weights.bias, weights.densor_kernel, weights.densor_bias
    arrays = dict(zip(_ARRAY_NAMES, (*kernels, penalty), strict=True))
    return arrays | ({_MOTIF: weights.motif} if weights.motif.any() else {})


def check_weight_arrays(path: Path, arrays: Mapping[str, Floats], n_values: int, n_context: int) -> None:
    """Check the arrays against the sizes, for any number of units. Raises `BundleError`, which names `path`."""
    recurrent = arrays["LSTM_cell/recurrent_kernel"]
    n_a = recurrent.shape[0] if recurrent.ndim == 2 else 0
    shapes = ((n_values + n_context, 4 * n_a), (n_a, 4 * n_a), (4 * n_a,), (n_a, n_values), (n_values,), (1,))
    sizes = f"{n_values} values, {n_context} context rows and {n_a} units"
    check_shapes(path, arrays, dict(zip(_ARRAY_NAMES, shapes, strict=True)), sizes)
    if _MOTIF in arrays:
        check_shapes(path, arrays, {_MOTIF: NO_ROWS.shape}, f"runs of up to {MAX_RUN} values")


def _parse_values(path: Path, description: Mapping[str, Any]) -> list[Value]:
    texts = description.get("values")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BundleError(f"{path}: values: not a list of texts")
    if len(texts) > DESCRIPTION.count:
        raise BundleError(f"{path}: values: {len(texts)} of them; at most {DESCRIPTION.count} are read")
    if len(set(texts)) != len(texts):
        twice = Counter(texts).most_common(1)[0][0]
        raise BundleError(f"{path}: values: {twice[:100]!r} is listed twice")
    if description.get("values_sha256") != sha256_of_lines(texts):
        raise BundleError(f"{path}: values_sha256: does not match the values")
    values = []
    for index, text in enumerate(texts):
        try:
            values.append(parse_value(text))
        except ValueTextError as error:
            raise BundleError(f"{path}: values[{index}]: {error}") from error
    if all(value.kind == "R" for value in values):
        raise BundleError(f"{path}: values: none of them is a note")
    return values


def _feature_names(path: Path, description: Mapping[str, Any]) -> list[str]:
    features = description.get("context")
    if not isinstance(features, list):
        raise BundleError(f"{path}: context: not a list of features")
    for index, feature in enumerate(features):
        name = feature.get("feature") if isinstance(feature, dict) else None
        if not isinstance(name, str) or name not in FEATURES:
            raise BundleError(f"{path}: context[{index}]: {name!r} is not a feature that this program knows")
        if feature.get("rows") != (rows := FEATURES[name].row_count):
            raise BundleError(f"{path}: context[{index}]: {name!r} has {rows} rows, not {feature.get('rows')!r}")
    return [feature["feature"] for feature in features]
