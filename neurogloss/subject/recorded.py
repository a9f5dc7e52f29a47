"""The subject that was recorded, once more."""

from pydantic import ValidationError

from neurogloss.artifacts.recordings import Recordings
from neurogloss.config.subject import SubjectParams
from neurogloss.errors import UserError
from neurogloss.subject.model import Subject, load_subject


def load_recorded(recordings: Recordings) -> Subject:
    """Load it as it was recorded; UserError for recordings from elsewhere, whose subject is not known."""
    try:
        params = SubjectParams.model_validate(recordings.about.get("subject"))
    except ValidationError as error:
        raise UserError(
            "these recordings do not say which model was recorded, so it cannot be run; record here with `dvc repro record`"
        ) from error
    return load_subject(params)
