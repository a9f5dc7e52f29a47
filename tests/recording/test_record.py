"""record: everything kept equals what a dense computation gives; the same bytes however the work was cut; bad input is told."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from neurogloss.artifacts.recordings import OPEN_SPLITS, Kind, Recordings, Split, read_recordings, write_recordings
from neurogloss.config.record import RecordParams
from neurogloss.corpus.windows import Excerpts
from neurogloss.errors import UserError
from neurogloss.measures.levels import levels
from neurogloss.recording import kernels
from neurogloss.recording import stream as stream_module
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.layers import LayerPlan, plan_layers
from neurogloss.recording.run import passes, record_excerpts
from stages.record import main
from tests.pipeline import write_corpus
from tests.subject.made_up import MadeUp, made_up_excerpts, record_params


def run(subject: MadeUp, folder: Path, params: RecordParams, excerpts: Excerpts | None = None) -> Recordings:
    found = record_excerpts(subject, excerpts or made_up_excerpts(), params, Scratch(folder / "scratch", "key"))  # type: ignore[arg-type]  # it quacks
    write_recordings(folder / "out", found)
    return read_recordings(folder / "out")


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module", params=[False, True], ids=["windows", "documents"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Windows dealt to the splits, and documents."""
    excerpts = made_up_excerpts(held_out=request.param)
    return run(MadeUp(), tmp_path_factory.mktemp("recorded"), record_params(), excerpts)


def excerpts_of(found: Recordings) -> Excerpts:
    """What the recordings are of."""
    return made_up_excerpts(held_out=found.about["split_by"] == "document")


def held_out(found: Recordings) -> np.ndarray:
    """Whether each excerpt is held out, from the documents it says it has."""
    number = np.array([int(name[1:]) for name in found.documents["document"].to_pylist()])
    return np.asarray((number % 4 == 1) & (found.about["split_by"] == "document"))


def dense(found: Recordings, row: int) -> np.ndarray:
    """float32 (excerpt, token) of one neuron."""
    return np.asarray(MadeUp().dense(int(found.layers[row]), found.corpus)[:, :, found.indices[row]])


def test_the_kept_activations_are_those_of_their_excerpts(recorded: Recordings) -> None:
    for row in range(len(recorded)):
        np.testing.assert_array_equal(recorded.activations[row], dense(recorded, row)[recorded.excerpts[row]].astype(np.float16))


def test_the_top_slots_are_the_strongest_of_what_is_not_random_and_ties_go_to_the_lower_excerpt(recorded: Recordings) -> None:
    out = held_out(recorded)
    top, random = (recorded.slots.where(*Split, kind=kind) for kind in Kind)
    score = recorded.slots.where(Split.SCORE) if out.any() else recorded.slots.where()
    for row in range(len(recorded)):
        strength = dense(recorded, row).astype(np.float16).max(axis=1)
        drawn = recorded.excerpts[row, random]
        assert len(np.unique(drawn)) == len(random)
        for side, slots in ((True, np.intersect1d(top, score)), (False, np.setdiff1d(top, score))):
            free = np.setdiff1d(np.flatnonzero(out == side), drawn)
            np.testing.assert_array_equal(recorded.excerpts[row, slots], free[np.argsort(-strength[free], kind="stable")][: len(slots)])


def test_score_excerpts_are_held_out_and_no_others_where_documents_are_dealt(recorded: Recordings) -> None:
    out = held_out(recorded)
    score = np.isin(np.arange(len(recorded.slots)), recorded.slots.where(Split.SCORE))
    assert recorded.about["held_out_excerpts"] == out.sum()
    if out.any():
        np.testing.assert_array_equal(out[recorded.excerpts], np.tile(score, (len(recorded), 1)))


def test_statistics_are_those_of_the_whole_corpus(recorded: Recordings) -> None:
    columns = {name: recorded.statistics[name].to_numpy(zero_copy_only=False) for name in recorded.statistics.column_names}
    for row in range(len(recorded)):
        values = dense(recorded, row).ravel().astype(np.float64)
        centred = values - values.mean()
        expected = {
            "mean": values.mean(),
            "variance": values.var(),
            "skewness": (centred**3).mean() / values.std() ** 3,
            "kurtosis": (centred**4).mean() / values.std() ** 4,
            "above_zero_share": (values > 0).mean(),
        }
        for name, value in expected.items():
            assert columns[name][row] == pytest.approx(value, rel=1e-5, abs=1e-7), name


