"""What changes in the subject's predictions when units get other values: Jensen-Shannon divergence of next-token distributions.

Each excerpt runs once as it is. At the block of a layer that holds a changed unit, a copy of what goes into the block joins the batch for
every change, gets the unit's other values inside the block, and goes up from there with the rest: nothing below is computed again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor
from tqdm import tqdm

from neurogloss.errors import UserError
from neurogloss.subject.changes import Change
from neurogloss.subject.divergence import mean_divergences
from neurogloss.subject.model import Subject
from neurogloss.subject.sites import block_path

ROWS_AT_ONCE = 96
"""Sequences that go through the last block together, at most, unless a single excerpt has more changes."""


def divergences(subject: Subject, tokens: Int[np.ndarray, "excerpt token"], changes: Sequence[Change]) -> Float64[np.ndarray, " change"]:
    """Of each change the divergence between the changed and the clean distribution of the next token, averaged over the tokens, in nats.

    What stands before an excerpt (BOS) keeps its values and is left out. UserError where the units or the model cannot be changed.
    """
    found = np.full(len(changes), np.nan)
    bar = tqdm(total=len(changes), desc="ablate", unit=" runs", delay=5)
    for part in batches(changes):
        rows = sorted({changes[at].excerpt for at in part})
        with torch.inference_mode():
            found[part] = run(subject, torch.from_numpy(np.ascontiguousarray(tokens[rows])).long(), rows, [changes[at] for at in part])
        bar.update(len(part))
    bar.close()
    return found


def batches(changes: Sequence[Change]) -> Iterator[list[int]]:
    """Places of the changes, those of an excerpt together."""
    by_excerpt: dict[int, list[int]] = {}
    for place, change in enumerate(changes):
        by_excerpt.setdefault(change.excerpt, []).append(place)
    batch: list[int] = []
    excerpts = 0
    for _, places in sorted(by_excerpt.items()):
        if batch and len(batch) + excerpts + len(places) + 1 > ROWS_AT_ONCE:
            yield batch
            batch, excerpts = [], 0
        batch, excerpts = batch + places, excerpts + 1
    if batch:
        yield batch


@dataclass
class Growing:
    """A batch that grows on its way up."""

    subject: Subject
    clean: int
    """Excerpts; their rows come first."""
    first: int
    """Tokens before the excerpt."""
    by_layer: dict[int, list[tuple[int, Change]]]
    """Of each layer the changes, each with the row of its excerpt."""
    joined: list[tuple[int, Change]] = field(default_factory=list)
    """The changes whose rows have joined, each with the row of its excerpt, in the order of their rows after the clean ones."""

    def join(self, layer: int) -> Callable[..., Any]:
        """Before a block: the layer's changes join, and what all rows share is kept once."""

        def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            hidden = args[0] if args else kwargs["hidden_states"]
            here = self.by_layer.get(layer, [])
            if here:
                hidden = torch.cat([hidden, hidden[[row for row, _ in here]]])
                self.joined += here
            rest = {name: once(value, self.clean) for name, value in kwargs.items() if name != "hidden_states"}
            if args:
                return (hidden, *(once(value, self.clean) for value in args[1:])), rest
            return (), {"hidden_states": hidden, **rest}

        return before

    def change(self, layer: int, seen: Tensor) -> Tensor:
        """What the layer's units read, with the other values in the rows that have just joined."""
        here, units = self.by_layer[layer], self.subject.units[layer]
        assert units is not None, "find_units gave the layer that was recorded"
        rows = self.clean + len(self.joined)
        full = seen.reshape(rows, -1, seen.shape[-1]).clone()  # OPT flattens excerpt and token.
        columns = torch.tensor([change.neuron - units.first for _, change in here])
        values = torch.from_numpy(np.stack([change.values for _, change in here])).to(full)
        full[-len(here) :, self.first :] = units.replaced(full[-len(here) :, self.first :], columns.to(full.device), values)
        return full.reshape(seen.shape)


def once(value: Any, rows: int) -> Any:
    """What is given to a block for every row alike (masks, positions), for one row: it then fits any number of rows."""
    if isinstance(value, Tensor):
        return value[:1] if rows > 1 and value.dim() >= 2 and value.shape[0] == rows else value
    return tuple(once(inner, rows) for inner in value) if isinstance(value, tuple) else value


def run(subject: Subject, tokens: Int[Tensor, "excerpt token"], rows: list[int], changes: list[Change]) -> Float64[np.ndarray, " change"]:
    """One batch."""
    batch, first = len(tokens), 0
    if subject.bos is not None:
        tokens, first = torch.cat([torch.full((batch, 1), subject.bos), tokens], dim=1), 1
    by_layer: dict[int, list[tuple[int, Change]]] = {}
    for change in changes:
        by_layer.setdefault(change.layer, []).append((rows.index(change.excerpt), change))
    growing = Growing(subject, batch, first, by_layer)
    with hooked(subject, growing):
        hidden = subject.model.base_model(input_ids=tokens.to(subject.model.device), use_cache=False).last_hidden_state[:, first:]
    if len(hidden) != batch + len(changes):
        raise UserError(f"{subject.model.config.model_type}: a block is never run in a forward pass, so its units cannot be ablated")
    clean = np.array([*range(batch), *(row for row, _ in growing.joined)])
    of_change = {id(change): batch + place for place, (_, change) in enumerate(growing.joined)}
    return mean_divergences(subject.model, hidden, clean)[[of_change[id(change)] for change in changes]]


@contextmanager
def hooked(subject: Subject, growing: Growing) -> Iterator[None]:
    """Hooks on every block, and on what the changed units read."""
    with ExitStack() as stack:
        for layer, units in enumerate(subject.units):
            if units is None:
                continue
            block = subject.model.get_submodule(block_path(units.module, layer))
            stack.callback(block.register_forward_pre_hook(growing.join(layer), with_kwargs=True).remove)
            if layer in growing.by_layer:
                stack.callback(units.alter(subject.model, partial(growing.change, layer)).remove)
        yield
