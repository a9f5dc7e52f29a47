"""What the kept replies are worth, as tables for a terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from neurogloss.llm.cache import Cache


def holdings_table(cache: Cache) -> list[Table | str]:
    """Replies by model with what they cost and spared, and what is known of the endpoints."""
    size = sum(path.stat().st_size for path in cache.path.parent.glob(f"{cache.path.name}*"))
    kept = Table(
        Column("model", overflow="fold"),
        *(Column(name, justify="right", no_wrap=True) for name in ("replies", "unusable", "tokens in", "out", "paid", "hits", "saved")),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    hits = {model: (count, saved) for model, count, saved in cache.run("SELECT model, hits, saved_usd FROM hits")}
    sums = "COUNT(*), SUM(status != 'ok'), SUM(prompt), SUM(completion), SUM(cost_usd)"
    for model, replies, unusable, prompt, completion, usd in cache.run(f"SELECT model, {sums} FROM replies GROUP BY model ORDER BY model"):
        count, saved = hits.get(model, (0, 0.0))
        numbers = (f"{number:,}" for number in (replies, unusable, prompt, completion))
        kept.add_row(model, *numbers, f"${usd:.4f}", f"{count:,}", f"${saved:.4f}")
    parts: list[Table | str] = [f"{cache.path}, {size / 1e6:.1f} MB", kept]
    known = cache.run("SELECT base_url, model, capability, offered FROM endpoints ORDER BY base_url, model, capability")
    if known:
        endpoints = Table("endpoint", "model", "found out", "", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for base_url, model, capability, offered in known:
            endpoints.add_row(base_url or "imported", model, capability, {0: "no", 1: "yes"}.get(offered, f"{offered:,}"))
        parts.append(endpoints)
    return parts
