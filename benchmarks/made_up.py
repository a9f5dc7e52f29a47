"""Subjects with random weights and excerpts of random tokens, so that what is measured is the recorder and not the model."""

import contextlib
import io
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from neurogloss.config.environment import threads
from neurogloss.config.record import RecordParams
from neurogloss.corpus.windows import Excerpts
from neurogloss.memory import keep_freed_memory
from neurogloss.recording.stream import batch_size
from neurogloss.subject.model import Subject
from neurogloss.subject.neurons import find_neurons

VOCABULARY, LENGTH = 4096, 64


def random_subject(layers: int = 30, neurons: int = 1536, dimensions: int = 64) -> Subject:
    """A Llama without training, as wide and deep as the default subject, and few dimensions."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    torch.set_num_threads(threads())
    keep_freed_memory()
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=dimensions,
        intermediate_size=neurons,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    return without_bos(LlamaForCausalLM(config).eval().requires_grad_(False), partial(random_subject, layers, neurons, dimensions))


def without_bos(model: Any, loader: Any) -> Subject:
    """A subject that reads the tokens and nothing before them."""
    return Subject(model, SimpleNamespace(), [b"x"] * VOCABULARY, None, find_neurons(model), loader)


def random_excerpts(count: int) -> Excerpts:
    """Excerpts of random tokens."""
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (count, LENGTH)).astype(np.int32)
    return Excerpts(["made up"] * count, np.arange(count, dtype=np.int32), tokens, np.zeros(count, np.bool_))


def params_for(excerpts: int, table_tokens: int = 1, **changes: Any) -> RecordParams:
    """Every neuron: top 20, 15 random excerpts, moments."""
    settings = {"seed": 0, "layers": "all", "neurons": "all", "excerpts": excerpts, "tokens": LENGTH, "top": 20, "random": 15}
    return RecordParams.model_validate(settings | {"per_split": 5, "table_tokens": table_tokens} | changes)


def batches(tokens: np.ndarray) -> Iterator[torch.Tensor]:
    """The batches that record makes."""
    size = batch_size(tokens.shape[1])
    for first in range(0, len(tokens), size):
        yield torch.from_numpy(tokens[first : first + size].astype(np.int64))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Progress bars belong to nobody here."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
