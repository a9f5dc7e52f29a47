"""What a run would ask: how many questions, what of them is answered already, and what the rest may cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64
from scipy.optimize import nnls

from neurogloss.artifacts.status import Status
from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.llm.cache import Cache, CachedReply
from neurogloss.llm.cache_only import CacheOnlyClient
from neurogloss.llm.client import no_echo
from neurogloss.llm.request import Answer, Capability, Client, Message, Reply, Request, failure
from neurogloss.llm.tokens import TokenCounter, counter
from neurogloss.llm.usage import BATCH_PRICE, worst_usd

PROPOSING = "proposing sentences"
"""Title of requests for sentences that put an explanation to the test."""
NAMING = "naming senses"
"""Title of requests for the senses of a unit."""
RECENT = 500
"""Replies from which the time of others is estimated."""
ALIKE = 3.0
"""Answers so many times longer or shorter than any that was timed are of another kind: their time is unknown."""


@dataclass(slots=True)
class PlannedStep:
    """What one step would ask of one model."""

    stage: str
    model: str
    requests: int = 0
    """Different questions."""
    cached: int = 0
    tokens_in: int = 0
    """Of the prompts that are not known yet."""
    tokens_out: int = 0
    """At most."""
    tokens_likely: int = 0
    """Out, with answers as long as those of the prompt's examples, in proportion to the questions."""
    usd: float = 0.0
    """At most: nothing read from a prefix cache, every answer as long as it may be."""
    usd_likely: float = 0.0
    """The same, with answers as long as those of the prompt's examples, in proportion to the questions."""
    seconds: float | None = None
    """As replies of this model took, by their tokens; None where it has given none of such a length yet, and for batches."""
    counted: str = ""
    """How the tokens were counted."""
    notes: list[str] = field(default_factory=list)


