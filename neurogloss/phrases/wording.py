"""Words that steer the reading of a sentence: how much a clause counts, what relates two parts, what says nothing of a topic."""

from enum import StrEnum


def words(text: str) -> frozenset[str]:
    """Words apart by blanks."""
    return frozenset(text.split())


class Relation(StrEnum):
    """How a target stands to the operands of its group."""

    AFTER = "after"
    BEFORE = "before"
    INSIDE = "inside"


RELATIONS = {
    **dict.fromkeys(words("after between following follow follows preceded behind continuing completing"), Relation.AFTER),
    **dict.fromkeys(words("before preceding precede precedes followed introducing"), Relation.BEFORE),
}
INSIDE = words("in inside of within from")
"""These relate only beside marks: "v" in "aardvark"."""
MAIN = words("mainly chiefly primarily mostly especially particularly strongest strongly always")
ALSO = words("also secondarily plus additionally otherwise")
WEAK = words("weakly sometimes occasionally rarely maybe perhaps possibly slightly")
WEIGHTS = {**dict.fromkeys(MAIN, 1.0), **dict.fromkeys(ALSO, 0.3), **dict.fromkeys(WEAK, 0.2)}
"""What a clause counts that begins with a word."""
EXCLUDING = words("not excluding except without never")
AFFIXES = {
    **{(word, joint): "-{}" for word in ("ending", "ends", "end") for joint in ("in", "with")},
    **{(word, "with"): "{}-" for word in ("beginning", "begins", "begin", "starting", "starts", "start")},
}
"""What makes endings or beginnings of the marks behind: words ending in "ly" or "ness"."""
LEADING = words("the letter letters a an and or either")
"""May stand between an affix's word and its mark."""
PASSED = words(
    "mainly chiefly also the word words piece pieces fragment fragments token tokens a an for and or of in such as other various similar "
    "related mixed miscellaneous any all especially often usually typically with like sense forms its form case terms term "
    "vocabulary nothing else only that which references mentions instances occurrences ending beginning starting"
)
"""At either end of a stretch of prose these say nothing of its topic."""
