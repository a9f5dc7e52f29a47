import json
import shutil
import socket
import sys
from pathlib import Path

import pytest

from neurogloss.config.track import TrackParams
from neurogloss.errors import UserError
from neurogloss.tracking import server
from neurogloss.tracking.server import landing, serve
from neurogloss.tracking.store import Store, locate_store, opened
from neurogloss.tracking.views import BARS, COLUMNS
from tests.toy import Toy

# What mlflow and its database layer warn of at import and on use is not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture
def store(done: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of its own with the run of `done`, which is the current folder."""
    monkeypatch.chdir(done.folder)
    shutil.copy(done.folder / ".mlflow" / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("DVC_ROOT", str(done.folder))
    return locate_store()


def test_the_ui_opens_on_the_runs_of_these_recordings_with_the_best_first(store: Store) -> None:
    address = landing(store, TrackParams())
    with opened(store) as (client, experiment):
        tags = client.get_experiment(experiment).tags
        (run,) = client.search_runs([experiment])
    key = f"runs-{run.data.tags['recordings']}"
    assert address == f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={key}"
    view = json.loads(tags[f"mlflow.sharedViewState.{key}"])
    state = json.loads(view["state"])
    assert state["searchFilter"] == f"tags.recordings = '{run.data.tags['recordings']}'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`vs_reference`", False)
    shown = {column.split("`")[1] for column in state["selectedColumns"]} - {"verdict"}
    assert shown == set(COLUMNS) <= set(run.data.metrics) and set(BARS) <= set(run.data.metrics)
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {s["uuid"] for s in state["compareRunSections"]}


def test_a_server_of_others_is_opened_and_none_is_started(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(server, "landing", lambda *_: "#/here")
    serve(Store("http://me:secret@tracking.example:80/", None, store.root), 1, TrackParams(), said.append, browse=False)
    assert said[0].endswith("http://***@tracking.example:80/#/here") and len(said) == 2


def test_a_port_that_is_taken_is_one_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "landing", lambda *_: "#/here")
    monkeypatch.setattr(server, "command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UserError, match="MLflow's server ended with status 3; is the port taken"):
            serve(store, taken.getsockname()[1], TrackParams(), lambda _: None, browse=False)
