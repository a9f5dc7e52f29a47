import random
from collections.abc import Callable

import pytest

from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import Arrived, BatchingProvider, CachedClient, open_client
from neurogloss.llm.openai.driver import Noticed, unnoticed
from neurogloss.llm.request import Answer, Capability, PaidError, Reply, Request, Usage
from neurogloss.llm.scripted import Scripted
from neurogloss.llm.usage import read_usage
from tests.llm.asking import model, question, questions


def client(cache: Cache, scripted: Scripted) -> CachedClient:
    return CachedClient("gpt", model(), cache, lambda: BatchingProvider(scripted, None))


def texts(answers: list[Answer]) -> list[str]:
    return [answer.text if isinstance(answer, Reply) else answer.status for answer in answers]


def test_a_second_run_asks_nothing(cache: Cache) -> None:
    first, second = Scripted("yes"), Scripted("no")
    assert texts(client(cache, first).ask(questions(40), "")) == ["yes"] * 40
    assert texts(client(cache, second).ask(questions(40), "")) == ["yes"] * 40
    assert (len(first.asked), len(second.asked)) == (40, 0)


def test_a_cached_run_opens_no_provider(cache: Cache) -> None:
    client(cache, Scripted("yes")).ask(questions(3), "")

    def refuse() -> BatchingProvider:
        raise AssertionError("opened")

    assert texts(CachedClient("gpt", model(), cache, refuse).ask(questions(3), "")) == ["yes"] * 3


def test_equal_questions_are_asked_once(cache: Cache) -> None:
    scripted = Scripted(lambda request: request.messages[0].content)
    asked = [question("a"), question("b"), question("a"), question("a")]
    assert texts(client(cache, scripted).ask(asked, "")) == ["a", "b", "a", "a"]
    assert len(scripted.asked) == 2


class Shuffled:
    """Answers in an order of its own."""

    def answer_each(self, requests: list[Request], arrived: Arrived, noticed: Noticed = unnoticed) -> None:
        order = list(range(len(requests)))
        random.Random(0).shuffle(order)
        for index in order:
            arrived(index, Reply(requests[index].messages[0].content), 0.0)

    def offers(self, capability: Capability, paid: Callable[[Usage], object]) -> bool:
        return False

    def close(self) -> None: ...


def test_answers_keep_the_order_of_the_questions(cache: Cache) -> None:
    asked = questions(30)
    answers = CachedClient("gpt", model(), cache, Shuffled).ask(asked, "")
    assert texts(answers) == [request.messages[0].content for request in asked]


def test_a_failure_is_asked_again_and_a_refusal_is_not(cache: Cache) -> None:
    scripted = Scripted(ProviderError("unanswered", "timed out"), PaidError("refused", "no", Usage(9, 0, 1)))
    assert texts(client(cache, scripted).ask(questions(2), "")) == ["unanswered", "refused"]
    again = Scripted("now")
    assert texts(client(cache, again).ask(questions(2), "")) == ["now", "refused"]
    assert again.asked == questions(1)


def test_what_arrived_before_the_end_is_kept(cache: Cache) -> None:
    def stop(request: Request) -> str:
        if request.messages[0].content == "question 40":
            raise UserError("the key was refused")
        return "yes"

    with pytest.raises(UserError, match="refused"):
        client(cache, Scripted(stop)).ask(questions(50), "")
    again = Scripted("again")
    assert texts(client(cache, again).ask(questions(50), "")).count("yes") == 32
    assert len(again.asked) == 18


def test_refresh_asks_again_and_keeps_the_new_answer(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    client(cache, Scripted("old")).ask(questions(2), "")
    monkeypatch.setenv("REFRESH", "1")
    assert texts(client(cache, Scripted("new")).ask(questions(2), "")) == ["new"] * 2
    monkeypatch.delenv("REFRESH")
    assert texts(client(cache, Scripted("never")).ask(questions(2), "")) == ["new"] * 2


def test_samples_of_one_question_are_different_questions(cache: Cache) -> None:
    scripted = Scripted("a", "b", "c")
    asked = [question("x", temperature=1.0, sample=sample) for sample in range(3)]
    assert texts(client(cache, scripted).ask(asked, "")) == ["a", "b", "c"]


def test_the_report_says_what_was_paid_and_what_was_saved() -> None:
    scripted = model(provider="scripted", name="three small words")
    with open_client("tiny", scripted, stage="explain") as first:
        first.ask([question("one two"), question("one two"), question("three four")], "")
    usage = read_usage("explain")
    assert usage is not None
    assert (usage["requests"], usage["cached"], usage["failed"]) == (3, 1, {})
    assert usage["paid"] == {"prompt": 4, "cached_prompt": 0, "completion": 6}
    assert usage["cost_usd"] == pytest.approx((4 * 2 + 6 * 8) / 1e6)
    with open_client("tiny", scripted, stage="explain") as second:
        second.ask([question("one two")], "")
    usage = read_usage("explain")
    assert usage is not None
    assert (usage["cached"], usage["cost_usd"]) == (1, 0)
    assert usage["saved_usd"] == pytest.approx((2 * 2 + 3 * 8) / 1e6)


def test_what_a_model_can_do_may_stand_in_the_params(cache: Cache) -> None:
    named = CachedClient("gpt", model(capabilities=["echo"]), cache, Shuffled)
    assert (named.offers("echo"), named.offers("top_logprobs")) == (True, False)
