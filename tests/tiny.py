"""A tiny subject: a byte-level tokenizer and a two-layer Llama, built from a seed, and recordings made of random numbers."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.recordings import OPEN_SPLITS, Kind, Recordings, Split, assign_splits
from neurogloss.measures.levels import firing_shares

TEXT = "the cat sat on the mat and the dog ran to the river under a bright sky while ten birds sang of snow and rain " * 20


def save_tiny_model(folder: Path, vocabulary: int = 384, bos: bool = True) -> Path:
    """Write a tokenizer and a tiny random Llama that transformers can load from `folder`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>" if bos else None, eos_token="</s>")
    fast.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(fast),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            initializer_range=0.3,
            bos_token_id=fast.bos_token_id,
            eos_token_id=fast.eos_token_id,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def random_recordings(
    layers: int = 2, per_layer: int = 4, tokens: int = 8, per_split: int = 2, excerpts: int = 60, seed: int = 0
) -> Recordings:
    """Recordings of made-up neurons: each fires on a few tokens of its own, with noise. Layer 0's last neuron is silent."""
    rng = np.random.default_rng(seed)
    slots = assign_splits(top=4 * per_split + 3, random=3 * per_split + 4, per_split=per_split)
    count, entries = layers * per_layer, 40
    corpus = rng.integers(0, entries, (excerpts, tokens)).astype(np.int32)
    favourite = rng.random((count, entries)) < 0.1
    dense = (favourite[:, corpus] * rng.gamma(2.0, 1.0, (count, *corpus.shape)) + rng.normal(0, 0.1, (count, *corpus.shape))).astype(
        np.float16
    )
    dense[per_layer - 1] = -np.abs(dense[per_layer - 1])
    chosen, activations = [], []
    tops = slots.kinds.count("top")
    for neuron in range(count):
        drawn = rng.permutation(excerpts)
        randoms, rest = drawn[: len(slots) - tops], drawn[len(slots) - tops :]
        strongest = rest[np.argsort(-dense[neuron, rest].max(axis=1), kind="stable")][:tops]
        chosen.append(np.concatenate([strongest, randoms]))
        activations.append(dense[neuron, chosen[-1]])
    kept = np.stack(activations)
    explain = kept[:, slots.where(Split.EXPLAIN)].reshape(count, -1).max(axis=1).astype(np.float64)
    peaks = np.where(explain > 0, explain, np.nan)
    flat = dense.reshape(count, -1).astype(np.float64)
    means = np.full((count, entries), np.nan, np.float16)
    for neuron in range(count):
        fit = np.setdiff1d(np.arange(excerpts), chosen[neuron][slots.where(Split.SCORE)])
        for token in range(entries):
            where = corpus[fit] == token
            if where.any():
                means[neuron, token] = dense[neuron, fit][where].mean()
    statistics = pa.table(
        {
            "layer": pa.array(np.repeat(np.arange(layers), per_layer), pa.int32()),
            "neuron": pa.array(np.tile(np.arange(per_layer) * 3, layers), pa.int32()),
            "mean": flat.mean(1),
            "variance": flat.var(1),
            "skewness": pa.array(np.zeros(count)),
            "kurtosis": pa.array(np.zeros(count)),
            "above_zero_share": (flat > 0).mean(1),
            "firing_share": firing_shares(kept[:, slots.where(*OPEN_SPLITS, kind=Kind.RANDOM)], peaks),
            "maximum": kept.reshape(count, -1).max(1).astype(np.float64),
            "peak": pa.array([None if np.isnan(p) else float(p) for p in peaks], pa.float64()),
        }
    )
    return Recordings(
        layers=statistics["layer"].to_numpy(),
        indices=statistics["neuron"].to_numpy(),
        statistics=statistics,
        peaks=peaks,
        slots=slots,
        corpus=corpus,
        documents=pa.table({"document": [f"d{i}" for i in range(excerpts)], "start": pa.array([0] * excerpts, pa.int32())}),
        vocabulary=[b" w%d" % i for i in range(entries)],
        excerpts=np.stack(chosen).astype(np.int32),
        activations=kept,
        table_tokens=np.arange(entries, dtype=np.int32),
        table_counts=np.bincount(corpus.ravel(), minlength=entries).astype(np.int32),
        token_means=means,
        about={"subject": "made up"},
    )
