"""What explain and simulate would ask of language models with the present params: the stages' own code, with a client that only counts."""

import numpy as np

from stages.artifacts.recordings import Recordings, Split
from stages.artifacts.status import Status
from stages.explainers.asked import explain_by_asking
from stages.llm.cache import Cache
from stages.llm.planning import Planned, Planner, stand_in
from stages.params import Params
from stages.simulators.run import open_simulator

ASKING_EXPLAINERS = frozenset({"pairs"})
ASKING_SIMULATORS = frozenset({"all_at_once", "generated", "one_at_a_time"})


def plan(recordings: Recordings, settings: Params, cache: Cache) -> list[Planned]:
    """The steps that ask a model, in their order."""
    prompt = settings.prompts.explain.get(settings.explain.prompt)
    planner = Planner(cache, prompt.answers if prompt is not None else 1)
    texts: list[str | None] = [None if silent else stand_in(str(row)) for row, silent in enumerate(recordings.silent)]
    if settings.explain.method in ASKING_EXPLAINERS:
        known = explained(recordings, settings, planner)
        texts = [text if text is None else known.get(row, text) for row, text in enumerate(texts)]
    if settings.simulate.method in ASKING_SIMULATORS:
        slots = np.sort(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
        with open_simulator(recordings, settings, "simulate", planner.open) as simulate:
            simulate(np.arange(len(recordings)), slots, texts)
    return planner.steps


def explained(recordings: Recordings, settings: Params, planner: Planner) -> dict[int, str]:
    """Explanations by row, as far as they are known or stand for one. Choosing among samples counts where the simulator asks a model."""
    if settings.simulate.method not in ASKING_SIMULATORS:
        # The simulator that would choose works in this process and asks nobody; it need not run to count.
        settings = settings.model_copy(update={"simulate": settings.simulate.model_copy(update={"method": "token_table"})})
    found = explain_by_asking(recordings, settings, planner.open)
    return {row: one.kept.text for row, one in enumerate(found) if one.kept.status is Status.OK and one.kept.text is not None}
