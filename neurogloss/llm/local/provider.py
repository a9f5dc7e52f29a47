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
from neurogloss.subject.device import device
from neurogloss.subject.model import load_model, source_options
from neurogloss.subject.sources import resolve


def open_local(model: ModelParams) -> "Local":
    """Load the weights; UserError where they cannot be had or are no causal model."""
    path = resolve(model.name, model.revision, model.sha256)
    torch.set_num_threads(environment.threads())
    weights, tokenizer = load_model(path, model.name, model.dtype, "models")
    return Local(weights.to(device()).eval().requires_grad_(False), tokenizer, model.context)


def count_tokens(model: ModelParams) -> Count:
    """How many tokens a text is to the model; loads its tokenizer only."""
    from transformers import AutoTokenizer

    place, options = source_options(resolve(model.name, model.revision, model.sha256), model.name)
    try:
        return IncrementalText(AutoTokenizer.from_pretrained(place, **options)).count
    except (OSError, ValueError, KeyError) as error:
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
        asked: dict[int, Echo | Question] = {}
        for index, request in enumerate(requests):
            asked[index] = read_echo(request, self.words) if request.echo else Question(request, self.words.ids(request))
            needs = len(asked[index].ids) + (0 if request.echo else request.max_tokens)
            if needs > self.context:
                answers[index] = failure(Status.TOO_LONG, f"the prompt needs {needs} tokens with its answer, {self.context} fit")
            else:
                groups.setdefault((bool(request.echo), head_of(request)), []).append(index)
        for members in groups.values():
            answers.update(zip(members, self.answer_alike([asked[index] for index in members]), strict=True))
        return [answers[index] for index in range(len(requests))]

    def answer_alike(self, asked: Sequence[Echo | Question]) -> Sequence[Answer]:
        """Answers to requests that begin alike."""
        memory = environment.memory_mb() * 1_000_000
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
