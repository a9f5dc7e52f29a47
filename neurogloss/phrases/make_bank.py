"""Make a bank of concept phrases: hand-written categories, frequent words and characters by name, and pairs of related words from a corpus.

    python -m neurogloss.phrases.make_bank            rewrites banks/english.txt from params.yaml's corpus

Only the text is looked at, never an activation. Related words are neighbours in an embedding of co-occurrence: positive pointwise
mutual information of words at most `REACH` apart, weighted by 1 / distance, reduced to `DIMENSIONS` by an eigendecomposition
(Levy and Goldberg 2014). The bank is data under version control, so no run depends on making it again.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float32

from neurogloss.config.params import load_params
from neurogloss.phrases.quoted import naming, variant

WORD = re.compile(r"[A-Za-z]+")
FOLDER = Path(__file__).parent / "banks"
NAMED = 200
"""The most frequent words, which get a phrase of their own: a category seldom tells them apart."""
COMMON = 120
"""The most frequent words, which say nothing about a topic."""
OCCURRENCES, DOCUMENTS, PAIRED = 12, 2, 4500
"""A word is paired if it occurs so often, in so many documents, and is among the most frequent."""
REACH, DIMENSIONS = 8, 150


def main(params: Path) -> None:
    """Rewrite the bank from the corpus that the params name."""
    from neurogloss.corpus.documents import read_documents

    settings = load_params(params)
    texts = [document.text for document in read_documents(settings.corpus, Counter())]
    categories = yaml.safe_load((FOLDER / "english.categories.yaml").read_text(encoding="utf-8"))
    bank = make_bank([str(phrase) for group in categories.values() for phrase in group], texts)
    (FOLDER / "english.txt").write_text("\n".join(bank) + "\n", encoding="utf-8")


def make_bank(categories: Iterable[str], texts: list[str]) -> list[str]:
    """All phrases, each once, in a fixed order."""
    spelled = [WORD.findall(text) for text in texts]
    counts = Counter(variant(word) for words in spelled for word in words)
    frequent = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    words = [naming("word", [word]) for word in frequent if len(word) > 1][:NAMED]
    characters = [naming("character", [character]) for character in string.punctuation]
    digits = [naming("number", [digit]) for digit in string.digits]
    letters = [naming("letter", [letter]) for letter in string.ascii_lowercase]
    return list(dict.fromkeys([*categories, *words, *characters, *digits, *letters, *pairs(spelled, frequent)]))


def pairs(spelled: list[list[str]], frequent: list[str]) -> list[str]:
    """Each topical word with its nearest neighbour, spelled as the corpus mostly does."""
    seen = Counter(word for words in spelled for word in {variant(word) for word in words})
    forms = Counter(word for words in spelled for word in words)
    counts: Counter[str] = Counter()
    for form, count in forms.items():
        counts[variant(form)] += count
    spelling = {variant(form): form for form, _ in sorted(forms.items(), key=lambda item: (item[1], item[0]))}
    common = set(frequent[:COMMON])
    words = [w for w in frequent if counts[w] >= OCCURRENCES and seen[w] >= DOCUMENTS and len(w) > 2 and w not in common][:PAIRED]
    near = nearest(embedding(co_occurrence([[variant(word) for word in document] for document in spelled], words)))
    return [f"{spelling[word]}, {spelling[words[other]]}" for word, other in zip(words, near, strict=True)]


def co_occurrence(documents: list[list[str]], words: list[str]) -> Float32[np.ndarray, "word word"]:
    """How often two words stand at most `REACH` apart, each meeting weighted by 1 / distance; symmetric."""
    number = {word: position for position, word in enumerate(words)}
    found = np.zeros((len(words), len(words)), np.float32)
    for document in documents:
        ids = np.array([number.get(word, -1) for word in document])
        for distance in range(1, min(REACH, len(ids) - 1) + 1):
            left, right = ids[:-distance], ids[distance:]
            both = (left >= 0) & (right >= 0)
            np.add.at(found, (left[both], right[both]), np.float32(1 / distance))
    return found + found.T


def embedding(counts: Float32[np.ndarray, "word word"]) -> Float32[np.ndarray, "word dimension"]:
    """Unit vectors: the largest eigenvectors of positive pointwise mutual information, scaled by the root of their eigenvalue."""
    totals = counts.sum(axis=1)
    expected = np.outer(totals, totals) / totals.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.where(counts > 0, np.maximum(np.log(counts / expected), 0), 0).astype(np.float64)
    values, vectors = np.linalg.eigh(information)
    kept = np.argsort(-values)[:DIMENSIONS]
    scaled = vectors[:, kept] * np.sqrt(np.maximum(values[kept], 0))
    return np.asarray(scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-9), np.float32)


def nearest(vectors: Float32[np.ndarray, "word dimension"]) -> list[int]:
    """Position of each word's nearest other word."""
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    return [int(other) for other in similar.argmax(axis=1)]


if __name__ == "__main__":
    main(Path("params.yaml"))
