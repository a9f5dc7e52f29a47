"""How fast recording is on a GPU: against the bare forward pass at its best batch, and how much memory it takes beside the weights.

    python -m benchmarks.gpu [--only gpt2_xl llama_8b gpt2] [--out FILE]

Needs a checkout of this repository and, of packages, torch, transformers, numpy, pyarrow, pydantic and numba with what these need; no
network: weights are random, tokens follow Zipf's law. Under four minutes on an H100. `--tiny` runs everything small, on a CPU too. The last
line is JSON; for each of GPT-2 XL and an 8B shape in bfloat16 (`gpt2_xl`, `llama_8b`) and GPT-2 small in float32 (`gpt2`):

NAME_ratio              seconds of the bare forward pass over those of recording every neuron: top 20, 15 random excerpts, moments, firing
                        counts; the median of alternating pairs. The bare pass has no head and the batch that suits it best; recording
                        keeps and updates everything on the device, and what is not in it is bringing results home (see `end_to_end_s`).
                        GPT-2 small's is called `gpt2_ratio_fp32`
NAME_ratio_table        the same with the means of 2,048 tokens
NAME_bare_tokens_per_s, NAME_tokens_per_s, NAME_table_tokens_per_s, NAME_bare_batch, NAME_batch
NAME_peak_gb, NAME_table_peak_gb    peak memory of recording beyond the weights
gpt2_xl_end_to_end_s    seconds of all of record at GPT-2 XL with 50,000 excerpts and 2,048 token means, from excerpts to arrays on disk
transformer_lens_ratio, delphi_ratio   bare forward over run_with_cache of all MLPs and over LatentCache.run, GPT-2 small's shape as a Llama
                        in float32, 1,024 excerpts; null where they are not installed, and `peer_failures` says why they did not run
operations              what recorded: fused Triton kernels or plain torch
"""

import argparse
import contextlib
import gc
import importlib.util
import json
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple


def installed(name: str) -> bool:
    """Whether a package can be imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def stand_in_for_jaxtyping() -> None:
    """Types of arrays are for readers: where jaxtyping is not installed, anything stands in for them."""
    if not installed("jaxtyping"):

        class Anything:
            def __class_getitem__(cls, item: Any) -> Any:
                return cls

        module = types.ModuleType("jaxtyping")

        def anything(name: str) -> type:
            if name.startswith("_"):
                raise AttributeError(name)
            return Anything

        module.__getattr__ = anything  # type: ignore[method-assign]  # PEP 562
        sys.modules["jaxtyping"] = module


stand_in_for_jaxtyping()

import numpy as np  # noqa: E402  # after the stand-in, as all that needs it
import torch  # noqa: E402

from neurogloss.artifacts.recordings import assign_splits  # noqa: E402
from neurogloss.config.record import RecordParams  # noqa: E402
from neurogloss.corpus.windows import Excerpts  # noqa: E402
from neurogloss.recording.assembly import Assembly  # noqa: E402
from neurogloss.recording.checkpoint import Scratch  # noqa: E402
from neurogloss.recording.device_run import deal, record_on_device  # noqa: E402
from neurogloss.recording.device_stream import DeviceJob, operations_on, place_of, stream  # noqa: E402
from neurogloss.recording.layers import frequent_tokens, plan_layers  # noqa: E402
from neurogloss.subject.device import device  # noqa: E402
from neurogloss.subject.model import Subject  # noqa: E402
from neurogloss.subject.neurons import find_neurons  # noqa: E402

LENGTH, TABLE = 64, 2048
BATCHES, TINY_BATCHES = (64, 128, 256, 512), (8, 16)
"""Excerpts in a batch of the bare pass, of which the best counts."""


class Case(NamedTuple):
    """A shape to measure."""

    kind: str
    settings: dict[str, Any]
    dtype: torch.dtype
    excerpts: int
    pairs: int


GPT2_XL = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 1600, "n_layer": 48, "n_head": 25}
GPT2 = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
LLAMA_8B = {
    **{"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32},
    **{"num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 8192, "rope_theta": 500000.0},
}
GPT2_AS_LLAMA = {
    **{"vocab_size": 4096, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12},
    **{"num_attention_heads": 12, "num_key_value_heads": 12},
}
CASES = {
    "gpt2_xl": Case("gpt2", GPT2_XL, torch.bfloat16, 6144, 3),
    "llama_8b": Case("llama", LLAMA_8B, torch.bfloat16, 2016, 3),
    "gpt2": Case("gpt2", GPT2, torch.float32, 8192, 3),
}
END_TO_END, PEER_EXCERPTS = 50_000, 1024
TINY_GPT2 = {"vocab_size": 300, "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
TINY_LLAMA = {
    **{"vocab_size": 300, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2},
    **{"num_attention_heads": 2, "num_key_value_heads": 2},
}


def tiny(case: Case) -> Case:
    """The same kind in no time."""
    return case._replace(settings=TINY_GPT2 if case.kind == "gpt2" else TINY_LLAMA, excerpts=96, pairs=1)


def random_subject(kind: str, settings: dict[str, Any], dtype: torch.dtype) -> Subject:
    """A model without training, made on the device."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    with torch.device(device()):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings), dtype=dtype)
    model = model.to(device()).eval().requires_grad_(False)
    loader = partial(random_subject, kind, settings, dtype)
    return Subject(model, types.SimpleNamespace(), [b"x"] * int(settings["vocab_size"]), None, find_neurons(model), loader)


