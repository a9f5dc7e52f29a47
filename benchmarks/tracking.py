"""How long tracking and comparing take. Run in a clone with a finished result (`dvc repro`); its own runs are not touched.

The last line is JSON. `known_s`: the stage `track` where the run exists; `made_s`: where it has to be made, in a store that exists;
`first_s`: with the store itself; `nothing_s`: a `dvc repro` that finds nothing to do; `mlflow_s`: importing mlflow alone, which the stage
cannot do without where it makes a run. `compare_s`: `neurogloss compare`, two made-up results in git and DVC's cache, figure included.
Each is the median of `--times` from start to end of the process, `..._cpu_s` beside it in CPU seconds, which other work on the machine
does not stretch.
"""

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import yaml

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Explanation, explanations, write_explanations
from neurogloss.artifacts.scores import SCORES, write_scores
from neurogloss.artifacts.status import Status
from neurogloss.comparison.revisions import file_md5

QUIET = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
NAMED = {f"GIT_{who}_{what}": "nobody@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Took(NamedTuple):
    """Seconds of a process and of those it started."""

    wall: float
    cpu: float


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command: list[str], folder: Path, **environment: str) -> Took:
    """Run a command; its output is shown where it fails."""
    started, used = time.perf_counter(), cpu()
    done = subprocess.run(command, cwd=folder, env=os.environ | QUIET | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return Took(time.perf_counter() - started, cpu() - used)


def medians(name: str, took: list[Took]) -> dict[str, float]:
    return {
        f"{name}_s": round(statistics.median(each.wall for each in took), 2),
        f"{name}_cpu_s": round(statistics.median(each.cpu for each in took), 2),
    }


def tracking(repository: Path, scratch: Path, times: int) -> dict[str, float]:
    """The stage as dvc.yaml calls it, on a store of its own."""
    stage = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["track"]
    words = shlex.split(stage["cmd"].replace(".track/receipt.json", str(scratch / "receipt.json")))
    command = [sys.executable, *words[1:]]
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{scratch / 'mlflow.db'}"}
    found = medians("first", [run(command, repository, **store)])
    found |= medians("known", [run(command, repository, **store) for _ in range(times)])
    made = []
    for _ in range(times):
        delete_runs(store["MLFLOW_TRACKING_URI"])
        made.append(run(command, repository, **store))
    found |= medians("made", made)
    found |= medians("mlflow", [run([sys.executable, "-c", "import mlflow; mlflow.MlflowClient"], scratch) for _ in range(times)])
    return found | medians("nothing", [run([sys.executable, "-m", "dvc", "repro"], repository) for _ in range(times)])


def delete_runs(uri: str) -> None:
    """Delete the runs of a store, so that the next `track` has to create its own."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for found in client.search_runs(experiments):
        client.delete_run(found.info.run_id)


def write_result(folder: Path, neurons: int, layers: int, shift: float) -> None:
    """Scores and explanations of made-up neurons, in DVC's cache, and a dvc.lock that names them."""
    rng = np.random.default_rng(0)
    each = neurons // layers
    layer, index = np.repeat(np.arange(layers), each), np.tile(np.arange(each), layers)
    score = rng.beta(1.2, 4, len(layer)) + rng.normal(shift, 0.05, len(layer))
    columns = {field.name: pa.array(score, pa.float64()) for field in SCORES}
    columns |= {"layer": pa.array(layer, pa.int32()), "neuron": pa.array(index, pa.int32())}
    columns |= {"status": pa.array(["ok"] * len(layer)), "excerpts": pa.array([10] * len(layer), pa.int32())}
    write_scores(folder / "scores.parquet", pa.table(columns, SCORES))
    rows = zip(layer.tolist(), index.tolist(), strict=True)
    texts = [Explanation(*row, Candidate(f"words of neuron {place} when shifted by {shift}", Status.OK)) for place, row in enumerate(rows)]
    write_explanations(folder / "explanations.parquet", explanations(texts))
    md5 = {name: file_md5(folder / name) for name in ("scores.parquet", "explanations.parquet")}
    for name, sum_ in md5.items():
        target = folder / ".dvc" / "cache" / "files" / "md5" / sum_[:2] / sum_[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(target)
    outs = {"record": "recordings", "explain": "explanations.parquet", "score": "scores.parquet"}
    stages = {
        stage: {"cmd": "true", "outs": [{"path": f"data/{name}", "md5": md5.get(name, "0" * 32 + ".dir")}]} for stage, name in outs.items()
    }
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")


def comparing(scratch: Path, neurons: int, layers: int, times: int) -> dict[str, float]:
    """Two commits of a repository."""
    folder = scratch / "repository"
    folder.mkdir()
    (folder / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        run(command, folder)
    for name, shift in (("first", 0.0), ("second", 0.002)):
        write_result(folder, neurons, layers, shift)
        run(["git", "add", "dvc.yaml", "dvc.lock", ".dvc"], folder)
        run(["git", "commit", "-qm", name], folder, **NAMED)
        run(["git", "tag", name], folder)
    command = [sys.executable, "-m", "neurogloss.cli.main", "compare", "first", "second", "--figure", str(scratch / "comparison.png")]
    return medians("compare", [run(command, folder) for _ in range(times)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path.cwd())
    parser.add_argument("--neurons", type=int, default=46080)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--times", type=int, default=5)
    chosen = parser.parse_args()
    found: dict[str, object] = {"cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as name:
        found |= tracking(chosen.repository.resolve(), Path(name), chosen.times)
        found |= {"neurons": chosen.neurons} | comparing(Path(name), chosen.neurons, chosen.layers, chosen.times)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
