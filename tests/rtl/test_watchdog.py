# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The watchdog expires after as many idle waits as its limit says, and not before."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import simulate
from rtl.watchdog import Watchdog

WAIT, PROGRESS, IDLE = (1, 0), (1, 1), (0, 0)


def watch(cycles):
    """Run cycles ``(busy, progress, limit, reset)``; compare each with a count of waits."""

    def drive(pins):
        pins["rst"] = 1
        yield
        count = taken = 0
        for busy, progress, limit, reset in cycles:
            pins["busy"], pins["progress"] = busy, progress
            pins["limit"], pins["rst"] = limit, reset
            yield
            now = (pins["expired"], pins["left"])
            assert now == (0 < taken <= count, max(taken - count, 0)), (count, taken)
            if reset:
                count = taken = 0
            elif not busy or progress:
                count, taken = 0, limit
            else:
                count += 1

    simulate(Watchdog(), drive)


def waits(limit, n, *then):
    """Return cycles that take the limit, wait ``n`` times, and do what comes then."""
    return [(*c, limit, 0) for c in (IDLE, *[WAIT] * n, *then)]


def test_watchdog_expires_in_the_cycle_after_its_limit():
    """By hand: busy for three cycles with a limit of 3, so expired in the fourth."""
    seen = []

    def drive(pins):
        pins["limit"] = 3
        for busy in (0, 1, 1, 1, 1, 1, 0, 0):
            pins["busy"] = busy
            yield
            seen.append(pins["expired"])

    simulate(Watchdog(), drive)
    assert seen == [0, 0, 0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 31, 32, 33, 255, 256, 257])
def test_watchdog_of_many_limits(limit):
    """One wait less is not enough; it stays until there is progress or nothing to wait for."""
    cycles = []
    for end in (PROGRESS, IDLE, (0, 1)):
        cycles += waits(limit, limit - 1, end, end) + waits(limit, limit, end, end)
        cycles += waits(limit, limit + 5, end, end, WAIT, end)
    watch(cycles)


def test_watchdog_is_off_at_zero():
    watch(waits(0, 300, PROGRESS, WAIT) + waits(2, 4) + waits(0, 4))


@pytest.mark.parametrize("taken", [IDLE, PROGRESS, (0, 1)])
def test_watchdog_keeps_its_limit_while_it_waits(taken):
    """Also if that is none."""
    cycles = []
    for limit in (0, 5):
        for other in (0, 1, 2, 4, 2**32 - 1):
            cycles += [(*taken, limit, 0)] + [(*WAIT, other, 0)] * 8
    watch(cycles)


def test_watchdog_counts_every_bit_of_the_limit():
    """No limit above 4 expires within 4 waits, and small ones do whatever came before."""
    large = [1 << high | low for high in range(3, 32) for low in (*range(4), 7, 15)]
    large += [1 << high | 1 << low for high in range(3, 32) for low in range(3, high)]
    large += [2**32 - 1 ^ 1 << bit for bit in range(32)]
    watch([cycle for limit in large for cycle in waits(limit, 4) + waits(3, 4)])


def test_watchdog_waits_for_long():
    watch(waits(1 << 12, (1 << 12) + 1, IDLE, WAIT))


def test_watchdog_of_random_cycles():
    rng = np.random.default_rng(1)
    cycles, limit = [], 1
    for _ in range(3000):
        if rng.random() < 0.1:
            limit = int(rng.choice([0, 1, 2, 5, 7, 8, 16, 40]))
        busy, progress, reset = (rng.random(3) < (0.95, 0.08, 0.01)).tolist()
        cycles.append((busy, progress, limit, reset))
    watch(cycles)


def test_watchdog_starts_again_after_a_reset():
    """It takes its limit anew, after a reset while it waits and after one when it has expired."""
    cycles = []
    for n in (3, 6):
        cycles += [*waits(4, n), (*WAIT, 4, 1), *[(*WAIT, 4, 0)] * 8, *waits(4, 5)]
        cycles += [*waits(4, n), (*IDLE, 4, 1), *[(*WAIT, 4, 0)] * 8]
    watch(cycles)


def many_limits():
    """Try limits one after the other."""
    for limit in (1, 2, 4, 33, 257):
        test_watchdog_of_many_limits(limit)


BENCHES = [
    test_watchdog_expires_in_the_cycle_after_its_limit,
    many_limits,
    test_watchdog_is_off_at_zero,
    partial(test_watchdog_keeps_its_limit_while_it_waits, PROGRESS),
    test_watchdog_counts_every_bit_of_the_limit,
    test_watchdog_of_random_cycles,
    test_watchdog_starts_again_after_a_reset,
    test_watchdog_waits_for_long,
]
