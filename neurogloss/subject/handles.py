"""Let something else go on in place of what a module is given or gives, until a handle is removed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neurogloss.errors import UserError

Alter = Callable[[Tensor], Tensor]
"""What goes on, of what is there; both of one shape."""


class Handles:
    """Several handles as one."""

    def __init__(self, *handles: Any) -> None:
        self.handles = handles

    def remove(self) -> None:
        """Remove them all."""
        for handle in self.handles:
            handle.remove()


def alter_input(model: Any, path: str, alter: Alter) -> Any:
    """Of what a module is given the first, which may be given by name."""

    def before(_: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if inputs:
            return (alter(inputs[0]), *inputs[1:]), named
        first = next(iter(named))
        return inputs, {**named, first: alter(named[first])}

    return model.get_submodule(path).register_forward_pre_hook(before, with_kwargs=True)


def alter_output(model: Any, path: str, alter: Alter) -> Any:
    """Of what a module gives the first."""
    return model.get_submodule(path).register_forward_hook(
        lambda _, inputs, output: (alter(output[0]), *output[1:]) if isinstance(output, tuple) else alter(output)
    )


def alter_after(model: Any, read: tuple[str, bool], written: tuple[str, bool], alter: Alter) -> Handles:
    """Of what one module gives (True) or is given (False) that of a later module; `alter` sees both, side by side, and gives both."""
    held: list[Tensor] = []

    def keep(seen: Tensor) -> Tensor:
        held[:] = [seen]
        return seen

    def altered(given: Tensor) -> Tensor:
        if not held:
            raise UserError(f"{written[0]} runs before {read[0]}, which its transcoder reads, so its features cannot be ablated")
        before = held.pop()
        return alter(torch.cat([before, given], dim=-1))[..., before.shape[-1] :]

    ends = [alter_output if output else alter_input for _, output in (read, written)]
    return Handles(ends[0](model, read[0], keep), ends[1](model, written[0], altered))


def alter_stream(model: Any, norm: str, block: str, alter: Alter) -> Handles:
    """Of the residual stream where a norm in the middle of a block reads it; it also goes past what the norm is for."""
    added: list[Tensor] = []

    def inside(seen: Tensor) -> Tensor:
        other = alter(seen)
        added[:] = [other - seen]
        return other

    def past(given: Tensor) -> Tensor:
        return given + added.pop().reshape(given.shape)

    return Handles(alter_input(model, norm, inside), alter_output(model, block, past))
