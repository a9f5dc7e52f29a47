"""Recording one layer's 16,384 latents: time over the forward pass and the encoder's product, memory, and the strongest against dense ones.

    python -m benchmarks.latents --excerpts 512 --repeats 3
    python -m benchmarks.latents --memory --excerpts 10000

The first runs a random Llama of the default subject's width up to its ninth layer and a random JumpReLU coder there in which as many
latents fire as usual; processor seconds. The second streams made-up events instead of a model, so that all memory is the recorder's.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.made_up import VOCABULARY, batches, params_for, quiet, random_excerpts, random_subject
from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.units import UnitKind
from neurogloss.config.environment import threads
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.run import record_excerpts
from neurogloss.subject.model import Subject
from neurogloss.subject.sae.coder import AT_ONCE, Coder
from neurogloss.subject.sae.files import CoderFile
from neurogloss.subject.sae.latents import Latents
from neurogloss.subject.sae.places import find_place
from neurogloss.subject.units import Units

SIZE, LATENTS, LAYER, FIRING = 576, 16384, 8, 60
TOP = 20


@dataclass(frozen=True, eq=False)
class Product(Units):
    """Nothing but the encoder's product."""

    coder: Coder

    @property
    def reads_output(self) -> bool:
        """As the latents do."""
        return True

    def values(self, seen: Tensor) -> Tensor:
        """Made and thrown away."""
        rows = seen.reshape(-1, SIZE)
        step = AT_ONCE // LATENTS
        for start in range(0, len(rows), step):
            torch.addmm(self.coder.bias, rows[start : start + step], self.coder.encoder)
        return seen


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--excerpts", type=int, default=512)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--memory", action="store_true")
    given = arguments.parse_args()
    found = memory(given.excerpts) if given.memory else timed(given.excerpts, given.repeats)
    print(json.dumps({"latents": LATENTS, "excerpts": given.excerpts, "threads": threads(), **found}, indent=2))


def subject_with(units: Callable[[Any], Units]) -> Subject:
    """A random subject whose ninth layer has these units."""
    subject = random_subject(layers=LAYER + 1, neurons=1536, dimensions=SIZE)
    hooked = [None] * LAYER + [units(subject.model)]
    for module in subject.model.modules():
        module._forward_pre_hooks.clear()  # The neurons' own.
    return Subject(subject.model, subject.tokenizer, subject.vocabulary, None, tuple(hooked), subject.loader)


def coder_for(model: Any) -> Coder:
    """Random weights, and the threshold above which FIRING latents are at a token."""
    generator = torch.Generator().manual_seed(0)
    encoder = torch.randn(SIZE, LATENTS, generator=generator) / SIZE**0.5
    tokens = next(iter(batches(random_excerpts(32).tokens)))
    states: list[Tensor] = []
    handle = model.model.layers[LAYER].register_forward_hook(lambda _, inputs, output: states.append(output))
    with torch.inference_mode():
        model.base_model(input_ids=tokens, use_cache=False)
    handle.remove()
    values = (states[0].flatten(0, 1)[:256] @ encoder).flatten()
    threshold = float(values.topk(FIRING * 256).values[-1])
    jump = torch.full((LATENTS,), threshold)
    return Coder(encoder, torch.zeros(LATENTS), encoder.T.contiguous(), torch.zeros(SIZE), "jumprelu", threshold=jump)


def latents_for(model: Any) -> Latents:
    place = find_place(model, f"blocks.{LAYER}.hook_resid_post")
    return Latents(place.module, LATENTS, CoderFile(coder_for(model), "made up", None), place, place)


