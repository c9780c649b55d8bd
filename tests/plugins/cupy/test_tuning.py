"""Methods and tiles that are measured when it is asked for, on a device whose clock a test sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cupy_double import State, installed
from kernel_runs import distance
from sparseopt_cupy import kept, measuring, tuned

import sparseopt as so

PATTERN = (1, 20, 18, 2)


def product(**more: str) -> so.KroneckerProduct:
    rng = np.random.default_rng(0)
    return so.KroneckerProduct([rng.standard_normal(PATTERN).astype(np.float32)], [PATTERN], **more)


def require_right(held: so.KroneckerProduct, batch: int) -> None:
    import cupy

    x = np.random.default_rng(batch).standard_normal((held.shape[1], batch)).astype(np.float32)
    y = held @ cupy.asarray(x)
    assert distance(y.get(), held.astype("float64").to_dense() @ x) < 1e-6


def test_the_fastest_tile_is_found_kept_and_used(cuda: State) -> None:
    cuda.takes = lambda name: 2.0 if "_64_32_16_" in name else 5.0 if name == "gemm" else 9.0
    own = product()
    before = own.plan(30, device="cuda")
    assert not cuda.launches  # a plan measures nothing
    assert not kept.path_of("cuda_steps.json").exists()
    plan = own.plan(30, device="cuda", tune=True)
    (step,) = plan.steps
    assert (step.method, step.tile[1:4], step.microseconds) == ("kernel", (64, 32, 16), 2.0)
    assert "tile 1 64 32 16" in str(plan)
    assert "measured as they were" in str(plan)
    assert "measured" not in str(before)
    launches = len(cuda.launches)
    require_right(own, 32)
    assert "_64_32_16_" in cuda.launches[-1]
    assert len(cuda.launches) == launches + 1
    assert own.plan(30, device="cuda", tune=True) == plan  # nothing is measured twice
    assert len(cuda.launches) == launches + 1
    require_right(product(), 27)  # others, and as many columns up to a power of two
    assert "_64_32_16_" in cuda.launches[-1]
    require_right(product(), 40)
    assert "_64_32_16_" not in cuda.launches[-1]


def test_a_later_process_reads_the_file(cuda: State) -> None:
    cuda.takes = lambda name: 2.0 if "_64_32_16_" in name else 9.0
    product().plan(30, device="cuda", tune=True)
    text = json.loads(kept.path_of("cuda_steps.json").read_text())
    ((device, steps),) = text.items()
    assert device.startswith("Emulated, driver 13000, kernels ")
    assert list(steps) == ["1,20,18,2 | 32 columns last | float32 ieee"]
    with installed() as state:
        (step,) = product().plan(32, device="cuda").steps
        assert step.tile[1:4] == (64, 32, 16)
        assert not state.launches
    with installed() as state:  # with another driver nothing is known
        state.driver = 12080
        assert not product().plan(32, device="cuda").steps[0].tile


def test_cublas_is_taken_where_it_is_faster(cuda: State) -> None:
    """Never slower than the product on strided views, by measurement and not by the model."""
    cuda.takes = lambda name: 1.0 if name == "gemm" else 50.0
    own = product()
    assert own.plan(64, device="cuda", tune=True).steps[0].method in ("dense", "strided")
    gemms = cuda.gemms
    require_right(own, 64)
    assert cuda.gemms > gemms


def test_groups_of_a_chain_are_measured_until_the_plan_rests_on_figures(cuda: State) -> None:
    cuda.takes = lambda name: 3.0 if "fused" in name else 40.0
    patterns = so.Architecture.square_dyadic(16)
    factors = [np.ones(p.values_shape, np.float32) for p in patterns]
    chain = so.KroneckerProduct(factors, patterns)
    for layout in ("last", "first"):
        plan = chain.plan(16, device="cuda", layout=layout, tune=True)
        assert [step.method for step in plan.steps] == ["fused"]
        assert plan.microseconds == 3.0


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"DEVICE": 3}',
        '{"DEVICE": {"KEY": 3, "other": {"kernel": {}}}}',
        '{"DEVICE": {"KEY": {"kernel": {"microseconds": -1, "tile": [1]}}}}',
        '{"DEVICE": {"KEY": {"kernel": {"microseconds": NaN, "tile": []}}}}',
        '{"DEVICE": {"KEY": {"kernel": {"microseconds": 1, "tile": ["a"]}}}}',
        '{"DEVICE": {"KEY": {"kernel": {"microseconds": 1, "tile": [1, 7, 7, 7, 1, 1]}}}}',
    ],
)
def test_a_file_of_anything_changes_no_product(cuda: State, text: str) -> None:
    path: Path = kept.path_of("cuda_steps.json")
    path.parent.mkdir(parents=True)
    key = tuned.key_of([PATTERN], 32, "float32", "ieee", "last")
    path.write_text(text.replace("DEVICE", tuned._device(0)).replace("KEY", key))
    require_right(product(), 32)


def test_what_cannot_be_measured_is_said(cuda: State, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(so.ProblemError, match='give device="cuda"'):
        product().plan(3, tune=True)
    product().plan(30, device="cuda")  # the device was there
    cuda.failure = RuntimeError("cudaErrorLaunchFailure")
    with pytest.raises(RuntimeError, match="stopped while measuring: cudaErrorLaunchFailure"):
        product().plan(30, device="cuda", tune=True)
    assert not kept.path_of("cuda_steps.json").exists()
    cuda.failure = None
    monkeypatch.setattr("sparseopt_cupy.multiplication._SMALL", 0)
    cuda.free = 100
    with pytest.raises(so.ProblemError, match="GiB are free; tune for fewer columns"):
        product().plan(30, device="cuda", tune=True)
    assert "GiB are free" in str(product().plan(30, device="cuda"))
    with installed() as state:
        state.devices = 0
        with pytest.raises(so.ProblemError, match=r"nothing can be measured here: .*no CUDA dev"):
            product().plan(3, device="cuda", tune=True)


def test_rates_are_measured_on_request(
    cuda: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measuring, "_SIZE", 16)
    monkeypatch.setattr(measuring, "_COPIED", 1 << 10)
    assert measuring.main() == 0
    assert "Emulated: 0.00 TB/s" in capsys.readouterr().out
    assert "measured 2" in str(product().plan(30, device="cuda"))
    with installed() as state:
        state.devices = 0
        assert measuring.main() == 1
    expected = "nothing can be measured here: unavailable: cupy is installed, but there is no CUDA"
    assert capsys.readouterr().out.startswith(expected)


def test_plans_on_a_device_are_for_its_data_type(cuda: State) -> None:
    """float16 is multiplied as it is there; on a processor as float32."""
    import cupy

    half = so.KroneckerProduct([np.ones(PATTERN, np.float16)], [PATTERN])
    assert half.plan(8, device="cuda").dtype == np.float16
    assert half.plan(8).dtype == np.float32
    pairs = half.plan(8, np.complex64, device="cuda", layout="first")
    assert (pairs.dtype, pairs.batch) == (np.float32, 16)
    assert "with the batch last" in str(pairs)  # as such operands are multiplied
    held = so.KroneckerProduct([cupy.asarray(half.factors[0])], [PATTERN])
    y = held @ cupy.asarray(np.ones((36, 8), np.float16))
    assert held.plan(8).dtype == y.dtype == np.float16


def layer_of(patterns: list[tuple[int, ...]], **more: object) -> so.KroneckerLinear:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    rows, columns = so.Architecture(patterns).shape
    return so.KroneckerLinear(columns, rows, patterns, **more)


@pytest.fixture
def tensors_on_device(cuda: State, monkeypatch: pytest.MonkeyPatch) -> State:
    """Tensors of a processor say that they are on a device."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda self: True), raising=False)
    return cuda


