"""The worked examples run as a reader would run them, on the tiny model."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import yaml

from neurogloss.config.params import Params
from neurogloss.recording.run import read_excerpts
from neurogloss.subject.model import load_subject
from neurogloss.subject.sae.latents import read_coder
from tests.pipeline import tiny_params, write_corpus

ROOT = Path(__file__).parents[1]


def test_the_example_explains_two_neurons_and_draws_them(tiny_model: Path, tmp_path: Path) -> None:
    params = tiny_params(tiny_model, write_corpus(tmp_path / "corpus"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NEUROGLOSS_CACHE": str(tmp_path / "cache"), "DVC_ROOT": str(tmp_path)}
    words = [sys.executable, str(ROOT / "examples" / "one_neuron.py"), "--layer", "1", "--out", "out"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all(line.startswith("L1.N") and "score" in line for line in lines)
    explained = [line for line in lines if "no explanation" not in line]
    pictures = sorted((tmp_path / "out").glob("L1.N*.png"))
    assert len(pictures) == len(explained) > 0
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_the_autoencoder_of_the_example_is_trained_on_the_stream_after_its_layer_and_is_read_as_it_was_trained(
    tiny_model: Path, tmp_path: Path
) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "train_sae.py"))
    params = Params.model_validate(tiny_params(tiny_model, write_corpus(tmp_path / "corpus")))
    subject, whole = load_subject(params.subject), load_subject(params.subject)
    seen = example["stream"](subject, params, 0, 40)
    drawn, _ = read_excerpts(params.corpus, params.record.model_copy(update={"excerpts": 40}), whole)
    tokens = torch.from_numpy(drawn.tokens[~drawn.held_out][:1].astype(np.int64))
    tokens = tokens if whole.bos is None else torch.cat([torch.tensor([[whole.bos]]), tokens], dim=1)
    with torch.inference_mode():
        states = whole.model(input_ids=tokens, output_hidden_states=True).hidden_states[1][0, -drawn.tokens.shape[1] :]
    torch.testing.assert_close(seen[: len(states)], states, rtol=1e-4, atol=1e-4)
    weights = example["train"](seen, 48, 8, 60)
    example["save"](tmp_path / "sae", weights, 8, 0, params)
    file = read_coder(tmp_path / "sae", "sae")
    assert (file.format, file.hook, file.coder.activation, file.coder.k) == ("SAELens", "blocks.0.hook_resid_post", "topk", 8)
    fired = file.coder.fire(seen)
    kept = example["largest"]((seen - weights.b_dec) @ weights.W_enc + weights.b_enc, 8)
    torch.testing.assert_close(file.coder.encode(seen), kept, rtol=1e-4, atol=1e-4)
    left = (seen - file.coder.reconstruct(seen, fired)).square().sum() / (seen - seen.mean(dim=0)).square().sum()
    assert left < 0.6


def test_importing_the_library_loads_no_model_code() -> None:
    code = "import neurogloss, sys; print(sorted({'torch', 'transformers', 'mlflow', 'numpy'} & set(sys.modules)), neurogloss.__all__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ['compare', 'explain'")


def test_every_public_name_is_there_and_documented() -> None:
    import neurogloss

    for name in neurogloss.__all__:
        assert getattr(neurogloss, name).__doc__, name
