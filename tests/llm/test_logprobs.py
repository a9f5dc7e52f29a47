"""Of an echoed prompt no more is kept than levels need, in memory and on disk, whatever the provider lists."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.llm.cache import Cache, CachedReply
from neurogloss.llm.client import BatchingProvider, CachedClient
from neurogloss.llm.logprobs import LEVELS, least_of, levels_of, levels_only
from neurogloss.llm.openai.bodies import answer
from neurogloss.llm.request import Answer, Reply, Request, TokenLogprobs
from neurogloss.llm.scripted import Scripted
from tests.llm.asking import model, question

TOKENS = 64
ALTERNATIVES = {**{f"word {number}": -9.0 - number / 1000 for number in range(990)}, **dict.fromkeys(LEVELS[:10], -2.3456789)}
logprobs = st.dictionaries(st.sampled_from([*LEVELS, "a", "unknown", " 7", "11"]), st.floats(-90, 0), max_size=9)


def echo(number: int) -> Request:
    return question("", messages=(), prompt=f"{number}" + "\ta\tunknown\n" * TOKENS, echo="unknown", max_tokens=0, top_logprobs=1000)


def whole(request: Request) -> Reply:
    """What a model in this process says: a thousand alternatives for each token."""
    return Reply("", tokens=tuple(TokenLogprobs("unknown", dict(ALTERNATIVES)) for _ in range(TOKENS)))


def opened(cache: Cache, *lines: object) -> CachedClient:
    return CachedClient("m", model(capabilities=["echo"]), cache, lambda: BatchingProvider(Scripted(*lines), ["echo"]))  # type: ignore[arg-type]  # lines of a script


@given(logprobs)
def test_levels_and_a_bound_are_kept_and_a_second_time_changes_nothing(alternatives: dict[str, float]) -> None:
    kept = levels_of(TokenLogprobs("unknown", alternatives))
    assert kept.alternatives == {text: round(alternatives[text], 6) for text in LEVELS if text in alternatives}
    others = [value for text, value in alternatives.items() if text != "unknown"]
    assert kept.least == (round(min(others), 6) if others else None)
    assert levels_of(kept) == kept


def test_answers_that_are_no_echo_keep_all_their_alternatives() -> None:
    reply = Reply("7", tokens=(TokenLogprobs("7", {"7": -0.1, "x": -3.0}),))
    assert levels_only(question("x", top_logprobs=2), reply) is reply


def test_the_token_of_the_prompt_bounds_nothing_and_neither_does_what_a_merged_token_hides() -> None:
    assert least_of("unknown", {"0": -1.0, "x": -4.0, "unknown": -20.0}) == -4.0
    entry = {"tokens": ["a", "\tunknown", "\n"], "top_logprobs": [None, {"\tunknown": -9.0, "\t7": -0.1, " x": -2.0}, {"\n": 0.0}]}
    found = answer(question("", messages=(), prompt="a\tunknown\n", echo="unknown"), {"choices": [{"text": "", "logprobs": entry}]})
    assert isinstance(found, Reply)
    assert found.tokens == (TokenLogprobs("unknown", {"unknown": -9.0, "7": -0.1}, -2.0),)


def test_replies_that_were_kept_whole_and_fresh_ones_give_the_same(cache: Cache) -> None:
    asked = [echo(0)]
    fresh = opened(cache, whole).ask(asked, "")
    cache.keep(asked[0].key, CachedReply("m", whole(asked[0]), 0.0, 0.1), replace=True)
    assert opened(cache, "never").ask(asked, "") == fresh
    assert isinstance(fresh[0], Reply)
    assert fresh[0].tokens[0] == TokenLogprobs("unknown", dict.fromkeys(LEVELS[:10], -2.345679), -9.989)


def grown(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_a_reply_takes_a_fiftieth_of_what_its_provider_lists(cache: Cache, traced: None) -> None:
    count = 64
    requests = [echo(number) for number in range(count)]
    before = tracemalloc.get_traced_memory()[0]
    answers: list[Answer] = opened(cache, whole).ask(requests, "")
    held = (tracemalloc.get_traced_memory()[0] - before) / count
    cache.run("PRAGMA wal_checkpoint(TRUNCATE)")
    assert len(answers) == count
    # 240 neurons with 20 excerpts each: at most 100 MB on disk, and all held at once a third of 1.5 GB.
    assert grown(cache.path) / count < 100e6 / 4800
    assert held < 0.5e9 / 4800
