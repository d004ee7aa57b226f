# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Ticks and transfers are due after as many examples as the registers say."""

import random

from cosim.bench import simulate
from rtl.intervals import Intervals

PULSES = ("scored", "transferred", "load")


class Model:
    """What the counters do, in integers that do not end."""

    def __init__(self):
        self.aged = self.trained = self.negative = self.transfers = 0
        self.age_due = self.transfer_due = 0

    def outputs(self):
        return {
            "age_due": self.age_due,
            "transfer_due": self.transfer_due,
            "negative": self.negative,
            "transfers": self.transfers % 16,
        }

    def step(self, pins):
        if pins["load"]:
            self.aged, self.trained = pins["load_aged"], pins["load_trained"]
            self.negative, self.transfers = pins["load_negative"], pins["load_transfers"]
        elif pins["scored"]:
            self.aged, self.trained = self.aged + 1, self.trained + 1
            self.age_due = int(self.aged == pins["periods"])
            self.transfer_due = int(self.trained == pins["interval"])
            self.aged *= not self.age_due
            self.trained *= not self.transfer_due
        elif pins["transferred"]:
            self.negative ^= pins["invert"]
            self.transfers += 1


def count(cycles):
    """Run cycles, each a dict of the inputs that change; pulses fall by themselves."""

    def drive(pins):
        model, held = Model(), dict.fromkeys((*PULSES, "invert", "periods", "interval"), 0)
        held |= dict.fromkeys(("load_aged", "load_trained", "load_negative", "load_transfers"), 0)
        for number, changes in enumerate([*cycles, {}]):
            held |= dict.fromkeys(PULSES, 0) | changes
            for name, value in held.items():
                pins[name] = value
            yield
            want = model.outputs()
            assert {name: pins[name] for name in want} == want, f"cycle {number}"
            model.step(held)

    simulate(Intervals(), drive)


def loaded(aged, trained, **others):
    return {"load": 1, "load_aged": aged, "load_trained": trained} | others


def test_intervals_by_hand():
    """A tick every 2 examples, a transfer every 3."""
    seen = []

    def drive(pins):
        pins["periods"], pins["interval"], pins["scored"] = 2, 3, 1
        for _ in range(8):
            yield
            seen.append((pins["age_due"], pins["transfer_due"]))

    simulate(Intervals(), drive)
    assert seen == [(0, 0), (0, 0), (1, 0), (0, 1), (1, 0), (0, 0), (1, 1), (0, 0)]


def test_intervals_of_small_periods():
    cycles = []
    for periods, interval in ((1, 1), (1, 5), (4, 7), (0, 3), (3, 0)):
        cycles += [loaded(0, 0, periods=periods, interval=interval)] + [{"scored": 1}, {}] * 17
    count(cycles)


def test_intervals_use_every_bit_of_their_counts():
    """From a few examples before any count whose low bits are all ones, or all zeros but one."""
    cycles = []
    for bit in range(31):
        for end in (1 << bit, (1 << bit) + 1, (1 << 31) - 1 ^ 1 << bit):
            aged = end & 0x1FFF
            cycles.append(
                loaded(max(aged - 2, 0), max(end - 3, 0), periods=aged, interval=end, scored=0)
            )
            cycles += [{"scored": 1}] * 5
    count(cycles)


def test_intervals_that_differ_in_one_bit_are_not_due():
    cycles = []
    for bit in range(31):
        for base in (0, (1 << 31) - 1):
            end = base ^ 1 << bit
            cycles.append(loaded(base & 0x1FFF, base, periods=end & 0x1FFF, interval=end))
            cycles += [{"scored": 1}] * 2
    count(cycles)


def test_intervals_keep_polarity_and_number_of_transfers():
    cycles = [{"invert": 1}]
    for start in range(16):
        cycles.append(loaded(0, 0, load_negative=start & 1, load_transfers=start))
        for invert in (0, 1, 1, 0, 1):
            cycles += [{"transferred": 1, "invert": invert}, {}]
    count(cycles)


def test_intervals_of_random_cycles():
    rng = random.Random(1)
    cycles = []
    for _ in range(4000):
        changes = {name: 1 for name in PULSES if rng.random() < (0.02 if name == "load" else 0.5)}
        for name, most in {"invert": 1, "periods": 6, "interval": 9}.items():
            if rng.random() < 0.05:
                changes[name] = rng.randint(0, most)
        if "load" in changes:
            changes |= loaded(rng.randint(0, 4), rng.randint(0, 6))
            changes |= {"load_negative": rng.randint(0, 1), "load_transfers": rng.randint(0, 15)}
        cycles.append(changes)
    count(cycles)


BENCHES = [
    test_intervals_by_hand,
    test_intervals_of_small_periods,
    test_intervals_use_every_bit_of_their_counts,
    test_intervals_that_differ_in_one_bit_are_not_due,
    test_intervals_keep_polarity_and_number_of_transfers,
    test_intervals_of_random_cycles,
]
