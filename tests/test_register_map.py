# SPDX-License-Identifier: Apache-2.0
"""Offsets, words and documents that come from the description of the registers."""

import re

import numpy as np
import pytest
from systemrdl import RDLCompiler
from systemrdl.node import MemNode

from golden.hardware import ControllerConfig
from golden.register_docs import markdown, python_constants, system_rdl
from golden.register_map import Field, Register, RegisterMap, Window
from golden.registers import ID, counter_names, register_map

SIZES = {
    "usual": ControllerConfig(),
    "small": ControllerConfig(layers=1, tiles=1, lanes=2, transfer_lanes=1, tables=1, program=2),
    "large": ControllerConfig(
        layers=15,
        tiles=64,
        lanes=128,
        transfer_lanes=128,
        random_depth=16384,
        tables=15,
        program=256,
    ),
}
USUAL = register_map(SIZES["usual"])
SINGLE = Register("LEVEL", "rw", (Field("low", 4, "low"), Field("step", 5, "step", -3, True)), "")


@pytest.mark.parametrize("name", SIZES)
def test_every_word_has_an_address_of_its_own(name):
    registers = register_map(SIZES[name])
    end = 0
    for e in registers.entries:
        first, size = registers.address(e.name), registers.size(e.name)
        assert first >= end
        assert first % size == 0
        assert size >= 4 * e.words
        assert size & (size - 1) == 0
        assert registers.address(e.name, e.words - 1) == first + 4 * (e.words - 1)
        end = first + size
    assert 1 << (registers.addr_width - 1) < end <= 1 << registers.addr_width


def test_offsets_of_the_usual_controller_stay():
    """Hosts are built with them."""
    assert USUAL.address("ID") == 0
    assert USUAL.address("CONTROL") == 0x8
    assert USUAL.address("GAIN") == 0x50
    assert USUAL.address("LAYER_X", 2) == 0x78
    assert USUAL.address("COUNTER_HIGH", 34) == 0x288
    assert USUAL.address("LANES", np.int64(2047)) == 0x3FFC


def test_sizes_are_those_of_the_configuration():
    large = register_map(SIZES["large"])
    assert large.decode("SIZES", large.encode("SIZES")) == {
        "layers": 15,
        "tiles": 64,
        "log2_lanes": 7,
        "log2_transfer_lanes": 7,
        "tables": 15,
        "program": 256,
    }
    assert USUAL.encode("ID") == ID


def test_counters_are_those_of_the_machine_and_of_the_program():
    names = counter_names(ControllerConfig(layers=2))
    assert len(names) == len(set(names)) == 9 + 4 * 2 + 14
    assert names[9:13] == [
        "forward_clips_0", "backward_clips_0", "pulses_asked_0", "pulses_applied_0"
    ]  # fmt: skip
    assert (names[0], names[17], names[-1]) == ("examples", "cycles_load", "cycles_idle")


@pytest.mark.parametrize("register", [e.name for e in USUAL.entries if isinstance(e, Register)])
def test_decode_undoes_encode(register):
    for pick in (0, 1):
        values = {f.name: f.range[pick] for f in USUAL.register(register).fields}
        assert USUAL.decode(register, USUAL.encode(register, **values)) == values


