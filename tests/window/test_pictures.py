# SPDX-License-Identifier: Apache-2.0
"""The pictures of the README show the page as it is: they are taken again and compared."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("PIL")

from PIL import Image

from support.page_pictures import PICTURES, SIZES, take_picture
from support.processes import ROOT

COARSE = 20
"""This many points of the page are one point of the comparison: single notes and letters hardly count."""
BUTTONS, WHOLE = 4.0, 12.0
"""The mean differences, of 255, that the notes that are played and the chord that is lit make: above, where the buttons
are, and in all."""


def frames(picture: bytes) -> list[Image.Image]:
    """The frames of a picture."""
    image = Image.open(io.BytesIO(picture))
    found = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        found.append(image.convert("RGB"))
    return found


def coarse(image: Image.Image) -> npt.NDArray[np.float64]:
    """The brightness of its parts."""
    size = (image.width // COARSE, image.height // COARSE)
    return np.asarray(image.convert("L").resize(size, Image.Resampling.BOX), dtype=np.float64)


def difference(one: Image.Image, other: Image.Image) -> float:
    """How different two pictures are, of 255."""
    return float(np.abs(coarse(one) - coarse(other)).mean())


def test_the_pictures_are_all_there_and_shown() -> None:
    """Guards against: a README with a hole, and pictures that no page shows."""
    pages = (ROOT / "README.md").read_text("utf-8") + (ROOT / "docs" / "play-along.md").read_text("utf-8")
    assert {path.name for path in PICTURES.iterdir()} == SIZES.keys()
    assert [name for name in SIZES if f"pictures/{name}" not in pages] == []
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 1_500_000


@pytest.mark.browser
@pytest.mark.parametrize("name", SIZES)
def test_a_picture_shows_the_page_as_it_is(chromium: Any, name: str, tmp_path: Path) -> None:
    """Guards against: a newcomer who looks for a button of last year's picture.

    If the change is meant: `.venv/bin/python tests/support/page_pictures.py`.
    """
    stored, taken = (
        frames(picture) for picture in ((PICTURES / name).read_bytes(), take_picture(chromium, name, 2, 1.0))
    )
    for image in (stored[0], stored[-1], taken[0], taken[-1]):
        assert image.size == SIZES[name]
        assert len(image.getcolors(image.width * image.height) or []) > 20
        blank = Image.new("RGB", image.size, image.getpixel((0, 0)))
        assert difference(image, blank) > BUTTONS
    width, height = SIZES[name]
    for bottom, allowed in ((height // 6, BUTTONS), (height, WHOLE)):
        parts = (image.crop((0, 0, width, bottom)) for image in (stored[0], taken[0]))
        assert difference(*parts) < allowed
    assert name.endswith(".png") or any(one.tobytes() != other.tobytes() for one, other in pairwise(stored))