def test_peak_and_maximum_never_see_the_score_split(recorded: Recordings) -> None:
    slots = recorded.slots
    explain = slots.where(Split.EXPLAIN)
    seen = slots.where(Split.EXPLAIN, Split.CALIBRATE, Split.SELECT, Split.FIT)
    maxima = recorded.activations.max(axis=2).astype(np.float64)
    np.testing.assert_array_equal(recorded.statistics["maximum"].to_numpy(), maxima[:, seen].max(axis=1))
    peaks = maxima[:, explain].max(axis=1)
    np.testing.assert_array_equal(recorded.peaks, np.where(peaks > 0, peaks, np.nan))


def test_a_neuron_that_never_fires_is_kept_without_a_peak(recorded: Recordings) -> None:
    silent = [recorded.row(0, 0), recorded.row(1, 0)]
    assert np.flatnonzero(recorded.silent).tolist() == silent
    assert recorded.statistics["peak"].to_pylist()[silent[0]] is None
    assert recorded.statistics["above_zero_share"].to_pylist()[silent[0]] == 0
    assert recorded.statistics["firing_share"].to_pylist()[silent[0]] == 0


def test_firing_is_level_one_or_above_on_random_excerpts_outside_of_the_score_split(recorded: Recordings) -> None:
    drawn = recorded.slots.where(*OPEN_SPLITS, kind=Kind.RANDOM)
    scale = levels(np.asarray(recorded.activations[:, drawn]), recorded.peaks)
    shares = recorded.statistics["firing_share"].to_numpy()
    np.testing.assert_allclose(shares, (scale >= 1).mean(axis=(1, 2)))
    assert 0 < shares.max() < recorded.statistics["above_zero_share"].to_numpy().max()


@pytest.mark.parametrize("documents", [False, True])
def test_token_means_leave_the_score_excerpts_and_held_out_ones_out_and_are_nan_where_nothing_is_left(
    documents: bool, tmp_path: Path
) -> None:
    excerpts = made_up_excerpts(40, 4, held_out=documents)
    excerpts = replace(excerpts, held_out=excerpts.held_out | (documents & (np.arange(40) > 30)))
    found = run(MadeUp(), tmp_path, record_params(excerpts=40, tokens=4, top=12, random=9, per_split=3), excerpts)
    score = found.slots.where(Split.SCORE)
    empty = 0
    for row in range(len(found)):
        rest = np.flatnonzero(~excerpts.held_out) if documents else np.setdiff1d(np.arange(40), found.excerpts[row, score])
        values = dense(found, row).astype(np.float16).astype(np.float64)
        for entry, token in enumerate(found.table_tokens):
            here = values[rest][found.corpus[rest] == token]
            empty += not len(here)
            expected = here.mean() if len(here) else np.nan
            np.testing.assert_allclose(found.token_means[row, entry], np.float16(expected), rtol=2e-3, atol=1e-6)
    assert (empty > 0) is not documents


def test_a_token_has_the_same_mean_in_a_small_table_as_in_a_large_one(recorded: Recordings, tmp_path: Path) -> None:
    small = run(MadeUp(), tmp_path, record_params(table_tokens=2), excerpts_of(recorded))
    assert len(small.table_tokens) == 2
    places = np.searchsorted(recorded.table_tokens, small.table_tokens)
    np.testing.assert_array_equal(small.token_means, recorded.token_means[:, places])


def test_the_table_holds_the_most_frequent_tokens(recorded: Recordings) -> None:
    tokens, counts = np.unique(recorded.corpus[~held_out(recorded)], return_counts=True)
    assert len(recorded.table_tokens) == 30
    assert (np.diff(recorded.table_tokens) > 0).all()
    np.testing.assert_array_equal(recorded.table_counts, counts[np.isin(tokens, recorded.table_tokens)])
    assert recorded.table_counts.min() >= counts[~np.isin(tokens, recorded.table_tokens)].max()


def test_a_neuron_is_recorded_the_same_whatever_is_recorded_beside_it(recorded: Recordings, tmp_path: Path) -> None:
    part = run(MadeUp(), tmp_path, record_params(layers=[1], neurons=3), excerpts_of(recorded))
    assert part.layers.tolist() == [1, 1, 1]
    for row, index in enumerate(part.indices.tolist()):
        whole = recorded.row(1, index)
        np.testing.assert_array_equal(part.excerpts[row], recorded.excerpts[whole])
        np.testing.assert_array_equal(part.activations[row], recorded.activations[whole])
        np.testing.assert_array_equal(part.token_means[row], recorded.token_means[whole])
        assert part.statistics.slice(row, 1).to_pylist() == recorded.statistics.slice(whole, 1).to_pylist()