class Counting:
    """Counts what one step asks; a placeholder or a failure stands for what nobody answered yet."""

    def __init__(self, plan: PlannedStep, params: ModelParams, count: TokenCounter, answers: int, sentences: int = 0) -> None:
        self.plan = plan
        self.params = params
        self.count = count
        self.answers = answers
        """Lines of a placeholder; 0 fails instead."""
        self.sentences = sentences
        """Of either sort in a placeholder for proposed sentences."""
        self.seen: set[str] = set()
        self.sizes: dict[Message, int] = {}
        self.placeholders = 0
        self.echoes = False
        """Whether a prompt's log-probabilities are to be asked for."""

    def answered(self, request: Request, kept: CachedReply) -> None:
        """Counted as cached."""
        self.add(request, True)

    def unanswered(self, request: Request, title: str) -> Answer:
        """Counted as to be asked."""
        self.add(request, False)
        return self.placeholder(title)

    def guess(self, capability: Capability) -> bool:
        """Taken to be so, and noted."""
        self.plan.notes.append(f"whether {self.params.name} offers {capability} is not known yet; taken to be so")
        return True

    def add(self, request: Request, cached: bool) -> None:
        """Count a request once."""
        if request.key in self.seen:
            return
        self.seen.add(request.key)
        self.plan.requests += 1
        self.plan.cached += cached
        if not cached:
            self.echoes |= bool(request.echo)
            tokens, longest = self.count.prompt(request), max(request.max_tokens, self.params.remote)
            self.plan.tokens_in += tokens
            self.plan.tokens_out += longest
            likely = min(longest, self.likely(request))
            self.plan.tokens_likely += likely
            self.plan.usd += worst_usd(tokens, request.max_tokens, self.params.price)
            self.plan.usd_likely += worst_usd(tokens, likely, self.params.price)

    def likely(self, request: Request) -> int:
        """Tokens of an answer that is to its question what the examples' answers are to theirs; as many as may be where there are none."""
        *head, last = request.messages or (Message("user", request.prompt),)
        if len(head) < 2:
            return request.max_tokens
        for message in head:
            if message not in self.sizes:
                self.sizes[message] = self.count.count(message.content)
        asked, answered = (sum(self.sizes[message] for message in head if message.role == role) for role in ("user", "assistant"))
        return -(-answered * self.count.count(last.content) // max(1, asked)) if answered else request.max_tokens

    def placeholder(self, title: str) -> Answer:
        """What stands for an answer that nobody gave yet."""
        if not self.answers:
            return failure(Status.UNANSWERED, "planned only")
        self.placeholders += 1
        if title == PROPOSING:
            return Reply(
                "\n".join(
                    f"{sort}: {stand_in(f'{self.placeholders} {number} {sort}')}"
                    for sort in ("YES", "NO")
                    for number in range(self.sentences)
                )
            )
        if title == NAMING:
            return Reply("\n".join(f"[1, 2] {stand_in(f'{self.placeholders} {number} sense')}" for number in range(self.answers)))
        lines = [stand_in(f"{self.placeholders} {line}") for line in range(1, self.answers + 1)]
        return Reply(lines[0] if len(lines) == 1 else "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1)))


def stand_in(name: str) -> str:
    """An explanation of typical length; different for each name, so that questions about different explanations count apart."""
    return f"words and phrases about a part of everyday life, in sentences of kind {name}"


class Planner:
    """Opens clients that count, as `open_client` opens real ones."""

    def __init__(self, cache: Cache, answers: int, sentences: int = 0, senses: int = 1) -> None:
        self.cache = cache
        self.answers = answers
        """Explanations in one answer of the explainer."""
        self.sentences = sentences
        """Of either sort in one answer that proposes sentences."""
        self.senses = senses
        """In one answer that names them."""
        self.steps: list[PlannedStep] = []

    @contextmanager
    def open(self, name: str, model: ModelParams, stage: str = "") -> Iterator[Client]:
        """A client for one step that counts."""
        count = counter(model)
        plan = PlannedStep(stage, name, counted=count.described)
        self.steps.append(plan)
        answers = {"explain": self.answers, "revise": 1, "senses": self.senses}.get(stage, 0)
        counting = Counting(plan, model, count, answers, self.sentences)
        told = counting.answered, counting.unanswered, counting.guess
        client = CacheOnlyClient(self.cache, model, *told, refresh=environment.flag("REFRESH"))
        yield client
        if counting.echoes and not client.offers("echo"):
            plan.notes.append(f"the run will stop: {no_echo(name, model)}")
        self.finish(plan, model)
        if counting.placeholders:
            plan.notes.append(
                f"{counting.placeholders} explanations do not exist yet: later steps are counted with stand-ins of typical length"
            )

    def finish(self, plan: PlannedStep, model: ModelParams) -> None:
        """Price and time of the whole step."""
        if model.provider == "openai" and environment.flag("BATCH"):
            plan.usd *= BATCH_PRICE
            plan.usd_likely *= BATCH_PRICE
            plan.notes.append("through the batch API: half the price, an answer within a day")
            return
        found = self.cache.run(
            f"SELECT seconds, prompt - cached_prompt, completion FROM replies "
            f"WHERE model = ? AND seconds > 0 ORDER BY rowid DESC LIMIT {RECENT}",
            [plan.model],
        )
        at_once = environment.concurrency() if model.remote else 1
        missing = plan.requests - plan.cached
        if not missing:
            plan.seconds = 0.0
        else:
            each = seconds_each(np.array(list(found), np.float64).reshape(-1, 3), plan.tokens_in / missing, plan.tokens_likely / missing)
            plan.seconds = None if each is None else missing * each / min(at_once, missing)


def seconds_each(timed: Float64[np.ndarray, "reply 3"], tokens_in: float, tokens_out: float) -> float | None:
    """Seconds of a request of so many tokens: shares of each request, token in and token out, fitted to replies.

    None where no answer of about that length was timed.

    >>> seconds_each(np.array([[1.0, 100, 10], [2.0, 100, 20], [4.0, 100, 40]]), 100, 30)
    3.0
    >>> seconds_each(np.array([[1.0, 100, 10]]), 100, 400) is None
    True
    """
    lengths = np.maximum(timed[:, 2], 1)
    if not len(timed) or not lengths.min() / ALIKE <= max(tokens_out, 1) <= lengths.max() * ALIKE:
        return None
    shares, _ = nnls(np.column_stack([np.ones(len(timed)), timed[:, 1:]]), timed[:, 0])
    return round(float(shares @ [1, tokens_in, tokens_out]), 6)
