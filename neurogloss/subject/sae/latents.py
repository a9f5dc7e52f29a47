"""Latents of sparse autoencoders and transcoders as units: few of them fire, so their values are handed on sparse."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neurogloss.config.subject import SaeParams
from neurogloss.errors import UserError
from neurogloss.subject.handles import alter_after, alter_stream
from neurogloss.subject.sae.coder import AT_ONCE
from neurogloss.subject.sae.files import HELP, PICKLES, CoderFile
from neurogloss.subject.sae.places import BEFORE_MLP, Place, find_place, to_stream, width_there
from neurogloss.subject.sae.saelens import read_saelens
from neurogloss.subject.sae.scopes import read_gemma_scope, read_llama_scope
from neurogloss.subject.sae.sources import resolve_coder
from neurogloss.subject.sae.sparsify import read_sparsify
from neurogloss.subject.sites import block_path
from neurogloss.subject.units import Units

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Latents(Units):
    """The latents of one layer."""

    file: CoderFile
    place: Place
    target: Place
    """What they are to reconstruct: `place` itself, or what a transcoder predicts."""

    @property
    def reads_output(self) -> bool:
        """Whether the module's output is read, and not its input."""
        return self.place.output

    @property
    def held(self) -> int:
        """The coder sees some tokens at a time; the model's own layers hold about four times its width."""
        return max(4 * self.file.coder.encoder.shape[0], AT_ONCE // 4096)

    @property
    def sparse(self) -> bool:
        """Values come as a sparse tensor."""
        return True

    def writes(self, model: Any, columns: Tensor) -> Float[Tensor, "unit width"] | None:
        """Rows of the decoder, brought from where the coder writes to the residual stream."""
        return to_stream(model, self.target, self.file.coder.writes[columns])

    @property
    def transcodes(self) -> bool:
        """Whether what the latents write is added elsewhere than where they read."""
        return (self.place.module, self.place.output) != (self.target.module, self.target.output)

    def replaced(
        self, seen: Float[Tensor, "row token size"], columns: Int[Tensor, " row"], values: Float[Tensor, "row token"]
    ) -> Float[Tensor, "row token size"]:
        """The stream goes on with (other value - value) times the latent's row of the decoder: the error of the reconstruction stays.

        Of a transcoder `seen` is what it reads and, after it, what its target gives or is given, which is what changes.
        """
        size, length = self.file.coder.encoder.shape[0], seen.shape[1]
        rows = self.place.read(seen[..., :size].reshape(-1, size).float())
        added = self.file.coder.changed(rows, columns.repeat_interleave(length), values.float().reshape(-1))
        added = self.target.back(added).reshape(*seen.shape[:2], -1)
        whole = torch.nn.functional.pad(added, (size, 0)) if self.transcodes else added
        return (seen.float() + whole).to(seen)

    def alter(self, model: Any, change: Callable[[Tensor], Tensor]) -> Any:
        """Of a transcoder the target changes, by what was read before; of a residual stream all that goes on with it."""
        if self.target.layer != self.place.layer:
            raise UserError(
                f"the transcoder reads layer {self.place.layer} and writes to layer {self.target.layer}; ablation needs both in one layer"
            )
        if self.transcodes:
            places = [(place.module, place.output) for place in (self.place, self.target)]
            return alter_after(model, places[0], places[1], change)
        if not self.place.output and self.module.rpartition(".")[2] in BEFORE_MLP:
            return alter_stream(model, self.module, block_path(self.module, self.place.layer), change)
        return super().alter(model, change)

    def values(self, seen: Float[Tensor, "excerpt token size"]) -> Float[Tensor, "excerpt token latent"]:
        """A sparse COO tensor, coalesced; UserError where what is read is not finite: a comparison would hide that."""
        excerpts, length, size = seen.shape
        rows = self.place.read(seen.reshape(-1, size).float())
        if not torch.isfinite(rows).all():
            raise UserError(f"{self.module} gives NaN or infinite activations; try subject.dtype float32")
        fired = self.file.coder.fire(rows)
        indices = torch.stack([fired.rows // length, fired.rows % length, fired.latents])
        shape = (excerpts, length, self.width)
        return torch.sparse_coo_tensor(indices, fired.values, shape, is_coalesced=True, check_invariants=False)


def find_latents(model: Any, params: SaeParams, name: str) -> tuple[Units | None, ...]:
    """The latents of each layer, None where no coder reads; `name` is what the subject is called, for a warning about another model."""
    layers = int(model.config.get_text_config().num_hidden_layers)
    found: list[Units | None] = [None] * layers
    for source in params.sources:
        latents = latents_of(model, params, source, name)
        layer = latents.place.layer
        if layer >= layers or found[layer] is not None:
            why = f"the subject has layers 0 to {layers - 1}" if layer >= layers else "another one reads there, too"
            raise UserError(f"subject.sae: {source} reads layer {layer}, but {why}; leave it out")
        found[layer] = latents
    return tuple(found)


def latents_of(model: Any, params: SaeParams, source: str, name: str) -> Latents:
    """The latents of one coder; UserError where it does not fit the model."""
    file = read_coder(resolve_coder(source, params.revision, params.sha256), source)
    hook = file.hook if params.hook == "auto" else params.hook
    if hook is None:
        raise UserError(f"subject.sae: {source} does not say where it reads; set subject.sae.hook, such as blocks.5.hook_resid_post")
    if file.notes.get("head") is not None:
        raise UserError(f"subject.sae: {source} reads one head alone, which is not supported; choose one of a whole layer")
    place = find_place(model, hook)
    target = find_place(model, file.hook_out) if file.hook_out else place
    size, there = file.coder.encoder.shape[0], width_there(model, place)
    if size != there:
        raise UserError(f"subject.sae: {source} reads {size} numbers, {place.module} of the subject has {there}; it is of another model")
    if file.model and plain(file.model) not in plain(name) and plain(name) not in plain(file.model):
        logger.warning("subject.sae: %s was trained on %s, the subject is %s; its latents may mean nothing here", source, file.model, name)
    coder = file.coder.to(model.device)
    return Latents(place.module, coder.encoder.shape[1], CoderFile(**{**vars(file), "coder": coder}), place, target)


def read_coder(path: Path, source: str) -> CoderFile:
    """Read a folder or a file of any known format; UserError where it is none."""
    if path.is_file():
        if path.suffix in (".npz", ".safetensors") and path.name.startswith("params"):
            return read_gemma_scope(path, source)
        if path.suffix in PICKLES:
            raise UserError(f"subject.sae: {source} is a pickle, which can run code; convert it to safetensors")
        path = path.parent
    if (path / "hyperparams.json").is_file():
        return read_llama_scope(path)
    for params in ("params.npz", "params.safetensors"):
        if (path / params).is_file():
            return read_gemma_scope(path / params, source)
    if (path / "cfg.json").is_file():
        return read_sparsify(path) if (path / "sae.safetensors").is_file() else read_saelens(path)
    there = sorted(file.name for file in path.iterdir())[:5]
    pickles = [name for name in there if name.endswith(PICKLES)]
    if pickles:
        raise UserError(f"subject.sae: {source} holds pickles ({pickles[0]}), which can run code; convert them to safetensors")
    raise UserError(f"subject.sae: {source} holds {', '.join(there) or 'nothing'}, {HELP}")


def plain(name: str) -> str:
    """A model's name without owner, case and punctuation.

    >>> plain("google/gemma-2-2b")
    'gemma22b'
    """
    return re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].lower().removesuffix(".gguf"))
