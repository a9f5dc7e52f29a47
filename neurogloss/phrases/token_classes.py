"""Kinds of tokens that a sentence can name: digits, closing brackets, prepositions, pieces that continue a word.

A kind is found by its noun in the sentence and decided by the text of a token, or by its place where `Place` says so.
"""

import re
from enum import StrEnum
from typing import NamedTuple


class Place(StrEnum):
    """Kinds that depend on the neighbours of a token."""

    TEXT_START = "first of its text"
    SENTENCE_START = "capitalized first word of a sentence"
    WORD_START = "begins a word that the next token continues"
    CONTINUATION = "continues the word of the token before"
    PIECE = "a part of a word"
    ANY = "any token"


class TokenClass(NamedTuple):
    """Tokens of one kind: by their place, or those whose text, without the blank around it, matches in full."""

    place: Place | None = None
    pattern: re.Pattern[str] | None = None


PREPOSITIONS = (
    "about above across after against along among around as at before behind below beneath beside between beyond by despite down during "
    "except for from in inside into like near of off on onto out outside over past per since through throughout to toward towards under "
    "until up upon via with within without"
)
ARTICLES = "a an the"
POSSESSIVES = "my your his her its our their whose"
PERSONAL = "i you he she it we they me him her us them"
RELATIVES = "who whom whose which that"
DEMONSTRATIVES = "this that these those"
CONJUNCTIONS = "and or but nor so yet because although while whereas if unless since though"
MODALS = "can could may might must shall should will would cannot"
BE = "be is are was were been being am"
AUXILIARIES = f"{BE} {MODALS} have has had do does did"
QUANTIFIERS = "all any both each every few many more most much no none only other several some such"
FUNCTION = " ".join([PREPOSITIONS, ARTICLES, POSSESSIVES, PERSONAL, RELATIVES, DEMONSTRATIVES, CONJUNCTIONS, AUXILIARIES, QUANTIFIERS])
FUNCTION_WORDS = frozenset(f"{FUNCTION} not than then there also when where how what".split())
NUMBERS = "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand million billion"
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth last"
MONTHS = "january february march april may june july august september october november december"
DAYS = "monday tuesday wednesday thursday friday saturday sunday"

