# SPDX-License-Identifier: Apache-2.0
"""Interval counters: when cells age, when a transfer is due, and the polarity between transfers."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Intervals"]


class Intervals(wiring.Component):
    """Count examples, and transfers; all outlives a run, and can be restored.

    Golden: :meth:`golden.machine.Machine.age`, :meth:`golden.machine.Machine.transfer`.

    Members
    -------
    scored : ``In(1)``
        1 for the cycle in which an example counts.
    transferred, invert : ``In(1)``
        1 for the cycle in which a transfer ends; whether it flips the polarity.
    periods : ``In(13)``, interval : ``In(31)``
        Examples between ticks, and between transfers; 0 for none.
    load : ``In(1)``
        Take over what follows; wins over the rest.
    load_aged, load_trained, load_negative, load_transfers : ``In``
        Examples since the last tick, since the last transfer; polarity; transfers.
    age_due, transfer_due : ``Out(1)``
        From the cycle after an example on: it is the last one before a tick, a transfer.
    negative : ``Out(1)``, transfers : ``Out(4)``
        Polarity, and transfers modulo 16.
    """

    scored: In(1)
    transferred: In(1)
    invert: In(1)
    periods: In(13)
    interval: In(31)
    load: In(1)
    load_aged: In(13)
    load_trained: In(31)
    load_negative: In(1)
    load_transfers: In(4)
    age_due: Out(1)
    transfer_due: Out(1)
    negative: Out(1)
    transfers: Out(4)

    def elaborate(self, platform):
        m = Module()
        aged, trained = Signal(13), Signal(31)
        with m.If(self.load):
            m.d.sync += [
                self.negative.eq(self.load_negative),
                self.transfers.eq(self.load_transfers),
                aged.eq(self.load_aged),
                trained.eq(self.load_trained),
            ]
        with m.Elif(self.scored):
            for count, limit, due in (
                (aged, self.periods, self.age_due),
                (trained, self.interval, self.transfer_due),
            ):
                last = count + 1 == limit
                m.d.sync += [due.eq(last), count.eq(Mux(last, 0, count + 1))]
        with m.Elif(self.transferred):
            m.d.sync += [
                self.negative.eq(self.negative ^ self.invert),
                self.transfers.eq(self.transfers + 1),
            ]
        return m