def test_encode_packs_from_bit_0_and_resets_what_is_left_out():
    registers = RegisterMap([SINGLE])
    assert registers.encode("LEVEL") == 0b11101_0000
    assert registers.encode("LEVEL", low=9, step=15) == 0b01111_1001
    assert registers.decode("LEVEL", 0xFFFFFFFF) == {"low": 15, "step": -1}
    assert USUAL.encode("UPDATE", stochastic=np.int32(1)) == 0b1_11111


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("UPDATE", {"delta_max": 32}, "delta_max must be a whole number within 0..31, not 32"),
        ("UPDATE", {"delta_max": -1}, "delta_max must be a whole number within 0..31, not -1"),
        ("UPDATE", {"delta_max": 1.0}, "delta_max must be a whole number within 0..31, not 1.0"),
        ("GAIN", {"gain": -16385}, "gain must be a whole number within -16384..16383, not -16385"),
        ("GAIN", {"gain": 16384}, "gain must be a whole number within -16384..16383, not 16384"),
        ("UPDATE", {"n": 1}, "field must be one of delta_max, stochastic, not 'n'"),
        ("LANES", {}, "name must be a register, not window 'LANES'"),
    ],
)
def test_encode_rejects(name, values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        USUAL.encode(name, **values)


@pytest.mark.parametrize("index", [-1, 3, 0.5])
def test_address_rejects_an_index_outside(index):
    message = re.escape(f"index must be a whole number within 0..2, not {index}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        USUAL.address("LAYER_X", index)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: USUAL["NOTHING"], "name must be one of ID, SIZES, "),
        (lambda: Field("Up", 1, ""), "name must be a lower-case identifier, not 'Up'"),
        (lambda: Field("n", 33, ""), "width must be within 1..32, not 33"),
        (lambda: Field("n", 3, "", 8), "n must be a whole number within 0..7, not 8"),
        (lambda: Register("low", "rw", (), ""), "name must be an upper-case identifier, not 'low'"),
        (lambda: Register("A", "wo", (), ""), "access must be one of rw, ro, pulse, not 'wo'"),
        (lambda: Register("A", "rw", (), ""), "width must be within 1..32, not 0"),
        (
            lambda: Register("A", "rw", (Field("n", 1, ""), Field("n", 1, "")), ""),
            "fields must be unlike each other, not ['n', 'n']",
        ),
        (
            lambda: Register("A", "rw", (Field("n", 1, ""),), "", 0),
            "count must be positive, or None, not 0",
        ),
        (lambda: Window("W", 0, 8, ""), "words must be positive, not 0"),
        (lambda: Window("W", 1, 0, ""), "width must be within 1..32, not 0"),
        (lambda: RegisterMap([SINGLE] * 2), "names must be unlike each other, not ['LEVEL', 'LEV"),
    ],
)
def test_map_rejects(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()


def test_markdown_has_every_field_with_its_bits():
    lines = markdown(USUAL).splitlines()
    assert "| `0x0008` | `CONTROL` | pulse | Commands. |" in lines
    assert "| `0x2000` + 4i, i < 2048 | `LANES` | rw, written while idle |" in "\n".join(lines)
    for e in USUAL.entries:
        if isinstance(e, Register):
            for low, f in e.shifts():
                bits = f"{low + f.width - 1}:{low}" if f.width > 1 else f"{low}"
                row = f"| `{e.name}` | {bits} | `{f.name}` | "
                assert sum(line.startswith(row) for line in lines) == 1, row
    tables = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {5, 6}


def test_system_rdl_has_every_field_with_its_bits():
    text = system_rdl(USUAL)
    assert text.count("{") == text.count("}")
    for e in USUAL.entries:
        at = f"@ 0x{USUAL.address(e.name):X}"
        if isinstance(e, Window):
            assert f"}} {e.name} {at};" in text
            continue
        array = "" if e.count is None else rf"\[{e.count}\]"
        stride = "" if e.count is None else r" \+= 4"
        (body,) = re.findall(rf"reg {{((?:(?!reg {{)[^@])*)}} {e.name}{array} {at}{stride};", text)
        for low, f in e.shifts():
            place = rf"\{f.name} [{low + f.width - 1}:{low}] = 0x{f.bits(f.reset):X};"
            assert place in body, (e.name, f.name)


def test_system_rdl_compiles_to_the_same_map(tmp_path):
    """The reference compiler finds every register, window and field where the map has it."""
    path = tmp_path / "registers.rdl"
    path.write_text(system_rdl(USUAL))
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    found = {node.inst_name: node for node in compiler.elaborate().top.children(unroll=False)}
    assert list(found) == [e.name for e in USUAL.entries]
    for e in USUAL.entries:
        node = found[e.name]
        assert node.raw_address_offset == USUAL.address(e.name)
        if isinstance(e, Window):
            assert isinstance(node, MemNode)
            assert (node.get_property("mementries"), node.get_property("memwidth")) == (e.words, 32)
            continue
        assert (node.array_dimensions or [1]) == [e.words]
        fields = [(f.inst_name, f.low, f.width, f.get_property("reset")) for f in node.fields()]
        assert fields == [(f.name, low, f.width, f.bits(f.reset)) for low, f in e.shifts()]


def test_python_constants_agree_with_the_map():
    constants: dict[str, int] = {}
    exec(python_constants(USUAL), constants)  # it is meant to be a module
    for e in USUAL.entries:
        assert constants[e.name] == USUAL.address(e.name)
        if isinstance(e, Window) or e.count is not None:
            assert constants[f"{e.name}_WORDS"] == e.words
        if isinstance(e, Register):
            for low, f in e.shifts():
                field = f"{e.name}_{f.name.upper()}"
                assert constants[f"{field}_SHIFT"] == low
                assert constants[f"{field}_MASK"] == (1 << f.width) - 1
