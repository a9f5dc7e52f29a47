"""Texts that are in no corpus are read as excerpts are recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurogloss.config.subject import SubjectParams
from neurogloss.subject.model import Subject, load_subject
from neurogloss.subject.sentences import Sentence, read_sentences
from tests.tiny import save_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def subject(folder: Path) -> Subject:
    return load_subject(SubjectParams(model=str(folder)))


def test_sentences_of_any_length_are_read_each_for_its_own_unit(subject: Subject) -> None:
    sentences = [
        Sentence(1, 5, "the cat sat on the mat"),
        Sentence(0, 7, "snow"),
        Sentence(1, 0, "the dog ran to the river"),
        Sentence(0, 1, ""),
    ]
    found = read_sentences(subject, 64, sentences)
    assert found[3] == ((), ())
    for one, (pieces, activations) in zip(sentences[:3], found, strict=False):
        assert b"".join(pieces).decode() == one.text
        seen: dict[int, np.ndarray] = {}
        ids = torch.tensor(subject.encode([one.text]))
        subject.activations(ids, [one.layer], lambda layer, values, seen=seen: seen.update({layer: values[0].numpy().copy()}))  # type: ignore[misc]  # mypy cannot type a default
        np.testing.assert_allclose(activations, seen[one.layer][:, one.neuron], rtol=1e-4, atol=1e-5)


def test_a_sentence_longer_than_an_excerpt_is_cut(subject: Subject) -> None:
    (found,) = read_sentences(subject, 4, [Sentence(0, 0, "the cat sat on the mat and the dog ran to the river " * 40)])
    assert len(found.pieces) == len(found.activations) == 4


def test_the_negative_side_of_a_neuron_is_read_with_its_sign(folder: Path) -> None:
    signed = load_subject(SubjectParams(model=str(folder), signed=True))
    plus, minus = read_sentences(signed, 64, [Sentence(1, 5, "birds sang"), Sentence(1, ~5, "birds sang")])
    np.testing.assert_allclose(plus.activations, [-value for value in minus.activations])


class FakeSparse:
    """Quacks like a subject whose units' values come sparse."""

    indices = (range(9),)
    vocabulary = (b"a", b"b", b"c")

    def encode(self, texts: list[str]) -> list[list[int]]:
        return [["abc".index(letter) for letter in text] for text in texts]

    def activations(self, tokens: torch.Tensor, layers: list[int], visit: Any) -> None:
        values = torch.zeros(*tokens.shape, 9)
        values[..., 3], values[..., 7] = tokens.float(), 10.0 * tokens
        visit(0, values.to_sparse())


def test_values_that_come_sparse_are_read_for_the_units_that_are_asked_for() -> None:
    found = read_sentences(FakeSparse(), 8, [Sentence(0, 7, "abc"), Sentence(0, 3, "cab"), Sentence(0, 0, "bbb")])  # type: ignore[arg-type]  # quacks like one
    assert [one.activations for one in found] == [(0.0, 10.0, 20.0), (2.0, 0.0, 1.0), (0.0, 0.0, 0.0)]
