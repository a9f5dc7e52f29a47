"""Recordings: which excerpts a unit fires on, and how much, for many units of one kind, as arrays.

A folder:
    recordings.json     schema, version, kind of the units, subject, excerpt length, the slots, what was dropped
    corpus.parquet      one row per excerpt: document, start, tokens
    vocabulary.parquet  one row per token id: its bytes
    neurons.parquet     one row per neuron: place and statistics
    excerpts.npy        int32 (neuron, slot): row in the corpus table
    activations.npy     float16 (neuron, slot, token)
    table_tokens.npy    int32 (entry): the token ids that have a mean, ascending
    table_counts.npy    int32 (entry): how often each occurs in the excerpts that are not held out
    token_means.npy     float16 (neuron, entry): mean activation, the neuron's score excerpts and all that are held out left out;
                        NaN where nothing is left
    promoted.npy        int32 (neuron, side, token): the tokens that a unit promotes most (0) and suppresses most (1)
    promoted_logits.npy float16 (neuron, side, token): what a value of one does to their logits, up to the scale of the last norm
    key_places.npy      int16 (neuron, slot, key): of heads, the tokens that the excerpt's strongest token reads
    key_norms.npy       float16 (neuron, slot, key): the norm of what the head writes for each
Of latents, most of which are zero at most tokens, activations and token_means are kept sparse (artifacts/sparse.py).

A *slot* is a place in every neuron's row of excerpts; the layout is the same for all neurons:
the strongest excerpts first, then the random ones.

Where documents are dealt (`about.split_by`), about a quarter of the excerpts is held out with their documents. The score split has the
strongest and some random ones of these, the other splits have the strongest and some random ones of the rest. Each split's top excerpts
are in order of strength; with windows dealt, all top excerpts are.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float16, Int, Int32

from neurogloss.artifacts.files import open_array, read_json, read_table, understood, write_array, write_json, write_table, written
from neurogloss.artifacts.sparse import SparseRows, open_rows, write_rows
from neurogloss.artifacts.units import Noun, UnitKind, noun, unit_name
from neurogloss.errors import UserError

SCHEMA = "neurogloss.recordings"
VERSION = 3


class Split(StrEnum):
    """What an excerpt may be used for. `FIT` is the surplus beyond what is dealt: fitted on, never scored on."""

    EXPLAIN = "explain"
    CALIBRATE = "calibrate"
    SELECT = "select"
    SCORE = "score"
    FIT = "fit"


OPEN_SPLITS = tuple(split for split in Split if split is not Split.SCORE)
"""What may be looked at before the score: by an explainer, a peak, a table, a calibration, a choice."""


class Kind(StrEnum):
    """How an excerpt came to a neuron: by strength, or drawn at random."""

    TOP = "top"
    RANDOM = "random"


@dataclass(frozen=True)
class Slots:
    """The layout of a neuron's excerpts, the same for every neuron."""

    kinds: tuple[Kind, ...]
    splits: tuple[Split, ...]

    def __post_init__(self) -> None:
        if len(self.kinds) != len(self.splits):
            raise ValueError(f"{len(self.kinds)} kinds but {len(self.splits)} splits")

    def __len__(self) -> int:
        return len(self.kinds)

    def where(self, *splits: Split, kind: Kind | None = None) -> Int[np.ndarray, " slot"]:
        """Positions of the slots of these splits (and kind), ascending: top before random."""
        return np.array(
            [i for i, (k, s) in enumerate(zip(self.kinds, self.splits, strict=True)) if s in splits and kind in (None, k)],
            dtype=np.int64,
        )


def assign_splits(top: int, random: int, per_split: int) -> Slots:
    """Deal excerpts to splits in turn, as Bills et al. 2023 do; what exceeds `per_split` is surplus.

    >>> [str(s) for s in assign_splits(top=6, random=4, per_split=1).splits]
    ['explain', 'calibrate', 'select', 'score', 'fit', 'fit', 'calibrate', 'select', 'score', 'fit']
    """
    tops = (Split.EXPLAIN, Split.CALIBRATE, Split.SELECT, Split.SCORE)
    randoms = (Split.CALIBRATE, Split.SELECT, Split.SCORE)
    splits = [tops[i % 4] if i < 4 * per_split else Split.FIT for i in range(top)]
    splits += [randoms[i % 3] if i < 3 * per_split else Split.FIT for i in range(random)]
    return Slots((Kind.TOP,) * top + (Kind.RANDOM,) * random, tuple(splits))


