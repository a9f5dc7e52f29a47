"""Prompts in MLflow's registry: one prompt for each stage, whose versions are the texts that were tried, by alias the name of each variant.

params.yaml is where prompts are written; the registry mirrors what results were made with, so that versions can be read side by side and
lead to the runs and traces that used them.
"""

import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from neurogloss.comparison.lock import Lock
from neurogloss.comparison.ruler import layout

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import PromptVersion

LIMIT = 100_000
"""Characters that the registry accepts; longer texts are in the run's files only."""
SETTINGS_LIMIT = 4000
"""Characters of the tag that holds what is not text."""
DEFAULT = "default"
"""Alias of the version that the reference result was made with."""
VARIABLE = "MLFLOW_EXPERIMENT_ID"
MESSAGES = ("system", "question", "prefix", "examples")
"""Fields of a prompt that become messages; the others are settings."""
FIELD = re.compile(r"(?<!\{)\{([a-z_]+)\}(?!\})")
RESERVED = re.compile(r"latest|v\d+")
"""Aliases that MLflow keeps for itself."""


class Readable(yaml.SafeDumper):
    """YAML with multi-line strings as blocks."""


Readable.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def as_yaml(value: Any) -> str:
    """YAML as params.yaml has it."""
    return str(yaml.dump(value, Dumper=Readable, allow_unicode=True, sort_keys=False, width=10**9))


