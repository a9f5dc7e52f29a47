"""Neuronpedia's format: what is written has its fields, and is read back as what it was."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import Promoted, Split, read_recordings, write_recordings
from neurogloss.artifacts.results import read_results
from neurogloss.artifacts.units import UnitKind
from neurogloss.cli.main import app
from neurogloss.errors import UserError
from neurogloss.exchange.neuronpedia import unpack, write_neuronpedia


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def data(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result as if it were of latents, with promoted tokens."""
    import shutil

    folder = tmp_path_factory.mktemp("latents") / "data"
    shutil.copytree(finished / "data", folder)
    recordings = read_recordings(folder / "recordings")
    tokens = np.tile(np.array([[1, 2], [4, -1]], np.int32), (len(recordings), 1, 1))
    promoted = Promoted(tokens, np.tile(np.array([[2, 1], [-3, 0]], np.float16), (len(recordings), 1, 1)))
    write_recordings(tmp_path_factory.mktemp("r") / "recordings", replace(recordings, kind=UnitKind.LATENTS, promoted=promoted))
    changed = replace(recordings, kind=UnitKind.LATENTS, promoted=promoted)
    write_recordings(folder / "other", changed)
    shutil.rmtree(folder / "recordings")
    (folder / "other").rename(folder / "recordings")
    return folder


@pytest.fixture(scope="module")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("neuronpedia") / "out"
    done = run("export", str(folder), "--format", "neuronpedia", "--surplus", "--data", str(data))
    assert done.exit_code == 0 and "12 latents in" in done.output, done.output
    return folder


def test_a_feature_has_its_statistics_and_promoted_tokens_and_an_activation_its_bins(exported: Path, data: Path) -> None:
    results = read_results(data)
    recordings = results.recordings
    features, activations, texts = (lines(exported / what / "batch-0.jsonl.gz") for what in ("features", "activations", "explanations"))
    assert len(features) == 12
    one = features[1]
    assert (one["layer"], one["index"], one["hookName"]) == ("0-latents", "3", "blocks.0.hook")
    assert one["pos_str"] == [recordings.text(1), recordings.text(2)] and one["pos_values"] == [2.0, 1.0]
    assert one["neg_str"] == [recordings.text(4)] and one["neg_values"] == [-3.0]
    assert one["maxActApprox"] == pytest.approx(recordings.statistics["maximum"][1].as_py(), abs=1e-6)
    own = [line for line in activations if (line["layer"], line["index"]) == ("0-latents", "3")]
    assert len(own) == len(recordings.slots) and len({line["id"] for line in activations}) == len(activations)
    assert own[0]["values"] == pytest.approx(recordings.activations[1, 0].astype(float)) and own[0]["binMin"] == -1
    assert own[0]["maxValue"] == max(own[0]["values"]) == own[0]["values"][own[0]["maxValueTokenIndex"]]
    assert own[-1]["binMin"] == 0
    explained = {(line["layer"], line["index"]): line for line in texts}
    assert explained["0-latents", "3"]["description"] == results.explanations.texts[1]
    assert lines(exported / "source.jsonl.gz")[1]["id"] == "1-latents"


def test_parquet_holds_what_units_of_any_kind_promote_and_suppress(data: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    assert run("export", str(tmp_path / "out"), "--data", str(data)).exit_code == 0
    first = pq.read_table(tmp_path / "out" / "neurons").to_pylist()[0]
    texts = [read_results(data).recordings.text(token) for token in (1, 2, 4)]
    assert (first["name"], first["promoted"], first["promoted_logits"]) == ("L0.F0", texts[:2], [2, 1])
    assert (first["suppressed"], first["suppressed_logits"]) == (texts[2:], [-3])


def test_an_export_is_read_back_as_recordings_and_explanations_of_its_kind(exported: Path, data: Path, tmp_path: Path) -> None:
    words = ["import", str(exported), "--out", str(tmp_path / "r"), "--explanations", str(tmp_path / "e.parquet"), "--per-split", "4"]
    done = run(*words)
    assert done.exit_code == 0 and "12 latents with" in done.output, done.output
    there, before = read_recordings(tmp_path / "r"), read_recordings(data / "recordings")
    assert there.kind is UnitKind.LATENTS and there.name(1) == "L0.F3"
    np.testing.assert_array_equal(there.indices, before.indices)
    for row in range(len(there)):
        ours, theirs = (np.sort(np.asarray(found.activations[row, found.slots.where(*Split)]).max(axis=1)) for found in (there, before))
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    texts = read_explanations(tmp_path / "e.parquet").texts
    known = read_explanations(data / "explanations.parquet").texts
    assert [text and text.rstrip(".") for text in known] == texts


def test_equal_results_are_equal_files(exported: Path, data: Path, tmp_path: Path) -> None:
    list(write_neuronpedia(tmp_path / "again", read_results(data), surplus=True))
    for path in exported.rglob("*.gz"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(exported)).read_bytes()


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("features", {"layer": "res", "index": "3"}, r"layer 'res', index '3'; expected a layer such as 8-res-jb"),
        ("features", {"layer": "0-neurons", "index": "1"}, r"0-neurons and 0-latents are both layer 0"),
        ("features", {"layer": "7-neurons", "index": "1"}, r"holds latents and neurons; a recording is of one kind of unit"),
        ("activations", {"layer": "0-latents", "index": "3", "tokens": "a"}, "expected tokens and values"),
        ("explanations", [1], "line 1: expected an object, got list"),
    ],
)
def test_what_is_not_of_the_form_is_an_error_with_its_place(file: str, line: Any, message: str, exported: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(exported, tmp_path / "spoilt"))
    (folder / file / "z.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        unpack(folder, tmp_path / "out")


def test_a_file_that_is_cut_short_and_negative_sides_are_errors(exported: Path, data: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(exported, tmp_path / "short"))
    path = folder / "activations" / "batch-0.jsonl.gz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="is not readable JSON lines"):
        unpack(folder, tmp_path / "out")
    results = read_results(data)
    signed = replace(results.recordings, indices=~results.recordings.indices)
    object.__setattr__(results, "recordings", signed)
    with pytest.raises(UserError, match="no negative sides of neurons"):
        list(write_neuronpedia(tmp_path / "signed", results, surplus=True))


def test_the_json_of_bills_et_al_is_refused_for_what_is_no_neuron(data: Path, tmp_path: Path) -> None:
    done = run("export", str(tmp_path / "o"), "--format", "openai", "--data", str(data))
    assert isinstance(done.exception, UserError) and "is of neurons, these are latents" in str(done.exception)
