"""Documents of a corpus, whatever it is kept in: a MediaWiki dump, text files, JSONL, Parquet, a Hugging Face data set."""

import gzip
import json
import logging
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

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
        return from_values(params, json_lines(path, params.field), counts)
    return from_values(params, parquet_column(path, params.field), counts)


def from_values(params: CorpusParams, values: Iterable[tuple[int, Any]], counts: Counter[str]) -> Iterator[Document]:
    """Documents of numbered values; a value that is no text is malformed. UserError where all of them are: the params do not fit."""
    read, first = 0, ""
    for number, value in values:
        problem = why_no_text(value)
        if problem:
            counts["malformed"] += 1
            first = first or f"{number} {problem}"
        else:
            read += 1
            yield Document(f"{Path(params.source).name}:{number}", value)
    if first and not read:
        raise UserError(f"{params.source} holds no text under {params.field!r}: entry {first}; set corpus.field or corpus.format")


def why_no_text(value: Any) -> str:
    """Why a value is no text; nothing for one that is. Half a character (from JSON) is no text: no tokenizer takes it."""
    if isinstance(value, NoText):
        return value.why
    if not isinstance(value, str):
        return f"is {type(value).__name__}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "holds half a character"
    return ""


def unpacked(path: Path) -> IO[bytes]:
    """A file, read through gzip where it is packed so."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb") if packed else path.open("rb"))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """UserError where a file cannot be read to its end."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"corpus.source: cannot read {str(path)!r} ({reason}); check the file or name another") from error


def text_files(path: Path, counts: Counter[str]) -> Iterator[Document]:
    """One document per file, in the order of their names; files that are not UTF-8 text are malformed. UserError where all of them are."""
    files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
    read = 0
    for file in files:
        try:
            with readable(file), unpacked(file) as opened:
                text = opened.read().decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            counts["malformed"] += 1
        else:
            read += 1
            # A file's name may be no UTF-8.
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            yield Document(name.encode(errors="surrogateescape").decode(errors="replace"), text)
    if files and not read:
        raise UserError(f"{path}: none of its {len(files)} files is text in UTF-8; convert it, or set corpus.format")


class NoText(NamedTuple):
    """Stands for a document that could not be read."""

    why: str


def json_lines(path: Path, field: str) -> Iterator[tuple[int, Any]]:
    """The field of each line; NoText for what is no JSON object with this field."""
    with readable(path), unpacked(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, in_line(line, field)


def in_line(line: bytes, field: str) -> Any:
    """The field of a JSON object, or why there is none."""
    try:
        value = json.loads(line)
    except UnicodeDecodeError:
        return NoText("is not in UTF-8")
    except (ValueError, RecursionError) as error:
        return NoText(f"is no JSON ({type(error).__name__})")
    if not isinstance(value, dict):
        return NoText(f"is a {type(value).__name__}, expected one JSON object a line")
    return value[field] if field in value else NoText(f"has no such name, it has {', '.join(map(repr, value)) or 'none'}")


def parquet_column(path: Path, field: str) -> Iterator[tuple[int, Any]]:
    """The column's values, read in batches; NoText for one that is no UTF-8."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if field not in names:
                raise UserError(f"{path.name} has no column {field!r}, it has {', '.join(names)}; set corpus.field")
            for batch in file.iter_batches(1024, columns=[field]):
                for value in batch.column(0):
                    number += 1
                    yield number, as_python(value)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path.name} is not a readable Parquet file from row {number + 1} on ({reason}); set corpus.source or corpus.format"
        ) from error


def as_python(value: Any) -> Any:
    """A value of Arrow's."""
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return NoText("is not in UTF-8")


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
