"""neurogloss: explain the units of a language model in plain English, and say how far each explanation can be trusted.

    import neurogloss as ng

    params = ng.load_params(Path("params.yaml"))
    recordings = ng.record(params, Path("data/recordings"))
    candidates = ng.explain(recordings, params)
    explanations = ng.refine(recordings, candidates, params)
    simulations = ng.simulate(recordings, explanations, params)
    scores = ng.score(recordings, explanations, simulations, params)

Importing it is cheap: a name's module, and what that needs, is loaded when the name is first used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurogloss.artifacts.explanations import read_explanations
    from neurogloss.artifacts.recordings import read_recordings
    from neurogloss.artifacts.scores import read_scores
    from neurogloss.config.params import load_params
    from neurogloss.explainers.run import explain
    from neurogloss.recording.run import record
    from neurogloss.refining.refine import refine
    from neurogloss.scorers.run import score
    from neurogloss.simulators.run import simulate
    from neurogloss.tracking.comparisons import compare

__all__ = [
    "compare",
    "explain",
    "load_params",
    "read_explanations",
    "read_recordings",
    "read_scores",
    "record",
    "refine",
    "score",
    "simulate",
]

MODULES = {
    "compare": "tracking.comparisons",
    "explain": "explainers.run",
    "load_params": "config.params",
    "read_explanations": "artifacts.explanations",
    "read_recordings": "artifacts.recordings",
    "read_scores": "artifacts.scores",
    "record": "recording.run",
    "refine": "refining.refine",
    "score": "scorers.run",
    "simulate": "simulators.run",
}

# torch's OpenMP reads this once, when it is loaded, so it is set before anything else. By default a thread that waits for another spins
# for milliseconds: on two cores with other work a forward pass took 12 s instead of 6 (and 0.6 s on an idle machine, either way).
os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module 'neurogloss' has no attribute {name!r}")
    return getattr(import_module(f"neurogloss.{MODULES[name]}"), name)
