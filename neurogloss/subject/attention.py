"""What attention heads read: for a query the keys that make up most of what the head writes there.

The value of a pair is the norm of what the head writes at the query for that key, a·‖Wv‖ (transformer-debugger). It needs the attention
weights, which the eager attention of each architecture gives; it runs in place of the usual one while the block runs.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from neurogloss.config.environment import threads
from neurogloss.errors import UserError
from neurogloss.parallel import ordered_parallel_map
from neurogloss.subject.heads import Heads
from neurogloss.subject.model import Subject

NAME = "neurogloss_watched"
Watch = Callable[[int, Float[Tensor, "excerpt head query key"], Float[Tensor, "excerpt head key size"]], None]
"""Given a layer, its attention weights and its values, those of grouped queries repeated."""


watching: ContextVar[Watch | None] = ContextVar("watching", default=None)
"""What this thread's forward pass shows its attention to; other threads may run the same model at the same time."""


@contextmanager
def watched(model: Any) -> Iterator[None]:
    """Show every layer's attention to `watching` while the block runs.

    UserError where the architecture's attention is not transformers' own.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> tuple[Tensor, Tensor]:
        eager = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
        if eager is None:
            raise UserError(f"{type(module).__name__} does not show its attention weights; set subject.units to neurons or latents")
        written, weights = eager(module, query, key, value, mask, **options)
        if (watch := watching.get()) is not None:
            watch(int(module.layer_idx), weights, value.repeat_interleave(query.shape[1] // value.shape[1], dim=1))
        return written, weights

    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    usual = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


Take = Callable[[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"], Float[Tensor, "pair query key"]], None]
"""Given heads (by row), their slots, and the norms of all (query, key) pairs of the excerpt that stands there."""
AT_ONCE = 512
"""Tokens in a forward pass: attention weights are held of all its layers."""


def visit_pairs(
    subject: Subject,
    tokens: Int[np.ndarray, "excerpt token"],
    layers: Int[np.ndarray, " head"],
    indices: Int[np.ndarray, " head"],
    excerpts: Int[np.ndarray, "head slot"],
    take: Take,
) -> None:
    """Show the pairs of each head (a layer and an index) on its own excerpts, which are rows of `tokens`; each excerpt is read once.

    Batches are read side by side: `take` is called by several threads, for each head and slot once.
    """
    units = {int(layer): one for layer in np.unique(layers) if isinstance(one := subject.units[layer], Heads)}
    order = np.argsort(excerpts.ravel(), kind="stable")
    of = excerpts.ravel()[order]
    rows, slots = np.divmod(order, excerpts.shape[1])
    needed = np.unique(of)
    size = max(1, AT_ONCE // tokens.shape[1])

    def read(batch: Int[np.ndarray, " excerpt"]) -> None:
        part = slice(*np.searchsorted(of, [batch[0], batch[-1] + 1]))

        def show(layer: int, pairs: Tensor) -> None:
            here = np.flatnonzero(layers[rows[part]] == layer)
            row, slot = rows[part][here], slots[part][here]
            at = (np.searchsorted(batch, of[part][here]), indices[row])
            take(row, slot, pairs.cpu()[tuple(torch.from_numpy(one.astype(np.int64)) for one in at)])

        pair_norms(subject, units, torch.from_numpy(tokens[batch].astype(np.int64)), show)

    batches = [needed[start : start + size] for start in range(0, len(needed), size)]
    with watched(subject.model):
        done = ordered_parallel_map(
            read, batches, threads() if subject.model.device.type == "cpu" else 1, partial(torch.set_num_threads, 1)
        )
        for _ in tqdm(done, total=len(batches), desc="attention", unit=" batches", delay=5):
            pass


def pairs_of(
    subject: Subject,
    tokens: Int[np.ndarray, "excerpt token"],
    layers: Int[np.ndarray, " head"],
    indices: Int[np.ndarray, " head"],
    excerpts: Int[np.ndarray, "head slot"],
) -> Float[np.ndarray, "head slot query key"]:
    """All pairs of each head on its excerpts, in float16."""
    found = np.zeros((*excerpts.shape, tokens.shape[1], tokens.shape[1]), np.float16)

    def take(rows: Int[np.ndarray, " pair"], slots: Int[np.ndarray, " pair"], pairs: Tensor) -> None:
        found[rows, slots] = pairs.clamp_max(65504).numpy()

    visit_pairs(subject, tokens, layers, indices, excerpts, take)
    return found


def pair_norms(
    subject: Subject, units: dict[int, Heads], tokens: Int[Tensor, "excerpt token"], take: Callable[[int, Tensor], None]
) -> None:
    """Run excerpts through the subject, which must be `watched`; `take` is given each layer's (excerpt, head, query, key) norms.

    A BOS before the text is left out.
    """
    skipped = 0 if subject.bos is None else 1
    if subject.bos is not None:
        tokens = torch.cat([torch.full((len(tokens), 1), subject.bos, dtype=tokens.dtype), tokens], dim=1)

    def watch(layer: int, weights: Tensor, values: Tensor) -> None:
        if layer in units:
            sizes = torch.linalg.vector_norm(torch.einsum("bhks,hrs->bhkr", values.float(), units[layer].roots), dim=-1)
            take(layer, (weights.float() * sizes[:, :, None])[:, :, skipped:, skipped:])

    before = watching.set(watch)
    try:
        with torch.inference_mode():
            subject.model.base_model(input_ids=tokens.to(subject.model.device), use_cache=False)
    finally:
        watching.reset(before)
