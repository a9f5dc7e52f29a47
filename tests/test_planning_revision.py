"""neurogloss plan counts what rounds of revision ask, and a run of the four methods compares them on the same units."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from neurogloss.artifacts.recordings import Recordings
from neurogloss.cli.planning import plan
from neurogloss.comparison.methods import compare_methods
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.explainers.run import explain
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import BatchingProvider, CachedClient
from neurogloss.llm.request import Client, Request
from neurogloss.llm.scripted import Scripted
from neurogloss.refining.refine import refine_in_rounds
from neurogloss.subject.sentences import Heard, Sentence
from tests.scripted import scripted_params
from tests.tiny import random_recordings

EXPLANATIONS = ("words about river w{}", "the word w{}", "numbers like w{}")


def settings(rounds: int) -> Params:
    return scripted_params(rounds=rounds, sentences=4)


class Run:
    """Clients of a scripted model, which keep what was asked."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.asked: dict[str, int] = {}
        self.number = 0

    def answer(self, request: Request) -> str:
        question = request.messages[-1].content
        self.number += 1
        if "believed to respond" in question:
            return "\n".join(f"{sort}: {sort} w{self.number} w{place}" for sort in ("YES", "NO") for place in range(4))
        if "What excites this neuron?" in question:
            return EXPLANATIONS[self.number % 3].format(self.number)
        return f"1:{1 + self.number % 9}"

    @contextmanager
    def open(self, name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        scripted = Scripted(self.answer, capabilities=())
        yield CachedClient(name, params, self.cache, lambda: BatchingProvider(scripted, []))
        self.asked[stage] = self.asked.get(stage, 0) + len(scripted.asked)


def read(sentences: Sequence[Sentence]) -> list[Heard]:
    return [Heard(tuple(f" {w}".encode() for w in one.text.split()), tuple(float(len(w)) for w in one.text.split())) for one in sentences]


@pytest.fixture
def recordings() -> Recordings:
    return random_recordings()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    opened = Cache(tmp_path / "replies.sqlite")
    yield opened
    opened.close()


def test_the_plan_counts_what_two_rounds_of_revision_ask(recordings: Recordings, cache: Cache) -> None:
    chosen, run = settings(rounds=2), Run(cache)
    planned: dict[str, int] = {}
    for step in plan(recordings, chosen, cache):
        planned[step.stage] = planned.get(step.stage, 0) + step.requests - step.cached
    refine_in_rounds(recordings, explain(recordings, chosen, run.open), chosen, run.open, lambda _: read)
    units = int((~recordings.silent).sum())
    assert planned["explain"] == run.asked["explain"] == units
    assert planned["revise"] == run.asked["revise"] == units * 2 * 2
    assert planned["refine"] == run.asked["refine"] > 0


def test_a_second_run_asks_nothing(recordings: Recordings, cache: Cache) -> None:
    chosen = settings(rounds=1)
    first, second = Run(cache), Run(cache)
    texts = [
        refine_in_rounds(recordings, explain(recordings, chosen, run.open), chosen, run.open, lambda _: read).explanations.texts
        for run in (first, second)
    ]
    assert texts[0] == texts[1] and sum(first.asked.values()) > 0 and not sum(second.asked.values())


def test_the_four_methods_are_compared_on_the_same_units(recordings: Recordings, cache: Cache) -> None:
    chosen, run = settings(rounds=1), Run(cache)
    found = compare_methods(
        recordings,
        explain(recordings, chosen, run.open),
        chosen,
        ("counterexamples", "again", "random_sentences", "corpus"),
        run.open,
        lambda _: read,
    )
    units = int((~recordings.silent).sum())
    assert [one.score.neurons for one in found] == [units] * 4 and len({one.score.reference for one in found}) == 1
    assert found[0].generated.neurons > 0 and not any(one.generated.neurons for one in found[1:])
    for one in found:
        assert one.score.won + one.score.lost <= one.changed or one.changed == 0
    from neurogloss.cli.revisions import figures, table

    assert table(found).row_count == 4 and json.dumps([figures(one) for one in found])
