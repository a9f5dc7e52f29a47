"""The data card: what the set holds, how it was made, how far it can be trusted. Markdown with the front matter the hub reads."""

from typing import Any

import yaml

from neurogloss.artifacts.recordings import Recordings

FIELDS = {
    "neurons": {
        "name, layer, neuron": "which unit; layer 0 is nearest to the input",
        "explanation, explanation_status": "the sentence, or why there is none",
        "promoted, suppressed": "tokens whose logits the unit raises and lowers most by what it writes; null where weights do not say",
        "promoted_logits, suppressed_logits": "by how much, for a value of one, up to the scale of the last norm",
        "status": "`ok`, or why there is no score; a failure is never zero; `no_explanation` is, as a constant prediction is",
        "top_and_random": "Pearson correlation of simulated and recorded activations over the tokens of the score excerpts",
        "random_only, top_only": "the same over one kind of excerpts",
        "ci_low, ci_high": "95 % interval of top_and_random over the unit's excerpts; null where they are too few or too much alike",
        "variance_explained": "after a straight line fitted on the calibrate excerpts",
        "token_table": "baseline: the score of the mean activation per token, no explanation",
        "control": "the mean score of other units' explanations on this unit's excerpts; null for units that were not sampled for it",
        "margin": "top_and_random less control",
        "sensitivity": "mean correlation of what is simulated for its explanation and for those of other units; 1: nothing is read",
        "detection, fuzzing, attends": "balanced accuracy of a language model that says in which excerpts the explanation holds, for heads "
        "in which pairs of tokens; null where not run",
        "detection_auc, fuzzing_auc, attends_auc": "area under the ROC curve, where the answers came with probabilities",
        "detection_control, fuzzing_control, attends_control": "the same questions with another unit's explanation",
        "detection_status, fuzzing_status, attends_status": "`ok`, or why there is no accuracy; null where not run",
        "detection_failed, fuzzing_failed, attends_failed": "excerpts or pairs without a rating",
        "ablation": "1 less the divergence of the next-token distributions where the simulation replaces the unit, over that where its "
        "mean does; null where not run, or where the mean changes nothing",
        "ablation_ci_low, ablation_ci_high": "its 95 % interval over the unit's excerpts",
        "ablation_random_only, ablation_control": "the same on random excerpts only, and with another unit's explanation",
        "ablation_status": "`ok`, or why there is none; null where not run",
        "senses, single": "where an explanation has several senses: text, share of the firing, score and interval of each by itself; the "
        "score of the one sentence that they replaced, which is among the candidates",
        "excerpts": "score excerpts with a simulation",
        "mean, variance, skewness, kurtosis, above_zero_share": "over the whole corpus",
        "firing_share": "share of tokens at level 1 or above, over random excerpts outside of the score split",
        "maximum, peak": "strongest activation outside of the score excerpts, and on the explain excerpts",
    },
    "candidates": {"text, status, select_score": "every answer of the explainer; its correlation on the select excerpts where compared"},
    "excerpts": {
        "name, layer, neuron": "which unit",
        "rank, kind, split": "place among the unit's excerpts (0 is the strongest), `top` or `random`, and what it was used for",
        "document, start": "where the text is from",
        "tokens, token_ids": "the text; half characters show as the replacement character, the ids are exact",
        "activations": "the model's own numbers",
        "levels": "activations on the scale 0..10 of the peak",
        "simulated, simulation_status": "expected level from the explanation alone; null where the excerpt was not simulated",
        "sense": "where an explanation has several senses: the one, from 0, that predicts most of the strongest token; null where none",
    },
}  # fmt: skip


def data_card(recordings: Recordings, metrics: dict[str, Any] | None) -> str:
    """README.md of the data set. `metrics` is what score wrote, where it is at hand."""
    subject, corpus = origin(recordings, "subject", "model"), origin(recordings, "corpus", "source")
    front = {
        "pretty_name": f"Explained {recordings.noun.many} of {subject.rsplit('/', 1)[-1]}",
        "tags": ["interpretability", str(recordings.kind), "neurogloss"],
        "configs": [
            {"config_name": what, "data_files": f"{what}/*.parquet", **({"default": True} if what == "neurons" else {})} for what in FIELDS
        ],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
        f"# {front['pretty_name']}",
        f"{recordings.noun.counted(len(recordings))} of `{subject}`, read on excerpts of `{corpus}`: what they fire on, a sentence for "
        "each, and how well a model that knows only the sentence predicts their activations on excerpts the explainer never saw "
        "(the method of Bills et al. 2023). Made with neurogloss.",
        trust(metrics),
        "```python\nfrom datasets import load_dataset\n\n"
        'neurons = load_dataset("PATH")["train"]\nexcerpts = load_dataset("PATH", "excerpts", streaming=True)["train"]\n```',
        *(table(what, fields) for what, fields in FIELDS.items()),
        "Also here: `tables/at_least_0.8.csv`, `tables/strong_but_unexplained.csv` (of each layer's quarter with the highest peaks the "
        "worst explained) and `tables/by_layer.csv`.",
        "The excerpts are quotations of the corpus, whose licence holds for them.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def origin(recordings: Recordings, what: str, key: str) -> str:
    """Name of the subject or the corpus, as the recordings tell it."""
    found = recordings.about.get(what)
    return str(found.get(key) if isinstance(found, dict) else found or "unknown")


def trust(metrics: dict[str, Any] | None) -> str:
    """The mean scores with their intervals, baseline and control."""
    if metrics is None or metrics["top_and_random"]["mean"] is None:
        return ""
    rows = (
        ("score", metrics["top_and_random"]),
        ("score on random excerpts only", metrics["random_only"]),
        ("baseline", metrics["baseline"]["token_table"]),
        ("control", metrics["control"]),
        ("score less control", metrics["margin"]),
    )
    lines = [f"| {label} | {found['mean']} | {interval(found)} |" for label, found in rows]
    head = f"{metrics['scored']:,} of {metrics['neurons']:,} units have a score.\n\n| | mean | 95 % interval |\n|---|---|---|\n"
    return head + "\n".join(lines)


def interval(found: dict[str, Any]) -> str:
    """The interval of a mean; a dash where there is none."""
    return "-" if found["ci_low"] is None else f"{found['ci_low']} to {found['ci_high']}"


def table(what: str, fields: dict[str, str]) -> str:
    """The fields of one configuration."""
    return f"## {what}\n\n| field | meaning |\n|---|---|\n" + "\n".join(f"| {field} | {meaning} |" for field, meaning in fields.items())
