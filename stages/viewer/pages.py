"""Every chunk of data the pages ask for, by name: written by `site`, made on demand by `view`."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from stages.artifacts.status import CODES
from stages.errors import UserError
from stages.viewer import corpus, neurons, overview, summary
from stages.viewer.encode import NAME, chunk, packed
from stages.viewer.result import Result

SCHEMA = 1
"""Of the chunks; the page refuses another."""


class Pages:
    """The data of a result's pages."""

    def __init__(self, result: Result, mode: str) -> None:
        """`mode` is `view`, `site` or `report`: what the pages say about what they cannot do."""
        self.result = result
        self.mode = mode
        self.block = neurons.block_size(result)

    @cached_property
    def shards(self) -> list[int]:
        """Page rows at which a shard of the overview begins, and the end."""
        return overview.shards(self.result)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many chunks there are of each kind that comes in several."""
        recordings = self.result.recordings
        return {
            "rows": len(self.shards) - 1,
            "neurons": -(-len(self.result.rows) // self.block),
            "excerpts": -(-len(recordings.corpus) // corpus.excerpts_per_shard(recordings)),
            "pieces": -(-len(recordings.vocabulary) // corpus.PIECES),
        }

    def names(self) -> Iterator[str]:
        """Every chunk there is."""
        yield "about"
        for kind, count in self.counts.items():
            yield from (f"{kind}/{number}" for number in range(count))

    def chunk(self, name: str) -> bytes:
        """One chunk as a script; raises KeyError for a name that is not in `names`."""
        if not NAME.fullmatch(name):
            raise KeyError(name)
        kind, _, number = name.partition("/")
        if kind == "about" and not number:
            return chunk(name, self.about())
        if not number or str(int(number)) != number or int(number) >= self.counts.get(kind, 0):
            raise KeyError(name)
        return chunk(name, self.part(kind, int(number)))

    def part(self, kind: str, number: int) -> Any:
        """The value of one numbered chunk."""
        if kind == "rows":
            return overview.rows(self.result, self.shards[number], self.shards[number + 1])
        if kind == "excerpts":
            return corpus.excerpts(self.result.recordings, number)
        if kind == "pieces":
            return corpus.pieces(self.result.recordings, number)
        start = number * self.block
        return neurons.block(self.result, start, min(start + self.block, len(self.result.rows)))

    def about(self) -> dict[str, Any]:
        """What every page needs first."""
        result, shown = self.result, self.result.shown
        slots = result.recordings.slots
        simulated = [{int(s) for s in variant.simulations.slots} for variant in result.variants]
        position = {int(row): page for page, row in enumerate(result.rows)}
        return {
            "schema": SCHEMA,
            "mode": self.mode,
            "name": result.name,
            "pages": len(result.rows),
            "recorded": len(result.recordings),
            "counts": self.counts,
            "block": self.block,
            "shards": self.shards,
            "excerpts_per_shard": corpus.excerpts_per_shard(result.recordings),
            "pieces_per_shard": corpus.PIECES,
            "tokens": int(result.recordings.corpus.shape[1]),
            "shown": [
                {"group": g, "kind": str(slots.kinds[s]), "split": str(slots.splits[s]), "simulated": [int(s) in v for v in simulated]}
                for s, g in zip(shown.slots, shown.groups, strict=True)
            ],
            "statuses": [["missing", "this result has no explanation of this neuron"]]
            + [[str(code), summary.MEANINGS.get(code, str(code))] for code in CODES],
            "edges": [round(float(e), 4) for e in summary.EDGES],
            "variants": [summary.summary(result, variant) for variant in result.variants],
            "layers": layers(result),
            "best": [position[int(row)] for row in summary.best(result)],
            "good": summary.GOOD,
            "strong": [position[int(row)] for row in summary.strong_but_unexplained(result)],
            "unexplained": summary.UNEXPLAINED,
        }


def layers(result: Result) -> list[dict[str, Any]]:
    """Which neurons of each layer have a page, in the order of pages; `neurons` is null where they are 0, 1, 2 and so on."""
    found, indices = result.recordings.layers[result.rows], result.recordings.indices[result.rows]
    out = []
    for layer in np.unique(found):
        start, stop = np.searchsorted(found, [layer, layer + 1])
        there = indices[start:stop].astype(np.int32)
        plain = np.array_equal(there, np.arange(len(there)))
        out.append({"layer": int(layer), "start": int(start), "count": len(there), "neurons": None if plain else packed(there)})
    return out


def checked(pages: Pages) -> Pages:
    """The same pages; raises UserError where there is no neuron to show."""
    if not len(pages.result.rows):
        raise UserError("the result holds no neuron; raise record.neurons in params.yaml and run `dvc repro`")
    return pages
