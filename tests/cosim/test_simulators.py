# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Benches run on Verilog as they do in Amaranth, and what is wrong is said."""

import shutil
from pathlib import Path

import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosim.bench import simulate
from cosim.lint import lint
from cosim.simulators import SimulationError, build, run
from cosim.verilog_bench import groups, load, simulate_verilog
from rtl.scatter import Scatter
from rtl.tools import ToolError
from rtl.verilog import digest, to_verilog, write_verilog

pytestmark = pytest.mark.slow


needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus must be installed: apt install iverilog"
)
SIMULATORS = ["verilator", pytest.param("icarus", marks=needs_icarus)]
#: Modules whose benches run on Verilog too.
COMPONENTS = sorted(
    path
    for path in (Path(__file__).parents[1] / "rtl").glob("test_*.py")
    if "\nBENCHES = [" in path.read_text()
)


class Adder(wiring.Component):
    """``sum`` is ``a + added`` a cycle later, ``same`` is ``a`` at once."""

    def __init__(self, added):
        self.added = added
        super().__init__({"a": In(4, init=5), "sum": Out(4, init=9), "same": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.sum.eq(self.a + self.added)
        m.d.comb += self.same.eq(self.a)
        return m


class Inverter(wiring.Component):
    """Has no clock."""

    a: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(~self.a)
        return m


class Nested(wiring.Component):
    """Has submodules with one name."""

    a: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = Adder(1)
        m.submodules.second = second = Adder(2)
        m.d.comb += [first.a.eq(self.a), second.a.eq(first.sum), self.o.eq(second.sum)]
        return m


def add(added=3, wrong=0):
    def process(pins):
        yield
        assert (pins["same"], pins["sum"]) == (5, 9), "inputs and registers begin as declared"
        pins["a"] = 14
        yield
        assert (pins["same"], pins["sum"]) == (14, 5 + added)
        yield
        assert pins["sum"] == (14 + added) % 16 + wrong, "the sum must wrap"
        pins["rst"] = 1
        yield
        pins["rst"] = 0
        yield
        assert pins["sum"] == 9, "reset must restore it"

    simulate(Adder(added), process)


def invert():
    def process(pins):
        for a in range(16):
            pins["a"] = a
            yield
            assert pins["o"] == 15 - a

    simulate(Inverter(), process)


def reflect():
    """Feed the register's output back within the cycle."""

    def process(pins):
        for k in range(20):
            yield
            assert pins["sum"] == (9 + 3 * k) % 16
            assert pins["same"] == pins["sum"]

    def reflex(pins):
        pins["a"] = pins["sum"]

    simulate(Adder(3), process, reflex=reflex)


def add_fails():
    add(wrong=1)


def wait_for_ever():
    def process(pins):
        while True:
            yield

    simulate(Adder(3), process, limit=50)


def two_components():
    add(3)
    add(4)


BENCHES = [add, invert, reflect, add]


@pytest.fixture
def build_dir(request):
    """Folder that keeps builds from one run of the tests to the next."""
    return request.config.rootpath / "build" / "cosim"


@pytest.fixture
def run_mutants(request):
    """Return the function of bench/, which is no package that is installed."""
    return load(f"{request.config.rootpath / 'bench' / 'mutants.py'}:run_mutants")


def here(name):
    return f"{__file__}:{name}"


def verilog(tmp_path, component, name="dut"):
    return write_verilog(component, tmp_path / f"{name}.v", name=name)


@pytest.mark.parametrize("bench", BENCHES)
def test_bench_passes_in_amaranth(bench):
    bench()


@needs_icarus
@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
def test_benches_of_components_pass_on_icarus(path, build_dir):
    """They run in Amaranth's simulator too, and on Verilator with mutants: see bench/mutants.py."""
    ref = f"{path}:BENCHES"
    outcomes = simulate_verilog(ref, "icarus", build_dir)
    assert [o.error for o in outcomes] == [None] * len(load(ref))
    assert all(o.cycles > 2 for o in outcomes)


def test_every_component_has_benches():
    assert len(COMPONENTS) == len(list(Path(__file__).parents[1].glob("rtl/test_*.py"))) >= 23


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_benches_pass_on_verilog(simulator, build_dir):
    outcomes = simulate_verilog(here("BENCHES"), simulator, build_dir)
    cycles = {o.bench: o.cycles for o in outcomes}
    assert cycles == {
        "adder 0: add": 6,
        "adder 2: reflect": 21,
        "adder 3: add": 6,
        "inverter 1: invert": 17,
    }


@needs_icarus
@pytest.mark.parametrize(
    ("bench", "sentence"),
    [
        ("add_fails", "AssertionError: the sum must wrap"),
        ("wait_for_ever", "TimeoutError: 1 processes must end, but wait after 50 cycles"),
        ("two_components", "must simulate one component with one set of parameters"),
    ],
)
def test_bench_that_fails_says_why(bench, sentence, build_dir):
    with pytest.raises(SimulationError, match=f"1 of 1 failed.\nadder 0: {bench}: .*{sentence}"):
        simulate_verilog(here(bench), "icarus", build_dir)


def test_bench_must_simulate():
    with pytest.raises(ValueError, match=r"bench 0: simulate_nothing must call simulate\(\)"):
        groups(here("simulate_nothing"))


def simulate_nothing():
    pass


def test_benches_of_equal_components_are_one_group():
    found = groups(here("BENCHES"))
    assert [(g.name, g.benches) for g in found] == [("adder", [0, 2, 3]), ("inverter", [1])]
    assert digest(Adder(3)) == digest(Adder(3)) != digest(Adder(4))


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("cosim.bench", 'must be "module:name"'),
        ("cosim.bench:nothing", "must name something in cosim.bench"),
        ("nowhere.py:BENCHES", "must name a file that exists"),
    ],
)
def test_load_rejects_a_wrong_reference(ref, sentence):
    with pytest.raises(ValueError, match=sentence):
        load(ref)


