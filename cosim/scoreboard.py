# SPDX-License-Identifier: Apache-2.0
"""Compares what the gateware asks of its tiles with what the golden machine asks of its own."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from analog_models.tile import Tile
from golden.machine import COUNTERS, LAYER_COUNTERS
from rtl.tile_port import TileOp

from .golden_log import GoldenLog
from .tile_server import Operation

__all__ = ["Mismatch", "Scoreboard", "digest"]

#: What the inputs and the output of an operation are called.
INPUTS = {
    TileOp.FORWARD: ("row code",),
    TileOp.BACKWARD: ("column code",),
    TileOp.UPDATE: ("row pulse count", "column pulse count"),
    TileOp.PROGRAM: ("G+ code", "G- code"),
    TileOp.TUNE: ("pulse count",),
}
OUTPUTS = {
    TileOp.FORWARD: "result (column code)",
    TileOp.BACKWARD: "result (row code)",
    TileOp.READ: "result (read code)",
}


class Mismatch(AssertionError):
    """The first difference between the gateware and the golden machine; the text says which.

    Parameters
    ----------
    what : str
        Name of the value that differs.
    golden, rtl : object
        The value as it must be, and as it is; None if there is none.
    index : tuple of int, optional
        Where in an array.
    tile, layer : int, optional
    k : int, optional
        Number of the operation among those of the tile, from 0.
    operation : Operation, optional
        The golden one, or the gateware's if the golden machine has none.
    example, phase : optional
        See :class:`cosim.golden_log.Expected`.
    """

    def __init__(
        self,
        what: str,
        golden: object,
        rtl: object,
        *,
        index: tuple[int, ...] = (),
        tile: int | None = None,
        layer: int | None = None,
        k: int | None = None,
        operation: Operation | None = None,
        example: int | None = None,
        phase: str | None = None,
    ):
        self.what, self.golden, self.rtl, self.index = what, golden, rtl, index
        self.tile, self.layer, self.k = tile, layer, k
        self.operation = None if operation is None else operation.op.name
        self.row = operation.row if operation is not None and operation.op in _ROWED else None
        self.example, self.phase = example, phase
        place = [
            None if example is None else f"example {example}",
            phase,
            None if layer is None else f"layer {layer}",
            None if tile is None else f"tile {tile}",
            None if k is None else f"operation {k}",
            self.operation,
            None if self.row is None else f"row {self.row}",
        ]
        where = ", ".join(p for p in place if p is not None)
        at = f"[{', '.join(map(str, index))}]" if index else ""
        want = "absent" if golden is None else golden
        have = "absent" if rtl is None else rtl
        super().__init__(f"{where}{': ' if where else ''}{what}{at} must be {want}, not {have}")


_ROWED = (TileOp.READ, TileOp.PROGRAM, TileOp.INIT, TileOp.TUNE)


def _difference(golden, rtl):
    """Return ``(index, golden, rtl)`` of the first element that differs, or None."""
    golden, rtl = np.asarray(golden), np.asarray(rtl)
    if golden.shape != rtl.shape:
        return (), f"of shape {golden.shape}", f"of shape {rtl.shape}"
    differs = golden != rtl
    if not differs.any():
        return None
    index = tuple(int(i) for i in np.unravel_index(np.argmax(differs), differs.shape))
    return index, golden[index].item(), rtl[index].item()


class Scoreboard:
    """Compares operations as they happen, counters and states at the end.

    Order matters within a tile; across tiles it is free. Every method raises the first
    :class:`Mismatch` that it finds and keeps it in ``mismatch``.

    Parameters
    ----------
    golden : GoldenLog
    advance : callable, optional
        Lets the golden machine run on, by an example say; False when there is nothing left to
        run. Called when a tile does more than the machine has done so far.

    Attributes
    ----------
    compared : list of int
        Operations found equal, by tile.
    mismatch : Mismatch or None
    """

    def __init__(self, golden: GoldenLog, advance: Callable[[], bool] = lambda: False):
        self.golden, self.advance = golden, advance
        self.compared = [0] * len(golden.tiles)
        self.mismatch: Mismatch | None = None

    def _fail(self, *args, **kwargs):
        mismatch = Mismatch(*args, **kwargs)
        if self.mismatch is None:
            self.mismatch = mismatch
        raise mismatch

    def log(self, tile: int) -> Callable[[int, Operation], None]:
        """Return what a :class:`cosim.tile_server.TileServer` takes as its ``log``."""
        return partial(self.compare, tile)

    def compare(self, tile: int, k: int, operation: Operation) -> None:
        """Compare operation number ``k`` of a tile, the next one, with the golden machine's."""
        if k != self.compared[tile]:
            raise ValueError(f"k must be {self.compared[tile]}, the next operation, not {k}")
        waiting = self.golden.expected[tile]
        while not waiting and self.advance():
            pass
        place: dict[str, Any] = {"tile": tile, "layer": self.golden.layer[tile], "k": k}
        if not waiting:
            self._fail("operation", None, operation.op.name, **place, operation=operation)
        want, example, phase = waiting[0]
        place |= {"operation": want, "example": example, "phase": phase}
        if want.op != operation.op:
            self._fail("operation", want.op.name, operation.op.name, **place)
        for name in ("row", "log2_reads", "sign"):
            a, b = getattr(want, name), getattr(operation, name)
            if a != b:
                self._fail("polarity" if name == "sign" else name, int(a), int(b), **place)
        names = INPUTS.get(want.op, ())
        for name, a, b in zip(names, want.inputs, operation.inputs, strict=True):
            self._compare_array(name, a, b, **place)
        if want.output is not None:
            self._compare_array(OUTPUTS[want.op], want.output, operation.output, **place)
        waiting.popleft()
        self.compared[tile] += 1

    def _compare_array(self, name, golden, rtl, **place):
        found = _difference(golden, rtl)
        if found is not None:
            index, a, b = found
            self._fail(name, a, b, index=index, **place)

    def finish(self) -> None:
        """Let the golden machine run to its end; no operation may be left over."""
        while self.advance():
            pass
        for tile, waiting in enumerate(self.golden.expected):
            if waiting:
                want, example, phase = waiting[0]
                self._fail(
                    "operation",
                    want.op.name,
                    None,
                    tile=tile,
                    layer=self.golden.layer[tile],
                    k=self.compared[tile],
                    operation=want,
                    example=example,
                    phase=phase,
                )

    def compare_counters(
        self,
        counters: Mapping[str, int] | Sequence[int] | np.ndarray,
        layer_counters: Sequence | np.ndarray | None = None,
    ) -> None:
        """Compare counters with the golden machine's.

        Parameters
        ----------
        counters : mapping by name, or sequence
            Of the chip, :data:`golden.machine.COUNTERS`; a mapping may leave some out.
        layer_counters : sequence of either, one a layer, optional
            Of the layers, :data:`golden.machine.LAYER_COUNTERS`.
        """
        self._compare_named(COUNTERS, self.golden.machine.counters, counters)
        if layer_counters is None:
            return
        golden = self.golden.machine.layer_counters
        for layer, (a, b) in enumerate(zip(golden, layer_counters, strict=True)):
            self._compare_named(LAYER_COUNTERS, a, b, layer=layer)

    def _compare_named(self, names, golden, rtl, **place):
        pairs = dict(rtl) if isinstance(rtl, Mapping) else dict(zip(names, rtl, strict=True))
        for name, b in pairs.items():
            a = golden[names.index(name)]
            if a != b:
                self._fail(f"counter {name}", int(a), int(b), **place)

    def compare_lanes(self, row_lanes: Sequence, column_lanes: Sequence) -> None:
        """Compare the random lanes of all layers: a sequence of arrays for rows and columns."""
        m = self.golden.machine
        for kind, golden, rtl in (
            ("row lane", m.row_lanes, row_lanes),
            ("column lane", m.column_lanes, column_lanes),
        ):
            for layer, (a, b) in enumerate(zip(golden, rtl, strict=True)):
                self._compare_array(kind, a, b, layer=layer)

    def compare_states(self, tiles: Sequence[Tile]) -> None:
        """Compare the states of all tiles, in the order of ``GoldenLog.tiles``."""
        pairs = zip(self.golden.tiles, tiles, strict=True)
        for tile, (golden, rtl) in enumerate(pairs):
            states = golden.tile.state(), rtl.state()
            place = {"tile": tile, "layer": self.golden.layer[tile]}
            for name, array in states[0].items():
                self._compare_array(f"state {name}", array, states[1][name], **place)


def digest(
    tiles: Sequence[Tile],
    lanes: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    counters: tuple[np.ndarray, np.ndarray],
    sign: int,
) -> str:
    """SHA-256 of a chip, equal to :meth:`golden.trainer.AnalogClassifier.digest`.

    Parameters
    ----------
    tiles : sequence of Tile, layer by layer, row block by row block
    lanes : (row lanes, column lanes)
        Each a sequence of arrays, one a layer.
    counters : (counters, layer counters)
        Arrays of shape (9,) and (layers, 4), in the order of :data:`golden.machine.COUNTERS` and
        :data:`golden.machine.LAYER_COUNTERS`.
    sign : +1 or -1
        Polarity of all tiles.
    """
    state = {
        "counters": np.asarray(counters[0], np.int64),
        "layer_counters": np.asarray(counters[1], np.int64),
        "sign": np.array([sign], np.int64),
        "row_lanes": np.concatenate(lanes[0]).astype(np.uint32),
        "column_lanes": np.concatenate(lanes[1]).astype(np.uint32),
    }
    for k, tile in enumerate(tiles):
        state |= {f"tile{k}.{name}": a for name, a in tile.state().items()}
    sha = hashlib.sha256()
    for name, array in sorted(state.items()):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
