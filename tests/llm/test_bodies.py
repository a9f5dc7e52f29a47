import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.errors import ProviderError
from neurogloss.llm.openai.bodies import MalformedError, answer, body, sound
from neurogloss.llm.request import PaidError, Reply, Request, TokenLogprobs, Usage
from tests.llm.asking import model, question

ECHO = "unknown"
hard = st.text(st.sampled_from("ab \t\n\"'{}\\\x00\x7f\u00e9\u4e2d\ufffd\U0001f600\ud83d"), max_size=12)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | hard,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["choices", "message", "content", "text", "logprobs"]), inner)
    ),
    max_leaves=12,
)


def completion(choice: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}} | more


def echo(prompt: str, start: int = 0) -> Request:
    return question("", messages=(), prompt=prompt, echo=ECHO, echo_from=start, max_tokens=0, top_logprobs=5)


@given(jsons)
def test_any_json_is_an_answer_or_malformed_and_nothing_else(value: Any) -> None:
    for request in (question("x"), question("x", top_logprobs=2), echo("a\tunknown\n")):
        try:
            found = answer(request, value)
        except MalformedError:
            continue
        assert isinstance(found, Reply | ProviderError)


@given(jsons)
def test_any_choice_is_an_answer_or_malformed_and_nothing_else(value: Any) -> None:
    for request in (question("x", top_logprobs=2), echo("a\tunknown\n")):
        try:
            answer(request, {"choices": [value]})
        except MalformedError:
            continue


@given(hard)
def test_what_is_sent_is_the_prompt_but_for_half_characters(prompt: str) -> None:
    for value in (body(question(prompt), model())["messages"][0]["content"], body(echo(f"{prompt}."), model())["prompt"][:-1]):
        assert value.encode().decode() == value
        assert len(value) == len(prompt)
        assert all(sent in (kept, "\ufffd") for sent, kept in zip(value, prompt, strict=True))
        assert "\ud83d" in prompt or value == prompt


@given(st.lists(hard, min_size=1, max_size=5), st.data())
def test_an_echo_is_found_however_the_prompt_is_cut_into_tokens(words: list[str], data: st.DataObject) -> None:
    lines = [f"{word}\t{ECHO}\n" for word in words]
    prompt, skipped = "".join(lines), data.draw(st.integers(0, len(lines) - 1))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(prompt) - 1))))
    tokens = [prompt[start:end] for start, end in zip([0, *cuts], [*cuts, len(prompt)], strict=True)]
    start = len("".join(lines[:skipped]))
    options = [None, *({token: -1.0, f"{number}": -2.0} for number, token in enumerate(tokens, 1))]
    spoken = ["<s>", *tokens, f" {ECHO}"]
    choice = {"text": "", "logprobs": {"tokens": spoken, "top_logprobs": [*options, {}]}}
    found = answer(echo(prompt, start), completion(choice))
    wanted = [place for place in range(start, len(prompt)) if prompt.startswith(ECHO, place)]
    assert isinstance(found, Reply)
    assert len(found.tokens) == len(wanted)
    starts = [0, *cuts]
    for token, place in zip(found.tokens, wanted, strict=True):
        index = max(index for index, begin in enumerate(starts) if begin <= place)
        assert token.token == sound(tokens[index][place - starts[index] :])
        assert token.token in token.alternatives


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {"tokens": ["a", "\t", "unk"], "top_logprobs": [None, {"\t": -1.0}, {"unk": -1.0}]},
        # llama.cpp's own server: the generated token only, in the form of chat.
        {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": []}]},
    ],
)
def test_an_endpoint_that_does_not_echo_gives_a_status(logprobs: Any) -> None:
    found = answer(echo("a\tunknown\n"), completion({"text": "x", "logprobs": logprobs}))
    assert isinstance(found, ProviderError)
    assert found.status == "unparsable"


def test_vllms_prompt_logprobs_are_read_too() -> None:
    entries = [
        None,
        {"5": {"decoded_token": "a", "logprob": -1.0}},
        {"6": {"decoded_token": "\t", "logprob": -0.5, "rank": 1}},
        {"7": {"decoded_token": "unknown", "logprob": -9.0}, "8": {"decoded_token": "3", "logprob": -0.2}},
        {"9": {"decoded_token": "\n", "logprob": -0.1}},
    ]
    found = answer(echo("a\tunknown\n"), completion({"text": "", "prompt_logprobs": entries}))
    assert isinstance(found, Reply)
    assert found.tokens == (TokenLogprobs("unknown", {"unknown": -9.0, "3": -0.2}, -0.2),)


