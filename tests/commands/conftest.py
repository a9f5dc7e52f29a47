from pathlib import Path

import pytest

from tests.commands.made import result


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ and metrics/ as after `dvc repro`; read only."""
    return result(tmp_path_factory.mktemp("finished"))
