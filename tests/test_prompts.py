"""Prompts in params.yaml: what is accepted, what is refused and with which words, and how tokens look in them."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.config.params import load_params
from neurogloss.config.prompts import excerpt, fill
from neurogloss.errors import UserError
from neurogloss.llm.escape import shown

PARAMS = Path(__file__).parent.parent / "params.yaml"


def changed(tmp_path: Path, *place: str, value: Any) -> Path:
    """params.yaml with one value replaced (or removed, for `...`)."""
    raw = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    section = raw
    for part in place[:-1]:
        section = section[part]
    if value is ...:
        del section[place[-1]]
    else:
        section[place[-1]] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


def test_the_prompts_of_the_project_are_valid_and_hold_nothing_that_dvc_would_resolve() -> None:
    prompts = load_params(PARAMS).prompts
    assert {"pairs", "highlight", "numbered", "next_token", "token_list"} <= set(prompts.explain)
    assert {"list", "all_at_once", "generated", "one_at_a_time"} <= set(prompts.simulate)
    assert "${" not in PARAMS.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (
            ("explain", "pairs", "question"),
            "{excerpts} {neuron}",
            r"explain\.pairs\S*\.question: undefined placeholder \{neuron\}; defined here",
        ),
        (("explain", "pairs", "question"), "{number}", r"question: placeholder \{excerpts\} is missing"),
        (("explain", "pairs", "question"), "{excerpts} {", "question: not a template"),
        (("explain", "pairs", "question"), "{excerpts.x}", r"undefined placeholder \{excerpts.x\}"),
        (("explain", "pairs", "question"), "{}{excerpts}", r"undefined placeholder \{\}"),
        (("explain", "highlight", "layout"), "colours", "'colours'"),
        (("explain", "highlight", "mark_from"), 0, "mark_from: "),
        (("explain", "pairs", "repeats"), "x", "repeats: unknown key"),
        (("explain", "pairs", "prefix"), ..., "prefix: missing"),
        (("simulate", "all_at_once", "highest"), 11, "highest: "),
        (("simulate", "list", "text"), "a list", r"text: placeholder \{explanation\} is missing"),
    ],
)
def test_a_faulty_prompt_is_refused_with_its_place(place: tuple[str, ...], value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_params(changed(tmp_path, "prompts", *place, value=value))


def test_every_faulty_prompt_is_named_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, "prompts", "explain", "pairs", "question", value="{x}")
    text = path.read_text(encoding="utf-8").replace("mark_from: 3", "mark_from: 30")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="2 problem"):
        load_params(path)


@pytest.mark.parametrize("text", ["a||b", "a^|b", "a^11", "^3|a", "", "a^x"])
def test_an_example_that_is_not_in_the_notation_is_refused(text: str, tmp_path: Path) -> None:
    raw = [{"explanations": ["x"], "excerpts": [text]}]
    with pytest.raises(UserError, match="expected tokens separated by"):
        load_params(changed(tmp_path, "prompts", "explain", "pairs", "examples", value=raw))


def test_an_example_that_answers_otherwise_than_asked_is_refused(tmp_path: Path) -> None:
    raw = [{"explanations": ["x", "y"], "excerpts": ["a|b^3"]}]
    with pytest.raises(UserError, match="exactly one explanation"):
        load_params(changed(tmp_path, "prompts", "explain", "pairs", "examples", value=raw))
    raw = [{"explanation": "x", "excerpts": [{"tokens": "a|b", "reveal": 2}]}]
    with pytest.raises(UserError, match="token 2 of 2; the first is 0"):
        load_params(changed(tmp_path, "prompts", "simulate", "all_at_once", "examples", value=raw))


def chosen(tmp_path: Path, stage: str, method: str, prompt: str) -> Path:
    """params.yaml with another method and prompt of a stage."""
    raw = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    raw[stage] |= {"method": method, "prompt": prompt}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("stage", "method", "prompt", "message"),
    [
        ("simulate", "all_at_once", "list", r"simulate\.prompt: 'list' has layout list, method all_at_once needs one of: all_at_once"),
        ("simulate", "generated", "generate", r"simulate\.prompt: there is no 'generate'; did you mean 'generated'\?"),
        ("explain", "pairs", "summary", r"explain\.prompt: there is no 'summary'; there are: highlight"),
    ],
)
def test_the_method_needs_a_prompt_of_its_layout(stage: str, method: str, prompt: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_params(chosen(tmp_path, stage, method, prompt))


def test_a_method_without_a_prompt_does_not_look_at_its_name(tmp_path: Path) -> None:
    assert load_params(chosen(tmp_path, "explain", "token_list", "none")).explain.prompt == "none"


def test_what_is_filled_in_is_not_read_as_a_template() -> None:
    assert fill("{a} {{b}}", a="{b} {") == "{b} { {b}"


def test_the_notation_gives_tokens_and_levels() -> None:
    assert excerpt("The| old^3|{}^10") == ([b"The", b" old", b"{}"], [0, 3, 10])


pieces = st.binary(max_size=8) | st.text(max_size=4).map(str.encode)


@given(pieces)
def test_a_shown_token_never_leaves_its_line_or_column(piece: bytes) -> None:
    text = shown(piece)
    assert len(text.splitlines()) <= 1
    assert "\t" not in text
    text.encode()  # no lone surrogate
    assert all(c == " " or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs") for c in text)


@given(pieces, pieces)
def test_different_tokens_look_different(one: bytes, other: bytes) -> None:
    assert (shown(one) == shown(other)) == (one == other)
