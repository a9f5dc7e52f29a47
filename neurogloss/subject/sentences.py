"""What units do on texts that are in no corpus: one forward pass over many short texts, each read for one unit."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neurogloss.subject.model import Subject

AT_ONCE = 4096
"""Tokens in a forward pass, about."""


class Sentence(NamedTuple):
    """A text to be read for a unit."""

    layer: int
    neuron: int
    text: str


class Heard(NamedTuple):
    """A text as the subject reads it. No token where the text has none."""

    pieces: tuple[bytes, ...]
    activations: tuple[float, ...]


ReadSentences = Callable[[Sequence[Sentence]], list[Heard]]


def read_sentences(subject: Subject, longest: int, sentences: Sequence[Sentence]) -> list[Heard]:
    """Activations of each sentence's unit on its tokens, of which only the first `longest` are read."""
    encoded = [ids[:longest] for ids in subject.encode([one.text for one in sentences])]
    found = [Heard((), ())] * len(sentences)
    by_length: dict[int, list[int]] = {}
    for place, ids in enumerate(encoded):
        if ids:
            by_length.setdefault(len(ids), []).append(place)
    for length, places in sorted(by_length.items()):
        size = max(1, AT_ONCE // length)
        for start in range(0, len(places), size):
            part = places[start : start + size]
            for place, values in zip(part, run(subject, [encoded[at] for at in part], [sentences[at] for at in part]), strict=True):
                pieces = tuple(subject.vocabulary[token] for token in encoded[place])
                found[place] = Heard(pieces, tuple(values.tolist()))
    return found


def run(subject: Subject, ids: list[list[int]], sentences: Sequence[Sentence]) -> Float[np.ndarray, "sentence token"]:
    """Texts of one length."""
    values = np.zeros((len(ids), len(ids[0])), np.float32)
    layers = np.array([one.layer for one in sentences])

    def visit(layer: int, seen: Float[Tensor, "sentence token unit"]) -> None:
        here = np.flatnonzero(layers == layer)
        columns = [sentences[place].neuron - subject.indices[layer].start for place in here.tolist()]
        if seen.is_sparse:
            wanted = sorted(set(columns))
            seen = seen.index_select(2, torch.tensor(wanted, device=seen.device)).to_dense()
            columns = [wanted.index(column) for column in columns]
        values[here] = seen[torch.from_numpy(here), :, columns].float().cpu().numpy()

    subject.activations(torch.tensor(ids), sorted(set(layers.tolist())), visit)
    return values
