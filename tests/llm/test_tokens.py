import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.llm.request import Message
from neurogloss.llm.tokens import ESTIMATE, counter, estimate, fitting, openai_counter
from tests.llm.asking import model, question


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_only = tiktoken.Encoding(
        "o200k_base", pat_str=r"[\s\S]", mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={"<s>": 256}
    )
    monkeypatch.setattr("tiktoken.get_encoding", lambda name: bytes_only)


def test_openai_models_are_counted_with_their_own_tables(tables: None) -> None:
    found = counter(model(name="gpt-4o"))
    assert (found.exact, found.described) == (True, "tiktoken o200k_base")
    # A special token in a text is text.
    assert found.count("<s>é") == 5
    assert found.prompt(question("", messages=(Message("system", "ab"), Message("user", "c")))) == 3 + 2 * 4 + 3


@pytest.mark.parametrize("error", [OSError("no way there"), ValueError("half a file")])
def test_without_the_tables_an_estimate_says_that_it_is_one(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr("tiktoken.get_encoding", fail)
    assert openai_counter("gpt-4o") is ESTIMATE
    assert "an estimate" in ESTIMATE.described
    assert not ESTIMATE.exact


def test_a_download_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr("neurogloss.llm.tokens.DOWNLOAD_S", 0.05)
    monkeypatch.setattr("tiktoken.get_encoding", lambda name: time.sleep(1))
    assert openai_counter("gpt-4o") is ESTIMATE


def test_a_model_nobody_knows_is_estimated(tables: None) -> None:
    assert counter(model(name="my-own-model")) is ESTIMATE


@given(st.text(st.characters(codec=None)))
def test_any_text_has_an_estimate_no_greater_than_its_bytes(text: str) -> None:
    assert 0 <= estimate(text) <= len(text.encode(errors="surrogatepass"))
    assert (estimate(text) > 0) == bool(text)


def test_what_a_prompt_holds_does_not_depend_on_tables_that_only_some_machines_have(tables: None) -> None:
    assert counter(model(name="gpt-4o")).exact
    assert fitting(model(name="gpt-4o")) is estimate
