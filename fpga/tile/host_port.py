# SPDX-License-Identifier: Apache-2.0
"""The port through which a host reaches the memory of the emulated tiles."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["HostPort"]


class HostPort(wiring.Signature):
    """Signature of the memory of the tiles, seen from the host.

    Members
    -------
    valid : ``Out(1)``, ready : ``In(1)``
        A request, and its end; it waits while a tile works.
    write : ``Out(1)``, tile : ``Out(5)``, plane : ``Out(3)``, index : ``Out(18)``
        See :class:`fpga.tile.layout.Plane`; there must be such a tile.
    w_data : ``Out(32)``, r_data : ``In(32)``
        The latter together with ``ready``; 0 where the plane is write only.
    """

    def __init__(self):
        super().__init__({
            "valid": Out(1),
            "ready": In(1),
            "write": Out(1),
            "tile": Out(5),
            "plane": Out(3),
            "index": Out(18),
            "w_data": Out(32),
            "r_data": In(32),
        })
