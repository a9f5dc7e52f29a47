r"""Prompts: what params.yaml may hold under `prompts:`, and how their placeholders are filled.

Texts are Python format strings with named placeholders; each field says which. A name that is not defined there is an error,
so is a required one left out. What is filled in is never read as a template again: a token may hold braces.

Examples are written token by token on one line: tokens are separated by |, a level above zero follows its token after ^.
Within a token \| is |, \^ is ^, \\ is a backslash and \n a line break; a backslash before anything else is itself.

    The| old| ferry^8| crossed| the| harbour^3|.
"""

import re
import string
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from neurogloss.config.section import Section, Share

MARKED = re.compile(r"(?P<token>(?:\\[\\|^n]|[^|^])+)(\^(?P<level>\d+))?")
ESCAPED = re.compile(r"\\([\\|^n])")


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
    r"""Read the notation of examples.

    >>> excerpt(r"The| ferry^8|\|.")
    Excerpt(pieces=[b'The', b' ferry', b'|.'], levels=[0, 8, 0])
    """
    pieces, levels, place = [], [], -1
    while place < len(text):
        found = MARKED.match(text, place + 1)
        if found is None or text[found.end() : found.end() + 1] not in ("", "|") or int(found["level"] or 0) > 10:
            raise PydanticCustomError("excerpt", "expected tokens separated by |, a level 1 to 10 after ^ such as: The| ferry^8|.")
        pieces.append(ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], found["token"]).encode())
        levels.append(int(found["level"] or 0))
        place = found.end()
    return Excerpt(pieces, levels)


def readable(text: str) -> str:
    """The text, if it is in the notation of examples."""
    excerpt(text)
    return text


Notation = Annotated[str, AfterValidator(readable)]
Answer = Literal["chat", "completion"]
"""`chat` sends turns; `completion` one text that the model goes on with, for models and endpoints without turns."""


class ExampleExcerpt(Section):
    """A text with levels, and what single layouts need to know about it."""

    tokens: Notation
    """In the layout `tokens` a list of tokens, not a text."""
    reveal: NonNegativeInt = 0
    """`all_at_once`: the first token whose level is shown; those before it are unknown."""
    asked: list[NonNegativeInt] = Field(default_factory=list)
    """`one_at_a_time`: the tokens that are asked about, the first of the text being 0."""

    @model_validator(mode="after")
    def within(self) -> Self:
        """Places are places of tokens that are there."""
        count, last = len(excerpt(self.tokens).pieces), max([self.reveal, *self.asked])
        if last >= count:
            raise PydanticCustomError("place", "token {place} of {count}; the first is 0", {"place": last, "count": count})
        return self


class Example(Section):
    """A unit as a prompt shows it, with the explanation that is wanted."""

    explanations: Annotated[list[str], Field(min_length=1)]
    """The best one first: it stands where a prompt asks for, or simulates, a single one."""
    promoted: list[str] = Field(default_factory=list)
    """What stands for {promoted}."""
    suppressed: list[str] = Field(default_factory=list)
    """What stands for {suppressed}."""
    excerpts: Annotated[list[ExampleExcerpt], Field(min_length=1)]


Examples = dict[str, Example]
"""By name, in the order in which they are shown."""


class ExplainPrompt(Section):
    """What all prompts for an explanation have in common."""

    form: Answer = "chat"
    answers: PositiveInt = 1
    """Explanations asked for in one answer; more than one as a numbered list."""
    system: str
    question: Annotated[str, template("excerpts", optional=("number", "answers", "repeat", "promoted", "suppressed"))]
    """One unit, up to where the answer begins. {promoted} and {suppressed} are the tokens whose logits it raises and lowers most."""
    prefix: str
    """The words with which every answer begins; no part of the explanation."""
    excerpt: Annotated[str, template("lines")]
    examples: Examples

    def wanted(self, example: Example) -> list[str]:
        """The explanations of an example that answer the question: as many as are asked for, at most."""
        return example.explanations[: self.answers]


class PairsPrompt(ExplainPrompt):
    """Token and level on each line. `next_token` pairs a level with the token that follows."""

    layout: Literal["pairs", "next_token"]
    repeat: Annotated[str, template("lines", optional=("number",))]
    """The pairs above zero once more, where {repeat} stands in the question."""
    repeat_below: Share
    """Only where less than this share of the unit's levels is above zero."""


class MarkedPrompt(ExplainPrompt):
    """Running text in which the firing tokens are marked."""

    mark: Annotated[str, template("token", optional=("level",))]
    mark_from: Annotated[int, Field(ge=1, le=10)]
    """The lowest level that is marked."""


class HighlightPrompt(MarkedPrompt):
    """Whole excerpts."""

    layout: Literal["highlight"]


