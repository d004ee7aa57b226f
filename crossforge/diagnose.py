# SPDX-License-Identifier: Apache-2.0
"""Why a run trains badly: what its counters say, and what to change."""

from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

from rich.table import Table

__all__ = ["Finding", "diagnose", "report"]

#: Weight of one code of the read ADC.
_READ_CODE = 2.0**-10


@dataclass(frozen=True)
class Finding:
    """One figure of a run, the range in which it is healthy, and what to do outside."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    advice: str

    @property
    def ok(self) -> bool:
        """Whether the figure lies in its healthy range."""
        return self.low <= self.value <= self.high


def diagnose(metrics: dict) -> list[Finding]:
    """Judge the last transfer interval of a run.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json`` of a run on the chip.
    """
    rate = metrics["learning_rate"]
    pulses = rate["rate"] / metrics["step"]
    last_pulses = pulses * rate["decay"] ** (metrics["epochs"] - 1)
    found = [
        # Below one pulse per unit error and input only dither keeps learning; above delta_max
        # the largest errors are cut.
        Finding(
            "pulses per unit error, first epoch",
            pulses,
            "1",
            1,
            rate["delta_max"],
            "change the learning rate or the step of the capacitor (dv_up, dv_down)",
        ),
        Finding(
            "pulses per unit error, last epoch",
            last_pulses,
            "1",
            0.5,
            rate["delta_max"],
            "decay the learning rate more slowly",
        ),
    ]
    if not metrics["intervals"]:
        found.append(
            Finding(
                "transfers",
                0,
                "1",
                1,
                inf,
                "leave transfer on, or train longer than one interval: without transfers "
                "weights stay in capacitors that leak and saturate",
            )
        )
        return found
    interval, layers = metrics["intervals"][-1], metrics["layers"]
    cells = [(a + 1) * b for a, b in pairwise(layers)]
    examples, learned = interval["examples"], interval["examples"] - interval["skipped"]
    synapses = sum(cells)
    for i, outputs in enumerate(layers[1:]):
        name = f"layer {i + 1}"
        use = interval["capacitor"][i]
        asked, applied = interval["pulses_asked"][i], interval["pulses_applied"][i]
        per_cell = applied / cells[i]
        # Beyond one cell in fifty the bound distorts the gradient visibly.
        found.append(
            Finding(
                f"{name}: saturated capacitors",
                100 * use["saturated"],
                "%",
                0,
                2,
                "transfer more often (interval) or make the step smaller",
            )
        )
        # Hidden units saturate at 1.5 while the ADC spans 2: much clipping is natural there.
        found.append(
            Finding(
                f"{name}: forward clips",
                100 * interval["forward_clips"][i] / (examples * outputs),
                "%",
                0,
                80,
                "widen forward_shift of this layer by one",
            )
        )
        if i > 0 and learned:
            clips = interval["backward_clips"][i] / (learned * layers[i])
            found.append(
                Finding(
                    f"{name}: backward clips",
                    100 * clips,
                    "%",
                    0,
                    10,
                    "widen backward_shift of this layer by one",
                )
            )
        # Column pulses lost to delta_max are gradient lost.
        lost = 100 * (1 - applied / asked) if asked else 0.0
        found.append(
            Finding(
                f"{name}: pulses lost to delta_max",
                lost,
                "%",
                0,
                5,
                "raise delta_max or lower the learning rate",
            )
        )
        # The paper's typical cell sees 500 pulses in 8,000 examples.
        found.append(
            Finding(
                f"{name}: pulses per cell and interval",
                per_cell,
                "1",
                0.01,
                2000,
                "check that inputs and errors reach this layer",
            )
        )
        drift = metrics["asymmetry"] * metrics["step"] * per_cell
        # One interval's asymmetry must stay well inside the capacitor's swing of some 0.4.
        found.append(
            Finding(
                f"{name}: drift by asymmetry per interval",
                drift,
                "weight",
                0,
                0.1,
                "keep polarity inversion on, transfer more often or use finer steps",
            )
        )
    residual = sqrt(interval["transfer_error_sq"] / synapses) * _READ_CODE
    # Measured: training does not notice residuals up to 0.003.
    found.append(
        Finding(
            "transfer residual, rms",
            residual,
            "weight",
            0,
            0.003,
            "allow more tune_rounds or a smaller tune_tolerance",
        )
    )
    found.append(
        Finding(
            "cells that failed to transfer",
            100 * interval["failed_cells"] / synapses,
            "%",
            0,
            0.5,
            "allow more retries or a smaller set_tolerance",
        )
    )
    # Each shot costs a RESET and up to 4.4 us.
    found.append(
        Finding(
            "SET shots per cell",
            interval["set_shots"] / synapses,
            "1",
            0,
            4,
            "widen set_tolerance: the capacitor repairs what remains",
        )
    )
    return found


def report(findings: list[Finding]) -> Table:
    """Table of findings, with advice for those out of range."""
    table = Table(title="Diagnosis of the last transfer interval")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("healthy", justify="right")
    table.add_column("advice")
    for f in findings:
        unit = "" if f.unit == "1" else f" {f.unit}"
        span = f"{f.low:g} .. {f.high:g}"
        table.add_row(
            f.name,
            f"{f.value:.3g}{unit}",
            span,
            "ok" if f.ok else f.advice,
            style=None if f.ok else "bold",
        )
    return table
