"""Why a row has no number: the closed list of outcomes, counted by cause in the metrics."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from neurogloss.errors import UserError


class Status(StrEnum):
    """Beside `OK` stands a value, beside `NO_EXPLANATION` a score of 0, beside every other one a null."""

    OK = "ok"
    SILENT = "silent_neuron"
    """The unit, of whichever kind, is never above zero on the explain split: there is no peak, hence no level."""
    CONSTANT = "constant"
    """The recorded values are all alike: the correlation is undefined."""
    NO_EXPLANATION = "no_explanation"
    """No sentence was found: the same as a constant prediction, which scores 0, so that silence never pays."""
    REFUSED = "refused"
    CUT_OFF = "cut_off"
    UNPARSABLE = "unparsable"
    """The answer does not have the asked form (wrong tokens echoed, levels missing, empty)."""
    UNANSWERED = "unanswered"
    """Timed out, dropped or still failing after every retry."""
    TOO_LONG = "too_long"
    """The prompt does not fit the model's context even after shortening."""
    NOT_GIVEN = "not_given"
    """The file of given explanations has none for the unit."""
    NO_EFFECT = "no_effect"
    """With the unit at its mean the subject predicts the same: an ablation score is undefined."""

    @property
    def label(self) -> str:
        """The same for people, of units of any kind.

        >>> Status.SILENT.label, Status.CUT_OFF.label
        ('silent', 'cut off')
        """
        return self.value.removesuffix("_neuron").replace("_", " ")


CODES: tuple[Status, ...] = tuple(Status)
"""Position = the uint8 code in arrays of statuses. Append only."""

UNASKED = (Status.SILENT, Status.NO_EXPLANATION, Status.NOT_GIVEN)
"""Of a unit without a sentence, where nobody failed: they stop no stage."""

ADVICE = {
    Status.REFUSED: "another prompt or another model may answer",
    Status.CUT_OFF: "raise {limit}; a model that thinks first needs thousands, one that writes blanks without end another prompt",
    Status.UNPARSABLE: "see what was answered with `neurogloss cache export FILE`; another prompt or a stronger model may keep to the form",
    Status.UNANSWERED: "run again: what was answered is kept, only the rest is asked",
    Status.TOO_LONG: "models.*.context must be what the model takes, prompts are cut to fit; where it is, choose one with fewer examples",
}
"""What to do about the commonest cause."""
LIMITS = {
    "explain": "explain.max_tokens",
    "refine": "refine.max_tokens and explain.max_tokens",
    "simulate": "max_tokens of the prompt",
    "score": "max_tokens of the prompt",
}


class FailureLimit:
    """Counts failures as they come, and ends the stage as soon as their share cannot fall under the allowed one any more."""

    def __init__(self, what: str, stage: str, allowed: float, total: int) -> None:
        self.what = what
        self.stage = stage
        self.allowed = allowed
        self.total = total
        """How many there will be in the whole stage, failed or not."""
        self.failed: Counter[Status] = Counter()

    def add(self, status: Status, count: int = 1) -> None:
        """Count so many that failed for good; UserError with all that came so far where they are too many."""
        self.failed[status] += count
        if message := too_many(self.failed, self.total, self.what, self.stage, self.allowed, early=True):
            raise UserError(message)


def too_many(failed: Mapping[Status, int], tried: int, what: str, stage: str, allowed: float, early: bool = False) -> str:
    """What to say where more failed than the params allow; nothing where they do not."""
    share = sum(failed.values()) / max(1, tried)
    if share <= allowed:
        return ""
    ordered = sorted(failed.items(), key=lambda item: (-item[1], item[0]))
    causes = ", ".join(f"{count} {cause}" for cause, count in ordered)
    advice = ADVICE.get(ordered[0][0], "").format(limit=LIMITS[stage])
    hint = f"; {ordered[0][0]}: {advice}" if advice else ""
    begin = f"{sum(failed.values())} of {tried} {what}" if early else f"{share:.0%} of the {what}"
    end = " of all, so the rest was not asked" if early else ""
    return f"{begin} failed ({causes}), limits.max_failed_share allows {allowed:.0%}{end}{hint}"
