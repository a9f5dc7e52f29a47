"""What MLflow's UI opens on: a saved view of the runs that can be compared, the best first, with its address.

A view is a tag of the experiment, in the form in which the UI saves its own (`viewStateShareKey` in the address names it), so columns,
order, filter and charts need no click.
"""

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "mlflow.sharedViewState."
COLUMNS = (
    "vs_reference",
    "vs_reference_low",
    "vs_reference_high",
    "score",
    "score_low",
    "score_high",
    "random_only",
    "baseline",
    "control",
)
NAME = "attributes.`Run Name`"
BARS = ("vs_reference", "score", "random_only", "control")
CURVES = ("quantile/score", "histogram/score", "layer/mean")
FIRST, CURVE = "Which is better?", "How scores are spread"
"""Names of the first two sections of charts."""


def save_view(client: "MlflowClient", experiment: str, recordings: str) -> str:
    """Save the view of the runs of these recordings; its address below that of the server."""
    key = f"runs-{recordings or 'all'}"
    name = f"runs of recordings {recordings}, the best first" if recordings else "all runs, the best first"
    now = int(time.time() * 1000)
    view = {"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state(recordings))}
    client.set_experiment_tag(experiment, f"{TAG}{key}", json.dumps(view))
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={key}"


def state(recordings: str) -> dict[str, Any]:
    """Filter, order, columns and charts as the UI keeps them."""
    columns = ["tags.`verdict`", *(f"metrics.`{name}`" for name in COLUMNS)]
    order = ["1", NAME, *columns, "runDateAndNestInfo", "duration"]
    sections = [{"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": False}
                for name in (FIRST, CURVE)]  # fmt: skip
    return {
        "searchFilter": f"tags.recordings = '{recordings}'" if recordings else "",
        "orderByKey": "metrics.`vs_reference`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": order,
        "columnWidths": {NAME: 230, "tags.`verdict`": 240} | {column: 140 if "_" in column else 90 for column in columns[1:]},
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": [bar(name) for name in BARS] + [line(name) for name in CURVES],
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "groupBy": None,
        "hideEmptyCharts": True,
    }


def bar(metric: str) -> dict[str, Any]:
    """A bar for each run."""
    return card(metric, "BAR", FIRST)


def line(metric: str) -> dict[str, Any]:
    """A curve for each run over bins, percentiles or layers."""
    axes = {"xAxisKey": "step", "useGlobalXaxisKey": False, "xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0}
    return card(metric, "LINE", CURVE) | axes | {"selectedMetricKeys": [metric], "selectedYAxisMetricKey": metric}


def card(metric: str, kind: str, section: str) -> dict[str, Any]:
    """What all kinds of charts have."""
    return {
        "uuid": f"{kind}-{metric}",
        "type": kind,
        "metricKey": metric,
        "runsCountToCompare": 20,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
    }
