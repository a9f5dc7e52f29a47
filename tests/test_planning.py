"""What `neurogloss plan` says is what a run then asks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurogloss.artifacts.recordings import Recordings, Split, write_recordings
from neurogloss.cli.main import app
from neurogloss.cli.planning import plan
from neurogloss.config.endpoints import EndpointParams
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params, load_params
from neurogloss.config.prompts import GeneratedPrompt
from neurogloss.errors import UserError
from neurogloss.explainers.run import explain
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.client import BatchingProvider, CachedClient
from neurogloss.llm.planning import PlannedStep
from neurogloss.llm.request import Client
from neurogloss.llm.scripted import Scripted
from neurogloss.llm.tokens import ESTIMATE
from neurogloss.llm.usage import cost_usd
from neurogloss.refining.refine import refine
from neurogloss.scorers.run import score
from neurogloss.simulators.generated import answer
from neurogloss.simulators.run import simulate
from tests.llm.asking import model
from tests.simulated import explained, honest, simulated

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    for variable in ("REFRESH", "BATCH", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return Cache(cache_file())


def settings(samples: int = 1, simulator: str = "generated") -> Params:
    present = load_params(ROOT / "params.yaml")
    explain = {"method": "pairs", "model": "gpt", "samples": samples, "temperature": 1.0}
    changed = {
        "models": present.models | {"gpt": model(context=8000)},
        "endpoints": {"gpt": EndpointParams(price=model().price, capabilities=[])},
        "explain": present.explain.model_copy(update=explain),
        "simulate": present.simulate.model_copy(update={"method": simulator, "model": "gpt"}),
        "limits": present.limits.model_copy(update={"max_failed_share": 1.0}),
    }
    return present.model_copy(update=changed)


class Run:
    """A real run with a scripted model."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.asked: dict[str, int] = {}
        self.again: dict[str, int] = {}
        """Of them second tries of a simulation, which no plan can know: the scripted model never repeats the tokens."""
        self.usd = 0.0

    @contextmanager
    def open(self, name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        scripted = Scripted(*(f"words about river number {number}" for number in range(97)), capabilities=())
        client = CachedClient(name, params, self.cache, lambda: BatchingProvider(scripted, []))
        yield client
        self.asked[stage] = self.asked.get(stage, 0) + len(scripted.asked)
        second = sum(request.sample > 0 for request in scripted.asked) if stage != "explain" else 0
        self.again[stage] = self.again.get(stage, 0) + second
        self.usd += cost_usd(client.tally.paid, params.price)

    def run(self, recordings: Recordings, chosen: Params) -> None:
        found = refine(recordings, explain(recordings, chosen, self.open), chosen, self.open)
        simulate(recordings, found, chosen, self.open)


def control_note(requests: int) -> str:
    return f"{requests} of the requests try other units' explanations, for the control (score.controls)"


def missing(steps: list[PlannedStep]) -> dict[str, int]:
    return {step.stage: step.requests - step.cached for step in steps}


@pytest.mark.parametrize("samples", [1, 3])
def test_a_run_asks_what_the_plan_says(samples: int, recordings: Recordings, cache: Cache) -> None:
    chosen, run = settings(samples), Run(cache)
    before = plan(recordings, chosen, cache)
    assert not run.cache.run("SELECT key FROM replies")
    assert control_note(24) in before[-1].notes
    run.run(recordings, chosen)
    assert run.again["simulate"] > 0
    expected = {stage: count - run.again[stage] for stage, count in run.asked.items() if count}
    assert {stage: count for stage, count in missing(before).items() if count} == expected
    assert sum(step.usd for step in before) > run.usd / 2 > 0


def test_answers_as_long_as_the_examples_cost_about_what_right_answers_do(recordings: Recordings, cache: Cache) -> None:
    chosen = settings()
    prompt = chosen.prompts.simulate["generated"]
    assert isinstance(prompt, GeneratedPrompt)
    step = next(step for step in plan(recordings, chosen, cache) if step.stage == "simulate")
    rows = np.flatnonzero(~recordings.silent)
    right = sum(
        ESTIMATE.count(answer([(recordings.text(token), 0) for token in tokens], prompt))
        for row in rows
        for splits in ((Split.CALIBRATE, Split.SCORE), (Split.SCORE,))  # Its own sentence, and a borrowed one.
        for tokens in recordings.tokens(int(row), recordings.slots.where(*splits))
    )
    price = chosen.endpoints["gpt"].price
    likely = (1e6 * step.usd_likely - step.tokens_in * price.prompt) / price.completion
    assert right / 2 < likely < 2 * right < step.tokens_out / 5
    assert step.usd_likely < step.usd


def test_what_scorers_ask_is_counted_and_is_what_they_then_ask(recordings: Recordings, cache: Cache) -> None:
    plain = settings(simulator="vocabulary")
    chosen = plain.model_copy(
        update={
            "explain": plain.explain.model_copy(update={"method": "concepts"}),
            "score": plain.score.model_copy(update={"scorers": ["detection", "fuzzing"], "model": "gpt"}),
        }
    )
    (planned,) = plan(recordings, chosen, cache)
    assert (planned.stage, planned.model, planned.cached) == ("score", "gpt", 0)
    run, found = Run(cache), explained(recordings)
    simulations = simulated(recordings, lambda true: true, borrow=honest(recordings))
    score(recordings, found, simulations, chosen, run.open)
    assert run.asked["score"] == planned.requests > 7
    assert planned.usd > run.usd > 0


def test_what_was_asked_is_no_longer_to_pay(recordings: Recordings, cache: Cache) -> None:
    chosen = settings()
    planned, run = plan(recordings, chosen, cache), Run(cache)
    run.run(recordings, chosen)
    after = plan(recordings, chosen, cache)
    assert missing(after) == {"explain": 0, "simulate": 0}
    assert [(step.usd, step.tokens_in, step.seconds) for step in after] == [(0, 0, 0)] * 2
    assert [step.requests - before.requests for step, before in zip(after, planned, strict=True)] == [0, run.again["simulate"]]
    controls = int(after[1].notes[0].split()[0])
    assert [step.notes for step in after] == [[], [control_note(controls)]]
    assert 24 < controls < 48  # Some were asked once more, until that was seen to be in vain.


def test_a_plan_needs_no_key_and_says_what_it_takes_for_granted(recordings: Recordings, cache: Cache) -> None:
    chosen = settings(simulator="generated_json")
    chosen = chosen.model_copy(update={"endpoints": {}})
    explain, simulate = plan(recordings, chosen, cache)
    assert (explain.requests, explain.cached) == (7, 0)
    assert explain.seconds is None
    assert explain.notes == ["7 explanations do not exist yet: later steps are counted with stand-ins of typical length"]
    assert "whether gpt-test offers json_schema is not known yet; taken to be so" in simulate.notes


def test_time_is_what_answers_of_that_length_took_before(recordings: Recordings, cache: Cache) -> None:
    Run(cache).run(recordings, settings())
    cache.change("UPDATE replies SET completion = 3 + rowid % 5, seconds = 0.25 * (3 + rowid % 5)")
    chosen = settings()
    other = chosen.model_copy(update={"explain": chosen.explain.model_copy(update={"max_tokens": 61})})
    explain = plan(recordings, other, cache)[0]
    assert (explain.requests, explain.cached) == (7, 0)
    assert explain.seconds == pytest.approx(0.25 * explain.tokens_likely / 7, rel=1e-3)


def test_the_time_of_answers_of_another_length_is_unknown(recordings: Recordings, cache: Cache) -> None:
    Run(cache).run(recordings, settings())
    cache.change("UPDATE replies SET completion = 900, seconds = 30.0")
    chosen = settings()
    other = chosen.model_copy(update={"explain": chosen.explain.model_copy(update={"max_tokens": 61})})
    assert plan(recordings, other, cache)[0].seconds is None


def test_an_explanation_that_failed_is_not_simulated(recordings: Recordings, cache: Cache) -> None:
    chosen = settings()
    explain(recordings, chosen, Run(cache).open)
    before = plan(recordings, chosen, cache)[-1]
    cache.change("""UPDATE replies SET status = 'refused', reply = '{"message": "no", "text": ""}' WHERE rowid = 1""")
    after = plan(recordings, chosen, cache)[-1]
    own = len(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
    assert before.requests - after.requests >= own


def test_prompts_that_fit_in_no_way_are_told_and_nothing_is_planned_for_their_units(
    recordings: Recordings, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings()
    chosen = chosen.model_copy(update={"models": chosen.models | {"gpt": model(context=512)}})
    assert [step.requests for step in plan(recordings, chosen, cache)] == [0, 0]
    assert "7 prompts do not fit, however much is cut: the fixed part and one excerpt need" in caplog.text


@pytest.mark.parametrize("offered", [None, 0, 1])
def test_a_run_that_would_stop_for_want_of_an_echo_is_told(offered: int | None, recordings: Recordings, cache: Cache) -> None:
    chosen = settings(simulator="all_at_once").model_copy(update={"endpoints": {}})
    if offered is not None:
        cache.change("INSERT INTO endpoints VALUES ('https://api.openai.com/v1', 'gpt-test', 'echo', ?)", [offered])
    notes = " ".join(plan(recordings, chosen, cache)[-1].notes)
    assert ("the run will stop: gpt-test gives no log-probabilities of a prompt; choose simulate.method compact" in notes) == (offered == 0)
    assert ("whether gpt-test offers echo is not known yet" in notes) == (offered is None)


def test_a_batch_is_half_the_price(recordings: Recordings, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    full = plan(recordings, settings(), cache)
    monkeypatch.setenv("BATCH", "1")
    half = plan(recordings, settings(), cache)
    assert [step.usd for step in half] == pytest.approx([step.usd / 2 for step in full])
    assert [step.usd_likely for step in half] == pytest.approx([step.usd_likely / 2 for step in full])
    assert all("half the price" in " ".join(step.notes) for step in half)


def test_methods_that_ask_nobody_cost_nothing(recordings: Recordings, cache: Cache) -> None:
    chosen = settings(simulator="vocabulary")
    chosen = chosen.model_copy(update={"explain": chosen.explain.model_copy(update={"method": "token_list"})})
    assert plan(recordings, chosen, cache) == []


def invoke(tmp_path: Path, recordings: Recordings, changed: dict[str, Any], *arguments: str) -> str:
    import yaml

    present = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    named = model(context=8000, capabilities=[]).model_dump()
    present["endpoints"]["gpt"] = {name: named.pop(name) for name in ("price", "capabilities")}
    present["models"]["gpt"] = named
    for section, values in changed.items():
        present[section] |= values
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(present), encoding="utf-8")
    write_recordings(tmp_path / "recordings", recordings)
    command = ["plan", "--params", str(params), "--recordings", str(tmp_path / "recordings"), *arguments]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "80"}, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


ASKING = {
    "explain": {"method": "pairs", "model": "gpt"},
    "simulate": {"method": "generated", "model": "gpt"},
}


def test_the_command_shows_a_table_and_json(recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    table = invoke(tmp_path, recordings, ASKING)
    assert "explain" in table and "\n all" in table and "unknown" in table
    assert "tokens of gpt: an estimate" in table
    assert "with answers as long as the examples': about $0." in table
    assert "\u2026" not in table
    steps = json.loads(invoke(tmp_path, recordings, ASKING, "--json"))
    assert [step["stage"] for step in steps] == ["explain", "simulate"]
    assert steps[0]["requests"] == 7


def test_without_recordings_it_says_what_to_run_that_costs_nothing(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there yet; run `dvc repro record`, which asks no language model"):
        CliRunner().invoke(
            app, ["plan", "--params", str(ROOT / "params.yaml"), "--recordings", str(tmp_path / "no")], catch_exceptions=False
        )


def test_the_default_asks_no_language_model(recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    assert "no language model is asked" in invoke(tmp_path, recordings, {})


def test_a_variant_is_planned_without_touching_the_params(recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    said = invoke(tmp_path, recordings, {}, "-S", "explain.method=pairs", "--set-param", "explain.samples=2", "--json")
    (step,) = json.loads(said)
    assert step["stage"] == "explain" and step["requests"] == 2 * (~recordings.silent).sum()
    assert load_params(tmp_path / "params.yaml").explain.method == "concepts"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nonsense", "-S nonsense: .*; expected PARAM=VALUE, as `dvc exp run -S` takes"),
        ("explain.metod=pairs", "Could not override 'explain.metod'; params.yaml does not name it; .PARAM=VALUE adds what is absent"),
        ("+explain.metod=pairs", "explain.metod: unknown key; did you mean 'method'"),
        ("explain.method=pears", "explain.method: there is no 'pears' under prompts.explain; did you mean 'pairs'?"),
        ("explain.samples=1,2", "expected PARAM=VALUE"),
    ],
)
def test_a_change_that_cannot_be_made_is_told(change: str, message: str, recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        invoke(tmp_path, recordings, {}, "-S", change)
