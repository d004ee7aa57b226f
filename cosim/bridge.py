# SPDX-License-Identifier: Apache-2.0
"""From the port of a tile to a model in Python: beats on one side, packed vectors on the other."""

from amaranth.hdl import Cat, Module, ResetInserter, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from analog_models.config import check
from golden.hardware import beats
from rtl.tile_port import Command, TileOp, TilePort, program_lane

__all__ = ["BridgeOperation", "TileBridge", "bridge_widths"]

#: What Python reads of an operation: the command, whether a vector had a wrong number of beats,
#: and how many operations came before, modulo 2**14.
BridgeOperation = data.StructLayout({"command": Command, "malformed": 1, "count": 14})

_BITS = Shape.cast(program_lane).width
_READ_BITS = 12


def _beats(n, lanes):
    """Beats of ``n`` codes, a signal."""
    return (n + (lanes - 1)) >> exact_log2(lanes)


def bridge_widths(most_rows, most_cols, lanes, transfer_lanes) -> tuple[int, int]:
    """Return the bits of ``vector`` and of ``result`` of a :class:`TileBridge`."""
    row_beats, col_beats = beats(most_rows, lanes), beats(most_cols, lanes)
    narrow = transfer_lanes * beats(most_cols, transfer_lanes)
    vector = max(8 * lanes * (row_beats + col_beats), _BITS * narrow)
    return vector, max(8 * lanes * max(row_beats, col_beats), _READ_BITS * narrow)


class _Collector(wiring.Component):
    """Takes one command with its vectors, and holds them until ``taken``."""

    def __init__(self, rows, cols, lanes, transfer_lanes):
        self.lanes, self.transfer_lanes = lanes, transfer_lanes
        self.x_most = beats(rows, lanes) + beats(cols, lanes)
        self.w_most = beats(cols, transfer_lanes)
        width, _ = bridge_widths(rows, cols, lanes, transfer_lanes)
        port = TilePort(lanes, transfer_lanes).flip()
        super().__init__({
            **{name: port.members[name] for name in ("cmd", "x", "w")},
            "rows": In(10),
            "cols": In(10),
            "command": Out(Command),
            "malformed": Out(1),
            "vector": Out(width),
            "complete": Out(1),
            "taken": In(1),
        })

    def elaborate(self, platform):
        m = Module()

        most = max(self.x_most, self.w_most)
        x_beats, d_beats = _beats(self.rows, self.lanes), _beats(self.cols, self.lanes)
        w_beats = _beats(self.cols, self.transfer_lanes)
        beat = Signal(range(most + 1))  # where the next beat goes
        end = Signal(range(most + 1))  # where the last one should
        rows_follow = Signal()  # row pulses, and column pulses after them

        # Memories, since a register would be copied as a whole in every simulated cycle.
        def collect(i, state, most):
            bits = len(i.payload.data.as_value())
            memory = Memory(shape=bits, depth=most, init=[])
            m.submodules[f"memory_{state.lower()}"] = memory
            write = memory.write_port()
            m.d.comb += [
                write.addr.eq(beat),
                write.data.eq(i.payload.data),
                write.en.eq(i.valid & i.ready),
            ]
            with m.If(i.valid & i.ready):
                with m.If(i.payload.last != (beat == end)):
                    m.d.sync += self.malformed.eq(1)
                m.d.sync += beat.eq(beat + 1)  # may wrap: the vector is malformed by then
            words = [memory.read_port(domain="comb") for _ in range(most)]
            m.d.comb += [word.addr.eq(k) for k, word in enumerate(words)]
            return Cat(word.data for word in words)

        x, w = collect(self.x, "X", self.x_most), collect(self.w, "W", self.w_most)
        command = self.command.op
        with m.If((command == TileOp.PROGRAM) | (command == TileOp.TUNE)):
            m.d.comb += self.vector.eq(w)
        with m.Else():
            m.d.comb += self.vector.eq(x)

        op = self.cmd.payload.op
        with m.FSM():
            with m.State("COMMAND"):
                m.d.comb += self.cmd.ready.eq(1)
                m.d.sync += [beat.eq(0), rows_follow.eq(op == TileOp.UPDATE)]
                with m.If(self.cmd.valid):
                    m.d.sync += self.command.eq(self.cmd.payload)
                    with m.Switch(op):
                        with m.Case(TileOp.FORWARD, TileOp.UPDATE):
                            m.d.sync += end.eq(x_beats - 1)
                            m.next = "X"
                        with m.Case(TileOp.BACKWARD):
                            m.d.sync += end.eq(d_beats - 1)
                            m.next = "X"
                        with m.Case(TileOp.PROGRAM, TileOp.TUNE):
                            m.d.sync += end.eq(w_beats - 1)
                            m.next = "W"
                        with m.Default():
                            m.next = "COMPLETE"

            with m.State("X"):
                m.d.comb += self.x.ready.eq(1)
                with m.If(self.x.valid & self.x.payload.last):
                    m.d.sync += [rows_follow.eq(0), beat.eq(x_beats)]
                    m.d.sync += end.eq(x_beats + d_beats - 1)
                    with m.If(~rows_follow):
                        m.next = "COMPLETE"

            with m.State("W"):
                m.d.comb += self.w.ready.eq(1)
                with m.If(self.w.valid & self.w.payload.last):
                    m.next = "COMPLETE"

            with m.State("COMPLETE"):
                m.d.comb += self.complete.eq(1)
                with m.If(self.taken):
                    m.d.sync += self.malformed.eq(0)
                    m.next = "COMMAND"

        return m


