"""limits: when a stage stops. It changes no number, so no stage depends on it."""

from neurogloss.config.section import Section, Share


class LimitParams(Section):
    """When a stage stops."""

    max_failed_share: Share = 0.1
    """Of the explanations or simulations: explain and simulate stop where more than that failed."""
