import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from neurogloss.artifacts.recordings import Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.artifacts.units import UnitKind
from neurogloss.cli.against import laid_out, params_of
from neurogloss.cli.comparison_markdown import comparison_markdown
from neurogloss.cli.comparison_view import brief_view, comparison_view, verdict
from neurogloss.cli.text import console
from neurogloss.comparison.comparison import Comparison, as_json, compare_variants
from neurogloss.comparison.lock import Lock, read_lock
from neurogloss.comparison.paired import paired
from neurogloss.comparison.result import Paths
from neurogloss.comparison.revisions import History
from neurogloss.config.track import TrackParams
from neurogloss.errors import UserError
from neurogloss.scorers.run import score
from neurogloss.scorers.summary import summary
from neurogloss.tracking.comparisons import log_comparison
from neurogloss.tracking.reference import find_references, readable
from neurogloss.tracking.run import track
from neurogloss.tracking.store import Store, locate_store, opened, runs_of
from neurogloss.tracking.variants import Variant, find_run, load_variant
from neurogloss.viewer.differences import differences as shown_differences
from neurogloss.viewer.result import open_result
from tests.simulated import explained, scoring, simulated
from tests.tiny import random_recordings
from tests.toy import Toy

SCORING = scoring()

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


def variant(name: str, scores: list[float | None], recordings: str = "r", layers: int = 2, **other: Any) -> Variant:
    """A variant of made-up scores."""
    count = len(scores)
    places = [(row % layers, row // layers) for row in range(count)]
    places.sort()
    table = pa.table(
        {
            "layer": pa.array([layer for layer, _ in places], pa.int32()),
            "neuron": pa.array([neuron for _, neuron in places], pa.int32()),
            "top_and_random": pa.array(scores, pa.float64()),
            "random_only": pa.array([None if score is None else score / 2 for score in scores], pa.float64()),
        }
    )
    return Variant(name, f"key of {name}", recordings, table, {place: f"{name} on {place}" for place in places}, **other)


def compared(*variants: Variant) -> Comparison:
    return compare_variants(list(variants), "top_and_random", 3)


def test_the_difference_is_paired_and_neurons_without_a_partner_are_counted() -> None:
    found = compared(variant("a", [0.1, 0.2, None, 0.4, None]), variant("b", [0.2, 0.2, 0.9, None, None]))
    (row,) = as_json(found)["comparisons"]
    assert (row["neurons"], row["difference"], row["mean_reference"], row["mean_variant"]) == (2, 0.05, 0.15, 0.2)
    assert (row["scored_only_in_reference"], row["scored_only_in_variant"], row["scored_in_neither"]) == (1, 1, 1)
    assert (row["won_share"], row["lost_share"], row["tied_share"]) == (0.5, 0.0, 0.5)


def test_the_difference_on_random_excerpts_alone_stands_beside_that_on_all() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(40)
    found = compared(variant("a", first.tolist()), variant("b", (first + rng.normal(0.2, 0.05, 40)).tolist()))
    (row,) = as_json(found)["comparisons"]
    assert row["random_only"]["difference"] == pytest.approx(row["difference"] / 2, abs=1e-6)
    assert row["random_only"]["ci_low"] == pytest.approx(row["ci_low"] / 2, abs=1e-6)
    terminal = console(100)
    with terminal.capture() as shown:
        terminal.print(comparison_view(as_json(found)))
    low, high = row["random_only"]["ci_low"], row["random_only"]["ci_high"]
    assert f"on random excerpts only: {row['random_only']['mean_reference']:.3f} to" in shown.get()
    assert f"{row['random_only']['difference']:+.3f} ({low:+.3f} to {high:+.3f}), better" in " ".join(shown.get().split())
    only = as_json(compare_variants([variant("a", [0.1] * 8), variant("b", [0.2] * 8)], "random_only", 3))
    assert only["comparisons"][0]["random_only"] is None


def test_the_longest_bar_is_the_winner_whatever_is_constant_or_has_no_sentence() -> None:
    recordings = random_recordings(layers=3, per_layer=40, tokens=12, per_split=3, excerpts=120)
    places = len(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
    noise = np.random.default_rng(0).normal(0, 4, (120, places, 12))
    honest = simulated(recordings, lambda true: true + noise)
    # Silent or constant wherever it would be poor: on the neurons that are left it looks better.
    before = score(recordings, explained(recordings), honest, SCORING)
    poor = np.argsort(np.nan_to_num(before["top_and_random"].to_numpy(zero_copy_only=False), nan=9))[:60]
    levels, status = np.array(honest.levels), np.array(honest.status)
    levels[poor[:30]] = 2
    levels[poor[30:]], status[poor[30:]] = np.nan, CODES.index(Status.NO_EXPLANATION)
    evasive = replace(honest, levels=levels, status=status)
    mute = explained(recordings, dict.fromkeys(poor[30:].tolist(), Status.NO_EXPLANATION))
    tables = {"honest": before, "evasive": score(recordings, mute, evasive, SCORING)}
    variants = [Variant(name, name, "r", table, {}) for name, table in tables.items()]
    (row,) = as_json(compare_variants(variants, "top_and_random", 3))["comparisons"]
    bars = {name: summary(table, 6)["top_and_random"]["mean"] for name, table in tables.items()}
    assert row["neurons"] == 119 and row["difference"] == pytest.approx(bars["evasive"] - bars["honest"], abs=2e-6)
    assert row["difference"] < 0 and row["within_noise"] is False


def test_the_neurons_that_gained_and_lost_most_come_with_both_explanations() -> None:
    found = compared(variant("a", [0.0, 0.5, 0.3, 0.3]), variant("b", [0.9, 0.1, 0.4, 0.3]))
    (row,) = as_json(found)["comparisons"]
    assert [neuron["neuron"] for neuron in row["gained"]] == ["L0.N0", "L1.N0"]
    assert [neuron["difference"] for neuron in row["lost"]] == [-0.4]
    assert row["lost"][0]["explanation_reference"] == "a on (0, 1)" and row["lost"][0]["explanation_variant"] == "b on (0, 1)"


def test_layers_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    found = compared(variant("a", rng.random(40).tolist()), variant("b", rng.random(40).tolist()))
    (row,) = as_json(found)["comparisons"]
    assert sum(layer["neurons"] for layer in row["layers"]) == row["neurons"]
    assert np.mean([layer["difference"] for layer in row["layers"]]) == pytest.approx(row["difference"], abs=1e-5)


def test_a_difference_within_noise_is_called_so_and_a_clear_one_is_not() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(200)
    noisy, better = base + rng.normal(0, 0.1, 200), base + 0.05 + rng.normal(0, 0.1, 200)
    found = as_json(compared(variant("base", base.tolist()), variant("noisy", noisy.tolist()), variant("better", better.tolist())))
    assert [verdict(row) for row in found["comparisons"]] == ["within noise", "better"]
    assert [row["within_noise"] for row in found["comparisons"]] == [True, False]


def test_in_brief_each_verdict_is_a_line_and_the_best_comes_first() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(200)
    others = {"worse": base - 0.05 + rng.normal(0, 0.1, 200), "better": base + 0.05 + rng.normal(0, 0.1, 200), "same": base}
    found = as_json(compared(variant("base", base.tolist()), *(variant(name, scores.tolist()) for name, scores in others.items())))
    first, second, third, note = str(brief_view(found)).splitlines()
    row = found["comparisons"][1]
    means = f"from {row['mean_reference']:.3f} to {row['mean_variant']:.3f} on 200 neurons"
    interval = f"(98.33 %: {row['ci_low']:+.3f} to {row['ci_high']:+.3f})"
    assert first == f"better is better than base: {row['difference']:+.3f} {interval}, {means}"
    assert second.startswith("same is the same as base: +0.000, from") and third.startswith("worse is worse than base: -0.0")
    assert note.startswith("3 comparisons: the intervals are widened")


def test_in_brief_what_cannot_be_judged_says_why() -> None:
    found = as_json(compared(variant("a", [0.1] * 4), variant("b", [None] * 4)))
    assert str(brief_view(found)) == "b cannot be compared with a: no common unit"


def test_several_comparisons_widen_every_interval() -> None:
    rng = np.random.default_rng(2)
    a, b, c = (variant(name, rng.random(60).tolist()) for name in "abc")
    alone, among = as_json(compared(a, b)), as_json(compared(a, b, c))
    assert (alone["level"], among["level"]) == (0.95, 0.975)
    widths = [found["comparisons"][0]["ci_high"] - found["comparisons"][0]["ci_low"] for found in (alone, among)]
    assert widths[0] < widths[1]


def test_the_order_of_the_two_only_turns_the_sign() -> None:
    rng = np.random.default_rng(3)
    a, b = variant("a", rng.random(30).tolist()), variant("b", rng.random(30).tolist())
    one, other = (as_json(compared(*pair))["comparisons"][0] for pair in ((a, b), (b, a)))
    assert one["difference"] == -other["difference"] and one["won_share"] == other["lost_share"]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_neurons_have_no_interval(count: int) -> None:
    rng = np.random.default_rng(0)
    found = paired(rng.random(count), rng.random(count), 0.95, "top_and_random")
    assert found.interval is None and found.within_noise is None and found.neurons == count


def test_neurons_that_hardly_differ_have_no_interval() -> None:
    before = np.random.default_rng(0).random(240)
    after = np.where(np.arange(240) < 3, before + 0.5, before)
    found = paired(before, after, 0.95, "top_and_random")
    assert (found.interval, found.won, found.tied) == (None, 3, 237)
    value = as_json(compared(variant("a", before.tolist()), variant("b", after.tolist())))
    assert verdict(value["comparisons"][0]) == "too few differ"


def test_measures_with_a_long_tail_need_more_neurons() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 60))
    assert paired(a, b, 0.95, "random_only").interval and not paired(a, b, 0.95, "variance_explained").interval


@pytest.mark.parametrize("kind", ["normal", "skew", "mostly ties"])
@pytest.mark.parametrize("neurons", [60, 240])
def test_the_interval_holds_the_true_difference_in_95_of_100_samples(kind: str, neurons: int) -> None:
    rng = np.random.default_rng(neurons)
    held, samples = 0, 2000
    for _ in range(samples):
        if kind == "normal":
            values, truth = rng.normal(0.02, 0.1, neurons), 0.02
        elif kind == "skew":
            values, truth = rng.gamma(1.0, 0.1, neurons), 0.1
        else:
            values, truth = rng.normal(0.05, 0.1, neurons) * (rng.random(neurons) < 0.4), 0.02
        interval = paired(np.zeros(neurons), values, 0.95, "top_and_random").interval
        held += interval is not None and interval.low <= truth <= interval.high
    assert 0.93 <= held / samples <= 0.97


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (variant("b", [0.1] * 4, recordings="other"), "different recordings"),
        (variant("b", [0.1] * 4, recordings=""), "different recordings"),
        (variant("a", [0.1] * 4), "named twice"),
        (variant("b", [0.1] * 5), "different units"),
        (variant("b", [0.1] * 4, recordings="other", kind=UnitKind.LATENTS), "^a is of neurons, b of latents; compare results of one kind"),
        (variant("b", [0.1] * 4, recordings="other", signed=True), "^a is of neurons, b of neuron sides"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(other: Variant, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        compared(variant("a", [0.1] * 4), other)
    assert "\n" not in str(caught.value)


def test_one_variant_or_an_unknown_score_is_refused() -> None:
    with pytest.raises(UserError, match="at least two"):
        compared(variant("a", [0.1] * 4))
    with pytest.raises(UserError, match="expected one of top_and_random"):
        compare_variants([variant("a", [0.1] * 4), variant("b", [0.1] * 4)], "topandrandom", 3)


@pytest.mark.parametrize("scores", [[None] * 4, [0.5, None, None, None], [0.5] * 4])
def test_variants_without_anything_to_compare_are_shown_and_drawn(scores: list[float | None], tmp_path: Path) -> None:
    found = compared(variant("$a_", [0.5] * 4), variant("_b", scores), variant("c", [None] * 4))
    value = as_json(found)
    json.dumps(value, allow_nan=False)
    with console(100).capture() as _:
        console(100).print(comparison_view(value))
    log_comparison(None, found, value, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_a_comparison_speaks_of_the_kind_of_unit_that_it_compares() -> None:
    rng = np.random.default_rng(0)
    scores = [*rng.random(40).tolist(), None]
    better = [None if one is None else one + 0.2 * rng.random() for one in scores]
    value = as_json(compared(variant("a", scores, kind=UnitKind.LATENTS), variant("b", better, kind=UnitKind.LATENTS)))
    terminal = console(120)
    with terminal.capture() as captured:
        terminal.print(comparison_view(value), brief_view(value))
    shown = captured.get()
    assert value["units"] == {"one": "latent", "many": "latents"} and value["comparisons"][0]["gained"][0]["neuron"][2:4] == ".F"
    assert "of 41 latents that both score" in shown and "on 40 latents" in shown and "neuron" not in shown
    assert "latents that changed most" in comparison_markdown(value)


def test_equal_comparisons_are_equal_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    found = compared(variant("a", rng.random(20).tolist()), variant("b", rng.random(20).tolist()))
    for name in ("one.png", "two.png"):
        log_comparison(None, found, as_json(found), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.fixture(scope="module")
def toy(done: Toy, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A repository with a second result in an experiment called `six`."""
    folder = tmp_path_factory.mktemp("compare") / "toy"
    shutil.copytree(done.folder, folder, symlinks=True)
    toy = Toy(folder)
    toy.dvc("exp", "run", "-n", "six", "-S", "explain.concepts.phrases=6")
    toy.git("checkout", "-q", "params.yaml")
    return toy


@pytest.fixture
def store(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DVC_ROOT", str(toy.folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return locate_store()


def test_experiments_commits_the_workspace_and_runs_stand_for_the_same_results(toy: Toy, store: Store) -> None:
    main, six = read_lock_at(toy, "main"), read_lock(toy.folder / "dvc.lock").key
    runs = {run.key: run.run_id for run in runs_of(store)}
    asked = {"main": main, "HEAD": main, toy.git("rev-parse", "HEAD").strip()[:9]: main, "six": six, "workspace": six}
    asked |= {runs[main]: main, runs[six]: six}
    assert {name: load_variant(name, store, Paths()).key for name in asked} == asked
    assert find_run("six", store) == find_run("concepts.phrases=6 (six)", store)


def differences(store: Store) -> dict[str, tuple[float, ...]]:
    """Key -> the paired difference and its interval, of the runs that have one."""
    names = ("vs_reference", "vs_reference_low", "vs_reference_high")
    with opened(store) as (client, experiment):
        runs = client.search_runs([experiment])
    return {run.data.tags["dvc.lock_key"]: tuple(run.data.metrics[name] for name in names) for run in runs if names[0] in run.data.metrics}


def test_the_difference_that_a_run_carries_is_that_of_compare(toy: Toy, store: Store) -> None:
    main, six = read_lock_at(toy, "main"), read_lock(toy.folder / "dvc.lock").key
    (row,) = json.loads(toy.neurogloss("compare", "main", "six", "--json", "--no-log").stdout)["comparisons"]
    assert differences(store) == {main: (0, 0, 0), six: (row["difference"], row["ci_low"], row["ci_high"])} and row["difference"] != 0
    with opened(store) as (client, experiment):
        verdicts = {run.data.tags["dvc.lock_key"]: run.data.tags["verdict"] for run in client.search_runs([experiment])}
    assert verdicts == {main: "reference", six: f"better: {row['difference']:+.3f} ({row['ci_low']:+.3f} to {row['ci_high']:+.3f})"}


def test_the_differences_follow_the_reference_and_not_the_order_of_the_runs(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(toy.folder, tmp_path / "toy", symlinks=True)
    moved, lock = Toy(tmp_path / "toy"), read_lock(toy.folder / "dvc.lock")
    monkeypatch.setenv("DVC_ROOT", str(moved.folder))
    monkeypatch.chdir(moved.folder)
    here, main = locate_store(), read_lock_at(toy, "main")
    before = differences(here)
    track(lock, Paths(), here, TrackParams(reference="six"))
    after = differences(here)
    assert after[lock.key] == (0, 0, 0) and after[main][0] == -before[lock.key][0] and after[main][1] == -before[lock.key][2]
    track(lock, Paths(), here)
    assert differences(here) == before
    with pytest.raises(UserError, match=r"track.reference is 'nowhere', expected a commit, branch, tag or experiment"):
        track(lock, Paths(), here, TrackParams(reference="nowhere"))


def test_scores_of_another_version_of_the_table_stop_nothing(toy: Toy, tmp_path: Path) -> None:
    table = pa.table({"layer": [0]}).replace_schema_metadata({"schema": "neurogloss.scores", "version": "1"})
    pq.write_table(table, tmp_path / "scores.parquet")
    assert readable(tmp_path / "scores.parquet") is None and readable(tmp_path / "absent.parquet") is None
    result = toy.folder / "data" / "scores.parquet"
    assert readable(result) is not None


def test_the_reference_of_other_recordings_is_the_working_tree_where_only_they_were_changed(toy: Toy, tmp_path: Path) -> None:
    shutil.copytree(toy.folder, tmp_path / "toy", symlinks=True)
    moved = Toy(tmp_path / "toy")
    store = Store("", None, moved.folder)
    moved.git("checkout", "-q", "dvc.lock", "metrics")
    assert [reference.name for reference in find_references(store, "HEAD")] == ["HEAD"]
    lock = moved.folder / "dvc.lock"
    text = lock.read_text(encoding="utf-8")
    md5 = read_lock(lock).outs["data/recordings"]
    lock.write_text(text.replace(md5, "0" * 32 + ".dir"), encoding="utf-8")
    assert [reference.name for reference in find_references(store, "HEAD")] == ["HEAD", "workspace"]
    lock.write_text(lock.read_text(encoding="utf-8").replace("phrases: 3", "phrases: 4"), encoding="utf-8")
    assert [reference.name for reference in find_references(store, "HEAD")] == ["HEAD"]


def test_a_run_of_another_kind_of_unit_has_no_difference_and_says_why(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(toy.folder, tmp_path / "toy", symlinks=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "toy"))
    monkeypatch.chdir(tmp_path / "toy")
    here, lock = locate_store(), read_lock(tmp_path / "toy" / "dvc.lock")
    record = lock.stages["record"]
    subject = record.params["subject"] | {"units": "heads"}
    outs = record.outs | {"data/recordings": "0" * 32 + ".dir"}
    heads = Lock(lock.stages | {"record": replace(record, params=record.params | {"subject": subject}, outs=outs)})
    run_id = track(heads, Paths(), here)
    with opened(here) as (client, _):
        tags = client.get_run(run_id).data.tags
    assert (tags["units"], tags["verdict"]) == ("heads", "not compared: these are heads, the reference HEAD is of neurons")
    assert heads.key not in differences(here)
    with pytest.raises(UserError, match="main is of neurons, .* of heads; compare results of one kind of unit"):
        compare_variants([load_variant(name, here, Paths()) for name in ("main", run_id)], "top_and_random", 3)


def read_lock_at(toy: Toy, revision: str) -> str:
    from neurogloss.comparison.lock import parse_lock

    return parse_lock(toy.git("show", f"{revision}:dvc.lock"), "dvc.lock").key


def test_compare_prints_tables_and_puts_the_figure_into_both_runs(toy: Toy, store: Store) -> None:
    before = len(runs_of(store))
    done = toy.neurogloss("compare", "main", "six", "--width", "120")
    assert "better" in done.stdout and "L0.N" in done.stdout and "in 2 MLflow run(s)" in done.stderr
    found = list((toy.folder / ".mlflow").rglob("main_vs_six.png"))
    found += [path for run in runs_of(store) for path in Path(run.artifacts.removeprefix("file://")).rglob("main_vs_six.png")]
    assert len({path.resolve() for path in found}) == 2 and len(runs_of(store)) == before


def test_compare_as_json_is_nothing_but_json_even_where_git_has_packed_its_objects(toy: Toy) -> None:
    toy.git("gc", "-q")
    done = toy.neurogloss("compare", "main", "six", "--json", "--no-log")
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["comparisons"][0]["difference"] > 0 and len(found["comparisons"][0]["layers"]) == 3


def test_the_viewer_shows_beside_one_another_what_compare_compares(toy: Toy, store: Store, tmp_path: Path) -> None:
    (run,) = (run.run_id for run in runs_of(store) if run.key == read_lock_at(toy, "main"))
    with laid_out(["main", "six", "here=workspace", f"run={run}", str(toy.folder)]) as found:
        assert list(found) == ["main", "six", "here", "run", "toy"]
        shown = open_result(toy.folder, found)
        means = [np.nanmean(variant.scores["top_and_random"]) for variant in shown.variants]
        assert means[0] == means[2] == means[3] == means[5] != means[1] == means[4]
        (difference,) = as_json(
            compare_variants([load_variant(name, store, Paths()) for name in ("workspace", "main")], "top_and_random", 3)
        )["comparisons"]
        first = shown_differences(open_result(toy.folder, {"main": found["main"]}))[0]
        assert (first["difference"], first["low"], first["won"]) == (
            pytest.approx(difference["difference"], abs=1e-5),
            pytest.approx(difference["ci_low"], abs=1e-5),
            round(difference["won_share"] * difference["neurons"]),
        )
        assert (params := params_of(found["six"])) and params.explain.concepts.phrases == 6
    assert not found["main"].exists()
    for names, message in ((["nowhere"], "no experiment of DVC"), (["main", "main=six"], "names 'main' twice")):
        with pytest.raises(UserError, match=message), laid_out(names):
            pass


def test_without_the_cache_a_result_comes_out_of_its_run(toy: Toy, store: Store, tmp_path: Path) -> None:
    shutil.move(toy.folder / ".dvc" / "cache", tmp_path / "cache")
    try:
        assert load_variant("main", store, Paths()).key == read_lock_at(toy, "main")
        empty = Store("sqlite:///none", tmp_path / "none.db", store.root)
        with pytest.raises(UserError, match="dvc fetch"):
            load_variant("main", empty, Paths())
    finally:
        shutil.rmtree(toy.folder / ".dvc" / "cache", ignore_errors=True)
        shutil.move(tmp_path / "cache", toy.folder / ".dvc" / "cache")


def test_an_unknown_name_is_one_line(toy: Toy, store: Store) -> None:
    for name in ("nowhere", "--upload-pack=x", "main:dvc.lock"):
        with pytest.raises(UserError, match="no experiment of DVC") as caught:
            load_variant(name, store, Paths())
        assert "\n" not in str(caught.value)


def test_two_runs_or_two_experiments_of_one_name_are_told_apart(toy: Toy, store: Store, tmp_path: Path) -> None:
    assert store.database
    shutil.copy(store.database, tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("UPDATE runs SET name = 'twin'")
    with pytest.raises(UserError, match="2 MLflow runs are called 'twin'"):
        load_variant("twin", Store("sqlite:///x", tmp_path / "mlflow.db", store.root), Paths())
    history = History(store.root)
    (commit, _), *_ = history.experiments["six"]
    toy.git("update-ref", f"refs/exps/{'ab'}/{'c' * 38}/six", commit)
    with pytest.raises(UserError, match="2 experiments are called 'six'.*name the commit"):
        History(store.root).resolve("six")
    toy.git("update-ref", "-d", f"refs/exps/{'ab'}/{'c' * 38}/six")


def test_a_commit_before_the_first_result_is_one_line(toy: Toy, store: Store) -> None:
    with pytest.raises(UserError, match="holds no dvc.lock"):
        load_variant("main~1", store, Paths())


def test_outside_of_git_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no git repository"):
        History(tmp_path)


def test_sync_makes_every_run_again_in_an_empty_store_and_then_none(toy: Toy, store: Store, tmp_path: Path) -> None:
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    assert store.database
    shutil.copy(store.database, tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    first, second = (toy.neurogloss("sync", **environment).stdout for _ in range(2))
    assert first.startswith("2 results, 2 runs made, 0 were there") and second.startswith("2 results, 0 runs made, 2 were there")
    there = runs_of(Store("sqlite:///x", tmp_path / "mlflow.db", store.root))
    assert there and {run.key for run in there} == {run.key for run in runs_of(store)}
    assert all(run.complete and not run.missing for run in there)
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        tags = dict(connection.execute("SELECT key, value FROM tags WHERE key IN ('dvc.experiments', 'git.commits')").fetchall())
    assert tags["dvc.experiments"] == "six" and len(tags["git.commits"]) == 40
