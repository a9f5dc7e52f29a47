"""Prompts in params.yaml: what is accepted, what is refused and with which words, and how tokens look in them."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.config.endpoints import Price
from neurogloss.config.params import load_params
from neurogloss.config.prompts import ExplainPrompt, excerpt, fill
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
    assert {"concepts", "token_list", "pairs", "highlight", "numbered", "next_token", "tokens"} <= set(prompts.explain)
    assert {"vocabulary", "all_at_once", "generated", "one_at_a_time"} <= set(prompts.simulate)
    assert "list" in prompts.vocabulary
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
        (("vocabulary", "list", "text"), "a list", r"text: placeholder \{explanation\} is missing"),
    ],
)
def test_a_faulty_prompt_is_refused_with_its_place(place: tuple[str, ...], value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_params(changed(tmp_path, "prompts", *place, value=value))


def test_every_faulty_prompt_is_named_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, "prompts", "explain", "pairs", "question", value="{x}")
    text = path.read_text(encoding="utf-8").replace("mark_from: 3", "mark_from: 30", 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="2 problem"):
        load_params(path)


@pytest.mark.parametrize("text", ["a||b", "a^|b", "a^11", "^3|a", "", "a^x"])
def test_an_example_that_is_not_in_the_notation_is_refused(text: str, tmp_path: Path) -> None:
    raw = {"own": {"explanations": ["x"], "excerpts": [{"tokens": text}]}}
    with pytest.raises(UserError, match="expected tokens separated by"):
        load_params(changed(tmp_path, "prompts", "explain", "pairs", "examples", value=raw))


@pytest.mark.parametrize("places", [{"reveal": 2}, {"asked": [0, 2]}])
def test_a_place_beyond_the_tokens_of_an_example_is_refused(places: dict[str, object], tmp_path: Path) -> None:
    raw = {"own": {"explanations": ["x"], "excerpts": [{"tokens": "a|b", **places}]}}
    with pytest.raises(UserError, match="token 2 of 2; the first is 0"):
        load_params(changed(tmp_path, "prompts", "simulate", "all_at_once", "examples", value=raw))


def test_a_prompt_that_asks_for_one_explanation_shows_the_first_of_an_example() -> None:
    prompts = load_params(PARAMS).prompts
    wanted = {}
    for name in ("pairs", "numbered"):
        prompt = prompts.explain[name]
        assert isinstance(prompt, ExplainPrompt)
        wanted[name] = prompt.wanted(prompt.examples["boats"])
    assert len(wanted["numbered"]) == 3 and wanted["pairs"] == wanted["numbered"][:1]


def test_shared_examples_are_in_the_file_once() -> None:
    text, prompts = PARAMS.read_text(encoding="utf-8"), load_params(PARAMS).prompts
    for name, example in prompts.examples.items():
        assert text.count(example.excerpts[0].tokens) == 1
        users = [prompt for prompt in (*prompts.explain.values(), *prompts.simulate.values()) if name in getattr(prompt, "examples", {})]
        assert len(users) > 1 and all(user.examples[name] == example for user in users)  # type: ignore[union-attr]  # they have examples


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("explain", "method"), "highlght", r"explain\.method: there is no 'highlght' under prompts\.explain; did you mean 'highlight'\?"),
        (
            ("explain", "method"),
            "zzz",
            r"explain\.method: there is no 'zzz' under prompts\.explain; there are: attention, concepts, given, highlight",
        ),
        (("simulate", "method"), "generate", r"simulate\.method: there is no 'generate'\D*; did you mean 'generated'\?"),
        (("vocabulary", "prompt"), "lists", r"vocabulary\.prompt: there is no 'lists' under prompts\.vocabulary; did you mean 'list'\?"),
        (("explain", "prompt"), "highlight", r"explain\.prompt: explain\.method names the prompt now; .* write explain\.method: highlight"),
        (("explain", "prompt"), "token_list", r"write explain\.method: tokens"),
        (("simulate", "prompt"), "list", r"simulate\.prompt: simulate\.method names .* write simulate\.method: vocabulary"),
        (("explain", "promt"), "pairs", r"explain\.promt: unknown key"),
        (("explain", "max_failed_share"), 0.5, r"explain\.max_failed_share: it is limits\.max_failed_share now"),
        (("models", "openai", "price"), {"prompt": 1.0}, r"models\.openai\.price: .* under endpoints\.openai\.price"),
        (("endpoints", "opnai"), {}, r"endpoints\.opnai: there is no model 'opnai'; there are: "),
    ],
)
def test_a_choice_that_names_nothing_says_what_to_write(place: tuple[str, ...], value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_params(changed(tmp_path, *place, value=value))


def test_a_model_needs_only_the_keys_that_say_something(tmp_path: Path) -> None:
    found = load_params(changed(tmp_path, "models", "mine", value={"provider": "openai", "name": "x", "context": 8000})).model("mine", "")
    assert not any((found.revision, found.sha256, found.base_url_from, found.key_from, found.capabilities))
    assert found.dtype == "float32"
    assert found.price == Price(prompt=0.0, cached_prompt=0.0, completion=0.0)


def test_cached_tokens_without_a_price_of_their_own_cost_what_the_others_do() -> None:
    assert Price.model_validate({"prompt": 2.0, "completion": 3.0}).cached_prompt == 2.0
    assert Price.model_validate({"prompt": 2.0, "cached_prompt": 0.0}).cached_prompt == 0.0


def test_what_is_filled_in_is_not_read_as_a_template() -> None:
    assert fill("{a} {{b}}", a="{b} {") == "{b} { {b}"


def test_the_notation_gives_tokens_and_levels() -> None:
    assert excerpt("The| old^3|{}^10") == ([b"The", b" old", b"{}"], [0, 3, 10])


def test_escapes_give_the_characters_that_the_notation_uses() -> None:
    assert excerpt(r"a\|b^2|\^^3|\\|\n") == ([b"a|b", b"^", b"\\", b"\n"], [2, 3, 0, 0])
    assert excerpt(r"C:\dir\t") == ([rb"C:\dir\t"], [0])


def written(tokens: list[str], levels: list[int]) -> str:
    """Tokens and levels in the notation of examples."""
    escapes = str.maketrans({"\\": r"\\", "|": r"\|", "^": r"\^", "\n": r"\n"})
    return "|".join(token.translate(escapes) + (f"^{level}" if level else "") for token, level in zip(tokens, levels, strict=True))


texts = st.text("\\|^n1\n ", min_size=1) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.lists(st.tuples(texts, st.integers(0, 10)), min_size=1))
def test_every_text_can_be_written_in_the_notation(found: list[tuple[str, int]]) -> None:
    tokens, levels = [token for token, _ in found], [level for _, level in found]
    assert excerpt(written(tokens, levels)) == ([token.encode() for token in tokens], levels)


plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\|^"), min_size=1)


@given(st.lists(st.tuples(plain, st.integers(0, 10)), min_size=1))
def test_a_text_without_a_backslash_reads_as_it_did_without_escapes(found: list[tuple[str, int]]) -> None:
    text = "|".join(token + (f"^{level}" if level else "") for token, level in found)
    parts = [part.partition("^") for part in text.split("|")]
    assert excerpt(text) == ([token.encode() for token, _, _ in parts], [int(level or 0) for _, _, level in parts])


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
