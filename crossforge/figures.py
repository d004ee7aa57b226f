# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run, written as PNG."""

import io
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from .checkpoint import write_atomically

__all__ = ["write_figures"]

# Okabe and Ito's palette: told apart by the colour-blind.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Residual that training does not notice (measured in the study of the golden trainer).
_TOLERATED = 0.003
#: First-layer neurons shown as images.
_MAPS = 40


def _style(axis):
    axis.set_prop_cycle(color=_COLOURS)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.set_axisbelow(True)


def _figure(columns, width=4.6, height=3.4):
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        _style(axis)
    return figure, axes


def _save(figure, path: Path) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
    return path


def _over_examples(axis, ends):
    """Label the examples; say so where there is nothing to draw."""
    axis.set_xlabel("examples")
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.set_ylim(bottom=0)
    if ends:
        axis.set_xlim(0, 1.02 * ends[-1])
    else:
        axis.text(0.5, 0.5, "no transfer", transform=axis.transAxes, ha="center", color="0.4")
        axis.set(xticks=[], yticks=[])


def _mark(values):
    """Marker of a line: dots while they are few, so that a single one is seen."""
    return "o" if len(values) <= 30 else ""


def _bins(arrays, n):
    """Return common edges of histograms that are to be compared."""
    low = min(float(a.min()) for a in arrays)
    high = max(float(a.max()) for a in arrays)
    return np.linspace(low, high, n + 1) if high > low else np.linspace(low - 0.5, low + 0.5, n + 1)


def _histograms(axis, arrays, labels, *, n=80, weights=None, log=False):
    """Draw outlines over common bins."""
    edges = _bins(arrays, n)
    for a, label in zip(arrays, labels, strict=True):
        axis.hist(
            a.ravel(),
            bins=edges,
            histtype="step",
            linewidth=1.3,
            log=log,
            label=label,
            weights=None if weights is None else np.full(a.size, weights / a.size),
        )


def _layer_names(count):
    return [f"layer {i + 1}" for i in range(count)]


def _accuracy(metrics):
    on = "held out" if metrics["validation"] else "test"
    figure, (axis,) = _figure(1, width=6.4, height=3.9)
    for key, line, what in (
        ("train_accuracy", {"color": _COLOURS[1], "alpha": 0.8}, "chip, while training"),
        ("test_accuracy", {"color": _COLOURS[0], "linewidth": 2}, f"chip, {on}"),
        ("baseline_accuracy", {"color": "0.25", "linestyle": "--"}, f"software (float32), {on}"),
        (
            "no_inversion_accuracy",
            {"color": _COLOURS[2], "linestyle": "-."},
            f"chip without polarity inversion, {on}",
        ),
    ):
        values = metrics.get(key)
        if values:
            epochs = np.arange(1, len(values) + 1)
            label = f"{what}: {values[-1]:.2f} %"
            marker = _mark(values) if key == "test_accuracy" or len(values) == 1 else ""
            axis.plot(epochs, values, marker=marker, markersize=4, label=label, **line)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    off = f", without {', '.join(metrics['without'])}" if metrics["without"] else ""
    title = f"{metrics['preset']}, seed {metrics['seed']}{off}"
    axis.set(xlabel="epoch", ylabel="accuracy, %", title=title)
    axis.legend(title="after the last epoch", loc="best", frameon=False)
    return figure


def _capacitors(metrics, v):
    figure, (use, full, histogram) = _figure(3)
    ends = [i["end"] for i in metrics["intervals"]]
    names = _layer_names(len(v))
    for layer, name in enumerate(names):
        parts = [i["capacitor"][layer] for i in metrics["intervals"]]
        style = {"marker": _mark(ends), "markersize": 3, "label": name}
        use.plot(ends, [p["rms"] for p in parts], **style)
        full.plot(ends, [100 * p["saturated"] for p in parts], **style)
    use.set(ylabel="rms, weight units", title="use before each transfer")
    full.set(ylabel="cells at a bound, %", title="saturated before each transfer")
    for axis in (use, full):
        _over_examples(axis, ends)
    full.set_ylim(0, max(1.0, full.get_ylim()[1]))
    _histograms(histogram, v, names, n=60, weights=100)
    histogram.set(xlabel="weight units", ylabel="cells per bin, %", title="at the end")
    histogram.legend(frameon=False)
    figure.suptitle("Capacitors", weight="bold")
    return figure


