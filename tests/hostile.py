"""Recordings whose tokens try to break out of a prompt."""

from dataclasses import replace

import numpy as np

from neurogloss.artifacts.recordings import Recordings, Split
from tests.tiny import random_recordings

EMOJI = "😀".encode()
HOSTILE = [
    b"\t", b"\n", b"\r\n", b"\t10\n", b"<end>", b"\n<end>\n", b"<start>", b" {explanation}", b"{}", b"${x}",
    b'"', b'"}],', b"'", b"\\", b"\\n", "\u2028".encode(), "\u0085".encode(), "\u200b".encode(), "\u00a0".encode(), b"\x00",
    b"\x1b[31m", EMOJI, EMOJI[:2], EMOJI[2:], "é".encode()[:1], b" unknown", b"unknown", b"\tunknown", b"<|im_end|>", b"</s>",
    b" ", b"", "漢".encode(), b"10", b" 7", b"It responds to", b"```", b">>(10)", b"<<", b" the",
]  # fmt: skip


def hostile() -> Recordings:
    """Made-up recordings; the two explain excerpts of the first neuron hold each hostile token once, so do its first two score excerpts."""
    made = random_recordings(tokens=20)
    corpus = made.corpus.copy()
    for split in (Split.EXPLAIN, Split.SCORE):
        first, second = made.excerpts[0, made.slots.where(split)][:2]
        corpus[first], corpus[second] = np.arange(20), np.arange(20, 40)
    return replace(made, vocabulary=HOSTILE, corpus=corpus)
