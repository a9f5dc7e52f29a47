"""Detection and fuzzing of score excerpts: figures of models whose answers are known, what is shown to them, and what fails."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.scores import read_scores, write_scores
from neurogloss.artifacts.simulations import NOBODY
from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.client import OpenClient
from neurogloss.llm.request import Answer, Client, Reply, Request, TokenLogprobs
from neurogloss.llm.scripted import Scripted
from neurogloss.measures.levels import levels
from neurogloss.scorers.asked import ask_scorers, first_lenders, material
from neurogloss.scorers.classification import plain
from neurogloss.scorers.classify import Asking, opening_of, questions_of
from neurogloss.scorers.run import score
from neurogloss.scorers.summary import summary
from tests.simulated import explained, honest, scoring, simulated
from tests.tiny import random_recordings

PARAMS = scoring(scorers=["detection", "fuzzing"])
ASKED = ("detection", "fuzzing")
Rule = Callable[[int, str], float]
"""(row of the neuron that the sentence is about, excerpt) -> probability that the sentence holds."""


@pytest.fixture(scope="module")
def many() -> Recordings:
    """200 made-up neurons in two layers, one of them silent, with five excerpts of each kind and split."""
    return random_recordings(layers=2, per_layer=100, tokens=12, per_split=5, excerpts=400)


def asked_about(request: Request) -> tuple[int, list[str]]:
    """The neuron whose sentence is asked about, and the excerpts."""
    text = request.messages[-1].content
    found = re.search(r"words like w(\d+)", text)
    assert found
    return int(found[1]), re.findall(r"^\d+: (.*)$", text, re.MULTILINE)


def says(rule: Rule, logprobs: bool = False) -> Callable[[Request], Answer]:
    """A model that answers 1 where the rule gives more than a half."""

    def answer(request: Request) -> Answer:
        row, excerpts = asked_about(request)
        shares = [rule(row, excerpt) for excerpt in excerpts]
        pieces = [piece for share in shares for piece in (", ", str(int(share > 0.5)))]
        pieces = ["[", *pieces[1:], "]"]
        tokens = [TokenLogprobs(piece, {piece: 0.0}) for piece in pieces]
        for place, share in enumerate(shares):
            tokens[1 + 2 * place] = TokenLogprobs(pieces[1 + 2 * place], {"1": float(np.log(share)), "0": float(np.log1p(-share))})
        return Reply("".join(pieces), tokens=tuple(tokens) if logprobs else ())

    return answer


def opening(client: Client) -> OpenClient:
    @contextmanager
    def opened(name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        yield client

    return opened


def truth(recordings: Recordings) -> Rule:
    """A reader who knows every neuron: right on its own excerpts; of others, whether a token stands there that it fires on anywhere."""
    right: dict[tuple[int, str], bool] = {}
    for name in ASKED:
        prompt = PARAMS.prompts.score[name]
        asking = Asking(prompt, PARAMS.model("smollm2", "score.model"), Scripted(), 0.5)
        for row in range(len(recordings)):
            for question in questions_of(material(recordings, PARAMS.score.seed, row), "x", asking, opening_of(prompt), 0):
                right |= {(row, one.text): one.fires for one in question.excerpts}
    slots = recordings.slots.where(*Split)
    peaks = np.where(recordings.silent, np.nan, recordings.peaks)
    fires = levels(np.asarray(recordings.activations[:, slots], np.float64), peaks) >= 3
    words = [
        {plain([recordings.vocabulary[token]]) for token in np.unique(recordings.tokens(row, slots)[fires[row]])}
        for row in range(len(recordings))
    ]

    def rule(row: int, excerpt: str) -> float:
        marked = re.findall(r"<<(.*?)>>", excerpt)
        default = all(any(word in mark for word in words[row]) for mark in marked) if marked else any(w in excerpt for w in words[row])
        return 0.9 if right.get((row, excerpt), default) else 0.1

    return rule


def scored(recordings: Recordings, *lines: Any, explanations: Explanations | None = None, params: Any = PARAMS) -> pa.Table:
    simulations = simulated(recordings, lambda true: true, borrow=honest(recordings))
    return score(recordings, explanations or explained(recordings), simulations, params, opening(Scripted(*lines)))


def column(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64)


@pytest.mark.parametrize("name", ASKED)
def test_who_is_always_right_has_one_and_who_always_says_one_a_half(many: Recordings, name: str) -> None:
    oracle, yes = scored(many, says(truth(many))), scored(many, says(lambda row, excerpt: 0.9))
    ok = np.array(oracle[f"{name}_status"].to_pylist()) == "ok"
    assert ok.sum() > 150
    assert (column(oracle, name)[ok] == 1).all() and (column(yes, name)[ok] == 0.5).all()
    assert np.isnan(column(oracle, name)[~ok]).all()


@pytest.mark.parametrize("name", ASKED)
def test_who_guesses_has_about_a_half_and_so_has_a_right_reader_of_other_sentences(many: Recordings, name: str) -> None:
    rng = np.random.default_rng(0)
    guess = summary(scored(many, says(lambda row, excerpt: float(rng.random()))), 10)[name]
    right = summary(scored(many, says(truth(many))), 10)[name]
    assert guess["balanced_accuracy"]["mean"] == pytest.approx(0.5, abs=0.05)
    assert guess["balanced_accuracy"]["ci_low"] < 0.5 < guess["balanced_accuracy"]["ci_high"]
    assert right["control"]["mean"] == pytest.approx(0.5, abs=0.06)
    assert right["margin"]["mean"] == pytest.approx(1 - right["control"]["mean"], abs=1e-6)


def test_only_score_excerpts_are_shown_firing_ones_of_the_strongest_and_quiet_ones_of_the_random(many: Recordings) -> None:
    shown: dict[int, set[str]] = {}

    def look(row: int, excerpt: str) -> float:
        shown.setdefault(row, set()).add(excerpt)
        return 0.9

    ask_scorers(many, explained(many).texts, np.full(len(many), NOBODY), scoring(scorers=["detection"]), opening(Scripted(says(look))))
    for row, texts in shown.items():
        expected, kinds = set(), (Kind.TOP, Kind.RANDOM)
        for kind in kinds:
            slots = many.slots.where(Split.SCORE, kind=kind)
            found = levels(np.asarray(many.activations[row, slots]), float(many.peaks[row])).max(axis=1)
            wanted = found >= 3 if kind is Kind.TOP else found < 2
            expected |= {plain([many.vocabulary[token] for token in ids]) for ids in many.tokens(row, slots)[wanted]}
        assert texts == expected
        open_slots = np.setdiff1d(np.arange(len(many.slots)), many.slots.where(Split.SCORE))
        assert not texts & {plain([many.vocabulary[token] for token in ids]) for ids in many.tokens(row, open_slots)}
    assert len(shown) > 150


def test_fuzzing_marks_what_fires_and_as_many_other_tokens_of_quiet_excerpts(many: Recordings) -> None:
    prompt = PARAMS.prompts.score["fuzzing"]
    asking = Asking(prompt, PARAMS.model("smollm2", "score.model"), Scripted(), 0.5)
    for row in range(5):
        unit = material(many, 0, row)
        quiet = {plain(one.pieces) for one in unit.drawn if one.levels.max() < 2}
        for question in questions_of(unit, "x", asking, opening_of(prompt), 0):
            for one in question.excerpts:
                assert "<<" in one.text
                assert (one.text.replace("<<", "").replace(">>", "") in quiet) is not one.fires


def test_the_figures_are_those_of_scikit_learn_on_the_same_ratings(many: Recordings) -> None:
    rng = np.random.default_rng(1)
    known: dict[tuple[int, str], float] = {}

    def rule(row: int, excerpt: str) -> float:
        return known.setdefault((row, excerpt), float(rng.choice([0.1, 0.3, 0.45, 0.6, 0.8])))

    client = Scripted(says(rule, logprobs=True))
    found = ask_scorers(many, explained(many).texts, np.full(len(many), NOBODY), PARAMS, opening(client))
    for name in ASKED:
        prompt = PARAMS.prompts.score[name]
        asking = Asking(prompt, PARAMS.model("smollm2", "score.model"), client, 0.5)
        for row in np.flatnonzero(~np.isnan(found[name].own.accuracy)):
            unit = material(many, PARAMS.score.seed, int(row))
            excerpts = [one for asked in questions_of(unit, "x", asking, opening_of(prompt), 0) for one in asked.excerpts]
            fires, shares = [one.fires for one in excerpts], [known[int(row), one.text] for one in excerpts]
            assert found[name].own.auc[row] == pytest.approx(roc_auc_score(fires, shares), abs=1e-12)
            told = balanced_accuracy_score(fires, np.array(shares) > 0.5)
            assert found[name].own.accuracy[row] == pytest.approx(told, abs=1e-12)
    assert not np.isnan(found["detection"].own.auc).all()


def test_without_log_probabilities_there_is_no_auc(many: Recordings) -> None:
    found = scored(many, says(lambda row, excerpt: 0.9))
    assert found["detection_auc"].null_count == len(many) and found["detection"].null_count < 50


def test_another_sentence_is_judged_on_the_same_questions(many: Recordings) -> None:
    client = Scripted(says(lambda row, excerpt: 0.9))
    lenders = honest_lenders(many)
    ask_scorers(many, explained(many).texts, lenders, scoring(scorers=["fuzzing"]), opening(client))
    half = len(client.asked) // 2
    pairs = list(zip(client.asked[:half], client.asked[half:], strict=True))
    assert half > 150 and all(asked_about(own)[1] == asked_about(other)[1] for own, other in pairs)
    assert all(lenders[asked_about(own)[0]] == asked_about(other)[0] for own, other in pairs)


def honest_lenders(recordings: Recordings) -> np.ndarray:
    """The next neuron that is not silent."""
    awake = np.flatnonzero(~recordings.silent)
    return first_lenders(awake, np.roll(awake, -1)[:, None], len(recordings))


def test_failures_are_counted_by_cause_and_leave_the_means(many: Recordings) -> None:
    right = says(truth(many))
    whole = scored(many, right)
    odd, late, long, mute = np.flatnonzero(np.array(whole["detection_status"].to_pylist()) == "ok")[:4].tolist()

    def answer(request: Request) -> Answer:
        row, _ = asked_about(request)
        if row == odd:
            return Reply("yes, no, yes")
        return ProviderError("unanswered", "timed out") if row == late else right(request)

    few = PARAMS.model_copy(update={"limits": PARAMS.limits.model_copy(update={"max_failed_share": 0.5})})
    unexplained = explained(many, {long: Status.TOO_LONG, mute: Status.NO_EXPLANATION})
    found = scored(many, answer, explanations=unexplained, params=few)
    values = found.to_pylist()
    assert [values[row]["detection_status"] for row in (odd, late, long, mute, 99)] == [
        "unparsable",
        "unanswered",
        "too_long",
        "no_explanation",
        "silent_neuron",
    ]
    assert [values[row]["detection"] for row in (odd, late, long, mute, 99)] == [None, None, None, 0.5, None]
    assert values[odd]["detection_failed"] > 1 and values[mute]["detection_failed"] == 0
    about, before = summary(found, 10)["detection"], summary(whole, 10)["detection"]
    assert about["failed_by_cause"]["unparsable"] == about["failed_by_cause"]["unanswered"] == about["failed_by_cause"]["too_long"] == 1
    assert about["failed_excerpts"] == values[odd]["detection_failed"] + values[late]["detection_failed"]
    assert about["balanced_accuracy"]["neurons"] == len(many) - about["failed"] == before["balanced_accuracy"]["neurons"] - 3
    assert about["failed"] == before["failed"] + 3


def test_some_excerpts_without_a_rating_leave_the_rest_to_be_scored(many: Recordings) -> None:
    right, turns = says(truth(many)), iter(range(10**6))
    found = scored(
        many,
        lambda request: ProviderError("refused", "no") if next(turns) % 30 == 0 else right(request),
        params=scoring(scorers=["detection"], min_excerpts_share=0.1),
    )
    partly = [one for one in found.to_pylist() if one["detection_failed"] and one["detection_status"] == "ok"]
    assert partly and all(one["detection"] == 1 for one in partly)
    assert found["fuzzing"].null_count == found["fuzzing_status"].null_count == len(many)
    assert "fuzzing" not in summary(found, 10)


def test_too_many_failures_stop_the_stage_with_a_line(many: Recordings) -> None:
    with pytest.raises(UserError, match=r"\d+ of \d+ detection ratings failed \(\d+ unparsable\), .* allows 10% of all"):
        scored(many, "I would say that all of them fit.")


def test_by_default_nobody_is_asked_and_the_columns_are_null(many: Recordings) -> None:
    def nobody(*arguments: Any) -> Any:
        raise AssertionError("a model was opened")

    simulations = simulated(many, lambda true: true, borrow=honest(many))
    found = score(many, explained(many), simulations, scoring(), nobody)
    assert all(found[f"{name}{suffix}"].null_count == len(many) for name in ASKED for suffix in ("", "_auc", "_status", "_failed"))


def test_equal_answers_give_equal_bytes(many: Recordings, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_scores(tmp_path / name, scored(many, says(truth(many), logprobs=True)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_scores(tmp_path / "one")["detection"].null_count < 50
