"""One at a time: a question for each token, which shows nothing of what follows it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.prompts import OneAtATimePrompt
from neurogloss.errors import ProviderError
from neurogloss.llm.request import Reply, TokenLogprobs
from neurogloss.llm.scripted import Scripted
from neurogloss.simulators.asking import ReadTwice
from neurogloss.simulators.one_at_a_time import read, simulate
from tests.explainers.test_prompted import PARAMS, model
from tests.hostile import hostile
from tests.snapshots import check, written_out

FOUND = PARAMS.prompts.simulate["one_at_a_time"]
assert isinstance(FOUND, OneAtATimePrompt)
PROMPT = FOUND


@pytest.mark.parametrize("form", ["completion", "chat"])
def test_the_prompts_are_as_kept_whatever_the_tokens(form: str) -> None:
    hard = hostile()
    client = Scripted("3")
    slots = hard.slots.where(Split.SCORE)[:2]
    prompt = PROMPT.model_copy(update={"form": form})
    simulate(hard, np.array([0]), slots, ['the "word" {x}\nand more.'], client, prompt, model())
    assert len(client.asked) == 40
    check(f"simulate_one_at_a_time_{form}", written_out(client.asked[-1]))
    if form == "completion":
        assert all(request.prompt.endswith("\t") and request.max_tokens == 1 for request in client.asked)
        assert len({request.prompt.split("\n\n")[-1].count("\n") for request in client.asked}) == 1


def test_a_question_shows_nothing_of_what_follows_its_token(recordings: Recordings) -> None:
    client = Scripted("3")
    slots = recordings.slots.where(Split.SCORE)[:1]
    simulate(recordings, np.array([0]), slots, ["x"], client, PROMPT, model())
    text = "".join(recordings.text(token) for token in recordings.tokens(0, slots)[0])
    shown = [request.prompt.split("Text: ")[-1].split("\n")[0] for request in client.asked]
    assert shown[-1] == text
    assert all(text.startswith(one) and len(one) < len(other) for one, other in pairwise(shown))


def test_the_expected_level_is_read_and_one_failure_fails_the_excerpt(recordings: Recordings) -> None:
    slots = recordings.slots.where(Split.SCORE)[:2]
    sure = Reply("", tokens=(TokenLogprobs("3", {"3": -0.1, "x": -1.0}),))
    client = Scripted(*[sure] * 8, *[sure] * 5, ProviderError("refused", "no"), *[sure] * 2)
    found = simulate(recordings, np.array([0]), slots, ["x"], client, PROMPT, model())
    assert [CODES[code] for code in found.status[0]] == [Status.OK, Status.REFUSED]
    assert found.levels[0, 0].astype(float).tolist() == pytest.approx([10 / 3] * 8, abs=1e-2)


def test_without_alternatives_the_level_itself_is_read(recordings: Recordings) -> None:
    client = Scripted("9", capabilities=())
    found = simulate(recordings, np.array([0]), recordings.slots.where(Split.SCORE)[:1], ["x"], client, PROMPT, model())
    assert client.asked[0].top_logprobs == 0
    assert (found.levels == 10).all()


@given(st.text(), st.dictionaries(st.text(max_size=2), st.floats(-9, 0)), st.booleans())
def test_any_answer_is_a_level_or_a_status(text: str, alternatives: dict[str, float], with_tokens: bool) -> None:
    found = read([Reply(text, tokens=(TokenLogprobs(text, alternatives),) if with_tokens else ())], PROMPT, with_tokens)
    if isinstance(found, Status):
        return
    levels = found.expected if isinstance(found, ReadTwice) else found
    assert levels is not None and 0 <= levels[0] <= 10
    if levels[0] == 0:
        assert "0" in (alternatives if with_tokens else text)


def test_where_some_answers_lack_alternatives_all_of_the_neuron_are_read_as_written(recordings: Recordings) -> None:
    slots = recordings.slots.where(Split.SCORE)[:2]
    sure = Reply("9", tokens=(TokenLogprobs("9", {"9": np.log(0.5), "0": np.log(0.5)}),))
    bare = Reply("9")
    client = Scripted(*[sure] * 8, *[sure] * 4, *[bare] * 4, *[sure] * 16)
    found = simulate(recordings, np.array([0, 1]), slots, ["x", "y"], client, PROMPT, model())
    assert (found.status == 0).all() and found.written.tolist() == [True, False]
    assert (found.levels[0] == 10).all() and (found.levels[1] == 5).all()
