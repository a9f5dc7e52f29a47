"""Questions go out as a file and come back as answers, and the pipeline goes on without an endpoint."""

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status
from neurogloss.cli.cache import report
from neurogloss.cli.main import app
from neurogloss.config.endpoints import EndpointParams
from neurogloss.config.params import Params, load_params
from neurogloss.errors import UserError
from neurogloss.exchange.answers import import_answers
from neurogloss.exchange.questions import Round, next_round, write_questions
from neurogloss.explainers.run import explain
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.usage import read_usage
from neurogloss.refining.refine import refine
from neurogloss.scorers.run import score
from neurogloss.simulators.run import simulate
from tests.llm.asking import model, question
from tests.tiny import random_recordings

ROOT = Path(__file__).parents[2]
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no address: whoever asks an endpoint ends the test."""
    for variable in ("REFRESH", "BATCH", "OPENAI_API_KEY", "OPENAI_BASE_URL", "NEUROGLOSS_BUDGET_USD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


@pytest.fixture
def cache() -> Iterator[Cache]:
    kept = Cache(cache_file())
    yield kept
    kept.close()


def settings(
    samples: int = 1, simulator: str = "compact", scorers: tuple[str, ...] = (), capabilities: tuple[Any, ...] | None = ()
) -> Params:
    present = load_params(ROOT / "params.yaml")
    named = None if capabilities is None else list(capabilities)
    changed = {
        "models": present.models | {"gpt": model(context=8000)},
        "endpoints": {"gpt": EndpointParams(capabilities=named)},
        "explain": present.explain.model_copy(update={"method": "pairs", "model": "gpt", "samples": samples}),
        "simulate": present.simulate.model_copy(update={"method": simulator, "model": "gpt"}),
        "score": present.score.model_copy(update={"scorers": list(scorers), "model": "gpt"}),
    }
    return present.model_copy(update=changed)


def said(body: Row) -> str:
    """What a model says that understands what it is asked."""
    system, last = body["messages"][0]["content"], body["messages"][-1]["content"]
    if "Decide for each excerpt" in system:
        return str([1] * len(re.findall(r"^\d+: ", last, re.MULTILINE)))
    return "2:7 3:9" if "Most levels are 0" in system else f"words about river number {len(last)}"


def row(line: Row, text: str | None = None, **changed: Any) -> Row:
    """An answer as OpenAI's batch API gives it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text or said(line["body"])}, "finish_reason": "stop"}
    body = {"id": "x", "object": "chat.completion", "model": "gpt-test-2026", "choices": [choice], "usage": {"prompt_tokens": 9}}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": line["custom_id"], "response": response, "error": None} | changed


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in rows), encoding="utf-8")
    return path


def answer_all(
    cache: Cache, recordings: Recordings, params: Params, folder: Path, change: Callable[[list[Row]], list[Any]]
) -> Round | None:
    """One round out and back, in another order and then changed."""
    found = next_round(recordings, params, cache)
    if found is not None:
        write_questions(folder / "q.jsonl", found, cache)
        rows = [row(line) for line in read(folder / "q.jsonl")]
        random.Random(1).shuffle(rows)
        import_answers(cache, write(folder / "a.jsonl", change(rows)))
    return found


