"""What `benchmarks/gpu.py` compares with: torch alone, lazylinop, torch-structured; and energy."""

from __future__ import annotations

import ctypes
import importlib
import math
import sys
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

import sparseopt as so

Work = Callable[[torch.Tensor], Any]
_LARGEST_DENSE = 1 << 26
_LARGEST_CSR = 1 << 24


def peers(w: torch.Tensor, first: bool) -> dict[str, Work]:
    """Return what multiplies by one factor in torch alone: permuted and strided bmm, einsum, dense,
    and batch last sparse rows (CSR) or blocks (BSR)."""
    a, b, c, d = w.shape
    blocks = w.permute(0, 3, 1, 2).contiguous()
    flat = blocks.reshape(a * d, b, c)

    def columns(x: torch.Tensor) -> torch.Tensor:
        return (x.T if first else x).reshape(a, c, d, -1)

    def back(y: torch.Tensor) -> torch.Tensor:
        whole = y.reshape(a * b * d, -1)
        return whole.T.contiguous() if first else whole

    def bmm(x: torch.Tensor) -> torch.Tensor:
        y = torch.bmm(flat, columns(x).transpose(1, 2).reshape(a * d, c, -1))
        return back(y.reshape(a, d, b, -1).transpose(1, 2))

    def bmm0(x: torch.Tensor) -> torch.Tensor:
        y = x.new_empty(a, b, d, x.shape[1])
        views = columns(x)
        for i in range(min(a, d)):
            if a <= d:
                torch.bmm(blocks[i], views[i].transpose(0, 1), out=y[i].transpose(0, 1))
            else:
                torch.bmm(blocks[:, i], views[:, :, i], out=y[:, :, i])
        return y.reshape(a * b * d, -1)

    def einsum(x: torch.Tensor) -> torch.Tensor:
        if first:
            return torch.einsum("ikmj,timj->tikj", w, x.reshape(-1, a, c, d)).flatten(1)
        return torch.einsum("ikmj,imjt->ikjt", w, x.reshape(a, c, d, -1)).flatten(0, 2)

    found: dict[str, Work] = {"bmm": bmm, "einsum": einsum}
    if not first and min(a, d) <= 64:
        found["bmm0"] = bmm0
    if a * b * d * a * c * d <= _LARGEST_DENSE:
        dense = so.KroneckerPattern(a, b, c, d).dense(w)
        found["dense"] = (lambda x: x @ dense.T) if first else (lambda x: dense @ x)
    if not first and w.dtype in (torch.float32, torch.float16):
        block = math.gcd(b, c)
        if block >= 4:
            found["bsr"] = _on_diagonal_blocks(_bsr(flat, block), w.shape)
        if w.dtype == torch.float32 and a * b * c * d <= _LARGEST_CSR:
            found["csr"] = _on_diagonal_blocks(_csr(flat), w.shape)
    return found


def _on_diagonal_blocks(matrix: torch.Tensor, shape: tuple[int, ...]) -> Work:
    """Return the product whose blocks lie on the diagonal of a sparse matrix, rows permuted."""
    a, b, c, d = shape

    def work(x: torch.Tensor) -> torch.Tensor:
        if d == 1:
            return matrix @ x
        n = x.shape[1]
        y = matrix @ x.view(a, c, d, n).transpose(1, 2).reshape(a * c * d, n)
        return y.view(a, d, b, n).transpose(1, 2).reshape(a * b * d, n)

    return work


def _csr(flat: torch.Tensor) -> torch.Tensor:
    count, b, c = flat.shape
    starts = torch.arange(count * b + 1, device=flat.device) * c
    columns = torch.arange(count * c, device=flat.device).view(count, 1, c).expand(count, b, c)
    size = count * b, count * c
    given = starts, columns.reshape(-1), flat.reshape(-1), size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.sparse_csr_tensor(*given, check_invariants=True)


def _bsr(flat: torch.Tensor, block: int) -> torch.Tensor:
    count, b, c = flat.shape
    down, across = b // block, c // block
    starts = torch.arange(count * down + 1, device=flat.device) * across
    columns = torch.arange(count * across, device=flat.device).view(count, 1, across)
    values = flat.view(count, down, block, across, block).transpose(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls these tensors a beta
        return torch.sparse_bsr_tensor(
            starts,
            columns.expand(count, down, across).reshape(-1),
            values.reshape(-1, block, block).contiguous(),
            (count * b, count * c),
            check_invariants=True,
        )


def lazylinop(w: torch.Tensor) -> Work | None:
    """Return lazylinop's product as it comes, batch last; None where it is not installed or refuses
    the shape. On a device by its CuPy backend, which builds its kernels by nvcc; elsewhere by
    NumPy's, so that its conventions are tried without one."""
    try:
        importlib.import_module("lazylinop.butterfly.ksm")
        module: Any = sys.modules["lazylinop.butterfly.ksm"]
        backend = "xp"
        own: Callable[[torch.Tensor], Any] = torch.Tensor.numpy
        if w.is_cuda:
            import cupy

            backend, own = "ksmm", cupy.from_dlpack
            if module.cl is None:  # its CUDA path reads a constant of pyopencl
                done = SimpleNamespace(COMPLETE=0)
                kinds = {name: type(name, (), {}) for name in ("Context", "Platform", "Device")}
                module.cl = SimpleNamespace(command_execution_status=done, **kinds)
        held = module.ksm(own(w.contiguous()), {"backend": backend, "params": None})
        return lambda x: held @ own(x)
    except Exception as error:  # no peer is worth the rest of the table
        print(
            f"lazylinop does not run: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
        )
        return None


def torch_structured(n: int, like: torch.Tensor) -> Work | None:
    """Return a butterfly layer of torch-structured, batch first, with values of its own; None where
    it is not installed."""
    try:
        layer = importlib.import_module("torch_structured.butterfly").Butterfly
        made = layer(n, n, bias=False).to(like.device, like.dtype).requires_grad_(False)
        return lambda x: made(x)
    except Exception as error:
        said = " ".join(str(error).split())[:120]
        print(f"torch-structured does not run: {type(error).__name__}: {said}")
        return None


class Energy:
    """Joules that a device has used, as NVML counts them; None where it does not."""

    def __init__(self, uuid: str) -> None:
        self._device: Any = None
        try:
            self._library = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return
        device = ctypes.c_void_p()
        name = (uuid if uuid.startswith("GPU-") else f"GPU-{uuid}").encode()
        if self._library.nvmlInit_v2() == 0 and (
            self._library.nvmlDeviceGetHandleByUUID(name, ctypes.byref(device)) == 0
        ):
            self._device = device

    def joules(self) -> float | None:
        """Return the count since the driver was loaded."""
        count = ctypes.c_ulonglong()
        if self._device is None:
            return None
        failed = self._library.nvmlDeviceGetTotalEnergyConsumption(
            self._device, ctypes.byref(count)
        )
        return None if failed else count.value / 1e3
