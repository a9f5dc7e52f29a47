"""Which stages have to run before dvc.lock fits what is here, and why. Needs no data: what is absent counts as what dvc.lock says."""

from pathlib import Path
from typing import Any

from neurogloss.comparison.lock import TRACK, flat, read_by
from neurogloss.comparison.revisions import open_dvc

ABSENT = ("deleted", "not in cache")


def stale_stages(root: Path) -> dict[str, list[str]]:
    """Stage -> what changed since it ran; the stage that mirrors a result and params that it does not read are left out."""
    stages = [stage for stage in open_dvc(root).index.stages if getattr(stage, "name", TRACK) != TRACK]
    made = {out.fs_path: out.hash_info for stage in stages for out in stage.outs}
    found = {stage.name: reasons(stage, made) for stage in stages}
    return {name: why for name, why in found.items() if why}


def reasons(stage: Any, made: dict[str, Any]) -> list[str]:
    """What changed since one stage ran."""
    found = ["its command in dvc.yaml"] if stage.changed_stage() else []
    for dep in stage.deps:
        status = dep.status().get(str(dep))
        if isinstance(status, dict):
            found += params_changed(dep)
        elif status in ABSENT and dep.fs_path in made:
            found += [f"another version of {dep}"] if dep.hash_info != made[dep.fs_path] else []
        elif status:
            found.append(f"{dep} ({status})")
    for out in stage.outs:
        status = out.status().get(str(out))
        found += [f"{out} ({status})"] if status and status not in ABSENT else []
    return found


def params_changed(dep: Any) -> list[str]:
    """Values that the stage reads and that differ from those in dvc.lock."""
    locked, present = (flat(read_by(dict(values or {}))) for values in (dep.hash_info.value, dep.read_params()))
    names = [name for name in {**present, **locked} if locked.get(name) != present.get(name)]
    return [f"{name}: {shown(locked.get(name))} in dvc.lock, {shown(present.get(name))} in {dep}" for name in names]


def shown(value: Any) -> str:
    """A value on part of a line."""
    text = "nothing" if value is None else " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"