def test_300_questions_go_out_and_come_back_without_a_call(cache: Cache, tmp_path: Path) -> None:
    recordings, params = random_recordings(layers=7, per_layer=43), settings()
    found = next_round(recordings, params, cache)
    assert found is not None and (found.stage, len(found.unanswered), len(found.answered)) == ("explain", 300, 0)
    assert write_questions(tmp_path / "q.jsonl", found, cache) == 300
    lines = read(tmp_path / "q.jsonl")
    assert {(line["method"], line["url"], line["body"]["model"]) for line in lines} == {("POST", "/v1/chat/completions", "gpt-test")}
    rows: list[Any] = [row(line) for line in lines]
    # Line 5 is wrong, question 17 is missing, line 301 repeats line 8, and the order is another.
    rows[4] = rows[4] | {"response": None, "error": {"message": "expired"}}
    del rows[16]
    rows = [*rows, rows[7], "no JSON", row(lines[0] | {"custom_id": "abc"})]
    done = import_answers(cache, write(tmp_path / "a.jsonl", rows))
    assert (done.added, done.known) == (298, 0)
    assert done.problems == [
        "line 301: no JSON (JSONDecodeError)",
        "line 5: not answered: expired",
        "line 300: the question of line 8 again; that one stays",
        "line 302: no question that was written here has the id 'abc'",
    ]
    assert done.left == {"q.jsonl": [5, 17]}
    assert "2 questions of q.jsonl have no answer yet: lines 5, 17" in report(done)
    assert "298 answers added, 0 known already, 4 lines not used" in report(done)
    again = next_round(recordings, params, cache)
    assert again is not None and (again.stage, list(again.unanswered)) == ("explain", [lines[4]["custom_id"], lines[16]["custom_id"]])
    write_questions(tmp_path / "rest.jsonl", again, cache)
    done = import_answers(cache, write(tmp_path / "b.jsonl", [row(line) for line in read(tmp_path / "rest.jsonl")]))
    assert (done.added, done.problems, done.left) == (2, [], {})
    candidates = explain(recordings, params)
    assert sum(one[0].status is Status.OK for one in candidates.rows) == 300
    usage = read_usage("explain")
    assert usage is not None and (usage["requests"], usage["cached"], usage["cost_usd"]) == (300, 300, 0)


def test_each_stage_asks_what_the_stage_before_made_answerable(recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    params, stages = settings(samples=2, scorers=("detection", "fuzzing")), []
    while (found := answer_all(cache, recordings, params, tmp_path, lambda rows: rows)) is not None:
        stages.append(found.stage)
    assert stages == ["explain", "refine", "simulate", "score"]
    assert write_questions(tmp_path / "q.jsonl", None, cache) == 0
    explanations = refine(recordings, explain(recordings, params), params)
    simulations = simulate(recordings, explanations, params)
    scores = score(recordings, explanations, simulations, params)
    assert scores["status"].to_pylist().count("ok") == 7
    for stage in stages:
        usage = read_usage(stage)
        assert usage is not None and usage["requests"] == usage["cached"] > 0, stage


def test_a_second_try_is_a_question_of_the_next_round(recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    def garbled(rows: list[Row]) -> list[Row]:
        return [row({"custom_id": rows[0]["custom_id"], "body": {}}, "I think 2 and 3"), *rows[1:]]

    params = settings()
    answer_all(cache, recordings, params, tmp_path, lambda rows: rows)
    first = answer_all(cache, recordings, params, tmp_path, garbled)
    second = answer_all(cache, recordings, params, tmp_path, lambda rows: rows)
    assert first is not None and second is not None
    assert (second.stage, [request.sample for request in second.unanswered.values()]) == ("simulate", [1])
    assert next_round(recordings, params, cache) is None


def test_levels_are_read_from_an_echo_that_comes_as_a_file(recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    params = settings(simulator="all_at_once")
    answer_all(cache, recordings, params, tmp_path, lambda rows: rows)
    found = next_round(recordings, params, cache)
    assert found is not None
    write_questions(tmp_path / "q.jsonl", found, cache)
    lines = read(tmp_path / "q.jsonl")
    assert {line["url"] for line in lines} == {"/v1/completions"} and all(line["body"]["echo"] for line in lines)
    answers = [row(line, "x") | {"response": {"body": echo(line["body"]["prompt"])}} for line in lines]
    silent = row(lines[0], "x") | {"response": {"body": {"choices": [{"text": "no log-probabilities"}]}}}
    done = import_answers(cache, write(tmp_path / "a.jsonl", [silent, *answers]))
    assert (done.added, done.left) == (len(lines), {})
    assert done.problems == ["line 1: no answer (the endpoint did not echo the prompt with log-probabilities)"]
    assert next_round(recordings, params, cache) is None


def echo(prompt: str) -> Row:
    tokens = re.findall(r"unknown|[^\n\t]+|[\n\t]", prompt)
    options = [None, *({token: -3.0, "0": -0.4, "9": -1.2} for token in tokens[1:])]
    return {"choices": [{"text": prompt, "finish_reason": "length", "logprobs": {"tokens": tokens, "top_logprobs": options}}]}


REFUSED = {"error": {"message": "flagged by our content policy", "code": "content_filter"}}
LONG = {"error": {"message": "This model's maximum context length is 9 tokens", "code": "context_length_exceeded"}}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"status_code": 200, "body": {"choices": []}}, "no answer (the body has no answer (IndexError: list index out of range))"),
        (
            {"status_code": 200, "body": {"choices": [{"text": "for completions"}]}},
            "no answer (the body has no answer (KeyError: 'message'))",
        ),
        ({"status_code": 200, "body": "a text"}, "not answered: no response"),
        ({"status_code": 200}, "no answer (the body has no answer (KeyError: 'choices'))"),
        ("a text", "not answered: no response"),
        ({"status_code": 500, "body": {"error": {"message": "the server failed"}}}, "not answered: HTTP 500: the server failed"),
        ({"status_code": "great", "body": {"error": "no"}}, "not answered: HTTP 500: no"),
        ({"status_code": 200, "body": {"choices": [{"message": {"content": 7}}]}}, "no answer (the text is none)"),
    ],
)
def test_a_row_without_an_answer_is_one_line(response: Any, expected: str, cache: Cache, tmp_path: Path) -> None:
    asked = question("x")
    write_questions(tmp_path / "q.jsonl", Round("explain", "gpt", model(), {asked.key: asked}), cache)
    done = import_answers(cache, write(tmp_path / "a.jsonl", [{"custom_id": asked.key, "response": response}]))
    assert (done.added, done.problems, done.left) == (0, [f"line 1: {expected}"], {"q.jsonl": [1]})


