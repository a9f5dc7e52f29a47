"""A language model in this process: any causal model that transformers can load, with its chat template where it has one.

What is asked together shares what it has in common: the longest common beginning goes through the model once, and with
`echo` the head is computed only where it is asked for.
"""

from collections.abc import Sequence
from typing import Any

import torch

from neurogloss.artifacts.status import Status
from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import Count
from neurogloss.errors import UserError
from neurogloss.llm.local.echo import Echo, answer_echoes, read_echo
from neurogloss.llm.local.generation import Question, generate
from neurogloss.llm.local.prefixes import Prefixes
from neurogloss.llm.local.text import IncrementalText, head_of
from neurogloss.llm.request import Answer, Request, failure
from neurogloss.subject.device import free_bytes, give_back, out_of_memory
from neurogloss.subject.model import load_model, source_options
from neurogloss.subject.sources import resolve

PASSES = 3
"""A batch on a GPU takes so many times its keys and values: what a forward pass has in use comes on top."""
LEAST = 1_000
"""Bytes below which batches do not become smaller: one row."""


def open_local(model: ModelParams) -> "Local":
    """Load the weights; UserError where they cannot be had or are no causal model."""
    path = resolve(model.name, model.revision, model.sha256)
    torch.set_num_threads(environment.threads())
    weights, tokenizer = load_model(path, model.name, model.dtype, "models")
    return Local(weights, tokenizer, model.context)


def count_tokens(model: ModelParams) -> Count:
    """How many tokens a text is to the model; loads its tokenizer only."""
    from transformers import AutoTokenizer

    place, options = source_options(resolve(model.name, model.revision, model.sha256), model.name)
    try:
        return IncrementalText(AutoTokenizer.from_pretrained(place, **options)).count
    except Exception as error:  # As for the weights: tokenizers raises Exception itself.
        raise UserError(f"{model.name} has no tokenizer that can be loaded ({' '.join(str(error).split())[:300]}); check models") from error


class Local:
    """A causal model with its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, context: int) -> None:
        self.words = IncrementalText(tokenizer)
        self.prefixes = Prefixes(model)
        self.context = min(context, getattr(model.config.get_text_config(), "max_position_embeddings", None) or context)
        self.ends = end_tokens(model, tokenizer)

    def answer(self, requests: list[Request]) -> list[Answer]:
        """One answer for each request, in their order."""
        answers: dict[int, Answer] = {}
        groups: dict[object, list[int]] = {}
        for index, request in enumerate(requests):
            needs = len(self.read(request).ids) + (0 if request.echo else request.max_tokens)
            if needs > self.context:
                answers[index] = failure(Status.TOO_LONG, f"the prompt needs {needs} tokens with its answer, {self.context} fit")
            else:
                groups.setdefault((bool(request.echo), head_of(request)), []).append(index)
        for members in groups.values():
            answers.update(zip(members, self.answer_within([requests[index] for index in members]), strict=True))
        return [answers[index] for index in range(len(requests))]

    def read(self, request: Request) -> Echo | Question:
        """A request with its tokens."""
        return read_echo(request, self.words) if request.echo else Question(request, self.words.ids(request))

    def answer_within(self, requests: Sequence[Request]) -> Sequence[Answer]:
        """Answers to requests that begin alike, in batches that fit the memory; UserError where not even one does."""
        place = self.prefixes.model.device
        memory = free_bytes(place) // (1 if place.type == "cpu" else PASSES)
        while True:
            try:
                return self.answer_alike([self.read(request) for request in requests], memory)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            if memory < LEAST:
                raise UserError(f"{place} has no memory for an answer; end what else uses it, or name a smaller model under models")
            memory //= 2
            self.prefixes = Prefixes(self.prefixes.model)
            give_back([place])

    def answer_alike(self, asked: Sequence[Echo | Question], memory: int) -> Sequence[Answer]:
        """The same, of so many bytes."""
        echoes = [one for one in asked if isinstance(one, Echo)]
        if echoes:
            return answer_echoes(echoes, self.prefixes, self.words, memory)
        questions = [one for one in asked if isinstance(one, Question)]
        return generate(questions, self.prefixes, self.words, self.ends, memory)


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer."""
    named = model.generation_config.eos_token_id
    found = named if isinstance(named, list) else [named]
    return frozenset(int(token) for token in (*found, tokenizer.eos_token_id) if token is not None)
