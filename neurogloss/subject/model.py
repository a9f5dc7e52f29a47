"""The model under study: weights, tokenizer, units, and a forward pass that shows the units' values layer by layer."""

import logging
import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neurogloss.config.environment import threads
from neurogloss.config.subject import SubjectParams
from neurogloss.errors import UserError
from neurogloss.memory import keep_freed_memory
from neurogloss.subject.device import check_device, check_spread, device, first_words, placement
from neurogloss.subject.gguf_file import correct_pre_tokenizer
from neurogloss.subject.kinds import find_units
from neurogloss.subject.sources import resolve
from neurogloss.subject.token_bytes import token_bytes
from neurogloss.subject.units import Units

logger = logging.getLogger(__name__)

Visit = Callable[[int, Float[Tensor, "excerpt token unit"]], None]
"""Called once per layer with the values of the layer's units; they are valid during the call only."""


activation_callback: ContextVar[Callable[[int, Tensor], None] | None] = ContextVar("activation_callback", default=None)
"""What this thread's forward pass hands to what the units read; other threads may run the same model at the same time."""


class DeepestLayerSeen(Exception):  # noqa: N818  # not an error: it ends a forward pass where nothing below is asked for
    """Raised at the deepest recorded layer, so that nothing after it is computed."""


@dataclass(frozen=True)
class Subject:
    """A causal language model in eval mode; what its units read is hooked once, when this is made."""

    model: Any
    tokenizer: Any
    vocabulary: list[bytes]
    """Bytes of each token id."""
    bos: int | None
    """The token fed before each excerpt."""
    units: tuple[Units | None, ...]
    """Those of each layer; None where a layer has none."""
    loader: "Callable[[], Subject]"
    """Loads the same subject in another process; equal loaders load equal subjects."""

    def __post_init__(self) -> None:
        """Hook what the units read."""
        for layer, units in enumerate(self.units):
            if units is not None:
                units.watch(self.model, hook(layer))

    @property
    def sites(self) -> tuple[str, ...]:
        """Path of the module that each layer's units read; empty where a layer has none."""
        return tuple(units.module if units else "" for units in self.units)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each layer."""
        return tuple(units.width if units else 0 for units in self.units)

    @property
    def held(self) -> tuple[int, ...]:
        """Numbers at each token that a forward pass holds of each layer, at most."""
        return tuple(units.held if units else 0 for units in self.units)

    @property
    def indices(self) -> tuple[range, ...]:
        """Indices of each layer's units."""
        return tuple(range(units.first, units.first + units.width) if units else range(0) for units in self.units)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, no special tokens added; what spells a special token is text like any other."""
        found = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return [list(ids) for ids in found["input_ids"]]

    def special_tokens_in(self, texts: list[str]) -> int:
        """How often a text spells a special token."""
        return sum(len(self.special.findall(text)) for text in texts) if self.special else 0

    @cached_property
    def special(self) -> re.Pattern[str] | None:
        """Matches special tokens; None where there are none."""
        spelled = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special and token.content}
        return (
            re.compile("|".join(re.escape(token) for token in sorted(spelled, key=lambda token: (-len(token), token)))) if spelled else None
        )

    def activations(self, tokens: Int[Tensor, "excerpt token"], layers: Sequence[int], visit: Visit) -> None:
        """Run the model over excerpts of one length and show the values of the units of these layers, in the order of the layers.

        Threads may do so side by side.
        A BOS token is fed before each excerpt where there is one; its activations are left out.
        Neither the head nor anything after the deepest of the layers is computed.
        """
        batch, first = len(tokens), 0
        if self.bos is not None:
            tokens, first = torch.cat([torch.full((batch, 1), self.bos, dtype=tokens.dtype, device=tokens.device), tokens], dim=1), 1
        wanted, deepest = {layer: units for layer in layers if (units := self.units[layer])}, max(layers)

        def show(layer: int, seen: Tensor) -> None:
            if layer in wanted:
                visit(layer, wanted[layer].values(seen.reshape(batch, -1, seen.shape[-1])[:, first:]))  # OPT flattens excerpt and token.
            if layer == deepest:
                raise DeepestLayerSeen

        before = activation_callback.set(show)
        try:
            with torch.inference_mode():
                self.model.base_model(input_ids=tokens.to(self.model.device), use_cache=False)
        except DeepestLayerSeen:
            return
        finally:
            activation_callback.reset(before)
        raise UserError(f"{self.sites[deepest]} is never run in a forward pass; correct subject.site")


@dataclass(frozen=True)
class Loader:
    """How a subject is loaded; small and comparable, so that a worker can keep what it has loaded."""

    params: SubjectParams

    def __call__(self) -> Subject:
        """Load it."""
        return load_subject(self.params)


def load_subject(params: SubjectParams) -> Subject:
    """Load the model in eval mode on this machine's device; UserError where it cannot be one."""
    path = resolve(params.model, params.revision, params.sha256)
    torch.set_num_threads(threads())
    keep_freed_memory()
    model, tokenizer = load_model(path, params.model, params.dtype)
    bos = bos_token(tokenizer, params.bos)
    return Subject(model, tokenizer, token_bytes(tokenizer), bos, find_units(model, params), Loader(params))