class PiecesPrompt(MarkedPrompt):
    """Short pieces of text around the unit's strongest tokens, the strongest first."""

    layout: Literal["pieces"]
    pieces: PositiveInt
    """At most; a unit with fewer tokens at `mark_from` or above has fewer."""
    before: NonNegativeInt
    """Tokens shown before a strongest token, as far as the excerpt has them."""
    after: NonNegativeInt


class AttentionPrompt(MarkedPrompt):
    """Of heads: whole excerpts with the strongest token, the query, and the keys it reads marked differently.

    In examples ^10 is a query, ^9 one that reads itself, too, and ^1 a key.
    """

    layout: Literal["attention"]
    key: Annotated[str, template("token")]
    """Marks a key; `mark` marks the query."""
    key_from: Share = 0.25
    """A key is marked that makes up at least this share of the strongest key's norm."""


class TokensPrompt(ExplainPrompt):
    """No excerpts: the tokens with the highest mean activation, `explain.token_list` says how many. {lines} is one line."""

    layout: Literal["tokens"]


class Concepts(Section):
    """No prompt: phrases of a bank, as `explain.concepts` says."""

    layout: Literal["concepts"]


class TokenList(Section):
    """No prompt: the strongest tokens, as `explain.token_list` says."""

    layout: Literal["token_list"]


class Given(Section):
    """No prompt: what the file `explain.given` says."""

    layout: Literal["given"]


class Vocabulary(Section):
    """No prompt of its own: a level for each token of the vocabulary, as `vocabulary` says."""

    layout: Literal["vocabulary"]


class Auto(Section):
    """What fits the explainer (`neurogloss.config.choice`), asked of the explainer's model."""

    layout: Literal["auto"]


class Reader(Section):
    """No prompt of its own: a small network that ships with the library reads the sentence."""

    layout: Literal["reader"]


class ListPrompt(Section):
    """The beginning of a list; what may follow is read token by token."""

    layout: Literal["list"]
    text: Annotated[str, template("explanation")]
    nothing: str
    """Stands for the explanation in the text it is compared with."""


class SimulatePrompt(Section):
    """What the prompts for levels have in common."""

    system: str
    examples: Examples


class EveryLevelPrompt(SimulatePrompt):
    """What the prompts have in common in which every token has its level."""

    highest: Literal[9, 10]
    """The highest level written: with 9, levels 9 and 10 are one, every level is one digit and so one token for every model."""
    alternatives: NonNegativeInt
    """Log-probabilities asked for at each level."""


class AllAtOncePrompt(EveryLevelPrompt):
    """Bills et al. 2023: every level of the excerpt asked about is unknown, and what could stand there instead is read."""

    layout: Literal["all_at_once"]
    unknown: str
    question: Annotated[str, template("explanation", "excerpts", optional=("number",))]
    excerpt: Annotated[str, template("lines")]


class GeneratedPrompt(EveryLevelPrompt):
    """A chat model repeats the tokens, each with its level."""

    layout: Literal["generated"]
    answer: Literal["lines", "json"]
    max_tokens: PositiveInt
    tries: Literal[1, 2]
    """With 2 an answer that cannot be read is asked for once more."""
    question: Annotated[str, template("explanation", "tokens")]
    excerpts_per_example: PositiveInt = 1
    """At most so many excerpts of an example are shown, each answered in one turn."""


class CompactPrompt(SimulatePrompt):
    """A chat model names the numbers of the tokens above zero, each with its level from 1 to 10."""

    layout: Literal["compact"]
    excerpts_per_question: PositiveInt = 1
    """Of one unit; with more than one `several` and `heading` say how to answer."""
    max_tokens: PositiveInt
    tries: Literal[1, 2]
    """With 2 an answer that cannot be read is asked for once more."""
    several: str
    """Follows `system` where a question holds several excerpts."""
    heading: Annotated[str, template("number")]
    question: Annotated[str, template("explanation", "excerpts")]


class OneAtATimePrompt(EveryLevelPrompt):
    """The level of one token, given the text up to it. In the form `completion` a tab stands between question and level."""

    layout: Literal["one_at_a_time"]
    form: Answer = "chat"
    question: Annotated[str, template("explanation", "text", "token", optional=("number",))]


AnyExplainPrompt = PairsPrompt | HighlightPrompt | PiecesPrompt | AttentionPrompt | TokensPrompt
AnySimulatePrompt = AllAtOncePrompt | CompactPrompt | GeneratedPrompt | OneAtATimePrompt


class ClassifyExample(Section):
    """Excerpts with the ratings that are wanted."""

    explanation: str
    excerpts: Annotated[list[str], Field(min_length=1)]
    answers: list[Literal[0, 1]]
    """One for each excerpt."""

    @model_validator(mode="after")
    def as_many(self) -> Self:
        """As many ratings as excerpts."""
        if len(self.answers) != len(self.excerpts):
            raise PydanticCustomError(
                "answers", "{count} answers for {excerpts} excerpts", {"count": len(self.answers), "excerpts": len(self.excerpts)}
            )
        return self


