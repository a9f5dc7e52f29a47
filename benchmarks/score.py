"""How long scoring takes: made-up neurons on disk, 10 score excerpts of 64 tokens each, with intervals, baseline and control.

The last line is JSON: `neurons`, `score_s` (reading, correlations with intervals, calibration, baseline, control), `metrics_s`
(score.json and curves), `total_s`, `cpu_s` (CPU seconds of both: what counts while others work on the machine), `read_mb` (arrays on
disk) and `peak_mb` (peak memory of the process less what it held before, mapped files included).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Explanation, explanations, read_explanations, write_explanations
from neurogloss.artifacts.recordings import NEURONS as NEURON_COLUMNS
from neurogloss.artifacts.recordings import Recordings, Slots, Split, assign_splits, read_recordings, write_frame
from neurogloss.artifacts.simulations import Borrowed, Simulations, read_simulations, write_simulations
from neurogloss.artifacts.status import Status
from neurogloss.config.params import load_params
from neurogloss.config.score import ScoreParams
from neurogloss.scorers.run import score
from neurogloss.scorers.summary import summary
from neurogloss.scorers.tables import by_layer, histogram, quantile_table
from neurogloss.simulators.borrowing import NEURONS, WITHOUT_QUESTIONS, lenders_of

TOKENS, EXCERPTS, VOCABULARY = 64, 1500, 49152


def fill(path: Path, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A float16 array of random numbers on disk."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    block = rng.standard_normal((min(512, shape[0]), *shape[1:]), dtype=np.float32).astype(np.float16)
    for start in range(0, len(array), 512):
        array[start : start + 512] = np.roll(block, start // 512, axis=-1)[: len(array) - start]
    return array


def make(folder: Path, neurons: int, layers: int, table: int) -> None:
    """Write recordings, explanations and simulations of made-up neurons."""
    rng = np.random.default_rng(0)
    slots = assign_splits(top=20, random=15, per_split=5)
    each = neurons // layers
    place = (np.repeat(np.arange(layers), each).astype(np.int32), np.tile(np.arange(each), layers).astype(np.int32))
    target = folder / "recordings"
    target.mkdir()
    activations = fill(target / "activations.npy", (len(place[0]), len(slots), TOKENS), rng)
    peaks = np.concatenate([part[:, slots.where(Split.EXPLAIN)].max(axis=(1, 2)) for part in np.array_split(activations, 50)])
    arrays = {
        "excerpts": rng.integers(0, EXCERPTS, (len(place[0]), len(slots))).astype(np.int32),
        "table_tokens": np.arange(table, dtype=np.int32),
        "table_counts": np.ones(table, np.int32),
    }
    for name, values in arrays.items():
        np.save(target / f"{name}.npy", values)
    zeros = np.zeros(len(place[0]))
    columns = dict.fromkeys(NEURON_COLUMNS.names, zeros) | {"layer": place[0], "neuron": place[1], "peak": peaks.astype(np.float64)}
    recordings = Recordings(
        *place,
        statistics=pa.table(columns),
        peaks=peaks,
        slots=slots,
        corpus=rng.integers(0, VOCABULARY, (EXCERPTS, TOKENS)).astype(np.int32),
        documents=pa.table({"document": ["made up"] * EXCERPTS, "start": pa.array([0] * EXCERPTS, pa.int32())}),
        vocabulary=[b"x"] * VOCABULARY,
        activations=activations,
        token_means=fill(target / "token_means.npy", (len(place[0]), table), rng),
        about={},
        **arrays,
    )
    write_frame(target, recordings)
    rows = zip(*(numbers.tolist() for numbers in place), strict=True)
    write_explanations(folder / "explanations.parquet", explanations([Explanation(*row, Candidate("x", Status.OK)) for row in rows]))
    chosen = slots.where(Split.CALIBRATE, Split.SCORE)
    levels = fill(folder / "levels.npy", (len(place[0]), len(chosen), TOKENS), rng)
    simulations = Simulations("made up", *place, chosen, levels, np.zeros(levels.shape[:2], np.uint8), borrow(folder, place[0], slots, rng))
    write_simulations(folder / "simulations", simulations)
    for name in ("levels.npy", "borrowed.npy"):
        (folder / name).unlink()


def borrow(folder: Path, layers: np.ndarray, slots: Slots, rng: np.random.Generator) -> Borrowed:
    """Made-up levels of as many borrowed sentences as simulate would write."""
    rows = np.sort(rng.permutation(len(layers))[:NEURONS]).astype(np.int32)
    lenders = lenders_of(layers, np.ones(len(layers), bool), rows, WITHOUT_QUESTIONS, rng)
    chosen = slots.where(Split.SCORE)
    levels = fill(folder / "borrowed.npy", (*lenders.shape, len(chosen), TOKENS), rng)
    return Borrowed(rows, lenders, chosen, levels, np.zeros(levels.shape[:3], np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=46080)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--table", type=int, default=16384)
    parser.add_argument("--make", type=Path, help="only write the input here")
    chosen = parser.parse_args()
    if chosen.make:
        make(chosen.make, chosen.neurons, chosen.layers, chosen.table)
        return
    params = load_params(Path("params.yaml"))
    params = params.model_copy(update={"score": ScoreParams(seed=0, controls="auto", bins=40, min_excerpts_share=0.5)})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = [f"--{key}={getattr(chosen, key)}" for key in ("neurons", "layers", "table")]
        subprocess.run([sys.executable, __file__, *size, f"--make={name}"], check=True)  # A process of its own: its memory is not counted.
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, cpu = time.perf_counter(), time.process_time()
        recordings = read_recordings(folder / "recordings")
        scores = score(recordings, read_explanations(folder / "explanations.parquet"), read_simulations(folder / "simulations"), params)
        scored = time.perf_counter()
        summary(scores, 10)
        by_layer(scores), histogram(scores, params.score.bins), quantile_table(scores)
        done = time.perf_counter()
        result = {
            "neurons": len(recordings),
            "score_s": round(scored - started, 2),
            "metrics_s": round(done - scored, 2),
            "total_s": round(done - started, 2),
            "cpu_s": round(time.process_time() - cpu, 2),
            "read_mb": round(sum(path.stat().st_size for path in folder.rglob("*.npy")) / 1e6),
            "peak_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
