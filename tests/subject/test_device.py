"""The device is there and can compute what is asked of it, or one line says what is wrong and what to do."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from neurogloss.errors import UserError
from neurogloss.subject import device as device_module
from neurogloss.subject.device import check_device, check_spread, device, free_bytes, placement
from tests.subject.test_model import load


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("foo", "Expected one of cpu, cuda"),
        ("cuda:99", ""),  # Torch without CUDA says so, torch with it that there is no such GPU.
        ("cpu:x", "Invalid device string"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(name: str, reason: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_DEVICE", name)
    with pytest.raises(
        UserError, match=rf"^NEUROGLOSS_DEVICE is '{name}', which cannot be used \(.*{reason}.*\); set it to one of cpu"
    ) as told:
        load(tiny_model)
    assert "\n" not in str(told.value)


def test_a_dtype_that_the_device_does_not_have_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^subject.dtype is int4, in which cpu cannot compute \(.*\); set it to float32"):
        check_device(torch.int4, "subject.dtype")


def test_a_driver_that_is_too_old_is_told_and_the_processor_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def is_available() -> bool:
        warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).", stacklevel=1)
        return False

    monkeypatch.delenv("NEUROGLOSS_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    assert device() == "cpu"
    assert "no GPU is used: CUDA initialization: The NVIDIA driver on your system is too old" in caplog.text


def test_a_driver_that_fails_when_it_is_asked_for_is_one_line(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ones(*_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\n\nPlease update your GPU driver")

    monkeypatch.setenv("NEUROGLOSS_DEVICE", "cuda")
    monkeypatch.setattr(torch, "ones", ones)
    with pytest.raises(
        UserError, match=r"'cuda', which cannot be used \(The NVIDIA driver on your system is too old \(found version 11040\).\)"
    ):
        load(tiny_model)


def test_weights_without_room_are_one_line(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    with pytest.raises(
        UserError, match="does not fit into the memory of cpu .*; end what else uses it, load the model in bfloat16, or spread"
    ):
        load(tiny_model)


def test_weights_go_straight_to_the_device_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_DEVICE", "cuda:1")
    assert placement() == {"device_map": {"": "cuda:1"}}
    monkeypatch.setenv("NEUROGLOSS_DEVICE", "cpu")
    assert placement() == {}


def test_layers_are_spread_over_all_gpus_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_DEVICE", "auto")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (10_000 * (number + 1), 0))
    share = device_module.WEIGHTS_SHARE
    assert placement() == {"device_map": "balanced", "max_memory": {0: int(share * 10_000), 1: int(share * 20_000)}}
    assert device() == "cuda:0"

    spread = SimpleNamespace(hf_device_map={"model.layers.0": 0, "model.layers.1": "disk"})
    with pytest.raises(UserError, match=r"big does not fit into the GPUs of this machine \(model.layers.1 has no room\)"):
        check_spread(spread, "big")


def test_the_memory_of_a_gpu_is_what_is_free_or_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: (1000, 2000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda place: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda place: 400)
    assert free_bytes(torch.device("cuda")) == 990
    monkeypatch.setenv("NEUROGLOSS_DEVICE_MEMORY_MB", "12")
    assert free_bytes(torch.device("cuda")) == 12_000_000


@pytest.mark.parametrize(("dtype", "expected"), [("bfloat16", torch.bfloat16), ("float16", torch.float16), ("auto", torch.float32)])
def test_weights_are_loaded_in_the_dtype_that_is_asked_for(dtype: str, expected: torch.dtype, tiny_model: Path) -> None:
    subject = load(tiny_model, dtype=dtype)
    assert {weight.dtype for weight in subject.model.parameters()} == {expected}


def test_a_mixture_of_experts_is_refused_in_one_line(tmp_path: Path) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    from tests.tiny import save_tiny_model

    save_tiny_model(tmp_path / "model")
    sizes = {"vocab_size": 384, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_local_experts": 4}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4}
    MixtralForCausalLM(MixtralConfig(**sizes, **heads)).save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="^mixtral is a mixture of 4 experts a layer: .*; name a dense model under subject.model"):
        load(tmp_path / "model")
