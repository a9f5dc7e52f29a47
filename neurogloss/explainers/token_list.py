"""token_list: the tokens on which a neuron fires most on average, as a sentence a person can read."""

import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.explain import TokenListParams
from neurogloss.phrases.quoted import naming, variant


def explain_token_list(recordings: Recordings, params: TokenListParams) -> list[Candidate]:
    """One candidate per neuron, in order: its strongest tokens, each variant once."""
    rows = tqdm(range(len(recordings)), desc="listing tokens", unit=recordings.noun.one, delay=1, leave=False)
    return [candidate(recordings, row, params) for row in rows]


def candidate(recordings: Recordings, row: int, params: TokenListParams) -> Candidate:
    """The sentence of one neuron."""
    if recordings.silent[row]:
        return Candidate(None, Status.SILENT)
    texts = list(dict.fromkeys(variant(recordings.text(int(token))) for token in strongest_tokens(recordings, row, params.minimum)))
    if not texts:
        return Candidate(None, Status.NO_EXPLANATION)
    return Candidate(naming("tokens", texts[: params.tokens]), Status.OK)


def strongest_tokens(recordings: Recordings, row: int, minimum: int) -> Int[np.ndarray, " token"]:
    """Token ids by mean activation, highest first, among those seen `minimum` times outside the score split and firing on average."""
    means = np.asarray(recordings.token_means[row], np.float64)
    held_out = recordings.tokens(row, recordings.slots.where(Split.SCORE))
    left = recordings.table_counts - np.bincount(
        np.searchsorted(recordings.table_tokens, held_out[np.isin(held_out, recordings.table_tokens)]),
        minlength=len(recordings.table_tokens),
    )
    usable = np.flatnonzero((left >= minimum) & (means > 0))
    return np.asarray(recordings.table_tokens[usable[np.argsort(-means[usable], kind="stable")]])
