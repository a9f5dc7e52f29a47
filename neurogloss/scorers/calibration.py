"""Calibration: from levels to the neuron's own unit by a straight line, and what that explains (Bills et al. 2023, "scoring").

The line is fitted on the calibrate split and judged on the score split. Its slope is never below zero: a prediction that is the
opposite of the truth must not be turned round into a good one.
"""

from typing import NamedTuple

import numpy as np

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