def test_a_refusal_is_an_answer_that_is_not_asked_for_again(cache: Cache, tmp_path: Path) -> None:
    asked = question("x")
    write_questions(tmp_path / "q.jsonl", Round("explain", "gpt", model(), {asked.key: asked}), cache)
    rows = [{"custom_id": asked.key, "response": {"status_code": 400, "body": REFUSED}}]
    assert import_answers(cache, write(tmp_path / "a.jsonl", rows)).added == 1
    assert cache.run("SELECT status, model, cost_usd FROM replies") == [("refused", "gpt", 0.0)]
    done = import_answers(cache, tmp_path / "a.jsonl")
    assert (done.added, done.known) == (0, 1)


def test_a_prompt_that_is_too_long_is_not_kept(cache: Cache, tmp_path: Path) -> None:
    """As the client keeps none: another server, or the same one with another setting, may take it."""
    asked = question("x")
    write_questions(tmp_path / "q.jsonl", Round("explain", "gpt", model(), {asked.key: asked}), cache)
    rows: list[Any] = [{"custom_id": asked.key, "response": {"status_code": 400, "body": LONG}}]
    done = import_answers(cache, write(tmp_path / "a.jsonl", rows))
    assert (done.added, done.left, cache.run("SELECT * FROM replies")) == (0, {"q.jsonl": [1]}, [])
    assert done.problems == [f"line 1: not answered: HTTP 400: {LONG['error']['message']}; lower models.gpt.context to what fits"]
    assert import_answers(cache, write(tmp_path / "b.jsonl", [row({"custom_id": asked.key}, "fruit")])).added == 1


def test_answers_of_another_model_are_told(cache: Cache, tmp_path: Path) -> None:
    asked = question("x")
    write_questions(tmp_path / "q.jsonl", Round("explain", "gpt", model(name="llama"), {asked.key: asked}), cache)
    done = import_answers(cache, write(tmp_path / "a.jsonl", [row({"custom_id": asked.key}, "fruit")]))
    assert "1 answers are by gpt-test-2026, another model than was asked" in report(done)


