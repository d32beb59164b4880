# SPDX-License-Identifier: Apache-2.0
"""Touch and placement in a bundle: saved whole, and refused by name if anything in them is wrong."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from network.test_bundle import array, change, members, repack
from sideman_models.errors import BundleError
from sideman_models.evaluation.touch import touch_figures
from sideman_models.network.bundle import VALUES_FILE, load_bundle, save_bundle
from sideman_models.network.readout import READOUT_VERSION
from sideman_models.network.storage import WEIGHTS_FILE
from support.fakes import classic_bundle, modern_bundle, touched_bundle


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A bundle with both readouts on disk."""
    save_bundle(touched_bundle(), tmp_path / "mine")
    return tmp_path / "mine"


@pytest.mark.parametrize("missing", [(), ("touch",), ("placement",), ("touch", "placement")])
def test_readouts_come_back_as_they_were(tmp_path: Path, missing: tuple[str, ...]) -> None:
    """Guards against: touch that is lost when a network is saved, or that a network without it is given."""
    first = replace(touched_bundle(), **dict.fromkeys(missing))
    save_bundle(first, tmp_path / "mine")
    loaded = load_bundle(str(tmp_path / "mine"))
    assert set(loaded.readouts) == set(loaded.info.readouts) == {"touch", "placement"} - set(missing)
    for name, readout in loaded.readouts.items():
        for part in readout.__struct_fields__:
            np.testing.assert_array_equal(getattr(readout, part), getattr(getattr(first, name), part))
    assert ("readouts" in json.loads((tmp_path / "mine" / VALUES_FILE).read_text())) == (len(missing) < 2)


@pytest.mark.parametrize(
    ("described", "text"),
    [
        (7, "readouts: not a mapping"),
        ({"swagger": {"version": 1, "units": 4}}, "readouts: 'swagger' is none of touch, placement"),
        ({"touch": {"version": 99, "units": 4}}, f"touch: version: 99, but this program reads {READOUT_VERSION}"),
        ({"touch": {"version": READOUT_VERSION, "units": 0}}, "touch: units: 0 is no number from 1 to"),
        ({"touch": {"version": READOUT_VERSION, "units": 10**9}}, "touch: units: 1000000000 is no number from 1 to"),
        ({"touch": "soft"}, "touch: version: None"),
        ({"touch": {"version": READOUT_VERSION, "units": 4}}, "'placement/.*' is unknown"),
        ({"touch": {"version": READOUT_VERSION, "units": 5}, "placement": {"version": READOUT_VERSION, "units": 4}},
         "touch/kernel: shape"),
    ],
)  # fmt: skip
def test_a_wrong_description_is_refused_by_name(saved: Path, described: Any, text: str) -> None:
    """Guards against: a broken or a newer bundle that plays something else than it was trained to."""
    change(saved, "readouts", described)
    with pytest.raises(BundleError, match=text):
        load_bundle(str(saved))


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("touch/output", None, "touch/output is missing"),
        ("touch/output", array(np.full(4, np.nan)), "touch/output: holds numbers that are not finite"),
        ("placement/bias", array(np.zeros(3)), "placement/bias: shape"),
        ("placement/output_bias", array([0], np.float64), "placement/output_bias: not an array of float32"),
        ("touch/more", array([0]), "'touch/more' is unknown"),
    ],
)
def test_wrong_arrays_are_refused_by_name(saved: Path, name: str, content: bytes | None, text: str) -> None:
    """Guards against: a solo that jumps in loudness or time because an array is damaged."""
    packed = members(saved)
    packed.pop(f"{name}.npy", None)
    repack(saved, packed if content is None else {**packed, f"{name}.npy": content})
    with pytest.raises(BundleError, match=f"{WEIGHTS_FILE}: {text}"):
        load_bundle(str(saved))


def test_a_classic_network_has_no_readouts(tmp_path: Path) -> None:
    """Guards against: the assignment's network with an accent that it never learned."""
    save_bundle(replace(classic_bundle(), touch=touched_bundle().touch), tmp_path / "mine")
    with pytest.raises(BundleError, match="readouts: a classic network has none"):
        load_bundle(str(tmp_path / "mine"))


def test_a_bundle_without_them_is_written_as_before(tmp_path: Path) -> None:
    """Guards against: networks that an earlier version of the program could read and can no longer."""
    save_bundle(modern_bundle(), tmp_path / "mine")
    with zipfile.ZipFile(tmp_path / "mine" / WEIGHTS_FILE) as archive:
        assert len(archive.namelist()) == 6
    assert touch_figures(modern_bundle(), []) is None
