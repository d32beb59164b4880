# SPDX-License-Identifier: Apache-2.0
"""What a training leaves on disk after every epoch, to go on from if it is cut off: one `.npz`, without pickles."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sideman_models.errors import CheckpointError
from sideman_models.files import read_plain_file, write_whole
from sideman_models.network.lstm import Weights
from sideman_models.training.progress import Epoch

PlainJson = Mapping[str, Any]
_VERSION = 1
_MAX_BYTES = 1 << 30
_DESCRIPTION_KEY, _STATE_PREFIX, _BEST_PREFIX = "about", "state/", "best/"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training stands.

    `identity` says which training it is, as plain JSON; `state` is what `Trainer.state` gave; `weights` those of the
    epoch `best`, one of `epochs`.
    """

    identity: PlainJson
    epochs: tuple[Epoch, ...]
    best: Epoch
    weights: Weights
    state: Mapping[str, npt.NDArray[Any]]


def checkpoint_path(bundle: Path) -> Path:
    """Where the checkpoint of the training lies that is to write `bundle`."""
    return bundle.parent / f"{bundle.name}.checkpoint.npz"


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it, whole or not at all: an older one there stays until the new one is safe. Raises OSError."""
    about = {
        "version": _VERSION,
        "identity": checkpoint.identity,
        "epochs": [[epoch.number, epoch.training_bits, epoch.held_out_bits] for epoch in checkpoint.epochs],
        "best": checkpoint.best.number,
    }
    arrays: dict[str, Any] = {_STATE_PREFIX + name: array for name, array in checkpoint.state.items()}
    arrays |= {
        _BEST_PREFIX + field.name: np.asarray(getattr(checkpoint.weights, field.name)) for field in fields(Weights)
    }
    arrays[_DESCRIPTION_KEY] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())


def read_checkpoint(path: Path, identity: PlainJson) -> Checkpoint:
    """Read the checkpoint of the training `identity`. Raises `CheckpointError` for another's or a broken file."""
    try:
        content = io.BytesIO(read_plain_file(path, _MAX_BYTES))
        with np.load(content, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        about = json.loads(arrays.pop(_DESCRIPTION_KEY).tobytes())
        if about["version"] != _VERSION:
            raise CheckpointError(f"{path}: of another version of this program; remove it and begin anew")
        _check_identity(path, about["identity"], json.loads(json.dumps(identity)))
        epochs = tuple(Epoch(*row) for row in about["epochs"])
        best = next(epoch for epoch in epochs if epoch.number == about["best"])
        weights = {field.name: arrays[_BEST_PREFIX + field.name] for field in fields(Weights)}
        weights["penalty"] = float(weights["penalty"])
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({error}); remove it and begin anew") from error
    state = {
        name.removeprefix(_STATE_PREFIX): array for name, array in arrays.items() if name.startswith(_STATE_PREFIX)
    }
    return Checkpoint(identity, epochs, best, Weights(**weights), state)


def _check_identity(path: Path, found: PlainJson, asked: PlainJson) -> None:
    if found.get("music") != asked.get("music"):
        raise CheckpointError(f"{path}: it learned from other music, or from the same split otherwise")
    for name in {**asked, **found}:
        if found.get(name) != asked.get(name):
            raise CheckpointError(
                f"{path}: of another training: {name} is {found.get(name)} there, not {asked.get(name)}"
            )
