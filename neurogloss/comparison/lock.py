"""What dvc.lock says about a result: its key, its params, the MD5 of each output."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neurogloss.artifacts.units import Noun, UnitKind, noun
from neurogloss.comparison.ruler import caution_about, simulator, without_unused
from neurogloss.errors import UserError

WITHOUT_EFFECT = {"capabilities", "headers_from", "key_from", "max_failed_share", "price"}
"""Params of models and stages that change no number."""
RECORDINGS = "data/recordings"
"""What record writes."""
TRACK = "track"
"""The stage that mirrors the others into MLflow; not part of the result."""
ONE_SENSE = 1
"""`refine.senses` where nothing is said of it."""


@dataclass(frozen=True)
class StageLock:
    """One stage as it last ran."""

    params: dict[str, Any]
    """Dotted name -> value, as declared in dvc.yaml: `explain` -> {...}, `prompts.explain.pairs` -> {...}."""
    deps: dict[str, str]
    """Path -> MD5."""
    outs: dict[str, str]
    """Path -> MD5; a folder's ends in .dir."""


@dataclass(frozen=True)
class Lock:
    """The pipeline as it last ran, without the stage that tracks it."""

    stages: dict[str, StageLock] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """sha256 of every output and of every param that can change one: it identifies a result.

        The MD5 of code is left out: a result that edited code reproduces byte for byte is the same result.
        """
        value = {name: {"params": effective(stage.params), "outs": stage.outs} for name, stage in self.stages.items()}
        return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()

    @property
    def outs(self) -> dict[str, str]:
        """MD5 of every output."""
        return {path: md5 for stage in self.stages.values() for path, md5 in stage.outs.items()}

    @property
    def recordings(self) -> str:
        """The start of the MD5 of the recordings: only results of the same can be compared. Empty where there are none."""
        return self.outs.get(RECORDINGS, "")[:8]

    @property
    def code(self) -> str:
        """sha256 over the MD5 of all dependencies that are no output: the code that produced the result."""
        outs = self.outs
        read = {path: md5 for stage in self.stages.values() for path, md5 in stage.deps.items() if path not in outs}
        return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()

    def changes(self, base: "Lock") -> tuple[str, ...]:
        """Params whose value differs from that in `base`: `explain.temperature=0.5`; of prompts only the name."""
        found: dict[str, None] = {}
        for name, stage in self.stages.items():
            before = chosen(base.stages[name].params) if name in base.stages else {}
            for key, value in chosen(stage.params).items():
                if key in before and before[key] != value:
                    prompt = key.startswith("prompts.")
                    found[".".join(key.split(".")[:3]) if prompt else f"{key}={value}"] = None
        return tuple(" ".join(change.split()) for change in found)

    @property
    def simulator(self) -> str | None:
        """The entry of `prompts.simulate` that was used, `auto` resolved; None where the lock does not say."""
        return simulator(self.stages["simulate"].params) if "simulate" in self.stages else None

    @property
    def kind(self) -> UnitKind:
        """What the units of the result are."""
        return UnitKind(self.subject.get("units", UnitKind.NEURONS))

    @property
    def noun(self) -> Noun:
        """What the units are called."""
        return noun(self.kind, bool(self.subject.get("signed")))

    @property
    def subject(self) -> dict[str, Any]:
        """The params of the subject that was recorded; empty where the lock does not say."""
        record = self.stages.get("record")
        subject = record.params.get("subject") if record else None
        return subject if isinstance(subject, dict) else {}

    @property
    def caution(self) -> str:
        """What to know about the simulator; empty where there is nothing."""
        return caution_about(self.stages["simulate"].params) if "simulate" in self.stages else ""

    @property
    def unfinished(self) -> str | None:
        """Why the stages are of different results (one has to run again); None where they are of one."""
        outs = self.outs
        for name, stage in self.stages.items():
            for path, md5 in stage.deps.items():
                if outs.get(path, md5) != md5:
                    return f"{name} read another version of {path}"
        return None


