"""Revise explanations in rounds (Bills et al. 2023, "revising explanations"): put to the test, correct, keep the better.

A round asks for sentences in which the unit should fire if its explanation were right, and for near ones in which it should not, runs the
subject on them, and shows the explainer half of them with what the unit did. The other half stays held out, as the kind *generated*.
Controls ask without proposed sentences (`evidence`), or once more for an explanation from nothing (`again`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.revisions import Evidence, Revision
from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.config.prompts import AnyExplainPrompt, Count, ExplainPrompt, RevisePrompt
from neurogloss.errors import ProviderError, UserError
from neurogloss.explainers.answers import read_answer
from neurogloss.explainers.prompted import requests_for
from neurogloss.llm.planning import PROPOSING
from neurogloss.llm.request import Came, Client, Reply
from neurogloss.measures.correlation import prediction_score
from neurogloss.refining import proposals, revision_prompt
from neurogloss.refining.choosing import select_scores, unpaid
from neurogloss.refining.evidence import from_sentences, random_excerpts, wrong_excerpts
from neurogloss.simulators.passages import Pair, Simulated
from neurogloss.simulators.result import Simulate
from neurogloss.subject.sentences import ReadSentences


@dataclass(frozen=True)
class Tools:
    """Whom a revision asks."""

    explainer: Client
    model: ModelParams
    """The explainer's."""
    count: Count
    """Tokens of a text, as the explainer counts them."""
    simulate: Simulate
    """On recorded excerpts."""
    simulate_pairs: Callable[[Sequence[Pair]], list[Simulated]]
    """On any text."""
    read: ReadSentences


def revise(
    recordings: Recordings, kept: dict[int, Candidate], params: Params, tools: Tools
) -> tuple[dict[int, list[Candidate]], list[Revision]]:
    """The candidates that rounds of revision add to each row of `kept`, in order, and what happened. `kept` is brought up to date.

    Raises UserError as soon as more units of a round fail than `limits.max_failed_share` allows; what they were asked by then is kept.
    """
    added: dict[int, list[Candidate]] = {row: [] for row in kept}
    found: list[Revision] = []
    for number in range(1, params.refine.rounds + 1):
        done = one_round(recordings, kept, number, params, tools)
        found += done
        for one in done:
            row = recordings.row(one.layer, one.neuron)
            added[row].append(one.after)
            if one.kept:
                kept[row] = one.after
    return added, found


def one_round(recordings: Recordings, kept: dict[int, Candidate], number: int, params: Params, tools: Tools) -> list[Revision]:
    """What the round finds for each unit; one without evidence keeps its explanation."""
    rows = sorted(kept)
    texts = [kept[row].text or "" for row in rows]
    limit = FailureLimit("revisions", "refine", params.limits.max_failed_share, len(rows))
    evidence = gather(recordings, rows, texts, number, params, tools, limit)
    answers = ask(recordings, rows, texts, evidence, number, params, tools, limit)
    scores = dict(zip(rows, select_scores(recordings, rows, [[one] for one in answers], tools.simulate), strict=True))
    found = []
    for row, old, new, shown in zip(rows, [kept[row] for row in rows], answers, evidence, strict=True):
        after = replace(new, select_score=scores[row][0])
        better = rank(after) > rank(old)
        unit = int(recordings.layers[row]), int(recordings.indices[row])
        found.append(Revision(*unit, number, params.refine.method, old.text or "", after, old.select_score, better, shown))
    return with_generated(found, tools)


def rank(candidate: Candidate) -> float:
    """By the select split: what has no score is below all that have one, so that the old explanation stays."""
    return -2.0 if candidate.select_score is None else candidate.select_score


def gather(
    recordings: Recordings, rows: list[int], texts: list[str], number: int, params: Params, tools: Tools, limit: FailureLimit
) -> list[tuple[Evidence, ...]]:
    """What each unit's explanation is put to the test by."""
    chosen, shown = params.refine, params.refine.sentences + params.refine.sentences % 2
    if chosen.method == "again":
        return [()] * len(rows)
    if chosen.method == "random_sentences":
        return random_excerpts(recordings, rows, shown, params.explain.seed, number)
    if chosen.method == "corpus":
        finder = unpaid(recordings, params, tools.simulate)
        return wrong_excerpts(recordings, rows, texts, shown, params.prompts.refine.revise.mark_from, finder)
    prompt = params.prompts.refine.sentences
    requests = [proposals.request(text, number, prompt, chosen, params.explain, tools.model) for text in texts]

    def arrived(_: int, answer: Reply | ProviderError) -> None:
        if not proposals.enough(proposals.read_proposals(answer, chosen.sentences)):
            limit.add(Status(answer.status) if isinstance(answer, ProviderError) else Status.UNPARSABLE)

    proposed = [proposals.read_proposals(answer, chosen.sentences) for answer in tools.explainer.ask(requests, PROPOSING, arrived)]
    return from_sentences(recordings, rows, [one if proposals.enough(one) else [] for one in proposed], tools.read)


