"""Directions: linear combinations of the neurons of one layer as units, and the file that holds them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Int
from torch import Tensor

from neurogloss.config.environment import memory_mb
from neurogloss.errors import UserError
from neurogloss.subject.neurons import find_neurons
from neurogloss.subject.units import Units

if TYPE_CHECKING:
    from neurogloss.subject.model import Subject

BATCH = 64
"""Excerpts in a forward pass."""


class DirectionFile(NamedTuple):
    """Directions of one layer."""

    layer: int
    vectors: Float32[np.ndarray, "direction neuron"]
    report: dict[str, Any] | None = None
    """How they were found: every round, and the scores before and after; None where the file does not say."""


@dataclass(frozen=True, eq=False)
class Directions(Units):
    """Directions in the space of the inputs of an MLP's output projection."""

    vectors: Float[Tensor, "direction neuron"]

    def values(self, seen: Float[Tensor, "excerpt token neuron"]) -> Float[Tensor, "excerpt token direction"]:
        """The scalar product with each direction, in float32."""
        return seen.float() @ self.vectors.T

    def replaced(
        self, seen: Float[Tensor, "row token neuron"], columns: Int[Tensor, " row"], values: Float[Tensor, "row token"]
    ) -> Float[Tensor, "row token neuron"]:
        """Moved along the direction until the scalar product is the other value."""
        along = self.vectors[columns]
        missing = values.float() - torch.einsum("rtn,rn->rt", seen.float(), along)
        return (seen.float() + (missing / along.square().sum(dim=-1, keepdim=True))[..., None] * along[:, None]).to(seen)


def find_directions(model: Any, site: str, path: Path) -> tuple[Units | None, ...]:
    """The directions of a file, at their layer; UserError where they do not fit the model."""
    file = read_directions(path)
    neurons = find_neurons(model, site)
    here = neurons[file.layer] if file.layer < len(neurons) else None
    if here is None or here.width != file.vectors.shape[1]:
        there = f"layer {file.layer} has {here.width} neurons" if here else f"there is no MLP in layer {file.layer}"
        raise UserError(f"{path} holds directions of {file.vectors.shape[1]} neurons, but {there}; make them anew for this subject")
    vectors = torch.from_numpy(file.vectors).to(next(model.parameters()).device)
    found: list[Units | None] = [None] * len(neurons)
    found[file.layer] = Directions(here.module, len(file.vectors), vectors)
    return tuple(found)


def read_directions(path: Path) -> DirectionFile:
    """A .npz file with `layer`, a whole number, and `vectors` (direction, neuron); `report` may be there. UserError for anything else, also
    for zeros."""
    try:
        with np.load(path, allow_pickle=False) as file:
            layer, vectors = int(file["layer"]), np.asarray(file["vectors"], np.float32)
            report = json.loads(str(file["report"])) if "report" in file else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} holds no directions ({' '.join(str(error).split())[:200]}); expected a .npz with layer and vectors"
        ) from error
    check_directions(vectors, str(path))
    return DirectionFile(layer, vectors, report if isinstance(report, dict) else None)


def check_directions(vectors: Float[np.ndarray, "direction neuron"], place: str) -> None:
    """UserError unless every direction is finite and not zero."""
    if vectors.ndim != 2 or not len(vectors):
        raise UserError(f"{place}: vectors are of shape {vectors.shape}, expected (directions, neurons)")
    bad = np.flatnonzero(~(np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)))
    if len(bad):
        raise UserError(f"{place}: direction {bad[0]} is {'all zeros' if not vectors[bad[0]].any() else 'not finite'}; leave it out")


def layer_activations(
    subject: "Subject", tokens: Int[np.ndarray, "excerpt token"], layer: int
) -> Float16[np.ndarray, "excerpt token neuron"]:
    """The neurons of a layer on excerpts. UserError where the layer has none, or memory no room for them."""
    width = subject.widths[layer] if layer < len(subject.widths) else 0
    if not width:
        raise UserError(
            f"directions.layer is {layer}, but the layers with neurons are {[n for n, one in enumerate(subject.widths) if one]}"
        )
    needed = 2 * tokens.size * width / 1e6
    if needed > memory_mb():
        raise UserError(
            f"the {width} neurons of layer {layer} on {len(tokens)} excerpts need {needed:,.0f} MB, NEUROGLOSS_MEMORY_MB is {memory_mb()}; "
            "raise it or record fewer excerpts"
        )
    found = np.empty((*tokens.shape, width), np.float16)
    for start in range(0, len(tokens), BATCH):
        part = slice(start, start + BATCH)

        def keep(_: int, seen: Tensor, part: slice = part) -> None:
            found[part] = seen.float().clamp(-65504, 65504).cpu().numpy()

        subject.activations(torch.from_numpy(tokens[part].astype(np.int64)), [layer], keep)
    return found
