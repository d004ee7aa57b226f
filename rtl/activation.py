# SPDX-License-Identifier: Apache-2.0
"""Activation unit: function and derivative from a table, all lanes at once."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .scatter import counted_beat

__all__ = ["Activated", "Activation"]


class Activated(data.Struct):
    """What a neuron passes on: activation, and derivative for the way back."""

    value: signed(8)
    slope: 8


class Activation(wiring.Component):
    """Look up activations.

    Golden: :func:`golden.tables.activation_table`. Latency 1 cycle, one beat a cycle. Every lane
    has a memory with all tables.

    Parameters
    ----------
    lanes : int
        Codes in a beat.
    tables : int
        Tables of 256 entries.

    Members
    -------
    i : ``In(stream.Signature(counted_beat(signed(8), lanes)))``
    o : ``Out(stream.Signature(counted_beat(Activated, lanes)))``
    select : ``In(range(tables))``
    table_addr, table_data, table_en : ``In``
        Write entry ``table * 256 + (code & 255)``.
    """

    def __init__(self, lanes, tables):
        self.lanes, self.tables = lanes, tables
        super().__init__({
            "i": In(stream.Signature(counted_beat(signed(8), lanes))),
            "o": Out(stream.Signature(counted_beat(Activated, lanes))),
            "select": In(range(tables)),
            "table_addr": In(range(tables * 256)),
            "table_data": In(Activated),
            "table_en": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        for k in range(self.lanes):
            # one memory with a read port a lane would be the same, but yosys's memory_libmap runs
            # out of memory over 16 read ports
            memory = Memory(shape=Activated, depth=self.tables * 256, init=[])
            m.submodules[f"memory_{k}"] = memory
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                write.addr.eq(self.table_addr),
                write.data.eq(self.table_data),
                write.en.eq(self.table_en),
                read.addr.eq(Cat(self.i.p.data[k].as_unsigned(), self.select)),
                read.en.eq(self.i.ready),
                self.o.p.data[k].eq(read.data),
            ]
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.p.count.eq(self.i.p.count)]
        return m
