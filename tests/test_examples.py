"""The worked example runs as a reader would run it, on the tiny model."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

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


def test_importing_the_library_loads_no_model_code() -> None:
    code = "import neurogloss, sys; print(sorted({'torch', 'transformers', 'mlflow', 'numpy'} & set(sys.modules)), neurogloss.__all__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ['compare', 'explain'")


def test_every_public_name_is_there_and_documented() -> None:
    import neurogloss

    for name in neurogloss.__all__:
        assert getattr(neurogloss, name).__doc__, name
