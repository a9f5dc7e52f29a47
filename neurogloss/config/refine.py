"""refine: how explanations are revised after they were proposed."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from neurogloss.config.section import Section

RefineMethod = Literal["counterexamples", "random_sentences", "corpus", "again"]


class RefineParams(Section):
    """How explanations are revised; `explain.model` is asked at `explain.temperature`."""

    rounds: NonNegativeInt
    """0 keeps what explain proposed; 2 or 3 are sensible."""
    method: RefineMethod = "counterexamples"
    """What a revision is shown beside the old explanation: `counterexamples`, sentences that the explainer proposes and the subject reads;
    `random_sentences` and `corpus`, random and most wrongly predicted excerpts that were recorded. `again` shows nothing of the old one
    and asks explain's question once more. The last three are controls.
    """
    sentences: PositiveInt = 10
    """Asked for in a round, of either sort: the unit should fire, and should not. Half are shown, half held out. Of excerpts as many are
    shown as of sentences."""
    max_tokens: PositiveInt = 1000
    """Of an answer that proposes sentences or names senses."""
    senses: Annotated[int, Field(ge=1, le=9)] = 1
    """Sentences in an explanation, at most; 2 or 3 are sensible. Several stay where they predict the select split better than one."""
