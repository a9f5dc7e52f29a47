"""Units with several senses through all stages: asked, simulated, scored, planned, paid once, shown."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from neurogloss.artifacts.explanations import Explanations, write_explanations
from neurogloss.artifacts.recordings import Recordings, Split, write_recordings
from neurogloss.artifacts.results import read_results
from neurogloss.artifacts.scores import read_scores, write_scores
from neurogloss.artifacts.simulations import OK, Simulations, read_simulations, write_simulations
from neurogloss.artifacts.status import CODES, Status
from neurogloss.cli.main import app
from neurogloss.cli.planning import plan
from neurogloss.comparison.comparison import Variant, compare_variants
from neurogloss.comparison.lock import Lock, StageLock, read_by
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.errors import UserError
from neurogloss.explainers.run import explain
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import BatchingProvider, CachedClient
from neurogloss.llm.request import Client, Request
from neurogloss.llm.scripted import Scripted
from neurogloss.measures.correlation import prediction_score
from neurogloss.refining.refine import refine
from neurogloss.scorers.run import score
from neurogloss.scorers.summary import summary
from neurogloss.simulators.result import SimulatedLevels
from neurogloss.simulators.run import simulate
from neurogloss.simulators.senses import by_senses, simulate_senses
from neurogloss.tracking.registry import prompts
from neurogloss.viewer.neurons import block
from neurogloss.viewer.result import open_result
from tests.scripted import scripted_params
from tests.tiny import random_recordings

MARKED = re.compile(r"<<(w\d+)>>\((\d+)\)")


def settings(senses: int) -> Params:
    return scripted_params(senses=senses)


def answer(request: Request) -> str:
    """Explains by the first marked word, names a sense for each strongest word, and simulates the word that a sentence names."""
    question = request.messages[-1].content
    if "Of which kinds" in question:
        strongest: dict[str, list[str]] = {}
        for number, line in re.findall(r"^(\d+): (.*)$", question, re.MULTILINE):
            word = max(MARKED.findall(line), key=lambda found: int(found[1]), default=("w0", "0"))[0]
            strongest.setdefault(word, []).append(number)
        return "\n".join(f"[{', '.join(numbers)}] the word {word}" for word, numbers in strongest.items())
    if found := re.search(r"^Neuron: the word (w\d+)$", question, re.MULTILINE):
        numbers = re.findall(rf"^(\d+) {found[1]}$", question, re.MULTILINE)
        return " ".join(f"{number}:9" for number in numbers) or "none"
    return f"the word {MARKED.findall(question)[0][0]}"


class Run:
    """Clients of the scripted model, which keep what was asked."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.asked: dict[str, int] = {}

    @contextmanager
    def open(self, name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        scripted = Scripted(answer, capabilities=())
        yield CachedClient(name, params, self.cache, lambda: BatchingProvider(scripted, []))
        self.asked[stage] = self.asked.get(stage, 0) + len(scripted.asked)

    def all(self, recordings: Recordings, params: Params) -> tuple[Explanations, Simulations]:
        """Explain, refine and simulate."""
        explanations = refine(recordings, explain(recordings, params, self.open), params, self.open)
        return explanations, simulate(recordings, explanations, params, self.open)


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return random_recordings(per_layer=6, per_split=4, excerpts=120)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    opened = Cache(tmp_path / "replies.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def data(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stages write."""
    folder = tmp_path_factory.mktemp("senses")
    cache, params = Cache(folder / "replies.sqlite"), settings(2)
    explanations, simulations = Run(cache).all(recordings, params)
    cache.close()
    write_recordings(folder / "data" / "recordings", recordings)
    write_explanations(folder / "data" / "explanations.parquet", explanations)
    write_simulations(folder / "data" / "simulations", simulations)
    write_scores(folder / "data" / "scores.parquet", score(recordings, explanations, simulations, params))
    return folder / "data"


def test_together_is_the_highest_level_of_any_sense_and_each_has_its_own_score(recordings: Recordings, data: Path) -> None:
    results = read_results(data)
    simulations, senses = results.simulations, results.simulations.senses
    assert senses is not None and len(set(senses.rows.tolist())) >= 3
    scored = recordings.slots.where(Split.SCORE)
    places = np.flatnonzero(np.isin(simulations.slots, scored))
    for row, explanation in enumerate(results.explanations.rows):
        own, found = senses.of(row), results.score(row)
        assert len(own) == len(explanation.senses) == len(found["senses"])
        if not explanation.senses:
            assert found["single"] is None
            continue
        np.testing.assert_array_equal(simulations.levels[row], np.asarray(senses.levels)[own].max(axis=0))
        recorded = np.asarray(recordings.activations[row, scored], np.float64).ravel()
        for at, sense, one in zip(own, explanation.senses, found["senses"], strict=True):
            assert (one["text"], one["share"], one["status"]) == (sense.text, sense.share, "ok")
            assert one["score"] == pytest.approx(prediction_score(recorded, np.asarray(senses.levels)[at][places].astype(float).ravel()))
            assert one["ci_low"] is None or one["ci_low"] < one["score"] < one["ci_high"]
        assert explanation.single is not None
        word = recordings.vocabulary.index(b" " + explanation.single.removeprefix("the word ").encode())
        predicted = 9.0 * (recordings.tokens(row, scored) == word).ravel()
        assert found["single"] == pytest.approx(prediction_score(recorded, predicted))
        assert explanation.single in [candidate.text for candidate in explanation.candidates] and explanation.kept.select_score is not None
    about = summary(read_scores(data / "scores.parquet"), len(scored))["senses"]
    assert about["units"] == len(results.explanations.singles) == about["difference"]["neurons"]
    assert about["difference"]["mean"] == pytest.approx(about["together"]["mean"] - about["single"]["mean"], abs=1e-5)
    assert about["alone"] < about["together"]["mean"] and about["failed"] == 0


def test_the_plan_counts_what_senses_ask_and_a_second_run_asks_nothing(recordings: Recordings, cache: Cache) -> None:
    params, run = settings(2), Run(cache)
    steps = plan(recordings, params, cache)
    planned = {stage: sum(one.requests for one in steps if one.stage == stage) for stage in ("explain", "senses", "refine", "simulate")}
    explanations, _ = run.all(recordings, params)
    units, several = int((~recordings.silent).sum()), len(explanations.singles)
    assert planned["explain"] == run.asked["explain"] == planned["senses"] == run.asked["senses"] == units
    assert planned["refine"] >= run.asked["refine"] > 0 and planned["simulate"] >= run.asked["simulate"] > 0
    select, both, scored = (
        len(recordings.slots.where(*part)) for part in ((Split.SELECT,), (Split.CALIBRATE, Split.SCORE), (Split.SCORE,))
    )
    assert planned["refine"] == units * 3 * select
    assert planned["simulate"] <= units * (2 * both + 3 * scored) and several
    assert any("refine.senses" in note for step in steps for note in step.notes)
    again = Run(cache)
    again.all(recordings, params)
    assert not sum(again.asked.values())
    assert not sum(one.requests - one.cached for one in plan(recordings, params, cache))


def test_what_is_planned_for_phrases_of_a_bank_covers_senses(recordings: Recordings, cache: Cache) -> None:
    params = settings(3)
    params = params.model_copy(update={"explain": params.explain.model_copy(update={"method": "concepts"})})
    steps = {one.stage: one.requests for one in plan(recordings, params, cache)}
    units, select = int((~recordings.silent).sum()), len(recordings.slots.where(Split.SELECT))
    assert "senses" not in steps and steps["refine"] == units * 4 * select and steps["simulate"] > units * 3 * select


def test_an_excerpt_on_which_a_sense_fails_has_no_levels() -> None:
    def half(rows: np.ndarray, slots: np.ndarray, texts: object) -> SimulatedLevels:
        levels = np.full((len(rows), len(slots), 2), 3, np.float16)
        status = np.zeros(levels.shape[:2], np.uint8)
        levels[1, 0], status[1, 0] = np.nan, CODES.index(Status.REFUSED)
        return SimulatedLevels(levels, status, np.zeros(len(rows), bool))

    found = simulate_senses(half, np.array([4, 5]), np.array([0, 1]), [("a", "b"), ("c",)])
    assert found.rows.tolist() == [0, 0] and found.together.status.tolist() == [[CODES.index(Status.REFUSED), OK], [OK, OK]]
    assert np.isnan(found.together.levels[0, 0]).all() and (found.together.levels[0, 1] == 3).all()
    assert by_senses(half, {}) is half


def test_a_result_with_senses_is_compared_with_one_without(recordings: Recordings, data: Path) -> None:
    with_senses = read_scores(data / "scores.parquet")
    without = with_senses.drop_columns(["senses", "single"]).set_column(
        with_senses.column_names.index("top_and_random"),
        "top_and_random",
        pc.coalesce(with_senses["single"], with_senses["top_and_random"]),
    )
    variants = [Variant(name, name, "same", scores, {}) for name, scores in (("without", without), ("with", with_senses))]
    (found,) = compare_variants(variants, "top_and_random", 3).versus
    about = summary(with_senses, len(recordings.slots.where(Split.SCORE)))["senses"]
    assert found.overall.difference == pytest.approx(about["difference"]["mean"] * about["units"] / found.overall.neurons, abs=1e-5)
    assert found.overall.won > found.overall.lost and "senses" not in summary(without, 8)


def test_how_many_senses_there_may_be_is_a_change_of_the_result_and_what_they_do_not_read_is_none() -> None:
    def lock(refine: dict[str, object], prompt: str = "") -> Lock:
        params = {"refine": refine, "prompts.refine": {"senses": {"system": prompt}, "revise": {"system": "revise"}}}
        return Lock({"refine": StageLock(read_by(params), {}, {})})

    older, one, two = (lock({"rounds": 0, "sentences": 10, **more}) for more in ({}, {"senses": 1}, {"senses": 2}))
    assert two.changes(one) == two.changes(older) == ("refine.senses=2",) and one.changes(two) == older.changes(two) == ("refine.senses=1",)
    assert one.changes(older) == () and one.key == older.key == lock({"rounds": 0, "senses": 1}, "other words").key != two.key
    assert [(prompt.stage, prompt.variant) for prompt in prompts(two)] == [("refine", "senses")] and prompts(one) == []
    assert two.key == lock({"rounds": 0, "sentences": 9, "senses": 2}).key != lock({"rounds": 0, "senses": 2}, "other words").key
    revised = lock({"rounds": 2, "sentences": 10, "senses": 1})
    assert [prompt.variant for prompt in prompts(revised)] == ["revise"] and revised.key == lock(
        {"rounds": 2, "sentences": 10}, "other"
    ).key


def test_the_export_says_which_sense_an_excerpt_is(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path / "set"), "--data", str(data)])
    assert done.exit_code == 0, done.output
    results = read_results(data)
    senses = results.simulations.senses
    assert senses is not None
    excerpts = pq.read_table(tmp_path / "set" / "excerpts").to_pylist()
    named = {(row["name"], row["rank"]): row["sense"] for row in excerpts}
    for row in range(len(results)):
        for place, slot in enumerate(results.simulations.slots.tolist()):
            token = int(np.asarray(results.recordings.activations[row, slot]).argmax())
            assert named[results.recordings.name(row), slot] == senses.strongest(row, place, token)
    assert {row["sense"] for row in excerpts if row["simulated"] is None} == {None} and {0, 1} <= set(named.values())
    neurons = pq.read_table(tmp_path / "set" / "neurons").to_pylist()
    assert [len(row["senses"]) for row in neurons] == [len(row.senses) for row in results.explanations.rows]


