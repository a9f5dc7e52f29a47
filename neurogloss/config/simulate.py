"""simulate: how a sentence is turned back into levels."""

from neurogloss.config.section import Section


class SimulateParams(Section):
    """How the sentence is turned back into levels."""

    method: str
    """A name under `prompts.simulate`, whose layout says how it works; `auto` follows the explainer."""
    model: str
    """A name under `models`; used by the layouts that ask a language model, but for `auto`, which asks `explain.model`."""
