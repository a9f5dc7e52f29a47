"""How far the next-token distributions of changed runs are from the clean one: Jensen-Shannon divergence in nats, averaged over tokens.

With m = (p + q) / 2 and d = (p - q) / (p + q) it is the sum of m · ((1 + d) log(1 + d) + (1 - d) log(1 - d)) / 2, whose series begins with
d² / 2: no large entropies are subtracted, so it is exact for distributions that hardly differ, too.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from numba import njit
from torch import Tensor

from neurogloss.config.environment import threads

SEQUENCES_AT_ONCE = 8
"""Whose logits are computed together: fewer make the product with the vocabulary slower, more take memory (12.6 MB each for 64 tokens)."""
FAR = 0.5
"""From this relative difference on the logarithms are computed; below it the series has eight digits."""
SERIES = tuple(np.float32(1 / (2 * k * (2 * k - 1))) for k in range(1, 10))
"""Of d², d⁴, ..."""
PART = 1024
"""Tokens of the vocabulary that are added up in float32."""
LEAST = np.float32(1e-37)
"""Keeps 0 / 0 from being NaN."""


def mean_divergences(model: Any, hidden: Float[Tensor, "row token size"], clean: Int[np.ndarray, " row"]) -> Float64[np.ndarray, " row"]:
    """Of each row of final hidden states the divergence from its clean run, whose row `clean` names; 0 for clean runs."""
    order = np.lexsort((np.arange(len(clean)) != clean, clean))  # Each clean run, and then what is compared with it.
    found = np.zeros(len(clean))
    p = torch.empty(0)
    with ThreadPoolExecutor(threads()) as pool:
        for start in range(0, len(order), SEQUENCES_AT_ONCE):
            rows = order[start : start + SEQUENCES_AT_ONCE]
            q = logits(model, hidden[torch.from_numpy(rows).to(hidden.device)]).float()
            torch.softmax(q, dim=-1, out=q)
            pairs = []
            for row, own in zip(rows.tolist(), q, strict=True):
                if row == clean[row]:
                    p = own.clone()
                pairs.append((p, own))
            found[rows] = list(pool.map(mean_divergence, *zip(*pairs, strict=True)))
    return found


def logits(model: Any, hidden: Tensor) -> Tensor:
    """Next-token logits of final hidden states, scaled and capped as the architecture does it."""
    config = model.config.get_text_config()
    found: Tensor = model.get_output_embeddings()(hidden)
    if scale := getattr(config, "logit_scale", None):  # Cohere.
        found = found * scale
    if scaling := getattr(config, "logits_scaling", None):  # Granite.
        found = found / scaling
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2.
        found = cap * torch.tanh(found / cap)
    return found


def mean_divergence(p: Float[Tensor, "token vocabulary"], q: Float[Tensor, "token vocabulary"]) -> float:
    """Divergence averaged over tokens."""
    if p.device.type == "cpu":
        return float(in_cache(p.numpy(), q.numpy()).mean())
    return float(jensen_shannon(p, q).mean())


def jensen_shannon(p: Float[Tensor, "token vocabulary"], q: Float[Tensor, "token vocabulary"]) -> Float[Tensor, " token"]:
    """On a device: array by array."""
    total = p + q
    d = (p - q) / (total + float(LEAST))
    square = d * d
    series = torch.zeros_like(square)
    for share in reversed(SERIES):
        series = (series + float(share)) * square
    far = (square > FAR**2).any(dim=-1)
    found = (total * series).sum(dim=-1) / 2
    if far.any():
        d = d[far].double().clamp(-1, 1)
        exact = (torch.xlogy(1 + d, 1 + d) + torch.xlogy(1 - d, 1 - d)) / 2
        found[far] = ((total[far].double() * exact).sum(dim=-1) / 2).to(found.dtype)
    return found


@njit(nogil=True, error_model="numpy")
def in_cache(p: Float32[np.ndarray, "token vocabulary"], q: Float32[np.ndarray, "token vocabulary"]) -> Float64[np.ndarray, " token"]:
    """On a processor: the numbers are read once."""
    found = np.empty(len(p), np.float64)
    for token in range(len(p)):
        one, other, added = p[token], q[token], 0.0
        for start in range(0, len(one), PART):
            stop = min(start + PART, len(one))
            near, far = by_series(one, other, start, stop)
            added += near
            if far > 0:
                added += by_logarithms(one, other, start, stop)
        found[token] = added / 2
    return found


@njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "nnan"})
def by_series(p: Any, q: Any, start: Any, stop: Any) -> Any:
    """Twice the divergence of the tokens of the vocabulary that differ little, and how many others there are. In any order: so it is
    vectorised."""
    added, others = np.float32(0), np.float32(0)
    for v in range(start, stop):
        total = p[v] + q[v]
        d = (p[v] - q[v]) / (total + LEAST)
        square = d * d
        series = SERIES[8]
        series = series * square + SERIES[7]
        series = series * square + SERIES[6]
        series = series * square + SERIES[5]
        series = series * square + SERIES[4]
        series = series * square + SERIES[3]
        series = series * square + SERIES[2]
        series = series * square + SERIES[1]
        series = series * square + SERIES[0]
        near = np.float32(square <= np.float32(FAR * FAR))
        added += total * series * square * near
        others += np.float32(1) - near
    return added, others


@njit(nogil=True, error_model="numpy")
def by_logarithms(p: Any, q: Any, start: Any, stop: Any) -> Any:
    """The same of those that differ much."""
    added = 0.0
    for v in range(start, stop):
        total = np.float64(p[v]) + np.float64(q[v])
        d = (np.float64(p[v]) - np.float64(q[v])) / (total + LEAST)
        if np.float32(d * d) > np.float32(FAR * FAR):
            more, less = 1 + d, 1 - d
            added += total * ((more * np.log(more) if more > 0 else 0.0) + (less * np.log(less) if less > 0 else 0.0)) / 2
    return added