def ask(
    recordings: Recordings,
    rows: list[int],
    texts: list[str],
    evidence: list[tuple[Evidence, ...]],
    number: int,
    params: Params,
    tools: Tools,
    limit: FailureLimit,
) -> list[Candidate]:
    """Each unit's new explanation, or why there is none."""
    if params.refine.method == "again":
        return ask_again(recordings, rows, number, params, tools, limit)
    prompt, asked = params.prompts.refine.revise, []
    proposing = params.refine.method == "counterexamples"  # Nothing proposed is a failure; nothing wrong in the corpus is none.
    found = [Candidate(None, Status.UNPARSABLE) if proposing else Candidate(text, Status.OK) for text in texts]
    for place, (row, text, shown) in enumerate(zip(rows, texts, evidence, strict=True)):
        if not shown:
            continue
        request = revision_prompt.request(recordings, row, text, shown, number, prompt, params.explain, tools.model, tools.count)
        if request is None:
            found[place] = Candidate(None, Status.TOO_LONG)
            limit.add(Status.TOO_LONG)
        else:
            asked.append((place, request))
    answers = tools.explainer.ask([request for _, request in asked], "revising", counting(prompt, limit))
    for (place, _), answer in zip(asked, answers, strict=True):
        found[place] = read_answer(answer, prompt)[0]
    return found


def counting(prompt: RevisePrompt | AnyExplainPrompt, limit: FailureLimit) -> Came:
    """Counts an answer that is no explanation as it comes."""

    def arrived(_: int, answer: Reply | ProviderError) -> None:
        status = read_answer(answer, prompt)[0].status
        if status is not Status.OK:
            limit.add(status)

    return arrived


def ask_again(recordings: Recordings, rows: list[int], number: int, params: Params, tools: Tools, limit: FailureLimit) -> list[Candidate]:
    """Another sample of an answer to explain's own question."""
    prompt = params.prompts.explain[params.explain.method]
    if not isinstance(prompt, ExplainPrompt):
        raise UserError(
            f"refine.method is again, but explain.method {params.explain.method} asks no language model; choose one that does: pieces"
        )
    samples = params.explain.samples + number if params.explain.temperature > 0 else 1
    wanted = params.explain.model_copy(update={"samples": samples})
    asked = [requests[-1:] for requests in requests_for(recordings, np.array(rows), prompt, wanted, tools.model, tools.count)]
    for requests in asked:
        if not requests:
            limit.add(Status.TOO_LONG)
    asking = [request for requests in asked for request in requests]
    answers = iter(tools.explainer.ask(asking, "explaining again", counting(prompt, limit)))
    return [read_answer(next(answers), prompt)[0] if requests else Candidate(None, Status.TOO_LONG) for requests in asked]


def with_generated(found: list[Revision], tools: Tools) -> list[Revision]:
    """With the scores of the old and the new explanation on the sentences that were held out."""
    pairs: list[Pair] = []
    for one in found:
        for text in (one.before, one.after.text):
            pairs += [Pair(text, shown.pieces) for shown in one.evidence if not shown.shown and text is not None]
    simulated = iter(tools.simulate_pairs(pairs) if pairs else [])

    def scored(text: str | None, held_out: Sequence[Evidence]) -> float | None:
        levels = [next(simulated) for _ in held_out] if text is not None else []
        use = [place for place, one in enumerate(levels) if one.status is Status.OK]
        if not use:
            return None
        return prediction_score(np.concatenate([held_out[at].activations for at in use]), np.concatenate([levels[at].levels for at in use]))

    done = []
    for one in found:
        held_out = [shown for shown in one.evidence if not shown.shown]
        before = scored(one.before, held_out)
        done.append(replace(one, generated_before=before, generated_after=scored(one.after.text, held_out)))
    return done
