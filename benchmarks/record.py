"""How fast and how large recording is: against the bare forward pass over the same batches, and at 1 and 16 times the excerpts.

The last line is JSON: `throughput_ratio` (recording over bare forward, all neurons of all layers, top 20, random 15, moments; median of
alternating pairs), `throughput_ratio_table` (the same with the means of 2,048 tokens), `peak_mb_1x`, `peak_mb_16x` (peak memory beyond
the loaded model, a random model of the subject's size and few dimensions, in fresh processes).
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.machine import threads
from stages.params import RecordParams, load_params
from stages.record import record
from stages.subject.checkpoint import Scratch
from stages.subject.corpus import read_documents
from stages.subject.excerpts import Excerpts, draw_excerpts
from stages.subject.model import Subject, load_subject
from stages.subject.plan import excerpt_rng
from stages.subject.sites import find_sites, width
from stages.subject.stream import batch_size


def params_for(excerpts: int, table_tokens: int) -> RecordParams:
    return RecordParams(
        seed=0, layers="all", neurons="all", excerpts=excerpts, tokens=64, top=20, random=15, per_split=5, table_tokens=table_tokens
    )


def bare(subject: Subject, tokens: np.ndarray) -> float:
    """Seconds of the forward pass alone, same batches, nothing recorded, no head."""
    size = batch_size(tokens.shape[1])
    started = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, len(tokens), size):
            part = torch.from_numpy(tokens[first : first + size].astype(np.int64))
            if subject.bos is not None:
                part = torch.cat([torch.full((len(part), 1), subject.bos), part], dim=1)
            subject.model.base_model(input_ids=part.to(subject.model.device), use_cache=False)
    return time.perf_counter() - started


def recording(subject: Subject, excerpts: Excerpts, params: RecordParams) -> float:
    """Seconds of everything record does from excerpts to arrays."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        record(subject, excerpts, params, Scratch(Path(folder), "benchmark"))
        return time.perf_counter() - started


def throughput(excerpts: int, pairs: int) -> dict[str, Any]:
    """Alternating pairs of a bare and a recording run."""
    settings = load_params(Path("params.yaml"))
    subject = load_subject(settings.subject)
    counts: Counter[str] = Counter()
    params = params_for(excerpts, 1)
    drawn = draw_excerpts(read_documents(settings.corpus, counts), subject.encode, excerpts, params.tokens, excerpt_rng(0), counts)
    bare(subject, drawn.tokens[:64])
    ratios, with_table, plain = [], [], []
    for _ in range(pairs):
        plain.append(bare(subject, drawn.tokens))
        ratios.append(plain[-1] / recording(subject, drawn, params))
        with_table.append(bare(subject, drawn.tokens) / recording(subject, drawn, params_for(excerpts, 2048)))
    return {
        "throughput_ratio": statistics.median(ratios),
        "throughput_ratios": ratios,
        "throughput_ratio_table": statistics.median(with_table),
        "bare_tokens_per_s": drawn.tokens.size / statistics.median(plain),
        "neurons": sum(subject.widths),
        "excerpts": excerpts,
        "threads": threads(),
    }


def random_subject() -> Subject:
    """As many layers and neurons as the default subject, few dimensions, so that memory and not arithmetic is measured."""
    from types import SimpleNamespace

    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    torch.set_num_threads(threads())
    config = LlamaConfig(
        vocab_size=4096, hidden_size=64, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=4, num_key_value_heads=4
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    sites = tuple(find_sites(model, "auto"))
    widths = tuple(width(model.get_submodule(site), site) for site in sites)
    return Subject(model, SimpleNamespace(bos_token_id=None), [b"x"] * 4096, sites, widths, random_subject)


def peak_memory(excerpts: int) -> dict[str, Any]:
    """Peak memory of this process beyond what it held when the model was loaded."""
    subject = random_subject()
    tokens = np.random.default_rng(0).integers(0, 4096, (excerpts, 64)).astype(np.int32)
    bare(subject, tokens[:64])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    recording(subject, Excerpts(["made up"] * excerpts, np.arange(excerpts, dtype=np.int32), tokens), params_for(excerpts, 1))
    return {"peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def in_fresh_process(*arguments: str) -> dict[str, Any]:
    """The JSON that this script prints with these arguments."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.record", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--excerpts", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--memory-excerpts", type=int, default=256)
    parser.add_argument("--only", choices=["throughput", "memory"])
    options = parser.parse_args()
    if options.only == "memory":
        print(json.dumps(peak_memory(options.memory_excerpts)))
        return
    found = throughput(options.excerpts, options.pairs)
    if options.only is None:
        for times in (1, 16):
            each = in_fresh_process("--only", "memory", "--memory-excerpts", str(times * options.memory_excerpts))
            found[f"peak_mb_{times}x"] = each["peak_mb"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