def _transfer(metrics):
    figure, (residual, failed, shots) = _figure(3)
    n = sum((a + 1) * b for a, b in pairwise(metrics["layers"]))
    rows = metrics["intervals"]
    ends = [i["end"] for i in rows]
    style = {"marker": _mark(ends), "markersize": 3}
    residual.plot(ends, [np.sqrt(i["transfer_error_sq"] / n) * 2.0**-10 for i in rows], **style)
    residual.axhline(_TOLERATED, color="0.25", linestyle="--", label="no effect up to here")
    bad = [(i["end"], i["failed_cells"]) for i in rows if i["failed_cells"]]
    failed.vlines([e for e, _ in bad], 0, [n for _, n in bad], color=_COLOURS[0])
    failed.plot([e for e, _ in bad], [n for _, n in bad], "o", markersize=3)
    shots.plot(ends, [i["set_shots"] / n for i in rows], **style)
    residual.set(ylabel="rms, weight units", title="residual")
    failed.set(ylabel=f"cells of {n:,}", title="failed cells per transfer")
    shots.set(ylabel="shots per cell", title="SET shots per transfer")
    for axis in (residual, failed, shots):
        _over_examples(axis, ends)
    if ends:
        residual.legend(frameon=False)
        failed.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        for axis, least in ((failed, 5.0), (shots, 1.2), (residual, 1.2 * _TOLERATED)):
            axis.set_ylim(0, max(least, axis.get_ylim()[1]))
    figure.suptitle("Transfers", weight="bold")
    return figure


def _conductances(g_plus, g_minus, unit):
    figure, axes = _figure(len(g_plus))
    for axis, name, plus, minus in zip(
        axes, _layer_names(len(g_plus)), g_plus, g_minus, strict=True
    ):
        pair = [plus * (unit * 1e6), minus * (unit * 1e6)]
        _histograms(axis, pair, ("$G^+$", "$G^-$"), n=60, log=True)
        axis.set(xlabel="conductance, $\\mu$S", ylabel="devices per bin", title=name)
    axes[0].legend(frameon=False)
    figure.suptitle("Phase-change devices at the end", weight="bold")
    return figure


def _weight_maps(part, first, image_shape):
    """Draw the input weights of the strongest neurons as images, or all as a matrix."""
    top = float(np.quantile(np.abs(first), 0.998)) or float(np.abs(first).max()) or 1.0
    colours = ScalarMappable(Normalize(-top, top), "RdBu")
    style = {"norm": colours.norm, "cmap": colours.cmap, "interpolation": "nearest"}
    if image_shape is not None and np.prod(image_shape) == len(first):
        strongest = np.argsort(-np.sum(first**2, axis=0), kind="stable")[:_MAPS]
        columns = min(8, len(strongest))
        axes = part.subplots(ceil(len(strongest) / columns), columns, squeeze=False).ravel()
        for axis in axes:
            axis.axis("off")
        for axis, j in zip(axes, strongest, strict=False):
            image = first[:, j].reshape(image_shape)
            axis.imshow(image, **style)
        part.suptitle(f"input weights of the {len(strongest)} strongest neurons of layer 1")
    else:
        axes = [part.subplots()]
        axes[0].imshow(first, aspect="auto", **style)
        axes[0].set(xlabel="neuron", ylabel="input", title="weights of layer 1")
    part.colorbar(colours, ax=list(axes), shrink=0.7, pad=0.02, extend="both")


def _weights(weights, image_shape):
    figure = Figure(figsize=(12.4, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = np.ravel(np.array(figure.subfigures(1, 2, width_ratios=(2, 1), wspace=0.03)))
    _weight_maps(left, weights[0][:-1], image_shape)
    axis = right.subplots()
    _style(axis)
    _histograms(axis, weights, _layer_names(len(weights)), n=70, weights=100, log=True)
    axis.set(xlabel="weight", ylabel="weights per bin, %", title="at the end, biases included")
    axis.legend(frameon=False)
    figure.suptitle("Weights", weight="bold")
    return figure


def write_figures(
    out: Path, metrics: dict, weights, cells: dict, image_shape, *, unit: float = 50e-6
) -> list[Path]:
    """Write all pictures of a run and return their paths.

    Parameters
    ----------
    out : Path
        Folder; must exist.
    metrics : dict
        See docs/metrics.md.
    weights : list of ndarray, (rows with bias, cols)
    cells : dict of list of ndarray
        ``v``, ``g_plus``, ``g_minus`` of every layer, in weight units (before the gain).
    image_shape : tuple of int or None
        Shape of an input; the first layer is drawn as a matrix if it does not fit.
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
