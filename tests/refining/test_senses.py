"""Senses: several sentences with shares where they predict better than one; a model's mistakes cost a unit its senses, not its sentence."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted_units import Planted, planted_recordings, planted_units, read_recorded, rules
from benchmarks.revision import score_of
from benchmarks.senses import SortingExplainer, settings
from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Explanation, Sense, explanations, read_explanations, whole, write_explanations
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.request import Client, Reply
from neurogloss.llm.scripted import Scripted
from neurogloss.refining.senses import Trial, find_senses, grouped, with_shares
from neurogloss.refining.senses_prompt import read
from neurogloss.refining.summary import summary
from neurogloss.simulators.result import SimulatedLevels

TWO = Planted('numbers in parentheses; towns after "of"', "numbers; towns")
ONE = Planted("colours", "colours")


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return planted_recordings([TWO, ONE], excerpts=200, per_split=4)


def found(recordings: Recordings, answer: object, first: Sequence[str] = (TWO.first, ONE.first), allowed: float = 1.0) -> dict[int, Trial]:
    """What comes of looking for two senses, with a model that answers so."""
    params = settings(2)
    params = params.model_copy(update={"limits": params.limits.model_copy(update={"max_failed_share": allowed})})

    @contextmanager
    def opened(name: str, model: ModelParams, stage: str = "") -> Iterator[Client]:
        yield Scripted(answer)  # type: ignore[arg-type]  # a text, a reply or a function of the request

    kept = {row: Candidate(text, Status.OK) for row, text in enumerate(first)}
    return find_senses(recordings, kept, params, partial(read_recorded, recordings), opened)


def averaged(recordings: Recordings, rows: np.ndarray, slots: np.ndarray, texts: Sequence[str | None]) -> SimulatedLevels:
    """A simulator for which an explanation is the mean of its phrases, as for `vocabulary`."""
    cut = [(text or "").split("; ") for text in texts]
    every = read_recorded(recordings, np.repeat(rows, [len(parts) for parts in cut]), slots, [part for parts in cut for part in parts])
    ends = np.cumsum([len(parts) for parts in cut])
    levels = np.stack([every.levels[end - len(parts) : end].mean(axis=0) for end, parts in zip(ends, cut, strict=True)])
    return SimulatedLevels(levels.astype(np.float16), np.zeros(levels.shape[:2], np.uint8), np.zeros(len(rows), bool))


def test_two_senses_of_planted_units_are_found_and_each_alone_scores_lower_than_both() -> None:
    units = planted_units(broad=5, polysemous=5, right=0)
    recordings = planted_recordings(units)
    trials = found(recordings, SortingExplainer(), [unit.first for unit in units])
    for row, unit in enumerate(units):
        assert {sense.text for sense in trials[row].senses} == set(unit.right.split("; ")) and trials[row].kept
        alone = [score_of(recordings, row, sense.text) for sense in trials[row].senses]
        assert max(alone) < score_of(recordings, row, unit.right) and min(alone) > 0
        assert sum(sense.share for sense in trials[row].senses) == pytest.approx(1)


def test_a_unit_of_one_kind_keeps_its_sentence(recordings: Recordings) -> None:
    trials = found(recordings, SortingExplainer())
    assert trials[0].kept and trials[0].candidate.text == whole(trials[0].senses)
    assert trials[1] == Trial(Candidate("colours", Status.OK))
    assert summary([], list(trials.values()))["senses"] == {
        "units": 2,
        "several": 1,
        "kept": 1,
        "failed": 0,
        "failed_by_cause": {},
        "select": {"units": 1, "before": pytest.approx(trials[0].single.select_score), "after": pytest.approx(trials[0].score)},
    }
    assert summary([]) == {"rounds": []}


def test_senses_that_predict_no_better_are_not_kept(recordings: Recordings) -> None:
    trials = found(recordings, "[1, 2] animals\n[3] tools")
    assert [len(trials[row].senses) for row in (0, 1)] == [2, 2] and not any(one.kept for one in trials.values())
    same = found(recordings, '[1, 2] numbers in parentheses\n[3] towns after "of"', (TWO.right, ONE.right))
    assert same[0].score == same[0].single.select_score and not same[0].kept


@pytest.mark.parametrize(
    ("answer", "status", "senses"),
    [
        ("[1, 2] boats\n[3] colours", Status.OK, (("boats", (0, 1)), ("colours", (2,)))),
        ("[1, 2, 3] boats.", Status.OK, (("boats", (0, 1, 2)),)),
        ("[1] Boats\n[2; 3] boats", Status.OK, (("Boats", (0, 1, 2)),)),
        (
            "Here are the kinds:\n\n1. **[1 2]**: boats\n- [3] colours\nI hope that helps.",
            Status.OK,
            (("boats", (0, 1)), ("colours", (2,))),
        ),
        ("[1, 2] boats\n[2, 3] colours", Status.OK, (("boats", (0, 1)), ("colours", (1, 2)))),
        ("boats\ncolours", Status.UNPARSABLE, ()),
        ("1. boats\n2. colours", Status.UNPARSABLE, ()),
        ("[1] boats\n[4] colours", Status.UNPARSABLE, ()),
        ("[0, 1] boats", Status.UNPARSABLE, ()),
        ("[1-3] boats", Status.UNPARSABLE, ()),
        ("[] boats\n[1] colours", Status.UNPARSABLE, ()),
        ("[1, 2] \n[3] colours", Status.UNPARSABLE, ()),
        ("[1] ...\n[3] colours", Status.UNPARSABLE, ()),
        ("", Status.UNPARSABLE, ()),
        ("I'm sorry, but I can't help with that.", Status.REFUSED, ()),
        (Reply("[1, 2] boats\n[3] col", finish_reason="length"), Status.OK, (("boats", (0, 1)),)),
        (Reply("[1, 2] boa", finish_reason="length"), Status.CUT_OFF, ()),
        (ProviderError("unanswered", "timed out"), Status.UNANSWERED, ()),
    ],
)
def test_an_answer_is_read_line_by_line_and_nothing_is_made_up(
    answer: str | Reply | ProviderError, status: Status, senses: tuple[object, ...]
) -> None:
    prompt = settings(2).prompts.refine.senses
    assert prompt is not None
    assert read(Reply(answer) if isinstance(answer, str) else answer, 3, prompt) == (status, senses)


def test_an_excerpt_of_two_senses_counts_for_each_by_half_and_one_of_none_for_none() -> None:
    strength = np.array([4.0, 2.0, 2.0, 0.0])
    assert with_shares([("a", [1]), ("b", [0, 1])], strength) == (Sense("b", 5 / 8), Sense("a", 1 / 8))
    assert with_shares([("a", [3]), ("b", [0])], strength) == (Sense("b", 0.5),)
    assert with_shares([("a", [0])], np.zeros(4)) == ()


def test_more_kinds_than_were_asked_for_are_cut_to_those_with_the_largest_shares(recordings: Recordings) -> None:
    (trial, _) = found(recordings, "[1] tools\n[2, 3] numbers\n[4] towns").values()
    assert [sense.text for sense in trial.senses] == ["numbers", "tools"]


def test_a_model_that_answers_nonsense_is_counted_and_stops_the_stage_where_that_is_too_much(recordings: Recordings) -> None:
    trials = found(recordings, "no idea")
    assert summary([], list(trials.values()))["senses"]["failed_by_cause"] == {"unparsable": 2}
    assert not any(one.kept or one.senses for one in trials.values())
    with pytest.raises(UserError, match=r"1 of 2 answers about senses failed \(1 unparsable\), limits.max_failed_share allows 10% of all"):
        found(recordings, "no idea", allowed=0.1)


def test_a_unit_with_one_explain_excerpt_is_not_asked_about() -> None:
    recordings = planted_recordings([TWO, ONE], excerpts=100, per_split=1)
    trials = found(recordings, lambda _: pytest.fail("nothing is asked"))
    assert [one.senses for one in trials.values()] == [(), ()]


def test_a_unit_that_fires_on_everything_keeps_its_sentence(recordings: Recordings) -> None:
    constant = Recordings(**{**vars(recordings), "activations": np.full_like(np.asarray(recordings.activations), 2.0)})
    trials = found(constant, "[1, 2] numbers\n[3] towns")
    assert all(one.senses and one.score is None and not one.kept for one in trials.values())


def test_without_a_language_model_phrases_are_grouped_by_the_excerpts_that_they_predict(recordings: Recordings) -> None:
    params = settings(2, method="concepts")
    text = 'numbers in parentheses; towns after "of"; numbers'
    kept = {0: Candidate(text, Status.OK), 1: Candidate("colours", Status.OK)}
    simulate = partial(averaged, recordings)
    trials = find_senses(recordings, kept, params, simulate, lambda *_: pytest.fail("no model is asked"))
    assert trials[0].kept and {sense.text for sense in trials[0].senses} == {"numbers in parentheses; numbers", 'towns after "of"'}
    assert trials[1].senses == ()
    slots = recordings.slots.where(Split.EXPLAIN)
    texts = [[recordings.text(int(token)).strip() for token in tokens] for tokens in recordings.tokens(0, slots)]
    strongest = np.asarray(recordings.activations[0, slots]).max(axis=1).astype(float)
    at = np.asarray(recordings.activations[0, slots]).argmax(axis=1)
    numbers = [rules()["numbers"](words)[place] for words, place in zip(texts, at, strict=True)]
    shares = {sense.text: sense.share for sense in trials[0].senses}
    assert shares["numbers in parentheses; numbers"] == pytest.approx(float(strongest[numbers].sum() / strongest.sum()))


def test_phrases_of_which_only_one_predicts_anything_are_one_sense() -> None:
    levels = np.zeros((3, 2, 4))
    levels[1, :, 2] = 7
    assert grouped(levels, np.array([2, 2]), np.ones(2), 2) == []
    levels[0, 1, 2] = 7  # Of equal ones the first.
    assert grouped(levels, np.array([2, 2]), np.array([1.0, 2.0]), 2) == [([0, 2], [1]), ([1], [0])]


def test_senses_are_written_and_read_back_and_files_without_them_are_as_they_were(tmp_path: Path) -> None:
    senses = (Sense("boats", 0.6), Sense('the word "of"', 0.3))
    one = Explanation(0, 1, Candidate("ships", Status.OK))
    several = Explanation(0, 2, Candidate('boats; or: the word "of"', Status.OK, 0.4), (), senses, "ships")
    path = tmp_path / "explanations.parquet"
    write_explanations(path, explanations([one, several]))
    again = read_explanations(path)
    assert again.rows == [one, several]
    assert again.senses == {'boats; or: the word "of"': ("boats", 'the word "of"')} and again.singles == {1: "ships"}
    assert again.sentences == [("ships",), ("boats", 'the word "of"')]
    write_explanations(path, explanations([one]))
    import pyarrow.parquet as pq

    assert "senses" not in pq.read_schema(path).names and read_explanations(path).rows == [one]
    for shares in ((0.6, 0.5), (0.6, 0.0)):
        with pytest.raises(ValueError, match="shares"):
            Explanation(
                0, 2, several.kept, (), tuple(Sense(sense.text, share) for sense, share in zip(senses, shares, strict=True)), "ships"
            )
    with pytest.raises(ValueError, match="shares"):
        Explanation(0, 2, several.kept, (), senses[:1], "ships")


def test_the_question_shows_the_numbered_explain_excerpts_and_no_other(recordings: Recordings) -> None:
    asked: list[str] = []

    def answer(request: object) -> str:
        asked.append(request.messages[-1].content)  # type: ignore[attr-defined]  # a Request
        return "[1] numbers"

    found(recordings, answer)
    slots = recordings.slots.where(Split.EXPLAIN)
    for row, question in enumerate(asked):
        plain = re.sub(r"<<(.*?)>>\(\d+\)", r"\1", question)
        shown = re.findall(r"^(\d+): (.*)$", plain, re.MULTILINE)
        texts = ["".join(recordings.text(int(token)) for token in tokens) for tokens in recordings.tokens(row, slots)]
        assert [text.strip() for _, text in shown] == [text.strip() for text in texts] and [int(one) for one, _ in shown] == [1, 2, 3, 4]
        assert json.dumps(question).count("<<") > 0
