# SPDX-License-Identifier: Apache-2.0
"""AXI ports, with the signal names of the AMBA specification."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from analog_models.config import check

__all__ = ["OKAY", "SLVERR", "AxiLite", "AxiStream"]

#: Responses.
OKAY, SLVERR = 0, 2


class AxiLite(wiring.Signature):
    """Signature of an AXI4-Lite port, seen from the host.

    Parameters
    ----------
    addr_width : int, bits
    data_width : int, 32 or 64

    Members
    -------
    awaddr : ``Out(addr_width)``, awprot : ``Out(3)``, awvalid : ``Out(1)``, awready : ``In(1)``
    wdata : ``Out(data_width)``, wstrb : ``Out(data_width // 8)``, wvalid, wready
    bresp : ``In(2)``, bvalid : ``In(1)``, bready : ``Out(1)``
    araddr : ``Out(addr_width)``, arprot : ``Out(3)``, arvalid, arready
    rdata : ``In(data_width)``, rresp : ``In(2)``, rvalid, rready
    """

    def __init__(self, addr_width, data_width=32):
        check(addr_width > 0, "addr_width", "positive", addr_width)
        check(data_width in (32, 64), "data_width", "32 or 64", data_width)
        self.addr_width, self.data_width = addr_width, data_width
        super().__init__({
            "awaddr": Out(addr_width),
            "awprot": Out(3),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(data_width),
            "wstrb": Out(data_width // 8),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(addr_width),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(data_width),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        })


class AxiStream(wiring.Signature):
    """Signature of an AXI4-Stream port, seen from the source.

    Parameters
    ----------
    data_bytes : int

    Members
    -------
    tdata : ``Out(8 * data_bytes)``, the first byte lowest
    tlast : ``Out(1)``
    tvalid : ``Out(1)``, tready : ``In(1)``
    """

    def __init__(self, data_bytes):
        check(data_bytes > 0, "data_bytes", "positive", data_bytes)
        self.data_bytes = data_bytes
        super().__init__({
            "tdata": Out(8 * data_bytes),
            "tlast": Out(1),
            "tvalid": Out(1),
            "tready": In(1),
        })
