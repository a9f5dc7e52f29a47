"""neurogloss import: recordings from the JSON formats of Bills et al. 2023, or from an export of Neuronpedia."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer


def import_(
    source: Annotated[
        Path, typer.Argument(help="Folder with LAYER/NEURON.json in it or in its collated-activations/, or an export of Neuronpedia.")
    ],
    out: Annotated[Path, typer.Option(help="The recordings to make.")] = Path("data/recordings"),
    explanations: Annotated[
        Path | None, typer.Option(help="Also make explanations of LAYER/NEURON.jsonl, such as data/explanations.parquet.")
    ] = None,
    per_split: Annotated[int, typer.Option(help="Top and random excerpts of each split, at most.", min=1)] = 5,
    table_tokens: Annotated[int, typer.Option(help="Tokens that get a mean activation.", min=1)] = 16384,
) -> None:
    """Read published units, old field names included. `dvc commit -f record` then keeps the pipeline from recording over them."""
    from tempfile import TemporaryDirectory

    from tqdm import tqdm

    from neurogloss.artifacts.explanations import write_explanations
    from neurogloss.artifacts.foreign import numbered, open_source
    from neurogloss.artifacts.units import UnitKind
    from neurogloss.errors import UserError
    from neurogloss.exchange.adopt import adopt, choose_layout, scan
    from neurogloss.exchange.folder import fresh_folder
    from neurogloss.exchange.neuronpedia import is_neuronpedia, unpack
    from neurogloss.exchange.published import published

    def progress(paths: Iterable[Path], what: str) -> Iterable[Path]:
        return tqdm(paths, desc=what, unit="unit", disable=None)

    with TemporaryDirectory(prefix="neurogloss-") as unpacked:
        kind = unpack(source, Path(unpacked)) if is_neuronpedia(source) else UnitKind.NEURONS
        found = open_source(Path(unpacked) if is_neuronpedia(source) else source)
        paths = numbered(found.activations, "json")
        if not paths:
            raise UserError(f"{found.activations} holds no LAYER/NEURON.json; expected files such as 5/131.json")
        layout = choose_layout(*scan(progress(paths, "scan")), per_split)
        with fresh_folder(out, "recordings.json") as folder:
            recordings = adopt(folder, source.resolve().name, layout, table_tokens, progress, kind)
        if explanations is not None:
            rows = published(recordings, found)
            if not any(row.candidates for row in rows.rows):
                raise UserError(f"{found.explanations} holds no explanation of the {len(rows):,} {kind}; expected LAYER/NEURON.jsonl")
            write_explanations(explanations, rows)
    rest = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in layout.left_out.items() if count)
    typer.echo(
        f"{len(recordings):,} {kind} with {len(layout.slots)} excerpts of {layout.tokens} tokens in {out}"
        + (f"; left out {rest}" if rest else "")
    )