PART = r"(?:pieces?|fragments?|parts?|syllables?|halves|half)"
LATER = r"(?:continuation|continuing|completing|mid-?word|word-?middle|middle|inner|internal|later|second|third|final|last|end|ending)"
PLACES = [
    (
        r"(?:very )?(?:first|opening|initial) tokens?|(?:start|beginning) of (?:the|a|each)(?: \w+)? (?:text|window|excerpt|passage)",
        Place.TEXT_START,
    ),
    (r"(?:nearly |almost )?(?:every|all|any) tokens?", Place.ANY),
    (r"sentence[- ](?:initial|opening|start\w*|beginning)|(?:start|beginning) of (?:a |the )?sentences?", Place.SENTENCE_START),
    (
        rf"(?:word|name)[- ](?:initial|starts?|beginnings?)|(?:starts?|beginnings?) of (?:a |the )?(?:words?|names?)|prefix(?:es|-like)?|"
        rf"(?:first|initial|starting|beginning) (?:word )?{PART}",
        Place.WORD_START,
    ),
    (
        rf"{LATER}(?: (?:or|and) {LATER})?(?: (?:word|name))?[- ]?{PART}|"
        rf"{PART}(?: \w+){{0,2}} (?:continu\w+|complet\w+|ending|inside|after)|"
        rf"completions?|word-?internal|word-?continuation|mid-?word|suffix(?:es|-like)?",
        Place.CONTINUATION,
    ),
    (r"(?:word )?(?:pieces?|fragments?|syllables?)", Place.PIECE),
]
WORDS = [
    (r"prepositions?", PREPOSITIONS),
    (r"articles|(?:definite|indefinite) article|article(?= \")", ARTICLES),
    (r"possessives?(?: pronouns?| determiners?| adjectives?)?", POSSESSIVES),
    (r"relative pronouns?|relativi[sz]ers?", RELATIVES),
    (r"(?:third-person |personal |subject )?pronouns?", f"{PERSONAL} {RELATIVES} {POSSESSIVES}"),
    (r"demonstratives?", DEMONSTRATIVES),
    (r"determiners?", f"{ARTICLES} {POSSESSIVES} {DEMONSTRATIVES}"),
    (r"conjunctions?|connectives?|connectors?", CONJUNCTIONS),
    (r"modals?(?: verbs?| auxiliar\w+)?", MODALS),
    (r"auxiliar(?:y|ies)(?: verbs?)?", AUXILIARIES),
    (r"copulas?|copular verbs?", BE),
    (r"(?:function|grammatical) words?", " ".join(sorted(FUNCTION_WORDS))),
    (r"quantifiers?", QUANTIFIERS),
    (r"number words?|spelled-out numbers?", NUMBERS),
    (r"ordinals?(?: numbers?)?", ORDINALS),
    (r"months?(?: names?)?", MONTHS),
    (r"days? of the week|weekdays?", DAYS),
]
BRACKETS = r"(?:round |square |curly )?(?:parenthes[ie]s|brackets?)"
NOT_SPACE = r"(?! (?:organi|research|mission|flight|probe|program|agenc|travel|explor|craft|station|race|shuttle|opera))"
TEXTS = [
    (r"newlines?|line[- ]breaks?|blank lines?|paragraph breaks?", r"\s*\n\s*"),
    (rf"(?:blanks?|spaces?){NOT_SPACE}", r"[ \xa0]+"),
    (r"hyphens?", r"[-\u2010\u2013]"),
    (r"dash(?:es)?", r"[\u2013—-]+"),
    (r"(?:serial |list )?commas?", r"\W*,\W*"),
    (r"full stops?|periods?(?= (?:at|ending|that|after|before|in)|,|\.|$)", r"\W*\.\W*"),
    (r"semicolons?", r"\W*;\W*"),
    (r"colons?", r"\W*:\W*"),
    (r"slash(?:es)?", r"\W*/\W*"),
    (rf"(?:opening|left|open) {BRACKETS}", r"\W*[(\[{]\W*"),
    (rf"(?:closing|right|close) {BRACKETS}", r"\W*[)\]}]\W*"),
    (BRACKETS, r"\W*[()\[\]{}]\W*"),
    (r"(?:(?:opening|closing|double|single) )?(?:quotation|quote) marks?|quotes", r"\W*[\"“”\u2018\u2019'«»]+\W*"),
    (r"apostrophes?", r"['\u2019]\w*"),
    (r"question marks?", r"\W*\?\W*"),
    (r"exclamation (?:marks?|points?)", r"\W*!\W*"),
    (r"dollar signs?", r"\W*\$\W*"),
    (r"percent signs?", r"\W*%\W*"),
    (r"equals? signs?", r"\W*=\W*"),
    (r"punctuation(?: marks?)?|symbols?", r"[^\w\s]+"),
    (r"years?(?= (?:in|after|before|such|like|from|of|between|written)|,|;|\)|$)|dates?(?= )", r"\d+"),
    (r"digits?|numerals?|numbers?(?! of)|ISBNs?(?: numbers)?", r"\d+"),
    (r"(?:single |lone |isolated )?capital letters?|initials", r"[A-Z]"),
    (r"single[- ]letters?(?: \w+)?|letters?(?= (?:in|after|of the alphabet))", r"[A-Za-z]"),
    (r"all[- ]caps|uppercase words?|acronyms?", r"[A-Z]{2,}"),
    (r"capitali[sz]ed", r"[A-Z].*"),
    (r"accented|Greek letters?|Cyrillic|non-Latin|non-ASCII|diacritics?", r".*[^\W\d_a-zA-Z].*"),
]


def any_of(words: str) -> str:
    """A pattern for words apart by blanks, in any case."""
    return rf"(?i:{'|'.join(sorted(set(words.split())))})"


NOUNS = [
    *((noun, TokenClass(place=place)) for noun, place in PLACES),
    *((noun, TokenClass(pattern=re.compile(any_of(words)))) for noun, words in WORDS),
    *((noun, TokenClass(pattern=re.compile(text, re.DOTALL))) for noun, text in TEXTS),
]
COMPILED = [(re.compile(rf"(?<!\w)(?:{noun})(?!\w)", re.IGNORECASE), kind) for noun, kind in NOUNS]


def token_classes(prose: str) -> list[tuple[TokenClass, bool]]:
    """The kinds that a stretch of prose names, and whether each only says what the mark behind it is: `digit "`.

    Of nouns that overlap the one earlier in the table counts.

    >>> [(kind.place, described) for kind, described in token_classes('second pieces of words, the digit "')][0]
    (<Place.CONTINUATION: 'continues the word of the token before'>, False)
    """
    found: list[tuple[TokenClass, bool]] = []
    for noun, kind in COMPILED:
        places = [match.end() for match in noun.finditer(prose)]
        if places:
            found.append((kind, all(prose[end:].lstrip(" \0").startswith('"') for end in places)))
            prose = noun.sub(lambda match: "\0" * len(match[0]), prose)
    return found
