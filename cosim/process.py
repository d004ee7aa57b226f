# SPDX-License-Identifier: Apache-2.0
"""What runs within the simulator's process; started by :func:`cosim.cosimulate.cosimulate`."""

import json
import os
import pickle
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import cocotb
from cocotb.clock import Clock

from cosim.job import JOB, STEPS_PER_CYCLE
from cosim.session import Session


@cocotb.test
async def train(dut):
    """Run the job that :data:`cosim.job.JOB` names; a line of report for each run."""
    job = pickle.loads(Path(os.environ[JOB]).read_bytes())
    Clock(dut.clk, STEPS_PER_CYCLE, unit="step").start()
    written = 0.0

    def progress(run):
        def tell(done):
            nonlocal written
            if monotonic() - written > 0.2:
                written = monotonic()
                (job.folder / "progress").write_text(f"{run} {done}")

        return tell

    with (job.folder / "reports").open("w") as reports:
        for k, run in enumerate(job.runs):
            report = await Session(dut, job.hw, run, progress(k)).run()
            print(json.dumps(asdict(report)), file=reports, flush=True)