def test_equal_params_give_equal_bytes_and_several_passes_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, several = MadeUp(), MadeUp()
    run(one, tmp_path / "a", record_params())
    monkeypatch.setattr("neurogloss.recording.run.memory_mb", lambda: 1e-3)
    run(several, tmp_path / "b", record_params())
    assert several.passes == 2 * one.passes
    assert digest(tmp_path / "a" / "out") == digest(tmp_path / "b" / "out")


@pytest.mark.parametrize(
    ("neurons", "room", "groups"),
    [
        ([100] * 30, 3000, [30]),
        ([100] * 30, 2999, [15, 15]),  # Not 29 and 1: the first pass ends in the middle of the model, and neither needs all of the room.
        ([100] * 30, 1400, [10, 10, 10]),
        ([10, 10, 10, 90], 100, [3, 1]),
        ([90, 10, 10, 10], 100, [1, 3]),
        ([100, 200, 100], 50, [1, 1, 1]),  # A layer is never cut.
        ([100], 0, [1]),
    ],
)
def test_no_more_passes_than_memory_needs_and_even_ones(neurons: list[int], room: int, groups: list[int]) -> None:
    nothing = np.empty(0, np.int32)
    plans = [LayerPlan(layer, count, np.arange(count, dtype=np.int32), nothing, 9) for layer, count in enumerate(neurons)]
    params, entries = record_params(), 8
    each = (params.top + params.random) * (2 * params.tokens + 12) + 8 * entries + 100
    found = passes(plans, params, entries, room * each)
    assert [len(group) for group in found] == groups
    assert [plan for group in found for plan in group] == plans


