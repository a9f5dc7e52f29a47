"""What a run leaves in MLflow beside its numbers: versions of prompts, and traces of units."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurogloss.comparison.lock import Lock, StageLock, read_lock
from neurogloss.comparison.result import Paths
from neurogloss.config.track import TrackParams
from neurogloss.exchange.kept import KeptQuestion
from neurogloss.llm.cache import CachedReply
from neurogloss.llm.request import Message, PaidError, Reply, Request, Usage
from neurogloss.tracking.registry import Prompt, prompts
from neurogloss.tracking.run import track
from neurogloss.tracking.store import Store, locate_store, opened
from neurogloss.tracking.traces import Spans, stage
from tests.toy import Toy

# What mlflow and its database layer warn of at import and on use is not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
ASKED = {"layout": "pairs", "system": "Be {brief}.", "question": "Look: {excerpts}", "prefix": "It is", "repeat_below": 0.2, "examples": {
    "boats": {"explanations": ["boats", "ships"], "excerpts": [{"tokens": "a| tug^9"}]}}}  # fmt: skip


@pytest.fixture
def store(done: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of its own with the run of `done`, which is the current folder."""
    monkeypatch.chdir(done.folder)
    shutil.copy(done.folder / ".mlflow" / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("DVC_ROOT", str(done.folder))
    return locate_store()


def with_prompt(lock: Lock, name: str, text: str) -> Lock:
    """The lock of a result that used another wording of the vocabulary."""
    explain = lock.stages["explain"]
    params = {key: value for key, value in explain.params.items() if not key.startswith("prompts.vocabulary.")}
    params |= {"vocabulary": params["vocabulary"] | {"prompt": name}, f"prompts.vocabulary.{name}": {"layout": "list", "text": text}}
    others = {key: replace(entry, params={k: v for k, v in entry.params.items() if not k.startswith("prompts.vocabulary.")})
              for key, entry in lock.stages.items()}  # fmt: skip
    return Lock(others | {"explain": replace(explain, params=params)})


def test_the_experiment_shows_one_prompt_a_stage_with_a_version_a_text_and_aliases(done: Toy, store: Store) -> None:
    lock = read_lock(done.folder / "dvc.lock")
    tried = [("named", "Names of {explanation}:"), ("named", "All {explanation}:"), ("latest", "More {explanation}:")]
    runs = [track(with_prompt(lock, name, text), Paths(), store, TrackParams(traces=0)) for name, text in tried]
    with opened(store) as (client, experiment):
        shown = client.search_prompts(filter_string=f'experiment_id = "{experiment}"')
        versions = {version.version: version for version in client.search_prompt_versions("neurogloss.vocabulary")}
        linked = [json.loads(client.get_run(run).data.tags["mlflow.linkedPrompts"]) for run in runs]
        aliases = {alias: client.get_prompt_version_by_alias("neurogloss.vocabulary", alias).version
                   for alias in ("default", "list", "named", "the-latest")}  # fmt: skip
    assert [prompt.name for prompt in shown] == ["neurogloss.vocabulary"]
    assert [versions[number].template for number in (2, 3)] == ["Names of {{explanation}}:", "All {{explanation}}:"]
    assert linked == [[{"name": "neurogloss.vocabulary", "version": str(number)}] for number in (2, 3, 4)]
    assert aliases == {"default": 1, "list": 1, "named": 3, "the-latest": 4}


def test_a_chat_prompt_is_messages_with_its_examples_as_turns_and_the_rest_as_settings() -> None:
    prompt = Prompt("explain", "pairs", ASKED)
    assert prompt.template == [
        {"role": "system", "content": "Be {{brief}}."},
        {"role": "user", "content": "excerpts:\n- tokens: a| tug^9\n"},
        {"role": "assistant", "content": "boats\nships"},
        {"role": "user", "content": "Look: {{excerpts}}"},
        {"role": "assistant", "content": "It is"},
    ]
    assert prompt.settings == "layout: pairs\nrepeat_below: 0.2\n"
    simulate = Prompt("simulate", "compact", ASKED).template
    assert isinstance(simulate, list) and [turn["content"] for turn in simulate[1:3]] == ["boats\nships", "excerpts:\n- tokens: a| tug^9\n"]
    assert (
        Prompt("explain", "pairs", ASKED | {"form": "completion", "examples": {}}).template
        == "Be {{brief}}.\n\nLook: {{excerpts}}\n\nIt is"
    )


def test_only_prompts_that_were_read_belong_to_a_result() -> None:
    vocabulary = {"prompts.vocabulary.list": {"layout": "list", "text": "x"}}

    def names(explainer: dict[str, Any], simulator: dict[str, Any], rounds: int = 0) -> list[str]:
        explain = {"explain": {"method": "mine"}, "prompts.explain.mine": explainer} | vocabulary
        simulate = {"simulate": {"method": "his"}, "prompts.simulate.his": simulator} | vocabulary
        refine = simulate | {"refine": {"rounds": rounds}, "prompts.refine": {"revise": {"system": "r"}}}
        stages = {"explain": explain, "refine": refine, "simulate": simulate}
        return [prompt.name for prompt in prompts(Lock({name: StageLock(params, {}, {}) for name, params in stages.items()}))]

    assert names({"layout": "concepts"}, {"layout": "vocabulary"}) == ["vocabulary.list"]
    assert names({"layout": "token_list"}, {"layout": "vocabulary"}) == ["vocabulary.list"]
    assert names(ASKED, {"layout": "compact", "system": "s"}) == ["explain.mine", "simulate.his"]
    assert names(ASKED, {"layout": "reader"}, rounds=2) == ["explain.mine", "refine.revise"]


def test_a_run_has_a_trace_a_unit_the_worst_first_that_leads_to_its_excerpts(done: Toy, store: Store) -> None:
    run_id = track(
        with_prompt(read_lock(done.folder / "dvc.lock"), "named", "Names of {explanation}:"), Paths(), store, TrackParams(traces=20)
    )
    with opened(store) as (client, experiment):
        found = client.search_traces(
            locations=[experiment], filter_string="prompt = 'neurogloss.vocabulary/2'", order_by=["timestamp DESC"]
        )
        of_run = client.search_traces(locations=[experiment], run_id=run_id, include_spans=False)
    assert len(found) == len(of_run) == 20
    scores = [trace.info.assessments[0].value for trace in found if trace.info.assessments]
    assert scores == sorted(scores) and len(scores) == 19  # One unit is silent.
    assert len({trace.info.tags["unit"] for trace in found}) == 20
    spans = found[0].data.spans
    assert [span.name for span in spans] == [found[0].info.tags["unit"], "explain", "simulate"]
    excerpts = spans[2].outputs["excerpts"]
    assert {excerpt["kind"] for excerpt in excerpts} == {"top", "random"} and set(excerpts[0]) == {"kind", "text", "recorded", "simulated"}
    assert (
        spans[0].outputs["score"] == pytest.approx(scores[0], abs=1e-4)
        and spans[1].outputs["explanation"] == spans[0].outputs["explanation"]
    )


def test_what_was_asked_stands_below_its_stage_with_answer_tokens_and_cost() -> None:
    request = Request("openai", "gpt", (Message("system", "s"), Message("user", "q")))
    said = KeptQuestion("explain", "gpt", request, CachedReply("gpt", Reply("boats", usage=Usage(7, 0, 2)), 0.5, 2.0))
    refused = KeptQuestion("explain", "gpt", request, CachedReply("gpt", PaidError("refused", "no", Usage(7, 0, 1), "I cannot"), 0.1, 0.0))
    other = KeptQuestion("simulate", "gpt", request, said.kept)
    spans = Spans("tr-" + "a" * 32, 1000)
    root = spans.open("L0.N1", "CHAIN", None, {})
    stage(spans, root, "explain", {}, {"explanation": "boats"}, [said, refused, *[said] * 20, other])
    _, explain, first, second, *rest = spans.found
    assert len(rest) == 4 and explain["attributes"]["questions_not_shown"] == "16" and first["parent_span_id"] == explain["span_id"]
    assert json.loads(first["attributes"]["mlflow.spanInputs"])["messages"] == [{"role": "user", "content": "q"}]
    answers = [json.loads(span["attributes"]["mlflow.spanOutputs"])["choices"][0] for span in (first, second)]
    assert [(answer["message"]["content"], answer["finish_reason"]) for answer in answers] == [("boats", "stop"), ("I cannot", "refused")]
    assert json.loads(first["attributes"]["mlflow.chat.tokenUsage"])["total_tokens"] == 9
    assert json.loads(first["attributes"]["mlflow.llm.cost"])["total_cost"] == 0.5
    assert first["end_time_unix_nano"] - first["start_time_unix_nano"] == 2_000_000_000


def test_the_traces_of_a_run_that_is_made_again_go_with_it(done: Toy, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = with_prompt(read_lock(done.folder / "dvc.lock"), "named", "Names of {explanation}:")
    with monkeypatch.context() as patched:
        # After the traces, before the run counts.
        patched.setattr("mlflow.MlflowClient.set_terminated", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            track(lock, Paths(), store, TrackParams(traces=5))
    run_id = track(lock, Paths(), store, TrackParams(traces=5))
    with opened(store) as (client, experiment):
        found = client.search_traces(locations=[experiment], filter_string="prompt = 'neurogloss.vocabulary/2'", include_spans=False)
    assert {trace.info.trace_metadata["mlflow.sourceRun"] for trace in found} == {run_id} and len(found) == 5
