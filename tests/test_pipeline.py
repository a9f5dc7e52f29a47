"""The whole pipeline on a tiny model: one `dvc repro`, and what makes it run again."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import read_recordings
from neurogloss.artifacts.scores import read_scores
from tests.pipeline import Repository, make_repository

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def done(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository in which everything has run once."""
    repository = make_repository(tmp_path_factory.mktemp("pipeline") / "repository", tiny_model)
    repository.dvc("repro")
    return repository


@pytest.fixture
def copy(done: Repository, tmp_path: Path) -> Repository:
    """A copy to change."""
    shutil.copytree(done.folder, tmp_path / "repository", symlinks=True)
    return Repository(tmp_path / "repository")


def digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def changed_stages(repository: Repository) -> set[str]:
    """Stages that DVC would run, by their own changes or by those before them."""
    return set(json.loads(repository.run("python", "-m", "dvc", "status", "--json").stdout))


def test_every_neuron_is_explained_and_scored(done: Repository) -> None:
    explained = read_explanations(done.folder / "data" / "explanations.parquet")
    recordings = read_recordings(done.folder / "data" / "recordings")
    assert len(explained) == len(recordings) == 6
    assert set(explained.texts) <= {"animals and the weather", None}
    assert read_scores(done.folder / "data" / "scores.parquet").num_rows == 6


def test_the_metrics_have_what_the_documents_promise(done: Repository) -> None:
    found = json.loads((done.folder / "metrics" / "details.json").read_text(encoding="utf-8"))
    for key in ("top_and_random", "random_only", "top_only"):
        assert set(found[key]) >= {"mean", "median", "std", "ci_low", "ci_high", "p10", "p25", "p75", "p90"}
    assert {"neurons", "scored", "failed"} <= set(found)
    assert set(found["share_at_least"]) == {"0.5", "0.7", "0.8"}
    assert "mean" in found["baseline"]["token_table"]
    assert {"mean", "ci_low", "ci_high"} <= set(found["control"])
    assert "mean" in found["variance_explained"]
    headline = json.loads((done.folder / "metrics" / "score.json").read_text(encoding="utf-8"))
    assert list(headline) == ["score", "score_low", "score_high", "random_only", "baseline", "control", "scored"]
    assert headline["score"] == found["top_and_random"]["mean"] and headline["scored"] == found["scored"]
    assert "random_only" in done.dvc("metrics", "show") and "median" not in done.dvc("metrics", "show")


def test_a_trace_holds_what_the_language_model_was_asked_and_said(done: Repository) -> None:
    with closing(sqlite3.connect(done.folder / ".mlflow" / "mlflow.db")) as store:
        rows = store.execute("SELECT trace_id, content FROM spans WHERE name = 'ask script'").fetchall()
    attributes = [json.loads(content)["attributes"] for _, content in rows]
    assert len({trace for trace, _ in rows}) == 6 and len(rows) == 6
    assert {json.loads(a["mlflow.spanOutputs"])["choices"][0]["message"]["content"] for a in attributes} == {"animals and the weather"}
    assert all("cat" in a["mlflow.spanInputs"] or "the" in a["mlflow.spanInputs"] for a in attributes)


def test_the_same_sentence_for_all_has_a_control_as_high_as_its_score(done: Repository) -> None:
    found = json.loads((done.folder / "metrics" / "details.json").read_text(encoding="utf-8"))
    assert found["borrowed"] == {"neurons": 6, "sentences": 12, "failed_excerpts": 0}
    assert found["control"]["mean"] == pytest.approx(found["top_and_random"]["mean"], abs=1e-6)
    assert found["margin"]["mean"] == pytest.approx(0, abs=1e-6) and found["sensitivity"]["mean"] is None


def test_a_second_run_does_nothing(done: Repository) -> None:
    before = digests(done.folder / "data")
    assert "up to date" in done.dvc("repro")
    assert digests(done.folder / "data") == before


@pytest.mark.slow  # DVC records once more, from copies of the files.
def test_a_changed_file_of_the_corpus_or_of_a_model_makes_what_reads_it_run_again_and_else_nothing(copy: Repository) -> None:
    """Through copies, because the originals are other tests', too."""
    params = copy.params()
    corpus, model = copy.folder.parent / "texts", copy.folder.parent / "model"
    shutil.copytree(params["corpus"]["source"], corpus)
    shutil.copytree(params["subject"]["model"], model)
    params["corpus"]["source"] = params["watch"]["corpus"] = str(corpus)
    params["subject"]["model"] = params["watch"]["subject"] = str(model)
    copy.write_params(params)
    copy.dvc("repro", "record")
    assert "record" not in changed_stages(copy)
    (corpus / "03.txt").write_text((corpus / "03.txt").read_text(encoding="utf-8") + " and more of the same rain", encoding="utf-8")
    assert "record" in changed_stages(copy)
    copy.dvc("commit", "-f", "record")
    assert "record" not in changed_stages(copy)
    (model / "config.json").write_text((model / "config.json").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert "record" in changed_stages(copy)


@pytest.mark.parametrize(("kind", "key"), [("subject", "subject.model"), ("corpus", "corpus.source"), ("models", "models.tiny.name")])
def test_a_source_that_dvc_does_not_watch_is_one_line(copy: Repository, kind: str, key: str) -> None:
    params = copy.params()
    params["watch"][kind] = ".dvcignore"
    copy.write_params(params)
    words = ["explain", "--recordings", "data/recordings"] if kind == "models" else ["record"]
    done = copy.run("python", "-m", f"stages.{words[0]}", *words[1:], "--out", "out", check=False)
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"error: {key} is the path /")
    assert f"whose changes DVC does not see; set watch.{kind} to /" in said


