"""Attention heads: the value of a head at a token is the norm of what it writes into the residual stream there.

With z the head's slice of what goes into the attention's output projection and W the projection's columns for it, that is ‖Wz‖ = ‖Rz‖
where W = QR: so no write has to be made in full. A norm after the attention (Gemma 2, OLMo 2) is not part of it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neurogloss.errors import UserError
from neurogloss.subject.lens import added_by_attention, by_input
from neurogloss.subject.sites import Sites, find_sites, layer_of, width
from neurogloss.subject.units import Units

LLAMA_LIKE = "model.layers.{layer}.self_attn.o_proj"
PATHS = {
    "gpt2": "transformer.h.{layer}.attn.c_proj",
    "gpt_neo": "transformer.h.{layer}.attn.attention.out_proj",
    "gpt_bigcode": "transformer.h.{layer}.attn.c_proj",
    "gptj": "transformer.h.{layer}.attn.out_proj",
    "codegen": "transformer.h.{layer}.attn.out_proj",
    "gpt_neox": "gpt_neox.layers.{layer}.attention.dense",
    "bloom": "transformer.h.{layer}.self_attention.dense",
    "falcon": "transformer.h.{layer}.self_attention.dense",
    "opt": "model.decoder.layers.{layer}.self_attn.out_proj",
    "phi": "model.layers.{layer}.self_attn.dense",
    **dict.fromkeys(
        (
            *("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text", "phi3", "smollm3", "starcoder2"),
            *("olmo", "olmo2", "olmo3", "stablelm", "cohere", "cohere2", "granite"),
        ),
        LLAMA_LIKE,
    ),
}
ATTENTION = Sites("output projection of the attention", PATHS, LLAMA_LIKE)


@dataclass(frozen=True, eq=False)
class Heads(Units):
    """The heads of one layer; where queries are grouped, every query head is one."""

    roots: Float[Tensor, "head size size"]
    """R of each head."""

    def values(self, seen: Float[Tensor, "excerpt token slices"]) -> Float[Tensor, "excerpt token head"]:
        """The norm of each head's write, in float32."""
        slices = seen.float().reshape(*seen.shape[:-1], self.width, -1)
        written: Tensor = torch.linalg.vector_norm(torch.einsum("bths,hrs->bthr", slices, self.roots), dim=-1)
        return written

    def replaced(
        self, seen: Float[Tensor, "row token slices"], columns: Int[Tensor, " row"], values: Float[Tensor, "row token"]
    ) -> Float[Tensor, "row token slices"]:
        """The head writes in its direction with another norm; what it does not write at all has no direction and stays nothing."""
        slices = seen.reshape(*seen.shape[:2], self.width, -1).clone()
        rows = torch.arange(len(seen), device=seen.device)
        own = slices[rows, :, columns]
        norms = torch.einsum("rts,rus->rtu", own.float(), self.roots[columns]).norm(dim=-1)
        scale = torch.where(norms > 0, values.float().clamp_min(0) / norms.clamp_min(torch.finfo(torch.float32).tiny), 0)
        slices[rows, :, columns] = (own.float() * scale[..., None]).to(own)
        return slices.reshape(seen.shape)

    def strongest_writes(self, model: Any, seen: Float[Tensor, "excerpt token slices"], count: int) -> Float[Tensor, "head width"]:
        """The sum of the directions of what each head writes where its norm is largest, as the residual stream gets them."""
        norms = self.values(seen).flatten(0, 1)  # (token, head)
        slices = seen.float().reshape(len(norms), self.width, -1)
        best = norms.topk(min(count, len(norms)), dim=0)
        weights = 1 / best.values.clamp_min(1e-9)
        taken = slices.gather(0, best.indices[..., None].expand(-1, -1, slices.shape[-1]))  # (kept, head, size)
        summed = (taken * weights[..., None]).sum(dim=0)
        rows = by_input(model.get_submodule(self.module)).reshape(self.width, slices.shape[-1], -1)
        return added_by_attention(model, layer_of(self.module), self.module, torch.einsum("hs,hsw->hw", summed, rows))


def find_heads(model: Any, site: str = "auto") -> tuple[Units | None, ...]:
    """The heads of each layer, None where it has none; UserError where the model does not keep its heads apart."""
    paths = find_sites(model, site, ATTENTION)
    return tuple(heads_at(model, path) if path else None for path in paths)


def heads_at(model: Any, path: str) -> Heads:
    """The heads whose slices side by side go into the projection at a path."""
    config, inputs = model.config.get_text_config(), width(model, path, ATTENTION.what)
    count = getattr(config, "num_attention_heads", None)
    if not isinstance(count, int) or count < 1 or inputs % count:
        raise UserError(
            f"{path} has {inputs} inputs and the model's config names {count or 'no'} attention heads: they are not side by side there; "
            "set subject.units to neurons"
        )
    module = model.get_submodule(path)
    weight = module.weight.float()
    weight = weight if hasattr(module, "in_features") else weight.T  # GPT-2's Conv1D holds (inputs, outputs).
    slices = weight.reshape(len(weight), count, -1).transpose(0, 1)  # (outputs, head, size) -> (head, outputs, size)
    return Heads(path, count, torch.linalg.qr(slices.cpu()).R.to(weight.device))
