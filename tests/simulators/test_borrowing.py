"""The control's partners: never oneself, one's own layer where possible, the same for the same seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.scorers.control import NOBODY, pairings, partners


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40), st.integers(0, 99))
def test_nobody_is_their_own_partner_and_partners_are_in_use(neurons: list[tuple[int, bool]], seed: int) -> None:
    layers = np.array(sorted(layer for layer, _ in neurons), dtype=np.int32)
    use = np.array([used for _, used in neurons], dtype=bool)
    found = partners(layers, use, 3, seed)
    assert (found[:, ~use] == NOBODY).all()
    for row in np.flatnonzero(use):
        others = found[found[:, row] != NOBODY, row]
        assert len(set(others)) == len(others)
        assert row not in others and use[others].all()
        beside = (use & (layers == layers[row])).sum() - 1
        if beside:
            assert (layers[others] == layers[row]).all()
            assert len(others) == min(3, beside)
        else:
            assert (len(others) > 0) == (use.sum() > 1)
    assert (partners(layers, use, 3, seed) == found).all()


def test_everybody_is_partner_once_in_each_draw() -> None:
    layers = np.repeat(np.arange(3), 50)
    found = partners(layers, np.ones(150, bool), 4, seed=0)
    assert [sorted(draw) for draw in found] == [list(range(150))] * 4
    assert (found != partners(layers, np.ones(150, bool), 4, seed=1)).any()


def test_each_neuron_meets_all_excerpts_of_its_partner_in_an_order_of_its_own() -> None:
    found = pairings(50, 10, seed=0)
    assert (np.sort(found, axis=1) == np.arange(10)).all()
    assert len({tuple(row) for row in found}) > 45
