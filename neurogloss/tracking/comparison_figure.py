"""The figure of a comparison: how scores are distributed, how far apart the means are, and where by layer."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurogloss.comparison.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#444444", "#1b6ca8", "#d9822b", "#3a8f5c", "#a8327d", "#7a5fb5", "#b0a020")
LINE_LIMIT = len(COLOURS)
"""With more variants colours repeat."""


def write_comparison_figure(comparison: Comparison, path: Path) -> None:
    """Write PNG."""
    figure, axes = canvas(9, 3.2 + 2.4 + 0.5 * len(comparison.versus) + 2.6, 3, ratios=(3.2, 0.8 + 0.5 * len(comparison.versus), 2.6))
    draw_shares(axes[0], comparison)
    draw_differences(axes[1], comparison)
    draw_layers(axes[2], comparison)
    save(figure, path)


def save(figure: "Figure", path: Path) -> None:
    """Write PNG without the version and date that matplotlib adds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def canvas(width: float, height: float, rows: int, ratios: tuple[float, ...]) -> tuple["Figure", list["Axes"]]:
    """A figure that needs no display and leaves no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(rows, 1, height_ratios=ratios)))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def draw_shares(axis: "Axes", comparison: Comparison) -> None:
    """Share of all neurons that reach a score, one falling line per variant. A neuron without a score counts as below all."""
    for place, name in enumerate(comparison.aligned.names):
        scores = comparison.aligned.scores[place]
        ordered = np.sort(scores[~np.isnan(scores)])
        if len(ordered):
            reached = (len(ordered) - np.arange(len(ordered))) / len(scores)
            about = f"{label(name)}, {len(ordered):,} scored, mean {ordered.mean():.3f}"
            axis.step(ordered, reached, where="pre", color=colour(place), label=about, linewidth=1.3)
    axis.set_xlabel(f"score ({comparison.score.replace('_', ' ')})")
    called = comparison.variants[0].noun
    axis.set_ylabel(f"share of {called.many}\nthat reach it")
    axis.set_ylim(0, 1)
    axis.legend(frameon=False, fontsize=8)
    axis.set_title(
        f"All {called.counted(len(comparison.aligned.layers))}, on the same excerpts; a line that starts lower has fewer scored",
        fontsize=9,
        loc="left",
    )


def draw_differences(axis: "Axes", comparison: Comparison) -> None:
    """Mean difference of each variant from the first, with its interval."""
    for place, versus in enumerate(comparison.versus, start=1):
        overall = versus.overall
        if overall.difference is None:
            continue
        if overall.interval:
            axis.plot(overall.interval, (place, place), color=colour(place), linewidth=2.5)
        axis.plot(overall.difference, place, "o", color=colour(place))
        noise = ", within noise" if overall.within_noise else ""
        axis.annotate(f"{overall.difference:+.3f}{noise}", (overall.difference, place), xytext=(0, 6), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
    axis.axvline(0, color="black", linewidth=0.7)
    axis.set_yticks(range(1, len(comparison.versus) + 1), [label(versus.name) for versus in comparison.versus], fontsize=8)
    axis.set_ylim(len(comparison.versus) + 0.7, 0.3)
    axis.margins(x=0.15)
    shared = f"{comparison.variants[0].noun.many} that both score, {100 * comparison.level:.4g} % interval"
    axis.set_xlabel(f"mean difference from {label(comparison.aligned.names[0])} on {shared}")


def draw_layers(axis: "Axes", comparison: Comparison) -> None:
    """Mean difference by layer with 95 % bands."""
    for place, versus in enumerate(comparison.versus, start=1):
        layers = np.array(list(versus.layers))
        difference = np.array([np.nan if row.difference is None else row.difference for row in versus.layers.values()])
        ends = np.array([row.interval or (np.nan, np.nan) for row in versus.layers.values()])
        axis.plot(layers, difference, "o-", color=colour(place), markersize=3, linewidth=1, label=label(versus.name))
        axis.fill_between(layers, ends[:, 0], ends[:, 1], color=colour(place), alpha=0.15, linewidth=0)
    axis.axhline(0, color="black", linewidth=0.7)
    axis.set_xlabel("layer, 0 is nearest to the input")
    axis.set_ylabel("mean difference")
    layers = np.unique(comparison.aligned.layers)
    axis.set_xticks(layers[:: 1 + len(layers) // 20])
    if len(comparison.versus) > 1:
        axis.legend(frameon=False, fontsize=7, ncols=3)


def colour(place: int) -> str:
    """The colour of a variant; the first is the reference."""
    return COLOURS[place % LINE_LIMIT]


def label(name: str) -> str:
    """A name that matplotlib neither parses as mathtext nor hides for a leading underscore."""
    shown = name if len(name) <= 40 else name[:39] + "…"
    return shown.replace("$", r"\$").lstrip("_") or "?"
