import email.utils
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.llm.openai.faults import complaint, fault, seconds_of, wait_s
from neurogloss.llm.openai.limiter import backoff_s, spacing_s

texts = st.text(max_size=40)


@given(st.integers(200, 599), st.dictionaries(st.sampled_from(["retry-after", "content-type", "retry-after-ms"]), texts), texts)
def test_any_http_answer_has_a_meaning(status: int, headers: dict[str, str], text: str) -> None:
    found = fault(status, headers, text)
    if found is None:
        assert isinstance(json.loads(text), dict)
    elif found.after_s is not None:
        assert found.after_s >= 0


@given(st.recursive(st.none() | texts | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8))
def test_any_json_error_has_a_message(error: Any) -> None:
    for value in (error, {"error": error}, {"error": {"message": error, "code": error}}):
        assert all(isinstance(part, str) for part in complaint(json.dumps(value)))


@given(st.floats(0, 10**6, allow_nan=False))
def test_seconds_are_read_as_written(seconds: float) -> None:
    found = seconds_of(f"{seconds:.3f}s")
    assert found is not None
    assert found == pytest.approx(seconds, abs=0.001)


@given(texts)
def test_any_header_is_a_wait_or_none(text: str) -> None:
    for found in (seconds_of(text), wait_s({"retry-after": text})):
        assert found is None or found >= 0


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 1m2.5s. Visit", 62.5),
        ("Please retry in 17.30897372s.", 17.308974),
        ("try again in 34ms", 0.034),
        ("Please try again in 2 minutes", 120),
        ("slow down", None),
    ],
)
def test_a_wait_that_stands_in_the_message_only_is_read(message: str, seconds: float | None) -> None:
    found = fault(429, {}, json.dumps({"error": {"message": message}}))
    assert found is not None
    assert (found.what, found.after_s) == ("retry", seconds)


def test_retry_after_may_be_a_date() -> None:
    now = time.time()
    assert wait_s({"retry-after": email.utils.formatdate(now + 30, usegmt=True)}, now) == pytest.approx(30, abs=1)
    assert wait_s({"retry-after": email.utils.formatdate(now - 30, usegmt=True)}, now) == 0


@pytest.mark.parametrize(
    ("status", "text", "what"),
    [
        (400, '{"error": {"message": "x", "code": "context_length_exceeded"}}', "too_long"),
        (400, '{"object": "error", "message": "This model\'s maximum context length is 2048 tokens. However, you requested"}', "too_long"),
        (400, '{"error": {"message": "the request exceeds the available context size, try increasing it"}}', "too_long"),
        (
            400,
            '{"error": {"message": "\'max_tokens\' or \'max_completion_tokens\' is too large. This model\'s maximum context length is"}}',
            "too_long",
        ),
        (413, "", "too_long"),
        (400, '{"error": {"message": "\'max_tokens\' is not supported with this model. Use \'max_completion_tokens\' instead."}}', "again"),
        (
            400,
            '{"error": {"message": "\'temperature\' does not support 0 with this model. Only the default (1) value is supported."}}',
            "again",
        ),
        (400, '{"error": {"message": "\'temperature\' must be at most 2", "code": "invalid_value"}}', "stop"),
        (429, '[{"error": {"code": 429, "message": "You exceeded your current quota, check billing. Please retry in 17.3s."}}]', "retry"),
        (429, '[{"error": {"code": 429, "message": "You exceeded your current quota, check billing."}}]', "stop"),
        (400, '{"error": {"message": "The response was filtered", "code": "content_filter"}}', "refused"),
        (400, '{"error": {"message": "bad"}}', "stop"),
        (402, "", "stop"),
        (429, '{"error": {"message": "x", "type": "insufficient_quota"}}', "stop"),
        (429, '{"error": {"message": "rate limit"}}', "retry"),
        (408, "", "retry"),
        (409, "", "retry"),
        (502, "<html>bad gateway</html>", "retry"),
        (200, "<html>sign in</html>", "stop"),
        (200, '{"error": {"message": "upstream", "code": 502}}', "retry"),
        (200, '{"error": {"message": "bad key", "code": 401}}', "stop"),
        (200, '{"error": {"message": "odd", "code": 999}}', "retry"),
        (200, "[]", "retry"),
        (200, '{"choices": [', "retry"),
    ],
)
def test_what_an_answer_means(status: int, text: str, what: str) -> None:
    found = fault(status, {}, text)
    assert found is not None
    assert found.what == what


@given(st.integers(1, 50), st.none() | st.floats(0, 1000), st.integers(0, 99))
def test_the_wait_is_never_shorter_than_asked_and_bounded(tries: int, asked: float | None, seed: int) -> None:
    wait = backoff_s(tries, asked, random.Random(seed))
    assert wait >= (asked or 0)
    assert wait <= (60 if asked is None else max(1.05 * asked + 0.02, 60 if tries >= 3 else 0))


def test_a_server_that_asks_for_no_wait_again_and_again_is_not_hammered() -> None:
    waits = [backoff_s(tries, 0.0, random.Random(tries)) for tries in range(1, 12)]
    assert max(waits[:2]) < 0.1
    assert sum(waits) > 60


@given(st.dictionaries(st.sampled_from([f"x-ratelimit-{a}-tokens" for a in ("limit", "remaining", "reset")]), texts), st.integers(1, 99))
def test_any_limit_header_is_a_wait(headers: dict[str, str], in_flight: int) -> None:
    assert spacing_s(headers, "tokens", in_flight) >= 0
