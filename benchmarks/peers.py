"""One recorder in a process of its own: ours, delphi's LatentCache, or run_with_cache of transformer-lens. `make bench` installs the peers.

    python -m benchmarks.peers ours|delphi|transformer_lens [--excerpts 1024] [--repeats 5] [--strongest FILE.npz]

Every recorder gets the same weights (a random Llama of four layers and 512 neurons each), the same 64-token excerpts in batches of 32, the
same hook points (what goes into each layer's MLP output projection) and the same threads. Timed are, in turn,

    ours               the forward pass up to the deepest hook point, its batches side by side as record_excerpts() has them;
                       record_excerpts(): top 20, 15 random excerpts, moments, arrays on disk
    delphi             the forward pass; LatentCache.run and save_splits(5): every activation beyond 1e-5 on disk
    transformer_lens   the forward pass; run_with_cache of the four hook points, each batch's cache dropped

so building examples from delphi's files and picking the strongest of transformer-lens's caches is not counted against them.
The last line is JSON, of CPU seconds of the process where not said otherwise: `forward_cpu_s`, `cpu_s`, `over_forward_cpu_s` (medians; the
last of the differences), `wall_s`, `peak_mb` (beyond what the process held after a forward pass), `disk_mb`, `activations`.
"""

import argparse
import copy
import json
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.made_up import VOCABULARY, batches, params_for, quiet, random_excerpts, random_subject
from neurogloss.corpus.windows import Excerpts
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.layers import plan_layers
from neurogloss.recording.run import record_excerpts
from neurogloss.recording.stream import batch_size, on_streams
from neurogloss.recording.strongest import excerpts_of, keys_of
from neurogloss.subject.model import Subject

LAYERS, NEURONS, DIMENSIONS, SPLITS = 4, 512, 128, 5


class Side(NamedTuple):
    """One recorder."""

    forward: Callable[[], Any]
    run: Callable[[], Any]
    strongest: Callable[[Any], tuple[np.ndarray, np.ndarray]]
    """From what `run` gave: the 20 strongest excerpts (neuron, 20), those drawn at random left out, and their largest activations."""


def ours(subject: Subject, excerpts: Excerpts, folder: Path) -> Side:
    layers, params = list(range(LAYERS)), params_for(len(excerpts.tokens))

    def forward() -> None:
        parts = batches(excerpts.tokens)
        for _ in on_streams(lambda part: subject.activations(part, layers, lambda layer, seen: None), parts, subject.widths):
            pass

    return Side(
        forward,
        lambda: record_excerpts(subject, excerpts, params, Scratch(folder, "benchmark")),
        lambda found: (found.excerpts[:, : params.top], found.activations[:, : params.top].max(axis=2)),
    )


def delphi(subject: Subject, excerpts: Excerpts, folder: Path) -> Side:
    from delphi.latents.cache import LatentCache

    def run() -> None:
        # `transcode` makes it read what goes into a module; the neurons are what they are, so the encoder is the identity.
        hooks = {site: lambda seen: seen for site in subject.sites}
        cache = LatentCache(subject.model, hooks, batch_size(excerpts.tokens.shape[1]), transcode=True)
        cache.run(excerpts.tokens.size, torch.from_numpy(excerpts.tokens.astype(np.int64)))
        cache.save_splits(SPLITS, folder)

    def maxima(site: str) -> np.ndarray:
        from safetensors.numpy import load_file

        found = np.full((len(excerpts.tokens), NEURONS), -np.inf, np.float16)
        for path in (folder / site).glob("*.safetensors"):
            kept = load_file(path)
            sequences, _, latents = kept["locations"].T.astype(np.int64)
            np.maximum.at(found, (sequences, latents + int(path.stem.split("_")[0])), kept["activations"])
        return found

    return Side(lambda: whole(subject.model, excerpts), run, lambda _: pick([maxima(site) for site in subject.sites], excerpts))


