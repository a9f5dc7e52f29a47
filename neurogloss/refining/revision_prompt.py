"""The question for a better explanation, cut to fit the model's context."""

import numpy as np

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.revisions import Evidence
from neurogloss.config.explain import ExplainParams
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import Count, Excerpt, RevisePrompt, fill
from neurogloss.explainers.layouts import highlighted
from neurogloss.explainers.prompted import PER_MESSAGE
from neurogloss.llm.request import Request
from neurogloss.measures.levels import levels
from neurogloss.refining.requests import round_request


def request(
    recordings: Recordings,
    row: int,
    explanation: str,
    evidence: tuple[Evidence, ...],
    round_: int,
    prompt: RevisePrompt,
    params: ExplainParams,
    model: ModelParams,
    count: Count,
) -> Request | None:
    """One unit's question: of its excerpts, then of the evidence the last are left out until it fits; None if in vain."""
    strongest = excerpts(recordings, row)
    shown = [one for one in evidence if one.shown]
    cuts = [(kept, len(shown)) for kept in range(len(strongest), 0, -1)] + [(1, kept) for kept in range(len(shown) - 1, 0, -1)]
    peak, room = float(recordings.peaks[row]), model.context - params.max_tokens - 2 * PER_MESSAGE - count(prompt.system)
    for top, kept in cuts:
        text = question(explanation, strongest[:top], shown[:kept], peak, prompt)
        if count(text) <= room:
            return round_request(prompt.system, text, round_, params.max_tokens, params, model)
    return None


def excerpts(recordings: Recordings, row: int) -> list[Excerpt]:
    """The explain split of a unit, the strongest first."""
    slots = recordings.slots.where(Split.EXPLAIN)
    scaled = levels(np.asarray(recordings.activations[row, slots]), float(recordings.peaks[row]))
    ids = recordings.tokens(row, slots)
    return [Excerpt([recordings.vocabulary[t] for t in one], values.tolist()) for one, values in zip(ids, scaled, strict=True)]


def question(explanation: str, strongest: list[Excerpt], shown: list[Evidence], peak: float, prompt: RevisePrompt) -> str:
    """Old explanation, strongest excerpts and evidence, all with the active tokens marked."""
    templates = {None: prompt.excerpt, True: prompt.expected, False: prompt.unexpected}
    lines = [fill(templates[one.expected], lines=highlighted(as_excerpt(one, peak), prompt)) for one in shown]
    text = fill(
        prompt.question,
        explanation=" ".join(explanation.split()),
        excerpts="\n".join(fill(prompt.excerpt, lines=highlighted(one, prompt)) for one in strongest),
        evidence="\n".join(lines),
    )
    return f"{text}\n{prompt.prefix}" if prompt.prefix else text


def as_excerpt(evidence: Evidence, peak: float) -> Excerpt:
    """With levels; one above the peak is the highest."""
    return Excerpt(list(evidence.pieces), levels(np.array(evidence.activations), peak).tolist())
