"""The bank: phrases that an explanation may be made of."""

from importlib import resources

from neurogloss.errors import UserError


def read_bank(name: str) -> list[str]:
    """The phrases of a bank, one a line."""
    path = resources.files("neurogloss.phrases").joinpath("banks", f"{name}.txt")
    if not path.is_file():
        folder = resources.files("neurogloss.phrases").joinpath("banks")
        known = sorted(entry.name.removesuffix(".txt") for entry in folder.iterdir() if entry.name.endswith(".txt"))
        raise UserError(f"explain.concepts.bank: there is no {name!r}; there are: {', '.join(known)}")
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line]
