import pytest

from neurogloss.config.endpoints import Price
from neurogloss.errors import UserError
from neurogloss.llm.budget import Budget, current_run
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import open_client
from neurogloss.llm.request import Reply
from neurogloss.llm.tokens import ESTIMATE, TokenCounter
from neurogloss.llm.usage import read_usage, worst_usd
from tests.llm.asking import model, question, questions
from tests.llm.server import Server, in_turn

DEAR = Price(prompt=1000.0, cached_prompt=500.0, completion=1000.0)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setattr("neurogloss.config.environment.answer_timeout_s", lambda: 0.3)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.01)


def test_the_budget_is_never_passed_and_what_was_paid_is_kept(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    worst = worst_usd(ESTIMATE.bound(questions(1)[0]), 20, DEAR)
    monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", str(20 * worst))
    with Server(delay=0.01) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with (
            pytest.raises(UserError, match=r"the budget of \$.* holds: \$.* spent in this run, the next request may cost"),
            open_client("gpt", model(price=DEAR), stage="explain") as client,
        ):
            client.ask(questions(1000), "")
        answered = len(server.calls)
    assert 20 < answered < 1000
    assert len(list(cache.rows())) == answered
    usage = read_usage("explain")
    assert usage is not None
    assert 19 * worst <= usage["cost_usd"] <= 20 * worst


def test_a_budget_of_nothing_asks_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", "0")
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with pytest.raises(UserError, match="the budget of"), open_client("gpt", model()) as client:
            client.ask(questions(3), "")
        assert not server.calls
        with open_client("gpt", model(price=Price(prompt=0.0, cached_prompt=0.0, completion=0.0))) as client:
            assert all(isinstance(answer, Reply) for answer in client.ask(questions(3), ""))
        assert "endpoints.gpt.price is 0, so NEUROGLOSS_BUDGET_USD does not hold" in caplog.text


def test_an_answer_that_got_lost_counts_as_paid(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    worst = worst_usd(ESTIMATE.bound(questions(1)[0]), 20, DEAR)
    monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", str(1.5 * worst))
    with Server(in_turn("hang")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with pytest.raises(UserError, match=f"\\${worst:.4f} spent"), open_client("gpt", model(price=DEAR)) as client:
            client.ask(questions(1), "")
        assert len(server.calls) == 1


def test_stages_of_one_run_share_the_budget(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.change("INSERT INTO spending VALUES (?,?)", (current_run(), 1.0))
    budget = Budget(1.5, cache)
    assert budget.fits(0.5)
    assert not budget.fits(0.51)
    cache.change("UPDATE spending SET run = 'another'")
    assert Budget(1.5, cache).fits(1.5)


@pytest.mark.parametrize("text", ["ten", "-1", "nan", "inf"])
def test_a_budget_that_is_no_amount_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", text)
    with pytest.raises(UserError, match="NEUROGLOSS_BUDGET_USD is .* expected US dollars"), open_client("gpt", model()) as client:
        client.ask(questions(1), "")


def test_the_bound_is_no_less_than_any_byte_level_count() -> None:
    hard = question("\U0001f600\u4e2d\ud83d" * 50)
    bytes_only = TokenCounter(lambda text: len(text.encode(errors="surrogatepass")), True, "bytes")
    assert ESTIMATE.bound(hard) >= bytes_only.prompt(hard)
