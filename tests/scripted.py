"""Params with a scripted model, which needs no key and no weights."""

from pathlib import Path

from neurogloss.config.params import Params, load_params


def scripted_params(**refine: int) -> Params:
    """The project's params where a scripted model explains with `pieces` and simulates with `compact`; `refine` changes that section."""
    params = load_params(Path(__file__).parents[1] / "params.yaml")
    script = params.models["openai"].model_copy(update={"provider": "scripted", "name": "script"})
    return params.model_copy(
        update={
            "models": {"script": script, "smollm2": params.models["smollm2"]},
            "endpoints": {},
            "explain": params.explain.model_copy(update={"model": "script", "method": "pieces"}),
            "simulate": params.simulate.model_copy(update={"model": "script", "method": "compact"}),
            "refine": params.refine.model_copy(update=refine),
            "score": params.score.model_copy(update={"controls": 1}),
        }
    )
