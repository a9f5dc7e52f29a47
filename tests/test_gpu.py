"""On a GPU, at the widths of real models with random weights, all is as on the processor; the tiny ones run on the processor itself."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from neurogloss.artifacts.recordings import Recordings
from neurogloss.corpus.windows import Excerpts
from neurogloss.llm.local.provider import open_local
from neurogloss.llm.request import Reply, Request
from neurogloss.phrases.profiles import Gains
from neurogloss.recording import device_stream
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.device_ops import TorchOperations
from neurogloss.recording.run import record_excerpts
from neurogloss.subject.model import Subject, load_subject
from neurogloss.subject.neurons import find_neurons
from tests.phrases.test_profiles import PROMPT, model_params
from tests.recording.test_device import assert_same
from tests.subject.made_up import record_params
from tests.tiny import save_tiny_model

GPT2_XL = ("gpt2", {"vocab_size": 50257, "n_embd": 1600, "n_head": 25, "n_layer": 2})
LLAMA_8B = (
    "llama",
    {
        **{"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 2},
        **{"num_attention_heads": 32, "num_key_value_heads": 8},
    },
)
TINY = ("llama", {"vocab_size": 90, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2})
SHAPES = pytest.mark.parametrize(
    ("shape", "dtype", "place"),
    [
        pytest.param(TINY, torch.float32, "cpu", id="tiny"),
        pytest.param(GPT2_XL, torch.float32, "cuda", id="gpt2-xl-float32", marks=pytest.mark.gpu),
        pytest.param(GPT2_XL, torch.bfloat16, "cuda", id="gpt2-xl-bfloat16", marks=pytest.mark.gpu),
        pytest.param(GPT2_XL, torch.float16, "cuda", id="gpt2-xl-float16", marks=pytest.mark.gpu),
        pytest.param(LLAMA_8B, torch.bfloat16, "cuda", id="llama-8b-bfloat16", marks=pytest.mark.gpu),
    ],
)
PLACES = pytest.mark.parametrize("place", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])


def subject_of(shape: tuple[str, dict[str, Any]], dtype: torch.dtype, place: str) -> Subject:
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, settings = shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings, bos_token_id=1, eos_token_id=2), dtype=dtype)
    model = model.to(place).eval().requires_grad_(False)
    return Subject(model, SimpleNamespace(), [], 1, find_neurons(model), lambda: subject_of(shape, dtype, place))


def random_excerpts(count: int, vocabulary: int) -> Excerpts:
    """A quarter is held out."""
    tokens = (vocabulary * np.random.default_rng(0).random((count, 64)) ** 3).astype(np.int32)
    numbers = np.arange(count)
    return Excerpts([f"d{number // 4}" for number in numbers], numbers.astype(np.int32), tokens, numbers // 4 % 4 == 1)


class Replayed:
    """Shows the processor's loops what a subject showed on its device."""

    def __init__(self, subject: Subject, excerpts: Excerpts, size: int) -> None:
        self.widths, self.held, self.indices, self.sites = subject.widths, subject.held, subject.indices, subject.sites
        self.vocabulary, self.loader = subject.vocabulary, subject.loader
        self.numbers = {row.tobytes(): number for number, row in enumerate(excerpts.tokens.astype(np.int64))}
        self.shown: dict[int, list[torch.Tensor]] = {layer: [] for layer in range(len(subject.widths))}
        for part in torch.from_numpy(excerpts.tokens.astype(np.int64)).split(size):
            subject.activations(part, list(self.shown), lambda layer, seen: self.shown[layer].append(seen.float().cpu()))
        self.dense = {layer: torch.cat(parts) for layer, parts in self.shown.items()}

    def activations(self, tokens: torch.Tensor, layers: list[int], visit: Any) -> None:
        rows = [self.numbers[row.tobytes()] for row in tokens.numpy()]
        for layer in layers:
            visit(layer, self.dense[layer][rows])


def recorded(subject: Any, excerpts: Excerpts, folder: Path) -> Recordings:
    params = record_params(excerpts=len(excerpts.tokens), tokens=64, top=20, random=15, per_split=5, table_tokens=100)
    return record_excerpts(subject, excerpts, params, Scratch(folder, "key"))


