"""Simulate all tokens of an excerpt with one forward pass (Bills et al. 2023): every level is written `unknown`, and what
could stand there instead is read from the log-probabilities of the prompt.

Two-digit levels: most tokenizers write 10 as 1 and 0, so that the probability of 1 would hold that of 10. Prompts with `highest: 9`
show levels 9 and 10 alike, and what is read is stretched to 0..10. With `highest: 10` the model is asked first how it spells 10,
and the run stops where that is not one token.
"""

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import AllAtOncePrompt, Example, fill
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.escape import shown
from neurogloss.llm.request import Client, Reply, Request, model_id
from neurogloss.simulators.asking import Asked, ask_excerpts
from neurogloss.simulators.reading import example, expected_level, one_line
from neurogloss.simulators.result import SimulatedLevels


def simulate(  # the interface of all simulators
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    slots: Int[np.ndarray, " place"],
    texts: list[str | None],
    client: Client,
    prompt: AllAtOncePrompt,
    model: ModelParams,
) -> SimulatedLevels:
    """The expected level of each token of these excerpts of these neurons; `texts` are their explanations."""
    check_spelling(client, prompt, model)
    opening = opening_of(prompt)

    def asked(text: str, pieces: list[bytes]) -> Asked:
        request = question(opening, text, pieces, prompt, model)
        return Asked([request], lambda replies: read(replies[0], request, prompt, len(pieces)))

    return ask_excerpts(recordings, rows, slots, texts, client, asked)


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


def read(reply: Reply | ProviderError, request: Request, prompt: AllAtOncePrompt, tokens: int) -> np.ndarray | Status:
    """Levels (token), or why there are none. Only what stands after a tab is a level: a token may read `unknown` itself."""
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
