"""From the public JSON formats to recordings: two passes over the files, one neuron in memory at a time.

The layout of slots is the same for all neurons, so excerpts of the commonest length are kept and as many top and random ones as most
neurons have; what is left out is counted in `about`. Token means come from each neuron's own excerpts, the score split left out.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from neurogloss.artifacts.files import npy_header, open_array, write_array
from neurogloss.artifacts.foreign import ActivationRecordIn, NeuronRecordIn, read_neuron
from neurogloss.artifacts.recordings import NEURONS, OPEN_SPLITS, Kind, Recordings, Slots, Split, assign_splits, write_frame
from neurogloss.artifacts.units import UnitKind
from neurogloss.errors import UserError
from neurogloss.measures.levels import firing_shares

FLOAT16_MAX = 65504.0
MOMENTS = ("mean", "variance", "skewness", "kurtosis")
Progress = Callable[[Iterable[Path], str], Iterable[Path]]


@dataclass(frozen=True)
class Neuron:
    """What the first pass learns of a file: numbers of usable excerpts by length, and the published moments."""

    path: Path
    layer: int
    index: int
    tops: Counter[int]
    randoms: Counter[int]
    moments: dict[str, float | None]


@dataclass(frozen=True)
class ImportLayout:
    """What all neurons have in common, and which of them have enough."""

    tokens: int
    slots: Slots
    neurons: list[Neuron]
    left_out: dict[str, int]


def enough_excerpts(record: NeuronRecordIn) -> tuple[list[ActivationRecordIn], list[ActivationRecordIn]]:
    """Top and random excerpts with a number for every token, none twice: an excerpt in two splits would leak."""
    seen: set[tuple[str, ...]] = set()
    kept: tuple[list[ActivationRecordIn], list[ActivationRecordIn]] = ([], [])
    for group, found in zip(kept, (record.most_positive_activation_records, record.random_sample), strict=True):
        for excerpt in found:
            if excerpt.usable and tuple(excerpt.tokens) not in seen:
                seen.add(tuple(excerpt.tokens))
                group.append(excerpt)
    return kept


def scan(paths: Iterable[Path]) -> tuple[list[Neuron], Counter[str]]:
    """First pass: count. Neurons sorted by layer and index; UserError for one that comes twice."""
    neurons: dict[tuple[int, int], Neuron] = {}
    counts: Counter[str] = Counter()
    for path in paths:
        record = read_neuron(path)
        key = (record.neuron_id.layer_index, record.neuron_id.neuron_index)
        if (str(key[0]), str(key[1])) != (path.parent.name.lstrip("0") or "0", path.stem.lstrip("0") or "0"):
            raise UserError(f"{path} is about layer {key[0]}, neuron {key[1]}; name it {key[0]}/{key[1]}.json, or mend its neuron_id")
        if key in neurons:
            raise UserError(f"{path} and {neurons[key].path} are both about layer {key[0]}, neuron {key[1]}; remove one")
        top, random = enough_excerpts(record)
        counts["excerpts"] += len(top) + len(random)
        counts["unusable_excerpts"] += len(record.most_positive_activation_records) + len(record.random_sample) - len(top) - len(random)
        moments = {name: getattr(record, name) for name in MOMENTS}
        neurons[key] = Neuron(path, *key, Counter(len(e.tokens) for e in top), Counter(len(e.tokens) for e in random), moments)
    return [neurons[key] for key in sorted(neurons)], counts


def choose_layout(neurons: Sequence[Neuron], counts: Counter[str], per_split: int) -> ImportLayout:
    """The commonest length, and the numbers of top and random excerpts that keep the most of them."""
    lengths: Counter[int] = Counter()
    for neuron in neurons:
        lengths += neuron.tops + neuron.randoms
    if not lengths:
        raise UserError("no file holds an excerpt with a number for every token; expected NeuronRecord files")
    tokens = min(lengths, key=lambda length: (-lengths[length], -length))
    top = sparing([neuron.tops[tokens] for neuron in neurons], 4 * per_split)
    random = sparing([neuron.randoms[tokens] for neuron in neurons if neuron.tops[tokens] >= top], 3 * per_split)
    each = min(per_split, top // 4, random // 3)
    if each < 1:
        differ = f"; the lengths differ, from {min(lengths)} to {max(lengths)} tokens" if len(lengths) > 1 else ""
        raise UserError(
            f"most units have {top} top and {random} random excerpts of the commonest length, {tokens} tokens{differ}; "
            "splits need at least 4 and 3 of one length"
        )
    kept = [neuron for neuron in neurons if neuron.tops[tokens] >= top and neuron.randoms[tokens] >= random]
    left_out = {
        "neurons": len(neurons) - len(kept),
        "unusable_excerpts": counts["unusable_excerpts"],
        "excerpts_of_other_lengths": sum(lengths.values()) - lengths[tokens],
    }
    return ImportLayout(tokens, assign_splits(top, random, each), kept, left_out)


def sparing(counts: Sequence[int], dealt: int) -> int:
    """`most_kept`, or as many as are dealt to splits where that keeps more neurons: what lies beyond is no reason to leave one out.

    >>> sparing([40, 40, 40, 20], 20), sparing([40, 40, 40, 19], 20)
    (20, 40)
    """
    most = most_kept(counts)
    return dealt if most > dealt and sum(count >= dealt for count in counts) > sum(count >= most for count in counts) else most


def most_kept(counts: Sequence[int]) -> int:
    """The number n that keeps most excerpts when every neuron with fewer than n is left out.

    >>> most_kept([20, 20, 19, 3])
    19
    """
    ordered = np.sort(np.array(counts, dtype=np.int64))[::-1]
    return int(ordered[np.argmax(ordered * np.arange(1, len(ordered) + 1))]) if len(ordered) else 0


@dataclass
class Corpus:
    """Distinct excerpts and the tokens they are made of, in order of appearance."""

    vocabulary: dict[str, int] = field(default_factory=dict)
    rows: dict[bytes, int] = field(default_factory=dict)
    excerpts: list[Int[np.ndarray, " token"]] = field(default_factory=list)

    def row(self, tokens: Sequence[str]) -> int:
        """Row of an excerpt, a new one if it was not seen."""
        ids = np.array([self.vocabulary.setdefault(token, len(self.vocabulary)) for token in tokens], dtype=np.int32)
        key = hashlib.blake2b(ids.tobytes(), digest_size=16).digest()
        if key not in self.rows:
            self.rows[key] = len(self.excerpts)
            self.excerpts.append(ids)
        return self.rows[key]


def adopt(
    folder: Path, source: str, layout: ImportLayout, table_tokens: int, progress: Progress, kind: UnitKind = UnitKind.NEURONS
) -> Recordings:
    """Second pass: write the arrays into `folder`, then the tables and the header; gives what was written."""
    slots, corpus, clipped = layout.slots, Corpus(), 0
    tops = slots.kinds.count(Kind.TOP)
    excerpts = np.empty((len(layout.neurons), len(slots)), np.int32)

    def rows() -> Iterator[np.ndarray]:
        nonlocal clipped
        for row, path in enumerate(progress([neuron.path for neuron in layout.neurons], "import")):
            record = read_neuron(path)
            kept = [[e for e in group if len(e.tokens) == layout.tokens] for group in enough_excerpts(record)]
            chosen = kept[0][:tops] + kept[1][: len(slots) - tops]
            excerpts[row] = [corpus.row(excerpt.tokens) for excerpt in chosen]
            values = np.array([excerpt.activations for excerpt in chosen], dtype=np.float64)
            clipped += int((np.abs(values) > FLOAT16_MAX).sum())
            yield np.clip(values, -FLOAT16_MAX, FLOAT16_MAX).astype(np.float16)

    activations = fill_arrays(folder / "activations.npy", rows(), (len(layout.neurons), len(slots), layout.tokens))
    write_array(folder / "excerpts.npy", excerpts)
    tokens = np.stack(corpus.excerpts)
    table = token_means(folder, tokens, excerpts, activations, slots, table_tokens)
    statistics = statistics_table(layout, activations)
    found = Recordings(
        layers=statistics["layer"].to_numpy(),
        indices=statistics["neuron"].to_numpy(),
        statistics=statistics,
        peaks=statistics["peak"].to_numpy(zero_copy_only=False).astype(np.float64),
        slots=slots,
        corpus=tokens,
        documents=pa.table({"document": [f"{source} {i}" for i in range(len(tokens))], "start": pa.array([0] * len(tokens), pa.int32())}),
        vocabulary=[token.encode("utf-8", errors="surrogatepass") for token in corpus.vocabulary],
        excerpts=excerpts,
        activations=activations,
        table_tokens=table["table_tokens"],
        table_counts=table["table_counts"],
        token_means=table["token_means"],
        about={"subject": source, "corpus": source, "imported": True, "left_out": layout.left_out, "clipped_activations": clipped},
        kind=kind,
    )
    write_frame(folder, found)
    return found


def fill_arrays(path: Path, rows: Iterable[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """A float16 array on disk, written row by row: on a full disk a memory map would end the process instead of raising OSError."""
    with path.open("wb") as file:
        file.write(npy_header(shape, np.dtype(np.float16)))
        for row in rows:
            file.write(np.ascontiguousarray(row, np.float16).data)
    return open_array(path)


def token_means(
    folder: Path, tokens: Int[np.ndarray, "excerpt token"], excerpts: np.ndarray, activations: np.ndarray, slots: Slots, entries: int
) -> dict[str, np.ndarray]:
    """Mean activation per token over each neuron's excerpts that are not also score excerpts; the most frequent tokens only."""
    found, counts = np.unique(tokens, return_counts=True)
    kept = np.sort(np.argsort(-counts, kind="stable")[:entries])
    table_tokens, table_counts = found[kept].astype(np.int32), counts[kept].astype(np.int32)
    places = np.full(int(tokens.max()) + 1, len(kept), dtype=np.int64)
    places[table_tokens] = np.arange(len(kept))

    def rows() -> Iterator[np.ndarray]:
        for row in range(len(excerpts)):
            open_slots = ~np.isin(excerpts[row], excerpts[row, slots.where(Split.SCORE)])
            entry = places[tokens[excerpts[row, open_slots]]].ravel()
            values = activations[row, open_slots].astype(np.float64).ravel()
            times = np.bincount(entry, minlength=len(kept) + 1)[:-1]
            sums = np.bincount(entry, weights=values, minlength=len(kept) + 1)[:-1]
            yield np.where(times > 0, sums / np.maximum(times, 1), np.nan)

    means = fill_arrays(folder / "token_means.npy", rows(), (len(excerpts), len(kept)))
    for name, values in (("table_tokens", table_tokens), ("table_counts", table_counts)):
        write_array(folder / f"{name}.npy", values)
    return {"table_tokens": table_tokens, "table_counts": table_counts, "token_means": means}


def statistics_table(layout: ImportLayout, activations: np.ndarray) -> pa.Table:
    """Published moments where there are any, else those of the random excerpts, as the share above zero is."""
    slots = layout.slots
    drawn = slots.where(*OPEN_SPLITS, kind=Kind.RANDOM)
    random, explain = slots.where(*Split, kind=Kind.RANDOM), slots.where(Split.EXPLAIN)
    seen = slots.where(*(split for split in Split if split is not Split.SCORE))
    rows: list[dict[str, Any]] = []
    for row, neuron in enumerate(layout.neurons):
        sample = activations[row, random].astype(np.float64)
        peak = float(activations[row, explain].max())
        rows.append(
            {
                "layer": neuron.layer,
                "neuron": neuron.index,
                **neuron.moments,
                **{name: value for name, value in (("mean", sample.mean()), ("variance", sample.var())) if neuron.moments[name] is None},
                "above_zero_share": float((sample > 0).mean()),
                "firing_share": float(firing_shares(activations[row : row + 1, drawn], np.array([peak if peak > 0 else np.nan]))[0]),
                "maximum": float(activations[row, seen].max()),
                "peak": peak if peak > 0 else None,
            }
        )
    return pa.Table.from_pylist(rows, schema=NEURONS)
