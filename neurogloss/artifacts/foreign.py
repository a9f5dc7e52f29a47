"""Read the public JSON formats of Bills et al. 2023, old field names included.

Unknown fields are ignored, NaN and null are None, a layer may be a string. What is not of this form is a UserError with its path.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from neurogloss.errors import UserError


def finite(value: object) -> object:
    """NaN and infinities become None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(finite)]


class Foreign(BaseModel):
    """Something of another project's making."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NeuronIdIn(Foreign):
    """Which neuron."""

    layer_index: int = Field(validation_alias=AliasChoices("layer_index", "layer"), ge=0)
    neuron_index: int = Field(validation_alias=AliasChoices("neuron_index", "idx"), ge=0)


class ActivationRecordIn(Foreign):
    """One excerpt."""

    tokens: list[str]
    activations: list[float | None]

    @property
    def usable(self) -> bool:
        """Whether every token has a number."""
        return len(self.tokens) == len(self.activations) > 0 and all(a is not None and math.isfinite(a) for a in self.activations)


class NeuronRecordIn(Foreign):
    """A neuron's statistics and excerpts."""

    neuron_id: NeuronIdIn
    random_sample: list[ActivationRecordIn] = []
    most_positive_activation_records: list[ActivationRecordIn] = []
    mean: Number = None
    variance: Number = None
    skewness: Number = None
    kurtosis: Number = None


class ScoredSimulationIn(Foreign):
    """What was measured of an explanation."""

    ev_correlation_score: Number = None


class ScoredExplanationIn(Foreign):
    """An explanation with its published score."""

    explanation: str = Field(validation_alias=AliasChoices("explanation", "explanation_or_baseline"))
    scored_simulation: ScoredSimulationIn = ScoredSimulationIn()


class NeuronSimulationResultsIn(Foreign):
    """All explanations of a neuron."""

    neuron_id: NeuronIdIn
    scored_explanations: list[ScoredExplanationIn] = Field(
        validation_alias=AliasChoices("scored_explanations", "scored_explanation_or_baseline_list")
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files are: LAYER/NEURON.json, and LAYER/NEURON.jsonl where there are explanations."""

    activations: Path
    explanations: Path


Model = TypeVar("Model", bound=Foreign)


def open_source(path: Path) -> Source:
    """Find the folders; `path` is what the export wrote, a copy of the public layout, or the folder of the layers itself."""
    if not path.is_dir():
        raise UserError(f"{path} is not a folder, expected one with LAYER/NEURON.json in it")
    nested = path / "collated-activations"
    return Source(nested, path / "explanations") if nested.is_dir() else Source(path, path.parent / "explanations")


def numbered(folder: Path, ending: str) -> list[Path]:
    """Files LAYER/NEURON.ending, by layer and neuron."""
    found = [path for path in folder.glob(f"*/*.{ending}") if path.stem.isdecimal() and path.parent.name.isdecimal()]
    return sorted(found, key=lambda path: (int(path.parent.name), int(path.stem)))


def read_neuron(path: Path) -> NeuronRecordIn:
    """One NeuronRecord."""
    return parsed(NeuronRecordIn, path, path.read_bytes())


def read_explained(path: Path) -> list[NeuronSimulationResultsIn]:
    """Every line of NeuronSimulationResults."""
    return [parsed(NeuronSimulationResultsIn, path, line) for line in path.read_bytes().splitlines() if line.strip()]


def parsed(kind: type[Model], path: Path, text: bytes) -> Model:
    """Check the form; UserError with the path and the first problem."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path} is not a {kind.__name__.removesuffix('In')}: {place}: {first['msg'].lower()}") from error
