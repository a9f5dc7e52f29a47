"""What is recorded equals a forward pass written by hand, for each architecture."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurogloss.artifacts.recordings import Recordings
from neurogloss.corpus.windows import Excerpts
from neurogloss.recording.output_side import with_output_side
from neurogloss.subject.model import Subject
from neurogloss.subject.neurons import find_neurons
from neurogloss.viewer.weights import Weights
from tests.subject.by_hand import gpt2, gpt_neox, llama_like, opt

LLAMA = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.3,
}
CASES = {
    "gpt2": (gpt2, {"vocab_size": 50, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 40, "initializer_range": 0.3}),
    "gpt_neox": (gpt_neox, {k: v for k, v in LLAMA.items() if k not in ("head_dim", "num_key_value_heads")}),
    "llama": (llama_like, LLAMA),
    "qwen2": (llama_like, LLAMA),
    "qwen3": (llama_like, LLAMA),
    "mistral": (llama_like, LLAMA),
    "gemma": (llama_like, LLAMA),
    "opt": (
        opt,
        {
            **{k: v for k, v in LLAMA.items() if k not in ("head_dim", "num_key_value_heads", "intermediate_size", "initializer_range")},
            **{"ffn_dim": 40, "word_embed_proj_dim": 32, "init_std": 0.3},
        },
    ),
}


def random_subject(kind: str, settings: dict[str, Any], bos: int | None) -> Subject:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **settings, bos_token_id=1, eos_token_id=2, pad_token_id=None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        for name, weight in model.named_parameters():
            if weight.dim() == 1:  # Norms and biases begin at one or zero, which would hide whether they are used.
                torch.nn.init.normal_(weight, 1.0 if "norm" in name or "ln_" in name else 0.0, 0.3)
    return Subject(model, SimpleNamespace(), [], bos, find_neurons(model), lambda: random_subject(kind, settings, bos))


def recorded(subject: Subject, tokens: Tensor, layers: list[int]) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    subject.activations(tokens, layers, lambda layer, seen: found.update({layer: seen.clone()}))
    return found


@pytest.mark.parametrize("bos", [None, 1])
@pytest.mark.parametrize("kind", CASES)
def test_recorded_activations_equal_a_forward_pass_by_hand(kind: str, bos: int | None) -> None:
    forward: Callable[..., list[Tensor]] = CASES[kind][0]
    subject = random_subject(kind, CASES[kind][1], bos)
    tokens = torch.randint(3, 50, (5, 12), generator=torch.Generator().manual_seed(1))
    found = recorded(subject, tokens, [0, 1, 2])
    fed = tokens if bos is None else torch.cat([torch.full((5, 1), bos), tokens], dim=1)
    expected = forward(dict(subject.model.state_dict()), subject.model.config, fed)
    assert sorted(found) == [0, 1, 2]
    for layer, by_hand in enumerate(expected):
        assert found[layer].shape == (5, 12, 40)
        assert by_hand.std() > 0.01
        torch.testing.assert_close(found[layer], by_hand[:, 0 if bos is None else 1 :], rtol=1e-3, atol=1e-4)


def test_nothing_after_the_deepest_recorded_layer_is_computed() -> None:
    subject = random_subject("llama", LLAMA, None)
    subject.model.model.layers[1].mlp.down_proj.forward = None  # Calling it would be a TypeError.
    subject.model.model.layers[2].forward = None
    assert sorted(recorded(subject, torch.ones((2, 5), dtype=torch.int64), [0, 1])) == [0, 1]


def test_threads_that_run_the_model_at_the_same_time_see_their_own_activations() -> None:
    subject, both = random_subject("llama", LLAMA, None), Barrier(3, timeout=60)
    asked = [(torch.full((number + 1, 5), number), layers) for number, layers in enumerate(([0, 1, 2], [0, 2], [1]))]
    alone = [recorded(subject, *one) for one in asked]

    def at_once(one: tuple[Tensor, list[int]]) -> dict[int, Tensor]:
        found: dict[int, Tensor] = {}

        def visit(layer: int, seen: Tensor) -> None:
            if not found:
                both.wait()  # All are in the middle of a pass.
            found[layer] = seen.clone()

        subject.activations(*one, visit)
        return found

    # Products on other numbers of threads differ in their last digits.
    with ThreadPoolExecutor(3, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)) as pool:
        together = list(pool.map(at_once, asked))
    for expected, found in zip(alone, together, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_nobody_is_shown_what_another_looked_at() -> None:
    subject = random_subject("llama", LLAMA, None)
    found: list[int] = []
    with pytest.raises(ZeroDivisionError):
        subject.activations(torch.ones((2, 5), dtype=torch.int64), [0, 2], lambda layer, _: found.append(1 // (2 - layer)))
    subject.model(torch.ones((2, 5), dtype=torch.int64))
    assert found == [0]


@pytest.mark.parametrize(("site", "promotes"), [("auto", True), ("model.decoder.layers.{layer}.fc1", False)])
def test_tokens_narrower_than_the_stream_are_reached_through_the_projection(site: str, promotes: bool, recordings: Recordings) -> None:
    """As OPT-350m has them. What a site that does not write to the stream promotes is left open."""
    narrow = {"vocab_size": 300, "word_embed_proj_dim": 16, "do_layer_norm_before": False}
    found = random_subject("opt", CASES["opt"][1] | narrow, None)
    subject = replace(found, units=find_neurons(found.model, site))
    sample = Excerpts(["d"], np.zeros(1, np.int32), np.zeros((1, 5), np.int32), np.zeros(1, bool))
    promoted = with_output_side(recordings, subject, sample).promoted
    assert promoted is not None
    if not promotes:
        assert (promoted.tokens == -1).all()
        return
    decoder = found.model.model.decoder
    for row in range(len(recordings)):
        written = decoder.layers[recordings.layers[row]].fc2.weight[:, recordings.indices[row]]
        logits = found.model.lm_head(decoder.project_out(written))[torch.from_numpy(np.asarray(recordings.table_tokens, np.int64))]
        assert promoted.tokens[row, 0].tolist() == np.asarray(recordings.table_tokens)[logits.topk(10).indices.numpy()].tolist()
    seen = Weights(found.model, subject.sites)
    torch.testing.assert_close(torch.from_numpy(seen.embedding), decoder.project_in(decoder.embed_tokens.weight).detach())
    assert seen.layers[0].writes.shape[1] == seen.unembedding.shape[1] == 32
