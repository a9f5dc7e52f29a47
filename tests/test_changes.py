"""What a pull request's report says of params, prompts and stages."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from neurogloss.cli.changes_view import params_part, stages_part
from neurogloss.cli.comparison_markdown import figure
from neurogloss.comparison.changes import param_changes, stage_changes, words_changed
from neurogloss.comparison.lock import Lock, StageLock, parse_lock
from neurogloss.comparison.staleness import stale_stages
from tests.toy import ROOT, Toy

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture
def toy(done: Toy, tmp_path: Path) -> Toy:
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    return Toy(tmp_path / "toy")


def params() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))


def changed(section: str, name: str, **values: Any) -> str:
    """What the report says of params with these values changed."""
    after = params()
    place = after[section]
    for part in name.split("."):
        place = place[part]
    place.update(values)
    lock = Lock({"explain": StageLock({"explain": after["explain"], "prompts.explain.concepts": {}}, {}, {})})
    return params_part(param_changes(params(), after), lock, "main")


def test_one_changed_value_is_three_lines() -> None:
    said = changed("explain", "concepts", phrases=5)
    assert said == "### Params\n\n| param | main | now |\n|---|---|---|\n| `explain.concepts.phrases` | `3` | `5` |\n\n"


def test_a_prompt_is_shown_word_by_word_with_what_is_near_and_nothing_of_it_is_markup() -> None:
    system = params()["prompts"]["explain"]["pairs"]["system"]
    said = changed("prompts", "explain.pairs", system=system.replace("single", "<b>all</b>", 1).replace("Do not list", "Never list"))
    assert "`prompts.explain.pairs.system` (no stage reads it)\n<pre>" in said
    assert "<del>single</del><ins>&lt;b&gt;all&lt;/b&gt;</ins>" in said and "<del>Do not</del><ins>Never</ins>" in said
    assert " … " in said and len(said) < len(system)


def test_a_changed_example_is_shown_once_and_names_the_prompts_that_show_it() -> None:
    before, after = params(), params()
    for place in (after["prompts"]["examples"]["boats"], after["prompts"]["explain"]["pairs"]["examples"]["boats"]):
        place["explanations"] = ["something else"]
    lock = Lock({"explain": StageLock({}, {}, {})})
    said = params_part(param_changes(before, after), lock, "main")
    assert said.count("something else") == 1
    assert "`prompts.examples.boats.explanations` (and so `prompts.explain.pairs.examples.boats.explanations`" in said


def test_an_added_prompt_is_shown_against_the_one_it_was_copied_from() -> None:
    after = params()
    copied = dict(after["prompts"]["explain"]["highlight"], system=after["prompts"]["explain"]["highlight"]["system"] + "\nBe brief.")
    after["prompts"]["explain"]["mine"] = copied
    (change,) = param_changes(params(), after)
    assert (change.name, change.like) == ("prompts.explain.mine.system", "prompts.explain.highlight.system")
    assert words_changed(change.before, change.after).endswith("Be brief.</ins>")


@pytest.mark.parametrize("hostile", ["a | b", "`x`", "@everyone <img src=x>", "two\nlines", "</pre><script>", "x" * 5000])
def test_no_value_breaks_the_table(hostile: str) -> None:
    said = changed("explain", "concepts", bank=hostile)
    assert "<img" not in said.replace("`", "") or "`" in said
    assert "<script>" not in said.replace("`</pre><script>`", "")
    table = [line for line in said.splitlines() if line.startswith("| `")]
    assert all(line.replace("\\|", "").count("|") == 4 and len(line) < 300 for line in table)


def test_a_stage_that_made_something_else_says_why_and_whether_it_ran(toy: Toy) -> None:
    before = parse_lock((toy.folder / "dvc.lock").read_text(encoding="utf-8"), "dvc.lock")
    log = toy.dvc("exp", "run", "-S", "explain.concepts.phrases=5")
    after = parse_lock((toy.folder / "dvc.lock").read_text(encoding="utf-8"), "dvc.lock")
    order = ["record", "explain", "refine", "simulate", "score"]
    said = stages_part(stage_changes(before, after, order), "main", log).splitlines()
    rows = [line for line in said if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == order
    assert rows[0] == "| `record` | as it was | the same |  |"
    assert rows[1] == "| `explain` | ran | **something else** | `explain.concepts.phrases` |"
    assert rows[2].startswith("| `refine` | ran | **something else** | ") and "`data/candidates.parquet`" in rows[2]
    assert "holds no result" in stages_part(None, "main", "")
    assert toy.neurogloss("changes", "HEAD").stdout.startswith("### Params\n\n| param | HEAD | now |")
    missing = toy.neurogloss("changes", "nowhere", check=False)
    assert missing.returncode == 2 and missing.stderr == "error: 'nowhere' is no revision and no experiment; fetch it or name another\n"


def test_the_gate_names_what_has_to_run_and_why_and_takes_no_notice_of_what_no_stage_reads(toy: Toy) -> None:
    shutil.rmtree(toy.folder / ".dvc" / "cache")
    shutil.rmtree(toy.folder / "data")
    assert toy.neurogloss("check").stdout == "dvc.lock is current\n"
    toy.set_params(prompts__explain__pairs__system="Another.", prompts__score__detection__system="Another.")
    toy.set_params(prompts__simulate__compact__system="Another.", endpoints__openai__price={"prompt": 1.0, "completion": 1.0})
    assert toy.neurogloss("check").stdout == "dvc.lock is current\n"
    toy.set_params(explain__concepts__phrases=4, prompts__vocabulary__list__text="Another: {}")
    refused = toy.neurogloss("check", check=False)
    assert refused.returncode == 1
    first, *others, last = refused.stderr.splitlines()
    assert first.startswith("explain has to run: ") and "explain.concepts.phrases: 3 in dvc.lock, 4 in params.yaml" in first
    assert last == "error: dvc.lock is not current; run `dvc repro` and commit dvc.lock and metrics/"
    assert [line.split()[0] for line in others] == ["refine", "simulate"]
    assert toy.neurogloss("check", "--markdown").stdout.startswith("> [!WARNING]\n")


def test_a_lock_put_together_from_two_results_is_not_current(toy: Toy) -> None:
    lock = toy.folder / "dvc.lock"
    text = yaml.safe_load(lock.read_text(encoding="utf-8"))
    (out,) = text["stages"]["explain"]["outs"]
    out["md5"] = "0" * 32
    lock.write_text(yaml.safe_dump(text), encoding="utf-8")
    shutil.rmtree(toy.folder / "data")
    assert stale_stages(toy.folder) == {"refine": ["another version of data/candidates.parquet"]}


def test_the_figure_has_a_point_for_each_layer_and_no_name_ends_its_title() -> None:
    layers = [{"layer": layer, "difference": value} for layer, value in ((0, 0.1), (1, None), (2, -0.05))]
    drawn = figure({"against": 'a"b`;', "comparisons": [{"variant": "v", "layers": layers}]})
    assert "    line [0.0000, 0.0000, 0.0000]\n    line [0.1000, 0.0000, -0.0500]" in drawn and " -0.0500 --> 0.1000" in drawn
    assert 'title "mean difference from a\'b by layer (blue: v)"' in drawn
    assert not figure({"against": "a", "comparisons": [{"variant": "v", "layers": layers[1:2]}]})
