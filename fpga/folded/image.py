# SPDX-License-Identifier: Apache-2.0
"""The image of a program in the flash memory, and the circuit that loads it."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .isa import INSTRUCTION_BITS, MEMORY_WORDS, PROGRAM_WORDS, WORD_BITS, WORDS, Program

__all__ = ["IMAGE_ADDRESS", "SIZES", "FlashPins", "Loader", "image"]

#: Where the image lies: behind the bitstream, which takes 104,090 bytes on a UP5K.
IMAGE_ADDRESS = 1 << 17
#: Words, memory and instructions of the core.
SIZES = (WORDS, MEMORY_WORDS, PROGRAM_WORDS)
#: Pieces of 16 bits, lower ones first, in each of them, and in the sum of all that ends an image.
_PIECES = (WORD_BITS // 16, 1, INSTRUCTION_BITS // 16, 1)
#: Cycles from waking the flash memory up to asking it: 34 us at 30 MHz, of which it needs 3
#: (Winbond W25Q128JV, tRES1).
_WAKE = 1024

FlashPins = wiring.Signature({"cs": Out(1), "clk": Out(1), "copi": Out(1), "cipo": In(1)})


def image(program: Program, sizes=SIZES) -> bytes:
    """Return what the flash memory holds at :data:`IMAGE_ADDRESS`."""
    words, memory, instructions = sizes

    def padded(values, n):
        return [*values, *[0] * (n - len(values))]

    pieces = [v >> k & 0xFFFF for v in padded(program.words, words) for k in (0, 16)]
    pieces += padded(program.memory, memory)
    codes = padded([i.encode() for i in program.instructions], instructions)
    pieces += [c >> k & 0xFFFF for c in codes for k in (0, 16, 32)]
    pieces.append(-sum(pieces) & 0xFFFF)
    return b"".join(p.to_bytes(2, "little") for p in pieces)


class Loader(wiring.Component):
    """Read the image from a flash memory of 25 series: two cycles a bit.

    Parameters
    ----------
    sizes : tuple of int
        Words, pieces of memory and instructions.

    Members
    -------
    flash : ``Out(FlashPins)``
    piece : ``Out``
        What ``word``, ``memory`` and ``program`` have written: 32, 16 or 48 bits.
    at : ``Out``
        Its number.
    word, memory, program : ``Out(1)``
        Write it there.
    done : ``Out(1)``
        All is there, and the sum is right.
    """

    flash: Out(FlashPins)
    piece: Out(INSTRUCTION_BITS)
    at: Out(range(max(PROGRAM_WORDS, MEMORY_WORDS)))
    word: Out(1)
    memory: Out(1)
    program: Out(1)
    done: Out(1)

    def __init__(self, sizes=SIZES):
        self.sizes = sizes
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        flash = self.flash
        out, left = Signal(32), Signal(range(_WAKE))
        phase = Signal()  # the clock is high: the flash memory has read a bit, and has said one
        got, bits = Signal(16), Signal(4)
        total = Signal(16)
        parts = Array(n - 1 for n in _PIECES)
        lasts = Array(n - 1 for n in (*self.sizes, 1))
        kind, part = Signal(2), Signal(2)
        m.d.comb += [flash.copi.eq(out[-1]), flash.clk.eq(phase)]
        whole = Cat(got[8:], got[:8])  # bits come from the highest one on, bytes from the lowest
        complete = Signal()
        m.d.sync += complete.eq(0)
        with m.If(complete):
            m.d.sync += total.eq(total + whole)
            m.d.sync += self.piece.eq(Cat(self.piece[16:], whole))
            m.d.sync += part.eq(part + 1)
            with m.If(part == parts[kind]):
                m.d.sync += part.eq(0)
        written = Signal()
        m.d.sync += written.eq(complete & (part == parts[kind]))
        m.d.comb += [
            self.word.eq(written & (kind == 0)),
            self.memory.eq(written & (kind == 1)),
            self.program.eq(written & (kind == 2)),
        ]
        with m.If(written):
            m.d.sync += self.at.eq(self.at + 1)
            with m.If(self.at == lasts[kind]):
                m.d.sync += [self.at.eq(0), kind.eq(kind + 1)]

        with m.FSM():
            with m.State("BEGIN"):
                m.d.sync += [flash.cs.eq(1), out.eq(0xAB << 24), left.eq(7)]
                m.next = "WAKE"
            with m.State("WAKE"):
                self._send(m, phase, out, left, "REST")
            with m.State("REST"):
                m.d.sync += [flash.cs.eq(0), left.eq(left + 1)]
                with m.If(left == _WAKE - 1):
                    m.d.sync += [flash.cs.eq(1), out.eq(3 << 24 | IMAGE_ADDRESS), left.eq(31)]
                    m.next = "ASK"
            with m.State("ASK"):
                self._send(m, phase, out, left, "READ")
            with m.State("READ"):
                m.d.sync += phase.eq(~phase)
                with m.If(phase):
                    m.d.sync += [got.eq(Cat(flash.cipo, got)), bits.eq(bits + 1)]
                    m.d.sync += complete.eq(bits == 15)
                with m.If(written & (kind == 3)):
                    m.d.sync += [flash.cs.eq(0), phase.eq(0), self.done.eq(total == 0)]
                    m.next = "END"
            with m.State("END"):
                pass
        return m

    def _send(self, m, phase, out, left, then):
        """Send ``left + 1`` bits."""
        m.d.sync += phase.eq(~phase)
        with m.If(phase):
            m.d.sync += [out.eq(out << 1), left.eq(left - 1)]
            with m.If(left == 0):
                m.d.sync += left.eq(0)
                m.next = then
