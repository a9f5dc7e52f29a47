"""Neuronpedia's export format, out and in: release, model, sourceset and source, then features, activations and explanations.

    release.jsonl.gz  model.jsonl.gz  sourceset.jsonl.gz  source.jsonl.gz
    features/batch-N.jsonl.gz  activations/batch-N.jsonl.gz  explanations/batch-N.jsonl.gz

A source is a layer of a set, 8-res; what it holds are features with an index each. Top excerpts have no bin (-1); random ones are in that
from zero to the maximum. Score excerpts are among them: who explains anew from an export should hold out excerpts of its own.
"""

import gzip
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.results import Results
from neurogloss.artifacts.units import UnitKind
from neurogloss.errors import UserError

PER_BATCH = 256
"""Features in a file."""
BINS = 40
TOP = -1
"""In place of a bin: the excerpt is one of the strongest."""
SETS = {
    UnitKind.NEURONS: "mlp-neurons",
    UnitKind.LATENTS: "latents",
    UnitKind.HEADS: "att-heads",
    UnitKind.DIRECTIONS: "mlp-directions",
}
METHOD = "neurogloss"
Json = dict[str, Any]


def write_neuronpedia(folder: Path, results: Results, surplus: bool) -> Iterator[int]:
    """Write every unit; yields its row when it is written. UserError for negative sides, which the format has no name for."""
    recordings = results.recordings
    if (np.asarray(recordings.indices) < 0).any():
        raise UserError("Neuronpedia has no negative sides of neurons; record without subject.signed, or export parquet")
    splits = tuple(split for split in Split if surplus or split is not Split.FIT)
    model, name = model_of(recordings), SETS[recordings.kind]
    write_lines(folder / "release.jsonl.gz", [{"name": METHOD, "description": f"{recordings.kind} of {model}, explained by neurogloss"}])
    write_lines(folder / "model.jsonl.gz", [{"id": model, "displayName": model, "layers": int(recordings.layers.max()) + 1}])
    write_lines(folder / "sourceset.jsonl.gz", [{"modelId": model, "name": name, "type": str(recordings.kind), "releaseName": METHOD}])
    sources = [{"id": f"{layer}-{name}", "modelId": model, "setName": name} for layer in np.unique(recordings.layers)]
    write_lines(folder / "source.jsonl.gz", sources)
    for number, start in enumerate(range(0, len(results), PER_BATCH)):
        rows = range(start, min(start + PER_BATCH, len(results)))
        for kind, lines in (("features", feature), ("explanations", explanation)):
            found = [line for row in rows if (line := lines(results, row))]
            write_lines(folder / kind / f"batch-{number}.jsonl.gz", found)
        write_lines(
            folder / "activations" / f"batch-{number}.jsonl.gz", (line for row in rows for line in activations(recordings, row, splits))
        )
        yield from rows


def write_lines(path: Path, lines: Iterable[Json]) -> None:
    """JSON lines, gzipped without a time, so that equal results are equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
        for line in lines:
            packed.write(json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n")


def model_of(recordings: Recordings) -> str:
    """The subject's name as an id: of a path or a file the last part."""
    subject = recordings.about.get("subject") or "unknown"
    source = str(subject.get("model", "unknown") if isinstance(subject, dict) else subject)
    return re.sub(r"[^A-Za-z0-9._-]", "-", source.rpartition("/")[2].removesuffix(".gguf")).lower() or "unknown"


def place(recordings: Recordings, row: int) -> Json:
    """Which feature."""
    layer = f"{recordings.layers[row]}-{SETS[recordings.kind]}"
    return {"modelId": model_of(recordings), "layer": layer, "index": str(recordings.indices[row])}


