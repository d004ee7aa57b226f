# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The command ``crossforge bitstream``: what it prints, and what it refuses before any work."""

import json
import re
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from crossforge import bitstream as command
from crossforge.cli import main
from fpga.bitstream import Built, Report
from fpga.boards import BOARDS
from fpga.folded import fold
from fpga.folded.image import IMAGE_ADDRESS, image
from fpga.folded.isa import NOP, Instruction, Op, Program
from fpga.programs import BuildError


class Nothing(wiring.Component):
    """Design that does nothing."""

    rx: In(1)
    tx: Out(1)
    busy: Out(1)

    def elaborate(self, platform):
        return Module()


REPORT = Report({"clk": (91.25, 80.0)}, 41_820, 16_728, 104, 0, 78)


@pytest.fixture
def asked(monkeypatch):
    """Return what the flow is asked for; it takes no time and always works."""
    calls = []

    def top_of(preset, board, lanes, clock):
        calls.append((preset, board.name, lanes, clock))
        return Nothing()

    def build(board, top, folder, *, clock, seed, progress):
        calls.append((board.name, top.clock, Path(folder), clock, seed))
        phases = {"elaborate": 1.0, "pack": 2.5}
        for phase in phases:
            progress(phase)
        suffix = "bit" if board.family == "ecp5" else "bin"
        file = Path(folder, f"top.{suffix}")
        return Built(file, board.name, float(clock), 91.25, REPORT, phases, 512.4)

    monkeypatch.setattr(command, "top_of", top_of)
    monkeypatch.setattr(command, "build", build)
    return calls


def test_bitstream_json(asked, capsys):
    main(["bitstream", "--board", "ulx3s-85f", "--json"])
    out, err = capsys.readouterr()
    assert not err
    assert json.loads(out) == {
        "board": "ulx3s-85f",
        "bitstream": "build/fpga/ulx3s-85f-small/top.bit",
        "clock_mhz": 40.0,
        "fmax_mhz": 91.25,
        "luts": 41820,
        "flip_flops": 16728,
        "brams": 104,
        "single_port_rams": 0,
        "dsps": 78,
        "seconds": 3.5,
        "phases": {"elaborate": 1.0, "pack": 2.5},
        "memory_mib": 512,
        "load": [
            "openFPGALoader -b ulx3s build/fpga/ulx3s-85f-small/top.bit",
            "fujprog build/fpga/ulx3s-85f-small/top.bit",
        ],
    }
    folder = Path("build/fpga/ulx3s-85f-small")
    assert asked == [("small", "ulx3s-85f", None, 40), ("ulx3s-85f", 40, folder, 40, 1)]


@pytest.fixture
def folded(asked, tmp_path, monkeypatch):
    """As ``asked``, in a folder, for a board that chips are folded for."""
    monkeypatch.chdir(tmp_path)
    program = Program((Instruction(Op.END), NOP), (0, 5), (7,))
    made = command.build

    def fold_chip(chip, hw, folder):
        asked.append((chip.layers, hw.lanes, folder))
        return program

    def build(*arguments, **options):
        built = made(*arguments, **options)
        built.bitstream.parent.mkdir(parents=True)
        built.bitstream.write_bytes(b"bits")
        return built

    monkeypatch.setattr(command, "fold_chip", fold_chip)
    monkeypatch.setattr(command, "build", build)
    return program


def test_bitstream_of_a_folded_chip_has_its_program_behind_it(folded, asked, capsys):
    main(["bitstream", "--board", "icebreaker", "--json"])
    folder = Path("build/fpga/icebreaker-micro")
    content = (folder / "top.bin").read_bytes()
    assert content[:IMAGE_ADDRESS] == b"bits".ljust(IMAGE_ADDRESS, b"\xff")
    assert content[IMAGE_ADDRESS:] == image(folded)
    figures = json.loads(capsys.readouterr().out)
    assert figures["clock_mhz"] == 24.0
    assert {name: figures[name] for name in ("instructions", "words", "memory_words")} == {
        "instructions": 2,
        "words": 2,
        "memory_words": 1,
    }
    assert figures["design_khz"] == 12_000.0
    assert list(figures["phases"]) == ["fold", "elaborate", "pack"]
    assert asked == [((49, 8, 10), 2, folder / "fold"), ("icebreaker", 24, folder, 24, 1)]


