"""Gains: what the model says, whatever else is asked in the same run, and each phrase once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from neurogloss.config.endpoints import Price
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import ListPrompt
from neurogloss.errors import UserError
from neurogloss.phrases.profiles import BATCH, Gains

PROMPT = ListPrompt(layout="list", text="the {explanation} and", nothing="dog")
PHRASES = ["cat", "bright sky", "ten birds", "snow", "river; rain", "the the the", "\t\n"]


def model_params(folder: Path, **changed: object) -> ModelParams:
    values = {
        "provider": "local",
        "name": str(folder),
        "revision": None,
        "sha256": None,
        "dtype": "float32",
        "context": 64,
        "base_url_from": None,
        "key_from": None,
        "capabilities": None,
        "price": Price(prompt=0.0, cached_prompt=0.0, completion=0.0),
    }
    return ModelParams.model_validate(values | changed)


@pytest.fixture
def gains(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gains:
    monkeypatch.setenv("NEUROGLOSS_CACHE", str(tmp_path))
    return Gains(model_params(tiny_model), PROMPT)


def test_a_gain_is_the_difference_of_two_plain_forward_passes(gains: Gains) -> None:
    network, tokenizer = gains.open()

    def log_p(text: str) -> torch.Tensor:
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False).input_ids]
        with torch.inference_mode():
            return torch.log_softmax(network(torch.tensor([ids])).logits[0, -1], -1)

    found = gains.of(PHRASES)
    for phrase, row in zip(PHRASES, found, strict=True):
        expected = log_p(f"the {phrase} and") - log_p("the dog and")
        np.testing.assert_allclose(row, expected.numpy(), atol=2e-3)
    assert np.ptp(found) > 0.1


def test_what_else_is_asked_does_not_change_a_gain(gains: Gains, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = gains.of([*PHRASES, *(f"bird {n}" for n in range(2 * BATCH + 3))])
    monkeypatch.setenv("NEUROGLOSS_CACHE", str(tmp_path / "other"))
    alone = np.concatenate([Gains(model_params(tiny_model), PROMPT).of([phrase]) for phrase in PHRASES])
    np.testing.assert_array_equal(together[: len(PHRASES)], alone)


def test_a_phrase_met_before_needs_no_model(gains: Gains, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = gains.of(PHRASES)
    pieces = gains.pieces()
    again = Gains(model_params(tiny_model), PROMPT)
    monkeypatch.setattr(again, "open", lambda: pytest.fail("the model was loaded"))
    np.testing.assert_array_equal(again.of(PHRASES[::-1]), before[::-1])
    assert again.pieces() == pieces


def test_another_prompt_is_another_store(gains: Gains, tiny_model: Path) -> None:
    other = Gains(model_params(tiny_model), PROMPT.model_copy(update={"nothing": "rain"}))
    assert not np.array_equal(other.of(["cat"]), gains.of(["cat"]))


def test_a_model_that_is_not_local_is_refused(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="provider local, got openai"):
        Gains(model_params(tiny_model, provider="openai"), PROMPT)


def test_an_explanation_too_long_for_the_context_is_refused_by_name(gains: Gains) -> None:
    with pytest.raises(UserError, match="does not fit"):
        gains.of(["cat " * 100])
