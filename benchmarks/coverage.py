"""How often the 95 % intervals hold the truth. Run in a clone with a finished result (`dvc repro`); nothing is written.

The last line is JSON. `5 + 5 excerpts`, `20 + 20 excerpts` (top + random): of `--samples` samples of each unit, drawn with replacement
from all excerpts recorded, the share of intervals that hold the correlation over all of them; `printed`: the share of samples that have
an interval; `width`: the median interval. Simulations: `vocabulary` of the result's explanations; the `token table`; `lossy`, the recorded
levels of which 40 % are lost and 2 % of the tokens wrongly at level 3; `normal`, made-up normal numbers whose excerpts differ in level.
`8 units` and so on: of `--means` samples drawn with replacement from the result's scores, the share of intervals that hold the mean of
all, for scores, their differences, and made-up differences most of which are 0; null where under a tenth of the samples have an interval.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from neurogloss.artifacts.explanations import Explanations, read_explanations
from neurogloss.artifacts.recordings import Kind, Recordings, Split, read_recordings
from neurogloss.config.params import Params, load_params
from neurogloss.measures.correlation import PairedSums, correlations, merge, paired_sums, totals
from neurogloss.measures.levels import levels
from neurogloss.scorers.intervals import MIN_UNITS, MIN_UNITS_LONG_TAIL, correlation_intervals, mean_interval
from neurogloss.scorers.token_table import token_table_levels
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.simulators.opening import open_simulator

EACH = (5, 20)
UNITS = (8, 30, 240, 46080)
FEWER = 2000
"""Samples of as many units as a whole model has."""


class Intervals(NamedTuple):
    """Of many samples."""

    coverage: float
    printed: float
    width: float


def simulations(recordings: Recordings, explanations: Explanations, params: Params) -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """Name, recorded and simulated numbers (unit, excerpt, token), top excerpts first, and how many are top."""
    slots = np.concatenate([recordings.slots.where(*Split, kind=kind) for kind in (Kind.TOP, Kind.RANDOM)])
    tops, rows = len(recordings.slots.where(*Split, kind=Kind.TOP)), np.flatnonzero(~recordings.silent)
    recorded = np.asarray(recordings.activations[rows][:, slots], np.float64)
    rng = np.random.default_rng(0)
    if chosen_simulator(params).name == "vocabulary":
        with open_simulator(recordings, params, "simulate") as simulator:
            order = np.argsort(slots)
            found = simulator(rows, slots[order], [explanations.texts[row] for row in rows]).levels[:, np.argsort(order)]
        yield "vocabulary", recorded, np.asarray(found, np.float64), tops
    yield "token table", recorded, np.asarray(token_table_levels(recordings, rows, slots), np.float64), tops
    real = levels(recorded, recordings.peaks[rows].astype(np.float64))
    yield "lossy", recorded, real * (rng.random(real.shape) < 0.6) + 3.0 * (rng.random(real.shape) < 0.02), tops
    x = rng.standard_normal((len(rows), 200, 64)) + 0.7 * rng.standard_normal((len(rows), 200, 1))
    yield "normal", x, 0.5 * x + rng.standard_normal(x.shape) + 0.7 * rng.standard_normal((len(rows), 200, 1)), 100


def drawn(found: PairedSums, each: int, samples: int, rng: np.random.Generator) -> PairedSums:
    """Samples of `each` excerpts of every unit, drawn with replacement: (unit and sample, excerpt)."""
    units, excerpts = found.tokens.shape
    rows = np.repeat(np.arange(units), samples)
    chosen = rng.integers(0, excerpts, (len(rows), each))
    sums = (getattr(found, name)[rows[:, None], chosen] for name in ("tokens", "x", "y", "xx", "yy", "xy"))
    return PairedSums(*sums, found.centre_x[rows], found.centre_y[rows])


def mean_sums(found: PairedSums) -> PairedSums:
    """One excerpt a unit, the mean of all of them."""
    sums = (getattr(found, name).mean(axis=1, keepdims=True) for name in ("tokens", "x", "y", "xx", "yy", "xy"))
    return PairedSums(*sums, found.centre_x, found.centre_y)


def correlation_coverage(x: np.ndarray, y: np.ndarray, tops: int, samples: int) -> Iterator[tuple[str, Intervals]]:
    """For each number of excerpts: the share of intervals that hold the truth, of samples with an interval, and the median width."""
    use = np.broadcast_to(True, x.shape[:2])
    top, random = (paired_sums(x[:, kind], y[:, kind], use[:, kind]) for kind in (slice(0, tops), slice(tops, None)))
    truth = np.repeat(correlations(merge(totals(mean_sums(top)), totals(mean_sums(random))))[:, 0], samples)
    rng = np.random.default_rng(0)
    for each in EACH:
        low, high = correlation_intervals(drawn(top, each, samples, rng), drawn(random, each, samples, rng))
        printed = ~np.isnan(low) & ~np.isnan(truth)
        held = (low <= truth) & (truth <= high)
        shares = held[printed].mean(), printed[~np.isnan(truth)].mean(), np.median((high - low)[printed])
        yield f"{each} + {each}", Intervals(*(round(float(share), 4) for share in shares))


def measures(scores: Path) -> Iterator[tuple[str, np.ndarray, int]]:
    """The numbers whose means are shown, and differences, and how many units their intervals need."""
    table = pq.read_table(scores)
    columns = {name: np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64) for name in table.column_names if name != "status"}
    score = columns["top_and_random"]
    yield "score", score, MIN_UNITS
    yield "random only", columns["random_only"], MIN_UNITS
    yield "baseline", columns["token_table"], MIN_UNITS
    yield "score less baseline", score - columns["token_table"], MIN_UNITS
    yield "score less control", score - columns["control"], MIN_UNITS
    yield "variance explained", columns["variance_explained"], MIN_UNITS_LONG_TAIL
    rng = np.random.default_rng(0)
    yield "mostly ties", rng.normal(0.05, 0.1, 5000) * (rng.random(5000) < 0.4), MIN_UNITS


def mean_coverage(values: np.ndarray, needed: int, samples: int) -> Iterator[tuple[int, float | None]]:
    """Share of the intervals that hold the mean of all; None where under a tenth of the samples have one."""
    population = values[~np.isnan(values)]
    rng = np.random.default_rng(0)
    for units in UNITS:
        count = samples if units < 1000 else min(samples, FEWER)
        ends = [mean_interval(rng.choice(population, units), needed=needed) for _ in range(count)]
        held = [each.low <= population.mean() <= each.high for each in ends if each]
        yield units, round(float(np.mean(held)), 4) if len(held) > count / 10 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path.cwd())
    parser.add_argument("--samples", type=int, default=200, help="of each unit's excerpts")
    parser.add_argument("--means", type=int, default=5000, help="samples of each number of units")
    chosen = parser.parse_args()
    data = chosen.repository / "data"
    made = simulations(
        read_recordings(data / "recordings"),
        read_explanations(data / "explanations.parquet"),
        load_params(chosen.repository / "params.yaml"),
    )
    found: dict[str, dict[str, float | None]] = defaultdict(dict)
    for name, x, y, tops in made:
        for each, about in correlation_coverage(x, y, tops, chosen.samples):
            found[f"{each} excerpts"][name] = about.coverage
            found["printed"][f"{each}, {name}"] = about.printed
            found["width"][f"{each}, {name}"] = about.width
    for name, values, needed in measures(data / "scores.parquet"):
        for units, share in mean_coverage(values, needed, chosen.means):
            found[f"{units:,} units"][name] = share
    print(json.dumps(found))


if __name__ == "__main__":
    main()
