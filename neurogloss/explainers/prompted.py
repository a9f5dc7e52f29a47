"""Explain a neuron by showing a language model its excerpts (Bills et al. 2023), in one of several layouts.

Only the explain split is looked at; the layout `tokens` shows the token table, from which the score excerpts are left out.
"""

import logging
from collections import Counter

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.config.explain import ExplainParams, TokenListParams
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import AnyExplainPrompt, AttentionPrompt, Count, Excerpt, PiecesPrompt, TokensPrompt, excerpt
from neurogloss.errors import ProviderError, UserError
from neurogloss.explainers.answers import read_answer
from neurogloss.explainers.layouts import KEY, NOTHING_WRITTEN, QUERY, QUERY_AND_KEY, OutputSide, answer, cut_pieces, output_side, question
from neurogloss.explainers.token_list import strongest_tokens
from neurogloss.llm.request import Client, Message, Reply, Request, model_id
from neurogloss.measures.levels import levels

logger = logging.getLogger(__name__)

PER_MESSAGE = 8
"""Tokens that a chat template may add to a message."""
SEEDS = 1_000_000
"""Samples of one seed are numbered apart from those of the next."""


def explain_prompted(  # six of these are what a prompt is made of, the seventh answers it
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    prompt: AnyExplainPrompt,
    params: ExplainParams,
    model: ModelParams,
    count: Count,
    client: Client,
    allowed: float = 1.0,
) -> list[list[Candidate]]:
    """The candidates of each neuron, in the order of its samples: at least one, be it a failure. The rows must not be silent.

    UserError as soon as more neurons than `allowed`, a share, must end without any.
    """
    asked = requests_for(recordings, rows, prompt, params, model, count)
    found = [[] if requests else [unasked(recordings, int(row), prompt, params)] for row, requests in zip(rows, asked, strict=True)]
    owners = [place for place, requests in enumerate(asked) for _ in requests]
    pending = Counter(owners)
    hopeful = sum(bool(requests) or candidates[0].status is Status.TOO_LONG for requests, candidates in zip(asked, found, strict=True))
    limit = FailureLimit("explanations", "explain", allowed, hopeful)
    usable: set[int] = set()

    def arrived(index: int, reply: Reply | ProviderError) -> None:
        place = owners[index]
        read = read_answer(reply, prompt)
        usable.update([place] if any(one.status is Status.OK for one in read) else ())
        pending[place] -= 1
        if not pending[place] and place not in usable:
            limit.add(read[0].status)

    replies = client.ask([request for requests in asked for request in requests], "explaining", arrived)
    for place, reply in zip(owners, replies, strict=True):
        found[place] += read_answer(reply, prompt)
    return found


def unasked(recordings: Recordings, row: int, prompt: AnyExplainPrompt, params: ExplainParams) -> Candidate:
    """Why nothing was asked about a neuron."""
    nothing = not shown_of(recordings, row, params.token_list, prompt)
    return Candidate(None, Status.NO_EXPLANATION if nothing else Status.TOO_LONG)


def requests_for(
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    prompt: AnyExplainPrompt,
    params: ExplainParams,
    model: ModelParams,
    count: Count,
) -> list[list[Request]]:
    """For each neuron the requests for its samples; none where there is nothing to show or the prompt fits in no way."""
    fitting = Fitting(prompt, model.context - params.max_tokens, count)
    asked = []
    for row in rows:
        messages = fitting.shortened(shown_of(recordings, int(row), params.token_list, prompt), written_of(recordings, int(row), prompt))
        asked.append([request(messages, prompt, params, model, sample) for sample in samples(params)] if messages else [])
    if fitting.missing:
        logger.warning(
            "%s prompts do not fit, however much is cut: the fixed part and one excerpt need %s tokens more than models.*.context (%s) "
            "leaves beside explain.max_tokens (%s); choose a prompt with fewer or shorter examples",
            sum(not requests for requests in asked),
            fitting.missing,
            model.context,
            params.max_tokens,
        )
    return asked


def samples(params: ExplainParams) -> range:
    """Numbers of the samples: of their own for each seed; a single one where the answer is always the same."""
    return range(params.seed * SEEDS, params.seed * SEEDS + (params.samples if params.temperature > 0 else 1))


def request(messages: list[Message], prompt: AnyExplainPrompt, params: ExplainParams, model: ModelParams, sample: int) -> Request:
    """One sample of an answer."""
    chat = prompt.form == "chat"
    return Request(
        provider=model.provider,
        model=model_id(model),
        messages=tuple(messages) if chat else (),
        prompt="" if chat else as_text(messages, prompt),
        temperature=params.temperature,
        max_tokens=params.max_tokens,
        sample=sample,
        stop=() if chat else ("\n" if prompt.answers == 1 else "\n\n",),
    )


def as_text(messages: list[Message], prompt: AnyExplainPrompt) -> str:
    """The turns as one text that ends where the answer begins, for models without turns."""
    joint = " " if prompt.prefix else "\n"
    parts = [m.content + (joint if m.role == "user" else "\n\n") for m in messages]
    return "".join(parts).removesuffix(" ")  # The blank belongs to the first token of the answer.


