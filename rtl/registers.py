# SPDX-License-Identifier: Apache-2.0
"""The host's registers: an AXI4-Lite slave made from a register map."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.register_map import WORD, Register, RegisterMap, Window

from .axi import OKAY, SLVERR, AxiLite
from .reduce import or_tree
from .statistics import COUNTER_BITS

__all__ = ["RegisterFile", "register_layout"]


def register_layout(register: Register):
    """Layout of one register's fields."""
    shapes = {f.name: signed(f.width) if f.signed else unsigned(f.width) for f in register.fields}
    return data.StructLayout(shapes)


class RegisterFile(wiring.Component):
    """Registers and memory windows of a host.

    Timing, in cycles after the handshake of the address; a write comes 2 cycles after that of its
    data at the earliest:

    ==========================================  ==============================================
    write: register, pulse, ``en`` and bvalid   3; one write every 3 cycles
    read: ``r_en``, ``counter_index``           1
    read: rvalid                                4; one read every 5 cycles
    ==========================================  ==============================================

    A write waits until the response before it was taken; reads go on. An error (SLVERR, without
    any effect) is an address that does not exist, a write to a read-only register, a write to a
    window or to an ``idle_only`` register or a read of a window while ``busy``, and a write of a
    part of a window's word. Write-only things read 0. ``busy`` counts in the cycle before a write
    has its effect, so it must rise at most one cycle after a pulse that makes the controller busy.

    Parameters
    ----------
    registers : RegisterMap
        ``COUNTER_LOW`` and ``COUNTER_HIGH`` are read through ``counter_index``.

    Members
    -------
    bus : ``In(AxiLite(registers.addr_width))``
    busy : ``In(1)``
    <register> : of its layout, or an array of it if ``count`` is given
        ``Out`` if rw or pulse (high for one cycle); ``In`` if ro, reset values where undriven.
    <window>_addr, <window>_data, <window>_en : ``Out``
        Write port; ``en`` lasts one cycle, address and data count with it only.
    <window>_r_addr, <window>_r_en : ``Out``, <window>_r_data : ``In``
        Read port of a readable window; ``r_data`` counts in the cycle after ``r_en``.
    counter_index : ``Out``, counter_value : ``In(48)``
        The value counts one cycle after ``counter_index`` came, which stays until then.
    """

    def __init__(self, registers: RegisterMap):
        self.registers = registers
        members = {"bus": In(AxiLite(registers.addr_width)), "busy": In(1)}
        for entry in registers.entries:
            name = entry.name.lower()
            if isinstance(entry, Window):
                members |= {
                    f"{name}_addr": Out(range(entry.words)),
                    f"{name}_data": Out(entry.width),
                    f"{name}_en": Out(1),
                }
                if entry.readable:
                    members |= {
                        f"{name}_r_addr": Out(range(entry.words)),
                        f"{name}_r_en": Out(1),
                        f"{name}_r_data": In(entry.width),
                    }
            elif name == "counter_low":
                members |= {
                    "counter_index": Out(range(entry.words)),
                    "counter_value": In(COUNTER_BITS),
                }
            elif name != "counter_high":
                layout = register_layout(entry)
                reset = {f.name: f.reset for f in entry.fields}
                if entry.count is not None:
                    layout = data.ArrayLayout(layout, entry.count)
                    reset = [reset] * entry.count
                members[name] = (In if entry.access == "ro" else Out)(layout, init=reset)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _case(self, entry):
        """Pattern of the word addresses that an entry takes, also those past its last word."""
        bits = self.registers.addr_width - 2
        low = (entry.words - 1).bit_length()
        high = self.registers.offset[entry.name] >> (2 + low)
        return (f"{high:0{bits - low}b}" if bits > low else "") + "-" * low

    def _element(self, entry, index):
        """Raw bits of a register."""
        port = getattr(self, entry.name.lower())
        return (port if entry.count is None else port[index]).as_value()

    def _write(self, m):
        """Take address and data in any order, then write once."""
        bus = self.bus
        # no reset where the value counts only with another signal
        word = Signal(len(bus.awaddr) - 2, reset_less=True)
        value = Signal(WORD, reset_less=True)
        strobes = Signal(WORD // 8, reset_less=True)
        have_address = Signal()
        have_value = Signal()
        # of the word, as registers: a write enable of every register hangs on them
        decoded = Signal()
        exists, when_idle, whole = Signal(), Signal(), Signal()
        write = Signal()
        allowed = Signal()
        m.d.comb += [
            bus.awready.eq(~have_address),
            bus.wready.eq(~have_value),
            write.eq(decoded & have_value & (~bus.bvalid | bus.bready)),
            allowed.eq(exists & ~(self.busy & when_idle) & (strobes.all() | ~whole)),
        ]
        m.d.sync += [
            decoded.eq(have_address & ~write),
            exists.eq(0),
            when_idle.eq(0),
            whole.eq(0),
        ]
        with m.If(write):
            m.d.sync += [have_address.eq(0), have_value.eq(0)]
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(allowed, OKAY, SLVERR))]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [word.eq(bus.awaddr[2:]), have_address.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [value.eq(bus.wdata), strobes.eq(bus.wstrb), have_value.eq(1)]

        written = Cat(bit.replicate(8) for bit in strobes)
        for entry in self.registers.entries:
            name = entry.name.lower()
            if isinstance(entry, Window):  # word and value stay until a cycle after the write
                m.d.comb += getattr(self, f"{name}_addr").eq(word)
                m.d.comb += getattr(self, f"{name}_data").eq(value)
                m.d.sync += getattr(self, f"{name}_en").eq(0)
            elif entry.access == "pulse":
                m.d.sync += getattr(self, name).as_value().eq(0)

        for entry in self.registers.entries:
            if isinstance(entry, Register) and entry.access == "ro":
                continue
            name, index = entry.name.lower(), word[: (entry.words - 1).bit_length()]
            window = isinstance(entry, Window)
            with m.If(word.matches(self._case(entry))):
                m.d.sync += [
                    exists.eq(index < entry.words),
                    when_idle.eq(window or entry.idle_only),
                    whole.eq(window),
                ]
            for i in range(1 if window else entry.words):
                chosen = Signal(name=f"{name}_{i}_chosen")
                here = word.matches(self._case(entry))
                m.d.sync += chosen.eq(here if window else here & (index == i))
                with m.If(write & allowed & chosen):
                    if window:
                        m.d.sync += getattr(self, f"{name}_en").eq(1)
                    else:
                        target = self._element(entry, i)
                        m.d.sync += target.eq(target & ~written | value & written)

    def _read(self, m):
        """Ask for a word, fetch it in the next cycle, choose it, answer in the one after."""
        bus = self.bus
        word = Signal(len(bus.araddr) - 2, reset_less=True)
        asked = Signal()
        fetched, chosen = Signal(), Signal()
        value, chosen_value = Signal(WORD), Signal(WORD)
        exists, chosen_exists = Signal(), Signal()
        counter_high = Signal(COUNTER_BITS - WORD)
        m.d.comb += bus.arready.eq(~(asked | fetched | chosen | bus.rvalid))
        m.d.sync += [
            asked.eq(bus.arvalid & bus.arready),
            fetched.eq(asked),
            chosen.eq(fetched),
            chosen_value.eq(value),
            chosen_exists.eq(exists),
        ]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += word.eq(bus.araddr[2:])
        with m.If(chosen):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(Mux(chosen_exists, chosen_value, 0))]
            m.d.sync += bus.rresp.eq(Mux(chosen_exists, OKAY, SLVERR))
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)

        # decoded while it is being fetched
        there, when_idle = Signal(), Signal()
        m.d.sync += [there.eq(0), when_idle.eq(0)]
        m.d.comb += exists.eq(there & ~(self.busy & when_idle))
        values = []
        for entry in self.registers.entries:
            name = entry.name.lower()
            index = word[: (entry.words - 1).bit_length()]
            here = word.matches(self._case(entry))
            with m.If(here):
                m.d.sync += there.eq(index < entry.words)
                if isinstance(entry, Window) and entry.readable:
                    m.d.sync += when_idle.eq(1)
            if isinstance(entry, Window):
                sources = [getattr(self, f"{name}_r_data")] if entry.readable else []
            elif name == "counter_low":
                sources = [self.counter_value[:WORD]]
            elif name == "counter_high":
                sources = [counter_high]
            elif entry.access == "pulse":
                sources = []
            else:
                sources = [self._element(entry, i) for i in range(entry.words)]
            for i, source in enumerate(sources):
                asks = Signal(name=f"{name}_{i}_asked")
                m.d.sync += asks.eq(here & (index == i) if len(sources) > 1 else here)
                values.append(Mux(asks, source, 0))
                if name == "counter_low":
                    with m.If(fetched & exists & asks):
                        m.d.sync += counter_high.eq(self.counter_value[WORD:])
        m.d.comb += value.eq(or_tree(values))

        for entry in self.registers.entries:
            name = entry.name.lower()
            if name == "counter_low":
                m.d.comb += self.counter_index.eq(word)
            elif isinstance(entry, Window) and entry.readable:
                # decoded with the handshake: the address of a large memory hangs on it
                ahead = bus.araddr[2:]
                known = ahead.matches(self._case(entry)) & (
                    ahead[: (entry.words - 1).bit_length()] < entry.words
                )
                ask = bus.arvalid & bus.arready & known & ~self.busy
                m.d.sync += getattr(self, f"{name}_r_en").eq(ask)
                m.d.comb += getattr(self, f"{name}_r_addr").eq(word)
