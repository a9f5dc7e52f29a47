"""concepts and token_list: they find what a neuron fires on, and look at nothing of the score split."""

import dataclasses

import numpy as np
import pytest

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.explain import ConceptsParams, TokenListParams
from neurogloss.errors import UserError
from neurogloss.explainers import concepts
from neurogloss.explainers.concepts import explain_concepts, greedy
from neurogloss.explainers.token_list import explain_token_list
from neurogloss.phrases.bank import read_bank
from neurogloss.phrases.quoted import named
from tests.simulators.fake import vocabulary

PARAMS = ConceptsParams(bank="english", phrases=2, shortlist=8, words=0)
NAMING = ConceptsParams(bank="english", phrases=2, shortlist=8, words=4, occurrences=2)


def favourites(recordings: Recordings, row: int) -> list[int]:
    """The tokens on which a made-up neuron was made to fire."""
    slots = np.arange(len(recordings.slots))
    tokens, activations = recordings.tokens(row, slots), recordings.activations[row]
    return [t for t in range(40) if (tokens == t).any() and activations[tokens == t].mean() > 0.8]


@pytest.fixture
def bank(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, float]]:
    """A phrase for each neuron that raises half of its tokens, one for the other half, and phrases that fit nothing."""
    raised = {}
    for row in range(len(recordings)):
        tokens = [f" w{t}" for t in favourites(recordings, row)]
        raised[f"first of {row}"] = dict.fromkeys(tokens[::2], 5.0)
        raised[f"second of {row}"] = dict.fromkeys(tokens[1::2], 5.0)
    raised["everything"] = {f" w{t}": 5.0 for t in range(40)}
    raised["nothing"] = {}
    monkeypatch.setattr(concepts, "read_bank", lambda name: list(raised))
    return raised


def test_each_neuron_gets_the_phrases_of_its_own_tokens(recordings: Recordings, bank: dict[str, dict[str, float]]) -> None:
    found = explain_concepts(recordings, vocabulary(recordings, bank), PARAMS)
    for row, explanation in enumerate(found):
        if recordings.silent[row]:
            assert explanation.status is Status.SILENT
        else:
            assert explanation.text is not None
            first = explanation.text.split("; ")[0]
            assert set(bank[first]) & {f" w{t}" for t in favourites(recordings, row)}


@pytest.mark.parametrize("params", [PARAMS, NAMING])
def test_the_concepts_never_see_the_score_split(params: ConceptsParams, recordings: Recordings, bank: dict[str, dict[str, float]]) -> None:
    poisoned = np.array(recordings.activations)
    poisoned[:, recordings.slots.where(Split.SCORE)] = 1000
    changed = dataclasses.replace(recordings, activations=poisoned)
    reader = vocabulary(recordings, bank)
    assert explain_concepts(changed, reader, params) == explain_concepts(recordings, reader, params)


def test_every_other_split_counts(recordings: Recordings) -> None:
    slots, weights = concepts.fitted_on(recordings)
    assert weights.sum() == pytest.approx(1)
    levels = np.zeros((1, int(recordings.corpus.max()) + 1), np.float32)
    common = concepts.FitInputs(levels, recordings.corpus, weights, np.zeros(levels.shape[1], int), ["x"], np.ones(1, bool), PARAMS)
    [before, *_] = concepts.blocks(recordings, slots)
    for split in (Split.EXPLAIN, Split.CALIBRATE, Split.SELECT, Split.FIT):
        changed = np.array(recordings.activations)
        changed[:, recordings.slots.where(split)] *= -3
        [after, *_] = concepts.blocks(dataclasses.replace(recordings, activations=changed), slots)
        assert not np.array_equal(concepts.weigh(common, after).sums, concepts.weigh(common, before).sums)


def test_explanations_do_not_depend_on_how_neurons_are_cut_into_blocks(
    recordings: Recordings, bank: dict[str, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = explain_concepts(recordings, vocabulary(recordings, bank), NAMING)
    monkeypatch.setattr(concepts, "BLOCK", 3)
    assert explain_concepts(recordings, vocabulary(recordings, bank), NAMING) == whole


def test_words_on_which_a_neuron_fires_and_no_phrase_predicts_are_named(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concepts, "read_bank", lambda name: ["everything", "nothing"])
    raised = {"everything": {f" w{t}": 5.0 for t in range(40)}, "nothing": {}}
    found = explain_concepts(recordings, vocabulary(recordings, raised), NAMING)
    plain = explain_concepts(recordings, vocabulary(recordings, raised), PARAMS)
    assert all(one.text in (None, "everything") for one in plain)
    for row, one in enumerate(found):
        if not recordings.silent[row]:
            assert one.text is not None
            words = [word for part in one.text.split("; ") for word in named(part) or ()]
            favourite = {f"w{t}" for t in favourites(recordings, row)}
            assert 1 <= len(words) <= 4 and favourite & set(words)
            assert sum(named(part) is not None for part in one.text.split("; ")) == 1, "one phrase of its own at most"


def test_a_word_that_stands_in_too_few_excerpts_is_not_named(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concepts, "read_bank", lambda name: ["nothing"])
    rare = NAMING.model_copy(update={"occurrences": 1000})
    assert {one.status for one in explain_concepts(recordings, vocabulary(recordings, {}), rare)} == {Status.SILENT, Status.NO_EXPLANATION}


def test_a_neuron_that_no_phrase_fits_has_no_explanation(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concepts, "read_bank", lambda name: ["nothing"])
    found = explain_concepts(recordings, vocabulary(recordings, {}), PARAMS)
    assert {e.status for e in found} == {Status.SILENT, Status.NO_EXPLANATION}


def test_greedy_equals_the_weighted_correlation_computed_directly() -> None:
    rng = np.random.default_rng(0)
    levels, counts = rng.random((5, 30)).astype(np.float32), rng.dirichlet(np.ones(30)).astype(np.float32)
    truth = levels[1] + 2 * levels[3] + 0.1 * rng.random(30).astype(np.float32)
    centred = truth - counts @ truth
    [one, two] = greedy(levels, counts, (levels * counts) @ centred, 2)

    def weighted(x: np.ndarray) -> float:
        x = x - counts @ x
        return float((counts @ (x * centred)) / np.sqrt((counts @ x**2) * (counts @ centred**2)))

    singles = [weighted(row) for row in levels]
    assert one == int(np.argmax(singles))
    assert two == int(np.argmax([weighted(levels[one] + row) if i != one else -9 for i, row in enumerate(levels)]))


def test_the_token_list_names_the_strongest_tokens(recordings: Recordings) -> None:
    for row, explanation in enumerate(explain_token_list(recordings, TokenListParams(tokens=2, minimum=2))):
        if not recordings.silent[row]:
            texts = named(explanation.text or "")
            assert texts
            assert f" {texts[0]}" in {f" w{t}" for t in favourites(recordings, row)}


def test_an_unknown_bank_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"there is no 'klingon'; there are: english"):
        read_bank("klingon")


def test_the_bank_has_over_three_thousand_distinct_phrases() -> None:
    bank = read_bank("english")
    assert len(bank) == len(set(bank)) >= 3000
    assert not [phrase for phrase in bank if ";" in phrase and '"' not in phrase]
