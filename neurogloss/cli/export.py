"""neurogloss export: the whole result as a data set for others."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neurogloss.artifacts.results import Results


class Format(StrEnum):
    """What to write."""

    PARQUET = "parquet"
    OPENAI = "openai"
    NEURONPEDIA = "neuronpedia"


def export(
    out: Annotated[Path, typer.Argument(help="Folder to make; must be new, empty, or an earlier export.")],
    kind: Annotated[
        Format, typer.Option("--format", help="Parquet with a data card, the JSON of Bills et al. 2023, or Neuronpedia's files.")
    ] = Format.PARQUET,
    surplus: Annotated[bool, typer.Option("--surplus", help="Also the excerpts beyond those dealt to splits.")] = False,
    shard: Annotated[int, typer.Option(help="Rows of excerpts per Parquet file, at least.", min=1)] = 50_000,
    data: Annotated[Path, typer.Option(help="Folder that holds what the stages wrote.")] = Path("data"),
    metrics: Annotated[Path, typer.Option(help="What score wrote for committing; goes into the card.")] = Path("metrics/details.json"),
) -> None:
    """Write units, explanations, scores and excerpts, unit by unit."""
    from neurogloss.artifacts.results import read_results
    from neurogloss.exchange.folder import fresh_folder

    results = read_results(data)
    ours = {Format.PARQUET: "README.md", Format.OPENAI: "collated-activations", Format.NEURONPEDIA: "sourceset.jsonl.gz"}
    with fresh_folder(out, ours[kind]) as folder:
        if kind is Format.PARQUET:
            parquet(folder, results, surplus, shard, metrics)
        elif kind is Format.OPENAI:
            openai(folder, results, surplus)
        else:
            neuronpedia(folder, results, surplus)
    typer.echo(f"{results.recordings.noun.counted(len(results))} in {out}")


def parquet(folder: Path, results: "Results", surplus: bool, shard: int, metrics: Path) -> None:
    """Card, tables and shards."""
    import json

    from tqdm import tqdm

    from neurogloss.artifacts.recordings import Split
    from neurogloss.exchange.card import data_card
    from neurogloss.exchange.parquet import NEURONS_AT_ONCE, candidates_table, excerpt_tables, neurons_table, write_shards
    from neurogloss.exchange.selections import write_selections

    slots = results.recordings.slots.where(*(split for split in Split if surplus or split is not Split.FIT))
    at_once = max(1, min(NEURONS_AT_ONCE, shard // max(1, len(slots))))
    neurons = neurons_table(results)
    write_shards(folder / "neurons", "neurons", iter([neurons]), shard, lambda rows: rows)
    write_shards(folder / "candidates", "candidates", iter([candidates_table(results)]), shard, lambda rows: rows)
    write_selections(folder / "tables", neurons)
    with tqdm(total=len(results) * len(slots), desc="export", unit="excerpt", unit_scale=True, disable=None) as bar:
        write_shards(folder / "excerpts", "excerpts", excerpt_tables(results, slots, at_once), shard, bar.update)
    found = json.loads(metrics.read_text(encoding="utf-8")) if metrics.exists() else None
    (folder / "README.md").write_text(data_card(results.recordings, found), encoding="utf-8")


def neuronpedia(folder: Path, results: "Results", surplus: bool) -> None:
    """Files of features, activations and explanations."""
    from neurogloss.exchange.neuronpedia import write_neuronpedia

    show_progress(write_neuronpedia(folder, results, surplus), results)


def openai(folder: Path, results: "Results", surplus: bool) -> None:
    """One file per neuron and kind."""
    from neurogloss.exchange.openai import write_openai

    show_progress(write_openai(folder, results, surplus), results)


def show_progress(rows: "Iterator[int]", results: "Results") -> None:
    """Write unit by unit."""
    from tqdm import tqdm

    for _ in tqdm(rows, total=len(results), desc="export", unit=results.recordings.noun.one, disable=None):
        pass
