"""Made-up results: small ones with every case in them, and ones of any size that cost little to write."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neurogloss.artifacts import recordings as recorded
from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import EXPLANATIONS, Explanation, explanations, write_explanations
from neurogloss.artifacts.explanations import SCHEMA as EXPLAINED
from neurogloss.artifacts.explanations import VERSION as EXPLAINED_VERSION
from neurogloss.artifacts.files import write_table, written
from neurogloss.artifacts.recordings import Recordings, Split, assign_splits, write_recordings
from neurogloss.artifacts.scores import CLASSIFIERS, SCORES, write_scores
from neurogloss.artifacts.simulations import Simulations, write_simulations
from neurogloss.artifacts.status import CODES, Status
from tests.tiny import random_recordings

WORDS = [
    *("river", "mountain", "winter", "music", "number", "colour", "island", "animal", "city", "battle"),
    *("year", "law", "money", "king", "church", "war", "school", "game", "ship", "star"),
]
HOSTILE = [
    "<script>window.hit = 1</script><img src=x onerror='window.hit = 2'>",
    "</script><script>window.hit = 3</script>",
    "quotes \" ' ` and ${window.hit = 4} and &lt;b&gt;",
    "right\u202eto left\u202c and \u200f marks",
    "emoji 👩‍👩‍👧 🇪🇺 and controls \x00\x07\x1b[31m",
    "line\u2028and\u2029paragraph\nnew\ttab",
]


def small(
    folder: Path, hostile: bool = False, layers: int = 3, per_layer: int = 6, seed: int = 0, subject: dict[str, Any] | None = None
) -> Path:
    """A result with a silent neuron, a refused explanation, a failed simulation; with `hostile`, text that tries to be code."""
    found = random_recordings(layers=layers, per_layer=per_layer, tokens=12, excerpts=90)
    about: dict[str, Any] = {"subject": subject or "made-up model"}
    if hostile:
        pieces = [text.encode() for text in HOSTILE] + [b"\xe2\x82", b"\xff", b"", b"<b>", "שלום".encode()]
        vocabulary = pieces + found.vocabulary[len(pieces) :]
        documents = found.documents.set_column(0, "document", pa.array([HOSTILE[i % len(HOSTILE)] for i in range(len(found.corpus))]))
        found = replace(found, vocabulary=vocabulary, documents=documents)
        about = {"subject": HOSTILE[0]}
    found = replace(found, about=about)
    write_recordings(folder / "data" / "recordings", found)
    write_variant(folder, found, seed, HOSTILE if hostile else [])
    return folder


def write_variant(folder: Path, found: Recordings, seed: int, texts: list[str]) -> None:
    """Explanations, simulations and scores of these recordings."""
    rng = np.random.default_rng(seed)
    rows = []
    for row in range(len(found)):
        words = [WORDS[i] for i in rng.choice(len(WORDS), 3, replace=False)]
        kept = Candidate(texts[row % len(texts)] if texts else f"the {words[0]} and the {words[1]}, {words[2]}", Status.OK, 0.3)
        if found.silent[row]:
            kept = Candidate(None, Status.SILENT)
        elif row == 1:
            kept = Candidate(None, Status.REFUSED)
        others = (kept, Candidate("something else", Status.OK, 0.1)) if kept.text else ()
        rows.append(Explanation(int(found.layers[row]), int(found.indices[row]), kept, others))
    write_explanations(folder / "data" / "explanations.parquet", explanations(rows))
    fine = np.array([row.kept.text is not None for row in rows])
    places = found.slots.where(Split.CALIBRATE, Split.SCORE)
    peaks = np.nan_to_num(found.peaks, nan=1.0)[:, None, None]
    clean = np.clip(found.activations[:, places].astype(float) / peaks * 10, 0, 10)
    noise = rng.gamma(1.0, 1.0, clean.shape) * np.arange(len(found))[:, None, None] / 4
    status = np.full(clean.shape[:2], CODES.index(Status.OK), np.uint8)
    status[~fine] = CODES.index(Status.NO_EXPLANATION)
    status[2, 1] = CODES.index(Status.UNPARSABLE)
    levels = np.where((status == CODES.index(Status.OK))[:, :, None], np.clip(clean + noise, 0, 10), np.nan).astype(np.float16)
    simulations = Simulations("made_up", found.layers.astype(np.int32), found.indices.astype(np.int32), places, levels, status)
    write_simulations(folder / "data" / "simulations", simulations)
    score = np.where(fine, 0.95 - np.arange(len(found)) * 0.05 - seed * (np.arange(len(found)) % 4 - 0.5) * 0.01, np.nan)
    names = [str(row.kept.status) for row in rows]
    write_scores(folder / "data" / "scores.parquet", score_table(found.layers, found.indices, names, score, len(places)))


def score_table(layers: np.ndarray, indices: np.ndarray, statuses: list[str], score: np.ndarray, excerpts: int) -> pa.Table:
    """All the columns, made from one."""

    def column(values: np.ndarray) -> pa.Array:
        return pa.array(values, pa.float64(), from_pandas=True)

    floats = {
        "top_and_random": score,
        "random_only": score - 0.1,
        "top_only": score - 0.2,
        "ci_low": score - 0.08,
        "ci_high": np.minimum(score + 0.07, 1),
        "variance_explained": score**2,
        "token_table": np.where(np.isnan(score), np.nan, 0.3),
        "control": score * 0.01,
        "margin": score * 0.99,
        "sensitivity": np.where(np.isnan(score), np.nan, 0.1),
    }
    table = pa.table(
        {
            "layer": pa.array(layers, pa.int32()),
            "neuron": pa.array(indices, pa.int32()),
            "status": pa.array(statuses),
            "excerpts": pa.array(np.full(len(score), excerpts), pa.int32()),
        }
        | {name: column(values) for name, values in floats.items()}
        | {field.name: pa.nulls(len(score), field.type) for field in SCORES if field.name.split("_")[0] in (*CLASSIFIERS, "ablation")}
    )
    return table.select(SCORES.names)


def large(folder: Path, layers: int, per_layer: int, top: int, random: int, subject: dict[str, Any] | None = None) -> Path:
    """A result of `layers * per_layer` neurons in the true layout; the neurons of a block of 512 repeat."""
    rng = np.random.default_rng(0)
    count, slots, vocabulary, excerpts = layers * per_layer, assign_splits(top, random, 5), 49152, 4000
    tokens, entries = 64, 2048
    layer, neuron = np.repeat(np.arange(layers), per_layer), np.tile(np.arange(per_layer), layers)
    block = 512
    one = np.maximum(rng.normal(-0.5, 1, (block, len(slots), tokens)), -0.2).astype(np.float16)
    target = folder / "data" / "recordings"
    with written(target) as place:
        place.mkdir()
        fill(place / "activations.npy", (count, len(slots), tokens), one)
        fill(place / "excerpts.npy", (count, len(slots)), rng.integers(0, excerpts, (block, len(slots))).astype(np.int32))
        fill(place / "token_means.npy", (count, entries), rng.normal(0, 1, (block, entries)).astype(np.float16))
        np.save(place / "table_tokens.npy", np.arange(entries, dtype=np.int32))
        np.save(place / "table_counts.npy", rng.integers(1, 900, entries).astype(np.int32))
        numbers = ("mean", "variance", "skewness", "kurtosis", "above_zero_share", "firing_share", "maximum", "peak")
        statistics = {name: rng.random(count) for name in numbers}
        table = pa.table({"layer": pa.array(layer, pa.int32()), "neuron": pa.array(neuron, pa.int32())} | statistics)
        recorded.write_frame(
            place,
            Recordings(
                layers=layer,
                indices=neuron,
                statistics=table,
                peaks=statistics["peak"],
                slots=slots,
                corpus=rng.integers(0, vocabulary, (excerpts, tokens)).astype(np.int32),
                documents=pa.table({"document": [f"d{i // 30}" for i in range(excerpts)], "start": pa.array([0] * excerpts, pa.int32())}),
                vocabulary=[f" {WORDS[i % 20]}{i}".encode() for i in range(vocabulary)],
                excerpts=np.zeros(0, np.int32),
                activations=np.zeros(0, np.float16),
                table_tokens=np.zeros(0, np.int32),
                table_counts=np.zeros(0, np.int32),
                token_means=np.zeros(0, np.float16),
                about={"subject": subject or "made-up model"},
            ),
        )
    large_variant(folder, layer, neuron, slots.where(Split.CALIBRATE, Split.SCORE), tokens, rng)
    return folder


def large_variant(folder: Path, layer: np.ndarray, neuron: np.ndarray, places: np.ndarray, tokens: int, rng: np.random.Generator) -> None:
    """Explanations, simulations and scores for `large`."""
    count = len(layer)
    picked = rng.integers(0, len(WORDS), (count, 4))
    texts = [f"{WORDS[a]}, {WORDS[b]} and what belongs to {WORDS[c]} or {WORDS[d]} {i % 997}" for i, (a, b, c, d) in enumerate(picked)]
    kind = EXPLANATIONS.field("candidates").type
    columns = {"layer": pa.array(layer, pa.int32()), "neuron": pa.array(neuron, pa.int32()), "status": ["ok"] * count, "text": texts}
    columns |= {"select_score": pa.array(rng.random(count)), "candidates": pa.array([[]] * count, kind)}
    write_table(folder / "data" / "explanations.parquet", pa.table(columns), EXPLANATIONS, EXPLAINED, EXPLAINED_VERSION)
    with written(folder / "data" / "simulations") as place:
        levels = rng.gamma(0.5, 1.0, (512, len(places), tokens)).clip(0, 10).astype(np.float16)
        few = Simulations(
            "made_up", layer[:512].astype(np.int32), neuron[:512].astype(np.int32), places, levels, np.zeros(levels.shape[:2], np.uint8)
        )
        write_simulations(place, few)
        fill(place / "levels.npy", (count, len(places), tokens), levels)
        np.save(place / "layers.npy", layer.astype(np.int32))
        np.save(place / "indices.npy", neuron.astype(np.int32))
        np.save(place / "status.npy", np.zeros((count, len(places)), np.uint8))
    score = np.clip(rng.normal(0.2, 0.2, count) - layer * 0.004, -1, 1)
    write_scores(folder / "data" / "scores.parquet", score_table(layer, neuron, ["ok"] * count, score, len(places)))


def fill(path: Path, shape: tuple[int, ...], block: np.ndarray) -> None:
    """An array on disk, one block over and over."""
    target = np.lib.format.open_memmap(path, mode="w+", dtype=block.dtype, shape=shape)
    for start in range(0, shape[0], len(block)):
        target[start : start + len(block)] = block[: shape[0] - start]
    target.flush()
