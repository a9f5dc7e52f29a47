import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import write_explanations
from neurogloss.artifacts.recordings import read_recordings
from neurogloss.artifacts.revisions import Evidence, Revision, write_revisions
from neurogloss.artifacts.scores import write_scores
from neurogloss.artifacts.status import Status
from neurogloss.explainers.run import explain
from neurogloss.llm.cache import Cache
from neurogloss.refining.refine import refine
from neurogloss.simulators.run import simulate
from neurogloss.viewer.asked import Asked
from neurogloss.viewer.pages import Pages
from neurogloss.viewer.result import open_result
from tests.test_planning import Run, settings
from tests.viewer.conftest import ready
from tests.viewer.made_up import HOSTILE, score_table, small, write_variant


def test_the_overview_opens_from_a_file(page: Page, small_site: Path) -> None:
    ready(page, (small_site / "index.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("How well are the neurons of made-up model explained?")
    expect(page.locator(".tile").first).to_contain_text("0.491")
    expect(page.get_by_role("status")).to_have_text("18 neurons")
    assert page.locator(".figure svg").count() == 2
    assert "false" not in page.locator("main").inner_text()


def test_the_overview_opens_from_a_plain_file_server(page: Page, small_site: Path, plain_server: Callable[[Path], str]) -> None:
    ready(page, plain_server(small_site))
    expect(page.get_by_role("status")).to_have_text("18 neurons")
    page.locator(".neurons a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("L0.N0")


def test_search_and_filters_narrow_the_table_and_stand_in_the_address(page: Page, small_view: str) -> None:
    ready(page, small_view)
    text = page.locator(".rows .c-text").first.inner_text()
    word = text.split()[1]
    page.get_by_label("Search explanations").fill(word.upper())
    expect(page.get_by_role("status")).to_contain_text("of 18 neurons")
    for shown in page.locator(".rows .c-text").all_inner_texts():
        assert word in shown
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("status")).to_have_text("18 neurons")
    page.get_by_label("Layer", exact=True).select_option("1")
    expect(page.get_by_role("status")).to_have_text("6 of 18 neurons")
    page.get_by_label("Score from").fill("0.55")
    expect(page.get_by_role("status")).to_have_text("3 of 18 neurons")
    address = page.url
    assert "layer=1" in address
    page.goto("about:blank")
    ready(page, address)
    expect(page.get_by_role("status")).to_have_text("3 of 18 neurons")
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Status").select_option(label="refused")
    expect(page.get_by_role("status")).to_have_text("1 of 18 neurons")


def test_the_lists_of_neurons_worth_a_look_go_on_in_the_table(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/?layer=1")
    page.locator(".card", has=page.get_by_role("heading", name="Strong but unexplained")).get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="Peak")).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("status")).to_have_text("2 of 18 neurons")
    page.locator(".card", has=page.get_by_role("heading", name="Best explained")).get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="Score")).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("status")).to_have_text("18 neurons")


def test_a_column_sorts_both_ways_with_missing_scores_last(page: Page, small_view: str) -> None:
    ready(page, small_view)
    header = page.get_by_role("columnheader", name="Score")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert page.locator(".rows .c-score").first.inner_text() == "0.95"
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert page.locator(".rows .c-score").first.inner_text() == "0.10"
    page.get_by_role("table", name="Neurons").evaluate("table => table.scrollTo(0, 1e6)")
    expect(page.locator(".rows .c-score").last).to_have_text("silent")


