"""score: compare each simulation with its recording."""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int
from tqdm import tqdm

from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.files import write_json
from neurogloss.artifacts.recordings import OPEN_SPLITS, Recordings, Split
from neurogloss.artifacts.scores import schema_of
from neurogloss.artifacts.simulations import NOBODY, Simulations
from neurogloss.artifacts.status import CODES, Status
from neurogloss.artifacts.units import noun
from neurogloss.config.environment import threads
from neurogloss.config.params import Params
from neurogloss.config.prompts import Ablation
from neurogloss.config.score import ScoreParams
from neurogloss.errors import UserError
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.scorers.ablation import ablation_columns
from neurogloss.scorers.asked import ask_scorers, asked_columns, check_ratings, first_lenders
from neurogloss.scorers.blocks import ScoreInputs, layout, scores_of, usable
from neurogloss.scorers.senses import sense_columns
from neurogloss.scorers.summary import borrowed_counts, headline, rounded, summary
from neurogloss.scorers.tables import EXAMPLE, by_layer, examples, histogram, quantile_table, write_csv, write_headline
from neurogloss.scorers.token_table import token_table_levels

logger = logging.getLogger(__name__)
BLOCK = 512
"""Neurons at a time: about 10 MB for ten excerpts of 64 tokens."""
DIGITS = 9
"""Decimals kept: what is beyond differs between processors."""


def score(
    recordings: Recordings, explanations: Explanations, simulations: Simulations, params: Params, opened: OpenClient = open_client
) -> pa.Table:
    """The columns of `neurogloss.artifacts.scores`, one row per recorded neuron, in the order of the recordings.

    `opened` gives the client of a language model, which only the scorers of `score.scorers` ask. Raises UserError where the three are of
    different neurons, or lack the excerpts of a split, or more ratings failed than `limits.max_failed_share` allows.
    """
    check_same_neurons(recordings, explanations, "explanations")
    check_same_neurons(recordings, simulations, "simulations")
    where, borrowed = layout(recordings, simulations.slots, Split.SCORE), simulations.borrowed
    block = ScoreInputs(
        recordings=recordings,
        simulations=simulations,
        score=where,
        calibrate=layout(recordings, simulations.slots, Split.CALIBRATE),
        borrowed=layout(recordings, borrowed.slots, Split.SCORE) if len(borrowed) else where,
        enough=params.score.min_excerpts_share,
        sentences=sentence_numbers(explanations),
        unexplained=np.array([status is Status.NO_EXPLANATION for status in explanations.statuses], bool),
    )

    def part(start: int) -> dict[str, np.ndarray]:
        rows = np.arange(start, min(start + BLOCK, len(recordings)))
        return scores_of(block, rows, token_table_levels(recordings, rows, where.slots))

    parts = []
    bar = tqdm(total=len(recordings), desc="score", unit=recordings.noun.one, unit_scale=True, disable=None)
    with bar, ThreadPoolExecutor(threads()) as pool:
        for found in pool.map(part, range(0, len(recordings), BLOCK)):
            parts.append(found)
            bar.update(len(found["excerpts"]))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    enough = np.asarray(usable(np.asarray(simulations.status), where, params.score.min_excerpts_share).any(axis=1))
    why = statuses(recordings, explanations, simulations, where.places, enough, columns["top_and_random"])
    logger.info("scored %s of %s", int(np.isfinite(columns["top_and_random"]).sum()), recordings.noun.counted(len(why)))
    lenders = first_lenders(borrowed.rows, borrowed.lenders, len(recordings))
    asked = ask_scorers(recordings, explanations.texts, lenders, params, opened)
    check_ratings(asked, params.limits.max_failed_share)
    columns |= sense_columns(block, explanations)
    return table(recordings, why, columns | asked_columns(asked, explanations) | ablated(block, explanations, params))


def ablated(block: ScoreInputs, explanations: Explanations, params: Params) -> dict[str, Any]:
    """The columns of the ablation score where `score.scorers` names it: the subject that was recorded is run again."""
    if not any(isinstance(params.prompts.score[name], Ablation) for name in params.score.scorers):
        return {}
    from neurogloss.subject.ablation import divergences
    from neurogloss.subject.recorded import load_recorded

    return ablation_columns(block, explanations, partial(divergences, load_recorded(block.recordings), block.recordings.corpus))


def sentence_numbers(explanations: Explanations) -> Int[np.ndarray, " neuron"]:
    """Equal numbers for equal sentences, NOBODY where there is none."""
    known: dict[str, int] = {}
    return np.array([NOBODY if text is None else known.setdefault(text, len(known)) for text in explanations.texts], np.int64)


