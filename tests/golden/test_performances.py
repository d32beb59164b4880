# SPDX-License-Identifier: Apache-2.0
"""Golden performances: text files that a person can read, played again."""

from __future__ import annotations

import pytest

from support.performances import GOLDEN, PERFORMANCES, perform_as_text


@pytest.mark.parametrize("name", PERFORMANCES)
def test_it_plays_as_it_did(name: str) -> None:
    """Guards against a change of the code that changes the music unnoticed."""
    assert perform_as_text(name) == (GOLDEN / f"{name}.txt").read_text("utf-8")
