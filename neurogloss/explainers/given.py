"""Explanations that are there already: somebody else's, an earlier result's, or a person's, read from a file by the names of units.

- Parquet: what refine wrote, the neurons of `neurogloss export`, or any table with the columns below
- CSV with a header, JSON lines, or a JSON list of objects: `name` (such as L5.N131), or `layer` and `neuron`, and `explanation`
- the JSON of Bills et al. 2023: the same of NeuronSimulationResults, or a folder of LAYER/NEURON.jsonl, also in its `explanations/`

A unit that is named several times has as many candidates, and refine chooses among them.
"""

import csv
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.foreign import NeuronSimulationResultsIn, numbered
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status
from neurogloss.artifacts.units import Named, UnitKind, parse_name, unit_name
from neurogloss.errors import UserError
from neurogloss.llm.openai.bodies import sound

logger = logging.getLogger(__name__)

NAMES, TEXTS, STATUSES = ("name", "unit", "neuron"), ("explanation", "text"), ("explanation_status", "status")
SHOWN = 5
"""Units named in a message."""
FORMS = "expected .parquet, .csv, .jsonl, .json, or a folder of LAYER/NEURON.jsonl"


class Given(NamedTuple):
    """One explanation of a file."""

    unit: Named
    candidate: Candidate
    place: str
    """Of the row, for messages."""


def explain_given(recordings: Recordings, path: Path) -> list[tuple[Candidate, ...]]:
    """The candidates of each unit, in the order of the recordings: NOT_GIVEN where the file has none, SILENT for a silent unit.

    UserError where the file cannot be read, or names none of the recorded units.
    """
    found: dict[tuple[int, int], dict[Candidate, None]] = {}
    for one in read_given(path):
        if one.unit.kind not in (None, recordings.kind):
            raise UserError(f"{one.place}: the unit is one of the {one.unit.kind}, and the recordings are of {recordings.kind}")
        found.setdefault((one.unit.layer, one.unit.index), {})[one.candidate] = None
    units = list(zip(recordings.layers.tolist(), recordings.indices.tolist(), strict=True))
    strangers = sorted(set(found) - set(units))
    if len(strangers) == len(found):
        raise UserError(
            f"explain.given: {path} explains {listed(strangers, recordings.kind)}, none of which is among the {len(units):,} recorded units"
        )
    if strangers:
        missing = listed(strangers, recordings.kind)
        logger.warning("%s of the %s units in %s are not recorded and left out: %s", len(strangers), len(found), path, missing)
    silent = recordings.silent.tolist()
    return [
        (Candidate(None, Status.SILENT),) if quiet else tuple(found.get(unit, {})) or (Candidate(None, Status.NOT_GIVEN),)
        for unit, quiet in zip(units, silent, strict=True)
    ]


def listed(units: list[tuple[int, int]], kind: UnitKind) -> str:
    """The first names of some units."""
    more = f" and {len(units) - SHOWN:,} more" if len(units) > SHOWN else ""
    return ", ".join(unit_name(*unit, kind) for unit in units[:SHOWN]) + more or "no unit"


def read_given(path: Path) -> Iterator[Given]:
    """The explanations of a file or folder, in its order."""
    if not path.exists():
        raise UserError(f"explain.given is {path}, which is not there; {FORMS}")
    if path.is_dir():
        nested = path / "explanations"
        files = numbered(nested if nested.is_dir() else path, "jsonl")
        if not files:
            raise UserError(f"explain.given: {path} holds no LAYER/NEURON.jsonl; {FORMS}")
        for file in files:
            yield from from_lines(file)
    elif path.suffix == ".parquet":
        yield from from_parquet(path)
    elif path.suffix == ".csv":
        yield from from_csv(path)
    elif path.suffix == ".jsonl":
        yield from from_lines(path)
    elif path.suffix == ".json":
        yield from from_json(path)
    else:
        raise UserError(f"explain.given is {path}, {FORMS}; explain.method given needs one")


