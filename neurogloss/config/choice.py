"""Which simulator `simulate.method: auto` stands for: what a language model wrote, a language model reads."""

from typing import NamedTuple

PHRASES = ("concepts", "token_list")
"""Layouts of explainers that put words from a list together; all others ask a language model for a sentence."""
AUTO = ("vocabulary", "compact", "all_at_once")
"""Entries of `prompts.simulate` that it may stand for; the stages that simulate depend on each."""


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
    """The entry of `prompts.simulate`: `compact` at an endpoint, the paper's way for a model in this process, whose prompts can be read.

    >>> automatic(Explainer("concepts", "local")), automatic(Explainer("pieces", "openai")), automatic(Explainer("pieces", "local"))
    ('vocabulary', 'compact', 'all_at_once')
    """
    if not writes_sentences(explainer.layout):
        return "vocabulary"
    return "all_at_once" if explainer.provider == "local" else "compact"
