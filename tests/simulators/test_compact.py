"""Compact: a well-formed answer gives its levels, any other a status; an answer costs tens of tokens, not hundreds."""

import gzip
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.prompts import CompactPrompt
from neurogloss.errors import ProviderError
from neurogloss.llm.escape import shown
from neurogloss.llm.request import Message, Reply, Request
from neurogloss.llm.scripted import Scripted
from neurogloss.llm.tokens import estimate
from neurogloss.simulators.compact import answer, numbered, opening_of, question, read, simulate
from tests.explainers.test_prompted import PARAMS, model
from tests.hostile import HOSTILE, hostile
from tests.snapshots import check, written_out

FOUND = PARAMS.prompts.simulate["compact"]
assert isinstance(FOUND, CompactPrompt)
ONE = FOUND
THREE = ONE.model_copy(update={"excerpts_per_question": 3})
LENGTH = 64
LABELS = Path(__file__).parents[2] / "benchmarks" / "labels"

levels_of = st.lists(st.integers(0, 10), min_size=1, max_size=80)
whole = st.integers(1, 10)


def found(text: str, tokens: int = LENGTH, reason: str = "stop") -> np.ndarray | Status:
    (one,) = read(Reply(text, finish_reason=reason), [tokens], ONE)
    return one


def several(text: str, count: int = 3, reason: str = "stop") -> list[list[int] | Status]:
    """Of three excerpts of four tokens, unless told otherwise."""
    read_levels = read(Reply(text, finish_reason=reason), [4] * count, THREE)
    return [one if isinstance(one, Status) else one.astype(int).tolist() for one in read_levels]


@pytest.mark.parametrize("prompt", [ONE, THREE], ids=["one", "several"])
def test_the_prompt_is_as_kept_whatever_the_tokens(prompt: CompactPrompt) -> None:
    parts = [HOSTILE] if prompt is ONE else [HOSTILE[:14], HOSTILE[14:28], HOSTILE[28:]]
    messages = (*opening_of(prompt), Message("user", question('the "word" {x}\nand more.', parts, prompt)))
    check(f"simulate_compact_{len(parts)}", written_out(Request("x", "y", messages=messages)))


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=30))
def test_every_token_has_a_line_of_its_own_whose_number_and_bytes_can_be_told(pieces: list[bytes]) -> None:
    lines = numbered(pieces).split("\n")
    assert len(lines) == len(pieces)
    for number, (line, piece) in enumerate(zip(lines, pieces, strict=True), 1):
        read_number, sign, rest = re.fullmatch(r"(\d+)([ +])(.*)", line).groups()  # type: ignore[union-attr]  # fails the test
        assert int(read_number) == number
        assert (" " if sign == " " else "") + rest == shown(piece)


@given(levels_of)
def test_a_right_answer_gives_its_levels(levels: list[int]) -> None:
    read_levels = found(answer([levels], ONE), len(levels))
    assert not isinstance(read_levels, Status)
    assert read_levels.tolist() == levels


@given(st.lists(levels_of, min_size=1, max_size=5))
def test_a_right_answer_for_several_excerpts_gives_the_levels_of_each(levels: list[list[int]]) -> None:
    read_levels = read(Reply(answer(levels, THREE)), [len(one) for one in levels], THREE)
    assert [one if isinstance(one, Status) else one.tolist() for one in read_levels] == levels


@given(
    st.dictionaries(st.integers(1, LENGTH), whole, min_size=1),
    st.randoms(use_true_random=False),
    st.sampled_from([" ", ", ", "\n", "; ", ","]),
    st.sampled_from([":", ": "]),
)
def test_order_and_separators_do_not_matter(levels: dict[int, int], random: Random, between: str, colon: str) -> None:
    entries = list(levels.items())
    random.shuffle(entries)
    read_levels = found(between.join(f"{number}{colon}{level}" for number, level in entries))
    assert not isinstance(read_levels, Status)
    assert {n: int(level) for n, level in enumerate(read_levels.tolist(), 1) if level} == levels


@pytest.mark.parametrize("text", ["none", "None.", " NONE\n", "```\nnone\n```"])
def test_none_is_all_zero(text: str) -> None:
    read_levels = found(text, 3)
    assert not isinstance(read_levels, Status)
    assert read_levels.tolist() == [0, 0, 0]


