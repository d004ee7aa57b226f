# SPDX-License-Identifier: Apache-2.0
"""What the vector unit knows of a layer: blocks, places in its memories, rate and table."""

from amaranth.lib import data

__all__ = ["LayerSetup"]


class LayerSetup(data.Struct):
    """Registers of one layer; see :func:`golden.registers.register_map`."""

    row_blocks: 10
    col_blocks: 10
    x_read: 12
    x_write: 12
    d_base: 12
    row_lanes: 14
    col_lanes: 14
    mult: 8
    shift: 5
    table: 4
