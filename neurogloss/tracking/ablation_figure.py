"""The figure of ablation against correlation: what an explanation that predicts well is worth to the model itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurogloss.tracking.comparison_figure import canvas, save

if TYPE_CHECKING:
    import pyarrow as pa

UNIT, MEAN = "#1b6ca8", "#d9822b"
FEWEST = 3
"""Units of which a mean is drawn."""


def write_ablation_figure(scores: "pa.Table", path: Path) -> bool:
    """Write PNG: each unit, and the mean of each tenth of correlation. Nothing, and False, where ablation was not run."""
    pairs = [np.asarray(scores[name].to_numpy(zero_copy_only=False), np.float64) for name in ("top_and_random", "ablation")]
    both = np.isfinite(pairs).all(axis=0)
    if not both.any():
        return False
    correlation, ablated = (values[both] for values in pairs)
    figure, (axis,) = canvas(5, 4.2, 1, (1.0,))
    axis.plot(correlation, np.clip(ablated, -1, 1), ".", color=UNIT, markersize=3, alpha=0.5, label="unit")
    for low in np.arange(-0.2, 1.0, 0.1):
        here = (correlation >= low) & (correlation < low + 0.1)
        if here.sum() >= FEWEST:
            axis.plot([low, low + 0.1], [ablated[here].mean()] * 2, color=MEAN, linewidth=2)
    axis.plot([], [], color=MEAN, linewidth=2, label="mean of each tenth")
    axis.axhline(0, color="black", linewidth=0.5)
    axis.set_ylim(-1.05, 1.05)
    axis.set_xlabel("correlation of simulated and real activations")
    axis.set_ylabel("ablation score (below -1 shown at -1)")
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    save(figure, path)
    return True
