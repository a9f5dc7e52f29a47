import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurogloss.artifacts.recordings import read_recordings
from neurogloss.artifacts.units import UnitKind
from neurogloss.config.subject import SubjectParams
from neurogloss.subject.model import Subject, load_subject
from neurogloss.subject.neurons import find_neurons
from neurogloss.viewer import meaning
from neurogloss.viewer.live import analyse
from neurogloss.viewer.meaning import WIDTH, one_token_words, text_vectors, word_vectors, words_of
from neurogloss.viewer.model import Model
from neurogloss.viewer.pages import Pages
from neurogloss.viewer.result import ViewedResult, open_result
from neurogloss.viewer.similar import neighbours, profiles
from neurogloss.viewer.site import write_site
from neurogloss.viewer.strongest import strongest
from neurogloss.viewer.weights import Weights, layer_weights, lens, lexicon
from tests.viewer.test_pages import value


@pytest.fixture(scope="module")
def subject(tiny_model: Path) -> Subject:
    return load_subject(SubjectParams(model=str(tiny_model), revision=None, sha256=None, dtype="float32", site="auto"))


@pytest.fixture(scope="module")
def result(small_result: Path) -> ViewedResult:
    """The made-up result, with two layers as the tiny model has."""
    found = open_result(small_result)
    return replace(found, rows=found.rows[:12])


def test_the_strongest_are_those_of_a_full_sort() -> None:
    rng = np.random.default_rng(0)
    for width in (0, 1, 5, 130, 1000, 4096 + 17):
        values = rng.normal(size=(7, width)).astype(np.float32)
        found = strongest(values, 5)
        order = np.argsort(-values, axis=1, kind="stable")[:, :5]
        assert np.array_equal(found.columns, order)
        assert np.array_equal(found.values, np.take_along_axis(values, order, axis=1))


def test_ties_go_to_the_first_column() -> None:
    values = np.zeros((2, 5000), np.float32)
    values[1, [4000, 100, 2500]] = 1
    assert strongest(values, 4).columns.tolist() == [[0, 1, 2, 3], [100, 2500, 4000, 0]]


def test_the_written_tokens_are_the_logits_of_the_output_weights(subject: Subject) -> None:
    model = subject.model
    down = model.model.layers[1].mlp.down_proj.weight[:, 5]
    by_hand = torch.topk(model.lm_head.weight @ (down * model.model.norm.weight), 10)
    weights = Weights(model, subject.sites)
    found = lens(weights, lexicon(weights, np.arange(len(subject.vocabulary))), 1, np.array([5]))
    assert found.writes.columns[0].tolist() == by_hand.indices.tolist()
    assert np.allclose(found.writes.values[0], by_hand.values, atol=1e-5)


def test_the_read_tokens_are_those_whose_embedding_alone_would_fire_the_neuron(subject: Subject) -> None:
    block, seen = subject.model.model.layers[0], []
    handle = block.mlp.down_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        block.mlp(block.post_attention_layernorm(subject.model.model.embed_tokens.weight))
    handle.remove()
    weights = Weights(subject.model, subject.sites)
    found = lens(weights, lexicon(weights, np.arange(len(subject.vocabulary))), 0, np.array([7]))
    by_hand = torch.topk(seen[0][:, 7], 5)
    assert found.reads.columns[0, :5].tolist() == by_hand.indices.tolist()
    assert np.allclose(found.reads.values[0, :5], by_hand.values, rtol=1e-3)


def test_a_plain_mlp_is_read_in_its_own_layout() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=8, n_layer=2, n_head=2))
        neox = GPTNeoXForCausalLM(
            GPTNeoXConfig(vocab_size=50, hidden_size=8, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2)
        )
    with torch.no_grad():
        gpt2.transformer.h[1].ln_2.weight.copy_(torch.arange(8.0))
    found = layer_weights(gpt2, "transformer.h.1.mlp.c_proj", 1)
    assert found.gated is None
    assert np.allclose(found.reads, (gpt2.transformer.h[1].mlp.c_fc.weight.T * torch.arange(8.0)).detach())
    assert np.allclose(found.writes, gpt2.transformer.h[1].mlp.c_proj.weight.detach())
    found = layer_weights(neox, "gpt_neox.layers.0.mlp.dense_4h_to_h", 0)
    assert np.allclose(found.reads, neox.gpt_neox.layers[0].mlp.dense_h_to_4h.weight.detach())
    assert found.writes.shape == (24, 8)


