"""Train a small sparse autoencoder on the subject of params.yaml, in under five minutes on two cores, and save it as SAELens does.

    python examples/train_sae.py data/sae --layer 8
    dvc exp run -n latents -S subject.units=latents -S 'subject.sae={source: data/sae}' -S watch.sae=data/sae \\
        -S 'record.layers=[8]' -S record.neurons=all

It is small, so that a newcomer sees latents without a hub; for work take a published one (docs/units.md). It decides what is explained, not
how well: explanations are scored on excerpts that no explainer saw, as always.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from neurogloss.config.environment import threads
from neurogloss.config.params import Params, load_params
from neurogloss.recording.run import read_excerpts
from neurogloss.subject.model import Subject, load_subject

BATCH = 2048
RATE = 2e-3


class Weights(NamedTuple):
    """A top-k autoencoder: keep the k largest of (x - b_dec) W_enc + b_enc, add their rows of W_dec and b_dec."""

    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor


def main() -> None:
    """Read the arguments, train, save."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments.add_argument("--layer", type=int, default=8)
    arguments.add_argument("--latents", type=int, default=1024)
    arguments.add_argument("--k", type=int, default=24)
    arguments.add_argument("--excerpts", type=int, default=1536)
    arguments.add_argument("--steps", type=int, default=250)
    given = arguments.parse_args()
    start, params = time.monotonic(), load_params(given.params)
    subject = load_subject(params.subject)
    torch.set_num_threads(
        1
    )  # Batches are read side by side; threads that wait for one another spin, and beside other work that takes minutes.
    seen = stream(subject, params, given.layer, given.excerpts)
    print(f"{len(seen):,} activations of {seen.shape[1]} numbers after {time.monotonic() - start:.0f} s")
    scale = seen.shape[1] ** 0.5 / seen.norm(dim=1).mean()
    weights = train(seen * scale, given.latents, given.k, given.steps)
    save(
        given.out, Weights(weights.W_enc * scale, weights.b_enc, weights.W_dec / scale, weights.b_dec / scale), given.k, given.layer, params
    )
    print(f"{given.out} after {time.monotonic() - start:.0f} s")


def stream(subject: Subject, params: Params, layer: int, excerpts: int) -> Tensor:
    """The residual stream after a layer, (token, size), of the documents that are not held out; what comes after the layer is taken off."""
    drawn, _ = read_excerpts(params.corpus, params.record.model_copy(update={"excerpts": excerpts}), subject)
    base, first = subject.model.base_model, 0 if subject.bos is None else 1
    base.layers, base.norm = base.layers[: layer + 1], torch.nn.Identity()

    def read(rows: np.ndarray) -> Tensor:
        tokens = torch.from_numpy(rows.astype(np.int64))
        if subject.bos is not None:
            tokens = torch.cat([torch.full((len(tokens), 1), subject.bos), tokens], dim=1)
        with torch.inference_mode():
            seen: Tensor = base(input_ids=tokens, use_cache=False).last_hidden_state[:, first:]
        return seen

    with ThreadPoolExecutor(threads()) as pool:
        found = list(pool.map(read, np.array_split(drawn.tokens[~drawn.held_out], -(-len(drawn.tokens) // 32))))
    return torch.cat(found).flatten(0, 1).float().clone()


def train(seen: Tensor, latents: int, k: int, steps: int) -> Weights:
    """Adam on the mean squared error. Latents that have not fired for a while try to explain what is left over (Gao et al. 2024)."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(latents, seen.shape[1], generator=generator), dim=1)
    weights = Weights(directions.T.clone(), torch.zeros(latents), directions.clone(), seen.mean(dim=0))
    for tensor in weights:
        tensor.requires_grad_(True)
    optimiser = torch.optim.Adam(weights, lr=RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, 5 * (1 - step / steps)))
    silent, variance = torch.zeros(latents), seen.var(dim=0, unbiased=False).sum()
    for step in range(steps):
        x = seen[torch.randint(len(seen), (BATCH,), generator=generator)]
        values = x @ weights.W_enc + (weights.b_enc - weights.b_dec @ weights.W_enc)
        kept = largest(values, k)
        error = x - kept @ weights.W_dec - weights.b_dec
        loss = error.square().sum(dim=1).mean() / variance
        silent = torch.where((kept > 0).any(dim=0), 0.0, silent + 1)
        if (silent > 20).any():
            idle = largest(values.masked_fill(silent <= 20, -torch.inf), min(2 * k, int((silent > 20).sum())))
            loss = loss + (error.detach() - idle @ weights.W_dec).square().sum(dim=1).mean() / variance / 32
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            weights.W_dec.div_(weights.W_dec.norm(dim=1, keepdim=True))
        if step % 50 == 49:
            explained = 1 - float(error.detach().square().sum() / BATCH / variance)
            print(f"step {step + 1}: variance explained {explained:.3f}, latents silent for 20 steps {int((silent > 20).sum())}")
    return Weights(*(tensor.detach() for tensor in weights))


def largest(values: Tensor, k: int) -> Tensor:
    """The k largest of each row that are above zero, the others zero."""
    top, places = values.topk(k, dim=1)
    return torch.zeros_like(values).scatter(1, places, top.relu())


def save(folder: Path, weights: Weights, k: int, layer: int, params: Params) -> None:
    """Two files, as SAELens 6 writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights._asdict().items()}, folder / "sae_weights.safetensors")
    metadata = {"model_name": params.subject.model, "hook_name": f"blocks.{layer}.hook_resid_post", "sae_lens_version": "6.0.0"}
    config = {"architecture": "topk", "k": k, "d_in": len(weights.W_enc), "d_sae": weights.W_enc.shape[1], "dtype": "float32"}
    config |= {"apply_b_dec_to_input": True, "normalize_activations": "none", "metadata": metadata}
    (folder / "cfg.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
