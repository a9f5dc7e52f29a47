"""What the subject's weights alone say of a neuron: tokens it reads and writes, neurons before and after it.

tokens read     embedding · diag(gain of the norm before the MLP) · input weights
tokens written  output weights · diag(gain of a norm after the MLP) · diag(gain of the last norm) · unembedding
neuron, neuron  output weights · diag(gain of a norm after the MLP) · diag(gain of the later layer's norm) · input weights
(Bills et al. 2023, the release's README.) A gated MLP multiplies two inputs. Its tokens read are ranked by act(gate) · up of the token's
embedding at unit scale, which fits the recorded means better than either factor alone; between neurons its input weights are the sum
of the two, since both raise a firing neuron.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from neurogloss.errors import UserError
from neurogloss.subject.lens import AFTER, by_input, embedding, gain, named, unembedding
from neurogloss.subject.sites import block_path
from neurogloss.viewer.strongest import Strongest, strongest

BEFORE = ("pre_feedforward_layernorm", "post_attention_layernorm", "ln_2", "ln_mlp", "final_layer_norm", "input_layernorm", "ln_1")
"""Names of the norm before the MLP in a layer."""
TOKENS = 10
NEURONS = 6


@dataclass(frozen=True)
class LayerWeights:
    """What the neurons of one layer read from and write to the residual stream."""

    reads: Float[np.ndarray, "neuron width"]
    """Input weights times the gain of the norm before the MLP; of a gated MLP the sum of both."""
    gated: tuple[Float[np.ndarray, "neuron width"], Float[np.ndarray, "neuron width"]] | None
    """The two inputs of a gated MLP, the gate first, times that gain."""
    writes: Float[np.ndarray, "neuron width"]
    """Output weights times the gain of the norm after the MLP, where there is one."""


@dataclass(frozen=True)
class Weights:
    """The weights of a subject, as arrays on demand. Raises UserError where the architecture is not understood."""

    model: Any
    sites: tuple[str, ...]

    @cached_property
    def first(self) -> tuple[str, int]:
        """The first site and its layer."""
        return next((site, layer) for layer, site in enumerate(self.sites) if site)

    @cached_property
    def embedding(self) -> Float[np.ndarray, "token width"]:
        """The residual stream's part of each token on the way in."""
        return array(embedding(self.model, *self.first))

    @cached_property
    def unembedding(self) -> Float[np.ndarray, "token width"]:
        """Each token on the way out, times the gain of the last norm."""
        return array(unembedding(self.model, *self.first))

    @cached_property
    def layers(self) -> dict[int, LayerWeights]:
        """The MLP of every layer that has a site."""
        return {number: layer_weights(self.model, site, number) for number, site in enumerate(self.sites) if site}


def layer_weights(model: Any, site: str, layer: int) -> LayerWeights:
    """Input and output weights of one layer's neurons; raises UserError where the input projection is not found."""
    block = model.get_submodule(block_path(site, layer))
    mlp_path, _, last = site.rpartition(".")
    projection = model.get_submodule(site)
    writes = array(by_input(projection)).copy()  # (neuron, width)
    neurons = len(writes)
    inputs: dict[str, np.ndarray] = {}
    for name, module in model.get_submodule(mlp_path).named_children():
        if name == last or getattr(module, "weight", None) is None or module.weight.ndim != 2:
            continue
        inward = array(by_input(module)).T  # (output, width)
        if inward.shape[1] == writes.shape[1] and inward.shape[0] in (neurons, 2 * neurons):
            inputs |= {f"{name}.{i}": part for i, part in enumerate(inward.reshape(-1, neurons, writes.shape[1]))}
    if len(inputs) not in (1, 2):
        raise UserError(f"the MLP at {mlp_path} has no input projection that this page knows")
    after = hasattr(block, "post_feedforward_layernorm") and not hasattr(block, "pre_feedforward_layernorm")
    added = array(gain(named(block, AFTER), writes.shape[1]))
    scale = array(gain(None if after else named(block, BEFORE), writes.shape[1]))
    parts = [inputs[name] * scale for name in sorted(inputs, key=lambda name: ("gate" not in name, name))]
    return LayerWeights(sum(parts[1:], parts[0]), (parts[0], parts[1]) if len(parts) == 2 else None, writes * added)


def array(tensor: Any) -> np.ndarray:
    """A tensor as float32."""
    return np.asarray(tensor.detach().float().cpu().numpy())


class Lexicon(NamedTuple):
    """Some tokens on their way in and out of the subject."""

    embedding: Float[np.ndarray, "token width"]
    scaled: Float[np.ndarray, "token width"]
    """The embedding at unit scale."""
    unembedding: Float[np.ndarray, "token width"]


def lexicon(weights: Weights, tokens: Int[np.ndarray, " token"]) -> Lexicon:
    """The vectors of these tokens."""
    embedding = weights.embedding[tokens]
    return Lexicon(embedding, unit_scale(embedding), weights.unembedding[tokens])


class Lens(NamedTuple):
    """Tokens that the weights of some neurons favour and disfavour. Columns count in the tokens that were asked for."""

    reads: Strongest
    reads_against: Strongest
    writes: Strongest
    writes_against: Strongest


def lens(weights: Weights, tokens: Lexicon, layer: int, neurons: Int[np.ndarray, " neuron"]) -> Lens:
    """The logit lens of neurons of one layer, among these tokens. Strengths against are negated."""
    there = weights.layers[layer]
    if there.gated is None:
        reads = there.reads[neurons] @ tokens.embedding.T  # (neuron, token)
    else:
        gate, up = (part[neurons] @ tokens.scaled.T for part in there.gated)
        reads = activation(weights.model, gate) * up
    writes = there.writes[neurons] @ tokens.unembedding.T
    return Lens(strongest(reads, TOKENS), strongest(-reads, TOKENS), strongest(writes, TOKENS), strongest(-writes, TOKENS))


def unit_scale(vectors: Float[np.ndarray, "token width"]) -> Float[np.ndarray, "token width"]:
    """Each row at a root mean square of one, as the norm before an MLP leaves it."""
    size = np.sqrt((vectors**2).mean(axis=1, keepdims=True))
    return np.asarray(np.divide(vectors, size, out=np.zeros_like(vectors), where=size > 0))


def activation(model: Any, gate: Float[np.ndarray, "neuron token"]) -> Float[np.ndarray, "neuron token"]:
    """The gate's activation function: SiLU, or GELU in its tanh form, by the configuration's name."""
    name = str(getattr(model.config, "hidden_activation", None) or getattr(model.config, "hidden_act", "silu"))
    gate = gate.clip(-60, 60)
    if "gelu" in name:
        return np.asarray(0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3))))
    if name == "relu":
        return np.asarray(np.maximum(gate, 0))
    return np.asarray(gate / (1 + np.exp(-gate)))