NEURONS = pa.schema(
    [
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("neuron", pa.int32(), nullable=False),
        pa.field("mean", pa.float64(), nullable=False),
        pa.field("variance", pa.float64(), nullable=False),
        pa.field("skewness", pa.float64()),  # None where the neuron is constant
        pa.field("kurtosis", pa.float64()),
        pa.field("above_zero_share", pa.float64(), nullable=False),  # share of tokens above zero
        pa.field(
            "firing_share", pa.float64(), nullable=False
        ),  # share of tokens at level 1 or above, over random excerpts outside of score
        pa.field("maximum", pa.float64(), nullable=False),  # over the top and random excerpts that may be looked at (no score split)
        pa.field("peak", pa.float64()),  # strongest activation of the explain split; None where it is not above zero
    ]
)
CORPUS = pa.schema(
    [
        pa.field("document", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("tokens", pa.list_(pa.int32()), nullable=False),
    ]
)
VOCABULARY = pa.schema([pa.field("piece", pa.binary(), nullable=False)])


@dataclass(frozen=True)
class Promoted:
    """Tokens whose logits a unit raises most by what it writes (0) and lowers most (1), among those of the token table."""

    tokens: Int32[np.ndarray, "neuron side token"]
    """Ids, the strongest first; -1 where what the unit writes does not follow from weights."""
    logits: Float16[np.ndarray, "neuron side token"]
    """For a value of one, up to the scale of the last norm."""


SHOWN = 0.05
"""Of the first key's norm: keys with less are kept and not shown."""


@dataclass(frozen=True)
class Keys:
    """What heads read at the strongest token of each of their excerpts, the query."""

    places: Int[np.ndarray, "neuron slot key"]
    """Tokens of the excerpt, the one that makes up most of what the head writes first."""
    norms: Float16[np.ndarray, "neuron slot key"]
    """Of what the head writes for the key; 0 where nothing is read, as after the query."""

    @staticmethod
    def shares(norms: Float16[np.ndarray, "... key"]) -> np.ndarray:
        """Each key's norm as a share of the first one's, float64 (..., key); 0 below SHOWN, which is nothing to a reader."""
        values = np.asarray(norms, np.float64)
        found = values / np.maximum(values.max(axis=-1, keepdims=True), np.finfo(np.float16).tiny)
        return np.where(found >= SHOWN, found, 0.0)


@dataclass(frozen=True)
class Recordings:
    """Activations of many neurons on their own excerpts. Arrays are memory-mapped: take rows, not wholes."""

    layers: Int[np.ndarray, " neuron"]
    """Layer of each neuron, ascending; 0 is nearest to the input."""
    indices: Int[np.ndarray, " neuron"]
    """Index in the layer, ascending within it; below zero is the negative side of a neuron (artifacts/units.py)."""
    statistics: pa.Table
    """The NEURONS columns, one row per neuron."""
    peaks: np.ndarray
    """float64 (neuron): strongest activation of the explain split, NaN where the neuron never fires there."""
    slots: Slots
    corpus: Int32[np.ndarray, "excerpt token"]
    documents: pa.Table
    """`document` and `start` of each excerpt."""
    vocabulary: list[bytes]
    """Bytes of each token id; may be half a character."""
    excerpts: Int32[np.ndarray, "neuron slot"]
    activations: Float16[np.ndarray, "neuron slot token"] | SparseRows
    """The subject model's own unit."""
    table_tokens: Int32[np.ndarray, " entry"]
    table_counts: Int32[np.ndarray, " entry"]
    token_means: Float16[np.ndarray, "neuron entry"] | SparseRows
    about: dict[str, Any]
    """The header: subject, dropped counts and the like."""
    kind: UnitKind = UnitKind.NEURONS
    """What the units are."""
    promoted: Promoted | None = None
    """None in recordings that were not made here or are older."""
    keys: Keys | None = None
    """Of heads alone."""

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def silent(self) -> Bool[np.ndarray, " neuron"]:
        """Neurons without a peak."""
        return np.asarray(np.isnan(self.peaks))

    def tokens(self, neuron: int, slots: Int[np.ndarray, " slot"]) -> Int32[np.ndarray, "slot token"]:
        """Token ids of a neuron's excerpts. `neuron` is a row of this object, not an index in the layer."""
        return np.asarray(self.corpus[self.excerpts[neuron, slots]])

    def text(self, token: int) -> str:
        """A token as text; half a character shows as the replacement character."""
        return self.vocabulary[token].decode("utf-8", errors="replace")

    def row(self, layer: int, index: int) -> int:
        """Row of a neuron, or KeyError."""
        rows = np.flatnonzero((self.layers == layer) & (self.indices == index))
        if not len(rows):
            raise KeyError(unit_name(layer, index, self.kind))
        return int(rows[0])

    def promoted_texts(self, row: int, side: int = 0) -> list[str]:
        """Tokens that a unit promotes (side 0) or suppresses (1), the strongest first; empty where they are not known."""
        return [] if self.promoted is None else [self.text(int(token)) for token in self.promoted.tokens[row, side] if token >= 0]

    @property
    def noun(self) -> Noun:
        """What the units are called: neurons, latents, neuron sides."""
        return noun(self.kind, bool((np.asarray(self.indices) < 0).any()))

    def name(self, row: int) -> str:
        """How the unit of a row is called: L5.N131."""
        return unit_name(int(self.layers[row]), int(self.indices[row]), self.kind)


def write_recordings(path: Path, recordings: Recordings) -> None:
    """Write the folder in one go; large arrays are copied block by block."""
    with written(path) as folder:
        folder.mkdir()
        for key in ("excerpts", "activations", "table_tokens", "table_counts", "token_means"):
            write_rows(folder, key, getattr(recordings, key))
        write_promoted(folder, recordings.promoted)
        if recordings.keys is not None:
            write_array(folder / "key_places.npy", recordings.keys.places)
            write_array(folder / "key_norms.npy", recordings.keys.norms)
        write_frame(folder, recordings)


def write_promoted(folder: Path, promoted: Promoted | None) -> None:
    """Write promoted.npy and promoted_logits.npy, where there are any."""
    if promoted is not None:
        write_array(folder / "promoted.npy", promoted.tokens)
        write_array(folder / "promoted_logits.npy", promoted.logits)


def write_frame(folder: Path, recordings: Recordings) -> None:
    """Write all but the large arrays: tables and the header, the header last."""
    corpus = pa.table(
        {
            "document": recordings.documents["document"],
            "start": recordings.documents["start"],
            "tokens": pa.array(list(recordings.corpus), pa.list_(pa.int32())),
        }
    )
    write_table(folder / "corpus.parquet", corpus, CORPUS, SCHEMA + ".corpus", VERSION)
    write_table(
        folder / "vocabulary.parquet",
        pa.table({"piece": pa.array(recordings.vocabulary, pa.binary())}),
        VOCABULARY,
        SCHEMA + ".vocabulary",
        VERSION,
    )
    write_table(folder / "neurons.parquet", recordings.statistics, NEURONS, SCHEMA + ".neurons", VERSION)
    header = {
        "schema": SCHEMA,
        "version": VERSION,
        "units": str(recordings.kind),
        "slots": [{"kind": str(k), "split": str(s)} for k, s in zip(recordings.slots.kinds, recordings.slots.splits, strict=True)],
        "about": recordings.about,
    }
    write_json(folder / "recordings.json", header)


def read_recordings(path: Path) -> Recordings:
    """Open the folder; arrays stay on disk. UserError where a part is missing, damaged or of another run."""
    with understood(path):
        found = parts(path)
    check_parts(path, found)
    return found


def parts(path: Path) -> Recordings:
    """What the files of the folder hold."""
    header = read_json(path / "recordings.json", SCHEMA, VERSION)
    neurons = read_table(path / "neurons.parquet", SCHEMA + ".neurons", VERSION)
    corpus = read_table(path / "corpus.parquet", SCHEMA + ".corpus", VERSION)
    tokens, table_tokens = corpus["tokens"].combine_chunks(), open_array(path / "table_tokens.npy")
    length = len(tokens[0]) if len(tokens) else 0
    return Recordings(
        layers=neurons["layer"].to_numpy(),
        indices=neurons["neuron"].to_numpy(),
        statistics=neurons,
        peaks=neurons["peak"].to_numpy(zero_copy_only=False).astype(np.float64),
        slots=Slots(tuple(Kind(s["kind"]) for s in header["slots"]), tuple(Split(s["split"]) for s in header["slots"])),
        corpus=tokens.flatten().to_numpy().reshape(len(tokens), -1),
        documents=corpus.select(["document", "start"]),
        vocabulary=read_table(path / "vocabulary.parquet", SCHEMA + ".vocabulary", VERSION)["piece"].to_pylist(),
        excerpts=open_array(path / "excerpts.npy"),
        activations=open_rows(path, "activations", (len(header["slots"]), length)),
        table_tokens=table_tokens,
        table_counts=open_array(path / "table_counts.npy"),
        token_means=open_rows(path, "token_means", (len(table_tokens),)),
        about=header["about"],
        kind=UnitKind(header.get("units", UnitKind.NEURONS)),
        promoted=Promoted(open_array(path / "promoted.npy"), open_array(path / "promoted_logits.npy"))
        if (path / "promoted.npy").exists()
        else None,
        keys=Keys(open_array(path / "key_places.npy"), open_array(path / "key_norms.npy")) if (path / "key_places.npy").exists() else None,
    )


def check_parts(path: Path, found: Recordings) -> None:
    """Raise UserError where an array is not of the size that the tables and the header speak of: a part of another run."""
    neurons, slots, length, entries = len(found), len(found.slots), found.corpus.shape[1], len(found.table_tokens)
    expected: dict[str, tuple[int, ...]] = {
        "excerpts": (neurons, slots),
        "activations": (neurons, slots, length),
        "token_means": (neurons, entries),
        "table_counts": (entries,),
    }
    for key, shape in expected.items():
        if (got := getattr(found, key).shape) != shape:
            raise UserError(f"{path / key}.npy is {got}, expected {shape}: it is of another run; remove {path} and run `dvc repro`")
