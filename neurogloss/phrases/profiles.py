"""How much likelier a phrase makes each token: one short forward pass per phrase, kept for ever.

gain(token | phrase) = log p(token | "Here is a list of {phrase}:") - log p(token | "Here is a list of words:")

Gains depend on the model, the text around the phrase and the phrase alone, so they are kept in the user's cache folder,
addressed by all three, and shared by every run and project.
"""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float16

from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import ListPrompt, fill
from neurogloss.errors import UserError
from neurogloss.subject.device import device, free_bytes

logger = logging.getLogger(__name__)
BATCH = 32
"""Phrases in one forward pass on a processor; a constant, because the last bits of a gain depend on it."""
MOST = 512
"""The same on a GPU, where memory allows."""


class Gains:
    """Gains of phrases over the whole vocabulary of a local model. The model is loaded when a phrase is not known yet."""

    def __init__(self, model: ModelParams, prompt: ListPrompt) -> None:
        if model.provider != "local":
            raise UserError(f"vocabulary needs a model with provider local, got {model.provider}; name one in vocabulary.model")
        self.model = model
        self.prompt = prompt

    def open(self) -> tuple[Any, Any]:
        """The causal language model and its tokenizer."""
        return load(self.model.name, self.model.revision, self.model.sha256, self.model.dtype, device())

    def of(self, phrases: Sequence[str]) -> Float16[np.ndarray, "phrase token"]:
        """One row per phrase, one column per token id."""
        self.learn(phrases)
        with self.store() as store:
            known = dict(rows(store, sorted(set(phrases))))
        return np.stack([known[phrase] for phrase in phrases])

    def learn(self, phrases: Sequence[str]) -> None:
        """Run the phrases that were not met before; each is kept the moment its batch is done."""
        with self.store() as store:
            wanted = sorted(set(phrases))
            known = met(store, wanted)
            for phrase, row in self.run([phrase for phrase in wanted if phrase not in known]):
                store.execute("INSERT OR IGNORE INTO gains VALUES (?, ?)", (phrase, row.tobytes()))

    def pieces(self) -> list[bytes]:
        """Bytes of every token id of the model."""
        from neurogloss.subject.token_bytes import token_bytes

        with self.store() as store:
            found = [bytes(piece) for (piece,) in store.execute("SELECT piece FROM pieces ORDER BY number")]
            if not found:
                found = token_bytes(self.open()[1])
                store.execute("BEGIN")
                store.executemany("INSERT OR IGNORE INTO pieces VALUES (?, ?)", list(enumerate(found)))
                store.execute("COMMIT")
        return found

    def first_tokens(self, texts: Sequence[str]) -> dict[str, int]:
        """The token id each text begins with; texts without any token are left out."""
        tokenizer = self.open()[1]
        ids = {text: tokenizer(text, add_special_tokens=False).input_ids for text in dict.fromkeys(texts)}
        return {text: int(found[0]) for text, found in ids.items() if found}

    @contextmanager
    def store(self) -> Iterator[sqlite3.Connection]:
        """The SQLite file of this model and prompt; every insert is committed at once."""
        facts = {
            "model": [self.model.name, self.model.revision, self.model.sha256, self.model.dtype],
            "prompt": self.prompt.model_dump(),
            "batch": BATCH,
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        path = environment.cache_folder() / "profiles" / f"{key}.sqlite"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as store:
                store.execute("PRAGMA journal_mode=WAL")
                store.execute("PRAGMA synchronous=NORMAL")
                store.execute("CREATE TABLE IF NOT EXISTS gains (phrase TEXT PRIMARY KEY, gains BLOB NOT NULL) WITHOUT ROWID")
                store.execute("CREATE TABLE IF NOT EXISTS pieces (number INTEGER PRIMARY KEY, piece BLOB NOT NULL)")
                yield store
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"cannot keep profiles in {path} ({error}); set NEUROGLOSS_CACHE to a folder that can be written") from error

    def run(self, phrases: list[str]) -> Iterator[tuple[str, Float16[np.ndarray, " token"]]]:
        """Compute gains. Prompts of equal length go in one batch, so nothing is padded; the text before the phrase is computed once.

        Every batch has as many rows, the last of them repeated where phrases run out: so a gain does not depend on what else is asked.
        """
        if not phrases:
            return
        import torch
        from tqdm import tqdm

        from neurogloss.llm.local.prefixes import Prefixes

        network, tokenizer = self.open()
        torch.set_num_threads(environment.threads())
        prefixes, size = Prefixes(network), batch_size(network)
        head = self.ids(tokenizer, self.prompt.text.split("{explanation}")[0].rstrip(), template=False)
        prompts = {phrase: self.ids(tokenizer, phrase) for phrase in [self.prompt.nothing, *phrases]}
        base = next(iter(self.next_token(prefixes, head, [prompts[self.prompt.nothing]], size)))
        with tqdm(total=len(phrases), desc="reading phrases", unit="phrase", delay=1, leave=False) as bar:
            shapes = {phrase: (len(prompts[phrase]), begins(prompts[phrase], head)) for phrase in phrases}
            for shape in sorted(set(shapes.values())):
                alike = [phrase for phrase in phrases if shapes[phrase] == shape]
                for start in range(0, len(alike), size):
                    part = alike[start : start + size]
                    found = self.next_token(prefixes, head, [prompts[phrase] for phrase in part], size)
                    yield from zip(part, (found - base).to(torch.float16).cpu().numpy(), strict=True)
                    bar.update(len(part))

    def ids(self, tokenizer: Any, phrase: str, template: bool = True) -> list[int]:
        """Token ids of the prompt with the phrase in it (or of the bare text), after BOS where the tokenizer has one."""
        begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        text = fill(self.prompt.text, explanation=phrase) if template else phrase
        ids = begin + list(tokenizer(text, add_special_tokens=False).input_ids)
        if len(ids) >= self.model.context:
            raise UserError(
                f"an explanation of {len(ids)} tokens does not fit {self.model.name} (context {self.model.context}): {phrase[:60]!r}..."
            )
        return ids

    def next_token(self, prefixes: Any, head: list[int], prompts: list[list[int]], size: int) -> Any:
        """log p of every token as the next one after prompts of equal length that all begin with `head`, or none: (phrase, token)."""
        import torch

        from neurogloss.llm.local.prefixes import Place, Prefix, copied

        rows = [*prompts, *[prompts[-1]] * (size - len(prompts))]
        prefix = prefixes.shared(head) if begins(prompts[0], head) else Prefix([], None)
        ids = torch.tensor([prompt[len(prefix.ids) :] for prompt in rows])
        # The head, too, sees the full batch: a product's last bits depend on its shape.
        logits, _ = prefixes.forward(ids, copied(prefix, size), [Place(row, ids.shape[1] - 1) for row in range(size)])
        return torch.log_softmax(logits[: len(prompts)], dim=-1)


