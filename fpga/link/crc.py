# SPDX-License-Identifier: Apache-2.0
"""CRC-32 of bytes, half a byte a cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

__all__ = ["ByteCrc"]


class ByteCrc(wiring.Component):
    """CRC-32 as of :func:`zlib.crc32`; half the logic of one that takes whole bytes.

    Members
    -------
    start : ``In(1)``
        Begin anew; not with or in the cycle after ``valid``.
    data : ``In(8)``, valid : ``In(1)``
        A byte, in every second cycle at most.
    value : ``Out(32)``
        From the second cycle after a byte on.
    busy : ``Out(1)``
        The cycle after ``valid``.
    right : ``Out(1)``
        The last four bytes were the CRC of all before.
    """

    start: In(1)
    data: In(8)
    valid: In(1)
    value: Out(32)
    busy: Out(1)
    right: Out(1)

    def elaborate(self, platform):
        m = Module()
        # The unit's own start would be one more input of every bit's logic.
        unit = CRC32_ISO_HDLC(data_width=4).create()
        m.submodules.unit = ResetInserter(self.start)(unit)
        rest = Signal(4)
        m.d.sync += [self.busy.eq(self.valid), rest.eq(self.data[4:])]
        m.d.comb += [
            unit.data.eq(Mux(self.busy, rest, self.data[:4])),
            unit.valid.eq(self.valid | self.busy),
            self.value.eq(unit.crc),
            self.right.eq(unit.match_detected),
        ]
        return m
