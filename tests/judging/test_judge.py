"""judge: figures follow from levels alone, whatever the lengths of excerpts; lines that are not units are named."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurogloss.cli.judge import figures as judging_figures
from neurogloss.cli.main import app
from neurogloss.config.params import ModelParams, Params, load_params
from neurogloss.errors import ProviderError, UserError
from neurogloss.judging import judge as judging
from neurogloss.judging.judge import judge
from neurogloss.judging.scorers import judge_by_scorer
from neurogloss.judging.units import JudgedUnit, read_units
from neurogloss.llm.client import OpenClient
from neurogloss.llm.request import Answer, Client, Reply, Request
from neurogloss.llm.scripted import Scripted

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")
WORDS = ["the", " cat", " sat", " on", " a", " mat", " near", " dogs"]


def unit(name: str, favourite: str, explanations: list[str], lengths: tuple[int, ...] = (8, 5), labels: bool = True) -> dict[str, Any]:
    """A unit that fires on one word; the reader's levels are right."""
    excerpts = []
    for length in lengths:
        tokens = [WORDS[place % len(WORDS)] for place in range(length)]
        fires = [float(token == favourite) for token in tokens]
        excerpt: dict[str, Any] = {"tokens": tokens, "activations": [2.5 * value + 0.25 for value in fires]}
        excerpts.append(excerpt | ({"levels": [8 * value for value in fires]} if labels else {}))
    return {"unit": name, "explanations": explanations, "excerpts": excerpts}


def write(path: Path, *values: Any) -> Path:
    path.write_text("".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values), encoding="utf-8")
    return path


def literal() -> Params:
    """The vocabulary simulator: quoted words are read without a model."""
    return judging.with_simulator(PARAMS, "vocabulary")


@pytest.fixture(autouse=True)
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator's vocabulary without its model."""
    from neurogloss.phrases.profiles import Gains

    monkeypatch.setattr(Gains, "pieces", lambda self: [word.encode() for word in WORDS])
    monkeypatch.setattr(Gains, "first_tokens", lambda self, texts: {})
    monkeypatch.setattr(Gains, "learn", lambda self, phrases: None)


def units(*values: dict[str, Any]) -> list[JudgedUnit]:
    return [JudgedUnit.model_validate(value) for value in values]


def test_a_right_sentence_scores_one_and_ranks_before_a_wrong_one_whatever_the_lengths() -> None:
    found = judge(units(unit("a", " cat", ['the word "mat"', 'the word "cat"']), unit("b", " mat", ['the word "mat"'])), literal())
    wrong, right, other = found.explanations
    assert right.score == pytest.approx(1) and right.agreement == pytest.approx(1) and other.score == pytest.approx(1)
    assert wrong.score is not None and wrong.score < 0
    assert (wrong.rank, right.rank, other.rank) == (2, 1, 1)
    assert found.units == 2 and not found.failed
    assert found.score == pytest.approx((1 + 1 + wrong.score) / 3)


