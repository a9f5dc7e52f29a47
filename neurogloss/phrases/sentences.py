"""What a sentence says outright: its marked words and pieces, what they stand after, before or in, and how much each counts.

A sentence is scanned into marks, words and punctuation, cut into clauses at words such as "also", and each clause into groups: some
targets, a relation and its operands. Nothing here asks a model.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from neurogloss.phrases.marks import Item, Literal, literals, scan
from neurogloss.phrases.quoted import named
from neurogloss.phrases.token_classes import FUNCTION_WORDS, Place, TokenClass, token_classes
from neurogloss.phrases.wording import AFFIXES, EXCLUDING, INSIDE, LEADING, PASSED, RELATIONS, WEIGHTS, Relation

PHRASE_WORDS, PHRASE_LETTERS = 8, 80
"""A longer phrase is read as a sentence."""
PROFILE_WORDS, LISTED_WORDS, PROFILES = 6, 4, 8
"""Of a stretch of prose, of the words in quotes of a group, profiles of a sentence: more are left out, for each costs a forward pass."""
WORD_START = TokenClass(place=Place.WORD_START)


class Group(NamedTuple):
    """Targets with what they share."""

    weight: float
    literals: tuple[Literal, ...]
    """The targets."""
    words: tuple[Literal, ...]
    """The words of targets of several words, function words left out."""
    examples: tuple[Literal, ...]
    """Marked in parentheses."""
    excluded: tuple[Literal, ...]
    classes: tuple[tuple[TokenClass, bool], ...]
    """Kinds of tokens, and whether each only describes a target."""
    relation: Relation | None
    operands: tuple[str, ...]
    operand_classes: tuple[TokenClass, ...]


class Profile(NamedTuple):
    """A phrase that a model turns into levels."""

    weight: float
    phrase: str


class Reading(NamedTuple):
    """A sentence, read."""

    groups: tuple[Group, ...]
    profiles: tuple[Profile, ...]

    @property
    def outright(self) -> bool:
        """Whether it says of any token what it is."""
        return any(group.literals or group.examples or group.classes or group.operands for group in self.groups)


def clauses(items: list[Item]) -> list[tuple[float, list[Item]]]:
    """The sentence cut at semicolons and at words such as "mainly" and "also", each part with its weight."""
    found: list[tuple[float, list[Item]]] = []
    weight, part = 1.0, list[Item]()
    before: Item | None = None
    for item in items:
        begun = before is None or before.text in (*",;:(", "and", "but", "sometimes", "often")
        cut = weight_of(item, begun) if not item.nested else None
        if cut is None:
            part.append(item)
        else:
            if part:
                found.append((weight, part))
            weight, part = cut, []
        before = item
    return [*found, (weight, part)] if part else found


def weight_of(item: Item, begun: bool) -> float | None:
    """The weight of the clause that an item opens, None where it opens none."""
    if item.kind == "punctuation" and item.text == ";":
        return 1.0
    return WEIGHTS.get(item.text.lower()) if item.kind == "word" and begun else None


@dataclass
class Draft:
    """A group while its items are sorted: targets up to a relation, then operands up to punctuation or a parenthesis."""

    targets: list[Item] = field(default_factory=list)
    examples: list[Item] = field(default_factory=list)
    excluded: list[Item] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """Words and punctuation outside parentheses, with a quotation mark for a mark."""
    relation: Relation | None = None
    operands: list[Item] = field(default_factory=list)
    operand_words: list[str] = field(default_factory=list)
    closed: bool = False
    affix: str = "{}"

    def add(self, item: Item, before: Item | None) -> None:
        """Sort an item that stands before any relation."""
        if item.kind == "word":
            said = (before.text.lower() if before else "", item.text.lower())
            self.affix = AFFIXES.get(said, self.affix if said[1] in LEADING else "{}")
        if item.marked:
            if item.text.isalpha():
                item = Item("quote", self.affix.format(item.text), item.nested)
            negated = any(word.lower() in EXCLUDING for word in self.words[-2:])
            (self.excluded if negated else self.targets).append(item)
        self.words.append('"' if item.marked else item.text)

    def add_operand(self, item: Item, after: list[Item]) -> None:
        """Sort an item behind the relation."""
        if item.marked:
            self.operands.append(item)
        elif item.kind == "word":
            self.operand_words.append(item.text)
        else:
            self.closed = not joins(item, after, bool(self.operands))


def drafts(items: list[Item]) -> list[Draft]:
    """Sort the items of a clause into groups; what is said behind the operands of one begins the next."""
    found = [Draft()]
    for place, item in enumerate(items):
        draft = found[-1]
        if item.nested:
            draft.examples.append(item)
            draft.closed = draft.relation is not None
        elif relation := relation_of(items, place):
            draft.relation = draft.relation or relation
        elif draft.relation and not draft.closed:
            draft.add_operand(item, items[place + 1 : place + 3])
        else:
            if draft.closed and item.kind != "punctuation" and item.text not in ("and", "or"):
                draft = Draft()
                found.append(draft)
            draft.add(item, items[place - 1] if place else None)
    return found


def relation_of(items: list[Item], place: int) -> Relation | None:
    """The relation that an item opens. "in" is one only before a mark, or behind one and before a name or a word with the mark in it."""
    item = items[place]
    word = item.text.lower()
    if item.kind != "word":
        return None
    if word in RELATIONS:
        return RELATIONS[word]
    if word not in INSIDE or place + 1 == len(items):
        return None
    last, then = items[place - 1] if place else item, items[place + 1]
    if (last.text.lower(), word) in AFFIXES:
        return None
    named = last.marked and then.kind == "word" and (not then.text.islower() or last.text.lower() in then.text.lower())
    return Relation.INSIDE if then.marked or named else None


def joins(mark: Item, after: list[Item], any_before: bool) -> bool:
    """Whether a punctuation mark joins operands."""
    if mark.text == "/":
        return True
    if mark.text != "," or not after:
        return False
    listed = len(after) > 1 and after[0].text in ("or", "and") and after[1].marked
    return (after[0].marked and any_before) or listed


def group(weight: float, draft: Draft) -> Group:
    """The group of a draft."""
    classes = tuple(token_classes(" ".join(draft.words)))
    if draft.relation is Relation.INSIDE and draft.operands:
        classes = tuple((WORD_START if kind.place is Place.TEXT_START else kind, described) for kind, described in classes)
    first = any(kind.place is Place.WORD_START for kind, _ in classes)
    cut = [(item, item.text.split()) for item in draft.targets]
    single = {words[0].lower() for _, words in cut if len(words) == 1}
    content = [word for _, words in cut if len(words) > 1 for word in words if word.lower() not in FUNCTION_WORDS]
    examples = [item for item in draft.examples if item.marked or (item.kind == "word" and "-" in item.text)]
    return Group(
        weight,
        all_literals(draft.targets, first),
        tuple(Literal(word, 0, len(word)) for word in content),
        all_literals([item for item in examples if not single & set(item.text.lower().split())], first),
        all_literals(draft.excluded, first),
        classes,
        draft.relation,
        tuple(operands(draft)),
        tuple(kind for kind, _ in token_classes(" ".join(draft.operand_words))) if draft.relation is not Relation.INSIDE else (),
    )


def all_literals(items: list[Item], first: bool) -> tuple[Literal, ...]:
    """How some marks can be met."""
    return tuple(literal for item in items for literal in literals(item.text, item.kind == "quote", first))


def operands(draft: Draft) -> list[str]:
    """The texts that a target stands after, before or in: marks, words with a slash between, the one word behind "in"."""
    texts = [item.text for item in draft.operands]
    if draft.relation is Relation.INSIDE:
        texts = texts or draft.operand_words[:1]
    else:
        texts += [word for word in draft.operand_words if "/" in word]
        texts = [part for text in texts for part in (text.split("/") if re.fullmatch(r"\w+(?:/\w+)+", text) else [text])]
    return [re.sub(r"(?<=\w)[+|](?=\w)", "", text.strip("-+~…") or text) for text in texts]


def profile(draft: Draft) -> list[str]:
    """What of a draft a model is to read: its quoted words as a list, else its prose."""
    quoted = [item.text.strip() for item in [*draft.targets, *draft.examples] if item.kind == "quote"]
    words = [text for text in quoted if re.fullmatch(r"[^\W\d_]{3,}(?: [^\W\d_]+)?", text) and text.lower() not in FUNCTION_WORDS]
    if words:
        return [", ".join(words[:LISTED_WORDS])]
    if draft.targets:
        return []
    runs = [run.split() for run in re.split(r"[^\w\s'/-]", " ".join(draft.words))]
    return [phrase for phrase in map(topic, runs) if phrase]


def topic(words: list[str]) -> str:
    """A run of words without those at its ends that say nothing; empty where no word of four letters is left."""
    while words and words[0].lower() in PASSED:
        words = words[1:]
    while words and words[-1].lower() in PASSED:
        words = words[:-1]
    return " ".join(words[:PROFILE_WORDS])[:PHRASE_LETTERS] if any(len(word) > 3 for word in words) else ""


def read(sentence: str) -> Reading:
    """Take a sentence apart. Where nothing in it can be read its beginning is the one profile."""
    groups: list[Group] = []
    profiles: list[Profile] = []
    for weight, items in clauses(scan(sentence)):
        for draft in drafts(items):
            groups.append(group(weight, draft))
            profiles += [Profile(weight, phrase) for phrase in profile(draft)]
    reading = Reading(tuple(groups), tuple(profiles[:PROFILES]))
    return reading if reading.outright or profiles else Reading((), (Profile(1.0, sentence[:PHRASE_LETTERS]),))


def plain(phrase: str) -> bool:
    """Whether a phrase is no sentence: it names tokens in the form that `naming` writes, lists words, or is short, without marks.

    >>> [plain(text) for text in ("metals", 'the words "of", "in"', "perhaps, dating", '"of" after a noun', "mainly metals")]
    [True, True, True, False, False]
    """
    if named(phrase) is not None:
        return True
    if len(phrase) > PHRASE_LETTERS or len(phrase.split()) > PHRASE_WORDS:
        return False
    items = scan(phrase)
    if any(item.nested or item.kind in ("quote", "pieces") for item in items):
        return False
    listed = re.fullmatch(r"[^\s,]+(?:, [^\s,]+)*", phrase) is not None
    whole = sum(len(part) for _, part in clauses(items)) == len(items)
    return listed or (whole and not any(item.text.lower() in RELATIONS for item in items))
