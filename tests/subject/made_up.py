"""A subject without a model: each layer's activations follow from the tokens, so that everything recorded can be computed densely."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurogloss.config.record import RecordParams
from neurogloss.corpus.windows import Excerpts

VOCABULARY = 40


@dataclass(frozen=True)
class MadeUpLoader:
    """Makes it again, in another process."""

    widths: tuple[int, ...]

    def __call__(self) -> "MadeUp":
        return MadeUp(self.widths)


class MadeUp:
    """Quacks like a Subject; layers may differ in width."""

    def __init__(self, widths: Sequence[int] = (6, 9), seed: int = 0, scale: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self.widths = tuple(widths)
        self.sites = tuple(f"layer.{layer}" for layer in range(len(widths)))
        self.indices = tuple(range(width) for width in widths)
        self.held = self.widths
        self.vocabulary = [b"t%d" % token for token in range(VOCABULARY)]
        self.by_token = [rng.normal(-0.5, scale, (VOCABULARY, width)).astype(np.float32) for width in widths]
        for table in self.by_token:
            table[:, 0] = -np.abs(table[:, 0])  # The first neuron of each layer never fires.
        self.loader = MadeUpLoader(self.widths)
        self.passes, self.lock = 0, Lock()

    def dense(self, layer: int, tokens: np.ndarray) -> np.ndarray:
        """float32 (excerpt, token, neuron)"""
        length = tokens.shape[1]
        return np.asarray(self.by_token[layer][tokens] * (1 + 0.1 * np.arange(length, dtype=np.float32))[:, None])

    def activations(self, tokens: Tensor, layers: Sequence[int], visit: Any) -> None:
        with self.lock:
            self.passes += 1
        for layer in layers:
            visit(layer, torch.from_numpy(self.dense(layer, tokens.numpy())))


def made_up_excerpts(count: int = 700, length: int = 8, seed: int = 3, held_out: bool = False) -> Excerpts:
    """Ten to a document; where some are held out, those of every fourth document."""
    rng = np.random.default_rng(seed)
    tokens = (VOCABULARY * rng.random((count, length)) ** 2).astype(np.int32)
    numbers = np.arange(count)
    return Excerpts([f"d{i // 10}" for i in range(count)], numbers.astype(np.int32), tokens, (numbers // 10 % 4 == 1) & held_out)


def record_params(**changes: Any) -> RecordParams:
    """Small numbers of everything."""
    settings: dict[str, Any] = {
        **{"seed": 0, "layers": "all", "neurons": "all", "excerpts": 700, "tokens": 8},
        **{"top": 9, "random": 7, "per_split": 2, "table_tokens": 30},
    }
    return RecordParams.model_validate(settings | changes)
