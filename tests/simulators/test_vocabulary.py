"""vocabulary: levels follow gains, names are read literally, tokenizers may differ."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import CODES, Status
from neurogloss.phrases.quoted import named, naming, phrases, variant
from neurogloss.simulators.vocabulary import simulate
from tests.simulators.fake import vocabulary


def level_of(recordings: Recordings, found: np.ndarray, text: str) -> float:
    tokens = np.unique(recordings.corpus)
    return float(found[[recordings.text(int(t)) for t in tokens].index(text)])


def test_the_most_raised_token_is_level_ten_and_what_stays_below_the_threshold_is_zero(recordings: Recordings) -> None:
    [found] = vocabulary(recordings, {"metals": {" w3": 4.5, " w5": 2.5, " w7": 0.4}}).levels(["metals"])
    assert level_of(recordings, found, " w3") == 10
    assert level_of(recordings, found, " w5") == pytest.approx(5)
    assert level_of(recordings, found, " w7") == 0
    assert (found >= 0).all()


def test_a_phrase_that_raises_nothing_has_level_zero_everywhere(recordings: Recordings) -> None:
    assert not vocabulary(recordings, {}).levels(["nothing in particular"]).any()


def test_a_token_shares_the_gain_of_its_variants(recordings: Recordings) -> None:
    pieces = [*recordings.vocabulary, b"W3", b"w3"]
    [found] = vocabulary(recordings, {"metals": {"W3": 8.5, " w5": 4.5}}, pieces).levels(["metals"])
    # Half of 8.5 through the variant against a full 4.5: (4.25 - 0.5) / (4.5 - 0.5).
    assert level_of(recordings, found, " w3") == pytest.approx(10 * 3.75 / 4.0, rel=1e-3)


def test_named_tokens_are_read_literally_and_no_model_is_asked(recordings: Recordings) -> None:
    [found] = vocabulary(recordings, {}).levels(['the words "w3", "W5"'])
    tokens = np.unique(recordings.corpus)
    assert {recordings.text(int(t)) for t in tokens[found == 10]} == {" w3", " w5"}
    assert set(np.unique(found)) == {0.0, 10.0}


def test_another_tokenizer_reads_a_strange_token_by_its_first_piece(recordings: Recordings) -> None:
    pieces = [b" w", b"1", b"2"]
    [found] = vocabulary(recordings, {"metals": {" w": 3.0}}, pieces).levels(["metals"])
    assert (found == 10).all()


def test_a_simulation_is_the_mean_over_phrases_at_each_token(recordings: Recordings) -> None:
    reader = vocabulary(recordings, {"metals": {" w3": 4.5}, "gases": {" w3": 2.5, " w5": 4.5}})
    slots = np.array([0, 3])
    found = simulate(reader, np.array([0, 1]), slots, ["metals; gases", None])
    tokens = recordings.tokens(0, slots)
    expected = np.select([tokens == 3, tokens == 5], [7.5, 5.0], 0.0)
    np.testing.assert_allclose(found.levels[0], expected, atol=0.01)
    assert np.isnan(found.levels[1]).all()
    assert [CODES[code] for code in found.status[:, 0]] == [Status.OK, Status.NO_EXPLANATION]


def test_a_full_stop_at_the_end_changes_nothing(recordings: Recordings) -> None:
    reader = vocabulary(recordings, {"metals": {" w3": 4.5}})
    slots = np.array([0, 3])
    found = simulate(reader, np.array([0, 0]), slots, ["metals", "metals."])
    np.testing.assert_array_equal(found.levels[0], found.levels[1])
    assert found.levels[0].any()


def test_a_sentence_is_read_in_its_context_and_phrases_beside_it_as_ever(recordings: Recordings) -> None:
    reader = vocabulary(recordings, {"metals": {" w3": 4.5}})
    slots = np.arange(len(recordings.slots))
    texts = recordings.tokens(0, slots)
    first, then = (int(token) for token in texts[0, :2])
    sentence = f'mainly "{recordings.text(then).strip()}" after "{recordings.text(first).strip()}".'
    found = simulate(reader, np.array([0, 0, 1]), slots, [sentence, "metals", None])
    expected = np.where(texts == then, 3, 0)
    expected[:, 1:][(texts[:, 1:] == then) & (texts[:, :-1] == first)] = 10
    np.testing.assert_allclose(found.levels[0], expected, atol=0.01)
    np.testing.assert_array_equal(found.levels[1], simulate(reader, np.array([0]), slots, ["metals"]).levels[0])
    assert [CODES[code] for code in found.status[:, 0]] == [Status.OK, Status.OK, Status.NO_EXPLANATION]


def test_prose_that_says_nothing_outright_is_the_mean_over_its_phrases(recordings: Recordings) -> None:
    reader = vocabulary(recordings, {"metals of all sorts": {" w3": 4.5}, "gases": {" w3": 2.5, " w5": 4.5}})
    slots = np.array([0, 3])
    found = simulate(reader, np.array([0]), slots, ["mainly metals of all sorts; mainly gases"])
    tokens = recordings.tokens(0, slots)
    np.testing.assert_allclose(found.levels[0], np.select([tokens == 3, tokens == 5], [7.5, 5.0], 0.0), atol=0.01)


def test_sentences_that_fill_several_blocks_are_read_like_single_ones(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = vocabulary(recordings, {"iron, gold": {" w3": 4.5}, "about names": {" w5": 2.5}})
    slots, rows = np.array([0, 2]), np.array([0, 1, 2, 3, 4])
    sentences = [
        'the words "iron", "gold" in lists',
        "mainly about names",
        'the word "w3" and nothing else',
        "mainly about names",
        'not "w3"',
    ]
    single = [simulate(reader, rows[place : place + 1], slots, [text]).levels[0] for place, text in enumerate(sentences)]
    monkeypatch.setattr("neurogloss.simulators.vocabulary.BLOCK", 2)
    np.testing.assert_array_equal(simulate(reader, rows, slots, sentences).levels, np.stack(single))


@pytest.mark.parametrize(
    "text",
    [
        "\u8a00\u8449\u306e\u610f\u5473",
        "Wort",
        '"',
        "?! .. --",
        "x" * 5000,
        "word " * 1000,
        '"a" ' * 1250,
        "(" * 5000,
        "caf\u00e9 \u00ab de",
    ],
)
def test_any_sentence_is_simulated(recordings: Recordings, text: str) -> None:
    found = simulate(vocabulary(recordings, {}), np.array([0]), np.array([0]), [text])
    assert CODES[found.status[0, 0]] == Status.OK
    assert ((found.levels >= 0) & (found.levels <= 10)).all()


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.sampled_from(["words", "sign", "tokens"]))
def test_any_text_can_be_named_and_read_back(texts: list[str], kind: str) -> None:
    assert named(naming(kind, texts)) == texts


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_names_survive_being_joined_into_an_explanation(texts: list[str]) -> None:
    parts = [naming("word", [text]) for text in texts]
    assert phrases("; ".join([*parts, "metals"])) == [*parts, "metals"]


@given(st.text())
def test_reading_any_explanation_never_fails(text: str) -> None:
    for part in phrases(text):
        named(part)


def test_a_sentence_that_only_mentions_a_word_is_not_a_name() -> None:
    assert named('the word "of" in dates') is None
    assert named("words such as of") is None
    assert named('the word "' + json.dumps("x")) is None


def test_variants_fold_case_and_blanks_but_never_to_nothing() -> None:
    assert variant(" The") == "the"
    assert variant("  ") == "  "
