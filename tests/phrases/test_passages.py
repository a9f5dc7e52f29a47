"""Passages: where what a sentence says stands in excerpts, and how far each token is meant."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.measures.correlation import correlation
from neurogloss.phrases.passages import Passage, TokenTexts
from neurogloss.phrases.sentence_levels import literal_levels, sentence_levels
from neurogloss.phrases.sentences import read
from tests.phrases.reading import passage_of, said

LABELS = Path(__file__).parents[2] / "benchmarks/labels"


def test_a_quoted_word_is_met_in_other_cases_and_forms_but_counts_less() -> None:
    levels = said('the word "suffered"', [" suffered", " Suffered", " suffering", " surface"])
    assert levels[0] == 1 > levels[1] > levels[2] > levels[3] == 0


def test_a_word_inside_another_is_not_met() -> None:
    assert said('the word "of"', [" of", " off", " roof", "of"]) == [1, 0, 0, 1]


def test_a_word_of_several_tokens_is_met_on_each() -> None:
    assert said('the word "Savage"', [" Sav", "age", " age"]) == [1, 1, 0]
    assert said('the words "New York"', [" New", " York", " York"]) == [1, 1, 0.3]


def test_pieces_are_met_behind_their_beginning_only() -> None:
    assert said("pieces such as Sav+age", [" Sav", "age", " Man", "age"])[:2] == [0.1, 1]
    assert said("pieces such as Sav+age", [" Sav", "age", " Man", "age"])[3] == 0.1


def test_endings_and_beginnings_are_met_within_words() -> None:
    assert said("words ending in -ing", [" go", "ing", " going", " ingot"]) == [0, 1, 1, 0]
    assert said('the suffix "-tion"', [" na", "tion", " nation", " nations"])[1:] == [1, 1, 0]
    assert said('words beginning with "un"', [" unable", " until", " sun"]) == [1, 1, 0]


@pytest.mark.parametrize(
    ("sentence", "tokens", "highest"),
    [
        ('"of" after "number"', [" number", " of", " top", " of"], 1),
        ('the word following "number"', [" number", " of", " numbers", " of"], 1),
        ('"the" before "sea"', [" the", " sea", " the", " land"], 0),
        ('a digit before "%"', ["5", "%", "6", "x"], 0),
        ('the second piece of "Savage"', [" Sav", "age", " Man", "age"], 1),
        ('the first token of "Savage"', [" Man", "age", " Sav", "age"], 2),
        ("hyphens after digits", ["5", "-", "x", "-"], 1),
    ],
)
def test_the_token_that_stands_as_the_sentence_says_is_highest(sentence: str, tokens: list[str], highest: int) -> None:
    levels = said(sentence, tokens)
    assert levels[highest] == max(levels) > max(levels[:highest] + levels[highest + 1 :])


def test_nothing_stands_after_or_before_across_excerpts() -> None:
    assert said('the word following "number"', [" a", " number"], [" of", " b"]) == [0, 0, 0, 0]
    assert said("hyphens after digits", ["5"], ["-", "-"]) == said("hyphens after digits", ["x"], ["-", "-"])
    assert said('"number" before "of"', [" a", " number"], [" of", " b"]) == said('"number" before "of"', [" a", " number"], [" x", " b"])


def test_what_is_excluded_is_zero() -> None:
    assert said('the word "bank" but not "river bank"', [" river", " bank", " the", " bank"]) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("sentence", "tokens", "met"),
    [
        ("the first token of the text, whatever it is, in every excerpt of the corpus", ["a", " b", " c"], {0}),
        ("closing brackets, wherever they stand in the running text of the article", ["(", ")", "],", "a"], {1, 2}),
        ("prepositions, wherever they stand in the running text of the article", [" of", " ox", " In"], {0, 2}),
        ("newlines, wherever they stand in the running text of the article", ["\n", " ", "\n\n"], {0, 2}),
        ("sentence-initial words that open a new paragraph of the running text", ["A", " b", ".", " The", " Cat"], {0, 3}),
        ("pieces that continue a word: continuation fragments of names in the text", [" Sav", "age", " a", "."], {1}),
    ],
)
def test_kinds_of_tokens_are_decided_by_text_and_place(sentence: str, tokens: list[str], met: set[int]) -> None:
    levels = said(sentence, tokens)
    assert {place for place, level in enumerate(levels) if level == max(levels)} == met
    assert max(levels) > 0


def test_profiles_count_a_little_and_on_words_only_where_something_is_said_outright() -> None:
    passage = passage_of([" of", " iron", "-", " ir", "on"])
    profile = np.full(len(passage.known.texts), 10, np.float32)
    np.testing.assert_allclose(sentence_levels(read('the word "of" and metals'), passage, profile), [10, 2, 0, 0, 0])
    np.testing.assert_allclose(sentence_levels(read("metals"), passage, profile), 10)


@given(
    st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("\"'()+-|;,. abc\n\0")), max_size=60),
    st.lists(st.lists(st.text(alphabet=st.sampled_from("abcAB .,-\n\0\u0130\ufffd"), min_size=0, max_size=4), max_size=6), max_size=3),
)
def test_any_sentence_gives_any_tokens_a_level_of_zero_to_one(sentence: str, excerpts: list[list[str]]) -> None:
    levels = said(sentence, *excerpts)
    assert len(levels) == sum(map(len, excerpts))
    assert all(0 <= level <= 1 for level in levels)


def test_what_is_said_outright_agrees_with_a_careful_reader() -> None:
    with gzip.open(LABELS / "sentences.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = sorted({token for row in rows for excerpt in row["excerpts"] for token in excerpt["tokens"]})
    known, number = TokenTexts(texts), {text: place for place, text in enumerate(texts)}
    found = []
    for row in rows:
        passage = Passage(known, [np.array([number[token] for token in excerpt["tokens"]]) for excerpt in row["excerpts"]])
        wanted = np.array([level for excerpt in row["excerpts"] for level in excerpt["levels"]], np.float64)
        found.append(correlation(wanted, literal_levels(read(row["explanation"]), passage)) or 0.0)
    assert len(found) == 240
    assert np.mean(found) > 0.53
