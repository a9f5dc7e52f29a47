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

from docs.tables import documents

ROOT = Path(__file__).parents[1]
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, Any] = PIPELINE["stages"]
PLUMBING = (
    "cli/",
    "viewer/",
    "errors.py",
    "memory.py",
    "parallel.py",
    "config/environment.py",
    "config/params.py",
    "config/watch.py",
    "config/secrets.py",
    "config/section.py",
    "config/endpoints.py",
    "config/limits.py",
    "config/track.py",
    "config/trust.py",
)
"""What changes only messages, pictures, speed, cost or place; params.py has no defaults, so it can refuse a value but not make one.

The sections that it puts together do have defaults: each is a dependency of the stages that read it.
"""


def module_file(name: str) -> Path | None:
    """The file of a module of this project; packages hold a docstring and nothing else, so they do not count."""
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return path if name.startswith(("neurogloss.", "stages.")) and path.is_file() else None


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
    """All files a stage's code reaches, relative to the root, plumbing left out."""
    waiting, seen = {ROOT / "stages" / f"{stage}.py"}, set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        found = {
            file for file in imports(path) if not str(file.relative_to(ROOT)).startswith(tuple(f"neurogloss/{name}" for name in PLUMBING))
        }
        waiting |= found - seen
    return {str(path.relative_to(ROOT)) for path in seen}


def data_files(stage: str) -> set[str]:
    """Data files of the package that lie beside a module the stage reaches: what `importlib.resources` can open there."""
    folders = {(ROOT / path).parent for path in closure(stage) if path.startswith("neurogloss/")}
    found = {file for folder in folders for file in folder.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    return {str(file.relative_to(ROOT)) for file in found}


def paths(entries: list[Any]) -> set[str]:
    """Paths of deps or outs, with or without options."""
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def covers(listed: str, file: str) -> bool:
    """Whether a dependency is the file or a folder above it."""
    return file == listed or file.startswith(f"{listed}/")


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_that_a_stage_reaches_is_under_a_dependency(stage: str) -> None:
    listed = {path for path in paths(STAGES[stage]["deps"]) if path.startswith(("stages/", "neurogloss/"))}
    needed = closure(stage) | data_files(stage) | section_files(stage)
    if stage == "track":  # It copies a result and computes none: its receipt depends on nothing that reads or draws.
        needed = {file for file in needed if file.startswith(("stages/", "neurogloss/comparison/", "neurogloss/tracking/"))}
    missing = sorted(file for file in needed if not any(covers(path, file) for path in listed))
    assert not missing, f"add to deps of {stage} in dvc.yaml: {missing}"
    idle = sorted(path for path in listed if not any(covers(path, file) for file in needed))
    assert not idle, f"remove from deps of {stage}: {idle}"


def test_the_bank_is_a_dependency_of_explain_and_plumbing_of_no_stage() -> None:
    assert "neurogloss/phrases/banks/english.txt" in data_files("explain")
    listed = {path for stage in STAGES.values() for path in paths(stage["deps"])}
    files = [str(file.relative_to(ROOT)) for name in PLUMBING for file in [ROOT / "neurogloss" / name]]
    assert not [file for file in files for path in listed if covers(path, file) or covers(file, path)]


def test_dvc_yaml_and_the_stages_stay_short() -> None:
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 120
    for file in (ROOT / "stages").glob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 60, file


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_on_a_command_line_is_declared_and_every_data_path_is_on_it(stage: str) -> None:
    spec = STAGES[stage]
    words = shlex.split(spec["cmd"])
    named = {word for word in words if word.startswith(("data/", "metrics/", ".track/"))}
    outs = paths([*spec.get("outs", []), *spec.get("metrics", []), *spec.get("plots", [])])
    data = {path for path in paths(spec["deps"]) if path.startswith("data/")} | {path for path in outs if not path.startswith("metrics/")}
    assert named == data, f"{stage}: command line names {sorted(named)}, deps and outs are {sorted(data)}"


def sections_read(path: Path) -> set[str]:
    """Sections of the params that a file reads: attributes of an argument of type Params, or of what load_params gives."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            whole = {arg.arg for arg in node.args.args if getattr(arg.annotation, "id", "") == "Params"}
            inner = [inner for inner in ast.walk(node) if isinstance(inner, ast.Attribute)]
            found |= {one.attr for one in inner if getattr(one.value, "id", None) in whole}
            found |= {one.attr for one in inner if isinstance(one.value, ast.Call) and getattr(one.value.func, "id", "") == "load_params"}
    return {"models" if name == "model" else name for name in found}


WITHOUT_EFFECT = {"endpoints", "limits", "track"}
"""Sections that change no number: no stage depends on them, so that another price reruns nothing."""


def sections_of(stage: str) -> set[str]:
    """Sections of the params that a stage's code reads and that can change a number."""
    return {name for path in closure(stage) for name in sections_read(ROOT / path)} - WITHOUT_EFFECT


def section_files(stage: str) -> set[str]:
    """Where the sections that a stage reads have their defaults."""
    return {f"neurogloss/config/{name}.py" for name in sections_of(stage)}


@pytest.mark.parametrize("stage", STAGES)
def test_every_section_of_params_a_stage_reads_is_declared(stage: str) -> None:
    declared = {str(entry).split(".")[0] for entry in STAGES[stage].get("params", []) if isinstance(entry, str)}
    read = sections_of(stage)
    if stage != "track":
        assert read == declared, f"{stage} reads {sorted(read)}, dvc.yaml declares {sorted(declared)}"


def test_each_section_has_a_file_of_its_own_and_params_py_no_default() -> None:
    from neurogloss.config.params import Params

    for name, field in Params.model_fields.items():
        assert (ROOT / "neurogloss" / "config" / f"{name}.py").is_file() and (field.is_required() or name in WITHOUT_EFFECT), name


def test_the_stages_stand_in_the_order_in_which_they_run_each_with_a_description() -> None:
    assert list(STAGES) == ["record", "explain", "refine", "simulate", "score", "track"]
    assert all(spec["desc"] for spec in STAGES.values())


def test_the_documents_say_what_dvc_yaml_and_the_metrics_say() -> None:
    for path, text in documents(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date; run `make flow`"


NOT_THE_USERS = {"XDG_CACHE_HOME", "DVC_EXP_BASELINE_REV", "DVC_EXP_NAME", "DVC_NO_ANALYTICS", "GOMP_SPINCOUNT"}
"""Set by the system, by DVC, or for a library."""


def test_every_variable_that_is_read_stands_in_the_table_of_the_machine() -> None:
    pattern = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\(|positive\(|flag\()["']([A-Z][A-Z_]+)["']""")
    read = {name for file in (ROOT / "neurogloss").rglob("*.py") for name in pattern.findall(file.read_text(encoding="utf-8"))}
    assert {"NEUROGLOSS_MEMORY_MB", "ENGINE", "BATCH"} <= read
    listed = set(
        re.findall(r"^([A-Z_]{5,})[ =]", (ROOT / "neurogloss" / "config" / "environment.py").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert not read - listed - NOT_THE_USERS, "name them in the docstring of neurogloss/config/environment.py and run `make flow`"
