# SPDX-License-Identifier: Apache-2.0
"""Training on several machines: the role of each, and the same result as on one machine."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sideman.commands import train as command
from sideman_models.errors import TrainingError
from sideman_models.network.bundle import load_bundle
from sideman_models.training.cluster import Cluster, read_cluster
from support.corpora import write_tiny_corpus
from support.processes import TIMEOUT_S
from support.training import quick, start_training, train_arguments

__all__ = ["quick"]  # a fixture


def tf_config(cluster: Any, job: Any = "worker", index: Any = 0) -> dict[str, str]:
    """Return an environment with TF_CONFIG."""
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})}


def test_each_machine_has_its_rank() -> None:
    """Guards against: two machines that write the bundle, or none; or two with the same share of the music."""
    both = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    assert read_cluster(tf_config(both, "worker", 1)) == Cluster(("a:1", "b:1", "c:1"), 2)
    assert read_cluster(tf_config(both, "chief")).is_chief
    assert not read_cluster(tf_config(both)).is_chief
    assert read_cluster(tf_config({"worker": ["a:1", "b:1"]})) == Cluster(("a:1", "b:1"), 0)
    for alone in ({}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}):
        assert read_cluster(alone) == Cluster()
        assert read_cluster(alone).is_chief


@pytest.mark.parametrize(
    ("environment", "wrong"),
    [
        ({"TF_CONFIG": "{"}, "truncated"),
        ({"TF_CONFIG": "[" * 100_000}, "TF_CONFIG: "),
        ({"TF_CONFIG": "[]"}, "Expected `object`, got `array`"),
        (tf_config([]), r"Expected `object`, got `array` - at `\$.cluster`"),
        (tf_config({"worker": "a:1"}), "Expected `array`, got `str`"),
        (tf_config({"worker": ["a"]}), "matching regex"),
        (tf_config({"worker": ["a:1"], "ps": ["b:1"]}), "Invalid enum value 'ps'"),
        (tf_config({"chief": ["a:1", "b:1"]}, "chief"), "only one"),
        (tf_config({"worker": ["a:1"]}, "evaluator"), "'evaluator' is none of worker"),
        (tf_config({"worker": ["a:1"]}, ["worker"]), r"Expected `str`, got `array` - at `\$.task.type`"),
        (tf_config({"worker": ["a:1", "b:1"]}, index=2), "index: 2, but worker has machines 0 to 1"),
        (tf_config({"worker": ["a:1"]}, index="0"), r"Expected `int`, got `str` - at `\$.task.index`"),
        (tf_config({"worker": ["a:1"]}, index=True), r"Expected `int`, got `bool` - at `\$.task.index`"),
    ],
)
def test_a_wrong_cluster_is_reported(environment: dict[str, str], wrong: str) -> None:
    """Guards against: machines that wait for each other forever."""
    with pytest.raises(TrainingError, match=wrong):
        read_cluster(environment)


def free_ports(count: int) -> list[int]:
    """Return ports that no program listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("taught", [False, True])
def test_two_machines_train_the_same_network_as_one(tmp_path: Path, *, taught: bool) -> None:
    """Guards against: a cluster that trains another network than one machine, or writes it twice."""
    pytest.importorskip("tensorflow")
    corpus = write_tiny_corpus(tmp_path / "tiny.jsonl", titles=40)
    words = [str(corpus), "--units", "6", "--epochs", "3", "--rate", "0.02"]
    if taught:
        teacher = str(tmp_path / "teacher")
        assert command.run(train_arguments(*words, "--out", teacher)) == 0
        words += ["--teacher", teacher]
    machines = [f"127.0.0.1:{port}" for port in free_ports(2)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                start_training(
                    *words, "--out", str(tmp_path / f"by-{rank}"), **tf_config({"worker": machines}, index=rank)
                )
            )
            for rank in (0, 1)
        ]
        for process in processes:
            stack.callback(process.kill)
        outputs = [process.communicate(timeout=4 * TIMEOUT_S)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
    assert "epoch 3/3" in outputs[0]
    assert outputs[1] == f"machine 1 of TF_CONFIG: all epochs done; {machines[0]} writes the bundle\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["by-0", *["teacher"] * taught, "tiny.jsonl"]
    assert command.run(train_arguments(*words, "--out", str(tmp_path / "alone"))) == 0
    together, alone = (load_bundle(str(tmp_path / name)) for name in ("by-0", "alone"))
    np.testing.assert_allclose(together.facts["curve"], alone.facts["curve"], atol=1e-3)
    np.testing.assert_allclose(together.weights.densor_kernel, alone.weights.densor_kernel, atol=1e-3)
    learned = 0.05 if taught else 0.2  # the lessons of a teacher that knows little are hard to foresee
    assert alone.facts["curve"][-1][1] < alone.facts["curve"][0][1] - learned
