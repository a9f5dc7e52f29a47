from pathlib import Path

import pytest

from stages.llm.cache import Cache, cache_file


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own for every test, with no machine's settings."""
    for variable in ("REFRESH", "BATCH", "NEUROGLOSS_BUDGET_USD", "NEUROGLOSS_CONCURRENCY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    # The test runner's parent is not the stage's.
    monkeypatch.setattr("stages.llm.client.die_with_parent", lambda: None)
    return tmp_path


@pytest.fixture
def cache(repository: Path) -> Cache:
    return Cache(cache_file())