def feature(results: Results, row: int) -> Json:
    """Statistics, promoted tokens and a histogram of the random excerpts that are not scored."""
    recordings = results.recordings
    about = recordings.statistics.slice(row, 1).to_pylist()[0]
    slots = recordings.slots.where(*(split for split in Split if split is not Split.SCORE), kind=Kind.RANDOM)
    values = np.asarray(recordings.activations[row, slots], np.float64).ravel()
    heights, edges = np.histogram(values[values > 0], BINS)
    found = {
        **place(recordings, row),
        "maxActApprox": round(max(0.0, about["maximum"]), 6),
        "frac_nonzero": about["above_zero_share"],
        "hookName": hook_of(recordings, int(recordings.layers[row])),
        "freq_hist_data_bar_heights": heights.tolist(),
        "freq_hist_data_bar_values": [round(float(edge), 6) for edge in (edges[:-1] + edges[1:]) / 2],
    }
    for side, name in enumerate(("pos", "neg")):
        logits = [] if recordings.promoted is None else recordings.promoted.logits[row, side].astype(float).round(5).tolist()
        texts = recordings.promoted_texts(row, side)
        found |= {f"{name}_str": texts, f"{name}_values": logits[: len(texts)]}
    return found


def hook_of(recordings: Recordings, layer: int) -> str:
    """Where the units read, in TransformerLens' words where it has any."""
    coders = {coder["layer"]: coder["hook"] for coder in recordings.about.get("sae", [])}
    usual = {UnitKind.NEURONS: "mlp.hook_post", UnitKind.DIRECTIONS: "mlp.hook_post", UnitKind.HEADS: "attn.hook_result"}
    return str(coders.get(layer) or f"blocks.{layer}.{usual.get(recordings.kind, 'hook')}")


def activations(recordings: Recordings, row: int, splits: tuple[Split, ...]) -> Iterator[Json]:
    """One line an excerpt: the strongest, then the random ones."""
    maximum = max(0.0, float(recordings.statistics["maximum"][row].as_py()))
    share = float(recordings.statistics["above_zero_share"][row].as_py())
    for kind in Kind:
        slots: Int[np.ndarray, " slot"] = recordings.slots.where(*splits, kind=kind)
        bins = (TOP, TOP, TOP) if kind is Kind.TOP else (0.0, round(maximum, 6), share)
        for slot, ids in zip(slots.tolist(), recordings.tokens(row, slots).tolist(), strict=True):
            values = [float(f"{value:.7g}") for value in np.asarray(recordings.activations[row, slot], np.float64).tolist()]
            document = recordings.documents.slice(int(recordings.excerpts[row, slot]), 1).to_pylist()[0]
            yield {
                "id": hashlib.sha256(f"{recordings.name(row)} {recordings.excerpts[row, slot]}".encode()).hexdigest()[:24],
                **place(recordings, row),
                "tokens": [recordings.text(token) for token in ids],
                "values": values,
                "maxValue": max(values),
                "maxValueTokenIndex": int(np.argmax(values)),
                "minValue": min(values),
                "dataSource": document["document"],
                **dict(zip(("binMin", "binMax", "binContains"), bins, strict=True)),
            }


def explanation(results: Results, row: int) -> Json | None:
    """The sentence that was kept; None where there is none."""
    text = results.explanations.rows[row].kept.text
    if text is None:
        return None
    found = {**place(results.recordings, row), "description": text, "typeName": METHOD, "explanationModelName": METHOD, "authorId": METHOD}
    score = results.score(row)["top_and_random"]
    return found if score is None else found | {"scoreV1": round(score, 6)}


def is_neuronpedia(folder: Path) -> bool:
    """Whether a folder is in this format."""
    return folder.is_dir() and any((folder / "activations").glob("*.jsonl*")) and any((folder / "features").glob("*.jsonl*"))


