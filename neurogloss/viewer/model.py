"""What pages show that needs the subject itself: weights, words by meaning, typed text. Loaded when first asked for."""

import logging
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurogloss.artifacts.units import UnitKind
from neurogloss.config.subject import SubjectParams
from neurogloss.errors import UserError
from neurogloss.viewer import meaning
from neurogloss.viewer.encode import spelled
from neurogloss.viewer.result import ViewedResult
from neurogloss.viewer.similar import listed, neighbours
from neurogloss.viewer.strongest import Strongest, pairs, strongest
from neurogloss.viewer.weights import NEURONS, Lexicon, Weights, lens, lexicon

logger = logging.getLogger(__name__)


class Model:
    """The subject of a result. Every use raises UserError where it cannot be loaded, always with the same words."""

    def __init__(self, result: ViewedResult, load: Callable[[], Any] | None = None) -> None:
        """`load` gives a `neurogloss.subject.model.Subject`; by default the one the recordings name."""
        self.result = result
        self.load = load or (lambda: recorded_subject(result))
        self.lock = threading.RLock()
        self.failure: UserError | None = None

    @cached_property
    def loaded(self) -> Any:
        """The subject."""
        return self.load()

    @property
    def subject(self) -> Any:
        """The subject, loaded once; a failure is remembered."""
        with self.lock:
            if self.failure is not None:
                raise self.failure
            try:
                return self.loaded
            except UserError as error:
                self.failure = error
                raise

    @cached_property
    def weights(self) -> Weights:
        """Its weights."""
        return Weights(self.subject.model, self.subject.sites)

    @property
    def has_weights(self) -> bool:
        """Whether each unit has input and output weights of its own: neurons do, their negative sides and other kinds do not."""
        recordings = self.result.recordings
        return recordings.kind is UnitKind.NEURONS and bool((np.asarray(recordings.indices) >= 0).all())

    @cached_property
    def tokens(self) -> Int[np.ndarray, " token"]:
        """Tokens the lens is shown for: those that have a mean, which are the corpus' most frequent."""
        return np.asarray(self.result.recordings.table_tokens)

    @cached_property
    def lexicon(self) -> Lexicon:
        """Their vectors."""
        return lexicon(self.weights, self.tokens)

    @cached_property
    def words(self) -> meaning.WordVectors:
        """Vectors of words."""
        recordings = self.result.recordings
        total = max(1, int(recordings.table_counts.sum()))
        shares = {int(t): int(c) / total for t, c in zip(recordings.table_tokens, recordings.table_counts, strict=True)}
        texts = [text for variant in self.result.variants for text in variant.texts(self.result.rows)]
        return meaning.word_vectors(texts, self.subject, self.weights.embedding, shares)

    @cached_property
    def texts(self) -> Float[np.ndarray, "page width"]:
        """Vectors of the explanations."""
        return meaning.text_vectors(self.result.variants[0].texts(self.result.rows), self.words)

    def ready(self) -> None:
        """Load what pages ask of it; raises UserError where that is not possible."""
        with self.lock:
            _ = self.weights, self.texts

    def word_shards(self) -> int:
        """How many parts the words come in."""
        with self.lock:
            return -(-len(self.words.words) // meaning.SHARD)

    def words_part(self, number: int) -> dict[str, Any]:
        """One part of the words."""
        with self.lock:
            return meaning.shard(self.words, number)

    def block(self, start: int, stop: int) -> dict[str, Any]:
        """Tokens, connected neurons and neurons of like explanation of these page rows."""
        if not self.has_weights:
            with self.lock:
                near = neighbours(self.texts, start, stop)
            return {"tokens": None, "explanation": [listed(near, n) for n in range(stop - start)]}
        with self.lock:  # What blocks have in common is made once.
            _ = self.texts, self.weights.layers, self.lexicon
        near = neighbours(self.texts, start, stop)
        links = self.links(start, stop)
        return {
            "tokens": self.lenses(start, stop),
            "among": len(self.tokens),
            "explanation": [listed(near, n) for n in range(stop - start)],
            **{name: [listed(found, n, signed=True) for n in range(stop - start)] for name, found in links.items()},
        }

    def lenses(self, start: int, stop: int) -> list[dict[str, list[list[Any]]]]:
        """Per page row the tokens its weights favour and disfavour, with strengths."""
        recordings, rows = self.result.recordings, self.result.rows[start:stop]
        pieces = recordings.vocabulary
        found: list[dict[str, list[list[Any]]]] = []
        for layer in np.unique(recordings.layers[rows]):
            neurons = recordings.indices[rows[recordings.layers[rows] == layer]]
            seen = lens(self.weights, self.lexicon, int(layer), neurons)
            for n in range(len(neurons)):
                found.append(
                    {name: [[spelled(pieces[self.tokens[c]]), v] for c, v in pairs(part, n)] for name, part in seen._asdict().items()}
                )
        return found

    def links(self, start: int, stop: int) -> dict[str, Strongest]:
        """The neurons with a page that these page rows read from and write to most, by the size of the weight, its sign kept."""
        recordings, rows = self.result.recordings, self.result.rows
        layers, indices = recordings.layers[rows], recordings.indices[rows]
        at = np.arange(start, stop)
        reads, writes = self.gathered(at, "reads"), self.gathered(at, "writes")
        upstream, downstream = (np.zeros((len(at), len(rows)), np.float32) for _ in range(2))
        for layer in np.unique(layers):
            first, last = np.searchsorted(layers, [layer, layer + 1])
            there, own = self.weights.layers[int(layer)], indices[first:last]
            plain = len(own) == len(there.reads)
            later, earlier = layers[at] > layer, layers[at] < layer
            if later.any():
                upstream[later, first:last] = reads[later] @ (there.writes if plain else there.writes[own]).T
            if earlier.any():
                downstream[earlier, first:last] = writes[earlier] @ (there.reads if plain else there.reads[own]).T
        return {"upstream": by_size(upstream), "downstream": by_size(downstream)}

    def gathered(self, at: Int[np.ndarray, " page"], which: str) -> Float[np.ndarray, "page width"]:
        """The input or output weights of these page rows."""
        recordings, rows = self.result.recordings, self.result.rows[at]
        return np.stack([getattr(self.weights.layers[recordings.layers[r]], which)[recordings.indices[r]] for r in rows])


def recorded_subject(result: ViewedResult) -> Any:
    """The subject that the recordings were made of."""
    from neurogloss.subject.model import load_subject

    named = result.recordings.about.get("subject")
    if not isinstance(named, dict):
        raise UserError("the recordings do not say which model they were made of")
    return load_subject(SubjectParams.model_validate(named))


def by_size(values: Float[np.ndarray, "row column"]) -> Strongest:
    """The largest by absolute value, with their signs."""
    found = strongest(np.abs(values), NEURONS)
    return Strongest(found.columns, np.take_along_axis(values, found.columns, axis=1))
