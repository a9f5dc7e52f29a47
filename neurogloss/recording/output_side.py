"""What units do, beside when they fire: the tokens they promote and suppress, and how much of the activations latents make up for."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neurogloss.artifacts.recordings import Promoted, Recordings
from neurogloss.config.environment import threads
from neurogloss.corpus.windows import Excerpts
from neurogloss.subject.heads import Heads
from neurogloss.subject.lens import AT_ONCE, unembedding
from neurogloss.subject.model import Subject
from neurogloss.subject.sae.latents import Latents

logger = logging.getLogger(__name__)
TOKENS = 10
"""Tokens kept on either side."""
SAMPLE = 64
"""Excerpts, none of them held out, on which reconstruction and the writes of heads are measured."""
STRONGEST = 32
"""Tokens of each batch at which a head's write is looked at."""
BATCH = 16


def with_output_side(found: Recordings, subject: Subject, excerpts: Excerpts) -> Recordings:
    """The recordings with what each unit promotes and suppresses, and for latents how well they reconstruct."""
    torch.set_num_threads(threads())
    sample = excerpts.tokens[~excerpts.held_out][:SAMPLE]
    layers = [int(layer) for layer in np.unique(found.layers)]
    units = {layer: one for layer in layers if (one := subject.units[layer]) is not None}
    about = dict(found.about)
    latents = {layer: one for layer, one in units.items() if isinstance(one, Latents)}
    if latents:
        about["sae"] = reconstruction(subject, latents, sample)
    writes = mean_writes(subject, {layer: one for layer, one in units.items() if isinstance(one, Heads)}, sample)
    tokens = torch.from_numpy(np.asarray(found.table_tokens, np.int64)).to(subject.model.device)
    shape = (len(found), 2, min(TOKENS, len(tokens)))
    ids, strengths = np.full(shape, -1, np.int32), np.zeros(shape, np.float16)
    table = unembedding(subject.model, *next((one.module, layer) for layer, one in units.items()))[tokens]
    for layer, one in units.items():
        rows = np.flatnonzero(found.layers == layer)
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            columns = torch.from_numpy(found.indices[part].astype(np.int64)) - one.first
            directions = writes[layer][columns] if layer in writes else one.writes(subject.model, columns.to(table.device))
            if directions is None or directions.shape[1] != table.shape[1]:  # subject.site may name a projection into something else.
                logger.info("what the units of layer %s add to the residual stream does not follow from weights: no promoted tokens", layer)
                break
            ids[part], strengths[part] = extremes(directions @ table.T, found.table_tokens)
    return replace(found, about=about, promoted=Promoted(ids, strengths))


def extremes(logits: Float[Tensor, "unit token"], tokens: Int[np.ndarray, " token"]) -> tuple[np.ndarray, np.ndarray]:
    """Ids and logits of the tokens promoted most (0) and suppressed most (1); int32 and float16 (unit, side, token)."""
    count = min(TOKENS, logits.shape[1])
    sides = [torch.topk(signed, count, dim=1) for signed in (logits, -logits)]
    ids = np.stack([tokens[side.indices.cpu().numpy()] for side in sides], axis=1)
    strengths = torch.stack([sides[0].values, -sides[1].values], dim=1).clamp(-65504, 65504)
    return ids.astype(np.int32), strengths.half().cpu().numpy()


