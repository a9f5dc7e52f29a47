"""A plan of what language models will be asked, for the terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from neurogloss.config.params import Params
from neurogloss.config.trust import caution
from neurogloss.llm.planning import PlannedStep
from neurogloss.simulators.choice import chosen_simulator


def plan_table(steps: list[PlannedStep], settings: Params) -> list[Table | str]:
    """A line per step, the total, and what the numbers rest on."""
    simulator = chosen_simulator(settings)
    caution_lines = [said] if (said := caution(settings.prompts.explain[settings.explain.method].layout, simulator.prompt.layout)) else []
    if not steps:
        what = f"explain by {settings.explain.method}, simulate by {simulator.name}"
        return [f"{what}: no language model is asked, nothing is to pay", *caution_lines]
    numbers = [Column(name, justify="right", no_wrap=True) for name in ("requests", "cached", "tokens in", "out, most", "$, most", "time")]
    table = Table(Column("step", no_wrap=True), Column("model", overflow="fold"), *numbers, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for step in steps:
        amounts = (f"{step.requests:,}", f"{step.cached:,}", f"{step.tokens_in:,}", f"{step.tokens_out:,}", f"{step.usd:.4f}")
        table.add_row(step.stage, step.model, *amounts, duration(step.seconds))
    total = (f"{sum(getattr(step, name) for step in steps):,}" for name in ("requests", "cached", "tokens_in", "tokens_out"))
    table.add_row("all", "", *total, f"{sum(step.usd for step in steps):.4f}", "")
    most, likely = (sum(getattr(step, name) for step in steps) for name in ("usd", "usd_likely"))
    shorter = [f"with answers as long as the examples': about ${likely:.4f}"] if likely < most else []
    counted = sorted({f"tokens of {step.model}: {step.counted}" for step in steps})
    notes = [f"{step.stage}: {note}" for step in steps for note in dict.fromkeys(step.notes)]
    if settings.simulate.method != simulator.name:
        notes.append(f"simulate: {settings.simulate.method} stands for {simulator.name}")
    return [table, *shorter, *counted, *notes, *caution_lines]


def duration(seconds: float | None) -> str:
    """Seconds for a person; unknown where this model has not answered yet.

    >>> duration(None), duration(0.2), duration(200.0), duration(9000.0)
    ('unknown', '1 s', '3 min 20 s', '2 h 30 min')
    """
    if seconds is None:
        return "unknown"
    whole = max(1, round(seconds)) if seconds else 0
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
