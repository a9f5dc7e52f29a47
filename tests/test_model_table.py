"""price: auto and context: auto say what the table of the installed LiteLLM says, and nothing from memory."""

import importlib.util
import json
import logging
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from neurogloss.config import models
from neurogloss.config.endpoints import EndpointParams, Price
from neurogloss.config.models import ModelEntry, ModelParams
from neurogloss.config.params import Params, load_params
from neurogloss.errors import UserError

ROOT = Path(__file__).parents[1]
TABLE = {
    "gpt-x": {
        "input_cost_per_token": 4e-07,
        "cache_read_input_token_cost": 1e-07,
        "output_cost_per_token": 1.6e-06,
        "max_input_tokens": 9000,
    },
    "claude-x": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "max_tokens": 200},
}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "model_table", lambda: TABLE)
    models.price_of.cache_clear()


def params(name: str, context: int | str = 100, price: Any = "auto") -> Params:
    entry = ModelEntry.model_validate({"provider": "litellm", "name": name, "context": context})
    changed = {"models": {"it": entry}, "endpoints": {"it": EndpointParams.model_validate({"price": price})}}
    return load_params(ROOT / "params.yaml").model_copy(update=changed)


def test_the_table_says_prices_per_million_and_the_context() -> None:
    found = params("gpt-x", "auto").model("it", "here")
    assert (found.context, found.price) == (9000, Price(prompt=0.4, cached_prompt=0.1, completion=1.6))
    with_service = params("anthropic/claude-x", "auto").model("it", "here")
    assert (with_service.context, with_service.price) == (200, Price(prompt=3.0, cached_prompt=3.0, completion=15.0))


def test_numbers_are_taken_as_they_are() -> None:
    found = params("gpt-x", 5, {"prompt": 7.0}).model("it", "here")
    assert (found.context, found.price.prompt) == (5, 7.0)


def test_a_price_that_nobody_knows_is_0_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert {params("own/model").model("it", "here").price for _ in range(3)} == {Price()}
    assert caplog.text.count("endpoints.*.price is auto and own/model is not in LiteLLM's table") == 1


def test_a_budget_is_refused_where_nobody_knows_the_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", "1")
    with pytest.raises(UserError, match=r"own/model is not in .*, so NEUROGLOSS_BUDGET_USD cannot hold; write the price"):
        params("own/model").model("it", "here")
    assert params("gpt-x").model("it", "here").price.prompt == 0.4


def test_a_context_that_nobody_knows_is_one_line() -> None:
    with pytest.raises(UserError, match=r"models\.\*\.context is auto and own/model is not in .*; write its number of tokens"):
        params("own/model", "auto").model("it", "here")


@pytest.mark.parametrize("write", [lambda path: None, lambda path: path.write_text("no JSON", encoding="utf-8")])
def test_without_litellm_nothing_is_known(write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    write(tmp_path / models.TABLE)
    found = ModuleSpec("litellm", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    models.model_table.cache_clear()
    assert models.in_table("gpt-4.1-mini") == {}
    models.model_table.cache_clear()


def test_the_installed_table_is_read_without_importing_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    pytest.importorskip("litellm", reason="needs neurogloss[litellm]")
    code = (
        "import sys; from pathlib import Path; from neurogloss.config.params import load_params; "
        "found = load_params(Path('params.yaml')).model('openai', 'x'); print(found.price.completion > 0, 'litellm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "True False\n"


def test_the_committed_params_hold_no_price_from_memory() -> None:
    assert load_params(ROOT / "params.yaml").endpoints["openai"].price == "auto"
    assert json.loads(ModelParams(provider="scripted", name="x", context=1).model_dump_json())["price"]["prompt"] == 0
