"""Read a sentence on a few tokens."""

import numpy as np

from neurogloss.phrases.passages import Passage, TokenTexts
from neurogloss.phrases.sentence_levels import literal_levels
from neurogloss.phrases.sentences import read


def passage_of(*excerpts: list[str]) -> Passage:
    texts = sorted({token for excerpt in excerpts for token in excerpt})
    return Passage(TokenTexts(texts), [np.array([texts.index(token) for token in excerpt], np.int64) for excerpt in excerpts])


def said(sentence: str, *excerpts: list[str]) -> list[float]:
    """0..1 for each token: what the sentence says outright."""
    return [round(float(level), 3) for level in literal_levels(read(sentence), passage_of(*excerpts))]
