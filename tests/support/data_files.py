# SPDX-License-Identifier: Apache-2.0
"""The folder of the music that some tests read and the project may not contain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read at import: while tests run, the SIDEMAN_ variables of the tester are hidden.
FOLDER = Path(os.environ.get("SIDEMAN_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def data_file(name: str) -> Path:
    """A file of the data folder (`$SIDEMAN_DATA`, else shared/data beside the checkout); skips the test without it."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not here: SIDEMAN_DATA names the folder that has it")
    return path
