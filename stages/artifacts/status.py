"""Why a row has no number: the closed list of outcomes, counted by cause in the metrics."""

from enum import StrEnum


class Status(StrEnum):
    """`OK` is the only one beside which a value may stand; every other one stands beside a null."""

    OK = "ok"
    SILENT = "silent_neuron"
    """The neuron is never above zero on the explain split: there is no peak, hence no level."""
    CONSTANT = "constant"
    """Recorded or simulated values are all alike: the correlation is undefined."""
    NO_EXPLANATION = "no_explanation"
    """The simulation had nothing to go by."""
    REFUSED = "refused"
    CUT_OFF = "cut_off"
    UNPARSABLE = "unparsable"
    """The answer does not have the asked form (wrong tokens echoed, levels missing, empty)."""
    UNANSWERED = "unanswered"
    """Timed out, dropped or still failing after every retry."""
    TOO_LONG = "too_long"
    """The prompt does not fit the model's context even after shortening."""


CODES: tuple[Status, ...] = tuple(Status)
"""Position = the uint8 code in arrays of statuses. Append only."""
