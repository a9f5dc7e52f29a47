"""Comparing variants unit by unit: all against the first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from neurogloss.artifacts.units import Noun, UnitKind, noun, unit_name
from neurogloss.comparison.paired import Paired, paired
from neurogloss.errors import UserError
from neurogloss.scorers.intervals import LEVEL
from neurogloss.scorers.summary import DIGITS, rounded

SCHEMA, VERSION = "neurogloss.comparison", 2
SCORES = ("top_and_random", "random_only", "top_only", "margin", "variance_explained")


@dataclass(frozen=True)
class Variant:
    """One result under the name it was asked by."""

    name: str
    key: str
    recordings: str
    """Start of the MD5 of the recordings: only results on the same ones can be compared."""
    scores: pa.Table
    texts: dict[tuple[int, int], str | None]
    """(layer, neuron) -> explanation."""
    kind: UnitKind = UnitKind.NEURONS
    """What the units are."""
    signed: bool = False
    """Whether negative sides of neurons are among them."""

    @property
    def noun(self) -> Noun:
        """What the units are called."""
        return noun(self.kind, self.signed)


@dataclass(frozen=True)
class Aligned:
    """Scores of all variants on the same neurons; NaN where there is none."""

    names: list[str]
    layers: np.ndarray
    indices: np.ndarray
    scores: Float[np.ndarray, "variant neuron"]


@dataclass(frozen=True)
class Versus:
    """One variant against the reference."""

    name: str
    overall: Paired
    random_only: Paired | None
    """The same on random excerpts alone, beside top_and_random."""
    layers: dict[int, Paired]
    only_reference: int
    """Neurons that only the reference has a score for."""
    only_variant: int
    neither: int
    gained: list[int]
    """Rows of the neurons that gained most, the most first."""
    lost: list[int]


@dataclass(frozen=True)
class Comparison:
    """The variants compared with the first."""

    score: str
    level: float
    """Of each overall interval, so that all of them hold together with LEVEL."""
    variants: list[Variant]
    aligned: Aligned
    versus: list[Versus]


def compare_variants(variants: list[Variant], score: str, shown: int) -> Comparison:
    """Compare all with the first; UserError unless they are of the same recordings and have different names."""
    check(variants, score)
    aligned = align(variants, score)
    level = 1 - (1 - LEVEL) / (len(variants) - 1)
    random = align(variants, "random_only").scores if score == "top_and_random" else None
    versus = [
        against(aligned, place, score, level, shown, None if random is None else paired(random[0], random[place], level, "random_only"))
        for place in range(1, len(variants))
    ]
    return Comparison(score, level, variants, aligned, versus)


def check(variants: list[Variant], score: str) -> None:
    """Raise UserError where a comparison would be meaningless."""
    if score not in SCORES:
        raise UserError(f"--score is {score!r}, expected one of {', '.join(SCORES)}")
    if len(variants) < 2:
        raise UserError("compare needs at least two variants, such as: neurogloss compare main workspace")
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        raise UserError(f"a variant is named twice: {', '.join(names)}")
    first = variants[0]
    for other in variants[1:]:
        if other.noun != first.noun:
            raise UserError(f"{first.name} is of {first.noun.many}, {other.name} of {other.noun.many}; compare results of one kind of unit")
        if not first.recordings or other.recordings != first.recordings:
            raise UserError(
                f"{first.name} and {other.name} are of different recordings ({first.recordings or 'unknown'} and "
                f"{other.recordings or 'unknown'}): subject, corpus or record differ; only explain and simulate may"
            )


def align(variants: list[Variant], score: str) -> Aligned:
    """Align the variants' scores by layer and neuron."""
    first = variants[0].scores
    layers, indices = first["layer"].to_numpy(), first["neuron"].to_numpy()
    rows = []
    for variant in variants:
        same = np.array_equal(variant.scores["layer"].to_numpy(), layers) and np.array_equal(variant.scores["neuron"].to_numpy(), indices)
        if not same:
            raise UserError(f"{variant.name} and {variants[0].name} hold scores of different units; run `dvc repro` on both")
        rows.append(np.asarray(variant.scores[score].to_numpy(zero_copy_only=False), np.float64))
    return Aligned([variant.name for variant in variants], layers, indices, np.stack(rows))


