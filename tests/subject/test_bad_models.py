"""Checkpoints that cannot be a subject, and texts that do not fit one, are one line each."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurogloss.config.subject import SubjectParams
from neurogloss.corpus.windows import Excerpts
from neurogloss.errors import UserError
from neurogloss.recording.run import check_fits
from neurogloss.subject.model import load_subject


@pytest.mark.parametrize(
    "change",
    [
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        {"hidden_size": "big"},
        {"num_hidden_layers": None},
        {"intermediate_size": 64},
    ],
    ids=["gptq", "text", "null", "shape"],
)
def test_a_checkpoint_that_cannot_be_loaded_is_one_line(change: dict[str, Any], tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(UserError, match="cannot be loaded as a causal language model .*; check subject.model") as raised:
        load_subject(SubjectParams.model_validate({"model": str(tmp_path / "m")}))
    assert "\n" not in str(raised.value)


def test_excerpts_that_do_not_fit_the_model_are_one_line(tiny_model: Path) -> None:
    subject = load_subject(SubjectParams.model_validate({"model": str(tiny_model)}))
    fits = Excerpts(["d"], np.zeros(1, np.int32), np.zeros((1, 512), np.int32), np.zeros(1, bool))
    check_fits(subject, "tiny", fits)
    with pytest.raises(UserError, match=r"record.tokens is 513, and tiny has 512 places"):
        check_fits(subject, "tiny", replace(fits, tokens=np.zeros((1, 513), np.int32)))
    with pytest.raises(UserError, match=r"gives the token 9999, and its embedding has \d+ rows"):
        check_fits(subject, "tiny", replace(fits, tokens=np.full((1, 5), 9999, np.int32)))
