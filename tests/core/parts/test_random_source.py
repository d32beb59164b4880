# SPDX-License-Identifier: Apache-2.0
"""The random numbers of a solo, beside numpy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sideman.core.parts.random_source import RandomSource


@given(st.integers(0, 2**63 - 1), st.integers(-(2**31), 2**40), st.integers(0, 2**16))
def test_the_numbers_are_those_of_numpys_philox(seed: int, tick: int, purpose: int) -> None:
    """Guards against: a seed that plays another solo than before."""
    bits = np.random.Philox(key=seed, counter=(tick & 0xFFFFFFFF) + (purpose << 64))
    assert RandomSource(seed).draw(tick, purpose) == np.random.Generator(bits).random()
