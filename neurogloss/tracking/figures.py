"""The figures of a run: PNG, the same bytes for the same result."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import Kind, Recordings, Split, read_recordings
from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.simulations import Simulations, read_simulations
from neurogloss.comparison.result import Result
from neurogloss.measures.levels import levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCORE, BASELINE, CONTROL = "#1b6ca8", "#8a8a8a", "#d9822b"
EXAMPLES = 4


def write_figures(result: Result, folder: Path) -> None:
    """Write the figures whose files are available."""
    scores = result.path(result.paths.scores)
    if scores.exists():
        save(distribution(result), folder / "distribution.png")
    if result.metrics_csv("by_layer.csv"):
        save(by_layer(result), folder / "by_layer.png")
    if all(result.path(path).exists() for path in result.paths.data):
        figure = examples(result)
        if figure is not None:
            save(figure, folder / "examples.png")


def save(figure: "Figure", path: Path) -> None:
    """Write PNG without the version and date that matplotlib adds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def canvas(
    width: float,
    height: float,
    rows: int = 1,
    ratios: tuple[float, ...] | None = None,
    layout: Literal["constrained"] | None = "constrained",
) -> tuple["Figure", list["Axes"]]:
    """A figure that needs no display and leaves no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(rows, 1, height_ratios=ratios)))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def distribution(result: Result) -> "Figure":
    """Scores, with the control and the baseline behind them, each of the neurons that have it; means as lines."""
    table = read_scores(result.path(result.paths.scores))
    figure, (axis,) = canvas(7, 3.8)
    edges = np.linspace(-1, 1, 81).tolist()
    shown = []
    for column, label, colour in (
        ("token_table", "baseline: mean activation per token", BASELINE),
        ("control", "control: other neurons' sentences", CONTROL),
        ("top_and_random", "score", SCORE),
    ):
        values = table[column].drop_null().to_numpy()
        if len(values):
            filled = column == "top_and_random"
            axis.hist(values, edges, histtype="stepfilled" if filled else "step", color=colour, alpha=0.55 if filled else 1.0,
                      label=f"{label}, mean {values.mean():.3f}, {len(values)} neurons")  # fmt: skip
            axis.axvline(values.mean(), color=colour, linestyle="--", linewidth=1)
            shown.append(values)
    if shown:
        together = np.concatenate(shown)
        axis.set_xlim(max(-1, together.min() - 0.05), min(1, together.max() + 0.05))
        axis.legend(frameon=False, fontsize=8, loc="upper right")
        axis.set_ylim(0, axis.get_ylim()[1] * 1.3)
    axis.set_xlabel("correlation of simulated and real activations, top and random excerpts")
    axis.set_ylabel("neurons")
    return figure


def by_layer(result: Result) -> "Figure":
    """Mean score of each layer with its interval, the baseline and the control."""
    rows = result.metrics_csv("by_layer.csv")

    def column(key: str) -> np.ndarray:
        return np.array([float(row[key]) if row.get(key) else np.nan for row in rows])

    figure, (axis,) = canvas(7, 3.8)
    layer, mean = column("layer"), column("mean")
    axis.fill_between(layer, column("ci_low"), column("ci_high"), color=SCORE, alpha=0.25, linewidth=0, label="95 % interval")
    axis.plot(layer, mean, "o-", color=SCORE, markersize=3, label="score")
    for key, label, colour in (("baseline", "baseline: mean activation per token", BASELINE), ("control", "control", CONTROL)):
        axis.plot(layer, column(key), "-", color=colour, linewidth=1, label=label)
    axis.axhline(0, color="black", linewidth=0.5)
    axis.set_xlabel("layer, 0 is nearest to the input")
    axis.set_ylabel("mean correlation")
    axis.set_xticks(layer[:: 1 + len(layer) // 20])
    axis.legend(frameon=False, fontsize=8, ncols=2)
    return figure


def examples(result: Result) -> "Figure | None":
    """Real and simulated levels, token by token, of neurons from the best to the worst score; None without a scored neuron."""
    table = read_scores(result.path(result.paths.scores))
    score = table["top_and_random"].to_numpy(zero_copy_only=False).astype(np.float64)
    order = np.flatnonzero(np.isfinite(score))
    order = order[np.argsort(-score[order], kind="stable")]
    if not len(order):
        return None
    chosen = order[np.unique(np.linspace(0, len(order) - 1, EXAMPLES).round().astype(int))]
    recordings = read_recordings(result.path(result.paths.recordings))
    simulations = read_simulations(result.path(result.paths.simulations))
    texts = read_explanations(result.path(result.paths.explanations)).texts
    figure, axes = canvas(11, 2.1 * len(chosen), len(chosen), layout=None)
    # Hundreds of upright words: measuring them for a layout, or making them ticks, takes seconds.
    figure.subplots_adjust(left=0.025, right=0.995, top=1 - 0.12 / len(chosen), bottom=0.42 / len(chosen), hspace=0.85)
    for axis, row in zip(axes, chosen, strict=True):
        draw_example(axis, recordings, simulations, int(row))
        place = recordings.name(int(row))
        text = " ".join((texts[row] or "no explanation").split()).replace("$", r"\$")
        axis.set_title(f"{place}  {score[row]:.2f}  {text[:110]}{'…' if len(text) > 110 else ''}", fontsize=8, loc="left")
    axes[0].legend(frameon=False, fontsize=7, ncols=2, loc="upper right")
    return figure


def draw_example(axis: "Axes", recordings: Recordings, simulations: Simulations, row: int) -> None:
    """A top (left) and a random excerpt of the score split; bars are real levels, the line is simulated."""
    scored = [recordings.slots.where(Split.SCORE, kind=kind)[:1] for kind in (Kind.TOP, Kind.RANDOM)]
    slots = np.array([slot for slot in np.concatenate(scored) if slot in simulations.slots], dtype=np.int64)
    places = [int(np.flatnonzero(simulations.slots == slot)[0]) for slot in slots]
    real = levels(np.asarray(recordings.activations[row, slots]), float(recordings.peaks[row])).ravel()
    simulated = np.asarray(simulations.levels[row, places], np.float64).ravel()
    words = [readable(recordings.text(int(token))) for token in recordings.tokens(row, slots).ravel()]
    where = np.arange(len(real))
    axis.vlines(where, 0, real, color=BASELINE, linewidth=min(20, 600 / len(real)), label="real level")
    axis.plot(where, simulated, ".-", color=SCORE, linewidth=1, markersize=3, label="simulated level")
    axis.axvline(len(real) / max(len(slots), 1) - 0.5, color="black", linewidth=0.5, linestyle=":")
    size = 5 if len(real) > 60 else 7
    for place, word in zip(where.tolist(), words, strict=True):
        axis.text(place, -0.3, word, rotation=90, fontsize=size, family="monospace", ha="center", va="top")
    axis.set_xticks([])
    axis.set_ylim(0, 10.5)
    axis.set_xlim(-0.6, len(real) - 0.4)


def readable(token: str) -> str:
    """A token as a tick label: no line breaks, no mathtext, only letters that the font has."""
    shown = "".join(letter if letter.isprintable() and ord(letter) < 0x250 else "·" for letter in token.strip())
    return shown.replace("$", r"\$")[:12] or "·"
