"""What every section of params.yaml is made of."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of params.yaml: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
