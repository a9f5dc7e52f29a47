"""Ablation score: true values give 1, the mean 0, nothing where the mean changes nothing; with an interval and a control."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.recordings import OPEN_SPLITS, Kind, Recordings, Split
from neurogloss.artifacts.scores import read_scores, write_scores
from neurogloss.artifacts.simulations import Simulations
from neurogloss.artifacts.sparse import rows_from
from neurogloss.artifacts.status import Status
from neurogloss.errors import UserError
from neurogloss.scorers import run
from neurogloss.scorers.ablation import ablation_columns, unit_means
from neurogloss.scorers.blocks import ScoreInputs, layout
from neurogloss.scorers.intervals import ratio_intervals
from neurogloss.scorers.run import score, sentence_numbers
from neurogloss.scorers.summary import summary
from neurogloss.subject.changes import Change
from tests.simulated import explained, honest, scoring, simulated


def squared(recordings: Recordings, changes: Sequence[Change]) -> np.ndarray:
    """Stands for the subject: the divergence is the mean square of what is changed."""
    slots = {(int(n), int(e)): slot for n, row in enumerate(recordings.excerpts) for slot, e in enumerate(row)}
    found = []
    for change in changes:
        row = recordings.row(change.layer, change.neuron)
        truth = recordings.activations[row, slots[row, change.excerpt]].astype(np.float64)
        found.append(float(np.mean((change.values - truth) ** 2)))
    return np.array(found)


def columns(recordings: Recordings, simulations: Simulations, explanations: Explanations) -> dict[str, object]:
    where = layout(recordings, simulations.slots, Split.SCORE)
    block = ScoreInputs(
        recordings,
        simulations,
        where,
        layout(recordings, simulations.slots, Split.CALIBRATE),
        layout(recordings, simulations.borrowed.slots, Split.SCORE) if len(simulations.borrowed) else where,
        0.5,
        sentence_numbers(explanations),
        np.array([status is Status.NO_EXPLANATION for status in explanations.statuses]),
    )
    return ablation_columns(block, explanations, partial(squared, recordings))


def test_the_true_values_score_one_and_a_constant_at_the_mean_zero(recordings: Recordings) -> None:
    found = columns(recordings, simulated(recordings, lambda levels: levels, borrow=honest(recordings)), explained(recordings))
    loud = ~recordings.silent
    np.testing.assert_allclose(np.asarray(found["ablation"])[loud], 1.0, atol=1e-4)
    assert np.isnan(np.asarray(found["ablation"])[~loud]).all()
    control = np.asarray(found["ablation_control"])
    assert np.nanmean(control[loud]) < 0.5
    np.testing.assert_allclose(np.asarray(found["ablation_random_only"])[loud], 1.0, atol=1e-3)


def test_the_score_is_that_of_the_formula_by_hand(recordings: Recordings) -> None:
    rng = np.random.default_rng(0)
    noisy = simulated(recordings, lambda levels: np.clip(levels + rng.normal(0, 2, levels.shape), 0, 10))
    found = columns(recordings, noisy, explained(recordings))
    for row in np.flatnonzero(~recordings.silent).tolist():
        places = {split: np.flatnonzero(np.isin(noisy.slots, recordings.slots.where(split))) for split in (Split.CALIBRATE, Split.SCORE)}
        level = {split: noisy.levels[row, at].astype(np.float64) for split, at in places.items()}
        true = {split: recordings.activations[row, noisy.slots[at]].astype(np.float64) for split, at in places.items()}
        slope, intercept = np.polyfit(level[Split.CALIBRATE].ravel(), true[Split.CALIBRATE].ravel(), 1)
        mean = recordings.activations[row, recordings.slots.where(*OPEN_SPLITS, kind=Kind.RANDOM)].astype(np.float64).mean()
        simulation = slope * level[Split.SCORE] + intercept
        ratio = ((simulation - true[Split.SCORE]) ** 2).mean() / ((mean - true[Split.SCORE]) ** 2).mean()
        assert np.asarray(found["ablation"])[row] == pytest.approx(1 - ratio, abs=1e-5)
        low, high = np.asarray(found["ablation_ci_low"])[row], np.asarray(found["ablation_ci_high"])[row]
        assert np.isnan(low) or low < 1 - ratio < high


def test_the_mean_is_that_of_random_excerpts_outside_of_the_score_split(recordings: Recordings) -> None:
    changed = np.array(recordings.activations)
    changed[:, recordings.slots.where(Split.SCORE)] += 100
    from dataclasses import replace

    np.testing.assert_array_equal(unit_means(replace(recordings, activations=changed)), unit_means(recordings))


def test_where_the_mean_changes_nothing_there_is_no_score_and_where_there_is_no_sentence_it_is_zero(
    recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    explanations = explained(recordings, {0: Status.NO_EXPLANATION, 1: Status.REFUSED})
    simulations = simulated(recordings, lambda levels: levels, {(row, place): Status.REFUSED for row in (1, 2) for place in range(8)})
    found = columns(recordings, simulations, explanations)
    status = found["ablation_status"]
    assert isinstance(status, list) and status[:3] == ["no_explanation", "refused", "unanswered"]
    assert np.asarray(found["ablation"])[0] == 0 and np.isnan(np.asarray(found["ablation"])[1])
    monkeypatch.setattr("tests.scorers.test_ablation.squared", lambda _, changes: np.full(len(changes), 1e-11))
    quiet = columns(recordings, simulated(recordings, lambda levels: levels), explained(recordings))
    assert set(quiet["ablation_status"]) == {"no_effect", "silent_neuron"}  # type: ignore[call-overload]  # a list of texts
    assert np.isnan(np.asarray(quiet["ablation"])).all()


def test_the_interval_of_a_ratio_covers_it_and_needs_enough_excerpts() -> None:
    rng = np.random.default_rng(0)
    below = rng.gamma(4.0, 1.0, (4000, 10))
    above = below * rng.uniform(0.2, 0.6, (4000, 10))
    low, high = ratio_intervals(above, below, 5)
    assert 0.93 < float(np.mean((low < 0.4) & (high > 0.4))) < 0.995
    above[:, :3] = np.nan
    assert np.isnan(ratio_intervals(above, below, 5)[0]).all()


def test_a_scorer_named_ablation_runs_the_recorded_subject(recordings: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulations, explanations = simulated(recordings, lambda levels: levels, borrow=honest(recordings)), explained(recordings)
    without = score(recordings, explanations, simulations, scoring())
    assert without["ablation"].null_count == len(without) and "ablation" not in summary(without, 4)
    chosen = scoring(scorers=["ablation"])
    with pytest.raises(UserError, match="these recordings do not say which model was recorded"):
        score(recordings, explanations, simulations, chosen)
    monkeypatch.setattr("neurogloss.subject.recorded.load_recorded", lambda _: None)
    monkeypatch.setattr("neurogloss.subject.ablation.divergences", lambda _, corpus, changes: squared(recordings, changes))
    found = run.score(recordings, explanations, simulations, chosen)
    write_scores(tmp_path / "scores.parquet", found)
    about = summary(read_scores(tmp_path / "scores.parquet"), 4)["ablation"]
    assert about["score"]["mean"] == pytest.approx(1, abs=1e-3) and about["control"]["neurons"] > 0
    assert about["margin"]["mean"] > 0.5 and about["unscored_by_cause"] == {"silent_neuron": 1}


def test_latents_whose_activations_are_kept_sparse_have_the_same_scores(recordings: Recordings) -> None:
    from dataclasses import replace

    kept = np.maximum(np.array(recordings.activations), 0)
    rows, slots, tokens = np.nonzero(kept)
    sparse = rows_from(kept.shape, rows, slots * kept.shape[2] + tokens, kept[rows, slots, tokens])
    dense, few = (replace(recordings, activations=activations) for activations in (kept, sparse))
    found = [
        columns(one, simulated(one, lambda levels: levels, borrow=honest(dense)), explained(dense))["ablation"] for one in (dense, few)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(np.asarray(found[0])[~dense.silent], 1.0, atol=1e-4)