def test_a_simulator_that_reads_has_a_low_sensitivity_and_one_that_does_not_has_one() -> None:
    several = units(unit("a", " cat", ['the word "cat"']), unit("b", " mat", ['the word "mat"']))
    assert judge(several, literal()).sensitivity == pytest.approx(
        np.corrcoef(np.array(WORDS + WORDS[:5]) == " cat", np.array(WORDS + WORDS[:5]) == " mat")[0, 1]
    )

    @contextmanager
    def deaf(name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        yield Scripted(lambda request: "\n".join(f"{line}\t{len(line) % 3}" for line in lines(request)))

    params = judging.with_simulator(PARAMS, "generated")
    assert judge(several, params, opened=deaf).sensitivity == pytest.approx(1)


def lines(request: Request) -> list[str]:
    """The tokens that a generated prompt asks about."""
    return request.messages[-1].content.split("\n\n", 1)[1].split("\n")


def test_a_constant_simulation_scores_zero_and_a_constant_recording_is_undefined() -> None:
    silent = unit("c", " cat", ['the word "cat"'])
    for excerpt in silent["excerpts"]:
        excerpt["activations"] = [1.0] * len(excerpt["tokens"])
    found = judge(units(unit("a", " cat", ['the word "zebra"']), silent), literal()).explanations
    assert found[0].score == 0 and found[0].agreement == 0
    assert found[1].score is None and found[1].agreement == pytest.approx(1)


def test_an_excerpt_that_is_not_simulated_is_counted_and_left_out() -> None:
    @contextmanager
    def failing(name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        yield Scripted(
            lambda request: (
                ProviderError("refused", "no")
                if len(lines(request)) == 5
                else "\n".join(f"{line}\t{9 * (line == ' cat')}" for line in lines(request))
            )
        )

    found = judge(units(unit("a", " cat", ["cats"])), judging.with_simulator(PARAMS, "generated"), opened=failing)
    assert found.failed == {"refused": 1}
    assert found.explanations[0].failed == 1 and found.explanations[0].score == pytest.approx(1)


def test_a_model_is_opened_once_whatever_the_lengths() -> None:
    opened = []

    @contextmanager
    def counting(name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        opened.append(name)
        yield Scripted(lambda request: Reply("\n".join(f"{line}\t0" for line in lines(request))))

    judge(units(unit("a", " cat", ["cats"], (3, 4, 5, 6))), judging.with_simulator(PARAMS, "generated"), opened=counting)
    assert len(opened) == 1


def test_rank_agreement_is_that_of_the_scores_of_reader_and_simulator() -> None:
    values = []
    for number in range(4):
        names = ", ".join(json.dumps(word.strip()) for word in WORDS[1 : 2 + number])
        value = unit(str(number), " cat", [f"the words {names}"])
        for excerpt in value["excerpts"]:
            excerpt["levels"][2 : 2 + number] = [6.0] * len(excerpt["levels"][2 : 2 + number])
        values.append(value)
    found = judge(units(*values), literal())
    scores = np.array([[one.score, one.reader_score] for one in found.explanations], float)
    assert found.rank_agreement == pytest.approx(np.corrcoef(scores.T)[0, 1])
    assert found.rank_agreement > 0.9
    assert judge(units(*values[:2]), literal()).rank_agreement is None


@pytest.mark.parametrize("text", ["", ".", '"', "“cat", "кот и собака", "cat", "x" * 5000, '"cat', "a\ud800b", '"","" and nothing else'])
def test_any_sentence_gives_levels_or_a_status(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurogloss.phrases.profiles import Gains

    monkeypatch.setattr(Gains, "of", lambda self, phrases: np.zeros((len(phrases), len(WORDS)), np.float16))
    found = judge(units(unit("a", " cat", [text])), literal())
    assert len(found.explanations) == 1 and (found.explanations[0].score is not None or found.failed)


GOOD = unit("a", " cat", ['the word "cat"'])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: "),
        ("[]", "line 2: expected an object, got list"),
        ('{"explanation": "x"}', "line 2: excerpts: input should be a valid list"),
        ('{"explanation": "x", "excerpts": []}', "line 2: excerpts: list should have at least 1 item"),
        ('{"explanations": [], "excerpts": [{"tokens": ["a"], "activations": [1]}]}', "line 2: explanations: list should have at least 1"),
        ('{"excerpts": [{"tokens": ["a"], "activations": [1]}]}', "line 2: expected either explanation or explanations"),
        (
            '{"explanation": "x", "excerpts": [{"tokens": ["a", "b"], "activations": [1]}]}',
            "line 2: excerpts.0: 2 tokens but 1 activations",
        ),
        ('{"explanation": "x", "excerpts": [{"tokens": ["a"], "activations": [NaN]}]}', "line 2: NaN is not a number in JSON"),
        (
            '{"explanation": "x", "excerpts": [{"tokens": ["a"], "activations": [1], "levels": [11]}]}',
            "line 2: excerpts.0.levels.0: input should be",
        ),
        ('{"explanation": "x", "excerpts": [{"tokens": [], "activations": []}]}', "line 2: excerpts.0.tokens: list should have at least 1"),
        ("[" * 100_000, "line 2: "),
    ],
)
def test_a_line_that_is_not_a_unit_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        read_units(write(tmp_path / "units.jsonl", GOOD, line))
    assert message in str(raised.value)


def test_files_without_units_and_files_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no unit"):
        read_units(write(tmp_path / "empty.jsonl", ""))
    with pytest.raises(UserError, match="cannot read .*absent.jsonl: No such file"):
        read_units(tmp_path / "absent.jsonl")


def test_ten_thousand_units_are_judged(tmp_path: Path) -> None:
    many = units(*(unit(str(number), WORDS[number % 8], [f'the word "{WORDS[number % 8].strip()}"'], (8,)) for number in range(10_000)))
    found = judge(many, literal())
    assert found.units == 10_000 and found.score == pytest.approx(1)


def test_the_command_prints_a_table_and_as_json_one_last_line(tmp_path: Path) -> None:
    path = write(tmp_path / "units.jsonl", GOOD, unit("b", " mat", ['the word "on"', 'the word "mat"'], labels=False))
    shown = CliRunner().invoke(app, ["judge", str(path), "--params", str(ROOT / "params.yaml"), "--simulator", "vocabulary"])
    assert shown.exit_code == 0, shown.output
    assert "3 explanations of 2 units" in shown.output
    told = CliRunner().invoke(
        app,
        [
            "judge",
            str(path),
            "--params",
            str(ROOT / "params.yaml"),
            "--simulator",
            "vocabulary",
            "--json",
            "--units-json",
            str(tmp_path / "u.json"),
        ],
    )
    figures = json.loads(told.stdout.splitlines()[-1])
    assert {"agreement", "rank_agreement", "sensitivity", "score", "units"} <= set(figures)
    assert figures["units"] == 2 and figures["agreement"] == pytest.approx(1)
    each = json.loads((tmp_path / "u.json").read_text(encoding="utf-8"))
    assert [one["rank"] for one in each] == [1, 2, 1]


def detecting(answer: Callable[[list[str]], Answer]) -> OpenClient:
    """A model that gets the excerpts of each question."""

    @contextmanager
    def opened(name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        yield Scripted(lambda request: answer(re.findall(r"^\d+: (.*)$", request.messages[-1].content, re.MULTILINE)))

    return opened


def quiet(name: str, explanations: list[str]) -> dict[str, Any]:
    """A unit that fires in two of four excerpts; in a fifth it is neither strong nor quiet."""
    value = unit(name, " cat", explanations, (3, 3, 5, 5, 4))
    for excerpt, strength in zip(value["excerpts"], (1.0, 0.0, 0.4, 0.19, 0.25), strict=True):
        excerpt["activations"] = [strength * (token == " cat") - 1.0 * (token == "the") for token in excerpt["tokens"]]
    return value


def test_a_scorer_judges_firing_and_quiet_excerpts_on_the_scale_of_the_unit() -> None:
    shown: list[list[str]] = []

    def right(excerpts: list[str]) -> Answer:
        shown.append(excerpts)
        return Reply("[" + ", ".join(str(int(len(one.split()) == 3)) for one in excerpts) + "]")

    found = judge_by_scorer(units(quiet("a", ["cats"])), PARAMS, "detection", detecting(right))
    assert sorted(len(one.split()) for one in shown[0]) == [3, 3, 5, 5]  # Not the one of four.
    assert found.score == 0.5 and found.explanations[0].rank == 1 and found.auc is None
    assert found.agreement is None and found.sensitivity is None and not found.failed
    always = judge_by_scorer(units(quiet("a", ["cats"])), PARAMS, "fuzzing", detecting(lambda excerpts: Reply(str([1] * len(excerpts)))))
    assert always.score == 0.5


def test_a_scorer_ranks_the_explanations_of_a_unit_and_counts_what_it_was_not_told() -> None:
    def of_cats(request: Request) -> Answer:
        text = request.messages[-1].content
        excerpts = re.findall(r"^\d+: (.*)$", text, re.MULTILINE)
        if "birds" in text:
            return ProviderError("refused", "no")
        return Reply(str([int("sat" in one or "mats" in text) for one in excerpts]))

    @contextmanager
    def opened(name: str, params: ModelParams, stage: str = "") -> Iterator[Client]:
        yield Scripted(of_cats)

    value = unit("a", " cat", ["mats", "cats", "birds"], (5, 5))
    value["excerpts"][1] = {"tokens": ["the", " dogs"], "activations": [0.0, 0.0]}
    value["excerpts"][0].pop("levels")
    found = judge_by_scorer(units(value, unit("one kind", " cat", ["cats"])), PARAMS, "detection", opened)
    assert [(one.score, one.rank, one.failed) for one in found.explanations] == [(0.5, 2, 0), (1.0, 1, 0), (None, 3, 2), (None, 1, 0)]
    assert found.failed == {"refused": 2} and found.units == 2
    assert judging_figures(found)["unscored"] == 2


def test_an_unknown_simulator_is_one_line() -> None:
    with pytest.raises(UserError, match="--simulator: there is no 'haiku'; there are: "):
        judging.with_simulator(PARAMS, "haiku")
