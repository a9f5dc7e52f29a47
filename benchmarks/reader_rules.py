"""Labels that need no reader: sentences that name a form of tokens or quote words, with the levels that follow from them.

They teach `reader` names that labelled sentences use rarely, such as "closing parentheses" or "modal verbs".
"""

import re
from typing import Any

import numpy as np

from neurogloss.simulators.reader.tokens import words

FORMS = {
    r",": "commas; the comma; commas in lists",
    r"\.": "periods; full stops; the full stop ending a sentence",
    r"[.,]": "full stops and commas",
    r";": "semicolons",
    r":": "colons; the colon",
    r"\(": "opening parentheses; an opening parenthesis; open brackets",
    r"\)": "closing parentheses; a closing parenthesis",
    r"[()]": "parentheses",
    r"-": "hyphens; the hyphen inside compound words",
    "[\u2013\u2014]": "dashes; the dash in ranges",
    r"/": "slashes; the slash",
    '["“”]': "quotation marks; opening quotation marks",
    r"[^\w\s]+": "punctuation marks; signs and punctuation",
    r"\d+": "digits; numbers written in digits; numerals; cardinal numbers",
    "and|or|but|nor": "conjunctions; coordinating conjunctions such as and, or, but",
    "of|in|on|at|to|for|with|by|from|into|over|under|between|through|after|before|during|against": "prepositions",
    "in|on|at|under|over|between|near|behind|inside|above|below": "prepositions of place",
    "after|before|during|since|until|in": "prepositions of time",
    "the|a|an": "articles; determiners",
    "a|an": "indefinite articles",
    "the": "definite articles; the definite article",
    "he|she|it|they|we|i|you|him|her|them|us|me": "personal pronouns; pronouns",
    "his|her|its|their|our|my|your": "possessive pronouns",
    "who|which|that|whom|whose": "relative pronouns such as who, which; relative pronouns",
    "this|that|these|those": "demonstratives such as this, that, these",
    "may|might|can|could|would|should|must|will|shall": "modal verbs such as can, may, must; modal verbs",
    "is|are|was|were|be|been|being|am": "forms of the verb to be; linking verbs",
    "has|have|had|having": "forms of the verb to have",
    "is|are|was|were|be|been|has|have|had|do|does|did": "auxiliary verbs",
    "not|no|never|none|nor|neither|without": "negations; negation words",
    "one|two|three|four|five|six|seven|eight|nine|ten|twelve|hundred|thousand|million": "number words; cardinal numbers",
    "first|second|third|fourth|last|next": "ordinal numbers; words of order",
    "many|most|some|few|several|all|much|more|less": "quantifiers; words of amount",
    "january|february|march|april|may|june|july|august|september|october|november|december": "months; names of months",
    "monday|tuesday|wednesday|thursday|friday|saturday|sunday": "days of the week",
    "however|therefore|moreover|thus|hence|furthermore|additionally": "linking adverbs such as however, therefore; discourse markers",
    "because|although|while|since|if|unless|whereas": "subordinating conjunctions such as because, although",
    "what|who|why|how|when|where|which": "question words",
    "than|as|like": "words of comparison such as than, as, like",
}
"""Patterns of whole tokens, and what they are called."""
WORDS = {
    r"\w{2,}ing": "verbs ending in -ing; words ending in -ing; present participles",
    r"\w{2,}ed": "verbs ending in -ed; verbs in the past tense; past participles",
    r"\w{3,}ly": "adverbs ending in -ly; adverbs",
    r"\w{2,}(?:tion|sion)s?": "nouns ending in -tion",
    r"\w{2,}ness": "nouns ending in -ness",
    r"\w{2,}ity": "nouns ending in -ity",
    r"\w{2,}isms?": "nouns ending in -ism",
    r"\w{2,}al": "adjectives ending in -al",
    r"\w{2,}ic": "adjectives ending in -ic",
    r"\w{2,}ive": "adjectives ending in -ive",
    r"\w{2,}(?:able|ible)": "adjectives ending in -able",
    r"1[5-9]\d\d|20\d\d": "years; years written in digits; dates in years",
    r"20\d\d": "years in the 2000s",
    r"1[89]\d\d": "years of the nineteenth and twentieth century",
    r"\d\d": "two-digit numbers",
}
"""Patterns of whole words, over all their pieces."""
PLACES = {
    "newlines; line breaks; newlines between paragraphs": lambda tokens, of, place: "\n" in tokens[place],
    "acronyms; words in capital letters": lambda tokens, of, place: len(w := of.texts[of.of[place]]) > 1 and w.isalpha() and w.isupper(),
    "pieces that continue a word; word endings; middle or final pieces of split words": lambda tokens, of, place: of.piece[place] > 0,
    "the second piece of a word": lambda tokens, of, place: of.piece[place] == 1,
    "the first piece of a split word; word-initial fragments": lambda tokens, of, place: of.piece[place] == 0 < of.sizes[of.of[place]] - 1,
    "the very first token of the text, whatever it is": lambda tokens, of, place: place == 0,
    "the word right after a comma": lambda tokens, of, place: place > 0 and tokens[place - 1].strip() == ",",
    "second parts of hyphenated compounds": lambda tokens, of, place: place > 0 and tokens[place - 1].strip() == "-",
    "the word after the article the": lambda tokens, of, place: place > 0 and tokens[place - 1].strip().lower() == "the",
}  # fmt: skip
"""What it is called, and where it holds."""
FIRST, LATER = 8, 5
"""Levels of what a sentence names first, and of the rest."""


