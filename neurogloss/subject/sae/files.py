"""Reading the files of a coder: JSON, safetensors and .npz, never a pickle, everything checked before it is believed."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurogloss.errors import UserError
from neurogloss.subject.sae.coder import Coder

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")
HELP = "expected a folder of SAELens, sparsify, Gemma Scope or Llama Scope (docs/units.md)"


@dataclass(frozen=True)
class CoderFile:
    """A coder and what its files say of it."""

    coder: Coder
    format: str
    hook: str | None
    """Where it reads: a name of TransformerLens, or a module path ending in .input or .output; None where the files do not say."""
    hook_out: str | None = None
    """What a transcoder predicts; None for an autoencoder."""
    model: str | None = None
    """The model it was trained on."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What else a reader of the recordings wants to know."""


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"subject.sae: {path} is not readable JSON ({error}); fetch it again") from error
    if not isinstance(found, dict):
        raise UserError(f"subject.sae: {path} holds {type(found).__name__}, expected an object")
    return found


def read_weights(path: Path) -> dict[str, Tensor]:
    """Arrays by name, in float32; UserError where one is not finite or the file is none of safetensors and .npz."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                found = {name: torch.from_numpy(np.asarray(archive[name], np.float32)) for name in archive.files}
        else:
            found = {name: tensor.float() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"subject.sae: {path} is cut short or holds pickled objects ({first_line(error)}); fetch it again") from error
    for name, tensor in found.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"subject.sae: {name} of {path} holds NaN or infinity; the file is damaged, fetch it again")
    return found


def first_line(error: Exception) -> str:
    """The beginning of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def weights_file(folder: Path, *names: str) -> Path:
    """The first of these files; UserError where there is none, with a word on pickles."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    pickles = sorted(file.name for file in folder.rglob("*") if file.suffix in PICKLES)
    if pickles:
        raise UserError(f"subject.sae: {folder} has its weights as pickles ({pickles[0]}), which can run code; convert them to safetensors")
    raise UserError(f"subject.sae: {folder} has a config but no weights, expected {' or '.join(names)}; fetch the folder again")


def take(weights: Mapping[str, Tensor], path: Path, **shapes: tuple[int | None, ...]) -> dict[str, Tensor]:
    """Arrays of these names and shapes (None: any size); UserError with every one that is missing or of another shape."""
    problems = []
    for name, shape in shapes.items():
        if name not in weights:
            problems.append(f"{name} is missing")
        elif len(weights[name].shape) != len(shape) or any(s not in (None, n) for s, n in zip(shape, weights[name].shape, strict=True)):
            wanted = tuple("any" if size is None else size for size in shape)
            problems.append(f"{name} is {tuple(weights[name].shape)}, expected {wanted}")
    if problems:
        raise UserError(f"subject.sae: {path} does not fit its config: {'; '.join(problems)}; fetch it again or correct the config")
    return {name: weights[name] for name in shapes}


def number(config: Mapping[str, Any], key: str, path: Path) -> int:
    """A count of a config."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"subject.sae: {key} of {path} is {value!r}, expected a whole number above zero")
    return value
