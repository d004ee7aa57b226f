# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run, written as PNG."""

import io
import itertools
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .checkpoint import write_atomically

__all__ = ["write_figures"]

# Okabe and Ito's palette: told apart by the colour-blind.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def _figure(columns, width=4.6, height=3.4):
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        axis.set_prop_cycle(color=_COLOURS)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    return figure, axes


def _save(figure, path: Path) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
    return path


def _accuracy(metrics):
    figure, (axis,) = _figure(1, width=6)
    epochs = np.arange(1, metrics["epochs"] + 1)
    axis.plot(epochs, metrics["test_accuracy"], "o-", ms=3, label="chip, test")
    axis.plot(epochs, metrics["train_accuracy"], "-", alpha=0.6, label="chip, while training")
    if metrics.get("baseline_accuracy"):
        base = metrics["baseline_accuracy"]
        axis.plot(np.arange(1, len(base) + 1), base, "k--", label="software (float32), test")
    axis.set(xlabel="epoch", ylabel="accuracy, %", title=f"{metrics['preset']}: accuracy")
    axis.legend()
    return figure


def _capacitors(metrics, v):
    figure, (use, full, histogram) = _figure(3)
    ends = [i["end"] for i in metrics["intervals"]]
    for layer in range(len(v)):
        parts = [i["capacitor"][layer] for i in metrics["intervals"]]
        use.plot(ends, [p["rms"] for p in parts], label=f"layer {layer + 1}")
        full.plot(ends, [100 * p["saturated"] for p in parts], label=f"layer {layer + 1}")
        histogram.hist(v[layer].ravel(), bins=80, histtype="step", density=True)
    use.set(xlabel="examples", ylabel="rms, weight units", title="capacitor use before transfer")
    full.set(xlabel="examples", ylabel="cells at a bound, %", title="saturated capacitors")
    histogram.set(xlabel="capacitor, weight units", ylabel="density", title="at the end")
    if ends:
        use.legend()
    return figure


def _transfer(metrics):
    figure, (residual, failed, shots) = _figure(3)
    layers = metrics["layers"]
    n = sum((a + 1) * b for a, b in itertools.pairwise(layers))
    rows = metrics["intervals"]
    ends = [i["end"] for i in rows]
    residual.plot(ends, [np.sqrt(i["transfer_error_sq"] / n) * 2.0**-10 for i in rows])
    failed.plot(ends, [i["failed_cells"] for i in rows])
    shots.plot(ends, [i["set_shots"] / n for i in rows])
    residual.set(xlabel="examples", ylabel="rms, weight units", title="transfer residual")
    failed.set(xlabel="examples", ylabel="cells", title="failed cells per transfer")
    shots.set(xlabel="examples", ylabel="shots per cell", title="SET shots")
    for axis in (residual, failed, shots):
        axis.set_ylim(bottom=0)
    return figure


def _conductances(g_plus, g_minus, unit):
    figure, axes = _figure(len(g_plus))
    for layer, axis in enumerate(axes):
        for g, label in ((g_plus, "G+"), (g_minus, "G-")):
            micro = g[layer].ravel() * unit * 1e6
            axis.hist(micro, bins=80, histtype="step", log=True, label=label)
        axis.set(xlabel="conductance, uS", ylabel="devices", title=f"layer {layer + 1}")
    axes[0].legend()
    return figure


def _weights(weights, image_shape):
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = np.ravel(np.array(figure.subfigures(1, 2, width_ratios=(1.5, 1))))
    first = weights[0][:-1]
    if image_shape is not None and np.prod(image_shape) == len(first):
        strongest = np.argsort(-np.sum(first**2, axis=0), kind="stable")[:40]
        axes = left.subplots(5, 8).ravel()
        top = float(np.quantile(np.abs(first), 0.998)) or 1.0
        for axis in axes:
            axis.axis("off")
        for axis, j in zip(axes, strongest, strict=False):
            image = first[:, j].reshape(image_shape)
            axis.imshow(image, cmap="RdBu", vmin=-top, vmax=top)
        left.suptitle("first layer: the strongest neurons")
    else:
        top = float(np.abs(first).max()) or 1.0
        axis = left.subplots()
        axis.imshow(first, cmap="RdBu", vmin=-top, vmax=top, aspect="auto")
        axis.set(xlabel="neuron", ylabel="input", title="first layer")
    axis = right.subplots()
    axis.set_prop_cycle(color=_COLOURS)
    for layer, w in enumerate(weights):
        label = f"layer {layer + 1}"
        axis.hist(w.ravel(), bins=100, histtype="step", density=True, log=True, label=label)
    axis.set(xlabel="weight", ylabel="density", title="weights")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend()
    return figure


def write_figures(out: Path, metrics, weights, cells, image_shape, *, unit) -> list[Path]:
    """Write all pictures of a run and return their paths.

    Parameters
    ----------
    out : Path
        Folder.
    metrics : dict
        See docs/metrics.md.
    weights : list of ndarray, (rows with bias, cols)
    cells : dict of list of ndarray
        ``v``, ``g_plus``, ``g_minus`` of every layer, in weight units.
    image_shape : tuple of int or None
    unit : float, S
        Conductance of weight 1.0.
    """
    pictures = {
        "accuracy": _accuracy(metrics),
        "capacitors": _capacitors(metrics, cells["v"]),
        "transfer": _transfer(metrics),
        "conductances": _conductances(cells["g_plus"], cells["g_minus"], unit),
        "weights": _weights(weights, image_shape),
    }
    return [_save(figure, out / f"{name}.png") for name, figure in pictures.items()]
