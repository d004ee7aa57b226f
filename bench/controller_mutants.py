# SPDX-License-Identifier: Apache-2.0
"""Share of small faults in the assembled controller that the tests of its buses notice.

As bench/mutants.py, but of the logic in :class:`rtl.controller.ChipController` itself, which has no
unit bench: the cocotb tests of tests/cosim/controller_bench.py run on every mutant::

    python -m bench.controller_mutants
"""

import argparse
import sys
import tempfile
from pathlib import Path

from bench.mutants import mutants
from cosim.harness import Harness
from cosim.simulators import SimulationError, build, run
from cosim.verilog_bench import MUTANT, ports

#: The test that notices most faults; all others run only on those that survive it.
_FIRST = "trains_with_pauses_on_every_bus"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=24, help="mutants (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="selects the mutants (%(default)s)")
    args = parser.parse_args()
    sys.path.insert(0, str(Path("tests/cosim").resolve()))
    from controller_host import HARDWARE

    harness = Harness(HARDWARE, feeders=False)
    verilog, made = mutants(harness, args.n, args.seed, name="harness", only="harness_controller")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "harness.v")
        source.write_text(verilog)
        built = build([source], "harness", public=[*ports(harness), MUTANT])
    run(built, "controller_bench", env={"CROSSFORGE_MUTANT": "0"})
    killed = 0
    for mutant in made:
        try:
            for tests in (_FIRST, f"(?!.*{_FIRST})"):
                run(
                    built,
                    "controller_bench",
                    env={"CROSSFORGE_MUTANT": str(mutant.number), "COCOTB_TEST_FILTER": tests},
                )
            print(f"survived: {mutant}", flush=True)
        except SimulationError:
            killed += 1
    print(f"controller: {killed} of {len(made)} mutants killed ({killed / len(made):.0%})")


if __name__ == "__main__":
    main()
