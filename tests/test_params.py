"""params.yaml is in the format that DVC writes: a changed value is a changed line, and comments stay."""

import difflib
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from neurogloss.config.params import load_params
from neurogloss.errors import UserError

PARAMS = Path(__file__).parent.parent / "params.yaml"


def lines_changed(path: Path, *overrides: str) -> list[str]:
    """Lines that `dvc exp run -S ...` removes and adds, as a diff shows them."""
    before = path.read_text(encoding="utf-8").splitlines()
    apply_overrides(path, list(overrides))
    after = path.read_text(encoding="utf-8").splitlines()
    return [line for line in difflib.ndiff(before, after) if line[0] in "+-"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy(PARAMS, tmp_path / "params.yaml"))


def test_the_file_is_as_dvc_writes_it(copy: Path) -> None:
    assert lines_changed(copy) == []


@pytest.mark.parametrize(
    ("override", "before", "after"),
    [
        ("explain.concepts.phrases=2", "    phrases: 3", "    phrases: 2"),
        ("explain.method=highlight", "  method: concepts", "  method: highlight"),
        ("simulate.method=generated", "  method: auto", "  method: generated"),
        ("record.neurons=all", "  neurons: 8", "  neurons: all"),
        ("score.controls=4", "  controls: auto", "  controls: 4"),
        ("models.server.name=llama", "    name: what-the-server-calls-it", "    name: llama"),
        ("models.openai.context=64000", "    context: 128000", "    context: 64000"),
        ("prompts.explain.highlight.mark_from=5", "      mark_from: 3", "      mark_from: 5"),
        ("prompts.simulate.all_at_once.unknown=x", "      unknown: unknown", "      unknown: x"),
    ],
)
def test_a_changed_value_is_one_changed_line(override: str, before: str, after: str, copy: Path) -> None:
    removed, added = lines_changed(copy, override)
    assert removed.startswith("- ") and removed.endswith(before)
    assert added.startswith("+ ") and added.endswith(after)


@pytest.mark.parametrize(
    "overrides",
    [
        ("explain.method=token_list",),
        ("explain.method=pairs", "explain.model=openai"),
        ("explain.method=highlight", "simulate.method=all_at_once"),
        ("simulate.method=generated", "simulate.model=server"),
        ("score.scorers=[detection,fuzzing]", "score.model=openai"),
        ("subject.model=openai-community/gpt2", "~subject.sha256"),
        ("+subject.dtype=bfloat16", "+models.server.key_from=MY_KEY"),
        ("~prompts.explain.pairs.examples.years",),
    ],
)
def test_a_variant_on_the_command_line_is_read(overrides: tuple[str, ...], copy: Path) -> None:
    assert lines_changed(copy, *overrides)
    load_params(copy)


@pytest.mark.parametrize(
    ("scorers", "message"),
    [
        ("[detection,fuzing]", "score.scorers: there is no 'fuzing' under prompts.score; did you mean 'fuzzing'?"),
        ("[detection,detection]", "score.scorers: 2 of the layout detection; at most one"),
    ],
)
def test_a_scorer_that_is_not_there_or_stands_twice_is_named(scorers: str, message: str, copy: Path) -> None:
    lines_changed(copy, f"score.scorers={scorers}")
    with pytest.raises(UserError) as raised:
        load_params(copy)
    assert message in str(raised.value)
