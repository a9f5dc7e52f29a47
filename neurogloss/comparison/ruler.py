"""Which simulator a result was measured by, as its lock says."""

from typing import Any

from neurogloss.config.choice import AUTO, Explainer, automatic
from neurogloss.config.trust import caution

Declared = dict[str, Any]
"""Params of a stage as dvc.lock has them: `simulate` -> {...}, `prompts.simulate.compact` -> {...}."""


def simulator(params: Declared) -> str | None:
    """The entry of `prompts.simulate` that a stage used; None for a stage without a simulator and for older locks."""
    method = params.get("simulate", {}).get("method")
    if layout(params, f"simulate.{method}") != "auto":
        return None if method is None else str(method)
    provider = params.get(f"models.{params.get('explain.model')}", {}).get("provider", "")
    return automatic(Explainer(layout(params, f"explain.{params.get('explain.method')}"), provider))


def without_unused(params: Declared) -> Declared:
    """The params of a stage without the prompts that `simulate.method: auto` might have stood for and did not."""
    used = simulator(params)
    unused = {f"prompts.simulate.{name}" for name in AUTO if name != used}
    return params if used is None else {name: value for name, value in params.items() if name not in unused}


def caution_about(params: Declared) -> str:
    """What to know about the simulator of a result, by the params of its stage `simulate`; empty where there is nothing."""
    used = simulator(params)
    explainer = layout(params, f"explain.{params.get('explain.method')}")
    return caution(explainer, layout(params, f"simulate.{used}") or used) if used and explainer else ""


def layout(params: Declared, prompt: str) -> str:
    """How a prompt works; empty where the params do not say."""
    value = params.get(f"prompts.{prompt}")
    return str(value.get("layout", "") if isinstance(value, dict) else params.get(f"prompts.{prompt}.layout", ""))
