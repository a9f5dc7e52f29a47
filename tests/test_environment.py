"""Speed and place come from the environment; what cannot be meant is one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurogloss.config import environment
from neurogloss.errors import UserError


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", " 4", "٤x"])
def test_a_number_that_is_none_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NEUROGLOSS_MEMORY_MB", value)
    with pytest.raises(UserError, match="NEUROGLOSS_MEMORY_MB is .*, expected a positive whole number"):
        environment.memory_mb()


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_MEMORY_MB", "")
    assert environment.memory_mb() == 1500
    monkeypatch.setenv("NEUROGLOSS_MEMORY_MB", "64")
    assert environment.memory_mb() == 64


def test_the_cache_folder_is_the_one_named_else_that_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NEUROGLOSS_CACHE", raising=False)
    assert environment.cache_folder() == tmp_path / "neurogloss"
    monkeypatch.setenv("NEUROGLOSS_CACHE", str(tmp_path / "here"))
    assert environment.cache_folder() == tmp_path / "here"


@pytest.mark.parametrize(("chosen", "expected"), [(None, "30000"), ("7", "7")])
def test_waiting_threads_leave_the_processor_to_others_unless_the_user_says_otherwise(chosen: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    environment |= {} if chosen is None else {"GOMP_SPINCOUNT": chosen}
    code = "import neurogloss.config.environment, os, sys; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected, "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere than in glibc nothing is kept")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    code = """
import torch
from neurogloss.memory import give_back_freed_memory, keep_freed_memory
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
keep_freed_memory()
begin = resident()
large, last = [torch.ones(1_000_000) for _ in range(50)], torch.ones(100_000)
del large
kept = resident() - begin
give_back_freed_memory()
print(round(kept), round(resident() - begin))
"""
    kept, left = map(int, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert kept > 190
    assert left < 50
