"""Text to tokens and back, for a model in this process."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from neurogloss.errors import UserError
from neurogloss.llm.request import Message, Request

Ids = list[int]


class Spelt(NamedTuple):
    """A prompt as tokens, with the characters each stands for; nothing (0, 0) for a token that the tokenizer added."""

    ids: Ids
    spans: list[tuple[int, int]]


class IncrementalText:
    """A tokenizer as the provider needs it."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.is_fast:
            raise UserError(f"{tokenizer.name_or_path} has no tokenizer.json, so it does not tell which characters a token stands for")
        self.tokenizer = tokenizer
        added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        self.special = sorted({*added, *tokenizer.all_special_tokens} - {""}, key=lambda token: (-len(token), token))
        self.known: dict[int, str] = {}

    def spell(self, prompt: str) -> Spelt:
        """A prompt, with what the tokenizer puts before any text; special tokens that are written out in it are text."""
        found = self.tokenizer(prompt, return_offsets_mapping=True, split_special_tokens=True, verbose=False)
        return Spelt(list(found["input_ids"]), [(int(start), int(end)) for start, end in found["offset_mapping"]])

    def ids(self, request: Request) -> Ids:
        """The prompt of a request: by the chat template, or without one as text with an empty line between turns."""
        if not request.messages:
            return self.spell(request.prompt).ids
        if self.tokenizer.chat_template is None:
            return self.spell("".join(m.content + ("\n" if m.role == "user" else "\n\n") for m in request.messages)).ids
        text = self.templated([{"role": m.role, "content": self.harmless(m.content)} for m in request.messages])
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def templated(self, turns: list[dict[str, str]]) -> str:
        """The chat template's text; where it knows no system turn, what the system says stands at the head of the first question.

        UserError for a template that fails.
        """
        tries, reason = [turns], ""
        if len(turns) > 1 and turns[0]["role"] == "system":
            first = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
            tries.append([first, *turns[2:]])
        for tried in tries:
            try:
                return str(self.tokenizer.apply_chat_template(tried, tokenize=False, add_generation_prompt=True))
            except Exception as error:  # noqa: BLE001  # a program that came with the model: it raises anything.
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        name = self.tokenizer.name_or_path
        raise UserError(f"the chat template of {name} fails ({reason}); mend its chat_template, or name another model under models")

    def harmless(self, content: str) -> str:
        """The content, with a blank put into each special token that is written out in it, so that it cannot end its turn."""
        for token in self.special:
            content = content.replace(token, f"{token[0]} {token[1:]}")
        return content

    def text(self, ids: Ids) -> str:
        """Generated tokens as text."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def piece(self, token: int) -> str:
        """One token as text; half a character is the replacement character."""
        if token not in self.known:
            self.known[token] = str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False))
        return self.known[token]

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def alternatives(self, logits: Float[Tensor, "place vocabulary"], most: int) -> list[dict[str, float]]:
        """The likeliest texts at each place with the natural log of their probability; tokens of one text count together."""
        if not most or not len(logits):
            return [{} for _ in logits]
        best = torch.topk(logits, min(most, logits.shape[1]), dim=1)
        logprobs = (best.values - torch.logsumexp(logits, 1, keepdim=True)).double()
        found = []
        for ids, values in zip(best.indices.tolist(), logprobs.tolist(), strict=True):
            merged: dict[str, float] = {}
            for token, value in zip(ids, values, strict=True):
                piece = self.piece(token)
                merged[piece] = value if piece not in merged else added(merged[piece], value)
            found.append(merged)
        return found


def added(one: float, other: float) -> float:
    """The log of the sum of two probabilities given as logs."""
    return float(torch.logaddexp(torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)))


def head_of(request: Request) -> tuple[Message, ...] | str:
    """What requests are likely to have in common: all turns but the last, or the prompt up to where an echo begins."""
    return request.messages[:-1] if request.messages else request.prompt[: request.echo_from]
