"""Directions: a planted one is found again from near chance, nothing of the held-out excerpts is fitted on, and files are checked."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.directions import PARAMS as FAST
from benchmarks.directions import ConceptExplainer, agreement, measure, plant
from neurogloss.artifacts.units import UnitKind, parse_name, unit_name
from neurogloss.config.directions import DirectionsParams
from neurogloss.config.subject import SubjectParams
from neurogloss.errors import UserError
from neurogloss.refining.direction_units import direction_recordings, held_out_excerpts
from neurogloss.refining.directions import Simulated, climb, correlation, seek, whitening
from neurogloss.subject.directions import read_directions
from neurogloss.subject.model import load_subject
from tests.tiny import random_recordings, save_tiny_model


def test_a_planted_direction_is_found_from_a_correlation_of_a_tenth_in_ten_rounds() -> None:
    found = measure(0)
    assert 0.08 < found["start"] < 0.12
    assert found["reached"] >= 0.9 and found["rounds_needed"] <= 10
    assert found["reached"] <= found["by_regression"] + 0.01


def test_the_held_out_excerpts_change_nothing_that_is_found() -> None:
    world = plant(1)
    poisoned = world.activations.copy()
    poisoned[~world.open_excerpts] = 99
    params = FAST.model_copy(update={"rounds": 2})
    one, other = (
        seek(activations, world.open_excerpts, world.start, params, ConceptExplainer(world, 0))
        for activations in (world.activations, poisoned)
    )
    np.testing.assert_array_equal(one[-1].vectors, other[-1].vectors)
    assert agreement(world, one[-1].vectors[0]) > agreement(world, world.start[0])


def test_steps_climb_the_correlation_and_keep_the_length() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(20, 20))
    gain, spread, theta = rng.normal(size=20), root @ root.T + np.eye(20), rng.normal(size=20)
    theta /= np.linalg.norm(theta)
    reached = climb(theta, gain, spread, DirectionsParams(layer=0, count=1, rounds=1, steps=2000))
    best = np.sqrt(gain @ np.linalg.solve(spread, gain))
    assert np.linalg.norm(reached) == pytest.approx(1)
    assert correlation(theta, gain, spread) < correlation(reached, gain, spread) <= best + 1e-9
    assert correlation(reached, gain, spread) == pytest.approx(best, rel=1e-3)


def test_whitening_makes_the_covariance_one_where_neurons_repeat_one_another() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 4))
    half, inverse = whitening(root @ root.T, 0.0)
    np.testing.assert_allclose(half @ half, root @ root.T, atol=1e-9)
    np.testing.assert_allclose(np.sort(np.linalg.eigvalsh(inverse @ root @ root.T @ inverse)), [0, 0, 1, 1, 1, 1], atol=1e-9)


def test_a_direction_without_an_explanation_stays_where_it_is() -> None:
    world = plant(2)
    silent = lambda values: [Simulated(None, np.arange(10), np.full((10, world.tokens.shape[1]), np.nan))]  # noqa: E731  # explains nothing
    (found,) = seek(world.activations, world.open_excerpts, world.start, FAST.model_copy(update={"rounds": 1}), silent)
    assert np.isnan(found.correlations).all() and found.texts == [None]
    cosine = found.vectors[0] @ world.start[0] / np.linalg.norm(found.vectors[0]) / np.linalg.norm(world.start[0])
    assert cosine == pytest.approx(1, abs=0.02)


def test_a_direction_of_zeros_or_without_variance_is_refused(tmp_path: Path) -> None:
    world = plant(3)
    with pytest.raises(UserError, match="direction 0 has the same value on every token"):
        seek(world.activations, world.open_excerpts, np.zeros((1, 128)), FAST, ConceptExplainer(world, 0))
    path = tmp_path / "directions.npz"
    np.savez(path, layer=1, vectors=np.array([[1.0, 0.0], [0.0, 0.0]], np.float32))
    with pytest.raises(UserError, match="direction 1 is all zeros; leave it out"):
        read_directions(path)
    np.savez(path, layer=1, vectors=np.array([[np.nan, 0.0]], np.float32))
    with pytest.raises(UserError, match="direction 0 is not finite"):
        read_directions(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(UserError, match=r"holds no directions .*; expected a \.npz with layer and vectors"):
        read_directions(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


def test_directions_are_recorded_as_units(model: Path, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 48)).astype(np.float32)
    np.savez(tmp_path / "d.npz", layer=1, vectors=vectors)
    subject = load_subject(SubjectParams(model=str(model), units="directions", directions=str(tmp_path / "d.npz")))
    plain = load_subject(SubjectParams(model=str(model)))
    tokens = torch.tensor([[5, 9, 12, 30]])
    seen: dict[str, torch.Tensor] = {}
    subject.activations(tokens, [1], lambda _, values: seen.update(directions=values.clone()))
    plain.activations(tokens, [1], lambda _, values: seen.update(neurons=values.clone()))
    assert subject.widths == (0, 3)
    torch.testing.assert_close(seen["directions"], seen["neurons"] @ torch.from_numpy(vectors).T)
    units = subject.units[1]
    assert units is not None
    moved = units.replaced(seen["neurons"], torch.tensor([2]), torch.full((1, 4), 7.0))
    torch.testing.assert_close(units.values(moved)[..., 2], torch.full((1, 4), 7.0))
    assert unit_name(1, 2, UnitKind.DIRECTIONS) == "L1.D2" and parse_name("l1d2") == parse_name("L1.D2")


def test_a_file_that_does_not_fit_the_subject_is_told(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", layer=1, vectors=np.ones((1, 7), np.float32))
    with pytest.raises(UserError, match="holds directions of 7 neurons, but layer 1 has 48 neurons"):
        load_subject(SubjectParams(model=str(model), units="directions", directions=str(tmp_path / "d.npz")))
    np.savez(tmp_path / "d.npz", layer=9, vectors=np.ones((1, 48), np.float32))
    with pytest.raises(UserError, match="there is no MLP in layer 9"):
        load_subject(SubjectParams(model=str(model), units="directions", directions=str(tmp_path / "d.npz")))
    with pytest.raises(UserError, match="subject.directions names no file"):
        load_subject(SubjectParams(model=str(model), units="directions"))
    with pytest.raises(UserError, match="subject.units is neurons; set it to directions"):
        load_subject(SubjectParams(model=str(model), directions="d.npz"))


def test_score_excerpts_of_directions_are_of_documents_that_nothing_else_is_of() -> None:
    recordings = random_recordings()
    held_out = held_out_excerpts(recordings.documents["document"].to_pylist(), 0)
    assert 0.2 < held_out.mean() < 0.35
    assert 0 < held_out_excerpts(["a"] * 40, 0).mean() < 0.3
    values = np.random.default_rng(0).normal(size=(2, *recordings.corpus.shape)).astype(np.float32)
    made = direction_recordings(recordings, values, held_out, 4, 0)
    from neurogloss.artifacts.recordings import OPEN_SPLITS, Split

    assert held_out[made.excerpts[:, made.slots.where(Split.SCORE)]].all()
    assert not held_out[made.excerpts[:, made.slots.where(*OPEN_SPLITS)]].any()
    np.testing.assert_allclose(made.activations[1, 0], values[1][made.excerpts[1, 0]], rtol=1e-2)