class TileBridge(wiring.Component):
    """A tile port whose operations a model in Python executes; for simulation only.

    Python wakes once an operation: when ``request`` rises it reads ``operation`` and ``vector`` and
    writes ``result`` and ``duration`` in the same time step. Results start ``duration`` cycles
    after ``request``; an operation without results ends then. Meanwhile the next command and its
    vectors are collected; its ``request`` comes when all results are taken, the cycle after the
    last of them.

    Parameters
    ----------
    most_rows, most_cols : int
        Lines of the largest tile.
    lanes, transfer_lanes : int, powers of two
        Codes in a beat; see :class:`rtl.tile_port.TilePort`.

    Members
    -------
    port : ``In(TilePort(lanes, transfer_lanes))``
    rows, cols : ``In(10)``
        Lines of the tile, constant; the largest ones if nothing drives them.
    request : ``Out(1)``
        An operation is complete; one cycle.
    operation : ``Out(BridgeOperation)``
        Holds from before ``request`` until after it, as ``vector`` does.
    vector : ``Out``
        Codes or pulses of 8 bits, the first lowest: rows or columns from bit 0; column pulses of
        UPDATE from bit ``8 * lanes * beats(rows, lanes)``. PROGRAM and TUNE: 14 bits a column. What
        is left of earlier vectors lies in between.
    result : ``In``
        y codes of 8 bits or r codes of 12, the first lowest; held until the next ``request``.
    duration : ``In(24)``
        Cycles that the operation takes, at least 1; read with ``request``.
    stuck : ``In(1)``
        While set no operation starts, and none ends; results on their way go on.
    forget : ``In(1)``
        Forget what was taken and what is to be given, but not how many operations were executed.
    """

    def __init__(self, most_rows, most_cols, lanes, transfer_lanes):
        rows, cols = most_rows, most_cols
        for name, n in (("most_rows", rows), ("most_cols", cols)):
            check(1 <= n <= 512, name, "within 1..512", n)
        for name, n in (("lanes", lanes), ("transfer_lanes", transfer_lanes)):
            check(n >= 1 and n & (n - 1) == 0, name, "a power of two", n)
        self.lanes, self.transfer_lanes = lanes, transfer_lanes
        self._collector = _Collector(rows, cols, lanes, transfer_lanes)
        self._most = max(beats(max(rows, cols), lanes), beats(cols, transfer_lanes))
        _, result = bridge_widths(rows, cols, lanes, transfer_lanes)
        super().__init__({
            "port": In(TilePort(lanes, transfer_lanes)),
            "rows": In(10, init=rows),
            "cols": In(10, init=cols),
            "request": Out(1),
            "operation": Out(BridgeOperation),
            "vector": Out(len(self._collector.vector)),
            "result": In(result),
            "duration": In(24),
            "stuck": In(1),
            "forget": In(1),
        })

    def elaborate(self, platform):
        bridge, count = Module(), Signal(14)
        with bridge.If(self.request):
            bridge.d.sync += count.eq(count + 1)
        m = Module()
        bridge.submodules.port = ResetInserter(self.forget)(m)
        m.submodules.collector = collector = self._collector
        for name in ("cmd", "x", "w"):
            wiring.connect(m, getattr(collector, name), wiring.flipped(getattr(self.port, name)))
        m.d.comb += [
            self.operation.command.eq(collector.command),
            self.operation.malformed.eq(collector.malformed),
            self.operation.count.eq(count),
            self.vector.eq(collector.vector),
            collector.taken.eq(self.request),
            collector.rows.eq(self.rows),
            collector.cols.eq(self.cols),
        ]

        op = collector.command.op
        op_now = Signal(TileOp)
        left = Signal.like(self.duration)
        y_beats = {TileOp.FORWARD: self.cols, TileOp.BACKWARD: self.rows}
        y_beats = {k: _beats(n, self.lanes) for k, n in y_beats.items()}
        r_beats = _beats(self.cols, self.transfer_lanes)
        beat = Signal(range(self._most))
        last_beat = Signal.like(beat)

        def deliver(op):
            with m.Switch(op):
                for code, n in y_beats.items():
                    with m.Case(code):
                        m.d.sync += last_beat.eq(n - 1)
                        m.next = "Y"
                with m.Case(TileOp.READ):
                    m.d.sync += last_beat.eq(r_beats - 1)
                    m.next = "R"
                with m.Default():
                    m.next = "IDLE"

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.request.eq(collector.complete & ~self.stuck)
                m.d.sync += [op_now.eq(op), beat.eq(0), left.eq(self.duration - 1)]
                with m.If(self.request):
                    with m.If(self.duration <= 1):
                        deliver(op)
                    with m.Else():
                        m.next = "EXECUTE"

            with m.State("EXECUTE"):
                with m.If(~self.stuck):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        deliver(op_now)

            for state, o in (("Y", self.port.y), ("R", self.port.r)):
                with m.State(state):
                    m.d.comb += o.valid.eq(1)
                    with m.If(o.ready):
                        m.d.sync += beat.eq(beat + 1)
                        with m.If(beat == last_beat):
                            m.next = "IDLE"
                    payload = o.payload.as_value()
                    for k in range(len(self.result) // len(payload)):
                        with m.If(beat == k):
                            m.d.comb += payload.eq(self.result.word_select(k, len(payload)))

        return bridge