@contextmanager
def looking(model: Any, places: list[tuple[str, bool, Callable[[Tensor], None]]]) -> Iterator[None]:
    """Show what modules are given, or where the flag is set give, while the block runs."""
    handles = []
    for module, output, see in places:
        at = model.get_submodule(module)
        if output:

            def after(_: Any, inputs: Any, out: Any, see: Callable[[Tensor], None] = see) -> None:
                see(out[0] if isinstance(out, tuple) else out)

            handles.append(at.register_forward_hook(after, prepend=True))
        else:

            def before(_: Any, inputs: Any, named: Any, see: Callable[[Tensor], None] = see) -> None:
                see((inputs or tuple(named.values()))[0])

            handles.append(at.register_forward_pre_hook(before, prepend=True, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def forward(subject: Subject, sample: Int[np.ndarray, "excerpt token"]) -> Iterator[int]:
    """Run the sample through the model; after each batch how many rows, a token each, it had before its own BOS is left out."""
    for start in range(0, len(sample), BATCH):
        tokens = torch.from_numpy(sample[start : start + BATCH].astype(np.int64))
        if subject.bos is not None:
            tokens = torch.cat([torch.full((len(tokens), 1), subject.bos), tokens], dim=1)
        with torch.inference_mode():
            subject.model.base_model(input_ids=tokens.to(subject.model.device), use_cache=False)
        yield len(tokens)


def reconstruction(subject: Subject, latents: dict[int, Latents], sample: Int[np.ndarray, "excerpt token"]) -> list[dict[str, Any]]:
    """Of each layer's coder: variance explained (1 is all of it) and L0, the latents that fire at a token, over the sample."""
    skipped = 0 if subject.bos is None else 1
    seen: dict[tuple[int, str], Tensor] = {}

    def keep(layer: int, side: str) -> Callable[[Tensor], None]:
        return lambda tensor: seen.update({(layer, side): tensor})

    places = []
    for layer, units in latents.items():
        places += [
            (units.place.module, units.place.output, keep(layer, "in")),
            (units.target.module, units.target.output, keep(layer, "out")),
        ]
    rows: dict[int, list[tuple[Tensor, Tensor, int]]] = {layer: [] for layer in latents}
    with looking(subject.model, places):
        for batch in forward(subject, sample):
            for layer, units in latents.items():
                into, wanted = (seen[layer, side].reshape(batch, -1, seen[layer, side].shape[-1])[:, skipped:] for side in ("in", "out"))
                into = units.place.read(into.flatten(0, 1).float())
                wanted = units.target.read(wanted.flatten(0, 1).float())
                coder = units.file.coder
                fired = coder.fire(into)
                rows[layer].append((wanted, (wanted - coder.reconstruct(into, fired)).square().sum(dim=1), len(fired.rows)))
    return [described(layer, units, rows[layer]) for layer, units in latents.items()]


def described(layer: int, units: Latents, parts: list[tuple[Tensor, Tensor, int]]) -> dict[str, Any]:
    """What the recordings say of one layer's coder."""
    wanted, errors = (torch.cat([part[place] for part in parts]).double() for place in (0, 1))  # type: ignore[misc]  # the tensors of each
    total = (wanted - wanted.mean(dim=0)).square().sum()
    explained = float(1 - errors.sum() / total)
    fires = sum(part[2] for part in parts) / len(wanted)
    logger.info("layer %s: the latents explain %.3f of the variance, %.1f of %s fire at a token", layer, explained, fires, units.width)
    if explained < 0:
        logger.warning(
            "layer %s: a constant would reconstruct better than the latents do; check subject.sae, its hook and the subject", layer
        )
    file = units.file
    return {
        "layer": layer,
        "format": file.format,
        "hook": file.hook,
        "module": units.place.module,
        "model": file.model,
        "transcoder": units.target is not units.place,
        "latents": units.width,
        "variance_explained": round(explained, 6),
        "l0": round(fires, 3),
        **{key: value for key, value in file.notes.items() if value is not None},
    }


def mean_writes(
    subject: Subject, heads: dict[int, Heads], sample: Int[np.ndarray, "excerpt token"]
) -> dict[int, Float[Tensor, "head width"]]:
    """The mean direction of what each head writes at the tokens of the sample where it writes most."""
    if not heads:
        return {}
    skipped = 0 if subject.bos is None else 1
    seen: dict[int, Tensor] = {}
    sums: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[Tensor], None]:
        return lambda tensor: seen.update({layer: tensor})

    places = [(units.module, False, keep(layer)) for layer, units in heads.items()]
    with looking(subject.model, places):
        for batch in forward(subject, sample):
            for layer, units in heads.items():
                slices = seen[layer].reshape(batch, -1, seen[layer].shape[-1])[:, skipped:]
                sums[layer] = sums.get(layer, 0) + units.strongest_writes(subject.model, slices, STRONGEST)
    return sums
