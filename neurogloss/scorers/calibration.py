"""Calibration: from levels to the neuron's own unit by a straight line, and what that explains (Bills et al. 2023, "scoring").

The line is fitted on the calibrate split and judged on the score split. Its slope is never below zero: a prediction that is the
opposite of the truth must not be turned round into a good one.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from neurogloss.measures.correlation import Floats, Totals, varies


class Line(NamedTuple):
    """activation = slope * level + intercept, one entry per neuron."""

    slope: Floats
    intercept: Floats


def fit(calibrate: Totals) -> Line:
    """Least squares with slope >= 0, of recorded (x) on simulated (y); a constant simulation gets slope 0; NaN without tokens."""
    defined = varies(calibrate.yy, calibrate.mean_y, calibrate.tokens)
    slope = np.where(defined, np.maximum(calibrate.xy / np.where(defined, calibrate.yy, 1.0), 0.0), 0.0)
    intercept = np.where(calibrate.tokens > 0, calibrate.mean_x - slope * calibrate.mean_y, np.nan)
    return Line(slope, intercept)


def variance_explained(line: Line, score: Totals) -> Floats:
    """1 - mean squared error / variance of the recording; NaN where the recording is constant.

    The variance is about the mean, so the mean itself scores 0 (the published code leaves the mean in and gives it up to 1).
    """
    defined = varies(score.xx, score.mean_x, score.tokens)
    offset = score.mean_x - line.slope * score.mean_y - line.intercept
    error = score.xx - 2 * line.slope * score.xy + line.slope**2 * score.yy + score.tokens * offset**2
    return np.where(defined, 1.0 - error / np.where(defined, score.xx, 1.0), np.nan)


def absolute_deviation_explained(
    line: Line,
    recorded: Float[np.ndarray, "neuron excerpt token"],
    simulated: Float[np.ndarray, "neuron excerpt token"],
    use: Bool[np.ndarray, "neuron excerpt"],
) -> Float[np.ndarray, "neuron 1"]:
    """1 - mean absolute error / mean absolute deviation from the median; NaN where the recording is constant.

    The median is the best constant here as the mean is for squares: no constant scores above 0.
    """
    mask = np.broadcast_to(use[..., None], recorded.shape).reshape(len(recorded), -1)
    x = np.where(mask, recorded.reshape(mask.shape), np.nan).astype(np.float64)
    y = np.where(mask, simulated.reshape(mask.shape), np.nan).astype(np.float64)
    error = np.nansum(np.abs(x - line.slope * y - line.intercept), axis=1, keepdims=True)
    deviation = np.nansum(np.abs(x - medians(x)), axis=1, keepdims=True)
    found = 1.0 - error / np.where(deviation > 0, deviation, 1.0)
    return np.where((deviation > 0) & ~np.isnan(line.intercept), found, np.nan)


def medians(values: Float[np.ndarray, "neuron token"]) -> Float[np.ndarray, "neuron 1"]:
    """Median of each row's numbers; NaN for a row without any."""
    ordered = np.sort(values, axis=1)  # NaN sorts last.
    count = (~np.isnan(ordered)).sum(axis=1, keepdims=True)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    return np.asarray((np.take_along_axis(ordered, low, axis=1) + np.take_along_axis(ordered, high, axis=1)) / 2)
