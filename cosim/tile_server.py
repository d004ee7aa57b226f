# SPDX-License-Identifier: Apache-2.0
"""Executes the operations of a :class:`cosim.bridge.TileBridge` on a tile model."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from analog_models.tile import Tile
from golden.hardware import beats
from rtl.tile_port import Command, TileOp

from .bridge import BridgeOperation
from .timing import Timing

__all__ = ["Operation", "PortError", "TileServer", "risen", "serve_tile"]


class PortError(ValueError):
    """The controller asked a tile for what no tile does."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of a tile, with all that went in and came out.

    Parameters
    ----------
    op : TileOp
    row : int
        READ, PROGRAM, INIT and TUNE; otherwise 0.
    log2_reads : int
        READ; otherwise 0.
    sign : int
        POLARITY; otherwise 1.
    inputs : tuple of ndarray
        FORWARD, BACKWARD, TUNE: one; UPDATE: rows, columns; PROGRAM: G+, G-.
    output : ndarray or None
        FORWARD, BACKWARD, READ.
    """

    op: TileOp
    row: int = 0
    log2_reads: int = 0
    sign: int = 1
    inputs: tuple[np.ndarray, ...] = ()
    output: np.ndarray | None = None


def _field(layout, name):
    field = layout[name]
    return field.offset, (1 << field.width) - 1


_COMMAND = Command.as_shape()
_OP, _OP_MASK = _field(_COMMAND, "op")
_ROW, _ROW_MASK = _field(_COMMAND, "row")
_READS, _READS_MASK = _field(_COMMAND, "log2_reads")
_NEGATIVE, _ = _field(_COMMAND, "negative")
_MALFORMED, _ = _field(BridgeOperation, "malformed")
_COUNT, _COUNT_MASK = _field(BridgeOperation, "count")
_OPS = {op.value: op for op in TileOp}


def _codes(word: int, n: int) -> np.ndarray:
    """Lowest ``n`` bytes as int8."""
    return np.frombuffer((word & ((1 << 8 * n) - 1)).to_bytes(n, "little"), np.int8)


def _sevens(word: int, n: int) -> np.ndarray:
    """Lowest ``n`` fields of 7 bits as uint8."""
    size = (7 * n + 7) // 8
    raw = np.frombuffer((word & ((1 << 7 * n) - 1)).to_bytes(size, "little"), np.uint8)
    bits = np.unpackbits(raw, count=7 * n, bitorder="little")
    return np.packbits(bits.reshape(n, 7), axis=1, bitorder="little")[:, 0]


def _pack_bytes(codes: np.ndarray) -> int:
    return int.from_bytes(codes.astype(np.int8).tobytes(), "little")


def _pack_twelves(codes: np.ndarray) -> int:
    raw = codes.astype("<i2").view(np.uint8)
    bits = np.unpackbits(raw, bitorder="little").reshape(-1, 16)[:, :12]
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


class TileServer:
    """Executes packed operations on a tile model.

    Parameters
    ----------
    tile : Tile
    timing : Timing
    log : callable, optional
        Called as ``log(k, operation)`` with the :class:`Operation` number ``k`` when it is done;
        what it raises ends the simulation. :meth:`cosim.scoreboard.Scoreboard.log` makes one.
    lanes : int
        Of the bridge: they fix where the column pulses of UPDATE start.

    Attributes
    ----------
    count : int
        Operations so far; set it to 0 when the bridge is reset.
    exchange_seconds, model_seconds : float
        Time spent in moving and converting words, and in the tile model. The log is in neither.
    """

    def __init__(
        self,
        tile: Tile,
        timing: Timing,
        log: Callable[[int, Operation], None] | None = None,
        *,
        lanes: int = 64,
    ):
        self.tile, self.timing, self.log = tile, timing, log
        self.column_offset = 8 * lanes * beats(tile.rows, lanes)
        self.count = 0
        self.exchange_seconds = self.model_seconds = 0.0

    def serve(self, operation_word: int, vector_word: int) -> tuple[int, int]:
        """Execute one operation; both words as :class:`cosim.bridge.TileBridge` packs them.

        Returns
        -------
        result : int
            Packed codes, 0 if the operation has none.
        duration : int, cycles

        Raises
        ------
        PortError
            If the operation does not exist, has a row that the tile lacks or a vector that is too
            short or too long, or if one was missed before it.
        """
        start = perf_counter()
        op = self._checked(operation_word)
        row = reads = 0
        sign = 1
        inputs = self._inputs(op, vector_word)
        if op in (TileOp.READ, TileOp.PROGRAM, TileOp.INIT, TileOp.TUNE):
            row = operation_word >> _ROW & _ROW_MASK
            if row >= self.tile.rows:
                raise PortError(f"row of {op.name} must be below {self.tile.rows}, not {row}")
        if op == TileOp.READ:
            reads = operation_word >> _READS & _READS_MASK
        elif op == TileOp.POLARITY and operation_word >> _NEGATIVE & 1:
            sign = -1
        middle = perf_counter()
        output = self._execute(op, row, reads, sign, inputs)
        end = perf_counter()
        result = 0
        if output is not None:
            result = _pack_twelves(output) if op == TileOp.READ else _pack_bytes(output)
        duration = self.timing.cycles(op, reads, inputs)
        self.model_seconds += end - middle
        self.exchange_seconds += perf_counter() - end + middle - start
        k, self.count = self.count, self.count + 1
        if self.log is not None:
            self.log(k, Operation(op, row, reads, sign, inputs, output))
        return result, duration

    def _checked(self, word: int) -> TileOp:
        code = word >> _OP & _OP_MASK
        if code not in _OPS:
            raise PortError(f"operation must be one of 0..{max(_OPS)}, not {code}")
        if word >> _MALFORMED & 1:
            raise PortError(
                f"vector of {_OPS[code].name} must have as many beats as the tile needs"
            )
        number = word >> _COUNT & _COUNT_MASK
        if number != self.count & _COUNT_MASK:
            raise PortError(f"operation must be number {self.count}, not {number}")
        return _OPS[code]

    def _inputs(self, op: TileOp, word: int) -> tuple[np.ndarray, ...]:
        rows, cols = self.tile.rows, self.tile.cols
        if op == TileOp.FORWARD:
            return (_codes(word, rows),)
        if op == TileOp.BACKWARD:
            return (_codes(word, cols),)
        if op == TileOp.UPDATE:
            return _codes(word, rows), _codes(word >> self.column_offset, cols)
        if op == TileOp.PROGRAM:
            pairs = _sevens(word, 2 * cols)
            return pairs[0::2], pairs[1::2]
        if op == TileOp.TUNE:
            count = _sevens(word, 2 * cols)[0::2].astype(np.int8)
            return ((count ^ 64) - 64,)
        return ()

    def _execute(self, op, row, log2_reads, sign, inputs):
        tile = self.tile
        wide = [v.astype(np.int64) for v in inputs]  # products of pulse counts exceed 8 bits
        if op == TileOp.FORWARD:
            return tile.forward(*wide)
        if op == TileOp.BACKWARD:
            return tile.backward(*wide)
        if op == TileOp.READ:
            return tile.read(row, log2_reads)
        if op == TileOp.UPDATE:
            tile.update(*wide)
        elif op == TileOp.PROGRAM:
            tile.program(row, *wide)
        elif op == TileOp.INIT:
            tile.init(row)
        elif op == TileOp.TUNE:
            tile.tune(row, *wide)
        elif op == TileOp.POLARITY:
            tile.polarity(sign)
        else:
            tile.age(1)
        return None


async def risen(signal) -> None:
    """Wait until a signal of the clock domain rises, and what comes with it has settled.

    Verilator shows a time step when it is complete. Icarus shows a change before those that
    follow from it: there wait until the middle of the cycle.
    """
    import cocotb
    from cocotb.triggers import RisingEdge, Timer

    await RisingEdge(signal)
    if cocotb.SIM_NAME.startswith("Icarus"):
        await Timer(1, "step")


async def serve_tile(dut, prefix: str, server: TileServer) -> None:
    """Serve one bridge under cocotb for ever; to be started with ``cocotb.start_soon``.

    Tells the bridge the size of the tile first.

    Parameters
    ----------
    dut : cocotb handle
        Has the pins of the bridge as ``<prefix>__request`` and so on, or bare if ``prefix`` is "".
    server : TileServer
    """
    names = ("request", "operation", "vector", "result", "duration", "rows", "cols")
    pins = [getattr(dut, f"{prefix}__{name}" if prefix else name) for name in names]
    request, operation, vector, result, duration, rows, cols = pins
    rows.value, cols.value = server.tile.rows, server.tile.cols
    while True:
        await risen(request)
        start = perf_counter()
        words = operation.value.to_unsigned(), vector.value.to_unsigned()
        server.exchange_seconds += perf_counter() - start
        codes, cycles = server.serve(*words)
        start = perf_counter()
        result.value = codes
        duration.value = cycles
        server.exchange_seconds += perf_counter() - start
