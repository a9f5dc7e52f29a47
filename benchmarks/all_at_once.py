"""How much the all-at-once simulator saves by computing what excerpts share once. Needs the model of params.yaml.

    python -m benchmarks.all_at_once

Twenty excerpts of 32 tokens of the project's corpus, one explanation, the prompt `all_at_once` of params.yaml. The last line is JSON:

tokens_ratio       tokens computed with one plain forward pass per excerpt, over those that the local provider computes
max_difference     between the expected levels of the two
throughput_ratio   tokens per second of the provider, over those of the bare forward pass without head over as many tokens in one batch
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurogloss.artifacts.status import Status
from neurogloss.config import environment
from neurogloss.config.params import load_params
from neurogloss.config.prompts import AllAtOncePrompt
from neurogloss.corpus.documents import read_documents
from neurogloss.llm.local.provider import Local
from neurogloss.llm.request import Reply, Request, TokenLogprobs
from neurogloss.simulators.all_at_once import Coverage, opening_of, question, read
from neurogloss.subject.model import load_model
from neurogloss.subject.sources import resolve
from neurogloss.subject.token_bytes import token_bytes

EXCERPTS, TOKENS = 20, 32
EXPLANATION = "names of places and the peoples who live there"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments.add_argument("--repeats", type=int, default=2)
    chosen = arguments.parse_args()
    settings = load_params(chosen.params)
    params = settings.model("smollm2", "this benchmark")
    torch.set_num_threads(environment.threads())
    model, tokenizer = load_model(resolve(params.name, params.revision, params.sha256), params.name, params.dtype)
    prompt = settings.prompts.simulate["all_at_once"]
    assert isinstance(prompt, AllAtOncePrompt)
    vocabulary = token_bytes(tokenizer)
    opening = opening_of(prompt)
    requests = [
        question(opening, EXPLANATION, [vocabulary[t] for t in ids], prompt, params) for ids in excerpts(settings.corpus, tokenizer)
    ]

    def levels(replies: list[Reply]) -> np.ndarray:
        found = [read(reply, request, prompt, TOKENS, Coverage()) for reply, request in zip(replies, requests, strict=True)]
        assert not any(isinstance(one, Status) for one in found), found
        return np.stack(found)

    theirs_s, (theirs, their_tokens) = fastest(lambda: one_by_one(model, tokenizer, requests), 1)
    ours_s, (ours, our_tokens) = fastest(lambda: together(model, tokenizer, requests), chosen.repeats)
    bare_s, bare_tokens = fastest(lambda: bare(model, our_tokens), chosen.repeats)
    result = {
        "tokens_ratio": their_tokens / our_tokens,
        "max_difference": float(np.abs(levels(ours) - levels(theirs)).max()),
        "throughput_ratio": (our_tokens / ours_s) / (bare_tokens / bare_s),
        "tokens": our_tokens,
        "tokens_one_by_one": their_tokens,
        "seconds": ours_s,
        "seconds_one_by_one": theirs_s,
        "seconds_bare": bare_s,
    }
    sys.stdout.write(json.dumps(result) + "\n")


def fastest(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    times, result = [], None
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return min(times), result


def excerpts(corpus: Any, tokenizer: Any) -> list[list[int]]:
    """The first tokens of the first documents that have enough."""
    found = (tokenizer(document.text, add_special_tokens=False)["input_ids"] for document in read_documents(corpus, Counter()))
    return [ids[TOKENS : 2 * TOKENS] for ids in islice((ids for ids in found if len(ids) >= 2 * TOKENS), EXCERPTS)]


def together(model: Any, tokenizer: Any, requests: list[Request]) -> tuple[list[Reply], int]:
    local = Local(model, tokenizer, 10**6)
    replies = [answer for answer in local.answer(requests) if isinstance(answer, Reply)]
    return replies, local.prefixes.computed


def one_by_one(model: Any, tokenizer: Any, requests: list[Request]) -> tuple[list[Reply], int]:
    """One plain forward pass for each prompt, from its first token; nothing of the provider is used."""
    replies, computed = [], 0
    for request in requests:
        spelt = tokenizer(request.prompt, return_offsets_mapping=True, return_tensors="pt")
        with torch.inference_mode():
            logprobs = torch.log_softmax(model(spelt["input_ids"].to(model.device)).logits[0].float(), -1)
        computed += spelt["input_ids"].numel()
        spots = []
        for position, (start, _) in enumerate(spelt["offset_mapping"][0].tolist()):
            if start >= request.echo_from and request.prompt.startswith(request.echo, start):
                best = torch.topk(logprobs[position - 1], request.top_logprobs)
                texts = [tokenizer.decode([i]) for i in best.indices.tolist()]
                spots.append(TokenLogprobs(request.echo, dict(zip(texts, best.values.tolist(), strict=True))))
        replies.append(Reply("", tokens=tuple(spots)))
    return replies, computed


def bare(model: Any, tokens: int) -> int:
    """A forward pass of the model's body, no head and no cache, over about as many tokens."""
    ids = torch.randint(0, 1000, (EXCERPTS, tokens // EXCERPTS), device=model.device, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        model.base_model(input_ids=ids, use_cache=False)
    return ids.numel()


if __name__ == "__main__":
    main()