def timed(count: int, repeats: int) -> dict[str, Any]:
    """Medians of processor seconds, and whether the strongest excerpts are those of a dense computation."""
    recording, excerpts = subject_with(latents_for), random_excerpts(count)
    product = subject_with(lambda model: Product(f"model.layers.{LAYER}", LATENTS, latents_for(model).file.coder))
    params = params_for(count, table_tokens=VOCABULARY, layers=[LAYER])

    def bare() -> Any:
        for tokens in batches(excerpts.tokens):
            product.activations(tokens, [LAYER], lambda layer, values: None)

    def run() -> Recordings:
        with tempfile.TemporaryDirectory() as folder, quiet():
            return held(record_excerpts(recording, excerpts, params, Scratch(Path(folder), "key"), UnitKind.LATENTS))

    seconds: dict[str, list[float]] = {"forward_and_product": [], "record": []}
    found: Any = None
    for _ in range(repeats):
        for name, work in (("forward_and_product", bare), ("record", run)):
            start = time.process_time()
            made = work()
            seconds[name].append(time.process_time() - start)
            found = made or found
    medians = {f"{name}_s": round(float(np.median(values)), 2) for name, values in seconds.items()}
    ratio = round(medians["record_s"] / medians["forward_and_product_s"], 3)
    return {**medians, "ratio": ratio, "l0": round(firing(found), 1), "strongest_differ": differing(found, recording, excerpts.tokens)}


def held(found: Recordings) -> Recordings:
    """The same in memory: the folder goes."""
    return replace(found, excerpts=np.array(found.excerpts))


def firing(found: Recordings) -> float:
    """Latents that fire at a token."""
    return float(found.statistics["above_zero_share"].to_numpy().sum())


def differing(found: Recordings, subject: Subject, tokens: np.ndarray) -> int:
    """Latents whose strongest excerpts are not those of dense values, ties to the lower excerpt."""
    maxima = np.zeros((len(tokens), LATENTS), np.float16)
    first = 0
    for batch in batches(tokens):

        def take(layer: int, values: Tensor, first: int = first) -> None:
            maxima[first : first + len(values)] = values.to_dense().amax(dim=1).half().numpy()

        subject.activations(batch, [LAYER], take)
        first += len(batch)
    top, random = (found.slots.where(*Split, kind=kind) for kind in Kind)
    wrong = 0
    for row in range(len(found)):
        free = np.setdiff1d(np.arange(len(tokens)), found.excerpts[row, random])
        expected = free[np.argsort(-maxima[free, row], kind="stable")][: len(top)]
        wrong += not np.array_equal(found.excerpts[row, top], expected)
    return wrong


class Events:
    """Quacks like a subject: FIRING latents at each token, chosen by its place, more often the lower ones."""

    def __init__(self) -> None:
        self.widths = self.held = (LATENTS,)
        self.indices = (range(LATENTS),)
        self.vocabulary = [b"x"] * VOCABULARY
        self.loader = None

    def activations(self, tokens: Tensor, layers: Sequence[int], visit: Any) -> None:
        """Show one layer's events."""
        generator = torch.Generator().manual_seed(int(tokens.sum()))
        excerpts, length = tokens.shape
        rows = torch.arange(excerpts * length).repeat_interleave(FIRING)
        latents = (LATENTS * torch.rand(len(rows), generator=generator) ** 2).long()
        values = torch.rand(len(rows), generator=generator) + 0.1
        indices = torch.stack([rows // length, rows % length, latents])
        visit(0, torch.sparse_coo_tensor(indices, values, (excerpts, length, LATENTS)).coalesce())


def memory(count: int) -> dict[str, Any]:
    """Megabytes that recording adds to the peak of the process, the excerpts' own taken off."""
    excerpts, params = random_excerpts(count), params_for(count, table_tokens=VOCABULARY, top=50, random=75)
    record_some(random_excerpts(256), params_for(256, table_tokens=VOCABULARY, top=50, random=75))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    record_some(excerpts, params)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"memory_mb": round((peak - before) / 1024), "recorder_s": round(time.process_time() - start, 1), "l0": FIRING}


def record_some(excerpts: Any, params: Any) -> None:
    with tempfile.TemporaryDirectory() as folder, quiet():
        record_excerpts(Events(), excerpts, params, Scratch(Path(folder), "key"), UnitKind.LATENTS)  # type: ignore[arg-type]  # it quacks


if __name__ == "__main__":
    main()