def bos_token(tokenizer: Any, setting: str) -> int | None:
    """The token that `subject.bos` asks for; UserError where the vocabulary has no such token."""
    if setting == "none":
        return None
    if setting == "auto":
        plain, usual = (tokenizer("a", add_special_tokens=added, verbose=False)["input_ids"] for added in (False, True))
        return int(usual[0]) if usual[:1] != plain[:1] else None
    vocabulary = tokenizer.get_vocab()
    if setting not in vocabulary:
        raise UserError(
            f"subject.bos is {setting!r}, which is no token of {tokenizer.name_or_path}; expected auto, none or a token such as <s>"
        )
    return int(vocabulary[setting])


def hook(layer: int) -> Callable[[Tensor], None]:
    """Shows what a layer's units read to whoever looks on in this thread."""

    def show(seen: Tensor) -> None:
        visit = activation_callback.get()
        if visit is not None:
            visit(layer, seen)

    return show


def load_model(path: Path, source: str, dtype: str, setting: str = "subject.model") -> tuple[Any, Any]:
    """A causal language model in eval mode on this machine's device, and its tokenizer. No pickles, no remote code.

    From a folder of safetensors, whose weights go straight to the device, or a .gguf file. `dtype` auto is that of the weights; `setting`
    is the param that names the model, for messages.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    place, options = source_options(path, source)
    logger.info("loading %s", source)
    try:
        config = AutoConfig.from_pretrained(place, **options)
        if type(config) not in AutoModelForCausalLM._model_mapping:
            raise UserError(f"{source} is a {config.model_type} model, expected a causal language model; name another {setting}")
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
        if path.suffix == ".gguf":
            correct_pre_tokenizer(tokenizer, path, source)
        wanted = getattr(torch, dtype) if dtype != "auto" else config.get_text_config().dtype or torch.float32
        check_device(wanted, f"{setting.partition('.')[0]}.dtype")
        options = {**options, **placement(), "dtype": wanted, "use_safetensors": True, "output_loading_info": True}
        model, report = AutoModelForCausalLM.from_pretrained(place, config=config, **options)  # Else it reads the file once more.
    except UserError:
        raise
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{source} does not fit into the memory of {device()} ({first_words(error)}); end what else uses it, load the model "
            "in bfloat16, or spread it with NEUROGLOSS_DEVICE=auto"
        ) from error
    except Exception as error:  # A file that does not fit raises anything: struct.error for a cut header, Exception itself in tokenizers.
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{source} cannot be loaded as a causal language model ({reason}); check {setting}") from error
    if report["missing_keys"]:  # transformers would fill them with random numbers.
        missing = sorted(report["missing_keys"])
        raise UserError(f"{source} lacks {len(missing)} weights, such as {missing[0]}; it is damaged or not the model its config names")
    check_spread(model, source)
    return model.eval().requires_grad_(False), tokenizer


def source_options(path: Path, source: str) -> tuple[str, dict[str, Any]]:
    """What transformers wants to be told about a path."""
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if path.is_dir():
        if not any(path.glob("*.safetensors")):
            raise UserError(f"{source} holds no .safetensors weights (pickled weights are not read); convert it or name another model")
        return str(path), options
    if path.suffix != ".gguf":
        raise UserError(f"{source} is a {path.suffix or 'nameless'} file, expected a folder with safetensors or a .gguf file")
    return str(path.parent), {**options, "gguf_file": path.name}
