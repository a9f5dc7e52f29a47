"""Units recorded anywhere, as JSONL: one unit a line, with its explanations and excerpts.

    {"unit": "L5.N131", "explanation": "words for boats", "excerpts": [{"tokens": [" a", " boat"], "activations": [0.0, 3.1]}]}

`unit` (or `neuron`) names it, else its line number does. `explanation` is one sentence, `explanations` several. An excerpt needs `tokens`
(text) and as many `activations`, in any unit; `levels` (0 to 10), if given, are what a careful reader simulates. Excerpts may be of any
length. Other keys are ignored.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from neurogloss.errors import UserError

SHOWN_PROBLEMS = 10
Level = Annotated[float, Field(ge=0, le=10)]


class JudgedExcerpt(BaseModel):
    """Some text as tokens, with what the unit did on each."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    tokens: Annotated[list[str], Field(min_length=1)]
    activations: list[FiniteFloat]
    levels: list[Level] | None = None

    @model_validator(mode="after")
    def as_many(self) -> Self:
        """One activation, and where there are levels one level, for each token."""
        for what, values in (("activations", self.activations), ("levels", self.levels)):
            if values is not None and len(values) != len(self.tokens):
                raise PydanticCustomError(
                    "length", "{tokens} tokens but {count} {what}", {"tokens": len(self.tokens), "count": len(values), "what": what}
                )
        return self

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """The tokens as bytes; a lone surrogate becomes a question mark."""
        return tuple(token.encode("utf-8", errors="replace") for token in self.tokens)


class JudgedUnit(BaseModel):
    """A unit with one explanation or several."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    unit: str
    explanations: Annotated[list[str], Field(min_length=1)]
    excerpts: Annotated[list[JudgedExcerpt], Field(min_length=1)]

    @property
    def recorded(self) -> np.ndarray:
        """Activations of all excerpts, one after the other (token)."""
        return np.concatenate([excerpt.activations for excerpt in self.excerpts])

    @property
    def labelled(self) -> np.ndarray | None:
        """What a reader simulates, one excerpt after the other (token); None unless every excerpt has it."""
        levels = [excerpt.levels for excerpt in self.excerpts if excerpt.levels is not None]
        return np.concatenate(levels) if len(levels) == len(self.excerpts) else None


def read_units(path: Path) -> list[JudgedUnit]:
    """Read the file; raises UserError with the first problems, each with its line."""
    units, problems = [], []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        units.append(unit_of(line, number))
                    except ValidationError as error:
                        problems += [f"line {number}: {problem(found)}" for found in error.errors()]
                    except (ValueError, RecursionError) as error:
                        problems.append(f"line {number}: {' '.join(str(error).split())[:200]}")
                if len(problems) >= SHOWN_PROBLEMS:
                    break
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if problems:
        raise UserError(f"{path} has problems:\n" + "\n".join(f"  {line}" for line in problems[:SHOWN_PROBLEMS]))
    if not units:
        raise UserError(f"{path} holds no unit; expected JSON lines with explanation and excerpts")
    return units


def unit_of(line: bytes, number: int) -> JudgedUnit:
    """One line; raises ValidationError or ValueError for what is not a unit."""
    value = json.loads(line, parse_constant=not_a_number)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {type(value).__name__}")
    one, several = value.get("explanation"), value.get("explanations")
    if (one is None) == (several is None):
        raise ValueError("expected either explanation or explanations")
    return JudgedUnit.model_validate(
        {
            "unit": str(value.get("unit", value.get("neuron", f"line {number}"))),
            "explanations": several if one is None else [one],
            "excerpts": value.get("excerpts"),
        }
    )


def not_a_number(text: str) -> None:
    """JSON has no NaN and no infinity."""
    raise ValueError(f"{text} is not a number in JSON")


def problem(found: Any) -> str:
    """Where and what, in a line."""
    place = ".".join(str(part) for part in found["loc"])
    return f"{place + ': ' if place else ''}{found['msg'][:1].lower()}{found['msg'][1:]}"