def rule_rows(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """One made-up sentence for each labelled neuron, on the neuron's excerpts. Its name stays, so it falls into the same fold."""
    rng = np.random.default_rng(seed)
    return [rule_row(row, rng) for row in rows]


def rule_row(row: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Up to three parts that hold somewhere in the excerpts, joined as phrases or as a sentence."""
    excerpts = [excerpt["tokens"] for excerpt in row["excerpts"]]
    levels = [np.zeros(len(tokens), int) for tokens in excerpts]
    parts: list[str] = []
    wanted = int(rng.integers(1, 4))
    for _ in range(40):
        name, found = quoted(excerpts, rng) if rng.random() < 0.35 else form(excerpts, rng)
        if 0 < sum(map(np.sum, found)) < sum(map(len, excerpts)) // 4 and len(parts) < wanted:
            level = LATER if parts else FIRST
            levels = [np.maximum(old, level * new) for old, new in zip(levels, found, strict=True)]
            parts.append(name)
    joined = "; ".join(parts) if rng.random() < 0.5 else "mainly " + "; also ".join(parts)
    told = [{**excerpt, "levels": found.tolist()} for excerpt, found in zip(row["excerpts"], levels, strict=True)]
    return {"neuron": row["neuron"], "kind": "rule", "explanation": joined, "excerpts": told}


def form(excerpts: list[list[str]], rng: np.random.Generator) -> tuple[str, list[np.ndarray]]:
    """A form by one of its names, and where it holds."""
    kind = int(rng.integers(3))
    table: Any = (FORMS, WORDS, PLACES)[kind]
    key = list(table)[int(rng.integers(len(table)))]
    name = str(rng.choice((key if kind == 2 else table[key]).split("; ")))
    return name, [holds(kind, key, tokens) for tokens in excerpts]


def holds(kind: int, key: str, tokens: list[str]) -> np.ndarray:
    """1 where a form holds, else 0."""
    of = words(tokens)
    if kind == 2:
        return np.array([int(PLACES[key](tokens, of, place)) for place in range(len(tokens))])
    texts = [token.strip() for token in tokens] if kind == 0 else [of.texts[number] for number in of.of]
    alone = [kind == 1 or of.sizes[number] == 1 or not text.isalpha() for number, text in zip(of.of, texts, strict=True)]
    return np.array([int(one and re.fullmatch(key, text, re.IGNORECASE) is not None) for one, text in zip(alone, texts, strict=True)])


def quoted(excerpts: list[list[str]], rng: np.random.Generator) -> tuple[str, list[np.ndarray]]:
    """A word of the excerpts in quotes, and where it stands."""
    split = [words(tokens) for tokens in excerpts]
    texts = [of.texts[number] for of in split for number in of.of if len(of.texts[number]) > 1 and of.texts[number].isalpha()] or ["the"]
    word = str(rng.choice(texts))
    before = str(rng.choice(["the word ", "", "the verb or noun ", "words like "]))
    return f'{before}"{word}"', [np.array([int(of.texts[n].lower() == word.lower()) for n in of.of]) for of in split]
