"""How long it takes to record, explain, simulate and score every neuron of the subject, stage by stage, each in a process of its own.

    python -m benchmarks.whole_model --out FOLDER [--excerpts 1000] [--table-tokens 2048]

The params are the project's but for `record.neurons: all` and these two. A folder that already holds recordings is not recorded again.
The last line is JSON: `neurons`, `record_s`, `explain_s`, `simulate_s`, `score_s`, `peak_mb` of each stage, and the mean score.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--excerpts", type=int, default=1000)
    parser.add_argument("--table-tokens", type=int, default=2048)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    params = chosen.out / "params.yaml"
    params.write_text(yaml.safe_dump(whole(chosen.excerpts, chosen.table_tokens), sort_keys=False), encoding="utf-8")
    found: dict[str, Any] = {}
    for stage, words in commands(chosen.out).items():
        if stage == "record" and (chosen.out / "recordings" / "recordings.json").exists():
            continue
        found[f"{stage}_s"], found.setdefault("peak_mb", {})[stage] = timed(stage, [*words, "--params", str(params)])
    score = json.loads((chosen.out / "metrics" / "score.json").read_text(encoding="utf-8"))
    found |= {"neurons": score["neurons"], "scored": score["scored"], "top_and_random": score["top_and_random"]["mean"]}
    found |= {"baseline": score["baseline"]["token_table"]["mean"], "control": score["control"]["mean"]}
    sys.stdout.write(json.dumps(found) + "\n")


def whole(excerpts: int, table_tokens: int) -> dict[str, Any]:
    """The project's params for every neuron."""
    params: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["record"] |= {"neurons": "all", "excerpts": excerpts, "table_tokens": table_tokens}
    return params


def commands(out: Path) -> dict[str, list[str]]:
    """What each stage is told."""
    recordings, explanations, simulations = out / "recordings", out / "explanations.parquet", out / "simulations"
    data = ["--recordings", recordings, "--explanations", explanations]
    words: dict[str, list[Any]] = {
        "record": ["--out", recordings],
        "explain": ["--recordings", recordings, "--out", explanations],
        "simulate": [*data, "--out", simulations],
        "score": [*data, "--simulations", simulations, "--out", out / "scores.parquet", "--metrics", out / "metrics"],
    }
    return {stage: [str(word) for word in listed] for stage, listed in words.items()}


def timed(stage: str, words: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes (resident, memory-mapped pages included) of one stage."""
    start = time.perf_counter()
    process = os.posix_spawn(sys.executable, [sys.executable, "-m", f"stages.{stage}", *words], os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{stage} ended with status {os.waitstatus_to_exitcode(status)}")
    return round(time.perf_counter() - start, 1), round(usage.ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
