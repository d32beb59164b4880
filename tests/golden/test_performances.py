# SPDX-License-Identifier: Apache-2.0
"""Golden performances: text files a person can read, played again."""

from __future__ import annotations

import pytest

from support.performances import GOLDEN, PERFORMANCES, perform_as_text


@pytest.mark.parametrize("name", PERFORMANCES)
def test_it_plays_as_it_did(name: str) -> None:
    """Without it a change of the code would change the music, and nobody would notice."""
    assert perform_as_text(name) == (GOLDEN / f"{name}.txt").read_text("utf-8")
