"""Every chunk of data the pages ask for, by name: written by `site`, made on demand by `view`."""

import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from neurogloss.artifacts.status import CODES
from neurogloss.errors import UserError
from neurogloss.viewer import corpus, neurons, overview, similar, summary
from neurogloss.viewer.asked import Asked
from neurogloss.viewer.differences import differences
from neurogloss.viewer.encode import NAME, chunk, packed
from neurogloss.viewer.meaning import SIGNS
from neurogloss.viewer.result import ViewedResult

SCHEMA = 2
"""Of the chunks; the page refuses another."""


class PageModel(Protocol):
    """What pages ask of the subject: `neurogloss.viewer.model.Model`. Everything raises UserError where the subject cannot be loaded."""

    def ready(self) -> None:
        """Load it."""

    def block(self, start: int, stop: int) -> dict[str, Any]:
        """What its weights and embeddings say of these page rows."""

    def word_shards(self) -> int:
        """How many parts the words for search by meaning come in."""

    def words_part(self, number: int) -> dict[str, Any]:
        """One of those parts."""


class Pages:
    """The data of a result's pages."""

    def __init__(self, result: ViewedResult, mode: str, model: PageModel | None = None, asked: Asked | None = None) -> None:
        """`mode` is `view`, `site` or `report`: what the pages say about what they cannot do. Without a model they say so."""
        self.result = result
        self.mode = mode
        self.model = model
        self.asked = asked if asked is not None and asked.any else None
        self.block = neurons.block_size(result)
        self.lock = threading.Lock()

    @cached_property
    def shards(self) -> list[int]:
        """Page rows at which a shard of the overview begins, and the end."""
        return overview.shards(self.result)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many chunks there are of each kind that comes in several."""
        recordings = self.result.recordings
        blocks = -(-len(self.result.rows) // self.block)
        return {
            "rows": len(self.shards) - 1,
            "neurons": blocks,
            "related": blocks,
            "model": blocks,
            "asked": blocks if self.asked else 0,
            "excerpts": -(-len(recordings.corpus) // corpus.excerpts_per_shard(recordings)),
            "pieces": -(-len(recordings.vocabulary) // corpus.PIECES),
        }

    @cached_property
    def profiles(self) -> Float[np.ndarray, "page width"]:
        """What each neuron fires on."""
        return similar.profiles(self.result.recordings, self.result.rows)

    def names(self) -> Iterator[str]:
        """Every chunk there is."""
        yield "about"
        for kind, count in self.counts.items():
            yield from (f"{kind}/{number}" for number in range(count))
        if self.mode == "report":
            return
        yield "words"
        yield from (f"words/{number}" for number in range(self.word_shards()))

    def word_shards(self) -> int:
        """How many chunks of words there are; none without a model."""
        try:
            return 0 if self.model is None else self.model.word_shards()
        except UserError:
            return 0

    def chunk(self, name: str) -> bytes:
        """One chunk as a script; raises KeyError for a name that is not in `names`."""
        if not NAME.fullmatch(name):
            raise KeyError(name)
        kind, _, number = name.partition("/")
        if not number:
            whole = {"about": self.about, "words": self.words}
            return chunk(name, whole[kind]())
        known = self.word_shards() if kind == "words" else self.counts.get(kind, 0)
        if str(int(number)) != number or int(number) >= known:
            raise KeyError(name)
        return chunk(name, self.part(kind, int(number)))

    def part(self, kind: str, number: int) -> Any:
        """The value of one numbered chunk."""
        start = number * self.block
        stop = min(start + self.block, len(self.result.rows))
        made: dict[str, Callable[[], Any]] = {
            "rows": lambda: overview.rows(self.result, self.shards[number], self.shards[number + 1]),
            "excerpts": lambda: corpus.excerpts(self.result.recordings, number),
            "pieces": lambda: corpus.pieces(self.result.recordings, number),
            "neurons": lambda: neurons.block(self.result, start, stop),
            "related": lambda: self.related(start, stop),
            "model": lambda: self.of_model(start, stop),
            "asked": lambda: self.asked.block(start, stop) if self.asked else None,
            "words": lambda: self.model.words_part(number) if self.model else None,
        }
        return made[kind]()

    def words(self) -> dict[str, Any]:
        """How many chunks of words there are, or why there are none."""
        reason = self.unavailable()
        return {"unavailable": reason} if reason else {"shards": self.word_shards(), "signs": SIGNS}

    def unavailable(self) -> str | None:
        """Why the model cannot be asked, or None; loads it."""
        if self.model is None:
            return "the pages were written without it"
        try:
            self.model.ready()
        except UserError as error:
            return str(error)
        return None

    def related(self, start: int, stop: int) -> dict[str, Any]:
        """Neurons that fire on the same tokens."""
        with self.lock:  # Two requests at once must not make the profiles twice.
            profiles = self.profiles
        near = similar.neighbours(profiles, start, stop)
        found = {"start": start, "activation": [similar.listed(near, n) for n in range(stop - start)]}
        return found | {"known": self.known(found)}

    def of_model(self, start: int, stop: int) -> dict[str, Any]:
        """What the model's weights and embeddings say, or why they cannot."""
        reason = self.unavailable()
        if reason or self.model is None:
            return {"start": start, "unavailable": reason}
        try:
            found = {"start": start, **self.model.block(start, stop)}
        except UserError as error:
            return {"start": start, "unavailable": str(error)}
        return found | {"known": self.known(found)}

    def known(self, found: dict[str, Any]) -> dict[str, list[Any]]:
        """Explanation and score of each neuron that is mentioned."""
        lists = [found.get(kind, []) for kind in ("activation", "explanation", "upstream", "downstream")]
        pages = np.array(sorted({page for kind in lists for row in kind for page, _ in row}), np.int64)
        variant = self.result.variants[0]
        rows = self.result.rows[pages]
        score = variant.scores["top_and_random"][rows]
        texts = variant.texts(rows)
        return {str(p): [t, round(float(s), 3) if np.isfinite(s) else None] for p, t, s in zip(pages, texts, score, strict=True)}

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
            "unit": {"letter": result.recordings.kind.letter, **result.recordings.noun._asdict()},
            "coders": coders(result),
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
            "statuses": [["missing", f"this result has no explanation of this {result.recordings.noun.one}"]]
            + [[code.label, summary.MEANINGS.get(code, code.label)] for code in CODES],
            "edges": [round(float(e), 4) for e in summary.EDGES],
            "variants": [summary.summary(result, variant) for variant in result.variants],
            "differences": differences(result),
            "layers": layers(result),
            "best": [position[int(row)] for row in summary.best(result)],
            "good": summary.GOOD,
            "strong": [position[int(row)] for row in summary.strong_but_unexplained(result)],
            "unexplained": summary.UNEXPLAINED,
        }


def coders(result: ViewedResult) -> list[list[Any]]:
    """Of latents: layer, format, share of the variance that they explain, how many fire at a token, how many there are, how many never."""
    recordings, found = result.recordings, []
    never = recordings.statistics["above_zero_share"].to_numpy() == 0
    for coder in recordings.about.get("sae", []):
        dead = int(never[recordings.layers == coder["layer"]].sum())
        found.append([*(coder[key] for key in ("layer", "format", "variance_explained", "l0", "latents")), dead])
    return found


def layers(result: ViewedResult) -> list[dict[str, Any]]:
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
        raise UserError("the result holds no unit; raise record.neurons in params.yaml and run `dvc repro`")
    return pages