class Fitting:
    """Prompts that fit a context. The fixed part is counted once for each length it is cut to."""

    def __init__(self, prompt: AnyExplainPrompt, room: int, count: Count) -> None:
        self.prompt = prompt
        self.room = room
        self.count = count
        self.heads = heads(prompt)
        self.sizes = [sum(self.size(m) for m in head) for head in self.heads]
        self.missing = 0
        """Tokens that the largest prompt had too many, cut as far as it can be."""

    def size(self, message: Message) -> int:
        """Tokens of a message."""
        return self.count(message.content) + PER_MESSAGE

    def shortened(self, found: list[Excerpt], written: OutputSide = NOTHING_WRITTEN) -> list[Message]:
        """System, examples and question; excerpts of examples are left out, then the neuron's weakest. Empty if in vain."""
        for kept in range(len(found), 0, -1):
            text = question(found[:kept], self.prompt, len(self.prompt.examples) + 1, self.prompt.answers, written)
            last = Message("user", text)
            room = self.room - self.size(last)
            for head, size in zip(self.heads, self.sizes, strict=True):
                if size <= room:
                    return [*head, last]
        if found:
            self.missing = max(self.missing, min(self.sizes) - room)
        return []


def heads(prompt: AnyExplainPrompt) -> list[list[Message]]:
    """All that stands before the question: whole, then with one excerpt less each, from the last example on, one remaining in each."""
    shown = [[excerpt(one.tokens) for one in example.excerpts] for example in prompt.examples.values()]
    cuts = [[len(found) for found in shown]]
    for place in reversed(range(len(shown))):
        for kept in range(len(shown[place]) - 1, 0, -1):
            cuts.append([*cuts[-1][:place], kept, *cuts[-1][place + 1 :]])
    found = []
    for cut in cuts:
        messages = [Message("system", prompt.system)]
        for number, (example, kept) in enumerate(zip(prompt.examples.values(), cut, strict=True), 1):
            wanted = prompt.wanted(example)
            written = output_side(*([token.encode() for token in side] for side in (example.promoted, example.suppressed)))
            text = question(shown[number - 1][:kept], prompt, number, len(wanted), written)
            messages += [Message("user", text), Message("assistant", answer(wanted, prompt))]
        found.append(messages)
    return found


def shown_of(recordings: Recordings, row: int, params: TokenListParams, prompt: AnyExplainPrompt) -> list[Excerpt]:
    """What is shown of a neuron: its explain excerpts or pieces of them, the strongest first, or for `tokens` one list of tokens."""
    if np.isnan(recordings.peaks[row]):
        raise ValueError(f"row {row} is a silent neuron")
    if isinstance(prompt, TokensPrompt):
        return token_table(recordings, row, params)
    slots = recordings.slots.where(Split.EXPLAIN)
    if isinstance(prompt, AttentionPrompt):
        return attention_of(recordings, row, slots, prompt)
    activations = recordings.activations[row, slots]
    scaled = levels(activations, float(recordings.peaks[row]))
    tokens = recordings.tokens(row, slots)
    found = [Excerpt([recordings.vocabulary[t] for t in ids], values.tolist()) for ids, values in zip(tokens, scaled, strict=True)]
    return cut_pieces(found, np.asarray(activations, np.float32), prompt) if isinstance(prompt, PiecesPrompt) else found


def attention_of(recordings: Recordings, row: int, slots: Int[np.ndarray, " slot"], prompt: AttentionPrompt) -> list[Excerpt]:
    """A head's excerpts with its query and the keys that the query reads, the strongest first; UserError for what is no head."""
    if recordings.keys is None:
        raise UserError(
            f"explain.method: the layout attention is for heads, these recordings are of {recordings.kind}; choose another prompt"
        )
    found = []
    for slot, ids in zip(slots, recordings.tokens(row, slots), strict=True):
        norms, places = recordings.keys.norms[row, slot], recordings.keys.places[row, slot]
        roles = np.zeros(len(ids), np.int64)
        roles[places[(norms > 0) & (norms >= prompt.key_from * norms.max())]] = KEY
        query = int(np.asarray(recordings.activations[row, slot]).argmax())
        roles[query] = QUERY_AND_KEY if roles[query] else QUERY
        found.append(Excerpt([recordings.vocabulary[token] for token in ids], roles.tolist()))
    return found


def written_of(recordings: Recordings, row: int, prompt: AnyExplainPrompt) -> OutputSide:
    """What the prompt may say of a unit's output side; UserError where it asks and the recordings do not know."""
    if not any(place in prompt.question for place in ("{promoted}", "{suppressed}")):
        return NOTHING_WRITTEN
    if recordings.promoted is None:
        raise UserError("the prompt asks for {promoted}, which these recordings lack; record again with `dvc repro -f record`")
    sides = ([recordings.vocabulary[token] for token in recordings.promoted.tokens[row, side] if token >= 0] for side in (0, 1))
    return output_side(*sides)


def token_table(recordings: Recordings, row: int, params: TokenListParams) -> list[Excerpt]:
    """The tokens with the highest mean activation, the strongest first, as one list; no list where none fires on average."""
    tokens = strongest_tokens(recordings, row, params.minimum)[: params.tokens]
    means = recordings.token_means[row, np.searchsorted(recordings.table_tokens, tokens)]
    scaled = levels(means, float(recordings.peaks[row])).tolist()
    return [Excerpt([recordings.vocabulary[t] for t in tokens], scaled)] if len(tokens) else []
