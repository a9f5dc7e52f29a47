"""A newcomer finds out in MLflow which prompt is better, in a real browser."""

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.newcomer import walk
from tests.toy import ROOT, Toy, surroundings


@pytest.mark.slow  # Two experiments of the toy pipeline, MLflow's server and a browser take minutes.
@pytest.mark.timeout(1200)
def test_the_best_prompt_and_its_interval_stand_on_the_first_page_and_its_failures_three_clicks_from_its_text(
    done: Toy, tmp_path: Path
) -> None:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        pytest.skip("no browser is installed and none could be; `make browser` installs one")
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    toy = Toy(tmp_path / "toy")
    variants = ("examples:vocabulary.prompt=examples", "one-phrase:explain.concepts.phrases=1")
    said = toy.run("bash", str(ROOT / ".ci" / "sweep"), *variants, PIPELINE_ROOT=str(toy.folder)).stdout
    assert "viewStateShareKey=" in said and "`make ui` serves and opens it" in said
    found = walk(toy.folder, tmp_path / "pictures", surroundings())
    sys.stdout.write(f"{found}\n{tmp_path / 'pictures'}\n")
    assert "prompt=examples" in found["best"] and found["verdict"].startswith("better: +") and " to +" in found["verdict"]
    assert found["clicks"] <= 4 and found["excerpts_clicks"] <= 3 and found["answer_s"] <= 60
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 4
