"""Levels: the subject's activations on the scale 0..10 that prompts use. Nothing else converts or rounds."""

import numpy as np
from jaxtyping import Float, Float16, Float64, Int8

TOP = 10
"""The highest level."""
NEURONS_AT_ONCE = 256


def levels(activations: Float[np.ndarray, "..."], peak: float | Float[np.ndarray, " neuron"]) -> Int8[np.ndarray, "..."]:
    """floor(10 * max(0, activation) / peak), at most 10 (Bills et al. 2023, discretisation); 0 where the peak is NaN or not above zero.

    With many peaks the leading axis of `activations` is the neuron. The peak itself is 10: the division may round to just below.
    Raises ValueError for an activation that is NaN.

    >>> levels(np.array([-3.0, 0.1, 1.5, 2.0, 7.0]), 2.0).tolist()
    [0, 0, 7, 10, 10]
    """
    values = np.maximum(np.asarray(activations, np.float64), 0.0)
    if np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).sum())} of {values.size} activations are NaN")
    peaks = np.asarray(peak, np.float64)
    peaks = peaks.reshape(peaks.shape + (1,) * (values.ndim - peaks.ndim))
    usable = np.where(peaks > 0, peaks, np.inf)
    with np.errstate(invalid="ignore", over="ignore"):  # inf / inf, of a neuron without a peak
        scaled = np.where(values >= usable, TOP, np.minimum(np.floor(TOP * values / usable), TOP))
    return np.where(peaks > 0, scaled, 0).astype(np.int8)


def firing_shares(
    activations: Float16[np.ndarray, "neuron excerpt token"], peaks: Float[np.ndarray, " neuron"]
) -> Float64[np.ndarray, " neuron"]:
    """Share of tokens at level 1 or above; 0 where the peak is NaN.

    Above zero is no sign of firing: a gated MLP is above zero on half of all tokens.
    """
    shares = np.zeros(len(activations))
    for start in range(0, len(activations), NEURONS_AT_ONCE):
        part = slice(start, start + NEURONS_AT_ONCE)
        # Ten times a float16 is exact in float32.
        shares[part] = (TOP * activations[part].astype(np.float32) >= peaks[part, None, None]).mean(axis=(1, 2))
    return shares
