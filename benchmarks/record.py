"""How fast and how large recording is: against the bare forward pass, with more excerpts, and against delphi and transformer-lens.

    make bench BENCH=record        or, without the peers: python -m benchmarks.record --only throughput|memory

The last line is JSON:

throughput_ratio        bare forward over recording, wall time: the default subject, all neurons of all layers, top 20, random 15, moments;
                        median of alternating pairs. `cpu_ratio` is the same in CPU seconds, `*_table` with the means of 2,048 tokens.
                        The bare pass takes one batch after the other with all threads, every layer and no head; recording takes the same
                        batches side by side, one thread each, to the input of the last layer's output projection.
throughput_ratio_side_by_side   the same over a bare pass that takes its batches side by side too: what recording itself costs
compile_s               seconds of compiling the recorder's loops, once in each process and in none of the ratios
peak_mb_1x, peak_mb_16x peak memory beyond the loaded model, at 1,000 and 16,000 excerpts, in fresh processes: a random model of the
                        subject's depth and width and few dimensions; medians of three. `memory_growth` is one over the other. Batches that
                        go side by side are now and then at their largest at once, which moves a peak by a tenth.
delphi_cpu_ratio        CPU seconds over its own forward pass of delphi's LatentCache (run and save_splits) over ours, four layers, dense
delphi_memory_ratio     peak memory beyond the loaded model, delphi's over ours
transformer_lens_cpu_ratio  CPU seconds of run_with_cache over those of ours, both with their forward pass (`over_forward_cpu_s` is
                        without); it picks nothing, sums nothing and keeps nothing
peers                   everything measured of the three, see benchmarks/peers.py; their 20 strongest excerpts of every neuron were equal to
                        ours before anything was compared (transformer-lens uses eager attention, so up to ties in float16)
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

from benchmarks.environment import run_as
from benchmarks.made_up import params_for, quiet, random_excerpts, random_subject
from neurogloss.config.environment import threads
from neurogloss.config.params import load_params
from neurogloss.config.record import RecordParams
from neurogloss.corpus.documents import read_documents
from neurogloss.corpus.windows import Excerpts, draw_excerpts
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.layers import excerpt_rng
from neurogloss.recording.run import record_excerpts
from neurogloss.recording.stream import batch_size, on_streams
from neurogloss.subject.model import Subject, load_subject

SAME_SHARE = 0.999
"""Of transformer-lens's strongest excerpts that must be ours: eager attention moves a few to the other side of a tie."""


class Seconds:
    """Wall and CPU time of what was done since it was made."""

    def __init__(self) -> None:
        self.started = time.perf_counter(), time.process_time()

    def read(self) -> np.ndarray:
        """Both."""
        return np.array([time.perf_counter() - self.started[0], time.process_time() - self.started[1]])


def bare(subject: Subject, tokens: np.ndarray) -> np.ndarray:
    """Seconds of the forward pass alone, same batches, nothing recorded, no head."""
    size = batch_size(tokens.shape[1])
    seconds = Seconds()
    with torch.inference_mode():
        for first in range(0, len(tokens), size):
            part = torch.from_numpy(tokens[first : first + size].astype(np.int64))
            if subject.bos is not None:
                part = torch.cat([torch.full((len(part), 1), subject.bos), part], dim=1)
            subject.model.base_model(input_ids=part.to(subject.model.device), use_cache=False)
    return seconds.read()


def bare_side_by_side(subject: Subject, tokens: np.ndarray) -> np.ndarray:
    """Seconds of the same, the batches on threads as record has them."""
    size = batch_size(tokens.shape[1])
    seconds = Seconds()
    parts = (tokens[first : first + size] for first in range(0, len(tokens), size))
    for _ in on_streams(lambda part: bare(subject, part), parts, subject.widths):
        pass
    return seconds.read()


