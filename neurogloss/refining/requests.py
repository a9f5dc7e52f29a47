"""What a round of revision asks the explainer, as a request."""

from neurogloss.config.explain import ExplainParams
from neurogloss.config.models import ModelParams
from neurogloss.llm.request import Message, Request, model_id


def round_request(system: str, question: str, round_: int, max_tokens: int, params: ExplainParams, model: ModelParams) -> Request:
    """A question of one round; with a temperature another sample in each."""
    return Request(
        provider=model.provider,
        model=model_id(model),
        messages=(Message("system", system), Message("user", question)),
        temperature=params.temperature,
        max_tokens=max_tokens,
        sample=params.seed * 1000 + round_ if params.temperature > 0 else 0,
    )