def test_an_answer_lands_though_the_params_have_changed_since(recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    found = next_round(recordings, settings(), cache)
    write_questions(tmp_path / "q.jsonl", found, cache)
    write_questions(tmp_path / "q.jsonl", next_round(recordings, settings(samples=3), cache), cache)
    assert found is not None
    rows = [row({"custom_id": key}, "fruit") for key in found.unanswered]
    assert import_answers(cache, write(tmp_path / "a.jsonl", rows)).added == len(found.unanswered)


def test_a_model_in_this_process_answers_itself(recordings: Recordings, cache: Cache) -> None:
    params = settings()
    params = params.model_copy(update={"models": params.models | {"gpt": model(provider="scripted", context=8000)}})
    with pytest.raises(UserError, match="explain asks gpt, which answers in this process; run `dvc repro explain`, then write"):
        next_round(recordings, params, cache)


def test_what_a_server_offers_is_not_guessed(recordings: Recordings, cache: Cache, tmp_path: Path) -> None:
    params = settings(simulator="generated_json", capabilities=None)
    answer_all(cache, recordings, params, tmp_path, lambda rows: rows)
    with pytest.raises(UserError, match=r"whether gpt offers json_schema decides what simulate asks, .* endpoints.gpt.capabilities"):
        next_round(recordings, params, cache)


def test_a_file_that_answers_nothing_is_one_line(cache: Cache, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for content, message in [
        (b"", "is empty"),
        (b'{"custom_id": "x"}\n', "none of its 1 lines answers a question that was written here .line 1: no question"),
        ('{"a": 1}'.encode("utf-16"), "none of its 1 lines answers .* no JSON"),
    ]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            import_answers(cache, path)
    with pytest.raises(UserError, match="cannot read .*nowhere.jsonl: No such file"):
        import_answers(cache, tmp_path / "nowhere.jsonl")


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["choices", "message", "content", "usage", "error"]), inner)
    ),
    max_leaves=8,
)


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.one_of(junk, st.fixed_dictionaries({"status_code": junk, "body": junk})))
def test_whatever_stands_in_a_row_is_an_answer_or_a_counted_line(cache: Cache, tmp_path: Path, response: Any) -> None:
    asked = question("x")
    cache.change("DELETE FROM replies")
    write_questions(tmp_path / "q.jsonl", Round("explain", "gpt", model(), {asked.key: asked}), cache)
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"custom_id": asked.key, "response": response}), encoding="utf-8")
    done = import_answers(cache, path)
    assert done.added + len(done.problems) == 1


def test_the_commands_write_and_import(recordings: Recordings, tmp_path: Path) -> None:
    import yaml

    from neurogloss.artifacts.recordings import write_recordings

    present = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    present["explain"] |= {"method": "pairs", "model": "openai"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(present), encoding="utf-8")
    write_recordings(tmp_path / "recordings", recordings)
    where = ["--params", str(tmp_path / "params.yaml"), "--recordings", str(tmp_path / "recordings")]
    out, answers = str(tmp_path / "q.jsonl"), str(tmp_path / "a.jsonl")
    done = CliRunner().invoke(app, ["questions", out, *where], catch_exceptions=False)
    assert "7 questions of explain for openai (gpt-4.1-mini) in" in done.output
    assert "0 are answered already; refine, simulate, score: once these are answered" in done.output
    write(tmp_path / "a.jsonl", [row(line) for line in read(tmp_path / "q.jsonl")])
    assert "7 answers added, 0 known already, 0 lines not used" in CliRunner().invoke(app, ["cache", "import", answers]).output
    assert "questions of simulate" in CliRunner().invoke(app, ["questions", out, *where], catch_exceptions=False).output
    varied = CliRunner().invoke(app, ["questions", out, *where, "-S", "explain.samples=2", "-S", "explain.temperature=1.0"])
    assert "7 questions of explain for openai (gpt-4.1-mini) in" in varied.output and "; 7 are answered already" in varied.output
    assert (len(read(tmp_path / "q.jsonl")), load_params(tmp_path / "params.yaml").explain.samples) == (7, 1)
    unasked = CliRunner().invoke(app, ["questions", out, *where, "-S", "explain.method=token_list", "-S", "simulate.method=reader"])
    assert "`dvc exp run -S explain.method=token_list -S simulate.method=reader` needs no endpoint" in unasked.output
    with pytest.raises(UserError, match=r"-S nonsense: .*; expected PARAM=VALUE, as `dvc exp run -S` takes"):
        CliRunner().invoke(app, ["questions", out, *where, "-S", "nonsense"], catch_exceptions=False)
    with pytest.raises(UserError, match="run `dvc repro record`, which asks no language model"):
        CliRunner().invoke(app, ["questions", out, *where[:2], "--recordings", str(tmp_path / "none")], catch_exceptions=False)
