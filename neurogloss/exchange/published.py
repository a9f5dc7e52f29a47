"""Published explanations as explanations of ours: the best one by its published score, all of them as candidates."""

from collections.abc import Iterable
from pathlib import Path

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Explanation, Explanations, explanations
from neurogloss.artifacts.foreign import Source, read_explained
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status


def published(recordings: Recordings, source: Source) -> Explanations:
    """One row per imported neuron. Published scores are those of the valid split, which is our select split."""
    keys = zip(recordings.layers.tolist(), recordings.indices.tolist(), strict=True)
    return explanations([explained(layer, index, source.explanations / str(layer) / f"{index}.jsonl") for layer, index in keys])


def explained(layer: int, index: int, path: Path) -> Explanation:
    """The explanations in one file; none where it is missing or empty."""
    candidates = tuple(candidates_in(path)) if path.exists() else ()
    scored = [candidate.select_score if candidate.select_score is not None else float("-inf") for candidate in candidates]
    kept = candidates[scored.index(max(scored))] if candidates else Candidate(None, Status.NO_EXPLANATION)
    return Explanation(layer, index, kept, candidates)


def candidates_in(path: Path) -> Iterable[Candidate]:
    """Every explanation of every line that has a text; its own full stop would end the sentence it is put into."""
    for line in read_explained(path):
        for found in line.scored_explanations:
            if text := found.explanation.strip().rstrip(".").rstrip():
                yield Candidate(text, Status.OK, found.scored_simulation.ev_correlation_score)
