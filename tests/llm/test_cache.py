import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache, CachedReply, from_row, to_row, worth_keeping
from neurogloss.llm.request import Answer, PaidError, Reply, TokenLogprobs, Usage
from tests.llm.asking import questions

counts = st.integers(0, 10**6)
texts = st.text(st.characters(codec=None), max_size=30)
usages = st.builds(Usage, counts, counts, counts)
tokens = st.builds(TokenLogprobs, texts, st.dictionaries(texts, st.floats(-100, 0), max_size=3))
replies = st.builds(Reply, texts, st.sampled_from(["stop", "length"]), st.lists(tokens, max_size=3).map(tuple), usages)


def kept(text: str = "an answer", usd: float = 0.25) -> CachedReply:
    return CachedReply("gpt", Reply(text, usage=Usage(10, 4, 2)), usd, 0.5)


@given(replies)
def test_a_reply_is_read_back_as_it_was_whatever_its_tokens_hold(reply: Reply) -> None:
    assert from_row(list(to_row(CachedReply("gpt", reply, 0.1, 0.2)))) == CachedReply("gpt", reply, 0.1, 0.2)


def test_half_a_character_can_be_kept(cache: Cache) -> None:
    reply = Reply("\udc80\t\n", tokens=(TokenLogprobs("\ud800", {"\x00": -1.0}),))
    cache.keep("k", CachedReply("gpt", reply, 0, 0))
    assert cache.find(["k"])["k"].answer == reply


def test_a_refusal_is_kept_with_its_status_and_its_price(cache: Cache) -> None:
    cache.keep("k", CachedReply("gpt", PaidError("refused", "no", Usage(5, 0, 1), "I would rather not"), 0.1, 1.0))
    found = cache.find(["k"])["k"].answer
    assert isinstance(found, PaidError)
    assert (found.status, str(found), found.usage, found.text) == ("refused", "no", Usage(5, 0, 1), "I would rather not")


@pytest.mark.parametrize(
    ("answer", "worth"),
    [(Reply("x"), True), (PaidError("cut_off", "x", Usage()), True), (ProviderError("unanswered", "x"), False)],
)
def test_only_what_was_paid_for_is_kept(answer: Answer, worth: bool) -> None:
    assert worth_keeping(answer) is worth


def test_the_first_answer_stays(cache: Cache) -> None:
    assert cache.keep("k", kept("first"))
    assert not cache.keep("k", kept("second"))
    assert cache.find(["k"])["k"] == kept("first")
    assert cache.keep("k", kept("third"), replace=True)
    assert cache.find(["k"])["k"] == kept("third")


def test_an_answer_is_on_disk_before_the_next_line_runs(cache: Cache) -> None:
    cache.keep("k", kept())
    assert Cache(cache.path).find(["k"]) == {"k": kept()}


def test_ten_thousand_answers_are_found_at_once(cache: Cache) -> None:
    asked = questions(10_000)
    with cache.lock:
        cache.connection.execute("BEGIN")
        for request in asked:
            cache.connection.execute("INSERT INTO replies VALUES (?,?,?,?,?,?,?,?,?)", (request.key, *to_row(kept())))
        cache.connection.execute("COMMIT")
    assert len(cache.find([request.key for request in asked])) == 10_000


def write_some(path: Path, start: int) -> None:
    cache = Cache(path)
    for number in range(start, start + 50):
        cache.keep(f"k{number}", kept())


def test_two_processes_write_at_once(cache: Cache) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_some, args=(cache.path, start)) for start in (0, 25)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(list(cache.rows())) == 75


def test_a_damaged_file_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "llm.sqlite"
    path.write_bytes(b"this is no database, it is a poem" * 100)
    with pytest.raises(UserError, match=r"llm\.sqlite is damaged .*; move it away"):
        Cache(path)


def test_a_file_of_another_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "llm.sqlite"
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(UserError, match="has version 99, expected 1"):
        Cache(path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="cannot use"):
        Cache(tmp_path / "file" / "llm.sqlite")
