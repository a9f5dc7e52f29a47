"""Answers: any text becomes a phrase or a status, and the best of n is chosen by the select split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.status import Status
from neurogloss.errors import ProviderError
from neurogloss.explainers.answers import read_answer
from neurogloss.llm.request import Reply
from tests.explainers.test_prompted import PARAMS

ONE = PARAMS.prompts.explain["pairs"]
MANY = PARAMS.prompts.explain["numbered"]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (" words for boats.", "words for boats"),
        ("This neuron responds to words for boats.\n\nFor example, ferry.", "words for boats"),
        ("**Explanation:** words for boats", "words for boats"),
        ("Explanation of neuron 4 behavior:\n\nwords for boats", "words for boats"),
        ("Answer: this neuron responds to: \"words for boats\"", "words for boats"),
        ("# Summary\nwords for boats", "words for boats"),
        ('"if" and "then"', '"if" and "then"'),
        ("numbers (3)", "numbers (3)"),
        ("an ellipsis ...", "an ellipsis ..."),
        ("mots pour les bateaux, 船", "mots pour les bateaux, 船"),
        ("the letter x in {braces}", "the letter x in {braces}"),
    ],
)  # fmt: skip
def test_the_phrase_is_found_in_the_answer(said: str, read: str) -> None:
    assert read_answer(Reply(said), ONE) == [Candidate(read, Status.OK)]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("", Status.UNPARSABLE),
        (" \n\t ", Status.UNPARSABLE),
        ("...", Status.UNPARSABLE),
        ("Explanation:", Status.UNPARSABLE),
        ("This neuron responds to", Status.UNPARSABLE),
        ("I'm sorry, but I can't help with that.", Status.REFUSED),
        ("I\u2019m sorry, I cannot.", Status.REFUSED),
        ("As an AI language model, I", Status.REFUSED),
        ("Neuron 4\n\nExcerpts with levels:\n<start>", Status.UNPARSABLE),
        ("the\t0\nferry\t8", Status.UNPARSABLE),
        ("<start>\nthe", Status.UNPARSABLE),
        (ONE.system, Status.UNPARSABLE),
        ("word " * 200, Status.UNPARSABLE),
    ],
)
def test_an_answer_that_is_none_keeps_its_cause(said: str, status: Status) -> None:
    assert read_answer(Reply(said), ONE) == [Candidate(None, status)]


def test_what_the_provider_refused_or_failed_keeps_its_status() -> None:
    assert read_answer(ProviderError("unanswered", "timed out"), ONE) == [Candidate(None, Status.UNANSWERED)]
    assert read_answer(Reply("half", finish_reason="content_filter"), ONE) == [Candidate(None, Status.REFUSED)]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("words for boats. They also", "words for boats"),
        ("words for boats.", "words for boats"),
        ("words for boats\nand more of", "words for boats"),
        ("words for bo", None),
        ("", None),
    ],
)
def test_an_answer_cut_off_keeps_only_what_is_whole(said: str, read: str | None) -> None:
    (found,) = read_answer(Reply(said, finish_reason="length"), ONE)
    assert found.text == read
    assert read is not None or found.status is Status.CUT_OFF


def test_each_point_of_a_numbered_list_is_a_candidate() -> None:
    said = (
        "Here are some:\n\n1. words for boats\n2) things that float.\n**3.** *travel*\n\nThat is all.\n4. more\n5. still more\n6. too many"
    )
    texts = [c.text for c in read_answer(Reply(said), MANY)]
    assert texts == ["words for boats", "things that float", "travel", "more", "still more"]


def test_a_list_cut_off_loses_its_last_point_and_one_without_points_is_unparsable() -> None:
    assert [c.text for c in read_answer(Reply("1. words for boats\n2. things that fl", finish_reason="length"), MANY)] == [
        "words for boats"
    ]
    assert read_answer(Reply("1. words for bo", finish_reason="length"), MANY) == [Candidate(None, Status.CUT_OFF)]
    assert read_answer(Reply("words for boats"), MANY) == [Candidate(None, Status.UNPARSABLE)]


@given(
    st.text() | st.text(alphabet="1.\n\t ab*<>\"'{}:"), st.sampled_from(["stop", "length", "content_filter"]), st.sampled_from([ONE, MANY])
)
def test_any_answer_becomes_a_phrase_on_one_line_or_a_status(said: str, reason: str, prompt: object) -> None:
    found = read_answer(Reply(said, finish_reason=reason), prompt)  # type: ignore[arg-type]  # hypothesis mixes the layouts
    assert 1 <= len(found) <= 5
    for candidate in found:
        assert candidate.text is None or (candidate.text.strip() and len(candidate.text.splitlines()) == 1)
