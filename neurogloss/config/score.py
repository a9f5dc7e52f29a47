"""score: how simulation and recording are compared."""

from pydantic import NonNegativeInt, PositiveInt

from neurogloss.config.section import Section, Share


class ScoreParams(Section):
    """How simulation and recording are compared."""

    seed: NonNegativeInt
    controls: PositiveInt
    """Other neurons of its layer that each simulation is scored against, at most."""
    bins: PositiveInt
    """Of the histogram, over [-1, 1]."""
    min_excerpts_share: Share
    """Of a neuron's score excerpts of each kind, at least so many must have a simulation; with fewer the neuron counts as failed."""