def against(aligned: Aligned, place: int, score: str, level: float, shown: int, random_only: Paired | None) -> Versus:
    """One variant against the first. Layers have intervals of LEVEL each: they show a pattern and decide nothing."""
    reference, variant = aligned.scores[0], aligned.scores[place]
    missing: tuple[Bool[np.ndarray, " neuron"], ...] = np.isnan(reference), np.isnan(variant)
    differences = variant - reference
    order = np.argsort(-differences, kind="stable")  # NaN sorts last.
    order = order[: int((~np.isnan(differences)).sum())]
    layers = {
        int(layer): paired(reference[aligned.layers == layer], variant[aligned.layers == layer], LEVEL, score)
        for layer in np.unique(aligned.layers)
    }
    return Versus(
        aligned.names[place],
        paired(reference, variant, level, score),
        random_only,
        layers,
        int((~missing[0] & missing[1]).sum()),
        int((missing[0] & ~missing[1]).sum()),
        int((missing[0] & missing[1]).sum()),
        [int(row) for row in order[:shown] if differences[row] > 0],
        [int(row) for row in order[::-1][:shown] if differences[row] < 0],
    )


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain values, rounded."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "score": comparison.score,
        "level": round(comparison.level, DIGITS),
        "recordings": comparison.variants[0].recordings,
        "units": comparison.variants[0].noun._asdict(),
        "neurons": len(comparison.aligned.layers),
        "variants": [variant_json(comparison, place) for place in range(len(comparison.variants))],
        "against": comparison.aligned.names[0],
        "comparisons": [versus_json(comparison, place, versus) for place, versus in enumerate(comparison.versus, start=1)],
    }


def variant_json(comparison: Comparison, place: int) -> dict[str, Any]:
    """A variant on its own."""
    scores = comparison.aligned.scores[place]
    scored = scores[~np.isnan(scores)]
    variant = comparison.variants[place]
    return {"name": variant.name, "key": variant.key, "scored": len(scored), "mean": rounded(scored.mean()) if len(scored) else None}


def versus_json(comparison: Comparison, place: int, versus: Versus) -> dict[str, Any]:
    """A variant against the first."""
    return {
        "variant": versus.name,
        **paired_json(versus.overall),
        "random_only": paired_json(versus.random_only) if versus.random_only else None,
        "scored_only_in_reference": versus.only_reference,
        "scored_only_in_variant": versus.only_variant,
        "scored_in_neither": versus.neither,
        "layers": [{"layer": layer, **paired_json(found)} for layer, found in versus.layers.items()],
        "gained": [neuron_json(comparison, place, row) for row in versus.gained],
        "lost": [neuron_json(comparison, place, row) for row in versus.lost],
    }


def paired_json(found: Paired) -> dict[str, Any]:
    """Numbers of one paired comparison; shares are of the neurons scored in both."""
    count = max(1, found.neurons)
    return {
        "neurons": found.neurons,
        "mean_reference": rounded(found.reference),
        "mean_variant": rounded(found.variant),
        "difference": rounded(found.difference),
        "ci_low": rounded(found.interval.low) if found.interval else None,
        "ci_high": rounded(found.interval.high) if found.interval else None,
        "within_noise": found.within_noise,
        "won_share": rounded(found.won / count),
        "lost_share": rounded(found.lost / count),
        "tied_share": rounded(found.tied / count),
    }


def neuron_json(comparison: Comparison, place: int, row: int) -> dict[str, Any]:
    """A neuron with both scores and both explanations."""
    aligned = comparison.aligned
    neuron = int(aligned.layers[row]), int(aligned.indices[row])
    first, second = float(aligned.scores[0, row]), float(aligned.scores[place, row])
    return {
        "neuron": unit_name(*neuron, comparison.variants[0].kind),
        "score_reference": rounded(first),
        "score_variant": rounded(second),
        "difference": rounded(second - first),
        "explanation_reference": comparison.variants[0].texts.get(neuron),
        "explanation_variant": comparison.variants[place].texts.get(neuron),
    }
