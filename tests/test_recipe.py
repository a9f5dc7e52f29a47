"""README's recipe for a strong model, at a loopback endpoint that writes and reads as the labels say: sentences come out above phrases."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Explanation, Explanations, explanations
from neurogloss.artifacts.recordings import Kind, Recordings, Slots, Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.params import Params, load_params
from neurogloss.config.prompts import CompactPrompt, PiecesPrompt
from neurogloss.explainers.prompted import requests_for
from neurogloss.explainers.run import explain
from neurogloss.llm.tokens import fitting
from neurogloss.refining.refine import refine
from neurogloss.scorers.run import score
from neurogloss.simulators.compact import answer, question
from neurogloss.simulators.run import simulate
from tests.llm.server import Call, Play, Server, chat
from tests.tiny import random_recordings

ROOT = Path(__file__).parents[1]
UNITS, EXCERPTS, TOKENS = 24, 8, 64
SLOTS = Slots(
    (Kind.TOP,) * 5 + (Kind.RANDOM,) * 3,
    (Split.EXPLAIN, Split.CALIBRATE, Split.SCORE, Split.SCORE, Split.SCORE, Split.CALIBRATE, Split.SCORE, Split.SCORE),
)
Labels = list[dict[str, Any]]


def labels(name: str) -> dict[str, dict[str, Any]]:
    with gzip.open(ROOT / "benchmarks" / "labels" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return {unit["neuron"]: unit for unit in map(json.loads, file)}


def recorded(units: Labels) -> Recordings:
    """The units as neurons of one layer; of the eight excerpts of each the first is shown to the explainer, the others are held out."""
    texts = sorted({token for unit in units for excerpt in unit["excerpts"] for token in excerpt["tokens"]})
    number = {text: place for place, text in enumerate(texts)}
    corpus = [[number[token] for token in excerpt["tokens"]] for unit in units for excerpt in unit["excerpts"]]
    activations = np.array([[excerpt["activations"] for excerpt in unit["excerpts"]] for unit in units], np.float16)
    made = random_recordings(layers=1, per_layer=len(units), tokens=TOKENS)
    return replace(
        made,
        peaks=activations[:, 0].max(axis=1).astype(np.float64),
        slots=SLOTS,
        corpus=np.array(corpus, np.int32),
        documents=made.documents.slice(0, 0),
        vocabulary=[text.encode("utf-8", errors="surrogatepass") for text in texts],
        excerpts=np.arange(len(units) * EXCERPTS, dtype=np.int32).reshape(len(units), EXCERPTS),
        activations=activations,
    )


def recipe(**simulate_by: str) -> Params:
    """What `-S explain.method=pieces -S explain.model=openai` makes of params.yaml."""
    params = load_params(ROOT / "params.yaml")
    changed = {"explain": params.explain.model_copy(update={"method": "pieces", "model": "openai"})}
    return params.model_copy(update=changed | {"simulate": params.simulate.model_copy(update=simulate_by)})


class Reader:
    """Says of each question what the labels say: the sentence of the neuron whose pieces are shown, or the levels of an excerpt."""

    def __init__(self, recordings: Recordings, sentences: Labels, phrases: Labels, params: Params) -> None:
        pieces, compact = params.prompts.explain["pieces"], params.prompts.simulate["compact"]
        assert isinstance(pieces, PiecesPrompt) and isinstance(compact, CompactPrompt)
        model = params.model("openai", "explain.model")
        asked = requests_for(recordings, np.arange(len(recordings)), pieces, params.explain, model, fitting(model))
        self.known = {one.messages[-1].content: unit["explanation"] for (one,), unit in zip(asked, sentences, strict=True)}
        for unit in (*sentences, *phrases):
            for excerpt in unit["excerpts"]:
                tokens = [token.encode("utf-8", errors="surrogatepass") for token in excerpt["tokens"]]
                self.known[question(unit["explanation"], [tokens], compact)] = answer([excerpt["levels"]], compact)
        self.sentences = len(asked)

    def __call__(self, number: int, call: Call) -> Play:
        # A sentence that is tried on another neuron's excerpts, for the control, has no label.
        return Play(body=chat(self.known.get(call.body["messages"][-1]["content"], "none"), call.body))


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for variable in ("REFRESH", "BATCH", "NEUROGLOSS_BUDGET_USD", "NEUROGLOSS_CONCURRENCY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    yield monkeypatch


def phrased(phrases: Labels) -> Explanations:
    kept = [Candidate(unit["explanation"], Status.OK) for unit in phrases]
    return explanations([Explanation(0, 3 * row, one, (one,)) for row, one in enumerate(kept)])


def test_sentences_of_a_strong_model_come_out_above_phrases(endpoint: pytest.MonkeyPatch) -> None:
    every, some = labels("sentences"), list(labels("phrases").values())[:UNITS]
    sentences, params = [every[unit["neuron"]] for unit in some], recipe()
    recordings = recorded(sentences)
    reader = Reader(recordings, sentences, some, params)
    with Server(reader) as server:
        endpoint.setenv("OPENAI_BASE_URL", server.url)
        found = refine(recordings, explain(recordings, params), params)
        assert found.texts == [unit["explanation"] for unit in sentences]
        assert len(server.calls) == reader.sentences == UNITS
        own = simulate(recordings, found, params)
        assert len(server.calls) == UNITS * (1 + 7 + 5), "one explanation, seven simulations, five excerpts with a borrowed sentence"
        phrases = simulate(recordings, phrased(some), recipe(method="compact", model="openai"))
    assert own.method == phrases.method == "compact"
    assert (own.status == CODES.index(Status.OK)).all() and (phrases.status == CODES.index(Status.OK)).all()
    for slot, place in enumerate(own.slots.tolist()):
        assert own.levels[0, slot].tolist() == sentences[0]["excerpts"][place]["levels"]
    above, below = (
        np.mean(mean_scores(recordings, texts, simulated, params)) for texts, simulated in ((found, own), (phrased(some), phrases))
    )
    assert above > 0.25
    assert above > below + 0.1


def mean_scores(recordings: Recordings, texts: Explanations, simulated: Any, params: Params) -> list[float]:
    """Scores of the neurons; one whose simulation is zero throughout predicts nothing and counts as 0."""
    table = score(recordings, texts, simulated, params)
    return [0.0 if value is None else float(value) for value in table["top_and_random"].to_pylist()]
