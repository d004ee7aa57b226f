# SPDX-License-Identifier: Apache-2.0
"""The server of a tile refuses what no bridge may ask, and counts what it did."""

import pytest

from analog_models.fixed_tile import FixedTile
from analog_models.presets import TUNED
from cosim.bridge import BridgeOperation
from cosim.tile_server import PortError, TileServer
from cosim.timing import SHORT
from rtl.tile_port import TileOp


def make_tile(rows=13, cols=10):
    return FixedTile(rows, cols, TUNED, forward_shift=16, backward_shift=12, seed=3, tile=5)


def word(op, row=0, count=0):
    """Operation number ``count``, as a bridge asks for it."""
    fields = {"command": {"op": op, "row": row}, "count": count}
    return BridgeOperation.const(fields).as_bits()


def test_server_rejects_what_cannot_be():
    server = TileServer(make_tile(), SHORT)
    with pytest.raises(ValueError, match=r"^operation must be one of 0\.\.8, not 9$"):
        server.serve(9, 0)
    with pytest.raises(ValueError, match=r"^row of READ must be below 13, not 13$"):
        server.serve(word(TileOp.READ, 13), 0)
    with pytest.raises(PortError, match=r"^operation must be number 0, not 1$"):
        server.serve(word(TileOp.AGE, count=1), 0)
    assert server.count == 0


def test_server_counts_beyond_the_word():
    server = TileServer(make_tile(2, 2), SHORT)
    server.count = 2**14 - 1
    for count in (2**14 - 1, 0, 1):
        server.serve(word(TileOp.POLARITY, count=count), 0)
    assert server.count == 2**14 + 2


def test_server_measures_its_time():
    server = TileServer(make_tile(200, 200), SHORT)
    for k in range(3):
        server.serve(word(TileOp.FORWARD, count=k), 0)
    assert server.model_seconds > 0
    assert server.exchange_seconds > 0
