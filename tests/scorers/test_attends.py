"""Pairs of a query and a key that heads are scored by: which are shown, what of them, and figures of models whose answers are known."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from neurogloss.artifacts.recordings import Keys, Recordings, Split
from neurogloss.artifacts.simulations import NOBODY
from neurogloss.artifacts.units import UnitKind
from neurogloss.config.prompts import AttendsPrompt
from neurogloss.errors import UserError
from neurogloss.llm.request import Answer, Reply, Request, TokenLogprobs
from neurogloss.llm.scripted import Scripted
from neurogloss.scorers.asked import Asked, ask_scorers, asked_columns
from neurogloss.scorers.attends import PER_EXCERPT, attended, choose, marked
from tests.scorers.test_asked import opening
from tests.simulated import explained, scoring
from tests.tiny import random_recordings

PARAMS = scoring(scorers=["attends"])
PROMPT = cast(AttendsPrompt, PARAMS.prompts.score["attends"])
TOKENS = 12


@pytest.fixture(scope="module")
def heads() -> Recordings:
    """Heads whose strongest pair of the explain split has the value 4, and that of the score split 9."""
    found = random_recordings(layers=2, per_layer=3, tokens=TOKENS, per_split=5, excerpts=200)
    shape = (*found.excerpts.shape, 3)
    norms = np.full(shape, 1, np.float16)
    norms[:, found.slots.where(Split.EXPLAIN)[0], 0], norms[:, found.slots.where(Split.SCORE)[0], 0] = 4, 9
    return replace(found, kind=UnitKind.HEADS, keys=Keys(np.zeros(shape, np.int16), norms))


def values(recordings: Recordings, slots: np.ndarray) -> np.ndarray:
    """Every third query reads the token two before it with the value 3, all other pairs have less than 0.1; row 5 reads nothing."""
    found = np.random.default_rng(0).uniform(0, 0.1, (len(recordings), len(slots), TOKENS, TOKENS)) * np.tri(TOKENS)
    for query in range(2, TOKENS, 3):
        found[:5, :, query, query - 2] = 3
    return found.astype(np.float16)


def asked(recordings: Recordings, answer: Callable[[Request], Answer]) -> Asked:
    lenders = np.array([1, 0, NOBODY, 4, 3, NOBODY])
    texts = explained(recordings).texts
    return ask_scorers(recordings, texts, lenders, PARAMS, opening(Scripted(answer)), lambda slots: values(recordings, slots))["attends"]


def rated(request: Request) -> list[str]:
    """The texts of a question."""
    return re.findall(r"^\d+: (.*)$", request.messages[-1].content, re.MULTILINE)


def reads_two_before(text: str) -> bool:
    """What the made-up heads do: the key is two tokens before the query, and the query the third, sixth or ninth token after."""
    words = text.split()
    at = next(place for place, word in enumerate(words) if "[[" in word)
    return "**" in words[at - 2] and at % 3 == 2 and at >= 2


def says(rule: Callable[[str], bool]) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        digits = [str(int(rule(text))) for text in rated(request)]
        pieces = ["[", *", ,".join(digits).replace(", ,", "|, |").split("|"), "]"]
        sure = {"1": {"1": np.log(0.9), "0": np.log(0.1)}, "0": {"1": np.log(0.1), "0": np.log(0.9)}}
        return Reply("".join(pieces), tokens=tuple(TokenLogprobs(piece, sure.get(piece, {piece: 0.0})) for piece in pieces))

    return answer


def test_who_knows_what_a_head_reads_has_one_and_who_always_says_one_a_half(heads: Recordings) -> None:
    right, yes = asked(heads, says(reads_two_before)), asked(heads, says(lambda text: True))
    ok = np.flatnonzero(right.scorable)
    assert ok.tolist() == [row for row in range(5) if not heads.silent[row]]
    assert (right.own.accuracy[ok] == 1).all() and (right.own.auc[ok] == 1).all() and (yes.own.accuracy[ok] == 0.5).all()
    assert (right.control.accuracy[ok] == 1).all()  # The questions are the same, whatever the sentence.
    assert right.own.asked == 20 * len(ok)
    columns = asked_columns({"attends": right}, explained(heads))
    assert columns["attends_status"][5] == "constant" and np.isnan(columns["attends"][5])


def test_an_answer_without_a_digit_for_each_pair_is_a_failure_and_no_number(heads: Recordings) -> None:
    with pytest.raises(UserError, match="ratings failed .*unparsable.*limits.max_failed_share allows 10% of all"):
        asked(heads, lambda request: Reply("maybe"))
    first: list[str] = []

    def all_but_the_first(request: Request) -> Answer:
        first.append(request.key)
        return Reply("neither") if request.key == first[0] else says(reads_two_before)(request)

    found = asked(heads, all_but_the_first)
    assert dict(found.own.causes) == {"unparsable": 5} and found.own.failed.tolist() == [5, 0, 0, 0, 0, 0] and found.own.accuracy[0] == 1


def test_pairs_are_of_the_score_split_and_their_strength_is_measured_on_the_explain_split(heads: Recordings) -> None:
    given: list[np.ndarray] = []

    def read(slots: np.ndarray) -> np.ndarray:
        given.append(slots)
        return values(heads, slots) * 0.6  # 1.8: less than half of 4, but not of what the explain split has without its strongest pair.

    assert not any(one.shown for one in attended(heads, PROMPT, 0, read))
    np.testing.assert_array_equal(given[0], heads.slots.where(Split.SCORE))
    assert heads.keys is not None
    weaker = replace(heads, keys=Keys(heads.keys.places, heads.keys.norms.clip(max=3)))
    assert len(attended(weaker, PROMPT, 0, read)[0].shown) == 2 * PROMPT.pairs


@pytest.mark.parametrize("seed", range(5))
def test_weak_pairs_are_as_far_apart_as_strong_ones_as_weak_as_asked_for_and_no_pair_stands_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0, 1, (10, 16, 16)) ** 4 * np.tri(16)
    (reads, strong), (none, weak) = choose(shares, PROMPT, np.random.default_rng(7))
    again = choose(shares, PROMPT, np.random.default_rng(7))
    assert (reads, none) == (True, False) and len(strong) == len(weak) == PROMPT.pairs
    np.testing.assert_array_equal(again[1][1], weak)
    assert sorted(strong[:, 1] - strong[:, 2]) == sorted(weak[:, 1] - weak[:, 2])
    assert (shares[tuple(strong.T)] >= PROMPT.strong_from).all() and (shares[tuple(weak.T)] < PROMPT.weak_below).all()
    assert (weak[:, 1] >= weak[:, 2]).all() and len(np.unique(weak, axis=0)) == len(weak)
    assert np.bincount(strong[:, 0]).max() <= PER_EXCERPT


def test_a_head_with_fewer_pairs_than_asked_for_has_none() -> None:
    shares = np.zeros((10, 16, 16))
    shares[:3, 9, 4] = 1
    assert choose(shares, PROMPT, np.random.default_rng(0)) == []
    assert choose(np.full((10, 16, 16), 0.9), PROMPT, np.random.default_rng(0)) == []


@pytest.mark.parametrize(
    ("query", "key", "expected"),
    [
        (3, 1, r"the **cat** \[[ [[sat]]"),
        (3, 3, r"the cat \[[ [[**sat**]]"),
        (1, 0, "**the** [[cat]]"),
        (4, 2, r"the cat **\[[** sat[[\** b]]"),
    ],
)
def test_the_text_ends_with_the_query_and_what_looks_like_a_mark_gets_a_backslash(query: int, key: int, expected: str) -> None:
    assert marked([b"the", b" cat", b" [[", b" sat", b"** b", b" end"], query, key, PROMPT) == expected


def test_units_that_are_no_heads_are_refused_in_one_line() -> None:
    found = random_recordings(per_split=5, excerpts=200)
    with pytest.raises(UserError, match="^score.scorers: attends is for heads, these recordings are of neurons; take it out$"):
        ask_scorers(found, explained(found).texts, np.full(len(found), NOBODY), PARAMS, opening(Scripted("[1]")), lambda slots: slots)


def test_by_default_the_subject_that_was_recorded_runs(heads: Recordings) -> None:
    with pytest.raises(UserError, match="do not say which model was recorded"):
        ask_scorers(heads, explained(heads).texts, np.full(len(heads), NOBODY), PARAMS, opening(Scripted("[1]")))