def unpack(source: Path, folder: Path) -> UnitKind:
    """Write what an export holds as the JSON of Bills et al. 2023, for `import` to read; the kind of its units.

    UserError where it is of several source sets of one layer, or a line is not of the form.
    """
    features = dict[tuple[int, int], Json]()
    texts, excerpts = defaultdict[tuple[int, int], list[Json]](list), defaultdict[tuple[int, int], list[Json]](list)
    kinds, layers = set[UnitKind](), dict[int, str]()
    for where, line in lines_of(source, "features"):
        key = key_of(where, line)
        if layers.setdefault(key[0], str(line["layer"])) != str(line["layer"]):
            raise UserError(f"{where}: {line['layer']} and {layers[key[0]]} are both layer {key[0]}; keep one source of each layer")
        features[key] = line
        kinds.add(kind_of(str(line["layer"]), str(line.get("hookName") or "")))
    if len(kinds) != 1:
        raise UserError(f"{source} holds {' and '.join(sorted(kinds)) or 'no features'}; a recording is of one kind of unit, keep one")
    for where, line in lines_of(source, "activations"):
        if not isinstance(line.get("tokens"), list) or not isinstance(line.get("values"), list):
            raise UserError(f"{where}: expected tokens and values")
        excerpts[key_of(where, line)].append(line)
    for where, line in lines_of(source, "explanations"):
        texts[key_of(where, line)].append(line)
    for layer, index in features:
        write_neuron(folder, layer, index, excerpts[layer, index], texts[layer, index])
    return next(iter(kinds))


def write_neuron(folder: Path, layer: int, index: int, excerpts: list[Json], texts: list[Json]) -> None:
    """One feature: its top excerpts by strength, those of bins as random ones, and its explanations."""
    identity = {"layer_index": layer, "neuron_index": index}
    tops = sorted((one for one in excerpts if one.get("binMin", TOP) in (TOP, None)), key=lambda one: -max(one["values"], default=0))
    records = {
        "most_positive_activation_records": tops,
        "random_sample": [one for one in excerpts if one.get("binMin", TOP) not in (TOP, None)],
    }
    found = {name: [{"tokens": one["tokens"], "activations": one["values"]} for one in group] for name, group in records.items()}
    target = folder / "collated-activations" / str(layer)
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{index}.json").write_text(json.dumps({"neuron_id": identity, **found}), encoding="utf-8")
    if texts:
        scored = [{"explanation": one["description"], "scored_simulation": {"ev_correlation_score": one.get("scoreV1")}} for one in texts]
        (folder / "explanations" / str(layer)).mkdir(parents=True, exist_ok=True)
        line = json.dumps({"neuron_id": identity, "scored_explanations": scored})
        (folder / "explanations" / str(layer) / f"{index}.jsonl").write_text(line + "\n", encoding="utf-8")


def lines_of(source: Path, what: str) -> Iterator[tuple[str, Json]]:
    """Each object of the files of a folder, gzipped or not, with its place for messages."""
    for path in sorted((source / what).glob("*.jsonl*")):
        try:
            with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
                for number, text in enumerate(file, 1):
                    line = json.loads(text)
                    if not isinstance(line, dict):
                        raise UserError(f"{path}, line {number}: expected an object, got {type(line).__name__}")
                    yield f"{path}, line {number}", line
        except (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError(f"{path} is not readable JSON lines ({error}); fetch it again") from error


def key_of(where: str, line: Json) -> tuple[int, int]:
    """Layer and index."""
    layer = re.match(r"(\d+)", str(line.get("layer", "")))
    index = str(line.get("index", ""))
    if layer is None or not index.isdecimal():
        raise UserError(f"{where}: layer {line.get('layer')!r}, index {index!r}; expected a layer such as 8-res-jb and a number")
    return int(layer[1]), int(index)


def kind_of(source: str, hook: str) -> UnitKind:
    """What the features of a source are: neurons, heads and directions say so in its name or their hook, all others are latents."""
    if "neuron" in source or hook.endswith("mlp.hook_post"):
        return UnitKind.NEURONS
    if "direction" in source:
        return UnitKind.DIRECTIONS
    return UnitKind.HEADS if "head" in source or hook.endswith("hook_result") else UnitKind.LATENTS