def test_a_neuron_page_shows_real_above_simulated_and_both_values(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/neuron/L0.N0")
    card = page.locator(".excerpt").first
    assert card.locator(".line.real .t").count() == 12
    assert card.locator(".line.simulated .t").count() == 12
    real, simulated = card.locator(".line.real").bounding_box(), card.locator(".line.simulated").bounding_box()
    assert real["y"] < simulated["y"]
    card.locator(".line.real .t").nth(3).hover()
    expect(page.get_by_role("tooltip")).to_contain_text("real")
    expect(page.get_by_role("tooltip")).to_contain_text("simulated level")


def test_the_strongest_simulated_token_has_full_colour_however_low_its_level(page: Page, small_view: str) -> None:
    for name in ("L0.N0", "L1.N9"):
        ready(page, f"{small_view}#/neuron/{name}")
        shades = page.locator(".line.simulated .t").evaluate_all("all => all.map(t => Number(t.style.getPropertyValue('--v')))")
        assert max(shades) == 1
        expect(page.locator(".key-line")).to_contain_text("full colour: real at its peak, simulated at level")


def test_overlay_and_difference_can_be_chosen_and_stay_for_the_next_neuron(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/neuron/L0.N0")
    page.get_by_role("button", name="Overlay").click()
    assert page.locator(".excerpt").first.locator(".line").count() == 1
    assert page.locator(".line.overlay").count() > 3
    page.get_by_role("button", name="Difference").click()
    assert page.locator(".t.over").count() + page.locator(".t.under").count() > 10
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", level=1)).to_contain_text("L0.N3")
    page.goto(f"{small_view}#/neuron/L1.N0")
    expect(page.get_by_role("heading", level=1)).to_contain_text("L1.N0")
    assert page.locator(".line.difference").count() > 3


def test_arrow_keys_walk_from_neuron_to_neuron_and_from_layer_to_layer(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/neuron/L0.N3")
    heading = page.get_by_role("heading", level=1)
    for key, name in (("ArrowRight", "L0.N6"), ("ArrowLeft", "L0.N3"), ("Shift+ArrowDown", "L1.N3"), ("Shift+ArrowUp", "L0.N3")):
        page.keyboard.press(key)
        expect(heading).to_contain_text(name)
    page.keyboard.press("Shift+ArrowUp")
    page.go_back()
    expect(heading).to_contain_text("L1.N3")


def test_arrow_keys_inside_an_excerpt_read_its_values(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/neuron/L0.N0")
    page.locator(".excerpt").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#live")).to_contain_text("real")
    expect(page.get_by_role("heading", level=1)).to_contain_text("L0.N0")


def test_a_failed_simulation_and_a_missing_explanation_say_so(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/neuron/L0.N6")
    expect(page.locator(".excerpt .fault")).to_contain_text("unparsable")
    page.goto(f"{small_view}#/neuron/L0.N15")
    expect(page.locator(".explanation")).to_contain_text("No explanation")
    expect(page.locator(".explanation .fault")).to_contain_text("never above zero")


def test_an_unknown_neuron_is_answered_in_words(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/neuron/L9.N9<script>")
    expect(page.get_by_role("heading", level=1)).to_have_text("No such neuron")
    page.get_by_label("Go to neuron").fill("2.6")
    page.get_by_label("Go to neuron").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("L2.N6")


def test_hostile_text_is_text(page: Page, hostile_site: Path, plain_server: Callable[[Path], str]) -> None:
    address = plain_server(hostile_site)
    ready(page, address)
    expect(page.locator("h1")).to_contain_text(HOSTILE[0])
    for neuron in ("L0.N0", "L0.N6", "L1.N3", "L1.N9", "L2.N0", "L2.N15"):
        page.goto(f"{address}#/neuron/{neuron}")
        expect(page.get_by_role("heading", level=1)).to_contain_text(neuron)
    shown = page.locator(".gloss").inner_text()
    assert "line⟨U+2028⟩and⟨U+2029⟩paragraph↵new⇥tab" in shown
    tokens = set(page.locator(".excerpt .t").all_text_contents())
    assert {"\\xe2\\x82", "\\xff", "∅", "<b>", "שלום", "right⟨U+202E⟩to left⟨U+202C⟩ and ⟨U+200F⟩ marks"} <= tokens
    assert "emoji 👩⟨U+200D⟩👩⟨U+200D⟩👧 🇪🇺 and controls ␀␇␛[31m" in tokens
    assert page.locator("main img, main script, main b").count() == 0
    page.goto(f"{address}#/?q=%3Cscript%3E")
    expect(page.get_by_role("status")).to_contain_text("neurons")


def test_a_result_in_which_nothing_could_be_scored_is_shown_as_that(
    page: Page, small_result: Path, view_server: Callable[[Pages], str], tmp_path: Path
) -> None:
    shutil.copytree(small_result, tmp_path / "failed")
    found = read_recordings(small_result / "data/recordings")
    none = np.full(len(found), np.nan)
    write_scores(tmp_path / "failed/data/scores.parquet", score_table(found.layers, found.indices, ["unanswered"] * len(found), none, 0))
    address = view_server(Pages(open_result(tmp_path / "failed"), "view"))
    ready(page, address)
    assert "16 unanswered" in page.locator(".tile").last.inner_text()
    assert "NaN" not in page.locator("main").inner_text()
    expect(page.get_by_role("heading", name="Best explained").locator("xpath=..")).to_contain_text("None")
    page.goto(f"{address}#/neuron/L0.N0")
    expect(page.locator(".explanation")).to_contain_text("no score")


def test_related_neurons_and_tokens_by_weight_come_with_links(page: Page, model_view: str) -> None:
    ready(page, f"{model_view}#/neuron/L0.N0")
    weights = page.locator(".card", has=page.get_by_role("heading", name="What its weights say"))
    expect(weights.get_by_role("heading", name="Tokens it reads")).to_be_visible()
    assert weights.locator(".chip.real").count() == 20
    assert weights.locator(".chip.minus").count() == 20
    expect(page.get_by_role("heading", name="By explanation")).to_be_visible()
    downstream = page.locator("h3:has-text('Downstream neurons') ~ ul a").first
    expect(downstream).to_contain_text("L1.N")
    name = downstream.inner_text()
    downstream.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def test_without_the_model_the_page_says_so(page: Page, small_site: Path) -> None:
    ready(page, f"{(small_site / 'index.html').as_uri()}#/neuron/L0.N0")
    expect(page.locator("main")).to_contain_text("The model is not at hand: the pages were written without it.")
    page.goto(f"{(small_site / 'index.html').as_uri()}#/?by=meaning&q=river")
    expect(page.get_by_role("status")).to_contain_text("Search by meaning needs the model")


def test_search_by_meaning_finds_the_same_words_first(page: Page, model_view: str) -> None:
    ready(page, model_view)
    text = page.locator(".rows .c-text").nth(3).inner_text()
    page.get_by_label("Search by").select_option("meaning")
    page.get_by_label("Search explanations").fill(text)
    expect(page.get_by_role("status")).to_contain_text("nearest in meaning")
    expect(page.locator(".rows .c-text").first).to_have_text(text)
    page.get_by_label("Search explanations").fill("1234 5678")
    expect(page.get_by_role("status")).to_contain_text("none of these words is known")


def test_a_typed_text_leads_to_its_neurons(page: Page, model_view: str) -> None:
    ready(page, f"{model_view}#/text")
    page.get_by_label("Text", exact=True).fill("the cat sat on the <b>mat</b>")
    page.get_by_role("button", name="Run").click()
    tokens = page.locator("button.token")
    expect(tokens.first).to_be_visible()
    tokens.nth(1).click()
    expect(tokens.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("heading", name="Layer 1")).to_be_visible()
    levels = [float(text.split(" · ")[0]) for text in page.locator(".layer .value").all_inner_texts()]
    first = page.locator(".layer", has=page.get_by_role("heading", name="Strongest of all layers")).locator(".value").all_inner_texts()
    assert [float(text.split(" · ")[0]) for text in first] == sorted(levels[len(first) :], reverse=True)[: len(first)]
    link = page.locator(".layer a").first
    name = link.inner_text()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.go_back()
    expect(tokens.first).to_be_visible()


def test_a_text_of_ten_thousand_tokens_is_refused_in_words(page: Page, model_view: str) -> None:
    ready(page, f"{model_view}#/text")
    expected = {"a b " * 2400: "tokens, at most", "word " * 10_000: "characters, at most", " ": "there is no text"}
    for text, message in expected.items():
        page.get_by_label("Text", exact=True).fill(text)
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("alert")).to_contain_text(message)


def test_a_static_site_says_that_texts_need_a_server(page: Page, small_site: Path) -> None:
    ready(page, f"{(small_site / 'index.html').as_uri()}#/text")
    expect(page.locator(".notice")).to_contain_text("neurogloss view")
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_text(["Neurons"])


def test_two_results_are_shown_on_the_same_excerpts(
    page: Page, small_result: Path, view_server: Callable[[Pages], str], tmp_path: Path
) -> None:
    shutil.copytree(small_result, tmp_path / "other")
    write_variant(tmp_path / "other", read_recordings(tmp_path / "other/data/recordings"), 7, ["another explanation"])
    address = view_server(Pages(open_result(small_result, {"other": tmp_path / "other"}), "view"))
    ready(page, f"{address}#/neuron/L0.N6")
    expect(page.locator(".explanation")).to_have_count(2)
    expect(page.locator(".explanation").nth(1)).to_contain_text("another explanation")
    card = page.locator(".excerpt").nth(2)
    assert [line.split("\n")[0] for line in card.locator(".line").all_inner_texts()] == ["real", "simulated A", "simulated B"]
    assert re.fullmatch(r"r A \S+, B \S+", card.locator(".r").inner_text())
    page.get_by_role("button", name="Overlay").click()
    assert card.locator(".line.overlay").count() == 2
    card.locator(".t").nth(2).hover()
    expect(page.get_by_role("tooltip")).to_contain_text("simulated B")
    page.goto(address)
    expect(page.get_by_role("columnheader", name="Score B")).to_be_visible()
    page.get_by_label("Search explanations").fill("another")
    expect(page.get_by_role("status")).to_have_text("16 of 18 neurons")
    assert page.locator(".tiles").count() == 2
    verdict = page.locator(".against")
    assert re.fullmatch(r"B · other is (better|worse) than A · this result|.* within noise of .*", verdict.locator("h2").inner_text())
    expect(verdict).to_contain_text("95 % interval")
    assert page.locator(".figure svg").count() == 3  # The difference, both distributions over one another, the layers.
    row = page.locator(".changed li").first
    listed = row.locator(".value").inner_text().split(" → ")
    name = row.locator("a").inner_text()
    row.locator("a").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    shown = page.locator(".big strong").all_inner_texts()
    assert [float(one) for one in shown] == pytest.approx([float(one) for one in listed], abs=0.011)


def test_a_heads_excerpts_mark_its_query_and_the_keys_that_it_reads_and_say_them(page: Page, heads_site: Path) -> None:
    ready(page, f"{(heads_site / 'index.html').as_uri()}#/neuron/L0.H0")
    expect(page.get_by_role("heading", level=1)).to_contain_text("layer 0, head 0")
    expect(page.locator(".key-line")).to_contain_text("query strongest token key tokens it reads")
    card = page.locator(".excerpt").first
    words = card.locator(".line.real .t").all_inner_texts()
    query, keys = card.locator(".line.real .t.query"), card.locator(".line.real .t.key")
    at = int(query.get_attribute("data-i") or "")
    assert {int(key.get_attribute("data-i") or "") for key in keys.all()} == {5, at}
    said = f"“{words[at].strip()}” reads “{words[5].strip()}”, itself (0.50 of the first)"
    expect(card.locator(".reading")).to_have_text(said)
    assert said in (card.get_attribute("aria-label") or "")
    keys.first.hover()
    expect(page.get_by_role("tooltip")).to_contain_text("read with")
    assert card.locator(".line.simulated .key").count() == 0
    styles = "node => [getComputedStyle(node).outlineStyle, getComputedStyle(node).textDecorationStyle]"
    assert (query.evaluate(styles)[0], keys.first.evaluate(styles)[1]) == ("solid", "double")  # No colour is needed to tell them.
    for mode in ("Overlay", "Difference"):
        page.get_by_role("button", name=mode).click()
        expect(card.locator(".t.query")).to_have_count(1)


def test_the_overview_of_latents_says_how_well_they_reconstruct(page: Page, latents_site: Path) -> None:
    ready(page, (latents_site / "index.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("How well are the latents of made-up model explained?")
    expect(page.locator("main")).to_contain_text(
        "Layer 1, SAELens: 88.9 % of the variance explained, 24.0 of 16,384 latents fire at a token."
    )


WORDS_SHOWN = """document.body.innerText + [...document.querySelectorAll('[aria-label], [title], [placeholder]')]
    .map((node) => `${node.ariaLabel} ${node.title} ${node.placeholder}`).join(' ')"""


def test_every_heading_and_button_speaks_of_the_kind_of_unit(page: Page, heads_site: Path) -> None:
    for fragment in ("#/", "#/neuron/L0.H0", "#/neuron/L9.H9", "#/text"):
        page.goto("about:blank")
        ready(page, f"{(heads_site / 'index.html').as_uri()}{fragment}")
        shown = page.evaluate(WORDS_SHOWN)
        assert "head" in shown and not re.findall(r".*\bneurons?\b.*", shown, re.IGNORECASE), fragment


def test_beside_each_score_stand_those_on_random_excerpts_and_of_the_control(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/neuron/L0.N0")
    beside = page.locator(".beside").inner_text()
    assert re.fullmatch(r"random only\s+\S+\s+control\s+\S+\s+token table\s+\S+", beside)
    page.goto(small_view)
    for title in ("Random only", "Control", "Token table", "Level ≥ 1"):
        expect(page.get_by_role("columnheader", name=title)).to_be_visible()
    assert re.search(r"\d \S+ · \S+$", page.locator(".neurons .value").first.inner_text())


def test_a_slash_leads_to_the_search_and_a_question_mark_shows_the_keys(page: Page, small_view: str) -> None:
    ready(page, small_view)
    page.keyboard.press("/")
    page.keyboard.type("L1.3?/")
    expect(page.get_by_label("Search explanations")).to_have_value("L1.3?/")
    ready(page, f"{small_view}#/neuron/L0.N0")
    expect(page.get_by_role("heading", level=1)).to_contain_text("L0.N0")
    page.keyboard.press("/")
    page.keyboard.type("L1N3")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("L1.N3")
    page.locator("main").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("shift ↑ ↓")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_contain_text("L1.N3")


def test_a_unit_without_a_page_names_the_nearest_that_have_one(page: Page, small_view: str) -> None:
    ready(page, f"{small_view}#/neuron/L1.N4")
    expect(page.locator(".notice")).to_contain_text("The nearest are L1.N3, L1.N6")
    page.locator(".notice a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("L1.N3")


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_is_wider_than_the_screen_and_the_header_is_one_line(page: Page, small_view: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for place in ("", "#/neuron/L0.N0", "#/text"):
        page.goto("about:blank")
        ready(page, f"{small_view}{place}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#bar").bounding_box()["height"] < 60  # type: ignore[index]  # it is there


def test_search_by_meaning_knows_what_a_sign_is_called(page: Page, model_view: str) -> None:
    ready(page, model_view)
    page.get_by_label("Search by").select_option("meaning")
    page.get_by_label("Search explanations").fill("$")
    expect(page.get_by_role("status")).to_contain_text("nearest in meaning")
    expect(page.locator(".rows .c-text").first).to_contain_text("money")


def test_what_was_asked_about_a_unit_and_answered_can_be_read(page: Page, view_server: Callable[[Pages], str], tmp_path: Path) -> None:
    folder = small(tmp_path / "asked")
    found, chosen, cache = read_recordings(folder / "data/recordings"), settings(), Cache(tmp_path / "llm.sqlite")
    run = Run(cache)
    kept = refine(found, explain(found, chosen, run.open), chosen, run.open)
    simulate(found, kept, chosen, run.open)
    write_explanations(folder / "data/explanations.parquet", kept)
    result = open_result(folder)
    address = view_server(Pages(result, "view", asked=Asked(result, [chosen], cache.path)))
    ready(page, f"{address}#/neuron/L0.N0")
    card = page.locator(".asked")
    expect(card.get_by_role("heading", name="explain")).to_contain_text("1 question · gpt")
    first = card.locator(".question").first
    expect(first.locator("> summary")).to_contain_text("words about river number")
    first.locator("> summary").click()
    expect(first.locator(".turn.question pre")).to_contain_text("w")
    first.get_by_text("before it: instructions and examples").click()
    expect(first.locator(".turn.system pre")).to_contain_text("You study single neurons")
    page.goto(f"{address}#/neuron/L0.N15")
    expect(card).to_contain_text("No reply about it is kept here.")
    without = Pages(result, "view", asked=Asked(result, [chosen], tmp_path / "none.sqlite"))
    assert without.counts["asked"] == 0


def test_what_changed_an_explanation_can_be_read_text_by_text(page: Page, view_server: Callable[[Pages], str], tmp_path: Path) -> None:
    folder = small(tmp_path / "revised")
    found = read_recordings(folder / "data/recordings")
    evidence = (
        Evidence((b" a", b" <b>boat"), (0.0, float(found.peaks[0])), True, True, True),
        Evidence((b" a", b" \xe2\x80", b" mill"), (0.0, 0.0, -1.0), True, False, False),
    )
    unit = int(found.layers[0]), int(found.indices[0])
    round_ = Revision(*unit, 1, "counterexamples", "words <i>", Candidate("words for boats", Status.OK, 0.5), 0.2, True, evidence, 0.1, 0.4)
    write_revisions(folder / "data/revisions.parquet", [round_])
    ready(page, f"{view_server(Pages(open_result(folder), 'view'))}#/neuron/{found.name(0)}")
    card = page.locator(".revisions")
    summary = card.locator(".question > summary")
    expect(summary).to_contain_text("words for boats")
    expect(summary).to_contain_text("round 1: kept, select split 0.20 → 0.50, held-out sentences 0.10 → 0.40")
    summary.click()
    expect(card).to_contain_text("before: words <i>")
    expect(card).to_contain_text("2 texts (counterexamples), 1 against expectation")
    expect(card.locator(".line").nth(0)).to_contain_text("expected to fire, fired")
    expect(card.locator(".line").nth(1).locator(".fault")).to_have_text("expected to fire, silent, held out")
    assert card.locator(".t").nth(1).evaluate("one => one.style.getPropertyValue('--v')") == "1"
    page.goto(page.url.replace(found.name(0), found.name(1)))
    expect(card).to_have_count(0)
