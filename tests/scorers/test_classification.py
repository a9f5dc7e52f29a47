"""Detection and fuzzing: the figures are those of scikit-learn and delphi, and any answer is a rating or a status."""

import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from neurogloss.artifacts.status import Status
from neurogloss.errors import ProviderError
from neurogloss.llm.request import Reply, TokenLogprobs
from neurogloss.scorers.classification import auc, balanced_accuracy, deal_questions, marked, probability, read_ratings, wrong_marks

rows_of_both = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40)
mixed = rows_of_both.filter(lambda rows: len({fires for fires, _ in rows}) == 2)


@given(mixed)
def test_the_figures_are_those_of_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    fires, ratings = np.array([fires for fires, _ in rows]), np.array([rating / 8 for _, rating in rows])
    assert balanced_accuracy(fires, ratings >= 0.5) == pytest.approx(balanced_accuracy_score(fires, ratings >= 0.5), abs=1e-12)
    assert auc(fires, ratings) == pytest.approx(roc_auc_score(fires, ratings), abs=1e-12)


def test_the_figures_are_those_of_delphi_on_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    pd = pytest.importorskip("pandas")
    for name in ("plotly", "plotly.express", "plotly.graph_objects"):  # It draws with them; no figure is drawn here.
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    analysis = pytest.importorskip("delphi.log.result_analysis", reason="eai-delphi is not installed")
    rng = np.random.default_rng(0)
    for _ in range(50):
        fires = np.array([True, False, *(rng.random(18) < 0.4)])
        ratings = np.clip(rng.normal(0.5 + 0.2 * fires, 0.3), 0, 1)
        table = pd.DataFrame({"activating": fires, "prediction": ratings >= 0.5, "probability": ratings})
        theirs = analysis.compute_classification_metrics(analysis.compute_confusion(table))
        assert balanced_accuracy(fires, ratings >= 0.5) == pytest.approx(theirs["accuracy"], abs=1e-12)
        assert auc(fires, ratings) == pytest.approx(analysis.compute_auc(table), abs=1e-12)


def test_without_both_kinds_there_is_no_figure() -> None:
    for fires in ([True, True], [False, False]):
        assert balanced_accuracy(np.array(fires), np.array([True, False])) is None
        assert auc(np.array(fires), np.array([0.1, 0.9])) is None


@pytest.mark.parametrize("text", ["[1, 0, 1]", "[1,0,1]", "Answer: [1, 0, 1].", "[ 1 ,\n0, 1 ]", "[1, 0, 1] because [0]"])
def test_a_list_of_as_many_zeros_and_ones_is_read(text: str) -> None:
    found = read_ratings(Reply(text), 3)
    assert not isinstance(found, Status) and [one.holds for one in found] == [True, False, True]


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply("[1, 0]"), Status.UNPARSABLE),
        (Reply("[1, 0, 1, 1]"), Status.UNPARSABLE),
        (Reply("[1, 2, 0]"), Status.UNPARSABLE),
        (Reply("[10, 1, 0]"), Status.UNPARSABLE),
        (Reply("[01, 1, 0]"), Status.UNPARSABLE),
        (Reply("[1 0 1]"), Status.UNPARSABLE),
        (Reply("1, 0, 1"), Status.UNPARSABLE),
        (Reply("[true, false, true]"), Status.UNPARSABLE),
        (Reply(""), Status.UNPARSABLE),
        (Reply("[1, 0", "length"), Status.CUT_OFF),
        (Reply("I'm sorry, but I can't help with that."), Status.REFUSED),
        (Reply("[1, 0, 1]", "content_filter"), Status.REFUSED),
        (ProviderError("unanswered", "timed out"), Status.UNANSWERED),
    ],
)
def test_what_is_not_such_a_list_is_a_status(reply: Reply | ProviderError, status: Status) -> None:
    assert read_ratings(reply, 3) is status


@given(st.text(alphabet="[]01, 29x\n", max_size=30), st.integers(1, 5))
def test_any_text_is_ratings_of_the_right_number_or_a_status(text: str, excerpts: int) -> None:
    found = read_ratings(Reply(text), excerpts)
    assert isinstance(found, Status) or len(found) == excerpts


def test_probabilities_are_read_where_the_digit_stands() -> None:
    tokens = (
        TokenLogprobs("[", {"[": 0.0}),
        TokenLogprobs("1", {"1": np.log(0.6), "0": np.log(0.2), "x": np.log(0.2)}),
        TokenLogprobs(",", {",": 0.0}),
        TokenLogprobs(" 0", {" 0": np.log(0.5), "1": np.log(0.25), "0": np.log(0.25)}),
        TokenLogprobs("]", {"]": 0.0}),
    )
    found = read_ratings(Reply("[1, 0]", tokens=tokens), 2)
    assert not isinstance(found, Status)
    assert [one.probability for one in found] == pytest.approx([0.75, 0.25])
    assert probability(Reply("[1, 0]", tokens=tokens[:2]), 1) is None
    joined = (TokenLogprobs("[1", {"[1": 0.0}), *tokens[2:])
    assert probability(Reply("[1, 0]", tokens=joined), 1) is None


def test_runs_of_marked_tokens_stand_between_marks_whatever_their_bytes() -> None:
    pieces = [b" a", b"\xe2\x82", b"\xac", b">>", b"\n"]
    assert marked(pieces, np.array([False, True, True, False, True])) == " a<<€>>\\>><<\\n>>"
    assert marked(pieces, np.zeros(5, bool)) == " a€\\>>\\n"


def test_wrong_marks_and_questions_cover_what_they_should() -> None:
    rng = np.random.default_rng(0)
    assert wrong_marks(3, 10, rng).sum() == 3 and wrong_marks(9, 4, rng).all()
    parts = deal_questions(11, 5, rng)
    assert [len(part) for part in parts] == [5, 5, 1]
    assert sorted(np.concatenate(parts).tolist()) == list(range(11))
