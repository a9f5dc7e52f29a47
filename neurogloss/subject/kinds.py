"""Which units `subject.units` asks for."""

from pathlib import Path
from typing import Any

from neurogloss.artifacts.units import UnitKind
from neurogloss.config.subject import SubjectParams
from neurogloss.errors import UserError
from neurogloss.subject.directions import find_directions
from neurogloss.subject.heads import find_heads
from neurogloss.subject.neurons import find_neurons
from neurogloss.subject.sae.latents import find_latents
from neurogloss.subject.units import Units


def find_units(model: Any, params: SubjectParams) -> tuple[Units | None, ...]:
    """The units of each layer of the model, None where a layer has none; UserError where no layer has any."""
    kind = UnitKind(params.units)
    if params.signed and kind is not UnitKind.NEURONS:
        raise UserError(f"subject.signed is true, but {kind} have no negative side; set it to false or subject.units to neurons")
    if (params.sae is None) is (kind is UnitKind.LATENTS):
        missing = (
            "subject.units is latents, but subject.sae names no autoencoder or transcoder; name its folder, Hugging Face id or pypi: source"
        )
        raise UserError(missing if params.sae is None else f"subject.sae is set, but subject.units is {kind}; set it to latents")
    if (params.directions is None) is (kind is UnitKind.DIRECTIONS):
        unnamed = "subject.units is directions, but subject.directions names no file; `neurogloss directions` writes one"
        raise UserError(
            unnamed if params.directions is None else f"subject.directions is set, but subject.units is {kind}; set it to directions"
        )
    if params.directions is not None:
        return find_directions(model, params.site, Path(params.directions))
    if params.sae is not None:
        return find_latents(model, params.sae, params.model)
    return find_heads(model, params.site) if kind is UnitKind.HEADS else find_neurons(model, params.site, params.signed)
