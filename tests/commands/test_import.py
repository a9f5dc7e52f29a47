"""import: what was exported comes back equal, published files with old names are read, and nothing is dropped in silence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import Recordings, Split, read_recordings
from neurogloss.artifacts.results import read_results
from neurogloss.cli.main import app
from neurogloss.errors import UserError

Json = dict[str, Any]


def imported(source: Path, out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["import", str(source), "--out", str(out), *arguments])


@pytest.fixture(scope="module")
def openai(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "openai"
    assert (
        CliRunner().invoke(app, ["export", str(folder), "--format", "openai", "--surplus", "--data", str(finished / "data")]).exit_code == 0
    )
    return folder


def made(folder: Path, change: Callable[[Json, int, int], None] | None = None, neurons: int = 6, tops: int = 8, randoms: int = 6) -> Path:
    """Published-looking files of layer 5; `change` edits a record before it is written."""
    rng = np.random.default_rng(0)

    def records(count: int, neuron: int, kind: str) -> list[Json]:
        activations = rng.gamma(0.5, 1.0, (count, 9)).round(4)
        return [
            {"tokens": [f" {kind}{neuron}.{i}", *(f" t{(i + j) % 7}" for j in range(8))], "activations": a.tolist()}
            for i, a in enumerate(activations)
        ]

    for neuron in range(neurons):
        top, random = records(tops, neuron, "top"), records(randoms, neuron, "random")
        record: Json = {
            "neuron_id": {"layer_index": 5, "neuron_index": neuron}, "random_sample": random, "most_positive_activation_records": top,
            "mean": 0.5, "variance": 0.6, "skewness": None, "kurtosis": None,
            "quantile_boundaries": [0.5], "random_sample_by_quantile": [random],
        }  # fmt: skip
        if change:
            change(record, 5, neuron)
        path = folder / "5" / f"{neuron}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_what_was_exported_comes_back_equal(openai: Path, finished: Path, tmp_path: Path) -> None:
    assert imported(openai, tmp_path / "recordings", "--per-split", "4").exit_code == 0
    back, before = read_recordings(tmp_path / "recordings"), read_results(finished / "data").recordings
    assert back.slots == before.slots
    for key in ("layers", "indices", "peaks", "activations"):
        np.testing.assert_array_equal(getattr(back, key), getattr(before, key), key)
    for neuron in range(len(before)):
        slots = np.arange(len(before.slots))
        assert [[back.text(t) for t in ids] for ids in back.tokens(neuron, slots)] == [
            [before.text(t) for t in ids] for ids in before.tokens(neuron, slots)
        ]
    for column in ("mean", "variance", "skewness", "kurtosis", "maximum", "peak"):
        np.testing.assert_allclose(*(np.array(r.statistics[column].to_pylist(), dtype=float) for r in (back, before)))


def test_explanations_come_back_with_their_scores(openai: Path, finished: Path, tmp_path: Path) -> None:
    explanations = tmp_path / "explanations.parquet"
    assert imported(openai, tmp_path / "recordings", "--explanations", str(explanations)).exit_code == 0
    back, before = read_explanations(explanations), read_results(finished / "data")
    assert back.texts == before.explanations.texts
    assert [row.kept.select_score for row in back.rows] == before.scores["top_and_random"].to_pylist()
    assert [str(s) for s in back.statuses] == ["no_explanation" if text is None else "ok" for text in back.texts]


def test_exporting_the_import_gives_the_same_records(openai: Path, tmp_path: Path) -> None:
    assert imported(openai, tmp_path / "recordings").exit_code == 0
    recordings = read_recordings(tmp_path / "recordings")
    record = json.loads((openai / "collated-activations" / "1" / "6.json").read_text(encoding="utf-8"))
    row = recordings.row(1, 6)
    tops = recordings.slots.kinds.count("top")
    np.testing.assert_array_equal(
        np.array([r["activations"] for r in record["most_positive_activation_records"]], np.float16), recordings.activations[row, :tops]
    )


def old_names(record: Json, layer: int, neuron: int) -> None:
    record["neuron_id"] = {"layer": str(layer), "idx": neuron}
    record["some_field_of_later_years"] = {"a": 1}


def with_dataclass_names(record: Json, layer: int, neuron: int) -> None:
    record["dataclass_name"] = "NeuronRecord"
    record["mean"] = float("nan")
    record["variance"] = None


@pytest.mark.parametrize("change", [None, old_names, with_dataclass_names])
def test_every_known_spelling_is_read(tmp_path: Path, change: Callable[[Json, int, int], None] | None) -> None:
    assert imported(made(tmp_path / "s", change), tmp_path / "r").exit_code == 0
    found = read_recordings(tmp_path / "r")
    assert found.layers.tolist() == [5] * 6 and found.indices.tolist() == list(range(6))
    assert len(found.slots) == 14 and len(found.slots.where(Split.SCORE)) == 4
    assert all(np.isfinite(mean) and mean > 0 for mean in found.statistics["mean"].to_pylist())


def test_old_names_of_explanations_are_read_and_the_best_is_kept_without_its_full_stop(tmp_path: Path) -> None:
    source = made(tmp_path / "collated-activations").parent
    results: Json = {
        "neuron_id": {"layer": "5", "idx": 2},
        "scored_explanation_or_baseline_list": [
            {"explanation_or_baseline": "worse", "scored_simulation": {"ev_correlation_score": 0.1}},
            {"explanation_or_baseline": " better. ", "scored_simulation": {"ev_correlation_score": 0.4, "scored_sequence_simulations": []}},
            {"explanation_or_baseline": "unknown", "scored_simulation": {"ev_correlation_score": None}},
            {"explanation_or_baseline": " . ", "scored_simulation": {"ev_correlation_score": 0.9}},
        ],
    }  # fmt: skip
    (source / "explanations" / "5").mkdir(parents=True)
    (source / "explanations" / "5" / "2.jsonl").write_text(json.dumps(results) + "\n", encoding="utf-8")
    assert imported(source, tmp_path / "r", "--explanations", str(tmp_path / "e.parquet")).exit_code == 0
    found = read_explanations(tmp_path / "e.parquet")
    assert found.texts == [None, None, "better", None, None, None]
    assert [c.text for c in found.rows[2].candidates] == ["worse", "better", "unknown"]


def test_short_excerpts_and_neurons_with_too_few_are_left_out_and_counted(tmp_path: Path) -> None:
    def change(record: Json, layer: int, neuron: int) -> None:
        if neuron == 1:
            for excerpt in record["random_sample"][:4]:
                excerpt["tokens"], excerpt["activations"] = excerpt["tokens"][:5], excerpt["activations"][:5]
        if neuron == 2:
            record["most_positive_activation_records"][0]["activations"][3] = None

    done = imported(made(tmp_path / "s", change, tops=9), tmp_path / "r")
    found = read_recordings(tmp_path / "r")
    assert found.indices.tolist() == [0, 2, 3, 4, 5]
    assert found.about["left_out"] == {"neurons": 1, "unusable_excerpts": 1, "excerpts_of_other_lengths": 4}
    assert found.slots.kinds.count("top") == 8
    assert "left out 1 neurons, 1 unusable excerpts, 4 excerpts of other lengths" in done.output


def test_an_excerpt_that_is_both_top_and_random_is_used_once(tmp_path: Path) -> None:
    def change(record: Json, layer: int, neuron: int) -> None:
        record["random_sample"].append(record["most_positive_activation_records"][0])

    assert imported(made(tmp_path / "s", change), tmp_path / "r").exit_code == 0
    found = read_recordings(tmp_path / "r")
    for row in range(len(found)):
        assert len(set(found.excerpts[row].tolist())) == len(found.slots)


def hand_made_means(found: Recordings, row: int) -> dict[int, float]:
    values: dict[int, list[float]] = {}
    for slot in range(len(found.slots)):
        if found.slots.splits[slot] is not Split.SCORE:
            for token, activation in zip(
                found.tokens(row, np.array([slot]))[0].tolist(), found.activations[row, slot].tolist(), strict=True
            ):
                values.setdefault(token, []).append(activation)
    return {token: float(np.mean(v)) for token, v in values.items()}


def test_token_means_leave_the_score_split_out(tmp_path: Path) -> None:
    assert imported(made(tmp_path / "s"), tmp_path / "r").exit_code == 0
    found = read_recordings(tmp_path / "r")
    expected = hand_made_means(found, 3)
    for place, token in enumerate(found.table_tokens.tolist()):
        mean = float(found.token_means[3, place])
        assert np.isnan(mean) if token not in expected else mean == pytest.approx(expected[token], rel=1e-3)


def test_equal_sources_give_equal_files(openai: Path, tmp_path: Path) -> None:
    for name in "ab":
        assert imported(openai, tmp_path / name).exit_code == 0
    for path in (p for p in (tmp_path / "a").rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"5/0\.json is not a NeuronRecord: the file: invalid json"),
        ('{"neuron_id": {"layer_index": 5}}', r"5/0\.json is not a NeuronRecord: neuron_id\.neuron_index: field required"),
        ('{"neuron_id": {"layer_index": 5, "neuron_index": 1}}', r"is about layer 5, neuron 1; name it 5/1.json, or mend its neuron_id"),
    ],
)
def test_a_bad_file_is_an_error_with_its_path(tmp_path: Path, content: str, message: str) -> None:
    source = made(tmp_path / "s")
    (source / "5" / "0.json").write_text(content, encoding="utf-8")
    error = imported(source, tmp_path / "r").exception
    assert isinstance(error, UserError)
    with pytest.raises(UserError, match=message):
        raise error
    assert not (tmp_path / "r").exists()


def test_sources_without_neurons_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source, message in ((tmp_path / "empty", "holds no LAYER/NEURON.json"), (tmp_path / "missing", "is not a folder")):
        error = imported(source, tmp_path / "r").exception
        assert isinstance(error, UserError) and message in str(error)
    few = imported(made(tmp_path / "few", tops=3), tmp_path / "r").exception
    assert isinstance(
        few, UserError
    ) and "3 top and 6 random excerpts of the commonest length, 9 tokens; splits need at least 4 and 3" in str(few)

    def shorter(record: Json, layer: int, neuron: int) -> None:
        for place, excerpt in enumerate([*record["random_sample"], *record["most_positive_activation_records"]]):
            excerpt["tokens"], excerpt["activations"] = excerpt["tokens"][: 3 + place % 7], excerpt["activations"][: 3 + place % 7]

    differ = imported(made(tmp_path / "differ", shorter), tmp_path / "r").exception
    assert isinstance(differ, UserError)
    assert "; the lengths differ, from 3 to 9 tokens; splits need at least 4 and 3 of one length" in str(differ)
    with_nothing = made(tmp_path / "none", lambda record, *_: record.update(random_sample=[], most_positive_activation_records=[]))
    error = imported(with_nothing, tmp_path / "r").exception
    assert isinstance(error, UserError) and "no file holds an excerpt" in str(error)


def test_a_folder_of_something_else_is_not_overwritten(openai: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    error = imported(openai, tmp_path).exception
    assert isinstance(error, UserError) and "holds other files" in str(error)
    assert (tmp_path / "notes.txt").exists()


def test_explanations_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    done = imported(made(tmp_path / "s"), tmp_path / "recordings", "--explanations", str(tmp_path / "e.parquet"))
    assert isinstance(done.exception, UserError) and "holds no explanation of the 6 neurons" in str(done.exception)
    assert not (tmp_path / "e.parquet").exists()


def test_a_neuron_is_not_left_out_for_surplus_that_no_split_needs(tmp_path: Path) -> None:
    def fewer(record: Json, layer: int, neuron: int) -> None:
        if neuron == 0:
            del record["most_positive_activation_records"][8:]

    assert imported(made(tmp_path / "s", fewer, tops=12), tmp_path / "recordings", "--per-split", "2").exit_code == 0
    back = read_recordings(tmp_path / "recordings")
    assert len(back) == 6 and back.slots.kinds.count("top") == 8
