"""Meanings of words as sums of vectors of their pieces: a table in the weights, so that no model runs."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True)
class PieceVectors:
    """A vector of each piece of a WordPiece vocabulary: all-MiniLM-L6-v2's own for the piece by itself, centred and reduced."""

    places: dict[str, int]
    table: Float32[np.ndarray, "piece feature"]
    """Scaled by how rare a piece is."""
    known: dict[str, Float32[np.ndarray, " feature"]] = field(default_factory=dict)

    def of(self, texts: Sequence[str]) -> Float32[np.ndarray, "text feature"]:
        """Unit vectors; zero where no piece is known."""
        for text in texts:
            if text not in self.known:
                self.known[text] = self.vector(text)
        return np.stack([self.known[text] for text in texts]) if texts else np.zeros((0, self.table.shape[1]), np.float32)

    def vector(self, text: str) -> Float32[np.ndarray, " feature"]:
        """The unit vector of one text."""
        found = self.table[self.pieces(text)].sum(axis=0)
        return np.asarray(found / max(float(np.linalg.norm(found)), 1e-6), np.float32)

    def pieces(self, text: str) -> list[int]:
        """WordPiece: lower case without accents, cut at blanks and signs, then the longest known piece first."""
        plain = "".join(sign for sign in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(sign) != "Mn")
        spaced = "".join(sign if sign.isalnum() else f" {sign} " for sign in plain)
        return [place for word in spaced.split() for place in self.cut(word)]

    def cut(self, word: str) -> list[int]:
        """The pieces of one word; none where it cannot be written with known pieces."""
        found, start = [], 0
        while start < len(word):
            for end in range(min(len(word), start + 20), start, -1):
                place = self.places.get(("##" if start else "") + word[start:end])
                if place is not None:
                    found.append(place)
                    start = end
                    break
            else:
                return []
        return found
