"""Scores: how well each explanation holds on excerpts its explainer never saw. A Parquet file, sorted by layer and neuron."""

from pathlib import Path

import pyarrow as pa

from neurogloss.artifacts.files import read_table, write_table

SCHEMA = "neurogloss.scores"
VERSION = 5
CLASSIFIERS = ("detection", "fuzzing", "attends")
"""Scorers that ask a language model which excerpts fit, the last of heads alone; their columns are null where they were not run."""

SCORES = pa.schema(
    [
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("neuron", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # why there is no top_and_random, or ok; no_explanation scores 0
        pa.field("excerpts", pa.int32(), nullable=False),  # score excerpts with a simulation
        # Pearson correlation pooled over the tokens of the score excerpts; 0 where the simulation is constant or there is no sentence,
        # None where the recording is constant or the simulation failed.
        pa.field("top_and_random", pa.float64()),
        pa.field("random_only", pa.float64()),
        pa.field("top_only", pa.float64()),
        pa.field("ci_low", pa.float64()),  # of top_and_random: 95 %, over the neuron's excerpts; None where these are too few
        pa.field("ci_high", pa.float64()),
        pa.field("variance_explained", pa.float64()),  # after calibration on the calibrate split
        pa.field("token_table", pa.float64()),  # baseline: top_and_random of the mean activation per token, whatever was simulated
        pa.field("control", pa.float64()),  # mean top_and_random of other neurons' sentences on this neuron's excerpts
        pa.field("margin", pa.float64()),  # top_and_random less control
        pa.field("sensitivity", pa.float64()),  # mean correlation of the levels of its sentence with those of others; 1: nothing is read
        *(
            pa.field(f"{scorer}{suffix}", kind)
            for scorer in CLASSIFIERS
            for suffix, kind in {
                "": pa.float64(),  # balanced accuracy over firing and quiet score excerpts or pairs; 0.5 where there is no sentence
                "_auc": pa.float64(),
                "_control": pa.float64(),  # balanced accuracy of another neuron's sentence on the same questions
                "_status": pa.string(),  # why there is no balanced accuracy, ok, or no_explanation
                "_failed": pa.int32(),  # excerpts or pairs without a rating
            }.items()
        ),
        # 1 less the divergence of the subject's predictions with the unit at the simulated values, as a share of that with the unit at its
        # mean; over top and random score excerpts; 0 where there is no sentence. Null where ablation was not run.
        pa.field("ablation", pa.float64()),
        pa.field("ablation_random_only", pa.float64()),
        pa.field("ablation_ci_low", pa.float64()),  # 95 %, over the unit's excerpts
        pa.field("ablation_ci_high", pa.float64()),
        pa.field("ablation_control", pa.float64()),  # with another unit's sentence, for some units
        pa.field("ablation_status", pa.string()),  # why there is no score, ok, or no_explanation
    ]
)
SENSES = pa.schema(
    [
        pa.field(  # of a neuron with several senses, each by itself; none of a neuron with one sentence
            "senses",
            pa.list_(
                pa.struct(
                    [
                        ("text", pa.string()),
                        ("share", pa.float64()),  # of the firing on the explain split
                        ("status", pa.string()),  # why there is no score, or ok
                        ("score", pa.float64()),  # as top_and_random
                        ("ci_low", pa.float64()),
                        ("ci_high", pa.float64()),
                    ]
                )
            ),
            nullable=False,
        ),
        pa.field("single", pa.float64()),  # top_and_random of the one sentence that the senses replaced
    ]
)
"""Further columns where a neuron has several senses."""


def write_scores(path: Path, scores: pa.Table) -> None:
    """Write the table."""
    write_table(path, scores, schema_of("senses" in scores.column_names), SCHEMA, VERSION)


def schema_of(senses: bool) -> pa.Schema:
    """The columns, with those of senses or without."""
    return pa.schema([*SCORES, *(SENSES if senses else ())])


def read_scores(path: Path) -> pa.Table:
    """Read the table."""
    return read_table(path, SCHEMA, VERSION)
