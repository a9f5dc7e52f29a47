"""dvc.yaml says the truth: every module a stage imports, every file on its command line, every section of params it reads.

DVC follows no imports. What is missing here is a stale result later, so a failing test prints the lines to add.
"""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.documents import documents

ROOT = Path(__file__).parents[1]
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, Any] = PIPELINE["stages"]
NOT_RESULTS = {"stages/command.py", "stages/errors.py", "stages/machine.py", "stages/params.py", "stages/section.py"}
"""What changes only messages, speed or place; params.py has no defaults, so it can refuse a value but not make one."""


def module_file(name: str) -> Path | None:
    """The file of a module of this project; packages hold a docstring and nothing else, so they do not count."""
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return path if name.startswith("stages.") and path.is_file() else None


def imports(path: Path) -> set[Path]:
    """Files of this project that a file imports, also inside functions and by name."""
    found: set[Path | None] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {module_file(node.module), *(module_file(f"{node.module}.{alias.name}") for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {module_file(alias.name) for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            found |= {module_file(str(getattr(argument, "value", ""))) for argument in node.args}
    return {file for file in found if file}


def closure(stage: str) -> set[str]:
    """All files a stage's code reaches, relative to the root."""
    waiting, seen = {ROOT / "stages" / f"{stage}.py"}, set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= {file for file in imports(path) if str(file.relative_to(ROOT)) not in NOT_RESULTS} - seen
    return {str(path.relative_to(ROOT)) for path in seen}


def paths(entries: list[Any]) -> set[str]:
    """Paths of deps or outs, with or without options."""
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_a_stage_imports_is_a_dependency(stage: str) -> None:
    listed = {path for path in paths(STAGES[stage]["deps"]) if path.startswith("stages/") and path.endswith(".py")}
    needed = closure(stage)
    missing = "".join(f"\n      - {path}" for path in sorted(needed - listed))
    assert not needed - listed, f"add to deps of {stage} in dvc.yaml:{missing}"
    assert not listed - needed, f"remove from deps of {stage}: {sorted(listed - needed)}"


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_on_a_command_line_is_declared_and_every_data_path_is_on_it(stage: str) -> None:
    spec = STAGES[stage]
    words = shlex.split(spec["cmd"])
    named = {word for word in words if word.startswith(("data/", "metrics/", ".track/"))}
    outs = paths([*spec.get("outs", []), *spec.get("metrics", []), *spec.get("plots", [])])
    data = {path for path in paths(spec["deps"]) if path.startswith("data/")} | {path for path in outs if not path.startswith("metrics/")}
    assert named == data, f"{stage}: command line names {sorted(named)}, deps and outs are {sorted(data)}"


@pytest.mark.parametrize("stage", STAGES)
def test_every_section_of_params_a_stage_reads_is_declared(stage: str) -> None:
    declared = {str(entry).split(".")[0] for entry in STAGES[stage].get("params", []) if isinstance(entry, str)}
    read: set[str] = set()
    for path in closure(stage):
        read |= set(re.findall(r"\bsettings\.(\w+)", (ROOT / path).read_text(encoding="utf-8")))
    read = {"models" if name == "model" else name for name in read}
    if stage != "track":
        assert read == declared, f"{stage} reads {sorted(read)}, dvc.yaml declares {sorted(declared)}"


def test_the_stages_stand_in_the_order_in_which_they_run_each_with_a_description() -> None:
    assert list(STAGES) == ["record", "explain", "simulate", "score", "track"]
    assert all(spec["desc"] for spec in STAGES.values())


def test_the_documents_say_what_dvc_yaml_and_the_metrics_say() -> None:
    for path, text in documents(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date; run `make flow`"


NOT_THE_USERS = {"XDG_CACHE_HOME", "DVC_EXP_BASELINE_REV", "DVC_EXP_NAME", "DVC_NO_ANALYTICS", "GOMP_SPINCOUNT"}
"""Set by the system, by DVC, or for a library."""


def test_every_variable_that_is_read_stands_in_the_table_of_the_machine() -> None:
    pattern = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\(|positive\(|flag\()["']([A-Z][A-Z_]+)["']""")
    read = {name for file in (ROOT / "stages").rglob("*.py") for name in pattern.findall(file.read_text(encoding="utf-8"))}
    assert {"NEUROGLOSS_MEMORY_MB", "ENGINE", "BATCH"} <= read
    listed = set(re.findall(r"^([A-Z_]{5,})[ =]", (ROOT / "stages" / "machine.py").read_text(encoding="utf-8"), re.MULTILINE))
    assert not read - listed - NOT_THE_USERS, "name them in the docstring of stages/machine.py and run `make flow`"
