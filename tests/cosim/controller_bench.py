# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the assembled controller, run by test_controller.py."""

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotbext.axi import AxiResp, AxiStreamFrame
from controller_host import (
    HARDWARE,
    LABELS,
    LONGEST_WAIT,
    PIXELS,
    Host,
    SlowTiming,
    every,
    packet,
    pauses,
    renew,
    train_anew,
)

from golden.errors import ErrorCode
from golden.placement import WRITE_PC
from golden.program import Op
from rtl.tile_port import TileOp

#: A hang is a failure.
TEST = cocotb.test(timeout_time=1_000_000, timeout_unit="step")


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
    await host.finish()
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
    await host.finish()


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
    await host.finish()


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
    await host.finish()


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
async def forgets_all_but_its_memories_at_a_reset(dut):
    """Also a result that waits for the host."""
    host = Host(dut)
    await host.start()
    await host.write_weights()
    host.results.pause = True
    await host.begin(host.place.train_pc, 3)
    await host.send(PIXELS[:3], LABELS[:3])
    await RisingEdge(dut.results__tvalid)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    assert not dut.results__tvalid.value
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    assert (await host.get("STATUS")) == dict.fromkeys(await host.get("STATUS"), 0)
    assert not dut.irq.value
    assert not dut.results__tvalid.value


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
    await host.finish()


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
async def allows_the_longest_operation_of_a_tile_and_no_cycle_more(dut):
    """Of the waits for one slow tile; so everything that moves must count as progress."""
    timings = [SlowTiming() for _ in range(HARDWARE.tiles)]
    host = Host(dut, timings=timings)
    await host.start()
    for op, spare in LONGEST_WAIT.items():
        for tile, cycles in enumerate(spare):
            if cycles is None:
                continue
            timings[tile].slow = op
            await host.set("WATCHDOG", cycles=0)
            await renew(host)
            await host.set("WATCHDOG", cycles=timings[tile].long + cycles)
            await host.begin(host.place.train_pc, 5)
            await host.send(PIXELS[:5], LABELS[:5])
            assert (await host.interrupted())[0] == ErrorCode.NONE, (op.name, tile)
            timings[tile].slow = None


@TEST
async def blames_the_tile_that_holds_up_a_transfer(dut):
    timings = [SlowTiming() for _ in range(HARDWARE.tiles)]
    host = Host(dut, timings=timings)
    await host.start()
    for tile, timing in enumerate(timings):
        await host.set("WATCHDOG", cycles=0)
        await renew(host)
        await host.set("WATCHDOG", cycles=SlowTiming.long - 2)
        timing.slow = TileOp.READ
        await host.begin(host.place.train_pc, 4)
        await host.send(PIXELS[:4], LABELS[:4])
        code, error = await host.interrupted()
        assert (code, error["tile"]) == (ErrorCode.TILE, tile)
        timing.slow = None


@TEST
async def flips_the_polarity_if_it_is_told_to(dut):
    """Also for cells without a capacitor, whose transfer is shorter."""
    host = Host(dut)
    await host.start()
    rest = {"log2_reads": 0, "retries": 0, "tune_rounds": 0}
    for invert in (0, 1):
        for capacitor in (0, 1):
            await renew(host)
            await host.set("TRANSFER", invert=invert, capacitor=capacitor, **rest)
            await host.begin(host.place.train_pc, 4)
            await host.send(PIXELS[:4], LABELS[:4])
            assert (await host.interrupted())[0] == ErrorCode.NONE
            assert (await host.get("STATUS"))["polarity"] == invert


@TEST
async def takes_as_many_pixels_as_it_is_told(dut):
    host = Host(dut)
    await host.start()
    await host.write_weights()
    for pixels in range(1, 10):
        await host.set("INPUTS", n=pixels)
        await host.begin(host.place.train_pc, 1)
        await host.send(PIXELS[:1, :pixels], LABELS[:1])
        assert (await host.interrupted())[0] == ErrorCode.NONE


@TEST
async def counts_the_cycles_of_every_phase(dut):
    """Keep writing weights and training apart, but for LOAD, which ends both."""
    host = Host(dut)
    await host.start()

    async def phases():
        counts = await host.counters()
        return {n for n in counts if n.startswith("cycles_") and counts[n]} - {"cycles_idle"}

    assert await phases() == set()
    await host.write_weights()
    assert await phases() == {"cycles_write", "cycles_load"}
    await host.set("CONTROL", clear_counters=1)
    await host.begin(host.place.train_pc, 5)
    await host.send(PIXELS[:5], LABELS[:5])
    assert (await host.interrupted())[0] == ErrorCode.NONE
    assert await phases() == {f"cycles_{op.name.lower()}" for op in Op} - {"cycles_write"}


@TEST
async def goes_on_from_what_is_restored(dut):
    """Ticks and transfers come after the rest of a period, of the longest one too."""
    host = Host(dut)
    await host.start()
    longest = 2**13 - 1, 2**31 - 1
    for periods, age, interval, trained, ticks, transfers in (
        (longest[0], longest[0] - 2, longest[1], longest[1] - 5, 1, 1),
        (longest[0], longest[0] - 7, longest[1], longest[1] - 6, 0, 1),
        (4, 3, 5, 1, 2, 1),
        (7, 0, 2, 0, 0, 3),
        (5, 5, 6, 6, 0, 0),
    ):
        for negative in (0, 1):
            await renew(host)
            await host.set("AGE_PERIODS", n=periods)
            await host.set("INTERVAL", n=interval)
            await host.set("RESTORE_AGE", n=age)
            await host.set("RESTORE_INTERVAL", n=trained)
            await host.set("RESTORE_STATE", negative=negative, transfers=9)
            await host.set("CONTROL", load=1, clear_counters=1)
            await host.begin(host.place.train_pc, 6)
            await host.send(PIXELS[:6], LABELS[:6])
            assert (await host.interrupted())[0] == ErrorCode.NONE
            counters = await host.counters()
            assert (counters["ticks"], counters["transfers"]) == (ticks, transfers)
            assert (await host.get("STATUS"))["polarity"] == negative ^ transfers & 1


@TEST
async def takes_examples_goals_and_counts_however_slow_the_host_is(dut):
    """Let it give a beat now and then, each just before the watchdog expires."""
    host = Host(dut)
    await host.start()
    await host.set("WATCHDOG", cycles=100)
    host.goals.set_pause_generator(every(98))
    await host.write_weights()
    host.examples.set_pause_generator(every(98))
    await host.begin(host.place.train_pc, 10)
    await host.send(PIXELS, LABELS)
    await host.finish()


@TEST
async def reports_an_instruction_that_does_not_exist(dut):
    host = Host(dut)
    await host.start()
    for at in (7, 16, 31, 32, 63):
        await host.bus.write_dword(host.place.map.address("PROGRAM", at), 0xF)
        await host.begin(at)
        code, error = await host.interrupted(1_000)
        assert (code, error["pc"]) == (ErrorCode.BAD_INSTRUCTION, at)
    await Timer(1, "step")
