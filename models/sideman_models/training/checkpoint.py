# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: what training writes after every epoch, so that it can be resumed. One `.npz` file without pickles."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import asdict

from sideman_models.errors import ArchiveError, CheckpointError
from sideman_models.files import read_plain_file
from sideman_models.limits import CHECKPOINT
from sideman_models.network.lstm import Weights
from sideman_models.network.storage import read_npz
from sideman_models.training.progress import Epoch
from sideman_models.writing import make_folder, write_whole

PlainJson = Mapping[str, Any]
_VERSION = 2
_DESCRIPTION_KEY, _STATE_PREFIX, _BEST_PREFIX = "about", "state/", "best/"


class Checkpoint(Struct, frozen=True):
    """The state of training after an epoch.

    `identity` says which training it is: the recipe, and hashes of the music and of the network that it started from.
    `weights` are those of the epoch `best`; the names of their fields are keys of the file. `state` is from
    `Trainer.state`.
    """

    identity: PlainJson
    epochs: tuple[Epoch, ...]
    best: Epoch
    weights: Weights
    state: Mapping[str, npt.NDArray[Any]]


def checkpoint_path(bundle: Path) -> Path:
    """Return the path of the checkpoint of the training that will write `bundle`."""
    return bundle.parent / f"{bundle.name}.checkpoint.npz"


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all: until then an older one stays in place. Raises `OSError`."""
    description = {
        "version": _VERSION,
        "identity": checkpoint.identity,
        "epochs": [[epoch.number, epoch.training_bits, epoch.held_out_bits] for epoch in checkpoint.epochs],
        "best": checkpoint.best.number,
    }
    arrays: dict[str, Any] = {_STATE_PREFIX + name: array for name, array in checkpoint.state.items()}
    arrays |= {_BEST_PREFIX + name: np.asarray(array) for name, array in asdict(checkpoint.weights).items()}
    arrays[_DESCRIPTION_KEY] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    make_folder(path.parent)
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())


def read_checkpoint(path: Path, identity: PlainJson) -> Checkpoint:
    """Read the checkpoint of `identity`. Raises `CheckpointError` if it is broken or of another training."""
    try:
        arrays = read_npz(read_plain_file(path, CHECKPOINT.bytes), CHECKPOINT.bytes)
        description = json.loads(arrays.pop(_DESCRIPTION_KEY).tobytes())
        if description["version"] != _VERSION:
            raise CheckpointError(f"{path}: written by another version of this program; remove it and start again")
        stored, wanted = description["identity"], json.loads(json.dumps(identity))
        if stored.get("music") != wanted.get("music"):
            raise CheckpointError(f"{path}: of training on other music, or on the same music with another split")
        for name in {**wanted, **stored}:
            there, here = stored.get(name), wanted.get(name)
            if there != here:
                raise CheckpointError(f"{path}: of another training: {name} is {there} there, not {here}")
        epochs = tuple(Epoch(*row) for row in description["epochs"])
        best = next(epoch for epoch in epochs if epoch.number == description["best"])
        weights: dict[str, Any] = {name: arrays[_BEST_PREFIX + name] for name in Weights.__struct_fields__}
        weights["penalty"] = float(weights["penalty"])
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ArchiveError, ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        raise CheckpointError(f"{path}: not a complete checkpoint ({error}); remove it and start again") from error
    state = {name.removeprefix(_STATE_PREFIX): arrays[name] for name in arrays if name.startswith(_STATE_PREFIX)}
    return Checkpoint(identity, epochs, best, Weights(**weights), state)
