# SPDX-License-Identifier: Apache-2.0
"""Share of small faults in the assembled controller that the tests of its buses notice.

As bench/mutants.py, but of the logic in :class:`rtl.controller.ChipController` itself, which has no
unit bench: the cocotb tests of tests/cosim/controller_bench.py run on every mutant::

    python -m bench.controller_mutants
"""

import argparse
import random
import re
import sys
import tempfile
from pathlib import Path

from bench.mutants import described
from cosim.harness import Harness
from cosim.simulators import SimulationError, build, run
from cosim.tools import yosys
from cosim.verilog_bench import MUTANT, ports
from rtl.verilog import TIDY, to_rtlil

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
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.il").write_text(to_rtlil(harness, name="harness", emit_src=True))
        listing = f"mutate -list 20000 -seed {args.seed} -o candidates"
        yosys(folder, ["read_rtlil in.il", *TIDY, "write_rtlil tidy.il", listing])
        lines = Path(folder, "candidates").read_text().splitlines()
        lines = [x for x in lines if re.search(r"-module \\?harness_controller ", x)]
        lines = [x for x in lines if not re.search(r"-port \S*CLK", x)]
        taken = random.Random(args.seed).sample(lines, min(args.n, len(lines)))
        width = len(taken).bit_length()
        mutate = [
            line.replace("mutate", f"mutate -ctrl {MUTANT} {width} {number}", 1)
            for number, line in enumerate(taken, 1)
        ]
        script = ["read_rtlil tidy.il", *mutate, "opt_clean", "write_verilog -noattr harness.v"]
        yosys(folder, script)
        built = build([Path(folder, "harness.v")], "harness", public=[*ports(harness), MUTANT])
    run(built, "controller_bench", env={"CROSSFORGE_MUTANT": "0"})
    killed = 0
    for number, line in enumerate(taken, 1):
        try:
            for tests in (_FIRST, f"(?!.*{_FIRST})"):
                run(
                    built,
                    "controller_bench",
                    env={"CROSSFORGE_MUTANT": str(number), "COCOTB_TEST_FILTER": tests},
                )
            print(f"survived: {described(number, line)}", flush=True)
        except SimulationError:
            killed += 1
    print(f"controller: {killed} of {len(taken)} mutants killed ({killed / len(taken):.0%})")


if __name__ == "__main__":
    main()
