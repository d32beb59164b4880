# SPDX-License-Identifier: Apache-2.0
"""The file of learned weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sideman_models.errors import BundleError
from sideman_models.network.bundle import Bundle
from sideman_models.network.learned import encode_learned, read_learned
from sideman_models.network.lstm import TRAINED
from support.fakes import classic_bundle, modern_bundle, motif_bundle

SOURCE = Path("learned-test.npz")


def changed(bundle: Bundle) -> bytes:
    """A file of weights that differ from those of `bundle`."""
    weights = replace(bundle.weights, **{name: getattr(bundle.weights, name) + 0.25 for name in TRAINED})
    return encode_learned(weights, bundle.fingerprint)


@pytest.mark.parametrize("bundle", [modern_bundle(), motif_bundle(), classic_bundle()], ids=lambda each: each.name)
def test_what_is_written_is_read_again(bundle: Bundle) -> None:
    """Guards against: a take that plays other notes, or a restart that has forgotten what was learned."""
    content = changed(bundle)
    read = read_learned(content, bundle, SOURCE)
    for name in TRAINED:
        assert np.array_equal(getattr(read.weights, name), getattr(bundle.weights, name) + np.float32(0.25))
    assert read.weights.penalty == bundle.weights.penalty
    assert read.weights.motif is bundle.weights.motif
    assert encode_learned(read.weights, bundle.fingerprint) == content
    assert read.fingerprint == read_learned(content, bundle, SOURCE).fingerprint


def test_those_of_another_network_are_refused() -> None:
    """Guards against: noise, because the weights of one network are played with the values of another."""
    with pytest.raises(BundleError, match="learned from another network than classic"):
        read_learned(encode_learned(classic_bundle().weights, "other"), classic_bundle(), SOURCE)
    with pytest.raises(BundleError, match="should hold"):
        read_learned(changed(motif_bundle()), modern_bundle(), SOURCE)


def test_numbers_that_are_none_are_refused() -> None:
    """Guards against: a solo that stops for ever, after a learning that has got out of hand."""
    bundle = modern_bundle()
    bias = bundle.weights.bias.copy()
    bias[3] = np.nan
    content = encode_learned(replace(bundle.weights, bias=bias), bundle.fingerprint)
    with pytest.raises(BundleError, match=r"LSTM_cell/bias: holds numbers that are not finite"):
        read_learned(content, bundle, SOURCE)
    short = encode_learned(replace(bundle.weights, bias=bias[:-4]), bundle.fingerprint)
    with pytest.raises(BundleError, match=r"LSTM_cell/bias: not an array of float32 of the size that modern has"):
        read_learned(short, bundle, SOURCE)


@given(st.data())
@hypothesis_settings(max_examples=40)
def test_a_torn_or_damaged_file_is_refused(data: st.DataObject) -> None:
    """Guards against: a daemon that does not start, or plays noise, after a power cut while the file was written."""
    content = changed(modern_bundle())
    end = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(BundleError, match=str(SOURCE)):
        read_learned(content[:end], modern_bundle(), SOURCE)
