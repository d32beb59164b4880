# SPDX-License-Identifier: Apache-2.0
"""Random numbers by tick and purpose: those of numpy's `Philox(key=seed)`, without `numpy.random`.

One number at a time is needed, each at a counter of its own. Setting the state of numpy's generator takes longer than
these ten rounds, and the package would keep two megabytes.
"""

from __future__ import annotations

_MASK = 0xFFFFFFFFFFFFFFFF
_KEY_STEPS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_ROUNDS = 10


class RandomSource:
    """Random numbers that depend only on seed, tick and purpose; so a choice that is taken back changes no other."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        low, high = seed & _MASK, seed >> 64
        self._keys = [((low + n * _KEY_STEPS[0]) & _MASK, (high + n * _KEY_STEPS[1]) & _MASK) for n in range(_ROUNDS)]

    def draw(self, tick: int, purpose: int) -> float:
        """Return a number from 0 up to, but not including, 1."""
        a, b, c, d = (tick & 0xFFFFFFFF) + 1, purpose, 0, 0
        for low, high in self._keys:
            one, other = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
            a = (other >> 64) ^ b ^ low
            c = (one >> 64) ^ d ^ high
            b, d = other & 0xFFFFFFFFFFFFFFFF, one & 0xFFFFFFFFFFFFFFFF
        return (a >> 11) / 2**53