def transformer_lens(subject: Subject, excerpts: Excerpts, folder: Path) -> Side:
    from tokenizers import Tokenizer, models
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(VOCABULARY)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", pad_token="w0")
    # A copy: the bridge puts its own modules into the model and switches it to eager attention.
    bridge = TransformerBridge.boot_transformers("llama", hf_model=copy.deepcopy(subject.model), device="cpu", tokenizer=tokenizer)
    names = [f"blocks.{layer}.mlp.out.hook_in" for layer in range(LAYERS)]

    def caches() -> Iterator[dict[str, torch.Tensor]]:
        with torch.inference_mode():
            for part in batches(excerpts.tokens):
                yield bridge.run_with_cache(part, names_filter=names, return_cache_object=False)[1]

    def maxima() -> list[np.ndarray]:
        found = [[cache[name].amax(dim=1).half().numpy() for name in names] for cache in caches()]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    return Side(lambda: whole(subject.model, excerpts), lambda: [None for _ in caches()], lambda _: pick(maxima(), excerpts))


SIDES = {side.__name__: side for side in (ours, delphi, transformer_lens)}


def whole(model: Any, excerpts: Excerpts) -> None:
    """The forward pass, head included, as both peers run it."""
    with torch.inference_mode():
        for part in batches(excerpts.tokens):
            model(part)


def pick(maxima: list[np.ndarray], excerpts: Excerpts) -> tuple[np.ndarray, np.ndarray]:
    """Strongest excerpts from all maxima of each layer: (excerpt, neuron), float16. Ties go to the earlier excerpt, as with us."""
    params, found = params_for(len(excerpts.tokens)), []
    for plan, layer in zip(plan_layers(params, [range(NEURONS)] * LAYERS, excerpts.held_out), maxima, strict=True):
        keys = keys_of(layer, np.arange(len(layer))[:, None]).T.copy()
        np.put_along_axis(keys, plan.random.astype(np.int64), np.iinfo(np.int64).min, axis=1)
        best = excerpts_of(np.sort(keys, axis=1)[:, : -params.top - 1 : -1])
        found.append((best, np.take_along_axis(layer.T, best, axis=1)))
    return np.concatenate([best for best, _ in found]), np.concatenate([values for _, values in found])


def cpu_and_wall(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, and what the work gave."""
    cpu, wall = time.process_time(), time.perf_counter()
    with quiet():
        result = work()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def measure(name: str, excerpts: Excerpts, repeats: int, strongest: Path | None) -> dict[str, Any]:
    subject = random_subject(LAYERS, NEURONS, DIMENSIONS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        side = SIDES[name](subject, excerpts, folder)
        side.forward()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        forward, running, result = [], [], None
        for _ in range(repeats):
            shutil.rmtree(folder, ignore_errors=True)
            forward.append(cpu_and_wall(side.forward)[:2])
            *times, result = cpu_and_wall(side.run)
            running.append(times)
        found: dict[str, Any] = {
            "forward_cpu_s": statistics.median(cpu for cpu, _ in forward),
            "cpu_s": statistics.median(cpu for cpu, _ in running),
            "over_forward_cpu_s": statistics.median(run[0] - bare[0] for run, bare in zip(running, forward, strict=True)),
            "forward_wall_s": statistics.median(wall for _, wall in forward),
            "wall_s": statistics.median(wall for _, wall in running),
            "peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
            "disk_mb": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
        }
        if strongest:
            best, values = side.strongest(result)
            np.savez(strongest, excerpts=best, values=values)
    rounded = {key: round(value, 3) for key, value in found.items()}
    return rounded | {"activations": LAYERS * NEURONS * excerpts.tokens.size, "threads": torch.get_num_threads(), "repeats": repeats}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--excerpts", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--strongest", type=Path)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.side, random_excerpts(chosen.excerpts), chosen.repeats, chosen.strongest)))


if __name__ == "__main__":
    main()