def test_what_streams_hold_is_taken_off_the_room_for_states(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rooms: list[int] = []
    monkeypatch.setattr("neurogloss.recording.run.passes", lambda plans, params, entries, room: rooms.append(room) or [plans])
    monkeypatch.setattr("neurogloss.recording.run.streams", lambda widths: 3)
    monkeypatch.setattr("neurogloss.recording.run.held", lambda widths: 10_000_000 + max(widths))
    monkeypatch.setattr("neurogloss.recording.run.memory_mb", lambda: 100)
    run(MadeUp(), tmp_path, record_params())
    assert rooms == [70_000_000 - 3 * max(MadeUp().widths)]


def test_another_seed_draws_other_random_excerpts(recorded: Recordings, tmp_path: Path) -> None:
    other = run(MadeUp(), tmp_path, record_params(seed=1), excerpts_of(recorded))
    assert not np.array_equal(other.excerpts[:, -7:], recorded.excerpts[:, -7:])


class Stopped(Exception):
    """A kill in the middle of a pass."""


class Fragile(MadeUp):
    """Ends after a number of forward passes."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.left = passes

    def activations(self, tokens: Any, layers: Sequence[int], visit: Any) -> None:
        with self.lock:
            if not self.left:
                raise Stopped
            self.left -= 1
        super().activations(tokens, layers, visit)


PASSES, LAST_SHARD = 27, 9


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten shards of two batches in the made-up corpus, the last of nine small ones."""
    monkeypatch.setattr(stream_module, "BATCH_TOKENS", 35 * 8)
    monkeypatch.setattr(stream_module, "SHARD_BATCHES", 2)


@pytest.fixture
def small_shards(small_batches: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, each shard kept as soon as it is done."""
    monkeypatch.setattr("neurogloss.recording.checkpoint.SECONDS", 0.0)


@pytest.mark.parametrize("passes", [0, 1, 2, 7, 17, 19, 26])
def test_a_killed_run_goes_on_where_it_stopped_and_ends_with_the_same_bytes(small_shards: None, passes: int, tmp_path: Path) -> None:
    run(MadeUp(), tmp_path / "whole", record_params())
    with pytest.raises(Stopped):
        run(Fragile(passes), tmp_path / "cut", record_params())
    again = MadeUp()
    run(again, tmp_path / "cut", record_params())
    assert again.passes == PASSES - min(passes, PASSES - LAST_SHARD) // 2 * 2
    assert digest(tmp_path / "cut" / "out") == digest(tmp_path / "whole" / "out")


@pytest.mark.parametrize("layers", [1, 2])
def test_a_run_killed_after_the_pass_does_not_repeat_finished_layers(
    small_shards: None, layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(MadeUp(), tmp_path / "whole", record_params())
    real, calls = real_finish(), []

    def finish(*args: Any) -> Any:
        calls.append(args[0].layer)
        if len(calls) == layers:
            raise Stopped
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr("neurogloss.recording.run.finish", finish)
        with pytest.raises(Stopped):
            run(MadeUp(), tmp_path / "cut", record_params())
    again = MadeUp()
    run(again, tmp_path / "cut", record_params())
    assert again.passes == LAST_SHARD  # It was not kept.
    assert digest(tmp_path / "cut" / "out") == digest(tmp_path / "whole" / "out")


def real_finish() -> Any:
    from neurogloss.recording.finish import finish

    return finish


@pytest.mark.parametrize("damage", ["cut", "other", "note"])
def test_kept_work_that_is_cut_short_or_of_another_run_is_ignored_and_told(
    small_shards: None, damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(MadeUp(), tmp_path / "whole", record_params())
    with pytest.raises(Stopped):
        run(Fragile(9), tmp_path / "cut", record_params())
    (kept,) = (tmp_path / "cut" / "scratch").glob("layers-*")
    note, array = kept / "note.json", kept / "0-top.npy"
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:-1])
    elif damage == "other":
        note.write_text(json.dumps(json.loads(note.read_text(encoding="utf-8")) | {"key": "another"}), encoding="utf-8")
    else:
        note.write_text("{", encoding="utf-8")
    again = MadeUp()
    run(again, tmp_path / "cut", record_params())
    assert again.passes == PASSES
    assert "is cut short or of another run; it is ignored" in caplog.text
    assert digest(tmp_path / "cut" / "out") == digest(tmp_path / "whole" / "out")


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_finished_layers_that_are_cut_short_are_recorded_again_and_told(
    small_shards: None, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine that lost its power may keep the note and lose what it speaks of."""
    run(MadeUp(), tmp_path / "whole", record_params())
    real = real_finish()

    def finish(*args: Any) -> Any:
        if args[0].layer == 1:
            raise Stopped
        return real(*args)

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr("neurogloss.recording.run.finish", finish)
        run(MadeUp(), tmp_path / "cut", record_params())
    kept = tmp_path / "cut" / "scratch" / "activations.npy"
    if damage == "cut":
        os.truncate(kept, kept.stat().st_size - 1)
    else:
        kept.unlink()
    run(MadeUp(), tmp_path / "cut", record_params())
    assert "activations.npy is cut short; its layers are recorded again" in caplog.text
    assert digest(tmp_path / "cut" / "out") == digest(tmp_path / "whole" / "out")


@pytest.mark.parametrize("limit", [1200, 2000, 3000])
def test_a_disk_that_fills_while_work_is_kept_is_told_and_the_run_goes_on_with_the_same_bytes(
    small_shards: None, limit: int, tmp_path: Path
) -> None:
    """The limits stop it at an early array that is kept, at a later one, and at a finished layer."""
    resource = pytest.importorskip("resource", reason="limits of file sizes exist on POSIX only")
    run(MadeUp(), tmp_path / "whole", record_params())
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot write .*; free or change the disk and run again"):
            run(MadeUp(), tmp_path / "cut", record_params())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    run(MadeUp(), tmp_path / "cut", record_params())
    assert digest(tmp_path / "cut" / "out") == digest(tmp_path / "whole" / "out")


class Overtaking(MadeUp):
    """The first batches are the slowest; knows how many were in work at once."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = self.most = 0

    def activations(self, tokens: Any, layers: Sequence[int], visit: Any) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            wait = 0.03 if self.passes < 8 and self.passes % 2 == 0 else 0.001
        time.sleep(wait)
        super().activations(tokens, layers, visit)
        with self.lock:
            self.inside -= 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_do_not_depend_on_how_many_batches_go_side_by_side(
    small_batches: None, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(MadeUp(), tmp_path / "default", record_params())
    monkeypatch.setenv("NEUROGLOSS_THREADS", str(count))
    subject = Overtaking()
    run(subject, tmp_path / "other", record_params())
    assert digest(tmp_path / "default" / "out") == digest(tmp_path / "other" / "out")
    assert min(count, 2) <= subject.most <= count


def test_a_layer_changes_its_state_for_one_batch_at_a_time(small_batches: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_THREADS", "4")
    real, busy, together = kernels.enter, set[int](), []

    def enter(held: np.ndarray, *rest: Any) -> Any:
        assert id(held) not in busy
        busy.add(id(held))
        together.append(len(busy))
        time.sleep(0.002)
        busy.remove(id(held))
        return real(held, *rest)

    monkeypatch.setattr(kernels, "enter", enter)
    run(Overtaking(), tmp_path, record_params())
    assert max(together) == 2  # The layers themselves do not wait for each other.


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_activations_that_are_not_finite_end_the_run_with_layer_and_excerpt(value: float, tmp_path: Path) -> None:
    wrong = made_up_excerpts().tokens[256:320]  # A batch in the middle.

    class Broken(MadeUp):
        def activations(self, tokens: Any, layers: Sequence[int], visit: Any) -> None:
            def spoiled(layer: int, seen: torch.Tensor) -> None:
                if layer == 1 and np.array_equal(tokens, wrong):
                    seen[5, 3, 2] = value
                visit(layer, seen)

            super().activations(tokens, layers, spoiled)

    with pytest.raises(UserError, match="layer 1 gives NaN or infinite activations on excerpt 261"):
        run(Broken(), tmp_path, record_params())


def test_activations_beyond_float16_are_clipped_and_counted(tmp_path: Path) -> None:
    subject = MadeUp(scale=60000.0)
    found = run(subject, tmp_path, record_params())
    beyond = sum(int((np.abs(subject.dense(layer, found.corpus)) > 65504).sum()) for layer in (0, 1))
    assert found.about["clipped_activations"] == beyond > 0
    assert float(np.abs(found.activations.astype(np.float64)).max()) == 65504


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": 7}, "record.neurons asks for 7 of layer 0, which has 6"),
        ({"layers": [1, 0, 1]}, "record.layers names layer 1 twice"),
        ({"layers": [0, 2, 5]}, r"record.layers names \[2, 5\], the subject has layers 0 to 1"),
        ({"layers": []}, "record.layers is empty"),
        ({"top": 690, "random": 11}, "record.top \\+ record.random is 701, more than the 700 excerpts"),
        ({"neurons": 99, "layers": [3]}, r"record.layers names \[3\]"),
    ],
)
def test_params_that_the_subject_cannot_give_are_an_error(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run(MadeUp(), tmp_path, record_params(**changes))


def test_layers_without_neurons_are_not_among_all_and_cannot_be_asked_for() -> None:
    nothing, there = np.zeros(700, np.bool_), [range(0), range(6), range(0), range(9)]
    assert [plan.layer for plan in plan_layers(record_params(neurons=3), there, nothing)] == [1, 3]
    with pytest.raises(UserError, match=r"record.layers names \[0, 2\], which have no units there \(layers 1, 3 have\)"):
        plan_layers(record_params(neurons=3, layers=[0, 1, 2]), there, nothing)


def test_layers_are_recorded_in_ascending_order_however_they_are_asked(recorded: Recordings, tmp_path: Path) -> None:
    found = run(MadeUp(), tmp_path, record_params(layers=[1, 0]), excerpts_of(recorded))
    np.testing.assert_array_equal(found.layers, recorded.layers)
    np.testing.assert_array_equal(found.activations, recorded.activations)


@pytest.fixture
def project(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml for the tiny model and a little text."""
    write_corpus(tmp_path / "texts")
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["subject"] |= {"model": str(tiny_model), "sha256": None}
    params["corpus"] |= {"source": "texts", "sha256": None, "format": "text"}
    params["watch"] |= {"subject": str(tiny_model), "corpus": "texts"}
    params["record"] |= {"neurons": 5, "excerpts": 150, "tokens": 16, "top": 9, "random": 8, "per_split": 2, "table_tokens": 50}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def change(project: Path, **sections: dict[str, Any]) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    for section, values in sections.items():
        params[section] |= values
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def test_the_stage_writes_the_same_bytes_twice_and_leaves_no_scratch(project: Path) -> None:
    main(project / "a")
    main(project / "b")
    assert digest(project / "a") == digest(project / "b")
    assert [path.suffix for path in (project / ".cache" / "record").iterdir()] == [".lock"]
    found = read_recordings(project / "a")
    assert (found.activations.shape, found.corpus.shape) == ((10, 17, 16), (150, 16))
    assert found.about["documents"] == 12
    assert found.about["bos"] is None
    joined = b"".join(found.vocabulary[token] for token in found.corpus[0])
    assert joined.decode() in (project / "texts" / found.documents["document"][0].as_py()).read_text(encoding="utf-8")
    assert (found.about["split_by"], found.about["windows_repeated"]) == ("document", 0)
    assert str(project) not in json.dumps(found.about)


def test_malformed_documents_are_in_the_header(project: Path) -> None:
    (project / "texts" / "junk.bin").write_bytes(b"\xff\0" * 50)
    (project / "texts" / "short.txt").write_text("hi", encoding="utf-8")
    main(project / "a")
    about = read_recordings(project / "a").about
    assert (about["documents"], about["documents_malformed"], about["documents_too_short"]) == (13, 1, 1)


def start(project: Path, out: str = "data/recordings", **environment: str) -> "subprocess.Popen[str]":
    """The stage as DVC runs it."""
    repository = Path(__file__).parents[2]
    command = [sys.executable, "-m", "stages.record", "--out", out]
    settings = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, cwd=project, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_bad_input_is_one_line_and_exit_code_2(project: Path) -> None:
    change(project, corpus={"source": "nothing"})
    process = start(project)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "error: nothing does not exist; expected a path or pypi:" in said
    assert "Traceback" not in said
    assert not (project / "data").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"neurons": 9999}, "record.neurons asks for 9999 of layer 0, which has 48"),
        (
            {"excerpts": 100_000},
            "holds 300 different excerpts of 16 tokens, record.excerpts asks for 100000 .*; ask for fewer or shorter excerpts",
        ),
    ],
)
def test_more_than_there_is_is_one_line(project: Path, values: dict[str, int], message: str) -> None:
    change(project, record=values)
    with pytest.raises(UserError, match=message):
        main(project / "data")
    assert not (project / "data").exists()


