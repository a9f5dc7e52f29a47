"""record: what is kept of the subject's activations."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from neurogloss.config.section import Section

SplitBy = Literal["auto", "document", "window"]


class RecordParams(Section):
    """What is kept of the subject's activations."""

    seed: NonNegativeInt
    layers: Literal["all"] | list[NonNegativeInt]
    neurons: Literal["all"] | PositiveInt
    """Per layer; a number is a seeded sample, of latents and heads, too. Of signed neurons both sides are recorded."""
    units: list[str] | str | None = None
    """Which units instead: a list such as [L5.N131, L7.N2], or a file with one name a line (then name it in watch.units, too)."""
    excerpts: PositiveInt
    tokens: PositiveInt
    """Length of an excerpt."""
    top: PositiveInt
    random: PositiveInt
    per_split: PositiveInt
    """Top and random excerpts dealt to each split; the surplus may be fitted on."""
    split_by: SplitBy = "auto"
    """What is dealt to the score split: whole documents with a quarter of the excerpts, so that no document is on both sides; or
    windows, so that most documents are. `auto` deals documents where at least 8 gave excerpts and both sides have enough, else windows;
    the recordings say which.
    """
    table_tokens: PositiveInt
    """The most frequent tokens of the corpus, which get a mean activation."""
