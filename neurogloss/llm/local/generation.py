"""Answers written token by token, several at once; each depends on its own request alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neurogloss.llm.local.prefixes import Place, Prefixes, common, copied
from neurogloss.llm.local.text import Ids, IncrementalText
from neurogloss.llm.openai.bodies import without_thoughts
from neurogloss.llm.request import Reply, Request, TokenLogprobs, Usage


@dataclass
class Question:
    """A request, its tokens, and its answer so far."""

    request: Request
    ids: Ids
    said: Ids = field(default_factory=list)
    alternatives: list[dict[str, float]] = field(default_factory=list)
    finish_reason: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        # Of its own, so that the answer is the same whatever is asked beside it.
        self.random = np.random.default_rng(int(self.request.key, 16))

    def choose(self, logits: np.ndarray) -> int:
        """The next token, drawn at the request's temperature, which is above 0. `logits` float32 (vocabulary)."""
        scaled = logits.astype(np.float64) / self.request.temperature
        sums = np.cumsum(np.exp(scaled - scaled.max()))
        return int(min(np.searchsorted(sums, self.random.random() * sums[-1], side="right"), len(sums) - 1))

    def go_on(self, token: int, ends: frozenset[int], words: IncrementalText) -> None:
        """Take up a token; sets `finish_reason` when it was the last."""
        if token in ends:
            self.finish_reason = "stop"
            self.text = words.text(self.said)
            return
        self.said.append(token)
        last = len(self.said) >= self.request.max_tokens
        if last:
            self.finish_reason = "length"
        if last or self.request.stop:
            self.text = words.text(self.said)
        for stop in self.request.stop:
            if stop in self.text:
                self.text = self.text[: self.text.index(stop)]
                self.finish_reason = "stop"

    def reply(self, words: IncrementalText, shared: int) -> Reply:
        """The answer; its tokens where alternatives were asked for."""
        tokens = tuple(TokenLogprobs(words.piece(token), found) for token, found in zip(self.said, self.alternatives, strict=False))
        text, tokens = without_thoughts(self.text, tokens)
        return Reply(text, self.finish_reason, tokens, Usage(len(self.ids), shared, len(self.said)))


def generate(questions: list[Question], prefixes: Prefixes, words: IncrementalText, ends: frozenset[int], memory: int) -> list[Reply]:
    """Answers to questions that have a beginning in common, in their order; `memory` in bytes bounds how many go at once."""
    first = questions[0].ids
    length = min(min(common(first, question.ids), len(question.ids) - 1) for question in questions)
    prefixes.shared(first[:length])
    replies = []
    for batch in batches(questions, prefixes, memory):
        answer(batch, length, prefixes, words, ends)
        replies += [question.reply(words, length) for question in batch]
    return replies


def batches(questions: list[Question], prefixes: Prefixes, memory: int) -> Iterator[list[Question]]:
    """Some questions at a time."""
    batch: list[Question] = []
    longest = 0
    for question in questions:
        longest = max(longest, len(question.ids) + question.request.max_tokens)
        if batch and (len(batch) + 1) * longest * 2 * prefixes.bytes_per_token() > memory:  # Twice: growing copies.
            yield batch
            batch, longest = [], len(question.ids) + question.request.max_tokens
        batch.append(question)
    yield batch


def answer(batch: list[Question], length: int, prefixes: Prefixes, words: IncrementalText, ends: frozenset[int]) -> None:
    """Write all answers of a batch. Samples of one question share its prompt."""
    prefix = prefixes.shared(batch[0].ids[:length])
    prompts = list(dict.fromkeys(tuple(question.ids[length:]) for question in batch))
    place = prefixes.model.device
    ids, mask = (part.to(place) for part in padded([list(prompt) for prompt in prompts], length))
    positions = mask.cumsum(1)[:, length:].sub(1).clamp(min=0)
    last = [Place(row, ids.shape[1] - 1) for row in range(len(prompts))]
    logits, cache = prefixes.forward(ids, copied(prefix, len(prompts)), last, mask, positions)
    mine = [prompts.index(tuple(question.ids[length:])) for question in batch]
    rows = torch.tensor(mine, device=place)
    if mine != list(range(len(prompts))):
        cache.batch_select_indices(rows)
    open_questions, logits, mask, places = batch, logits[rows.to(logits.device)], mask[rows], positions[rows, -1]
    while True:
        open_rows = step(open_questions, logits, words, ends)
        if not open_rows:
            return
        if len(open_rows) < len(open_questions):
            kept = torch.tensor(open_rows, device=place)
            cache.batch_select_indices(kept)
            open_questions, mask, places = [open_questions[row] for row in open_rows], mask[kept], places[kept]
        logits, mask, places = following(open_questions, cache, mask, places, prefixes)


def padded(prompts: list[Ids], length: int) -> tuple[Int[Tensor, "row token"], Int[Tensor, "row seen"]]:
    """Prompts padded at the left, and the mask over prefix and prompt."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.zeros((len(prompts), longest), dtype=torch.long)
    mask = torch.ones((len(prompts), length + longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, length : length + longest - len(prompt)] = 0
    return ids, mask


def step(questions: list[Question], logits: Float[Tensor, "row vocabulary"], words: IncrementalText, ends: frozenset[int]) -> list[int]:
    """Choose the next token of each answer; the rows of those that go on."""
    alternatives = words.alternatives(logits, max(question.request.top_logprobs for question in questions))
    likeliest = logits.argmax(dim=1).tolist()
    for row, (question, found) in enumerate(zip(questions, alternatives, strict=True)):
        if question.request.top_logprobs:
            question.alternatives.append(dict(list(found.items())[: question.request.top_logprobs]))
        token = question.choose(logits[row].cpu().numpy()) if question.request.temperature > 0 else likeliest[row]
        question.go_on(token, ends, words)
    return [row for row, question in enumerate(questions) if not question.finish_reason]


def following(questions: list[Question], cache: Any, mask: Tensor, places: Tensor, prefixes: Prefixes) -> tuple[Tensor, Tensor, Tensor]:
    """Logits after the latest token of each answer, with the mask and positions that include it."""
    mask = torch.cat([mask, mask.new_ones((len(questions), 1))], dim=1)
    places = places + 1
    ids = torch.tensor([[question.said[-1]] for question in questions], device=mask.device)
    logits, _ = prefixes.forward(ids, cache, [Place(row, 0) for row in range(len(questions))], mask, places[:, None])
    return logits, mask, places