@pytest.mark.parametrize("kind", ["gemma2", "gemma3_text", "olmo2", "olmo3"])
def test_what_a_norm_after_the_mlp_multiplies_by_is_part_of_what_a_neuron_writes(kind: str) -> None:
    """By hand: the MLP's output when one neuron alone fires, as the model adds it to the residual stream, up to the norm's scale."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 8}
    config = AutoConfig.for_model(kind, **sizes, num_attention_heads=2, num_key_value_heads=2, pad_token_id=None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        for name, weight in model.named_parameters():
            if "norm" in name:
                torch.nn.init.normal_(weight, 1.0, 0.5)
    sites = tuple(units.module for units in find_neurons(model) if units)
    weights = Weights(model, sites)
    for layer, block in enumerate(model.model.layers):
        with torch.inference_mode():
            added = block.post_feedforward_layernorm(block.mlp.down_proj(torch.eye(24))).numpy()  # (neuron, width)
        scale = np.linalg.norm(added, axis=1, keepdims=True)
        writes = weights.layers[layer].writes
        assert np.allclose(writes / np.linalg.norm(writes, axis=1, keepdims=True), added / scale, atol=1e-4)
        last = model.model.norm.weight.detach().numpy() + (1 if "gemma" in kind else 0)
        logits = (added / scale * last) @ model.lm_head.weight.detach().numpy().T
        shown = lens(weights, lexicon(weights, np.arange(50)), layer, np.arange(24)).writes
        assert np.array_equal(shown.columns, np.argsort(-logits, axis=1, kind="stable")[:, : shown.columns.shape[1]])


def test_connected_neurons_are_the_largest_weights_between_layers(subject: Subject, result: ViewedResult) -> None:
    model = Model(result, lambda: subject)
    recordings = result.recordings
    links = model.links(0, 12)
    layers = Weights(subject.model, subject.sites).layers
    indices = recordings.indices[:6]
    by_hand = layers[0].writes[indices] @ layers[1].reads[indices].T  # (earlier, later)
    down = np.argsort(-np.abs(by_hand[2]))[:6]
    assert links["downstream"].columns[2, : len(down)].tolist() == [6 + int(d) for d in down]
    assert np.allclose(links["downstream"].values[2, : len(down)], by_hand[2, down], atol=1e-5)
    assert np.allclose(links["upstream"].values[9, 0], by_hand[np.abs(by_hand[:, 3]).argmax(), 3], atol=1e-5)
    assert not links["upstream"].values[:6].any()


def test_neurons_that_fire_on_the_same_tokens_are_near(small_result: Path) -> None:
    recordings = read_recordings(small_result / "data/recordings")
    means = np.nan_to_num(np.asarray(recordings.token_means, np.float32))
    means[5] = 3 * means[2] + 1
    means[7] = np.nan
    vectors = profiles(replace(recordings, token_means=means), np.arange(len(recordings)))
    near = neighbours(vectors, 2, 3)
    assert near.columns[0, 0] == 5
    assert near.values[0, 0] == pytest.approx(1.0, abs=1e-4)
    weighted = np.cov(means[2], means[9], aweights=recordings.table_counts)
    assert vectors[2] @ vectors[9] == pytest.approx(weighted[0, 1] / np.sqrt(weighted[0, 0] * weighted[1, 1]), abs=1e-3)
    assert not vectors[7].any()


class Spelling:
    """A tokenizer of whole words and letters."""

    vocabulary: Sequence[bytes] = [b" red", b" blue", b" seven", b" nine", b" Paris", b"x", b" the"]

    def encode(self, texts: list[str]) -> list[list[int]]:
        return [[5] for _ in texts]


def test_words_are_found_in_the_vocabulary_and_spelled_otherwise() -> None:
    assert one_token_words(Spelling.vocabulary) == {"red": 0, "blue": 1, "seven": 2, "nine": 3, "paris": 4, "the": 6}
    embedding = np.random.default_rng(0).normal(size=(7, 40)).astype(np.float32)
    words = word_vectors(["red reddish", None, *["nine"] * 98], Spelling(), embedding, {6: 0.05})
    assert words.words == sorted({"red", "reddish", "blue", "seven", "nine", "paris", "the"})
    weight = dict(zip(words.words, words.weights, strict=True))
    assert weight["the"] < 0.05 < weight["red"]
    assert weight["nine"] < 0.05  # nearly every explanation says it
    vectors = text_vectors(["red", "the red", None, "zzz"], words)
    assert vectors.shape == (4, WIDTH)
    assert vectors[0] @ vectors[1] > 0.9
    assert not vectors[2:].any()


def test_explanations_of_like_words_are_near(subject: Subject) -> None:
    rng = np.random.default_rng(1)
    embedding = rng.normal(size=(600, 64)).astype(np.float32)
    embedding[:20] += 5 * rng.normal(size=64)

    class Many(Spelling):
        vocabulary: Sequence[bytes] = [b" " + "".join(chr(97 + (n // 26**k) % 26) for k in range(3)).encode() for n in range(600)]

    words = word_vectors([], Many(), embedding, {})
    names = [piece[1:].decode() for piece in Many.vocabulary]
    same = text_vectors([f"{names[0]} {names[1]}", f"{names[0]} {names[2]}", f"{names[300]} {names[301]}"], words)
    assert same[0] @ same[1] > same[0] @ same[2]


def test_a_sign_is_near_what_it_is_called() -> None:
    names = sorted(["character", "dollar", "money", "river", "the"])
    words = meaning.WordVectors(names, (127 * np.eye(len(names), WIDTH)).astype(np.int8), np.ones(len(names), np.float32))
    dollar, river, money = text_vectors(['the character "$"', "the river", "money"], words)
    assert dollar @ money > 0.4 and river @ money == 0


def test_a_plural_has_the_vector_of_its_singular_where_that_is_one_token(subject: Subject) -> None:
    vocabulary = [*subject.vocabulary[:-1], b" river"]
    embedding = np.random.default_rng(0).standard_normal((len(vocabulary), 300)).astype(np.float32)
    words = word_vectors(["the rivers"], replace(subject, vocabulary=vocabulary), embedding, {})
    place = {word: i for i, word in enumerate(words.words)}
    assert np.array_equal(words.vectors[place["rivers"]], words.vectors[place["river"]])


def test_words_are_runs_of_letters() -> None:
    assert words_of("Señor O'Neil, naïve—snow_white 3rd") == ["señor", "o", "neil", "naïve", "snow", "white", "rd"]


def test_a_model_that_cannot_be_loaded_is_said_so_and_nothing_else_suffers(small_result: Path, tmp_path: Path) -> None:
    found = open_result(small_result)
    found.recordings.about["subject"] = SubjectParams(
        model=str(tmp_path / "gone"), revision=None, sha256=None, dtype="float32", site="auto"
    ).model_dump()
    pages = Pages(found, "view", Model(found))
    part: Any = value(pages.chunk("model/0"))
    assert re.search("gone", part["unavailable"])
    assert value(pages.chunk("words")) == {"unavailable": part["unavailable"]}
    assert value(pages.chunk("related/0"))["activation"][0]


def test_a_typed_text_shows_the_strongest_explained_neurons(subject: Subject, result: ViewedResult) -> None:
    found = analyse(Model(result, lambda: subject), "the cat sat")
    ids = subject.encode(["the cat sat"])[0]
    seen: dict[int, np.ndarray] = {}
    subject.activations(torch.tensor([ids]), [0, 1], lambda layer, acts: seen.update({layer: acts[0].numpy().copy()}))
    recordings = result.recordings
    for part in found["layers"]:
        pages = np.frombuffer(base64.b64decode(part["pages"]), np.int32).reshape(len(ids), -1)
        levels = np.frombuffer(base64.b64decode(part["levels"]), np.float32).reshape(len(ids), -1)
        able = [r for r in range(12) if recordings.layers[r] == part["layer"] and r not in (1, 5)]  # refused, silent
        values = {r: seen[part["layer"]][:, recordings.indices[r]] / recordings.peaks[r] * 10 for r in able}
        for token in range(len(ids)):
            best = max(able, key=lambda r: values[r][token])
            assert levels[token, 0] == pytest.approx(max(0, values[best][token]), rel=1e-4)
            assert pages[token, 0] == (best if values[best][token] > 0 else -1)
    assert [part["layer"] for part in found["layers"]] == [0, 1]
    assert "".join(found["tokens"]) == "the cat sat"


def test_a_site_holds_every_part_as_it_is_served(modelled: Pages, tmp_path: Path) -> None:
    write_site(modelled, tmp_path / "site")
    found = {str(path.relative_to(tmp_path / "site/data"))[:-3]: path.read_bytes() for path in (tmp_path / "site/data").rglob("*.js")}
    assert found == {name: modelled.chunk(name) for name in modelled.names()}
    assert {"about", "words/0", "model/0", "related/0", "rows/0"} <= set(found)


def test_units_without_weights_of_their_own_resemble_others_by_explanation_alone(subject: Subject, result: ViewedResult) -> None:
    for changed in (replace(result.recordings, kind=UnitKind.HEADS), replace(result.recordings, indices=~result.recordings.indices)):
        found = Model(replace(result, recordings=changed), lambda: subject).block(0, 3)
        assert found["tokens"] is None and len(found["explanation"]) == 3 and "upstream" not in found
