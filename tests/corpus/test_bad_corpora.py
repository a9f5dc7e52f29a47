"""Corpora that are not what the params say: one bad entry is counted, a bad file is one line."""

import gzip
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from neurogloss.config.corpus import CorpusParams
from neurogloss.corpus.documents import Document, read_documents
from neurogloss.errors import UserError

GOOD = b'{"text": "the cat sat on the mat"}\n'


def read(path: Path, form: str, field: str = "text") -> tuple[list[Document], Counter[str]]:
    counts: Counter[str] = Counter()
    params = CorpusParams.model_validate({"source": str(path), "format": form, "field": field})
    return list(read_documents(params, counts)), counts


BAD_LINES = [
    b'{"text": "x \\ud83d"}',
    b'{"text": ' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b'{"text": "\xff"}',
    b'{"text": ["a"]}',
    b'{"a": 1}',
    b"7",
    b"{",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_is_counted_and_the_rest_is_read(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD + line + b"\n" + GOOD)
    documents, counts = read(tmp_path / "a.jsonl", "jsonl")
    assert [one.name for one in documents] == ["a.jsonl:1", "a.jsonl:3"] and counts["malformed"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "caf\xe9"}\n'.encode("latin-1"), "holds no text under 'text': entry 1 is not in UTF-8; set corpus.field"),
        (GOOD.decode().encode("utf-16"), "entry 1 is not in UTF-8"),
        (b"[" + GOOD.strip() + b"]", "entry 1 is a list, expected one JSON object a line"),
        (b'{"body": "x", "title": "y"}\n', "entry 1 has no such name, it has 'body', 'title'"),
        (b'{"text": {"en": "x"}}\n', "entry 1 is dict"),
        (gzip.compress(GOOD)[:-9], "cannot read .*Compressed file ended"),
    ],
)
def test_a_file_without_any_text_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.jsonl", "jsonl")


def test_packed_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(GOOD))
    assert [one.text for one in read(tmp_path / "a.jsonl.gz", "jsonl")[0]] == ["the cat sat on the mat"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.gz").write_bytes(gzip.compress(b"the dog"))
    assert [one.text for one in read(tmp_path / "b", "text")[0]] == ["the dog"]


def broken(path: Path) -> None:
    pq.write_table(pa.table({"text": [f"the cat {number}" for number in range(4000)]}), path, row_group_size=1000, compression="none")
    content = bytearray(path.read_bytes())
    # The last row group's data, not the footer.
    content[len(content) * 3 // 4 : len(content) * 3 // 4 + 4000] = b"\xff" * 4000
    path.write_bytes(content)


def invalid(path: Path) -> None:
    column = pa.array([b"the cat", b"\xff\xfe", b"the dog"], pa.binary())
    pq.write_table(pa.table({"text": pa.StringArray.from_buffers(3, *column.buffers()[1:])}), path)


def of(values: list[object]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table({"text": values}), path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (broken, "is not a readable Parquet file from row .* on"),
        (of([["a", "b"]]), "holds no text under 'text': entry 1 is list"),
        (of([b"ab"]), "entry 1 is bytes"),
        (lambda path: path.write_bytes(b"PAR1 no table"), "a.parquet is not a readable Parquet file"),
    ],
)
def test_a_parquet_file_that_is_none_is_one_line(write: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.parquet", "parquet")


def test_a_value_of_parquet_that_is_no_utf_8_is_counted(tmp_path: Path) -> None:
    invalid(tmp_path / "a.parquet")
    documents, counts = read(tmp_path / "a.parquet", "parquet")
    assert [one.text for one in documents] == ["the cat", "the dog"] and counts["malformed"] == 1


def test_a_file_name_that_is_no_utf_8_is_readable_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.txt")).write_text("the cat", encoding="utf-8")
    (document,), _ = read(tmp_path, "text")
    assert document.name.encode() == "b\ufffd.txt".encode()


def test_text_in_another_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(UserError, match="none of its 1 files is text in UTF-8; convert it"):
        read(tmp_path, "text")
