# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: always complete, never used for another training, and exact."""

from __future__ import annotations

import contextlib
import errno
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sideman.commands import train as command
from sideman_models.errors import CheckpointError
from sideman_models.network.bundle import VALUES_FILE
from sideman_models.network.lstm import Weights
from sideman_models.network.storage import WEIGHTS_FILE
from sideman_models.training import checkpoint
from sideman_models.training.checkpoint import Checkpoint
from sideman_models.training.progress import Epoch
from support.corpora import write_tiny_corpus
from support.processes import TIMEOUT_S
from support.training import quick, start_training, train_arguments

__all__ = ["quick"]  # a fixture

IDENTITY = {"music": "abc", "units": 3, "dropout": (0.1, 0.2, 0.3)}


def a_checkpoint(seed: int = 0, epochs: int = 3) -> Checkpoint:
    """Return a checkpoint of random numbers."""
    generator = np.random.default_rng(seed)
    shapes = ((5, 12), (3, 12), (12,), (3, 4), (4,))
    kernel, recurrent, bias, out, out_bias = (generator.normal(size=shape).astype(np.float32) for shape in shapes)
    weights = Weights(kernel, recurrent, bias, out, out_bias, float(np.float32(0.7)))
    done = tuple(Epoch(number, float(generator.random()), None) for number in range(1, epochs + 1))
    state = {"learned/parts": generator.normal(size=(2, 3)).astype(np.float32), "iteration": np.array(7 + seed)}
    return Checkpoint(IDENTITY, done, done[-1], weights, state)


def same(one: Checkpoint, other: Checkpoint) -> bool:
    """Return whether two checkpoints are equal to the last bit."""
    arrays = all(
        np.array_equal(getattr(one.weights, name), getattr(other.weights, name)) for name in Weights.__struct_fields__
    )
    states = one.state.keys() == other.state.keys()
    states = states and all(np.array_equal(one.state[name], other.state[name]) for name in one.state)
    return arrays and states and (one.epochs, one.best) == (other.epochs, other.best)


@given(st.integers(0, 1000), st.integers(1, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path, seed: int, epochs: int) -> None:
    """Guards against: a resumed training with another result than one that was not interrupted."""
    path = checkpoint.checkpoint_path(tmp_path / "mine")
    written = a_checkpoint(seed, epochs)
    checkpoint.write_checkpoint(path, written)
    assert same(checkpoint.read_checkpoint(path, IDENTITY), written)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.checkpoint.npz"]


@pytest.mark.parametrize("step", ["numpy.savez", "os.fsync", "os.replace"])
def test_a_failed_write_leaves_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Guards against: a full disk that destroys the older checkpoint."""
    path = tmp_path / "mine.checkpoint.npz"
    older = a_checkpoint(0)
    checkpoint.write_checkpoint(path, older)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(step, full)
        with pytest.raises(OSError, match="No space"):
            checkpoint.write_checkpoint(path, a_checkpoint(1))
    assert same(checkpoint.read_checkpoint(path, IDENTITY), older)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, data: st.DataObject) -> None:
    """Guards against: a traceback for a damaged checkpoint, or training that continues from wrong numbers."""
    path = tmp_path / "mine.checkpoint.npz"
    checkpoint.write_checkpoint(path, a_checkpoint())
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    cut, byte = data.draw(st.booleans()), data.draw(st.integers(1, 255))
    path.write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ byte]) + whole[at + 1 :])
    with contextlib.suppress(CheckpointError):
        found = checkpoint.read_checkpoint(path, IDENTITY)
        # Some bits of a zip file have no meaning.
        assert not cut
        assert same(found, a_checkpoint())


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    """Guards against: a mixture of two trainings that cannot be reproduced."""
    path = tmp_path / "mine.checkpoint.npz"
    checkpoint.write_checkpoint(path, a_checkpoint())
    with pytest.raises(CheckpointError, match="units is 3 there, not 4"):
        checkpoint.read_checkpoint(path, {**IDENTITY, "units": 4})
    with pytest.raises(CheckpointError, match="on other music"):
        checkpoint.read_checkpoint(path, {**IDENTITY, "music": "xyz"})
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.read_checkpoint(tmp_path / "none.npz", IDENTITY)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.usefixtures("quick")
def test_a_killed_training_is_resumed_with_the_same_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a power cut that loses all epochs, or a resumed training with another result."""
    pytest.importorskip("tensorflow")
    words = [str(write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)), "--units", "4", "--epochs", "30"]
    killed, whole = ((*words, "--out", str(tmp_path / name / "mine")) for name in ("killed", "whole"))
    with start_training(*killed) as process:
        assert process.stdout is not None
        assert any(line.startswith("epoch 3/30") for line in process.stdout)
        process.kill()
        assert process.wait(TIMEOUT_S) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "mine").exists()
    assert command.run(train_arguments(*killed, "--resume")) == 0
    output = capsys.readouterr().out
    assert "going on after epoch" in output
    assert "epoch 2/30" not in output
    assert command.run(train_arguments(*whole)) == 0
    for name in (WEIGHTS_FILE, VALUES_FILE):
        assert (tmp_path / "killed" / "mine" / name).read_bytes() == (tmp_path / "whole" / "mine" / name).read_bytes()
    assert not checkpoint.checkpoint_path(tmp_path / "killed" / "mine").exists()
