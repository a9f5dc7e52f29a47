"""watch: paths on this machine that DVC follows, because what they hold decides over results."""

from neurogloss.config.section import Section


class WatchParams(Section):
    """Dependencies of stages in dvc.yaml. DVC takes them from params.yaml, so they have no defaults."""

    subject: str
    """`subject.model` or a folder above it, where that is a path; else a file that is always there, .dvcignore."""
    corpus: str
    """The same for `corpus.source`."""
    sae: str
    """The same for `subject.sae.source`; for several a folder above them all."""
    units: str
    """The same for `record.units`."""
    models: str
    """The same for the names of local models that explain and simulate."""
