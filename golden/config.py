# SPDX-License-Identifier: Apache-2.0
"""What a chip is and what runs on it: the single configuration of all executors."""

from dataclasses import dataclass, field, replace

from analog_models import presets
from analog_models.config import check
from analog_models.tile import ACC_FRAC, TileConfig

from .tables import ACTIVATIONS

__all__ = ["ChipConfig", "TransferConfig", "UpdateConfig", "split"]


@dataclass(frozen=True, kw_only=True)
class UpdateConfig:
    """From activations and errors to pulse counts.

    Parameters
    ----------
    learning_rate : float
        Weight change per unit of input times unit of error, in the first epoch.
    decay : float, 0..1
        Factor of the learning rate from one epoch to the next.
    weight_decay : float
        Share of itself that a weight loses in one example, over the learning rate (L2
        regularisation). Drift takes some for nothing; a transfer settles the difference.
    delta_max : int, 1..31
        Most column pulses for one error.
    stochastic : bool
        Round pulse counts with random bits instead of half up.
    """

    learning_rate: float = 0.01
    decay: float = 0.9
    weight_decay: float = 2e-4
    delta_max: int = 31
    stochastic: bool = True

    def __post_init__(self):
        check(self.learning_rate > 0, "learning_rate", "positive", self.learning_rate)
        check(0 < self.decay <= 1, "decay", "within 0..1", self.decay)
        check(self.weight_decay >= 0, "weight_decay", "non-negative", self.weight_decay)
        whole = isinstance(self.delta_max, int) and 1 <= self.delta_max <= 31
        check(whole, "delta_max", "a whole number within 1..31", self.delta_max)


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """How weights move from capacitors into phase-change devices.

    Tolerances and targets are in codes of the read ADC (2**-10 of a weight at read_shift 11).

    Parameters
    ----------
    interval : int
        Examples between transfers; 0 never transfers.
    invert : bool
        Flip the polarity at every transfer.
    log2_reads : int, 0..6
        Each read averages ``2**log2_reads`` conversions.
    retries : int, 0..31
        Further RESET and SET shots for a weight that missed; 0 programs once, unverified.
    set_tolerance : int
        Largest miss that is left to the capacitor.
    small_target : int
        Below it both devices stay RESET and the capacitor alone makes the weight.
    offset : int
        Subtracted from the target so that the capacitor has to rise; follows the polarity.
    tune_rounds : int, 0..15
        Rounds of capacitor pulses and reads at the end.
    tune_tolerance : int
        Largest error that gets no more pulses.
    fail_tolerance : int
        A weight further off than this at the end counts as failed.
    """

    interval: int = 8000
    invert: bool = True
    log2_reads: int = 2
    retries: int = 6
    set_tolerance: int = 40
    small_target: int = 10
    offset: int = 0
    tune_rounds: int = 4
    tune_tolerance: int = 1
    fail_tolerance: int = 20

    def __post_init__(self):
        for name, top in {
            "interval": 2**31 - 1,
            "log2_reads": 6,
            "retries": 31,
            "set_tolerance": 2047,
            "small_target": 2047,
            "offset": 2047,
            "tune_rounds": 15,
            "tune_tolerance": 2047,
            "fail_tolerance": 2047,
        }.items():
            value = getattr(self, name)
            whole = isinstance(value, int) and 0 <= value <= top
            check(whole, name, f"a whole number within 0..{top}", value)


@dataclass(frozen=True, kw_only=True)
class ChipConfig:
    """A network on a chip.

    Parameters
    ----------
    layers : tuple of int
        Neurons per layer, inputs first, bias not counted.
    hidden, output : str
        Activations, keys of :data:`golden.tables.ACTIVATIONS`.
    forward_shift, backward_shift : tuple of int
        ADC range of each layer: the LSB is ``2**(shift - 21)``. ``backward_shift[0]`` is unused.
    tile : TileConfig
    update : UpdateConfig
    transfer : TransferConfig
    seed : int
        Fixes devices, noise, initial weights and order of examples.
    """

    layers: tuple[int, ...] = (528, 250, 125, 10)
    hidden: str = "pl-tanh"
    output: str = "hard-sigmoid"
    forward_shift: tuple[int, ...] = (16, 16, 16)
    backward_shift: tuple[int, ...] = (12, 12, 13)
    tile: TileConfig = presets.TUNED
    update: UpdateConfig = field(default_factory=UpdateConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    seed: int = 0

    def __post_init__(self):
        check(len(self.layers) >= 2, "layers", "at least an input and an output", self.layers)
        check(
            all(isinstance(n, int) and 1 <= n <= 4096 for n in self.layers),
            "layers",
            "whole numbers within 1..4096",
            self.layers,
        )
        for name in ("hidden", "output"):
            value = getattr(self, name)
            check(value in ACTIVATIONS, name, f"one of {', '.join(ACTIVATIONS)}", value)
        for name in ("forward_shift", "backward_shift"):
            shifts = getattr(self, name)
            check(
                len(shifts) == len(self.layers) - 1
                and all(isinstance(s, int) and 8 <= s <= ACC_FRAC for s in shifts),
                name,
                f"{len(self.layers) - 1} whole numbers within 8..{ACC_FRAC}, one a layer",
                shifts,
            )
        check(0 <= self.seed < 2**63, "seed", "within 0..2**63-1", self.seed)

    def but(self, **changes):
        """Return a copy with fields replaced; ``tile``, ``update``, ``transfer`` as wholes."""
        return replace(self, **changes)

    @property
    def step(self) -> float:
        """Weight change of one nominal pulse."""
        cell = self.tile.cell
        if cell.update_device == "pcm":
            return cell.gain * cell.pcm.pulse_fraction * cell.pcm.g_max / cell.unit
        return cell.capacitor.dv_up * cell.capacitor.transconductance / cell.unit

    def grid(self, layer: int) -> tuple[list[int], list[int]]:
        """Row and column boundaries of a layer's tiles, bias row last; balanced blocks."""
        rows, cols = self.layers[layer] + 1, self.layers[layer + 1]
        return split(rows, self.tile.rows), split(cols, self.tile.cols)

    @property
    def synapses(self) -> int:
        """Number of weights, biases included."""
        return sum((a + 1) * b for a, b in zip(self.layers, self.layers[1:], strict=False))


def split(n: int, most: int) -> list[int]:
    """Boundaries of the fewest equal blocks (to within one) of at most ``most``."""
    blocks = -(-n // most)
    return [i * n // blocks for i in range(blocks + 1)]
