"""export: everything arrives in the data set, in the forms that other tools read."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

from neurogloss.artifacts.explanations import explanations
from neurogloss.artifacts.recordings import Kind, Split
from neurogloss.artifacts.results import Results, read_results
from neurogloss.cli.main import app
from neurogloss.errors import UserError
from neurogloss.exchange.card import data_card
from neurogloss.exchange.openai import decimals, texts
from neurogloss.exchange.parquet import candidates_table
from neurogloss.exchange.selections import layer_counts, strong_but_unexplained, well_explained


def exported(finished: Path, out: Path, *arguments: str) -> Result:
    paths = ["--data", str(finished / "data"), "--metrics", str(finished / "metrics" / "details.json")]
    return CliRunner().invoke(app, ["export", str(out), *paths, *arguments])


@pytest.fixture(scope="module")
def results(finished: Path) -> Results:
    return read_results(finished / "data")


@pytest.fixture(scope="module")
def parquet(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "parquet"
    assert exported(finished, folder, "--shard", "100").exit_code == 0
    return folder


@pytest.fixture(scope="module")
def openai(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "openai"
    assert exported(finished, folder, "--format", "openai").exit_code == 0
    return folder


def config(folder: Path, name: str) -> pa.Table:
    """A configuration of the card, read as `datasets` reads it: all files that its pattern names, in order of their names."""
    front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    pattern = next(c["data_files"] for c in front["configs"] if c["config_name"] == name)
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob(pattern)))


def test_each_neuron_is_one_row_with_statistics_explanation_and_scores(parquet: Path, results: Results) -> None:
    neurons = config(parquet, "neurons")
    assert neurons["name"].to_pylist()[:2] == ["L0.N0", "L0.N3"] and len(neurons) == 12
    assert neurons["explanation"].to_pylist() == results.explanations.texts
    for column in ("status", "top_and_random", "ci_low", "token_table", "control", "excerpts"):
        assert neurons[column].to_pylist() == results.scores[column].to_pylist()
    for column in ("mean", "variance", "firing_share", "peak"):
        assert neurons[column].to_pylist() == results.recordings.statistics[column].to_pylist()
    assert neurons["promoted"].null_count == neurons["suppressed_logits"].null_count == len(neurons)  # These recordings do not know.
    assert config(parquet, "candidates")["text"].null_count == 1


def test_excerpts_hold_tokens_activations_and_simulated_levels_in_shards(parquet: Path, results: Results) -> None:
    excerpts, recordings = config(parquet, "excerpts"), results.recordings
    dealt = recordings.slots.where(*(split for split in Split if split is not Split.FIT))
    assert len(excerpts) == 12 * len(dealt) and len(list((parquet / "excerpts").iterdir())) >= 2
    rows: list[dict[str, Any]] = excerpts.to_pylist()
    for number, row in enumerate(rows):
        neuron, slot = divmod(number, len(dealt))
        slot = int(dealt[slot])
        assert (row["rank"], row["kind"], row["split"]) == (slot, recordings.slots.kinds[slot], recordings.slots.splits[slot])
        assert row["token_ids"] == recordings.tokens(neuron, np.array([slot]))[0].tolist()
        assert row["tokens"] == [recordings.text(token) for token in row["token_ids"]]
        np.testing.assert_array_equal(row["activations"], recordings.activations[neuron, slot].astype(np.float32))
        assert row["document"] == recordings.documents["document"][int(recordings.excerpts[neuron, slot])].as_py()
    simulated = [row for row in rows if row["split"] in ("calibrate", "score")]
    silent = [row for row in simulated if row["name"] == "L0.N15"]
    assert all(row["simulated"] is None and row["simulation_status"] == "silent_neuron" for row in silent) and silent
    score_slot, place = (
        int(recordings.slots.where(Split.SCORE)[1]),
        int(np.flatnonzero(results.simulations.slots == recordings.slots.where(Split.SCORE)[1])[0]),
    )
    found = next(row for row in rows if row["name"] == "L0.N3" and row["rank"] == score_slot)
    np.testing.assert_array_equal(found["simulated"], results.simulations.levels[1, place].astype(np.float32))
    assert found["simulation_status"] == "ok"
    explain = next(row for row in rows if row["split"] == "explain")
    assert explain["simulated"] is None and explain["simulation_status"] is None and max(explain["levels"]) == 10


def test_surplus_excerpts_come_on_request(finished: Path, tmp_path: Path, results: Results) -> None:
    assert exported(finished, tmp_path / "all", "--surplus").exit_code == 0
    assert len(config(tmp_path / "all", "excerpts")) == 12 * len(results.recordings.slots)


def test_the_card_says_what_it_holds_and_how_far_to_trust_it(parquet: Path, finished: Path) -> None:
    card = (parquet / "README.md").read_text(encoding="utf-8")
    metrics = json.loads((finished / "metrics" / "details.json").read_text(encoding="utf-8"))
    for measure in (
        metrics["top_and_random"],
        metrics["random_only"],
        metrics["baseline"]["token_table"],
        metrics["control"],
        metrics["margin"],
    ):
        assert f"| {measure['mean']} | {measure['ci_low']} to {measure['ci_high']} |" in card
    for name in ("neurons", "candidates", "excerpts"):
        described = {field.strip() for line in card.splitlines() if line.startswith("| ") for field in line.split("|")[1].split(",")}
        assert set(config(parquet, name).column_names) <= described, name


def test_the_card_has_a_dash_where_a_mean_has_no_interval(finished: Path, results: Results) -> None:
    metrics = json.loads((finished / "metrics" / "details.json").read_text(encoding="utf-8"))
    metrics["control"] |= {"ci_low": None, "ci_high": None}
    card = data_card(results.recordings, metrics)
    assert f"| control | {metrics['control']['mean']} | - |" in card and "None" not in card


def test_a_neuron_without_candidates_is_listed_with_what_it_has(results: Results) -> None:
    bare = replace(results, explanations=explanations([replace(row, candidates=()) for row in results.explanations.rows]))
    assert candidates_table(bare)["text"].to_pylist() == results.explanations.texts


def test_datasets_loads_it(parquet: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is an optional extra")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    neurons = datasets.load_dataset(str(parquet), cache_dir=str(tmp_path))["train"]
    assert neurons.num_rows == 12
    excerpts = datasets.load_dataset(str(parquet), "excerpts", streaming=True, cache_dir=str(tmp_path))["train"]
    assert len(next(iter(excerpts))["tokens"]) == 12
    assert datasets.load_dataset(str(parquet), "candidates", cache_dir=str(tmp_path))["train"].num_rows == 12


def test_equal_results_are_equal_files(parquet: Path, finished: Path, tmp_path: Path) -> None:
    assert exported(finished, tmp_path / "again", "--shard", "100").exit_code == 0
    for path in (p for p in parquet.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(parquet)).read_bytes(), path


def test_selections_hold_the_best_and_the_strong_but_unexplained_by_layer(parquet: Path) -> None:
    neurons = pa.table(
        {
            "layer": pa.array([0] * 8 + [1] * 8, pa.int32()),
            "name": [f"n{i}" for i in range(16)],
            "top_and_random": [0.9, 0.8, 0.1, 0.2, 0.3, 0.4, None, 0.79, 0.5, 0.1, 0.95, 0.6, 0.2, 0.3, 0.4, 0.85],
            "peak": [1.0, 9.0, 8.0, 1.0, 1.0, 1.0, 99.0, 1.0, 1.0, 8.0, 9.0, 1.0, 1.0, 1.0, 1.0, None],
        }
    )
    assert well_explained(neurons)["name"].to_pylist() == ["n0", "n1", "n10", "n15"]
    assert strong_but_unexplained(neurons)["name"].to_pylist() == ["n2", "n9"]
    assert layer_counts(neurons)[0] == {"layer": 0, "neurons": 8, "scored": 7, "at_least_0.5": 3, "at_least_0.7": 3, "at_least_0.8": 2}
    with (parquet / "tables" / "by_layer.csv").open(encoding="utf-8") as file:
        assert [row["neurons"] for row in csv.DictReader(file)] == ["6", "6"]
    assert (parquet / "tables" / "at_least_0.8.csv").read_text(encoding="utf-8").startswith("name,layer,neuron,top_and_random")


def test_a_neuron_record_has_the_published_fields_and_exact_numbers(openai: Path, results: Results) -> None:
    recordings = results.recordings
    record = json.loads((openai / "collated-activations" / "0" / "3.json").read_text(encoding="utf-8"))
    assert set(record) == {
        "dataclass_name", "neuron_id", "random_sample", "random_sample_by_quantile", "quantile_boundaries",
        "mean", "variance", "skewness", "kurtosis", "most_positive_activation_records",
    }  # fmt: skip
    assert record["neuron_id"] == {"dataclass_name": "NeuronId", "layer_index": 0, "neuron_index": 3}
    for field, kind in (("most_positive_activation_records", Kind.TOP), ("random_sample", Kind.RANDOM)):
        slots = recordings.slots.where(Split.EXPLAIN, Split.CALIBRATE, Split.SELECT, Split.SCORE, kind=kind)
        np.testing.assert_array_equal(np.array([r["activations"] for r in record[field]], np.float16), recordings.activations[1, slots])
        assert record[field][0]["tokens"] == [recordings.text(token) for token in recordings.tokens(1, slots)[0].tolist()]
        assert record[field][0]["dataclass_name"] == "ActivationRecord"


def test_simulation_results_are_one_line_with_the_pooled_score_and_top_excerpts_first(openai: Path, results: Results) -> None:
    lines = (openai / "explanations" / "0" / "3.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])["scored_explanations"][0]
    assert found["explanation"] == "words like w1, and [brackets]"
    assert found["scored_simulation"]["ev_correlation_score"] == results.score(1)["top_and_random"]
    sequences = found["scored_simulation"]["scored_sequence_simulations"]
    slots = results.recordings.slots.where(Split.SCORE)
    np.testing.assert_array_equal(
        np.array([s["true_activations"] for s in sequences], np.float16), results.recordings.activations[1, slots]
    )
    pooled = np.corrcoef(
        *(np.ravel(v) for v in ([s["simulation"]["expected_activations"] for s in sequences], [s["true_activations"] for s in sequences]))
    )
    assert pooled[0, 1] == pytest.approx(results.score(1)["top_and_random"], abs=1e-7)
    assert not (openai / "explanations" / "0" / "15.jsonl").exists()  # The silent neuron has no explanation.


def test_token_summaries_list_the_highest_means_first(openai: Path) -> None:
    found = json.loads((openai / "related-tokens" / "activation-based" / "0" / "3.json").read_text(encoding="utf-8"))
    assert found["dataclass_name"] == "TokenLookupTableSummaryOfNeuron"
    assert found["average_activations"] == sorted(found["average_activations"], reverse=True)
    assert len(found["tokens"]) == len(found["average_activations"]) > 10


def test_every_float16_reads_back_as_itself(results: Results) -> None:
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    written = decimals(every, texts(results.recordings))
    finite = np.isfinite(every)
    np.testing.assert_array_equal(np.array([w for w in written if w is not None]).astype(np.float16), every[finite])
    assert [w is None for w in written] == (~finite).tolist()
    np.testing.assert_allclose(np.array([w for w in written if w is not None]), every[finite].astype(float), rtol=1e-6)


@pytest.mark.parametrize("kind", ["parquet", "openai"])
def test_an_earlier_export_is_replaced_but_nothing_else_is(finished: Path, tmp_path: Path, kind: str) -> None:
    for _ in range(2):
        assert exported(finished, tmp_path / "out", "--format", kind).exit_code == 0
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("x", encoding="utf-8")
    error = exported(finished, tmp_path / "precious", "--format", kind).exception
    assert isinstance(error, UserError) and "holds other files" in str(error)
    assert [p.name for p in (tmp_path / "precious").iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert isinstance(exported(finished, tmp_path / "file", "--format", kind).exception, UserError)
