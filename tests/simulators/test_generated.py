"""Generated: a right answer gives its levels, any other gives a status; never zeros by default."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.prompts import GeneratedPrompt
from neurogloss.errors import ProviderError
from neurogloss.llm.escape import shown
from neurogloss.llm.request import Message, Reply, Request, TokenLogprobs
from neurogloss.llm.scripted import Scripted
from neurogloss.simulators.asking import Found, ReadTwice
from neurogloss.simulators.generated import answer, opening_of, question, read, schema, simulate
from tests.explainers.test_prompted import PARAMS, model
from tests.hostile import HOSTILE
from tests.snapshots import check, written_out


def prompt_of(name: str) -> GeneratedPrompt:
    found = PARAMS.prompts.simulate[name]
    assert isinstance(found, GeneratedPrompt)
    return found


LINES, JSON = prompt_of("generated"), prompt_of("generated_json")
BOTH = pytest.mark.parametrize("prompt", [LINES, JSON], ids=["lines", "json"])
TOKENS = [shown(piece) for piece in HOSTILE]
LEVELS = [place % 10 for place in range(len(TOKENS))]
pieces = st.lists(st.binary(max_size=5), min_size=1, max_size=6)


def levels(found: Found | None) -> list[int]:
    """The levels as they were written."""
    assert isinstance(found, np.ndarray)
    return [round(level * 0.9) for level in found.tolist()]


@BOTH
def test_the_prompt_is_as_kept_whatever_the_tokens(prompt: GeneratedPrompt) -> None:
    messages = (*opening_of(prompt), Message("user", question('the "word" {x}\nand more.', TOKENS, prompt)))
    check(f"simulate_generated_{prompt.answer}", written_out(Request("x", "y", messages=messages)))


@BOTH
@given(found=pieces, drawn=st.lists(st.integers(0, 9), min_size=6, max_size=6))
def test_a_right_answer_gives_its_levels_whatever_the_tokens(prompt: GeneratedPrompt, found: list[bytes], drawn: list[int]) -> None:
    tokens = [shown(piece) for piece in found]
    said = answer(list(zip(tokens, drawn, strict=False)), prompt)
    assert levels(read(Reply(said), tokens, prompt)) == drawn[: len(tokens)]


@BOTH
def test_a_right_answer_in_other_words_around_it_is_still_right(prompt: GeneratedPrompt) -> None:
    said = "Here you are:\n```\n" + answer(list(zip(TOKENS, LEVELS, strict=True)), prompt) + "\n```\nThe neuron fires rarely."
    assert levels(read(Reply(said), TOKENS, prompt)) == LEVELS


def test_lost_blanks_and_tabs_are_forgiven() -> None:
    assert levels(read(Reply("the\t0\ncat  7\nsat \t 1 "), ["the", " cat", " sat"], LINES)) == [0, 7, 1]
    assert levels(read(Reply("5 3\n7\t2"), ["5", " 7"], LINES)) == [3, 2]


@pytest.mark.parametrize(
    "said",
    ["", "the\t0", "the\t0\ncat\t1\nsat\t2", "the\t0\ndog\t1", "the\t0\ncat\t10", "the\t0\ncat\t-1", "the\t0\ncat\t1.5", "the\t0\ncat",
     "the 0 cat 1", "cat\t1\nthe\t0", "the\t0\nx\t3\ncat\t1", "unknown\tunknown"],
)  # fmt: skip
def test_lines_that_do_not_repeat_the_tokens_with_levels_are_unparsable(said: str) -> None:
    expected = Status.UNPARSABLE if not said.startswith("the\t0\ncat\t1\nsat") else None
    found = read(Reply(said), ["the", " cat"], LINES)
    assert found is expected if expected else levels(found) == [0, 1]


def test_a_model_that_writes_the_character_for_its_escape_is_understood() -> None:
    said = json.dumps({"levels": [{"token": "\t", "level": 1}, {"token": "\\n", "level": 2}, {"token": "\ud83d", "level": 3}]})
    assert levels(read(Reply(said), ["\\t", "\\n", "\\xed\\xa0\\xbd"], JSON)) == [1, 2, 3]


@pytest.mark.parametrize(
    "said",
    ["[]", "{}", "null", '{"levels": 3}', '{"levels": []}', '{"levels": [{"token": "the", "level": 0}]}',
     '{"levels": [{"token": "the", "level": 0}, {"token": " dog", "level": 1}]}',
     '{"levels": [{"token": "the", "level": 0}, {"token": " cat", "level": "1"}]}',
     '{"levels": [{"token": "the", "level": 0}, {"token": " cat", "level": 1.0}]}',
     '{"levels": [{"token": "the", "level": 0}, {"token": " cat", "level": true}]}',
     '{"levels": [{"token": "the", "level": 0}, {"token": " cat", "level": 11}]}',
     '{"levels": [{"token": "the", "level": 0}, {"token": " cat", "level": 1, "level": 2}]}',
     '{"levels": [0, 1]}', '{"levels": [{"token": "the", "level": 0}, {"token": " cat"', "[" * 100000],
)  # fmt: skip
def test_json_that_does_not_repeat_the_tokens_with_levels_is_unparsable(said: str) -> None:
    assert read(Reply(said), ["the", " cat"], JSON) is Status.UNPARSABLE


@BOTH
def test_refused_cut_off_and_unanswered_are_told_apart(prompt: GeneratedPrompt) -> None:
    assert read(Reply("I'm sorry, I can't do that."), ["a"], prompt) is Status.REFUSED
    assert read(Reply("", finish_reason="content_filter"), ["a"], prompt) is Status.REFUSED
    assert read(Reply("a", finish_reason="length"), ["a"], prompt) is Status.CUT_OFF
    assert read(ProviderError("unanswered", "x"), ["a"], prompt) is Status.UNANSWERED


@BOTH
@given(said=st.text() | st.text(alphabet='ab\t\n 019"{}[]:,levtokn'), found=pieces, reason=st.sampled_from(["stop", "length"]))
def test_any_answer_gives_levels_of_the_right_length_or_a_status(
    prompt: GeneratedPrompt, said: str, found: list[bytes], reason: str
) -> None:
    read_levels = read(Reply(said, finish_reason=reason), [shown(piece) for piece in found], prompt)
    if isinstance(read_levels, Status):
        assert read_levels is not Status.OK
    else:
        assert isinstance(read_levels, np.ndarray)
        assert len(read_levels) == len(found)
        assert any(c.isdigit() for c in said)


@BOTH
def test_with_alternatives_the_expected_level_is_read_at_each_level(prompt: GeneratedPrompt) -> None:
    tokens, drawn = ["the", " 7", ' "level": 5'], [0, 3, 9]
    said = answer(list(zip(tokens, drawn, strict=True)), prompt)
    half = {"2": np.log(0.5), "4": np.log(0.5)}
    reply = Reply(said, tokens=tuple(TokenLogprobs(c, half) for c in said))
    found = read(reply, tokens, prompt, True)
    assert isinstance(found, ReadTwice) and found.expected is not None and found.written is not None
    assert found.expected.tolist() == pytest.approx([10 / 3] * 3)
    assert levels(found.written) == drawn == levels(read(reply, tokens, prompt))
    merged = Reply(said, tokens=(TokenLogprobs(said, half),))
    other = Reply(said, tokens=tuple(TokenLogprobs("x", half) for _ in said))
    for incomplete in (merged, other, Reply(said)):
        found = read(incomplete, tokens, prompt, True)
        assert isinstance(found, ReadTwice) and found.expected is None and levels(found.written) == drawn


@BOTH
def test_where_any_answer_lacks_logprobs_all_of_the_neuron_are_read_as_written_and_it_is_counted(
    prompt: GeneratedPrompt, recordings: Recordings
) -> None:
    slots = recordings.slots.where(Split.SCORE)[:2]
    half = {"2": np.log(0.5), "4": np.log(0.5)}

    def reply(row: int, slot: int, whole: bool) -> Reply:
        pieces = [shown(recordings.vocabulary[token]) for token in recordings.tokens(row, slots[slot : slot + 1])[0]]
        said = answer([(piece, 9) for piece in pieces], prompt)
        return Reply(said, tokens=tuple(TokenLogprobs(c, half) for c in said) if whole else ())

    client = Scripted(reply(0, 0, True), reply(0, 1, False), reply(1, 0, True), reply(1, 1, True))
    asking = prompt.model_copy(update={"alternatives": 5})
    found = simulate(recordings, np.array([0, 1]), slots, ["x", "y"], client, asking, model())
    assert (found.status == 0).all() and found.written.tolist() == [True, False]
    assert (found.levels[0] == 10).all()
    np.testing.assert_allclose(found.levels[1].astype(float), 10 / 3, atol=0.01)


def test_an_unreadable_answer_is_asked_for_once_more_and_only_where_that_is_allowed(recordings: Recordings) -> None:
    slots = recordings.slots.where(Split.SCORE)[:1]
    pieces = [recordings.text(token) for token in recordings.tokens(0, slots)[0]]
    good = answer([(piece, 5) for piece in pieces], LINES)

    def run(*lines: str | Reply | ProviderError, tries: int = 2) -> tuple[Status, list[int]]:
        client = Scripted(*lines)
        prompt = LINES.model_copy(update={"tries": tries})
        found = simulate(recordings, np.array([0]), slots, ["x"], client, prompt, model())
        return CODES[found.status[0, 0]], [request.sample for request in client.asked]

    assert run(good) == (Status.OK, [0])
    assert run("nonsense", good) == (Status.OK, [0, 1])
    assert run(Reply("", finish_reason="length"), good) == (Status.CUT_OFF, [0])
    assert run("nonsense", "nonsense", good) == (Status.UNPARSABLE, [0, 1])
    assert run("nonsense", ProviderError("unanswered", "x")) == (Status.UNANSWERED, [0, 1])
    assert run("nonsense", good, tries=1) == (Status.UNPARSABLE, [0])
    assert run("I'm sorry, I can't do that.", good) == (Status.REFUSED, [0])


def test_what_the_endpoint_does_not_offer_is_not_asked_for(recordings: Recordings) -> None:
    prompt = JSON.model_copy(update={"alternatives": 5})
    slots = recordings.slots.where(Split.SCORE)[:1]
    able, unable = Scripted("x"), Scripted("x", capabilities=())
    for client in (able, unable):
        simulate(recordings, np.array([0]), slots, ["x"], client, prompt, model())
    assert (able.asked[0].top_logprobs, json.loads(able.asked[0].json_schema)) == (5, json.loads(schema(9)))
    assert (unable.asked[0].top_logprobs, unable.asked[0].json_schema) == (0, "")
