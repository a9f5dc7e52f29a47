"""What language models were asked about one unit and what they answered, put together again from the kept replies. Asks nobody.

The cache holds answers by the hash of their question, not the questions: the stages' own code makes those again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.config.prompts import ExplainPrompt, SimulatePrompt
from neurogloss.explainers.prompted import explain_prompted
from neurogloss.llm.cache import Cache, CachedReply
from neurogloss.llm.cache_only import CacheOnlyClient
from neurogloss.llm.request import Client, Request, failure
from neurogloss.llm.tokens import fitting
from neurogloss.refining.choosing import select_scores
from neurogloss.refining.senses_prompt import ask
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.simulators.opening import open_simulator
from neurogloss.simulators.senses import simulate_senses


@dataclass(frozen=True)
class KeptQuestion:
    """One question with its answer."""

    stage: str
    """explain, refine or simulate."""
    model: str
    """Name under `models`."""
    request: Request
    kept: CachedReply


def asks_models(params: Params) -> bool:
    """Whether explaining or simulating asks a language model at all."""
    explainer, simulator = params.prompts.explain[params.explain.method], chosen_simulator(params).prompt
    return isinstance(explainer, ExplainPrompt) or isinstance(simulator, SimulatePrompt)


def kept_questions(
    recordings: Recordings,
    params: Params,
    cache: Cache,
    row: int,
    sentences: Sequence[str | None],
    candidates: tuple[Candidate, ...] = (),
    single: str | None = None,
) -> list[KeptQuestion]:
    """The answered questions about the unit of this row, stage by stage, in the order in which they were asked.

    `sentences` are its explanation or its senses, `candidates` what it was chosen from, `single` the sentence whose senses were looked for.
    Left out are revision, controls and what scorers ask.
    """
    if recordings.silent[row]:
        return []
    replay = Replay(cache)
    at = np.array([row])
    prompt = params.prompts.explain[params.explain.method]
    if isinstance(prompt, ExplainPrompt):
        model = params.model(params.explain.model, "explain.model")
        with replay.open(params.explain.model, model, "explain") as client:
            explain_prompted(recordings, at, prompt, params.explain, model, fitting(model), client)
        if params.refine.senses > 1 and single is not None:
            ask(recordings, {row: Candidate(single, Status.OK)}, params, replay.open)
    if isinstance(chosen_simulator(params).prompt, SimulatePrompt):
        if sum(one.status is Status.OK for one in candidates) > 1:
            with open_simulator(recordings, params, "refine", replay.open) as simulate:
                select_scores(recordings, [row], [candidates], simulate)
        slots = np.sort(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
        with open_simulator(recordings, params, "simulate", replay.open) as simulate:
            simulate_senses(simulate, at, slots, [sentences])
    return replay.found


class Replay:
    """Opens clients that answer from the cache, and gathers what it had an answer to."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.found: list[KeptQuestion] = []

    @contextmanager
    def open(self, name: str, model: ModelParams, stage: str = "") -> Iterator[Client]:
        """A client for one stage, as `open_client` opens real ones."""

        def answered(request: Request, kept: CachedReply) -> None:
            self.found.append(KeptQuestion(stage, name, request, kept))

        yield CacheOnlyClient(self.cache, model, answered, lambda *_: failure(Status.UNANSWERED, "not asked"), lambda _: False)
