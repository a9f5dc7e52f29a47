"""The client at servers that people really use, the embedded model behind them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.prompts import AllAtOncePrompt, CompactPrompt, GeneratedPrompt
from neurogloss.errors import UserError
from neurogloss.explainers.prompted import explain_prompted
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.client import CachedClient, open_client
from neurogloss.llm.request import Capability, Reply
from neurogloss.simulators import all_at_once, compact, generated
from neurogloss.simulators.result import SimulatedLevels
from tests.explainers.test_prompted import PARAMS, PROMPTS, settings, words
from tests.llm import real_servers
from tests.llm.asking import model, question
from tests.tiny import random_recordings

SAID = {Status.OK, Status.UNPARSABLE, Status.CUT_OFF, Status.REFUSED}
"""What a small model that answers can come to; a server that fails would be `unanswered`."""
QUESTIONS = [question(f"question {number}", max_tokens=8) for number in range(6)]
ASKER = """
from neurogloss.llm.client import open_client
from tests.llm.asking import model
from tests.llm.test_real_servers import QUESTIONS
with open_client("gpt", model(revision="served", name={name!r}, capabilities=[])) as client:
    client.ask(QUESTIONS, "")
"""
MOST_TOKENS = 30
"""Of an answer: a small model writes as many as it may, and what it writes is not looked at."""


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return random_recordings(layers=1, per_layer=4, tokens=8, per_split=2)


@pytest.fixture(scope="module")
def gguf() -> Path:
    found = real_servers.embedded()
    if found is None:
        pytest.skip("the embedded model is not fetched yet: `dvc repro record` does it")
    return found


@pytest.fixture(scope="module")
def folder(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_servers.as_folder(gguf, tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="module")
def llama_cpp(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("xllamacpp", reason="`pip install xllamacpp` brings llama.cpp's own server")
    with real_servers.llama_cpp(gguf, tmp_path_factory.mktemp("llama") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def transformers_serve(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_servers.transformers_serve(folder, tmp_path_factory.mktemp("serve") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def vllm(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if real_servers.vllm_python() is None:
        pytest.skip(real_servers.VLLM_ADVICE)
    with real_servers.vllm(folder, tmp_path_factory.mktemp("vllm") / "log") as url:
        yield url


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setenv("NEUROGLOSS_RETRY_S", "60")


def levels_of(method: str, recordings: Recordings, name: str, excerpts: int = 2, **changed: object) -> SimulatedLevels:
    """Simulations of some excerpts of one neuron through the endpoint."""
    rows, slots = np.array([0]), recordings.slots.where(Split.SCORE)[:excerpts]
    prompt, asked = PARAMS.prompts.simulate[method], model(revision="served", name=name, **changed)
    texts: list[str | None] = ["words such as w3, w4 and w5"]
    with open_client("gpt", asked) as client:
        if isinstance(prompt, AllAtOncePrompt):
            # A thousand alternatives for every token of the prompt take vLLM a minute with all the examples.
            prompt = prompt.model_copy(update={"examples": dict(list(prompt.examples.items())[:1])})
            return all_at_once.simulate(recordings, rows, slots, texts, client, prompt, asked)
        prompt = prompt.model_copy(update={"max_tokens": MOST_TOKENS, "tries": 1})
        if isinstance(prompt, CompactPrompt):
            return compact.simulate(recordings, rows, slots, texts, client, prompt, asked)
        assert isinstance(prompt, GeneratedPrompt)
        return generated.simulate(recordings, rows, slots, texts, client, prompt, asked)


def works(url: str, name: str, recordings: Recordings, monkeypatch: pytest.MonkeyPatch, methods: tuple[str, ...]) -> set[Capability]:
    """Explaining and simulating get what the model says, and nothing is asked for twice; what the server offers."""
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with open_client("gpt", model(revision="served", name=name)) as client:
        offered: set[Capability] = {one for one in get_args(Capability) if client.offers(one)}
    found = []
    for _ in range(2):
        with open_client("gpt", model(revision="served", name=name)) as client:
            asked = settings(method="tokens", temperature=0.0, max_tokens=12)
            candidates = explain_prompted(
                recordings, np.array([0, 1]), PROMPTS["tokens"], asked, model(revision="served", name=name), words, client
            )
        statuses = {CODES[code] for method in methods for code in levels_of(method, recordings, name).status.ravel()}
        found.append((candidates, statuses))
        # A rerun reaches nobody.
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        cache = Cache(cache_file())
        cache.change("UPDATE endpoints SET base_url = 'http://127.0.0.1:9/v1'")
        cache.close()
    assert found[0] == found[1]
    assert {one.status for several in found[0][0] for one in several} | found[0][1] <= SAID
    return offered


def survives(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was answered before a kill is kept; the next run asks the rest, and one more reaches nobody."""
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("NEUROGLOSS_CONCURRENCY", "1")
    process = subprocess.Popen([sys.executable, "-c", ASKER.format(name=name)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while kept() < 2 and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = kept()
    assert before >= 2
    for _ in range(2):
        with open_client("gpt", model(revision="served", name=name, capabilities=[])) as client:
            assert isinstance(client, CachedClient)
            answers = client.ask(QUESTIONS, "")
            assert all(isinstance(answer, Reply) for answer in answers)
            assert client.tally.cached == before
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        before = len(QUESTIONS)


def kept() -> int:
    cache = Cache(cache_file())
    try:
        return len(list(cache.rows()))
    finally:
        cache.close()


def test_llama_cpp_answers_and_refuses_an_echo_in_one_line(llama_cpp: str, recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", llama_cpp)
    with open_client("gpt", model(revision="served", name="smol", capabilities=[])) as client:
        answers = client.ask([question(f"say {number}", max_tokens=4) for number in range(3)], "")
    assert all(isinstance(answer, Reply) for answer in answers)
    with pytest.raises(UserError, match="smol gives no log-probabilities of a prompt; choose simulate.method compact"):
        levels_of("all_at_once", recordings, "smol")


@pytest.mark.slow  # a dozen answers at the speed of a shared processor
def test_a_kill_at_llama_cpp_loses_nothing_that_was_answered(llama_cpp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    survives(llama_cpp, "smol", monkeypatch)


@pytest.mark.slow  # hundreds of tokens at the speed of a shared processor
def test_llama_cpp_explains_and_simulates(llama_cpp: str, recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = works(llama_cpp, "smol", recordings, monkeypatch, ("compact", "generated", "generated_json"))
    assert offered == {"top_logprobs", "json_schema"}


@pytest.mark.slow  # the weights are written anew, and read by another process
def test_transformers_serve_answers_and_refuses_an_echo_in_one_line(
    transformers_serve: str, folder: Path, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert works(transformers_serve, str(folder), recordings, monkeypatch, ("compact", "generated")) == set()
    survives_in(transformers_serve, str(folder), monkeypatch)
    monkeypatch.setenv("OPENAI_BASE_URL", transformers_serve)
    with pytest.raises(UserError, match="gives no log-probabilities of a prompt; choose simulate.method compact"):
        levels_of("all_at_once", recordings, str(folder))


def survives_in(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`survives` with replies of its own."""
    Cache(cache_file()).change("DELETE FROM replies")
    survives(url, name, monkeypatch)


@pytest.mark.slow  # vLLM takes a minute to start
def test_levels_through_vllm_are_those_of_the_local_model(
    vllm: str, folder: Path, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert works(vllm, str(folder), recordings, monkeypatch, ("compact", "generated")) == {"echo", "top_logprobs", "json_schema"}
    survives_in(vllm, str(folder), monkeypatch)
    monkeypatch.setenv("OPENAI_BASE_URL", vllm)
    local = levels_of("all_at_once", recordings, str(folder), excerpts=4, provider="local")
    assert (local.status == 0).all()
    for number, least in ((1000, 0.99), (100, 0.95)):
        began = time.monotonic()
        found = levels_of("all_at_once", recordings, str(folder), excerpts=4, logprobs=number)
        assert (found.status == 0).all()
        r = np.corrcoef(found.levels.ravel().astype(float), local.levels.ravel().astype(float))[0, 1]
        print(number, "alternatives: r =", r, "in", time.monotonic() - began, "s")  # noqa: T201  # for the report
        assert r >= least
    few = levels_of("all_at_once", recordings, str(folder), excerpts=4, logprobs=20)
    assert {CODES[code] for code in few.status.ravel()} <= {Status.OK, Status.UNPARSABLE}
