# SPDX-License-Identifier: Apache-2.0
"""Reference cells: one a row, against which the read FETs of the row compare."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .near import later
from .tiles_layout import TilesLayout

__all__ = ["LEAK_STAGE", "Reference"]

#: Stage in which a cell that has leaked is written back; 0 is that of the row.
LEAK_STAGE = 6


class Reference(wiring.Component):
    """Capacitor codes of the reference cells, and their leakage.

    Golden: ``v_ref`` of :class:`analog_models.fixed_tile.FixedTile`.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    row : ``In``
        Stage 0.
    v : ``Out(signed(16))``
        Stage 2: its code.
    leak : ``In(1)``, leak_row : ``In``
        Stage 6: write what a tick of leakage leaves.
    store : ``In(1)``, store_leak : ``In(1)``, store_row : ``In``
        Write a code from outside, and the leakage as well.
    bus : ``In(32)``
        Code, and leakage << 16.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        super().__init__({
            "row": In(range(layout.first_row[-1])),
            "v": Out(signed(16)),
            "leak": In(1),
            "leak_row": In(range(layout.first_row[-1])),
            "store": In(1),
            "store_leak": In(1),
            "store_row": In(range(layout.first_row[-1])),
            "bus": In(32),
        })

    def elaborate(self, platform):
        m = Module()
        layout, bits = self.layout, self.layout.common.leak_bits
        rows = layout.first_row[-1]
        m.submodules.codes = codes = Memory(shape=signed(16), depth=rows, init=[])
        m.submodules.leaks = leaks = Memory(shape=bits, depth=rows, init=[])
        code_write, code_read = codes.write_port(), codes.read_port()
        leak_write, leak_read = leaks.write_port(), leaks.read_port()

        leak_2, leak_3 = Signal(bits), Signal(bits)
        away_3, product_4 = Signal(signed(17)), Signal(signed(17 + bits + 1))
        loss_5, state_6 = Signal(signed(17)), Signal(signed(16))
        v_5 = later(m, self.v, 3)[-1]
        m.d.sync += [
            self.v.eq(code_read.data),
            leak_2.eq(leak_read.data),
            leak_3.eq(leak_2),
            away_3.eq(layout.common.tables.v_leak - self.v),
            product_4.eq(away_3 * leak_3),
            loss_5.eq((product_4 + 32768) >> 16),
            state_6.eq(v_5 + loss_5),
        ]
        m.d.comb += [
            code_read.addr.eq(self.row),
            leak_read.addr.eq(self.row),
            leak_write.addr.eq(self.store_row),
            leak_write.data.eq(self.bus[16 : 16 + bits]),
            leak_write.en.eq(self.store & self.store_leak),
            code_write.addr.eq(Mux(self.store, self.store_row, self.leak_row)),
            code_write.data.eq(Mux(self.store, self.bus[:16].as_signed(), state_6)),
            code_write.en.eq(self.store | self.leak),
        ]
        return m
