import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import Split, read_recordings, write_recordings
from neurogloss.artifacts.simulations import read_simulations
from neurogloss.errors import UserError
from neurogloss.scorers.intervals import mean_interval
from neurogloss.viewer.encode import chunk
from neurogloss.viewer.neurons import quantised
from neurogloss.viewer.pages import Pages
from neurogloss.viewer.result import open_result
from neurogloss.viewer.site import write_site
from neurogloss.viewer.summary import mean
from tests.tiny import random_recordings
from tests.viewer.made_up import HOSTILE, small


def value(script: bytes) -> object:
    """What a chunk hands over."""
    return json.loads(script.decode().split(",", 1)[1].removesuffix(");\n"))


def test_a_chunk_is_ascii_and_cannot_end_a_script() -> None:
    for text in (*HOSTILE, "\ud800 half"):
        script = chunk("about", text)
        assert script.isascii()
        assert b"<" not in script
        assert value(script) == text


def test_a_mean_has_the_interval_of_the_metrics_and_none_over_too_few_neurons() -> None:
    scores = np.append(np.random.default_rng(0).random(8), np.nan).astype(np.float32)
    interval, shown = mean_interval(scores.astype(np.float64)), mean(scores)
    assert interval and (shown["low"], shown["high"]) == (round(interval.low, 4), round(interval.high, 4))
    assert mean(scores[:5]) == {"mean": round(float(scores[:5].mean()), 4), "low": None, "high": None, "count": 5}


def test_quantised_activations_are_within_half_a_step_and_zero_is_exact() -> None:
    activations = np.random.default_rng(0).normal(0, 3, (5, 4, 8)).astype(np.float32)
    activations[:, 0, 0] = 0
    activations[1] = np.abs(activations[1])
    activations[2] = -np.abs(activations[2])
    activations[3] = 0
    found = quantised(activations)
    back = (found.values - found.zero[:, None, None]) * found.step[:, None, None]
    assert np.abs(back - activations).max() <= 0.51 * found.step.max()
    assert (back[activations == 0] == 0).all()


def test_a_neuron_page_shows_what_was_recorded_and_simulated(small_result: Path) -> None:
    pages = Pages(open_result(small_result), "site")
    recordings, simulations = read_recordings(small_result / "data/recordings"), read_simulations(small_result / "data/simulations")
    about, block = value(pages.chunk("about")), value(pages.chunk("neurons/0"))
    shape = (-1, len(about["shown"]), about["tokens"])
    recorded = np.frombuffer(base64.b64decode(block["recorded"]), np.uint8).reshape(shape)
    simulated = np.frombuffer(base64.b64decode(block["variants"][0]["simulated"]), np.uint8).reshape(shape)
    score = recordings.slots.where(Split.SCORE)
    neuron = 4
    shown = (recorded[neuron, : len(score)] - float(block["zero"][neuron])) * block["step"][neuron]
    assert np.allclose(shown, recordings.activations[neuron, score], atol=block["step"][neuron])
    places = [int(np.flatnonzero(simulations.slots == slot)[0]) for slot in score]
    assert np.allclose(simulated[neuron, : len(score)] / 25, simulations.levels[neuron, places], atol=0.03)
    assert about["shown"][0] == {"group": "score", "kind": "top", "split": "score", "simulated": [True]}


def test_the_tokens_of_a_neuron_are_those_with_the_highest_mean(small_result: Path) -> None:
    recordings = read_recordings(small_result / "data/recordings")
    tokens = value(Pages(open_result(small_result), "site").chunk("neurons/0"))["tokens"][0]
    means = np.nan_to_num(np.asarray(recordings.token_means[0], float), nan=-9)
    best = int(np.argmax(np.where(recordings.table_counts >= 3, means, -9)))
    assert tokens[0][0] == recordings.text(int(recordings.table_tokens[best]))
    assert [t[1] for t in tokens] == sorted((t[1] for t in tokens), reverse=True)


def test_failures_keep_their_status_and_leave_the_means(small_result: Path) -> None:
    about = value(Pages(open_result(small_result), "site").chunk("about"))
    named = {name: count for (name, _), count in zip(about["statuses"], about["variants"][0]["statuses"], strict=True)}
    explanations = read_explanations(small_result / "data/explanations.parquet")
    assert named["silent"] == 1
    assert named["refused"] == 1
    assert named["ok"] == len(explanations) - 2
    assert about["variants"][0]["means"]["top_and_random"]["count"] == len(explanations) - 2


def test_the_same_result_makes_the_same_bytes(small_result: Path) -> None:
    first, second = (Pages(open_result(small_result), "site") for _ in range(2))
    assert [first.chunk(name) for name in first.names()] == [second.chunk(name) for name in second.names()]


@pytest.mark.parametrize(
    "name", ["", "neurons", "neurons/9", "neurons/00", "../about", "neurons/../about", "secret/0", "about/0", "rows/-1"]
)
def test_a_name_outside_the_result_is_refused(small_result: Path, name: str) -> None:
    with pytest.raises(KeyError):
        Pages(open_result(small_result), "site").chunk(name)


def test_a_site_replaces_a_site_and_nothing_else(small_result: Path, tmp_path: Path) -> None:
    pages = Pages(open_result(small_result), "site")
    write_site(pages, tmp_path / "site")
    write_site(pages, tmp_path / "site")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["site"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(UserError, match="holds other files"):
        write_site(pages, tmp_path / "mine")
    assert (tmp_path / "mine" / "work.txt").read_text(encoding="utf-8") == "keep"
    (tmp_path / "site" / ".git").mkdir()
    with pytest.raises(UserError, match=r"holds other files \(\.git\)"):
        write_site(pages, tmp_path / "site")
    assert (tmp_path / "site" / ".git").is_dir()


def test_a_site_can_be_written_where_one_stands(small_result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_site(Pages(open_result(small_result), "site"), Path())
    assert (tmp_path / "here" / "index.html").is_file()


def test_a_result_of_an_older_schema_is_named(tmp_path: Path) -> None:
    folder = small(tmp_path)
    path = folder / "data" / "scores.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"neurogloss.schema": "neurogloss.scores", "neurogloss.version": "0"}), path)
    with pytest.raises(UserError, match=r"scores.parquet holds neurogloss.scores version 0, expected neurogloss.scores version 5"):
        open_result(folder)


def test_a_folder_without_a_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"recordings.json is missing; run `dvc repro`"):
        open_result(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        open_result(tmp_path / "nowhere")


def test_a_result_without_neurons_is_named(tmp_path: Path) -> None:
    few = random_recordings()
    none = {name: getattr(few, name)[:0] for name in ("layers", "indices", "peaks", "excerpts", "activations", "token_means")}
    write_recordings(tmp_path / "data/recordings", replace(few, statistics=few.statistics.slice(0, 0), **none))
    with pytest.raises(UserError, match=r"recordings holds no unit; raise record.neurons in params.yaml and run `dvc repro`"):
        open_result(tmp_path)


def test_variants_must_share_their_recordings(small_result: Path, tmp_path: Path) -> None:
    other = small(tmp_path, per_layer=5)
    with pytest.raises(UserError, match="holds other recordings"):
        open_result(small_result, {"other": other})
    header = other / "data" / "recordings" / "recordings.json"
    header.write_text(header.read_text(encoding="utf-8").replace('"units": "neurons"', '"units": "latents"'), encoding="utf-8")
    with pytest.raises(UserError, match=r"is of latents, this result of neurons; compare results of one kind of unit"):
        open_result(small_result, {"other": other})
