"""vocabulary: how a phrase becomes a level for each token."""

from pydantic import PositiveFloat

from neurogloss.config.section import Section, Share


class VocabularyParams(Section):
    """How a phrase is turned into a level for each token of the vocabulary; the concepts explainer fits what this simulator will say."""

    model: str
    """A name under `models`; it must be local."""
    prompt: str
    """A name under `prompts.vocabulary`."""
    threshold: float
    """Natural log: how much likelier than after the empty prompt a token must be to get a level."""
    power: PositiveFloat
    """Of what exceeds the threshold."""
    variants: Share
    """How much of a token's gain is that of its likeliest variant (other case, other blank before it)."""
