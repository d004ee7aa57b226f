# SPDX-License-Identifier: Apache-2.0
"""Why a run trains badly: what its counters say, and what to change."""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

from rich.markup import escape
from rich.table import Table

__all__ = ["Finding", "diagnose", "report"]

#: Weight of one code of the read ADC.
_READ_CODE = 2.0**-10
#: Pulses per weight and example in Ambrogio et al., Nature 558, 60 (2018): about 500 in 8,000.
_PAPER_PULSES = 0.0625


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One figure of a run.

    Parameters
    ----------
    name : str
    value : float
    unit : str
        ``"1"`` for a pure number.
    low, high : float
        Range in which the figure is healthy, ends included; finite.
    ok : bool
        Whether the value lies in that range.
    advice : str
        What to change, one sentence; empty if ``ok``.
    """

    name: str
    value: float
    unit: str
    low: float
    high: float
    ok: bool
    advice: str


def _judge(name, value, unit, low, high, *, below="", above="") -> Finding:
    """Build a finding; ``below`` and ``above`` advise for a value out of range on that side."""
    ok = low <= value <= high
    advice = "" if ok else below if value < low else above
    return Finding(name=name, value=value, unit=unit, low=low, high=high, ok=ok, advice=advice)


def diagnose(metrics: dict) -> list[Finding]:
    """Judge the learning rate and the last transfer interval of a run.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json`` of a run on the chip.
    """
    found = _rates(metrics)
    if not metrics["intervals"]:
        return [*found, _no_transfer(metrics)]
    interval, layers = metrics["intervals"][-1], metrics["layers"]
    found += _examples(interval)
    found += _capacitors(interval)
    for layer in range(len(layers) - 1):
        found += _converters(interval, layers, layer)
        found += _pulses(metrics, interval, layer)
    return found + _transfer(interval, sum((a + 1) * b for a, b in pairwise(layers)))


def _rates(metrics):
    rate = metrics["learning_rate"]
    first = rate["rate"] / metrics["step"]
    last = first * rate["decay"] ** (metrics["epochs"] - 1)
    return [
        # Measured over two epochs with 0.01: 96.9 %; with 0.0025: 95.5 %; with 0.04: 93.3 %.
        # 0.005 still trains as well over 20 epochs.
        _judge(
            "learning rate, first epoch",
            rate["rate"],
            "1",
            0.003,
            0.03,
            below="raise learning_rate",
            above="lower learning_rate",
        ),
        # An error of 1 at an input of 1 asks for this many pulses. Below one, every update hangs
        # on random rounding. Errors near 1 are rare: cut to half they cost little (96.8 instead
        # of 96.9 % with delta_max 15), cut to a seventh they cost 0.8 %.
        _judge(
            "pulses per unit error, first epoch",
            first,
            "1",
            1,
            2 * rate["delta_max"],
            below="raise learning_rate or make the capacitor's steps dv_up and dv_down finer",
            above="lower learning_rate or make the capacitor's steps dv_up and dv_down coarser",
        ),
        # At the end random rounding is welcome: it averages. Half a pulse still moves weights.
        _judge(
            "pulses per unit error, last epoch",
            last,
            "1",
            0.5,
            2 * rate["delta_max"],
            below="raise decay towards 1, or lower --epochs",
            above="lower learning_rate",
        ),
    ]


def _no_transfer(metrics):
    examples = metrics["epochs"] * metrics["examples"]
    off = "transfer" in metrics["without"]
    # Weights left in capacitors leak away and reach the bounds; one transfer is the least.
    return _judge(
        "transfers",
        0,
        "1",
        1,
        max(1, examples),
        below="drop transfer from --without: capacitors alone leak and saturate"
        if off
        else "raise --examples or --epochs, or lower the transfer interval: no transfer was due",
    )


def _examples(interval):
    # A right and certain answer teaches nothing and is skipped; 80 % are when a run ends well.
    # Beyond 99 % further epochs only let the weights drift and leak.
    return [
        _judge(
            "skipped examples",
            100 * interval["skipped"] / interval["examples"],
            "%",
            0,
            99,
            above="lower --epochs or raise --examples: nothing is left to learn",
        )
    ]


def _capacitors(interval):
    shares = [part["saturated"] for part in interval["capacitor"]]
    worst = max(range(len(shares)), key=shares.__getitem__)
    # A cell at its bound drops pulses of one sign: gradient is lost and, with inversion, the
    # asymmetry of this interval no longer cancels in the next. Some in the output layer do so in
    # the first interval without harm; one in fifty is the same order.
    return [
        _judge(
            f"saturated capacitors, worst in layer {worst + 1}",
            100 * shares[worst],
            "%",
            0,
            2,
            above="lower the transfer interval, or widen the capacitor's range v_min..v_max",
        )
    ]


def _converters(interval, layers, layer):
    name, number = f"layer {layer + 1}", layer + 1
    examples = interval["examples"]
    learned = examples - interval["skipped"]
    # Hidden units saturate at 1.5, so that an ADC which spans 2 clips up to two thirds of the
    # sums of a healthy run. A layer that clips nine in ten passes only signs.
    found = [
        _judge(
            f"{name}: forward clips",
            100 * interval["forward_clips"][layer] / (examples * layers[layer + 1]),
            "%",
            0,
            80,
            above=f"raise forward_shift of layer {number} by one",
        )
    ]
    if layer > 0 and learned:  # the first layer sends no error back
        # Measured over two epochs, layer 2: 7 % clips trains best, 31 % costs 0.3 %, 60 % costs
        # 1.3 %. None at all, but for the output's errors, means a step so coarse that small errors
        # round to nothing: it costs 2.2 %.
        found.append(
            _judge(
                f"{name}: backward clips",
                100 * interval["backward_clips"][layer] / (learned * layers[layer]),
                "%",
                0.1 if layer < len(layers) - 2 else 0,
                15,
                below=f"lower backward_shift of layer {number} by one",
                above=f"raise backward_shift of layer {number} by one",
            )
        )
    return found


def _pulses(metrics, interval, layer):
    name, cells = (
        f"layer {layer + 1}",
        (metrics["layers"][layer] + 1) * metrics["layers"][layer + 1],
    )
    asked, applied = interval["pulses_asked"][layer], interval["pulses_applied"][layer]
    learned = interval["examples"] - interval["skipped"]
    per_cell = applied / cells
    # Losing a tenth in a layer costs little; 14 % in layer 2 and 58 % in layer 3 cost 0.8 %.
    found = [
        _judge(
            f"{name}: pulses lost to delta_max",
            100 * (1 - applied / asked) if asked else 0.0,
            "%",
            0,
            10,
            above="raise delta_max, or lower learning_rate",
        )
    ]
    if learned:
        # From a twentieth of the paper's rate to 32 times it, counted over the examples that
        # were not skipped: they alone pulse, and their share falls as the run converges.
        found.append(
            _judge(
                f"{name}: pulses per cell and interval",
                per_cell,
                "1",
                _PAPER_PULSES / 20 * learned,
                _PAPER_PULSES * 32 * learned,
                below="raise learning_rate, or lower backward_shift: errors vanish",
                above="lower learning_rate: weights only jitter",
            )
        )
    drift = metrics["asymmetry"] * metrics["step"] * per_cell
    use = interval["capacitor"][layer]["rms"]
    if use:
        # What a cell one sigma off drifts, against the rms of all that capacitors moved. Inversion
        # cancels it in the next interval unless cells reach their bounds: healthy runs begin at
        # 150 % and end at 40 % in the output layer; intervals of 30,000 make 194 % and cost 0.8 %.
        # Without inversion it adds up, interval after interval.
        inverted = "polarity-inversion" not in metrics["without"]
        found.append(
            _judge(
                f"{name}: drift by asymmetry, of capacitor use",
                100 * drift / use,
                "%",
                0,
                170 if inverted else 10,
                above="lower the transfer interval, or up_spread and down_spread"
                if inverted
                else "drop polarity-inversion from --without: drift adds up",
            )
        )
    return found


def _transfer(interval, synapses):
    return [
        # Measured over six epochs: training does not notice residuals of up to 0.003.
        _judge(
            "transfer residual, rms",
            sqrt(interval["transfer_error_sq"] / synapses) * _READ_CODE,
            "weight",
            0,
            0.003,
            above="raise tune_rounds, or lower set_tolerance so that capacitors can reach the rest",
        ),
        # One cell in 200 off by twice fail_tolerance (0.04) alone makes a residual of 0.0028.
        _judge(
            "cells that failed to transfer",
            100 * interval["failed_cells"] / synapses,
            "%",
            0,
            0.5,
            above="raise retries, or raise gain so that weights fit the phase-change devices",
        ),
        # Below: hardly any weight reaches the phase-change devices. Above: each shot costs a
        # RESET, time and endurance, and tighter tolerances buy nothing.
        _judge(
            "SET shots per cell",
            interval["set_shots"] / synapses,
            "1",
            0.05,
            4,
            below="lower small_target or offset: capacitors hold nearly all weights",
            above="raise set_tolerance: the capacitor repairs what remains",
        ),
    ]


def report(findings: list[Finding]) -> Table:
    """Table of findings, with advice for those out of range."""
    wrong = sum(not f.ok for f in findings)
    verdict = f"{wrong} of {len(findings)} out of range" if wrong else "all in range"
    table = Table(title=f"Diagnosis of the last transfer interval: {verdict}")
    table.add_column("figure", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("healthy", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("advice", overflow="fold")
    for f in findings:
        unit = "" if f.unit == "1" else f" {f.unit}"
        verdict = "ok" if f.ok else "low" if f.value < f.low else "high"
        cells = (f.name, f"{f.value:.3g}{unit}", f"{f.low:.3g} .. {f.high:.4g}", verdict, f.advice)
        table.add_row(*map(escape, cells), style=None if f.ok else "bold")
    return table
