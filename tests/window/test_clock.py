# SPDX-License-Identifier: Apache-2.0
"""The way from the daemon's seconds to the page's milliseconds, on a clock that jumps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from support.sound_page import served_sound

pytestmark = pytest.mark.browser

# A busy machine: each way takes 0.2 ms at least, mostly one more, and often 20 or more, the answer rather than the
# request. The daemon's clock runs away by `drift`; it is asked every second. At `set` it is set by a second.
MEASURED = """
async ([drift, set, seed]) => {
    const { createClock } = await import("/clock.js");
    let now = 0;
    let state = seed;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    const delay = (busy) => 0.2 - Math.log(random()) * (random() < busy ? 20 : 1);
    const clock = createClock(() => Math.round(now * 10) / 10);
    const offset = () => 5000 + drift * now + (now > set ? 1000 : 0);
    const request = async () => {
        now += delay(0.3);
        const second = (now + offset()) / 1000;
        now += delay(0.6);
        return { second };
    };
    const errors = [];
    for (let turn = 0; turn < 600; turn += 1) {
        await clock.measure(request);
        errors.push(now + offset() - 1000 * clock.now(now));
        now += turn < 5 ? 0 : 1000;
    }
    return errors;
}
"""


@pytest.mark.parametrize(("drift", "worst_ms"), [(0.0, 1.2), (5e-5, 2.0), (-5e-5, 2.0)])
def test_a_busy_machine_does_not_move_what_is_planned(
    open_page: Callable[..., Any], drift: float, worst_ms: float
) -> None:
    """Guards against: notes that were put on their beats and move by milliseconds when one answer is slow."""
    with served_sound() as address:
        page = open_page(address)
        for seed in range(1, 6):
            settled = page.evaluate(MEASURED, [drift, 1e9, seed])[5:]
            assert max(map(abs, settled)) < worst_ms
            assert max(abs(after - before) for before, after in pairwise(settled)) < worst_ms


def test_a_clock_that_was_set_is_followed_at_once(open_page: Callable[..., Any]) -> None:
    """Guards against: silence for minutes after a laptop has slept."""
    with served_sound() as address:
        errors = open_page(address).evaluate(MEASURED, [0.0, 300_000, 1])
        assert max(map(abs, errors[1:])) < 20.0
        assert max(map(abs, errors[-100:])) < 1.2
