# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import subprocess
import sys

import pytest
from amaranth.hdl import Fragment

from bench.area import PAGE, Area, block_of, blocks, measure, section
from crossforge.cli import main
from crossforge.verilog import Written, generate, generate_preset, lint_folder
from crossforge.verilog_text import ports, stub
from golden.controllers import CONTROLLERS
from golden.hardware import ControllerConfig
from golden.registers import ID, register_map
from rtl.controller import ChipController

pytestmark = pytest.mark.slow


TINY = CONTROLLERS["tiny"].hardware()
FILES = {
    "crossforge.v",
    "analog_tile.v",
    "crossforge_chip.v",
    "files.f",
    "crossforge.sdc",
    "crossforge.vlt",
    "crossforge.core",
    "registers.md",
    "registers.rdl",
    "registers.py",
    "parameters.json",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder with the preset ``tiny``."""
    folder = tmp_path_factory.mktemp("verilog") / "new" / "tiny"
    generate_preset("tiny", folder)
    return folder


def declared(text, module):
    """Direction and width of each port of a module in Verilog, in any style."""
    body = re.search(rf"^module {module}\s?\(.*?^endmodule", text, re.M | re.S)[0]
    found = re.findall(r"^\s*(input|output)\s+(?:wire )?(?:\[(\d+):0\] )?(\w+)[,;]?$", body, re.M)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in found}


def test_generate_writes_what_a_chip_needs(tiny):
    assert {path.name for path in tiny.iterdir()} == FILES
    sources = (tiny / "files.f").read_text().split()
    assert sources == ["crossforge.v", "analog_tile.v", "crossforge_chip.v"]
    fields = json.loads((tiny / "parameters.json").read_text())
    assert ControllerConfig(**fields) == TINY
    constants = {}
    exec((tiny / "registers.py").read_text(), constants)
    assert constants["STATUS"] == register_map(TINY).offset["STATUS"]
    assert constants["TILE_PLACE_WORDS"] == TINY.tiles
    assert f"{ID:X}" in (tiny / "registers.md").read_text()


def test_verilog_writes_the_same_bytes_in_another_process(tiny, tmp_path):
    command = [sys.executable, "-m", "crossforge.cli", "verilog", "--preset", "tiny", "--json"]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    command += ["-o", str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (tiny / name).read_bytes(), name
    printed = json.loads(done.stdout)
    assert printed["folder"] == str(tmp_path)
    assert printed["files"] == {name: (tiny / name).stat().st_size for name in FILES}


def test_ports_in_the_verilog_are_the_components(tiny):
    controller = ChipController(TINY)
    Fragment.get(controller, None)  # Amaranth warns of components that are not used
    listed = {p.name: (p.direction, p.width) for p in ports(controller.signature)}
    assert declared((tiny / "crossforge.v").read_text(), "crossforge") == listed
    host = {name: port for name, port in listed.items() if not name.startswith("tiles__")}
    assert host.pop("abandon") == ("output", 1)
    assert declared((tiny / "crossforge_chip.v").read_text(), "crossforge_chip") == host


def test_stub_has_the_ports_of_a_tile(tiny):
    controller = declared((tiny / "crossforge.v").read_text(), "crossforge")
    tile = declared((tiny / "analog_tile.v").read_text(), "analog_tile")
    assert tile.pop("clk") == tile.pop("rst") == tile.pop("abandon") == ("input", 1)
    turned = {"input": "output", "output": "input"}
    for t in range(TINY.tiles):
        prefix = f"tiles__{t}__"
        assert tile == {
            name.removeprefix(prefix): (turned[direction], width)
            for name, (direction, width) in controller.items()
            if name.startswith(prefix)
        }


def test_stub_tells_how_payloads_are_packed():
    lines = stub(64, 8).splitlines()
    assert "//   [12:4] row" in lines
    assert "//   [8*i + 7:8*i] data[i], signed, i = 0..63" in lines
    assert "//   [512] last" in lines
    assert "//   [14*i + 13:14*i + 7] data[i].minus, i = 0..7" in lines
    assert "//   [12*i + 11:12*i] code[i], signed, i = 0..7" in lines


def test_chip_connects_every_port(tiny):
    text = (tiny / "crossforge_chip.v").read_text()
    instances = re.findall(r"^  (\w+) (\w+) \(\n(.*?)^  \);$", text, re.M | re.S)
    assert [(module, name) for module, name, _ in instances] == [
        ("crossforge", "controller"),
        *(("analog_tile", f"tile_{t}") for t in range(TINY.tiles)),
    ]
    for module, name, body in instances:
        connected = dict(re.findall(r"\.(\w+)\((\w+)\)", body))
        source = "analog_tile.v" if module == "analog_tile" else "crossforge.v"
        assert connected.keys() == declared((tiny / source).read_text(), module).keys()
        prefix = "tiles__" + name.removeprefix("tile_") + "__" if module == "analog_tile" else ""
        for port, net in connected.items():
            assert net == (port if port in ("clk", "rst", "abandon") else prefix + port)
    assert "// tile 5: layer 1, rows 3..5, columns 0..2" in text


def test_constraints_cover_every_port_of_the_chip(tiny):
    text = (tiny / "crossforge.sdc").read_text()
    assert "create_clock -name clk -period 10.000 [get_ports clk]" in text
    chip = declared((tiny / "crossforge_chip.v").read_text(), "crossforge_chip")
    for direction in ("input", "output"):
        command = rf"set_{direction}_delay -clock clk 2\.000 \[get_ports \{{\n(.*?)\}}\]"
        names = re.search(command, text, re.S)[1].replace("[*]", "").split()
        assert names == [n for n, (d, _) in chip.items() if d == direction and n != "clk"]


def test_core_file_is_capi2_and_names_files_that_exist(tiny):
    first, *lines = (tiny / "crossforge.core").read_text().splitlines()
    assert first == "CAPI=2:"  # else FuseSoC does not take it
    for line in filter(None, lines):  # of YAML only maps, lists and plain scalars, two spaces deep
        assert re.fullmatch(r"(  )*(- [\w./]+|[\w-]+:( [\w\[].*)?)", line), line
    text = "\n".join(lines)
    assert re.search(r"^name: crossforge:controller:tiny:\d+\.\d+\.\d+$", text, re.M)
    listed = re.findall(r"^ +- (\S+)$", text, re.M)
    assert set(listed) == {name for name in FILES if name.startswith(("cross", "analog"))} - {
        "crossforge.core"
    }
    filesets = re.findall(r"filesets: \[(.*)\]", text)
    assert filesets == ["rtl, constraints", "waivers, rtl"]


def test_lint_is_clean(tiny):
    assert lint_folder(tiny) == []


def test_lint_names_file_and_line(tiny, tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    chip = tmp_path / "crossforge_chip.v"
    lines = chip.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if "wire tiles__0__x__ready;" in line)
    lines[place] = "  wire [1:0] tiles__0__x__ready;"
    chip.write_text("\n".join([*lines, ""]))
    findings = lint_folder(tmp_path)
    assert any(re.match(r"crossforge_chip\.v:\d+: verilator WIDTH", f) for f in findings)


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["verilog", *arguments])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.removeprefix("crossforge: ").strip()


def test_verilog_refuses_in_one_sentence(capsys, tmp_path):
    out = ["-o", str(tmp_path / "out")]
    assert refusal(capsys, "--preset", "huge", *out) == (
        "preset must be one of mnist, mnist-16, small, mini, micro, tiny, not 'huge'"
    )
    for lanes in ("0", "-4", "12", "256"):
        assert refusal(capsys, "--lanes", lanes, *out) == (
            f"lanes must be a power of two within 2..128, not {lanes}"
        )
    assert refusal(capsys, "--clock", "0", *out) == "clock must be within 1e3..1e10 (Hz), not 0.0"
    assert not (tmp_path / "out").exists()


def test_verilog_refuses_a_folder_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "out"
    sentence = refusal(capsys, "--preset", "tiny", "-o", str(folder))
    assert sentence == f"{folder} must be a folder to write to: Not a directory"
    sentence = refusal(capsys, "--preset", "tiny", "-o", str(tmp_path / "file"))
    assert sentence == f"{tmp_path / 'file'} must be a folder to write to: File exists"


def test_generate_refuses_a_network_that_does_not_fit(tmp_path):
    small = CONTROLLERS["small"].chip
    with pytest.raises(ValueError, match=r"^rows must be at least 197 for this network, not 5$"):
        generate(TINY, small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_verilog_takes_options(capsys, tmp_path, monkeypatch):
    def asked(preset, folder, *, lanes, clock):
        assert (preset, folder, lanes, clock) == ("small", tmp_path, 8, 2e8)
        (tmp_path / "crossforge.v").write_text("// nothing\n")
        return [Written(tmp_path / "crossforge.v", "the controller")]

    found: list[str] = []
    monkeypatch.setattr("crossforge.cli.generate_preset", asked)
    monkeypatch.setattr("crossforge.cli.lint_folder", lambda folder: found)
    command = ["verilog", "--preset", "small", "-o", str(tmp_path), "--lanes", "8"]
    command += ["--clock", "2e8", "--check"]
    main(command)
    printed = capsys.readouterr().out
    assert re.search("crossforge.v .* 11 .* the controller", printed)
    assert "find nothing" in printed
    found.append("crossforge.v:3: yosys warning: something")
    with pytest.raises(SystemExit) as stop:
        main([*command, "--json"])
    assert stop.value.code == 1
    assert json.loads(capsys.readouterr().out)["findings"] == found


def test_lanes_of_a_preset_can_be_chosen():
    assert CONTROLLERS["mnist"].hardware(16) == CONTROLLERS["mnist-16"].hardware()


@pytest.mark.parametrize("name", CONTROLLERS)
def test_every_preset_can_have_two_lanes(name):
    hardware = CONTROLLERS[name].hardware(2)
    most = min(2, CONTROLLERS[name].transfer_lanes)
    assert (hardware.lanes, hardware.transfer_lanes) == (2, most)


def test_blocks_are_summed_over_instances():
    lane = {"num_cells_by_type": {"$sdffe_7": 2, "$mux_7": 1}, "num_memory_bits": 40}
    statistics = {
        "modules": {
            "\\top": {
                "num_cells_by_type": {"$and_1": 3, "\\top.unit_0": 1, "\\top.unit_1": 1},
                "num_memory_bits": 0,
            },
            "\\top.unit_0": lane,
            "\\top.unit_1": lane,
        }
    }
    memory = ["memory width 5 size 8 \\table", *2 * ['parameter \\MEMID "\\\\table"']]
    write = ["cell $memwr_v2 $3", memory[1]]
    netlist = [
        "module \\top",
        *("module \\top.unit_0", memory[0], "cell $memrd_v2 $1", memory[1], *write),
        *("module \\top.unit_1", memory[0], "cell $memrd_v2 $1", memory[1]),
        *("cell $memrd_v2 $2", memory[1]),
    ]
    found = blocks(statistics, "\n".join(netlist))
    assert found == {"(top)": Area(3), "unit": Area(6, 28, 80, 120)}
    assert block_of("\\top.vectors.reader.part") == "vectors.reader"
    assert block_of("\\top.watchdog$432") == "watchdog"


def test_area_page_is_up_to_date():
    assert section("tiny", measure("tiny")) in PAGE.read_text()