MALFORMED = (
    "", "  ", "0", "17", "17:", ":4", "17:4 23", "17:4 23:", "17-19:4", "17\u201319:4", "17,18:4", "17:4-6", "17:4.5", "17.0:4",
    "17:0", "17:11", "17:-4", "-17:4", "0:4", "65:4", "1000000000000000000000:4", "17:4 17:4", "17:4 17:5", "17:four",
    "seventeen:4", "17 4", "17=4", "17:4|23:9", "017:4", "17:04", "17:1e1", "17:4/10", "17:4%", "+17:4", "٣:4", "3:٤", "³:4",
    "17:4 none", "none 17:4", "none none", "nothing", "n/a", "all 0", "The levels are 17:4 23:9", "17:4 23:9 and nothing else",
    "Token 17:4", " ferry:4", '{"17": 4}', "17:4:9", "1) 17:4", "17:4 ... 23:9",
)  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_an_answer_in_another_form_is_unparsable(text: str) -> None:
    assert found(text) is Status.UNPARSABLE


GOOD = re.compile(r"(none\.?|[1-9]\d*: ?([1-9]|10)([\s,;]+[1-9]\d*: ?([1-9]|10))*)", re.IGNORECASE | re.ASCII)


def spoilt(entries: list[tuple[int, int]], place: int, how: Callable[[int, int], str]) -> str:
    parts = [f"{number}:{level}" for number, level in entries]
    parts[place % len(parts)] = how(*entries[place % len(parts)])
    return " ".join(parts)


SPOILS: Sequence[Callable[[int, int], str]] = (
    lambda number, level: f"{number + LENGTH}:{level}", lambda number, level: f"0:{level}", lambda number, level: f"{number}:0",
    lambda number, level: f"{number}:{level + 10}", lambda number, level: f"{number}:{level}.5",
    lambda number, level: f"{number}.5:{level}", lambda number, level: f"{number}-{number + 2}:{level}",
    lambda number, level: f"{number}:{level} {number}:{level}",
    lambda number, level: f"{number}", lambda number, level: f"{number}:", lambda number, level: f":{level}",
    lambda number, level: f"{number}:-{level}", lambda number, level: f"{number}:high", lambda number, level: f"boat:{level}",
    lambda number, level: f"{number}:0{level}", lambda number, level: f"{number}:{level}x", lambda number, level: "...",
)  # fmt: skip


@given(st.dictionaries(st.integers(1, LENGTH), whole, min_size=1), st.integers(0, 99), st.sampled_from(SPOILS))
def test_one_entry_in_another_form_makes_the_excerpt_unparsable(levels: dict[int, int], place: int, how: Callable[[int, int], str]) -> None:
    assert found(spoilt(list(levels.items()), place, how)) is Status.UNPARSABLE


@given(st.text() | st.text(alphabet="0123456789:- ,.;none\n)"), st.sampled_from(["stop", "length"]), st.sampled_from([ONE, THREE]))
def test_any_answer_gives_levels_of_the_right_length_or_a_status(text: str, reason: str, prompt: CompactPrompt) -> None:
    for one in read(Reply(text, finish_reason=reason), [5] * prompt.excerpts_per_question, prompt):
        if isinstance(one, Status):
            assert one is not Status.OK
        else:
            assert one.shape == (5,) and ((one >= 0) & (one <= 10) & (one == one.astype(int))).all()
            assert prompt is THREE or (reason == "stop" and GOOD.fullmatch(text.replace("```", "").strip()))


def test_refused_cut_off_and_unanswered_are_told_apart() -> None:
    assert found("I'm sorry, I can't do that.") is Status.REFUSED
    assert found("", reason="content_filter") is Status.REFUSED
    assert found("17:4 2", reason="length") is Status.CUT_OFF
    assert found("17:4", reason="length") is Status.CUT_OFF, "more may have been to come"
    assert read(ProviderError("unanswered", "x"), [4, 4], THREE) == [Status.UNANSWERED] * 2


