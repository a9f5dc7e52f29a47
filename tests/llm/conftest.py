from pathlib import Path

import pytest

from neurogloss.llm.cache import Cache, cache_file


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own for every test, with no machine's settings."""
    for variable in ("REFRESH", "BATCH", "NEUROGLOSS_BUDGET_USD", "NEUROGLOSS_CONCURRENCY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("NEUROGLOSS_RETRY_S", "3")
    return tmp_path


@pytest.fixture
def cache(repository: Path) -> Cache:
    return Cache(cache_file())
