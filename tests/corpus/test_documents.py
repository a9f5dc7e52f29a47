"""Documents come out of every format, and what cannot be read is counted."""

import bz2
import json
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from neurogloss.config.corpus import CorpusParams
from neurogloss.corpus.documents import Document, read_documents
from neurogloss.corpus.mediawiki import prose
from neurogloss.errors import UserError


def read(path: Path, form: str, field: str = "text") -> tuple[list[Document], Counter[str]]:
    counts: Counter[str] = Counter()
    params = CorpusParams(source=str(path), revision=None, sha256=None, format=form, field=field, split="train")  # type: ignore[arg-type]  # str is narrower there
    return list(read_documents(params, counts)), counts


DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.6/">
<page><title>Snow</title><ns>0</ns><revision><text>'''Snow''' is [[water|frozen water]].</text></revision></page>
<page><title>Schnee</title><ns>0</ns><redirect title="Snow"/><revision><text>#REDIRECT [[Snow]]</text></revision></page>
<page><title>Talk:Snow</title><ns>1</ns><revision><text>hello</text></revision></page>
<page><title>Empty</title><ns>0</ns><revision></revision></page>
<page><title>Ice</title><ns>0</ns><revision><text>Ice &amp;amp; more.</text></revision></page>
</mediawiki>"""


@pytest.mark.parametrize("packed", [False, True])
def test_a_dump_gives_its_articles(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / "dump"
    file.write_bytes(bz2.compress(DUMP.encode()) if packed else DUMP.encode())
    documents, counts = read(file, "mediawiki")
    assert documents == [("Snow", "Snow is frozen water."), ("Ice", "Ice & more.")]
    assert counts == {"documents": 2, "skipped": 2, "malformed": 1}


@pytest.mark.parametrize("broken", [DUMP[: DUMP.index("<title>Ice")], DUMP.replace("<title>Ice", "<<title>Ice")])
def test_a_broken_dump_gives_what_stands_before_the_break_and_is_counted(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dump").write_text(broken, encoding="utf-8")
    documents, counts = read(tmp_path / "dump", "mediawiki")
    assert [document.name for document in documents] == ["Snow"]
    assert counts["malformed"] == 2
    assert "only what stands before the break" in caplog.text


def test_a_packed_dump_cut_short_is_counted(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(bz2.compress(DUMP.encode())[:-40])
    documents, counts = read(tmp_path / "dump", "mediawiki")
    assert (documents, counts["malformed"]) == ([], 1)


def test_binary_junk_is_no_dump(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(bytes(range(256)) * 9)
    documents, counts = read(tmp_path / "dump", "mediawiki")
    assert (documents, counts["malformed"]) == ([], 1)


def test_prose_holds_no_templates_tables_references_files_or_markup() -> None:
    markup = (
        "{{Infobox|a=b}}\n== History ==\n'''Bold''' and ''italic''<ref name=x>{{cite|y}}</ref> [[File:a.jpg|thumb|A [[caption]]]]"
        "[[Category:Things]][[de:Ding]] see [http://x.org the site] (; born {{date}}) ({{lang|x}})<!-- no -->\n{|\n|cell\n|}\n"
        "* one &ndash; <small>two</small>\n<math>x^2</math>"
    )
    assert prose(markup) == "History\nBold and italic see the site (born)\n\none \u2013 two"


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("cold.<ref>''The World, Vol. 2, Ch. 17</ref> Snow.", "cold. Snow."),  # Italics that never end.
        ("cold.<ref name=a/> Ice<ref name='b/c' /> falls<ref>[http://x.org It's \"x\"], 2013.</ref>.", "cold. Ice falls."),
        ("cold.<ref>one</ref><ref>''two</ref> Snow.", "cold. Snow."),
        ("cold.<ref>never closed\nNext line.", "cold.\nNext line."),
        ("<blockquote>\nIf ''I wished.<ref>W</ref>\n</blockquote>\nAfter.", "If I wished.\n\nAfter."),
        ("a<!-- <ref> --> b '''bold''' ''it''", "a b bold it"),
        ("Before\n{| class=\"wikitable font:80%;\"\n|-\n| ''one || two\n{|\n| inner\n|}\n|}\nAfter", "Before\n\nAfter"),
        ("x [[File:a.svg|thumb|''Two [[trees]]]] y", "x y"),
        ("It is 5 < 6 and 7 > 6.", "It is 5 < 6 and 7 > 6."),
    ],
)
def test_no_tag_reference_or_table_is_left_where_markup_inside_is_broken(markup: str, expected: str) -> None:
    assert prose(markup) == expected


def test_sections_that_list_references_are_left_out_with_what_is_under_them() -> None:
    markup = "Snow.\n== References ==\n* Smith\n=== Books ===\n* Miller\n==Uses==\nSkiing.\n==''External links''==\n* x\n"
    assert prose(markup) == "Snow.\nUses\nSkiing."


def test_text_files_are_read_in_the_order_of_their_names_and_binary_ones_counted(tmp_path: Path) -> None:
    for name, content in {"b.txt": b"two", "a.txt": "ein Schn\u00e4ppchen".encode(), "c.bin": b"\xff\xfe\x00", "d.txt": b"nul\0"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "e.txt").write_text("three", encoding="utf-8")
    documents, counts = read(tmp_path, "text")
    assert documents == [("a.txt", "ein Schn\u00e4ppchen"), ("b.txt", "two"), ("sub/e.txt", "three")]
    assert counts["malformed"] == 2


def test_malformed_json_lines_are_counted(tmp_path: Path) -> None:
    lines = [
        json.dumps({"body": "one"}).encode(),
        b"{oops",
        b"",
        b"[1]",
        json.dumps({"text": "x"}).encode(),
        b'{"body": 3}',
        b'{"body": "two"}',
        b"\xff",
    ]
    (tmp_path / "c.jsonl").write_bytes(b"\n".join(lines))
    documents, counts = read(tmp_path / "c.jsonl", "jsonl", field="body")
    assert documents == [("c.jsonl:1", "one"), ("c.jsonl:7", "two")]
    assert counts["malformed"] == 5


def test_a_parquet_column_is_read_and_its_nulls_are_counted(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one", None, "two"], "other": [1, 2, 3]}), tmp_path / "c.parquet")
    documents, counts = read(tmp_path / "c.parquet", "parquet")
    assert documents == [("c.parquet:1", "one"), ("c.parquet:3", "two")]
    assert counts["malformed"] == 1
    with pytest.raises(UserError, match=r"no column 'body', it has text, other; set corpus.field"):
        read(tmp_path / "c.parquet", "parquet", field="body")


def test_junk_is_no_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"junk" * 99)
    with pytest.raises(UserError, match=r"c\.parquet is not a readable Parquet file"):
        read(tmp_path / "c.parquet", "parquet")


def test_a_folder_is_only_for_text_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"corpus\.source is a folder"):
        read(tmp_path, "jsonl")


def test_a_missing_corpus_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; expected a path or pypi:"):
        read(tmp_path / "nothing", "text")


def test_a_data_set_without_the_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'neurogloss\[datasets\]'"):
        read(tmp_path, "huggingface")
