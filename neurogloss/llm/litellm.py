"""Every service that LiteLLM speaks to (Anthropic, Gemini, Bedrock, Azure and a hundred more), in its own form, as one more transport.

Requests, replies, keys of the cache, budget, statuses and retries are those of an OpenAI-compatible endpoint: LiteLLM takes and gives the
same JSON, and its exceptions carry the HTTP status and the service's words. LiteLLM itself retries nothing and drops no option.
"""

import json
import logging
import os
import re
from types import ModuleType
from typing import Any

from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.errors import UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.openai.endpoint import endpoint
from neurogloss.llm.openai.provider import OpenAIProvider
from neurogloss.llm.openai.transport import Connection, Raw

CODES = {"ContextWindowExceededError": "context_length_exceeded", "ContentPolicyViolationError": "content_filter"}
"""What LiteLLM has read out of a service's words already, in OpenAI's."""
NOWHERE = ("cannot connect to host", "connect call failed", "name or service not known", "all connection attempts failed")
SECRET = re.compile(r"_(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)\b|_KEY_ID\b")
"""Variables that hold what identifies somebody."""


class LitellmConnection(Connection):
    """Sends through LiteLLM instead of over HTTP of our own."""

    async def send(self, value: dict[str, Any], most: int) -> Raw:
        """What the service says, as OpenAI would say it over HTTP."""
        litellm = library()
        ask = litellm.acompletion if "messages" in value else litellm.atext_completion
        where = {"api_base": self.place.base_url} if self.model.base_url_from else {}
        key = {"api_key": self.place.key} if self.model.key_from else {}
        headers = {"extra_headers": dict(self.place.more)} if self.place.more else {}
        try:
            said = await ask(**value, **where, **key, **headers, timeout=self.timeout_s, num_retries=0, max_retries=0)
        except Exception as error:  # noqa: BLE001  # LiteLLM has no base class: what is none of its own is raised again
            return refusal(error)
        return Raw(200, {}, encoded(said.model_dump()))

    async def close(self) -> None:
        """Close what LiteLLM opened."""
        await library().close_litellm_async_clients()


def refusal(error: Exception) -> Raw:
    """An exception of LiteLLM's as an answer over HTTP; others are raised, as a transport's are."""
    status, said = getattr(error, "status_code", None), str(error)
    if type(error).__name__ == "Timeout":
        raise TimeoutError(said) from error
    if not isinstance(status, int):
        raise error
    if status >= 500 and any(words in said.lower() for words in NOWHERE):
        raise ConnectionRefusedError(said) from error
    response = getattr(error, "response", None)
    headers = dict(getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {})
    content = {"error": {"message": said, "code": CODES.get(type(error).__name__, ""), "type": ""}}
    return Raw(status, {name.lower(): value for name, value in headers.items()}, encoded(content))


def encoded(value: dict[str, Any]) -> bytes:
    """JSON in which none of the keys stands that LiteLLM may have found in the environment."""
    text = json.dumps(value, default=str)
    for secret in (held for name, held in os.environ.items() if SECRET.search(name) and len(held) >= 16):
        text = text.replace(json.dumps(secret)[1:-1], "[key]")
    return text.encode()


def library() -> ModuleType:
    """LiteLLM, silent and without a look at the network; UserError where it is not installed."""
    # Its table of models would be fetched anew at each import.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        raise UserError("provider litellm needs LiteLLM, which is not installed: pip install 'neurogloss[litellm]'") from error
    litellm.suppress_debug_info = True
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    return litellm  # type: ignore[no-any-return]  # a module


def open_litellm(name: str, model: ModelParams, cache: Cache) -> OpenAIProvider:
    """The provider of a model; UserError where LiteLLM is not there or does not know whose model it is."""
    if environment.flag("BATCH"):
        raise UserError(f"BATCH=1 is for provider openai, and models.{name} has provider litellm; run without it")
    litellm = library()
    try:
        litellm.get_llm_provider(model.name)
    except litellm.exceptions.BadRequestError as error:
        raise UserError(
            f"models.{name}.name is {model.name!r}, expected a service and its model, such as anthropic/NAME or azure/NAME"
        ) from error
    return OpenAIProvider(name, model, cache, endpoint(model), LitellmConnection)
