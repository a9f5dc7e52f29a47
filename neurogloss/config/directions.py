"""directions: how explainable directions of a layer's neurons are sought (`neurogloss directions`)."""

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from neurogloss.config.section import Section


class DirectionsParams(Section):
    """How explainable directions are sought; no stage reads it: what is found is recorded as `subject.directions`."""

    layer: NonNegativeInt
    count: PositiveInt
    """Random directions to begin with, where none are given."""
    rounds: PositiveInt
    """Each explains the direction and then turns it towards what the explanation predicts."""
    steps: PositiveInt = 100
    """Of Adam in a round (Bills et al. 2023)."""
    rate: PositiveFloat = 0.01
    """Of Adam."""
    shrinkage: NonNegativeFloat = 0.01
    """Share of the mean variance that is added to each neuron's before whitening; 0 takes the covariance as it is."""
    seed: NonNegativeInt = 0
