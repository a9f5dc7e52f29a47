"""The tree of errors.

NeuroglossError
├── UserError       something a user did and can mend: one line on stderr, exit code 2, no traceback
└── ProviderError   a language model did not answer; becomes a status in a batch, never a number
"""


class NeuroglossError(Exception):
    """Base of every error raised on purpose."""


class UserError(NeuroglossError):
    """What is wrong with its value and place, what was expected, what to do; lower case, one line a problem."""


class ProviderError(NeuroglossError):
    """One request was not answered. `status` is the value of `neurogloss.artifacts.status.Status` that the row keeps."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