@lru_cache(maxsize=1)
def load(name: str, revision: str | None, sha256: str | None, dtype: str, place: str) -> tuple[Any, Any]:
    """A causal language model on the device `place` and its tokenizer; the last one stays loaded."""
    from neurogloss.subject.model import load_model
    from neurogloss.subject.sources import resolve

    return load_model(resolve(name, revision, sha256), name, dtype)


def batch_size(network: Any) -> int:
    """Phrases in one forward pass; their rows over the vocabulary are what takes memory."""
    if network.device.type == "cpu":
        return BATCH
    rows = free_bytes(network.device) // (32 * int(network.config.get_text_config().vocab_size))
    return int(min(MOST, max(BATCH, rows // BATCH * BATCH)))


def begins(ids: list[int], head: list[int]) -> bool:
    """Whether a prompt goes on after this beginning."""
    return bool(head) and len(ids) > len(head) and ids[: len(head)] == head


def met(store: sqlite3.Connection, phrases: list[str]) -> set[str]:
    """Those of these phrases that the store knows."""
    return {
        phrase for marks, part in parts(phrases) for (phrase,) in store.execute(f"SELECT phrase FROM gains WHERE phrase IN ({marks})", part)
    }


def rows(store: sqlite3.Connection, phrases: list[str]) -> Iterator[tuple[str, Float16[np.ndarray, " token"]]]:
    """What the store knows of these phrases."""
    for marks, part in parts(phrases):
        for phrase, blob in store.execute(f"SELECT phrase, gains FROM gains WHERE phrase IN ({marks})", part):
            yield phrase, np.frombuffer(blob, np.float16)


def parts(phrases: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The phrases in parts that fit one statement, each with its question marks."""
    for start in range(0, len(phrases), 500):
        part = phrases[start : start + 500]
        yield ",".join("?" * len(part)), part
