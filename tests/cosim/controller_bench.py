# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the assembled controller; its buses are driven by cocotbext-axi.

Run by test_controller.py. cocotbext-axi 0.1.28 runs on cocotb 2.1 as it is.
"""

import itertools
import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from analog_models.presets import TILES
from cosim.tile_server import TileServer, serve_tile
from cosim.timing import FlatTiming
from golden.config import ChipConfig, TransferConfig
from golden.errors import ErrorCode
from golden.hardware import ControllerConfig
from golden.machine import COUNTERS, LAYER_COUNTERS, Machine
from golden.placement import WRITE_PC, Placement
from golden.registers import counter_names
from golden.schedule import initial_weights

CHIP = ChipConfig(
    layers=(9, 5, 4),
    forward_shift=(14, 15),
    backward_shift=(13, 13),
    tile=TILES["tuned"].but(rows=(5, "test"), cols=(3, "test"), age_periods=(3, "test")),
    transfer=TransferConfig(interval=4),
    seed=9,
)
#: A hang is a failure.
TEST = cocotb.test(timeout_time=1_000_000, timeout_unit="step")
HARDWARE = ControllerConfig.of(CHIP, lanes=4, transfer_lanes=2)
RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (10, 9)).astype(np.uint8)
LABELS = RNG.integers(0, 4, 10)


class Host:
    """What a host's driver would do, over a third party's bus models."""

    def __init__(self, dut, cycles=2):
        self.dut = dut
        self.place = Placement(CHIP, HARDWARE)
        self.rtl, self.golden = Machine(CHIP), Machine(CHIP)
        self.tiles = [t for i in range(2) for *_, t in self.rtl.blocks(i)]
        self.timing = FlatTiming(cycles)

    async def start(self, *, serve=True):
        d = self.dut
        d.bus__awprot.value = d.bus__arprot.value = 0
        for k in range(HARDWARE.tiles):
            for name in ("result", "duration", "stuck"):
                getattr(d, f"tiles__{k}__{name}").value = int(name == "duration")
        if hasattr(d, "mutant"):  # see bench/controller_mutants.py
            d.mutant.value = int(os.environ["CROSSFORGE_MUTANT"])
        d.rst.value = 1
        Clock(d.clk, 2, unit="step").start()
        args = d.clk, d.rst
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(d, "bus_"), *args)
        self.examples = AxiStreamSource(AxiStreamBus.from_prefix(d, "examples_"), *args)
        self.goals = AxiStreamSource(AxiStreamBus.from_prefix(d, "goals_"), *args)
        self.results = AxiStreamSink(AxiStreamBus.from_prefix(d, "results_"), *args)
        await ClockCycles(d.clk, 4)
        d.rst.value = 0
        await ClockCycles(d.clk, 2)
        for k, tile in enumerate(self.tiles):
            server = TileServer(tile, self.timing, lanes=HARDWARE.lanes)
            cocotb.start_soon(serve_tile(d, f"tiles__{k}", server))
        for address, word in self.place.setup(self.golden):
            await self.bus.write_dword(address, word)
        await self.set("IRQ_ENABLE", done=1, error=1)

    async def set(self, name, **fields):
        await self.bus.write_dword(
            self.place.map.address(name), self.place.map.encode(name, **fields)
        )

    async def get(self, name):
        word = await self.bus.read_dword(self.place.map.address(name))
        return self.place.map.decode(name, word)

    async def begin(self, pc, examples=0):
        await self.set("START_PC", pc=pc)
        await self.set("EXAMPLES", n=examples)
        await self.set("CONTROL", start=1)

    async def interrupted(self, cycles=200_000):
        """Wait for the interrupt; return the error."""
        if not self.dut.irq.value:
            out = await First(RisingEdge(self.dut.irq), ClockCycles(self.dut.clk, cycles))
            assert self.dut.irq.value, f"no interrupt within {cycles} cycles: {out}"
        status, error = await self.get("STATUS"), await self.get("ERROR")
        assert status["busy"] == 0
        assert status["done"] != status["error"]
        await self.set("CONTROL", clear=1)
        await ClockCycles(self.dut.clk, 2)
        assert not self.dut.irq.value
        assert (await self.get("ERROR"))["code"] == ErrorCode.NONE
        return ErrorCode(error["code"]), error

    async def write_weights(self):
        weights = initial_weights(CHIP.layers, CHIP.seed)
        self.golden.write_weights(weights)
        await self.begin(WRITE_PC)
        goals = np.concatenate([g.ravel() for g in self.place.goals(weights)])
        await self.goals.send(AxiStreamFrame(goals.astype("<i2").tobytes()))
        assert (await self.interrupted())[0] == ErrorCode.NONE

    async def send(self, pixels, labels):
        for image, label in zip(pixels, labels, strict=True):
            await self.examples.send(AxiStreamFrame(packet(image, label)))

    async def compare(self):
        """Everything must be as the golden machine has it."""
        words = [
            await self.bus.read_dword(self.place.map.address("COUNTER_LOW", i))
            for i in range(len(counter_names(HARDWARE)))
        ]
        counts = dict(zip(counter_names(HARDWARE), words, strict=True))
        g = self.golden
        assert [counts[n] for n in COUNTERS] == g.counters.tolist()
        layers = [[counts[f"{n}_{i}"] for n in LAYER_COUNTERS] for i in range(2)]
        assert layers == g.layer_counters.tolist()
        golden_tiles = [t for i in range(2) for *_, t in g.blocks(i)]
        for a, b in zip(golden_tiles, self.tiles, strict=True):
            for name, array in a.state().items():
                np.testing.assert_array_equal(b.state()[name], array, err_msg=name)
        lanes = [*self.place.row_lanes, *self.place.col_lanes]
        for place, want in zip(lanes, [*g.row_lanes, *g.column_lanes], strict=True):
            got = [
                await self.bus.read_dword(self.place.map.address("LANES", int(i))) for i in place
            ]
            assert got == want.tolist()


def packet(image, label):
    """Bytes of one example: a beat with the label, then the pixels, whole beats."""
    body = int(label).to_bytes(HARDWARE.lanes, "little") + image.tobytes()
    return body + bytes(-len(body) % HARDWARE.lanes)


def pauses(seed, share):
    """Endless pauses of a bus: ``share`` of all cycles."""
    rng = random.Random(seed)
    return (rng.random() < share for _ in itertools.count())


@TEST
async def trains_with_pauses_on_every_bus(dut):
    host = Host(dut, cycles=5)
    await host.start()
    await host.write_weights()
    host.examples.set_pause_generator(pauses(1, 0.5))
    host.results.set_pause_generator(pauses(2, 0.9))
    for channel in (host.bus.write_if.b_channel, host.bus.read_if.r_channel):
        channel.set_pause_generator(pauses(3, 0.3))
    await host.begin(host.place.train_pc, 10)
    await host.send(PIXELS, LABELS)
    assert (await host.interrupted())[0] == ErrorCode.NONE
    host.golden.run(PIXELS, LABELS)
    await host.compare()
    answers = [int.from_bytes((await host.results.recv()).tdata, "little") for _ in range(10)]
    assert [w >> 13 & 8191 for w in answers] == LABELS.tolist()
    assert sum(w >> 31 for w in answers) == host.golden.counters[1]


@TEST
async def stops_and_goes_on(dut):
    host = Host(dut)
    await host.start()
    await host.write_weights()
    await host.send(PIXELS, LABELS)
    await host.begin(host.place.train_pc, 10)
    for _ in range(3):
        await host.results.recv()
    await host.set("CONTROL", stop=1)
    assert (await host.interrupted())[0] == ErrorCode.NONE
    done = await host.bus.read_dword(host.place.map.address("COUNTER_LOW", 0))
    assert 3 <= done < 10
    await host.begin(host.place.train_pc, 10 - done)
    assert (await host.interrupted())[0] == ErrorCode.NONE
    host.golden.run(PIXELS, LABELS)
    await host.compare()


@TEST
async def refuses_settings_while_it_runs(dut):
    host = Host(dut)
    await host.start()
    await host.write_weights()
    await host.begin(host.place.train_pc, 10)
    for name, index in (("INPUTS", 0), ("LAYER_RATE", 1), ("PROGRAM", 3), ("LANES", 5)):
        address = host.place.map.address(name, index)
        response = await host.bus.write(address, bytes(4))
        assert response.resp == AxiResp.SLVERR, name
    assert (await host.get("STATUS"))["busy"] == 1
    await host.send(PIXELS, LABELS)
    assert (await host.interrupted())[0] == ErrorCode.NONE
    host.golden.run(PIXELS, LABELS)
    await host.compare()


@TEST
async def reports_a_packet_of_the_wrong_length(dut):
    host = Host(dut)
    await host.start()
    await host.write_weights()
    for wrong in (packet(PIXELS[0], 0)[:-4], packet(PIXELS[0], 0) + bytes(4)):
        await host.begin(host.place.train_pc, 1)
        await host.examples.send(AxiStreamFrame(wrong))
        assert (await host.interrupted())[0] == ErrorCode.BAD_PACKET
        # what was left of it
        await ClockCycles(dut.clk, 20)
        await host.set("CONTROL", reset=1)
        host.examples.clear()
        await ClockCycles(dut.clk, 20)
        await host.set("CONTROL", reset=1)
        await host.set("CONTROL", clear=1)


async def train_anew(host):
    """Train as after a reset: what an abandoned run left in the controller must not matter."""
    host.golden = Machine(CHIP)
    golden = [t for i in range(2) for *_, t in host.golden.blocks(i)]
    for mine, fresh in zip(host.tiles, golden, strict=True):
        mine.restore(fresh.state())
    for address, word in host.place.setup(host.golden):
        await host.bus.write_dword(address, word)
    for name in ("RESTORE_AGE", "RESTORE_INTERVAL", "RESTORE_STATE"):
        await host.set(name)
    await host.set("CONTROL", load=1, clear_counters=1)
    await host.write_weights()
    host.results.clear()
    await host.begin(host.place.train_pc, 10)
    await host.send(PIXELS, LABELS)
    assert (await host.interrupted())[0] == ErrorCode.NONE
    host.golden.run(PIXELS, LABELS)
    await host.compare()
    answers = [int.from_bytes((await host.results.recv()).tdata, "little") for _ in range(10)]
    assert [w >> 13 & 8191 for w in answers] == LABELS.tolist()
    assert host.results.empty()


@TEST
async def trains_on_the_examples_before_a_bad_packet(dut):
    """Send it while the example before it is in a conversion; then go on."""
    host = Host(dut, cycles=60)
    await host.start()
    await host.write_weights()
    await host.begin(host.place.train_pc, 10)
    await host.send(PIXELS[:3], LABELS[:3])
    await host.examples.send(AxiStreamFrame(packet(PIXELS[3], 1) + bytes(40)))
    code, error = await host.interrupted()
    assert (code, error["pc"]) == (ErrorCode.BAD_PACKET, host.place.train_pc)
    await host.begin(host.place.train_pc, 7)
    await host.send(PIXELS[3:], LABELS[3:])
    assert (await host.interrupted())[0] == ErrorCode.NONE
    host.golden.run(PIXELS, LABELS)
    await host.compare()


@TEST
async def forgets_all_of_a_run_that_is_reset(dut):
    """In the middle of conversions, vectors, packets, transfers and results."""
    host = Host(dut, cycles=9)
    await host.start()
    for cycles in (3, 20, 33, 47, 70, 101, 160, 333, 1500):
        await host.begin(host.place.train_pc, 10)
        cocotb.start_soon(host.send(PIXELS[:6], LABELS[:6]))
        await ClockCycles(dut.clk, cycles)
        await host.set("CONTROL", reset=1)
        await ClockCycles(dut.clk, 4)
        assert (await host.get("STATUS"))["busy"] == 0
        host.examples.clear()
        while not host.examples.idle():  # the packet that is on its way goes to its end
            await host.set("CONTROL", reset=1, clear=1)
        await host.set("CONTROL", reset=1, clear=1)
    await train_anew(host)


@TEST
async def goes_on_after_a_tile_that_never_answered(dut):
    host = Host(dut, cycles=9)
    await host.start()
    await host.write_weights()
    await host.set("WATCHDOG", cycles=500)
    for tile in range(HARDWARE.tiles):
        stuck = getattr(dut, f"tiles__{tile}__stuck")
        stuck.value = 1
        await host.begin(host.place.train_pc, 10)
        await host.send(PIXELS[:1], LABELS[:1])
        code, error = await host.interrupted(5_000)
        assert (code, error["tile"]) == (ErrorCode.TILE, tile)
        stuck.value = 0
    await host.set("CONTROL", reset=1, clear=1)
    await train_anew(host)


@TEST
async def refuses_to_load_and_to_read_lanes_while_it_runs(dut):
    host = Host(dut)
    await host.start()
    await host.write_weights()
    await host.set("RESTORE_STATE", negative=1)
    await host.begin(host.place.train_pc, 10)
    await host.set("CONTROL", load=1)
    lanes = host.place.map.address("LANES", 3)
    assert (await host.bus.read(lanes, 4)).resp == AxiResp.SLVERR
    assert (await host.get("STATUS"))["polarity"] == 0
    await host.send(PIXELS, LABELS)
    assert (await host.interrupted())[0] == ErrorCode.NONE
    host.golden.run(PIXELS, LABELS)
    await host.compare()


@TEST
async def reads_lanes_while_it_writes_others(dut):
    host = Host(dut)
    await host.start()
    address = [host.place.map.address("LANES", i) for i in range(8)]
    for i in range(8):
        await host.bus.write_dword(address[i], 0x1000 + i)
    for delay in range(6):
        write = host.bus.init_write(address[5], (0x1005).to_bytes(4, "little"))
        await ClockCycles(dut.clk, delay)
        assert await host.bus.read_dword(address[0]) == 0x1000
        await write.wait()


@TEST
async def reports_registers_that_do_not_fit(dut):
    host = Host(dut)
    await host.start()
    await host.set("WATCHDOG", cycles=500)
    await host.bus.write_dword(
        host.place.map.address("LAYER_BLOCKS", 0),
        host.place.map.encode("LAYER_BLOCKS", row_blocks=0, col_blocks=0),
    )
    await host.begin(host.place.train_pc, 1)
    await host.send(PIXELS[:1], LABELS[:1])
    code, error = await host.interrupted(5_000)
    assert (code, error["pc"]) == (ErrorCode.STALLED, host.place.train_pc + 1)


@TEST
async def ends_a_transfer_of_a_size_that_cannot_be(dut):
    host = Host(dut)
    await host.start()
    await host.goals.send(AxiStreamFrame(bytes(2000)))
    for rows in (0, HARDWARE.rows + 2):
        size = host.place.map.encode("TILE_SIZE", rows=rows, cols=host.tiles[0].cols)
        await host.bus.write_dword(host.place.map.address("TILE_SIZE", 0), size)
        await host.begin(WRITE_PC)
        assert (await host.interrupted(20_000))[0] == ErrorCode.NONE


@TEST
async def reports_a_tile_that_never_answers(dut):
    host = Host(dut)
    await host.start()
    await host.write_weights()
    await host.set("WATCHDOG", cycles=500)
    tile = 3
    getattr(dut, f"tiles__{tile}__stuck").value = 1
    await host.begin(host.place.train_pc, 10)
    await host.send(PIXELS[:1], LABELS[:1])
    code, error = await host.interrupted(5_000)
    assert (code, error["tile"]) == (ErrorCode.TILE, tile)


@TEST
async def reports_a_host_that_stalls(dut):
    host = Host(dut)
    await host.start()
    await host.set("WATCHDOG", cycles=500)
    await host.begin(WRITE_PC)
    assert (await host.interrupted(5_000))[0] == ErrorCode.GOALS
    await host.begin(host.place.train_pc, 10)
    assert (await host.interrupted(5_000))[0] == ErrorCode.EXAMPLES
    host.results.pause = True
    await host.send(PIXELS[:3], LABELS[:3])
    await host.begin(host.place.train_pc, 3)
    assert (await host.interrupted(5_000))[0] == ErrorCode.RESULTS


@TEST
async def reports_an_instruction_that_does_not_exist(dut):
    host = Host(dut)
    await host.start()
    await host.bus.write_dword(host.place.map.address("PROGRAM", 7), 0xF)
    await host.begin(7)
    code, error = await host.interrupted(1_000)
    assert (code, error["pc"]) == (ErrorCode.BAD_INSTRUCTION, 7)
    await Timer(1, "step")
