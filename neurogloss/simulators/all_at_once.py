"""Simulate all tokens of an excerpt with one forward pass (Bills et al. 2023): every level is written `unknown`, and what
could stand there instead is read from the log-probabilities of the prompt.

Two-digit levels: most tokenizers write 10 as 1 and 0, so that the probability of 1 would hold that of 10. Prompts with `highest: 9`
show levels 9 and 10 alike, and what is read is stretched to 0..10. With `highest: 10` the model is asked first how it spells 10,
and the run stops where that is not one token.
"""

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import AllAtOncePrompt, Example, fill
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.escape import shown
from neurogloss.llm.logprobs import alternatives_for, levels_of
from neurogloss.llm.request import Client, Reply, Request, TokenLogprobs, model_id
from neurogloss.simulators.asking import Asked, ask_excerpts
from neurogloss.simulators.reading import example, expected_level, one_line, possible_error
from neurogloss.simulators.result import SimulatedLevels

logger = logging.getLogger(__name__)

NOTEWORTHY = 0.1
"""How far off a level may be before it is said, on the scale 0..10."""


def simulate(  # the interface of all simulators
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    slots: Int[np.ndarray, " place"],
    texts: list[str | None],
    client: Client,
    prompt: AllAtOncePrompt,
    model: ModelParams,
    limit: FailureLimit | None = None,
) -> SimulatedLevels:
    """The expected level of each token of these excerpts of these neurons; `texts` are their explanations."""
    prompt = prompt.model_copy(update={"alternatives": alternatives_for(model, prompt.alternatives)})
    check_spelling(client, prompt, model)
    opening, coverage = opening_of(prompt), Coverage()

    def asked(text: str, excerpts: list[list[bytes]]) -> Asked:
        (pieces,) = excerpts
        request = question(opening, text, pieces, prompt, model)
        return Asked([request], lambda replies: [read(replies[0], request, prompt, len(pieces), coverage)])

    result = ask_excerpts(recordings, rows, slots, texts, client, asked, limit=limit)
    if coverage.unlisted or coverage.worst >= NOTEWORTHY:
        logger.warning("%s", coverage.described(prompt.alternatives, model))
    return result


@dataclass
class Coverage:
    """How many levels are read from alternatives that lack some levels, and how far off that may put them."""

    places: int = 0
    unlisted: int = 0
    """No level at all is listed: the excerpt is unparsable."""
    bounded: int = 0
    """Some are, and the likelihood of the others is bounded by the least likely alternative."""
    error: float = 0.0
    """Sum over the bounded places of how far off the level may be, on the scale 0..10."""
    worst: float = 0.0

    def add(self, spot: TokenLogprobs, level: float | None, highest: int) -> None:
        """Count one place."""
        self.places += 1
        self.unlisted += level is None
        least = levels_of(spot).least
        error = 0.0 if level is None or least is None else possible_error(spot.alternatives, least, highest)
        self.bounded += error > 0
        self.error += error
        self.worst = max(self.worst, error)

    def described(self, alternatives: int, model: ModelParams) -> str:
        """What to know about it, and which setting changes it."""
        lists = f"{model.name} lists {alternatives} alternatives a token: of {self.places:,} levels"
        off = f"may be off by {self.error / max(1, self.bounded):.2f} on average and {self.worst:.1f} at most"
        found = f"{self.unlisted:,} are not among them (unparsable), {self.bounded:,} {off}"
        setting = "models.*.logprobs (vLLM: --max-logprobs)" if model.remote else "alternatives of the prompt"
        return f"{lists} {found}; raise {setting} to make them exact"


def opening_of(prompt: AllAtOncePrompt) -> str:
    """All that is the same for every explanation: system and examples, each part with an empty line after it."""
    parts = [prompt.system, *(filled_example(found, number, prompt) for number, found in enumerate(prompt.examples.values(), 1))]
    return "".join(f"{part}\n\n" for part in parts)


def filled_example(found: Example, number: int, prompt: AllAtOncePrompt) -> str:
    """One neuron whose levels are unknown up to a point in each excerpt."""
    blocks = []
    for one in found.excerpts:
        pairs = example(one.tokens, prompt.highest)
        lines = [f"{token}\t{level if place >= one.reveal else prompt.unknown}" for place, (token, level) in enumerate(pairs)]
        blocks.append(fill(prompt.excerpt, lines="\n".join(lines)))
    return fill(prompt.question, number=str(number), explanation=found.explanations[0], excerpts="\n".join(blocks))


def question(opening: str, text: str, pieces: list[bytes], prompt: AllAtOncePrompt, model: ModelParams) -> Request:
    """One excerpt, all levels unknown."""
    before, _, after = prompt.question.partition("{excerpts}")
    values = {"number": str(len(prompt.examples) + 1), "explanation": one_line(text)}
    head = opening + fill(before, **values)
    lines = "\n".join(f"{shown(piece)}\t{prompt.unknown}" for piece in pieces)
    return Request(
        provider=model.provider,
        model=model_id(model),
        prompt=head + fill(prompt.excerpt, lines=lines) + fill(after, **values),
        top_logprobs=prompt.alternatives,
        echo=prompt.unknown,
        echo_from=len(head),
    )


def read(reply: Reply | ProviderError, request: Request, prompt: AllAtOncePrompt, tokens: int, coverage: Coverage) -> np.ndarray | Status:
    """Levels (token), or why there are none. Only what stands after a tab is a level: a token may read `unknown` itself.

    Where some levels are not among the alternatives the others are read, and `coverage` counts.
    """
    if isinstance(reply, ProviderError):
        return Status(reply.status)
    places, start = [], request.echo_from
    while (start := request.prompt.find(prompt.unknown, start)) >= 0:
        places.append(start)
        start += len(prompt.unknown)
    if len(places) != len(reply.tokens):
        return Status.UNPARSABLE
    spots = [spot for place, spot in zip(places, reply.tokens, strict=True) if request.prompt[place - 1] == "\t"]
    levels = [expected_level(spot.alternatives, prompt.highest) for spot in spots]
    for spot, level in zip(spots, levels, strict=True):
        coverage.add(spot, level, prompt.highest)
    known = [level for level in levels if level is not None]
    return np.array(known) if len(known) == len(levels) == tokens else Status.UNPARSABLE


def check_spelling(client: Client, prompt: AllAtOncePrompt, model: ModelParams) -> None:
    """UserError where levels go up to 10 and the model spells 10 in two tokens."""
    if prompt.highest < 10:
        return
    probe = Request(model.provider, model_id(model), prompt="a level\t10\n", echo="10", top_logprobs=prompt.alternatives)
    (reply,) = client.ask([probe], "probing")
    if isinstance(reply, Reply) and [spot.token for spot in reply.tokens] != ["10"]:
        raise UserError(f"{model.name} writes 10 in more than one token, so 1 and 10 look alike; choose a simulate.method with highest: 9")