def read_lock(path: Path) -> Lock:
    """Read dvc.lock; raises UserError where there is none."""
    try:
        return parse_lock(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; run `dvc repro` in the folder that holds dvc.yaml first") from error


def read_finished_lock(path: Path) -> Lock:
    """Read dvc.lock; raises UserError where its stages are of different results."""
    lock = read_lock(path)
    if lock.unfinished:
        raise UserError(f"{path} holds parts of two results ({lock.unfinished}); run `dvc repro`")
    return lock


def parse_lock(text: str, place: str) -> Lock:
    """Read the text of a dvc.lock; `place` names it in errors."""
    try:
        raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        stages = {name: stage for name, stage in raw["stages"].items() if name != TRACK}
        return Lock({name: stage_lock(stage) for name, stage in stages.items()})
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{place} is not a lock file of DVC ({type(error).__name__}); restore it with git or run `dvc repro`") from error


def stage_lock(raw: dict[str, Any]) -> StageLock:
    """One stage's entry."""
    params: dict[str, Any] = {}
    for values in raw.get("params", {}).values():
        params.update(values)
    return StageLock(
        read_by(params),
        {dep["path"]: dep["md5"] for dep in raw.get("deps", []) if "md5" in dep},
        {out["path"]: out["md5"] for out in raw.get("outs", []) if "md5" in out},
    )


def read_by(params: dict[str, Any]) -> dict[str, Any]:
    """Of the params that a stage declares those that it reads: prompts that it might have used and did not are left out."""
    return without_unread_refining(with_scorers_chosen(without_unused(params)))


def with_scorers_chosen(params: dict[str, Any]) -> dict[str, Any]:
    """The params with `prompts.score` replaced by those of its prompts that `score.scorers` names: the others change no number.

    >>> with_scorers_chosen({"prompts.score": {"detection": {"layout": "detection"}, "fuzzing": {}}, "score": {"scorers": ["detection"]}})
    {'score': {'scorers': ['detection']}, 'prompts.score.detection': {'layout': 'detection'}}
    """
    prompts = params.get("prompts.score", {})
    named = {f"prompts.score.{name}": prompts[name] for name in params.get("score", {}).get("scorers", []) if name in prompts}
    return {name: value for name, value in params.items() if name != "prompts.score"} | named


def without_unread_refining(params: dict[str, Any]) -> dict[str, Any]:
    """The params without what revision reads where there are no rounds of it, and what senses read where one is enough.

    >>> without_unread_refining({"refine": {"rounds": 0, "senses": 1}, "prompts.refine": {"senses": {}}, "simulate": {}})
    {'refine': {'rounds': 0}, 'simulate': {}}
    >>> without_unread_refining({"refine": {"rounds": 0, "sentences": 9, "senses": 2}, "prompts.refine": {"revise": {}, "senses": {}}})
    {'refine': {'rounds': 0, 'senses': 2}, 'prompts.refine': {'senses': {}}}
    """
    refine, prompts = params.get("refine", {}), params.get("prompts.refine", {})
    if "rounds" not in refine:
        return params
    revised, several = refine["rounds"] != 0, refine.get("senses", ONE_SENSE) != ONE_SENSE
    unread = (set() if revised else {*refine, *prompts} - {"rounds", "senses"}) | (set() if several else {"senses"})
    unread -= {"max_tokens"} if several else set()  # Either reads it.
    kept = {
        name: {key: one for key, one in part.items() if key not in unread}
        for name, part in (("refine", refine), ("prompts.refine", prompts))
    }
    return {name: kept.get(name, value) for name, value in params.items() if kept.get(name, True)}


def chosen(params: dict[str, Any]) -> dict[str, Any]:
    """A stage's params under their dotted names, with one sense where nothing is said of it."""
    found = flat(params)
    return found | ({"refine.senses": ONE_SENSE} if "refine.rounds" in found and "refine.senses" not in found else {})


def effective(params: dict[str, Any]) -> dict[str, Any]:
    """A stage's params without those that change no number.

    >>> effective({"models.gpt": {"name": "gpt", "price": {"prompt": 2.0}}})
    {'models.gpt': {'name': 'gpt'}}
    """
    return {
        name: {key: inner for key, inner in value.items() if key not in WITHOUT_EFFECT}
        if isinstance(value, dict) and not name.startswith("prompts.")
        else value
        for name, value in params.items()
    }


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Dotted names of nested dictionaries' leaves; an empty dictionary and a list are leaves.

    >>> flat({"a": {"b": 1, "c": [2]}, "d": {}})
    {'a.b': 1, 'a.c': [2], 'd': {}}
    """
    if not isinstance(value, dict) or (name and not value):
        return {name: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found.update(flat(inner, f"{name}.{key}" if name else str(key)))
    return found
