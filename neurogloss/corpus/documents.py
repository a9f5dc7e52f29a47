"""Documents of a corpus, whatever it is kept in: a MediaWiki dump, text files, JSONL, Parquet, a Hugging Face data set."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from neurogloss.config.corpus import CorpusParams
from neurogloss.corpus.mediawiki import articles
from neurogloss.errors import UserError
from neurogloss.subject.sources import resolve

logger = logging.getLogger(__name__)


class Document(NamedTuple):
    """A text no excerpt may leave."""

    name: str
    text: str


def read_documents(params: CorpusParams, counts: Counter[str]) -> Iterator[Document]:
    """Every document in a fixed order; `counts` learns of what was read, skipped and malformed."""
    logger.info("reading %s", params.source)
    for document in raw_documents(params, counts):
        counts["documents"] += 1
        yield document


def raw_documents(params: CorpusParams, counts: Counter[str]) -> Iterator[Document]:
    """Documents by format."""
    if params.format == "huggingface":
        return from_values(params, data_set(params), counts)
    path = resolve(params.source, params.revision, params.sha256, hub=False)
    if params.format == "text":
        return text_files(path, counts)
    if path.is_dir():
        raise UserError(f"corpus.source is a folder ({params.source}), which only corpus.format text reads; name a file")
    if params.format == "mediawiki":
        return (Document(*page) for page in articles(path, counts))
    if params.format == "jsonl":
        return from_values(params, json_lines(path, params.field, counts), counts)
    return from_values(params, parquet_column(path, params.field), counts)


def from_values(params: CorpusParams, values: Iterable[tuple[int, Any]], counts: Counter[str]) -> Iterator[Document]:
    """Documents of numbered values; a value that is no text is malformed."""
    for number, value in values:
        if isinstance(value, str):
            yield Document(f"{Path(params.source).name}:{number}", value)
        else:
            counts["malformed"] += 1


def text_files(path: Path, counts: Counter[str]) -> Iterator[Document]:
    """One document per file, in the order of their names; files that are not UTF-8 text are malformed."""
    files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
    for file in files:
        try:
            text = file.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            counts["malformed"] += 1
        else:
            yield Document(file.relative_to(path).as_posix() if path.is_dir() else file.name, text)


def json_lines(path: Path, field: str, counts: Counter[str]) -> Iterator[tuple[int, Any]]:
    """The field of each line; what is no JSON object with this field is malformed."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError):
                value = None
            if isinstance(value, dict) and field in value:
                yield number, value[field]
            else:
                counts["malformed"] += 1


def parquet_column(path: Path, field: str) -> Iterator[tuple[int, Any]]:
    """The column's values, read in batches."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path.name} is not a readable Parquet file ({error}); set corpus.source or corpus.format") from error
    with file:
        if field not in file.schema_arrow.names:
            raise UserError(f"{path.name} has no column {field!r}, it has {', '.join(file.schema_arrow.names)}; set corpus.field")
        number = 0
        for batch in file.iter_batches(1024, columns=[field]):
            for value in batch.column(0).to_pylist():
                number += 1
                yield number, value


def data_set(params: CorpusParams) -> Iterator[tuple[int, Any]]:
    """The column of a Hugging Face data set, streamed."""
    try:
        import datasets
    except ImportError as error:
        raise UserError("corpus.format huggingface needs the datasets package; run: pip install 'neurogloss[datasets]'") from error
    try:
        rows = datasets.load_dataset(params.source, split=params.split, revision=params.revision, streaming=True)
        for number, row in enumerate(rows, 1):
            if params.field not in row:
                raise UserError(f"{params.source} has no column {params.field!r}, it has {', '.join(row)}; set corpus.field")
            yield number, row[params.field]
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{params.source} cannot be read from the hub ({reason}); check corpus.source, split and revision") from error
