"""Examples to quote: at fixed percentiles, so nobody picks the nice ones."""

import pyarrow as pa

from stages.scoring.tables import QUOTED, examples


def table(scores: list[float | None]) -> pa.Table:
    count = len(scores)
    return pa.table({"layer": [0] * count, "neuron": list(range(count)), "top_and_random": scores, "token_table": [0.5] * count})


def test_they_stand_at_fixed_percentiles_from_best_to_worst() -> None:
    found = examples(table([i / 100 for i in range(101)]), [f"text {i}" for i in range(101)])
    assert [row["score"] for row in found] == [round(1 - share, 2) for share in QUOTED]
    assert found[0]["explanation"] == "text 100"


def test_neurons_without_a_score_are_never_quoted_and_few_neurons_are_quoted_once() -> None:
    found = examples(table([None, 0.25, None, 0.75]), [None, "a", None, "b"])
    assert [(row["neuron"], row["score"]) for row in found] == [("L0.N3", 0.75), ("L0.N1", 0.25)]
    assert examples(table([None]), [None]) == []
