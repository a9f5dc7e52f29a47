"""The benchmark for a GPU runs on what a bare machine has, and its figures are there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BARE = """
import importlib.metadata as metadata, re, runpy, sys
from importlib.machinery import PathFinder

ours = {"neurogloss", "benchmarks", "stages"}

def closure(names):
    found, left = set(), list(names)
    while left:
        name = re.sub("[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        found.add(name)
        try:
            left += [re.match(r"[\\w.-]+", need)[0] for need in metadata.requires(name) or [] if "extra ==" not in need]
        except metadata.PackageNotFoundError:
            pass
    return found

there = closure(["torch", "transformers", "numpy", "pyarrow", "pydantic", "numba"])
owners = metadata.packages_distributions().items()
bare = {module for module, names in owners if all(re.sub("[-_.]+", "-", name).lower() not in there for name in names)}

real = PathFinder.find_spec
PathFinder.find_spec = classmethod(lambda cls, name, *rest: None if name.split(".")[0] in bare - ours else real(name, *rest))
assert "jaxtyping" in bare and "accelerate" in bare
sys.argv = ["benchmarks.gpu", "--tiny", "--out", sys.argv[1]]
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""


@pytest.mark.slow  # three models, each recorded several times in a process of its own
def test_it_runs_on_a_processor_with_the_packages_of_a_bare_machine(tmp_path: Path) -> None:
    environment = {**os.environ, "NEUROGLOSS_RECORDER": "device", "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", BARE, str(tmp_path / "gpu.json")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8")) == found
    for name in ("gpt2_xl_ratio", "gpt2_xl_ratio_table", "llama_8b_ratio", "gpt2_ratio_fp32", "gpt2_xl_end_to_end_s", "gpt2_tokens_per_s"):
        assert found[name] > 0, name
    assert (found["device"], found["operations"], found["transformer_lens_ratio"]) == ("cpu", "TorchOperations", None)
