"""Explain a few neurons from Python: record, explain, refine, simulate, score, and a heat map of real beside simulated levels.

    python examples/one_neuron.py [--params params.yaml] [--out build/one_neuron]

The cells (# %%) open as a notebook in VS Code and Jupyter. With the default params: SmolLM2-135M, two neurons of layer 20, a minute or two.
"""

# %% Imports: `import neurogloss` is cheap; a name's module is loaded when the name is first used.
import argparse
from pathlib import Path

import numpy as np

import neurogloss as ng
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.simulations import Simulations
from neurogloss.config.params import Params
from neurogloss.measures.levels import levels

LAYER = 20
EXCERPTS_SHOWN = 4


# %% Params: those of the pipeline, with a smaller record section.
def small(params: Params, layer: int) -> Params:
    """The same params for two neurons of one layer on fewer excerpts."""
    smaller = {"layers": [layer], "neurons": 2, "excerpts": min(512, params.record.excerpts)}
    return params.model_copy(update={"record": params.record.model_copy(update=smaller)})


# %% A heat map: one row for what the neuron did, one for what the explanation predicts.
def heat_map(recordings: Recordings, simulations: Simulations, row: int, path: Path) -> None:
    """Draw the neuron's first score excerpts as a PNG: recorded levels above, simulated ones below, 0 white to 10 dark."""
    from matplotlib.figure import Figure

    slots = recordings.slots.where(Split.SCORE)[:EXCERPTS_SHOWN]
    places = [int(np.flatnonzero(simulations.slots == slot)[0]) for slot in slots]
    recorded = levels(np.asarray(recordings.activations[row, slots]), float(recordings.peaks[row]))
    predicted = np.nan_to_num(np.asarray(simulations.levels[row, places], np.float64))
    figure = Figure(figsize=(0.32 * recorded.shape[1], 1.3 * len(slots)), layout="constrained")
    axes = figure.subplots(len(slots), 1, squeeze=False)[:, 0]
    for axis, real, guess, tokens in zip(axes, recorded, predicted, recordings.tokens(row, slots), strict=True):
        axis.imshow(np.stack([real, guess]), cmap="Blues", vmin=0, vmax=10, aspect="auto")
        axis.set_yticks([0, 1], ["recorded", "simulated"], fontsize=7)
        axis.set_xticks(range(len(tokens)), [recordings.text(int(token)).strip() or "·" for token in tokens], rotation=90, fontsize=6)
    figure.savefig(path, dpi=120)


# %% The pipeline, stage by stage.
def main() -> None:
    """Record, explain, refine, simulate, score; print the explanations and write a heat map for each neuron."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--layer", type=int, default=LAYER)
    parser.add_argument("--out", type=Path, default=Path("build/one_neuron"))
    chosen = parser.parse_args()

    params = small(ng.load_params(chosen.params), chosen.layer)
    recordings = ng.record(params, chosen.out / "recordings")
    candidates = ng.explain(recordings, params)
    explanations = ng.refine(recordings, candidates, params)
    simulations = ng.simulate(recordings, explanations, params)
    scores = ng.score(recordings, explanations, simulations, params)

    for row, (text, score) in enumerate(zip(explanations.texts, scores["top_and_random"].to_pylist(), strict=True)):
        neuron = recordings.name(int(row))
        print(f"{neuron}  score {'-' if score is None else f'{score:.2f}'}  {text or 'no explanation'}")
        if text is not None:
            heat_map(recordings, simulations, row, chosen.out / f"{neuron}.png")


if __name__ == "__main__":
    main()
