"""judge by a scorer that asks a language model which excerpts a sentence fits (detection, fuzzing), on units that were recorded anywhere.

Levels are on the scale of the unit's own maximum over its excerpts. Firing excerpts are those in which a token reaches the prompt's
`mark_from` (3: three tenths of the maximum), quiet ones those in which none reaches `quiet_below` (2); the rest is not shown.

score           balanced accuracy
rank_agreement  over explanations, the correlation of that with the score of a careful reader's levels, where the file has them
agreement, sensitivity  undefined: no levels are simulated
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from neurogloss.config.params import Params
from neurogloss.config.prompts import ClassifyPrompt
from neurogloss.errors import UserError
from neurogloss.judging.judge import Judged, Verdict, ranks, reader_score
from neurogloss.judging.units import JudgedUnit
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.measures.levels import levels
from neurogloss.scorers.classify import Asking, Excerpt, Material, classify


def judge_by_scorer(units: Sequence[JudgedUnit], params: Params, name: str, opened: OpenClient = open_client) -> Verdict:
    """Rate each unit's excerpts by each of its explanations; `name` is that of a prompt under `prompts.score`."""
    whose = [number for number, unit in enumerate(units) for _ in unit.explanations]
    texts = [text for unit in units for text in unit.explanations]
    prompt, model = params.prompts.score[name], params.model(params.score.model, "score.model")
    if not isinstance(prompt, ClassifyPrompt):
        raise UserError(f"--simulator: {name} runs the subject, of which units recorded elsewhere say nothing; name another")
    with opened(params.score.model, model, "judge") as client:
        asking = Asking(prompt, model, client, params.score.min_excerpts_share)
        found = classify(lambda place: material(units[whose[place]], params.score.seed, whose[place]), texts, asking)
    accuracy, areas = ([None if np.isnan(value) else float(value) for value in column] for column in (found.accuracy, found.auc))
    judged, start = [], 0
    for unit in units:
        stop = start + len(unit.explanations)
        for place, rank in zip(range(start, stop), ranks(accuracy[start:stop]), strict=True):
            failed = int(found.failed[place])
            judged.append(Judged(unit.unit, texts[place], accuracy[place], rank, None, reader_score(unit), failed, areas[place]))
        start = stop
    return Verdict(judged, len(units), None, Counter({str(cause): count for cause, count in found.causes.items()}))


def material(unit: JudgedUnit, seed: int, number: int) -> Material:
    """All excerpts of a unit, to be shown as firing or as quiet; a unit that is never above zero fires in none."""
    peak = float(unit.recorded.max())
    every = [Excerpt(list(one.pieces), levels(np.array(one.activations, np.float64), peak)) for one in unit.excerpts]
    return Material(every, every, (seed, number))
