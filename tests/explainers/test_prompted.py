"""The prompts for an explanation: what they show, what they never show, and how they are cut to fit."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurogloss.artifacts.recordings import Keys, Promoted, Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.artifacts.units import UnitKind
from neurogloss.config.explain import ExplainParams
from neurogloss.config.models import ModelParams
from neurogloss.config.params import load_params
from neurogloss.config.prompts import AnyExplainPrompt, Excerpt, ExplainPrompt, PiecesPrompt, excerpt
from neurogloss.errors import ProviderError, UserError
from neurogloss.explainers.layouts import cut_pieces
from neurogloss.explainers.prompted import explain_prompted, requests_for
from neurogloss.explainers.token_list import strongest_tokens
from neurogloss.llm.escape import shown
from neurogloss.llm.request import Reply, Request, model_id
from neurogloss.llm.scripted import Scripted
from neurogloss.measures.levels import levels
from tests.hostile import hostile
from tests.snapshots import check, written_out

PARAMS = load_params(Path(__file__).parent.parent.parent / "params.yaml")
EVERY = {name: prompt for name, prompt in PARAMS.prompts.explain.items() if isinstance(prompt, ExplainPrompt)}
PROMPTS = {name: prompt for name, prompt in EVERY.items() if name != "attention"}
"""Those for units of any kind."""
NAMES = sorted(PROMPTS)


def words(text: str) -> int:
    """A tokenizer good enough here."""
    return len(text.replace("\t", " ").split())


def settings(**changes: object) -> ExplainParams:
    return PARAMS.explain.model_copy(update={"method": "pairs", **changes})


def model(context: int = 2048) -> ModelParams:
    return PARAMS.model("smollm2", "").model_copy(update={"context": context, "provider": "scripted"})


def asked(recordings: Recordings, prompt: AnyExplainPrompt, row: int = 0, context: int = 4096, **changes: object) -> list[Request]:
    return requests_for(recordings, np.array([row]), prompt, settings(**changes), model(context), words)[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_prompt_is_as_kept_whatever_the_tokens(name: str) -> None:
    check(f"explain_{name}", written_out(asked(hostile(), PROMPTS[name])[0]))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_the_explain_split_and_the_table_is_looked_at(name: str, recordings: Recordings) -> None:
    others = np.concatenate([recordings.slots.where(split) for split in Split if split is not Split.EXPLAIN])
    activations, excerpts, corpus = recordings.activations.copy(), recordings.excerpts.copy(), recordings.corpus.copy()
    activations[:, others] = np.nan
    excerpts[:, others] = len(corpus) - 1
    shared = np.isin(np.arange(len(corpus)), excerpts[:, recordings.slots.where(Split.EXPLAIN)])
    if name != "tokens":  # which counts what is left of a token outside the score split
        corpus[~shared] = 10**6  # any use is an IndexError
    poisoned = replace(recordings, activations=activations, excerpts=excerpts, corpus=corpus)
    prompt = PROMPTS[name]
    assert asked(poisoned, prompt) == asked(recordings, prompt)


@pytest.mark.parametrize("name", ["pairs", "numbered"])
def test_every_token_of_every_explain_excerpt_stands_on_a_line_with_its_level(name: str) -> None:
    hard = hostile()
    text = asked(hard, PROMPTS[name])[0].messages[-1].content
    slots = hard.slots.where(Split.EXPLAIN)
    scaled = levels(hard.activations[0, slots], float(hard.peaks[0]))
    blocks = text.split("<start>\n")[1:]
    assert len(blocks) == len(slots)
    for place, block in enumerate(blocks):
        lines = block.split("\n<end>\n")[0].split("\n")
        pieces = [hard.vocabulary[token] for token in hard.tokens(0, slots)[place]]
        assert lines == [f"{shown(piece)}\t{level}" for piece, level in zip(pieces, scaled[place], strict=True)]
    assert scaled.max() == 10


def test_next_token_pairs_each_level_with_the_token_that_follows(recordings: Recordings) -> None:
    text = asked(recordings, PROMPTS["next_token"])[0].messages[-1].content
    slots = recordings.slots.where(Split.EXPLAIN)
    scaled = levels(recordings.activations[0, slots], float(recordings.peaks[0]))[0]
    pieces = [recordings.vocabulary[token].decode() for token in recordings.tokens(0, slots)[0]]
    first = text.split("<start>\n")[1].split("\n<end>\n")[0].split("\n")
    assert first == [f"{piece}\t{level}" for piece, level in zip(pieces[1:], scaled[:-1], strict=True)]


def test_the_pairs_above_zero_are_repeated_only_where_they_are_few(recordings: Recordings) -> None:
    prompt = PROMPTS["pairs"]
    never, always = (prompt.model_copy(update={"repeat_below": share}) for share in (0.0, 1.0))
    assert "only the tokens with a level above 0" not in asked(recordings, never)[0].messages[-1].content
    text = asked(recordings, always)[0].messages[-1].content
    again = text.split("only the tokens with a level above 0:\n")[1].split("\n\n")[0].split("\n")
    shown_once = [line for line in text.split("Excerpts with levels:")[1].split("The same excerpts")[0].split("\n") if "\t" in line]
    assert again == [line for line in shown_once if not line.endswith("\t0")]


def test_highlighted_text_marks_exactly_the_tokens_from_the_level_asked_for(recordings: Recordings) -> None:
    prompt = PROMPTS["highlight"]
    text = asked(recordings, prompt)[0].messages[-1].content
    scaled = levels(recordings.activations[0, recordings.slots.where(Split.EXPLAIN)], float(recordings.peaks[0]))
    assert text.count("<<") == int((scaled >= 3).sum()) > 0
    assert f">>({scaled.max()})" in text


PIECES = PROMPTS["pieces"]
assert isinstance(PIECES, PiecesPrompt)


def excerpts_of(*texts: str) -> tuple[list[Excerpt], np.ndarray]:
    """Excerpts in the notation of examples; as strong as their levels, the later ones a little less."""
    found = [excerpt(text) for text in texts]
    return found, np.array([one.levels for one in found]) - 0.01 * np.arange(len(found))[:, None]


def cut_texts(*texts: str, **changes: int) -> list[str]:
    found, strengths = excerpts_of(*texts)
    return [
        b"".join(piece.pieces).decode()
        for piece in cut_pieces(found, strengths, PIECES.model_copy(update={"before": 1, "after": 1, **changes}))
    ]


def test_a_piece_is_the_text_around_a_strong_token_as_far_as_the_excerpt_goes() -> None:
    assert cut_texts("a|b|c|d^9|e|f|g") == ["cde"]
    assert cut_texts("a^9|b|c|d|e|f|g") == ["ab"]
    assert cut_texts("a|b|c|d|e|f|g^9", before=3, after=8) == ["defg"]
    assert cut_texts("a|b|c^9|d|e|f|g", before=0, after=0) == ["c"]


def test_an_excerpt_gives_several_pieces_only_where_its_strong_tokens_are_far_apart_and_the_strongest_comes_first() -> None:
    assert cut_texts("a|b^5|c^9|d|e|f|g^7") == ["bcd", "fg"]
    assert cut_texts("a|b^5|c|d|e|f^3|g", "h|i^4|j|k|l|m|n^10") == ["mn", "abc", "hij", "efg"]
    assert cut_texts("a|b^5|c|d|e|f^3|g", "h|i^4|j|k|l|m|n^10", pieces=2) == ["mn", "abc"]


def test_tokens_below_the_mark_get_no_piece_and_no_text_stands_twice() -> None:
    assert cut_texts("a|b^5|c|d|e|f^2|g") == ["abc"]
    assert cut_texts("a|b^5|c|d|e|f^2|g", mark_from=6) == []
    assert cut_texts("a|b^5|c|d|e|f^2|g", "a|b^4|c|x|y|z|z") == ["abc"]


def test_the_pieces_of_a_neuron_hold_its_peak_first_and_mark_what_reaches_the_level(recordings: Recordings) -> None:
    prompt = PIECES.model_copy(update={"before": 2, "after": 1})
    lines = [line for line in asked(recordings, prompt)[0].messages[-1].content.split("\n") if line.startswith("- ")]
    assert 1 < len(lines) <= PIECES.pieces
    marks = [[int(level) for level in re.findall(r">>\((\d+)\)", line)] for line in lines]
    assert max(marks[0]) == 10
    assert all(3 <= level <= 10 for row in marks for level in row)
    assert [max(row) for row in marks] == sorted((max(row) for row in marks), reverse=True)


def test_pieces_that_do_not_fit_are_left_out_the_weakest_first_down_to_one(recordings: Recordings) -> None:
    prompt = PIECES.model_copy(update={"before": 1, "after": 1})
    most = asked(recordings, prompt)[0].messages[-1].content.count("\n- ")
    counts = [
        found[0].messages[-1].content.count("\n- ") if (found := asked(recordings, prompt, context=c)) else 0 for c in range(2000, 60, -1)
    ]
    assert sorted(set(counts), reverse=True) == list(range(most, -1, -1))
    assert counts == sorted(counts, reverse=True)


def test_the_strongest_tokens_of_the_table_come_first(recordings: Recordings) -> None:
    text = asked(recordings, PROMPTS["tokens"])[0].messages[-1].content
    best = strongest_tokens(recordings, 0, 3)
    assert text.startswith(f'Tokens: "{recordings.text(int(best[0]))}", "{recordings.text(int(best[1]))}"')
    assert text.split("\n")[0].count('", "') == min(10, len(best)) - 1


def test_a_neuron_without_a_strong_token_has_no_explanation_and_asks_nothing(recordings: Recordings) -> None:
    client = Scripted("never")
    quiet = replace(recordings, table_counts=recordings.table_counts * 0)
    found = explain_prompted(quiet, np.array([0]), PROMPTS["tokens"], settings(), model(), words, client)
    assert [c.status for c in found[0]] == [Status.NO_EXPLANATION]
    assert client.asked == []


def test_a_prompt_that_is_too_long_loses_example_excerpts_first_then_the_weakest_of_its_own(recordings: Recordings) -> None:
    prompt = PROMPTS["pairs"]
    whole = asked(recordings, prompt)[0].messages
    sizes = [sum(words(m.content) + 8 for m in whole)]

    def shape(context: int) -> list[int]:
        found = asked(recordings, prompt, context=context)
        if not found:
            return []
        assert sum(words(m.content) + 8 for m in found[0].messages) + PARAMS.explain.max_tokens <= context
        return [m.content.count("<start>") for m in found[0].messages if m.role == "user"]

    shapes = [shape(context) for context in range(sizes[0] + PARAMS.explain.max_tokens, 60, -1)]
    steps = [s for place, s in enumerate(shapes) if place == 0 or s != shapes[place - 1]]
    assert steps == [[2, 2, 2, 2], [2, 2, 1, 2], [2, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 1], []]


def test_a_prompt_that_fits_in_no_way_is_too_long_and_asks_nothing(recordings: Recordings) -> None:
    client = Scripted("never")
    prompt = PROMPTS["pairs"]
    found = explain_prompted(recordings, np.array([0, 1]), prompt, settings(), model(100), words, client)
    assert [[c.status for c in candidates] for candidates in found] == [[Status.TOO_LONG]] * 2
    assert client.asked == []


def test_each_sample_is_a_question_of_its_own_and_another_seed_asks_others(recordings: Recordings) -> None:
    prompt = PROMPTS["pairs"]
    three = asked(recordings, prompt, samples=3)
    assert len({request.key for request in three}) == 3
    assert not {request.key for request in three} & {request.key for request in asked(recordings, prompt, samples=3, seed=1)}
    assert {request.key for request in asked(recordings, prompt, samples=2)} < {request.key for request in three}
    assert len(asked(recordings, prompt, samples=3, temperature=0.0)) == 1


def test_candidates_come_back_to_the_neuron_they_belong_to(recordings: Recordings) -> None:
    rows = np.array([0, 1, 5])
    client = Scripted("one", "two", ProviderError("refused", "no"), "four", Reply("five\nmore"), "six.")
    found = explain_prompted(recordings, rows, PROMPTS["pairs"], settings(samples=2), model(), words, client)
    assert [[c.text for c in candidates] for candidates in found] == [["one", "two"], [None, "four"], ["five", "six"]]
    assert found[1][0].status is Status.REFUSED


def test_the_fixed_part_stands_first_so_that_prefix_caches_apply(recordings: Recordings) -> None:
    for prompt in PROMPTS.values():
        one, other = (asked(recordings, prompt, row=row)[0].messages for row in (0, 5))
        assert one[:-1] == other[:-1]
        assert one[-1] != other[-1]


def test_the_form_completion_ends_where_the_answer_begins(recordings: Recordings) -> None:
    prompt = PROMPTS["pairs"].model_copy(update={"form": "completion"})
    request = asked(recordings, prompt)[0]
    assert request.messages == ()
    assert request.prompt.endswith("respond to?\nThis neuron responds to")
    assert "This neuron responds to words for boats, ships and harbours.\n\nNeuron 2\n" in request.prompt
    assert request.stop == ("\n",)


def test_a_silent_neuron_is_never_asked_about(recordings: Recordings) -> None:
    with pytest.raises(ValueError, match="row 3 is a silent neuron"):
        asked(recordings, PROMPTS["pairs"], row=3)


def test_the_name_of_the_model_in_a_request_tells_weights_apart() -> None:
    keys = set()
    local = ({}, {"sha256": "0"}, {"revision": "x"}, {"dtype": "bfloat16"}, {"name": "other"})
    remote = ({"provider": "openai"}, {"provider": "openai", "base_url_from": "MINE"}, {"provider": "openai", "base_url_from": "YOURS"})
    for change in (*local, *remote):
        changed = PARAMS.model("smollm2", "").model_copy(update=change)
        keys.add((changed.provider, model_id(changed)))
    assert len(keys) == 8


def heads(recordings: Recordings) -> Recordings:
    """The same as heads: each query reads the token before it, the first token half as much, and a third next to nothing."""
    queries = np.asarray(recordings.activations).argmax(axis=2)
    places = np.stack([np.maximum(queries - 1, 0), np.zeros_like(queries), np.full_like(queries, 2)], axis=2).astype(np.int16)
    norms = np.broadcast_to(np.array([1, 0.5, 0.1], np.float16), places.shape)
    return replace(recordings, kind=UnitKind.HEADS, keys=Keys(places, norms))


def test_a_head_is_shown_by_its_query_and_the_keys_that_the_query_reads(recordings: Recordings) -> None:
    found = heads(recordings)
    (request,) = asked(found, EVERY["attention"])
    text = request.messages[-1].content
    slot = int(found.slots.where(Split.EXPLAIN)[0])
    words = [found.text(int(token)).strip() for token in found.tokens(0, np.array([slot]))[0]]
    query = int(found.activations[0, slot].argmax())
    expected = [f"**{word}**" if place in (0, query - 1) else word for place, word in enumerate(words)]
    expected[query] = f"[[{expected[query]}]]"
    assert "- " + " ".join(expected) in text.replace("-  ", "- ")
    assert "attends to an opening bracket from" in request.messages[4].content
    assert "[[she]]" in request.messages[1].content and "**Mary**" in request.messages[1].content


def test_the_attention_layout_is_for_heads_alone(recordings: Recordings) -> None:
    with pytest.raises(UserError, match="the layout attention is for heads, these recordings are of neurons"):
        asked(recordings, EVERY["attention"])


def test_a_prompt_may_say_what_a_unit_promotes_and_suppresses(recordings: Recordings) -> None:
    prompt = PROMPTS["highlight"].model_copy(update={"question": "{excerpts}\nraises {promoted}; lowers {suppressed}"})
    with pytest.raises(UserError, match=r"asks for \{promoted\}, which these recordings lack; record again"):
        asked(recordings, prompt)
    tokens = np.tile(np.array([[3, 4], [5, -1]], np.int32), (len(recordings), 1, 1))
    written = replace(recordings, promoted=Promoted(tokens, np.zeros(tokens.shape, np.float16)))
    messages = asked(written, prompt)[0].messages
    assert messages[-1].content.splitlines()[-2] == 'raises " w3", " w4"; lowers " w5"'
    assert "raises none; lowers none" in messages[1].content  # The examples say nothing of it.
