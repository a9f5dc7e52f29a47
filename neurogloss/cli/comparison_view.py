"""A comparison of variants on a terminal."""

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from neurogloss.artifacts.units import Noun
from neurogloss.cli.text import number, visible

BY_LAYER = "difference by layer; * the layer's own 95 % interval leaves out 0"

WIDENED = "{} comparisons: the intervals are widened so that all of them hold together with 95 % (Bonferroni)"


def called(found: dict[str, Any]) -> Noun:
    """What the units are called."""
    return Noun(**found["units"])


def comparison_view(found: dict[str, Any]) -> Group:
    """The verdicts, then the layers, then for each variant the units that gained and lost most. `found` is the comparison's JSON."""
    parts: list[RenderableType] = [verdicts(found), notes(found), Text(BY_LAYER), layers(found)]
    for versus in found["comparisons"]:
        parts += [changed(found, versus, side) for side in ("gained", "lost") if versus[side]]
    return Group(*parts)


def brief_view(found: dict[str, Any]) -> Text:
    """A line for each variant, the best first."""
    order = sorted(found["comparisons"], key=lambda versus: -(versus["difference"] or 0))
    lines = [sentence(versus, found) for versus in order]
    return Text("\n".join([*lines, *([WIDENED.format(len(order))] if len(order) > 1 else [])]))


def sentence(versus: dict[str, Any], found: dict[str, Any]) -> str:
    """The verdict on one variant in words and numbers."""
    words = {"better": "is better than", "worse": "is worse than", "within noise": "is within noise of", "all the same": "is the same as"}
    judged = verdict(versus)
    line = f"{visible(versus['variant'])} {words.get(judged, 'cannot be compared with')} {visible(found['against'])}"
    if judged not in words:
        return f"{line}: {judged}"
    interval = (
        "" if versus["ci_low"] is None else f" ({100 * found['level']:.4g} %: {signed(versus['ci_low'])} to {signed(versus['ci_high'])})"
    )
    means = f"from {number(versus['mean_reference'], 3)} to {number(versus['mean_variant'], 3)}"
    return f"{line}: {signed(versus['difference'])}{interval}, {means} on {called(found).counted(versus['neurons'])}"


def verdicts(found: dict[str, Any]) -> Table:
    """One row per variant: both means are over the units that it shares with the reference."""
    table = grid("variant", called(found).many, "from", "to", "difference", f"{100 * found['level']:.4g} %", padding=(0, 1, 0, 0))
    table.show_edge = False  # Two columns less: names of twelve letters fit into eighty.
    table.columns[0].no_wrap, table.columns[0].overflow, table.columns[0].min_width = False, "fold", 10
    table.add_column("", no_wrap=True)
    first = found["variants"][0]
    table.add_row(Text(visible(first["name"])), f"{first['scored']:,}", "", number(first["mean"], 3), "", "", "reference")
    for versus in found["comparisons"]:
        interval = "-" if versus["ci_low"] is None else f"{signed(versus['ci_low'])} to {signed(versus['ci_high'])}"
        means = [number(versus[f"mean_{which}"], 3) for which in ("reference", "variant")]
        name, count = Text(visible(versus["variant"])), f"{versus['neurons']:,}"
        table.add_row(name, count, *means, signed(versus["difference"]), interval, verdict(versus))
    return table


def verdict(versus: dict[str, Any]) -> str:
    """What the interval says, in words."""
    if versus["neurons"] == 0:
        return "no common unit"
    if versus["tied_share"] == 1:
        return "all the same"
    if versus["within_noise"] is None:
        return "too few differ"
    if versus["within_noise"]:
        return "within noise"
    return "better" if versus["difference"] > 0 else "worse"


def notes(found: dict[str, Any]) -> Text:
    """How many units were won, and which were left out."""
    lines = []
    for versus in found["comparisons"]:
        line = (
            f"{visible(versus['variant'])}: higher on {versus['won_share']:.0%} and lower on {versus['lost_share']:.0%} of the "
            f"{versus['neurons']:,} of {called(found).counted(found['neurons'])} that both score"
        )
        left_out = [
            f"{versus[key]:,} {words}"
            for key, words in (
                ("scored_only_in_reference", f"scored only in {visible(found['against'])}"),
                ("scored_only_in_variant", f"only in {visible(versus['variant'])}"),
                ("scored_in_neither", "in neither"),
            )
            if versus[key]
        ]
        lines.append(line + (f"; left out: {', '.join(left_out)}" if left_out else ""))
        if random := versus["random_only"]:
            interval = "" if random["ci_low"] is None else f" ({signed(random['ci_low'])} to {signed(random['ci_high'])})"
            means = " to ".join(number(random[f"mean_{which}"], 3) for which in ("reference", "variant"))
            lines.append(f"  on random excerpts only: {means}, {signed(random['difference'])}{interval}, {verdict(random)}")
    several = len(found["comparisons"])
    if several > 1:
        lines.append(WIDENED.format(several))
    return Text("\n".join(lines) + "\n")


def layers(found: dict[str, Any]) -> Table:
    """Difference by layer and variant."""
    table = grid("layer", called(found).many, *(versus["variant"] for versus in found["comparisons"]))
    for rows in zip(*(versus["layers"] for versus in found["comparisons"]), strict=True):
        cells = [f"{signed(row['difference'])}{'*' if row['within_noise'] is False else ' '}" for row in rows]
        table.add_row(str(rows[0]["layer"]), str(max(row["neurons"] for row in rows)), *cells)
    return table


def changed(found: dict[str, Any], versus: dict[str, Any], side: str) -> Table:
    """Units that gained or lost most, with both explanations."""
    table = grid(called(found).one, "difference", "from", "to")
    table.title = Text(f"{visible(versus['variant'])}: {side} most", justify="left")
    table.add_column(Text(visible(found["against"])), ratio=1)
    table.add_column(Text(visible(versus["variant"])), ratio=1)
    for row in versus[side]:
        texts = [Text(visible(row[f"explanation_{which}"] or "-")) for which in ("reference", "variant")]
        table.add_row(row["neuron"], signed(row["difference"]), number(row["score_reference"]), number(row["score_variant"]), *texts)
    return table


def grid(first: str, *others: str, padding: tuple[int, ...] = (0, 1)) -> Table:
    """A table with numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=padding, expand=False, title_justify="left")  # type: ignore[arg-type]  # 2 or 4 numbers
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(Text(visible(heading)), justify="right", no_wrap=True)
    return table


def signed(value: float | None) -> str:
    """A difference with its sign."""
    return "-" if value is None else f"{value:+.3f}"
