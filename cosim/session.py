# SPDX-License-Identifier: Apache-2.0
"""One run within the simulator: the host of the controller, its tiles, and the golden machine."""

from collections import deque
from dataclasses import replace
from time import perf_counter

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from analog_models.physical_tile import PhysicalTile
from golden.errors import ErrorCode
from golden.hardware import ControllerConfig
from golden.kernel_tile import KernelTile
from golden.machine import COUNTERS, LAYER_COUNTERS, Machine
from golden.placement import WRITE_PC, Placement
from golden.registers import counter_names
from golden.schedule import initial_weights
from rtl.controller import host_bytes

from .golden_log import GoldenLog
from .job import STEPS_PER_CYCLE, Report, Run
from .scoreboard import Mismatch, Scoreboard, digest
from .tile_server import PortError, TileServer, risen, serve_tile
from .timing import SHORT

__all__ = ["HostError", "Session"]

#: How long the controller runs on, with tiles that are silent, after a difference.
CYCLES_AFTER = 2_000
#: Limit of the controller's watchdog; the longest operation of a tile takes 0.3 million cycles.
WATCHDOG = 1 << 20
TILES = {"fixed": KernelTile, "physical": PhysicalTile}


class HostError(RuntimeError):
    """What the host sees is wrong: an answer, a register, an error of the controller, silence."""