def test_a_stage_killed_at_any_point_ends_with_the_same_bytes_the_next_time(project: Path) -> None:
    main(project / "whole")
    for moment in ("reading texts", "record layers"):
        process = start(project)
        assert process.stderr is not None
        while moment not in (line := process.stderr.readline()) and line:
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (project / "data" / "recordings").exists()
    main(project / "data" / "recordings")
    assert digest(project / "data" / "recordings") == digest(project / "whole")


def run_pair(project: Path, seed: int) -> None:
    """Two runs of the same at once, one of them or both killed at some moment; what they leave is whole or nothing."""
    rng = np.random.default_rng(seed)
    whole = digest(project / "whole")
    pair = [start(project, out=f"data/{name}") for name in "ab"]
    doomed = pair if rng.random() < 0.3 else [pair[int(rng.integers(2))]]
    for process in doomed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=float(rng.uniform(1, 12)))
        process.kill()
    for name, process in zip("ab", pair, strict=True):
        _, said = process.communicate()
        assert "Traceback" not in said
        assert process.returncode in (0, 2, -signal.SIGKILL), said
        if process.returncode == 2:
            assert "error: the same is being recorded by another run" in said.splitlines()[-1]
        if (project / "data" / name).exists():
            assert digest(project / "data" / name) == whole
    main(project / "data" / "again")
    assert digest(project / "data" / "again") == whole