def same_document_share(recordings: Recordings) -> float | None:
    """Share of score excerpts from a document that gave the neuron other excerpts to learn from: held out is text, not topics."""
    documents = np.unique(np.array(recordings.documents["document"].to_pylist(), dtype=object).astype(str), return_inverse=True)[1]
    held_out = recordings.slots.where(Split.SCORE)
    others = recordings.slots.where(*OPEN_SPLITS)
    shared = 0
    for start in range(0, len(recordings), BLOCK):
        known = documents[recordings.excerpts[start : start + BLOCK]]
        shared += int((known[:, held_out, None] == known[:, None, others]).any(axis=2).sum())
    total = len(recordings) * len(held_out)
    return rounded(shared / total) if total else None


def write_metrics(
    folder: Path, scores: pa.Table, recordings: Recordings, explanations: Explanations, simulations: Simulations, params: ScoreParams
) -> None:
    """Write the numbers and curves to commit: the headline, details.json, histogram.csv, by_layer.csv, quantiles.csv, examples.csv."""
    about = summary(scores, len(recordings.slots.where(Split.SCORE)))
    about["excerpts"]["same_document_share"] = same_document_share(recordings)
    about["borrowed"] = borrowed_counts(simulations)
    about["units"] = about_units(recordings)
    about["written_levels"] = {"neurons": simulations.written, "borrowed_sentences": simulations.borrowed.written}
    write_headline(folder / "score.json", headline(about))
    write_json(folder / "details.json", about)
    write_csv(folder / "histogram.csv", histogram(scores, params.bins))
    write_csv(folder / "by_layer.csv", by_layer(scores))
    write_csv(folder / "quantiles.csv", quantile_table(scores))
    write_csv(folder / "examples.csv", examples(scores, explanations.texts, recordings.kind), EXAMPLE)


def about_units(recordings: Recordings) -> dict[str, Any]:
    """The kind of unit, how many never fire anywhere, and of latents how well they reconstruct what they read."""
    shares = recordings.statistics["above_zero_share"].to_numpy()
    coders = [
        {key: coder[key] for key in ("layer", "format", "latents", "variance_explained", "l0")} for coder in recordings.about.get("sae", [])
    ]
    signed = {"signed": True} if recordings.noun != noun(recordings.kind) else {}
    return {"kind": str(recordings.kind), **signed, "dead": int((shares == 0).sum()), **({"sae": coders} if coders else {})}


def check_same_neurons(recordings: Recordings, other: Explanations | Simulations, what: str) -> None:
    """Raise UserError unless both are about the same neurons in the same order."""
    if not len(recordings):
        raise UserError("the recordings hold no unit; check record.layers and record.neurons and run `dvc repro`")
    if not (np.array_equal(recordings.layers, other.layers) and np.array_equal(recordings.indices, other.indices)):
        raise UserError(f"the {what} are of other units than the recordings; run `dvc repro`")


def statuses(
    recordings: Recordings,
    explanations: Explanations,
    simulations: Simulations,
    places: Int[np.ndarray, " excerpt"],
    enough: np.ndarray,
    found: np.ndarray,
) -> list[Status]:
    """Why each neuron has no score, or OK: silent, constant, else what its explanation or most of its missing simulations suffer from.

    A neuron without a sentence keeps that as its status, beside its score of 0.
    """
    codes = np.asarray(simulations.status[:, places])
    failures = np.stack([(codes == code).sum(axis=1) for code in range(len(CODES))], axis=1)
    failures[:, CODES.index(Status.OK)] = 0
    commonest = failures.argmax(axis=1)
    rows = []
    for row, explained in enumerate(explanations.statuses):
        if recordings.silent[row]:
            rows.append(Status.SILENT)
        elif explained is Status.NO_EXPLANATION or (enough[row] and explained is Status.OK):
            rows.append(Status.CONSTANT if np.isnan(found[row]) else explained)
        else:
            rows.append(CODES[commonest[row]] if explained is Status.OK else explained)
    return rows


def table(recordings: Recordings, why: list[Status], columns: dict[str, np.ndarray]) -> pa.Table:
    """The rows as a table; NaN becomes null."""
    values: dict[str, Any] = {
        "layer": recordings.layers,
        "neuron": recordings.indices,
        "status": [str(status) for status in why],
    }
    schema = schema_of("senses" in columns)
    for field in schema:
        if field.name not in values:
            column = columns.get(field.name)
            if column is not None and pa.types.is_floating(field.type):
                column = np.round(column, DIGITS)
            values[field.name] = pa.nulls(len(why), field.type) if column is None else pa.array(column, field.type, from_pandas=True)
    return pa.table(values, schema=schema)
