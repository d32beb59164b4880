# SPDX-License-Identifier: Apache-2.0
"""A cluster of machines that train one network together, read from TensorFlow's variable `TF_CONFIG`.

    TF_CONFIG='{"cluster": {"worker": ["one:5005", "two:5005"]}, "task": {"type": "worker", "index": 0}}'

Every machine runs the same command on the same music, with an `index` of its own. The first machine, which is the
`chief` or else worker 0, writes the bundle; the others write nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from sideman_models.errors import TrainingError


class _Task(msgspec.Struct, frozen=True):
    type: str = ""
    index: int = -1


class _Config(msgspec.Struct, frozen=True):
    """`TF_CONFIG`: the machines of each job, each HOST:PORT, and what this machine is."""

    cluster: dict[Literal["chief", "worker"], list[Annotated[str, msgspec.Meta(pattern=".+:.+")]]] = {}
    task: _Task = _Task()


class Cluster(msgspec.Struct, frozen=True):
    """The machines in order, each `HOST:PORT`; `rank` is the index of this machine."""

    machines: tuple[str, ...] = ("this machine",)
    rank: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this machine writes the bundle and the checkpoints."""
        return self.rank == 0


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Return the cluster of `TF_CONFIG` in `environment`, or a single machine without it. Raises `TrainingError`."""
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return Cluster()
    try:
        config = msgspec.json.decode(text, type=_Config)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise TrainingError(f"TF_CONFIG: {error}") from error
    jobs, task = config.cluster, config.task
    chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
    if len(chiefs) > 1:
        raise TrainingError("TF_CONFIG: cluster: chief: there can be only one")
    if not chiefs and not workers:
        return Cluster()
    if task.type not in jobs:
        raise TrainingError(f"TF_CONFIG: task: type: {task.type!r} is none of {', '.join(jobs)}")
    last = len(jobs[task.type]) - 1
    if not 0 <= task.index <= last:
        raise TrainingError(f"TF_CONFIG: task: index: {task.index}, but {task.type} has machines 0 to {last}")
    return Cluster((*chiefs, *workers), task.index if task.type == "chief" else len(chiefs) + task.index)
