"""What the all-at-once simulator holds and keeps of a model that lists 1,000 alternatives for each token: memory and cache.

    python -m benchmarks.all_at_once_memory

240 made-up neurons with 20 excerpts of 64 tokens; the model is a fake in this process, its answers go the way of a real one's.
The last line is JSON: peak_mb (resident, the whole process), cache_mb, replies, seconds.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurogloss.artifacts.recordings import Split
from neurogloss.config.params import load_params
from neurogloss.config.prompts import AllAtOncePrompt
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import BatchingProvider, CachedClient
from neurogloss.llm.request import Reply, Request, TokenLogprobs, Usage
from neurogloss.llm.scripted import Scripted
from neurogloss.simulators.all_at_once import simulate
from tests.tiny import random_recordings

NEURONS, TOKENS, PER_SPLIT = 240, 64, 5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--neurons", type=int, default=NEURONS)
    count = arguments.parse_args().neurons
    params = load_params(Path("params.yaml"))
    prompt, model = params.prompts.simulate["all_at_once"], params.models["smollm2"]
    assert isinstance(prompt, AllAtOncePrompt)
    made = random_recordings(layers=1, per_layer=count, tokens=TOKENS, per_split=PER_SPLIT, excerpts=400)
    recordings = replace(made, peaks=np.where(np.isnan(made.peaks), 1.0, made.peaks))
    slots = recordings.slots.where(Split.CALIBRATE, Split.SCORE)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DVC_ROOT"] = folder
        cache = Cache(Path(folder) / "llm.sqlite")
        client = CachedClient("fake", model, cache, lambda: BatchingProvider(Scripted(listing), None))
        began = time.perf_counter()
        found = simulate(recordings, np.arange(count), slots, [f"words about {row}" for row in range(count)], client, prompt, model)
        seconds = time.perf_counter() - began
        cache.run("PRAGMA wal_checkpoint(TRUNCATE)")
        size = sum(file.stat().st_size for file in Path(folder).glob("llm.sqlite*"))
    assert not np.isnan(found.levels).any()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    result = {"peak_mb": peak, "cache_mb": size / 1e6, "replies": int(found.status.size), "seconds": seconds}
    sys.stdout.write(json.dumps({name: round(value, 1) for name, value in result.items()}) + "\n")


def listing(request: Request) -> Reply:
    """Fresh log-probabilities of 1,000 texts wherever the echoed text stands."""
    rng = np.random.default_rng(len(request.prompt))
    texts = [*map(str, range(10)), *(f"word {number}" for number in range(990))]
    spots = request.prompt.count(request.echo, request.echo_from)
    tokens = [TokenLogprobs(request.echo, dict(zip(texts, row, strict=True))) for row in (-12 * rng.random((spots, 1000))).tolist()]
    return Reply("", tokens=tuple(tokens), usage=Usage(1000, 500, 0))


if __name__ == "__main__":
    main()
