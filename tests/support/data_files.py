# SPDX-License-Identifier: Apache-2.0
"""Where the music lies that some tests read and the project may not contain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read while the tests are collected: while they run, the tester's own SIDEMAN_ variables are hidden from them.
FOLDER = Path(os.environ.get("SIDEMAN_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def data_file(name: str) -> Path:
    """A file of the data folder (`$SIDEMAN_DATA`, else shared/data beside the checkout); its test skips without it."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not here: SIDEMAN_DATA names the folder that has it")
    return path