@SHAPES
def test_a_device_records_what_a_dense_pass_shows(
    shape: Any, dtype: torch.dtype, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, sizes = subject_of(shape, dtype, place), list[int]()
    excerpts = random_excerpts(160, int(shape[1]["vocab_size"]))
    monkeypatch.setenv("NEUROGLOSS_DEVICE", place)
    monkeypatch.setenv("NEUROGLOSS_RECORDER", "device")
    real = device_stream.run_batch

    def run_batch(*args: Any) -> None:
        sizes.append(len(args[-1]))
        real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(device_stream, "run_batch", run_batch)
        found = recorded(subject, excerpts, tmp_path / "device")
        patched.setattr(device_stream, "operations_on", lambda place: TorchOperations())
        plain = recorded(subject, excerpts, tmp_path / "plain")
    replayed = Replayed(subject, excerpts, sizes[0])
    monkeypatch.setenv("NEUROGLOSS_DEVICE", "cpu")
    monkeypatch.setenv("NEUROGLOSS_RECORDER", "loops")
    expected = recorded(replayed, excerpts, tmp_path / "loops")
    assert_same(plain, expected, rtol=1e-3, atol=1e-5)
    assert_same(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.gpu
def test_no_operation_of_a_batch_waits_for_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject, excerpts = subject_of(GPT2_XL, torch.bfloat16, "cuda"), random_excerpts(160, 50257)
    monkeypatch.setenv("NEUROGLOSS_DEVICE", "cuda")
    recorded(subject, excerpts, tmp_path / "compiled")
    real = device_stream.DeviceRecorder.see

    def see(*args: Any) -> None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            real(*args)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(device_stream.DeviceRecorder, "see", see)
    for operations in (device_stream.operations_on(torch.device("cuda")), TorchOperations()):
        monkeypatch.setattr(device_stream, "operations_on", lambda place, operations=operations: operations)
        recorded(subject, excerpts, tmp_path / type(operations).__name__)


@pytest.mark.gpu
def test_fused_kernels_are_what_records_where_triton_is() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    assert type(device_stream.operations_on(torch.device("cuda"))).__name__ == "TritonOperations"


def wide_model(folder: Path, place: str) -> Path:
    """The tiny model, at the widths of a model of 3 billion weights where there is a GPU."""
    from transformers import LlamaConfig, LlamaForCausalLM

    save_tiny_model(folder)
    if place == "cuda":
        config = LlamaConfig.from_pretrained(folder)
        sizes = {"hidden_size": 2560, "intermediate_size": 10240, "num_attention_heads": 20, "num_key_value_heads": 4, "head_dim": 128}
        config.update(sizes | {"initializer_range": 0.02})
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@PLACES
def test_the_local_model_answers_as_a_plain_forward_pass_does(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = wide_model(tmp_path / "model", place)
    monkeypatch.setenv("NEUROGLOSS_DEVICE", place)
    local = open_local(model_params(folder))
    assert local.prefixes.model.device.type == place
    head = "the cat sat on the mat\n"
    prompts = [head + text for text in ("the dog\tunknown\n", "snow and rain\tunknown\n under\tunknown\n", "birds\tunknown\n")]
    echoes = local.answer([Request("local", "m", prompt=text, echo="unknown", echo_from=len(head), top_logprobs=400) for text in prompts])
    answers = local.answer([Request("local", "m", prompt=text, max_tokens=6, top_logprobs=5) for text in prompts])
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)

    def logprobs(ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return torch.log_softmax(model(torch.tensor([ids])).logits[0], dim=-1)

    for text, echo, answer in zip(prompts, echoes, answers, strict=True):
        assert isinstance(echo, Reply)
        assert isinstance(answer, Reply)
        found = tokenizer(text, return_offsets_mapping=True)
        ids, table = list(found["input_ids"]), logprobs(list(found["input_ids"]))
        starts = [i for i, (start, _) in enumerate(found["offset_mapping"]) if text.startswith("unknown", start) and start >= len(head)]
        assert len(echo.tokens) == len(starts)
        for position, token in zip(starts, echo.tokens, strict=True):
            expected: dict[str, float] = {}
            for number, value in enumerate(table[position - 1].tolist()):
                piece = tokenizer.decode([number])  # Tokens of one text count together.
                expected[piece] = float(np.logaddexp(expected.get(piece, -np.inf), value))
            assert token.alternatives == {piece: pytest.approx(expected[piece], abs=2e-3) for piece in token.alternatives}
        for token in answer.tokens:
            ids.append(int(logprobs(ids)[-1].argmax()))
            assert tokenizer.decode([ids[-1]]) == token.token


@PLACES
def test_profiles_on_a_device_are_those_of_the_processor(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params, prompt = (
        model_params(wide_model(tmp_path / "model", place)),
        PROMPT,
    )
    found = []
    for where in (place, "cpu"):
        monkeypatch.setenv("NEUROGLOSS_DEVICE", where)
        monkeypatch.setenv("NEUROGLOSS_CACHE", str(tmp_path / f"cache-{where}-{len(found)}"))
        found.append(Gains(params, prompt).of(["birds", "the river", "snow"]).astype(np.float32))
    assert np.abs(found[1]).max() > 0.01
    np.testing.assert_allclose(*found, atol=5e-3)


@PLACES
def test_a_subject_is_loaded_to_the_device_in_its_dtype(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurogloss.config.subject import SubjectParams

    monkeypatch.setenv("NEUROGLOSS_DEVICE", place)
    subject = load_subject(SubjectParams(model=str(save_tiny_model(tmp_path / "model")), dtype="bfloat16"))
    assert {(weight.device.type, weight.dtype) for weight in subject.model.parameters()} == {(place, torch.bfloat16)}
    seen: list[torch.Tensor] = []
    subject.activations(torch.ones((2, 5), dtype=torch.int64), [0, 1], lambda _, found: seen.append(found))
    assert {(found.device.type, found.dtype, found.shape) for found in seen} == {(place, torch.bfloat16, (2, 5, 48))}
