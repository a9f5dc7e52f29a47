"""reader: sentences are taken apart, levels follow what they quote, nothing a sentence holds stops it."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import CODES, Status
from neurogloss.simulators.reader.network import load_reader
from neurogloss.simulators.reader.sentence import MAX_ITEMS, items
from neurogloss.simulators.reader.simulation import simulate
from neurogloss.simulators.reader.tokens import words

TEXT = "In| 18|42| the| Sav|age| metal|work|er| sold| iron|,| zinc| and| a| red| boat|.|\n|He| was| now| in| the| Saturday| market"
EXCERPT = TEXT.split("|")


def read(sentence: str, tokens: list[str] = EXCERPT) -> dict[str, float]:
    """The level of each token, by its text."""
    [levels] = load_reader().levels(sentence, [tokens])
    return dict(zip(tokens, levels.tolist(), strict=True))


def strongest(sentence: str, count: int = 1) -> set[str]:
    levels = read(sentence)
    return set(sorted(levels, key=lambda token: -levels[token])[:count])


@pytest.mark.parametrize(
    ("sentence", "token"),
    [
        ('the word "Saturday", also "boat" and nothing else', " Saturday"),
        ("pieces that end a word begun elsewhere (Sav+age, Tel+egraph)", "age"),
        ('mainly "now" after is/are/was ("is now called"); weakly "market"', " now"),
        ("the token at the very start of the text, whatever the word", "In"),
        ('newlines, and the word "References"', "\n"),
        ("the sign “,” between items of a list", ","),
    ],
)
def test_the_strongest_token_is_the_one_the_sentence_names(sentence: str, token: str) -> None:
    assert strongest(sentence) == {token}


def test_words_alike_in_meaning_stand_above_the_others() -> None:
    levels = read("metals and chemical elements such as copper, nickel and lead")
    assert min(levels[" iron"], levels[" zinc"]) > max(levels[" sold"], levels[" Saturday"], levels["He"])


def test_a_named_word_has_a_high_level_and_the_rest_stay_low() -> None:
    levels = read('the word "boat"')
    assert levels.pop(" boat") > 4
    assert max(levels.values()) < 1


def test_another_sentence_gives_other_levels() -> None:
    one, other = (np.array(list(read(text).values())) for text in ('the word "boat"', "days of the week such as Monday"))
    assert np.corrcoef(one, other)[0, 1] < 0.5


def test_the_weights_fit_the_features_they_are_fed() -> None:
    """Not a measure of how well it reads: it was fitted to these."""
    lines = gzip.decompress((Path(__file__).parents[2] / "benchmarks/labels/sentences.jsonl.gz").read_bytes()).splitlines()[::8]
    agreed = []
    for row in map(json.loads, lines):
        labels = np.concatenate([excerpt["levels"] for excerpt in row["excerpts"]])
        said = np.concatenate(load_reader().levels(row["explanation"], [excerpt["tokens"] for excerpt in row["excerpts"]]))
        agreed.append(np.corrcoef(said, labels)[0, 1] if labels.any() else 0)
    assert np.mean(agreed) > 0.5


def test_excerpts_of_any_length_are_read_and_do_not_influence_one_another() -> None:
    reader = load_reader()
    together = reader.levels('the word "boat"', [EXCERPT, [], EXCERPT[:5], [" boat"]])
    assert [len(levels) for levels in together] == [len(EXCERPT), 0, 5, 1]
    np.testing.assert_array_equal(together[2], reader.levels('the word "boat"', [EXCERPT[:5]])[0])


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200), st.lists(st.text(max_size=8), max_size=12))
def test_any_sentence_and_any_tokens_give_levels_from_0_to_10(sentence: str, tokens: list[str]) -> None:
    [levels] = load_reader().levels(sentence, [tokens])
    assert levels.shape == (len(tokens),)
    assert ((levels >= 0) & (levels <= 10)).all()


@pytest.mark.parametrize(
    "sentence", ["", " ", "…—!?", 'an open "quote', '"', "Wörter für Metalle, 金属の言葉", "boat", "boat " * 1000, '"boat", ' * 700]
)
def test_sentences_of_every_kind_are_read(sentence: str) -> None:
    assert len(items(sentence)) <= MAX_ITEMS
    assert all(0 <= level <= 10 for level in read(sentence).values())


def test_a_sentence_is_taken_apart_into_quotes_pieces_words_and_clauses() -> None:
    found = [(item.kind, item.text, item.before) for item in items('pieces after "Sav" (Sav+age); also "at the time"')]
    assert found == [
        ("quoted", "Sav", ""),
        ("quoted", "at the time", ""),
        ("member", "at", ""),
        ("member", "the", ""),
        ("member", "time", ""),
        ("word", "pieces", ""),
        ("piece", "Sav", ""),
        ("piece", "age", "Sav"),
        ("word", "Savage", ""),
        ("clause", "pieces after", ""),
        ("clause", "Sav+age", ""),
        ("list", "Sav", ""),
        ("list", "at the time", ""),
    ]


def test_tokens_are_put_together_into_words() -> None:
    found = words([" Sav", "age", ",", " 18", "42", "BC", " ", "x"])
    assert found.texts == ["Savage", ",", "1842", "BC", "", "x"]
    assert found.piece == [0, 1, 0, 0, 1, 0, 0, 0]


def test_simulations_are_those_of_the_reader_and_no_explanation_stays_none(recordings: Recordings) -> None:
    slots = np.array([0, 3])
    found = simulate(recordings, np.array([1, 0, 2]), slots, ['the word "w3"', None, "  "])
    tokens = [[recordings.text(int(token)) for token in row] for row in recordings.tokens(1, slots)]
    np.testing.assert_allclose(found.levels[0], load_reader().levels('the word "w3"', tokens), atol=0.01)
    assert [CODES[code] for code in found.status[:, 0]] == [Status.OK, Status.NO_EXPLANATION, Status.NO_EXPLANATION]
