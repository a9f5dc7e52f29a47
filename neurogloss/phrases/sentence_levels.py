"""Levels of a sentence that is read: what it says outright, token by token, and a little of what a model makes of its words.

The constants were chosen on sentences with a careful reader's levels; agreement hardly changes where they are halved or doubled.
"""

import numpy as np
from jaxtyping import Float32, Float64

from neurogloss.phrases.marks import Literal
from neurogloss.phrases.passages import Passage
from neurogloss.phrases.sentences import Group, Reading
from neurogloss.phrases.token_classes import Place
from neurogloss.phrases.wording import Relation

OTHERWISE = 0.3
"""What a target counts where it does not stand as its relation says."""
EXAMPLE = 0.9
"""What a text in parentheses counts."""
SINGLE = 0.3
"""What one word counts of a text of several."""
BESIDE, OWN, START = 0.1, 0.2, 0.8
"""What a kind of tokens counts: one that describes marks or a place in words, any other, the first token of a text.

A kind has many tokens, of which a reader expects few to be meant."""
FOLLOWER = 0.6
"""What any token counts where only its place is said."""
PROFILE = 0.2
"""What a profile counts beside what is said outright: on tokens that are words in themselves, for on others it is noise."""


def sentence_levels(reading: Reading, passage: Passage, profile: Float32[np.ndarray, " entry"]) -> Float64[np.ndarray, " token"]:
    """0..10 for each token. `profile` holds 0..10 for each distinct token: the weighted mean over the profiles of the sentence."""
    read = np.asarray(profile[passage.entries], np.float64)
    if not reading.outright:
        return read
    words = passage.known.content[passage.entries] & ~passage.continues
    return np.asarray(np.minimum(10, 10 * literal_levels(reading, passage) + PROFILE * read * words))


def literal_levels(reading: Reading, passage: Passage) -> Float64[np.ndarray, " token"]:
    """0..1 for each token: the highest over the groups of the sentence, nothing where it is excluded."""
    levels = np.zeros(len(passage))
    for group in reading.groups:
        np.maximum(levels, group.weight * group_levels(group, passage), out=levels)
    for group in reading.groups:
        levels[highest(group.excluded, passage) > 0] = 0
    return levels


def group_levels(group: Group, passage: Passage) -> Float64[np.ndarray, " token"]:
    """0..1 for each token by one group."""
    levels = np.maximum(highest(group.literals, passage), SINGLE * highest(group.words, passage))
    levels = np.maximum(levels, EXAMPLE * highest(group.examples, passage))
    descriptive = bool(group.literals or group.examples or not group.operands)
    for kind, described in group.classes:
        beside = described or (kind.place is not None and descriptive)
        share = START if kind.place is Place.TEXT_START else BESIDE if beside else OWN
        levels = np.maximum(levels, share * passage.of_class(kind))
    if group.relation is None or not (group.operands or group.operand_classes):
        return np.asarray(levels)
    related = passage.related(group.relation, group.operands)
    for kind in group.operand_classes:
        related = related | passage.shifted(passage.of_class(kind), 1 if group.relation is Relation.AFTER else -1)
    if not (group.literals or group.classes or group.examples):
        return np.asarray(FOLLOWER * related)
    return np.asarray(np.where(related, levels, OTHERWISE * levels))


def highest(literals: tuple[Literal, ...], passage: Passage) -> Float64[np.ndarray, " token"]:
    """How far each token is what any of some literals means."""
    levels = np.zeros(len(passage))
    for literal in literals:
        np.maximum(levels, passage.literal(literal), out=levels)
    return levels
