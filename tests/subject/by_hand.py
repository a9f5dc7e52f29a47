"""Forward passes written by hand from the weights alone, to hold against what is recorded: no module is called, no hook set."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

Weights = dict[str, Tensor]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention; (batch, token, head, size) in, (batch, token, head * size) out. Keys are repeated for grouped heads."""
    k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], dim=2) for x in (k, v))
    logits = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    later = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
    shares = logits.masked_fill(later, -torch.inf).softmax(dim=-1)
    return torch.einsum("bhqk,bkhd->bqhd", shares, v).flatten(2)


def rotate(x: Tensor, base: float, size: int) -> Tensor:
    """Rotary position embedding of the first `size` numbers of each head; (batch, token, head, size)."""
    angles = torch.arange(x.shape[1])[:, None] / base ** (torch.arange(0, size, 2) / size)  # (token, size / 2)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    one, two, rest = x[..., : size // 2], x[..., size // 2 : size], x[..., size:]
    return torch.cat([one * cos - two * sin, two * cos + one * sin, rest], dim=-1)


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / (x.pow(2).mean(dim=-1, keepdim=True) + eps).sqrt() * weight


def normed(x: Tensor, w: Weights, name: str, eps: float = 1e-5) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return rms(centred, w[f"{name}.weight"], eps) + w[f"{name}.bias"]


def linear(x: Tensor, w: Weights, name: str) -> Tensor:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", torch.zeros(()))


def heads(x: Tensor, size: int) -> Tensor:
    return x.unflatten(-1, (-1, size))


def llama_like(w: Weights, config: Any, tokens: Tensor) -> list[Tensor]:
    """Llama, Mistral, Qwen2 (biases), Qwen3 (norms of queries and keys) and Gemma (scaled embeddings, norms around one, GELU)."""
    gemma = config.model_type == "gemma"
    one = 1.0 if gemma else 0.0
    act: Callable[[Tensor], Tensor] = (lambda x: functional.gelu(x, approximate="tanh")) if gemma else functional.silu
    size, eps, base = config.head_dim or config.hidden_size // config.num_attention_heads, config.rms_norm_eps, 10000.0
    x = w["model.embed_tokens.weight"][tokens] * (config.hidden_size**0.5 if gemma else 1.0)
    found = []
    for layer in range(config.num_hidden_layers):
        at = f"model.layers.{layer}"
        y = rms(x, w[f"{at}.input_layernorm.weight"] + one, eps)
        q, k, v = (heads(linear(y, w, f"{at}.self_attn.{part}_proj"), size) for part in "qkv")
        if config.model_type == "qwen3":
            q, k = rms(q, w[f"{at}.self_attn.q_norm.weight"], eps), rms(k, w[f"{at}.self_attn.k_norm.weight"], eps)
        x = x + linear(attend(rotate(q, base, size), rotate(k, base, size), v), w, f"{at}.self_attn.o_proj")
        y = rms(x, w[f"{at}.post_attention_layernorm.weight"] + one, eps)
        inner = act(linear(y, w, f"{at}.mlp.gate_proj")) * linear(y, w, f"{at}.mlp.up_proj")
        found.append(inner)
        x = x + linear(inner, w, f"{at}.mlp.down_proj")
    return found


def gpt2(w: Weights, config: Any, tokens: Tensor) -> list[Tensor]:
    """GPT-2: learned positions, joint projection, weights as (inputs, outputs), tanh GELU."""
    x = w["transformer.wte.weight"][tokens] + w["transformer.wpe.weight"][: tokens.shape[1]]
    found = []
    for layer in range(config.n_layer):
        at = f"transformer.h.{layer}"
        joint = normed(x, w, f"{at}.ln_1") @ w[f"{at}.attn.c_attn.weight"] + w[f"{at}.attn.c_attn.bias"]
        q, k, v = (heads(part, config.n_embd // config.n_head) for part in joint.chunk(3, dim=-1))
        x = x + attend(q, k, v) @ w[f"{at}.attn.c_proj.weight"] + w[f"{at}.attn.c_proj.bias"]
        inner = functional.gelu(normed(x, w, f"{at}.ln_2") @ w[f"{at}.mlp.c_fc.weight"] + w[f"{at}.mlp.c_fc.bias"], approximate="tanh")
        found.append(inner)
        x = x + inner @ w[f"{at}.mlp.c_proj.weight"] + w[f"{at}.mlp.c_proj.bias"]
    return found


def gpt_neox(w: Weights, config: Any, tokens: Tensor) -> list[Tensor]:
    """GPT-NeoX: queries, keys and values side by side in each head, a quarter of each rotated, attention and MLP in parallel."""
    size = config.hidden_size // config.num_attention_heads
    x = w["gpt_neox.embed_in.weight"][tokens]
    found = []
    for layer in range(config.num_hidden_layers):
        at = f"gpt_neox.layers.{layer}"
        q, k, v = heads(linear(normed(x, w, f"{at}.input_layernorm"), w, f"{at}.attention.query_key_value"), 3 * size).split(size, dim=-1)
        attended = linear(attend(rotate(q, 10000.0, size // 4), rotate(k, 10000.0, size // 4), v), w, f"{at}.attention.dense")
        inner = functional.gelu(linear(normed(x, w, f"{at}.post_attention_layernorm"), w, f"{at}.mlp.dense_h_to_4h"))
        found.append(inner)
        x = x + attended + linear(inner, w, f"{at}.mlp.dense_4h_to_h")
    return found


def opt(w: Weights, config: Any, tokens: Tensor) -> list[Tensor]:
    """OPT: learned positions counted from two, biases everywhere, ReLU."""
    x = w["model.decoder.embed_tokens.weight"][tokens] + w["model.decoder.embed_positions.weight"][2 : tokens.shape[1] + 2]
    size = config.hidden_size // config.num_attention_heads
    found = []
    for layer in range(config.num_hidden_layers):
        at = f"model.decoder.layers.{layer}"
        y = normed(x, w, f"{at}.self_attn_layer_norm")
        q, k, v = (heads(linear(y, w, f"{at}.self_attn.{part}_proj"), size) for part in "qkv")
        x = x + linear(attend(q, k, v), w, f"{at}.self_attn.out_proj")
        inner = linear(normed(x, w, f"{at}.final_layer_norm"), w, f"{at}.fc1").relu()
        found.append(inner)
        x = x + linear(inner, w, f"{at}.fc2")
    return found
