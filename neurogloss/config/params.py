"""Everything that can change a number, as read from params.yaml: its sections put together, and what is said about mistakes.

A section that is read decides over what is computed, so each has a file of its own, its defaults included, which the stages
that read it depend on. Here no value is made; a value is only refused.
"""

import difflib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import Field, ValidationError

from neurogloss.config.choice import AUTO
from neurogloss.config.corpus import CorpusParams
from neurogloss.config.directions import DirectionsParams
from neurogloss.config.endpoints import EndpointParams
from neurogloss.config.explain import ExplainParams
from neurogloss.config.limits import LimitParams
from neurogloss.config.models import ModelEntry, ModelParams
from neurogloss.config.prompts import Prompts
from neurogloss.config.record import RecordParams
from neurogloss.config.refine import RefineParams
from neurogloss.config.score import ScoreParams
from neurogloss.config.secrets import shown
from neurogloss.config.section import HIDDEN, Section
from neurogloss.config.simulate import SimulateParams
from neurogloss.config.subject import SubjectParams
from neurogloss.config.track import DEFAULT as TRACK
from neurogloss.config.track import TrackParams
from neurogloss.config.vocabulary import VocabularyParams
from neurogloss.config.watch import WatchParams
from neurogloss.errors import UserError

RENAMED = {"explain": {"token_list": "tokens"}, "simulate": {"list": "vocabulary"}}
"""Prompts that were chosen by `explain.prompt` and `simulate.prompt` under another name."""


class Params(Section):
    """The whole of params.yaml."""

    subject: SubjectParams
    corpus: CorpusParams
    watch: WatchParams
    record: RecordParams
    vocabulary: VocabularyParams
    explain: ExplainParams
    refine: RefineParams
    directions: DirectionsParams
    simulate: SimulateParams
    score: ScoreParams
    models: dict[str, ModelEntry]
    prompts: Prompts
    endpoints: dict[str, EndpointParams] = Field(default_factory=dict)
    limits: LimitParams = LimitParams()
    track: TrackParams = TRACK

    def model(self, name: str, asked_by: str) -> ModelParams:
        """The model of this name; UserError names the key that asked for it."""
        if name not in self.models:
            raise UserError(f"{asked_by}: there is no model {name!r}; there are: {', '.join(self.models)}")
        return ModelParams(**{**dict(self.models[name]), **dict(self.endpoints.get(name, EndpointParams()))})


def load_params(path: Path) -> Params:
    """Read and check params.yaml; raises UserError with every problem at once."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; run in the folder that holds it or name it with --params") from error
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path} holds {type(raw).__name__}, expected sections such as record: and explain:")
    try:
        params = Params.model_validate(raw)
        problems = unknown_names(params)
    except ValidationError as error:
        problems = [problem(dict(found)) for found in error.errors()]
    if problems:
        raise UserError(f"{path.name} has {len(problems)} problem(s):\n" + "\n".join(f"  {line}" for line in problems))
    return params


def unknown_names(params: Params) -> list[str]:
    """Where a choice names nothing that is there."""
    chosen: list[tuple[str, str, str, Mapping[str, Section]]] = [
        ("vocabulary.prompt", params.vocabulary.prompt, "prompts.vocabulary", params.prompts.vocabulary),
        ("explain.method", params.explain.method, "prompts.explain", params.prompts.explain),
        ("simulate.method", params.simulate.method, "prompts.simulate", params.prompts.simulate),
        *(("score.scorers", name, "prompts.score", params.prompts.score) for name in params.score.scorers),
    ]
    problems = []
    for key, name, place, there in chosen:
        if name not in there:
            close = difflib.get_close_matches(name, there, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(there) or 'none'}"
            problems.append(f"{key}: there is no {name!r} under {place}; {hint}")
    layouts = {name: str(prompt.layout) for name, prompt in params.prompts.simulate.items()}
    if layouts.get(params.simulate.method) == "auto":
        needed = [name for name in AUTO if layouts.get(name) != name]
        problems += [f"simulate.method: auto needs prompts.simulate.{name} of layout {name}; restore it" for name in needed]
    scored = [params.prompts.score[name].layout for name in params.score.scorers if name in params.prompts.score]
    problems += [f"score.scorers: {count} of the layout {layout}; at most one" for layout, count in Counter(scored).items() if count > 1]
    lost = [name for name in params.endpoints if name not in params.models]
    return problems + [f"endpoints.{name}: there is no model {name!r}; there are: {', '.join(params.models)}" for name in lost]


def problem(found: dict[str, Any]) -> str:
    """One line: where, what is wrong, and what was probably meant."""
    place = [str(part) for part in found["loc"]]
    if found["type"] == "extra_forbidden":
        if place in (["explain", "prompt"], ["simulate", "prompt"]):
            return instead(place[0], str(found["input"]))
        if place[0] == "models" and place[-1] in EndpointParams.model_fields:
            return f"{'.'.join(place)}: what changes no number is under endpoints.{place[1]}.{place[-1]}"
        if place[-1] in LimitParams.model_fields:
            return f"{'.'.join(place)}: it is limits.{place[-1]} now, one for all stages"
        close = difflib.get_close_matches(place[-1], keys_beside(place[:-1]), n=1)
        return ".".join(place) + ": unknown key" + (f"; did you mean {close[0]!r}?" if close else "")
    if found["type"] == "missing":
        return ".".join(place) + ": missing"
    message = found["msg"] if found["type"] == HIDDEN else f"{found['msg'][:1].lower()}{found['msg'][1:]}, got {shown(found['input'])}"
    return f"{'.'.join(place)}: {message}"


def instead(section: str, prompt: str) -> str:
    """What to write where `explain.prompt` or `simulate.prompt` chose a prompt."""
    name = RENAMED[section].get(prompt, prompt)
    return f"{section}.prompt: {section}.method names the prompt now; remove this line or write {section}.method: {name}"


def keys_beside(place: list[str]) -> list[str]:
    """Keys that exist at this place of params.yaml."""
    section: Any = Params
    for part in place:
        fields = getattr(section, "model_fields", {})
        annotation = fields[part].annotation if part in fields else None
        options = (*get_args(annotation), annotation)
        section = next((option for option in options if isinstance(option, type) and issubclass(option, Section)), None)
    return list(getattr(section, "model_fields", {}))