def test_of_several_excerpts_each_keeps_its_own_status() -> None:
    assert several("1) 2:4\n2) none\n3) 1:9 4:1") == [[0, 4, 0, 0], [0, 0, 0, 0], [9, 0, 0, 1]]
    assert several("3) none\n1) 2:4\n\n2) 3:1") == [[0, 4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert several("1) 2:4\n2) 5:1\n3) none") == [[0, 4, 0, 0], Status.UNPARSABLE, [0, 0, 0, 0]]
    assert several("1) 2:4\n3) 2-3:1") == [[0, 4, 0, 0], Status.UNPARSABLE, Status.UNPARSABLE]
    assert several("1) 2:4\n1) none\n2) none\n3) none") == [Status.UNPARSABLE, [0, 0, 0, 0], [0, 0, 0, 0]]
    assert several("1) 2:4\n2) 1:1 2:", reason="length") == [[0, 4, 0, 0], Status.CUT_OFF, Status.CUT_OFF]


@pytest.mark.parametrize("text", ["2:4", "1) 2:4\nand so on\n2) none\n3) none", "1) none\n2) none\n3) none\n4) none", "", "0) none"])
def test_a_line_that_belongs_to_no_excerpt_leaves_all_in_doubt(text: str) -> None:
    assert several(text) == [Status.UNPARSABLE] * 3
    assert several("I'm sorry, but I cannot help.") == [Status.REFUSED] * 3


def test_a_second_try_counts_for_the_excerpts_that_the_first_one_failed(recordings: Recordings) -> None:
    slots = recordings.slots.where(Split.SCORE)[:4]

    def run(*lines: str | Reply | ProviderError, tries: int = 2, together: int = 3) -> tuple[list[str], list[int]]:
        client = Scripted(*lines)
        prompt = ONE.model_copy(update={"tries": tries, "excerpts_per_question": together})
        result = simulate(recordings, np.array([0]), slots, ["x"], client, prompt, model())
        strongest = [
            str(CODES[code]) if code else f"{levels.max():.0f}" for code, levels in zip(result.status[0], result.levels[0], strict=True)
        ]
        return strongest, [request.sample for request in client.asked]

    assert len(slots) == 4, "so that the second question holds one excerpt"
    assert run("1) 1:7\n2) none\n3) 1:3", "1) 1:4") == (["7", "0", "3", "4"], [0, 0])
    assert run("1) 1:7\n2) 1:x\n3) 1:3", "1) 1:4", "1) 1:1\n2) 1:2\n3) 1:3") == (["7", "2", "3", "4"], [0, 0, 1])
    assert run("1) 1:7\n2) 1:x\n3) 1:3", "1) 1:4", tries=1) == (["7", "unparsable", "3", "4"], [0, 0])
    assert run("nonsense", "none", "none", "none", "1:2", together=1) == (["2", "0", "0", "0"], [0, 0, 0, 0, 1])
    assert run("I'm sorry, I can't.", together=1)[1] == [0, 0, 0, 0]


def test_neurons_without_an_explanation_are_not_asked_about_and_failures_are_no_zeros(recordings: Recordings) -> None:
    slots = recordings.slots.where(Split.SCORE)
    client = Scripted("1:5", ProviderError("refused", "no"))
    result = simulate(recordings, np.array([0, 1]), slots, [None, "x"], client, ONE, model())
    assert {CODES[code] for code in result.status[0]} == {Status.NO_EXPLANATION}
    assert {CODES[code] for code in result.status[1]} == {Status.OK, Status.REFUSED}
    assert np.isnan(result.levels[result.status != CODES.index(Status.OK)]).all()


def test_what_all_questions_share_comes_first_then_the_explanation_then_the_excerpt() -> None:
    hard = hostile()
    slots = hard.slots.where(Split.SCORE)[:2]
    client = Scripted("none")
    simulate(hard, np.array([0, 1]), slots, ["one thing", "another"], client, ONE, model())
    assert len({request.messages[:-1] for request in client.asked}) == 1
    assert [request.messages[-1].content.split("\n\n")[0] for request in client.asked] == ["Neuron: one thing"] * 2 + [
        "Neuron: another"
    ] * 2


def tokens_of(text: str) -> int:
    """The estimate of the client, with up to three digits as one token: 3 % above o200k_base and cl100k_base on these prompts."""
    return estimate(re.sub(r"\d{1,3}", "7", text))


def test_a_simulation_of_64_tokens_costs_at_most_900_tokens_in_600_of_them_shared_and_60_out() -> None:
    with gzip.open(LABELS / "sentences.jsonl.gz", "rt", encoding="utf-8") as file:
        units = [json.loads(line) for line in file][::4]
    shared = sum(tokens_of(message.content) for message in opening_of(ONE))
    asked, said = [], []
    for unit in units:
        for one in unit["excerpts"]:
            assert len(one["tokens"]) == LENGTH
            asked.append(tokens_of(question(unit["explanation"], [[token.encode() for token in one["tokens"]]], ONE)))
            said.append(tokens_of(answer([one["levels"]], ONE)))
    assert 600 <= shared <= 640
    assert shared + np.mean(asked) <= 900
    assert np.mean(said) <= 15
    assert "at most 12 tokens" in ONE.system
    assert tokens_of(" ".join(f"{number}:10" for number in range(53, 65))) <= 60
