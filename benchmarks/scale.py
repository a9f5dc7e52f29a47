"""How time and memory grow: recording with the excerpts and with the neurons, scoring with the neurons.

    python -m benchmarks.scale

Each point is a process of its own, at 1, 4 and 16 times the smallest size. Recording runs on a random model of the default subject's
depth and width and few dimensions, scoring on made-up simulations (benchmarks/score.py). The last line is JSON; each kind has lists:

size      excerpts (all 46,080 neurons), or neurons (256 excerpts)
cpu_s     CPU seconds of the process, of recording or scoring alone
forward_cpu_s  CPU seconds of the bare forward pass over the same excerpts
peak_mb   peak memory beyond what the process held before: with the excerpts it stays, with the neurons it grows up to the budget
"""

import argparse
import json
import resource
from typing import Any

from benchmarks.environment import run_as
from benchmarks.made_up import params_for, random_excerpts, random_subject
from benchmarks.record import bare, in_fresh_process, recording

TIMES = (1, 4, 16)
EXCERPTS, NEURONS_PER_LAYER, LAYERS = 256, 96, 30


def record_once(excerpts: int, neurons: int) -> dict[str, Any]:
    """One point: CPU seconds and peak memory of recording so many neurons of each layer on so many excerpts."""
    subject, drawn = random_subject(LAYERS), random_excerpts(excerpts)
    bare(subject, drawn.tokens[:64])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu_s = float(recording(subject, drawn, params_for(excerpts, neurons=neurons))[1])
    peak_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    forward = float(bare(subject, drawn.tokens)[1])
    return {"cpu_s": round(cpu_s, 2), "forward_cpu_s": round(forward, 2), "peak_mb": round(peak_mb, 1)}


def together(points: dict[int, dict[str, Any]], keys: tuple[str, ...]) -> dict[str, list[Any]]:
    """One list per figure."""
    return {"size": list(points)} | {key: [point[key] for point in points.values()] for key in keys}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--point", nargs=2, type=int, metavar=("EXCERPTS", "NEURONS"), help="only this point, in this process")
    chosen = parser.parse_args()
    run_as("record")
    if chosen.point:
        print(json.dumps(record_once(*chosen.point)))
        return

    def point(excerpts: int, neurons: int) -> dict[str, Any]:
        return in_fresh_process("scale", "--point", str(excerpts), str(neurons))

    every = NEURONS_PER_LAYER * TIMES[-1]
    counts = [LAYERS * NEURONS_PER_LAYER * times for times in TIMES]
    figures = ("cpu_s", "forward_cpu_s", "peak_mb")
    found = {
        "record_excerpts": together({EXCERPTS * times: point(EXCERPTS * times, every) for times in TIMES}, figures),
        "record_neurons": together(
            {count: point(EXCERPTS, NEURONS_PER_LAYER * times) for count, times in zip(counts, TIMES, strict=True)}, figures
        ),
        "score_neurons": together(
            {count: in_fresh_process("score", "--neurons", str(count)) for count in counts}, ("cpu_s", "peak_mb", "read_mb")
        ),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