def test_verilog_keeps_hierarchy_names_and_reset_values():
    text = to_verilog(Nested(), name="nested")
    for line in ("module nested(", "module nested_first(", "module nested_second("):
        assert line in text
    assert "nested_first first (" in text
    assert "reg [3:0] sum = 4'h9;" in text
    assert ".py" not in text
    with pytest.raises(ValueError, match=r"name must be a Verilog identifier, not 'a.b'"):
        to_verilog(Nested(), name="a.b")


@needs_icarus
def test_build_is_kept_until_the_verilog_or_an_option_changes(tmp_path):
    first, second = verilog(tmp_path, Adder(1), "a"), verilog(tmp_path, Adder(2), "b")
    built = build([first], "a", tmp_path, "icarus")
    made = (built.folder / "sim.vvp").stat().st_mtime_ns
    assert build([first], "a", tmp_path, "icarus") == built
    assert (built.folder / "sim.vvp").stat().st_mtime_ns == made
    assert build([first], "a", tmp_path, "icarus", extra=["-Wall"]).folder != built.folder
    first.write_text(second.read_text().replace("module b", "module a"))
    assert build([first], "a", tmp_path, "icarus").folder != built.folder


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_build_shows_what_the_compiler_said(simulator, tmp_path):
    source = tmp_path / "dut.v"
    source.write_text("module dut(input a, output b); assign b = nonsense(a); endmodule\n")
    with pytest.raises(SimulationError, match=rf"(?s){simulator} must build dut, but.*nonsense"):
        build([source], "dut", tmp_path, simulator)


def test_build_rejects_an_unknown_simulator(tmp_path):
    with pytest.raises(ValueError, match="one of verilator, icarus, not 'questa'"):
        build([], "dut", tmp_path, "questa")


def test_build_says_how_to_install_icarus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"^Icarus must be installed: apt install iverilog$"):
        build([], "dut", tmp_path, "icarus")


@needs_icarus
def test_run_without_tests_fails(tmp_path):
    built = build([verilog(tmp_path, Inverter())], "dut", tmp_path, "icarus")
    with pytest.raises(SimulationError, match=r"cosim.bench on dut \(icarus\): no test ran"):
        run(built, "cosim.bench")
    with pytest.raises(ValueError, match=r"pass waves=True to build\(\)"):
        run(built, "cosim.bench", waves=tmp_path / "waves.fst")


def test_lint_is_clean_for_scatter(tmp_path, build_dir):
    scatter = Scatter(signed(8), 8, depth=32, source_lanes=2)
    assert lint(verilog(tmp_path, scatter), build_dir=build_dir) == []


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        ("assign same = a;", "", {("verilator", "UNDRIVEN"), ("yosys", "error")}),
        ("assign same = a;", "assign same = ~same;", {("yosys", "error")}),
        ("assign same = a;", "assign same = a; assign same = sum;", {("yosys", "error")}),
        ("assign same = a;", "always @* if (a[0]) same = a;", {("slang", "error")}),
    ],
)
def test_lint_finds_an_injected_defect(old, new, rules, tmp_path, build_dir):
    path = verilog(tmp_path, Adder(3))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert rules <= {(f.tool, f.rule) for f in lint(path, build_dir=build_dir)}


def test_mutants_are_killed_by_a_good_bench_and_survive_a_bad_one(run_mutants, build_dir):
    (good,) = run_mutants(here("add"), 5, 1, build_dir)
    (bad,) = run_mutants(here("one_cycle"), 5, 1, build_dir)
    assert good.killed >= 4
    assert bad.killed < good.killed
    assert all("test_simulators.py:" in m.source for m in good.mutants)


def one_cycle():
    def process(pins):
        yield

    simulate(Adder(3), process)


def test_mutants_need_a_bench_that_passes(run_mutants, build_dir):
    with pytest.raises(SimulationError, match="must pass without a mutant, but 0: add_fails"):
        run_mutants(here("add_fails"), 2, 1, build_dir)
