"""Kinds of units and their names: L5.N131 a neuron, L5.N131- its negative side, L5.F8021 a latent, L5.H3 a head, L5.D0 a direction.

A unit is a layer and an index. The negative side of neuron 131 has the index ~131, that is -132; no other kind has negative sides.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class UnitKind(StrEnum):
    """What the units of a recording are; one recording holds one kind."""

    NEURONS = "neurons"
    """Inputs of the MLP's output projection."""
    LATENTS = "latents"
    """Of a sparse autoencoder or a transcoder."""
    HEADS = "heads"
    """Attention heads."""
    DIRECTIONS = "directions"
    """Linear combinations of the neurons of a layer."""

    @property
    def singular(self) -> str:
        """One of them: neuron, latent, head."""
        return self.value[:-1]

    @property
    def letter(self) -> str:
        """What stands before the index in a name: N, F (feature), H or D."""
        return {UnitKind.NEURONS: "N", UnitKind.LATENTS: "F", UnitKind.HEADS: "H", UnitKind.DIRECTIONS: "D"}[self]


class Noun(NamedTuple):
    """What units are called wherever people read of them."""

    one: str
    many: str

    def counted(self, count: int) -> str:
        """A number of them.

        >>> noun(UnitKind.LATENTS).counted(1), noun(UnitKind.HEADS).counted(1200)
        ('1 latent', '1,200 heads')
        """
        return f"{count:,} {self.one if count == 1 else self.many}"


def noun(kind: UnitKind, signed: bool = False) -> Noun:
    """The word for units of a kind; with `signed` for neurons whose negative sides are units of their own.

    >>> noun(UnitKind.HEADS).one, noun(UnitKind.NEURONS, signed=True).many
    ('head', 'neuron sides')
    """
    return Noun("neuron side", "neuron sides") if signed else Noun(kind.singular, kind.value)


NAME = re.compile(r"L?(?P<layer>\d{1,6})(?:[.:/](?P<letter>[NFHD]?)|(?P<bare>[NFHD]))(?P<index>\d{1,9})(?P<side>-?)", re.IGNORECASE)
KINDS = {kind.letter: kind for kind in UnitKind}


@dataclass(frozen=True)
class Named:
    """What a name says."""

    kind: UnitKind | None
    """None where the name has no letter."""
    layer: int
    index: int


def unit_name(layer: int, index: int, kind: UnitKind = UnitKind.NEURONS) -> str:
    """How a unit is called everywhere.

    >>> unit_name(5, 131), unit_name(5, ~131), unit_name(5, 8021, UnitKind.LATENTS)
    ('L5.N131', 'L5.N131-', 'L5.F8021')
    """
    return f"L{layer}.{kind.letter}{~index}-" if index < 0 else f"L{layer}.{kind.letter}{index}"


def parse_name(text: str) -> Named | None:
    """What a name says, None where it is none; `L5N131`, `5.131`, `5:131` and `5/131` are understood.

    >>> parse_name("L5F8021"), parse_name("5/131-"), parse_name("cat")
    (Named(kind=<UnitKind.LATENTS: 'latents'>, layer=5, index=8021), Named(kind=None, layer=5, index=-132), None)
    """
    match = NAME.fullmatch(text.strip())
    if not match:
        return None
    index = int(match["index"])
    return Named(KINDS.get((match["letter"] or match["bare"] or "").upper()), int(match["layer"]), ~index if match["side"] else index)