def test_layers_are_planned_for_the_device_that_runs_them(tensors_on_device: State) -> None:
    """The steps of the plan are the launches of a call, in the layer's own data type."""
    import torch

    dyadic = list(so.Architecture.square_dyadic(16))
    for patterns, dtype in (
        (dyadic, torch.float32),
        ([PATTERN], torch.bfloat16),
        ([(1, 18, 20, 3), (3, 20, 17, 1)], torch.float64),
    ):
        layer = layer_of(patterns, dtype=dtype)
        plan = layer.plan(30)
        assert {step.method for step in plan.steps} <= {"kernel", "fused"}
        assert str(plan).startswith(f"{str(dtype).removeprefix('torch.')} operand with 32 columns")
        assert "Emulated, products" in str(plan)
        assert "with the batch first, assumed figures" in str(plan)
        assert "a dense weight is predicted to take" in str(plan)
        before = len(tensors_on_device.launches)
        layer(torch.randn(32, layer.in_features, dtype=dtype))
        names = tensors_on_device.launches[before:]
        assert len(names) == len(plan.steps)
        for name, step in zip(names, reversed(plan.steps), strict=True):
            assert name.startswith("fused") == (step.method == "fused")
    conv = so.KroneckerConv2d(2, 6, 3, [(1, 6, 18, 1)])
    assert "with the batch last" in str(conv.plan(100))
    assert conv.plan(100).around > layer.plan(100).around > 0
    with pytest.raises(so.ProblemError, match="device must be cpu or cuda, got 'gpu'"):
        layer.plan(1, device="gpu")


