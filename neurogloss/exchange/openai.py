"""The public JSON formats of Bills et al. 2023, written neuron by neuron.

    collated-activations/LAYER/NEURON.json            NeuronRecord
    explanations/LAYER/NEURON.jsonl                   NeuronSimulationResults, one line
    related-tokens/activation-based/LAYER/NEURON.json TokenLookupTableSummaryOfNeuron

Top records stand in order of strength and random ones as drawn, so that a reader who deals them to splits in turn gets our splits:
their train, calibration, valid and test are our explain, calibrate, select and score.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float16, Int

from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.results import Results
from neurogloss.artifacts.simulations import OK
from neurogloss.artifacts.units import UnitKind
from neurogloss.errors import UserError
from neurogloss.measures.correlation import correlation

ACTIVATIONS, EXPLANATIONS, TOKENS = "collated-activations", "explanations", "related-tokens/activation-based"
LISTED_TOKENS = 50
LISTED_MINIMUM = 3
"""A token must occur so often in the corpus to be listed."""
DEALT = (Split.EXPLAIN, Split.CALIBRATE, Split.SELECT, Split.SCORE)
Json = dict[str, Any]


@dataclass(frozen=True)
class Texts:
    """What is the same for all neurons: tokens as text, and every float16 to seven digits (it reads back as itself, sums stay exact)."""

    tokens: list[str]
    floats: Float[np.ndarray, "65536"]


def texts(recordings: Recordings) -> Texts:
    """Prepare once. Half characters become the replacement character: JSON has no bytes."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    return Texts(
        [recordings.text(token) for token in range(len(recordings.vocabulary))],
        np.array([float(f"{half:.7g}") for half in halves.tolist()]),
    )


def decimals(values: Float16[np.ndarray, " token"], known: Texts) -> list[float | None]:
    """Seven digits; None for what JSON cannot hold."""
    found = known.floats[np.ascontiguousarray(values).view(np.uint16)]
    return [value if finite else None for value, finite in zip(found.tolist(), np.isfinite(found).tolist(), strict=True)]


def write_openai(folder: Path, results: Results, surplus: bool) -> Iterator[int]:
    """Write every neuron; yields its row when it is written. `surplus` adds the excerpts beyond those dealt to splits."""
    if results.recordings.kind is not UnitKind.NEURONS or (np.asarray(results.recordings.indices) < 0).any():
        raise UserError(f"the JSON of Bills et al. 2023 is of neurons, these are {results.recordings.noun.many}; export parquet")
    known = texts(results.recordings)
    splits = (*DEALT, Split.FIT) if surplus else DEALT
    for row in range(len(results)):
        layer, index = str(results.recordings.layers[row]), str(results.recordings.indices[row])
        dump(folder / ACTIVATIONS / layer / f"{index}.json", neuron_record(results.recordings, row, splits, known))
        dump(folder / TOKENS / layer / f"{index}.json", token_summary(results.recordings, row, known))
        if results.explanations.rows[row].kept.text is not None:
            dump(folder / EXPLANATIONS / layer / f"{index}.jsonl", simulation_results(results, row, known), end="\n")
        yield row


def dump(path: Path, value: Json, end: str = "") -> None:
    """One line of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + end, encoding="utf-8")


def neuron_id(recordings: Recordings, row: int) -> Json:
    """Which neuron."""
    return {"dataclass_name": "NeuronId", "layer_index": int(recordings.layers[row]), "neuron_index": int(recordings.indices[row])}


def neuron_record(recordings: Recordings, row: int, splits: tuple[Split, ...], known: Texts) -> Json:
    """Statistics and the excerpts of these splits; there are no samples by quantile."""
    statistics = recordings.statistics.slice(row, 1).to_pylist()[0]
    return {
        "dataclass_name": "NeuronRecord",
        "neuron_id": neuron_id(recordings, row),
        "random_sample": activation_records(recordings, row, recordings.slots.where(*splits, kind=Kind.RANDOM), known),
        "random_sample_by_quantile": None,
        "quantile_boundaries": None,
        **{key: statistics[key] for key in ("mean", "variance", "skewness", "kurtosis")},
        "most_positive_activation_records": activation_records(recordings, row, recordings.slots.where(*splits, kind=Kind.TOP), known),
    }


def activation_records(recordings: Recordings, row: int, slots: Int[np.ndarray, " slot"], known: Texts) -> list[Json]:
    """Tokens and activations of some excerpts."""
    tokens, activations = recordings.tokens(row, slots), np.asarray(recordings.activations[row, slots])
    return [
        {
            "dataclass_name": "ActivationRecord",
            "tokens": [known.tokens[token] for token in ids.tolist()],
            "activations": decimals(values, known),
        }
        for ids, values in zip(tokens, activations, strict=True)
    ]


def token_summary(recordings: Recordings, row: int, known: Texts) -> Json:
    """The tokens with the highest mean activation, score excerpts left out, the highest first."""
    means = np.asarray(recordings.token_means[row])
    allowed = np.flatnonzero(~np.isnan(means) & (recordings.table_counts >= LISTED_MINIMUM))
    listed = allowed[np.argsort(-means[allowed].astype(np.float32), kind="stable")][:LISTED_TOKENS]
    return {
        "dataclass_name": "TokenLookupTableSummaryOfNeuron",
        "tokens": [known.tokens[token] for token in recordings.table_tokens[listed].tolist()],
        "average_activations": decimals(means[listed], known),
    }


def simulation_results(results: Results, row: int, known: Texts) -> Json:
    """The kept explanation with its simulated score excerpts, top ones first; failed ones are left out.

    `rsquared_score` and `absolute_dev_explained_score` are null: ours are calibrated and centred, theirs are not.
    """
    slots = results.recordings.slots.where(Split.SCORE)
    scored = [found for slot in slots if (found := sequence(results, row, int(slot), known)) is not None]
    return {
        "dataclass_name": "NeuronSimulationResults",
        "neuron_id": neuron_id(results.recordings, row),
        "scored_explanations": [
            {
                "dataclass_name": "ScoredExplanation",
                "explanation": results.explanations.rows[row].kept.text,
                "scored_simulation": {
                    "dataclass_name": "ScoredSimulation",
                    "scored_sequence_simulations": scored,
                    "ev_correlation_score": results.score(row)["top_and_random"],
                    "rsquared_score": None,
                    "absolute_dev_explained_score": None,
                },
            }
        ],
    }


def sequence(results: Results, row: int, slot: int, known: Texts) -> Json | None:
    """One score excerpt with its simulation; None where there is none. Distributions are empty: only expected levels are kept."""
    recordings, simulations = results.recordings, results.simulations
    places = np.flatnonzero(simulations.slots == slot)
    if not len(places) or simulations.status[row, places[0]] != OK:
        return None
    recorded, expected = np.asarray(recordings.activations[row, slot]), np.asarray(simulations.levels[row, places[0]])
    return {
        "dataclass_name": "ScoredSequenceSimulation",
        "simulation": {
            "dataclass_name": "SequenceSimulation",
            "tokens": [known.tokens[token] for token in recordings.tokens(row, np.array([slot]))[0].tolist()],
            "expected_activations": decimals(expected, known),
            "activation_scale": "simulated_normalized_activations",
            "distribution_values": [[] for _ in expected],
            "distribution_probabilities": [[] for _ in expected],
            "uncalibrated_simulation": None,
        },
        "true_activations": decimals(recorded, known),
        "ev_correlation_score": correlation(recorded.astype(np.float64), expected.astype(np.float64)),
        "rsquared_score": None,
        "absolute_dev_explained_score": None,
    }
