"""Units: what a head and a neuron's negative side are, which units can be chosen, and what is said where they cannot."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurogloss.artifacts.recordings import read_recordings, write_recordings
from neurogloss.artifacts.results import row_of
from neurogloss.artifacts.units import UnitKind, parse_name, unit_name
from neurogloss.config.subject import SubjectParams
from neurogloss.errors import UserError
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.layers import chosen_units, plan_layers
from neurogloss.recording.run import record_excerpts
from neurogloss.subject.heads import find_heads
from neurogloss.subject.kinds import find_units
from neurogloss.subject.model import Subject, load_subject
from neurogloss.subject.neurons import find_neurons
from tests.subject.made_up import made_up_excerpts, record_params
from tests.tiny import random_recordings

TOKENS = torch.randint(3, 300, (4, 11), generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Subject:
    return load_subject(SubjectParams(model=str(tiny_model), units="heads", bos="<s>"))


def seen(subject: Subject, layers: list[int]) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    subject.activations(TOKENS, layers, lambda layer, values: found.update({layer: values.clone()}))
    return found


def test_a_head_has_the_norm_of_what_it_alone_writes_where_queries_are_grouped_too(loaded: Subject) -> None:
    assert loaded.model.config.num_key_value_heads == 2
    assert loaded.widths == (4, 4)
    into: list[Tensor] = []
    projection = loaded.model.model.layers[1].self_attn.o_proj
    handle = projection.register_forward_pre_hook(lambda _, inputs: into.append(inputs[0].clone()), prepend=True)
    found = seen(loaded, [0, 1])[1]
    handle.remove()
    for head in range(4):
        alone = torch.zeros_like(into[0])
        alone[..., head * 8 : head * 8 + 8] = into[0][..., head * 8 : head * 8 + 8]
        written = torch.linalg.vector_norm(projection(alone), dim=-1)[:, 1:]  # The BOS token is left out.
        torch.testing.assert_close(found[..., head], written, rtol=1e-4, atol=1e-5)


def test_heads_of_gpt2_read_its_transposed_projection() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=8, n_layer=1, n_head=2)).eval()
    (units,) = find_heads(model)
    assert units is not None
    z = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
    weight = model.transformer.h[0].attn.c_proj.weight  # (inputs, outputs)
    expected = torch.stack([(z[..., :4] @ weight[:4]).norm(dim=-1), (z[..., 4:] @ weight[4:]).norm(dim=-1)], dim=-1)
    torch.testing.assert_close(units.values(z), expected, rtol=1e-4, atol=1e-5)


def test_a_model_whose_heads_are_not_side_by_side_is_refused(loaded: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded.model.config, "num_attention_heads", 5)
    with pytest.raises(UserError, match=r"has 32 inputs and the model's config names 5 attention heads.*subject.units to neurons"):
        find_heads(loaded.model)
    monkeypatch.setattr(loaded.model.config, "model_type", "mamba")
    with pytest.raises(UserError, match="does not know the architecture 'mamba'.*output projection of the attention"):
        find_heads(loaded.model)


def test_a_negative_side_is_the_negative_of_its_neuron_and_comes_before_it(loaded: Subject) -> None:
    plain, signed = find_neurons(loaded.model), find_neurons(loaded.model, signed=True)
    assert plain[0] is not None and signed[0] is not None
    x = torch.randn(2, 3, 48, generator=torch.Generator().manual_seed(0))
    values, first = signed[0].values(x), signed[0].first
    assert (signed[0].width, first) == (96, -48)
    for index in (0, 7, 47):
        torch.testing.assert_close(values[..., index - first], x[..., index])
        torch.testing.assert_close(values[..., ~index - first], -x[..., index])


def test_only_neurons_have_negative_sides(loaded: Subject) -> None:
    with pytest.raises(UserError, match="subject.signed is true, but heads have no negative side"):
        find_units(loaded.model, SubjectParams(model="any", units="heads", signed=True))


class Both:
    """A subject of signed neurons; each layer's activations are a table by token."""

    def __init__(self, tables: list[np.ndarray], signed: bool) -> None:
        from neurogloss.subject.neurons import Neurons, SignedNeurons

        self.tables, width = tables, tables[0].shape[1]
        self.units = [SignedNeurons("", 2 * width) if signed else Neurons("", width) for _ in tables]
        self.widths = tuple(units.width for units in self.units)
        self.held = self.widths
        self.indices = tuple(range(units.first, units.first + units.width) for units in self.units)
        self.vocabulary = [b"t%d" % token for token in range(len(tables[0]))]
        self.loader = None

    def activations(self, tokens: Tensor, layers: Any, visit: Any) -> None:
        for layer in layers:
            visit(layer, self.units[layer].values(torch.from_numpy(self.tables[layer])[tokens]))


