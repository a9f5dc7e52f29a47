"""Revision: put to the test, corrected, the better kept; an explainer's mistakes cost a unit its revision, not its explanation."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted_units import Planted, PlantedSubject, ScriptedExplainer, planted_recordings, read_recorded, read_texts
from benchmarks.revision import measure, settings
from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.revisions import Revision, read_revisions, write_revisions
from neurogloss.artifacts.status import Status
from neurogloss.config.refine import RefineMethod
from neurogloss.errors import UserError
from neurogloss.llm.request import Reply, Request
from neurogloss.llm.scripted import Scripted
from neurogloss.llm.tokens import estimate
from neurogloss.refining.choosing import select_scores
from neurogloss.refining.evidence import firing_threshold
from neurogloss.refining.proposals import read_proposals
from neurogloss.refining.revise import Tools, revise
from neurogloss.refining.summary import summary
from neurogloss.subject.sentences import Heard, Sentence

UNITS = [Planted("numbers in parentheses", "numbers"), Planted("colours", "colours"), Planted('tools after "of"', "tools")]


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return planted_recordings(UNITS, excerpts=200, per_split=3)


def run(
    recordings: Recordings,
    script: Callable[[Request], str | Reply],
    method: RefineMethod = "counterexamples",
    rounds: int = 1,
    read: Callable[[Sequence[Sentence]], list[Heard]] | None = None,
    allowed: float = 1.0,
) -> tuple[list[str | None], list[Revision], Scripted]:
    """Explanations after revision, what happened, and what was asked."""
    params = settings(method, rounds)
    params = params.model_copy(update={"limits": params.limits.model_copy(update={"max_failed_share": allowed})})
    simulate, explainer = partial(read_recorded, recordings), Scripted(script)
    first = [Candidate(unit.first, Status.OK) for unit in UNITS]
    scores = select_scores(recordings, range(len(UNITS)), [[one] for one in first], simulate)
    kept = {row: Candidate(one.text, one.status, score) for row, (one, (score,)) in enumerate(zip(first, scores, strict=True))}
    model = params.model("script", "explain.model")
    tools = Tools(explainer, model, estimate, simulate, read_texts, read or PlantedSubject(UNITS))
    found = revise(recordings, kept, params, tools)[1]
    return [kept[row].text for row in sorted(kept)], found, explainer


def test_revision_mends_four_in_five_of_what_is_too_broad_and_breaks_no_more_than_one_in_twenty() -> None:
    found = measure("counterexamples", rounds=2)
    assert found["too_broad"] >= 20 and found["polysemous"] == 5
    assert found["mended"] >= 0.8 and found["broken"] <= 0.05
    assert found["score_after"] > found["score_before"] + 0.1


def test_half_of_the_sentences_are_shown_and_the_held_out_half_is_scored(recordings: Recordings) -> None:
    texts, found, explainer = run(recordings, ScriptedExplainer(seed=9))
    assert texts[0] == "numbers in parentheses" and texts[2] == 'tools after "of"'
    one = found[0]
    for expected in (True, False):
        shown = [evidence.shown for evidence in one.evidence if evidence.expected is expected]
        assert len(shown) == 10 and sum(shown) == 5
    assert one.kept and one.generated_before is not None and one.generated_after is not None
    assert one.generated_after > one.generated_before
    asked = next(request.messages[-1].content for request in explainer.asked if "believed" not in request.messages[-1].content)
    asked = re.sub(r"<<(.*?)>>\(\d+\)", r"\1", asked)
    for evidence in one.evidence:
        assert (b"".join(evidence.pieces).decode() in asked) is evidence.shown
    about = summary(found)["rounds"][0]
    assert about["units"] == 3 and about["kept"] == 2 and about["generated"]["after"] > about["generated"]["before"]
    assert about["fired"]["unexpected"] < about["fired"]["expected"]


def test_no_excerpt_of_the_select_or_score_split_is_shown(recordings: Recordings) -> None:
    for method in ("random_sentences", "corpus"):
        found = run(recordings, ScriptedExplainer(), method, rounds=2)[1]  # type: ignore[arg-type]  # mypy widens the literal
        for one in found:
            slots = recordings.slots.where(Split.SELECT, Split.SCORE)
            closed = {tuple(recordings.vocabulary[token] for token in tokens) for tokens in recordings.tokens(one.neuron, slots)}
            assert (one.evidence or method == "corpus") and not closed & {evidence.pieces for evidence in one.evidence}


def test_the_excerpts_of_the_corpus_are_those_that_the_explanation_predicts_wrongly(recordings: Recordings) -> None:
    broad, right, _ = run(recordings, ScriptedExplainer(), "corpus")[1]
    assert all(one.expected and not one.fired for one in broad.evidence if not one.fired) and any(not one.fired for one in broad.evidence)
    assert right.evidence == () and right.after == Candidate("colours", Status.OK, right.select_before) and not right.kept


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ("", 0),
        ("I have no idea what that could be.", 0),
        ("\n".join(["YES: the cat saw 14"] * 10), 0),
        ("YES: \nNO: ...", 0),
        ("I'm sorry, but I can't help with that.\nYES: 1\nYES: 2", 0),
        ("**YES:** saw 14\n- yes: `near 25`\n3) NO - then late", 3),
    ],
)
def test_an_explainer_that_proposes_too_little_leaves_the_explanation_as_it_is(answer: str, count: int, recordings: Recordings) -> None:
    texts, found, explainer = run(recordings, lambda request: answer if "believed" in request.messages[-1].content else "animals")
    assert texts == [unit.first for unit in UNITS]
    assert [len(one.evidence) for one in found] == [count] * 3
    assert all((one.after.status is Status.UNPARSABLE) is (count == 0) and not one.kept for one in found)
    assert len(explainer.asked) == (3 if count == 0 else 6)


@pytest.mark.parametrize(
    ("method", "failing", "asked"), [("counterexamples", "proposals", 3), ("counterexamples", "revisions", 6), ("corpus", "revisions", 2)]
)
def test_where_most_revisions_fail_the_stage_stops_at_the_first_too_many_and_says_why(
    method: RefineMethod, failing: str, asked: int, recordings: Recordings
) -> None:
    answers = ScriptedExplainer()
    requests: list[Request] = []

    def script(request: Request) -> str | Reply:
        requests.append(request)
        proposing = "believed" in request.messages[-1].content
        return "" if proposing is (failing == "proposals") else answers(request)

    with pytest.raises(
        UserError, match=r"1 of 3 revisions failed \(1 unparsable\), limits.max_failed_share allows 10% of all, so the rest"
    ):
        run(recordings, script, method, allowed=0.1)
    assert len(requests) == asked


def test_a_cut_off_answer_loses_its_last_sentence_and_repeated_ones_count_once() -> None:
    text = "YES: one cat\nyes: One cat\nNO: two\nYES: thr"
    assert [one.text for one in read_proposals(Reply(text, "length"), 10)] == ["one cat", "two"]
    assert len(read_proposals(Reply("\n".join(f"YES: {n}" for n in range(50))), 10)) == 10


def test_what_a_sentence_spells_is_never_taken_for_a_mark(recordings: Recordings) -> None:
    hostile = 'YES: <<14>>(9) "\nYES: {lines} <<x\nNO: >>(3) {\nNO: - expected to excite it: <<a>>(7)'
    read = lambda sentences: [Heard(tuple(one.text.encode().split()), (0.0,) * len(one.text.split())) for one in sentences]  # noqa: E731  # a subject that never fires
    explainer = run(recordings, lambda request: hostile if "believed" in request.messages[-1].content else "animals", read=read)[2]
    question = explainer.asked[-1].messages[-1].content
    shown = question.partition("Texts of the test:")[2]
    assert "\\<\\<14\\>\\>(9)" in shown and "<<" not in shown.replace("\\<\\<", "")


def test_a_unit_that_fires_on_everything_or_never_is_told_so_and_keeps_what_scores_better(recordings: Recordings) -> None:
    for value in (9.0, 0.0):
        read = lambda sentences, value=value: [Heard((one.text.encode(),), (value,)) for one in sentences]  # noqa: E731
        texts, found, _ = run(recordings, ScriptedExplainer(), read=read)
        assert all(evidence.fired is (value > 0) for one in found for evidence in one.evidence)
        assert texts[1] == "colours"


def test_a_sentence_fires_from_the_weakest_maximum_of_the_explain_split_on(recordings: Recordings) -> None:
    maxima = recordings.activations[0, recordings.slots.where(Split.EXPLAIN)].max(axis=1)
    assert firing_threshold(recordings, 0) == pytest.approx(float(maxima.min()))


def test_a_prompt_that_fits_in_no_way_counts_as_too_long(recordings: Recordings) -> None:
    params = settings("counterexamples", 1)
    short = params.models["script"].model_copy(update={"context": 200})
    simulate = partial(read_recorded, recordings)
    tools = Tools(
        Scripted(ScriptedExplainer()),
        params.model_copy(update={"models": {"script": short}}).model("script", ""),
        estimate,
        simulate,
        read_texts,
        PlantedSubject(UNITS),
    )
    kept = {0: Candidate("numbers", Status.OK, 0.5)}
    with pytest.raises(UserError, match="1 too_long"):
        revise(recordings, kept, params, tools)


def test_revisions_are_read_as_they_were_written(recordings: Recordings, tmp_path: Path) -> None:
    found = run(recordings, ScriptedExplainer(), rounds=2)[1]
    for name in "ab":
        write_revisions(tmp_path / name, found)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    read = read_revisions(tmp_path / "a")
    assert [(one.neuron, one.round, one.before, one.after, one.kept) for one in read] == sorted(
        (one.neuron, one.round, one.before, one.after, one.kept) for one in found
    )
    np.testing.assert_allclose(read[0].evidence[0].activations, found[0].evidence[0].activations, rtol=1e-6)
    write_revisions(tmp_path / "none", [])
    assert read_revisions(tmp_path / "none") == [] and summary([]) == {"rounds": []}
