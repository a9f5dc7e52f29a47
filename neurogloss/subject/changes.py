"""Other values for a unit: what an ablation puts in place of what it does."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Change(NamedTuple):
    """Other values of one unit on one excerpt."""

    excerpt: int
    """Row of the corpus."""
    layer: int
    neuron: int
    values: Float[np.ndarray, " token"]
