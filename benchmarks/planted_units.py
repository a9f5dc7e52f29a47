"""Units made from rules, and an explainer that is told by a script: what revision can mend when nothing else is in doubt.

A text is words with a blank before each. A unit fires where its rule holds; a simulator reads a sentence by the rule of that name. The
explainer first names too much ("numbers" for "numbers in parentheses"), as one that looks at active tokens alone does. Asked to revise,
it takes of the rules that it knows the one that fits the texts of the test best; one answer in five it makes up.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.recordings import NEURONS, Recordings, Split, assign_splits
from neurogloss.artifacts.status import CODES, Status
from neurogloss.llm.request import Request
from neurogloss.simulators.passages import Pair, Simulated
from neurogloss.simulators.result import SimulatedLevels
from neurogloss.subject.sentences import Heard, Sentence

KINDS = {
    "numbers": ["1", "2", "3", "14", "25", "36", "47", "80", "99", "100"],
    "animals": ["cat", "dog", "horse", "sheep", "goat", "otter", "raven", "trout"],
    "colours": ["red", "blue", "green", "black", "white", "amber", "violet", "grey"],
    "tools": ["hammer", "saw", "plane", "chisel", "rake", "spade", "awl", "file"],
    "towns": ["Oslo", "Lima", "Kyoto", "Quito", "Turin", "Perth", "Bergen", "Dakar"],
}
OTHERS = ["we", "saw", "then", "late", "near", "along", "some", "many", "walked", "under", "again", "slowly", "there", "with"]
MARKS = {"in parentheses": ("(", ")"), "in brackets": ("[", "]")}
BEFORE = ("of", "from")
TOKENS = 24
LAYER = 0
MADE_UP = 0.2
"""Share of the explainer's revisions that are any rule that it knows."""

Rule = Callable[[Sequence[str]], np.ndarray]


@cache
def rules() -> dict[str, Rule]:
    """By name: kinds of words, kinds within marks, kinds after a word."""
    found: dict[str, Rule] = {}
    for kind, words in KINDS.items():
        found[kind] = lambda text, words=frozenset(words): np.array([word in words for word in text])  # type: ignore[misc]  # mypy cannot type a default
    for kind in KINDS:
        for name, (opening, _) in MARKS.items():
            found[f"{kind} {name}"] = after(found[kind], opening)
        for word in BEFORE:
            found[f'{kind} after "{word}"'] = after(found[kind], word)
    return found


def after(rule: Rule, word: str) -> Rule:
    """The rule where this word stands before."""
    return lambda text: rule(text) & np.array([False, *(one == word for one in text[:-1])][: len(text)])


def fires(explanation: str, text: Sequence[str]) -> np.ndarray:
    """Where any of the rules holds that a sentence names; nowhere for what names none."""
    parts = [rules()[part] for part in explanation.split("; ") if part in rules()]
    return np.any([part(text) for part in parts], axis=0) if parts else np.zeros(len(text), bool)


@dataclass(frozen=True)
class Planted:
    """A unit with the sentence that is right and the one that the explainer begins with."""

    right: str
    first: str


def planted_units(broad: int = 20, polysemous: int = 5, right: int = 20, seed: int = 0) -> list[Planted]:
    """So many units that are explained too broadly, the last `polysemous` of them of two senses, and so many explained rightly."""
    rng = np.random.default_rng(seed)
    narrow = rng.permutation([name for name in rules() if name not in KINDS]).tolist()
    units = [Planted(name, kind_of(name)) for name in (narrow * 2)[: broad - polysemous]]
    for number in range(polysemous):
        one = narrow[number]
        other = next(name for name in narrow[number + 1 :] + narrow if kind_of(name) != kind_of(one))
        units.append(Planted(f"{one}; {other}", f"{kind_of(one)}; {kind_of(other)}"))
    names = rng.permutation(list(rules())).tolist()
    return units + [Planted(name, name) for name in (names * 2)[:right]]


def kind_of(name: str) -> str:
    """The kind of words of a rule: what it says too broadly."""
    return name.split()[0]


def text_of(rng: np.random.Generator, length: int = TOKENS, holds: str = "", lacks: str = "") -> list[str]:
    """Words at random; with `holds` a word of each of its kinds stands somewhere, of the kinds in `lacks` none does."""
    barred = {kind_of(part) for part in lacks.split("; ") if part}
    kinds = [kind for kind in KINDS if kind not in barred]
    words: list[str] = []
    wanted = [kind_of(part) for part in holds.split("; ") if part]
    while len(words) < length:
        drawn = rng.random()
        if not wanted and drawn < 0.6:
            words.append(str(rng.choice(OTHERS)))
            continue
        kind = wanted.pop() if wanted else str(rng.choice(kinds))
        word = str(rng.choice(KINDS[kind]))
        drawn = rng.random()
        if drawn < 0.25:
            opening, closing = list(MARKS.values())[int(rng.integers(len(MARKS)))]
            words += [opening, word, closing]
        elif drawn < 0.5:
            words += [str(rng.choice(BEFORE)), word]
        else:
            words += [str(rng.choice(OTHERS)), word]
    return words[:length]