class RatingPrompt(Section):
    """A chat model says 1 or 0 for each of several excerpts, such as [1, 0, 1]."""

    layout: str
    excerpts_per_question: PositiveInt = 5
    alternatives: NonNegativeInt = 5
    """Log-probabilities asked for at each token, where the endpoint gives them; AUC needs them."""
    max_tokens: PositiveInt = 30
    system: str
    question: Annotated[str, template("explanation", "excerpts")]
    excerpt: Annotated[str, template("number", "text")]
    examples: list[ClassifyExample]


class ClassifyPrompt(RatingPrompt):
    """Excerpts on which the unit fires, and quiet ones (delphi's detection and fuzzing)."""

    layout: Literal["detection", "fuzzing"]
    """`detection`: does the explanation hold anywhere in the excerpt? `fuzzing`: are the <<marked>> tokens those on which it holds?"""
    mark_from: Annotated[int, Field(ge=1, le=10)] = 3
    """The lowest level at which a token counts as firing."""
    quiet_below: Annotated[int, Field(ge=1, le=10)] = 2
    """A level that no token of a quiet excerpt reaches. With 1 two in five neurons of the default subject have a quiet one among three."""


class AttendsPrompt(RatingPrompt):
    """Of heads: excerpts with two marked tokens, a query and a key. Does the head, at the query, read the key (transformer-debugger)?"""

    layout: Literal["attends"]
    pairs: Annotated[int, Field(ge=10)] = 10
    """Pairs that the head reads, and as many that it does not; a head that has fewer is not scored."""
    strong_from: Annotated[float, Field(gt=0, le=1)] = 0.5
    """What the head reads gives at least this share of its strongest write for a key in the explain split."""
    weak_below: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What it does not read gives less than this share."""
    query: Annotated[str, template("token")]
    key: Annotated[str, template("token")]


class Ablation(Section):
    """No prompt: the subject runs with the unit at its simulated values and at its mean."""

    layout: Literal["ablation"]


class SentencesPrompt(Section):
    """Asks for sentences in which a unit should fire if its explanation were right, and for near ones in which it should not.

    Each stands on a line of the answer after YES: or NO:.
    """

    system: str
    question: Annotated[str, template("explanation", "count")]


class RevisePrompt(Section):
    """Asks for a better explanation, given the old one and what the unit did."""

    system: str
    question: Annotated[str, template("explanation", "excerpts", "evidence")]
    prefix: str = ""
    """The words with which every answer begins; no part of the explanation."""
    excerpt: Annotated[str, template("lines")]
    mark: Annotated[str, template("token", optional=("level",))]
    mark_from: Annotated[int, Field(ge=1, le=10)]
    """The lowest level that is marked."""
    expected: Annotated[str, template("lines")]
    """A text in which the old explanation says that the unit fires."""
    unexpected: Annotated[str, template("lines")]
    """A text in which it says that the unit is silent."""

    @property
    def answers(self) -> int:
        """Explanations asked for in one answer."""
        return 1


class SensesPrompt(Section):
    """Asks which kinds of things a unit fires on, given its numbered explain excerpts.

    Each stands on a line of the answer behind the numbers of its excerpts in brackets, such as [1, 3].
    """

    system: str
    question: Annotated[str, template("excerpts", optional=("explanation", "count"))]
    """{explanation} is the one sentence, {count} the most that are asked for."""
    prefix: str = ""
    """The words with which every answer begins; no part of the explanation."""
    excerpt: Annotated[str, template("number", "lines")]
    mark: Annotated[str, template("token", optional=("level",))]
    mark_from: Annotated[int, Field(ge=1, le=10)]
    """The lowest level that is marked."""


class RefinePrompts(Section):
    """What refine asks."""

    sentences: SentencesPrompt
    revise: RevisePrompt
    senses: SensesPrompt | None = None
    """Read where `refine.senses` is above 1."""


class Prompts(Section):
    """Every way to explain and to simulate by its name, with the texts that models read."""

    examples: Examples
    """What several prompts show; they take it by its YAML anchor, so that a prompt depends on no example but its own."""
    explain: dict[str, Annotated[AnyExplainPrompt | Concepts | TokenList | Given, Field(discriminator="layout")]]
    """`explain.method` chooses."""
    simulate: dict[str, Annotated[AnySimulatePrompt | Vocabulary | Reader | Auto, Field(discriminator="layout")]]
    """`simulate.method` chooses."""
    vocabulary: dict[str, ListPrompt]
    """`vocabulary.prompt` chooses."""
    score: dict[str, Annotated[ClassifyPrompt | AttendsPrompt | Ablation, Field(discriminator="layout")]] = Field(default_factory=dict)
    """`score.scorers` chooses, none by default."""
    refine: RefinePrompts
    """Read where `refine.rounds` is above 0."""


Count = Callable[[str], int]
"""How many tokens a text is to some model."""
