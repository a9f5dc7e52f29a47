"""What is said of how far a simulator can be trusted. Messages alone: no number depends on this file."""

from neurogloss.config.choice import writes_sentences

AGREEMENT = {"vocabulary": {"sentences": 0.55, "phrases": 0.51}}
"""Mean correlation with the levels of a careful reader (benchmarks/labels), by the layout of the simulator."""


def caution(explainer: str, simulator: str) -> str:
    """What to know where a simulator is given what it cannot read; empty where it can. Both are named by their layout.

    >>> caution("concepts", "vocabulary"), caution("pieces", "compact"), caution("pieces", "vocabulary").split(":")[0]
    ('', '', 'vocabulary does not read sentences')
    """
    if simulator not in AGREEMENT or not writes_sentences(explainer):
        return ""
    return (
        f"{simulator} does not read sentences: it looks for the words and pieces that they name, and agrees "
        f"{AGREEMENT[simulator]['sentences']:.2f} with a careful reader (1: the same levels); simulate.method reader, compact or "
        "all_at_once does"
    )