def from_parquet(path: Path) -> Iterator[Given]:
    """Rows of a table."""
    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"explain.given: {path} is not a readable Parquet file ({error})") from error
    for number, row in enumerate(rows, 1):
        yield from given(row, f"explain.given: {path}, row {number}")


def from_csv(path: Path) -> Iterator[Given]:
    """Rows below a header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                yield from given(row, f"explain.given: {path}, line {reader.line_num}")
    except UnicodeDecodeError as error:
        raise UserError(f"explain.given: {path} is no text in UTF-8; save it as UTF-8") from error
    except csv.Error as error:
        raise UserError(f"explain.given: {path}, line {reader.line_num + 1}: {error}") from error
    except OSError as error:
        raise UserError(f"explain.given: cannot read {path}: {error.strerror}") from error


def from_lines(path: Path) -> Iterator[Given]:
    """JSON objects, one a line."""
    for number, line in enumerate(content(path).split(b"\n"), 1):
        if line.strip():
            yield from from_value(loaded(line, f"explain.given: {path}, line {number}"), f"explain.given: {path}, line {number}")


def from_json(path: Path) -> Iterator[Given]:
    """A JSON object, or a list of them."""
    value = loaded(content(path), f"explain.given: {path}")
    for number, one in enumerate(value if isinstance(value, list) else [value], 1):
        yield from from_value(one, f"explain.given: {path}, entry {number}")


def content(path: Path) -> bytes:
    """A file's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"explain.given: cannot read {path}: {error.strerror}") from error


def loaded(text: bytes, place: str) -> Any:
    """A JSON value."""
    try:
        return json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: no JSON ({type(error).__name__}: {' '.join(str(error).split())[:120]})") from error


def from_value(value: Any, place: str) -> Iterator[Given]:
    """NeuronSimulationResults, or a row of a table."""
    if not isinstance(value, dict):
        raise UserError(f"{place}: {type(value).__name__}, expected an object")
    if "neuron_id" not in value:
        yield from given(value, place)
        return
    try:
        results = NeuronSimulationResultsIn.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from error
    unit = Named(None, results.neuron_id.layer_index, results.neuron_id.neuron_index)
    for one in results.scored_explanations:
        yield Given(unit, candidate(one.explanation, None), place)


def given(row: Mapping[str, Any], place: str) -> Iterator[Given]:
    """The explanation in a row; UserError, which begins with its place, where the columns or the unit are none."""
    text = next((column for column in TEXTS if column in row), None)
    named = next((column for column in NAMES if column in row), None)
    if text is None or (named is None and "layer" not in row):
        columns = ", ".join(map(str, row)) or "none"
        raise UserError(f"{place}: the columns are {columns}, expected name, or layer and neuron, and explanation")
    unit = numbered_unit(row["layer"], row.get("neuron")) if "layer" in row else parse_name(str(row[str(named)]))
    if unit is None:
        what = f"layer {row['layer']!r}, neuron {row.get('neuron')!r}" if "layer" in row else repr(row[str(named)])
        raise UserError(f"{place}: {what} is no unit, expected one such as L5.N131")
    said = row[text]
    if not isinstance(said, str | None):
        raise UserError(f"{place}: the explanation is {said!r}, expected a text")
    status = next((row[column] for column in STATUSES[TEXTS.index(text) :] if column in row), None)
    yield Given(unit, candidate(said, status), place)


def numbered_unit(layer: object, index: object) -> Named | None:
    """A unit by its numbers, which a text file holds as text; None for what are none."""
    try:
        return Named(None, int(str(layer)), int(str(index)))
    except ValueError:
        return None


def candidate(text: str | None, status: object) -> Candidate:
    """A text without its last full stop, which would end the sentence that it is put into; else why there is none."""
    said = " ".join(sound(text or "").split()).rstrip(".").rstrip()
    if said:
        return Candidate(said, Status.OK)
    known = [one for one in Status if one is not Status.OK and one == status]
    return Candidate(None, known[0] if known else Status.NOT_GIVEN)