@pytest.mark.slow  # Ten pairs of runs, half a minute each.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10))
def test_two_runs_at_once_never_share_half_finished_work_whenever_one_is_killed(project: Path, seed: int) -> None:
    main(project / "whole")
    run_pair(project, seed)


def test_a_run_that_another_keeps_out_says_so_in_one_line_and_begins_when_that_has_died(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "key", "key")
    holding = "from pathlib import Path; from neurogloss.recording.checkpoint import Scratch\n"
    holding += f"with Scratch(Path({str(tmp_path / 'key')!r}), 'key').alone(): print('held', flush=True); input()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("neurogloss.recording.checkpoint.ENDING_S", 0.05)
        with (
            pytest.raises(UserError, match=f"the same is being recorded by another run .process {process.pid}, which holds .*; wait"),
            scratch.alone(),
        ):
            pass
    process.kill()
    process.communicate()
    with scratch.alone():
        pass


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from neurogloss.cli.stage import command
from stages.record import main
command(main)
"""


def test_a_disk_that_fills_in_the_middle_is_one_line_and_leaves_no_half_result(project: Path) -> None:
    repository = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "4000", "--out", "data/recordings"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "error: cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "data" / "recordings").exists()
    main(project / "data" / "recordings")
    assert read_recordings(project / "data" / "recordings").activations.shape == (10, 17, 16)
