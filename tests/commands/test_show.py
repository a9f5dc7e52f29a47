"""show: one neuron, whatever its tokens contain."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from neurogloss.artifacts.recordings import Keys, Split
from neurogloss.artifacts.results import read_results
from neurogloss.artifacts.units import UnitKind
from neurogloss.cli.main import app
from neurogloss.cli.text import coloured, visible
from neurogloss.errors import UserError

SGR = re.compile(r"\x1b\[[0-9;]*m")


def shown(finished: Path, *arguments: str, env: dict[str, str | None] | None = None) -> Result:
    plain = {"NO_COLOR": "1", "FORCE_COLOR": None, "COLORTERM": None, "TERM": "dumb"}
    return CliRunner().invoke(app, ["show", *arguments, "--data", str(finished / "data"), "--width", "100"], env={**plain, **(env or {})})


def test_it_prints_statistics_explanation_scores_and_both_sides_of_each_score_excerpt(finished: Path) -> None:
    text = shown(finished, "L0.N3").output
    results = read_results(finished / "data")
    score = results.score(1)
    assert "words like w1, and [brackets]" in text
    assert f"{score['top_and_random']:.2f} ({score['ci_low']:.2f} to {score['ci_high']:.2f}, 95 %) over 8 excerpts" in text
    assert f"token table (baseline) {score['token_table']:.2f}" in text
    assert text.count("recorded ") == text.count("simulated") == len(results.recordings.slots.where(Split.SCORE)) == 8
    assert "top · d" in text and "random · d" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_levels_are_readable_without_colours(finished: Path) -> None:
    text = shown(finished, "L0.N3").output
    assert "\x1b" not in text
    assert re.search(r"w\d+[⁴-⁹]", text)


def test_levels_are_backgrounds_where_there_are_colours(finished: Path) -> None:
    text = shown(finished, "L0.N3", env={"NO_COLOR": None, "FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}).output
    assert "48;2;0;" in text
    assert not re.search(r"w\d+[⁴-⁹]", text)


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": None, "FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}])
def test_hostile_tokens_cannot_break_the_terminal(finished: Path, env: dict[str, str | None]) -> None:
    text = SGR.sub("", shown(finished, "L0.N3", "--splits", "score,explain,calibrate,select,fit", env=env).output)
    for character in "\x1b\t\r\u202e":
        assert character not in text
    flat = " ".join(text.split())
    assert "\\x1b[31m" in flat and "\\u202e" in flat and "⏎" in flat and "⇥" in flat and "red]x[/]" in flat and ":smile:" in flat


def test_explain_excerpts_are_shown_on_request_and_have_no_simulation(finished: Path) -> None:
    text = shown(finished, "L0.N3", "--splits", "explain").output
    assert "explain excerpts" in text and "score excerpts" not in text and "simulated" not in text


def test_a_silent_neuron_says_so_and_has_no_score(finished: Path) -> None:
    text = shown(finished, "L0.N15").output
    assert "none: silent" in text and "no peak" in text and "not simulated: silent" in text
    assert "top only" not in text


@pytest.mark.parametrize("spelling", ["L0.N3", "l0.n3", "L0N3", "l0n3", "0.3", "0:3", "0/3", " L0.N3 "])
def test_names_are_understood(finished: Path, spelling: str) -> None:
    assert shown(finished, spelling).output.startswith("L0.N3")


def test_an_unknown_neuron_is_an_error_that_names_the_nearest(finished: Path) -> None:
    error = shown(finished, "L1.N7").exception
    assert isinstance(error, UserError)
    assert "L1.N7 is not among the 12 recorded neurons, the nearest are L1.N6, L1.N9" in str(error)


@pytest.mark.parametrize("name", ["", "L5", "L5.N", "5.x", "L53", "N3.L5", "L-1.N2", "L1.N2.3", "L" + "9" * 400 + ".N1"])
def test_a_malformed_name_is_an_error_with_an_example(finished: Path, name: str) -> None:
    error = shown(finished, "--", name).exception if name.startswith("-") else shown(finished, name).exception
    assert isinstance(error, UserError) and "expected a layer and an index such as L0.N0" in str(error)


def test_an_unknown_split_is_an_error_with_the_choices(finished: Path) -> None:
    error = shown(finished, "L0.N3", "--splits", "test").exception
    assert isinstance(error, UserError) and "explain, calibrate, select, score, fit" in str(error)


def test_missing_data_say_what_to_run(tmp_path: Path) -> None:
    error = CliRunner().invoke(app, ["show", "L0.N3", "--data", str(tmp_path)]).exception
    assert isinstance(error, UserError) and "run `dvc repro`" in str(error)


def test_every_character_becomes_a_printable_one() -> None:
    everything = "".join(map(chr, range(0x3000))) + "\ud800\U000e0001\uffff"
    assert all(c.isprintable() for c in visible(everything) if c not in " \u00a0\u1680\u2000\u3000" and not c.isspace())
    assert "\x1b" not in visible(everything) and "\u2028" not in visible(everything)


def test_a_level_is_brighter_the_higher_it_is_and_none_at_zero() -> None:
    spans = coloured("abc", [0.0, 3.0, 10.0], colours=True).spans
    greens = [span.style.bgcolor.get_truecolor().green for span in spans if not isinstance(span.style, str) and span.style.bgcolor]
    assert len(greens) == 2 and np.all(np.diff(greens) > 50)


def test_a_head_is_shown_with_the_tokens_that_its_strongest_token_reads(finished: Path) -> None:
    from neurogloss.cli.neuron_view import attention

    results = read_results(finished / "data")
    assert attention(results, 2, 0, ["a"] * 12) == ""
    shape = (*results.recordings.excerpts.shape, 3)
    places, norms = np.zeros(shape, np.int16) + np.array([1, 0, 5], np.int16), np.zeros(shape, np.float16) + np.array([2, 1, 0], np.float16)
    heads = replace(results, recordings=replace(results.recordings, kind=UnitKind.HEADS, keys=Keys(places, norms)))
    query = int(results.recordings.activations[2, 0].argmax())
    words = [f" w{place}" for place in range(12)]
    assert attention(heads, 2, 0, words) == f" · [[w{query}]] at token {query} reads **w1** 1.00, **w0** 0.50"
