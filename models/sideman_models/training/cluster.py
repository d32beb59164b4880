# SPDX-License-Identifier: Apache-2.0
"""A cluster of machines that train one network together, read from TensorFlow's variable `TF_CONFIG`.

    TF_CONFIG='{"cluster": {"worker": ["one:5005", "two:5005"]}, "task": {"type": "worker", "index": 0}}'

Every machine runs the same command on the same music, with an `index` of its own. The first machine, which is the
`chief` or else worker 0, writes the bundle; the others write nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sideman_models.errors import TrainingError

ENVIRONMENT_VARIABLE = "TF_CONFIG"
_JOBS = ("chief", "worker")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The machines in order, each `HOST:PORT`; `rank` is the index of this machine."""

    machines: tuple[str, ...] = ("this machine",)
    rank: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this machine writes the bundle and the checkpoints."""
        return self.rank == 0


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Return the cluster of `TF_CONFIG` in `environment`, or a single machine without it. Raises `TrainingError`."""
    text = environment.get(ENVIRONMENT_VARIABLE, "").strip()
    if not text:
        return Cluster()
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{ENVIRONMENT_VARIABLE}: not JSON: {error}") from error
    if not isinstance(config, dict):
        raise TrainingError(f"{ENVIRONMENT_VARIABLE}: not a mapping with cluster and task")
    jobs = _read_jobs(config.get("cluster", {}))
    machines = [machine for job in _JOBS for machine in jobs.get(job, ())]
    return Cluster(tuple(machines), _read_rank(config.get("task"), jobs)) if machines else Cluster()


def _read_jobs(cluster: object) -> dict[str, list[str]]:
    if not isinstance(cluster, dict):
        raise TrainingError(f"{ENVIRONMENT_VARIABLE}: cluster: not a mapping of jobs to machines")
    for job, machines in cluster.items():
        if job not in _JOBS:
            raise TrainingError(
                f"{ENVIRONMENT_VARIABLE}: cluster: {job!r}: only the jobs chief and worker are supported"
            )
        if not isinstance(machines, list) or not all(isinstance(name, str) and ":" in name for name in machines):
            raise TrainingError(f"{ENVIRONMENT_VARIABLE}: cluster: {job}: not a list of HOST:PORT")
    if len(cluster.get("chief", ())) > 1:
        raise TrainingError(f"{ENVIRONMENT_VARIABLE}: cluster: chief: there can be only one")
    return cluster


def _read_rank(task: object, jobs: Mapping[str, list[str]]) -> int:
    job, index = (task.get("type"), task.get("index")) if isinstance(task, dict) else (None, None)
    if not isinstance(job, str) or job not in jobs:
        raise TrainingError(f"{ENVIRONMENT_VARIABLE}: task: type: {job!r} is none of {', '.join(jobs)}")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(jobs[job]):
        raise TrainingError(
            f"{ENVIRONMENT_VARIABLE}: task: index: {index!r}, but {job} has machines 0 to {len(jobs[job]) - 1}"
        )
    return index if job == "chief" else len(jobs.get("chief", ())) + index
