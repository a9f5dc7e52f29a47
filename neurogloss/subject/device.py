"""Where tensors live."""

import os


def device() -> str:
    """The torch device; imports torch only when none is named."""
    chosen = os.environ.get("NEUROGLOSS_DEVICE")
    if chosen:
        return chosen
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
