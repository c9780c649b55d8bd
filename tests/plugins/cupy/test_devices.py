"""What is said of devices: by doctor, by plans and by refusals, one true sentence each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cupy_double
import numpy as np
import pytest
from cupy_double import CUDARuntimeError, State

import sparseopt as so
from sparseopt.choosing.availability import Registered
from sparseopt.choosing.discovery import registry

NO_DRIVER = "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime"


def said() -> str:
    """Return the verdict on the solver."""
    item = next(item for item in registry().solvers if item.name == "hierarchical_cupy")
    found = item.availability()
    return item.device if found is None else f"{found.reason} | {found.remedy}"


def is_own(item: Registered) -> bool:
    return item.plugin.name == "cupy"


def test_a_device_that_fits_is_named(cuda: State) -> None:
    assert said().startswith("ready on Emulated, 3.00 TB/s and 60 (float32)")
    assert said().endswith("assumed")


def test_no_driver_is_told_from_one_that_is_too_old(cuda: State) -> None:
    cuda.failure, cuda.driver = CUDARuntimeError(NO_DRIVER), 0
    assert said().startswith("cupy is installed, but no driver of a CUDA device is (cudaErrorIns")


def test_a_driver_that_is_too_old(cuda: State) -> None:
    cuda.failure, cuda.driver = CUDARuntimeError(NO_DRIVER), 12040
    assert said().startswith("the driver, for CUDA 12.4, is too old for this cupy (cudaErrorIns")
    assert "gpu12" in said()


def test_no_device(cuda: State) -> None:
    cuda.devices = 0
    assert said().startswith("cupy is installed, but there is no CUDA device | ")


def test_a_device_that_does_not_answer(cuda: State) -> None:
    cuda.failure = CUDARuntimeError("cudaErrorUnknown:\n unknown error")
    expected = "cupy is installed, but no CUDA device answers (cudaErrorUnknown: unknown error)"
    assert said().startswith(expected)


def test_a_device_that_is_unfit(cuda: State) -> None:
    cuda.capability = "75"
    assert said().startswith(
        "device 0, Emulated, has compute capability 7.5; the kernels need 8.0 or later"
    )


def test_a_cupy_that_is_too_old(cuda: State) -> None:
    sys.modules["cupy"].__version__ = "12.3.0"  # type: ignore[attr-defined]
    assert said().startswith("cupy 12.3.0 is too old: 13 or later is needed | pip install")


def test_libraries_that_cupy_does_not_bring_along(cuda: State) -> None:
    cuda.no_cublas = True
    expected = "cupy and a device are there, but NVRTC or cuBLAS is not (Failure finding"
    assert said().startswith(expected)
    assert "sparseopt[gpu]" in said()


def test_doctor_says_it_of_every_engine(cuda: State) -> None:
    from sparseopt.cli.doctor import _state

    found = [item for item in (*registry().solvers, *registry().engines) if is_own(item)]
    names = {item.name for item in found}
    assert names == {"hierarchical_cupy", "CudaMultiplication", "CudaChain"}
    assert all(_state(item)[0].startswith("ok, ready on Emulated") for item in found)
    for item in found:
        item._cache.clear()
    cuda.capability = "70"
    assert all("compute capability 7.0" in _state(item)[0] for item in found)


def test_an_explicit_choice_is_never_replaced(cuda: State) -> None:
    problem = so.ButterflyFactorization(np.eye(4), so.Architecture.square_dyadic(4))
    with pytest.raises(so.SolveError, match="place is host here; this solver takes device"):
        so.solve(problem, solver="hierarchical_cupy")
    cuda.devices = 0
    target = sys.modules["cupy"].asarray(np.eye(4))
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(4))
    with pytest.raises(so.SolveError, match="there is no CUDA device"):
        so.solve(problem, solver="hierarchical_cupy")
    product = so.KroneckerProduct([target.reshape(1, 4, 4, 1)], [(1, 4, 4, 1)])
    with pytest.raises(so.ProblemError, match=r"cannot be multiplied here: .*no CUDA device"):
        _ = product @ target


def test_plans_need_no_device() -> None:
    product = so.KroneckerProduct(
        [np.ones((1 << k, 2, 2, 2048 >> k), np.float32) for k in range(12)],
        so.Architecture.square_dyadic(4096),
    )
    before = "cupy" in sys.modules
    shown = str(product.plan(8192, device="cuda"))
    assert "products (ieee) with the batch last, assumed figures" in shown
    assert "not installed" in shown or "ready" in shown or "no" in shown
    assert before or "cupy" not in sys.modules or "not installed" not in shown
    tensor_cores = product.accelerated("tf32").plan(8192, device="cuda")
    assert tensor_cores.microseconds <= product.plan(8192, device="cuda").microseconds
    first = product.plan(8192, device="cuda", layout="first")
    methods = {step.method for step in (*first.steps, *tensor_cores.steps)}
    assert methods <= {"strided", "dense", "kernel", "fused"}
    assert len(tensor_cores.steps) <= 2  # passes over the operand
    with pytest.raises(so.ProblemError, match="device must be cpu"):
        product.plan(1, device="gpu")
    with pytest.raises(so.ProblemError, match="layout last or first"):
        product.plan(1, device="cuda", layout="middle")
    with pytest.raises(so.ProblemError, match="there are no products of"):
        product.plan(1, np.longdouble, device="cuda")


@pytest.mark.parametrize(
    ("patterns", "batch", "layout", "method"),
    [
        ([(1 << k, 2, 2, 512 >> k) for k in range(10)], 4096, "last", "fused"),
        ([(64, 2, 2, 32)], 25088, "last", "kernel"),
        ([(4, 1024, 1024, 1)], 25088, "last", "strided"),
        ([(4, 128, 128, 4)], 25088, "first", "kernel"),
    ],
)
def test_the_planner_chooses_as_the_model_says(
    patterns: list[tuple[int, int, int, int]], batch: int, layout: str, method: str
) -> None:
    """The same dynamic program as on the processor, with the figures of a device."""
    factors = [np.ones(pattern, np.float32) for pattern in patterns]
    plan = so.KroneckerProduct(factors, patterns).plan(batch, device="cuda", layout=layout)
    assert method in {step.method for step in plan.steps}, str(plan)
    assert plan.steps[0].first == 0
    assert plan.steps[-1].last == len(patterns) - 1
    assert all(
        two.first == one.last + 1 for one, two in zip(plan.steps, plan.steps[1:], strict=False)
    )


def test_measured_figures_are_read_and_faulty_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparseopt_cupy.rates import Rates

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assumed = Rates.of("a card")
    assert (assumed.name, assumed.source) == ("a card", "assumed")
    assert Rates.of("a card", 80).copy < assumed.copy
    own = Rates("a card", "measured 2026-01-01", 2e6, 5e7, 3e8, 6e8, 2e7, 3.0)
    path = own.keep()
    assert Rates.of("a card") == own
    assert Rates.of("another").source == "assumed"
    Rates("another", "measured 2026-01-01", 1.0, 1.0, 1.0, 1.0, 1.0).keep()
    assert Rates.of("a card") == own
    for text in (
        "{",
        "[]",
        '{"a card": {}}',
        json.dumps({"a card": {**own.__dict__, "copy": -1.0}}),
        json.dumps({"a card": {**own.__dict__, "half": float("nan")}}),
        json.dumps({"a card": {**own.__dict__, "ieee": [1]}}),
    ):
        path.write_text(text)
        assert Rates.of("a card") == assumed


def test_cupy_is_imported_by_nothing_without_a_device_array() -> None:
    """Also where it is installed: planning for NumPy arrays looks for no device."""
    folder = Path(cupy_double.__file__).parent
    script = f"""