def test_an_unused_prompt_touches_nothing_but_the_bookkeeping(copy: Repository) -> None:
    params = copy.params()
    params["prompts"]["explain"]["highlight"]["system"] += " Be brief."
    copy.write_params(params)
    assert changed_stages(copy) == {"track"}


def test_the_used_prompt_makes_explain_run_but_not_record(copy: Repository) -> None:
    params = copy.params()
    params["prompts"]["explain"]["pairs"]["system"] += " Be brief."
    copy.write_params(params)
    changed = changed_stages(copy)
    assert "explain" in changed
    assert "record" not in changed
    assert "score" not in changed


def test_an_example_of_the_used_prompt_makes_explain_run_but_not_record(copy: Repository) -> None:
    params = copy.params()
    params["prompts"]["examples"]["boats"]["explanations"][0] = "ships"
    copy.write_params(params)
    changed = changed_stages(copy)
    assert "explain" in changed
    assert "record" not in changed


def test_an_example_that_only_unused_prompts_show_touches_nothing_but_the_bookkeeping(copy: Repository) -> None:
    params = copy.params()
    del params["prompts"]["explain"]["pairs"]["examples"]["than"]
    copy.write_params(params)
    copy.dvc("commit", "-f", "explain", "refine")
    params["prompts"]["examples"]["than"]["explanations"][0] = "comparatives"
    copy.write_params(params)
    assert changed_stages(copy) == {"track"}


def test_the_same_params_give_the_same_bytes_from_empty_caches(done: Repository, tiny_model: Path, tmp_path: Path) -> None:
    again = make_repository(tmp_path / "elsewhere", tiny_model)
    shutil.copy(done.folder / "params.yaml", again.folder / "params.yaml")
    again.environment["NEUROGLOSS_CACHE"] = str(tmp_path / "empty")
    again.dvc("repro", "score")
    assert digests(again.folder / "data") == digests(done.folder / "data")
    assert digests(again.folder / "metrics") == digests(done.folder / "metrics")


def test_a_mistake_in_the_params_stops_before_anything_runs(copy: Repository) -> None:
    params = copy.params()
    params["explain"]["temperture"] = params["explain"].pop("temperature")
    params["score"]["bins"] = "many"
    copy.write_params(params)
    said = copy.dvc("repro", check=False)
    assert "params.yaml has 3 problem(s)" in said
    assert "explain.temperture: unknown key; did you mean 'temperature'?" in said
    assert "score.bins: input should be a valid integer, got 'many'" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("subject", {"model": "nowhere/at-all"}, "nowhere/at-all"),
        ("explain", {"model": "gpt"}, "there is no model 'gpt'"),
        ("explain", {"method": "haiku"}, "explain.method: there is no 'haiku' under prompts.explain"),
        ("explain", {"prompt": "haiku"}, "explain.method names the prompt now; remove this line or write explain.method: haiku"),
        ("vocabulary", {"model": "script"}, "provider local"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(copy: Repository, section: str, values: dict[str, object], message: str) -> None:
    params = copy.params()
    params[section] |= values
    copy.write_params(params)
    stage = {"subject": "record", "explain": "explain", "vocabulary": "simulate"}[section]
    data = ["--recordings", "data/recordings", "--explanations", "data/explanations.parquet"]
    words = {"record": [], "explain": data[:2], "simulate": data}[stage]
    done = copy.run("python", "-m", f"stages.{stage}", *words, "--out", "out", check=False)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (copy.folder / "out").exists()


@pytest.mark.slow  # DVC runs the stages three times; what they do with the file is tested without it
def test_given_explanations_are_scored_and_run_again_when_their_file_changes(copy: Repository) -> None:
    params = copy.params()
    units = read_recordings(copy.folder / "data" / "recordings")
    first = units.name(0)
    (copy.folder / "own.csv").write_text(f"name,explanation\n{first},the cat\nL9.N9,no such unit\n", encoding="utf-8")
    params["explain"] |= {"method": "given", "given": "own.csv"}
    copy.write_params(params)
    said = copy.dvc("repro", "score")
    assert "1 of the 2 units in own.csv are not recorded and left out: L9.N9" in said
    found = read_explanations(copy.folder / "data" / "explanations.parquet")
    assert found.texts == ["the cat"] + [None] * (len(units) - 1)
    assert {str(status) for status in found.statuses[1:]} <= {"not_given", "silent_neuron"}
    assert changed_stages(copy) <= {"track"}
    with (copy.folder / "own.csv").open("a", encoding="utf-8") as file:
        file.write(f"{units.name(1)},the dog\n")
    assert "explain" in changed_stages(copy) and "record" not in changed_stages(copy)
