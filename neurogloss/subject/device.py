"""Where tensors live."""

import gc
import logging
import os
import warnings
from collections.abc import Iterable
from typing import Any

from neurogloss.config.environment import device_memory_mb, memory_mb
from neurogloss.errors import UserError

logger = logging.getLogger(__name__)
SPREAD = "auto"
"""NEUROGLOSS_DEVICE that spreads layers over all GPUs of this machine."""
FREE_SHARE = 0.9
"""Of what is free that is used, where nobody says how much."""
WEIGHTS_SHARE = 0.6
"""Of each GPU's free memory for the weights of a model that is spread; the rest is for what is kept of its layers and for batches."""


def device() -> str:
    """The torch device, the first one where layers are spread; imports torch only when none is named."""
    chosen = os.environ.get("NEUROGLOSS_DEVICE")
    if chosen:
        return "cuda:0" if chosen == SPREAD else chosen
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    for warning in said:  # Such as a driver that is too old.
        logger.warning("no GPU is used: %s", first_words(warning.message))
    return "cuda" if there else "cpu"


def check_device(dtype: Any, setting: str) -> None:
    """Raise UserError where the device is not there, cannot be used, or cannot compute in a torch dtype that `setting` names."""
    import torch

    name = device()
    try:
        one = torch.ones((2, 2), device=torch.device(name))
        float((one @ one).double().sum())
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        known = "cpu" if not torch.cuda.is_available() else f"cpu and cuda:0 to cuda:{torch.cuda.device_count() - 1}"
        raise UserError(
            f"NEUROGLOSS_DEVICE is {name!r}, which cannot be used ({first_words(error)}); set it to one of {known}, or unset it"
        ) from error
    try:
        float((one.to(dtype) @ one.to(dtype)).float().sum())
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"{setting} is {str(dtype).removeprefix('torch.')}, in which {name} cannot compute ({first_words(error)}); set it to float32"
        ) from error


def placement() -> dict[str, Any]:
    """Options of from_pretrained that load weights straight to where they are used; none for the processor."""
    name = device()
    if os.environ.get("NEUROGLOSS_DEVICE") == SPREAD:
        import torch

        free = {number: int(WEIGHTS_SHARE * torch.cuda.mem_get_info(number)[0]) for number in range(torch.cuda.device_count())}
        return {"device_map": "balanced", "max_memory": free}
    return {} if name == "cpu" else {"device_map": {"": name}}


def check_spread(model: Any, source: str) -> None:
    """Raise UserError where layers found no room on the GPUs."""
    homes = getattr(model, "hf_device_map", {})
    if lost := [module for module, home in homes.items() if home in ("cpu", "disk")]:
        raise UserError(
            f"{source} does not fit into the GPUs of this machine ({lost[0]} has no room); use subject.dtype bfloat16 or a smaller model"
        )


def free_bytes(place: Any) -> int:
    """Memory that may be used: NEUROGLOSS_DEVICE_MEMORY_MB, else most of what is free; on the processor NEUROGLOSS_MEMORY_MB."""
    import torch

    chosen = device_memory_mb()
    if chosen:
        return chosen * 1_000_000
    if place.type != "cuda":
        return memory_mb() * 1_000_000
    free, _ = torch.cuda.mem_get_info(place)
    kept = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)  # By torch, for this process.
    return int(FREE_SHARE * (free + kept))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the processor, has no memory left."""
    import torch

    said = str(error)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        words in said for words in ("out of memory", "ALLOC_FAILED", "can't allocate memory")
    )


def give_back(places: Iterable[Any]) -> None:
    """Let other processes, and pieces of another size, have what torch keeps of freed memory."""
    import torch

    kinds = {place.type for place in places} - {"cpu"}
    if kinds:
        gc.collect()
    if "cuda" in kinds:
        torch.cuda.empty_cache()


def first_words(error: object) -> str:
    """What an error says, without the lines after it."""
    return (" ".join(str(error).split("\n\n")[0].split()) or type(error).__name__)[:200]
