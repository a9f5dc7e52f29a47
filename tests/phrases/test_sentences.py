"""Sentences: what is said outright is found whatever the wording, how much it counts, and what a model is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.phrases.bank import read_bank
from neurogloss.phrases.marks import Literal, literals, scan
from neurogloss.phrases.quoted import named, naming, phrases
from neurogloss.phrases.sentences import PROFILES, plain, read
from neurogloss.phrases.token_classes import Place, token_classes
from neurogloss.phrases.wording import Relation


def targets(sentence: str) -> list[str]:
    return [literal.text[literal.start : literal.end] for group in read(sentence).groups for literal in group.literals]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ('instances of the words "a", "b", and "c"', ["a", "b", "c"]),
        ('the character "<"', ["<"]),
        ("tokens 'alpha' and \u2018beta\u2019", ["alpha", "beta"]),
        ("die W\u00f6rter \u201eund\u201c, \u00aboder\u00bb", ["und", "oder"]),
        ("the word \u201ccolour\u201d in the context of painting", ["colour"]),
        ('the sign ";" and the sign "\\""', [";", '"']),
        ('a quotation mark """', ['"']),
        ('the newline "\\n"', ["\n"]),
        ('the word "dog', ["dog"]),
        ('the contractions "don\'t" or "it\'s"', ["don't", "it's"]),
        ("pieces such as Sav+age", ["age"]),
        ('words such as "Val|bona"', ["bona"]),
        ('the article "a/an"', ["a", "an"]),
        ('the verb "suffer(ed)"', ["suffer"]),
    ],
)
def test_marked_words_are_targets_in_any_wording(sentence: str, expected: list[str]) -> None:
    assert targets(sentence) == expected


def test_a_quote_of_many_words_that_does_not_close_is_prose() -> None:
    assert not [item for item in scan('he said "that they were all going home') if item.marked]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-ing", [Literal("ing", 0, 3, suffix=True)]),
        ("\u2026tion", [Literal("tion", 0, 4, suffix=True)]),
        ("un-", [Literal("un", 0, 2, prefix=True)]),
        ("Pash-t-un", [Literal("Pashtun", 4, 7, split=True), Literal("Pash-t-un", 0, 9)]),
    ],
)
def test_endings_beginnings_and_pieces_are_what_is_meant(text: str, expected: list[Literal]) -> None:
    assert literals(text) == expected


def test_pieces_at_the_start_of_a_word_are_the_first_ones() -> None:
    assert targets('word-initial pieces ("P+its")') == []
    [group] = read('word-initial pieces ("P+its")').groups
    assert [literal.text[literal.start : literal.end] for literal in group.examples] == ["P"]


def test_clauses_count_by_the_word_they_begin_with() -> None:
    reading = read('mainly "of" after a noun, also "in"; sometimes "at", and especially "by"')
    assert [(group.literals[0].text, group.weight) for group in reading.groups] == [("of", 1.0), ("in", 0.3), ("at", 0.2), ("by", 1.0)]


@pytest.mark.parametrize(
    ("sentence", "relation", "operands"),
    [
        ('the piece "age" after "Sav" or "Man"', Relation.AFTER, ("Sav", "Man")),
        ('the word following "number"', Relation.AFTER, ("number",)),
        ('a digit before "%"', Relation.BEFORE, ("%",)),
        ('"of" preceded by "number"', Relation.AFTER, ("number",)),
        ('"v" in "aardvark"', Relation.INSIDE, ("aardvark",)),
        ('"esium" in caesium', Relation.INSIDE, ("caesium",)),
        ('"now" after is/are/was', Relation.AFTER, ("is", "are", "was")),
        ('"of" in lists', None, ()),
    ],
)
def test_what_a_target_stands_after_before_or_in_is_no_target(sentence: str, relation: Relation | None, operands: tuple[str, ...]) -> None:
    [group] = read(sentence).groups
    assert (group.relation, group.operands) == (relation, operands)
    assert not {literal.text for literal in group.literals} & set(operands)


def test_what_is_excluded_is_no_target() -> None:
    [group] = read('the word "bank" but not "river bank"').groups
    assert [literal.text for literal in group.literals] == ["bank"]
    assert [literal.text for literal in group.excluded] == ["river bank"]


def test_nothing_else_is_no_topic() -> None:
    assert read('the word "of" and nothing else').profiles == ()


def test_a_model_reads_the_words_in_quotes_or_else_the_prose_without_its_stop_words() -> None:
    assert [profile.phrase for profile in read('reporting verbs: "declares", "stated"; mainly words that name metals').profiles] == [
        "declares, stated",
        "name metals",
    ]


def test_kinds_of_tokens_are_found_by_their_nouns_and_the_more_special_one_counts() -> None:
    kinds = token_classes("closing brackets and digits, pieces continuing a word")
    assert {kind.place for kind, _ in kinds if kind.place} == {Place.CONTINUATION}
    assert [kind.pattern.fullmatch(")") is not None for kind, _ in kinds if kind.pattern] == [True, False]
    assert not token_classes("space missions and nothing of the sort")


def test_a_kind_before_a_mark_only_describes_it() -> None:
    [(_, described)] = token_classes('the digit "')
    assert described


def test_every_phrase_of_the_bank_is_read_as_it_is() -> None:
    assert all(phrases(phrase) == [phrase] and plain(phrase) for phrase in read_bank("english"))


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.sampled_from(["words", "sign", "tokens"]))
def test_named_tokens_are_no_sentence(texts: list[str], kind: str) -> None:
    assert plain(naming(kind, texts))


@pytest.mark.parametrize(
    ("phrase", "texts"),
    [
        ('instances of the words "a", "b", and "c"', ["a", "b", "c"]),
        ('the character "<"', ["<"]),
        ('the word "of" and nothing else', ["of"]),
        ('All occurrences of the token "x" or "y"', ["x", "y"]),
        ('uses of the number "7" alone', ["7"]),
        ('the symbols "{", "}"', ["{", "}"]),
        ('the letter "\\"" only', ['"']),
        ('the word "of" before a noun', None),
        ("the word of", None),
    ],
)
def test_quoted_words_are_named_in_any_usual_form(phrase: str, texts: list[str] | None) -> None:
    assert named(phrase) == texts


@pytest.mark.parametrize("phrase", ["set, sets", "fragments of medical terms", "inclusiveness", "!!!", "\u8a00\u8449"])
def test_short_phrases_without_marks_are_no_sentences(phrase: str) -> None:
    assert plain(phrase)
    assert phrases(f"{phrase}.") == [phrase]


def test_a_full_stop_alone_stays() -> None:
    assert phrases(".") == ["."]


def test_a_long_sentence_costs_no_more_than_a_short_one() -> None:
    reading = read("; ".join(f'something about topic {number} and "word{number}x"' for number in range(150)))
    assert len(reading.profiles) <= PROFILES
    assert all(len(profile.phrase) <= 80 for profile in reading.profiles)


@given(st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("\"'()+-|;,. \\abc\n\u201c\u201d")), max_size=80))
def test_any_sentence_says_something_or_has_a_profile(text: str) -> None:
    reading = read(text)
    assert reading.outright or reading.profiles
