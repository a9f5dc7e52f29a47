"""simulate.method auto: what a language model at an endpoint wrote it reads itself; where a simulator cannot read, that is said."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from neurogloss.artifacts.recordings import Recordings
from neurogloss.cli.plan_view import plan_table
from neurogloss.comparison.lock import Lock, parse_lock
from neurogloss.config.choice import AUTO
from neurogloss.config.params import Params, load_params
from neurogloss.config.prompts import CompactPrompt
from neurogloss.errors import UserError
from neurogloss.simulators import run
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.tracking.content import run_params
from tests.simulated import explained

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")
CAUTION = "vocabulary does not read sentences"


def params(**changes: str) -> Params:
    """params.yaml with `explain_method="pieces"` and the like."""
    changed: dict[str, Any] = {}
    for key, value in changes.items():
        section, field = key.split("_")
        changed[section] = changed.get(section, getattr(PARAMS, section)).model_copy(update={field: value})
    return PARAMS.model_copy(update=changed)


@pytest.mark.parametrize(
    ("changes", "name", "model"),
    [
        ({}, "vocabulary", "smollm2"),
        ({"explain_method": "token_list", "explain_model": "openai"}, "vocabulary", "openai"),
        ({"explain_method": "pieces", "explain_model": "openai"}, "compact", "openai"),
        ({"explain_method": "tokens", "explain_model": "server"}, "compact", "server"),
        ({"explain_method": "pieces"}, "reader", "smollm2"),
        ({"explain_method": "pieces", "simulate_method": "all_at_once", "simulate_model": "server"}, "all_at_once", "server"),
        ({"simulate_method": "compact", "simulate_model": "openai"}, "compact", "openai"),
    ],
)
def test_one_choice_of_an_explainer_chooses_simulator_and_prompt(changes: dict[str, str], name: str, model: str) -> None:
    chosen = chosen_simulator(params(**changes))
    assert (chosen.name, chosen.model) == (name, model)
    assert chosen.prompt is PARAMS.prompts.simulate[name]


def test_the_stages_that_simulate_depend_on_every_text_that_auto_may_stand_for() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in ("refine", "simulate"):
        declared = set(stages[stage]["params"])
        whole = {"explain", "prompts.explain.${explain.method}"}  # What revision reads, too.
        parts = {"explain.method", "explain.model", "prompts.explain.${explain.method}.layout"}
        assert {"models.${explain.model}"} | (whole if stage == "refine" else parts) <= declared
        with_text = [name for name in AUTO if set(PARAMS.prompts.simulate[name].model_fields_set) != {"layout"}]
        assert {f"prompts.simulate.{name}" for name in with_text} <= declared


def test_auto_without_what_it_stands_for_is_refused_when_the_params_are_read(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["prompts"]["simulate"]["mine"] = raw["prompts"]["simulate"].pop("compact")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(UserError, match=r"simulate\.method: auto needs prompts\.simulate\.compact of layout compact; restore it"):
        load_params(path)
    raw["simulate"]["method"] = "mine"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert isinstance(chosen_simulator(load_params(path)).prompt, CompactPrompt)


@pytest.mark.parametrize(("method", "said"), [("pieces", True), ("token_list", False)])
def test_a_simulator_that_reads_no_sentences_is_named_when_it_is_given_some(
    method: str, said: bool, recordings: Recordings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(run, "open_simulator", stop)
    chosen = params(explain_method=method, simulate_method="vocabulary")
    with pytest.raises(InterruptedError):
        run.simulate(recordings, explained(recordings), chosen)
    assert (CAUTION in caplog.text) == said
    assert any(isinstance(line, str) and line.startswith(CAUTION) for line in plan_table([], chosen)) == said


def lock(method: str, model: dict[str, str], simulator: str = "auto", compact: str = "a text") -> Lock:
    """A lock whose stage `simulate` declares what dvc.yaml does."""
    prompts = {"auto": {"layout": "auto"}, "vocabulary": {"layout": "vocabulary"}, "compact": {"layout": "compact", "system": compact}}
    layout = {"pieces": "pieces", "concepts": "concepts"}[method]
    declared = {
        "explain.method": method,
        "explain.model": "m",
        "models.m": model,
        f"prompts.explain.{method}": {"layout": layout},
        f"prompts.simulate.{simulator}": prompts[simulator],
        "prompts.simulate.compact": prompts["compact"],
        "simulate": {"method": simulator, "model": "m"},
    }
    stage = {"cmd": "x", "params": {"params.yaml": declared}, "outs": [{"path": "data/simulations", "md5": "0"}]}
    return parse_lock(yaml.safe_dump({"schema": "2.0", "stages": {"simulate": stage}}), "dvc.lock")


ENDPOINT, HERE = {"provider": "openai", "name": "gpt"}, {"provider": "local", "name": "small"}


@pytest.mark.parametrize(
    ("method", "model", "simulator", "used"),
    [
        ("concepts", ENDPOINT, "auto", False),
        ("pieces", HERE, "auto", False),
        ("pieces", ENDPOINT, "auto", True),
        ("concepts", HERE, "compact", True),
        ("pieces", ENDPOINT, "vocabulary", False),
    ],
)
def test_another_text_makes_another_result_only_where_it_was_read(method: str, model: dict[str, str], simulator: str, used: bool) -> None:
    one, other = (lock(method, model, simulator, text) for text in ("a text", "another"))
    assert (one.key != other.key) == used
    assert ("prompts.simulate.compact" in one.stages["simulate"].params) == used


def test_the_lock_says_where_sentences_met_a_simulator_that_does_not_read_them() -> None:
    assert lock("pieces", HERE, "vocabulary").caution.startswith(CAUTION)
    assert lock("pieces", ENDPOINT, "vocabulary").caution.startswith(CAUTION)
    assert (
        lock("pieces", ENDPOINT).caution
        == lock("pieces", HERE).caution
        == lock("concepts", HERE).caution
        == lock("concepts", HERE, "compact").caution
        == ""
    )
    assert Lock().caution == ""


def test_a_run_is_named_by_what_auto_stood_for() -> None:
    found = run_params(lock("pieces", ENDPOINT))
    assert found["simulate.method"] == "auto (compact)"
    assert found["simulate.model_name"] == found["explain.model_name"] == "gpt"
    assert run_params(lock("pieces", ENDPOINT, "vocabulary"))["simulate.method"] == "vocabulary"
