"""What spreading record over Ray costs on one machine: one and two workers of one thread each, against this process with two threads.

    make bench BENCH=ray        or, where Ray is installed: python -m benchmarks.ray [--excerpts 1000] [--pairs 3]

The default subject, every neuron. Each run is what the record stage does from drawn excerpts to the folder of recordings. Workers keep the
model they loaded, so the first run of a cluster, which loads it, is reported apart. The last line is JSON:

workers_1_ratio, workers_2_ratio    wall time over local two-thread time, medians of pairs with a local run right before each; one
                                    pair of the first
same_bytes                          whether every run wrote the same files
local_s, first_s                    seconds: median local run; first run of the two workers, with Ray's start and loading the model
"""

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.environment import run_as
from benchmarks.made_up import params_for, quiet
from neurogloss.artifacts.recordings import write_recordings
from neurogloss.config.params import load_params
from neurogloss.corpus.documents import read_documents
from neurogloss.corpus.windows import Excerpts, draw_excerpts
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.layers import excerpt_rng
from neurogloss.recording.run import record_excerpts
from neurogloss.subject.model import Subject, load_subject


def run(subject: Subject, excerpts: Excerpts, engine: str) -> tuple[float, str]:
    """Seconds, and a digest of every file that was written."""
    os.environ["ENGINE"] = engine
    with tempfile.TemporaryDirectory() as name, quiet():
        folder = Path(name)
        started = time.perf_counter()
        found = record_excerpts(subject, excerpts, params_for(len(excerpts.tokens), 2048), Scratch(folder / "scratch", "benchmark"))
        write_recordings(folder / "recordings", found)
        seconds = time.perf_counter() - started
        digest = hashlib.sha256()
        for path in sorted((folder / "recordings").iterdir()):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return seconds, digest.hexdigest()


@contextmanager
def cluster(workers: int) -> Iterator[None]:
    """Ray on this machine with so many workers."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="WARNING", _node_ip_address="127.0.0.1")
    try:
        yield
    finally:
        ray.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--excerpts", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=3)
    chosen = parser.parse_args()
    run_as("record")
    settings = load_params(Path("params.yaml"))
    subject, params = load_subject(settings.subject), params_for(chosen.excerpts)
    with quiet():
        documents = read_documents(settings.corpus, counts := Counter())
        excerpts = draw_excerpts(documents, subject.encode, chosen.excerpts, params.tokens, excerpt_rng(0), counts)
    run(subject, excerpts, "local")
    found: dict[str, Any] = {}
    local, digests = [], set()
    for workers, pairs in ((1, 1), (2, chosen.pairs)):
        ratios = []
        with cluster(workers):
            first, digest = run(subject, excerpts, "ray")
            digests.add(digest)
            for _ in range(pairs):
                seconds, digest = run(subject, excerpts, "local")
                local.append(seconds)
                spread, other = run(subject, excerpts, "ray")
                digests |= {digest, other}
                ratios.append(spread / seconds)
        found[f"workers_{workers}_ratio"] = round(statistics.median(ratios), 3)
        found[f"workers_{workers}_ratios"] = [round(ratio, 3) for ratio in ratios]
    found |= {"same_bytes": len(digests) == 1, "local_s": round(statistics.median(local), 1), "first_s": round(first, 1)}
    print(json.dumps(found | {"excerpts": chosen.excerpts, "neurons": sum(subject.widths)}))


if __name__ == "__main__":
    main()