def test_plans_of_layers_need_no_device() -> None:
    """On a processor the plan says what is missing, and takes the figures of an H100."""
    layer = layer_of([(1 << k, 2, 2, 512 >> k) for k in range(10)])
    plan = layer.plan(4096, device="cuda")
    assert [step.method for step in plan.steps] == ["fused"]
    assert "an H100, products (ieee) with the batch first" in str(plan)
    assert "cpu" not in str(plan)
    assert layer.plan(4096).where == "one thread"
    assert layer.plan(4096, device="cpu") == layer.plan(4096)
    with pytest.raises(so.ProblemError, match='give device="cuda"'):
        layer.plan(4096, tune=True)
    with pytest.raises(so.ProblemError, match="nothing can be measured here: "):
        layer.plan(4096, device="cuda", tune=True)


def test_layers_are_tuned_when_it_is_asked_for(tensors_on_device: State) -> None:
    """The fastest tile is found, kept apart from those of products, and used by calls."""
    import torch

    state = tensors_on_device
    state.takes = lambda name: 2.0 if "_2_16_32_8_" in name else 9.0
    layer = layer_of([PATTERN], bias=False)
    x = torch.randn(32, 36)
    expected = layer(x)
    assert "_2_16_32_8_" not in state.launches[-1]
    plan = layer.plan(30, tune=True)
    (step,) = plan.steps
    assert (step.method, step.tile[:4], step.microseconds) == ("kernel", (2, 16, 32, 8), 2.0)
    assert "measured as they were" in str(plan)
    launches = len(state.launches)
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert "_2_16_32_8_" in state.launches[-1]
    assert layer.plan(30, tune=True) == plan  # nothing is measured twice
    assert len(state.launches) == launches + 1
    ((_, steps),) = json.loads(kept.path_of("cuda_steps.json").read_text()).items()
    assert list(steps) == ["1,20,18,2 | 32 columns first | float32 ieee | weights abcd"]
    assert not product().plan(32, device="cuda", layout="first").steps[0].tile


def test_a_device_that_fails_while_a_layer_is_tuned(tensors_on_device: State) -> None:
    layer = layer_of([PATTERN])
    layer.plan(30)
    tensors_on_device.failure = RuntimeError("cudaErrorLaunchFailure")
    with pytest.raises(RuntimeError, match="stopped while measuring: cudaErrorLaunchFailure"):
        layer.plan(30, tune=True)
    assert not kept.path_of("cuda_steps.json").exists()
