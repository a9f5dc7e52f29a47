"""track: what MLflow shows of a result; it changes no number of it."""

from pydantic import NonNegativeInt

from neurogloss.config.section import Section


class TrackParams(Section):
    """What a run carries beside the result."""

    reference: str = "HEAD"
    """Commit, branch, tag or experiment whose result every run of the same recordings carries its paired difference from."""
    traces: NonNegativeInt = 100
    """Units, at most and evenly spaced, whose questions and answers become traces; 0 for none."""


DEFAULT = TrackParams()
