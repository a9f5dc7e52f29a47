"""Prompts: what params.yaml may hold under `prompts:`, and how their placeholders are filled.

Texts are Python format strings with named placeholders; each field says which. A name that is not defined there is an error,
so is a required one left out. What is filled in is never read as a template again: a token may hold braces.

Examples are written token by token on one line: tokens are separated by |, a level above zero follows its token after ^.

    The| old| ferry^8| crossed| the| harbour^3|.
"""

import re
import string
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple, Self, TypeVar

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from neurogloss.config.section import Section

Inside = TypeVar("Inside")
Share = Annotated[float, Field(ge=0, le=1)]
MARKED = re.compile(r"(?P<token>[^^|]+)(\^(?P<level>\d+))?")


def template(*required: str, optional: tuple[str, ...] = ()) -> AfterValidator:
    """A text with these placeholders and no other."""
    known = ", ".join("{" + name + "}" for name in (*required, *optional)) or "none"

    def check(text: str) -> str:
        try:
            fields = [field for _, field, spec, conversion in string.Formatter().parse(text) if field is not None or spec or conversion]
        except ValueError as error:
            raise PydanticCustomError(
                "template", "not a template ({why}); write a brace that is meant as such twice", {"why": str(error)}
            ) from error
        strange = [str(field) for field in fields if field not in required + optional]
        if strange:
            raise PydanticCustomError(
                "template",
                "undefined placeholder {names}; defined here: {known}",
                {"names": "{" + "}, {".join(strange) + "}", "known": known},
            )
        missing = [name for name in required if name not in fields]
        if missing:
            raise PydanticCustomError("template", "placeholder {names} is missing", {"names": "{" + "}, {".join(missing) + "}"})
        return text

    return AfterValidator(check)


def fill(text: str, /, **values: str) -> str:
    """The text with its placeholders replaced, once."""
    return text.format_map(values)


class Excerpt(NamedTuple):
    """Some text as its tokens, with the level of each."""

    pieces: list[bytes]
    levels: list[int]


def excerpt(text: str) -> Excerpt:
    """Read the notation of examples.

    >>> excerpt("The| ferry^8|.")
    Excerpt(pieces=[b'The', b' ferry', b'.'], levels=[0, 8, 0])
    """
    found = [MARKED.fullmatch(part) for part in text.split("|")]
    if None in found or any(int(m["level"] or 0) > 10 for m in found if m):
        raise PydanticCustomError("excerpt", "expected tokens separated by |, a level 1 to 10 after ^ such as: The| ferry^8|.")
    return Excerpt([m["token"].encode() for m in found if m], [int(m["level"] or 0) for m in found if m])


def readable(text: str) -> str:
    """The text, if it is in the notation of examples."""
    excerpt(text)
    return text


def inside(section: Inside, text: str, places: list[int]) -> Inside:
    """The section, if its places are tokens of the text."""
    count = len(excerpt(text).pieces)
    if max(places) >= count:
        raise PydanticCustomError("place", "token {place} of {count}; the first is 0", {"place": max(places), "count": count})
    return section


Notation = Annotated[str, AfterValidator(readable)]
Answer = Literal["chat", "completion"]
"""`chat` sends turns; `completion` one text that the model goes on with, for models and endpoints without turns."""


class ExplainExample(Section):
    """A neuron with the answer that is wanted."""

    explanations: Annotated[list[str], Field(min_length=1)]
    """One, or several where the prompt asks for several."""
    excerpts: Annotated[list[Notation], Field(min_length=1)]
    """In the layout `tokens` each is a list of tokens, not a text."""


class ExplainPrompt(Section):
    """What all prompts for an explanation have in common."""

    form: Answer
    answers: PositiveInt
    """Explanations asked for in one answer; more than one as a numbered list."""
    system: str
    question: Annotated[str, template("excerpts", optional=("number", "answers", "repeat"))]
    """One neuron, up to where the answer begins."""
    prefix: str
    """The words with which every answer begins; no part of the explanation."""
    excerpt: Annotated[str, template("lines")]
    examples: list[ExplainExample]

    @model_validator(mode="after")
    def examples_answer_as_asked(self) -> Self:
        """One explanation in each example, unless several are asked for."""
        if self.answers == 1 and any(len(example.explanations) != 1 for example in self.examples):
            raise PydanticCustomError("examples", "each example needs exactly one explanation where answers is 1")
        return self


