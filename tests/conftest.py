from pathlib import Path

import pytest

from neurogloss.artifacts.recordings import Recordings
from tests.tiny import random_recordings, save_tiny_model
from tests.toy import Toy, reproduced


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
