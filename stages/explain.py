"""explain: find a sentence for each neuron; nothing of the score split is looked at.

reads   recordings
writes  explanations.parquet
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from stages.artifacts.explanations import Explanations, explanations, write_explanations
from stages.artifacts.recordings import Recordings, read_recordings
from stages.artifacts.status import Status, too_many
from stages.command import Out, ParamsFile, command
from stages.errors import UserError
from stages.llm.client import open_client
from stages.params import Params, load_params
from stages.simulators.run import OpenClient, open_vocabulary


def main(
    recordings: Annotated[Path, typer.Option(help="What record wrote.")],
    out: Out,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Find a sentence for each neuron."""
    settings = load_params(params)
    explained = explain(read_recordings(recordings), settings)
    check_failures(explained.statuses, settings.explain.max_failed_share)
    write_explanations(out, explained)


def explain(recordings: Recordings, settings: Params, opened: OpenClient = open_client) -> Explanations:
    """One row per recorded neuron, in the order of the recordings."""
    method = settings.explain.method
    if method == "concepts":
        from stages.explainers.concepts import explain_concepts

        return explanations(explain_concepts(recordings, open_vocabulary(recordings, settings), settings.explain.concepts))
    if method == "token_list":
        from stages.explainers.token_list import explain_token_list

        return explanations(explain_token_list(recordings, settings.explain.token_list))
    from stages.explainers.asked import explain_by_asking

    return explanations(explain_by_asking(recordings, settings, opened))


def check_failures(statuses: Sequence[Status], allowed: float) -> None:
    """Stop where more neurons got no sentence than the params allow; silent ones and ones that no phrase fits do not count."""
    tried = [status for status in statuses if status not in (Status.SILENT, Status.NO_EXPLANATION)]
    failed: Counter[Status] = Counter(status for status in tried if status is not Status.OK)
    if message := too_many(failed, len(tried), "explanations", "explain", allowed):
        raise UserError(message)


if __name__ == "__main__":
    command(main)
