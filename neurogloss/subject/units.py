"""A kind of unit: which module it reads, how its values are made of what the module is given or gives, how many there are.

A new kind is a subclass of `Units` in a file of its own, and a branch in `find_units`. The recorder, resuming, Ray and the viewer see
nothing else of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from neurogloss.errors import UserError
from neurogloss.subject.handles import alter_input, alter_output


@dataclass(frozen=True, eq=False)
class Units(ABC):
    """The units of one layer, one to a column."""

    module: str
    """Path of the module that is read."""
    width: int
    """Columns."""

    @property
    def first(self) -> int:
        """The index of the first column's unit; the others follow. Below zero are negative sides."""
        return 0

    @property
    def reads_output(self) -> bool:
        """Whether the module's output is read, and not its input."""
        return False

    @property
    def held(self) -> int:
        """Numbers at each token that a forward pass holds of this layer, at most."""
        return self.width

    @property
    def sparse(self) -> bool:
        """Whether `values` gives a sparse tensor, because few units are above zero at a token and none below."""
        return False

    @abstractmethod
    def values(self, seen: Float[Tensor, "excerpt token size"]) -> Float[Tensor, "excerpt token unit"]:
        """The units' values, from what the module is given or gives; may be `seen` itself or a view of it."""

    def replaced(
        self, seen: Float[Tensor, "row token size"], columns: Int[Tensor, " row"], values: Float[Tensor, "row token"]
    ) -> Float[Tensor, "row token size"]:
        """What the module is given or gives, with other values of one unit in each row; UserError for units that cannot be replaced."""
        raise UserError(f"units that read {self.module} cannot be replaced, so they have no ablation score; take it out of score.scorers")

    def alter(self, model: Any, change: Callable[[Tensor], Tensor]) -> Any:
        """Let `change` make of what is read what the model goes on with, until the handle that is given back is removed."""
        return (alter_output if self.reads_output else alter_input)(model, self.module, change)

    def writes(self, model: Any, columns: Tensor) -> Float[Tensor, "unit width"] | None:
        """What these columns' units add to the residual stream for a value of one; None where that follows from no weights."""
        return None

    def watch(self, model: Any, show: Any) -> None:
        """Hand what is read to `show` in every forward pass of the model."""
        module = model.get_submodule(self.module)
        if self.reads_output:
            module.register_forward_hook(lambda _, inputs, output: show(output[0] if isinstance(output, tuple) else output))
        else:  # Some layers are given everything by name, what they read first.
            module.register_forward_pre_hook(lambda _, inputs, named: show((inputs or tuple(named.values()))[0]), with_kwargs=True)