def test_bitstream_shows_phases_a_table_and_how_to_load(folded, asked, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    folder = Path("a/folder/with/quite/a/long/name")
    main([
        "bitstream", "--board", "icebreaker", "--preset", "tiny", "--lanes", "2",
        "--clock", "24", "--seed", "7", "--out", str(folder),
    ])  # fmt: skip
    out, err = capsys.readouterr()
    assert [line for line in err.splitlines() if line.endswith(" s")] == [
        "fold: 0 s",
        "elaborate: 0 s",
        "pack: 0 s",
    ]
    assert f"\nLoad it into the board: iceprog {folder}/top.bin\n" in out, "in one line"
    rows = {
        line.split("│")[1].strip(): line.split("│")[2:5] for line in out.splitlines() if "│" in line
    }
    assert [cell.strip() for cell in rows["block RAMs"]] == ["104", "30", "347"]
    assert [cell.strip() for cell in rows["clock, MHz"]] == ["24", "91.2", "+280 to spare"]
    assert [cell.strip() for cell in rows["memory words"]] == ["1", "16,384", "0"]
    assert asked == [((9, 5, 3), 2, folder / "fold"), ("icebreaker", 24, folder, 24, 7)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--board", "arty"],
            "board must be one of ulx3s-85f, ulx3s-12f, ecpix5-85f, icebreaker, not 'arty'",
        ),
        (
            ["--board", "ulx3s-85f", "--preset", "huge"],
            "preset must be one of mnist, mnist-16, small, mini, micro, tiny, not 'huge'",
        ),
        (
            ["--board", "icebreaker", "--seed", "-1"],
            "seed must be within 0..2**31-1, not -1",
        ),
        (
            ["--board", "icebreaker", "--clock", "80"],
            "clock must be one of 24, 30 (MHz) on icebreaker, not 80",
        ),
    ],
)
def test_bitstream_refuses_in_one_sentence(asked, capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(["bitstream", *arguments])
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"crossforge: {message}\n")
    assert not asked


def test_bitstream_says_what_the_flow_refuses(asked, capsys, monkeypatch):
    def build(*_, **__):
        raise BuildError("clk must reach 80.0 MHz on ulx3s-85f, but reaches 71.2 MHz: do something")

    monkeypatch.setattr(command, "build", build)
    with pytest.raises(SystemExit) as end:
        main(["bitstream", "--board", "ulx3s-85f", "--json"])
    assert end.value.code == 2
    _, err = capsys.readouterr()
    assert err.startswith("crossforge: clk must reach 80.0 MHz on ulx3s-85f, but")


def test_bitstream_refuses_what_cannot_fit(capsys):
    with pytest.raises(SystemExit) as end:
        main(["bitstream", "--board", "ulx3s-85f", "--preset", "mnist-16"])
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("crossforge: 528-250-125-10 must fit into ulx3s-85f, but ")
    assert err.endswith("choose another --preset or a larger board\n")
    assert " block RAMs and it has " in err


def test_bitstream_refuses_cells_that_cannot_be_folded_at_once(capsys, monkeypatch):
    monkeypatch.setattr(fold, "fold", None)  # nothing is compiled
    with pytest.raises(SystemExit) as end:
        main(["bitstream", "--board", "icebreaker", "--preset", "mnist-16"])
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.lstrip() == (
        "crossforge: 528-250-125-10 on 16 lanes must fit into the folded emulator, but its 164,885 "
        "cells of 97 bits are 16.0 Mb and there are 262 kb: choose another --preset, fewer lanes "
        "or a larger board\n"
    )


@pytest.mark.slow
def test_bitstream_refuses_a_chip_that_cannot_be_folded(capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["bitstream", "--board", "icebreaker", "--preset", "mini", "--out", str(tmp_path)])
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    assert re.fullmatch(
        r"crossforge: 49-8-10 on 4 lanes must fit into the folded emulator, but it takes 1,\d{3} "
        r"words and there are 1,792: choose another --preset, fewer lanes or a larger board",
        err.strip(),
    )


@pytest.mark.parametrize("name", BOARDS)
def test_bitstream_says_how_to_load_into_every_board(name):
    built = Built(Path("top"), name, 1.0, 2.0, REPORT, {}, 0.0)
    for load in command.load_commands(built):
        assert load.endswith(" top")