def test_the_pages_get_the_senses_and_which_one_each_excerpt_is(data: Path) -> None:
    result, senses = open_result(data), read_results(data).simulations.senses
    assert senses is not None
    (variant,) = block(result, 0, len(result.rows))["variants"]
    for row, found in enumerate(variant["senses"]):
        score = read_results(data).score(row)
        if found is None:
            assert not score["senses"]
            continue
        assert [one[0] for one in found["list"]] == [one["text"] for one in score["senses"]]
        assert [one[2] for one in found["list"]] == pytest.approx([one["score"] for one in score["senses"]], abs=1e-3)
        assert found["single"] == [result.variants[0].singles[row][0], pytest.approx(score["single"], abs=1e-3)]
        for slot, sense in zip(result.shown.slots.tolist(), found["at"], strict=True):
            place = result.variants[0].place(slot)
            token = int(np.asarray(result.recordings.activations[row, slot]).argmax())
            assert sense == (None if place is None else senses.strongest(row, place, token))
    assert sum(found is not None for found in variant["senses"]) == len(result.variants[0].singles) > 0


def test_a_damaged_folder_of_senses_is_one_line(data: Path, tmp_path: Path) -> None:
    write_simulations(tmp_path / "simulations", read_simulations(data / "simulations"))
    (tmp_path / "simulations" / "senses" / "rows.npy").unlink()
    with pytest.raises(UserError, match=r"rows\.npy is missing; run `dvc repro`"):
        read_simulations(tmp_path / "simulations")


def test_show_says_the_senses_and_which_one_an_excerpt_is(data: Path) -> None:
    results = read_results(data)
    row = next(iter(results.explanations.singles))
    explanation = results.explanations.rows[row]
    shown = CliRunner().invoke(app, ["show", results.recordings.name(row), "--data", str(data), "--width", "140"])
    assert shown.exit_code == 0
    for number, sense in enumerate(explanation.senses, 1):
        assert re.search(rf"sense {number}\s+{sense.text} · {sense.share:.0%} of its firing · score ", shown.output)
    assert f"one sentence  {explanation.single} · score" in shown.output
    assert re.search(r"^top · .* · sense [12]", shown.output, re.MULTILINE)
