"""The fused kernels do what plain torch does, to the last bit but for sums in float32; Triton's interpreter stands in for a GPU."""

import importlib
import os
from typing import Any

import numpy as np
import pytest
import torch

from neurogloss.recording.device_ops import LOWEST_ID, Listed, TorchOperations

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1",
    reason="run by test_device.py where Triton is: its interpreter must be chosen before it is imported",
)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
SHAPES = pytest.mark.parametrize("shape", [(9, 12, 37), (34, 8, 130), (3, 9, 5)])


@pytest.fixture(scope="module")
def fused() -> Any:
    """The kernels as Python runs them."""
    return importlib.import_module("neurogloss.recording.device_triton").TritonOperations()


def activations(shape: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
    """With ties and both zeros, behind one token that is left out."""
    excerpts, length, width = shape
    generator = torch.Generator().manual_seed(0)
    values = (3 * torch.randn((excerpts, length + 1, width), generator=generator)).round().to(dtype)
    values[-1, 3, 2], values[:, :, 1] = -0.0, -0.0
    return values[:, 1:]


def flags() -> torch.Tensor:
    return torch.tensor([0, LOWEST_ID])


@DTYPES
@SHAPES
def test_a_sweep(fused: Any, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    values = activations(shape, dtype)
    values[0, 1, 3] = 65000 if dtype is torch.float16 else 70000
    shift = values[0].float().mean(dim=0)
    counts = flags(), flags()
    one, other = (way.sweep(values, shift, 100, count) for way, count in zip((TorchOperations(), fused), counts, strict=True))
    torch.testing.assert_close(other.powers, one.powers, rtol=1e-4, atol=1e-2)
    assert torch.equal(other.strengths, one.strengths)
    assert counts[0].tolist() == counts[1].tolist() == [int(dtype is not torch.float16), LOWEST_ID]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, which computes here, would rather not.
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite(fused: Any, value: float) -> None:
    values = activations((9, 12, 37), torch.float32)
    values[5, 11, 36] = values[7, 0, 0] = value
    for way in (TorchOperations(), fused):
        count = flags()
        way.sweep(values, torch.zeros(37), 100, count)
        assert int(count[1]) == 105


@DTYPES
@SHAPES
@pytest.mark.parametrize("places", [1, 5, 20])
def test_the_strongest(fused: Any, shape: tuple[int, int, int], dtype: torch.dtype, places: int) -> None:
    values = activations(shape, dtype)
    excerpts, length, width = shape
    rows = torch.arange(excerpts)
    found = []
    for way in (TorchOperations(), fused):
        keys, top = (-1 - torch.arange(places + 2)).repeat(width, 1), torch.zeros((places, length, width), dtype=torch.float16)
        strengths = way.sweep(values, torch.zeros(width), 100, flags()).strengths
        strengths[0, 3] = -1
        for part in (rows[rows % 3 != 1], rows[rows % 3 == 1]):
            way.keep(values, strengths, part, 100, keys[:, 1:-1], top)
        order = keys[:, 1:-1].argsort(dim=1)
        found.append((keys[:, 1:-1].gather(1, order), top.gather(0, order.T[:, None].expand(-1, length, -1))))
        assert (keys[:, 0] == -1).all()
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@DTYPES
@SHAPES
def test_token_sums(fused: Any, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    values = activations(shape, dtype)
    excerpts, length, width = shape
    entries = np.random.default_rng(0).integers(-1, 6, excerpts * length)
    order = np.argsort(entries, kind="stable")[np.count_nonzero(entries < 0) :]
    present, starts = np.unique(entries[order], return_index=True)
    parts = (*np.divmod(order, length), entries[order], present, np.append(starts, len(order)))
    listed = Listed(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))
    sums = [torch.ones((7, width), dtype=torch.float64) for _ in range(2)]
    for way, total in zip((TorchOperations(), fused), sums, strict=True):
        way.add_tokens(values, listed, total)
    assert torch.equal(*sums)
