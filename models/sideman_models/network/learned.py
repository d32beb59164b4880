# SPDX-License-Identifier: Apache-2.0
"""Learned weights: those of a bundle, changed by what was heard while it played, as one file.

It is an .npz file like `weights.npz` of a bundle, not compressed, with the hash of the weights that the learning began
from (`base/sha256`). It needs that bundle: the values, the context and the readouts are there. What is read may have
come from anywhere, so it is checked like a bundle.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from sideman_models.digest import sha256_hex
from sideman_models.errors import ArchiveError, BundleError
from sideman_models.limits import WEIGHTS
from sideman_models.network.bundle import Bundle, check_weight_arrays, weight_arrays
from sideman_models.network.lstm import TRAINED, Weights
from sideman_models.network.storage import read_npz

_BASE = "base/sha256"


class LearnedWeights(Struct, frozen=True):
    """Learned weights, the content of their file, and its `fingerprint`: the sha256 of that content."""

    weights: Weights
    content: bytes
    fingerprint: str


def encode_learned(weights: Weights, base: str) -> bytes:
    """Return the file of `weights`, which were learned from the bundle whose fingerprint is `base`."""
    arrays = {**weight_arrays(weights), _BASE: np.frombuffer(base.encode(), np.uint8)}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return content.getvalue()


def read_learned(content: bytes, bundle: Bundle, source: Path) -> LearnedWeights:
    """Return the learned weights in the file `content`; what was not trained is that of `bundle`.

    Raises `BundleError`, which names `source`, if it is torn, broken, or was not learned from this bundle.
    """
    expected = weight_arrays(bundle.weights)

    def check_names(found: set[str]) -> None:
        if found != {*expected, _BASE}:
            raise BundleError(f"{source}: it should hold {', '.join((*expected, _BASE))}")

    try:
        arrays = read_npz(content, WEIGHTS.bytes, check_names)
    except ArchiveError as error:
        raise BundleError(f"{source}: torn, or not learned weights: {error}") from error
    base = arrays.pop(_BASE)
    if base.dtype != np.uint8 or base.tobytes() != bundle.fingerprint.encode():
        raise BundleError(f"{source}: learned from another network than {bundle.name}")
    for name, array in arrays.items():
        if array.dtype != np.float32 or array.shape != expected[name].shape:
            raise BundleError(f"{source}: {name}: not an array of float32 of the size that {bundle.name} has")
    check_weight_arrays(source, arrays, len(bundle.vocabulary), bundle.context.n_rows)
    # The names of the arrays begin with those that are trained, in their order.
    weights = replace(bundle.weights, **dict(zip(TRAINED, (arrays[name] for name in expected), strict=False)))
    return LearnedWeights(weights, content, sha256_hex(content))
