"""Examples to quote: at fixed percentiles, so nobody picks the nice ones."""

from pathlib import Path

import pyarrow as pa

from neurogloss.scorers.tables import EXAMPLE, QUOTED, examples, write_csv


def table(scores: list[float | None]) -> pa.Table:
    count = len(scores)
    others = {"random_only": [0.25] * count, "token_table": [0.5] * count, "control": [0.125] * count}
    return pa.table({"layer": [0] * count, "neuron": list(range(count)), "top_and_random": scores, **others})


def test_they_stand_at_fixed_percentiles_from_best_to_worst() -> None:
    found = examples(table([i / 100 for i in range(101)]), [f"text {i}" for i in range(101)])
    assert [row["score"] for row in found] == [round(1 - share, 2) for share in QUOTED]
    assert found[0]["explanation"] == "text 100"


def test_neurons_without_a_score_are_never_quoted_and_few_neurons_are_quoted_once() -> None:
    found = examples(table([None, 0.25, None, 0.75]), [None, "a", None, "b"])
    assert [(row["neuron"], row["score"]) for row in found] == [("L0.N3", 0.75), ("L0.N1", 0.25)]
    assert examples(table([None]), [None]) == []


def test_a_result_without_any_score_is_a_table_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "examples.csv"
    write_csv(path, examples(table([None, None]), [None, "a"]), EXAMPLE)
    assert path.read_text(encoding="utf-8") == "neuron,explanation,score,random_only,baseline,control\n"
    write_csv(tmp_path / "more.csv", examples(table([0.5]), ["a"]), EXAMPLE)
    assert (tmp_path / "more.csv").read_text(encoding="utf-8").splitlines() == [
        "neuron,explanation,score,random_only,baseline,control",
        "L0.N0,a,0.5,0.25,0.5,0.125",
    ]
