"""One neuron on a terminal: statistics, explanation, scores, and its excerpts with recorded and simulated levels side by side."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from neurogloss.artifacts.recordings import Split
from neurogloss.artifacts.results import Results
from neurogloss.artifacts.simulations import OK
from neurogloss.artifacts.status import CODES, Status
from neurogloss.cli.text import coloured, colourful, number, raised, visible
from neurogloss.measures.correlation import correlation
from neurogloss.measures.levels import levels

BESIDE = {
    "": {"random_only": "random only", "top_only": "top only"},
    "beside it": {"token_table": "token table (baseline)", "control": "other units' sentences (control)", "margin": "score less control"},
    "calibrated": {"variance_explained": "variance explained"},
}
"""Line -> column of the scores -> label."""


def neuron_page(results: Results, row: int, splits: Sequence[Split], terminal: Console) -> Iterator[RenderableType]:
    """Everything about the neuron of this row, part by part."""
    yield heading(results, row)
    yield facts(results, row)
    yield legend(colourful(terminal))
    for split in splits:
        slots = results.recordings.slots.where(split)
        yield Text(f"\n{split} excerpts" + (": none" if not len(slots) else ""), style="bold")
        for slot in slots:
            yield excerpt(results, row, int(slot), colourful(terminal))


def heading(results: Results, row: int) -> Text:
    """The neuron's name and its subject."""
    recordings = results.recordings
    about = recordings.about.get("subject") or ""
    subject = str(about.get("model", "") if isinstance(about, dict) else about)
    title = Text(recordings.name(row), style="bold")
    return title.append(f"  {visible(subject.rsplit('/', 1)[-1])}" if subject else "", style="not bold dim")


def facts(results: Results, row: int) -> Table:
    """Explanation, scores and statistics as two columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row("explanation", explanation(results, row))
    for label, value in [*senses(results, row), *scores(results, row)]:
        grid.add_row(label, value)
    grid.add_row("activations", statistics(results, row))
    for side, label in enumerate(("promotes", "suppresses")):
        if tokens := results.recordings.promoted_texts(row, side):
            grid.add_row(label, " ".join(repr(token) for token in tokens))
    return grid


def explanation(results: Results, row: int) -> Text:
    """The sentence, or why there is none."""
    kept = results.explanations.rows[row].kept
    return Text(visible(kept.text), style="bold") if kept.text is not None else Text(f"none: {kept.status.label}")


def senses(results: Results, row: int) -> Iterator[tuple[str, str]]:
    """Each of several senses with its share and its score by itself, and the one sentence that they replaced."""
    found = results.score(row)
    for number_, sense in enumerate(found.get("senses") or (), 1):
        score = (
            f"score {number(sense['score'])}{interval(sense)}"
            if sense["score"] is not None
            else f"no score: {Status(sense['status']).label}"
        )
        yield f"sense {number_}", f"{visible(sense['text'])} · {sense['share']:.0%} of its firing · {score}"
    if found.get("single") is not None:
        yield "one sentence", f"{visible(results.explanations.rows[row].single or '')} · score {number(found['single'])}"


def interval(found: dict[str, Any]) -> str:
    """The interval of a score in parentheses; nothing where there is none."""
    return "" if found["ci_low"] is None else f" ({number(found['ci_low'])} to {number(found['ci_high'])}, 95 %)"


def scores(results: Results, row: int) -> Iterator[tuple[str, str]]:
    """Label and value of each score, the first with its interval; or why there is none."""
    found = results.score(row)
    if found["top_and_random"] is None:
        yield "score", f"none: {Status(found['status']).label}"
        return
    over = (
        f"over {found['excerpts']} excerpts"
        if found["status"] == Status.OK
        else f"({Status(found['status']).label} counts as a constant prediction)"
    )
    yield "score", f"{number(found['top_and_random'])}{interval(found)} {over}"
    for title, measures in BESIDE.items():
        yield title, " · ".join(f"{label} {number(found[key])}" for key, label in measures.items())


def statistics(results: Results, row: int) -> str:
    """Moments, share of tokens firing and peak."""
    found = results.recordings.statistics.slice(row, 1).to_pylist()[0]
    shape = f"skewness {number(found['skewness'])} · kurtosis {number(found['kurtosis'])}"
    return (
        f"mean {found['mean']:.3g} · standard deviation {np.sqrt(found['variance']):.3g} · {shape} · "
        f"level 1 or above on {found['firing_share']:.1%} of tokens in random excerpts · "
        + (f"peak {found['peak']:.3g}" if found["peak"] is not None else "no peak")
    )


def legend(colours: bool) -> Text:
    """What the colours or digits mean."""
    text = Text("\nlevel   ", style="dim")
    for level in range(11):
        text.append_text(coloured([f" {level} "], [level], colours=True) if colours else Text(f" {raised(level)}" if level else " none"))
    return text


def excerpt(results: Results, row: int, slot: int, colours: bool) -> RenderableType:
    """One excerpt: where it is from, and recorded and simulated levels beside each other."""
    recordings, simulations = results.recordings, results.simulations
    tokens = [recordings.text(int(token)) for token in recordings.tokens(row, np.array([slot]))[0]]
    recorded = np.asarray(recordings.activations[row, slot], dtype=np.float64)
    true = coloured(tokens, levels(recorded, recordings.peaks[row]).tolist(), colours)
    source = recordings.documents.slice(int(recordings.excerpts[row, slot]), 1).to_pylist()[0]
    label = f"{recordings.slots.kinds[slot]} · {visible(source['document'])}, token {source['start']} · strongest {recorded.max():.3g}"
    label += attention(results, row, slot, tokens)
    places = np.flatnonzero(simulations.slots == slot)
    if not len(places):
        return Group(Text(f"\n{label}", style="dim"), true)
    status = int(simulations.status[row, places[0]])
    if status != OK:
        return Group(Text(f"\n{label} · not simulated: {CODES[status].label}", style="dim"), true)
    simulated = np.asarray(simulations.levels[row, places[0]], dtype=np.float64)
    found = correlation(recorded, simulated)
    label += sense_label(results, row, int(places[0]), int(recorded.argmax()))
    pair = Table.grid(padding=(0, 2), expand=True)
    pair.add_column(ratio=1)
    pair.add_column(ratio=1)
    pair.add_row(Text("recorded", style="dim"), Text("simulated", style="dim"))
    pair.add_row(true, coloured(tokens, simulated.tolist(), colours))
    return Group(Text(f"\n{label} · correlation {number(found)}", style="dim"), Padding(pair, (0, 0)))


def sense_label(results: Results, row: int, place: int, token: int) -> str:
    """Which of several senses the excerpt is: the one that predicts most of its strongest token; else nothing."""
    found = None if results.simulations.senses is None else results.simulations.senses.strongest(row, place, token)
    return "" if found is None else f" · sense {found + 1}"


def attention(results: Results, row: int, slot: int, tokens: Sequence[str]) -> str:
    """Of a head: what the excerpt's strongest token reads, with the share of the strongest key; else nothing."""
    recordings = results.recordings
    if recordings.keys is None:
        return ""
    query = int(np.asarray(recordings.activations[row, slot]).argmax())
    shares = recordings.keys.shares(recordings.keys.norms[row, slot])
    read = [
        f"**{visible(tokens[place].strip())}** {share:.2f}"
        for place, share in zip(recordings.keys.places[row, slot].tolist(), shares.tolist(), strict=True)
        if share > 0
    ]
    return f" · [[{visible(tokens[query].strip())}]] at token {query} reads {', '.join(read)}" if read else ""