def planted_recordings(units: Sequence[Planted], excerpts: int = 400, per_split: int = 5, seed: int = 1) -> Recordings:
    """A corpus, and what each unit does on its strongest and some random excerpts."""
    rng = np.random.default_rng(seed)
    texts = [text_of(rng) for _ in range(excerpts)]
    vocabulary = sorted({word for text in texts for word in text})
    number = {word: place for place, word in enumerate(vocabulary)}
    slots = assign_splits(top=4 * per_split + 10, random=3 * per_split + 10, per_split=per_split)
    tops = slots.kinds.count("top")
    chosen, kept = [], []
    for unit in units:
        every = np.array([activations(unit.right, text, rng) for text in texts])
        drawn = rng.permutation(excerpts)
        randoms, rest = drawn[: len(slots) - tops], drawn[len(slots) - tops :]
        strongest = rest[np.argsort(-every[rest].max(axis=1), kind="stable")][:tops]
        chosen.append(np.concatenate([strongest, randoms]))
        kept.append(every[chosen[-1]])
    recorded = np.array(kept, np.float16)
    peaks = recorded[:, slots.where(Split.EXPLAIN)].reshape(len(units), -1).max(axis=1).astype(np.float64)
    return Recordings(
        layers=np.full(len(units), LAYER, np.int32),
        indices=np.arange(len(units), dtype=np.int32),
        statistics=NEURONS.empty_table(),
        peaks=peaks,
        slots=slots,
        corpus=np.array([[number[word] for word in text] for text in texts], np.int32),
        documents=pa.table({"document": [f"d{place}" for place in range(excerpts)], "start": pa.array([0] * excerpts, pa.int32())}),
        vocabulary=[f" {word}".encode() for word in vocabulary],
        excerpts=np.array(chosen, np.int32),
        activations=recorded,
        table_tokens=np.empty(0, np.int32),
        table_counts=np.empty(0, np.int32),
        token_means=np.empty((len(units), 0), np.float16),
        about={},
    )


def activations(right: str, text: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """2 where the rule holds, about 0 elsewhere."""
    return np.where(fires(right, text), 2.0, rng.normal(0, 0.03, len(text)))


class PlantedSubject:
    """What runs sentences: the units themselves."""

    def __init__(self, units: Sequence[Planted]) -> None:
        self.units = units
        self.rng = np.random.default_rng(2)

    def __call__(self, sentences: Sequence[Sentence]) -> list[Heard]:
        """Each word is a token."""
        found = []
        for one in sentences:
            words = one.text.split()[:TOKENS]
            values = activations(self.units[one.neuron].right, words, self.rng)
            found.append(Heard(tuple(f" {word}".encode() for word in words), tuple(values.tolist())))
        return found


def read_recorded(recordings: Recordings, rows: np.ndarray, slots: np.ndarray, texts: Sequence[str | None]) -> SimulatedLevels:
    """A simulator that reads: level 10 where the sentence's rule holds."""
    levels = np.full((len(rows), len(slots), recordings.corpus.shape[1]), np.nan, np.float16)
    status = np.full(levels.shape[:2], CODES.index(Status.NO_EXPLANATION), np.uint8)
    for place, (row, text) in enumerate(zip(rows.tolist(), texts, strict=True)):
        if text is not None:
            words = [[recordings.text(int(token)).strip() for token in excerpt] for excerpt in recordings.tokens(row, slots)]
            levels[place] = [10.0 * fires(text, one) for one in words]
            status[place] = CODES.index(Status.OK)
    return SimulatedLevels(levels, status, np.zeros(len(rows), bool))


def read_texts(pairs: Sequence[Pair]) -> list[Simulated]:
    """The same on any text."""
    words = [[piece.decode().strip() for piece in pair.pieces] for pair in pairs]
    return [Simulated(10.0 * fires(pair.explanation, text), Status.OK) for pair, text in zip(pairs, words, strict=True)]


class ScriptedExplainer:
    """Answers each request by what stands in it."""

    def __init__(self, seed: int = 3) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, request: Request) -> str:
        """Sentences, or a better explanation."""
        question = request.messages[-1].content
        if found := re.search(r"believed to respond to (.*)\.\n", question):
            return self.sentences(found[1])
        return self.revise(question)

    def sentences(self, explanation: str) -> str:
        """Ten that hold what is named, in whatever surroundings, and ten that do not."""
        firing = [" ".join(text_of(self.rng, 10, holds=explanation)) for _ in range(10)]
        near = [" ".join(text_of(self.rng, 10, lacks=explanation)) for _ in range(10)]
        return "\n".join([f"YES: {text}" for text in firing] + [f"NO: {text}" for text in near])

    def revise(self, question: str) -> str:
        """The rule, or the pair of rules, that is wrong about the fewest words of the test; of equal ones the shortest."""
        if self.rng.random() < MADE_UP:
            return str(self.rng.choice(list(rules())))
        lines = [line.partition(": ")[2] or line.removeprefix("- ") for line in question.splitlines() if line.startswith("- ")]
        texts = [marked_words(line) for line in lines]
        named = {kind_of(part) for part in question.splitlines()[0].removeprefix("The phrase: ").split("; ")}
        known = [name for name in rules() if kind_of(name) in named]
        pairs = [f"{one}; {other}" for one in known for other in known if kind_of(one) < kind_of(other)]
        return min(known + pairs, key=lambda name: (sum(int((fires(name, words) != active).sum()) for words, active in texts), len(name)))


def marked_words(line: str) -> tuple[list[str], np.ndarray]:
    """The words of a text in a prompt, and which are marked."""
    found = [re.fullmatch(r"<<(.*)>>\(\d+\)", word) for word in line.split()]
    words = [match[1] if match else word for match, word in zip(found, line.split(), strict=True)]
    return words, np.array([match is not None for match in found])
