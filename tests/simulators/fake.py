"""Gains without a model: what a test says each phrase raises."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from neurogloss.artifacts.recordings import Recordings
from neurogloss.config.vocabulary import VocabularyParams
from neurogloss.phrases.levels import PhraseLevels
from neurogloss.phrases.profiles import Gains


class FakeGains:
    """`raised` says for each phrase which token texts it raises and by how much; everything else stays at zero."""

    def __init__(self, pieces: list[bytes], raised: Mapping[str, Mapping[str, float]]) -> None:
        self.known = pieces
        self.raised = raised

    def pieces(self) -> list[bytes]:
        return self.known

    def first_tokens(self, texts: Sequence[str]) -> dict[str, int]:
        starts = {text: [n for n, piece in enumerate(self.known) if piece and text.encode().startswith(piece)] for text in texts}
        return {text: max(found, key=lambda n: len(self.known[n])) for text, found in starts.items() if found}

    def learn(self, phrases: Sequence[str]) -> None:
        assert all(phrases)

    def of(self, phrases: Sequence[str]) -> np.ndarray:
        gains = np.zeros((len(phrases), len(self.known)), np.float16)
        for row, phrase in enumerate(phrases):
            for text, gain in self.raised.get(phrase, {}).items():
                gains[row, [n for n, piece in enumerate(self.known) if piece == text.encode()]] = gain
        return gains


PARAMS = VocabularyParams(model="any", prompt="list", threshold=0.5, power=1.0, variants=0.5)


def vocabulary(recordings: Recordings, raised: Mapping[str, Mapping[str, float]], pieces: list[bytes] | None = None) -> PhraseLevels:
    return PhraseLevels(recordings, cast(Gains, FakeGains(pieces or recordings.vocabulary, raised)), PARAMS)
