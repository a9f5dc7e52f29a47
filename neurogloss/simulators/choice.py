"""The simulator that the params choose."""

from typing import NamedTuple

from neurogloss.config.choice import Explainer, automatic
from neurogloss.config.params import Params
from neurogloss.config.prompts import AnySimulatePrompt, Auto, Reader, Vocabulary


class Chosen(NamedTuple):
    """An entry of `prompts.simulate` with the model that it asks."""

    name: str
    prompt: AnySimulatePrompt | Vocabulary | Reader
    model: str
    """A name under `models`."""
    asked_by: str
    """The param that names the model."""


def chosen_simulator(params: Params) -> Chosen:
    """What `simulate.method` names; `auto` stands for what fits the explainer, and asks the explainer's model."""
    name, model, asked_by = params.simulate.method, params.simulate.model, "simulate.model"
    if isinstance(params.prompts.simulate[name], Auto):
        model, asked_by = params.explain.model, "explain.model"
        name = automatic(Explainer(params.prompts.explain[params.explain.method].layout, params.model(model, asked_by).provider))
    prompt = params.prompts.simulate[name]
    assert not isinstance(prompt, Auto), "params with another entry of this name are refused when they are read"
    return Chosen(name, prompt, model, asked_by)
