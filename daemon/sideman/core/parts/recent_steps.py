# SPDX-License-Identifier: Apache-2.0
"""Steps a network, and keeps the last few results, because the solo takes most of its steps more than once.

A choice is made ahead on a copy of the state. What has been played is then fed to the state itself, and once more to
the copy for the next choice: the same steps from the same states, so their results are the same to the last bit.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from sideman_models.music.context import RowIndices
from sideman_models.network.lstm import Flags, Floats, LstmState, Network

_KEPT = 4


class _Taken(Struct, frozen=True):
    """A step: its input, the bytes of the state before, and the state after."""

    value: int | None
    rows: RowIndices
    before: bytes
    after: LstmState


class RecentSteps:
    """Takes the steps of `network`.

    `rows` are compared as objects. A place has the same array while it is cached; with a new one a step is only
    computed again.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._recent: deque[_Taken] = deque(maxlen=_KEPT)

    def step(self, value: int | None, rows: RowIndices, clash: Flags | None, state: LstmState) -> Floats:
        """See `Network.step`."""
        before = _content(state)
        logits = self.network.step(value, rows, clash, state)
        self._recent.append(_Taken(value, rows, before, state.copy()))
        return logits

    def advance(self, value: int | None, rows: RowIndices, state: LstmState) -> None:
        """See `Network.advance`."""
        before = _content(state)
        for taken in self._recent:
            if taken.value == value and taken.rows is rows and taken.before == before:
                state.assign(taken.after)
                return
        self.network.advance(value, rows, state)
        self._recent.append(_Taken(value, rows, before, state.copy()))


def _content(state: LstmState) -> bytes:
    return state.a.tobytes() + state.c.tobytes()
