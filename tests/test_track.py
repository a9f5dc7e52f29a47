import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurogloss.comparison.lock import Lock, StageLock, parse_lock, read_lock
from neurogloss.comparison.result import Origin, Paths, Result
from neurogloss.errors import UserError
from neurogloss.llm.request import Usage
from neurogloss.llm.usage import Tally, write_usage
from neurogloss.tracking import store as store_module
from neurogloss.tracking import writing
from neurogloss.tracking.content import VALUE_LIMIT, neuron_table, run_name, run_params, run_tags, scalars, truncated
from neurogloss.tracking.index import index_file
from neurogloss.tracking.registry import prompts
from neurogloss.tracking.run import track
from neurogloss.tracking.store import Store, indexed_runs, locate_store, opened, runs_of
from neurogloss.tracking.variants import log_files
from tests.toy import Toy, key_of, surroundings

# What mlflow and its database layer warn of at import and on use is not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture
def toy(done: Toy, tmp_path: Path) -> Toy:
    """A copy to change; files of new runs still go to the folder the store names."""
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    return Toy(tmp_path / "toy")


@pytest.fixture
def store(done: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of its own with the run of `done`, which is the current folder."""
    monkeypatch.chdir(done.folder)
    shutil.copy(done.folder / ".mlflow" / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("DVC_ROOT", str(done.folder))
    yield locate_store()


def changed(lock: Lock, **values: Any) -> Lock:
    """The lock with other explain params."""
    explain = lock.stages["explain"]
    params = explain.params | {"explain": explain.params["explain"] | values}
    return Lock(lock.stages | {"explain": replace(explain, params=params)})


def result_of(toy: Toy, lock: Lock | None = None, **origin: Any) -> Result:
    return Result(lock or read_lock(toy.folder / "dvc.lock"), toy.folder, Paths(), Origin(**origin))


def complete_runs(store: Store) -> list[str]:
    return sorted(run.key for run in runs_of(store) if run.complete)


def test_a_reproduced_pipeline_is_one_run_with_everything_in_it(done: Toy, store: Store) -> None:
    with opened(store) as (client, experiment):
        (run,) = client.search_runs([experiment])
        table = client.load_table(experiment, artifact_file="scores.json", run_ids=[run.info.run_id])
        files = {file.path for folder in ("", "prompts", "result", "metrics") for file in client.list_artifacts(run.info.run_id, folder)}
    lock = read_lock(done.folder / "dvc.lock")
    assert run.data.tags["dvc.lock_key"] == lock.key == key_of(done)
    assert run.data.tags["track.complete"] == "true" and "track.missing" not in run.data.tags
    assert run.data.tags["recordings"] == lock.outs["data/recordings"][:8] and not any("md5" in tag for tag in run.data.tags)
    assert run.data.tags["git.dirty"] == "false" and len(run.data.tags["git.commit"]) == 40
    assert run.data.params["explain.concepts.phrases"] == "3" and run.data.params["vocabulary.prompt_version"] == "1 (list)"
    assert run.data.params["explain.model_name"].startswith("pypi:")
    score = json.loads((done.folder / "metrics" / "score.json").read_text(encoding="utf-8"))
    assert {name: run.data.metrics[name] for name in score} == score and set(run.data.metrics) >= {"score_low", "baseline", "control"}
    assert {"summary/score_median", "summary/less_control_low"} <= set(run.data.metrics)
    assert len(run.data.metrics) <= 40 and len(run.data.params) <= 40
    assert {"histogram/score", "quantile/control", "layer/mean", "layer/baseline"} <= set(run.data.metrics)
    assert list(table.columns)[:5] == ["neuron", "explanation", "score", "random_only", "layer"] and len(table) == 24
    assert "prompts/vocabulary.list.txt" in files
    assert {
        "report.html",
        "result/scores.parquet",
        "result/explanations.parquet",
        "result/dvc.lock",
        "metrics/score.json",
        "metrics/details.json",
    } <= files
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest + ".dir" == lock.outs["data/recordings"]
    assert json.loads(run.data.tags["mlflow.linkedPrompts"])[0]["name"] == "neurogloss.vocabulary"


def test_curves_have_the_bins_percentiles_and_layers_as_steps(store: Store) -> None:
    with opened(store) as (client, experiment):
        (run,) = client.search_runs([experiment])
        steps = {name: [m.step for m in client.get_metric_history(run.info.run_id, name)] for name in ("layer/mean", "quantile/score")}
    assert steps == {"layer/mean": [0, 1, 2], "quantile/score": list(range(101))}


def test_a_second_track_makes_nothing_and_does_not_import_mlflow(done: Toy, tmp_path: Path) -> None:
    options = "--recordings data/recordings --explanations data/explanations.parquet --simulations data/simulations"
    code = (
        "import sys, typer; from stages.track import main; app = typer.Typer(); app.command()(main); "
        f"app('{options} --scores data/scores.parquet --metrics metrics --out {tmp_path}/receipt.json'.split(), standalone_mode=False); "
        "assert not {'mlflow', 'matplotlib', 'pandas'} & set(sys.modules), 'heavy'"
    )
    before = (done.folder / ".mlflow" / "mlflow.db").read_bytes()
    done.run(sys.executable, "-c", code)
    assert (done.folder / ".mlflow" / "mlflow.db").read_bytes() == before


def test_new_params_with_equal_outputs_are_a_new_run(done: Toy, store: Store) -> None:
    lock = read_lock(done.folder / "dvc.lock")
    other = changed(lock, temperature=0.5)
    assert track(other, Paths(), store) != track(lock, Paths(), store) == track(lock, Paths(), store)
    assert complete_runs(store) == sorted([lock.key, other.key])


@pytest.mark.parametrize("step", ["prompts", "log_values", "log_files", "log_traces"])
def test_a_run_that_was_cut_short_is_made_again(done: Toy, store: Store, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    lock = changed(read_lock(done.folder / "dvc.lock"), seed=99)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writing, step, crash)
        with pytest.raises(KeyboardInterrupt):
            track(lock, Paths(), store)
    assert [run.complete for run in runs_of(store)] == [True, False]
    track(lock, Paths(), store)
    assert [run.complete for run in runs_of(store)] == [True, True]


def test_a_run_cut_short_goes_when_another_result_is_tracked(done: Toy, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = read_lock(done.folder / "dvc.lock")
    with monkeypatch.context() as patched:
        patched.setattr(writing, "log_values", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            track(changed(lock, seed=99), Paths(), store)
    track(lock, Paths(), store)
    assert [(run.key, run.complete) for run in runs_of(store)] == [(lock.key, True)]


def test_one_text_is_one_version_in_the_prompt_registry(done: Toy, store: Store) -> None:
    lock = read_lock(done.folder / "dvc.lock")

    def asking(text: str) -> Lock:
        explain = lock.stages["explain"]
        return Lock(lock.stages | {"explain": replace(explain, params=explain.params | {"prompts.explain.pairs": text})})

    states = {
        "first": asking("Say it."),
        "same": changed(asking("Say it."), seed=5),
        "reworded": asking("Say it in a word."),
        "too long": asking("x" * 100_001),
    }
    found = {}
    for name, state in states.items():
        run_id = track(state, Paths(), store)
        with opened(store) as (client, _):
            found[name] = client.get_run(run_id).data.params["explain.prompt_version"]
            assert client.list_artifacts(run_id, "prompts")
    assert found == {"first": "1 (pairs)", "same": "1 (pairs)", "reworded": "2 (pairs)", "too long": "not registered (pairs)"}


def test_the_key_is_of_params_and_outputs_and_not_of_code() -> None:
    stage = StageLock({"explain": {"seed": 0}}, {"stages/explain.py": "1"}, {"data/e": "2"})
    key = Lock({"explain": stage}).key
    assert Lock({"explain": replace(stage, deps={"stages/explain.py": "9"})}).key == key
    assert Lock({"explain": replace(stage, outs={"data/e": "9"})}).key != key
    assert Lock({"explain": replace(stage, params={"explain": {"seed": 1}})}).key != key


def test_what_changes_no_number_is_no_part_of_the_key() -> None:
    def key(share: float, **model: Any) -> str:
        return Lock({"explain": StageLock({"explain": {"max_failed_share": share}, "models.gpt": {"name": "gpt"} | model}, {}, {})}).key

    assert key(0.1) == key(0.5, price={"prompt": 2.0}, capabilities=["echo"], key_from="MINE") != key(0.1, context=10)


def test_the_tracking_stage_is_no_part_of_the_key() -> None:
    text = "stages:\n  score:\n    cmd: a\n    outs: [{path: s, md5: '1'}]\n"
    assert parse_lock(text + "  track:\n    cmd: b\n    outs: [{path: r, md5: '2'}]\n", "dvc.lock").key == parse_lock(text, "dvc.lock").key


def test_parts_of_two_results_are_refused(toy: Toy) -> None:
    text = (toy.folder / "dvc.lock").read_text(encoding="utf-8")
    md5 = read_lock(toy.folder / "dvc.lock").outs["data/simulations"]
    (toy.folder / "dvc.lock").write_text(text.replace(md5, "0" * 32 + ".dir", 1), encoding="utf-8")
    assert "simulations" in str(read_lock(toy.folder / "dvc.lock").unfinished)


@pytest.mark.parametrize("text", ["", "[]", "stages: 3", "a: [", "stages: {explain: {outs: [3]}}"])
def test_a_broken_lock_file_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match="not a lock file"):
        parse_lock(text, "dvc.lock")


def test_two_values_of_one_param_are_both_kept() -> None:
    lock = Lock({"a": StageLock({"models.m": {"x": 1}}, {}, {}), "b": StageLock({"models.m": {"x": 2}}, {}, {})})
    assert run_params(lock) == {"models.m.x": "1", "b/models.m.x": "2"}


def test_a_run_is_named_by_what_was_changed() -> None:
    def lock(**values: Any) -> Lock:
        return Lock({"explain": StageLock(values, {}, {})})

    base = lock(explain={"method": "pairs", "seed": 0, "list": [1]}, **{"prompts.explain.pairs": {"system": "a", "question": "b"}})
    other = lock(explain={"method": "pairs", "seed": 1, "list": [2]}, **{"prompts.explain.pairs": {"system": "c", "question": "d"}})
    chosen = lock(explain={"method": "next", "seed": 0, "list": [1]}, **{"prompts.explain.next": {"system": "e"}})
    assert base.changes(base) == () and chosen.changes(base) == ("explain.method=next",)
    assert other.changes(base) == ("explain.seed=1", "explain.list=[2]", "prompts.explain.pairs")
    origin = Origin(experiment="japan-colt", changes=(*other.changes(base), "explain.temperature=1"))
    assert run_name(Result(other, Path(), Paths(), origin)) == "seed=1, list=[2], prompts.explain.pairs, 1 more (japan-colt)"


def test_long_values_keep_their_length_and_sum_and_prompts_stay_out_of_the_params() -> None:
    first, second = (truncated("x" * 7000 + end) for end in "ab")
    assert first != second and len(first) <= VALUE_LIMIT and "7001 characters" in first
    lock = Lock({"explain": StageLock({"prompts.explain.a b@c": {"system": "s" * 9000}, "explain": {"seed": 1}}, {}, {})})
    assert run_params(lock) == {"explain.seed": "1"}
    assert [prompt.name for prompt in prompts(lock)] == ["explain.a_b_c"]


def test_a_dirty_workspace_is_tagged_and_outputs_do_not_count(done: Toy) -> None:
    assert run_tags(result_of(done, changed=("params.yaml",)))["git.changed"] == "params.yaml"
    assert run_tags(result_of(done))["git.dirty"] == "false"


def test_numbers_that_are_not_defined_are_named_and_not_logged(toy: Toy) -> None:
    text = '{"top_and_random": {"mean": null, "median": 1}, "scored": "no number", "control": {"mean": true}}'
    (toy.folder / "metrics" / "details.json").write_text(text, encoding="utf-8")
    result = result_of(toy)
    assert scalars(result) == {"summary/score_median": 1.0} and run_tags(result)["metrics.undefined"] == "top_and_random.mean"


def test_how_well_latents_reconstruct_is_a_metric_of_the_run_over_all_layers(toy: Toy) -> None:
    coders = [{"layer": 1, "variance_explained": 0.8, "l0": 20.0}, {"layer": 2, "variance_explained": 0.9, "l0": 30.0}]
    (toy.folder / "metrics" / "details.json").write_text(json.dumps({"units": {"kind": "latents", "sae": coders}}), encoding="utf-8")
    assert scalars(result_of(toy)) == {"summary/sae_variance_explained": pytest.approx(0.85), "summary/sae_l0": 25.0}


def test_a_large_table_shows_the_same_neurons_in_every_run(done: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neuron_table(result_of(done))
    monkeypatch.setattr("neurogloss.tracking.content.TABLE_ROWS", 6)
    part = neuron_table(result_of(done))
    assert whole and part
    assert part["neuron"] == whole["neuron"][::4] and part["score"] == whole["score"][::4]


def test_a_result_without_its_data_says_so_and_is_completed_later(done: Toy, store: Store, tmp_path: Path) -> None:
    lock = changed(read_lock(done.folder / "dvc.lock"), seed=7)
    shutil.copytree(done.folder / "metrics", tmp_path / "bare" / "metrics")
    with opened(store) as (client, experiment):
        poor, _ = writing.ensure_run(client, experiment, Result(lock, tmp_path / "bare", Paths(), Origin()), True)
        assert "data/scores.parquet" in client.get_run(poor).data.tags["track.missing"]
    rich = track(lock, Paths(), store)
    assert rich != poor and track(lock, Paths(), store) == rich
    assert complete_runs(store).count(lock.key) == 1


def test_what_a_paid_model_cost_is_told_once(done: Toy, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_usage("explain", "smollm2", Tally(requests=10, cached=4, paid=Usage(prompt=900, completion=80), cost_usd=0.02, seconds=3.5))
    write_usage("refine", "smollm2", Tally(requests=30, cost_usd=0.5))
    write_usage("simulate", "another", Tally(requests=10))
    lock = read_lock(done.folder / "dvc.lock")
    first, second = (track(changed(lock, seed=seed), Paths(), store) for seed in (1, 2))
    with opened(store) as (client, _):
        told, silent = (client.get_run(run).data.metrics for run in (first, second))
        reports = [file.path for file in client.list_artifacts(first, "usage")]
    assert {name: value for name, value in told.items() if name.startswith("usage/")} == {
        "usage/requests": 40, "usage/cached": 4, "usage/tokens": 980, "usage/cost_usd": 0.52,
    }  # fmt: skip
    assert reports == ["usage/explain.json", "usage/refine.json"] and not any(name.startswith("usage/") for name in silent)


def break_store(store: Store, how: str) -> None:
    database = store.database
    assert database
    if how == "not a database":
        database.write_bytes(b"no database" * 100)
    elif how == "another version":
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    elif how == "deleted experiment":
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'neurogloss'")


@pytest.mark.parametrize(
    ("how", "said"),
    [("not a database", "move it away"), ("another version", "mlflow db upgrade"), ("deleted experiment", "mlflow experiments restore")],
)
def test_a_store_that_cannot_be_used_is_one_line(done: Toy, store: Store, how: str, said: str) -> None:
    break_store(store, how)
    with pytest.raises(UserError, match=said) as caught:
        track(changed(read_lock(done.folder / "dvc.lock"), seed=9), Paths(), store)
    assert "\n" not in str(caught.value)


def test_a_locked_store_is_one_line(done: Toy, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_S", 0.1)
    assert store.database
    other = sqlite3.connect(store.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError, match="locked; end the program"):
        track(changed(read_lock(done.folder / "dvc.lock"), seed=9), Paths(), store)
    other.close()


def test_a_second_process_waits_for_the_first_and_then_gives_up(done: Toy, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    monkeypatch.setattr(store_module, "LOCK_WAIT_S", 0.1)
    assert store.database
    with FileLock(store.database.parent / "track.lock"), pytest.raises(UserError, match="held by another process"), opened(store):
        pass


def test_no_room_for_the_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot use"), opened(Store("sqlite:///x", tmp_path / "file" / "mlflow.db", tmp_path)):
        pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to become a user who may not write")
def test_a_read_only_store_is_one_line(done: Toy, store: Store, tmp_path: Path) -> None:
    assert store.database
    code = (
        "import os, sys; from pathlib import Path; from neurogloss.tracking.store import Store, check_writable; "
        "from neurogloss.errors import UserError\n"
        "store = Store('sqlite:///here', Path('here'), Path('.'))\nos.seteuid(65534)\n"
        "try:\n    check_writable(store)\nexcept UserError as error:\n    print(error)"
    )
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(0o755)
    store.database.rename(tmp_path / "here")
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=surroundings(), capture_output=True, text=True, check=True)
    assert "read-only" in said.stdout and "make it writable" in said.stdout


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://127.0.0.1:9", "check MLFLOW_TRACKING_URI and the server"),
        ("htp://host", "sqlite:///FILE"),
        ("./mlruns", "sqlite:///FILE"),
        ("mysql://me:secret@127.0.0.1:9/runs", r"^mysql://\*\*\*@127.0.0.1:9/runs: .*install the driver"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(done: Toy, store: Store, monkeypatch: pytest.MonkeyPatch, uri: str, said: str) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=said) as caught:
        track(read_lock(done.folder / "dvc.lock"), Paths(), Store(uri, None, done.folder))
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_a_file_system_that_takes_nothing_is_one_line(store: Store, number: int) -> None:
    with pytest.raises(UserError, match="free it or set MLFLOW_TRACKING_URI"), opened(store):
        raise OSError(number, os.strerror(number))


def test_a_store_that_was_moved_finds_its_files_again(done: Toy, tmp_path: Path) -> None:
    """As where the repository has another name now, or the store was downloaded from a workflow."""
    shutil.copytree(done.folder / ".mlflow", tmp_path / "there" / ".mlflow")
    with opened(store_in(tmp_path / "there")):
        pass
    (tmp_path / "there").rename(tmp_path / "here")
    here = store_in(tmp_path / "here")
    assert indexed_runs(here) is None, "the list is of another database"
    with opened(here) as (client, experiment):
        (run,) = client.search_runs([experiment])
        assert client.list_artifacts(run.info.run_id, "result")
        assert client.get_experiment(experiment).artifact_location == here.artifacts
    assert [run.artifacts.startswith(f"{here.artifacts}/") for run in indexed_runs(here) or []] == [True]


def store_in(folder: Path) -> Store:
    database = folder / ".mlflow" / "mlflow.db"
    return Store(f"sqlite:///{database}", database, folder)


def test_a_database_copied_without_its_files_still_finds_them_and_never_writes_there(done: Toy, store: Store, tmp_path: Path) -> None:
    before = files_of(done.folder / ".mlflow")
    lock = read_lock(done.folder / "dvc.lock")
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    assert log_files(store, {lock.key}, {"comparisons/x.json": tmp_path / "x.json"}) == 0
    track(changed(lock, seed=3), Paths(), store)
    with opened(store) as (client, experiment):
        new, old = client.search_runs([experiment])
        assert client.list_artifacts(old.info.run_id, "result") and client.list_artifacts(new.info.run_id, "result")
    assert (tmp_path / "artifacts" / new.info.run_id).is_dir()
    assert files_of(done.folder / ".mlflow") == before


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_list_of_runs_counts_only_for_the_database_as_it_was(done: Toy, store: Store) -> None:
    track(changed(read_lock(done.folder / "dvc.lock"), seed=4), Paths(), store)
    known = indexed_runs(store)
    assert known and store.database and {run.key for run in known} == set(complete_runs(store))
    list_file = index_file(store.database)
    with sqlite3.connect(store.database) as connection:
        connection.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", (known[0].run_id,))
    assert indexed_runs(store) is None and len(runs_of(store)) == len(known) - 1 and indexed_runs(store) is not None
    for damage in ("", "[]", "{}", '{"runs": [1]}', '{"runs": [{"run_id": 1}]}'):
        list_file.write_text(damage, encoding="utf-8")
        assert indexed_runs(store) is None


@pytest.mark.parametrize("name", ["50% off", "a%20b", "what? now", "'both' \"quotes\" #1", "back\\slash"])
def test_the_path_of_the_repository_may_hold_any_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from sqlalchemy import make_url

    store = store_in(tmp_path / name)
    (tmp_path / name / "below").mkdir(parents=True)
    for folder in (tmp_path / name, tmp_path / name / "below"):
        monkeypatch.chdir(folder)
        url = make_url(store.address)
        assert store.database == Path(os.path.abspath(url.database or "")) and not url.query  # noqa: PTH100  # as SQLAlchemy does it


def test_a_path_that_no_address_can_name_is_one_line_at_once(done: Toy, store: Store, tmp_path: Path) -> None:
    database = tmp_path / "a%20b" / "mlflow.db"
    with pytest.raises(UserError, match="set MLFLOW_TRACKING_URI") as caught, opened(Store(f"sqlite:///{database}", database, tmp_path)):
        pass
    assert "\n" not in str(caught.value)


def test_without_a_lock_file_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        read_lock(tmp_path / "dvc.lock")


def test_a_relative_store_counts_from_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    assert locate_store().database == tmp_path / "runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:")
    with pytest.raises(UserError, match="sqlite:///FILE"):
        locate_store()


@pytest.fixture
def server(done: Toy, tmp_path: Path) -> Iterator[str]:
    """The address of an MLflow server on a copy of the store, which keeps files itself."""
    from tests.served import free_port, served

    shutil.copy(done.folder / ".mlflow" / "mlflow.db", tmp_path / "server.db")
    with sqlite3.connect(tmp_path / "server.db") as connection:
        connection.execute("DELETE FROM tags")
        connection.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
        connection.execute("UPDATE experiments SET name = 'elsewhere' WHERE name = 'neurogloss'")
    port = free_port()
    options = ["--workers", "1", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    files = ["--artifacts-destination", str(tmp_path / "files")]
    environment = surroundings(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    command = [sys.executable, "-m", "mlflow", "server", *options, *files]
    with served(command, environment, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.slow  # A server takes ten seconds to start.
def test_a_server_holds_one_run_per_result_and_its_runs_can_be_compared(done: Toy, tmp_path: Path, server: str) -> None:
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    toy, environment = Toy(tmp_path / "toy"), {"MLFLOW_TRACKING_URI": server}
    assert toy.neurogloss("sync", **environment).stdout.startswith("1 results, 1 runs made, 0 were there")
    for change in ("4", "3"):
        toy.dvc("exp", "run", "-n", f"n{change}", "-S", f"explain.concepts.phrases={change}", **environment)
    assert toy.neurogloss("sync", **environment).stdout.startswith("2 results, 0 runs made, 2 were there")
    shutil.rmtree(toy.folder / ".git" / "refs" / "exps")
    said = toy.neurogloss("compare", "main", "n4", **environment)
    assert "better" in said.stdout and "in 2 MLflow run(s)" in said.stderr
    assert "no run in http://127.0.0.1" in toy.neurogloss("compare", "main", "nowhere", check=False, **environment).stderr
