"""A server that gives each token the log-probabilities of its neighbour is refused, and no other."""

import json
import math
import random
from typing import Any

import pytest

from neurogloss.errors import UserError
from neurogloss.llm.client import open_client
from neurogloss.llm.openai.alignment import MisalignedError, check_alignment
from neurogloss.llm.request import Reply
from tests.llm.asking import model, question
from tests.llm.server import Call, Play, Server, pieces

Positions = list[tuple[str, dict[str, float]]]


def reading(tokens: list[str], skill: float, listed: int, rng: random.Random, ahead: int = 0) -> Positions:
    """A model that expects each token as likely as its skill, beside others, as an endpoint lists it: its own token always."""
    found: Positions = []
    for place in range(len(tokens)):
        at = place + ahead
        likely = {tokens[at]: math.log(skill * rng.uniform(0.2, 1.0))} if 0 <= at < len(tokens) else {}
        others = {f"other{number}": math.log(0.2 / (number + 1)) for number in range(listed - 1)}
        own = {} if tokens[place] in likely else {tokens[place]: -rng.uniform(6, 14)}
        found.append((tokens[place], likely | others | own if place else {}))
    return found


@pytest.mark.parametrize("listed", [2, 5, 20])
@pytest.mark.parametrize("skill", [0.3, 0.9])
@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_only_a_shifted_server_is_refused(ahead: int, skill: float, listed: int) -> None:
    rng = random.Random(0)
    for length in (12, 40, 400):
        tokens = [f"t{rng.randrange(50)}" for _ in range(length)]
        found = reading(tokens, skill, listed, rng, ahead)
        if ahead:
            with pytest.raises(MisalignedError, match="one token too (early|late)"):
                check_alignment(found)
        else:
            check_alignment(found)


def test_a_model_that_expects_nothing_is_not_refused() -> None:
    rng = random.Random(0)
    for _ in range(200):
        words = [f"t{number}" for number in range(30)]
        tokens = rng.choices(words, k=60)
        check_alignment([(token, {word: rng.gauss(-4, 1) for word in [*rng.sample(words, 10), token]}) for token in tokens])


def shifted(call: Call) -> str:
    """What llama-cpp-python 0.3 answers for a model without BOS."""
    body: dict[str, Any] = call.body
    tokens = [*pieces(body["prompt"]), "!"]
    choices = [{after: -0.1, "0": -3.0, token: -11.0} for token, after in zip(tokens, [*tokens[1:], "x"], strict=True)]
    logprobs = {"tokens": tokens, "top_logprobs": choices}
    choice = {"index": 0, "text": body["prompt"] + "!", "finish_reason": "length", "logprobs": logprobs}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": len(tokens), "completion_tokens": 1}})


@pytest.mark.parametrize("capabilities", [None, ["echo"]])
def test_a_shifted_server_ends_the_stage_in_one_line_after_one_request(
    capabilities: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "".join(f"word{number % 3}\tunknown\n" for number in range(9))
    asked = [question("", messages=(), prompt=prompt + str(number), echo="unknown", max_tokens=0, top_logprobs=3) for number in range(9)]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    with Server(lambda number, call: Play(200, shifted(call))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with (
            pytest.raises(UserError, match="stand one token too early") as raised,
            open_client("gpt", model(capabilities=capabilities)) as client,
        ):
            client.ask(asked, "")
        assert len(server.calls) == 1
    assert "\n" not in str(raised.value)


def test_a_server_in_order_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = question("", messages=(), prompt=9 * "word\tunknown\n", echo="unknown", max_tokens=0, top_logprobs=3)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            (answer,) = client.ask([asked], "")
    assert isinstance(answer, Reply)
