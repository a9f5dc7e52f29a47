"""Divergences of ablated runs equal whole forward passes, one change at a time, for each architecture and kind of unit."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurogloss.errors import UserError
from neurogloss.subject import ablation
from neurogloss.subject.ablation import divergences
from neurogloss.subject.changes import Change
from neurogloss.subject.divergence import in_cache, jensen_shannon
from neurogloss.subject.heads import find_heads
from neurogloss.subject.model import Subject
from neurogloss.subject.neurons import find_neurons
from neurogloss.subject.sites import block_path
from tests.subject.test_architectures import CASES, LLAMA, random_subject

MORE = {
    "gemma2": LLAMA | {"final_logit_softcapping": 5.0, "sliding_window": 4, "query_pre_attn_scalar": 8},
    "cohere": {name: value for name, value in LLAMA.items() if name != "head_dim"} | {"logit_scale": 0.5},
    "granite": {name: value for name, value in LLAMA.items() if name != "head_dim"} | {"logits_scaling": 3.0},
}
KINDS = {kind: settings for kind, (_, settings) in CASES.items()} | MORE
TOKENS = np.random.default_rng(1).integers(3, 50, (5, 9)).astype(np.int32)


def some_changes(subject: Subject, units: tuple[Any, ...]) -> list[Change]:
    rng = np.random.default_rng(0)
    found = []
    for excerpt in (3, 0, 4):
        for layer, one in enumerate(units):
            for neuron in rng.choice(range(one.first, one.first + one.width), 2, replace=False).tolist():
                found.append(Change(excerpt, layer, neuron, rng.normal(0.5, 2.0, TOKENS.shape[1]).astype(np.float32)))
    return found


def by_definition(subject: Subject, change: Change, alter: Any) -> float:
    """A whole forward pass of the whole model, clean and changed, and the divergence as it is defined, in float64."""
    tokens, first = torch.from_numpy(TOKENS[[change.excerpt]]).long(), 0
    if subject.bos is not None:
        tokens, first = torch.cat([torch.tensor([[subject.bos]]), tokens], dim=1), 1
    units = subject.units[change.layer]
    assert units is not None

    def replace(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen = inputs[0].clone()
        flat = seen.reshape(1, -1, seen.shape[-1])
        alter(flat[0, first:], change)
        return (flat.reshape(inputs[0].shape),)

    with torch.inference_mode():
        p = subject.model(tokens).logits[0, first:].double().softmax(dim=-1)
        handle = subject.model.get_submodule(units.module).register_forward_pre_hook(replace)
        q = subject.model(tokens).logits[0, first:].double().softmax(dim=-1)
        handle.remove()
    middle = (p + q) / 2
    return float((((p * (p / middle).log()) + (q * (q / middle).log())).sum(dim=-1) / 2).mean())


def one_neuron(seen: Tensor, change: Change) -> None:
    value = torch.from_numpy(change.values)
    seen[:, ~change.neuron if change.neuron < 0 else change.neuron] = -value if change.neuron < 0 else value


@pytest.mark.parametrize("kind", KINDS)
def test_divergences_equal_whole_forward_passes_one_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = random_subject(kind, KINDS[kind], None if kind == "opt" else 1)
    changes = some_changes(subject, subject.units)
    expected = [by_definition(subject, change, one_neuron) for change in changes]
    for rows in (1, 8, 96):
        monkeypatch.setattr(ablation, "ROWS_AT_ONCE", rows)
        np.testing.assert_allclose(divergences(subject, TOKENS, changes), expected, rtol=1e-4, atol=1e-9)
    assert min(expected) > 1e-7


def with_units(kind: str, find: Any) -> Subject:
    plain = random_subject(kind, KINDS[kind], 1)
    return Subject(plain.model, plain.tokenizer, [], 1, find(plain.model), plain.loader)


def test_the_negative_side_of_a_neuron_is_replaced_with_its_sign() -> None:
    subject = with_units("llama", lambda model: find_neurons(model, signed=True))
    changes = some_changes(subject, subject.units)
    assert {change.neuron < 0 for change in changes} == {True, False}
    expected = [by_definition(subject, change, one_neuron) for change in changes]
    np.testing.assert_allclose(divergences(subject, TOKENS, changes), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_head_writes_in_its_own_direction_with_another_norm(kind: str) -> None:
    subject = with_units(kind, find_heads)
    size = 8

    def scaled(seen: Tensor, change: Change) -> None:
        units = subject.units[change.layer]
        assert units is not None
        part = slice(size * change.neuron, size * change.neuron + size)
        own = units.values(seen[None])[0, :, change.neuron]
        seen[:, part] *= (torch.from_numpy(change.values).clamp_min(0) / own)[:, None]

    changes = some_changes(subject, subject.units)
    expected = [by_definition(subject, change, scaled) for change in changes]
    np.testing.assert_allclose(divergences(subject, TOKENS, changes), expected, rtol=1e-4)


def test_the_values_that_a_unit_has_change_nothing() -> None:
    subject = random_subject("llama", LLAMA, 1)
    seen: dict[int, Tensor] = {}
    subject.activations(torch.from_numpy(TOKENS).long(), [0, 1, 2], lambda layer, values: seen.update({layer: values.clone()}))
    changes = [Change(excerpt, layer, 7, seen[layer][excerpt, :, 7].numpy()) for excerpt in range(5) for layer in range(3)]
    assert divergences(subject, TOKENS, changes).max() < 1e-11
    assert divergences(subject, TOKENS, []).shape == (0,)


@pytest.mark.parametrize("computed", ["on a device", "in cache"])
def test_the_divergence_is_exact_where_distributions_hardly_differ_and_where_they_share_nothing(computed: str) -> None:
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.8, 0.0]])
    q = torch.tensor([[0.5 + 1e-4, 0.5 - 1e-4, 0.0], [0.0, 1.0, 0.0], [0.2, 0.8, 0.0]])
    one, other = np.random.default_rng(0).normal(0, 3, (2, 4, 3000)).astype(np.float32)
    wide = [torch.softmax(torch.from_numpy(each), dim=-1) for each in (one, one * np.float32(1.01), one + other)]

    def found(one: Tensor, other: Tensor) -> np.ndarray:
        return jensen_shannon(one, other).numpy() if computed == "on a device" else in_cache(one.numpy(), other.numpy())

    small = found(p, q)
    assert small[0] == pytest.approx(2 * 1e-8 / 4, rel=1e-3)
    assert small[1] == pytest.approx(np.log(2)) and small[2] == 0.0
    for other in wide[1:]:
        one, two = wide[0].double(), other.double()
        middle = (one + two) / 2
        expected = ((one * (one / middle).log() + two * (two / middle).log()).sum(dim=-1) / 2).numpy()
        np.testing.assert_allclose(found(wide[0], other), expected, rtol=1e-6)


def test_units_that_cannot_be_replaced_and_modules_outside_of_a_block_are_told() -> None:
    from neurogloss.subject.units import Units

    class Strange(Units):
        def values(self, seen: Tensor) -> Tensor:
            return seen

    with pytest.raises(UserError, match=r"units that read some\.module cannot be replaced"):
        Strange("some.module", 3).replaced(torch.zeros(1, 1, 3), torch.tensor([0]), torch.zeros(1, 1))
    with pytest.raises(UserError, match="stands in no numbered layer"):
        block_path("model.norm", 3)