class PairsPrompt(ExplainPrompt):
    """Token and level on each line. `next_token` pairs a level with the token that follows."""

    layout: Literal["pairs", "next_token"]
    repeat: Annotated[str, template("lines", optional=("number",))]
    """The pairs above zero once more, where {repeat} stands in the question."""
    repeat_below: Share
    """Only where less than this share of the neuron's levels is above zero."""


class HighlightPrompt(ExplainPrompt):
    """Excerpts as running text in which the firing tokens are marked."""

    layout: Literal["highlight"]
    mark: Annotated[str, template("token", optional=("level",))]
    mark_from: Annotated[int, Field(ge=1, le=10)]
    """The lowest level that is marked."""


class TokensPrompt(ExplainPrompt):
    """No excerpts: the tokens with the highest mean activation, `explain.token_list` says how many. {lines} is one line."""

    layout: Literal["tokens"]


class ListPrompt(Section):
    """The beginning of a list; what may follow is read token by token."""

    layout: Literal["list"]
    text: Annotated[str, template("explanation")]
    nothing: str
    """Stands for the explanation in the text it is compared with."""


class SimulatePrompt(Section):
    """What the prompts for levels have in common."""

    highest: Literal[9, 10]
    """The highest level written: with 9, levels 9 and 10 are one, every level is one digit and so one token for every model."""
    alternatives: NonNegativeInt
    """Log-probabilities asked for at each level."""
    system: str


class RevealedExcerpt(Section):
    """An excerpt whose levels are unknown up to a point."""

    tokens: Notation
    reveal: NonNegativeInt
    """The first token whose level is shown."""

    @model_validator(mode="after")
    def within(self) -> Self:
        """Something is revealed."""
        return inside(self, self.tokens, [self.reveal])


class AllAtOnceExample(Section):
    """A neuron whose levels are partly shown."""

    explanation: str
    excerpts: Annotated[list[RevealedExcerpt], Field(min_length=1)]


class AllAtOncePrompt(SimulatePrompt):
    """Bills et al. 2023: every level of the excerpt asked about is unknown, and what could stand there instead is read."""

    layout: Literal["all_at_once"]
    unknown: str
    question: Annotated[str, template("explanation", "excerpts", optional=("number",))]
    excerpt: Annotated[str, template("lines")]
    examples: list[AllAtOnceExample]


class GeneratedExample(Section):
    """A neuron whose excerpts are each answered in one turn."""

    explanation: str
    excerpts: Annotated[list[Notation], Field(min_length=1)]


class GeneratedPrompt(SimulatePrompt):
    """A chat model repeats the tokens, each with its level."""

    layout: Literal["generated"]
    answer: Literal["lines", "json"]
    max_tokens: PositiveInt
    tries: Literal[1, 2]
    """With 2 an answer that cannot be read is asked for once more."""
    question: Annotated[str, template("explanation", "tokens")]
    examples: list[GeneratedExample]


class AskedExcerpt(Section):
    """An excerpt some of whose tokens are asked about."""

    tokens: Notation
    asked: Annotated[list[NonNegativeInt], Field(min_length=1)]

    @model_validator(mode="after")
    def within(self) -> Self:
        """Every question is about a token that is there."""
        return inside(self, self.tokens, self.asked)


class OneAtATimeExample(Section):
    """A neuron with single questions."""

    explanation: str
    excerpts: Annotated[list[AskedExcerpt], Field(min_length=1)]


class OneAtATimePrompt(SimulatePrompt):
    """The level of one token, given the text up to it. In the form `completion` a tab stands between question and level."""

    layout: Literal["one_at_a_time"]
    form: Answer
    question: Annotated[str, template("explanation", "text", "token", optional=("number",))]
    examples: list[OneAtATimeExample]


AnyExplainPrompt = PairsPrompt | HighlightPrompt | TokensPrompt
AnySimulatePrompt = ListPrompt | AllAtOncePrompt | GeneratedPrompt | OneAtATimePrompt


class Prompts(Section):
    """Every prompt by its name; `explain.prompt` and `simulate.prompt` choose."""

    explain: dict[str, Annotated[AnyExplainPrompt, Field(discriminator="layout")]]
    simulate: dict[str, Annotated[AnySimulatePrompt, Field(discriminator="layout")]]


Count = Callable[[str], int]
"""How many tokens a text is to some model."""
