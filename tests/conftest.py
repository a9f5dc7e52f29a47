import os
from pathlib import Path

import pytest

from neurogloss.artifacts.recordings import Recordings
from tests.tiny import random_recordings, save_tiny_model
from tests.toy import Toy, reproduced

# Tests are of the processor, whatever else the machine has, so that they give the same everywhere; those marked gpu say where they run.
os.environ["NEUROGLOSS_DEVICE"] = "cpu"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked gpu need one."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU that torch can use")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder transformers can load: byte-level tokenizer with BOS, two-layer Llama."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny_model"))


@pytest.fixture(scope="session")
def recordings() -> Recordings:
    """Eight made-up neurons in two layers, one of them silent."""
    return random_recordings()


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A repository with toy stages that has been reproduced, committed and tracked. Read it or copy it, do not change it."""
    return reproduced(tmp_path_factory.mktemp("done") / "toy")
