"""Explanations from a file: every form is read alike, what is missing has a status, what is wrong is one line."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import write_explanations
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params, load_params
from neurogloss.errors import UserError
from neurogloss.explainers.run import explain
from neurogloss.refining.refine import refine
from neurogloss.scorers.run import score
from neurogloss.scorers.summary import summary
from neurogloss.simulators.run import simulate
from tests.simulated import explained

ROOT = Path(__file__).parents[2]
SENTENCES = {(0, 0): "words for boats", (0, 3): 'the word "than", and commas', (1, 9): "ünïcode 😀"}


def settings(path: Path, **changed: Any) -> Params:
    present = load_params(ROOT / "params.yaml")
    return present.model_copy(update={"explain": present.explain.model_copy(update={"method": "given", "given": str(path)}), **changed})


def as_csv(path: Path) -> Path:
    import csv

    with (path / "a.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [["name", "remark", "explanation"], *([f"L{layer}.N{n}", "x", text + "."] for (layer, n), text in SENTENCES.items())]
        )
    return path / "a.csv"


def as_columns(path: Path) -> Path:
    rows = [{"layer": layer, "neuron": neuron, "text": f"  {text}\n"} for (layer, neuron), text in SENTENCES.items()]
    pq.write_table(pa.Table.from_pylist(rows), path / "a.parquet")
    return path / "a.parquet"


def as_lines(path: Path) -> Path:
    rows = [{"unit": f"{layer}:{neuron}", "explanation": text} for (layer, neuron), text in SENTENCES.items()]
    (path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    return path / "a.jsonl"


def as_list(path: Path) -> Path:
    return as_lines(path).with_suffix(".json")


def results(layer: int, neuron: int, text: str) -> dict[str, Any]:
    return {"neuron_id": {"layer_index": layer, "neuron_index": neuron}, "scored_explanations": [{"explanation": text}]}


def as_published(path: Path) -> Path:
    for (layer, neuron), text in SENTENCES.items():
        file = path / "set" / "explanations" / str(layer) / f"{neuron}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results(layer, neuron, text)) + "\n", encoding="utf-8")
    return path / "set"


def as_published_lines(path: Path) -> Path:
    (path / "b.jsonl").write_text("\n".join(json.dumps(results(*unit, text)) for unit, text in SENTENCES.items()), encoding="utf-8")
    return path / "b.jsonl"


@pytest.mark.parametrize("write", [as_csv, as_columns, as_lines, as_list, as_published, as_published_lines])
def test_every_form_gives_the_same_candidates(write: Callable[[Path], Path], recordings: Recordings, tmp_path: Path) -> None:
    found = explain(recordings, settings(write(tmp_path)))
    for row, unit in enumerate(zip(recordings.layers.tolist(), recordings.indices.tolist(), strict=True)):
        missing = Status.SILENT if recordings.silent[row] else Status.NOT_GIVEN
        expected = Candidate(SENTENCES[unit], Status.OK) if unit in SENTENCES else Candidate(None, missing)
        assert found.rows[row] == (expected,)


def test_what_refine_wrote_is_read_with_its_statuses(recordings: Recordings, tmp_path: Path) -> None:
    before = explained(recordings, {2: Status.REFUSED})
    write_explanations(tmp_path / "e.parquet", before)
    found = explain(recordings, settings(tmp_path / "e.parquet"))
    assert [row[0].text for row in found.rows] == before.texts
    assert [row[0].status for row in found.rows] == before.statuses


def test_our_export_is_read(finished_export: Path, recordings: Recordings) -> None:
    shard = next((finished_export / "neurons").glob("*.parquet"))
    rows = {row["name"]: row["explanation"] for row in pq.read_table(shard).to_pylist()}
    found = explain(recordings, settings(shard))
    names = [f"L{layer}.N{neuron}" for layer, neuron in zip(found.layers, found.indices, strict=True)]
    assert [row[0].text for row in found.rows] == [rows[name] for name in names]
    assert [row[0].text for row in explain(recordings, settings(finished_export.with_name("openai"))).rows] == [
        rows[name] for name in names
    ]


@pytest.fixture(scope="module")
def finished_export(tmp_path_factory: pytest.TempPathFactory, recordings: Recordings) -> Path:
    from typer.testing import CliRunner

    from neurogloss.cli.main import app
    from tests.scorers.test_score import run_stage

    folder = tmp_path_factory.mktemp("export")
    run_stage(folder / "data", recordings)
    for kind in ("parquet", "openai"):
        done = CliRunner().invoke(app, ["export", str(folder / kind), "--format", kind, "--data", str(folder / "data")])
        assert done.exit_code == 0, done.output
    return folder / "parquet"


def test_given_explanations_are_scored_and_the_missing_are_counted(recordings: Recordings, tmp_path: Path) -> None:
    rows = [
        f"L{layer}.N{neuron},w{row} w{row + 1}"
        for row, (layer, neuron) in enumerate(zip(recordings.layers, recordings.indices, strict=True))
    ]
    (tmp_path / "a.csv").write_text("\n".join(["name,explanation", *rows[:2], *rows[5:]]), encoding="utf-8")
    present = load_params(ROOT / "params.yaml")
    params = settings(tmp_path / "a.csv", simulate=present.simulate.model_copy(update={"method": "reader"}))
    explanations = refine(recordings, explain(recordings, params), params)
    scores = score(recordings, explanations, simulate(recordings, explanations, params), params)
    assert [scores["status"][row].as_py() for row in (2, 3, 4)] == ["not_given", "silent_neuron", "not_given"]
    assert scores["top_and_random"].null_count == 3
    assert summary(scores, 4)["failed_by_cause"]["not_given"] == 2


def test_a_unit_with_several_explanations_has_as_many_candidates(recordings: Recordings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,explanation\nL0.N0,boats\nL0.N0,ships.\nL0.N0,boats\n", encoding="utf-8")
    assert [one.text for one in explain(recordings, settings(tmp_path / "a.csv")).rows[0]] == ["boats", "ships"]


def test_units_that_are_not_recorded_are_said(recordings: Recordings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("name,explanation\nL0.N0,boats\n" + "".join(f"L7.N{n},x\n" for n in range(7)), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        explain(recordings, settings(tmp_path / "a.csv"))
    assert "7 of the 8 units in" in caplog.text
    assert "are not recorded and left out: L7.N0, L7.N1, L7.N2, L7.N3, L7.N4 and 2 more" in caplog.text


BAD: list[tuple[str, bytes, str]] = [
    ("a.csv", b"", "explains no unit, none of which is among the 8 recorded units"),
    ("a.csv", b"name,explanation\n", "explains no unit"),
    ("a.csv", b"name,explanation\nL9.N9,x\n", "explains L9.N9, none of which is among the 8"),
    ("a.csv", b"name,explanation\nboat,x\n", "line 2: 'boat' is no unit, expected one such as L5.N131"),
    ("a.csv", b"name;explanation\nL0.N0;x\n", "line 2: the columns are name;explanation, expected name, or layer"),
    ("a.csv", b"layer,explanation\n0,x\n", "line 2: layer '0', neuron None is no unit"),
    ("a.csv", b"name,explanation\nL0.F0,x\n", "line 2: the unit is one of the latents, and the recordings are of neurons"),
    ("a.csv", b"name,sentence\nL0.N0,x\n", "the columns are name, sentence, expected"),
    ("a.csv", b"name,explanation\nL0.N0,\xff\n", "is no text in UTF-8"),
    ("a.csv", "name,explanation\n".encode("utf-16"), "is no text in UTF-8"),
    ("a.csv", b'name,explanation\nL0.N0,"x', "line 2: unexpected end of data"),
    ("a.csv", b"name,explanation\nL0.N0," + b"x" * 200_000, "line 2: field larger than field limit"),
    ("a.parquet", b"no table", "is not a readable Parquet file"),
    ("a.jsonl", b"{", "line 1: no JSON"),
    ("a.jsonl", b"[1]", "line 1: list, expected an object"),
    ("a.jsonl", b"[" * 100_000, "line 1: no JSON .RecursionError"),
    ("a.jsonl", b'{"name": "L0.N0", "explanation": 7}', "line 1: the explanation is 7, expected a text"),
    ("a.jsonl", b'{"neuron_id": {"layer": 0, "idx": 0}}', "line 1: scored_explanations.*: field required"),
    ("a.json", b'{"neuron_id": 4}', "entry 1: neuron_id"),
    ("a.json", b"", "no JSON"),
    ("a.txt", b"boats", "expected .parquet, .csv, .jsonl, .json, or a folder"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_a_file_that_is_none_is_one_line(name: str, content: bytes, message: str, recordings: Recordings, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"explain.given.*{message}") as raised:
        explain(recordings, settings(tmp_path / name))
    assert "\n" not in str(raised.value)


def test_a_path_that_leads_nowhere_is_one_line(recordings: Recordings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="explain.given is .*no.csv, which is not there"):
        explain(recordings, settings(tmp_path / "no.csv"))
    with pytest.raises(UserError, match="holds no LAYER/NEURON.jsonl"):
        explain(recordings, settings(tmp_path))
    with pytest.raises(UserError, match=r"explain.given is .dvcignore, expected .* explain.method given needs one"):
        explain(recordings, settings(Path(".dvcignore")))


def test_a_lone_surrogate_is_no_reason_to_stop(recordings: Recordings, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"name": "L0.N0", "explanation": "boats \\ud83d"}', encoding="utf-8")
    (found,) = explain(recordings, settings(tmp_path / "a.jsonl")).rows[0]
    assert found.text is not None and found.text.encode() == "boats \ufffd".encode()
    assert np.array_equal(recordings.layers[:1], [0])
