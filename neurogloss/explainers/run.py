"""explain: candidate sentences for each neuron; nothing of the score split is looked at."""

from collections import Counter
from pathlib import Path

import numpy as np

from neurogloss.artifacts.candidates import Candidate, Candidates
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import UNASKED, Status, too_many
from neurogloss.config.params import Params
from neurogloss.config.prompts import AnyExplainPrompt, Concepts, Given, TokenList
from neurogloss.errors import UserError
from neurogloss.llm.client import OpenClient, open_client


def explain(recordings: Recordings, params: Params, opened: OpenClient = open_client) -> Candidates:
    """The candidates of each recorded neuron, in the order of the recordings.

    Only the explain split and what may be fitted on are looked at. `opened` gives the client of a language model.
    Raises UserError where the params do not fit together or more neurons failed than `limits.max_failed_share` allows.
    """
    prompt = params.prompts.explain[params.explain.method]
    rows: list[tuple[Candidate, ...]]
    if isinstance(prompt, Concepts):
        from neurogloss.explainers.concepts import explain_concepts
        from neurogloss.phrases.levels import open_phrase_levels

        rows = [(one,) for one in explain_concepts(recordings, open_phrase_levels(recordings, params), params.explain.concepts)]
    elif isinstance(prompt, TokenList):
        from neurogloss.explainers.token_list import explain_token_list

        rows = [(one,) for one in explain_token_list(recordings, params.explain.token_list)]
    elif isinstance(prompt, Given):
        from neurogloss.explainers.given import explain_given

        rows = explain_given(recordings, Path(params.explain.given))
    else:
        rows = prompted(recordings, params, prompt, opened)
        check_failures(rows, params.limits.max_failed_share)
    return Candidates(recordings.layers, recordings.indices, rows)


def prompted(recordings: Recordings, params: Params, prompt: AnyExplainPrompt, opened: OpenClient) -> list[tuple[Candidate, ...]]:
    """Candidates from a language model; a silent neuron is not asked about."""
    from neurogloss.explainers.prompted import explain_prompted
    from neurogloss.llm.tokens import fitting

    chosen = params.explain
    model = params.model(chosen.model, "explain.model")
    rows = np.flatnonzero(~recordings.silent)
    with opened(chosen.model, model, "explain") as client:
        answered = explain_prompted(recordings, rows, prompt, chosen, model, fitting(model), client, params.limits.max_failed_share)
    found = dict(zip(rows.tolist(), answered, strict=True))
    return [tuple(found.get(row, [Candidate(None, Status.SILENT)])) for row in range(len(recordings))]


def check_failures(rows: list[tuple[Candidate, ...]], allowed: float) -> None:
    """UserError where more neurons failed than the params allow; those about which nobody was asked do not count."""
    failed: Counter[Status] = Counter()
    tried = 0
    for candidates in rows:
        statuses = [candidate.status for candidate in candidates]
        if statuses[0] in UNASKED:
            continue
        tried += 1
        if Status.OK not in statuses:
            failed[statuses[0]] += 1
    if message := too_many(failed, tried, "explanations", "explain", allowed):
        raise UserError(message)