class Session:
    """Configures the controller, trains, and compares.

    Parameters
    ----------
    dut : cocotb handle of :class:`cosim.harness.Harness`
    hw : ControllerConfig
    run : Run
    progress : callable
        Called with the number of examples done.
    """

    def __init__(self, dut, hw: ControllerConfig, run: Run, progress=lambda done: None):
        self.dut, self.hw, self.asked, self.progress = dut, hw, run, progress
        model = TILES[run.tile]
        self.machine = Machine(run.chip, model)  # only its tiles act
        self.golden = Machine(run.chip, model)
        self.place = Placement(run.chip, hw)
        self.log = GoldenLog(self.golden)
        self.board = Scoreboard(self.log, self._advance)
        self.tiles = [t for i in range(len(self.machine.tiles)) for *_, t in self.machine.blocks(i)]
        self.servers = [TileServer(t, run.timing, lanes=hw.lanes) for t in self.tiles]
        _warm(self.machine)
        self.golden_seconds, self.operations = 0.0, 0
        for k, server in enumerate(self.servers):
            server.log = self._logger(k)
        self.ahead = 0  # examples that the golden machine has done
        self.answers: deque[int] = deque()
        self.answered = 0
        self.failure: Exception | None = None
        self.failed_at: int | None = None
        self.failed = cocotb.triggers.Event()

    # --- the golden side

    def _advance(self) -> bool:
        """Let the golden machine train on its next example."""
        if self.ahead == len(self.asked.pixels):
            return False
        part = slice(self.ahead, self.ahead + 1)
        self.log.run(self.asked.pixels[part], self.asked.labels[part])
        self.answers.append(int(np.argmax(self.golden.z)))
        self.ahead += 1
        return True

    def _logger(self, tile):
        compare = self.board.log(tile)

        def log(k, operation):
            start = perf_counter()
            self.operations += 1
            if self.operations - 1 == self.asked.inject:
                operation = _changed(operation)
            try:
                compare(k, operation)
            finally:
                self.golden_seconds += perf_counter() - start

        return log

    # --- the host side

    async def _guard(self, coroutine, who: str = ""):
        """Run for ever, and note why it ended."""
        try:
            await coroutine
        except (Mismatch, HostError, PortError) as error:
            if self.failure is None:
                named = PortError(f"{who}: {error}") if isinstance(error, PortError) else error
                self.failure, self.failed_at = named, get_sim_time("step")
            self.failed.set()

    async def write(self, address: int, word: int) -> None:
        """Write a register."""
        d = self.dut
        d.bus__awaddr.value, d.bus__wdata.value = address, word
        d.bus__awvalid.value = d.bus__wvalid.value = 1
        await RisingEdge(d.clk)
        d.bus__awvalid.value = d.bus__wvalid.value = 0
        if not await self._answered(d.bus__bvalid) or d.bus__bresp.value.to_unsigned():
            raise HostError(f"register at {address:#x} must take {word:#x}, but it was refused")

    async def read(self, address: int) -> int:
        """Read a register."""
        d = self.dut
        d.bus__araddr.value, d.bus__arvalid.value = address, 1
        await RisingEdge(d.clk)
        d.bus__arvalid.value = 0
        if not await self._answered(d.bus__rvalid) or d.bus__rresp.value.to_unsigned():
            raise HostError(f"register at {address:#x} must be readable, but it was refused")
        return d.bus__rdata.value.to_unsigned()

    async def _answered(self, valid) -> bool:
        """Wait for a response of the bus, which lasts a cycle."""
        for _ in range(8):
            await RisingEdge(self.dut.clk)
            if valid.value:
                return True
        return False

    async def set(self, name: str, **fields: int) -> None:
        """Write a register by name."""
        await self.write(self.place.map.address(name), self.place.map.encode(name, **fields))

    async def get(self, name: str) -> dict[str, int]:
        """Read a register by name."""
        return self.place.map.decode(name, await self.read(self.place.map.address(name)))

    async def _program(self, pc: int, examples: int, *feeders) -> None:
        """Run a program to its end."""
        await self.set("START_PC", pc=pc)
        await self.set("EXAMPLES", n=examples)
        await self.set("CONTROL", start=1)
        tasks = [cocotb.start_soon(self._guard(feeder)) for feeder in feeders]
        await self._end()
        await ClockCycles(self.dut.clk, 4)  # in which nothing more should come
        for task in tasks:
            task.cancel()
        if self.failure is not None:
            raise self.failure
        status = await self.get("STATUS")
        if status["error"]:
            error = await self.get("ERROR")
            place = f"tile {error['tile']}, instruction {error['pc']}"
            raise HostError(f"error must be none, not {ErrorCode(error['code']).name} ({place})")
        await self.set("CONTROL", clear=1)

    async def _end(self) -> None:
        """Wait for the interrupt, a failure, or silence."""
        silence = 2 * WATCHDOG * STEPS_PER_CYCLE
        while not self.dut.irq.value and self.failure is None:
            before = self.operations
            patience = Timer(silence, "step")
            await First(RisingEdge(self.dut.irq), self.failed.wait(), patience)
            if self.operations == before and not self.dut.irq.value and self.failure is None:
                raise HostError(f"controller must go on, not stand for {2 * WATCHDOG:,} cycles")

    async def _goals(self, weights):
        pins, turn = self.dut, int(self.dut.goals__turn.value)
        for goal in self.place.goals(weights):
            for row in goal.astype("<i2"):
                turn ^= 1
                pins.goals__packet.value = int.from_bytes(row.tobytes(), "little")
                pins.goals__beats.value = row.size
                pins.goals__turn.value = turn
                await risen(pins.goals__request)

    async def _examples(self):
        pins, turn = self.dut, int(self.dut.examples__turn.value)
        size = host_bytes(self.hw.lanes)
        for done, (image, label) in enumerate(
            zip(self.asked.pixels, self.asked.labels, strict=True)
        ):
            packet = int(label).to_bytes(size, "little") + image.tobytes()
            turn ^= 1
            pins.examples__packet.value = int.from_bytes(packet, "little")
            pins.examples__beats.value = -(-len(packet) // size)
            pins.examples__turn.value = turn
            await risen(pins.examples__request)
            self.progress(done)

    async def _results(self):
        d = self.dut
        while True:
            # One at a time, so that none is taken twice or not at all.
            if not d.results__tvalid.value:
                await risen(d.results__tvalid)
            got = d.results__tdata.value.to_unsigned() | int(d.results__tlast.value) << 32
            if self.answered == len(self.asked.labels):
                raise HostError(f"results must be {self.answered}, not more")
            label = int(self.asked.labels[self.answered])
            start = perf_counter()
            if not self.answers:
                self._advance()
            answer = self.answers.popleft()
            self.golden_seconds += perf_counter() - start
            want = answer | label << 13 | (answer == label) << 31 | 1 << 32
            if got != want:
                place = f"example {self.answered}, label {label}: result (with tlast as bit 32)"
                raise HostError(f"{place} must be {want:#x}, not {got:#x}")
            self.answered += 1
            d.results__tready.value = 1
            await RisingEdge(d.clk)
            d.results__tready.value = 0
            await Timer(1, "step")

    async def _unused(self, k):
        await risen(getattr(self.dut, f"tiles__{k}__request"))
        raise HostError(f"tile {k} is not used and must get no operation")

    # --- the run

    def _mark(self):
        """Seconds so far, by what they were spent on."""
        return {
            "all": perf_counter(),
            "exchange": sum(s.exchange_seconds for s in self.servers),
            "model": sum(s.model_seconds for s in self.servers),
            "golden": self.golden_seconds,
        }

    async def reset(self) -> None:
        """Reset the controller and the bridges, and give every input a value."""
        d = self.dut
        for name in (
            *("bus__awaddr", "bus__awprot", "bus__awvalid", "bus__wdata", "bus__wvalid"),
            *("bus__araddr", "bus__arprot", "bus__arvalid"),
            *("examples__packet", "examples__beats", "examples__turn"),
            *("goals__packet", "goals__beats", "goals__turn"),
        ):
            getattr(d, name).value = 0
        d.bus__wstrb.value, d.bus__bready.value, d.bus__rready.value = 15, 1, 1
        d.results__tready.value = 0
        for k in range(self.hw.tiles):
            tile = self.tiles[min(k, len(self.tiles) - 1)]
            getattr(d, f"tiles__{k}__rows").value = tile.rows
            getattr(d, f"tiles__{k}__cols").value = tile.cols
            getattr(d, f"tiles__{k}__result").value = 0
            getattr(d, f"tiles__{k}__duration").value = 1
            getattr(d, f"tiles__{k}__stuck").value = 0
        d.rst.value = 1
        await ClockCycles(d.clk, 3)
        d.rst.value = 0
        await RisingEdge(d.clk)

    async def run(self) -> Report:
        """Train, compare everything, report."""
        report = Report()
        servers = []
        try:
            await self.reset()
            for k, server in enumerate(self.servers):
                serving = serve_tile(self.dut, f"tiles__{k}", server)
                servers.append(cocotb.start_soon(self._guard(serving, f"tile {k}")))
            for k in range(len(self.servers), self.hw.tiles):
                servers.append(cocotb.start_soon(self._guard(self._unused(k))))
            for address, word in self.place.setup(self.golden):
                await self.write(address, word)
            await self.set("WATCHDOG", cycles=WATCHDOG)
            await self.set("IRQ_ENABLE", done=1, error=1)
            await self._train(report)
            await self._compare(report)
        except (Mismatch, HostError, PortError) as difference:
            report.mismatches, report.mismatch = 1, str(difference)
        finally:
            for task in servers:
                task.cancel()
        report.examples = int(self.golden.counters[COUNTERS.index("examples")])
        report.transfers = int(self.golden.counters[COUNTERS.index("transfers")])
        report.operations = self.operations
        report.time = get_sim_time("step") if self.failed_at is None else self.failed_at
        if report.mismatches:
            await ClockCycles(self.dut.clk, CYCLES_AFTER)  # for the waveform
        return report

    async def _train(self, report):
        begin = self._mark()
        if self.asked.initial:
            await self._write_weights()
        written = self._mark()
        before = await self.counters()
        start = self._mark()
        await self._program(
            self.place.train_pc, len(self.asked.pixels), self._examples(), self._results()
        )
        end = self._mark()
        spent = {k: end[k] - start[k] for k in end}
        rest = spent["exchange"] + spent["model"] + spent["golden"]
        report.seconds = {
            "rtl": spent.pop("all") - rest,
            **spent,
            "write": written["all"] - begin["all"],
        }
        after = await self.counters()
        report.cycles = {
            name.removeprefix("cycles_"): after[name] - before[name]
            for name in after
            if name.startswith("cycles_") and name != "cycles_idle"
        }

    async def _write_weights(self):
        weights = initial_weights(self.asked.chip.layers, self.asked.chip.seed)
        self.log.write_weights(weights)
        for server in self.servers:  # how long this takes is not of interest
            server.timing = SHORT
        await self._program(WRITE_PC, 0, self._goals(weights))
        for server in self.servers:
            server.timing = self.asked.timing

    async def counters(self) -> dict[str, int]:
        """Read all counters."""
        out = {}
        for i, name in enumerate(counter_names(self.hw)):
            low = await self.read(self.place.map.address("COUNTER_LOW", i))
            high = await self.read(self.place.map.address("COUNTER_HIGH", i))
            out[name] = low | high << 32
        return out

    async def lanes(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Read the random lanes of all layers."""
        out = []
        for places in (self.place.row_lanes, self.place.col_lanes):
            words = [
                [await self.read(self.place.map.address("LANES", int(i))) for i in place]
                for place in places
            ]
            out.append([np.array(w, np.uint32) for w in words])
        return out[0], out[1]

    async def _compare(self, report):
        """Compare what is left when all examples are done."""
        if self.answered != len(self.asked.labels):
            raise HostError(f"results must be {len(self.asked.labels)}, not {self.answered}")
        self.board.finish()
        counts, layers = await self.counters(), len(self.asked.chip.layers) - 1
        whole = [counts[name] for name in COUNTERS]
        by_layer = [[counts[f"{n}_{i}"] for n in LAYER_COUNTERS] for i in range(layers)]
        self.board.compare_counters(whole, by_layer)
        rows, cols = await self.lanes()
        self.board.compare_lanes(rows, cols)
        self.board.compare_states(self.tiles)
        negative = (await self.get("STATUS"))["polarity"]
        report.digest_rtl = digest(
            self.tiles, (rows, cols), (np.array(whole), np.array(by_layer)), -1 if negative else 1
        )
        g = self.golden
        report.digest_golden = digest(
            [t.tile for t in self.log.tiles],
            (g.row_lanes, g.column_lanes),
            (g.counters, g.layer_counters),
            g.sign,
        )
        if report.digest_rtl != report.digest_golden:
            raise HostError("digests must agree, but do not, though every part does")
        # what came after the program's end
        if self.failure is not None:
            raise self.failure
        if self.dut.results__tvalid.value:
            raise HostError(f"results must be {self.answered}, not more")


def _warm(machine: Machine) -> None:
    """Compile or load the kernels of tiles, which takes seconds, before time is measured."""
    for layer in range(len(machine.tiles)):
        for *_, tile in machine.blocks(layer):
            before, nothing = tile.state(), np.zeros(tile.rows, int)
            tile.forward(nothing)
            tile.backward(np.zeros(tile.cols, int))
            tile.update(nothing, np.zeros(tile.cols, int))
            tile.restore(before)


def _changed(operation):
    """Return an operation with one value changed."""
    if operation.inputs:
        first = operation.inputs[0].copy()
        first[-1] += 1
        return replace(operation, inputs=(first, *operation.inputs[1:]))
    return replace(operation, row=operation.row + 1)