def zipf_excerpts(count: int, vocabulary: int) -> Excerpts:
    """Excerpts of tokens as frequent as those of a text."""
    shares = 1 / (np.arange(vocabulary) + 2.7)
    tokens = np.random.default_rng(0).choice(vocabulary, (count, LENGTH), p=shares / shares.sum()).astype(np.int32)
    return Excerpts(["made up"] * count, np.arange(count, dtype=np.int32), tokens, np.zeros(count, np.bool_))


def params_for(excerpts: int, table_tokens: int) -> RecordParams:
    """Every neuron."""
    settings = {"seed": 0, "layers": "all", "neurons": "all", "excerpts": excerpts, "tokens": LENGTH, "top": 20, "random": 15}
    return RecordParams.model_validate(settings | {"per_split": 5, "table_tokens": table_tokens})


def settle() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def clean() -> None:
    """Forget what is not needed any more, and the peak."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def seconds(work: Callable[[], Any]) -> float:
    """Wall time, the device's work included."""
    settle()
    started = time.perf_counter()
    work()
    settle()
    return time.perf_counter() - started


def bare(subject: Subject, tokens: np.ndarray, size: int) -> None:
    """The forward pass alone, no head, nothing kept."""
    there = torch.from_numpy(tokens.astype(np.int64)).to(subject.model.device)
    with torch.inference_mode():
        for part in there.split(size):
            subject.model.base_model(input_ids=part, use_cache=False)


def best_batch(subject: Subject, tokens: np.ndarray, sizes: Sequence[int]) -> int:
    """Excerpts in a batch with which the bare pass is fastest; those that do not fit are left out."""
    speeds: dict[int, float] = {}
    for size in sizes:
        part = np.resize(tokens, (2 * sizes[-1], LENGTH))
        with contextlib.suppress(torch.OutOfMemoryError):
            bare(subject, part[:size], size)
            speeds[size] = len(part) / seconds(partial(bare, subject, part, size))
    return max(speeds, key=speeds.__getitem__)


def pass_of(subject: Subject, excerpts: Excerpts, table_tokens: int) -> tuple[Callable[[], Any], int]:
    """The recorder's pass over the excerpts, and its batch."""
    params = params_for(len(excerpts.tokens), table_tokens)
    plans = plan_layers(params, subject.indices, excerpts.held_out)
    table = frequent_tokens(excerpts.tokens, params.table_tokens)
    places = [place_of(subject, plan.layer) for plan in plans]
    job = DeviceJob(excerpts, plans, places, table, params.top, range(len(excerpts.tokens)))
    size = deal(subject, places, LENGTH).excerpts
    return lambda: stream(subject, job, size, None, lambda _: None), size


def peak_gb(work: Callable[[], Any]) -> float:
    """Memory of the device beyond what it held before, at the most; 0 on a CPU."""
    clean()
    before = torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
    work()
    settle()
    return (torch.cuda.max_memory_allocated() - before) / 1e9 if torch.cuda.is_available() else 0.0


def measure(name: str, case: Case, subject: Subject, sizes: Sequence[int]) -> dict[str, Any]:
    """Ratios, speeds and peaks of one shape."""
    excerpts = zipf_excerpts(case.excerpts, int(case.settings["vocab_size"]))
    size = best_batch(subject, excerpts.tokens, sizes)
    plain, kept = partial(bare, subject, excerpts.tokens, size), {}
    for label, entries in (("", 1), ("_table", TABLE)):
        kept[label] = pass_of(subject, excerpts, entries)
    peaks = {label: peak_gb(work) for label, (work, _) in kept.items()}  # Compiles the kernels, too.
    times: dict[str, list[float]] = {"bare": [], "": [], "_table": []}
    for _ in range(case.pairs):
        times["bare"].append(seconds(plain))
        for label, (work, _) in kept.items():
            times[label].append(seconds(work))
    found: dict[str, Any] = {f"{name}_bare_batch": size, f"{name}_batch": kept[""][1]}
    for label, short in (("", ""), ("_table", "table_")):
        ratios = [one / other for one, other in zip(times["bare"], times[label], strict=True)]
        suffix = "_fp32" if case.dtype is torch.float32 else ""
        found[f"{name}_ratio{label}{suffix}"] = round(statistics.median(ratios), 3)
        found[f"{name}_{short}tokens_per_s"] = round(excerpts.tokens.size / statistics.median(times[label]))
        found[f"{name}_{short}peak_gb"] = round(peaks[label], 2)
    found[f"{name}_bare_tokens_per_s"] = round(excerpts.tokens.size / statistics.median(times["bare"]))
    return found