@dataclass(frozen=True)
class Prompt:
    """A prompt of params.yaml that a result was made with."""

    stage: str
    """Where it stands under `prompts`: explain, refine, simulate, score or vocabulary."""
    variant: str
    """Its name there."""
    value: Any
    """Text, or fields."""

    @property
    def name(self) -> str:
        """`explain.pairs`"""
        return re.sub(r"[^A-Za-z0-9._-]", "_", f"{self.stage}.{self.variant}")

    @property
    def text(self) -> str:
        """All of it, as params.yaml has it."""
        return self.value if isinstance(self.value, str) else as_yaml(self.value)

    @property
    def sha256(self) -> str:
        """Identifies it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def alias(self) -> str:
        """What its version is called."""
        alias = re.sub(r"[^A-Za-z0-9_-]", "_", self.variant)
        return f"the-{alias}" if RESERVED.fullmatch(alias) or alias == DEFAULT else alias

    @property
    def settings(self) -> str:
        """What is not text: layout, marks, limits."""
        found = {key: value for key, value in self.value.items() if key not in (*MESSAGES, "text")} if isinstance(self.value, dict) else {}
        text = as_yaml(found) if found else ""
        return text if len(text) <= SETTINGS_LIMIT else text[:SETTINGS_LIMIT] + "…"

    @property
    def template(self) -> str | list[dict[str, str]]:
        """What a model reads, with `{{name}}` for what is filled in: messages for a chat, with the examples as turns, else one text."""
        if not isinstance(self.value, dict):
            return doubled(str(self.value))
        if "text" in self.value:
            return doubled(str(self.value["text"]))
        turns = [("system", doubled(str(self.value.get("system", ""))))]
        turns += [turn for example in listed(self.value.get("examples", {})) for turn in example_turns(self.stage, example)]
        turns.append(("user", doubled(str(self.value.get("question", "")))))
        if self.value.get("prefix"):
            turns.append(("assistant", str(self.value["prefix"])))
        turns = [(role, text) for role, text in turns if text]
        if self.value.get("form") == "completion":
            return "\n\n".join(text for _, text in turns)
        return [{"role": role, "content": text} for role, text in turns]


def doubled(text: str) -> str:
    """Placeholders as MLflow writes them.

    >>> doubled("What is {excerpts}? {\\"a\\": 1}")
    'What is {{excerpts}}? {"a": 1}'
    """
    return FIELD.sub(r"{{\1}}", text)


def listed(examples: Any) -> Iterable[Any]:
    """Examples with or without names."""
    return examples.values() if isinstance(examples, dict) else examples or ()


def example_turns(stage: str, example: Any) -> list[tuple[str, str]]:
    """An example as it stands in params.yaml: explaining goes from excerpts to a sentence, all else from a sentence to its answer."""
    if not isinstance(example, dict):
        return [("user", as_yaml(example))]
    sentence = "\n".join(example.get("explanations", ())) or str(example.get("explanation", ""))
    rest = {key: value for key, value in example.items() if key not in ("explanations", "explanation")}
    if stage == "explain":
        return [("user", as_yaml(rest)), ("assistant", sentence)]
    answer = {key: rest.pop(key) for key in ("answers", "answer") if key in rest}
    if answer:
        return [("user", f"{sentence}\n{as_yaml(rest)}"), ("assistant", as_yaml(answer))]
    return [("user", sentence), ("assistant", as_yaml(rest))]


def prompts(lock: Lock) -> list[Prompt]:
    """The prompts that models read for this result, sorted by name; those that its stages only declare are left out."""
    found: dict[tuple[str, str], Any] = {}
    for entry in lock.stages.values():
        for key, value in entry.params.items():
            _, _, place = key.partition("prompts.")
            stage, _, variant = place.partition(".")
            if place == "refine" and isinstance(value, dict):
                found |= {("refine", name): inner for name, inner in value.items()}
            elif variant and not variant.endswith(".layout") and value and (isinstance(value, str) or set(value) != {"layout"}):
                found[stage, variant] = value
    return [Prompt(stage, variant, found[stage, variant]) for stage, variant in sorted(found) if used(lock, stage, variant)]


def used(lock: Lock, stage: str, variant: str) -> bool:
    """Whether a declared prompt was read."""
    explain, simulate, refine = (lock.stages[name].params if name in lock.stages else {} for name in ("explain", "simulate", "refine"))
    simulator = lock.simulator
    if stage == "simulate":
        return simulator in (None, variant)
    if stage == "vocabulary":
        concepts = layout(explain, f"explain.{explain.get('explain', {}).get('method')}") == "concepts"
        return concepts or layout(simulate, f"simulate.{simulator}") == "vocabulary"
    if stage == "refine":
        chosen = refine.get("refine", {})
        return chosen.get("senses", 1) > 1 if variant == "senses" else bool(chosen.get("rounds"))
    return True


class Registry:
    """The prompts of one experiment."""

    def __init__(self, client: "MlflowClient", experiment: str) -> None:
        self.client = client
        self.experiment = experiment
        self.prefix = re.sub(r"[^A-Za-z0-9_-]", "_", client.get_experiment(experiment).name)

    def versions(self, stage: str) -> "list[PromptVersion]":
        """All versions of a stage's prompt."""
        from mlflow.exceptions import MlflowException

        try:
            return list(self.client.search_prompt_versions(f"{self.prefix}.{stage}"))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return []

    def register(self, prompt: Prompt, newest: bool = True) -> "PromptVersion | None":
        """The version of exactly this prompt, created if there is none; None for one that is too long.

        A new one takes the variant's alias, unless it is not the `newest` text of that name and another has it.
        """
        template = prompt.template
        if len(str(template)) > LIMIT:
            return None
        known = self.versions(prompt.stage)
        found = next((version for version in known if version.tags.get("sha256") == prompt.sha256), None)
        if found is None:
            tags = {"variant": prompt.variant, "settings": prompt.settings, "sha256": prompt.sha256}
            tags = {key: value for key, value in tags.items() if value}
            name = f"{self.prefix}.{prompt.stage}"
            with in_experiment(self.experiment):
                found = self.client.register_prompt(name, template, commit_message=f"{prompt.variant}, from params.yaml", tags=dict(tags))
            for tag in tags:  # MLflow puts them on the prompt, too, where they would speak of its latest version alone.
                self.client.delete_prompt_tag(name, tag)
            if newest or not any(prompt.alias in version.aliases for version in known):
                self.client.set_prompt_alias(name, prompt.alias, found.version)
        return found

    def mark_default(self, lock: Lock) -> None:
        """Give the alias `default` to the versions that the reference result was made with."""
        for prompt in prompts(lock):
            known = self.versions(prompt.stage)
            found = next((version for version in known if version.tags.get("sha256") == prompt.sha256), None)
            if found is not None and DEFAULT not in found.aliases:
                self.client.set_prompt_alias(found.name, DEFAULT, found.version)


@contextmanager
def in_experiment(experiment: str) -> Iterator[None]:
    """New prompts go into this experiment, whose Prompts tab shows them; MLflow takes it from the environment, else it is number 0.

    It notes that in a thread of its own, which is waited for.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = experiment
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
    for thread in threading.enumerate():
        if thread.name.startswith("link_prompt_to_experiment"):
            thread.join()
