"""Questions as a file, for a cluster without network, a colleague's key or a person: what the current params ask and nobody answered yet.

The form is the input of OpenAI's batch API, which other services and `vllm run-batch` read, too:

    {"custom_id": sha256 of the request, "method": "POST", "url": "/v1/chat/completions", "body": {...}}

A stage's questions depend on the answers that the stage before got: refine has some once every explanation is there, simulate once the
explanations are chosen. So the questions come in rounds, one stage at a time.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurogloss.artifacts.files import written
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.config.prompts import ExplainPrompt, SimulatePrompt
from neurogloss.errors import UserError
from neurogloss.exchange.written import WrittenQuestion, remember
from neurogloss.explainers.run import check_failures, explain
from neurogloss.llm.cache import Cache
from neurogloss.llm.cache_only import CacheOnlyClient
from neurogloss.llm.openai.bodies import body
from neurogloss.llm.openai.capabilities import IMPORTED, KnownCapabilities
from neurogloss.llm.openai.endpoint import endpoint
from neurogloss.llm.request import Answer, Capability, Client, Request, failure
from neurogloss.refining.refine import refine
from neurogloss.scorers.asked import ask_scorers, first_lenders
from neurogloss.simulators.borrowing import draw_lenders
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.simulators.run import check_failures as check_simulations
from neurogloss.simulators.run import drawn, scorable, simulate

STAGES = ("explain", "refine", "simulate", "score")


@dataclass
class Round:
    """What one step asks of one model."""

    step: str
    """A stage, or revise, which is a part of refine."""
    model: str
    """Name under `models`."""
    params: ModelParams
    unanswered: dict[str, Request] = field(default_factory=dict)
    """By their keys, in the order in which the stage asks."""
    answered: set[str] = field(default_factory=set)
    """Keys of the questions whose answers are in the cache."""

    @property
    def stage(self) -> str:
        """Whose questions these are."""
        return self.step if self.step in STAGES else "refine"

    def collect(self, request: Request, title: str) -> Answer:
        """Note a question that is not answered; a failure stands for the answer."""
        self.unanswered[request.key] = request
        return failure(Status.UNANSWERED, "not asked yet")

    def undecided(self, capability: Capability) -> bool:
        """UserError, because it decides what is asked."""
        raise UserError(
            f"whether {self.model} offers {capability} decides what {self.step} asks, and is not known; set "
            f"endpoints.{self.model}.capabilities to what it offers of [echo, top_logprobs, json_schema], or to []"
        )


class Collector:
    """Opens clients that collect questions, as `open_client` opens real ones."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.rounds: list[Round] = []

    @contextmanager
    def open(self, name: str, model: ModelParams, stage: str = "") -> Iterator[Client]:
        """A client for one stage."""
        found = Round(stage, name, model)
        self.rounds.append(found)
        yield CacheOnlyClient(self.cache, model, lambda request, kept: found.answered.add(request.key), found.collect, found.undecided)

    def open_round(self) -> Round | None:
        """The round that lacks answers, if one does; UserError where a model in this process is to give them."""
        found = next((one for one in self.rounds if one.unanswered), None)
        if found is not None and not found.params.remote:
            raise UserError(
                f"{found.step} asks {found.model}, which answers in this process; run `dvc repro {found.stage}`, "
                "then write the questions again"
            )
        return found


def next_round(recordings: Recordings, params: Params, cache: Cache) -> Round | None:
    """The questions of the first stage that lacks answers; None where every stage has its own. Stages that ask nobody are computed.

    Raises UserError where more of a stage's answers failed than `limits.max_failed_share` allows: the next stage would never be reached.
    """
    collector, allowed = Collector(cache), params.limits.max_failed_share
    # What is not answered yet counts as a failure in a stage, not here.
    lenient = params.model_copy(update={"limits": params.limits.model_copy(update={"max_failed_share": 1.0})})
    candidates = explain(recordings, lenient, collector.open)
    if found := collector.open_round():
        return found
    if isinstance(params.prompts.explain[params.explain.method], ExplainPrompt):
        check_failures(candidates.rows, allowed)
    explanations = refine(recordings, candidates, lenient, collector.open)
    if found := collector.open_round():
        return found
    if isinstance(chosen_simulator(params).prompt, SimulatePrompt):
        simulations = simulate(recordings, explanations, lenient, collector.open)
        if found := collector.open_round():
            return found
        check_simulations(simulations, explanations, allowed)
    borrowers, lenders = draw_lenders(recordings.layers, explanations.texts, scorable(recordings, explanations), *drawn(params))
    ask_scorers(recordings, explanations.texts, first_lenders(borrowers, lenders, len(recordings)), params, collector.open)
    return collector.open_round()


def write_questions(path: Path, found: Round | None, cache: Cache) -> int:
    """Write a round, one line for each question, and remember it; the number of lines. Without a round the file is empty."""
    requests = list(found.unanswered.values()) if found is not None else []
    with written(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        if found is not None:
            base_url = address(found.params)
            forms = KnownCapabilities(cache, base_url, found.params.name).forms()
            for request in requests:
                file.write(json.dumps(line(request, found.params.name, body(request, found.params, forms))) + "\n")
            questions = [
                WrittenQuestion(request.key, found.model, found.params.name, base_url, path.name, number, request)
                for number, request in enumerate(requests, 1)
            ]
            remember(cache, questions)
    return len(requests)


def line(request: Request, model: str, content: dict[str, Any]) -> dict[str, Any]:
    """One question as OpenAI's batch API reads it."""
    url = "/v1/chat/completions" if request.messages else "/v1/completions"
    return {"custom_id": request.key, "method": "POST", "url": url, "body": content}


def address(model: ModelParams) -> str:
    """Where the model is on this machine, for what is known of it; IMPORTED where no variable says so."""
    try:
        return endpoint(model, need_key=False).shown
    except UserError:
        return IMPORTED
