"""MLflow gets rounds of revision as steps, and ablation against correlation as a figure; nothing where neither was run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.files import write_json
from neurogloss.comparison.result import Result
from neurogloss.tracking.ablation_figure import write_ablation_figure
from neurogloss.tracking.content import Step, revision_steps


def result(folder: Path, rounds: list[dict[str, Any]] | None) -> Result:
    if rounds is not None:
        write_json(folder / "metrics" / "refine.json", {"rounds": rounds})
    return cast(Result, SimpleNamespace(path=lambda name: folder / name, paths=SimpleNamespace(metrics="metrics")))


def test_each_round_of_revision_is_a_step(tmp_path: Path) -> None:
    rounds = [
        {"round": number, "kept": 7 * number, "select": {"units": 9, "before": 0.1, "after": 0.2 * number}, "fired": {"expected": None}}
        for number in (1, 2)
    ]
    found = list(revision_steps(result(tmp_path, rounds)))
    assert Step("revision/kept", 7.0, 1) in found and Step("revision/select.after", 0.4, 2) in found
    assert not [one for one in found if "expected" in one[0] or one[0].endswith("round")]
    assert not list(revision_steps(result(tmp_path / "none", []))) and not list(revision_steps(result(tmp_path / "old", None)))


def test_ablation_against_correlation_is_a_figure_of_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    score = rng.uniform(-0.1, 0.9, 60)
    table = pa.table({"top_and_random": score, "ablation": pa.array(np.where(score > 0.8, np.nan, score**2), from_pandas=True)})
    for name in "ab":
        assert write_ablation_figure(table, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert not write_ablation_figure(table.set_column(1, "ablation", pa.nulls(60, pa.float64())), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