def end_to_end(subject: Subject, count: int) -> float:
    """Seconds of everything record does from excerpts to arrays on disk."""
    excerpts, params = zipf_excerpts(count, int(subject.model.config.vocab_size)), params_for(count, TABLE)

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            plans = plan_layers(params, subject.indices, excerpts.held_out)
            table, slots = frequent_tokens(excerpts.tokens, params.table_tokens), assign_splits(params.top, params.random, params.per_split)
            scratch = Scratch(Path(folder), "benchmark")
            assembly = Assembly(scratch, sum(len(plan.neurons) for plan in plans))
            record_on_device(subject, excerpts, plans, table, params, slots, scratch, assembly)

    clean()
    return seconds(work)


def peers(settings: dict[str, Any], count: int, sizes: Sequence[int]) -> dict[str, Any]:
    """Ratios of the two others where they are installed: all MLPs of one model, their own calls, their own bare pass."""
    found: dict[str, Any] = {"transformer_lens_ratio": None, "delphi_ratio": None}
    ways = {"transformer_lens": transformer_lens, "delphi": delphi}
    there = [name for name in ways if installed(name)]
    if not there:
        return found
    subject, failures = random_subject("llama", settings, torch.float32), {}
    tokens = zipf_excerpts(count, int(settings["vocab_size"])).tokens
    size = best_batch(subject, tokens, sizes)
    for name in there:
        try:
            work = ways[name](subject, tokens, size)
            work()
            pairs = [seconds(partial(bare, subject, tokens, size)) / seconds(work) for _ in range(3)]
            found[f"{name}_ratio"] = round(statistics.median(pairs), 3)
        except Exception as error:  # noqa: BLE001  # somebody else's program on a machine it may not know: no reason to lose our figures
            failures[name] = f"{type(error).__name__}: {error}"[:200]
    return found | ({"peer_failures": failures} if failures else {})


def transformer_lens(subject: Subject, tokens: np.ndarray, size: int) -> Callable[[], Any]:
    """run_with_cache of the inputs of all MLPs' output projections; each batch's cache is dropped."""
    import copy

    from tokenizers import Tokenizer, models
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(len(subject.vocabulary))}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", pad_token="w0")
    bridge = TransformerBridge.boot_transformers("llama", hf_model=copy.deepcopy(subject.model), device=device(), tokenizer=tokenizer)
    names = [f"blocks.{layer}.mlp.out.hook_in" for layer in range(len(subject.units))]

    def run() -> None:
        with torch.inference_mode():
            for part in torch.from_numpy(tokens.astype(np.int64)).to(device()).split(size):
                bridge.run_with_cache(part, names_filter=names, return_cache_object=False)

    return run


def delphi(subject: Subject, tokens: np.ndarray, size: int) -> Callable[[], Any]:
    """LatentCache.run over the same inputs, not written anywhere."""
    from delphi.latents.cache import LatentCache

    def run() -> None:
        cache = LatentCache(subject.model, {site: lambda seen: seen for site in subject.sites}, size, transcode=True)
        cache.run(tokens.size, torch.from_numpy(tokens.astype(np.int64)))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*CASES, "peers"], default=[*CASES, "peers"])
    parser.add_argument("--end-to-end", type=int, default=END_TO_END, metavar="EXCERPTS", help="0 leaves it out")
    parser.add_argument("--tiny", action="store_true", help="small shapes and 96 excerpts, to see that it runs")
    parser.add_argument("--out", type=Path, help="write the JSON there, too, after each shape")
    chosen = parser.parse_args()
    started, sizes = time.perf_counter(), TINY_BATCHES if chosen.tiny else BATCHES
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    found: dict[str, Any] = {"device": name, "torch": torch.__version__}
    found["operations"] = type(operations_on(torch.device(device()))).__name__
    for label in chosen.only:
        if label == "peers":
            found |= peers(TINY_LLAMA, 96, sizes) if chosen.tiny else peers(GPT2_AS_LLAMA, PEER_EXCERPTS, sizes)
        else:
            case = tiny(CASES[label]) if chosen.tiny else CASES[label]
            subject = random_subject(case.kind, case.settings, case.dtype)
            found |= measure(label, case, subject, sizes)
            if label == "gpt2_xl" and chosen.end_to_end:
                found["gpt2_xl_end_to_end_s"] = round(end_to_end(subject, min(chosen.end_to_end, 96 if chosen.tiny else END_TO_END)), 3)
            del subject
        clean()
        found["seconds"] = round(time.perf_counter() - started, 1)
        if chosen.out:
            chosen.out.write_text(json.dumps(found), encoding="utf-8")
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
