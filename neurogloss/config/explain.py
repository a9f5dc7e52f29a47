"""explain: how a unit gets its sentence."""

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from neurogloss.config.section import Section


class ConceptsParams(Section):
    """How the concept bank is searched."""

    bank: str
    """Name of a bank under neurogloss/phrases/banks."""
    phrases: PositiveInt
    """At most so many phrases in one explanation."""
    shortlist: PositiveInt
    """The best single phrases, among which combinations are sought."""
    words: NonNegativeInt = 6
    """At most so many words are named by a phrase of the unit's own; 0 for phrases of the bank alone."""
    occurrences: PositiveInt = 3
    """A word is named only where it stands in so many of the unit's excerpts."""


class TokenListParams(Section):
    """How the strongest tokens are listed."""

    tokens: PositiveInt
    minimum: PositiveInt
    """A token must occur so often in the corpus."""


class ExplainParams(Section):
    """How a unit gets its sentence."""

    seed: NonNegativeInt
    method: str
    """A name under `prompts.explain`, whose layout says how it works."""
    model: str
    """A name under `models`; used by the layouts that ask a language model."""
    samples: PositiveInt
    temperature: NonNegativeFloat
    max_tokens: PositiveInt
    given: str
    """File of explanations for the layout `given`; else a file that is always there, .dvcignore. DVC follows it, so it has no default."""
    concepts: ConceptsParams
    token_list: TokenListParams
