"""endpoints: what models cost and what their servers can do. It changes no number, so no stage depends on it."""

from typing import Any, Literal

from pydantic import NonNegativeFloat, model_validator

from neurogloss.config.section import Section


class Price(Section):
    """US dollars per million tokens; a model that costs nothing needs none."""

    prompt: NonNegativeFloat = 0.0
    cached_prompt: NonNegativeFloat = 0.0
    """Of tokens that the endpoint had in its prompt cache; where it is absent, what the others cost."""
    completion: NonNegativeFloat = 0.0

    @model_validator(mode="before")
    @classmethod
    def cached_as_prompt(cls, given: Any) -> Any:
        """Without a price of their own, cached tokens cost what the others do."""
        return {"cached_prompt": given["prompt"], **given} if isinstance(given, dict) and "prompt" in given else given


class EndpointParams(Section):
    """What a model costs and what its server can do."""

    capabilities: list[Literal["echo", "top_logprobs", "json_schema"]] | None = None
    """What the endpoint can do; absent, it is asked once."""
    price: Price | Literal["auto"] = Price()
    """auto: what the installed LiteLLM's table says."""
