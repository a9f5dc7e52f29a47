"""Forward passes of a causal model that compute a shared beginning once, and the head only where its answer is wanted."""

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neurogloss.errors import UserError

Ids = list[int]


def common(one: Ids, other: Ids) -> int:
    """Length of the common beginning.

    >>> common([1, 2, 3], [1, 2, 4, 5])
    2
    """
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


class Place(NamedTuple):
    """Where in a batch the head is computed."""

    row: int
    token: int


@dataclass
class Prefix:
    """Tokens that were computed, with their keys and values; `cache` is None for no tokens."""

    ids: Ids
    cache: Any


class Prefixes:
    """A model with what it computed of the latest beginnings. `computed` counts the tokens that went through it."""

    def __init__(self, model: Any) -> None:
        if "past_key_values" not in inspect.signature(model.forward).parameters:
            raise UserError(f"{type(model).__name__} keeps no keys and values of its attention; name a transformer under models")
        self.model = model
        self.head = model.get_output_embeddings()
        self.latest = Prefix([], None)
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        self.computed = 0

    def shared(self, ids: Ids) -> Prefix:
        """The computed prefix, taking up the latest one as far as it goes. Do not change it: `copied` first."""
        reused = common(self.latest.ids, ids)
        if reused < len(self.latest.ids):
            self.latest = cropped(self.latest, reused)
        self.latest = self.extended(self.latest, ids)
        return self.latest

    def extended(self, prefix: Prefix, ids: Ids) -> Prefix:
        """The prefix going on with the rest of `ids`; the given one is used up."""
        rest = ids[len(prefix.ids) :]
        if not rest:
            return prefix
        _, cache = self.forward(torch.tensor([rest]), prefix.cache, [Place(0, len(rest) - 1)])
        return Prefix(ids, cache)

    def forward(
        self,
        ids: Int[Tensor, "batch token"],
        cache: Any,
        wanted: list[Place],
        mask: Int[Tensor, "batch seen"] | None = None,
        positions: Int[Tensor, "batch token"] | None = None,
    ) -> tuple[Float[Tensor, "wanted vocabulary"], Any]:
        """Logits after each wanted place, and the cache, which has grown by these tokens.

        `mask` (0 for padding) covers cache and tokens; without it there is no padding but perhaps at the right.
        """
        device = self.model.device
        options = {} if mask is None else {"attention_mask": mask.to(device)}
        if positions is not None:
            options["position_ids"] = positions.to(device)
        self.computed += ids.numel()
        with torch.inference_mode(), self.gathered(wanted):
            found = self.model(input_ids=ids.to(device), past_key_values=cache, use_cache=True, **options)
        logits = found.logits if self.head is None else found.logits[0]
        if self.head is None:
            logits = logits[[place.row for place in wanted], [place.token for place in wanted]]
        return logits.float(), found.past_key_values

    @contextmanager
    def gathered(self, wanted: list[Place]) -> Iterator[None]:
        """Hand the head only the wanted hidden states, as one row: what follows the head (scaling, capping) goes element by element."""
        if self.head is None:
            yield
            return
        rows, tokens = [place.row for place in wanted], [place.token for place in wanted]

        def only_wanted(_: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
            return (inputs[0][rows, tokens][None],)  # (batch, token, width) -> (1, wanted, width)

        handle = self.head.register_forward_pre_hook(only_wanted)
        try:
            yield
        finally:
            handle.remove()

    def bytes_per_token(self) -> int:
        """Memory that keys and values of one token take."""
        config = self.model.config.get_text_config()
        attention = getattr(config, "num_attention_heads", None) or 1
        heads = getattr(config, "num_key_value_heads", None) or attention
        size = getattr(config, "head_dim", None) or config.hidden_size // attention
        return int(2 * config.num_hidden_layers * heads * size * self.model.dtype.itemsize)


def cropped(prefix: Prefix, length: int) -> Prefix:
    """The first tokens of a prefix; nothing of it where its cache cannot be shortened."""
    if prefix.cache is None or length == 0 or not prefix.cache.is_croppable or any(prefix.cache.is_sliding):
        return Prefix([], None)
    prefix.cache.crop(length - len(prefix.ids))
    return Prefix(prefix.ids[:length], prefix.cache)


def copied(prefix: Prefix, rows: int = 1) -> Any:
    """A cache of its own for each of some rows."""
    if prefix.cache is None:
        return None
    cache = copy.deepcopy(prefix.cache)
    if rows > 1:
        cache.batch_repeat_interleave(rows)
    return cache