def test_a_token_that_begins_before_the_place_counts_with_what_follows() -> None:
    logprobs = {"tokens": ["a", "\tunknown", "\n"], "top_logprobs": [None, {"\tunknown": -3.0, "\t7": -0.1, " x": -2.0}, {"\n": 0.0}]}
    found = answer(echo("a\tunknown\n"), completion({"text": "", "logprobs": logprobs}))
    assert isinstance(found, Reply)
    assert found.tokens == (TokenLogprobs("unknown", {"unknown": -3.0, "7": -0.1}, -2.0),)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, None, "x"])
def test_a_logprob_that_is_no_number_is_no_alternative(number: Any) -> None:
    logprobs = {"content": [{"token": "5", "logprob": -1.0, "top_logprobs": [{"token": "6", "logprob": number}]}]}
    found = answer(question("x", top_logprobs=2), completion({"message": {"content": "5"}, "logprobs": logprobs}))
    assert isinstance(found, Reply)
    assert found.tokens == (TokenLogprobs("5", {"5": -1.0}),)


def test_completions_give_alternatives_in_either_form() -> None:
    old = {"tokens": ["5"], "top_logprobs": [{"5": -1.0, "6": -2.0}]}
    new = {"content": [{"token": "5", "logprob": -1.0, "top_logprobs": [{"token": "6", "logprob": -2.0}]}]}
    asked = question("", messages=(), prompt="x", top_logprobs=2)
    for logprobs in (old, new):
        found = answer(asked, completion({"text": "5", "finish_reason": "stop", "logprobs": logprobs}))
        assert isinstance(found, Reply)
        assert found.tokens[0].alternatives == {"5": -1.0, "6": -2.0}


def test_an_answer_without_the_log_probabilities_asked_for_was_paid_and_can_be_read() -> None:
    found = answer(question("x", top_logprobs=2), completion({"message": {"content": "5"}}))
    assert found == Reply("5", usage=Usage(9, 0, 2))


def test_an_endpoint_that_did_not_echo_is_paid_all_the_same() -> None:
    found = answer(echo("a\tunknown\n"), completion({"text": "x"}))
    assert isinstance(found, PaidError)
    assert (found.status, found.usage) == ("unparsable", Usage(9, 0, 2))


def test_an_answer_in_parts_is_read_without_its_thoughts() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "words for "},
        {"type": "text", "text": "boats"},
    ]
    found = answer(question("x"), completion({"message": {"content": parts}}))
    assert isinstance(found, Reply)
    assert found.text == "words for boats"


def test_thoughts_that_never_end_are_no_answer() -> None:
    found = answer(question("x"), completion({"message": {"content": "<think>The neuron responds to. Hm"}, "finish_reason": "length"}))
    assert isinstance(found, Reply)
    assert (found.text, found.finish_reason) == ("", "length")


@pytest.mark.parametrize("counts", [None, [], "9", {}, {"prompt_tokens": None}, {"prompt_tokens": -1}, {"prompt_tokens": math.nan}])
def test_an_answer_is_not_thrown_away_for_how_its_tokens_are_counted(counts: Any) -> None:
    found = answer(question("x" * 400), {"choices": [{"message": {"content": "5"}}], "usage": counts})
    assert found == Reply("5", usage=Usage(101, 0, 20))


def test_an_answer_that_was_cut_off_says_so() -> None:
    found = answer(question("x", max_tokens=2), completion({"message": {"content": "5"}, "finish_reason": "length"}))
    assert isinstance(found, Reply)
    assert (found.text, found.finish_reason) == ("5", "length")


def test_what_the_provider_read_from_its_prefix_cache_is_counted() -> None:
    value = completion({"message": {"content": "5"}})
    value["usage"]["prompt_tokens_details"] = {"cached_tokens": 7}
    assert answer(question("x"), value) == Reply("5", usage=Usage(9, 7, 2))
    value["usage"] = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 6}
    assert answer(question("x"), value) == Reply("5", usage=Usage(9, 6, 2))


def test_a_server_that_counts_nothing_is_counted_for() -> None:
    found = answer(question("x" * 400), {"choices": [{"message": {"content": "5"}}]})
    assert isinstance(found, Reply)
    assert found.usage == Usage(101, 0, 20)