@pytest.fixture(scope="module")
def signed_and_plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    tables = [np.random.default_rng(layer).normal(0, 1, (40, 6)).astype(np.float32) for layer in range(2)]
    folder, params = tmp_path_factory.mktemp("signed"), record_params(neurons=3)
    return [
        record_excerpts(Both(tables, signed), made_up_excerpts(), params, Scratch(folder / str(signed), "key"))  # type: ignore[arg-type]  # it quacks
        for signed in (True, False)
    ]


def test_both_sides_of_a_sample_are_recorded_and_the_positive_ones_as_without_the_others(signed_and_plain: Any) -> None:
    signed, plain = signed_and_plain
    assert len(signed) == 2 * len(plain) == 12
    for row in range(len(plain)):
        layer, index = int(plain.layers[row]), int(plain.indices[row])
        same, other = signed.row(layer, index), signed.row(layer, ~index)
        np.testing.assert_array_equal(signed.activations[same], plain.activations[row])
        assert signed.statistics["mean"][other].as_py() == pytest.approx(-plain.statistics["mean"][row].as_py())
        assert signed.name(other) == plain.name(row) + "-"
    assert (np.diff(signed.indices[signed.layers == 1]) > 0).all()


def test_a_name_is_read_back_whatever_its_kind_and_side() -> None:
    for kind in UnitKind:
        for index in (0, 8021, *((~0, ~131) if kind is UnitKind.NEURONS else ())):
            named = parse_name(unit_name(5, index, kind))
            assert named is not None and (named.kind, named.layer, named.index) == (kind, 5, index)
    assert parse_name("L5.X3") is None


def test_recordings_say_their_kind_and_names_of_another_are_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    write_recordings(tmp_path / "r", replace(random_recordings(), kind=UnitKind.HEADS))
    found = read_recordings(tmp_path / "r")
    assert (found.kind, found.name(1)) == (UnitKind.HEADS, "L0.H3")
    assert row_of(found, "l0.h3") == row_of(found, "0/3") == 1
    with pytest.raises(UserError, match="L0.N3 is a neuron, these recordings are of heads such as L0.H0"):
        row_of(found, "L0.N3")


def test_units_are_chosen_by_a_list_or_by_a_file_in_place_of_layers_and_numbers(tmp_path: Path) -> None:
    path, nothing, there = tmp_path / "units.txt", np.zeros(700, np.bool_), [range(6), range(9), range(0)]
    path.write_text("# mine\nL1.N8\n\nL0.N2  # good\nL1.N1\n", encoding="utf-8")
    for names in (["L1.N8", "L0.N2", "1/1"], str(path)):
        params = record_params(neurons=3, layers=[0], units=names)
        plans = plan_layers(params, there, nothing, chosen_units(params, UnitKind.NEURONS))
        assert [(plan.layer, plan.neurons.tolist()) for plan in plans] == [(0, [2]), (1, [1, 8])]
    alone = plan_layers(record_params(), there, nothing)[1]
    np.testing.assert_array_equal(plans[1].random, alone.random[[1, 8]])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["L0.H3"], "record.units holds 'L0.H3', expected names of neurons such as L5.N131"),
        (["cat"], "record.units holds 'cat'"),
        ([], "record.units is empty"),
        (["L7.N1"], r"record.units names \[7\], the subject has layers 0 to 2"),
        (["L2.N1"], r"record.units names \[2\], which have no units there \(layers 0-1 have\)"),
        (["L0.N6"], "record.units names index 6 of layer 0, which has 0 to 5"),
        (["L0.N1-"], "negative sides need subject.signed"),
        ("missing.txt", "record.units: cannot read missing.txt"),
    ],
)
def test_units_that_are_not_there_cannot_be_chosen(names: Any, message: str) -> None:
    params = record_params(units=names)
    with pytest.raises(UserError, match=message):
        plan_layers(params, [range(6), range(9), range(0)], np.zeros(700, np.bool_), chosen_units(params, UnitKind.NEURONS))