import sys, importlib.util
import numpy as np, sparseopt as so
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: find("json") if name == "cupy" else find(name, *more)
problem = so.ButterflyFactorization(np.eye(4), so.Architecture.square_dyadic(4))
assert "place is host" in str(so.plan(problem)), so.plan(problem)
product = so.solve(problem, bounds="never").answer
product @ np.ones(4)
so.plugins(), so.solvers()
assert "cupy" not in sys.modules
assert {str(folder)!r} not in sys.path
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_cupy_without_a_driver_is_imported_and_says_so() -> None:
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    if cupy.cuda.is_available():
        pytest.skip("there is a device here")
    assert "no driver of a CUDA device" in said() or "is too old" in said()
    product = so.KroneckerProduct([np.ones((1, 64, 64, 64), np.float32)], [(1, 64, 64, 64)])
    assert "no driver" in str(product.plan(4096, device="cuda")) or "too old" in said()
    with pytest.raises(so.ProblemError, match="nothing can be measured here: unavailable: "):
        product.plan(4096, device="cuda", tune=True)
    problem = so.ButterflyFactorization(np.eye(4), so.Architecture.square_dyadic(4))
    with pytest.raises(so.SolveError, match="place is host here"):
        so.solve(problem, solver="hierarchical_cupy")
    command = [sys.executable, "-m", "sparseopt_cupy.measuring"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stdout.startswith("nothing can be measured here: ")
    assert not done.stderr
    assert product @ np.ones(4096, np.float32) is not None
