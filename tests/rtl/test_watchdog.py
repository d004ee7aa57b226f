# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The watchdog expires after as many idle waits as its limit says, and not before."""

import numpy as np
import pytest

from cosim.bench import simulate
from rtl.watchdog import Watchdog


def watch(cycles):
    """Run cycles ``(busy, progress, limit, reset)``; compare each with a count."""

    def drive(pins):
        pins["rst"] = 1
        yield
        count = 0
        for busy, progress, limit, reset in cycles:
            pins["busy"], pins["progress"], pins["limit"], pins["rst"] = (
                busy,
                progress,
                limit,
                reset,
            )
            yield
            expired = int(0 < limit <= count)
            assert pins["expired"] == expired, (count, limit)
            if reset or not busy or progress:
                count = 0
            elif not expired:
                count += 1

    simulate(Watchdog(), drive)


WAIT, PROGRESS, IDLE = (1, 0), (1, 1), (0, 0)


def waits(limit, n, *then, reset=0):
    """Return ``n`` cycles of waiting, then others."""
    return [(*c, limit, reset) for c in [*[WAIT] * n, *then]]


def test_watchdog_expires_in_the_cycle_after_its_limit():
    """By hand: busy for three cycles with a limit of 3, so expired in the fourth."""
    seen = []

    def drive(pins):
        pins["limit"], pins["busy"] = 3, 1
        for _ in range(6):
            yield
            seen.append(pins["expired"])

    simulate(Watchdog(), drive)
    assert seen == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 31, 32, 33, 255, 256, 257])
def test_watchdog_of_many_limits(limit):
    """One wait less is not enough; it stays until there is progress or nothing to wait for."""
    cycles = []
    for end in (PROGRESS, IDLE, (0, 1)):
        cycles += waits(limit, limit, end) + waits(limit, limit + 5, end, end, WAIT, end)
    watch(cycles)


def test_watchdog_is_off_at_zero():
    """Waits count all the same, so that a limit set later may have been reached."""
    watch(waits(0, 40) + waits(41, 3) + waits(0, 1) + waits(5, 2, IDLE) + waits(5, 8))


def test_watchdog_compares_every_bit_of_the_limit():
    cycles = []
    for bit in range(32):
        cycles += waits(1 << bit, 1) + waits((1 << bit) | 1, 1)
    cycles += waits(2**32 - 1, 300)
    cycles += [(*WAIT, 1 << high | 1 << low, 0) for high in range(9, 32) for low in range(9)]
    cycles += waits(2**32 - 1, 1, IDLE)
    for bit in range(1, 6):
        cycles += waits(0xFFFF_FFFF, 1 << bit) + waits(1 << bit, 2, IDLE)
    watch(cycles)


def test_watchdog_waits_for_long():
    watch(waits(1 << 14, (1 << 14) + 1, IDLE, WAIT))


def test_watchdog_of_random_cycles():
    rng = np.random.default_rng(1)
    cycles, limit = [], 1
    for _ in range(3000):
        if rng.random() < 0.02:
            limit = int(rng.choice([0, 1, 2, 5, 7, 8, 16, 40]))
        busy, progress, reset = (rng.random(3) < (0.95, 0.08, 0.01)).tolist()
        cycles.append((busy, progress, limit, reset))
    watch(cycles)


def test_watchdog_starts_again_after_a_reset():
    watch([*waits(4, 3), *waits(4, 1, reset=1), *waits(4, 6), *waits(4, 1, reset=1), *waits(4, 6)])


def many_limits():
    """Try limits one after the other."""
    for limit in (1, 2, 4, 33, 257):
        test_watchdog_of_many_limits(limit)


BENCHES = [
    test_watchdog_expires_in_the_cycle_after_its_limit,
    many_limits,
    test_watchdog_is_off_at_zero,
    test_watchdog_compares_every_bit_of_the_limit,
    test_watchdog_waits_for_long,
    test_watchdog_of_random_cycles,
    test_watchdog_starts_again_after_a_reset,
]
