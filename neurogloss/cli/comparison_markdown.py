"""A comparison as Markdown that GitHub shows in a comment: the verdict, the figure as text that it draws, and the whole folded away."""

from typing import Any

from neurogloss.cli.changes_view import cell, escaped
from neurogloss.cli.comparison_view import brief_view, comparison_view, signed, verdict
from neurogloss.cli.text import console, number

WIDTH = 110
LINES = {"grey": "#9aa1ab", "blue": "#1b6ac9", "orange": "#c2570c", "green": "#2f8f4e", "violet": "#8a4fbf"}
"""The first is that of no difference."""


def comparison_markdown(found: dict[str, Any]) -> str:
    """The whole, headed by the verdict."""
    terminal = console(WIDTH)
    with terminal.capture() as captured:
        terminal.print(comparison_view(found))
    brief = [escaped(line) for line in str(brief_view(found)).splitlines()]
    rows = [row(versus) for versus in found["comparisons"]]
    return "\n".join(
        [
            *(f"**{line}**" if place < len(rows) else line for place, line in enumerate(brief)),
            "",
            f"| | {cell(found['against'])} | now | difference | {100 * found['level']:.4g} % | verdict |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            figure(found),
            "",
            f"<details><summary>by layer, and the {found['units']['many']} that changed most</summary>",
            "",
            "```text",
            captured.get().rstrip().replace("```", "'''"),
            "```",
            "</details>",
            "",
            "",
        ]
    )


def row(versus: dict[str, Any]) -> str:
    """One variant, or the same on random excerpts."""
    rows = [(cell(versus["variant"]), versus)]
    if versus["random_only"]:
        rows.append(("on random excerpts only", versus["random_only"]))
    lines = []
    for name, one in rows:
        interval = "-" if one["ci_low"] is None else f"{signed(one['ci_low'])} to {signed(one['ci_high'])}"
        means = " | ".join(number(one[f"mean_{which}"], 3) for which in ("reference", "variant"))
        lines.append(f"| {name} | {means} | {signed(one['difference'])} | {interval} | {verdict(one)} |")
    return "\n".join(lines)


def figure(found: dict[str, Any]) -> str:
    """The mean difference by layer, a line for each variant, in the language that GitHub draws (Mermaid); empty where nothing differs."""
    shown = dict(zip([colour for colour in LINES if colour != "grey"], found["comparisons"], strict=False))
    drawn = [[layer["difference"] or 0.0 for layer in versus["layers"]] for versus in shown.values()]
    layers = [str(layer["layer"]) for layer in found["comparisons"][0]["layers"]]
    if not any(value for values in drawn for value in values):
        return ""
    low, high = min(0.0, *map(min, drawn)), max(0.0, *map(max, drawn))
    names = ", ".join(f"{colour}: {versus['variant']}" for colour, versus in shown.items())
    return "\n".join(
        [
            "```mermaid",
            f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{", ".join(LINES.values())}"}}}}}}}}%%',
            "xychart-beta",
            f'    title "mean difference from {plain(found["against"])} by layer ({plain(names)})"',
            f'    x-axis "layer" [{", ".join(layers)}]',
            f'    y-axis "difference of the score" {low:.4f} --> {high:.4f}',
            *(f"    line [{', '.join(f'{value:.4f}' for value in values)}]" for values in ([0.0] * len(layers), *drawn)),
            "```",
        ]
    )


def plain(text: str) -> str:
    """A text for a quoted title.

    >>> plain('a "b"; c')
    "a 'b' c"
    """
    return "".join(c for c in text.replace('"', "'") if c.isprintable() and c not in ";`\\")
