"""Train three tiny subjects on the embedded corpus that differ in their neurons alone: GELU, ReLU, and ReLU kept sparse by a penalty.

python examples/activation_functions/train.py models
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from neurogloss.config.environment import threads
from neurogloss.config.params import load_params
from neurogloss.corpus.documents import read_documents

ROOT = Path(__file__).parents[2]
VOCABULARY, LENGTH, BATCH, HELD_OUT = 2048, 64, 32, 0.05
LAYERS, SIZE, HEADS, NEURONS = 2, 96, 4, 384
RATE, WARM_UP = 2e-3, 40


class Kind(NamedTuple):
    """What differs between the subjects."""

    activation: str
    penalty: float
    """Of the mean activation of a neuron, added to the loss."""


KINDS = {"gelu": Kind("gelu_new", 0.0), "relu": Kind("relu", 0.0), "sparse": Kind("relu", 0.3)}


def corpus_tokens(folder: Path) -> tuple[PreTrainedTokenizerFast, np.ndarray]:
    """A byte-level tokenizer fitted to the corpus, and the corpus in windows (window, token)."""
    texts = [document.text for document in read_documents(load_params(ROOT / "params.yaml").corpus, Counter())]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")
    ids = [np.array(one.ids, np.int64) for one in tokenizer.encode_batch(texts)]
    windows = [one[: len(one) // LENGTH * LENGTH].reshape(-1, LENGTH) for one in ids if len(one) >= LENGTH]
    fast.save_pretrained(folder)
    return fast, np.concatenate(windows)


def train(kind: Kind, windows: np.ndarray, steps: int, out: Path) -> dict[str, Any]:
    """Train one subject and write it; its loss on held-out windows in nats, and the share of activations that are not zero."""
    torch.set_num_threads(threads())
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=LENGTH + 8, n_embd=SIZE, n_layer=LAYERS, n_head=HEADS, n_inner=NEURONS,
        activation_function=kind.activation, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    seen: list[Tensor] = []
    for block in model.transformer.h:
        block.mlp.c_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    order = np.random.default_rng(0).permutation(len(windows))
    held_out, rest = order[: int(HELD_OUT * len(order))], order[int(HELD_OUT * len(order)) :]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    rng, began = np.random.default_rng(1), time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM_UP) * (1 - step / steps)
        batch = torch.from_numpy(windows[rng.choice(rest, BATCH, replace=False)])
        seen.clear()
        loss = model(batch, labels=batch).loss
        if kind.penalty:
            loss = loss + kind.penalty * torch.stack([one.mean() for one in seen]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    seen.clear()
    with torch.inference_mode():
        tested = torch.from_numpy(windows[held_out[:256]])
        loss = float(model(tested, labels=tested).loss)
    model.save_pretrained(out)
    active = float(torch.stack([(one > 0.0).float().mean() for one in seen]).mean())
    return {"loss": round(loss, 4), "above_zero_share": round(active, 4), "seconds": round(time.monotonic() - began, 1)}


def main() -> None:
    """Train all three on the same windows in the same order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    for name, kind in KINDS.items():
        _, windows = corpus_tokens(asked.out / name)
        found[name] = train(kind, windows, asked.steps, asked.out / name)
        print(name, json.dumps(found[name]), flush=True)
    (asked.out / "trained.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
