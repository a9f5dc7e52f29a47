"""Which simulator `simulate.method: auto` stands for: sentences get one that reads."""

from typing import NamedTuple

from neurogloss.config.models import REMOTE

PHRASES = ("concepts", "token_list")
"""Layouts of explainers that put words from a list together; all others ask a language model for a sentence."""
AUTO = ("vocabulary", "reader", "compact")
"""Entries of `prompts.simulate` that it may stand for; the stages that simulate depend on those with a text."""


class Explainer(NamedTuple):
    """What the choice depends on."""

    layout: str
    """Of the prompt that `explain.method` names."""
    provider: str
    """Of the model that `explain.model` names."""


def writes_sentences(layout: str) -> bool:
    """Whether an explainer's sentences come from a language model.

    >>> writes_sentences("pieces"), writes_sentences("concepts")
    (True, False)
    """
    return layout not in PHRASES


def automatic(explainer: Explainer) -> str:
    """The entry of `prompts.simulate`. A model in this process may be too small to read (the embedded one is), so `reader` reads for it.

    >>> automatic(Explainer("concepts", "openai")), automatic(Explainer("pieces", "openai")), automatic(Explainer("pieces", "local"))
    ('vocabulary', 'compact', 'reader')
    """
    if not writes_sentences(explainer.layout):
        return "vocabulary"
    return "compact" if explainer.provider in REMOTE else "reader"
