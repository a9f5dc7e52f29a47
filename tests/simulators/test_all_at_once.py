"""All at once: the exact prompt, the reading of its echo, and the levels of a real forward pass."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.prompts import AllAtOncePrompt
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.escape import shown
from neurogloss.llm.local.provider import Local
from neurogloss.llm.logprobs import least_of
from neurogloss.llm.request import Reply, Request, TokenLogprobs
from neurogloss.llm.scripted import Scripted
from neurogloss.simulators.all_at_once import Coverage, opening_of, question, read, simulate
from neurogloss.simulators.reading import expected_level, possible_error
from neurogloss.simulators.result import OK
from tests.explainers.test_prompted import PARAMS, model
from tests.hostile import HOSTILE, hostile
from tests.snapshots import check

FOUND = PARAMS.prompts.simulate["all_at_once"]
assert isinstance(FOUND, AllAtOncePrompt)
PROMPT = FOUND


def asked(pieces: list[bytes], text: str = "words for boats") -> Request:
    return question(opening_of(PROMPT), text, pieces, PROMPT, model())


def echoed(request: Request, level: str = "3") -> Reply:
    """What an endpoint answers that is sure of a level wherever the text stands."""
    count = request.prompt.count(request.echo, request.echo_from)
    return Reply("", tokens=tuple(TokenLogprobs("unknown", {level: -0.1, "unknown": -3.0}) for _ in range(count)))


@pytest.mark.parametrize("part", [0, 1])
def test_the_prompt_is_as_kept_whatever_the_tokens(part: int) -> None:
    check(f"simulate_all_at_once_{part}", asked(HOSTILE[20 * part : 20 * part + 20], 'the "word" {x}\nand\tmore.').prompt)


def test_each_token_has_a_line_of_its_own_that_ends_in_unknown() -> None:
    request = asked(HOSTILE)
    lines = request.prompt[request.echo_from :].split("\n")
    assert lines == ["<start>", *(f"{shown(piece)}\tunknown" for piece in HOSTILE), "<end>"]


def test_levels_of_the_examples_are_digits_and_unknown_up_to_the_reveal() -> None:
    opening = opening_of(PROMPT)
    levels = [line.split("\t")[1] for line in opening.split("\n") if "\t" in line]
    assert set(levels) <= {"unknown", *"0123456789"}
    assert "boats\tunknown" not in opening
    assert "boats\t9" in opening
    assert " ferry\tunknown" in opening


def test_tokens_that_read_unknown_themselves_do_not_shift_the_levels() -> None:
    pieces = [b"unknown", b" the", b"unknownunknown", b"\tunknown"]
    request = asked(pieces)
    count = request.prompt.count("unknown", request.echo_from)
    assert count == 8
    spots = [TokenLogprobs("unknown", {str(place): 0.0}) for place in range(count)]
    found = read(Reply("", tokens=tuple(spots)), request, PROMPT, len(pieces), Coverage())
    assert not isinstance(found, Status)
    assert found.tolist() == pytest.approx([10 / 9 * place for place in (1, 2, 5, 7)])


def test_levels_are_read_per_token_and_failures_stay_failures(recordings: Recordings) -> None:
    slots = recordings.slots.where(Split.SCORE)
    client = Scripted(echoed, ProviderError("refused", "no"), Reply(""), lambda request: replace(echoed(request, "x")))
    found = simulate(recordings, np.array([0, 1, 2]), slots, ["one", None, "two"], client, PROMPT, model())
    assert found.levels.shape == (3, len(slots), 8)
    assert (found.status[1] == CODES.index(Status.NO_EXPLANATION)).all()
    expected = [Status.OK, Status.REFUSED, Status.UNPARSABLE, Status.UNPARSABLE] * 2
    assert [CODES[code] for code in found.status[[0, 2]].ravel()] == expected[: 2 * len(slots)]
    assert found.levels[0, 0].astype(float).tolist() == pytest.approx([10 / 3] * 8, abs=1e-2)
    assert np.isnan(found.levels[found.status != OK]).all()
    assert len(client.asked) == 2 * len(slots)


def test_one_place_without_a_level_makes_the_excerpt_unparsable_not_a_zero() -> None:
    request = asked([b"a", b"b"])
    spots = (TokenLogprobs("unknown", {"1": 0.0}), TokenLogprobs("unknown", {"unknown": 0.0}))
    assert read(Reply("", tokens=spots), request, PROMPT, 2, Coverage()) is Status.UNPARSABLE
    assert read(Reply("", tokens=spots[:1]), request, PROMPT, 2, Coverage()) is Status.UNPARSABLE


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=5), st.integers(0, 8), st.dictionaries(st.text(max_size=2), st.floats(-9, 0)))
def test_any_echo_gives_levels_of_the_right_length_or_a_status(pieces: list[bytes], count: int, alternatives: dict[str, float]) -> None:
    request = asked(pieces)
    found = read(Reply("", tokens=(TokenLogprobs("x", alternatives),) * count), request, PROMPT, len(pieces), Coverage())
    assert isinstance(found, Status) or (len(found) == len(pieces) and ((found >= 0) & (found <= 10)).all())


@given(st.lists(st.floats(-12, 0), min_size=12, max_size=40), st.integers(1, 20))
def test_what_a_capped_list_leaves_out_moves_a_level_no_further_than_is_said(logits: list[float], listed: int) -> None:
    total = np.logaddexp.reduce(logits)
    texts = [*map(str, range(10)), *(f"word {number}" for number in range(len(logits) - 10))]
    everything = {text: value - total for text, value in zip(texts, logits, strict=True)}
    capped = dict(sorted(everything.items(), key=lambda item: -item[1])[:listed])
    exact, found = expected_level(everything, 9), expected_level(capped, 9)
    least = least_of("unknown", capped)
    assert exact is not None and least is not None
    if found is not None:
        assert abs(found - exact) <= possible_error(capped, least, 9) + 1e-9


def test_levels_that_are_not_listed_are_counted_bounded_and_the_setting_is_named(
    recordings: Recordings, caplog: pytest.LogCaptureFixture
) -> None:
    slots = recordings.slots.where(Split.SCORE)[:2]
    alternatives = iter([{"0": np.log(0.5), "9": np.log(0.3), "x": np.log(0.1)}, {"unknown": -0.1, "x": -3.0}])

    def capped(request: Request) -> Reply:
        count = request.prompt.count(request.echo, request.echo_from)
        return Reply("", tokens=(TokenLogprobs("unknown", next(alternatives)),) * count)

    endpoint = model().model_copy(update={"provider": "openai", "name": "gpt"})
    client = Scripted(capped)
    found = simulate(recordings, np.array([0]), slots, ["x"], client, PROMPT, endpoint)
    assert [CODES[code] for code in found.status[0]] == [Status.OK, Status.UNPARSABLE]
    assert {request.top_logprobs for request in client.asked} == {20}
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("gpt lists 20 alternatives a token: of 16 levels 8 are not among them (unparsable), 8 may be off by 1.")
    assert "raise models.*.logprobs (vLLM: --max-logprobs)" in message


def test_the_number_of_alternatives_is_that_of_the_params(recordings: Recordings) -> None:
    slots = recordings.slots.where(Split.SCORE)[:1]

    def asked_of(**changes: object) -> int:
        client = Scripted(echoed)
        simulate(recordings, np.array([0]), slots, ["x"], client, PROMPT, model().model_copy(update=changes))
        return client.asked[0].top_logprobs

    assert PROMPT.alternatives == 1000
    assert asked_of(provider="local") == 1000
    assert asked_of(provider="openai") == 20
    assert asked_of(provider="openai", logprobs=50) == 50
    assert asked_of(provider="openai", logprobs=5000) == 1000


def test_a_model_that_writes_ten_in_two_tokens_is_refused_where_ten_is_a_level(recordings: Recordings) -> None:
    ten = PROMPT.model_copy(update={"highest": 10})
    slots = recordings.slots.where(Split.SCORE)[:1]
    split = Scripted(Reply("", tokens=(TokenLogprobs("1", {}),)))
    with pytest.raises(UserError, match="highest: 9"):
        simulate(recordings, np.array([0]), slots, ["x"], split, ten, model())
    whole = Scripted(Reply("", tokens=(TokenLogprobs("10", {}),)), lambda request: echoed(request, "10"))
    assert simulate(recordings, np.array([0]), slots, ["x"], whole, ten, model()).levels.max() == 10


def test_the_levels_of_a_local_model_are_those_of_a_forward_pass_over_each_prompt_alone(tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_model).eval(), AutoTokenizer.from_pretrained(tiny_model)
    local = Local(weights, tokenizer, 10**6)
    local.context = 10**6  # The tiny model's positions are computed, not looked up.
    prompt = PROMPT.model_copy(update={"alternatives": 1000})
    hard = hostile()
    slots = hard.slots.where(Split.SCORE)[:2]
    client = Scripted()
    client.answer = local.answer  # type: ignore[method-assign]  # a client that asks the model at once
    found = simulate(hard, np.array([0]), slots, ["words for boats"], client, prompt, model())
    assert (found.status == OK).all()
    digits = [tokenizer.convert_tokens_to_ids(str(level)) for level in range(10)]
    for place, tokens in enumerate(hard.tokens(0, slots)):
        request = question(opening_of(prompt), "words for boats", [hard.vocabulary[t] for t in tokens], prompt, model())
        # Cut at each place by characters: the text up to a tab is what predicts the level after it.
        ends = [i for i in range(request.echo_from, len(request.prompt)) if request.prompt.startswith("\tunknown", i)]
        for token, end in enumerate(ends):
            ids = tokenizer(request.prompt[: end + 1], split_special_tokens=True)["input_ids"]
            with torch.no_grad():
                logits = weights(torch.tensor([ids])).logits[0, -1].double()
            shares = torch.softmax(logits[digits], 0)
            assert float(found.levels[0, place, token]) == pytest.approx(float((shares * torch.arange(10)).sum()) * 10 / 9, abs=1e-2)
