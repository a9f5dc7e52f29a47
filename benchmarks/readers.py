"""How far each simulator and scorer that needs no key can be trusted: agreement with a careful reader, and what it costs on this machine.

    python -m benchmarks.readers                       # all of them
    python -m benchmarks.readers --only fuzzing        # some; the others as they stand in benchmarks/results/readers.json

The labels of benchmarks/labels, judged as `neurogloss judge` does, the embedded model of params.yaml asking nobody else. Fast simulators
read all 240 sentences and 60 phrases, slow ones the first of every so many units (`units` says how many). `reader` was fitted to these
labels: its figures are those of networks fitted to four fifths of the neurons, on the last fifth, its seconds those of the weights that
ship. Nothing is taken from a cache; seconds are wall time on the machine as it is, without loading the model that is asked, and `load` is
the machine's load when a measurement begins. Simulators that write levels out are left to stronger models: the embedded one takes minutes.
The last line is JSON, of each simulator or scorer on sentences and on phrases:

agreement       mean correlation with the reader's levels; null for scorers, which simulate no levels
rank_agreement  correlation of its scores with the reader's, over units
sensitivity     mean correlation between its levels for different sentences on the same excerpts; 1: it does not read
score           mean correlation with activations, of scorers balanced accuracy; auc beside it
failed_share    of the excerpts that were asked about
tokens, seconds of a unit: eight excerpts of 64 tokens, those of borrowed sentences for sensitivity left out of neither
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params, load_params
from neurogloss.judging.judge import Verdict, judge, with_simulator
from neurogloss.judging.scorers import judge_by_scorer
from neurogloss.judging.units import JudgedUnit, read_units
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import CachedClient, open_provider
from neurogloss.llm.request import Client
from neurogloss.llm.usage import Usage, total

LABELS = Path(__file__).parent / "labels"
RESULTS = Path(__file__).parent / "results" / "readers.json"
EVERY = {"vocabulary": 1, "reader": 1, "all_at_once": 30, "detection": 30, "fuzzing": 30}
"""Of each the units that are judged: one of so many."""
KINDS = ("sentences", "phrases")
BORROWED = {"vocabulary": 50, "reader": 50, "all_at_once": 2}
"""Units that are also read from another unit's sentence, for sensitivity."""


class Asked:
    """Opens clients that know no answer yet, and adds up what was asked of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.usage = Usage()
        self.opening_s = 0.0

    @contextmanager
    def open(self, name: str, model: ModelParams, stage: str = "") -> Iterator[Client]:
        """A client with its model loaded and an empty cache."""
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            cache = Cache(Path(place) / "replies.db")
            client = CachedClient(name, model, cache, lambda: open_provider(name, model, cache))
            client.opened()
            self.opening_s += time.perf_counter() - began
            try:
                yield client
            finally:
                self.usage = total(self.usage, client.tally.paid)
                client.close()
                cache.close()


def labelled(kind: str, folder: Path) -> list[JudgedUnit]:
    """The units of a file of labels."""
    path = folder / f"{kind}.jsonl"
    path.write_bytes(gzip.decompress((LABELS / f"{kind}.jsonl.gz").read_bytes()))
    return read_units(path)


def judged(name: str, units: Sequence[JudgedUnit], params: Params, asked: Asked) -> Verdict:
    """By the simulator or scorer of this name."""
    if name in params.prompts.score:
        return judge_by_scorer(units, params, name, asked.open)
    return judge(units, with_simulator(params, name), BORROWED[name], asked.open)


def measured(name: str, units: Sequence[JudgedUnit], params: Params, folder: Path) -> dict[str, Any]:
    """Figures of one simulator or scorer on some units."""
    load = os.getloadavg()[0]
    asked, began = Asked(folder), time.perf_counter()
    verdict = judged(name, units, params, asked)
    seconds = time.perf_counter() - began - asked.opening_s
    excerpts = sum(len(unit.excerpts) * len(unit.explanations) for unit in units)
    figures = {key: getattr(verdict, key) for key in ("agreement", "rank_agreement", "sensitivity", "score", "auc")}
    return {key: None if value is None else round(value, 3) for key, value in figures.items()} | {
        "units": len(units),
        "unscored": sum(one.score is None for one in verdict.explanations),
        "failed_share": round(sum(verdict.failed.values()) / excerpts, 3),
        "failed": dict(sorted(verdict.failed.items())),
        "tokens": round((asked.usage.prompt + asked.usage.completion) / len(units)),
        "seconds": round(seconds / len(units), 2),
        "load": round(load, 1),
    }


def held_out_reader(known: Path | None) -> dict[str, dict[str, float]]:
    """Figures of `reader` on neurons it was not fitted to, by kind."""
    weights = resources.files("neurogloss.simulators.reader") / "weights.npz"
    command = [sys.executable, "-m", "benchmarks.train_reader", "--folds", "5", "--vectors", str(weights)]
    text = known.read_text(encoding="utf-8") if known else subprocess.run(command, check=True, capture_output=True, text=True).stdout
    said = text.splitlines()
    found = [json.loads(line) for line in said if line.startswith("{")]
    return {one["labels"]: {key: round(one[key], 3) for key in ("agreement", "rank_agreement", "sensitivity", "score")} for one in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--only", nargs="*", default=list(EVERY), choices=list(EVERY))
    parser.add_argument("--held-out", type=Path, help="what `benchmarks.train_reader --folds 5` printed; else it is run, ten minutes")
    chosen = parser.parse_args()
    params = load_params(chosen.params)
    known = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "{}"
    found: dict[str, Any] = {key: value for key, value in json.loads(known).items() if key.split(" on ")[0] not in chosen.only}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pypi").symlink_to(environment.cache_folder() / "pypi")  # Models are not fetched again, phrases are read again.
        os.environ["NEUROGLOSS_CACHE"] = name
        held_out = held_out_reader(chosen.held_out) if "reader" in chosen.only else {}
        for kind in KINDS:
            units = labelled(kind, folder)
            for simulator in chosen.only:
                about = measured(simulator, units[:: EVERY[simulator]], params, folder)
                found[f"{simulator} on {kind}"] = about | (held_out[kind] if simulator == "reader" else {})
    print(json.dumps({f"{name} on {kind}": found[key] for name in EVERY for kind in KINDS if (key := f"{name} on {kind}") in found}))


if __name__ == "__main__":
    main()
