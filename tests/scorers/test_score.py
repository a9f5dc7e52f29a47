"""score: known simulations get the scores they deserve, failures are counted, and the score split decides nothing but the score."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from neurogloss.artifacts.explanations import write_explanations
from neurogloss.artifacts.recordings import Kind, Recordings, Split, write_recordings
from neurogloss.artifacts.scores import SCORES, read_scores
from neurogloss.artifacts.simulations import Simulations, write_simulations
from neurogloss.artifacts.status import Status
from neurogloss.errors import UserError
from neurogloss.scorers.run import same_document_share, score
from neurogloss.scorers.summary import summary
from neurogloss.scorers.tables import by_layer, histogram, quantile_table
from neurogloss.scorers.token_table import token_table_levels
from stages.score import main
from tests.simulated import explained, honest, scoring, simulated
from tests.tiny import random_recordings

PARAMS = scoring()
CORRELATIONS = ("top_and_random", "random_only", "top_only")


@pytest.fixture(scope="module")
def many() -> Recordings:
    """300 made-up neurons in three layers, one of them silent."""
    return random_recordings(layers=3, per_layer=100, tokens=12, per_split=3, excerpts=120)


def column(scores: pa.Table, name: str) -> np.ndarray:
    return np.asarray(scores[name].to_numpy(zero_copy_only=False), dtype=float)


def scored(scores: pa.Table) -> pa.Table:
    return scores.filter(pa.compute.equal(scores["status"], "ok"))


def test_an_oracle_scores_one_and_its_opposite_minus_one(many: Recordings) -> None:
    oracle = scored(score(many, explained(many), simulated(many, lambda true: true), PARAMS))
    opposite = scored(score(many, explained(many), simulated(many, lambda true: 10 - true), PARAMS))
    assert len(oracle) == len(opposite) == 299
    for name in CORRELATIONS:
        # float16 levels of float16 activations: rounding is all that is missing.
        np.testing.assert_allclose(column(oracle, name), 1, atol=1e-4)
        np.testing.assert_allclose(column(opposite, name), -1, atol=1e-3)
    np.testing.assert_allclose(column(oracle, "variance_explained"), 1, atol=1e-3)
    assert (column(opposite, "variance_explained") <= 1e-9).all()


def test_a_constant_simulation_scores_zero_and_is_counted(many: Recordings) -> None:
    found = score(many, explained(many), simulated(many, lambda true: np.full_like(true, 3.0)), PARAMS)
    assert found["status"].to_pylist().count("ok") == 299
    for name in CORRELATIONS:
        assert found[name].to_pylist().count(0.0) == 299 and found[name].null_count == 1, name
    assert found["ci_low"].null_count == found["ci_high"].null_count == 300
    metrics = summary(found, 6)
    assert (metrics["scored"], metrics["failed"]) == (299, 1)
    assert metrics["zero_by_cause"] == {"constant_simulation": 299, "no_explanation": 0}
    assert metrics["top_and_random"]["mean"] == metrics["random_only"]["mean"] == 0
    json.dumps(metrics, allow_nan=False)


def test_what_is_constant_on_random_excerpts_alone_scores_zero_there(many: Recordings) -> None:
    def rule(true: np.ndarray) -> np.ndarray:
        random = np.isin(many.slots.where(Split.CALIBRATE, Split.SCORE), many.slots.where(*Split, kind=Kind.RANDOM))
        return np.where(random[:, None], 0.0, true)

    found = scored(score(many, explained(many), simulated(many, rule), PARAMS))
    assert (column(found, "random_only") == 0).all() and (column(found, "top_only") > 0.99).all()


def test_a_constant_recording_is_undefined_whatever_is_predicted(many: Recordings) -> None:
    slots = many.slots.where(Split.SCORE)
    altered = np.array(many.activations)
    altered[np.ix_([0, 4], slots)] = 0.25
    for rule in (lambda true: true, lambda true: np.zeros_like(true)):
        found = score(replace(many, activations=altered), explained(many), simulated(many, rule), PARAMS)
        assert [found["status"][row].as_py() for row in (0, 4)] == ["constant"] * 2
        for name in (*CORRELATIONS, "token_table", "variance_explained"):
            assert found[name][0].as_py() is None and found[name][4].as_py() is None
        assert summary(found, 6)["failed_by_cause"]["constant"] == 2


def test_a_neuron_without_a_sentence_scores_zero_so_that_silence_never_pays(many: Recordings) -> None:
    rng = np.random.default_rng(0)
    weak = [row for row in range(0, 300, 3) if not many.silent[row]]
    places = len(many.slots.where(Split.CALIBRATE, Split.SCORE))
    noise = rng.normal(0, 2, (300, places, 12))
    noise[weak] *= 20
    whole = simulated(many, lambda true: true + noise, borrow=lambda rows, lenders: rng.random((len(rows), 6, 12)))
    silence = {(row, place): Status.NO_EXPLANATION for row in weak for place in range(places)}
    fewer = simulated(many, lambda true: true + noise, silence, lambda rows, lenders: rng.random((len(rows), 6, 12)))
    everything = score(many, explained(many), whole, PARAMS)
    found = score(many, explained(many, dict.fromkeys(weak, Status.NO_EXPLANATION)), fewer, PARAMS)
    for row in weak:
        values = found.slice(row, 1).to_pylist()[0]
        assert (values["status"], values["excerpts"]) == ("no_explanation", 0)
        assert values["top_and_random"] == values["random_only"] == values["top_only"] == 0
        assert values["ci_low"] is None and values["sensitivity"] is None and values["margin"] == -values["control"]
        assert values["variance_explained"] <= 0
    before, after = summary(everything, 6), summary(found, 6)
    assert 0 < after["top_and_random"]["mean"] < before["top_and_random"]["mean"]
    assert after["zero_by_cause"] == {"constant_simulation": 0, "no_explanation": len(weak)}
    for name in ("neurons", "scored", "failed", "failed_by_cause"):
        assert after[name] == before[name]
    for name in ("top_and_random", "random_only", "control", "margin"):
        assert after[name]["neurons"] == before[name]["neurons"] == 299
    assert after["baseline"] == before["baseline"]
    assert after["excerpts"] == {"scored": 6 * (299 - len(weak)), "failed": 0}


def test_a_random_simulation_and_one_for_another_neuron_are_about_zero(many: Recordings) -> None:
    rng = np.random.default_rng(0)
    metrics = summary(score(many, explained(many), simulated(many, lambda true: rng.random(true.shape)), PARAMS), 6)
    assert metrics["top_and_random"]["ci_low"] < 0 < metrics["top_and_random"]["ci_high"]
    assert abs(metrics["top_and_random"]["mean"]) < 0.02


def test_the_baseline_is_over_the_same_neurons_and_excerpts_whatever_explained_them(many: Recordings) -> None:
    places = len(many.slots.where(Split.CALIBRATE, Split.SCORE))
    good = score(many, explained(many), simulated(many, lambda true: true), PARAMS)
    failures = {(row, place): Status.REFUSED for row in range(7) for place in range(places)} | {(9, 0): Status.UNPARSABLE}
    poor = score(many, explained(many), simulated(many, lambda true: true * 0, failures), PARAMS)
    assert poor["top_and_random"].null_count == 8
    assert poor["token_table"].equals(good["token_table"])
    baseline = summary(poor, 6)["baseline"]["token_table"]
    assert baseline == summary(good, 6)["baseline"]["token_table"] and baseline["neurons"] == 299 and baseline["mean"] > 0.7


def test_scores_equal_numpy_on_the_pooled_tokens(many: Recordings) -> None:
    rng = np.random.default_rng(1)
    simulations = simulated(many, lambda true: true + rng.normal(0, 3, true.shape))
    found = score(many, explained(many), simulations, PARAMS)
    for name, kind in (("top_and_random", None), ("random_only", Kind.RANDOM), ("top_only", Kind.TOP)):
        slots = many.slots.where(Split.SCORE, kind=kind)
        places = np.flatnonzero(np.isin(simulations.slots, slots))
        for row in range(0, 90, 7):
            recorded = np.asarray(many.activations[row, slots], dtype=float).ravel()
            levels = np.asarray(simulations.levels[row, places], dtype=float).ravel()
            assert found[name][row].as_py() == pytest.approx(np.corrcoef(recorded, levels)[0, 1], abs=1e-8)


@pytest.mark.parametrize(("per_split", "printed"), [(1, 0), (3, 0), (5, 59)])
def test_a_score_has_an_interval_around_it_where_there_are_enough_excerpts(per_split: int, printed: int) -> None:
    some = random_recordings(layers=3, per_layer=20, tokens=12, per_split=per_split, excerpts=120)
    rng = np.random.default_rng(1)
    found = scored(score(some, explained(some), simulated(some, lambda true: true + rng.normal(0, 3, true.shape)), PARAMS))
    low, middle, high = (column(found, name) for name in ("ci_low", "top_and_random", "ci_high"))
    assert (low < middle).sum() == (middle < high).sum() == printed
    assert np.isnan(low).sum() == np.isnan(high).sum() == 59 - printed


def test_failed_excerpts_are_left_out_and_counted_and_too_many_of_them_fail_the_neuron(many: Recordings) -> None:
    score_places = np.flatnonzero(np.isin(many.slots.where(Split.CALIBRATE, Split.SCORE), many.slots.where(Split.SCORE)))
    top, random = score_places[:3], score_places[3:]
    one = {(0, int(top[0])): Status.UNPARSABLE}
    two = {(1, int(place)): Status.REFUSED for place in random[:2]} | {(1, int(top[0])): Status.CUT_OFF}
    whole = score(many, explained(many), simulated(many, lambda true: true), PARAMS)
    found = score(many, explained(many), simulated(many, lambda true: true, one | two), PARAMS)
    assert found["status"].to_pylist()[:3] == ["ok", "refused", "ok"]
    assert found["excerpts"].to_pylist()[:3] == [5, 3, 6]
    assert found["top_and_random"][0].as_py() == pytest.approx(1, abs=1e-4)
    assert found["top_and_random"][1].as_py() is None and found["control"][1].as_py() is None
    assert found["token_table"].equals(whole["token_table"])
    metrics = summary(found, 6)
    assert metrics["failed_by_cause"]["refused"] == 1 and metrics["failed_by_cause"]["silent_neuron"] == 1
    assert metrics["scored"] + metrics["failed"] == metrics["neurons"] == 300
    assert sum(metrics["failed_by_cause"].values()) == metrics["failed"] == 2
    assert metrics["excerpts"] == {"scored": 298 * 6 - 1, "failed": 1}


def test_a_neuron_without_an_explanation_keeps_the_reason(many: Recordings) -> None:
    place_count = len(many.slots.where(Split.CALIBRATE, Split.SCORE))
    failures = {(7, place): Status.NO_EXPLANATION for place in range(place_count)}
    found = score(many, explained(many, {7: Status.TOO_LONG}), simulated(many, lambda true: true, failures), PARAMS)
    assert found["status"][7].as_py() == "too_long"
    assert found["excerpts"][7].as_py() == 0
    silent = int(np.flatnonzero(many.silent)[0])
    assert found["status"][silent].as_py() == "silent_neuron"


def test_a_failed_neuron_changes_no_other_neurons_score(many: Recordings) -> None:
    place_count = len(many.slots.where(Split.CALIBRATE, Split.SCORE))
    failures = {(7, place): Status.UNANSWERED for place in range(place_count)}
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2, (300, place_count, 12))
    whole = score(many, explained(many), simulated(many, lambda true: true + noise), PARAMS).to_pylist()
    found = score(many, explained(many), simulated(many, lambda true: true + noise, failures), PARAMS).to_pylist()
    for row in (r for r in range(300) if r != 7):
        for name in (*CORRELATIONS, "ci_low", "ci_high", "variance_explained", "token_table"):
            assert found[row][name] == whole[row][name], (row, name)


def test_the_score_split_reaches_neither_calibration_nor_table(many: Recordings) -> None:
    slots = many.slots.where(Split.SCORE)
    altered = np.array(many.activations)
    altered[:, slots] = np.random.default_rng(5).gamma(1.0, 9.0, altered[:, slots].shape)
    other = replace(many, activations=altered)
    rows = np.arange(len(many))
    np.testing.assert_array_equal(token_table_levels(many, rows, slots), token_table_levels(other, rows, slots))
    # Level 10 means what it meant on the calibrate split: an oracle of the old scale explains the new one badly.
    found = scored(score(other, explained(many), simulated(many, lambda true: true), PARAMS))
    assert (column(found, "variance_explained") < 0.5).all()


def test_the_table_falls_back_to_the_neurons_mean_and_never_leaves_0_to_10(many: Recordings) -> None:
    rows, slots = np.arange(len(many)), many.slots.where(Split.SCORE)
    levels = token_table_levels(many, rows, slots)
    assert np.isnan(levels[many.silent]).all()
    fired = levels[~many.silent]
    assert fired.min() == 0 and fired.max() <= 10
    without = replace(many, table_tokens=np.empty(0, np.int32), token_means=np.empty((len(many), 0), np.float16))
    fallback = token_table_levels(without, rows, slots)[~many.silent]
    assert (np.ptp(fallback, axis=(1, 2)) == 0).all()
    gone = np.array(many.token_means)
    gone[:] = np.nan
    np.testing.assert_array_equal(token_table_levels(replace(many, token_means=gone), rows, slots)[~many.silent], fallback)


def test_equal_inputs_give_equal_tables(many: Recordings) -> None:
    rng = np.random.default_rng(0)
    simulations = simulated(many, lambda true: true + rng.normal(0, 3, true.shape), borrow=honest(many))
    first, again = (score(many, explained(many), simulations, PARAMS) for _ in range(2))
    assert first.equals(again)


def test_the_curves_agree_with_the_scores(many: Recordings) -> None:
    rng = np.random.default_rng(0)
    simulations = simulated(many, lambda true: true + rng.normal(0, 3, true.shape), borrow=honest(many))
    found = score(many, explained(many), simulations, PARAMS)
    bars: list[dict[str, Any]] = histogram(found, PARAMS.score.bins)
    assert [bar["bin"] for bar in bars] == pytest.approx(np.linspace(-0.9, 0.9, 10))
    for name in ("score", "baseline", "control"):
        assert sum(bar[name] for bar in bars) == pytest.approx(1, abs=1e-5)
        assert sum(bar[f"{name}_neurons"] for bar in bars) == 299
    curve: list[dict[str, Any]] = quantile_table(found)
    assert [row["percentile"] for row in curve] == list(range(101))
    assert curve[50]["score"] == summary(found, 6)["top_and_random"]["median"]
    layers: list[dict[str, Any]] = by_layer(found)
    assert [(row["layer"], row["neurons"], row["scored"]) for row in layers] == [(0, 100, 99), (1, 100, 100), (2, 100, 100)]
    for row in layers:
        here = column(found, "top_and_random")[column(found, "layer") == row["layer"]]
        assert row["mean"] == pytest.approx(np.nanmean(here), abs=1e-6)
        assert row["ci_low"] < row["mean"] < row["ci_high"]


def test_an_oracle_is_in_the_last_bin(many: Recordings) -> None:
    found = score(many, explained(many), simulated(many, lambda true: true), PARAMS)
    assert histogram(found, 10)[-1]["score_neurons"] == 299


def test_simulations_of_other_neurons_are_refused(many: Recordings) -> None:
    simulations = simulated(many, lambda true: true)
    shifted = replace(simulations, indices=simulations.indices + 1)
    with pytest.raises(UserError, match="simulations are of other units than the recordings; run `dvc repro`"):
        score(many, explained(many), shifted, PARAMS)
    fewer = Simulations("x", many.layers, many.indices, simulations.slots[1:], simulations.levels[:, 1:], simulations.status[:, 1:])
    with pytest.raises(UserError, match="lack excerpts of the (calibrate|score) split"):
        score(many, explained(many), fewer, PARAMS)


def run_stage(folder: Path, recordings: Recordings) -> Path:
    """Write made-up artifacts and run the stage on them; the folder with `scores.parquet` and `metrics`."""
    rng = np.random.default_rng(0)
    write_recordings(folder / "recordings", recordings)
    write_explanations(folder / "explanations.parquet", explained(recordings))
    write_simulations(
        folder / "simulations", simulated(recordings, lambda true: true + rng.normal(0, 3, true.shape), borrow=honest(recordings))
    )
    main(
        recordings=folder / "recordings",
        explanations=folder / "explanations.parquet",
        simulations=folder / "simulations",
        out=folder / "scores.parquet",
        metrics=folder / "metrics",
    )
    return folder


def test_excerpts_of_documents_that_also_gave_others_are_counted(many: Recordings) -> None:
    def with_documents(names: list[str]) -> Recordings:
        return replace(many, documents=pa.table({"document": names, "start": many.documents["start"]}))

    excerpts = len(many.corpus)
    assert same_document_share(with_documents(["one"] * excerpts)) == 1
    assert same_document_share(with_documents([str(number) for number in range(excerpts)])) == 0
    groups = with_documents([str(number // 2) for number in range(excerpts)])
    held_out, others = many.slots.where(Split.SCORE), np.setdiff1d(np.arange(len(many.slots)), many.slots.where(Split.SCORE))
    found = [excerpt // 2 in set(row[others] // 2) for row in many.excerpts for excerpt in row[held_out]]
    assert 0 < np.mean(found) < 1
    assert same_document_share(groups) == pytest.approx(np.mean(found), abs=1e-6)


def test_the_stage_writes_the_same_files_twice(recordings: Recordings, tmp_path: Path) -> None:
    a, b = run_stage(tmp_path / "a", recordings), run_stage(tmp_path / "b", recordings)
    names = [
        "scores.parquet",
        *(f"metrics/{name}" for name in ("score.json", "details.json", "histogram.csv", "by_layer.csv", "quantiles.csv", "examples.csv")),
    ]
    for name in names:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    assert sorted(p.name for p in (a / "metrics").iterdir()) == sorted(name.removeprefix("metrics/") for name in names[1:])
    assert read_scores(a / "scores.parquet").schema.names == SCORES.names


def test_the_metrics_hold_every_promised_key(recordings: Recordings, tmp_path: Path) -> None:
    metrics = json.loads((run_stage(tmp_path, recordings) / "metrics" / "details.json").read_text(encoding="utf-8"))
    spread = {"mean", "median", "std", "ci_low", "ci_high", "p10", "p25", "p75", "p90"}
    for name in CORRELATIONS:
        assert spread <= metrics[name].keys()
    assert metrics["share_at_least"].keys() == {"0.5", "0.7", "0.8"}
    for found in (metrics["baseline"]["token_table"], metrics["control"], metrics["margin"], metrics["sensitivity"]):
        assert spread <= found.keys()
    assert metrics["neurons"] == 8 and metrics["scored"] == 7 and metrics["failed"] == 1
    assert metrics["variance_explained"]["mean"] is not None
    assert metrics["borrowed"] == {"neurons": 7, "sentences": 18, "failed_excerpts": 0}
    with (tmp_path / "metrics" / "by_layer.csv").open(encoding="utf-8") as file:
        assert [row["layer"] for row in csv.DictReader(file)] == ["0", "1"]
