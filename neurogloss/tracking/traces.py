"""Traces of a result: one a unit, written after the fact from the artifacts and the kept replies. Nobody is asked and nothing is paid.

L5.N131                     its strongest excerpts -> its explanation; feedback: score
  explain                   questions and answers, tokens, cost
  refine                    where there were several candidates
  simulate                  the explanation -> each score excerpt with recorded and simulated levels
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from neurogloss.artifacts.candidates import Candidate, read_candidates
from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import Kind, Recordings, Split, read_recordings
from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.simulations import OK, Simulations, read_simulations
from neurogloss.comparison.result import Result
from neurogloss.config.params import Params, load_params
from neurogloss.errors import UserError
from neurogloss.exchange.kept import KeptQuestion, asks_models, kept_questions
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.usage import used
from neurogloss.measures.levels import levels
from neurogloss.tracking.content import evenly
from neurogloss.tracking.trace_store import write_traces

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Feedback, Span
    from mlflow.entities.model_registry import PromptVersion

CANDIDATES = "data/candidates.parquet"
NUMBERS = {"score": "top_and_random", "random_only": "random_only", "baseline": "token_table", "control": "control"}
"""Name in the answer of a trace -> column of the scores."""
SHOWN_QUESTIONS = 6
"""Of a stage of a unit; of the others the tokens and the cost are counted."""
SHOWN_EXCERPTS = 5
"""Strongest excerpts of the explain split that a trace begins with."""


def log_traces(
    client: "MlflowClient", experiment: str, run_id: str, result: Result, versions: Sequence["PromptVersion"], limit: int, start_ms: int
) -> int:
    """Write the traces of at most `limit` units, evenly spaced, and link them to the run and its prompts; how many there are."""
    if limit == 0 or any(not result.path(path).exists() for path in result.paths.data):
        return 0
    try:
        units = Units(result, load_params(result.path("params.yaml")))
    except UserError:  # A result of before: params or tables of another version.
        return 0
    # MLflow shows the latest first: that is the worst explained.
    rows = sorted(evenly(len(units.recordings), limit), key=units.rank)
    traces = [trace(units, row, experiment, run_id, start_ms + place, versions) for place, row in enumerate(rows)]
    units.close()
    write_traces(client, experiment, run_id, traces, versions)
    return len(traces)


class Units:
    """What is known of the units of a result."""

    def __init__(self, result: Result, params: Params) -> None:
        recordings, explanations, simulations, scores = (result.path(path) for path in result.paths.data)
        self.params = params
        self.recordings: Recordings = read_recordings(recordings)
        self.explanations = read_explanations(explanations)
        self.simulations: Simulations = read_simulations(simulations)
        self.scores = read_scores(scores)
        found = result.path(CANDIDATES)
        self.candidates = read_candidates(found).rows if found.exists() else None
        self.cache = Cache(cache_file()) if asks_models(params) and cache_file().exists() else None

    def questions(self, row: int) -> list[KeptQuestion]:
        """What was asked about a unit, as far as replies are kept."""
        if self.cache is None:
            return []
        candidates: tuple[Candidate, ...] = self.candidates[row] if self.candidates else ()
        found = self.explanations.rows[row]
        sentences, single = self.explanations.sentences[row], found.single or found.kept.text
        return kept_questions(self.recordings, self.params, self.cache, row, sentences, candidates, single)

    def number(self, name: str, row: int) -> float | None:
        """A score."""
        value = self.scores[NUMBERS[name]][row].as_py()
        return None if value is None else float(value)

    def rank(self, row: int) -> tuple[bool, float]:
        """Orders units without a score before the others, and those from the best to the worst."""
        score = self.number("score", row)
        return score is not None, -(score or 0.0)

    def close(self) -> None:
        """Close the replies."""
        if self.cache is not None:
            self.cache.close()


def excerpt_of(units: Units, row: int, slot: int) -> tuple[list[str], dict[str, Any]]:
    """The tokens of a recorded excerpt; its text on one line, and the levels above 0."""
    recordings = units.recordings
    real = levels(np.asarray(recordings.activations[row, [slot]]), float(recordings.peaks[row]))[0]
    ids = [int(token) for token in recordings.tokens(row, np.array([slot]))[0]]
    tokens = [recordings.text(token) for token in ids]
    text = b"".join(recordings.vocabulary[token] for token in ids).decode("utf-8", "replace")
    return tokens, {"text": text.replace("\n", "⏎"), "recorded": above_zero(tokens, real)}


def above_zero(tokens: list[str], values: np.ndarray) -> str:
    """Tokens with their levels, those above 0.

    >>> above_zero(["a", " red", " hen"], np.array([0, 10, 2.4]))
    'red 10, hen 2'
    """
    return ", ".join(f"{token.strip() or '⏎'} {value:.0f}" for token, value in zip(tokens, values, strict=True) if value >= 0.5) or "-"


def shown_excerpts(units: Units, row: int) -> list[dict[str, Any]]:
    """The strongest excerpts of the explain split."""
    if units.recordings.silent[row]:
        return []
    slots = units.recordings.slots.where(Split.EXPLAIN, kind=Kind.TOP)[:SHOWN_EXCERPTS]
    return [excerpt_of(units, row, int(slot))[1] for slot in slots]


def scored_excerpts(units: Units, row: int) -> list[dict[str, Any]]:
    """Each score excerpt with what was recorded and what was simulated."""
    if units.recordings.silent[row]:
        return []
    places = {int(slot): place for place, slot in enumerate(units.simulations.slots)}
    found = []
    for kind in (Kind.TOP, Kind.RANDOM):
        for slot in units.recordings.slots.where(Split.SCORE, kind=kind).tolist():
            place = places.get(slot)
            if place is None:
                continue
            tokens, shown = excerpt_of(units, row, slot)
            simulated = np.asarray(units.simulations.levels[row, place], np.float64)
            said = above_zero(tokens, simulated) if units.simulations.status[row, place] == OK else "failed"
            shown = {"kind": str(kind), **shown, "simulated": said}
            found.append(shown)
    return found


class Spans:
    """The spans of one trace, in their order; times follow from how long the answers took."""

    def __init__(self, trace_id: str, start_ms: int) -> None:
        self.trace_id = trace_id
        self.now = start_ms * 1_000_000
        self.found: list[dict[str, Any]] = []

    def open(self, name: str, kind: str, parent: dict[str, Any] | None, inputs: Any) -> dict[str, Any]:
        """Begin a span."""
        number = len(self.found) + 1
        span: dict[str, Any] = {
            "trace_id": self.trace_id,
            "span_id": f"0x{int(hashlib.sha256(f'{self.trace_id}{number}'.encode()).hexdigest()[:16], 16) or 1:016x}",
            "parent_span_id": parent["span_id"] if parent else None,
            "name": name,
            "start_time_unix_nano": self.now,
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "events": [],
            "attributes": {
                "mlflow.traceRequestId": json.dumps(self.trace_id),
                "mlflow.spanType": json.dumps(kind),
                **attribute("Inputs", inputs),
            },
        }
        self.found.append(span)
        return span

    def close(self, span: dict[str, Any], outputs: Any, seconds: float = 0.0, **attributes: Any) -> None:
        """End a span; no shorter than a millisecond."""
        self.now = max(self.now, span["start_time_unix_nano"] + 1_000_000, span["start_time_unix_nano"] + int(seconds * 1e9))
        span["end_time_unix_nano"] = self.now
        span["attributes"] |= attribute("Outputs", outputs) | {name: json.dumps(value) for name, value in attributes.items()}


def attribute(name: str, value: Any) -> dict[str, str]:
    """Inputs or outputs as MLflow keeps them."""
    return {f"mlflow.span{name}": json.dumps(value, ensure_ascii=False)}


def trace(
    units: Units, row: int, experiment: str, run_id: str, start_ms: int, versions: Sequence["PromptVersion"]
) -> tuple[Any, "list[Span]"]:
    """The trace of one unit: its description and its spans."""
    from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState

    name, text = units.recordings.name(row), units.explanations.texts[row]
    trace_id = f"tr-{hashlib.sha256(f'{run_id} {name}'.encode()).hexdigest()[:32]}"
    spans, asked = Spans(trace_id, start_ms), units.questions(row)
    seen = shown_excerpts(units, row)
    root = spans.open(name, "CHAIN", None, {"unit": name, "excerpts": seen})
    stage(spans, root, "explain", {"unit": name}, {"explanation": text, "status": str(units.explanations.statuses[row])}, asked)
    candidates = [one.text for one in units.candidates[row]] if units.candidates else []
    if len(candidates) > 1:
        stage(spans, root, "refine", {"candidates": candidates}, {"explanation": text}, asked)
    scored = scored_excerpts(units, row)
    stage(spans, root, "simulate", {"explanation": text}, {"excerpts": scored}, asked)
    numbers = {key: units.number(key, row) for key in NUMBERS}
    spans.close(root, {"explanation": text, **numbers})
    info = TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=start_ms,
        state=TraceState.OK,
        execution_duration=(spans.now - root["start_time_unix_nano"]) // 1_000_000,
        request_preview=preview(name, seen),
        response_preview=text or "no explanation",
        trace_metadata={"mlflow.sourceRun": run_id},
        tags={"mlflow.traceName": name, "unit": name, **linked(versions)},
        assessments=[] if numbers["score"] is None else [feedback(trace_id, "score", numbers["score"], run_id, start_ms)],
    )
    return info, [Span.from_dict(span) for span in spans.found]


def preview(name: str, seen: list[dict[str, Any]]) -> str:
    """The unit and the tokens of its strongest excerpt."""
    return f"{name}: {seen[0]['recorded']}" if seen else f"{name}: silent"


def linked(versions: Sequence["PromptVersion"]) -> dict[str, str]:
    """The tag by which a trace names its prompts."""
    found = [{"name": version.name, "version": str(version.version)} for version in versions]
    return {"mlflow.linkedPrompts": json.dumps(found)} if found else {}


def feedback(trace_id: str, name: str, value: float, run_id: str, now: int) -> "Feedback":
    """A number about a unit."""
    from mlflow.entities import AssessmentSource, Feedback

    source = AssessmentSource(source_type="CODE", source_id="neurogloss")
    return Feedback(name=name, value=round(value, 4), source=source, trace_id=trace_id, metadata={"mlflow.assessment.sourceRunId": run_id},
                    create_time_ms=now, last_update_time_ms=now)  # fmt: skip


def stage(spans: Spans, root: dict[str, Any], name: str, inputs: Any, outputs: Any, asked: list[KeptQuestion]) -> None:
    """The span of a stage, with a span for each of its questions below."""
    span = spans.open(name, "CHAIN", root, inputs)
    mine = [question for question in asked if question.stage == name]
    for question in mine[:SHOWN_QUESTIONS]:
        ask(spans, span, question)
    rest = mine[SHOWN_QUESTIONS:]
    extra = {"questions": len(mine), "questions_not_shown": len(rest)} if rest else {}
    spans.close(span, outputs, **extra)


def ask(spans: Spans, parent: dict[str, Any], question: KeptQuestion) -> None:
    """A question as a span: its last turn (what stands before it is the prompt's version), the answer, tokens and cost."""
    request, kept = question.request, question.kept
    messages = [asdict(request.messages[-1])] if request.messages else [{"role": "user", "content": request.prompt}]
    span = spans.open(f"ask {question.model}", "CHAT_MODEL", parent, {"model": request.model, "messages": messages})
    usage = used(kept.answer)
    tokens = {"input_tokens": usage.prompt, "output_tokens": usage.completion, "total_tokens": usage.prompt + usage.completion}
    answer = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": kept.answer.text}, "finish_reason": finish(kept.answer)}]
    }
    attributes: dict[str, Any] = {
        "mlflow.message.format": "openai",
        "mlflow.chat.tokenUsage": tokens,
        "mlflow.llm.model": request.model[:200],
        "mlflow.llm.cost": {"input_cost": 0.0, "output_cost": kept.cost_usd, "total_cost": kept.cost_usd},
    }
    spans.close(span, answer, kept.seconds, **attributes)


def finish(answer: Any) -> str:
    """Why an answer ends."""
    return str(getattr(answer, "finish_reason", "") or getattr(answer, "status", ""))
