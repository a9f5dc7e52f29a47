"""Find directions with the subject that was recorded, and say how well they are explained before and after."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Float32, Float64

from neurogloss.artifacts.files import write_json, written
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.units import UnitKind, unit_name
from neurogloss.config.params import Params
from neurogloss.errors import UserError
from neurogloss.llm.client import OpenClient
from neurogloss.refining.direction_units import Explainer, held_out_excerpts
from neurogloss.refining.directions import moments, seek, values_of
from neurogloss.subject.directions import check_directions, layer_activations, read_directions
from neurogloss.subject.recorded import load_recorded


@dataclass(frozen=True)
class Found:
    """Directions of one layer, each of standard deviation 1 on the corpus, and what was found out about them."""

    layer: int
    vectors: Float32[np.ndarray, "direction neuron"]
    report: dict[str, Any]


def find(recordings: Recordings, params: Params, start: Path | None, opened: OpenClient) -> Found:
    """Seek from random directions, or from those of a file. UserError where file, layer and subject do not fit together."""
    chosen = params.directions
    if recordings.kind is not UnitKind.NEURONS:
        raise UserError(
            f"these recordings are of {recordings.kind}, whose layers' neurons are not to be had; record with subject.units neurons"
        )
    activations = layer_activations(load_recorded(recordings), recordings.corpus, chosen.layer)
    return search(recordings, activations, begin(params, start, activations.shape[2]), params, opened)


def search(
    recordings: Recordings,
    activations: Float16[np.ndarray, "excerpt token neuron"],
    vectors: Float64[np.ndarray, "direction neuron"],
    params: Params,
    opened: OpenClient,
) -> Found:
    """Seek from these directions of neurons whose activations these are."""
    chosen = params.directions
    held_out = held_out_excerpts(recordings.documents["document"].to_pylist(), chosen.seed)
    explainer = Explainer(recordings, params, held_out, opened)
    mean, _ = moments(activations, np.flatnonzero(~held_out))
    before = explainer.scores(values_of(activations, mean, vectors))
    rounds = seek(activations, ~held_out, vectors, chosen, explainer)
    after = explainer.scores(values_of(activations, mean, rounds[-1].vectors))
    report = {
        "layer": chosen.layer,
        "rounds": [
            {
                "round": place + 1,
                "fitted": [None if np.isnan(value) else round(float(value), 6) for value in one.correlations],
                "texts": one.texts,
            }
            for place, one in enumerate(rounds)
        ],
        "directions": [
            {"name": unit_name(chosen.layer, place, UnitKind.DIRECTIONS), "before": first._asdict(), "after": last._asdict()}
            for place, (first, last) in enumerate(zip(before, after, strict=True))
        ],
    }
    return Found(chosen.layer, rounds[-1].vectors.astype(np.float32), report)


def begin(params: Params, start: Path | None, width: int) -> np.ndarray:
    """The directions to begin with (direction, neuron), float64."""
    if start is None:
        return np.random.default_rng(params.directions.seed).normal(size=(params.directions.count, width))
    file = read_directions(start)
    if file.layer != params.directions.layer or file.vectors.shape[1] != width:
        raise UserError(
            f"{start} holds directions of {file.vectors.shape[1]} neurons of layer {file.layer}, expected {width} of layer "
            f"{params.directions.layer}; set directions.layer"
        )
    check_directions(file.vectors, str(start))
    return file.vectors.astype(np.float64)


def write_found(path: Path, found: Found) -> None:
    """Write the file that `subject.directions` reads, with every round and the scores before and after in it, and beside it as .json."""
    write_json(path.with_suffix(".json"), found.report)
    with written(path) as temporary, temporary.open("wb") as file:
        np.savez(file, layer=np.int64(found.layer), vectors=found.vectors, report=np.array(json.dumps(found.report, ensure_ascii=True)))