def recording(subject: Subject, excerpts: Excerpts, params: RecordParams) -> np.ndarray:
    """Seconds of everything record does from excerpts to arrays on disk."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        seconds = Seconds()
        record_excerpts(subject, excerpts, params, Scratch(Path(folder), "benchmark"))
        return seconds.read()


def throughput(excerpts: int, pairs: int) -> dict[str, Any]:
    """Alternating pairs of a bare and a recording run of the default subject."""
    settings = load_params(Path("params.yaml"))
    subject = load_subject(settings.subject)
    counts: Counter[str] = Counter()
    params = params_for(excerpts)
    with quiet():
        documents = read_documents(settings.corpus, counts)
        drawn = draw_excerpts(documents, subject.encode, excerpts, params.tokens, excerpt_rng(0), counts)
    bare(subject, drawn.tokens[:64])
    few = Excerpts(drawn.documents[:64], drawn.starts[:64], drawn.tokens[:64], drawn.held_out[:64])
    compiling, compiled = (recording(subject, few, params_for(64, 2048)) for _ in range(2))
    plain, ratios, side, with_table = [], [], [], []
    for _ in range(pairs):
        plain.append(bare(subject, drawn.tokens))
        taken = recording(subject, drawn, params)
        ratios.append(plain[-1] / taken)
        side.append(bare_side_by_side(subject, drawn.tokens) / taken)
        with_table.append(plain[-1] / recording(subject, drawn, params_for(excerpts, 2048)))
    found = {}
    for name, values in (("", ratios), ("_side_by_side", side), ("_table", with_table)):
        found |= dict(zip((f"throughput_ratio{name}", f"cpu_ratio{name}"), np.median(values, axis=0), strict=True))
    found["compile_s"] = (compiling - compiled)[0]
    found["bare_tokens_per_s"] = drawn.tokens.size / statistics.median(wall for wall, _ in plain)
    found["bare_cpu_s"] = statistics.median(cpu for _, cpu in plain)
    return {key: round(float(value), 4) for key, value in found.items()} | {
        "throughput_ratios": [round(float(wall), 4) for wall, _ in ratios],
        "neurons": sum(subject.widths),
        "excerpts": excerpts,
        "threads": threads(),
    }


def peak_memory(excerpts: int) -> dict[str, Any]:
    """Peak memory of this process beyond what it held when the model was loaded and had run."""
    subject, drawn = random_subject(), random_excerpts(excerpts)
    bare(subject, drawn.tokens[:64])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    recording(subject, drawn, params_for(excerpts))
    return {"peak_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1)}


def memory(excerpts: int) -> dict[str, Any]:
    """Peaks at 1 and 16 times the excerpts."""
    runs = [[in_fresh_process("record", "--peak", str(times * excerpts))["peak_mb"] for times in (1, 16)] for _ in range(3)]
    peaks = np.median(runs, axis=0).tolist()
    found = {"peak_mb_1x": peaks[0], "peak_mb_16x": peaks[1], "memory_growth": round(peaks[1] / peaks[0], 3)}
    return found | {"peaks_mb": runs}


def peers(excerpts: int, repeats: int) -> dict[str, Any]:
    """The three recorders, each in a process of its own, first compared and then measured against ours."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for side in ("ours", "delphi", "transformer_lens"):
            kept = Path(folder) / f"{side}.npz"
            words = (side, "--excerpts", str(excerpts), "--repeats", str(repeats), "--strongest", str(kept))
            found[side] = in_fresh_process("peers", *words)
            found[side]["same_strongest_share"] = same_share(Path(folder) / "ours.npz", kept)
            quarter = in_fresh_process("peers", side, "--excerpts", str(excerpts // 4), "--repeats", "1")
            found[side]["peak_mb_quarter"] = quarter["peak_mb"]
    if found["delphi"]["same_strongest_share"] < 1 or found["transformer_lens"]["same_strongest_share"] < SAME_SHARE:
        raise SystemExit(f"not the same strongest excerpts, so nothing is compared: {found}")
    mine, delphi, lens = found["ours"], found["delphi"], found["transformer_lens"]
    return {
        "delphi_cpu_ratio": round(delphi["over_forward_cpu_s"] / mine["over_forward_cpu_s"], 2),
        "delphi_memory_ratio": round(delphi["peak_mb"] / mine["peak_mb"], 1),
        "transformer_lens_cpu_ratio": round(lens["cpu_s"] / mine["cpu_s"], 2),
        "peers": found,
    }


def same_share(ours: Path, theirs: Path) -> float:
    """Share of all neurons' 20 strongest excerpts that are the same, at the same place and as strong to float16's last digit."""
    one, other = np.load(ours), np.load(theirs)
    strong = np.isclose(one["values"].astype(np.float32), other["values"].astype(np.float32), rtol=2**-9, atol=1e-6)
    return float(((one["excerpts"] == other["excerpts"]) & strong).mean())


def in_fresh_process(script: str, *arguments: str) -> dict[str, Any]:
    """The JSON that a script prints with these arguments."""
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{script}", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--excerpts", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--memory-excerpts", type=int, default=1000)
    parser.add_argument("--peer-excerpts", type=int, default=1024)
    parser.add_argument("--only", choices=["throughput", "memory", "peers"])
    parser.add_argument("--peak", type=int, help="only the peak memory of this process at so many excerpts")
    chosen = parser.parse_args()
    run_as("record")
    if chosen.peak:
        print(json.dumps(peak_memory(chosen.peak)))
        return
    parts = {
        "throughput": lambda: throughput(chosen.excerpts, chosen.pairs),
        "memory": lambda: memory(chosen.memory_excerpts),
        "peers": lambda: peers(chosen.peer_excerpts, chosen.pairs),
    }
    found: dict[str, Any] = {}
    for name in [chosen.only] if chosen.only else reversed(parts):
        found |= parts[name]()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
