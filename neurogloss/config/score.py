"""score: how simulation and recording are compared."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from neurogloss.config.section import Section, Share


class ScoreParams(Section):
    """How simulation and recording are compared."""

    seed: NonNegativeInt
    controls: Literal["auto"] | PositiveInt
    """Other units' sentences that simulate tries on each unit's score excerpts, at most.

    `auto` is 8 where the simulator asks no language model and 1 where it does.
    """
    bins: PositiveInt
    """Of the histogram, over [-1, 1]."""
    min_excerpts_share: Share
    """Of a unit's score excerpts of each kind, at least so many must have a simulation; with fewer the unit counts as failed."""
    scorers: list[str] = Field(default_factory=list)
    """Names under `prompts.score`, at most one of each layout: what else is scored by asking `model`."""
    model: str = "smollm2"
    """A name under `models`."""
