# SPDX-License-Identifier: Apache-2.0
"""`sideman train` with short windows, which compile quickly: in this process, and in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from sideman.commands import train as command
from sideman_models.training.recipe import Recipe
from support.processes import daemon_environment

LANES, STEPS = 8, 8
_PROGRAM = f"""
import sys
from sideman import cli
from sideman.commands import train
from sideman_models.training.recipe import Recipe
train.Recipe = lambda: Recipe(lanes={LANES}, steps={STEPS})
sys.exit(cli.main(["train", *sys.argv[1:]]))
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `sideman train` use short windows."""
    monkeypatch.setattr(command, "Recipe", lambda: Recipe(lanes=LANES, steps=STEPS))


def train_arguments(*words: str) -> argparse.Namespace:
    """The parsed command line of `sideman train`."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def start_training(*words: str, **env: str) -> subprocess.Popen[str]:
    """Start the command as a process, with short windows."""
    program = [sys.executable, "-c", _PROGRAM, *words]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", **env}
    return subprocess.Popen(
        program, env=daemon_environment(**quiet), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
