"""How long it takes to record, explain, simulate and score every neuron of the subject, stage by stage, each in a process of its own.

    python -m benchmarks.whole_model [--out FOLDER] [--excerpts 1000] [--table-tokens 2048]

The params are the project's but for `record.neurons: all` and these two. A folder that already holds recordings is not recorded again;
profiles of phrases are always computed afresh, as on a new machine. The last line is JSON: `neurons`, `record_s`, `explain_s`,
`simulate_s`, `score_s`, `after_record_s` (the last three together), `cpu_s` and `peak_mb` of each stage, and the mean score.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.environment import environment_of
from neurogloss.config.environment import cache_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="keep the result here")
    parser.add_argument("--excerpts", type=int, default=1000)
    parser.add_argument("--table-tokens", type=int, default=2048)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NEUROGLOSS_CACHE"] = fresh_cache(Path(scratch))
        found = run(chosen.out or Path(scratch) / "out", whole(chosen.excerpts, chosen.table_tokens))
    sys.stdout.write(json.dumps(found) + "\n")


def run(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """All four stages one after the other."""
    out.mkdir(parents=True, exist_ok=True)
    params = out / "params.yaml"
    params.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    found: dict[str, Any] = {"cpu_s": {}, "peak_mb": {}}
    for stage, words in commands(out).items():
        if stage == "record" and (out / "recordings" / "recordings.json").exists():
            continue
        found[f"{stage}_s"], found["cpu_s"][stage], found["peak_mb"][stage] = timed(stage, [*words, "--params", str(params)])
    found["after_record_s"] = round(sum(found[f"{stage}_s"] for stage in ("explain", "simulate", "score")), 1)
    score = json.loads((out / "metrics" / "details.json").read_text(encoding="utf-8"))
    found |= {"neurons": score["neurons"], "scored": score["scored"], "top_and_random": score["top_and_random"]["mean"]}
    return found | {"baseline": score["baseline"]["token_table"]["mean"], "control": score["control"]["mean"]}


def fresh_cache(folder: Path) -> str:
    """A cache folder without profiles; what was downloaded is shared."""
    downloads = cache_folder() / "pypi"
    downloads.mkdir(parents=True, exist_ok=True)
    (folder / "cache").mkdir()
    (folder / "cache" / "pypi").symlink_to(downloads.resolve())
    return str(folder / "cache")


def whole(excerpts: int, table_tokens: int) -> dict[str, Any]:
    """The project's params for every neuron."""
    params: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["record"] |= {"neurons": "all", "excerpts": excerpts, "table_tokens": table_tokens}
    return params


def commands(out: Path) -> dict[str, list[str]]:
    """The arguments of each stage."""
    recordings, explanations, simulations = out / "recordings", out / "explanations.parquet", out / "simulations"
    data = ["--recordings", recordings, "--explanations", explanations]
    words: dict[str, list[Any]] = {
        "record": ["--out", recordings],
        "explain": ["--recordings", recordings, "--out", explanations],
        "simulate": [*data, "--out", simulations],
        "score": [*data, "--simulations", simulations, "--out", out / "scores.parquet", "--metrics", out / "metrics"],
    }
    return {stage: [str(word) for word in listed] for stage, listed in words.items()}


def timed(stage: str, words: list[str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak megabytes (resident, memory-mapped pages included) of one stage."""
    start = time.perf_counter()
    process = os.posix_spawn(sys.executable, [sys.executable, "-m", f"stages.{stage}", *words], environment_of(stage))
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{stage} ended with status {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    return round(seconds[0], 1), round(seconds[1], 1), round(seconds[2], 1)


if __name__ == "__main__":
    main()
