"""sparsify: cfg.json and sae.safetensors in a folder named like the module it was trained on."""

from pathlib import Path

from neurogloss.errors import UserError
from neurogloss.subject.sae.coder import Coder
from neurogloss.subject.sae.files import CoderFile, number, read_config, read_weights, take, weights_file


def read_sparsify(folder: Path) -> CoderFile:
    """Read a folder; the one above it may say in config.json which model it was."""
    path, file = folder / "cfg.json", weights_file(folder, "sae.safetensors")
    config, weights = read_config(path), read_weights(file)
    size, k = number(config, "d_in", path), number(config, "k", path)
    latents = config.get("num_latents") or size * number(config, "expansion_factor", path)
    transcodes, activation = bool(config.get("transcode")), str(config.get("activation", "topk"))
    if activation not in ("topk", "groupmax"):
        raise UserError(f"subject.sae: activation of {path} is {activation!r}, known are topk and groupmax")
    if activation == "groupmax" and latents % k:
        raise UserError(f"subject.sae: {path} has {latents} latents in {k} groups, which are not equal")
    if config.get("signed"):
        raise UserError(f"subject.sae: {path} has signed latents, which have no part in sparsify since version 1")
    shapes: dict[str, tuple[int | None, ...]] = {"encoder.weight": (latents, size), "encoder.bias": (latents,)}
    shapes |= {"W_dec": (latents, None), "b_dec": (None,)}
    shapes |= {"W_skip": (None, size)} if config.get("skip_connection") else {}
    found = take(weights, file, **shapes)
    above = folder.parent / "config.json"
    model = read_config(above).get("model") if above.is_file() else None
    place = folder.name.replace("_", ".") if folder.name.startswith("layers_") else folder.name
    return CoderFile(
        Coder(
            found["encoder.weight"].T.contiguous(),
            found["encoder.bias"],
            found["W_dec"].contiguous(),
            found["b_dec"],
            "topk" if activation == "topk" else "groupmax",
            k,
            subtracts=not transcodes,
            skip=found.get("W_skip"),
        ),
        "sparsify",
        f"{place}.input" if transcodes else f"{place}.output",
        f"{place}.output" if transcodes else None,
        str(model) if model else None,
        {"architecture": activation},
    )
