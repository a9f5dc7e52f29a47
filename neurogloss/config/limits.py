"""limits: when a stage stops. It changes no number, so no stage depends on it."""

from neurogloss.config.section import Section, Share


class LimitParams(Section):
    """When a stage stops."""

    max_failed_share: Share = 0.1
    """Of the explanations, simulations or ratings: explain, simulate and score stop where more than that failed."""
